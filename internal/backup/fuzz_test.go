package backup

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"liked/internal/store"
)

// FuzzReceive: whatever comes from a server is refused, or is files with names that lead nowhere else, each of the size
// that was announced, and no more in all than was sent.
func FuzzReceive(f *testing.F) {
	for _, contents := range [][]string{{"a"}, {"one", "", "three"}} {
		for _, had := range []bool{false, true} {
			var files []store.File
			have := map[string]bool{}
			for i, text := range contents {
				files = append(files, store.File{Name: fmt.Sprintf("%06d.sst", i), Size: int64(len(text)), Fixed: i == 0,
					Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader([]byte(text))), nil }})
				have[fmt.Sprintf("%x", sha256.Sum256([]byte(text)))] = had
			}
			var sent bytes.Buffer
			if err := Send(context.Background(), &sent, time.Unix(1e9, 0), "key", files, have); err != nil {
				f.Fatal(err)
			}
			f.Add(sent.Bytes())
		}
	}
	f.Add(holes(f))
	f.Fuzz(func(t *testing.T, sent []byte) {
		r, err := receive(bytes.NewReader(sent))
		if err != nil {
			return
		}
		if r.bytes() < 0 {
			t.Errorf("the files have %d bytes in all", r.bytes())
		}
		total := 0
		for i := range r.Files {
			had, err := r.next(i)
			if err != nil {
				return
			}
			name := r.Files[i].Name
			if !filepath.IsLocal(name) || filepath.Base(name) != name {
				t.Fatalf("the name %q is accepted", name)
			}
			if had {
				continue
			}
			n, _, err := copyHashing(context.Background(), io.Discard, r.t, func(n int) {
				if total += n; total > len(sent) {
					t.Fatalf("%d bytes make more than %d", len(sent), total)
				}
			})
			if err == nil && n != r.Files[i].Size {
				t.Errorf("%s has %d bytes and was announced with %d", name, n, r.Files[i].Size)
			}
		}
	})
}

// holes is an archive in which a few bytes stand for a file of 64 GiB.
func holes(f *testing.F) []byte {
	const size = 64 << 30
	manifest := fmt.Sprintf(`{"format":1,"files":[{"name":"a","size":%d}]}`, int64(size))
	var sent bytes.Buffer
	w := tar.NewWriter(&sent)
	err := w.WriteHeader(&tar.Header{Name: manifestFile, Mode: 0o600, Size: int64(len(manifest)), Format: tar.FormatPAX})
	if err == nil {
		_, err = w.Write([]byte(manifest))
	}
	if err == nil {
		err = w.Flush()
	}
	if err != nil {
		f.Fatal(err)
	}
	// archive/tar writes no holes. These are the records of GNU tar's format 0.1.
	var records bytes.Buffer
	for _, r := range [][2]string{{paxHash, fmt.Sprintf("%x", sha256.Sum256(nil))}, {"GNU.sparse.size", fmt.Sprint(int64(size))},
		{"GNU.sparse.numblocks", "1"}, {"GNU.sparse.map", fmt.Sprintf("%d,0", int64(size))}, {"GNU.sparse.name", "a"}} {
		n := len(r[0]) + len(r[1]) + 3
		n += len(fmt.Sprint(n + len(fmt.Sprint(n))))
		fmt.Fprintf(&records, "%d %s=%s\n", n, r[0], r[1])
	}
	for _, part := range []struct {
		kind byte
		name string
		text []byte
	}{{'x', "x", records.Bytes()}, {'0', "a", nil}} {
		block := make([]byte, 512)
		copy(block, part.name)
		copy(block[100:], "0000600\x000000000\x000000000\x00")
		copy(block[124:], fmt.Sprintf("%011o\x00%011o\x00        %c", len(part.text), 0, part.kind))
		copy(block[257:], "ustar\x0000")
		sum := 0
		for _, b := range block {
			sum += int(b)
		}
		copy(block[148:], fmt.Sprintf("%06o\x00 ", sum))
		sent.Write(block)
		sent.Write(part.text)
		sent.Write(make([]byte, (512-len(part.text)%512)%512))
	}
	sent.Write(make([]byte, 1024))
	return sent.Bytes()
}

// FuzzManifest: a manifest is refused, or is what it is when it is written and read again.
func FuzzManifest(f *testing.F) {
	f.Add([]byte(`{"format":1,"taken_at":"2024-05-01T12:00:00Z","key":"k",` +
		`"files":[{"name":"000001.sst","size":3,"fixed":true,"sha256":"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}]}`))
	f.Add([]byte(`{"format":1,"files":[{"name":"../x","size":9223372036854775807},{"name":"y","size":9223372036854775807}]}`))
	f.Add([]byte(`{"format":2,"files":null}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		if _, err := decodeManifest(line); err == nil {
			t.Fatalf("%q is accepted without a checksum", line)
		}
		m, err := decodeManifest(fmt.Appendf(bytes.Clone(line), "\nsha256 %x\n", sha256.Sum256(line)))
		if err != nil {
			return
		}
		for _, file := range m.Files {
			if !filepath.IsLocal(file.Name) || filepath.Base(file.Name) != file.Name || !filepath.IsLocal(file.SHA256) || file.Size < 0 {
				t.Errorf("the file %+v is accepted", file)
			}
		}
		if m.bytes() < 0 {
			t.Errorf("the files have %d bytes in all", m.bytes())
		}
		text, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		again, err := decodeManifest(sealed(text))
		if err != nil || !reflect.DeepEqual(again, m) {
			t.Errorf("%+v is written and read as %+v, %v", m, again, err)
		}
	})
}
