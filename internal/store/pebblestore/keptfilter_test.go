package pebblestore

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"liked"
)

const keptPath = "data/" + filterFile

// taken reports whether the store has begun with the filter that the last one left.
func taken(s *Store) bool { return s.filter.now.Load() != nil && !s.filter.filling.Load() }

// likesOf has users 1 to 4 like posts in turn; each store of a disk goes on from where the one before it stopped.
type likesOf struct {
	*testing.T
	there map[likeID]bool
}

func newLikes(t *testing.T, s *Store) *likesOf {
	for i := range 4 {
		ok(t, s.AddUser(t.Context(), liked.User{ID: liked.UserID(i + 1), Username: string(rune('a' + i)), Name: "x"}))
	}
	for i := range 50 {
		ok(t, s.AddPost(t.Context(), liked.Post{ID: liked.PostID(i + 1), Author: 1}))
	}
	return &likesOf{t, make(map[likeID]bool)}
}

func (l *likesOf) set(s *Store, on bool, posts ...int) {
	l.Helper()
	for _, post := range posts {
		for user := range 4 {
			id := likeID{liked.UserID(user + 1), liked.PostID(post)}
			changed, err := s.SetLike(l.Context(), id.user, id.post, on, noon)
			if ok(l, err); changed == (l.there[id] == on) {
				l.Errorf("user %d, post %d, %v: got changed %v", id.user, post, on, changed)
			}
			l.there[id] = on
		}
	}
}

// hold holds the filter, and the store, to the likes that there are.
func (l *likesOf) hold(s *Store, what string) {
	l.Helper()
	wholeFilter(l.T, s)
	for id, on := range l.there {
		if on && s.filter.lacks(id) {
			l.Fatalf("%s: user %d likes post %d, and the filter lacks it", what, id.user, id.post)
		}
		if changed, err := s.SetLike(l.Context(), id.user, id.post, on, noon); err != nil || changed {
			l.Fatalf("%s: user %d, post %d: %v again: got changed %v, %v", what, id.user, id.post, on, changed, err)
		}
	}
	proven(l.T, s)
}

func content(t *testing.T, disk vfs.FS) []byte {
	t.Helper()
	b, err := readFile(disk, keptPath)
	ok(t, err)
	return b
}

func put(t *testing.T, disk vfs.FS, b []byte) {
	t.Helper()
	ok(t, writeFile(disk, keptPath, func(w io.Writer) error {
		_, err := w.Write(bytes.Clone(b)) // under the race detector a file spoils what it was given
		return err
	}))
}

func TestFilterIsKept(t *testing.T) {
	t.Parallel()
	disk := vfs.NewCrashableMem()
	s := open(t, testOptions(disk))
	l := newLikes(t, s)
	l.set(s, true, 1, 2, 3)
	for round := range 3 {
		ok(t, s.Close())
		s = open(t, testOptions(disk))
		if !taken(s) {
			t.Errorf("round %d: the filter was not taken from its file", round)
		}
		if _, err := disk.Stat(keptPath); err == nil {
			t.Errorf("round %d: the file is there while the store is open", round)
		}
		l.hold(s, fmt.Sprint("round ", round))
		l.set(s, true, 10+round, 20+round)
		l.set(s, false, 10+round)
	}
	lacking := 0
	for post := 100; post < 200; post++ {
		if s.filter.lacks(likeID{1, liked.PostID(post)}) {
			lacking++
		}
	}
	if lacking < 95 {
		t.Errorf("the filter lacks %d of 100 likes that never were", lacking)
	}
	ok(t, s.Close())

	// Who only reads leaves the file to who writes.
	o := testOptions(disk)
	o.ReadOnly = true
	ok(t, open(t, o).Close())
	s = open(t, testOptions(disk))
	if !taken(s) {
		t.Error("a store that was read in between was not opened with its filter")
	}
	ok(t, s.Close())

	// Less memory than the filter has words.
	o = testOptions(disk)
	o.FilterBytes = 8
	s = open(t, o)
	if now := s.filter.now.Load(); now != nil && len(now.words) > 1 {
		t.Errorf("the filter has %d words, of one that there is memory for", len(now.words))
	}
	ok(t, s.Close())

	// So few likes that reading them takes no time.
	o = testOptions(disk)
	o.keepFrom = 0
	s = open(t, o)
	l.hold(s, "few likes")
	ok(t, s.Close())
	if _, err := disk.Stat(keptPath); err == nil {
		t.Error("there is a file for so few likes")
	}
}

