package fastpath

import (
	"bytes"
	"context"
	"crypto/tls"
	"net/http"
	"net/textproto"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

const (
	bufferSize = 4 << 10 // the largest plain request, body included
	maxLines   = 32      // of its head
)

type state int

const (
	part  state = iota // the beginning of what may be a plain request
	whole              // a plain request
	other              // for net/http
)

// request reads the requests of one connection.
type request struct {
	base   http.Request // common to all
	seen   []line       // of earlier requests, by position: most come again
	header http.Header  // reused by all requests
	filled int          // lines that header was filled for; -1 if a key has changed since

	// What the handler gets. All requests share this memory and the values of each line.
	given struct {
		http.Request
		url  url.URL
		body body
	}

	// The last request.
	method, target string
	url            url.URL // of the target
	host           string
	lines          int
	body           []byte // nil if none
}

type line struct {
	text   []byte
	key    string   // canonical
	values []string // exactly one
}

func (q *request) init(ctx context.Context, remote string, state *tls.ConnectionState) {
	q.header, q.filled = make(http.Header), -1
	q.base = *(&http.Request{Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, RemoteAddr: remote, TLS: state}).WithContext(ctx)
}

// parse reads a request at the beginning of text, and returns its size if it is complete.
func (q *request) parse(text []byte, takes func(path string) bool) (size int, s state) {
	first, rest, s := cutLine(text)
	if s != whole {
		return 0, s
	}
	if !q.parseFirst(first) || !takes(q.url.Path) {
		return 0, other
	}
	q.lines, q.body = 0, nil
	length := uint64(0)
	for {
		var text []byte
		if text, rest, s = cutLine(rest); s != whole {
			return 0, s
		}
		if len(text) == 0 {
			break
		}
		l := q.parseLine(text)
		if l == nil {
			return 0, other
		}
		value := l.values[0]
		switch l.key {
		case "Host":
			if q.host = value; value == "" || !consistsOf(value, &hostBytes) {
				return 0, other
			}
		case "Content-Length":
			var err error
			if length, err = strconv.ParseUint(value, 10, 12); err != nil { // more does not fit the buffer
				return 0, other
			}
		case "Connection":
			if !strings.EqualFold(value, "keep-alive") {
				return 0, other
			}
		case "Expect", "Pragma", "Trailer", "Transfer-Encoding", "Upgrade":
			return 0, other
		}
	}
	if q.filled != q.lines && !q.fill() {
		return 0, other
	}
	size = len(text) - len(rest)
	if length > 0 {
		if length > uint64(len(rest)) {
			return 0, part
		}
		q.body = rest[:length]
		size += len(q.body)
	}
	return size, whole
}

// cutLine returns the first line of text, without its end, and the rest.
func cutLine(text []byte) (line, rest []byte, s state) {
	i := bytes.IndexByte(text, '\n')
	switch {
	case i < 0:
		return nil, nil, part
	case i == 0 || text[i-1] != '\r':
		return nil, nil, other
	}
	return text[:i-1], text[i+1:], whole
}

// methods are those of plain requests.
var methods = []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodDelete}

// parseFirst reads a line "POST /path?query HTTP/1.1".
func (q *request) parseFirst(line []byte) bool {
	method, line, _ := bytes.Cut(line, []byte(" "))
	i := slices.IndexFunc(methods, func(m string) bool { return m == string(method) })
	target, ok := bytes.CutSuffix(line, []byte(" HTTP/1.1"))
	if i < 0 || !ok || len(target) == 0 || target[0] != '/' || bytes.IndexByte(target, ' ') >= 0 {
		return false
	}
	q.method = methods[i]
	if string(target) == q.target {
		return true
	}
	q.target = string(target)
	if consistsOf(target, &pathBytes) { // its own escaped form
		q.url = url.URL{Path: q.target}
		return true
	}
	u, err := url.ParseRequestURI(q.target)
	if err != nil {
		q.target = ""
		return false
	}
	q.url = *u
	return true
}

// parseLine reads a header line. It returns nil if the line is not plain.
func (q *request) parseLine(text []byte) *line {
	if q.lines == maxLines {
		return nil
	}
	if q.lines == len(q.seen) {
		q.seen = append(q.seen, line{})
	}
	l := &q.seen[q.lines]
	q.lines++
	if l.values != nil && bytes.Equal(text, l.text) {
		return l
	}
	name, value, ok := bytes.Cut(text, []byte(":"))
	if !ok || len(name) == 0 || !consistsOf(name, &nameBytes) || !consistsOf(value, &valueBytes) {
		return nil
	}
	if before, _, _ := bytes.Cut(l.text, []byte(":")); l.values == nil || !bytes.Equal(name, before) {
		l.key = textproto.CanonicalMIMEHeaderKey(string(name))
		l.values = make([]string, 1)
		q.filled = -1
	}
	l.text = append(l.text[:0], text...)
	l.values[0] = string(bytes.Trim(value, " \t"))
	return l
}

// next returns the request as net/http would. It is valid until the next one is read.
func (q *request) next() *http.Request {
	x := &q.given
	x.Request = q.base
	x.url = q.url
	r := &x.Request
	r.Method, r.RequestURI, r.URL, r.Host, r.Header = q.method, q.target, &x.url, q.host, q.header
	r.Body = http.NoBody
	if q.body != nil {
		x.body.Reset(q.body)
		r.Body, r.ContentLength = &x.body, int64(len(q.body))
	}
	return r
}

// fill makes the header. It stays right as long as requests have the same keys in the same order, since the values are
// the lines' own. fill reports false if Host is missing or a key repeats: net/http knows whether it may, and which
// value counts.
func (q *request) fill() bool {
	clear(q.header)
	q.filled = -1
	for i := range q.seen[:q.lines] {
		l := &q.seen[i]
		if q.header[l.key] != nil {
			return false
		}
		q.header[l.key] = l.values
	}
	if q.header["Host"] == nil {
		return false
	}
	delete(q.header, "Host")
	q.filled = q.lines
	return true
}

type body struct{ bytes.Reader }

func (*body) Close() error { return nil }

type byteSet [256]bool

var (
	alphanumeric = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	pathBytes    = newByteSet(alphanumeric + "-._~/")
	hostBytes    = newByteSet(alphanumeric + "-._:[]")
	nameBytes    = newByteSet(alphanumeric + "-_") // fewer than in a token (RFC 9110, 5.6.2)
	valueBytes   = newByteSet(alphanumeric + " \t!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~")
)

func newByteSet(members string) (s byteSet) {
	for _, c := range []byte(members) {
		s[c] = true
	}
	return s
}

func consistsOf[T string | []byte](text T, s *byteSet) bool {
	for i := range len(text) {
		if !s[text[i]] {
			return false
		}
	}
	return true
}
