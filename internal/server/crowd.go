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

// share is how the open files that a process may have are shared out. Without it connections would take all of them, and
// the store, refused a file that it must write, would have to stop for good.
type share struct {
	connections int // of clients, to the API
	operator    int // connections to the operator's side
	turned      int // connections that are being refused
	files       int // of the store
}

const (
	leastFiles = 256 // what a server can work with
	ownFiles   = 64  // standard streams, listeners, and what the store has open beside its tables
	maxTables  = 4096
)

// shareOut shares out limit open files, of which wanted are to be connections. The error says what to do.
func shareOut(limit uint64, wanted int) (share, error) {
	if limit < leastFiles {
		return share{}, fmt.Errorf("this process may have %d files open, of which a server needs %d, and one more for each connection: "+
			"raise the limit (ulimit -n, or LimitNOFILE= in a systemd unit)", limit, leastFiles)
	}
	n := int(min(limit, 1<<24))
	s := share{operator: min(n/8, 256), turned: min(n/16, 256)}
	n -= ownFiles + s.operator + s.turned
	s.files = min(n/4, maxTables)
	s.connections = min(wanted, n-s.files)
	return s, nil
}

// crowd is a listener that lets only so many connections in at a time. One too many is sent an answer and closed, so
// that its client learns at once, from a few words, what it would otherwise wait for in vain.
type crowd struct {
	*net.TCPListener
	max, maxTurned int64
	answer         []byte // to who is refused; nil: none, the connection just ends
	advice         string // to the operator
	logger         *slog.Logger
	refused        prometheus.Counter

	open, turned atomic.Int64
	turning      sync.WaitGroup
	told         time.Time // when the operator was last told; of Accept's goroutine alone
}

// turnTime is how long somebody who is refused may take to read why.
const turnTime = time.Second

// tellEvery is how often the operator is told that connections are refused.
const tellEvery = 10 * time.Second

func (c *crowd) Accept() (net.Conn, error) {
	for {
		conn, err := c.AcceptTCP()
		if err != nil {
			return nil, err
		}
		if c.open.Add(1) <= c.max {
			return &guest{TCPConn: conn, crowd: c}, nil
		}
		c.open.Add(-1)
		c.turnAway(conn)
	}
}

func (c *crowd) turnAway(conn *net.TCPConn) {
	c.refused.Inc()
	if now := time.Now(); now.Sub(c.told) >= tellEvery {
		c.told = now
		c.logger.Warn("connections are refused: there are as many as there may be", "connections", c.max, "advice", c.advice)
	}
	if turned := c.turned.Add(1); c.answer == nil || turned > c.maxTurned {
		c.turned.Add(-1)
		_ = conn.Close()
		return
	}
	c.turning.Go(func() {
		defer c.turned.Add(-1)
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(turnTime))
		if _, err := conn.Write(c.answer); err != nil {
			return
		}
		// To close at once, with a request unread, would reset the connection, and the answer with it (RFC 9112, 9.6).
		_ = conn.CloseWrite()
		_, _ = io.Copy(io.Discard, conn)
	})
}

// wait returns when nobody is being refused any more. The listener must be closed.
func (c *crowd) wait() { c.turning.Wait() }

// guest is a connection that was let in.
type guest struct {
	*net.TCPConn
	crowd *crowd
	left  atomic.Bool
}

func (g *guest) Close() error {
	if !g.left.Swap(true) {
		defer g.crowd.open.Add(-1)
	}
	return g.TCPConn.Close()
}
