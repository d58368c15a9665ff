package server

import (
	"context"
	"log/slog"
	"slices"
	"strconv"
	"sync"
	"time"
)

// plainText writes plain lines as its slog.TextHandler would, in half of the time: each request has one. A line is plain
// if it has words, numbers and durations alone, and nothing to be quoted; all others are the TextHandler's.
type plainText struct {
	*slog.TextHandler
	lines *lineWriter
}

// plainLines are buffers. They stay small: what is long, as an error is, has spaces, and a path is cut.
var plainLines = sync.Pool{New: func() any { return new([]byte) }}

func (h plainText) Handle(ctx context.Context, r slog.Record) error {
	space := plainLines.Get().(*[]byte)
	defer plainLines.Put(space)
	line, plain := appendPlain((*space)[:0], r)
	*space = line
	if !plain {
		return h.TextHandler.Handle(ctx, r)
	}
	_, err := h.lines.Write(line)
	return err
}

func appendPlain(line []byte, r slog.Record) (_ []byte, plain bool) {
	if r.Time.IsZero() || !isPlain(r.Message) {
		return line, false
	}
	line = append(line, "time="...)
	start := len(line)
	line = r.Time.AppendFormat(line, time.RFC3339)
	ms := r.Time.Nanosecond() / 1e6
	line = slices.Insert(line, start+len("2006-01-02T15:04:05"), '.', byte('0'+ms/100), byte('0'+ms/10%10), byte('0'+ms%10))
	line = append(append(line, " level="...), r.Level.String()...)
	line = append(append(line, " msg="...), r.Message...)
	plain = true
	r.Attrs(func(a slog.Attr) bool {
		line, plain = appendAttr(line, a)
		return plain
	})
	return append(line, '\n'), plain
}

func appendAttr(line []byte, a slog.Attr) (_ []byte, plain bool) {
	kind := a.Value.Kind()
	if kind == slog.KindGroup && a.Key == "" { // as its members
		plain = true
		for _, member := range a.Value.Group() {
			if line, plain = appendAttr(line, member); !plain {
				break
			}
		}
		return line, plain
	}
	if !isPlain(a.Key) {
		return line, false
	}
	line = append(append(append(line, ' '), a.Key...), '=')
	switch kind {
	case slog.KindString:
		if text := a.Value.String(); isPlain(text) {
			return append(line, text...), true
		}
	case slog.KindInt64:
		return strconv.AppendInt(line, a.Value.Int64(), 10), true
	case slog.KindDuration:
		return append(line, a.Value.Duration().String()...), true
	}
	return line, false
}

// isPlain reports whether text stands for itself in a line: it is printable ASCII and not what separates.
func isPlain(text string) bool {
	for i := range len(text) {
		if c := text[i]; c <= ' ' || c >= 0x7f || c == '"' || c == '=' || c == '\\' {
			return false
		}
	}
	return text != ""
}
