// Package backup is what a backup looks like, in a directory and on its way there. [Send] writes the files of a store
// to a receiver that names what it has; [Into] makes or renews the directory with it; [Open] reads it back.
//
// The directory has two entries that count. files/ holds each file of the store under the SHA-256 of its content.
// backup.json says which of them are the store, and ends with a checksum of itself. It is written last and replaced in
// one step, after all that it names is on the disk; what it no longer names is removed after that. So whenever a backup
// is cut short, the directory holds the one before it, or, without backup.json, none. The third entry, lock, is what
// a process that writes to the directory has locked.
package backup

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"time"
)

const (
	manifestFile = "backup.json"
	filesDir     = "files"
	lockFile     = "lock"
	partPrefix   = ".part-" // of a file in files/ that is being written
)

// Manifest is a backup, but for the content of its files.
type Manifest struct {
	Format  int       `json:"format"` // 1
	TakenAt time.Time `json:"taken_at"`
	// Key names the key that seals secrets in the store, and so the store: its copies have the same.
	Key   string `json:"key"`
	Files []File `json:"files"`
}

const format = 1

// File is a file of the store.
type File struct {
	Name   string `json:"name"`
	Size   int64  `json:"size"`
	Fixed  bool   `json:"fixed,omitempty"` // the store has no other content under this name, ever
	SHA256 string `json:"sha256"`
}

var (
	fileName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9.-]{0,99}$`)
	fileHash = regexp.MustCompile(`^[0-9a-f]{64}$`)
)

// check returns an error if the manifest cannot be one of ours, whose names are safe to write to.
func (m *Manifest) check() error {
	if m.Format != format {
		return fmt.Errorf("the backup has format %d and this program reads format %d", m.Format, format)
	}
	seen := make(map[string]bool, len(m.Files))
	for _, f := range m.Files {
		if !fileName.MatchString(f.Name) || seen[f.Name] || f.Size < 0 {
			return fmt.Errorf("the backup has no file %q of %d bytes, or has it twice", f.Name, f.Size)
		}
		seen[f.Name] = true
	}
	if m.bytes() < 0 {
		return errors.New("the backup has more bytes than there can be")
	}
	if len(seen) == 0 {
		return errors.New("the backup has no files")
	}
	return nil
}

// bytes returns how large the files are together; less than 0: more than an int64 holds.
func (m *Manifest) bytes() (n int64) {
	for _, f := range m.Files {
		if n += f.Size; n < 0 {
			return -1
		}
	}
	return n
}

// encode returns the manifest as a line of JSON and a line with its checksum.
func (m *Manifest) encode() ([]byte, error) {
	text, err := json.Marshal(m)
	if err != nil {
		return nil, err
	}
	return fmt.Appendf(text, "\nsha256 %x\n", sha256.Sum256(text)), nil
}

func decodeManifest(text []byte) (m Manifest, err error) {
	line, _, _ := bytes.Cut(text, []byte("\n"))
	if err := json.Unmarshal(line, &m); err != nil {
		return m, err
	}
	if want := fmt.Appendf(bytes.Clone(line), "\nsha256 %x\n", sha256.Sum256(line)); !bytes.Equal(text, want) {
		return m, errors.New("its checksum is wrong")
	}
	for _, f := range m.Files {
		if !fileHash.MatchString(f.SHA256) {
			return m, fmt.Errorf("%s: %q is no checksum", f.Name, f.SHA256)
		}
	}
	return m, m.check()
}

// Backup is one that is whole, as far as its manifest tells.
type Backup struct {
	Manifest
	dir string
}

// Open finds the backup in a directory. Its files are looked at when they are copied.
func Open(dir string) (*Backup, error) {
	text, err := os.ReadFile(filepath.Join(dir, manifestFile))
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Stat(filepath.Join(dir, filesDir)); err == nil {
			return nil, fmt.Errorf("the backup in %s was cut short before it was whole: run `liked backup` into it again, or restore another", dir)
		}
		return nil, fmt.Errorf("there is no backup in %s: check the path", dir)
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

// Bytes returns how large the files are together.
func (b *Backup) Bytes() int64 { return b.bytes() }

// CopyTo copies the files into a directory, which must be there, and tells progress how many bytes it has copied. It is
// an error if a file is not what it was when the backup was taken. When it returns nil they are on the disk.
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

// copyHashing copies all of from, and returns how many bytes that were and their SHA-256.
func copyHashing(ctx context.Context, to io.Writer, from io.Reader, progress func(int)) (n int64, hash string, err error) {
	h := sha256.New()
	buf := make([]byte, 256<<10)
	for {
		if err := ctx.Err(); err != nil {
			return n, "", err
		}
		k, err := from.Read(buf)
		_, _ = h.Write(buf[:k]) // never fails
		if _, writeErr := to.Write(buf[:k]); writeErr != nil {
			return n, "", writeErr
		}
		n += int64(k)
		progress(k)
		if err == io.EOF {
			return n, hex.EncodeToString(h.Sum(nil)), nil
		}
		if err != nil {
			return n, "", err
		}
	}
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
