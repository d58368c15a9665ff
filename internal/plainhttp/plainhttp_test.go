package plainhttp

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// side is a server whose handler shows what it was asked.
type side struct {
	addr    string
	here    *Listener     // nil: net/http alone
	plain   atomic.Int64  // requests that were answered without net/http
	held    chan struct{} // a token for each request to /hold that has begun
	release chan struct{}
}

type connKey struct{}

var connections atomic.Int64

func serve(t testing.TB, here bool, first, idle time.Duration) *side {
	t.Helper()
	s := &side{held: make(chan struct{}, 8), release: make(chan struct{})}
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	mark := func(ctx context.Context, _ net.Conn) context.Context {
		return context.WithValue(ctx, connKey{}, connections.Add(1))
	}
	quiet := slog.New(slog.DiscardHandler)
	srv := &http.Server{Handler: http.HandlerFunc(s.handle), ConnContext: mark, ReadHeaderTimeout: first, IdleTimeout: idle,
		ErrorLog: slog.NewLogLogger(quiet.Handler(), slog.LevelError)}
	var l net.Listener = inner
	if here {
		s.here = New(inner, Options{Takes: func(_, path string) bool { return strings.HasPrefix(path, "/plain/") }, Handler: srv.Handler,
			Logger: quiet, ConnContext: mark, FirstTimeout: first, IdleTimeout: idle, WriteTimeout: time.Minute})
		srv.ConnContext, l = s.here.ConnContext, s.here
	}
	s.addr = l.Addr().String()
	served := make(chan error, 1)
	go func() { served <- srv.Serve(l) }()
	t.Cleanup(func() {
		_ = srv.Close()
		if s.here != nil {
			ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
			defer cancel()
			if err := s.here.Wait(ctx); err != nil {
				t.Errorf("connections do not end: %v", err)
			}
		}
		if err := <-served; !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
			t.Errorf("Serve: %v", err)
		}
	})
	return s
}

func (s *side) handle(w http.ResponseWriter, r *http.Request) {
	if _, plain := w.(*response); plain {
		s.plain.Add(1)
	}
	h := w.Header()
	h["Date"] = []string{"Wed, 01 May 2024 12:00:00 GMT"}
	switch r.URL.Path {
	case "/plain/panic":
		panic("told by a test")
	case "/plain/abort":
		panic(http.ErrAbortHandler)
	case "/plain/nothing":
		return
	case "/plain/bare":
		w.WriteHeader(http.StatusNoContent)
		if _, err := w.Write([]byte("x")); err != http.ErrBodyNotAllowed {
			panic(err)
		}
		return
	case "/plain/odd":
		h.Set("X-Lines", "a\r\nX-Evil: b")
		h.Add("X-Two", "1")
		h.Add("X-Two", "2")
		h.Set("Content-Length", "3")
		w.WriteHeader(799)
		w.WriteHeader(200)
		h.Set("X-Late", "too late")
		_, _ = io.WriteString(w, "odd")
		return
	case "/plain/last":
		h.Set("Connection", "close")
	case "/plain/large":
		_, _ = w.Write(make([]byte, 100_000)) // its length is not net/http's to know
		return
	case "/plain/hold":
		s.held <- struct{}{}
		<-s.release
	case "/plain/conn":
		fmt.Fprint(w, r.Context().Value(connKey{}))
		return
	}
	body, err := io.ReadAll(r.Body)
	fmt.Fprintf(w, "%s %s %s %q %d %v %v %q %v\n", r.Method, r.RequestURI, r.Proto, r.Host, r.ContentLength, r.TransferEncoding, r.Close, body, err)
	for _, key := range slices.Sorted(maps.Keys(r.Header)) {
		fmt.Fprintf(w, "%s: %q\n", key, r.Header[key])
	}
}

const ask = "POST /plain/x HTTP/1.1\r\nHost: a.example:80\r\nAuthorization: Bearer abc\r\ncontent-type: application/json\r\nContent-Length: 7\r\n\r\n{\"a\":1}"

