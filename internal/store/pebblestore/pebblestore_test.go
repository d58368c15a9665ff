package pebblestore

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"liked"
	"liked/internal/store"
	"liked/internal/store/storetest"
)

// The suites run on file systems in memory that can lose power. A kill takes all that is not safe.
func suites() (*disks, storetest.Harness) {
	disks := new(disks)
	return disks, storetest.Harness{
		Open: func(t testing.TB) store.Store { return disks.open(t, vfs.NewCrashableMem()) },
		Reopen: func(t testing.TB, s store.Store) store.Store {
			if err := s.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
			return disks.open(t, disks.of(s))
		},
		Kill: func(t testing.TB, s store.Store) func() store.Store { return disks.crash(t, s, 0, nil) },
		Forget: func(t testing.TB, s store.Store) {
			p := s.(*Store)
			writesWaiting := func(t *tx) error { t.c.batch(); return nil }
			if err := errors.Join(p.update(t.Context(), writesWaiting), p.limits.prune(t.Context())); err != nil {
				t.Errorf("Forget: %v", err)
			}
		},
	}
}

func TestStore(t *testing.T) {
	_, h := suites()
	storetest.Run(t, h)
}

func TestStoreCrash(t *testing.T) {
	disks, h := suites()
	storetest.RunCrash(t, h, disks.crash)
}

func TestStoreBackup(t *testing.T) {
	disks, h := suites()
	storetest.RunBackup(t, h, func(t testing.TB, files map[string][]byte) store.Store {
		return disks.open(t, diskWith(t, files))
	})
}

func TestStoreFaults(t *testing.T) {
	disks, h := suites()
	storetest.RunFaults(t, h, func(t testing.TB, n int, lasting bool) (storetest.Faulty, error) {
		disk := vfs.NewCrashableMem()
		fault := &fault{n: int64(n), lasting: lasting}
		o := testOptions(errorfs.Wrap(disk, fault))
		o.memTable = 12 << 10
		s, err := Open(o)
		if err != nil {
			return storetest.Faulty{Failed: fault.failed.Load}, err
		}
		return storetest.Faulty{
			Store:  s,
			Also:   func() error { return readBackup(s) },
			Failed: fault.failed.Load,
			Reopen: func(t testing.TB) store.Store { return disks.open(t, disk.CrashClone(vfs.CrashCloneCfg{})) },
		}, nil
	})
}

// readBackup makes a backup and reads its files.
func readBackup(s *Store) error {
	return s.Backup(context.Background(), func(files []store.File) error {
		for _, file := range files {
			f, err := file.Open()
			if err != nil {
				return err
			}
			_, err = io.Copy(io.Discard, f)
			if err = errors.Join(err, f.Close()); err != nil {
				return &liked.Error{Kind: liked.Unavailable, Msg: file.Name, Err: err}
			}
		}
		return nil
	})
}

// disks remembers the disk of each store.
type disks struct{ m sync.Map }

func (d *disks) crash(t testing.TB, s store.Store, percent int, rng *rand.Rand) func() store.Store {
	left := d.of(s).CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: rng})
	return func() store.Store { return d.open(t, left) }
}

func (d *disks) of(s store.Store) *vfs.MemFS {
	disk, _ := d.m.Load(s)
	return disk.(*vfs.MemFS)
}

func (d *disks) open(t testing.TB, disk *vfs.MemFS) store.Store {
	s, err := Open(testOptions(disk))
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	d.m.Store(s, disk)
	return s
}

// diskWith returns a disk with a store of these files.
func diskWith(t testing.TB, files map[string][]byte) *vfs.MemFS {
	disk := vfs.NewCrashableMem()
	if err := disk.MkdirAll("data", 0o700); err != nil {
		t.Fatal(err)
	}
	for name, content := range files {
		f, err := disk.Create(disk.PathJoin("data", name), vfs.WriteCategoryUnspecified)
		if err != nil {
			t.Fatal(err)
		}
		_, err = f.Write(bytes.Clone(content)) // under the race detector a file spoils what it was given
		if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
			t.Fatal(err)
		}
	}
	return disk
}

// testOptions makes memtables so small that short tests flush and compact.
func testOptions(fs vfs.FS) Options {
	return Options{Dir: "data", FS: fs, CacheBytes: 1 << 20, FilterBytes: 4 << 10, Logger: slog.New(slog.DiscardHandler), memTable: 256 << 10,
		keepFrom: 1}
}

// fault fails access n, counted from 0, and all later ones if it is lasting.
type fault struct {
	n       int64
	lasting bool
	count   atomic.Int64
	failed  atomic.Bool
}

func (f *fault) String() string { return "fault" }

func (f *fault) MaybeError(errorfs.Op) error {
	if n := f.count.Add(1) - 1; n == f.n || f.lasting && n > f.n {
		f.failed.Store(true)
		return errorfs.ErrInjected
	}
	return nil
}

func TestBlockReads(t *testing.T) {
	t.Parallel()
	o := testOptions(vfs.NewMem())
	s := open(t, o)
	fill(t, s)
	ok(t, s.Close())
	s = open(t, o) // what was in the log is in a table now
	wholeFilter(t, s)
	read := func() (cached, disk int64) {
		_, err := s.UserByUsername(context.Background(), "nobody")
		if liked.KindOf(err) != liked.NotFound {
			t.Fatal(err)
		}
		cached, disk, known := s.BlockReads()
		if !known {
			t.Fatal("BlockReads does not know")
		}
		return cached, disk
	}
	_, first := read()
	cached, second := read()
	again, third := read()
	if first == 0 || second != third || again <= cached {
		t.Errorf("blocks from the disk: %d, %d, %d, from the cache: %d, %d", first, second, third, cached, again)
	}
	ok(t, s.Close())
	if _, _, known := s.BlockReads(); known {
		t.Error("BlockReads of a closed store knows")
	}
}
