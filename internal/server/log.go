package server

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"
)

// flushEvery bounds how long a line stays in memory, and so what a crash can lose of the log.
const flushEvery = 100 * time.Millisecond

// NewLogger returns a logger that writes lines to w as "text" or "json". Lines are gathered: they reach w within 100 ms,
// at once from Warn on, and when close is called, which must be done once, after the last line. A crash loses at most
// the last 100 ms below Warn.
func NewLogger(w io.Writer, format string, level slog.Level) (logger *slog.Logger, close func(), err error) {
	lines := newLineWriter(w)
	o := &slog.HandlerOptions{Level: level}
	var h slog.Handler
	switch format {
	case "text":
		h = slog.NewTextHandler(lines, o)
	case "json":
		h = slog.NewJSONHandler(lines, o)
	default:
		lines.close()
		return nil, nil, fmt.Errorf("log-format: %q is not one of [text json]", format)
	}
	return slog.New(urgent{h, lines}), lines.close, nil
}

// urgent sees to it that warnings are not kept waiting.
type urgent struct {
	slog.Handler
	lines *lineWriter
}

func (u urgent) Handle(ctx context.Context, r slog.Record) error {
	err := u.Handler.Handle(ctx, r)
	if r.Level >= slog.LevelWarn {
		u.lines.flush()
	}
	return err
}

func (u urgent) WithAttrs(attrs []slog.Attr) slog.Handler {
	return urgent{u.Handler.WithAttrs(attrs), u.lines}
}

func (u urgent) WithGroup(name string) slog.Handler {
	return urgent{u.Handler.WithGroup(name), u.lines}
}

// lineWriter gathers lines. A handler writes each with one call.
type lineWriter struct {
	mu   sync.Mutex
	buf  *bufio.Writer
	stop chan struct{}
	done chan struct{}
}

func newLineWriter(w io.Writer) *lineWriter {
	l := &lineWriter{buf: bufio.NewWriterSize(w, 64<<10), stop: make(chan struct{}), done: make(chan struct{})}
	go func() {
		defer close(l.done)
		tick := time.NewTicker(flushEvery)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				l.flush()
			case <-l.stop:
				l.flush()
				return
			}
		}
	}()
	return l
}

func (l *lineWriter) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.buf.Available() < len(line) { // so that a line is not cut in two by what else writes to w
		_ = l.buf.Flush()
	}
	return l.buf.Write(line)
}

// flush drops errors: there is nowhere left to report them, and the server must not stop for want of a log.
func (l *lineWriter) flush() {
	l.mu.Lock()
	defer l.mu.Unlock()
	_ = l.buf.Flush()
}

func (l *lineWriter) close() {
	close(l.stop)
	<-l.done
}