// TestAnswers sends the same bytes to a server of both kinds and to one of net/http alone. The answers must be the same.
func TestAnswers(t *testing.T) {
	with, without := serve(t, true, time.Minute, time.Minute), serve(t, false, time.Minute, time.Minute)
	head := "Host: h\r\nConnection: close\r\n\r\n"
	for _, tt := range []struct {
		name  string
		text  string
		plain int64 // how many of the requests
	}{
		{"two, then another connection's", ask + ask + "GET /plain/x HTTP/1.1\r\n" + head, 2},
		{"pipelined with another path", ask + "POST /else HTTP/1.1\r\n" + head, 1},
		{"names in any case, values with spaces", "DELETE /plain/x HTTP/1.1\r\nhost:h\r\nX-a:  b c \t\r\nx-B: d\r\nConnection: keep-alive\r\n\r\nGET / HTTP/1.1\r\n" + head, 1},
		{"another header in the place of one", ask + strings.Replace(ask, "Authorization: Bearer abc", "Authorizatio: n", 1) + strings.Replace(ask, "abc", "def", 1) + "GET / HTTP/1.1\r\n" + head, 3},
		{"no body", "POST /plain/x HTTP/1.1\r\nHost: h\r\n\r\nPOST /plain/x HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\nGET / HTTP/1.1\r\n" + head, 2},
		{"as long as it may be", "POST /plain/x HTTP/1.1\r\nHost: h\r\nContent-Length: 3000\r\n\r\n" + strings.Repeat("x", 3000) + "GET / HTTP/1.1\r\n" + head, 1},
		{"too long", "POST /plain/x HTTP/1.1\r\nConnection: close\r\nHost: h\r\nContent-Length: 5000\r\n\r\n" + strings.Repeat("x", 5000), 0},
		{"too long a head", "POST /plain/x HTTP/1.1\r\nX: " + strings.Repeat("x", 5000) + "\r\n" + head, 0},
		{"too many headers", "POST /plain/x HTTP/1.1\r\n" + strings.Repeat("X: x\r\n", 40) + head, 0},
		{"in chunks", "POST /plain/x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\nGET / HTTP/1.1\r\n" + head, 0},
		{"in chunks and with a length", "POST /plain/x HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n" + head + "1\r\nx\r\n0\r\n\r\n", 0},
		{"two lengths", "POST /plain/x HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n" + head + "xx", 0},
		{"the same length twice", "POST /plain/x HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1\r\n" + head + "x", 0},
		{"a length with a sign", "POST /plain/x HTTP/1.1\r\nContent-Length: +1\r\n" + head + "x", 0},
		{"a length of nothing", "POST /plain/x HTTP/1.1\r\nContent-Length: \r\n" + head, 0},
		{"no host", "POST /plain/x HTTP/1.1\r\n\r\n", 0},
		{"two hosts", "POST /plain/x HTTP/1.1\r\nHost: i\r\n" + head, 0},
		{"an odd host", "POST /plain/x HTTP/1.1\r\nHost: a b\r\n\r\n", 0},
		{"HTTP/1.0", "POST /plain/x HTTP/1.0\r\n\r\n", 0},
		{"HTTP/1.2", "POST /plain/x HTTP/1.2\r\n" + head, 0},
		{"escapes", "POST /plain/%78 HTTP/1.1\r\n" + head, 0},
		{"a query", "POST /plain/x?a=b HTTP/1.1\r\n" + head, 0},
		{"a whole URL", "POST http://h/plain/x HTTP/1.1\r\n" + head, 0},
		{"a space too many", "POST  /plain/x HTTP/1.1\r\n" + head, 0},
		{"a bare line feed", "POST /plain/x HTTP/1.1\nHost: h\nConnection: close\n\n", 0},
		{"a bare carriage return", "POST /plain/x HTTP/1.1\r\nX: a\rb\r\n" + head, 0},
		{"a folded line", "POST /plain/x HTTP/1.1\r\nX: a\r\n b\r\n" + head, 0},
		{"a space before the colon", "POST /plain/x HTTP/1.1\r\nX : a\r\n" + head, 0},
		{"no name", "POST /plain/x HTTP/1.1\r\n: a\r\n" + head, 0},
		{"no colon", "POST /plain/x HTTP/1.1\r\nX\r\n" + head, 0},
		{"beyond ASCII", "POST /plain/x HTTP/1.1\r\nX: é\r\n" + head, 0},
		{"a zero byte", "POST /plain/x HTTP/1.1\r\nX: \x00\r\n" + head, 0},
		{"a rare name", "POST /plain/x HTTP/1.1\r\nX!: a\r\n" + head, 0},
		{"pragma", "POST /plain/x HTTP/1.1\r\nPragma: no-cache\r\n" + head, 0},
		{"an upgrade", "POST /plain/x HTTP/1.1\r\nUpgrade: websocket\r\n" + head, 0},
		{"trailers", "POST /plain/x HTTP/1.1\r\nTrailer: X\r\n" + head, 0},
		{"no HTTP", "hello\r\n\r\n", 0},
		{"TLS", "\x16\x03\x01\x00\xf8\x01\x00\x00\xf4\x03\x03\r\n\r\n", 0},
		{"half a head", "POST /plain/x HTTP/1.1\r\nHos", 0},
		{"half a body", "POST /plain/x HTTP/1.1\r\nHost: h\r\nContent-Length: 7\r\n\r\n{", 0},
		{"nothing", "", 0},
		{"a panic", "POST /plain/panic HTTP/1.1\r\nHost: h\r\n\r\n" + ask, 1},
		{"an answer aborted", "POST /plain/abort HTTP/1.1\r\nHost: h\r\n\r\n" + ask, 1},
		{"an empty answer", "POST /plain/nothing HTTP/1.1\r\nHost: h\r\n\r\nGET / HTTP/1.1\r\n" + head, 1},
		{"an answer without body", "POST /plain/bare HTTP/1.1\r\nHost: h\r\n\r\nGET / HTTP/1.1\r\n" + head, 1},
		{"an odd answer", "POST /plain/odd HTTP/1.1\r\nHost: h\r\n\r\nGET / HTTP/1.1\r\n" + head, 1},
		{"a last answer", "POST /plain/last HTTP/1.1\r\nHost: h\r\n\r\n" + ask, 1},
		{"a large answer", "POST /plain/large HTTP/1.1\r\nHost: h\r\n\r\nGET / HTTP/1.1\r\n" + head, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			before := with.plain.Load()
			got, want := converse(t, with, tt.text), converse(t, without, tt.text)
			if got != want {
				t.Errorf("got:\n%s\nnet/http alone:\n%s", got, want)
			}
			if n := with.plain.Load() - before; n != tt.plain {
				t.Errorf("%d requests were plain, want %d", n, tt.plain)
			}
		})
	}
	if without.plain.Load() != 0 {
		t.Error("the server of net/http alone has another")
	}
}

