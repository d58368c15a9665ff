package journal

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"liked/internal/exchange"
)

// MaxBody is how much of a body is kept, in bytes.
const MaxBody = 16 << 10

// heldBack is how many bytes of an answer wait until its row is in the journal, so that a client that has read an answer
// finds its row.
const heldBack = 512

// unreadTime is how long a request in HTTP/2 may take to send a body that its handler did not read.
const unreadTime = 100 * time.Millisecond

// Handler records what next answers. A nil Journal returns next.
func (j *Journal) Handler(next http.Handler) http.Handler {
	if j == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		x := recorders.Get().(*recorder)
		*x = recorder{ResponseWriter: w, j: j, proto: r.ProtoMajor, row: new(row), request: x.request.reset(), answer: x.answer.reset(),
			head: x.head[:0], scratch: x.scratch}
		x.scratch.cutter.seen = x.scratch.cutter.seen[:0]
		x.row.clears = j.clears.Load()
		x.row.method, x.row.path, x.query = r.Method, r.URL.EscapedPath(), r.URL.RawQuery
		start := time.Now()
		x.inner = r.WithContext(exchange.WithDetails(r.Context(), &x.details))
		if r.Body != nil && r.Body != http.NoBody {
			x.request.ReadCloser = r.Body
			x.expects = r.Header["Expect"] != nil
			x.inner.Body = &x.request
		}
		answered := false
		defer func() {
			x.end(time.Since(start))
			if answered {
				_ = x.release() // an error: the client is gone
				recorders.Put(x)
			}
		}()
		next.ServeHTTP(x, x.inner)
		answered = true
	})
}

var recorders = sync.Pool{New: func() any { return new(recorder) }}

// recorder is one request under way.
type recorder struct {
	http.ResponseWriter
	j       *Journal
	row     *row
	details exchange.Details
	inner   *http.Request
	proto   int
	query   string
	expects bool // an invitation to send the body

	request body
	answer  body
	head    []byte // of the answer
	status  int
	held    [heldBack]byte
	waiting int // bytes of held
	entered bool

	scratch scratch
}

// body is one side's, as far as it is kept.
type body struct {
	io.ReadCloser
	text  []byte
	total int64
	ended bool
}

func (b *body) reset() body {
	if cap(b.text) > MaxBody {
		return body{}
	}
	return body{text: b.text[:0]}
}

func (b *body) add(p []byte) {
	b.total += int64(len(p))
	b.text = append(b.text, p[:min(len(p), MaxBody-len(b.text))]...)
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.add(p[:n])
	b.ended = b.ended || err != nil
	return n, err
}

func (x *recorder) Unwrap() http.ResponseWriter { return x.ResponseWriter }

func (x *recorder) WriteHeader(status int) {
	if x.status == 0 && status >= 200 {
		x.status = status
		x.readRest()
		if status == http.StatusRequestEntityTooLarge && x.proto == 1 {
			x.Header().Set("Connection", "close") // as net/http does with a writer of its own
		}
		x.head = appendHead(x.head, x.Header(), &x.scratch)
	}
	x.ResponseWriter.WriteHeader(status)
}

// readRest reads a body that the handler did not, as net/http would before it answers.
func (x *recorder) readRest() {
	b := &x.request
	if b.ReadCloser == nil || b.ended || x.expects || x.inner.ContentLength > MaxBody || len(b.text) == MaxBody {
		return
	}
	if x.proto > 1 && http.NewResponseController(x.ResponseWriter).SetReadDeadline(time.Now().Add(unreadTime)) != nil {
		return
	}
	_, _ = io.CopyN(io.Discard, b, int64(MaxBody-len(b.text)))
}

func (x *recorder) Write(p []byte) (int, error) {
	if x.status == 0 {
		x.WriteHeader(http.StatusOK)
	}
	x.answer.add(p)
	if err := x.release(); err != nil {
		return 0, err
	}
	now := p[:max(0, len(p)-heldBack)]
	if len(now) > 0 {
		if n, err := x.ResponseWriter.Write(now); err != nil {
			return n, err
		}
	}
	x.waiting = copy(x.held[:], p[len(now):])
	return len(p), nil
}

// release writes what is held back.
func (x *recorder) release() (err error) {
	if n := x.waiting; n > 0 {
		x.waiting = 0
		_, err = x.ResponseWriter.Write(x.held[:n])
	}
	return err
}

// FlushError enters the row, if it is not there yet: the answer is a stream.
func (x *recorder) FlushError() error {
	if x.status == 0 {
		x.WriteHeader(http.StatusOK)
	}
	if !x.entered {
		x.entered = true
		x.row.open = true
		x.complete(0)
		x.enter()
	}
	if err := x.release(); err != nil {
		return err
	}
	return http.NewResponseController(x.ResponseWriter).Flush()
}

