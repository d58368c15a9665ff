package server

import (
	"context"
	"log/slog"
	"slices"
	"strconv"
	"sync"
	"time"
)

// plain writes plain lines as its handler would, in half of the time or less: each request has one. A line is plain if it
// has words, numbers and durations alone, and nothing to be quoted or escaped; all others are the handler's.
type plain struct {
	slog.Handler
	lines *lineWriter
	json  bool // with withUnit; else text
}

// plainLines are buffers. They stay small: what is long, as an error is, has spaces, and a path is cut.
var plainLines = sync.Pool{New: func() any { return new(plainLine) }}

func (h plain) Handle(ctx context.Context, r slog.Record) error {
	line := plainLines.Get().(*plainLine)
	defer plainLines.Put(line)
	line.text, line.json = line.text[:0], h.json
	if !line.record(r) {
		return h.Handler.Handle(ctx, r)
	}
	_, err := h.lines.Write(line.text)
	return err
}

type plainLine struct {
	text []byte
	json bool
}

// record appends the record, and reports whether it is plain; so does attr with a part of one. If not, the line is of no use.
func (l *plainLine) record(r slog.Record) (ok bool) {
	year := r.Time.Year()
	if r.Time.IsZero() || year < 0 || year > 9999 || !isPlain(r.Message) {
		return false
	}
	if l.json {
		l.text = append(r.Time.AppendFormat(append(l.text, `{"time":"`...), time.RFC3339Nano), '"')
	} else {
		l.text = append(l.text, "time="...)
		start := len(l.text)
		l.text = r.Time.AppendFormat(l.text, time.RFC3339)
		ms := r.Time.Nanosecond() / 1e6
		l.text = slices.Insert(l.text, start+len("2006-01-02T15:04:05"), '.', byte('0'+ms/100), byte('0'+ms/10%10), byte('0'+ms%10))
	}
	l.word("level", r.Level.String())
	l.word("msg", r.Message)
	ok = true
	r.Attrs(func(a slog.Attr) bool {
		ok = l.attr(a)
		return ok
	})
	if l.json {
		l.text = append(l.text, '}')
	}
	l.text = append(l.text, '\n')
	return ok
}

func (l *plainLine) attr(a slog.Attr) bool {
	kind := a.Value.Kind()
	if kind == slog.KindGroup && a.Key == "" { // as its members
		for _, member := range a.Value.Group() {
			if !l.attr(member) {
				return false
			}
		}
		return true
	}
	if !isPlain(a.Key) {
		return false
	}
	switch kind {
	case slog.KindString:
		if text := a.Value.String(); isPlain(text) {
			l.word(a.Key, text)
			return true
		}
	case slog.KindInt64:
		l.name(a.Key, "")
		l.text = strconv.AppendInt(l.text, a.Value.Int64(), 10)
		return true
	case slog.KindDuration:
		if l.json {
			l.name(a.Key, unit)
			l.text = strconv.AppendFloat(l.text, milliseconds(a.Value.Duration()), 'f', -1, 64) // ES6's form, from 1 ns on
		} else {
			l.name(a.Key, "")
			l.text = append(l.text, a.Value.Duration().String()...)
		}
		return true
	}
	return false
}

func (l *plainLine) word(name, text string) {
	l.name(name, "")
	if l.json {
		l.text = append(append(append(l.text, '"'), text...), '"')
	} else {
		l.text = append(l.text, text...)
	}
}

// name appends what stands before a value; in JSON, its name ends in suffix.
func (l *plainLine) name(name, suffix string) {
	if l.json {
		l.text = append(append(append(append(l.text, `,"`...), name...), suffix...), `":`...)
	} else {
		l.text = append(append(append(l.text, ' '), name...), '=')
	}
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
