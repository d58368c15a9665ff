package api

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"sync"
	"unicode/utf16"
	"unicode/utf8"
)

// encodeInto is encode, which appends to b if it can.
func encodeInto(b []byte, v any) ([]byte, error) {
	if d, ok := v.(*document); ok {
		if text, ok := appendDocument(b, d); ok {
			return text, nil
		}
	}
	return encode(v)
}

// encode writes JSON as X does: compact, no final newline, characters outside the basic multilingual plane as
// upper-case surrogate escapes. It fails only for types without a JSON form.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return escapeAstral(bytes.TrimSuffix(b.Bytes(), []byte("\n"))), nil
}

func mustEncode(v any) []byte {
	text, err := encode(v)
	if err != nil {
		panic(err)
	}
	return text
}

// object is an ordered JSON object: names and values in turn.
type object []any

func (o object) MarshalJSON() ([]byte, error) {
	text := []byte("{")
	for i, v := range o {
		part, err := encode(v)
		if err != nil {
			return nil, err
		}
		switch {
		case i%2 == 1:
			text = append(text, ':')
		case i > 0:
			text = append(text, ',')
		}
		text = append(text, part...)
	}
	return append(text, '}'), nil
}

// escapeAstral escapes four-byte characters in valid JSON, where only strings have them.
func escapeAstral(text []byte) []byte {
	i := bytes.IndexFunc(text, func(r rune) bool { return r > 0xffff })
	if i < 0 {
		return text
	}
	out := append(make([]byte, 0, len(text)+len(text)/2), text[:i]...)
	for _, r := range string(text[i:]) {
		if r > 0xffff {
			high, low := utf16.EncodeRune(r)
			out = fmt.Appendf(out, `\u%04X\u%04X`, high, low)
		} else {
			out = utf8.AppendRune(out, r)
		}
	}
	return out
}

var (
	// compress returns gzip (RFC 1952).
	compress = compressed(func() (compressor, error) { return gzip.NewWriterLevel(nil, gzip.BestSpeed) }, compressor.Close)
	// deflate returns blocks (RFC 1951) that refer to no others, end on a byte and are not the last.
	deflate = compressed(func() (compressor, error) { return flate.NewWriter(nil, flate.BestSpeed) }, compressor.Flush)
)

type compressor interface {
	io.WriteCloser
	Flush() error
	Reset(io.Writer)
}

// compressed returns a function that compresses and then finishes.
func compressed(open func() (compressor, error), finish func(compressor) error) func(text []byte) []byte {
	pool := sync.Pool{New: func() any {
		z, err := open()
		if err != nil {
			panic(err) // the level is constant
		}
		return z
	}}
	return func(text []byte) []byte {
		var b bytes.Buffer
		z := pool.Get().(compressor)
		defer pool.Put(z)
		z.Reset(&b)
		z.Write(text) // never fails
		finish(z)
		return b.Bytes()
	}
}

// acceptsGzip reads an Accept-Encoding header (RFC 9110, 12.5.3).
func acceptsGzip(header string) bool {
	if header == "" {
		return false
	}
	any := false
	for part := range strings.SplitSeq(header, ",") {
		coding, params, _ := strings.Cut(part, ";")
		coding = strings.TrimSpace(coding)
		if coding != "*" && !strings.EqualFold(coding, "gzip") {
			continue
		}
		q, _ := strings.CutPrefix(strings.ToLower(strings.TrimSpace(params)), "q=")
		accepted := strings.Trim(q, "0.") != "" || q == ""
		if coding != "*" {
			return accepted
		}
		any = accepted
	}
	return any
}
