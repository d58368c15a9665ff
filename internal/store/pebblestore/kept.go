package pebblestore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"liked"
	"liked/internal/store"
)

const (
	// keptDir holds the snapshots of a directory's store, for the same reason as copyDir. The next process removes it.
	keptDir = "snapshots"
	// bringBackFile has the number of the snapshot that takes the store's place when it is next opened.
	bringBackFile = "bring-back"
)

// family is what the stores share that were opened from each other's snapshots.
type family struct {
	memory vfs.FS // that of stores in memory, each in a directory of its own; nil: they are on disk
	made   atomic.Int64
}

// next returns a name that no other directory of the family has.
func (f *family) next(kind string) string { return fmt.Sprint(kind, f.made.Add(1)) }

// kept is a store.Snapshot: a checkpoint of pebble, as in Backup.
type kept struct {
	options Options
	fs      vfs.FS
	dir     string
	store   string // directory of the store that it is of
}

// Snapshot implements store.Snapshots.
func (s *Store) Snapshot(ctx context.Context) (store.Snapshot, error) {
	if s.readOnly {
		return nil, errReadOnly
	}
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.leave()
	// Windows and nonces are written with any later group, and so with every like that they allowed.
	err := s.update(ctx, func(t *tx) error {
		if t.c.s.limits.waiting() {
			t.c.batch()
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	k := &kept{options: s.options, fs: s.fs, dir: s.options.family.next("snapshot"), store: s.dir}
	if !s.inMemory {
		if err := s.roomForCopy(); err != nil {
			return nil, err
		}
		all := s.fs.PathJoin(s.dir, keptDir)
		if err := s.fs.MkdirAll(all, 0o700); err != nil {
			return nil, unavailable(err)
		}
		k.dir = s.fs.PathJoin(all, k.dir)
	}
	err = s.apart(func() error {
		if s.inMemory { // there is no write-ahead log
			if err := s.db.Flush(); err != nil {
				return err
			}
		}
		return s.db.Checkpoint(k.dir)
	})
	if err != nil {
		_ = k.Remove()
		return nil, unavailable(err)
	}
	return k, nil
}

func (k *kept) Remove() error { return unavailable(k.fs.RemoveAll(k.dir)) }

func (k *kept) Open() (store.Store, error) {
	o := k.options
	if o.family.memory != nil {
		o.from = k.dir
		return openStore(o)
	}
	// From here on the directory is the snapshot, whenever it is opened.
	err := writeFile(k.fs, k.fs.PathJoin(k.store, bringBackFile), func(w io.Writer) error {
		_, err := io.WriteString(w, k.fs.PathBase(k.dir))
		return err
	})
	if err != nil {
		return nil, unavailable(err)
	}
	for begun := time.Now(); ; time.Sleep(time.Millisecond) {
		s, err := openStore(o)
		if !errors.Is(err, store.ErrInUse) || time.Since(begun) > time.Second { // by a command that looked for a server
			return s, err
		}
	}
}

// openStore returns no *Store that is nil in an interface that is not.
func openStore(o Options) (store.Store, error) {
	s, err := Open(o)
	if err != nil {
		return nil, err
	}
	return s, nil
}

// bringBack replaces the store in the directory by the snapshot that was chosen, if there is one; it goes on where another
// process ended. The lock, if it is not nil, keeps others out, and must be closed.
func (s *Store) bringBack() (*pebble.Lock, error) {
	marker := s.fs.PathJoin(s.dir, bringBackFile)
	if _, err := s.fs.Stat(marker); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if s.readOnly {
		return nil, liked.Errorf(liked.Unavailable, "%s is being brought back to a snapshot, and cannot be written: copy it to where it can",
			s.dir)
	}
	lock, err := pebble.LockDirectory(s.dir, s.fs)
	if err != nil {
		return nil, err
	}
	name, err := readFile(s.fs, marker)
	if err == nil {
		err = s.replace(s.fs.PathJoin(s.dir, keptDir, string(name)))
	}
	if err == nil {
		err = s.fs.Remove(marker)
	}
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return lock, nil
}

// replace makes the store's directory what the snapshot in another one is.
func (s *Store) replace(from string) error {
	if _, err := s.fs.Stat(from); err != nil {
		return err
	}
	names, err := s.fs.List(s.dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		if slices.Contains([]string{"LOCK", keptDir, bringBackFile}, name) {
			continue
		}
		if err := s.fs.RemoveAll(s.fs.PathJoin(s.dir, name)); err != nil {
			return err
		}
	}
	return linkAll(s.fs, from, s.dir)
}

// linkAll copies the files of a checkpoint. They are linked, for pebble writes none of them again but logs.
func linkAll(disk vfs.FS, from, to string) error {
	names, err := disk.List(from)
	if err != nil {
		return err
	}
	for _, name := range names {
		place := vfs.LinkOrCopy
		if strings.HasSuffix(name, ".log") {
			place = vfs.Copy
		}
		if err := place(disk, disk.PathJoin(from, name), disk.PathJoin(to, name)); err != nil {
			return err
		}
	}
	return syncDir(disk, to)
}

// writeFile writes a file that is on disk when it returns.
func writeFile(disk vfs.FS, path string, write func(io.Writer) error) error {
	f, err := disk.Create(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	return errors.Join(write(f), f.Sync(), f.Close(), syncDir(disk, disk.PathDir(path)))
}

func syncDir(disk vfs.FS, dir string) error {
	d, err := disk.OpenDir(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
