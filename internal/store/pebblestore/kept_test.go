package pebblestore

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"liked"
	"liked/internal/store"
)

// acts is what a test does with a store: users like a post, calls are counted and nonces used.
type acts struct {
	*testing.T
	store.Store
}

var fiveCalls = []liked.RateRule{{Window: time.Hour, Max: 5}}

func (a acts) like(user liked.UserID) {
	a.Helper()
	_ = a.AddUser(a.Context(), liked.User{ID: user, Username: fmt.Sprint("u", user), Name: "U", CreatedAt: noon})
	_ = a.AddPost(a.Context(), liked.Post{ID: 9, Author: 1, Text: "x", CreatedAt: noon})
	if _, err := a.SetLike(a.Context(), user, 9, true, noon); err != nil {
		a.Fatal(err)
	}
	if _, _, err := a.Take(a.Context(), noon, "like", 1, 0, fiveCalls, nil); err != nil {
		a.Fatal(err)
	}
	if fresh, err := a.UseNonce(a.Context(), noon, 1, store.Hash{byte(user)}, noon.Add(time.Hour)); err != nil || !fresh {
		a.Fatalf("nonce of %v: %v, %v", user, fresh, err)
	}
}

// has checks that users 1 to n have acted, and no other.
func (a acts) has(n int) {
	a.Helper()
	p, err := a.Post(a.Context(), 0, 9)
	if err != nil || p.Metrics.Likes != int64(n) {
		a.Errorf("%d likes, %v; want %d", p.Metrics.Likes, err, n)
	}
	left, err := a.Left(a.Context(), noon, "like", 1, 0, fiveCalls, nil)
	if err != nil || left[0].Remaining != 5-n {
		a.Errorf("%+v, %v; want %d calls", left, err, n)
	}
	for user := 1; user <= n; user++ {
		if fresh, err := a.UseNonce(a.Context(), noon, 1, store.Hash{byte(user)}, noon.Add(time.Hour)); err != nil || fresh {
			a.Errorf("the nonce of user %d is unknown, %v", user, err)
		}
	}
	if report, err := a.Check(a.Context()); err != nil || len(report.Problems) > 0 {
		a.Errorf("check: %q, %v", report.Problems, err)
	}
}

func (a acts) snapshot() store.Snapshot {
	a.Helper()
	k, err := a.Store.(store.Snapshots).Snapshot(a.Context())
	if err != nil {
		a.Fatal(err)
	}
	return k
}

// In memory stores stand beside each other, and none sees what happens in another.
func TestSnapshotsInMemory(t *testing.T) {
	t.Parallel()
	first := acts{t, open(t, Options{})}
	first.like(1)
	one := first.snapshot()
	first.like(2)
	two := first.snapshot()
	first.like(3)
	var opened []acts
	for _, k := range []store.Snapshot{one, two, one} {
		s, err := k.Open()
		if err != nil {
			t.Fatal(err)
		}
		opened = append(opened, acts{t, s})
	}
	opened[0].has(1)
	opened[0].like(4)
	again, err := opened[0].snapshot().Open() // a snapshot of a store that was one
	if err != nil {
		t.Fatal(err)
	}
	opened[1].has(2)
	first.has(3)
	for _, s := range []acts{opened[0], first} {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	opened[2].has(1)
	if p, err := again.Post(t.Context(), 0, 9); err != nil || p.Metrics.Likes != 2 {
		t.Errorf("%d likes, %v; want 2", p.Metrics.Likes, err)
	}
	if err := errors.Join(opened[1].Close(), opened[2].Close(), again.Close(), one.Remove(), two.Remove()); err != nil {
		t.Fatal(err)
	}
	memory := first.Store.(*Store).fs
	if names, err := memory.List(""); err != nil || len(names) != 1 { // the one that was not removed
		t.Errorf("%q, %v are left in memory, want one snapshot", names, err)
	}
}

// A directory becomes the snapshot once its store is closed, and keeps its snapshots until another process opens it.
func TestSnapshotsOfADirectory(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "store")
	s := acts{t, open(t, Options{Dir: dir})}
	s.like(1)
	one := s.snapshot()
	s.like(2)
	two := s.snapshot()
	s.like(3)
	if _, err := one.Open(); !errors.Is(err, store.ErrInUse) {
		t.Errorf("opened beside the store: %v", err)
	}
	for _, next := range []struct {
		store.Snapshot
		has int
	}{{one, 1}, {two, 2}, {one, 1}} {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		st, err := next.Open()
		if err != nil {
			t.Fatal(err)
		}
		s = acts{t, st}
		s.has(next.has)
	}
	s.like(2)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = acts{t, open(t, Options{Dir: dir})} // as another process
	s.has(2)
	if _, err := vfs.Default.Stat(filepath.Join(dir, keptDir)); err == nil {
		t.Error("the snapshots of another process are kept")
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// A process that is killed while it brings a snapshot back leaves a directory that the next one makes the snapshot.
func TestBringingBackIsFinished(t *testing.T) {
	t.Parallel()
	for removed := range 3 {
		dir := filepath.Join(t.TempDir(), "store")
		s := acts{t, open(t, Options{Dir: dir})}
		s.like(1)
		k := s.snapshot().(*kept)
		s.like(2)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, bringBackFile), []byte(filepath.Base(k.dir)), 0o600); err != nil {
			t.Fatal(err)
		}
		names, err := vfs.Default.List(dir)
		if err != nil {
			t.Fatal(err)
		}
		for i, name := range names {
			if name != "LOCK" && name != keptDir && name != bringBackFile && i%3 <= removed {
				if err := vfs.Default.RemoveAll(filepath.Join(dir, name)); err != nil {
					t.Fatal(err)
				}
			}
		}
		s = acts{t, open(t, Options{Dir: dir})}
		s.has(1)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func BenchmarkSnapshotAndOpen(b *testing.B) {
	s := open(b, Options{})
	defer s.Close()
	for b.Loop() {
		k, err := s.Snapshot(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		other, err := k.Open()
		if err == nil {
			err = errors.Join(k.Remove(), other.Close())
		}
		if err != nil {
			b.Fatal(err)
		}
	}
}
