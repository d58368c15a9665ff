package archive

import (
	"archive/tar"
	"archive/zip"
	"bufio"
	"bytes"
	"compress/bzip2"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/mikelolasagasti/xz"
	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"

	"liked"
)

// Bounds of one import, so that no file decides how much memory or disk it takes.
const (
	maxText   = 1 << 30   // bytes of another service's likes, unpacked
	maxLikes  = 8 << 20   // likes of another service
	maxBad    = 50_000    // entries that are no likes
	maxValue  = MaxLine   // bytes of a JSON value
	maxLists  = 4         // lists in lists
	maxLayers = 5         // archives and compressions in each other
	maxWindow = 128 << 20 // bytes that a decompression looks back
	maxNames  = 32 << 20  // bytes of a zip's list of its files
)

// Options say what to read.
type Options struct {
	File string    // a file or a directory; "-" is In
	In   io.Reader // standard input
	User liked.UserID
	Now  time.Time

	// Each gets the records in their order. Its error ends Read, which returns it.
	Each func(Item) error
}

// Item is a record as a line, or the reason why there is none.
type Item struct {
	Where string // for people: the file, and the line or the number in it
	Line  []byte // with its newline, valid until Each returns
	Err   error
	Owner bool // the account of the likes that follow: without it none of them can be added

	Done, Of int64 // how much is read; Of is 0 if it is unknown
}

// Read hands on the records in a file: our own, one per line or in a JSON array, or the likes of another service, whose
// records are a like with its post. The form is found out: a file, an archive or an unpacked one, compressed or not.
//
// Likes of another service are those of User, or if that is 0 of the account that the archive tells. They come oldest
// first, and none comes unless all of the archive could be read. The same archive gives the same records.
func Read(ctx context.Context, o Options) error {
	r := reader{Options: o, ctx: ctx, left: maxText}
	defer func() { r.f.discard() }()
	if err := r.open(); err != nil {
		return err
	}
	return r.emit()
}

type reader struct {
	Options
	ctx    context.Context
	format string
	owner  *liked.User
	spool

	name  string // the file that was given, for people
	empty bool   // it has nothing but white space
	where string // the file that is being read, for people
	found int    // entries in it
	bad   int    // entries that are no likes, of all files
	actor string // who made the likes of Mastodon, if they tell
	left  int64  // bytes of maxText

	size, read int64 // of the outermost file
}

// input ends with the context, and counts what is read.
type input struct {
	io.Reader
	ctx context.Context
	n   *int64
}

func (i input) Read(b []byte) (int, error) {
	if err := i.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := i.Reader.Read(b)
	*i.n += int64(n)
	return n, err
}

func (r *reader) open() error {
	if r.name = r.File; r.File == "-" {
		r.name = "standard input"
		return r.content(r.name, r.In, 0)
	}
	f, err := os.Open(r.File)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return err
	case info.IsDir():
		return r.tree(r.File, filepath.Base(r.File), os.DirFS(r.File), false)
	case info.Mode().IsRegular():
		r.size = info.Size()
	}
	return r.content(r.File, f, 0)
}

// What a file holds, for people.
const (
	ours     = "records of this server"
	ofX      = "likes of X"
	mastodon = "likes of Mastodon"
	bluesky  = "likes of Bluesky"
)

// is notes what the file holds, which is one of these.
func (r *reader) is(format string) error {
	if r.format != "" && r.format != format {
		return fmt.Errorf("%s: it holds %s, and what was read before %s: import them one by one", r.where, format, r.format)
	}
	r.format = format
	return nil
}

var compressions = []struct {
	name, magic string
	open        func(io.Reader) (io.Reader, error)
}{
	{"gzip", "\x1f\x8b", func(r io.Reader) (io.Reader, error) { return gzip.NewReader(r) }},
	{"bzip2", "BZh", func(r io.Reader) (io.Reader, error) { return bzip2.NewReader(r), nil }},
	{"xz", "\xfd7zXZ\x00", func(r io.Reader) (io.Reader, error) { return xz.NewReader(r, maxWindow) }},
	{"Zstandard", "\x28\xb5\x2f\xfd", func(r io.Reader) (io.Reader, error) {
		return zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow))
	}},
}

