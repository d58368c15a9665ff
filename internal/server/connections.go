package server

import (
	"fmt"
	"io"
	"log/slog"
	"net"
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
// listener only stopped accepting, the client would wait.
type limitListener struct {
	tcpListener
	max, maxRejecting int64
	rejection         []byte // sent to a rejected connection; nil: nothing
	advice            string // to the operator
	logger            *slog.Logger
	rejected          prometheus.Counter

	open, rejecting atomic.Int64
	rejections      sync.WaitGroup
	warned          time.Time // last warning; only Accept's goroutine uses it
}

const (
	rejectTime = time.Second      // how long a client may take to read the rejection
	warnEvery  = 10 * time.Second // between warnings of rejections
)

func (l *limitListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.AcceptTCP()
		if err != nil {
			return nil, err
		}
		if l.open.Add(1) <= l.max {
			return &limitedConn{TCPConn: conn, listener: l}, nil
		}
		l.open.Add(-1)
		l.reject(conn)
	}
}

func (l *limitListener) reject(conn *net.TCPConn) {
	l.rejected.Inc()
	if now := time.Now(); now.Sub(l.warned) >= warnEvery {
		l.warned = now
		l.logger.Warn("connections are refused: there are as many as there may be", "connections", l.max, "advice", l.advice)
	}
	if n := l.rejecting.Add(1); l.rejection == nil || n > l.maxRejecting {
		l.rejecting.Add(-1)
		_ = conn.Close()
		return
	}
	l.rejections.Go(func() {
		defer l.rejecting.Add(-1)
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(rejectTime))
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
	closed   atomic.Bool
}

func (c *limitedConn) Close() error {
	if !c.closed.Swap(true) {
		defer c.listener.open.Add(-1)
	}
	return c.TCPConn.Close()
}