// Any header that comes twice is net/http's to judge, whether its first value is empty, the same or another one.
func TestRepeatedHeaders(t *testing.T) {
	with, without := serve(t, true, time.Minute, time.Minute), serve(t, false, time.Minute, time.Minute)
	for _, key := range singletons {
		for _, values := range [][2]string{{"", singleValue(key)}, {"", ""}, {singleValue(key), singleValue(key)}, {singleValue(key), "2"}, {"2", ""}} {
			for _, between := range []string{"", "X: y\r\n"} {
				text := repeated(key, values, between)
				before := with.plain.Load()
				got, want := converse(t, with, text), converse(t, without, text)
				if got != want {
					t.Errorf("%q: got:\n%s\nnet/http alone:\n%s", text, got, want)
				}
				if with.plain.Load() != before {
					t.Errorf("%q was taken for a plain request", text)
				}
			}
		}
	}
}

// singletons are headers that may come once.
var singletons = []string{"Host", "Content-Length", "Connection", "Content-Type", "Authorization", "Expect", "Transfer-Encoding",
	"Upgrade", "Trailer", "User-Agent", "Cookie", "Origin", "Referer", "X-Forwarded-Proto"}

// singleValue is one that would be plain, if there is one.
func singleValue(key string) string {
	switch key {
	case "Content-Length":
		return "1"
	case "Connection":
		return "keep-alive"
	case "Transfer-Encoding":
		return "chunked"
	}
	return "h"
}

// repeated is a request in which a header comes twice, and another request.
func repeated(key string, values [2]string, between string) string {
	host := "Host: h\r\n"
	if key == "Host" {
		host = ""
	}
	return "POST /plain/x HTTP/1.1\r\n" + host + key + ": " + values[0] + "\r\n" + between + strings.ToLower(key) + ": " + values[1] + "\r\n\r\n" +
		"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
}

