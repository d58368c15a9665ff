package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"liked/internal/admin"
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

// progress is a bar on a terminal, otherwise a line from time to time.
type progress struct {
	w     io.Writer
	verb  string
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
	how := fmt.Sprintf("%d bytes", p.n)
	if p.total > 0 {
		how = fmt.Sprintf("%d%%", p.n*100/p.total)
	}
	fmt.Fprintf(p.w, "liked: %s %s\n", p.verb, how)
}

func (p *progress) say(line string) {
	if p.bar != nil {
		_ = p.bar.Clear()
	}
	fmt.Fprintln(p.w, printableLines(line))
}

func (p *progress) end() {
	if p.bar != nil {
		_ = p.bar.Clear()
	}
}
