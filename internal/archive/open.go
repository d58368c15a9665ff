package archive

import (
	"archive/tar"
	"archive/zip"
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"

	"liked"
)

// Format is what a file is written in.
type Format string

const (
	Records  Format = "records"  // the server's own: one record a line
	X        Format = "x"        // like.js of X's archive, or the archive
	Mastodon Format = "mastodon" // likes.json of Mastodon's archive, or the archive
	Bluesky  Format = "bluesky"  // records of app.bsky.feed.like as JSON
)

// maxArchive bounds what is read of an archive, in bytes. Likes are far below; an archive that unpacks to more is not
// one of these.
const maxArchive = 1 << 30

// member is a file, of an archive or alone.
type member struct {
	name string
	text []byte
}

// Open reads the likes in a file of another service: the archive that the service gives (zip or tar.gz), or the file of
// likes in it. The format is told by the content. What is in Records is not read: Likes.Format says so.
func Open(file string) (*Likes, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	head := bufio.NewReaderSize(f, 4096)
	start, err := head.Peek(4096)
	if err != nil && err != io.EOF {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	var members []member
	switch {
	case bytes.HasPrefix(start, []byte("PK\x03\x04")):
		members, err = unzip(f)
	case bytes.HasPrefix(start, []byte{0x1f, 0x8b}):
		members, err = untar(head)
	case isRecords(start):
		return &Likes{Format: Records}, nil
	default:
		var text []byte
		text, err = readAll(head, maxArchive)
		members = []member{{path.Base(file), text}}
	}
	if err == nil {
		var likes *Likes
		if likes, err = read(members); err == nil {
			return likes, nil
		}
	}
	return nil, fmt.Errorf("%s: %w", file, err)
}

// isRecords looks at the type of the first record. An empty file is one without records.
func isRecords(start []byte) bool {
	start = bytes.TrimLeft(start, " \t\r\n")
	if len(start) == 0 {
		return true
	}
	line, _, _ := bytes.Cut(start, []byte("\n"))
	return recordStart.Match(line)
}

var recordStart = regexp.MustCompile(`^\{.*"type"\s*:\s*"(user|post|block|follow|like)"`)

// wanted are the files of an archive that are of interest.
var wanted = regexp.MustCompile(`(^|/)(like(-part\d+)?\.js|account\.js|likes\.json|actor\.json|app\.bsky\.feed\.like/[^/]+\.json)$`)

func unzip(f *os.File) (members []member, err error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	z, err := zip.NewReader(f, info.Size())
	if err != nil {
		return nil, err
	}
	room := int64(maxArchive)
	for _, entry := range z.File {
		if !wanted.MatchString(entry.Name) {
			continue
		}
		r, err := entry.Open()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", entry.Name, err)
		}
		text, err := readAll(r, room)
		if err := errors.Join(err, r.Close()); err != nil {
			return nil, fmt.Errorf("%s: %w", entry.Name, err)
		}
		room -= int64(len(text))
		members = append(members, member{entry.Name, text})
	}
	return members, nil
}

// untar reads a tar.gz, or one JSON file that was compressed.
func untar(r io.Reader) (members []member, err error) {
	unzipped, err := gzip.NewReader(r)
	if err != nil {
		return nil, err
	}
	head := bufio.NewReader(unzipped)
	if start, _ := head.Peek(1); len(start) == 1 && (start[0] == '{' || start[0] == '[' || start[0] == 'w') {
		if magic, _ := head.Peek(262); len(magic) < 262 || string(magic[257:]) != "ustar" {
			text, err := readAll(head, maxArchive)
			return []member{{"", text}}, err
		}
	}
	room := int64(maxArchive)
	for t := tar.NewReader(head); ; {
		h, err := t.Next()
		if err == io.EOF {
			return members, nil
		}
		if err != nil {
			return nil, err
		}
		if h.Typeflag != tar.TypeReg || !wanted.MatchString(h.Name) {
			continue
		}
		text, err := readAll(t, room)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", h.Name, err)
		}
		room -= int64(len(text))
		members = append(members, member{h.Name, text})
	}
}

func readAll(r io.Reader, limit int64) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err == nil && int64(len(text)) > limit {
		err = fmt.Errorf("more than %d bytes", limit)
	}
	return text, err
}

// read tells the format by what the files look like.
func read(members []member) (*Likes, error) {
	slices.SortFunc(members, func(a, b member) int {
		if d := partOf(a.name) - partOf(b.name); d != 0 {
			return d
		}
		return strings.Compare(a.name, b.name)
	})
	likes := new(Likes)
	for _, m := range members {
		text := bytes.TrimSpace(bytes.TrimPrefix(m.text, []byte("\ufeff")))
		base := path.Base(m.name)
		var format Format
		var err error
		switch {
		case base == "actor.json":
			err = likes.mastodonActor(text)
			format = likes.Format
		case ytd.Match(text):
			format, err = X, likes.x(base, text)
		case isCollection(text):
			format, err = Mastodon, likes.mastodon(base, text)
		case len(text) > 0:
			format, err = Bluesky, likes.bluesky(base, text)
		default:
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", m.name, err)
		}
		if likes.Format != "" && likes.Format != format {
			return nil, liked.Errorf(liked.Invalid, "likes of %s and of %s in one file", likes.Format, format)
		}
		likes.Format = format
	}
	if likes.Format == "" {
		return nil, liked.Errorf(liked.Invalid, "no likes in there: neither records, nor data/like.js, likes.json or app.bsky.feed.like")
	}
	return likes, nil
}

var part = regexp.MustCompile(`^like-part(\d{1,6})\.js$`)

// partOf is the number in like-part1.js.
func partOf(name string) (n int) {
	if m := part.FindStringSubmatch(path.Base(name)); m != nil {
		for _, c := range m[1] {
			n = n*10 + int(c-'0')
		}
	}
	return n
}

func isCollection(text []byte) bool {
	var c struct {
		Items json.RawMessage `json:"orderedItems"`
	}
	return len(text) > 0 && text[0] == '{' && json.Unmarshal(text, &c) == nil && c.Items != nil
}
