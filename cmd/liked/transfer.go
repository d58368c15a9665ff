package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"liked"
	"liked/internal/admin"
	"liked/internal/archive"
)

type exportCmd struct {
	File string `arg:"" optional:"" default:"-" help:"Where to; - is standard output. A file appears once it is whole."`
	Operator
}

func (c *exportCmd) Run(e *env) error {
	return c.with(e, false, func(a *admin.Client) error {
		resp, err := a.Send(e.ctx, "GET", at("export"), nil)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		p := newProgress(e.stderr, "exported", -1)
		defer p.end()
		return e.writeTo(c.File, func(w io.Writer) error {
			_, err := io.Copy(w, io.TeeReader(resp.Body, p))
			return err
		})
	})
}

type importCmd struct {
	Files   []string `arg:"" help:"Files to import; - is standard input, which must hold records."`
	User    string   `placeholder:"USER" help:"Whose likes an archive holds, by id or username; needed if the archive does not tell."`
	SkipBad bool     `help:"Leave out what cannot be imported, instead of stopping at it."`
	Answer
}

func (c *importCmd) Run(e *env) error {
	return c.with(e, true, func(a *admin.Client) error {
		var total admin.Imported
		for _, file := range c.Files {
			i := importer{c: c, e: e, a: a, file: file}
			err := i.run()
			total.Added += i.done.Added
			total.Kept += i.done.Kept
			total.Refused += i.done.Refused
			if err != nil {
				c.report(e, total)
				return fmt.Errorf("%w\nwhat came before it was imported; the same command goes on from there", err)
			}
		}
		return c.report(e, total)
	})
}

func (c *importCmd) report(e *env, total admin.Imported) error {
	if c.JSON {
		return json.NewEncoder(e.stdout).Encode(map[string]int64{"added": total.Added, "kept": total.Kept, "refused": total.Refused})
	}
	_, err := fmt.Fprintf(e.stdout, "%d records added, %d were there already, %d refused\n", total.Added, total.Kept, total.Refused)
	return err
}

// importer sends a file in pieces; an interrupted import is complete up to the last piece.
type importer struct {
	c        *importCmd
	e        *env
	a        *admin.Client
	file     string
	progress *progress
	done     admin.Imported

	piece []byte
	lines int      // in the piece
	sent  int64    // lines in the pieces before it
	where []string // of each line in the piece, by its place in an archive; empty: its line in the file
}

const pieceSize = 2 << 20

func (i *importer) run() error {
	if i.file == "-" {
		return i.records(i.e.stdin, -1)
	}
	likes, err := archive.Open(i.file)
	if err != nil {
		return err
	}
	if likes.Format != archive.Records {
		return i.archive(likes)
	}
	f, err := os.Open(i.file)
	if err != nil {
		return err
	}
	defer f.Close()
	size := int64(-1)
	if info, err := f.Stat(); err == nil && info.Mode().IsRegular() {
		size = info.Size()
	}
	return i.records(f, size)
}

// The server validates the lines.
func (i *importer) records(r io.Reader, size int64) error {
	i.progress = newProgress(i.e.stderr, "imported", size)
	defer i.progress.end()
	for lines := bufio.NewReaderSize(r, archive.MaxLine+1); ; {
		line, err := lines.ReadSlice('\n')
		if err != nil && err != io.EOF {
			if errors.Is(err, bufio.ErrBufferFull) {
				err = fmt.Errorf("longer than %d bytes", archive.MaxLine)
			}
			number := i.sent + int64(i.lines) + 1
			return errors.Join(i.send(), fmt.Errorf("%s:%d: %w", i.file, number, err))
		}
		i.piece = append(i.piece, line...)
		if err == io.EOF {
			return i.send()
		}
		if err := i.ended(); err != nil {
			return err
		}
	}
}

