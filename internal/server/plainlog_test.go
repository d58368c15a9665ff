package server

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"
)

// inBoth writes a record as slog does and as plain does, in either format.
func inBoth(t *testing.T, r slog.Record) (want, got string) {
	t.Helper()
	var theirs, ours bytes.Buffer
	lines := &lineWriter{to: &ours, buf: bufio.NewWriter(&ours), timer: time.NewTimer(time.Hour)}
	o := &slog.HandlerOptions{ReplaceAttr: withUnit}
	for _, h := range []slog.Handler{slog.NewTextHandler(&theirs, nil), slog.NewJSONHandler(&theirs, o),
		plain{slog.NewTextHandler(lines, nil), lines, false}, plain{slog.NewJSONHandler(lines, o), lines, true}} {
		if err := h.Handle(context.Background(), r); err != nil {
			t.Fatal(err)
		}
	}
	lines.flush()
	return theirs.String(), ours.String()
}

func TestPlainLines(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 12, 1, 9, 8, 7, 6_999_999, time.FixedZone("", 5400))
	for _, attrs := range [][]slog.Attr{
		nil,
		{slog.String("path", "/2/users/1/likes"), slog.Int("status", -1), slog.Duration("duration", 1234567), slog.Duration("none", 0)},
		{slog.Attr{Value: slog.GroupValue(slog.String("a", "b"), slog.Int64("c", 1<<62), slog.Group("g", slog.Int("d", 1)))}},
		{slog.Attr{Value: slog.GroupValue(slog.String("a", "b"), slog.Attr{Value: slog.GroupValue(slog.Int("c", 2))})}},
		{slog.Group("g", slog.String("a", "b"))},
		{slog.Group("empty"), slog.Attr{}, slog.Attr{Value: slog.GroupValue()}},
		{slog.String("", "no name"), slog.String("two words", "x"), slog.String("a=b", "x"), slog.String("x", "")},
		{slog.Any("error", errors.New("it broke")), slog.Bool("on", true), slog.Float64("x", 1.5),
			slog.Uint64("u", 1<<63), slog.Time("t", at)},
	} {
		for _, when := range []time.Time{at, at.UTC(), at.Add(994 * time.Millisecond), {}} {
			for _, level := range []slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelError + 1} {
				for _, message := range []string{"request", "two words", "", "ümlaut"} {
					r := slog.NewRecord(when, level, message, 0)
					r.AddAttrs(attrs...)
					if want, got := inBoth(t, r); got != want {
						t.Errorf("%v: got %q, slog writes %q", attrs, got, want)
					}
				}
			}
		}
	}
}

func FuzzPlainLine(f *testing.F) {
	f.Add("path", "/2/users/1/likes", int64(1_700_000_000_123_456_789), int64(1500))
	for _, text := range []string{"", "a b", `a"b`, "a=b", `a\b`, "a\nb", "é", "\xff", "\x7f", "%2F", "[::1]:80", "<a>&'"} {
		f.Add(text, "x", int64(0), int64(-1))
		f.Add("x", text, int64(-1), int64(1)<<62)
	}
	f.Fuzz(func(t *testing.T, key, text string, at, number int64) {
		r := slog.NewRecord(time.Unix(0, at).UTC(), slog.Level(number%100), text, 0)
		r.AddAttrs(slog.String(key, text), slog.Int64("n", number),
			slog.Attr{Value: slog.GroupValue(slog.Duration(key, time.Duration(number)), slog.String("x", key))})
		if want, got := inBoth(t, r); got != want {
			t.Errorf("got %q, slog writes %q", got, want)
		}
	})
}

func BenchmarkRequestLine(b *testing.B) {
	r := slog.NewRecord(time.Now(), slog.LevelInfo, "request", 0)
	r.AddAttrs(slog.Attr{Value: slog.GroupValue(slog.String("operation", "usersIdLike"), slog.String("method", "POST"),
		slog.Int("status", 200), slog.Duration("duration", 4_567_890),
		slog.String("transaction", "0123456789abcdef"), slog.String("address", "127.0.0.1"),
		slog.String("path", "/2/users/2244994945/likes"), slog.Int64("app", 12345678), slog.Int64("user", 2244994945))})
	text, json := slog.NewTextHandler(discarded{}, nil), slog.NewJSONHandler(discarded{}, &slog.HandlerOptions{ReplaceAttr: withUnit})
	lines := &lineWriter{to: discarded{}, buf: bufio.NewWriterSize(discarded{}, 64<<10), timer: time.NewTimer(time.Hour)}
	for name, h := range map[string]slog.Handler{"text/slog": text, "text/plain": plain{text, lines, false},
		"json/slog": json, "json/plain": plain{json, lines, true}} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_ = h.Handle(context.Background(), r)
			}
		})
	}
}

type discarded struct{}

func (discarded) Write(p []byte) (int, error) { return len(p), nil }
