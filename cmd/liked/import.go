package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"liked"
	"liked/internal/admin"
	"liked/internal/archive"
)

type importCmd struct {
	Files   []string `arg:"" help:"Files or folders to import; - is standard input."`
	User    string   `placeholder:"USER" help:"Whose likes an archive holds, by id or username; needed if the archive does not tell."`
	SkipBad bool     `help:"Leave out what cannot be imported, instead of stopping at it."`
	DryRun  bool     `help:"Read the files and say what is in them; import nothing, and ask no server."`
	Answer
}

func (c *importCmd) check() error {
	if c.DryRun {
		return nil
	}
	return c.Answer.check()
}

func (c *importCmd) Run(e *env) error {
	i := importer{c: c, e: e}
	if c.DryRun {
		return i.run(1) // of whom likes are makes no difference
	}
	return c.with(e, true, func(a *admin.Client) error {
		i.a = a
		var user struct {
			ID liked.UserID `json:"id"`
		}
		if c.User != "" {
			if err := a.Call(e.ctx, "GET", at("users", c.User), nil, &user); err != nil {
				return fmt.Errorf("user: %w", err)
			}
		}
		return i.run(user.ID)
	})
}

// importer sends records in pieces; an interrupted import is complete up to the last piece.
type importer struct {
	c        *importCmd
	e        *env
	a        *admin.Client // nil: a dry run
	progress *progress
	done     admin.Imported
	stopped  bool // by take
	bad      bool // stopped by a refused record
	cut      bool // stopped by the server, or on the way to it
	listed   bool // a refused record, in the answer as JSON

	piece []byte
	where []string // of the piece's records
}

const (
	pieceSize = 2 << 20
	manyAdded = 1_000_000
	maxTold   = 1000 // refused records that are told to people
)

func (i *importer) run(user liked.UserID) error {
	if i.c.JSON {
		fmt.Fprint(i.e.stdout, `{"reasons":[`)
	}
	var err error
	for n := 0; err == nil && n < len(i.c.Files); n++ {
		err = i.file(i.c.Files[n], user)
	}
	if err == nil {
		err = i.settle()
	}
	return errors.Join(i.failed(err), i.report())
}

func (i *importer) file(name string, user liked.UserID) error {
	i.progress = nil
	defer func() {
		if i.progress != nil {
			i.progress.end()
		}
	}()
	o := archive.Options{File: name, In: i.e.stdin, User: user, Now: time.Now()}
	o.Each = func(item archive.Item) error {
		err := i.take(item)
		i.stopped = err != nil
		return err
	}
	err := archive.Read(i.e.ctx, o)
	if !i.stopped {
		err = errors.Join(err, i.send(i.c.SkipBad))
	}
	return err
}

// failed says of an error what is done.
func (i *importer) failed(err error) error {
	if err == nil {
		return nil
	}
	if i.e.ctx.Err() != nil {
		err = errors.New("interrupted")
	}
	done := "what came before it was imported"
	if i.a == nil || i.done.Added+i.done.Kept == 0 && !i.cut {
		done = "nothing was imported"
	}
	switch {
	case i.cut && !slices.Contains(i.c.Files, "-"):
		done += "; the same command goes on from there"
	case i.bad && !i.c.SkipBad:
		done += "; --skip-bad leaves out what cannot be"
	}
	return fmt.Errorf("%w\n%s", err, done)
}

func (i *importer) report() error {
	if more := i.done.Refused - maxTold; i.c.SkipBad && more > 0 {
		fmt.Fprintf(i.e.stderr, "liked: and %d more were refused; --json has the reason for each\n", more)
	}
	text, json := "%d records added, %d were there already, %d refused", `],"added":%d,"kept":%d,"refused":%d}`
	counts := []any{i.done.Added, i.done.Kept, i.done.Refused}
	if i.a == nil {
		text, json = "%d records could be read, %d could not", `],"read":%d,"refused":%d}`
		counts = slices.Delete(counts, 1, 2)
	}
	if i.c.JSON {
		text = json
	}
	_, err := fmt.Fprintf(i.e.stdout, text+"\n", counts...)
	return err
}