// TestPieces cuts a request in two at each place.
func TestPieces(t *testing.T) {
	s := serve(t, true, time.Minute, time.Minute)
	want := converse(t, s, ask+"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
	for i := range len(ask) {
		if got := converse(t, s, ask[:i], ask[i:]+"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"); got != want {
			t.Fatalf("cut at %d:\n%s\nwant:\n%s", i, got, want)
		}
	}
}

// Who sends a request byte by byte is net/http's, however short each wait is.
func TestDrip(t *testing.T) {
	s := serve(t, true, time.Minute, time.Minute)
	conn, r := dial(t, s)
	for i := range 4 {
		if _, err := io.WriteString(conn, ask[i:i+1]); err != nil {
			t.Fatal(err)
		}
		time.Sleep(partTimeout / 3) // the request must take longer than a part may
	}
	call(t, conn, r, ask[4:])
	if n := s.plain.Load(); n != 0 {
		t.Errorf("%d plain requests, want none", n)
	}
}

// converse sends the texts as packets of their own and returns all that comes back, how its bodies are framed aside.
func converse(t *testing.T, s *side, texts ...string) string {
	t.Helper()
	conn, r := dial(t, s)
	defer conn.Close()
	for _, text := range texts {
		if _, err := io.WriteString(conn, text); err != nil {
			t.Fatal(err)
		}
	}
	_ = conn.(*net.TCPConn).CloseWrite()
	var b strings.Builder
	for {
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			if errors.Is(err, os.ErrDeadlineExceeded) {
				t.Fatal(err)
			}
			return b.String()
		}
		body, err := io.ReadAll(resp.Body)
		fmt.Fprintf(&b, "%s %v %v\n", resp.Status, resp.Close, err)
		for _, key := range slices.Sorted(maps.Keys(resp.Header)) {
			if key != "Content-Length" {
				fmt.Fprintf(&b, "%s: %q\n", key, resp.Header[key])
			}
		}
		fmt.Fprintf(&b, "%s\n", body)
	}
}

// dial opens a connection that is read for 30 s at most.
func dial(t *testing.T, s *side) (net.Conn, *bufio.Reader) {
	t.Helper()
	conn, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
	return conn, bufio.NewReader(conn)
}

// call sends a request and returns the answer's body, and whether it is the last.
func call(t *testing.T, conn net.Conn, r *bufio.Reader, text string) (body string, last bool) {
	t.Helper()
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b), resp.Close
}

// A connection that is handed over stays the same to the handler, and another one differs.
func TestConnContext(t *testing.T) {
	s := serve(t, true, time.Minute, time.Minute)
	conn, r := dial(t, s)
	const post, get = "POST /plain/conn HTTP/1.1\r\nHost: h\r\n\r\n", "GET /plain/conn HTTP/1.1\r\nHost: h\r\n\r\n"
	first, _ := call(t, conn, r, post)
	if then, _ := call(t, conn, r, get); then != first {
		t.Errorf("the connection was %s and is %s", first, then)
	}
	if n := s.plain.Load(); n != 1 {
		t.Errorf("%d plain requests, want 1", n)
	}
	other, r := dial(t, s)
	if id, _ := call(t, other, r, get); id == first || id == "<nil>" {
		t.Errorf("another connection is %s, the first is %s", id, first)
	}
}

// Close ends who waits for nothing, and lets an answer be sent; Wait cuts what takes too long.
func TestClose(t *testing.T) {
	s := serve(t, true, time.Minute, time.Minute)
	idle, idleR := dial(t, s)
	call(t, idle, idleR, ask)
	fresh, _ := dial(t, s)
	busy, busyR := dial(t, s)
	const hold = "POST /plain/hold HTTP/1.1\r\nHost: h\r\n\r\n"
	if _, err := io.WriteString(busy, hold); err != nil {
		t.Fatal(err)
	}
	<-s.held
	if err := s.here.Close(); err != nil {
		t.Fatal(err)
	}
	for name, conn := range map[string]net.Conn{"idle": idle, "fresh": fresh} {
		if n, err := conn.Read(make([]byte, 1)); n != 0 || err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s connection: %d bytes, %v; want an end", name, n, err)
		}
	}
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	close(s.release)
	resp, err := http.ReadResponse(busyR, nil)
	if err != nil || !resp.Close {
		t.Fatalf("the answer under way: %+v, %v; want one that says it is the last", resp, err)
	}
	_ = busy.Close()
	if err := s.here.Wait(context.Background()); err != nil {
		t.Errorf("Wait: %v", err)
	}

	s = serve(t, true, time.Minute, time.Minute)
	stuck, _ := dial(t, s)
	if _, err := io.WriteString(stuck, hold); err != nil {
		t.Fatal(err)
	}
	<-s.held
	_ = s.here.Close()
	if err := s.here.Wait(ended); err == nil {
		t.Error("Wait: no error, with a request under way")
	}
	if _, err := stuck.Read(make([]byte, 1)); err == nil {
		t.Error("a connection that takes too long is not cut")
	}
	close(s.release)
}