// Whatever the file is, nothing but what was written is believed.
func TestFilterFileLies(t *testing.T) {
	t.Parallel()
	disk := vfs.NewCrashableMem()
	s := open(t, testOptions(disk))
	l := newLikes(t, s)
	l.set(s, true, 1)
	ok(t, s.Close())
	earlier := content(t, disk)
	s = open(t, testOptions(disk))
	l.set(s, true, 2, 3)
	l.set(s, false, 1)
	ok(t, s.Close())
	l.set(open(t, testOptions(vfs.NewCrashableMem())), true)
	right := content(t, disk)
	flipped := bytes.Clone(right)
	flipped[bytes.IndexFunc(right, func(r rune) bool { return r != 0 })] = 0
	for name, b := range map[string][]byte{
		"earlier": earlier, "flipped": flipped, "empty": {}, "zeros": make([]byte, len(right)), "short": right[:len(right)-1],
		"long": append(bytes.Clone(right), 0), "twice": append(bytes.Clone(right), right...), "missing": nil,
	} {
		left := disk.CrashClone(vfs.CrashCloneCfg{})
		if put(t, left, b); b == nil {
			ok(t, left.Remove(keptPath))
		}
		o := testOptions(left)
		var text bytes.Buffer
		o.Logger = slog.New(slog.NewTextHandler(&text, nil))
		s := open(t, o)
		if said := text.String(); !strings.Contains(said, "not as it was kept") {
			t.Errorf("%s: the log says %q", name, said)
		}
		l.hold(s, name)
		ok(t, s.Close())
		s = open(t, o)
		if !taken(s) {
			t.Errorf("%s: the filter that was read anew was not kept", name)
		}
		ok(t, s.Close())
	}

	// A file that is right, for a store that has gone on or lost its end since.
	s = open(t, testOptions(disk))
	l.set(s, true, 4, 5)
	crashed := disk.CrashClone(vfs.CrashCloneCfg{})
	ok(t, s.Close())
	put(t, crashed, right)
	s = open(t, testOptions(crashed))
	l.hold(s, "after a crash")
	if _, err := crashed.Stat(keptPath); err == nil {
		t.Error("after a crash the file is still there")
	}
	ok(t, s.Close())
}

// TestFilterCrash loses power at each write of a close, a start and the likes behind it.
func TestFilterCrash(t *testing.T) {
	t.Parallel()
	for _, percent := range []int{0, 50, 100} {
		disk := vfs.NewCrashableMem()
		rng := rand.New(rand.NewPCG(1, uint64(percent)))
		var clones []*vfs.MemFS
		var watching atomic.Bool
		o := testOptions(errorfs.Wrap(disk, errorfs.InjectorFunc(func(op errorfs.Op) error {
			if watching.CompareAndSwap(true, false) {
				if op.Kind.ReadOrWrite() == errorfs.OpIsWrite {
					clones = append(clones, disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: rng}))
				}
				watching.Store(true)
			}
			return nil
		})))
		s := open(t, testOptions(disk))
		l := newLikes(t, s)
		l.set(s, true, 1, 2)
		l.set(s, false, 2)
		ok(t, s.Close())
		s = open(t, o)
		watching.Store(true)
		ok(t, s.Close())
		watching.Store(percent != 50) // which may keep the name of pebble's manifest, and not the manifest
		s = open(t, o)
		watching.Store(false)
		ok(t, s.Close())
		if len(clones) < 6 {
			t.Fatalf("got %d crashes, which is too few to have tested anything", len(clones))
		}
		kept := 0
		for i, left := range clones {
			s := open(t, testOptions(left))
			if taken(s) {
				kept++
			}
			l.hold(s, fmt.Sprintf("crash %d of %d, %d %%", i, len(clones), percent))
			ok(t, s.Close())
		}
		if kept == 0 || kept == len(clones) {
			t.Errorf("%d %%: the filter was taken from its file after %d of %d crashes", percent, kept, len(clones))
		}
	}
}

