package fastpath

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
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
	log     logged
	tls     *tls.Config // of its clients; nil: in the clear
}

// logged is what a server wrote into its ErrorLog.
type logged struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

type connKey struct{}

func unwatched(net.Conn, http.ConnState) {}

var connections atomic.Int64

// serve starts a server, with this package in front or without. Its settings may be changed before.
func serve(t testing.TB, here bool, change ...func(*http.Server)) *side {
	t.Helper()
	s := &side{held: make(chan struct{}, 8), release: make(chan struct{})}
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: http.HandlerFunc(s.handle), ErrorLog: log.New(&s.log, "", 0), ReadHeaderTimeout: time.Minute,
		IdleTimeout: time.Minute, WriteTimeout: time.Minute, ConnState: unwatched,
		ConnContext: func(ctx context.Context, _ net.Conn) context.Context {
			return context.WithValue(ctx, connKey{}, connections.Add(1))
		}}
	for _, c := range change {
		c(srv)
	}
	s.tls = srv.TLSConfig.Clone()
	var l net.Listener = inner
	start := func() error { return srv.Serve(l) }
	if here {
		s.here = New(srv, inner, func(path string) bool { return strings.HasPrefix(path, "/plain/") })
		l = s.here
	} else if s.tls != nil {
		start = func() error { return srv.ServeTLS(l, "", "") }
	}
	s.addr = l.Addr().String()
	served := make(chan error, 1)
	go func() { served <- start() }()
	t.Cleanup(func() {
		_ = srv.Close()
		if s.here != nil {
			ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
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
	declare := func(length int) { h["Content-Length"] = []string{strconv.Itoa(length)} }
	switch r.URL.Path {
	case "/plain/panic":
		panic("told by a test")
	case "/plain/abort":
		panic(http.ErrAbortHandler)
	case "/plain/nothing":
		return
	case "/plain/bare":
		declare(1)
		w.WriteHeader(http.StatusNoContent)
		if _, err := w.Write([]byte("x")); err != http.ErrBodyNotAllowed {
			panic(err)
		}
		return
	case "/plain/known":
		declare(7)
		h.Set("Content-Type", "text/plain")
		h.Set("ETag", "x")
		w.WriteHeader(http.StatusNotModified)
		return
	case "/plain/elsewhere":
		h.Set("Location", "/x")
		w.WriteHeader(http.StatusFound)
		return
	case "/plain/odd":
		h.Set("X-Lines", "a\r\nX-Evil: b")
		h.Set("X-Spaces", " \t a  b \n")
		h.Set("X-Empty", "")
		h["X-None"] = nil
		h.Add("X-Two", "1")
		h.Add("X-Two", "2")
		declare(3)
		w.WriteHeader(799)
		w.WriteHeader(200)
		h.Set("X-Late", "too late")
		_, _ = io.WriteString(w, "odd")
		return
	case "/plain/last":
		h.Set("Connection", "close")
	case "/plain/html":
		_, _ = io.WriteString(w, "<html>")
		return
	case "/plain/encoded":
		h.Set("Content-Encoding", "x")
		_, _ = io.WriteString(w, "<html>")
		return
	case "/plain/large": // its length is not net/http's to know
		_, _ = w.Write(make([]byte, 100_000))
		return
	case "/plain/pieces":
		declare(100_000)
		for range 4 {
			_, _ = w.Write(make([]byte, 25_000))
		}
		return
	case "/plain/small":
		declare(4)
		_, _ = io.WriteString(w, "ab")
		_, _ = io.WriteString(w, "cd")
		return
	case "/plain/long":
		declare(3)
		_, _ = io.WriteString(w, "abc")
		if _, err := io.WriteString(w, "d"); err != http.ErrContentLength {
			panic(err)
		}
		return
	case "/plain/short":
		declare(10)
		_, _ = io.WriteString(w, "abc")
		return
	case "/plain/hold":
		s.held <- struct{}{}
		<-s.release
	case "/plain/wait":
		s.held <- struct{}{}
		<-r.Context().Done()
	case "/plain/conn":
		fmt.Fprint(w, r.Context().Value(connKey{}), r.Context().Value(http.LocalAddrContextKey), r.Context().Value(http.ServerContextKey) != nil)
		return
	case "/plain/flush":
		fmt.Fprint(w, http.NewResponseController(w).Flush())
		return
	}
	tlsVersion := 0
	if r.TLS != nil && r.TLS.HandshakeComplete {
		tlsVersion = int(r.TLS.Version)
	}
	fmt.Fprintf(w, "%s %s %#v %s %q ", r.Method, r.RequestURI, *r.URL, r.Proto, r.Host)
	fmt.Fprintf(w, "%d %v %v %d %v ", r.ContentLength, r.TransferEncoding, r.Close,
		tlsVersion, r.Form)
	body, err := io.ReadAll(r.Body)
	formErr := r.ParseForm()
	fmt.Fprintf(w, "%q %v %v %v\n", body, err, r.Form, formErr)
	for _, key := range slices.Sorted(maps.Keys(r.Header)) {
		fmt.Fprintf(w, "%s: %q\n", key, r.Header[key])
	}
}

const ask = "POST /plain/x HTTP/1.1\r\nHost: a.example:80\r\nAuthorization: Bearer abc\r\n" +
	"content-type: application/json\r\nContent-Length: 7\r\n\r\n{\"a\":1}"

// TestAnswers sends the same bytes to a server of both kinds and to one of net/http alone. The answers must be the same.
func TestAnswers(t *testing.T) {
	bothWays(t, func(t *testing.T, change func(*http.Server)) {
		testAnswers(t, serve(t, true, change), serve(t, false, change))
	})
}

// bothWays runs a test for servers that speak TLS and for those that do not.
func bothWays(t *testing.T, test func(t *testing.T, change func(*http.Server))) {
	t.Run("in the clear", func(t *testing.T) { test(t, func(*http.Server) {}) })
	t.Run("over TLS", func(t *testing.T) { test(t, speakTLS(t)) })
}

func testAnswers(t *testing.T, with, without *side) {
	head := "Host: h\r\nConnection: close\r\n\r\n"
	for _, tt := range []struct {
		name  string
		text  string
		plain int64 // how many of the requests
	}{
		{"two, then another connection's", ask + ask + "GET /plain/x HTTP/1.1\r\n" + head, 2},
		{"pipelined with another path", ask + "POST /else HTTP/1.1\r\n" + head, 1},
		{"names in any case, values with spaces", "DELETE /plain/x HTTP/1.1\r\n" +
			"host:h\r\nX-a:  b c \t\r\nx-B: d\r\nConnection: keep-alive\r\n\r\nGET / HTTP/1.1\r\n" +
			head, 1},
		{"methods", plainly("GET", "/plain/x") + plainly("PUT", "/plain/x") + plainly("DELETE", "/plain/x") +
			plainly("PATCH", "/plain/x") + end, 3},
		{"HEAD", plainly("HEAD", "/plain/small") + end, 0},
		{"a method in lower case", plainly("get", "/plain/x") + end, 0},
		{"queries", plainly("GET", "/plain/x?a=b&c=%20d&a=+") + plainly("GET", "/plain/x") + plainly("GET", "/plain/x?") +
			plainly("POST", "/plain/x?a??") + plainly("GET", "/plain/?#") + end, 5},
		{"a bad query", plainly("GET", "/plain/x?%zz;") + end, 1},
		{"escaped paths", plainly("GET", "/plain/%78") + plainly("GET", "/plain/%2F%78") + plainly("GET", "/plain/a:b@c,d") +
			plainly("GET", "/%70lain/x") + end, 4},
		{"beyond ASCII in a path", plainly("GET", "/plain/é") + end, 1},
		{"a bad path", plainly("GET", "/plain/%zz") + end, 0},
		{"a space in a path", plainly("GET", "/plain/a b") + end, 0},
		{"a tab in a path", plainly("GET", "/plain/a\tb") + end, 0},
		{"dots in a path", plainly("GET", "/plain/../x") + plainly("GET", "/plain//x") + plainly("GET", "//plain/x") + end, 2},
		{"forms", form("a=b") + plainly("GET", "/plain/x") + form("c=d") + end, 3},
		{"the connection kept alive", "GET /plain/x HTTP/1.1\r\nHost: h\r\nConnection: Keep-Alive\r\n\r\n" + end, 1},
		{"another header in the place of one", ask + strings.Replace(ask, "Authorization: Bearer abc", "Authorizatio: n", 1) +
			strings.Replace(ask, "abc", "def", 1) + "GET / HTTP/1.1\r\n" + head, 3},
		{"no body", "POST /plain/x HTTP/1.1\r\nHost: h\r\n\r\nPOST /plain/x HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\nGET / HTTP/1.1\r\n" +
			head, 2},
		{"as long as it may be", "POST /plain/x HTTP/1.1\r\nHost: h\r\nContent-Length: 3000\r\n\r\n" + strings.Repeat("x", 3000) +
			"GET / HTTP/1.1\r\n" + head, 1},
		{"too long", "POST /plain/x HTTP/1.1\r\nConnection: close\r\nHost: h\r\nContent-Length: 5000\r\n\r\n" + strings.Repeat("x", 5000), 0},
		{"too long a head", "POST /plain/x HTTP/1.1\r\nX: " + strings.Repeat("x", 5000) + "\r\n" + head, 0},
		{"too many headers", "POST /plain/x HTTP/1.1\r\n" + strings.Repeat("X: x\r\n", 40) + head, 0},
		{"in chunks", "POST /plain/x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\nGET / HTTP/1.1\r\n" + head, 0},
		{"in chunks and with a length", "POST /plain/x HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n" + head +
			"1\r\nx\r\n0\r\n\r\n", 0},
		{"two lengths", "POST /plain/x HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n" + head + "xx", 0},
		{"the same length twice", "POST /plain/x HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1\r\n" + head + "x", 0},
		{"a length with a sign", "POST /plain/x HTTP/1.1\r\nContent-Length: +1\r\n" + head + "x", 0},
		{"a length of nothing", "POST /plain/x HTTP/1.1\r\nContent-Length: \r\n" + head, 0},
		{"no host", "POST /plain/x HTTP/1.1\r\n\r\n", 0},
		{"two hosts", "POST /plain/x HTTP/1.1\r\nHost: i\r\n" + head, 0},
		{"an odd host", "POST /plain/x HTTP/1.1\r\nHost: a b\r\n\r\n", 0},
		{"HTTP/1.0", "POST /plain/x HTTP/1.0\r\n\r\n", 0},
		{"HTTP/1.2", "POST /plain/x HTTP/1.2\r\n" + head, 0},
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
		{"an empty answer with a length", plainly("GET", "/plain/known") + end, 1},
		{"a redirect", plainly("GET", "/plain/elsewhere") + end, 1},
		{"a guessed type", plainly("GET", "/plain/html") + end, 1},
		{"an encoded answer", plainly("GET", "/plain/encoded") + end, 1},
		{"a large answer of known length", plainly("GET", "/plain/pieces") + plainly("GET", "/plain/x") + end, 2},
		{"an answer in pieces", plainly("GET", "/plain/small") + plainly("GET", "/plain/pieces") + plainly("GET", "/plain/small") + end, 3},
		{"more than its length", plainly("GET", "/plain/long") + plainly("GET", "/plain/x") + end, 1},
		{"less than its length", plainly("GET", "/plain/short") + plainly("GET", "/plain/x"), 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			before := with.plain.Load()
			got, want := converse(t, with, tt.text), converse(t, without, tt.text)
			if strings.Contains(want, "Transfer-Encoding: chunked") { // which an answer in one piece needs not
				got, want = unframed(t, got), unframed(t, want)
			}
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
	if got, want := panics(with), panics(without); got != want || got == "" {
		t.Errorf("the log has\n%s\nthat of net/http alone\n%s", got, want)
	}
}

// panics are the lines of the log about panics, without the ports of clients.
func panics(s *side) string {
	lines := regexp.MustCompile("http: panic serving .*").FindAllString(s.log.String(), -1)
	return regexp.MustCompile(`127.0.0.1:\d+`).ReplaceAllString(strings.Join(lines, "\n"), "client")
}

// plainly is a plain request without a body, if nothing in its first line prevents that.
func plainly(method, target string) string {
	return method + " " + target + " HTTP/1.1\r\nHost: h\r\n\r\n"
}

func form(body string) string {
	return fmt.Sprintf("POST /plain/x HTTP/1.1\r\nHost: h\r\nContent-Type: application/x-www-form-urlencoded\r\n"+
		"Content-Length: %d\r\n\r\n%s", len(body), body)
}

// end is a last request, of net/http's.
const end = "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"

// speakTLS makes a server speak TLS. Its clients take the certificate for granted, and send a text in one record: the time between
// two could be longer than a part may take.
func speakTLS(t *testing.T) func(*http.Server) {
	borrowed := httptest.NewTLSServer(nil)
	defer borrowed.Close()
	config := &tls.Config{Certificates: borrowed.TLS.Certificates, InsecureSkipVerify: true, DynamicRecordSizingDisabled: true}
	return func(srv *http.Server) { srv.TLSConfig = config.Clone() }
}

// Any header that comes twice is net/http's to judge, whether its first value is empty, the same or another one.
func TestRepeatedHeaders(t *testing.T) {
	with, without := serve(t, true), serve(t, false)
	for _, key := range singletons {
		v := singleValue(key)
		for _, values := range [][2]string{{"", v}, {"", ""}, {v, v}, {v, "2"}, {"2", ""}} {
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
	return "POST /plain/x HTTP/1.1\r\n" + host + key + ": " + values[0] + "\r\n" + between +
		strings.ToLower(key) + ": " + values[1] + "\r\n\r\n" +
		"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
}

// TestPieces cuts a request in two at each place.
func TestPieces(t *testing.T) {
	s := serve(t, true)
	want := converse(t, s, ask+"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
	for i := range len(ask) {
		if got := converse(t, s, ask[:i], ask[i:]+"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"); got != want {
			t.Fatalf("cut at %d:\n%s\nwant:\n%s", i, got, want)
		}
	}
}

// Who sends a request byte by byte is net/http's, however short each wait is.
func TestDrip(t *testing.T) {
	handed := make(chan struct{})
	s := serve(t, true, func(srv *http.Server) {
		srv.ConnState = func(_ net.Conn, state http.ConnState) {
			if state == http.StateNew { // which is told of those that net/http gets alone
				close(handed)
			}
		}
	})
	conn, r := dial(t, s)
	slow := "X: " + strings.Repeat("x", 1000) + "\r\n" // for much longer than a part may take
	text := strings.Replace(ask, "\r\n", "\r\n"+slow, 1)
	for sent := range text {
		if _, err := io.WriteString(conn, text[sent:sent+1]); err != nil {
			t.Fatal(err)
		}
		select {
		case <-handed:
			call(t, conn, r, text[sent+1:])
			if n := s.plain.Load(); n != 0 {
				t.Errorf("%d plain requests, want none", n)
			}
			return
		case <-time.After(partTimeout / 3):
		}
	}
	t.Errorf("net/http got nothing of %d bytes, one every %v", len(text), partTimeout/3)
}

// converse sends the texts as packets of their own and returns all that comes back, with "now" in the place of a date of this hour:
// two servers that are asked one after the other may be so in two seconds.
func converse(t *testing.T, s *side, texts ...string) string {
	t.Helper()
	conn, r := dial(t, s)
	defer conn.Close()
	for _, text := range texts {
		if _, err := io.WriteString(conn, text); err != nil {
			t.Fatal(err)
		}
	}
	_ = conn.(interface{ CloseWrite() error }).CloseWrite()
	all, err := io.ReadAll(r)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatal(err)
	}
	return dates.ReplaceAllStringFunc(string(all), func(line string) string {
		if at, err := http.ParseTime(dates.FindStringSubmatch(line)[1]); err != nil || time.Since(at).Abs() > time.Hour {
			return line
		}
		return "Date: now\r\n"
	})
}

var dates = regexp.MustCompile("Date: (.*)\r\n")

// unframed returns answers without what says where their bodies end.
func unframed(t *testing.T, text string) string {
	t.Helper()
	var b strings.Builder
	for r := bufio.NewReader(strings.NewReader(text)); ; {
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			return b.String()
		}
		body, err := io.ReadAll(resp.Body)
		resp.Header.Del("Content-Length")
		fmt.Fprintf(&b, "%s %v %v %v\n%s\n", resp.Status, resp.Close, resp.Header, err, body)
	}
}

// dial opens a connection that is read for two minutes at most. It holds an answer that is not read yet: over TLS the client's last word
// is one that net/http does not read, and half a second later it closes the connection, by which the kernel throws away what it could not
// send so far.
func dial(t *testing.T, s *side) (net.Conn, *bufio.Reader) {
	t.Helper()
	conn, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.(*net.TCPConn).SetReadBuffer(1 << 20); err != nil {
		t.Fatal(err)
	}
	_ = conn.SetDeadline(time.Now().Add(2 * time.Minute))
	if s.tls != nil {
		conn = tls.Client(conn, s.tls)
	}
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
	s := serve(t, true)
	conn, r := dial(t, s)
	first, _ := call(t, conn, r, plainly("GET", "/plain/conn"))
	if !strings.HasSuffix(first, s.addr+" true") {
		t.Errorf("the context has %s, want the listener's address and a server", first)
	}
	if then, _ := call(t, conn, r, plainly("PATCH", "/plain/conn")); then != first {
		t.Errorf("the connection was %s and is %s", first, then)
	}
	if n := s.plain.Load(); n != 1 {
		t.Errorf("%d plain requests, want 1", n)
	}
	other, r := dial(t, s)
	if id, _ := call(t, other, r, plainly("PATCH", "/plain/conn")); id == first || strings.HasPrefix(id, "<nil>") {
		t.Errorf("another connection is %s, the first is %s", id, first)
	}
}

// An answer without a Date gets the time, in its place.
func TestDate(t *testing.T) {
	undated := func(srv *http.Server) {
		srv.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.Header()["X-A"] = []string{"b"} })
	}
	get := plainly("GET", "/plain/x")
	got, want := converse(t, serve(t, true, undated), get), converse(t, serve(t, false, undated), get)
	if got != want || !strings.Contains(got, "\r\nDate: now\r\n") {
		t.Errorf("got:\n%s\nnet/http alone:\n%s", got, want)
	}
}

// What needs to flush learns that it cannot.
func TestFlush(t *testing.T) {
	s := serve(t, true)
	if got := converse(t, s, plainly("GET", "/plain/flush")); !strings.Contains(got, http.ErrNotSupported.Error()) {
		t.Errorf("Flush: %s, want a refusal", got)
	}
}

// An operator may switch HTTP/2 off.
func TestWithoutHTTP2(t *testing.T) {
	t.Setenv("GODEBUG", "http2server=0")
	for _, here := range []bool{true, false} {
		s := serve(t, here, speakTLS(t))
		transport := &http.Transport{TLSClientConfig: s.tls, ForceAttemptHTTP2: true}
		defer transport.CloseIdleConnections()
		resp, err := (&http.Client{Transport: transport}).Get("https://" + s.addr + "/plain/x")
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.ProtoMajor != 1 || resp.TLS.NegotiatedProtocol != "http/1.1" {
			t.Errorf("%v: %s, negotiated %q", here, resp.Proto, resp.TLS.NegotiatedProtocol)
		}
	}
}

// HTTP/2 is net/http's, and so is what comes without TLS where it is spoken, or stops in the middle of a handshake.
func TestTLS(t *testing.T) {
	change := speakTLS(t)
	with, without := serve(t, true, change), serve(t, false, change)
	transport := &http.Transport{TLSClientConfig: with.tls, ForceAttemptHTTP2: true}
	defer transport.CloseIdleConnections()
	resp, err := (&http.Client{Transport: transport}).Get("https://" + with.addr + "/plain/x")
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(resp.Body)
	resp.Body.Close()
	if resp.TLS.NegotiatedProtocol != "h2" || !strings.Contains(string(body), " HTTP/2.0 ") ||
		!strings.Contains(string(body), " 772 ") {
		t.Errorf("HTTP/2: %s %s", resp.Proto, body)
	}
	for _, s := range []*side{with, without} {
		s.tls = nil
	}
	get := plainly("GET", "/plain/x")
	if got, want := converse(t, with, get), converse(t, without, get); got != want || !strings.Contains(got, "400") {
		t.Errorf("without TLS: got %q, with net/http alone %q", got, want)
	}
	if got, want := converse(t, with, "\x16\x03\x01\x00\xf8\x01"), converse(t, without, "\x16\x03\x01\x00\xf8\x01"); got != want {
		t.Errorf("half a handshake: got %q, with net/http alone %q", got, want)
	}
	for _, s := range []*side{with, without} {
		for _, want := range []string{": client sent an HTTP request to an HTTPS server\n", ": unexpected EOF\n"} {
			for end := time.Now().Add(time.Minute); strings.Count(s.log.String(), "\n") < 2 && time.Now().Before(end); {
				time.Sleep(time.Millisecond) // a client may see the end before the log does
			}
			log := s.log.String()
			if strings.Count(log, want) != 1 || strings.Count(log, "http: TLS handshake error from 127.0.0.1:") != 2 {
				t.Errorf("the log has\n%s\nwant one line with %q", log, want)
			}
		}
	}
	if n := with.plain.Load(); n != 0 {
		t.Errorf("%d plain requests, want none", n)
	}
}

// Close ends who waits for nothing, and lets an answer be sent; Wait cuts what takes too long.
func TestClose(t *testing.T) { bothWays(t, testClose) }

func testClose(t *testing.T, change func(*http.Server)) {
	s := serve(t, true, change)
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

	s = serve(t, true, change)
	stuck, _ := dial(t, s)
	if _, err := io.WriteString(stuck, plainly("GET", "/plain/wait")); err != nil {
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
	if err := s.here.Wait(context.Background()); err != nil { // its handler was told
		t.Errorf("Wait: %v", err)
	}
}

// Connections without requests end, before the first and between two.
func TestTimeouts(t *testing.T) {
	bothWays(t, func(t *testing.T, change func(*http.Server)) {
		s := serve(t, true, change, func(srv *http.Server) { srv.ReadHeaderTimeout = 20 * time.Millisecond })
		silent, err := net.Dial("tcp", s.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer silent.Close()
		if _, err := silent.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("a connection without a byte: %v, want its end", err)
		}
		s = serve(t, true, change, func(srv *http.Server) { srv.IdleTimeout = 20 * time.Millisecond })
		conn, r := dial(t, s)
		call(t, conn, r, ask)
		if _, err := r.ReadByte(); err != io.EOF {
			t.Errorf("a connection without a second request: %v, want its end", err)
		}
		if n := s.plain.Load(); n != 1 {
			t.Errorf("%d plain requests, want 1", n)
		}
		const size = 64 << 20 // more than the kernel holds
		answered := make(chan error, 1)
		s = serve(t, true, change, func(srv *http.Server) {
			srv.WriteTimeout = 20 * time.Millisecond
			srv.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header()["Content-Length"] = []string{strconv.Itoa(size)}
				_, err := w.Write(make([]byte, size))
				answered <- err
			})
		})
		conn, _ = dial(t, s)
		if _, err := io.WriteString(conn, ask); err != nil {
			t.Fatal(err)
		}
		if err := <-answered; !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("an answer that nobody reads: %v, want its end", err)
		}
		if n, err := io.Copy(io.Discard, conn); n >= size || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("an answer that was cut has %d bytes, %v", n, err)
		}
	})
}

