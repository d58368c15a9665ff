package pebblestore

import (
	"context"
	"errors"
	"io"
	"strconv"
	"strings"
	"sync"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"liked"
	"liked/internal/store"
)

// copyDir holds the copies of running backups, in the store's directory since hard links to tables stay in one file
// system. Pebble ignores it.
const copyDir = "copy"

// Backup implements store.Backup by a checkpoint of pebble: links to tables, and copies of the manifest and the
// write-ahead log, which has all acknowledged writes.
func (s *Store) Backup(ctx context.Context, use func([]store.File) error) (err error) {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.leave()
	if s.inMemory {
		return liked.Errorf(liked.Invalid, "the store is in memory and has no files; export it instead")
	}
	if s.readOnly { // nothing in the directory changes
		files, err := s.filesIn(s.dir)
		if err != nil {
			return err
		}
		return use(files)
	}
	dir, err := s.copy()
	defer func() {
		if removeErr := s.removeCopy(dir); err == nil {
			err = removeErr
		}
	}()
	if err != nil {
		return err
	}
	files, err := s.filesIn(dir)
	if err != nil {
		return err
	}
	if err := use(files); err != nil {
		return err
	}
	if failure := s.failure.Load(); failure != nil {
		return failure
	}
	return nil
}

// copies counts backups. Each has its own directory: one whose client is gone lasts until the server notices.
type copies struct {
	mu   sync.Mutex
	made int
	open int
}

// copy makes a copy, whose directory must be removed even after an error.
func (s *Store) copy() (dir string, err error) {
	s.copies.mu.Lock()
	defer s.copies.mu.Unlock()
	s.copies.made++
	s.copies.open++
	all := s.fs.PathJoin(s.dir, copyDir)
	dir = s.fs.PathJoin(all, strconv.Itoa(s.copies.made))
	if err := s.roomForCopy(); err != nil {
		return dir, err
	}
	if err := s.fs.MkdirAll(all, 0o700); err != nil {
		return dir, unavailable(err)
	}
	return dir, unavailable(s.apart(func() error { return s.db.Checkpoint(dir) }))
}

func (s *Store) removeCopy(dir string) error {
	s.copies.mu.Lock()
	defer s.copies.mu.Unlock()
	if s.copies.open--; s.copies.open == 0 {
		dir = s.fs.PathJoin(s.dir, copyDir)
	}
	return unavailable(s.fs.RemoveAll(dir))
}

// roomForCopy refuses a backup that could fill the disk. Only a copy's write-ahead log and manifest take space.
func (s *Store) roomForCopy() error {
	m, err := s.metrics()
	if err != nil {
		return err
	}
	return s.roomFor("a backup", m.WAL.PhysicalSize)
}

// metrics returns pebble's, which waits for locks that pebble holds while it writes.
func (s *Store) metrics() (*pebble.Metrics, error) {
	var m *pebble.Metrics
	if err := s.apart(func() error { m = s.db.Metrics(); return nil }); err != nil {
		return nil, err
	}
	return m, nil
}

// roomFor refuses what could fill the disk and so fail the store.
func (s *Store) roomFor(what string, bytes uint64) error {
	usage, err := s.fs.GetDiskUsage(s.dir)
	if errors.Is(err, vfs.ErrUnsupported) {
		return nil
	}
	if err != nil {
		return unavailable(err)
	}
	const spare = 64 << 20
	if need := bytes + spare; usage.AvailBytes < need {
		return liked.Errorf(liked.Unavailable, "%d MiB are free beside the store, and %s needs %d MiB there; free some first",
			usage.AvailBytes>>20, what, need>>20)
	}
	return nil
}

func (s *Store) filesIn(dir string) ([]store.File, error) {
	names, err := s.fs.List(dir)
	if err != nil {
		return nil, unavailable(err)
	}
	files := make([]store.File, 0, len(names))
	for _, name := range names {
		path := s.fs.PathJoin(dir, name)
		info, err := s.fs.Stat(path)
		if err != nil {
			return nil, unavailable(err)
		}
		if name == "LOCK" || info.IsDir() { // in the directory of the store itself
			continue
		}
		open := func() (io.ReadCloser, error) {
			f, err := s.fs.Open(path, vfs.SequentialReadsOption)
			if err != nil {
				return nil, unavailable(err)
			}
			return f, nil
		}
		files = append(files, store.File{Name: name, Size: info.Size(), Fixed: strings.HasSuffix(name, ".sst"), Open: open})
	}
	return files, nil
}