// A filter that cannot be kept, as on a disk that is full, is no reason for a close to fail.
func TestFilterCannotBeKept(t *testing.T) {
	t.Parallel()
	for n := int64(1); ; n++ {
		disk := vfs.NewCrashableMem()
		var failing atomic.Int64
		o := testOptions(errorfs.Wrap(disk, errorfs.InjectorFunc(func(op errorfs.Op) error {
			if op.Path == keptPath && op.Kind != errorfs.OpRemove && failing.Add(-1) == 0 {
				return errorfs.ErrInjected
			}
			return nil
		})))
		var text bytes.Buffer
		o.Logger = slog.New(slog.NewTextHandler(&text, nil))
		s := open(t, o)
		l := newLikes(t, s)
		l.set(s, true, 1, 2)
		failing.Store(n)
		ok(t, s.Close())
		if failing.Load() > 0 {
			if n < 4 {
				t.Errorf("got %d accesses to the file, which is too few to have tested anything", n)
			}
			break
		}
		if said := text.String(); !strings.Contains(said, "cannot keep the filter") {
			t.Errorf("access %d fails: the log says %q", n, said)
		}
		if _, err := disk.Stat(keptPath); err == nil {
			t.Errorf("access %d fails: a part of the file is left", n)
		}
		s = open(t, testOptions(disk))
		l.hold(s, fmt.Sprint("access ", n))
		ok(t, s.Close())
	}
	disk := vfs.NewCrashableMem()
	s := open(t, testOptions(fullDisk{disk}))
	newLikes(t, s).set(s, true, 1)
	ok(t, s.Close())
	if _, err := disk.Stat(keptPath); err == nil {
		t.Error("there is a file on a disk that is all but full")
	}
}

type fullDisk struct{ vfs.FS }

func (fullDisk) GetDiskUsage(string) (vfs.DiskUsage, error) {
	return vfs.DiskUsage{AvailBytes: 1 << 20}, nil
}

// TestFilterPlaces: files have likes where these bits are. Another way of placing them needs another filterKey.
func TestFilterPlaces(t *testing.T) {
	t.Parallel()
	b := &likeBits{words: make([]atomic.Uint64, 64)}
	for i := range 100 {
		b.add(likeID{liked.UserID(i) << 22, liked.PostID(i*i) << 20})
	}
	sum := sha256.New()
	for i := range b.words {
		fmt.Fprintln(sum, b.words[i].Load())
	}
	const want = "5ce90feffed7a839"
	if got := fmt.Sprintf("%x", sum.Sum(nil)[:8]); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// A filter that was to grow when its store was closed is kept as it was.
func TestFilterThatGrowsIsKept(t *testing.T) {
	t.Parallel()
	disk := vfs.NewCrashableMem()
	s := open(t, testOptions(disk))
	l := newLikes(t, s)
	l.set(s, true, 1, 2, 3, 4, 5, 6, 7) // more than one word has room for
	wholeFilter(t, s)
	s.filter.least = 1
	if err := s.enter(context.Background()); err != nil {
		t.Fatal(err)
	}
	closed := make(chan error)
	go func() { closed <- s.Close() }()
	<-s.closing
	before := s.filter.now.Load()
	s.refill(1)
	if s.filter.now.Load() != before {
		t.Error("the filter was given up for one that was not whole")
	}
	s.leave()
	ok(t, <-closed)
	s = open(t, testOptions(disk))
	if !taken(s) {
		t.Error("the filter was not kept")
	}
	l.hold(s, "after it was to grow")
	ok(t, s.Close())
}