// end completes the row.
func (x *recorder) end(took time.Duration) {
	if !x.entered {
		x.complete(took)
		x.enter()
	} else {
		began := x.row
		x.row = &row{seq: began.seq, clears: began.clears, at: began.at, method: began.method, path: began.path}
		x.complete(took)
		x.j.complete(x.row)
	}
}

func (x *recorder) enter() {
	if x.j.enter(x.row) && x.row.isCall() {
		x.j.tally.answered(x.status)
	}
}

// complete fills in the row from what is known by now.
func (x *recorder) complete(took time.Duration) {
	known, s, r, w := &x.details.Exchange, &x.scratch, x.inner, x.row
	w.at = x.j.at(w.at)
	w.transaction, w.operation, w.user, w.app = known.TransactionID, known.Operation, known.User, known.App
	w.credential, w.why, w.took = known.Credential, known.Why, took
	w.status = x.status
	w.limits, w.counted, w.signature, w.once = x.details.Limits, x.details.Counted, x.details.Signature, x.details.Once
	if w.transaction == "" {
		w.transaction = exchange.RandomHex(8)
	}
	if w.signature != nil && w.app == 0 {
		w.app, w.user = w.signature.App, w.signature.User
	}
	s.text = appendHead(s.text[:0], r.Header, s)
	s.text = appendField(s.text, s, "Host", r.Host)
	w.ends[0] = len(s.text)
	if x.query != "" {
		w.query = s.cutter.form(x.query[:min(len(x.query), maxLine)])
	}
	w.sizes[0], w.sizes[1] = x.request.total, x.answer.total
	w.add(s, 0, r.Header.Get("Content-Type"), "", x.request.text)
	w.ends[1] = len(s.text)
	s.text = append(s.text, x.head...)
	w.ends[2] = len(s.text)
	if !isAPI(w.path) { // pages show secrets under no name
		w.omitted[1] = "it is a page or a file"
	} else {
		h := x.Header()
		w.add(s, 1, h.Get("Content-Type"), h.Get("Content-Encoding"), x.answer.text)
	}
	w.finish(s)
}

// isAPI reports whether answers at the path are of the API or the token endpoints.
func isAPI(path string) bool {
	for _, prefix := range []string{"/2/", "/1.1/", "/oauth2/", "/oauth/"} {
		if strings.HasPrefix(path, prefix) {
			return true
		}
	}
	return false
}

// maxLine bounds path and query, in bytes.
const maxLine = 4 << 10

// scratch is reused by all rows of a recorder.
type scratch struct {
	cutter cutter
	text   []byte
	zip    *gzip.Reader
	plain  bytes.Buffer
}

// add appends a body.
func (w *row) add(s *scratch, side int, contentType, encoding string, text []byte) {
	if len(text) == 0 {
		return
	}
	w.cut[side] = w.sizes[side] > MaxBody
	switch {
	case strings.EqualFold(encoding, "gzip"):
		text, w.omitted[side] = s.unzip(text)
		if len(text) > MaxBody {
			text, w.cut[side] = text[:MaxBody], true
		}
	case encoding != "":
		w.omitted[side] = "it is encoded"
	}
	if w.omitted[side] == "" {
		text, w.omitted[side] = s.cutter.body(contentType, text)
		s.text = append(s.text, text...)
	}
}

func (s *scratch) unzip(text []byte) (plain []byte, omitted string) {
	var err error
	if s.zip == nil {
		s.zip, err = gzip.NewReader(bytes.NewReader(text))
	} else {
		err = s.zip.Reset(bytes.NewReader(text))
	}
	if err != nil {
		s.zip = nil
		return nil, "it cannot be unpacked"
	}
	s.plain.Reset()
	_, _ = io.CopyN(&s.plain, s.zip, MaxBody+1) // an error: the rest was cut off
	return s.plain.Bytes(), ""
}

// finish takes the texts over, without secrets wherever they stand.
func (w *row) finish(s *scratch) {
	if !s.cutter.finds(s.text) {
		w.text = bytes.Clone(s.text)
	} else {
		parts := [4][]byte{s.text[:w.ends[0]], s.text[w.ends[0]:w.ends[1]], s.text[w.ends[1]:w.ends[2]], s.text[w.ends[2]:]}
		n := 0
		for i, part := range parts {
			parts[i] = s.cutter.again(part)
			n += len(parts[i])
			if i < 3 {
				w.ends[i] = n
			}
		}
		w.text = slices.Concat(parts[:]...)
	}
	w.why, w.path, w.query = s.cutter.againIn(w.why), s.cutter.againIn(w.path[:min(len(w.path), maxLine)]), s.cutter.againIn(w.query)
}

