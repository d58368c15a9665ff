package journal

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"io"
	"net/http"
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
		x.begin(j, w, r)
		answered := false
		defer func() {
			x.end(time.Now())
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
	record  record
	start   time.Time // by the real clock
	details exchange.Details
	inner   *http.Request
	proto   int
	expects bool // an invitation to send the body

	request body
	answer  body
	head    []byte // of the answer
	status  int
	held    []byte // of the answer, at most heldBack
	entered bool

	unpacker unpacker
}

// begin makes the recorder one of another request. Its buffers are used again.
func (x *recorder) begin(j *Journal, w http.ResponseWriter, r *http.Request) {
	x.ResponseWriter, x.j, x.proto = w, j, r.ProtoMajor
	x.record = record{clears: j.clears.Load(), method: r.Method, path: short(r.URL.EscapedPath()), query: short(r.URL.RawQuery),
		text: x.record.text[:0]}
	x.details = exchange.Details{}
	x.request.reset()
	x.answer.reset()
	x.head, x.held, x.status, x.entered, x.expects = x.head[:0], x.held[:0], 0, false, false
	x.start = time.Now()
	x.inner = r.WithContext(exchange.WithDetails(r.Context(), &x.details))
	if r.Body != nil && r.Body != http.NoBody {
		x.request.ReadCloser = r.Body
		x.expects = r.Header["Expect"] != nil
		x.inner.Body = &x.request
	}
}

// body is one side's, as far as it is kept.
type body struct {
	io.ReadCloser
	text  []byte
	total int64
	ended bool
}

func (b *body) reset() {
	text := b.text[:0]
	if cap(text) > MaxBody {
		text = nil
	}
	*b = body{text: text}
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
		x.head = appendHead(x.head, x.Header())
	}
	x.ResponseWriter.WriteHeader(status)
}

// readRest reads a body that the handler did not, as net/http would before it answers.
func (x *recorder) readRest() {
	b := &x.request
	length := x.inner.ContentLength
	if b.ReadCloser == nil || b.ended || b.total == length || x.expects || length > MaxBody || len(b.text) == MaxBody {
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
	x.held = append(x.held, p[len(now):]...)
	return len(p), nil
}

// release writes what is held back.
func (x *recorder) release() (err error) {
	if len(x.held) > 0 {
		_, err = x.ResponseWriter.Write(x.held)
		x.held = x.held[:0]
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
		x.record.open = true
		x.complete(0)
		x.j.enter(&x.record, time.Now())
	}
	if err := x.release(); err != nil {
		return err
	}
	return http.NewResponseController(x.ResponseWriter).Flush()
}

// end completes the record.
func (x *recorder) end(now time.Time) {
	x.record.open = false
	x.complete(now.Sub(x.start))
	if x.entered {
		x.j.complete(&x.record)
	} else {
		x.j.enter(&x.record, now)
	}
}

// complete fills in the record from what is known by now.
func (x *recorder) complete(took time.Duration) {
	known, r, w := &x.details.Exchange, x.inner, &x.record
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
	text := appendField(appendHead(w.text[:0], r.Header), "Host", r.Host)
	w.ends[0] = len(text)
	text = append(text, x.request.text...)
	w.ends[1] = len(text)
	text = append(text, x.head...)
	w.ends[2] = len(text)
	w.sizes = [2]int64{x.request.total, x.answer.total}
	switch {
	case x.answer.total == 0:
	case !isAPI(w.path): // pages show secrets under no name
		w.omitted = "it is a page or a file"
	default:
		text, w.omitted = x.unpacker.append(text, x.Header(), x.answer.text)
	}
	w.text = text
}

// unpacker appends bodies as they were before they were compressed.
type unpacker struct{ zip *gzip.Reader }

// append returns why it does not, if that is so.
func (u *unpacker) append(text []byte, h http.Header, body []byte) (_ []byte, omitted string) {
	switch encoding := h["Content-Encoding"]; {
	case len(encoding) == 0:
		return append(text, body...), ""
	case !strings.EqualFold(encoding[0], "gzip"):
		return text, "it is encoded"
	}
	if u.zip == nil {
		u.zip = new(gzip.Reader)
	}
	if u.zip.Reset(bytes.NewReader(body)) != nil {
		return text, "it cannot be unpacked"
	}
	plain := bytes.NewBuffer(text)
	_, _ = io.CopyN(plain, u.zip, MaxBody+1) // an error: the rest was cut off
	return plain.Bytes(), ""
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

// short is the beginning of a path or a query, as much as is kept.
func short(text string) string { return text[:min(len(text), 4<<10)] }

// appendHead writes a header, a line for each field.
func appendHead(text []byte, h http.Header) []byte {
	for key, values := range h {
		for _, value := range values {
			text = appendField(text, key, value)
		}
	}
	return text
}

func appendField(text []byte, key, value string) []byte {
	return append(append(append(append(text, key...), ": "...), value...), '\n')
}

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
	w := record{clears: t.j.clears.Load(), sent: true, method: r.Method, path: short(cmp.Or(r.URL.EscapedPath(), "/")),
		query: short(r.URL.RawQuery)}
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
	w.text = appendField(appendHead(nil, r.Header), "Host", r.URL.Host)
	w.ends[0] = len(w.text)
	w.text = append(w.text, sent.text...)
	w.ends[1], w.ends[2] = len(w.text), len(w.text)
	if err != nil {
		w.why = new(cutter).url(err.Error())
		if context.Cause(r.Context()) == context.DeadlineExceeded {
			w.why = "no answer came in time"
		}
	} else {
		w.status = resp.StatusCode
		text, readErr := io.ReadAll(io.LimitReader(resp.Body, MaxBody))
		got.add(text)
		rest := io.Reader(resp.Body)
		if readErr != nil {
			rest = failing{readErr}
		}
		resp.Body = struct {
			io.Reader
			io.Closer
		}{io.MultiReader(bytes.NewReader(text), rest), resp.Body}
		w.text = appendHead(w.text, resp.Header)
		w.ends[2] = len(w.text)
		w.text, w.omitted = new(unpacker).append(w.text, resp.Header, got.text)
		if resp.StatusCode >= 300 {
			w.why = "the webhook did not take it: it must answer with a status from 200 to 299"
		}
	}
	w.sizes = [2]int64{sent.total, got.total}
	w.why = cmp.Or(known.Why, w.why)
	t.j.enter(&w, time.Now())
	return resp, err
}

type failing struct{ error }

func (f failing) Read([]byte) (int, error) { return 0, f.error }
