package pgtest

import (
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
)

// Link is a way to the database that a test can interrupt.
type Link struct {
	DSN string // leads through the link

	network, address string
	mu               sync.Mutex
	changed          sync.Cond // on mu
	state            state
	conns            map[net.Conn]struct{}
	running          sync.WaitGroup
	armed, lasting   bool
	left             int // what is passed on before it fails, if it is armed
	failed           bool
	turn             atomic.Int64
}

type state int

const (
	open state = iota
	held
	cut
)

// NewLink makes a link to the database, which ends with the test.
func NewLink(t testing.TB, dsn string) *Link {
	t.Helper()
	to, err := pgx.ParseConfig(dsn)
	if err != nil {
		t.Fatal(err)
	}
	port := strconv.Itoa(int(to.Port))
	l := &Link{network: "tcp", address: net.JoinHostPort(to.Host, port), conns: make(map[net.Conn]struct{})}
	l.changed.L = &l.mu
	if strings.HasPrefix(to.Host, "/") {
		l.network, l.address = "unix", filepath.Join(to.Host, ".s.PGSQL."+port)
	}
	dir, err := os.MkdirTemp("/tmp", "lpg") // short enough for a socket
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("unix", filepath.Join(dir, ".s.PGSQL."+port))
	if err != nil {
		t.Fatal(err)
	}
	l.DSN = With(dsn, "host", dir)
	l.running.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			l.running.Go(func() { l.join(client) })
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		l.Cut()
		l.running.Wait()
		_ = os.RemoveAll(dir)
	})
	return l
}

// Cut ends all connections, and each new one at once.
func (l *Link) Cut() {
	l.set(cut)
	l.mu.Lock()
	defer l.mu.Unlock()
	for c := range l.conns {
		_ = c.Close()
	}
}

// Fail has the connection end that passes on what comes after n others, and, if that is to last, cuts the link. What ends it is
// by turns lost, passed on in part, or passed on as a whole.
func (l *Link) Fail(n int, lasting bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.armed, l.left, l.lasting, l.failed = true, n, lasting, false
}

// Failed reports whether what Fail has asked for has happened.
func (l *Link) Failed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.failed
}

// fails counts what is passed on, and reports whether this is where it fails.
func (l *Link) fails() (now, lasting bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.armed {
		return false, false
	}
	if l.left > 0 {
		l.left--
		return false, false
	}
	l.armed, l.failed = false, true
	return true, l.lasting
}

// Hold keeps all connections, and lets nothing through.
func (l *Link) Hold() { l.set(held) }

// Open undoes Cut and Hold.
func (l *Link) Open() { l.set(open) }

func (l *Link) set(s state) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.state = s
	l.changed.Broadcast()
}

// pass waits while the link is held, and reports whether it is open.
func (l *Link) pass() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.state == held {
		l.changed.Wait()
	}
	return l.state == open
}

// keep has Cut close the connection, and reports whether the link is not cut yet.
func (l *Link) keep(c net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.conns[c] = struct{}{}
	return l.state != cut
}

func (l *Link) drop(c net.Conn) {
	_ = c.Close()
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.conns, c)
}

// join passes on what a client and the database say.
func (l *Link) join(client net.Conn) {
	defer l.drop(client)
	if !l.keep(client) || !l.pass() {
		return
	}
	server, err := net.Dial(l.network, l.address)
	if err != nil {
		return
	}
	defer l.drop(server)
	if !l.keep(server) {
		return
	}
	var both sync.WaitGroup
	for _, way := range [2][2]net.Conn{{client, server}, {server, client}} {
		both.Go(func() {
			from, to := way[0], way[1]
			defer from.Close()
			defer to.Close()
			_, _ = io.Copy(through{l, to}, from)
		})
	}
	both.Wait()
}

// through writes to a connection what the link lets through.
type through struct {
	l  *Link
	to net.Conn
}

func (w through) Write(b []byte) (int, error) {
	if !w.l.pass() {
		return 0, net.ErrClosed
	}
	if now, lasting := w.l.fails(); now {
		_, _ = w.to.Write(b[:len(b)*(int(w.l.turn.Add(1))%3)/2])
		if lasting {
			w.l.Cut()
		}
		return 0, net.ErrClosed
	}
	return w.to.Write(b)
}
