package archive

import (
	"archive/tar"
	"archive/zip"
	"bufio"
	"bytes"
	"cmp"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"liked"
)

// Format is a file format.
type Format string

const (
	Records  Format = "records"  // the server's own: one record per line
	X        Format = "x"        // like.js of X's archive, or the archive
	Mastodon Format = "mastodon" // likes.json of Mastodon's archive, or the archive
	Bluesky  Format = "bluesky"  // records of app.bsky.feed.like as JSON
)

// maxArchive bounds the bytes read. Likes take far less.
const maxArchive = 1 << 30

// members are the relevant files of an archive, or one file.
type members struct {
	files []member
	size  int64
}

type member struct {
	name string
	text []byte
}

func (m *members) add(name string, r io.Reader) error {
	room := maxArchive - m.size
	text, err := io.ReadAll(io.LimitReader(r, room+1))
	if err == nil && int64(len(text)) > room {
		err = fmt.Errorf("more than %d bytes", maxArchive)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	m.size += int64(len(text))
	m.files = append(m.files, member{name, text})
	return nil
}

// Open reads the likes of another service: its archive (zip or tar.gz), or the file of likes in it. The format is
// detected. Of a file of Records only Likes.Format is set.
func Open(file string) (*Likes, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	likes, err := open(f, path.Base(file))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return likes, nil
}

func open(f *os.File, name string) (*Likes, error) {
	head := bufio.NewReaderSize(f, 4096)
	start, err := head.Peek(4096)
	if err != nil && err != io.EOF {
		return nil, err
	}
	var m members
	switch {
	case bytes.HasPrefix(start, []byte("PK\x03\x04")):
		err = m.unzip(f)
	case bytes.HasPrefix(start, []byte{0x1f, 0x8b}):
		err = m.untar(head)
	case isRecords(start):
		return &Likes{Format: Records}, nil
	default:
		err = m.add(name, head)
	}
	if err != nil {
		return nil, err
	}
	return read(m.files)
}

// An empty file is one of records.
func isRecords(start []byte) bool {
	start = bytes.TrimLeft(start, " \t\r\n")
	if len(start) == 0 {
		return true
	}
	line, _, _ := bytes.Cut(start, []byte("\n"))
	return recordStart.Match(line)
}

var recordStart = regexp.MustCompile(`^\{.*"type"\s*:\s*"(user|post|block|follow|like)"`)

var wanted = regexp.MustCompile(`(^|/)(like(-part\d+)?\.js|account\.js|likes\.json|actor\.json|app\.bsky\.feed\.like/[^/]+\.json)$`)

func (m *members) unzip(f *os.File) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	z, err := zip.NewReader(f, info.Size())
	if err != nil {
		return err
	}
	for _, entry := range z.File {
		if !wanted.MatchString(entry.Name) {
			continue
		}
		r, err := entry.Open()
		if err != nil {
			return fmt.Errorf("%s: %w", entry.Name, err)
		}
		if err := errors.Join(m.add(entry.Name, r), r.Close()); err != nil {
			return err
		}
	}
	return nil
}

// untar also reads a single gzipped JSON file.
func (m *members) untar(r io.Reader) error {
	unzipped, err := gzip.NewReader(r)
	if err != nil {
		return err
	}
	head := bufio.NewReader(unzipped)
	if start, _ := head.Peek(1); len(start) == 1 && (start[0] == '{' || start[0] == '[' || start[0] == 'w') {
		if magic, _ := head.Peek(262); len(magic) < 262 || string(magic[257:]) != "ustar" {
			return m.add("the file in it", head)
		}
	}
	for t := tar.NewReader(head); ; {
		h, err := t.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if h.Typeflag == tar.TypeReg && wanted.MatchString(h.Name) {
			if err := m.add(h.Name, t); err != nil {
				return err
			}
		}
	}
}

func read(files []member) (*Likes, error) {
	slices.SortFunc(files, func(a, b member) int {
		return cmp.Or(partOf(a.name)-partOf(b.name), strings.Compare(a.name, b.name))
	})
	likes := new(Likes)
	for _, m := range files {
		text := bytes.TrimSpace(bytes.TrimPrefix(m.text, []byte("\ufeff")))
		likes.file, likes.first = path.Base(m.name), len(likes.items)
		format := likes.Format
		var err error
		switch {
		case likes.file == "actor.json":
			err = likes.mastodonActor(text)
		case ytd.Match(text):
			format, err = X, likes.x(text)
		case len(text) > 0:
			var collection struct {
				Items []json.RawMessage `json:"orderedItems"`
			}
			if json.Unmarshal(text, &collection) == nil && collection.Items != nil {
				format = Mastodon
				likes.mastodon(collection.Items)
			} else {
				format, err = Bluesky, likes.bluesky(text)
			}
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", m.name, err)
		}
		if likes.Format != "" && likes.Format != format {
			return nil, liked.Errorf(liked.Invalid, "likes of %s and of %s in one file", likes.Format, format)
		}
		likes.Format = format
	}
	switch likes.Format {
	case "":
		return nil, liked.Errorf(liked.Invalid, "no likes in there: neither records, nor data/like.js, likes.json or app.bsky.feed.like")
	case X:
		slices.Reverse(likes.items)
	}
	return likes, nil
}

var part = regexp.MustCompile(`^like-part(\d{1,6})\.js$`)

// partOf is the number in like-part1.js.
func partOf(name string) (n int) {
	if m := part.FindStringSubmatch(path.Base(name)); m != nil {
		n, _ = strconv.Atoi(m[1])
	}
	return n
}
