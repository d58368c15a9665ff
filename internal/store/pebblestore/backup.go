package pebblestore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"

	"liked"
	"liked/internal/store"
)

// copyDir is where the copy of a backup is while it lasts, in the directory of the store: tables are there by hard
// links, which do not cross file systems. Pebble does not look into it.
const copyDir = "copy"

// Backup implements store.Backup with a checkpoint of pebble: links to the tables, and copies of the manifest and of the
// write-ahead log, in which everything is that was acknowledged.
func (s *Store) Backup(ctx context.Context, use func([]store.File) error) (err error) {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.leave()
	if s.inMemory {
		return liked.Errorf(liked.Invalid, "the store is in memory and has no files; export it instead")
	}
	if !s.copying.TryLock() {
		return liked.Errorf(liked.Conflict, "another backup is under way; wait for it")
	}
	defer s.copying.Unlock()
	if err := s.roomForCopy(); err != nil {
		return err
	}
	dir := s.fs.PathJoin(s.dir, copyDir)
	if err := s.checkpoint(dir); err != nil {
		return err
	}
	defer func() {
		if removeErr := s.fs.RemoveAll(dir); err == nil {
			err = unavailable(removeErr)
		}
	}()
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

// checkpoint waits for pebble, but not for a disk that has failed: pebble may wait for that for ever.
func (s *Store) checkpoint(dir string) error {
	// Unless the process is killed, or the disk fails, there is nothing of an earlier one.
	if err := s.fs.RemoveAll(dir); err != nil {
		return unavailable(err)
	}
	done := make(chan error, 1)
	go func() {
		err := errors.New("pebble gave up")
		defer func() {
			if p := recover(); p != nil {
				err = fmt.Errorf("%v\n%s", p, debug.Stack())
			}
			done <- err
		}()
		err = s.db.Checkpoint(dir)
	}()
	select {
	case err := <-done:
		return unavailable(err)
	case <-s.failed:
		return s.failure.Load()
	}
}

// roomForCopy refuses a backup that could fill the disk: the store would fail with it. Of what the copy consists, only the
// write-ahead log and the manifest take room.
func (s *Store) roomForCopy() error {
	usage, err := s.fs.GetDiskUsage(s.dir)
	if errors.Is(err, vfs.ErrUnsupported) {
		return nil
	}
	if err != nil {
		return unavailable(err)
	}
	const spare = 64 << 20
	if need := s.db.Metrics().WAL.PhysicalSize + spare; usage.AvailBytes < need {
		return liked.Errorf(liked.Unavailable, "%d MiB are free beside the store, and a backup needs %d MiB there while it lasts; free some first",
			usage.AvailBytes>>20, need>>20)
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
		files = append(files, store.File{Name: name, Size: info.Size(), Fixed: strings.HasSuffix(name, ".sst"), Open: func() (io.ReadCloser, error) {
			f, err := s.fs.Open(path, vfs.SequentialReadsOption)
			if err != nil {
				return nil, unavailable(err)
			}
			return f, nil
		}})
	}
	return files, nil
}