// A first request has no more time because it came in pieces: net/http gets what is left of it.
func TestFirstRequestInPieces(t *testing.T) {
	srv := &http.Server{ReadHeaderTimeout: time.Hour, IdleTimeout: time.Hour, WriteTimeout: time.Hour, ConnState: unwatched,
		Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})}
	for _, tt := range []struct {
		name   string
		pieces []string
		first  bool
	}{
		{"the first request", []string{"POST"}, true},
		{"the second one", []string{ask, "POST"}, false},
	} {
		p := &pretended{read: func(b []byte) (int, error) {
			if len(tt.pieces) == 0 {
				return 0, os.ErrDeadlineExceeded
			}
			n := copy(b, tt.pieces[0])
			tt.pieces = tt.pieces[1:]
			return n, nil
		}}
		c := &conn{Conn: p, l: New(srv, nil, func(string) bool { return true }), ctx: context.Background()}
		others := c.answerAll()
		latest, later := time.Now().Add(time.Hour), time.Now().Add(2*time.Hour)
		_ = others.SetReadDeadline(later)
		if got := p.readDeadline.Load().(time.Time); got.After(latest) == tt.first {
			t.Errorf("%s: net/http waits until %s, at most an hour after the connection is %s", tt.name, got, latest)
		}
		_ = others.SetReadDeadline(later)
		if got := p.readDeadline.Load().(time.Time); got != later {
			t.Errorf("%s: the next deadline is %s, want %s", tt.name, got, later)
		}
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
				srv.ConnContext = func(ctx context.Context, _ net.Conn) context.Context { return ctx }
				srv.ReadHeaderTimeout, srv.IdleTimeout, srv.WriteTimeout, srv.ConnState = time.Minute, time.Minute, time.Minute, unwatched
				l = New(srv, inner, func(string) bool { return true })
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
	srv := &http.Server{ReadHeaderTimeout: time.Minute, IdleTimeout: time.Minute, WriteTimeout: time.Minute, ConnState: unwatched,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			h := w.Header()
			for _, key := range headers {
				h[key] = values
			}
			h["Content-Length"] = []string{"2"}
			_, _ = w.Write([]byte("{}"))
		})}
	c := &conn{l: New(srv, nil, func(string) bool { return true })}
	c.ctx, c.cancel = context.WithCancel(context.Background())
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
	read         func([]byte) (int, error)
	readDeadline atomic.Value
}

func (p *pretended) Read(b []byte) (int, error) { return p.read(b) }
func (*pretended) Write(b []byte) (int, error)  { return len(b), nil }
func (*pretended) RemoteAddr() net.Addr         { return &net.TCPAddr{} }
func (*pretended) LocalAddr() net.Addr          { return &net.TCPAddr{} }
func (*pretended) SetDeadline(time.Time) error  { return nil }
func (p *pretended) SetReadDeadline(t time.Time) error {
	p.readDeadline.Store(t)
	return nil
}
func (*pretended) SetWriteDeadline(time.Time) error { return nil }
func (*pretended) Close() error                     { return nil }
