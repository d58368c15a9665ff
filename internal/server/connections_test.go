package server_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"liked/internal/livetest"
	"liked/internal/server"
)

// dial opens a connection and leaves it to the test's end.
func dial(t *testing.T, base string) net.Conn {
	t.Helper()
	_, address, _ := strings.Cut(base, "://")
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	return conn
}

// ask sends a request over the connection, unless it is "", and returns the answer.
func ask(t *testing.T, conn net.Conn, request string) (*http.Response, string) {
	t.Helper()
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(body)
}

func TestConnectionsAreBounded(t *testing.T) {
	t.Parallel()
	config := server.Config{Seed: world(), MaxConnections: 2}
	config.SetTick(time.Hour) // those that are in stay, however long the others take
	config.SetRejecting(time.Minute)
	srv, _ := start(t, config)
	const request = "GET /2/users/me HTTP/1.1\r\nHost: x\r\n\r\n"
	in := []net.Conn{dial(t, srv.URL()), dial(t, srv.URL())}
	for _, conn := range in {
		if resp, _ := ask(t, conn, request); resp.StatusCode != 401 {
			t.Fatalf("a connection that there is room for: got %s", resp.Status)
		}
	}
	large := "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n" + strings.Repeat(" ", 100_000)
	for _, sent := range []string{"", request, large} {
		conn := dial(t, srv.URL())
		resp, body := ask(t, conn, sent)
		if resp.StatusCode != 503 || body != unavailable || !resp.Close || resp.Header.Get("Retry-After") != "1" ||
			resp.Header.Get("Content-Type") != "application/json; charset=utf-8" {
			t.Errorf("one connection too many, %d bytes sent: got %s %v %s", len(sent), resp.Status, resp.Header, body)
		}
		if n, err := conn.Read(make([]byte, 1)); n != 0 || err != io.EOF {
			t.Errorf("after the answer: read %d bytes, %v; want the end", n, err)
		}
	}
	c := client(t, nil)
	if status, _ := get(t, c, srv.AdminURL()+"/readyz", ""); status != 200 {
		t.Errorf("/readyz: got %d", status)
	}
	_, metrics := get(t, c, srv.AdminURL()+"/metrics", "")
	if !strings.Contains(metrics, `liked_connections_refused_total{listener="listen"} 3`) {
		t.Error("the metrics do not say that 3 connections were refused")
	}

	in[0].Close()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		resp, _ := ask(t, dial(t, srv.URL()), request)
		if resp.StatusCode == 401 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("once there is room again: got %s", resp.Status)
		}
	}
}

// With TLS, one connection too many is closed: its client could not read an answer in the clear.
func TestConnectionsAreBoundedWithTLS(t *testing.T) {
	t.Parallel()
	cert, key, pool := livetest.Certificate(t)
	srv, _ := start(t, server.Config{Seed: world(), MaxConnections: 1, TLSCert: cert, TLSKey: key})
	in := tls.Client(dial(t, srv.URL()), &tls.Config{RootCAs: pool, ServerName: "127.0.0.1"})
	if err := in.Handshake(); err != nil {
		t.Fatal(err)
	}
	if n, err := dial(t, srv.URL()).Read(make([]byte, 1)); n != 0 || err == nil {
		t.Errorf("one connection too many: read %d bytes, %v", n, err)
	}
}

// A cache has at least one MiB, and at most a size that a machine can have.
func TestCacheSize(t *testing.T) {
	for _, mib := range []int{-1, 1<<20 + 1} {
		if err := (server.Config{CacheMiB: mib}).Validate(); !says(err, fmt.Sprintf("cache: %d MiB are not", mib)) {
			t.Errorf("a cache of %d MiB: %v, want a refusal", mib, err)
		}
	}
	start(t, server.Config{Seed: world(), Data: t.TempDir(), CacheMiB: 1})
}

func TestMaxConnections(t *testing.T) {
	t.Parallel()
	for _, n := range []int{-1, 1_000_001} {
		if err := (server.Config{MaxConnections: n}).Validate(); !says(err, fmt.Sprintf("max-connections: %d is not", n)) {
			t.Errorf("%d: got %v", n, err)
		}
	}
}

