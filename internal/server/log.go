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

const flushEvery = 100 * time.Millisecond

// NewLogger returns a logger that writes lines to w as "text" or "json". They reach w within 100 ms, at once from Warn
// on; a crash loses at most the last 100 ms below Warn. flush must be called after the last line.
func NewLogger(w io.Writer, format string, level slog.Level) (logger *slog.Logger, flush func(), err error) {
	lines := &lineWriter{to: w, buf: bufio.NewWriterSize(w, 64<<10)}
	lines.timer = time.AfterFunc(flushEvery, lines.flush)
	o := &slog.HandlerOptions{Level: level}
	var h slog.Handler
	switch format {
	case "text":
		h = plain{slog.NewTextHandler(lines, o), lines, false}
	case "json":
		o.ReplaceAttr = withUnit
		h = plain{slog.NewJSONHandler(lines, o), lines, true}
	default:
		return nil, nil, fmt.Errorf("log-format: %q is not one of [text json]", format)
	}
	return slog.New(urgent{h, lines}), lines.flush, nil
}

// withUnit names the unit of a duration, which would be a bare number in JSON.
func withUnit(_ []string, a slog.Attr) slog.Attr {
	switch v := a.Value; v.Kind() {
	case slog.KindDuration:
		return slog.Float64(a.Key+unit, milliseconds(v.Duration()))
	case slog.KindAny:
		if level, ok := v.Any().(slog.Level); ok { // as without this function, and as cheap
			return slog.String(a.Key, level.String())
		}
	}
	return a
}

// unit is of durations in JSON.
const unit = "_ms"

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// urgent flushes from Warn on.
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

// lineWriter buffers lines. A handler writes each with one call.
type lineWriter struct {
	mu    sync.Mutex
	to    io.Writer
	buf   *bufio.Writer
	timer *time.Timer // runs from the first write to an empty buffer
}

func (l *lineWriter) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.buf.Available() < len(line) { // keeps lines whole beside other writers to w
		l.empty()
	}
	if l.buf.Buffered() == 0 {
		l.timer.Reset(flushEvery)
	}
	return l.buf.Write(line)
}

func (l *lineWriter) flush() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.empty()
}

// empty drops lines that cannot be written, and the error, which can be reported nowhere else: a server does not stop for
// its log, and its next lines may find a reader or room again.
func (l *lineWriter) empty() {
	if l.buf.Flush() != nil {
		l.buf.Reset(l.to)
	}
}