// unread are forms that people give and that have no likes that could be read.
var unread = []struct{ magic, what string }{
	{"<", "a page of HTML or XML: get the file itself, not the page that offers it"},
	{"%PDF", "a PDF"},
	{"7z\xbc\xaf\x27\x1c", "a 7-Zip archive: unpack it, and give the folder"},
	{"Rar!", "a RAR archive: unpack it, and give the folder"},
	{"PK\x05\x06", "an empty zip"},
	{"PK\x07\x08", "a part of a zip in several files: unpack it, and give the folder"},
	{"\x04\x22\x4d\x18", "compressed with LZ4: unpack it"},
	{"\x1f\x9d", "compressed by compress: unpack it"},
	{"\x5d\x00\x00", "compressed with LZMA: unpack it"},
	{"LZIP", "compressed with lzip: unpack it"},
	{"SQLite format 3", "an SQLite database"},
	{"\x0a\xa1gversion\x02", "a CAR file of version 2: get one of version 1, as Bluesky gives it"},
	{"\x89PNG", "a picture"},
	{"\xff\xd8\xff", "a picture"},
	{"GIF8", "a picture"},
	{`{\rtf`, "a text of a word processor"},
	{"\xd0\xcf\x11\xe0", "a document of an office program"},
}

// script is the beginning of JavaScript.
var script = regexp.MustCompile(`^(window\.|var |let |const |export |import |function|//|/\*|\w+\()`)

// unreadable is what the file is if that is one of unread.
func unreadable(start []byte) string {
	for _, u := range unread {
		if bytes.HasPrefix(start, []byte(u.magic)) {
			return u.what
		}
	}
	return ""
}

func (r *reader) not(what string) error { return fmt.Errorf("%s: it is %s; %s", r.where, what, known) }

const known = "likes are read from the archive of X, Mastodon or Bluesky, its likes alone, or an export of this server"

// content reads a file or stream of any form.
func (r *reader) content(where string, in io.Reader, layer int) error {
	if layer > maxLayers {
		return fmt.Errorf("%s: more than %d archives and compressions in each other", where, maxLayers)
	}
	file, _ := in.(*os.File)
	n := new(int64)
	if layer == 0 {
		n = &r.read
	}
	in = input{in, r.ctx, n}
	head := bufio.NewReaderSize(in, 4096)
	start, err := head.Peek(4096)
	if err != nil && err != io.EOF {
		return at(where, "", err)
	}
	for _, c := range compressions {
		if !bytes.HasPrefix(start, []byte(c.magic)) {
			continue
		}
		out, err := c.open(head)
		if err != nil {
			return at(where, c.name, err)
		}
		if d, ok := out.(*zstd.Decoder); ok {
			defer d.Close()
		}
		return r.content(where, unpacked{out, where, c.name}, layer+1)
	}
	r.where, r.found = where, 0
	switch {
	case bytes.HasPrefix(start, []byte("PK\x03\x04")):
		return r.zip(where, file, head, layer)
	case isTar(start):
		return r.tar(where, head, layer)
	case unreadable(start) != "":
		return r.not(unreadable(start))
	case isCAR(start):
		return r.car(head)
	}
	return r.text(head, start)
}

// located is an error that says in which file it is.
type located struct {
	text string
	error
}

func (l located) Error() string { return l.text }
func (l located) Unwrap() error { return l.error }

// at says where an error is, unless it says so. What is a compression or an archive that gave it.
func at(where, what string, err error) error {
	if _, ok := errors.AsType[located](err); ok {
		return err
	}
	text := err.Error()
	if _, disk := errors.AsType[*fs.PathError](err); what != "" && !disk && !errors.Is(err, context.Canceled) {
		text = "its " + what + " is damaged or cut off, or needs more memory than an import takes: get the file again, or unpack it"
	}
	return located{where + ": " + text, err}
}