// One connection carries likes, pages, what there is not, and then a stream, over TLS, too; it is the same to its client.
func TestEverythingOverOneConnection(t *testing.T) {
	t.Parallel()
	cert, key, pool := livetest.Certificate(t)
	for name, test := range map[string]struct {
		config server.Config
		tls    *tls.Config
	}{
		"in the clear": {},
		"over TLS":     {server.Config{TLSCert: cert, TLSKey: key}, &tls.Config{RootCAs: pool, ServerName: "127.0.0.1"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test.config.Seed = world()
			srv, _ := start(t, test.config)
			k := srv.Credentials()
			u, post := k.Users[len(k.Users)-1], k.Posts[0].ID.String()
			conn := dial(t, srv.URL())
			if test.tls != nil {
				conn = tls.Client(conn, test.tls)
			}
			answers := bufio.NewReader(conn)
			hash := ""
			call := func(method, path, token, body string, want int) *http.Response {
				r, err := http.NewRequest(method, srv.URL()+path, strings.NewReader(body))
				if err != nil {
					t.Fatal(err)
				}
				r.Header.Set("Authorization", "Bearer "+token)
				r.Header.Set("Content-Type", "application/json")
				if err := r.Write(conn); err != nil {
					t.Fatal(err)
				}
				resp, err := http.ReadResponse(answers, r)
				if err != nil {
					t.Fatalf("%s %s: %v", method, path, err)
				}
				if is := resp.Header.Get("X-Connection-Hash"); resp.StatusCode != want || is == "" || hash != "" && is != hash {
					t.Errorf("%s %s: %s, connection %q; want %d, %q", method, path, resp.Status, is, want, hash)
				}
				hash = resp.Header.Get("X-Connection-Hash")
				return resp
			}
			text := func(resp *http.Response) string {
				defer resp.Body.Close()
				body, err := io.ReadAll(resp.Body)
				if err != nil || resp.ContentLength != int64(len(body)) {
					t.Errorf("a body of %d bytes: %d, %v", resp.ContentLength, len(body), err)
				}
				return string(body)
			}
			likes := "/2/users/" + u.ID.String() + "/likes"
			if body := text(call("POST", likes, u.AccessToken, `{"tweet_id":"`+post+`"}`, 200)); !strings.Contains(body, `"liked":true`) {
				t.Errorf("a like: %s", body)
			}
			page := "/2/users/" + u.ID.String() + "/liked_tweets?max_results=5&tweet.fields=id%2Ctext"
			if body := text(call("GET", page, u.AccessToken, "", 200)); !strings.Contains(body, post) {
				t.Errorf("a page: %s", body)
			}
			text(call("GET", "/2/users/1/nothing", u.AccessToken, "", 404))
			if resp := call("GET", "/2/likes/firehose/stream?partition=1", k.Apps[0].BearerToken, "", 200); resp.ContentLength != -1 {
				t.Errorf("a stream has %d bytes", resp.ContentLength)
			}
		})
	}
}

// A connection in HTTP/1.0 ends with its first answer: net/http does not see the Transfer-Encoding that a proxy sees, and would
// take what follows for a request.
func TestOldProtocolEnds(t *testing.T) {
	t.Parallel()
	srv, _ := start(t, server.Config{Seed: world()})
	for _, base := range []string{srv.URL(), srv.AdminURL()} {
		for _, rest := range []string{"\r\n", "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n"} {
			conn := dial(t, base)
			answers := bufio.NewReader(conn)
			if _, err := io.WriteString(conn, "GET /livez HTTP/1.0\r\nHost: localhost\r\nConnection: keep-alive\r\n"+rest); err != nil {
				t.Fatal(err)
			}
			resp, err := http.ReadResponse(answers, nil)
			if err != nil {
				t.Fatal(err)
			}
			_, _ = io.Copy(io.Discard, resp.Body)
			if n, err := answers.Read(make([]byte, 1)); n != 0 || err == nil || !resp.Close {
				t.Errorf("%s, %q: the connection goes on: %s, %d bytes, %v", base, rest, resp.Status, n, err)
			}
		}
	}
}

