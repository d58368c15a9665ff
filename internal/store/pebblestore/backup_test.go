package pebblestore

import (
	"context"
	"io"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"liked"
	"liked/internal/store"
)

func copied(t *testing.T, s *Store) (map[string][]byte, error) {
	t.Helper()
	files := make(map[string][]byte)
	err := s.Backup(context.Background(), func(list []store.File) error {
		for _, file := range list {
			f, err := file.Open()
			if err != nil {
				return err
			}
			if files[file.Name], err = io.ReadAll(f); err != nil {
				return err
			}
			ok(t, f.Close())
		}
		return nil
	})
	return files, err
}

func proven(t *testing.T, s *Store) store.Report {
	t.Helper()
	r, err := s.Check(context.Background())
	ok(t, err)
	if len(r.Problems) > 0 {
		t.Errorf("Check: %q", r.Problems)
	}
	return r
}

// A disk that refuses the copy of a backup, because it is full or for any other reason, is no reason to refuse likes.
func TestFailedCopyLeavesTheStore(t *testing.T) {
	t.Parallel()
	var failing atomic.Int64
	disk := vfs.NewCrashableMem()
	s := open(t, testOptions(errorfs.Wrap(disk, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if strings.HasPrefix(op.Path, "data/"+copyDir) && op.Kind.ReadOrWrite() == errorfs.OpIsWrite && failing.Add(-1) == 0 {
			return errorfs.ErrInjected
		}
		return nil
	}))))
	fill(t, s)
	n := int64(0)
	for {
		n++
		failing.Store(n)
		_, err := copied(t, s)
		fired := failing.Load() <= 0
		if err == nil && !fired {
			break
		}
		if liked.KindOf(err) != liked.Unavailable && liked.KindOf(err) != 0 {
			t.Errorf("write %d fails: got error %v, want Unavailable or none", n, err)
		}
		changed, err := s.SetLike(context.Background(), 3, 2, n%2 == 1, noon)
		if err != nil || !changed {
			t.Fatalf("a like after write %d of the copy failed: got %v, %v", n, changed, err)
		}
	}
	if n < 10 {
		t.Errorf("got %d writes of a copy, which is too few to have tested anything", n)
	}
	proven(t, s)
	ok(t, s.Close())
}

func TestMemoryHasNoCopy(t *testing.T) {
	t.Parallel()
	s := open(t, Options{})
	if _, err := copied(t, s); liked.KindOf(err) != liked.Invalid {
		t.Errorf("Backup: got error %v, want Invalid", err)
	}
	ok(t, s.Close())
}

// What a killed backup has left is gone after the next start.
func TestCopyCutShort(t *testing.T) {
	t.Parallel()
	disk := vfs.NewCrashableMem()
	s := open(t, testOptions(disk))
	fill(t, s)
	var left *vfs.MemFS
	ok(t, s.Backup(context.Background(), func([]store.File) error {
		left = disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: rand.New(rand.NewPCG(1, 2))})
		return nil
	}))
	ok(t, s.Close())
	if _, err := left.Stat("data/" + copyDir); err != nil {
		t.Fatalf("the crash left no copy: %v", err)
	}
	s = open(t, testOptions(left))
	if _, err := left.Stat("data/" + copyDir); err == nil {
		t.Error("what a killed backup left is still there")
	}
	proven(t, s)
	_, err := copied(t, s)
	ok(t, err)
	ok(t, s.Close())
}

// A store that was restored gives no position again that it may have given to readers of the log before, although its
// copy does not know them, and keeps to that when the clock goes back.
func TestPositionsAfterRestore(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute) // a reader of the log waits for what it lacks
	defer cancel()
	s := open(t, testOptions(vfs.NewCrashableMem()))
	fill(t, s)
	files, err := copied(t, s)
	ok(t, err)
	partition := liked.PartitionOf(3)
	last := func(s *Store, after liked.Seq) liked.Seq {
		t.Helper()
		events, err := s.LikeLog(ctx, partition, after, 100)
		ok(t, err)
		return events[len(events)-1].Seq
	}
	_, err = s.SetLike(ctx, 3, 2, true, noon.Add(time.Minute))
	ok(t, err)
	given := last(s, 0) // to readers, and lost with the disk
	ok(t, s.Close())

	disk := diskWith(t, files)
	o := testOptions(disk)
	o.After = noon.Add(time.Hour)
	for i, like := range []bool{true, false, true} {
		s = open(t, o)
		o.After = time.Time{}
		_, err = s.SetLike(ctx, 3, 2, like, noon.Add(time.Duration(-i)*time.Hour))
		ok(t, err)
		next := last(s, given)
		if next <= given || next < liked.Seq(noon.Add(time.Hour).UnixMilli())<<20 {
			t.Errorf("like %d: got position %d, want one above %d and after the restore", i, next, given)
		}
		given = next
		proven(t, s)
		ok(t, s.Close())
	}
}

// What asks pebble how large it is waits for a lock that pebble holds while it writes its manifest.
func TestManifestFailsMeanwhile(t *testing.T) {
	t.Parallel()
	for name, call := range map[string]func(*Store) error{
		"backup":   readBackup,
		"snapshot": func(s *Store) error { _, err := s.Snapshot(t.Context()); return err },
		"settle":   func(s *Store) error { return s.Settle(t.Context()) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var armed atomic.Bool
			writing, fail := make(chan struct{}), make(chan struct{})
			s := open(t, testOptions(errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
				if op.Kind == errorfs.OpFileWrite && strings.Contains(op.Path, "MANIFEST-") && armed.Swap(false) {
					close(writing)
					<-fail
					return errorfs.ErrInjected
				}
				return nil
			}))))
			fill(t, s)
			armed.Store(true)
			_, err := s.db.AsyncFlush()
			ok(t, err)
			<-writing
			answer := make(chan error)
			go func() { answer <- call(s) }()
			for s.calls.Load() == 0 {
				runtime.Gosched()
			}
			time.Sleep(10 * time.Millisecond) // for pebble; less would test less
			close(fail)
			if err := <-answer; liked.KindOf(err) != liked.Unavailable {
				t.Errorf("got %v", err)
			}
			_ = s.Close() // an error: the store has failed
		})
	}
}