// Connections without requests end, before the first and between two.
func TestTimeouts(t *testing.T) {
	s := serve(t, true, 20*time.Millisecond, 20*time.Millisecond)
	silent, _ := dial(t, s)
	if _, err := silent.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("a connection without a request: %v, want its end", err)
	}
	s = serve(t, true, time.Minute, 20*time.Millisecond)
	conn, r := dial(t, s)
	call(t, conn, r, ask)
	if _, err := r.ReadByte(); err != io.EOF {
		t.Errorf("a connection without a second request: %v, want its end", err)
	}
	if n := s.plain.Load(); n != 1 {
		t.Errorf("%d plain requests, want 1", n)
	}
}

func BenchmarkRequests(b *testing.B) {
	for _, name := range []string{"net/http", "plain"} {
		b.Run(name, func(b *testing.B) {
			inner, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				b.Fatal(err)
			}
			values := []string{"a value of a header"}
			srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.ReadFull(r.Body, make([]byte, r.ContentLength))
				h := w.Header()
				for _, key := range headers {
					h[key] = values
				}
				h["Content-Length"] = []string{"2"}
				_, _ = w.Write([]byte("{}"))
			})}
			var l net.Listener = inner
			if name == "plain" {
				l = New(inner, Options{Takes: func(string, string) bool { return true }, Handler: srv.Handler, Logger: slog.New(slog.DiscardHandler),
					ConnContext: func(ctx context.Context, _ net.Conn) context.Context { return ctx }, FirstTimeout: time.Minute,
					IdleTimeout: time.Minute, WriteTimeout: time.Minute})
			}
			go srv.Serve(l)
			defer srv.Close()
			conn, err := net.Dial("tcp", inner.Addr().String())
			if err != nil {
				b.Fatal(err)
			}
			defer conn.Close()
			answer := make([]byte, 4<<10)
			for b.Loop() {
				if _, err := io.WriteString(conn, ask); err != nil {
					b.Fatal(err)
				}
				if _, err := conn.Read(answer); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// headers are about as many as X sends.
var headers = func() (keys []string) {
	for i := range 18 {
		keys = append(keys, "X-Header-"+strconv.Itoa(i))
	}
	return keys
}()

// BenchmarkOwn is what this package itself takes for a request, without kernel and handler, on a connection over which many
// callers come.
func BenchmarkOwn(b *testing.B) {
	const callers = 64
	var asks [callers][]byte
	for i := range asks {
		asks[i] = fmt.Appendf(nil, "POST /2/users/%d/likes HTTP/1.1\r\nHost: localhost:8080\r\nAuthorization: Bearer %080d\r\n"+
			"Content-Type: application/json\r\nContent-Length: 7\r\n\r\n{\"a\":1}", i, i)
	}
	values := []string{"a value of a header"}
	c := &Conn{l: &Listener{conns: make(map[*Conn]struct{}), Options: Options{
		Takes: func(string, string) bool { return true },
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			h := w.Header()
			for _, key := range headers {
				h[key] = values
			}
			_, _ = w.Write([]byte("{}"))
		}),
		IdleTimeout: time.Minute, WriteTimeout: time.Minute}}, values: context.Background()}
	c.l.enter(c)
	n := 0
	c.Conn = &pretended{read: func(p []byte) (int, error) {
		if n++; !b.Loop() {
			return 0, io.EOF
		}
		return copy(p, asks[n%callers]), nil
	}}
	b.ReportAllocs()
	c.serve()
}

// pretended is a connection to nowhere.
type pretended struct {
	net.Conn
	read func([]byte) (int, error)
}

func (p *pretended) Read(b []byte) (int, error)     { return p.read(b) }
func (*pretended) Write(b []byte) (int, error)      { return len(b), nil }
func (*pretended) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (*pretended) SetDeadline(time.Time) error      { return nil }
func (*pretended) SetReadDeadline(time.Time) error  { return nil }
func (*pretended) SetWriteDeadline(time.Time) error { return nil }
func (*pretended) Close() error                     { return nil }
