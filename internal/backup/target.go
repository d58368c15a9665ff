package backup

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// Target is a directory to receive a backup. It is locked until Receive or Abandon, one of which must be called.
type Target struct {
	dir    string
	made   bool             // by Into
	lock   io.Closer        // ends with the process at the latest
	before *Backup          // nil: none
	have   map[string]int64 // sizes of the files whose content matches the name
}

// Into prepares a directory that is missing, empty, or holds a backup or the rest of one that was cut short. It reads
// the files there, reporting bytes to progress, so that damaged ones are sent again.
func Into(ctx context.Context, dir string, progress func(n int)) (_ *Target, err error) {
	t := &Target{dir: dir, have: make(map[string]int64)}
	entries, err := os.ReadDir(dir)
	if t.made = errors.Is(err, fs.ErrNotExist); err != nil && !t.made {
		return nil, err
	}
	for _, e := range entries {
		switch name := e.Name(); {
		case name == manifestFile, name == filesDir, name == lockFile, name == LostAndFound, strings.HasPrefix(name, partPrefix):
		default:
			return nil, fmt.Errorf("%s holds %s, which is of no backup: choose another directory, or a new one", dir, name)
		}
	}
	if err := os.MkdirAll(filepath.Join(dir, filesDir), 0o700); err != nil {
		return nil, err
	}
	if err := t.take(); err != nil {
		return nil, err
	}
	if err := t.read(ctx, progress); err != nil {
		t.Abandon()
		return nil, err
	}
	return t, nil
}

func (t *Target) take() (err error) {
	// The lock is by path in this process, and by file among processes.
	dir, err := filepath.Abs(t.dir)
	if err != nil {
		return err
	}
	t.lock, err = vfs.Default.Lock(filepath.Join(dir, lockFile))
	if errors.Is(err, syscall.EAGAIN) || err != nil && strings.Contains(err.Error(), "lock held by current process") {
		err = fmt.Errorf("another backup into %s is under way (%w): wait for it, or choose another directory", t.dir, err)
	}
	return err
}

