// Package fastpath answers plain HTTP/1.1 requests without net/http, to which it hands all other connections. Use
// [New].
//
// What net/http does beside reading and writing (a goroutine that waits for the client to close, headers copied, sorted
// and copied again) takes as long as the handler of a like. A plain request needs none of it: head and body are small,
// arrive together, and do not change how the connection goes on. At the first byte that is not plain, net/http gets the
// connection with all that is unanswered, so this package refuses nothing and has no answers of its own. It must read
// requests as net/http does, which FuzzRequest checks.
package fastpath

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// partTimeout is how long the rest of a request may take. A slower client is left to net/http.
	partTimeout = 50 * time.Millisecond
	// refreshEvery limits how often deadlines are set, which may end that much early.
	refreshEvery = 5 * time.Second
	// lingerTime is how long the client may take to read the last answer. Closing at once, with a request unread, would
	// reset the connection and lose the answer (RFC 9112, 9.6).
	lingerTime = 500 * time.Millisecond
)

// Listener is what its server must serve: Accept returns connections that need net/http, it serves the others itself.
type Listener struct {
	net.Listener
	server      *http.Server
	takes       func(path string) bool
	tls         *tls.Config // nil: no TLS; kept here because net/http sets server.TLSConfig in any case
	connContext func(context.Context, net.Conn) context.Context
	accepted    chan accepted
	start       sync.Once
	closing     atomic.Bool
	closed      chan struct{}

	mu    sync.Mutex
	conns map[*conn]struct{} // served here
	empty sync.WaitGroup     // of conns
}

type accepted struct {
	conn net.Conn
	err  error
}

// New returns a listener for the connections of inner, to be passed to srv.Serve. If srv has a TLSConfig, the listener
// speaks TLS. Nothing is accepted before Serve. Handler, timeouts, ErrorLog, ConnContext and ConnState are those of srv,
// which must have all of them and change none.
//
// takes selects paths whose handlers answer at once and in one piece. They cannot flush, set deadlines or send
// informational answers, do not learn that the client has disconnected, and must neither keep the request nor change
// its header: the next request reuses the memory.
func New(srv *http.Server, inner net.Listener, takes func(path string) bool) *Listener {
	l := &Listener{Listener: inner, server: srv, takes: takes, connContext: srv.ConnContext, accepted: make(chan accepted),
		closed: make(chan struct{}), conns: make(map[*conn]struct{})}
	srv.ConnContext = l.contextOf
	if srv.TLSConfig != nil {
		l.tls = srv.TLSConfig.Clone()
		l.tls.NextProtos = []string{"h2", "http/1.1"}
		srv.TLSConfig = l.tls
	}
	return l
}

// Accept returns the next connection that needs net/http.
func (l *Listener) Accept() (net.Conn, error) {
	l.start.Do(func() { go l.accept() })
	select {
	case a := <-l.accepted:
		return a.conn, a.err
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// accept accepts connections. Errors go to net/http, which knows when to retry.
func (l *Listener) accept() {
	if l.tls != nil && l.server.TLSNextProto["h2"] == nil { // off with GODEBUG=http2server=0
		l.tls.NextProtos = []string{"http/1.1"}
	}
	base := context.WithValue(context.Background(), http.ServerContextKey, l.server)
	for !l.closing.Load() {
		inner, err := l.Listener.Accept()
		if err != nil {
			l.hand(accepted{err: err})
			continue
		}
		if l.tls != nil {
			inner = tls.Server(inner, l.tls)
		}
		c := &conn{Conn: inner, l: l}
		c.values = context.WithValue(l.connContext(base, inner), http.LocalAddrContextKey, inner.LocalAddr())
		c.ctx, c.cancel = context.WithCancel(c.values)
		if !l.enter(c) {
			_ = inner.Close()
			return
		}
		go c.serve()
	}
}

// hand passes a connection or an error to Accept. It reports false if the listener is closed.
func (l *Listener) hand(a accepted) bool {
	select {
	case l.accepted <- a:
		return true
	case <-l.closed:
		return false
	}
}

func (l *Listener) enter(c *conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closing.Load() {
		return false
	}
	l.conns[c] = struct{}{}
	l.empty.Add(1)
	return true
}

func (l *Listener) leave(c *conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.conns, c)
	l.empty.Done()
}

// Close stops accepting and ends connections that wait for a request. Those being answered end with their answer: see
// [Listener.Wait].
func (l *Listener) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closing.Swap(true) {
		return nil
	}
	close(l.closed)
	for c := range l.conns {
		_ = c.Conn.SetReadDeadline(time.Unix(1, 0))
	}
	return l.Listener.Close()
}

// Wait, after Close, returns once all connections served here have ended. If ctx ends first, Wait closes the rest and
// returns ctx's error.
func (l *Listener) Wait(ctx context.Context) error {
	empty := make(chan struct{})
	go func() {
		l.empty.Wait()
		close(empty)
	}()
	select {
	case <-empty:
		return nil
	case <-ctx.Done():
	}
	l.mu.Lock()
	for c := range l.conns {
		_ = c.Conn.Close()
		c.cancel() // its answer can no longer be sent
	}
	l.mu.Unlock()
	return ctx.Err()
}

