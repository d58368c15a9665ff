package backup

import (
	"archive/tar"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"liked/internal/store"
	"liked/internal/strictjson"
)

// A backup is sent as a tar archive. First comes backup.json, the manifest without checksums, then its files in order,
// each with its checksum, and empty if the receiver has it.
const (
	paxHash = "LIKED.sha256"
	paxHave = "LIKED.have" // "yes": the receiver has it

	maxManifest = 64 << 20
)

// Send writes the files of a store to w, except those whose hexadecimal SHA-256 is in have.
func Send(ctx context.Context, w io.Writer, takenAt time.Time, key string, files []store.File, have map[string]bool) error {
	m := Manifest{Format: Format, TakenAt: takenAt.UTC(), Key: key}
	for _, f := range files {
		m.Files = append(m.Files, File{Name: f.Name, Size: f.Size, Fixed: f.Fixed})
	}
	if err := m.check(); err != nil {
		return err
	}
	text, err := json.Marshal(m)
	if err != nil {
		return err
	}
	t := tar.NewWriter(w)
	entry := func(name string, size int64, records map[string]string) error {
		return t.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: size, ModTime: takenAt, Format: tar.FormatPAX, PAXRecords: records})
	}
	if err := entry(manifestFile, int64(len(text)), nil); err != nil {
		return err
	}
	if _, err := t.Write(text); err != nil {
		return err
	}
	for _, f := range files {
		hash, err := read(ctx, f, io.Discard)
		if err != nil {
			return err
		}
		if have[hash] {
			err = entry(f.Name, 0, map[string]string{paxHash: hash, paxHave: "yes"})
		} else if err = entry(f.Name, f.Size, map[string]string{paxHash: hash}); err == nil {
			_, err = read(ctx, f, t)
		}
		if err == nil {
			err = t.Flush()
		}
		if err != nil {
			return err
		}
	}
	return t.Close()
}

// read writes a file to w.
func read(ctx context.Context, f store.File, w io.Writer) (hash string, err error) {
	from, err := f.Open()
	if err != nil {
		return "", err
	}
	n, hash, err := copyHashing(ctx, w, from, func(int) {})
	if err = errors.Join(err, from.Close()); err != nil {
		return "", fmt.Errorf("%s: %w", f.Name, err)
	}
	if n != f.Size {
		return "", fmt.Errorf("%s has %d bytes and should have %d", f.Name, n, f.Size)
	}
	return hash, nil
}

type receiver struct {
	t *tar.Reader
	Manifest
}

func receive(r io.Reader) (*receiver, error) {
	t := tar.NewReader(r)
	head, err := entry(t)
	if err != nil {
		return nil, err
	}
	if head.Name != manifestFile || head.Size > maxManifest {
		return nil, fmt.Errorf("this is no backup: it begins with %q of %d bytes", head.Name, head.Size)
	}
	text, err := io.ReadAll(t)
	if err != nil {
		return nil, cutShort(err)
	}
	var m Manifest
	if err := strictjson.UnmarshalKnown(text, &m); err != nil {
		return nil, fmt.Errorf("this is no backup: %w", err)
	}
	return &receiver{t, m}, m.check()
}

// entry reads the next entry, which must be a plain file: tar's sparse files may be much larger than what was sent.
func entry(t *tar.Reader) (*tar.Header, error) {
	head, err := t.Next()
	if err != nil {
		return nil, cutShort(err)
	}
	for name := range head.PAXRecords {
		if strings.HasPrefix(name, "GNU.sparse.") {
			return nil, fmt.Errorf("the backup has %q, which is a sparse file", head.Name)
		}
	}
	if head.Typeflag != tar.TypeReg {
		return nil, fmt.Errorf("the backup has %q, which is no plain file", head.Name)
	}
	return head, nil
}

// next goes to file i and sets its checksum. had: left out, since the receiver has it.
func (r *receiver) next(i int) (had bool, err error) {
	head, err := entry(r.t)
	if err != nil {
		return false, err
	}
	f, hash := &r.Files[i], head.PAXRecords[paxHash]
	had = head.PAXRecords[paxHave] != ""
	if head.Name != f.Name || !fileHash.MatchString(hash) || !had && head.Size != f.Size {
		return false, fmt.Errorf("the backup has %q of %d bytes where %s of %d should be", head.Name, head.Size, f.Name, f.Size)
	}
	f.SHA256 = hash
	return had, nil
}

func cutShort(err error) error {
	return fmt.Errorf("the backup was cut short: %w; the log of the server may say why", err)
}
