// Package plainhttp answers plain HTTP/1.1 requests without net/http, and hands all other connections over to it.
//
// What net/http does for a request beside reading and writing (a goroutine that waits for the client to go, headers that are
// copied, sorted and copied again) takes as long as the handler of a like. A plain request needs none of it: head and body
// are small and arrive together, nothing in them changes how the connection goes on, and the answer is one piece. This
// package reads such requests and nothing else. At the first byte that is not plain, net/http gets the connection, with all
// that was not answered yet, as if nobody had read it. So nothing is refused here, and there are no answers of its own:
// whatever is unusual, wrong or hostile is net/http's. What is read here must be read as net/http does: FuzzRequest holds
// it to that.
package plainhttp

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"
)

// Options are what a listener works with. All are required.
type Options struct {
	// Takes says which requests may be answered here: those whose answer is small and comes at once. Their handler cannot
	// flush, is not told when the client goes, and must neither keep the request nor change its header: the next request
	// has the memory.
	Takes   func(method, path string) bool
	Handler http.Handler // the same as of the http.Server
	Logger  *slog.Logger
	// ConnContext is what http.Server.ConnContext would be. That must be Listener.ConnContext instead, so that a
	// connection keeps its context when it is handed over.
	ConnContext func(context.Context, net.Conn) context.Context

	FirstTimeout time.Duration // from a connection to its first byte
	IdleTimeout  time.Duration // from an answer to the next request; up to refreshEvery less
	WriteTimeout time.Duration // from a request to the end of its answer; up to refreshEvery less
}

const (
	// partTimeout is how long the rest of a request may take. Who needs longer is net/http's.
	partTimeout = 50 * time.Millisecond
	// refreshEvery spares most requests the setting of deadlines.
	refreshEvery = 5 * time.Second
	// lingerTime is how long the client may take to read the last answer. To close at once, with a request unread, would
	// reset the connection, and the answer with it (RFC 9112, 9.6).
	lingerTime = 500 * time.Millisecond
)

// Listener is for an http.Server: Accept returns the connections that need it, the listener serves the others.
type Listener struct {
	Options
	inner    net.Listener
	accepted chan accepted
	start    sync.Once
	closing  atomic.Bool
	closed   chan struct{}

	mu    sync.Mutex
	conns map[*Conn]struct{} // that are served here
	empty sync.WaitGroup     // of conns
}

type accepted struct {
	conn *Conn
	err  error
}

// New returns a listener for the connections of inner, which belongs to it from then on. Nothing is accepted before the first
// call of Accept.
func New(inner net.Listener, o Options) *Listener {
	return &Listener{Options: o, inner: inner, accepted: make(chan accepted), closed: make(chan struct{}), conns: make(map[*Conn]struct{})}
}

// Addr is the address of the listener inside.
func (l *Listener) Addr() net.Addr { return l.inner.Addr() }

// Accept returns the next connection that needs net/http.
func (l *Listener) Accept() (net.Conn, error) {
	l.start.Do(func() { go l.accept() })
	select {
	case a := <-l.accepted:
		if a.err != nil {
			return nil, a.err
		}
		return a.conn, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// accept lets connections in. What the listener inside refuses, net/http is told, which knows when to try again.
func (l *Listener) accept() {
	for !l.closing.Load() {
		conn, err := l.inner.Accept()
		if err != nil {
			l.hand(accepted{err: err})
			continue
		}
		c := &Conn{Conn: conn, l: l, values: l.ConnContext(context.Background(), conn)}
		if !l.enter(c) {
			_ = conn.Close()
			return
		}
		go c.serve()
	}
}

// hand gives a connection or an error to Accept, if anybody still calls it.
func (l *Listener) hand(a accepted) bool {
	select {
	case l.accepted <- a:
		return true
	case <-l.closed:
		return false
	}
}

func (l *Listener) enter(c *Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closing.Load() {
		return false
	}
	l.conns[c] = struct{}{}
	l.empty.Add(1)
	return true
}

func (l *Listener) leave(c *Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.conns, c)
	l.empty.Done()
}

// Close stops accepting and ends the connections that wait for a request. Those that are being answered end with their
// answer; Wait waits for them.
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
	return l.inner.Close()
}

// Wait returns once all connections that are served here have ended, after Close. When ctx ends first, it cuts what is
// left, and returns ctx's error.
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
	}
	l.mu.Unlock()
	return ctx.Err()
}

