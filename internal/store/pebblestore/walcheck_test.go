package pebblestore

import (
	"context"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"liked"
	"liked/internal/store"
)

// dump is all that a store holds.
func dump(t *testing.T, s *Store) (string, error) {
	t.Helper()
	var all strings.Builder
	err := s.view(context.Background(), func(r pebble.Reader) error {
		return scan(r, nil, nil, func(key, value []byte) (bool, error) {
			fmt.Fprintf(&all, "%x=%x\n", key, value)
			return true, nil
		})
	})
	return all.String(), err
}

// worn returns the files of a store that lost its process: tables, and a write-ahead log that was not flushed.
func worn(t *testing.T) map[string][]byte {
	t.Helper()
	ctx := context.Background()
	disk := vfs.NewCrashableMem()
	o := testOptions(disk)
	o.memTable = 32 << 10
	s := open(t, o)
	fill(t, s)
	var records []store.Record
	for n := range 100 {
		u := liked.User{ID: liked.UserID(n + 100), Username: fmt.Sprintf("user_%d", n), Name: "x", Description: strings.Repeat("x", 160)}
		p := liked.Post{ID: liked.PostID(n + 100), Author: u.ID, Text: strings.Repeat("y", n%200)}
		records = append(records, store.Record{User: &u}, store.Record{Post: &store.Post{Post: p}})
	}
	got, err := s.Import(ctx, records, false)
	ok(t, err)
	if len(got.Refused) > 0 {
		t.Fatal(got.Refused[0])
	}
	ok(t, s.Close())
	s = open(t, o)
	for n := range 100 {
		_, err := s.SetLike(ctx, liked.UserID(n+100), 100, true, noon.Add(time.Duration(n)*time.Second))
		ok(t, err)
	}
	for round := range 4 { // tables that only the manifest of this time knows
		for i := range records {
			if u := records[i].User; u != nil {
				u.ID, u.Username = u.ID+10_000, fmt.Sprintf("u%d_%d", round, i)
			} else {
				records[i] = store.Record{User: &liked.User{ID: liked.UserID(200_000 + i), Username: fmt.Sprintf("v%d", i), Name: "x"}}
			}
		}
		_, err := s.Import(ctx, records, false)
		ok(t, err)
	}
	files := make(map[string][]byte)
	for n := 0; len(files) == 0 || logEnd(t, newestLog(files), files[newestLog(files)]) < 1500; n++ { // a flush may have begun a new log
		_, err := s.SetLike(ctx, liked.UserID(n%100+100), 100, n/100%2 == 1, noon.Add(time.Duration(n)*time.Minute))
		ok(t, err)
		if n%10 == 9 {
			files = filesOf(t, disk.CrashClone(vfs.CrashCloneCfg{}))
		}
	}
	ok(t, s.Close())
	return files
}

func filesOf(t *testing.T, disk *vfs.MemFS) map[string][]byte {
	t.Helper()
	files := make(map[string][]byte)
	names, err := disk.List("data")
	ok(t, err)
	for _, name := range names {
		f, err := disk.Open("data/" + name)
		ok(t, err)
		files[name], err = io.ReadAll(f)
		ok(t, err)
		ok(t, f.Close())
	}
	return files
}

// newestLog is the write-ahead log that was written when the process was lost.
func newestLog(files map[string][]byte) (newest string) {
	for name := range files {
		if strings.HasSuffix(name, ".log") && name > newest {
			newest = name
		}
	}
	return newest
}

// logEnd returns where a write-ahead log ends. What is behind was there before: pebble uses files again.
func logEnd(t *testing.T, name string, content []byte) (end int) {
	t.Helper()
	number, err := strconv.Atoi(strings.TrimSuffix(name, ".log"))
	ok(t, err)
	for {
		next, _, more := chunkAt(content, end, uint32(number), walHeader)
		if !more {
			return end
		}
		end = next
	}
}