// appendHead writes a header, a line for each field, without secrets.
func appendHead(text []byte, h http.Header, s *scratch) []byte {
	for key, values := range h {
		for _, value := range values {
			text = appendField(text, s, key, value)
		}
	}
	return text
}

func appendField(text []byte, s *scratch, key, value string) []byte {
	switch key {
	case "Authorization", "Proxy-Authorization":
		value = s.cutter.authorization(value)
	case "Cookie":
		value = s.cutter.cookies(value, false)
	case "Set-Cookie":
		value = s.cutter.cookies(value, true)
	default:
		if !plainHeaders[key] {
			value = s.cutter.named(key, value)
		}
	}
	return append(append(append(append(text, key...), ": "...), value...), '\n')
}

// plainHeaders never hold secrets, and are in most exchanges.
var plainHeaders = func() map[string]bool {
	is := make(map[string]bool)
	for _, key := range strings.Fields(`Accept Accept-Encoding Content-Length Content-Type Host User-Agent Api-Version Cache-Control
		Content-Disposition Content-Encoding Perf Server Strict-Transport-Security Vary X-Access-Level X-Connection-Hash
		X-Content-Type-Options X-Frame-Options X-Rate-Limit-Limit X-Rate-Limit-Remaining X-Rate-Limit-Reset X-Response-Time
		X-Transaction-Id X-Xss-Protection X-App-Limit-24hour-Limit X-App-Limit-24hour-Remaining X-App-Limit-24hour-Reset
		X-User-Limit-24hour-Limit X-User-Limit-24hour-Remaining X-User-Limit-24hour-Reset X-Twitter-Webhooks-Signature`) {
		is[key] = true
	}
	return is
}()

// Transport records the requests of next, whose contexts have Details with a transaction id. A nil Journal returns next.
func (j *Journal) Transport(next http.RoundTripper) http.RoundTripper {
	if j == nil {
		return next
	}
	return transport{j, next}
}

type transport struct {
	j    *Journal
	next http.RoundTripper
}

func (t transport) RoundTrip(r *http.Request) (*http.Response, error) {
	d := exchange.DetailsOf(r.Context())
	if d == nil {
		return t.next.RoundTrip(r)
	}
	w := &row{clears: t.j.clears.Load(), sent: true, method: r.Method, path: cmp.Or(r.URL.EscapedPath(), "/")}
	var s scratch
	known := &d.Exchange
	w.operation, w.user, w.app = known.Operation, known.User, known.App
	w.delivery, w.transaction, w.at = d.Delivery, known.TransactionID, t.j.at(time.Time{})
	sent, got := body{}, body{}
	if r.Body != nil && r.Body != http.NoBody {
		if again, err := r.GetBody(); err == nil {
			sent.ReadCloser = again
			_, _ = io.Copy(io.Discard, &sent)
			_ = again.Close()
		}
	}
	start := time.Now()
	resp, err := t.next.RoundTrip(r)
	w.took = time.Since(start)
	s.text = appendField(appendHead(s.text, r.Header, &s), &s, "Host", r.URL.Host)
	w.ends[0] = len(s.text)
	w.query = s.cutter.form(r.URL.RawQuery)
	w.sizes[0] = sent.total
	w.add(&s, 0, r.Header.Get("Content-Type"), "", sent.text)
	w.ends[1], w.ends[2] = len(s.text), len(s.text)
	if err != nil {
		w.why = s.cutter.url(err.Error())
		if context.Cause(r.Context()) == context.DeadlineExceeded {
			w.why = "no answer came in time"
		}
	} else {
		w.status = resp.StatusCode
		text, readErr := io.ReadAll(io.LimitReader(resp.Body, MaxBody))
		got.add(text)
		w.sizes[1] = got.total
		rest := io.Reader(resp.Body)
		if readErr != nil {
			rest = failing{readErr}
		}
		resp.Body = struct {
			io.Reader
			io.Closer
		}{io.MultiReader(bytes.NewReader(text), rest), resp.Body}
		s.text = appendHead(s.text, resp.Header, &s)
		w.ends[2] = len(s.text)
		w.add(&s, 1, resp.Header.Get("Content-Type"), resp.Header.Get("Content-Encoding"), got.text)
		if resp.StatusCode >= 300 {
			w.why = "the webhook did not take it: it must answer with a status from 200 to 299"
		}
	}
	w.why = cmp.Or(known.Why, w.why)
	w.finish(&s)
	t.j.enter(w)
	return resp, err
}

type failing struct{ error }

func (f failing) Read([]byte) (int, error) { return 0, f.error }