// archive sends another service's likes.
func (i *importer) archive(likes *archive.Likes) error {
	var user liked.UserID
	switch {
	case i.c.User != "":
		var u admin.User
		if err := i.a.Call(i.e.ctx, "GET", at("users", i.c.User), nil, &u); err != nil {
			return fmt.Errorf("user: %w", err)
		}
		user = u.ID
	case likes.Owner != nil:
		user = likes.Owner.ID
		if err := i.add("its owner", archive.Record{User: likes.Owner}); err != nil {
			return err
		}
	default:
		return fmt.Errorf("%s does not tell whose likes these are: give --user, or the whole archive", i.file)
	}
	i.progress = newProgress(i.e.stderr, "imported", int64(likes.Len()))
	i.progress.count = true
	defer i.progress.end()
	for item := range likes.Items(user) {
		if item.Err != nil {
			if err := i.send(); err != nil {
				return err
			}
			if err := i.refused(item.Where, item.Err.Error()); err != nil {
				return err
			}
		}
		for _, r := range item.Records {
			if err := i.add(item.Where, r); err != nil {
				return err
			}
		}
		i.progress.add(1)
	}
	return i.send()
}

func (i *importer) add(where string, r archive.Record) (err error) {
	if i.piece, err = archive.Append(i.piece, r); err != nil {
		return err
	}
	i.where = append(i.where, where)
	return i.ended()
}

// ended counts a line of the piece, and sends the piece once it is large.
func (i *importer) ended() error {
	if i.lines++; len(i.piece) < pieceSize {
		return nil
	}
	return i.send()
}

func (i *importer) send() error {
	if len(i.piece) == 0 {
		return nil
	}
	path := at("import")
	if i.c.SkipBad {
		path += "?skip_bad=true"
	}
	var got admin.Imported
	if err := i.a.Call(i.e.ctx, "POST", path, i.piece, &got); err != nil {
		return err
	}
	i.done.Added += got.Added
	i.done.Kept += got.Kept
	for _, bad := range got.Reasons {
		where := fmt.Sprint(i.sent + bad.Line)
		if n := int(bad.Line) - 1; n < len(i.where) {
			where = i.where[n]
		}
		if err := i.refused(where, bad.Reason); err != nil {
			return err
		}
	}
	if more := got.Refused - int64(len(got.Reasons)); more > 0 {
		i.done.Refused += more
		i.progress.say(fmt.Sprintf("liked: %s: and %d more near there", i.file, more))
	}
	if i.progress != nil && !i.progress.count {
		i.progress.add(len(i.piece))
	}
	i.sent += int64(i.lines)
	i.piece, i.lines, i.where = i.piece[:0], 0, i.where[:0]
	return nil
}

// refused reports a record that was left out; it is an error unless SkipBad is set.
func (i *importer) refused(where, reason string) error {
	i.done.Refused++
	text := i.file + ":" + where + ": " + reason
	if !i.c.SkipBad {
		return errors.New(text)
	}
	i.progress.say("liked: " + text)
	return nil
}

// progress is a bar on a terminal, otherwise a line from time to time.
type progress struct {
	w     io.Writer
	verb  string
	count bool // likes, not bytes
	bar   *progressbar.ProgressBar
	total int64 // -1: unknown
	n     int64
	told  time.Time
}

const tellEvery = 5 * time.Second

func newProgress(w io.Writer, verb string, total int64) *progress {
	p := &progress{w: w, verb: verb, total: total, told: time.Now()}
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		p.bar = progressbar.NewOptions64(total, progressbar.OptionSetWriter(w), progressbar.OptionSetDescription(verb),
			progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionShowCount(), progressbar.OptionFullWidth(),
			progressbar.OptionClearOnFinish())
	}
	return p
}

func (p *progress) Write(b []byte) (int, error) {
	p.add(len(b))
	return len(b), nil
}

func (p *progress) add(n int) {
	p.n += int64(n)
	if p.bar != nil {
		_ = p.bar.Add(n) // go on without the terminal
		return
	}
	if time.Since(p.told) < tellEvery {
		return
	}
	p.told = time.Now()
	unit := "bytes"
	if p.count {
		unit = "likes"
	}
	of := ""
	if p.total > 0 {
		of = fmt.Sprintf(" of %d, %d%%", p.total, p.n*100/p.total)
	}
	fmt.Fprintf(p.w, "liked: %s %d %s%s\n", p.verb, p.n, unit, of)
}

func (p *progress) say(line string) {
	if p.bar != nil {
		_ = p.bar.Clear()
	}
	fmt.Fprintln(p.w, line)
}

func (p *progress) end() {
	if p.bar != nil {
		_ = p.bar.Clear()
	}
}
