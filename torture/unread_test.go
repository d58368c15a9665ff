package torture

import (
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"liked/internal/livetest"
)

// streams is how many requests at a time a connection in HTTP/2 may have.
const streams = 32

// TestHostileConnectionsReadNothing has clients ask for all that answers without a credential, and read nothing: in HTTP/1.1, in
// HTTP/2, and in HTTP/2 with as many requests at a time as a connection may have. Then one sends halves of requests.
func TestHostileConnectionsReadNothing(t *testing.T) {
	t.Parallel()
	const (
		unread = 200 << 10 // bytes of memory for a connection whose client reads nothing
		halved = 1 << 20   // for one in HTTP/2 with many requests whose bodies do not end
		noise  = 1 << 20   // that comes and goes meanwhile, so that few connections would tell little
	)
	cert, key, _ := livetest.Certificate(t)
	plain, secure := boot(t, "--rate-limits", "off"), boot(t, "--rate-limits", "off", "--tls-cert", cert, "--tls-key", key)
	c := client(t)
	transport := c.Transport.(*http.Transport)
	transport.TLSClientConfig, transport.DisableCompression = &tls.Config{InsecureSkipVerify: true}, true
	paths := plain.openPaths(t, c)
	secure.openPaths(t, c) // what is made once is made now
	worst := make(map[int]string)
	outcome(t, "a client that reads nothing costs little", func() string {
		return fmt.Sprintf("%d paths; a connection took up to %s with one request, with %d requests %s, of %d KiB", len(paths),
			worst[1], streams, worst[streams], unread>>10)
	})
	most := make(map[int]float64)
	// ask has clients send what they ask for, of which the server begins so many requests.
	ask := func(m *machine, clients, requests, limit int, name, text string) {
		t.Helper()
		got := m.costs(t, c, clients*requests, func() (conns []net.Conn) {
			for range clients {
				conns = append(conns, m.ask(t, text))
			}
			return conns
		}) / float64(clients)
		if limit == unread && got > most[requests] {
			most[requests], worst[requests] = got, fmt.Sprintf("%.0f KiB (%s)", got/(1<<10), name)
		}
		if livetest.Raced() {
			got /= 2
		}
		if got > float64(limit+noise/clients) {
			t.Errorf("%s: a connection takes %.0f KiB, want at most %d", name, got/(1<<10), limit>>10)
		}
	}
	for _, path := range paths {
		for _, method := range []string{"GET", "HEAD"} {
			name := method + " " + path
			ask(plain, 32, 1, unread, name, name+" HTTP/1.1\r\nHost: localhost\r\nAccept: text/html, */*\r\n\r\n")
			one := h2Request(0, true, method, path, "accept", "text/html, */*")
			ask(secure, 32, 1, unread, name+" in HTTP/2", h2Preface+one)
		}
		many := h2Preface
		for i := range streams {
			many += h2Request(i, true, "GET", path, "accept", "text/html, */*")
		}
		ask(secure, 64, streams, unread, "GET "+path, many)
	}
	halves := h2Preface
	for i := range 240 {
		halves += h2Request(i, false, "POST", "/2/users/"+secure.Users[0].ID+"/likes", "authorization", bearer(secure.Users[0].AccessToken),
			"content-type", "application/json", "content-length", "60000") + h2Frame(0, 0, i, strings.Repeat(" ", 100))
	}
	ask(secure, 4, streams, halved, "halves of 240 requests", halves)
}

// costs returns the memory that the process needs more, in bytes, once it has begun so many requests of the connections.
func (m *machine) costs(t *testing.T, c *http.Client, requests int, open func() []net.Conn) float64 {
	t.Helper()
	before, begun := m.live(t, c), m.begun(t, c)
	conns := open()
	defer func() {
		for _, conn := range conns {
			conn.Close()
		}
	}()
	for deadline := time.Now().Add(time.Minute); m.begun(t, c) < begun+requests; time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Errorf("%d requests were begun, want %d", m.begun(t, c)-begun, requests)
			break
		}
	}
	return m.live(t, c) - before
}