// contextOf is the server's ConnContext: a connection keeps its values when it is handed over.
func (l *Listener) contextOf(ctx context.Context, nc net.Conn) context.Context {
	switch c := nc.(type) {
	case *conn:
		return c.values
	case tlsConn:
		return c.values
	}
	return l.connContext(ctx, nc)
}

// conn is a connection, served here until Accept returns it to net/http.
type conn struct {
	net.Conn
	l           *Listener
	values, ctx context.Context
	cancel      context.CancelFunc // ends ctx
	rest        []byte             // read, not answered
	due         time.Time          // deadline of the first request; zero once it has come

	refreshed time.Time // when deadlines were last set
	request   request
	response  response
}

// tlsConn is a conn over TLS: net/http looks for ConnectionState.
type tlsConn struct{ *conn }

func (c tlsConn) ConnectionState() tls.ConnectionState { return c.Conn.(*tls.Conn).ConnectionState() }

// Read returns what was read already, then reads the connection.
func (c *conn) Read(p []byte) (int, error) {
	if len(c.rest) == 0 {
		return c.Conn.Read(p)
	}
	n := copy(p, c.rest)
	c.rest = c.rest[n:]
	return n, nil
}

// SetReadDeadline is for net/http, which would grant the first request its full time again.
func (c *conn) SetReadDeadline(t time.Time) error {
	if !c.due.IsZero() {
		t, c.due = c.due, time.Time{}
	}
	return c.Conn.SetReadDeadline(t)
}

// NetConn returns the connection beneath.
func (c *conn) NetConn() net.Conn { return c.Conn }

// CloseWrite is for net/http, to linger.
func (c *conn) CloseWrite() error { return c.Conn.(interface{ CloseWrite() error }).CloseWrite() }

// serve is the goroutine of a connection served here.
func (c *conn) serve() {
	defer c.l.leave(c)
	defer c.cancel()
	others := c.answerAll()
	if others != nil {
		_ = c.Conn.SetDeadline(time.Time{})
		c.request, c.response = request{}, response{}
		if c.l.hand(accepted{conn: others}) {
			return
		}
	}
	_ = c.Conn.Close()
}

// answerAll answers plain requests. It returns the connection for net/http, or nil if it has ended.
func (c *conn) answerAll() (others net.Conn) {
	var state *tls.ConnectionState
	others = c
	c.due = time.Now().Add(c.l.server.ReadHeaderTimeout)
	_ = c.Conn.SetDeadline(c.due)
	if t, ok := c.Conn.(*tls.Conn); ok {
		if c.l.closing.Load() {
			return nil
		}
		err := t.Handshake()
		s := t.ConnectionState()
		if err != nil || s.NegotiatedProtocol == "h2" {
			return t // net/http gets the same error, and answers it
		}
		state, others = &s, tlsConn{c}
		c.due = time.Now().Add(c.l.server.ReadHeaderTimeout)
		_ = c.Conn.SetReadDeadline(c.due)
	}
	c.request.init(c.ctx, c.Conn.RemoteAddr().String(), state)
	c.response.conn, c.response.closing = c.Conn, &c.l.closing
	buf, have, waits := make([]byte, bufferSize), 0, false // for the rest of a request
	for {
		size, state := c.request.parse(buf[:have], c.l.takes)
		switch {
		case state == whole:
			c.refresh()
			c.l.server.ConnState(c, http.StateActive)
			if !c.answer() {
				return nil
			}
			c.l.server.ConnState(c, http.StateIdle)
			have, waits = copy(buf, buf[size:have]), false
			continue
		case state == other, have == bufferSize:
			c.rest = buf[:have]
			return others
		case have > 0 && !waits:
			_ = c.Conn.SetReadDeadline(time.Now().Add(partTimeout))
			c.refreshed, waits = time.Time{}, true
		}
		if c.l.closing.Load() {
			return nil
		}
		n, err := c.Conn.Read(buf[have:])
		if have += n; err != nil && n == 0 {
			if have == 0 {
				return nil
			}
			c.rest = buf[:have]
			return others // net/http answers half a request
		}
	}
}

// refresh sets the connection's deadlines at most every refreshEvery.
func (c *conn) refresh() {
	now := time.Now()
	if now.Sub(c.refreshed) < refreshEvery {
		return
	}
	c.refreshed, c.due = now, time.Time{}
	_ = c.Conn.SetReadDeadline(now.Add(c.l.server.IdleTimeout))
	_ = c.Conn.SetWriteDeadline(now.Add(c.l.server.WriteTimeout))
}

// answer runs the handler, and reports whether the connection goes on.
func (c *conn) answer() bool {
	w := &c.response
	w.begin()
	if !c.handle(w, c.request.next()) {
		return false
	}
	last, err := w.end()
	if last && err == nil {
		_ = c.CloseWrite()
		_ = c.Conn.SetReadDeadline(time.Now().Add(lingerTime))
		_, _ = io.Copy(io.Discard, c.Conn)
	}
	return !last && err == nil
}

// handle reports whether there is an answer: as in net/http, a handler that panics has none.
func (c *conn) handle(w http.ResponseWriter, r *http.Request) (answered bool) {
	defer func() {
		if answered {
			return
		}
		if v := recover(); v != http.ErrAbortHandler {
			c.l.server.ErrorLog.Printf("http: panic serving %v: %v\n%s", r.RemoteAddr, v, debug.Stack())
		}
	}()
	c.l.server.Handler.ServeHTTP(w, r)
	return true
}