// lastRecord returns where the last record of a write-ahead log begins.
func lastRecord(t *testing.T, name string, content []byte) (begin int) {
	t.Helper()
	number, err := strconv.Atoi(strings.TrimSuffix(name, ".log"))
	ok(t, err)
	for at := 0; ; {
		next, _, more := chunkAt(content, at, uint32(number), walHeader)
		if !more {
			return begin
		}
		begin, at = at, next
	}
}

// outcome opens a store of the files and checks it: either an error that says what to do, or all that it holds.
func outcome(t *testing.T, files map[string][]byte) (content string, err error) {
	t.Helper()
	s, err := Open(testOptions(diskWith(t, files)))
	if err != nil {
		return "", err
	}
	defer s.Close() // of a store that is damaged: anything may come of it
	r, err := s.Check(context.Background())
	if err != nil {
		return "", err
	}
	if len(r.Problems) > 0 {
		return "", fmt.Errorf("problems: %s", isDamaged)
	}
	return dump(t, s)
}

// Whatever bit flips in whatever file: somebody is told what to do, or nothing is different. What the write-ahead log got
// after the last sync that it knows of is the one exception, and here, where each write waits for the one before, is its last
// record: nothing tells it from one that power loss has cut short, and no more is lost.
func TestFlippedBitsAreFound(t *testing.T) {
	t.Parallel()
	files := worn(t)
	want, err := outcome(t, files)
	ok(t, err)
	found := make(map[string]int) // by kind of file
	for name, content := range files {
		last := math.MaxInt // where the exception begins
		kind := strings.Trim(strings.SplitN(name, "-", 2)[0], "0123456789")
		if name == newestLog(files) {
			kind = "newest log"
			last = lastRecord(t, name, content)
		}
		flips, end := 16, len(content)
		switch kind {
		case "MANIFEST":
			flips = end / 8
		case "newest log":
			end = logEnd(t, name, content)
			flips = end / 32
		}
		if testing.Short() {
			flips = 4
		}
		for at := 0; at < end; at += 1 + end/flips {
			spoiled := maps.Clone(files)
			spoiled[name] = slices.Clone(content)
			spoiled[name][at] ^= 1 << (at % 8)
			got, err := outcome(t, spoiled)
			switch {
			case err == nil && (got == want || at >= last):
			case err == nil:
				t.Errorf("%s, byte %d of %d: %d bytes became %d, and nobody was told", name, at, len(content), len(want), len(got))
			case !strings.Contains(err.Error(), isDamaged):
				t.Errorf("%s, byte %d of %d: got error %v, which does not say what to do", name, at, len(content), err)
			default:
				found[kind]++
			}
		}
	}
	for _, kind := range []string{".sst", "MANIFEST", "OPTIONS", "newest log"} {
		if found[kind] == 0 {
			t.Errorf("no damage to any %s was found", kind)
		}
	}
	t.Log(found)
}

// Power loss may leave any part of what was written last. The store opens without it.
func TestTornLogIsNoDamage(t *testing.T) {
	t.Parallel()
	files := worn(t)
	want, err := outcome(t, files)
	ok(t, err)
	name := newestLog(files)
	end := logEnd(t, name, files[name])
	whole := files[name][:end]
	if end < 1000 {
		t.Fatalf("%s has %d bytes", name, end)
	}
	for cut := 1; cut < 200; cut += 19 {
		files[name] = whole[:len(whole)-cut]
		got, err := outcome(t, files)
		if err != nil || cut > 20 && got == want {
			t.Errorf("without the last %d bytes: got %d bytes of %d, error %v", cut, len(got), len(want), err)
		}
		files[name] = append(slices.Clone(whole[:len(whole)-cut]), make([]byte, cut)...)
		if _, err := outcome(t, files); err != nil {
			t.Errorf("with zeros for the last %d bytes: got error %v", cut, err)
		}
	}
}