// live returns the memory that the process uses, without garbage, in bytes.
func (m *machine) live(t *testing.T, c *http.Client) float64 {
	t.Helper()
	if a, err := send(c, m.AdminURL, get("/debug/pprof/heap?gc=1", bearer(m.AdminToken))); err != nil || a.status != 200 {
		t.Fatalf("/debug/pprof/heap: %d %v", a.status, err)
	}
	return m.metric(c, "go_memstats_heap_alloc_bytes") + m.metric(c, "go_memstats_stack_inuse_bytes")
}

// begun returns how many requests were answered or are being answered.
func (m *machine) begun(t *testing.T, c *http.Client) (n int) {
	t.Helper()
	a, err := send(c, m.AdminURL, get("/metrics", ""))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(a.body)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		if name == "liked_requests_in_flight" || strings.HasPrefix(name, "liked_requests_total{") {
			count, err := strconv.ParseFloat(value, 64)
			if err != nil {
				t.Fatal(err)
			}
			n += int(count)
		}
	}
	return n
}

// openPaths returns what answers without a credential: some paths, and what their pages load and link to.
func (m *machine) openPaths(t *testing.T, c *http.Client) []string {
	t.Helper()
	paths := []string{"/", "/postman/collection.json", "/postman/environment.json", "/2/openapi.json", "/explorer", "/login", "/developer",
		"/settings/connected_apps", "/i/oauth2/authorize", "/oauth/authorize", "/i/oauth/authenticate", "/no/such", "/2/no/such"}
	links := regexp.MustCompile(`(?:src|href)="(/[^"#]*)"`)
	for i := 0; i < len(paths); i++ {
		r, err := http.NewRequest("GET", m.URL+paths[i], nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Accept", "text/html")
		resp, err := c.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		for _, link := range links.FindAllSubmatch(body, -1) {
			if path := string(link[1]); !slices.Contains(paths, path) {
				paths = append(paths, path)
			}
		}
	}
	if !slices.Contains(paths, "/explorer/explorer.js") {
		t.Errorf("what pages load is not among %q", paths)
	}
	return append(paths, "/home/live")
}

// ask opens a connection with as small a receive buffer as the system gives, over TLS if the server speaks it, and sends the
// request. Nothing is read.
func (m *machine) ask(t *testing.T, request string) net.Conn {
	t.Helper()
	dialer := net.Dialer{Control: func(_, _ string, socket syscall.RawConn) (err error) {
		return errors.Join(socket.Control(func(fd uintptr) {
			err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 1)
		}), err)
	}}
	scheme, address, _ := strings.Cut(m.URL, "://")
	conn, err := dialer.Dial("tcp", address)
	if err == nil && scheme == "https" {
		conn = tls.Client(conn, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
	}
	if err == nil {
		_, err = io.WriteString(conn, request)
	}
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

// h2Preface begins a connection in HTTP/2, with settings that change nothing (RFC 9113, 3.4).
const h2Preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + "\x00\x00\x00\x04\x00\x00\x00\x00\x00"

// h2Request is the HEADERS frame of the client's i-th request, with fields in pairs. Without end, its body follows.
func h2Request(i int, end bool, method, path string, fields ...string) string {
	var block []byte
	fields = append([]string{":method", method, ":scheme", "https", ":path", path, ":authority", "localhost"}, fields...)
	for pair := range slices.Chunk(fields, 2) {
		block = append(block, 0) // neither indexed nor compressed (RFC 7541, 6.2.2)
		for _, text := range pair {
			if len(text) > 126 {
				panic("a length of one byte only: " + text)
			}
			block = append(append(block, byte(len(text))), text...)
		}
	}
	flags := byte(4) // END_HEADERS
	if end {
		flags |= 1 // END_STREAM
	}
	return h2Frame(1, flags, i, string(block))
}

// h2Frame is a frame of the client's i-th request (RFC 9113, 4.1).
func h2Frame(kind, flags byte, i int, payload string) string {
	head := binary.BigEndian.AppendUint32(nil, uint32(len(payload)))[1:]
	return string(binary.BigEndian.AppendUint32(append(head, kind, flags), uint32(2*i+1))) + payload
}