// unpacked is what comes out of a compression or an archive.
type unpacked struct {
	io.Reader
	where, what string
}

func (u unpacked) Read(b []byte) (int, error) {
	n, err := u.Reader.Read(b)
	if err != nil && err != io.EOF {
		err = at(u.where, u.what, err)
	}
	return n, err
}

// wanted are the files of an archive that have likes or tell whose they are.
var wanted = regexp.MustCompile(`(^|/)(like(-part\d+)?\.js|account\.js|likes\.json|actor\.json|app\.bsky\.feed\.like/[^/]+\.json|` +
	`[^/.][^/]*\.(car|ndjson|jsonl))(\.(gz|bz2|xz|zst))?$`)

// isHidden is of files and folders that people did not make.
func isHidden(name string) bool {
	return strings.HasPrefix(name, ".") && name != "." && name != ".." || name == "__MACOSX"
}

func isWanted(name string) bool { return wanted.MatchString(strings.ReplaceAll(name, `\`, "/")) }

func (r *reader) zip(where string, f *os.File, in io.Reader, layer int) error {
	var size int64
	if f != nil {
		if info, err := f.Stat(); err == nil && info.Mode().IsRegular() {
			size = info.Size()
		}
	}
	switch {
	case size > 0:
	case layer > 0:
		return fmt.Errorf("%s: a zip in something else: unpack that, and give the zip", where)
	default: // a pipe: a zip is read from its end
		spooled, err := tempFile()
		if err != nil {
			return err
		}
		defer spooled.discard()
		f = spooled.File
		if size, err = io.Copy(f, in); err != nil {
			return at(where, "", err)
		}
	}
	names := &bounded{f, maxNames}
	z, err := zip.NewReader(names, size)
	if names.left < 0 {
		return fmt.Errorf("%s: the zip has too many files: unpack it, and give the folder", where)
	}
	if err != nil {
		return at(where, "zip", err)
	}
	names.left = math.MaxInt64
	for _, f := range z.File {
		if f.Flags&1 != 0 {
			return fmt.Errorf("%s: the zip has a password: unpack it, and give the folder", where)
		}
		f.Name = strings.ReplaceAll(f.Name, `\`, "/") // some tools write names as Windows has them
	}
	return r.tree(where, "", z, true)
}

// bounded ends when more than left bytes are read.
type bounded struct {
	io.ReaderAt
	left int64
}

func (b *bounded) ReadAt(p []byte, off int64) (int, error) {
	if b.left -= int64(len(p)); b.left < 0 {
		return 0, errLarge
	}
	return b.ReaderAt.ReadAt(p, off)
}

// tree reads the wanted files of an archive or a directory, or its only file.
func (r *reader) tree(where, name string, tree fs.FS, zipped bool) error {
	var files, others []string
	err := fs.WalkDir(tree, ".", func(file string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && isHidden(d.Name()):
			return fs.SkipDir
		case !d.Type().IsRegular() || isHidden(d.Name()):
		case isWanted(path.Join(name, file)):
			files = append(files, file)
		case len(others) < 2:
			others = append(others, file)
		}
		return nil
	})
	if err != nil && zipped {
		return fmt.Errorf("%s: the zip has a file twice, or names that cannot be: unpack it, and give the folder", where)
	} else if err != nil {
		return at(where, "", err)
	}
	if len(files) == 0 && len(others) == 1 {
		files = others
	}
	for _, file := range files {
		place := where + ": " + file
		f, err := tree.Open(file)
		if errors.Is(err, zip.ErrAlgorithm) {
			return fmt.Errorf("%s: the zip is compressed in a way that is not read: unpack it, and give the folder", place)
		}
		if err != nil {
			return at(place, "", err)
		}
		var in io.Reader = f
		if zipped {
			in = unpacked{f, place, "zip"}
		}
		if err := errors.Join(r.content(place, in, 1), f.Close()); err != nil {
			return err
		}
	}
	return nil
}

// isTar looks at the checksum of the first header, which every edition of the format has.
func isTar(start []byte) bool {
	const size, from, to = 512, 148, 156
	if len(start) < size {
		return false
	}
	want, err := strconv.ParseInt(strings.Trim(string(start[from:to]), " \x00"), 8, 64)
	sum := int64(' ' * (to - from))
	for i, c := range start[:size] {
		if i < from || i >= to {
			sum += int64(c)
		}
	}
	return err == nil && sum == want
}

func (r *reader) tar(where string, in io.Reader, layer int) error {
	for t := tar.NewReader(in); ; {
		h, err := t.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return at(where, "tar", err)
		}
		if h.Typeflag == tar.TypeReg && isWanted(h.Name) && !slices.ContainsFunc(strings.Split(h.Name, "/"), isHidden) {
			if err := r.content(where+": "+strings.TrimPrefix(h.Name, "./"), unpacked{t, where, "tar"}, layer+1); err != nil {
				return err
			}
		}
	}
}

var recordStart = regexp.MustCompile(`^\{[^{\[]*"type"\s*:\s*"[a-z]+"`)

// text reads text in UTF-8 or UTF-16.
func (r *reader) text(in *bufio.Reader, start []byte) error {
	var plain encoding.Encoding = encoding.Nop
	switch { // without a byte order mark
	case len(start) > 1 && start[0] != 0 && start[1] == 0:
		plain = unicode.UTF16(unicode.LittleEndian, unicode.IgnoreBOM)
	case len(start) > 1 && start[0] == 0 && start[1] != 0:
		plain = unicode.UTF16(unicode.BigEndian, unicode.IgnoreBOM)
	}
	if plain != encoding.Nop || len(start) > 0 && start[0] >= 0x80 {
		in = bufio.NewReaderSize(transform.NewReader(in, unicode.BOMOverride(plain.NewDecoder())), 4096)
	}
	before, err := skipSpace(in)
	if err == io.EOF {
		r.empty = r.where == r.name
		return nil
	} else if err != nil {
		return at(r.where, "", err)
	}
	start, _ = in.Peek(4096)
	line, _, _ := bytes.Cut(start, []byte("\n"))
	switch {
	case recordStart.Match(line):
		return r.lines(in, before)
	case bytes.HasPrefix(start, []byte("window.YTD.")):
		return r.x(in)
	case unreadable(start) != "":
		return r.not(unreadable(start))
	case start[0] == '{' || start[0] == '[':
		_, err := r.json(in, false)
		return err
	case bytes.IndexByte(start, 0) >= 0:
		return r.not("no text")
	case script.Match(line):
		return r.not("JavaScript, and not data/like.js of X")
	case bytes.ContainsAny(line, ",;\t"):
		return r.not("a CSV, as it seems")
	}
	return r.not("neither JSON nor an archive")
}

// skipSpace returns the number of newlines in the white space that it skips.
func skipSpace(in *bufio.Reader) (lines int64, err error) {
	for {
		c, err := in.ReadByte()
		switch {
		case err != nil:
			return lines, err
		case c == '\n':
			lines++
		case c != ' ' && c != '\t' && c != '\r':
			return lines, in.UnreadByte()
		}
	}
}

// lines hands on our own records, one per line. Whoever takes them looks into them.
func (r *reader) lines(in io.Reader, before int64) error {
	if err := r.is(ours); err != nil {
		return err
	}
	lines := bufio.NewReaderSize(in, MaxLine+1)
	for n := before + 1; ; n++ {
		line, err := lines.ReadSlice('\n')
		where := r.where + ":" + strconv.FormatInt(n, 10)
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			return fmt.Errorf("%s: longer than %d bytes", where, MaxLine)
		case err != nil && err != io.EOF:
			return at(where, "", err)
		}
		if text := bytes.TrimSpace(line); len(text) > 0 {
			if err := r.Each(Item{Where: where, Line: append(text, '\n'), Done: r.read, Of: r.size}); err != nil {
				return err
			}
		}
		if err == io.EOF {
			return nil
		}
	}
}