// watched tells when its server ends a connection that its client reads.
type watched struct {
	net.Conn
	ended chan struct{}
	once  sync.Once
}

func (w *watched) Read(p []byte) (int, error) {
	n, err := w.Conn.Read(p)
	if err != nil {
		w.once.Do(func() { close(w.ended) })
	}
	return n, err
}

func (w *watched) Close() error { // TLS says the end in a message
	w.once.Do(func() { close(w.ended) })
	return w.Conn.Close()
}

// When few connections are left, those that wait for a request end soon, whoever serves them; those in use stay.
func TestIdleConnectionsEndUnderPressure(t *testing.T) {
	t.Parallel()
	cert, key, pool := livetest.Certificate(t)
	for name, http2 := range map[string]bool{"HTTP/1.1": false, "HTTP/2": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			config := server.Config{Seed: world(), MaxConnections: 4}
			var trust *tls.Config
			if http2 {
				config.TLSCert, config.TLSKey, trust = cert, key, &tls.Config{RootCAs: pool}
			}
			config.SetTick(100 * time.Millisecond) // half a second is longer than it takes to speak TLS on a busy machine
			srv, _ := start(t, config)
			k := srv.Credentials()
			app := k.Apps[0].BearerToken
			var clients []*http.Client
			// call calls again while there is no room: a client sees the end of a connection before the server counts it.
			call := func(c *http.Client, method, path, token, body string) *http.Response {
				for deadline := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
					r, err := http.NewRequest(method, srv.URL()+path, strings.NewReader(body))
					if err != nil {
						t.Fatal(err)
					}
					r.Header.Set("Authorization", "Bearer "+token)
					if body != "" {
						r.Header.Set("Content-Type", "application/json")
					}
					resp, err := c.Do(r)
					if err == nil && resp.StatusCode != 503 {
						t.Cleanup(func() { resp.Body.Close() })
						return resp
					}
					if time.Now().After(deadline) {
						t.Fatal(path, resp, err)
					}
				}
			}
			reach := func(c *http.Client, path string) *http.Response { return call(c, "GET", path, app, "") }
			// open has a client with a connection of its own ask for a path.
			open := func(path string) (*http.Response, *watched) {
				var w *watched
				c := client(t, trust)
				clients = append(clients, c)
				c.Transport.(*http.Transport).DialContext = func(_ context.Context, _, address string) (net.Conn, error) {
					conn, err := net.Dial("tcp", address)
					w = &watched{Conn: conn, ended: make(chan struct{})}
					return w, err
				}
				return reach(c, path), w
			}
			ends := func(w *watched, within time.Duration) bool {
				select {
				case <-w.ended:
					return true
				case <-time.After(within):
					return false
				}
			}
			var streams []*http.Response
			for _, stream := range []string{"compliance/stream", "sample10/stream?partition=1", "sample10/stream?partition=2"} {
				resp, _ := open("/2/likes/" + stream)
				streams = append(streams, resp)
			}
			for _, path := range []string{"", "/2/tweets/1", "/explorer"} { // nothing is asked, fastpath answers, net/http does
				var w *watched
				if path == "" {
					w = &watched{Conn: dial(t, srv.URL()), ended: make(chan struct{})}
					go io.Copy(io.Discard, w)
				} else {
					var resp *http.Response
					resp, w = open(path)
					_, _ = io.Copy(io.Discard, resp.Body)
				}
				if !ends(w, 30*time.Second) {
					t.Errorf("%q: the connection waits on", path)
				}
			}
			c := client(t, trust) // with the last connection
			_, _ = io.Copy(io.Discard, reach(c, "/2/tweets/1").Body)
			u, post := k.Users[0], k.Posts[0].ID.String()
			likes := "/2/users/" + u.ID.String() + "/likes"
			for _, of := range [][3]string{{"POST", likes, `{"tweet_id":"` + post + `"}`}, {"DELETE", likes + "/" + post, ""}} {
				resp := call(c, of[0], of[1], u.AccessToken, of[2])
				if body, err := io.ReadAll(resp.Body); resp.StatusCode != 200 || err != nil {
					t.Fatal(resp.Status, string(body), err)
				}
			}
			if line, err := bufio.NewReader(streams[0].Body).ReadString('\n'); !strings.HasPrefix(line, `{"data":`) {
				t.Errorf("a stream: %q, %v", line, err)
			}
			c.CloseIdleConnections()
			for i, resp := range streams[1:] {
				resp.Body.Close()
				clients[1+i].CloseIdleConnections()
			}
			for deadline := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
				if _, metrics := get(t, client(t, nil), srv.AdminURL()+"/metrics", ""); strings.Contains(metrics, "liked_streams_open 1\n") {
					break
				}
				if time.Now().After(deadline) {
					t.Fatal("streams without readers are open")
				}
			}
			resp, w := open("/2/tweets/1")
			_, _ = io.Copy(io.Discard, resp.Body)
			if ends(w, time.Second) {
				t.Error("a connection ended although there is room")
			}
		})
	}
}

