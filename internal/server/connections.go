package server

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// fileBudget divides the process's open files: a store that fails to open one must stop for good.
type fileBudget struct {
	connections int // to the API
	admin       int // to the operator's side
	rejected    int // being rejected
	store       int // of the store
}

const (
	leastFiles = 256 // that a server can work with
	ownFiles   = 64  // standard streams, listeners, the store's files beside its tables
	maxTables  = 4096
)

// newFileBudget divides limit files, wanted of them for connections. The error says what to do.
func newFileBudget(limit uint64, wanted int) (fileBudget, error) {
	if limit < leastFiles {
		return fileBudget{}, fmt.Errorf("this process may have %d files open, of which a server needs %d, and one more for each connection: "+
			"raise the limit (ulimit -n, or LimitNOFILE= in a systemd unit)", limit, leastFiles)
	}
	n := int(min(limit, 1<<24))
	b := fileBudget{admin: min(n/8, 256), rejected: min(n/16, 256)}
	n -= ownFiles + b.admin + b.rejected
	b.store = min(n/4, maxTables)
	b.connections = min(wanted, n-b.store)
	return b, nil
}

// limitListener accepts a limited number of connections at a time. One more is sent an answer and closed: if the
// listener only stopped accepting, the client would wait. When few are left, those that wait for a request end sooner.
type limitListener struct {
	tcpListener
	max, maxRejecting int
	rejectTime        time.Duration
	rejection         []byte // sent to a rejected connection; nil: nothing
	advice            string // to the operator
	logger            *slog.Logger
	rejected          prometheus.Counter

	mu    sync.Mutex
	conns map[*limitedConn]struct{}
	clock atomic.Int64 // in ticks of endIdle

	rejecting  atomic.Int64
	rejections sync.WaitGroup
	warned     time.Time // last warning; only Accept's goroutine uses it
}

const (
	rejectTime = time.Second      // how long a client may take to read the rejection
	warnEvery  = 10 * time.Second // between warnings of rejections
	maxIdle    = 5                // ticks that a connection may wait for a request when more than 3/4 of all are open
)

func (l *limitListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.AcceptTCP()
		if err != nil {
			return nil, err
		}
		if c := l.admit(conn); c != nil {
			return c, nil
		}
		l.reject(conn)
	}
}

// admit returns nil if there are as many connections as there may be.
func (l *limitListener) admit(conn *net.TCPConn) net.Conn {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.conns) == l.max {
		return nil
	}
	c := &limitedConn{TCPConn: conn, listener: l}
	c.idle.Store(l.clock.Load())
	l.conns[c] = struct{}{}
	return c
}

// endIdle ends connections that have waited for a request for more than maxIdle ticks, as long as few are left.
func (l *limitListener) endIdle(ctx context.Context, tick time.Duration) {
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		now := l.clock.Add(1)
		l.mu.Lock()
		if len(l.conns) > l.max*3/4 {
			for c := range l.conns {
				if since := c.idle.Load(); since != busy && now-since > maxIdle {
					_ = c.SetReadDeadline(time.Unix(1, 0)) // its server closes it, unless a request has just come
				}
			}
		}
		l.mu.Unlock()
	}
}

// track is the ConnState of the server.
func track(c net.Conn, state http.ConnState) {
	for {
		switch is := c.(type) {
		case *limitedConn:
			if state == http.StateActive {
				is.idle.Store(busy)
			} else {
				is.idle.Store(is.listener.clock.Load())
			}
			return
		case interface{ NetConn() net.Conn }:
			c = is.NetConn()
		default:
			return
		}
	}
}

func (l *limitListener) reject(conn *net.TCPConn) {
	l.rejected.Inc()
	if now := time.Now(); now.Sub(l.warned) >= warnEvery {
		l.warned = now
		l.logger.Warn("connections are refused: there are as many as there may be", "connections", l.max, "advice", l.advice)
	}
	if n := l.rejecting.Add(1); l.rejection == nil || n > int64(l.maxRejecting) {
		l.rejecting.Add(-1)
		_ = conn.Close()
		return
	}
	l.rejections.Go(func() {
		defer l.rejecting.Add(-1)
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(l.rejectTime))
		if _, err := conn.Write(l.rejection); err != nil {
			return
		}
		// Closing at once, with a request unread, would reset the connection and lose the answer (RFC 9112, 9.6).
		_ = conn.CloseWrite()
		_, _ = io.Copy(io.Discard, conn)
	})
}

type limitedConn struct {
	*net.TCPConn
	listener *limitListener
	idle     atomic.Int64 // since when it waits for a request, by the listener's clock, or busy
}

const busy = -1

func (c *limitedConn) Close() error {
	l := c.listener
	l.mu.Lock()
	delete(l.conns, c)
	l.mu.Unlock()
	return c.TCPConn.Close()
}
