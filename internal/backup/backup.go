// Package backup defines a backup as a directory and as a stream. [Send] writes the files of a store for a receiver
// that lists what it has; [Into] creates or renews the directory; [Open] reads it.
//
// files/ holds each file of the store under the SHA-256 of its content. backup.json lists those that are the store,
// and ends with its own checksum. It is replaced atomically, after all that it lists is on disk and before the rest is
// removed: a backup that is cut short leaves the previous one, or without backup.json none. The process that writes to
// the directory locks lock.
package backup

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"time"

	"liked/internal/strictjson"
)

const (
	manifestFile = "backup.json"
	filesDir     = "files"
	lockFile     = "lock"
	partPrefix   = ".part-" // of a file being written
)

// Manifest is a backup without the content of its files.
type Manifest struct {
	Format  int       `json:"format"` // 1
	TakenAt time.Time `json:"taken_at"`
	// Key names the key that seals the store's secrets, and so the store: copies have the same.
	Key   string `json:"key"`
	Files []File `json:"files"`
}

// Format is the version of the manifest.
const Format = 1

// LostAndFound is a directory that fsck keeps at the root of a file system, which is empty nonetheless.
const LostAndFound = "lost+found"

type File struct {
	Name   string `json:"name"`
	Size   int64  `json:"size"`
	Fixed  bool   `json:"fixed,omitempty"` // the content under this name never changes
	SHA256 string `json:"sha256"`
}

var (
	fileName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9.-]{0,99}$`)
	fileHash = regexp.MustCompile(`^[0-9a-f]{64}$`)
)

// check returns an error unless the manifest is valid and its names are safe to write to.
func (m *Manifest) check() error {
	if m.Format != Format {
		return fmt.Errorf("the backup has format %d and this program reads format %d: restore it with the release that took it, or a later one",
			m.Format, Format)
	}
	seen := make(map[string]bool, len(m.Files))
	for _, f := range m.Files {
		if !fileName.MatchString(f.Name) || seen[f.Name] || f.Size < 0 {
			return fmt.Errorf("the backup has no file %q of %d bytes, or has it twice", f.Name, f.Size)
		}
		seen[f.Name] = true
	}
	switch {
	case m.bytes() < 0:
		return errors.New("the backup has more bytes than there can be")
	case len(seen) == 0:
		return errors.New("the backup has no files")
	}
	return nil
}

// bytes returns the total size, -1 if it overflows.
func (m *Manifest) bytes() (n int64) {
	for _, f := range m.Files {
		if n += f.Size; n < 0 {
			return -1
		}
	}
	return n
}

// sealed returns the line and a line with its checksum.
func sealed(line []byte) []byte {
	return fmt.Appendf(bytes.Clone(line), "\nsha256 %x\n", sha256.Sum256(line))
}

func decodeManifest(text []byte) (m Manifest, err error) {
	line, _, _ := bytes.Cut(text, []byte("\n"))
	if err := strictjson.UnmarshalKnown(line, &m); err != nil {
		return m, err
	}
	if !bytes.Equal(text, sealed(line)) {
		return m, errors.New("its checksum is wrong")
	}
	for _, f := range m.Files {
		if !fileHash.MatchString(f.SHA256) {
			return m, fmt.Errorf("%s: %q is no checksum", f.Name, f.SHA256)
		}
	}
	return m, m.check()
}

// Backup is a backup whose manifest is whole.
type Backup struct {
	Manifest
	dir string
}

// Open finds the backup in a directory. CopyTo checks its files.
func Open(dir string) (*Backup, error) {
	text, err := os.ReadFile(filepath.Join(dir, manifestFile))
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("there is no backup in %s: check the path", dir)
		if _, statErr := os.Stat(filepath.Join(dir, filesDir)); statErr == nil {
			err = fmt.Errorf("the backup in %s was cut short before it was whole: run `liked backup` into it again, or restore another", dir)
		}
	}
	if err != nil {
		return nil, err
	}
	m, err := decodeManifest(text)
	if err != nil {
		return nil, fmt.Errorf("%s is damaged: %w; restore another backup", filepath.Join(dir, manifestFile), err)
	}
	return &Backup{m, dir}, nil
}

func (b *Backup) Bytes() int64 { return b.bytes() }

// CopyTo copies the files to disk, into an existing directory, and reports bytes to progress. A file that differs from
// the manifest is an error.
func (b *Backup) CopyTo(ctx context.Context, dir string, progress func(n int)) error {
	for _, f := range b.Files {
		if err := b.copyFile(ctx, f, filepath.Join(dir, f.Name), progress); err != nil {
			return err
		}
	}
	return syncDir(dir)
}

func (b *Backup) copyFile(ctx context.Context, f File, to string, progress func(int)) (err error) {
	path := b.path(f.SHA256)
	from, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s (%s of the store) is missing from the backup: restore another", path, f.Name)
	}
	if err != nil {
		return err
	}
	defer from.Close()
	file, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	n, hash, err := copyHashing(ctx, file, from, progress)
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return err
	}
	if n != f.Size || hash != f.SHA256 {
		return fmt.Errorf("%s (%s of the store) is damaged: it has %d bytes and should have %d with another checksum; "+
			"restore another backup", path, f.Name, n, f.Size)
	}
	return nil
}

func (b *Backup) path(hash string) string { return filepath.Join(b.dir, filesDir, hash) }

// copyHashing copies all of from, and returns its size and hexadecimal SHA-256.
func copyHashing(ctx context.Context, to io.Writer, from io.Reader, progress func(int)) (n int64, hash string, err error) {
	h := sha256.New()
	n, err = io.CopyBuffer(io.MultiWriter(to, h), meter{ctx, from, progress}, make([]byte, 256<<10))
	return n, hex.EncodeToString(h.Sum(nil)), err
}

// meter reads until ctx is done, and reports progress.
type meter struct {
	ctx      context.Context
	from     io.Reader
	progress func(n int)
}

func (m meter) Read(p []byte) (n int, err error) {
	if err = m.ctx.Err(); err == nil {
		n, err = m.from.Read(p)
		m.progress(n)
	}
	return n, err
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