// Requests under way are bounded, not only connections: in HTTP/2 one connection has many. What it may have, and how much of it
// is kept unread, its settings say.
func TestRequestsAreBounded(t *testing.T) {
	t.Parallel()
	cert, key, pool := livetest.Certificate(t)
	srv, _ := start(t, server.Config{Seed: world(), MaxConnections: 3, TLSCert: cert, TLSKey: key})
	k := srv.Credentials()
	c := client(t, &tls.Config{RootCAs: pool})
	var streams []*http.Response
	for _, stream := range []string{"compliance/stream", "sample10/stream?partition=1", "sample10/stream?partition=2"} {
		r, err := http.NewRequest("GET", srv.URL()+"/2/likes/"+stream, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+k.Apps[0].BearerToken)
		resp, err := c.Do(r)
		if err != nil || resp.StatusCode != 200 || resp.ProtoMajor != 2 {
			t.Fatal(stream, resp, err)
		}
		defer resp.Body.Close()
		streams = append(streams, resp)
	}
	resp, body := send(t, c, "GET", srv.URL()+"/2/users/me", k.Users[0].AccessToken, "")
	if resp.StatusCode != 503 || body != unavailable || resp.Header.Get("Retry-After") != "1" {
		t.Errorf("one request too many: %s %v %s", resp.Status, resp.Header, body)
	}
	streams[0].Body.Close()
	for deadline := time.Now().Add(time.Minute); resp.StatusCode != 200; time.Sleep(time.Millisecond) {
		if resp, body = send(t, c, "GET", srv.URL()+"/2/users/me", k.Users[0].AccessToken, ""); time.Now().After(deadline) {
			t.Fatalf("once there is room again: %s %s", resp.Status, body)
		}
	}

	conn := tls.Client(dial(t, srv.URL()), &tls.Config{RootCAs: pool, ServerName: "127.0.0.1", NextProtos: []string{"h2"}})
	if _, err := io.WriteString(conn, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"); err != nil {
		t.Fatal(err)
	}
	head := make([]byte, 9) // of a frame (RFC 9113, 4.1)
	if _, err := io.ReadFull(conn, head); err != nil || head[3] != 4 {
		t.Fatalf("the first frame is not SETTINGS: %x, %v", head, err)
	}
	settings := make([]byte, int(head[1])<<8|int(head[2]))
	if _, err := io.ReadFull(conn, settings); err != nil {
		t.Fatal(err)
	}
	got := make(map[uint16]uint32)
	for setting := range slices.Chunk(settings, 6) {
		got[binary.BigEndian.Uint16(setting)] = binary.BigEndian.Uint32(setting[2:])
	}
	for id, want := range map[uint16]uint32{3: 32, 4: 16 << 10, 5: 16 << 10} { // streams, window of one, size of a frame
		if got[id] != want {
			t.Errorf("setting %d is %d, want %d", id, got[id], want)
		}
	}
}
