package journal

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"liked/internal/exchange"
)

// answering is a handler as those of the API are: it reads its body, and tells its exchange.
func answering(body string) http.Handler {
	text := []byte(body)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		x := exchange.New("usersIdLike", r)
		_, _ = io.Copy(io.Discard, r.Body)
		h := w.Header()
		h["Content-Type"], h["X-Transaction-Id"] = []string{"application/json; charset=utf-8"}, []string{x.TransactionID}
		x.Status = 200
		w.WriteHeader(200)
		_, _ = w.Write(text)
		exchange.Observer(nil).Done(r, &x)
	})
}

// A request that was under way when the journal was cleared is of what was cleared.
func TestClearedRequestsDoNotComeBack(t *testing.T) {
	t.Parallel()
	j := New(DefaultMax, time.Now)
	h := j.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/clears" {
			j.Clear()
		}
		w.WriteHeader(200)
	}))
	for _, path := range []string{"/before", "/clears", "/after"} {
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", path, nil))
	}
	if rows, _ := j.List(Filter{}, 0, 10); len(rows) != 1 || rows[0].Path != "/after" {
		t.Errorf("got %v, want the request after", rows)
	}
}

// The same is true of a stream that begins and ends after that, also if the journal was empty.
func TestClearedStreamsDoNotComeBack(t *testing.T) {
	t.Parallel()
	j := New(DefaultMax, time.Now)
	other := j.Handler(answering("{}"))
	j.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		j.Clear()
		_ = http.NewResponseController(w).Flush()
		other.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/after", nil))
	})).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/stream", nil))
	if rows, _ := j.List(Filter{}, 0, 10); len(rows) != 1 || rows[0].Path != "/after" {
		t.Errorf("got %v, want the request after", rows)
	}
}

// However much is sent, what is kept stays within its bounds, and it is the newest.
func TestMemoryIsBounded(t *testing.T) {
	t.Parallel()
	j := New(DefaultMax, time.Now)
	h := j.Handler(answering(`{"data":"` + strings.Repeat("b", 2*MaxBody) + `"}`))
	text := `{"data":"` + strings.Repeat("a", 2*MaxBody) + `"}`
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 1000 {
				r := httptest.NewRequest("POST", "/2/users/1/likes", strings.NewReader(text))
				h.ServeHTTP(httptest.NewRecorder(), r)
			}
		})
	}
	for range 4 { // readers
		all.Go(func() {
			reader := j.Read()
			for range 10 {
				_, _ = reader.Next(Filter{})
				j.List(Filter{Text: "zzz"}, 0, 10)
			}
		})
	}
	all.Wait()
	kept := 0
	for _, w := range j.rows.all() {
		kept += w.bytes
		n := len(w.text)
		if w.texts != nil {
			for _, side := range w.texts.sides {
				n += len(side.head) + len(side.body)
			}
		}
		if n > w.bytes || n > 2*MaxBody+4096 {
			t.Fatalf("a row has %d bytes, counted as %d", n, w.bytes)
		}
	}
	if kept != j.bytes || kept > maxBytes || kept < maxBytes*9/10 || j.rows.len() > DefaultMax {
		t.Errorf("%d rows have %d bytes, counted as %d, of %d", j.rows.len(), kept, j.bytes, maxBytes)
	}
	d := (*j.rows.at(j.rows.next - 1)).Detail()
	if !d.Request.Cut || !d.Response.Cut || d.Request.Bytes != int64(len(text)) || len(d.Request.Body) != MaxBody {
		t.Errorf("bodies of %d and %d bytes, cut %t and %t", len(d.Request.Body), len(d.Response.Body), d.Request.Cut, d.Response.Cut)
	}
	small := New(3, time.Now)
	for range 10 {
		small.Handler(answering(`{}`)).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/2/users/me", nil))
	}
	if rows, next := small.List(Filter{}, 0, 10); len(rows) != 3 || next != 0 {
		t.Errorf("%d rows of a journal of 3", len(rows))
	}
}

// A body that is not kept is not cut, however long it is.
func TestPagesAreNotKept(t *testing.T) {
	t.Parallel()
	j := New(DefaultMax, time.Now)
	j.Handler(answering(strings.Repeat("p", 2*MaxBody))).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/login", nil))
	got := (*j.rows.at(0)).Detail().Response
	if got.Body != "" || got.Omitted == "" || got.Cut || got.Bytes != 2*MaxBody {
		t.Errorf("got %q, omitted %q, cut %t, of %d bytes", got.Body, got.Omitted, got.Cut, got.Bytes)
	}
}

// Without a journal the handler is the one that was given.
func TestNone(t *testing.T) {
	t.Parallel()
	j := New(0, time.Now)
	next := http.NewServeMux()
	if j != nil || j.Handler(next) != http.Handler(next) || j.Transport(http.DefaultTransport) != http.DefaultTransport {
		t.Error("a journal that keeps nothing does something")
	}
	j.Clear()
	j.End()
}

type discard struct{ header http.Header }

func (d discard) Header() http.Header         { return d.header }
func (d discard) Write(p []byte) (int, error) { return len(p), nil }
func (d discard) WriteHeader(int)             {}

// BenchmarkLike is what recording a like costs beside it.
func BenchmarkLike(b *testing.B) {
	for name, j := range map[string]*Journal{"off": nil, "on": New(DefaultMax, time.Now)} {
		b.Run(name, func(b *testing.B) {
			h := j.Handler(answering(`{"data":{"liked":true}}`))
			body := bytes.NewReader(nil)
			text := []byte(`{"tweet_id":"1228393702244134912"}`)
			r := httptest.NewRequest("POST", "/2/users/2244994945/likes", nil)
			r.Header = http.Header{"Authorization": {"Bearer " + strings.Repeat("t", 91)}, "Content-Type": {"application/json"},
				"User-Agent": {"test"}, "Accept": {"*/*"}}
			w := discard{make(http.Header)}
			b.ReportAllocs()
			for b.Loop() {
				body.Reset(text)
				r.Body, r.ContentLength = io.NopCloser(body), int64(len(text))
				clear(w.header)
				h.ServeHTTP(w, r)
			}
		})
	}
}

// Calls are all but pages and files that were shown.
func TestCalls(t *testing.T) {
	t.Parallel()
	for request, want := range map[string]bool{
		"GET /2/users/me 200": true, "GET /1.1/statuses/show.json 200": true, "POST /oauth2/token 200": true, "GET /oauth/authorize 200": true,
		"GET /i/oauth2/authorize 302": true, "POST /login 303": true, "GET /no/such 404": true, "GET /explorer 500": true,
		"GET / 200": false, "GET /explorer/explorer.js 304": false, "HEAD /explorer 200": false, "GET /developer 200": false,
	} {
		parts := strings.Fields(request)
		status, _ := strconv.Atoi(parts[2])
		j := New(DefaultMax, time.Now)
		j.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(status) })).
			ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(parts[0], parts[1], nil))
		if rows, _ := j.List(Filter{Calls: true}, 0, 10); (len(rows) == 1) != want {
			t.Errorf("%s: got %v, want a call: %v", request, rows, want)
		}
	}
}