// ConnContext is for http.Server.ConnContext.
func (l *Listener) ConnContext(ctx context.Context, conn net.Conn) context.Context {
	if c, ok := conn.(*Conn); ok {
		return joined{ctx, c.values}
	}
	return l.Options.ConnContext(ctx, conn)
}

// joined is a context with the values of another one, too.
type joined struct {
	context.Context
	values context.Context
}

func (j joined) Value(key any) any {
	if v := j.Context.Value(key); v != nil {
		return v
	}
	return j.values.Value(key)
}

// Conn is a connection: served here at first, net/http's once Accept has returned it.
type Conn struct {
	net.Conn
	l      *Listener
	values context.Context
	rest   []byte // read and not answered

	refreshed time.Time // when its deadlines were last set
	request   request
	response  response
}

// Read reads what was read already, then from the connection.
func (c *Conn) Read(p []byte) (int, error) {
	if len(c.rest) == 0 {
		return c.Conn.Read(p)
	}
	n := copy(p, c.rest)
	if c.rest = c.rest[n:]; len(c.rest) == 0 {
		c.rest = nil
	}
	return n, nil
}

// CloseWrite is for net/http, which lingers, too.
func (c *Conn) CloseWrite() error {
	if w, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return w.CloseWrite()
	}
	return nil
}

// serve is the goroutine of a connection that is served here.
func (c *Conn) serve() {
	defer c.l.leave(c)
	ctx, cancel := context.WithCancel(c.values)
	defer cancel()
	c.request.init(ctx, c.Conn)
	if !c.answerAll() {
		_ = c.Conn.Close()
		return
	}
	_ = c.Conn.SetDeadline(time.Time{})
	c.request, c.response = request{}, response{}
	if !c.l.hand(accepted{conn: c}) {
		_ = c.Conn.Close()
	}
}

// answerAll answers plain requests. It reports whether the connection is now net/http's; else it has ended.
func (c *Conn) answerAll() (others bool) {
	buf, have, waits := make([]byte, 0, bufferSize), 0, false // for the rest of a request
	_ = c.Conn.SetReadDeadline(time.Now().Add(c.l.FirstTimeout))
	for {
		size, state := c.request.parse(buf[:have], c.l.Takes)
		switch {
		case state == whole:
			c.refresh()
			if !c.answer() {
				return false
			}
			have, waits = copy(buf[:have], buf[size:have]), false
			continue
		case state == other, have == bufferSize:
			c.rest = buf[:have]
			return true
		case have > 0 && !waits:
			_ = c.Conn.SetReadDeadline(time.Now().Add(partTimeout))
			c.refreshed, waits = time.Time{}, true
		}
		if c.l.closing.Load() {
			return false
		}
		n, err := c.Conn.Read(buf[have:bufferSize])
		if have += n; err != nil && n == 0 {
			c.rest = buf[:have]
			return have > 0 // net/http knows what to say to half a request
		}
	}
}

// refresh sets the deadlines of the connection, unless it has lately.
func (c *Conn) refresh() {
	now := time.Now()
	if now.Sub(c.refreshed) < refreshEvery {
		return
	}
	c.refreshed = now
	_ = c.Conn.SetReadDeadline(now.Add(c.l.IdleTimeout))
	_ = c.Conn.SetWriteDeadline(now.Add(c.l.WriteTimeout))
}

// answer has the handler answer the request that was read. It reports whether the connection goes on.
func (c *Conn) answer() bool {
	r, w := c.request.next(), &c.response
	w.begin()
	if !c.handle(w, r) {
		return false
	}
	text, last := w.end(c.l.closing.Load())
	if _, err := c.Conn.Write(text); err != nil {
		return false
	}
	if last {
		_ = c.CloseWrite()
		_ = c.Conn.SetReadDeadline(time.Now().Add(lingerTime))
		_, _ = io.Copy(io.Discard, c.Conn)
	}
	return !last
}

// handle reports whether there is an answer: a handler that panics has none, as with net/http.
func (c *Conn) handle(w http.ResponseWriter, r *http.Request) (answered bool) {
	defer func() {
		if answered {
			return
		}
		if v := recover(); v != http.ErrAbortHandler {
			c.l.Logger.Error("a handler panicked", "panic", v, "stack", string(debug.Stack()))
		}
	}()
	c.l.Handler.ServeHTTP(w, r)
	return true
}