func (t *Target) read(ctx context.Context, progress func(n int)) error {
	if _, err := os.Lstat(filepath.Join(t.dir, manifestFile)); err == nil {
		if t.before, err = Open(t.dir); err != nil {
			return fmt.Errorf("%w; a new backup needs another directory", err)
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	files := filepath.Join(t.dir, filesDir)
	entries, err := os.ReadDir(files)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !fileHash.MatchString(e.Name()) {
			continue
		}
		f, err := os.Open(filepath.Join(files, e.Name()))
		if err != nil {
			return err
		}
		n, hash, err := copyHashing(ctx, io.Discard, f, progress)
		if err = errors.Join(err, f.Close()); err != nil {
			return err
		}
		if hash == e.Name() {
			t.have[hash] = n
		}
	}
	return nil
}

// Have returns the checksums of the intact files.
func (t *Target) Have() []string { return slices.Collect(maps.Keys(t.have)) }

// Abandon unlocks the directory and leaves it as before Into.
func (t *Target) Abandon() {
	if t.before == nil {
		_ = os.Remove(filepath.Join(t.dir, filesDir)) // fails unless empty
		// A backup's lock stays: another process that has just opened it must not lock a removed file.
		_ = os.Remove(filepath.Join(t.dir, lockFile))
	}
	if t.made {
		_ = os.Remove(t.dir)
	}
	_ = t.lock.Close()
}

type Received struct {
	Manifest
	Bytes    int64 // of all files
	NewFiles int
	NewBytes int64
}

// Receive reads what Send wrote for a receiver that has what Have returns, makes it the backup in the directory, and
// unlocks it. It calls start with the total size, and progress with the bytes that are there, received or not. After
// an error the directory is as before, unless the backup is whole but cannot be tidied.
func (t *Target) Receive(ctx context.Context, from io.Reader, start func(bytes int64), progress func(n int)) (got Received, err error) {
	var added []string
	whole := false
	defer func() {
		if err == nil || whole {
			_ = t.lock.Close()
			return
		}
		for _, path := range added {
			_ = os.Remove(path)
		}
		t.Abandon()
	}()
	r, err := receive(from)
	if err != nil {
		return got, err
	}
	if t.before != nil && t.before.Key != r.Key {
		return got, fmt.Errorf("%s holds the backup of another store: choose another directory", t.dir)
	}
	got.Bytes = r.bytes()
	start(got.Bytes)
	for i := range r.Files {
		f := &r.Files[i]
		had, err := r.next(i)
		if err != nil {
			return got, err
		}
		if err := t.unchanged(*f); err != nil {
			return got, err
		}
		if had {
			if size, ok := t.have[f.SHA256]; !ok || size != f.Size {
				return got, fmt.Errorf("%s was left out, and is not in %s", f.Name, t.dir)
			}
			progress(int(f.Size))
			continue
		}
		path := filepath.Join(t.dir, filesDir, f.SHA256)
		if _, err := os.Lstat(path); err != nil { // otherwise a damaged file is replaced
			added = append(added, path)
		}
		if err := t.write(ctx, *f, path, r.t, progress); err != nil {
			return got, err
		}
		t.have[f.SHA256] = f.Size
		got.NewFiles++
		got.NewBytes += f.Size
	}
	got.Manifest = r.Manifest
	if err := t.commit(&got.Manifest); err != nil {
		return got, err
	}
	whole = true
	if err := t.tidy(&got.Manifest); err != nil {
		return got, fmt.Errorf("the backup is whole, but its directory cannot be tidied: %w", err)
	}
	return got, nil
}

// unchanged refuses a fixed file that has changed: the previous backup, maybe the last good one, is kept.
func (t *Target) unchanged(f File) error {
	if t.before == nil || !f.Fixed {
		return nil
	}
	for _, old := range t.before.Files {
		if old.Name == f.Name && old.Fixed && old.SHA256 != f.SHA256 {
			return fmt.Errorf("%s of the store is not what it was at the last backup, and never changes: either the disk has damaged it "+
				"(run `liked check`), or the store was restored since from an older backup; "+
				"the backup in %s stays as it is, choose another directory", f.Name, t.dir)
		}
	}
	return nil
}

// write stores a file whole and on disk, or not at all.
func (t *Target) write(ctx context.Context, f File, path string, from io.Reader, progress func(int)) error {
	return replace(path, func(part io.Writer) error {
		n, hash, err := copyHashing(ctx, part, from, progress)
		if err == nil && (n != f.Size || hash != f.SHA256) {
			err = fmt.Errorf("damaged on its way: %d bytes, and not the checksum that was named", n)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", f.Name, err)
		}
		return nil
	})
}

// replace puts what write writes at path, whole and on disk, or leaves path as it is.
func replace(path string, write func(io.Writer) error) error {
	part, err := os.CreateTemp(filepath.Dir(path), partPrefix) // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(part.Name()) // fails after the rename
	if err := errors.Join(write(part), part.Sync(), part.Close()); err != nil {
		return err
	}
	return os.Rename(part.Name(), path)
}

func (t *Target) commit(m *Manifest) error {
	files := filepath.Join(t.dir, filesDir)
	for _, f := range m.Files { // another process may have removed one
		if info, err := os.Stat(filepath.Join(files, f.SHA256)); err != nil || info.Size() != f.Size {
			return fmt.Errorf("%s is not what it was a moment ago (%v): what else writes to the directory?", f.SHA256, err)
		}
	}
	line, err := json.Marshal(m)
	if err = errors.Join(err, syncDir(files)); err != nil {
		return err
	}
	return replace(filepath.Join(t.dir, manifestFile), func(part io.Writer) error {
		_, err := part.Write(sealed(line))
		return err
	})
}

// tidy makes the backup outlast a crash, and removes unneeded files.
func (t *Target) tidy(m *Manifest) error {
	if err := errors.Join(syncDir(t.dir), syncDir(filepath.Dir(t.dir))); err != nil {
		return err
	}
	needed := make(map[string]bool, len(m.Files))
	for _, f := range m.Files {
		needed[f.SHA256] = true
	}
	for _, dir := range []string{t.dir, filepath.Join(t.dir, filesDir)} {
		entries, err := os.ReadDir(dir)
		if err != nil {
			return err
		}
		for _, e := range entries {
			if name := e.Name(); strings.HasPrefix(name, partPrefix) || fileHash.MatchString(name) && !needed[name] {
				if err := os.Remove(filepath.Join(dir, name)); err != nil {
					return err
				}
			}
		}
	}
	return nil
}