func (i *importer) take(item archive.Item) error {
	if i.progress == nil {
		total := item.Of
		if total == 0 {
			total = -1
		}
		i.progress = newProgress(i.e.stderr, "imported", total)
	}
	i.progress.add(int(item.Done - i.progress.n))
	if item.Err != nil {
		if err := i.send(i.c.SkipBad); err != nil {
			return err
		}
		return i.refused(item.Where, archive.Reason(item.Err), i.c.SkipBad)
	}
	i.piece = append(i.piece, item.Line...)
	i.where = append(i.where, item.Where)
	if item.Owner { // without it all others would be refused
		err := i.send(false)
		if i.bad {
			i.bad = false // --skip-bad would not help
			err = fmt.Errorf("%w: give --user", err)
		}
		return err
	}
	if len(i.piece) >= pieceSize || len(i.where) == admin.MaxReasons {
		return i.send(i.c.SkipBad)
	}
	return nil
}

func (i *importer) send(skipBad bool) error {
	defer func() { i.piece, i.where = i.piece[:0], i.where[:0] }()
	if i.a == nil {
		return i.read(skipBad)
	}
	if len(i.piece) == 0 {
		return nil
	}
	var got admin.Imported
	if err := i.a.Call(i.e.ctx, "POST", fmt.Sprintf("%s?skip_bad=%v", at("import"), skipBad), i.piece, &got); err != nil {
		i.cut = true
		return err
	}
	i.done.Added += got.Added
	i.done.Kept += got.Kept
	i.done.Refused += max(0, got.Refused-int64(len(got.Reasons))) // of a server that tells fewer
	for _, bad := range got.Reasons {
		if bad.Line < 1 || bad.Line > int64(len(i.where)) {
			return fmt.Errorf("the server refuses line %d of %d: %s", bad.Line, len(i.where), bad.Reason)
		}
		if err := i.refused(i.where[bad.Line-1], bad.Reason, skipBad); err != nil {
			return err
		}
	}
	return nil
}

// settle ends an import of something: a large store takes a while to be put in order.
func (i *importer) settle() error {
	if i.done.Added == 0 || i.a == nil {
		return nil
	}
	if i.done.Added >= manyAdded {
		fmt.Fprintln(i.e.stderr, "liked: all is imported; now the store is put in order, so that reads are fast")
	}
	return i.a.Call(i.e.ctx, "POST", at("import")+"?settle=true", []byte{}, nil)
}

// read is what a dry run does instead of sending.
func (i *importer) read(skipBad bool) error {
	for n, line := range bytes.SplitAfter(i.piece, []byte("\n")) {
		if len(line) == 0 {
			break
		}
		rec, err := archive.Parse(bytes.TrimSpace(line))
		if err == nil {
			err = archive.Ahead(rec, time.Now())
		}
		if err == nil {
			i.done.Added++
		} else if err := i.refused(i.where[n], archive.Reason(err), skipBad); err != nil {
			return err
		}
	}
	return nil
}

// refused tells of a record that is left out, or ends the import with it.
func (i *importer) refused(where, reason string, skipBad bool) error {
	i.done.Refused++
	if i.c.JSON {
		text, err := json.Marshal(struct {
			Where  string `json:"where"`
			Reason string `json:"reason"`
		}{where, reason})
		if err != nil {
			return err
		}
		if i.listed {
			text = slices.Insert(text, 0, ',')
		}
		i.listed = true
		if _, err := i.e.stdout.Write(text); err != nil {
			return err
		}
	}
	switch {
	case !skipBad:
		i.bad = true
		return fmt.Errorf("%s: %s", where, reason)
	case i.done.Refused <= maxTold:
		i.progress.say("liked: " + where + ": " + reason)
	}
	return nil
}
