package server

import (
	"context"
	"errors"
	"net"
	"strconv"
	"sync"
	"syscall"
)

// tcpListener is a *net.TCPListener, or two.
type tcpListener interface {
	net.Listener
	AcceptTCP() (*net.TCPConn, error)
}

// listenTCP listens at an address. "localhost" is both loopback addresses where the machine has both: clients try either
// first, and some only one.
func listenTCP(config net.ListenConfig, addr string) (tcpListener, error) {
	ctx := context.Background()
	host, port, err := net.SplitHostPort(addr)
	if err != nil || host != "localhost" {
		l, err := config.Listen(ctx, "tcp", addr)
		if err != nil {
			return nil, err
		}
		return l.(*net.TCPListener), nil
	}
	for try := 1; ; try++ {
		four, err := config.Listen(ctx, "tcp4", net.JoinHostPort("127.0.0.1", port))
		if err != nil {
			return nil, err
		}
		picked := four.Addr().(*net.TCPAddr).Port
		six, err := config.Listen(ctx, "tcp6", net.JoinHostPort("::1", strconv.Itoa(picked)))
		switch {
		case err == nil:
			return &bothLoopbacks{TCPListener: four.(*net.TCPListener), six: six.(*net.TCPListener),
				accepted: make(chan accepted), closed: make(chan struct{})}, nil
		case !errors.Is(err, syscall.EADDRINUSE):
			return four.(*net.TCPListener), nil // there is no IPv6
		}
		_ = four.Close()
		if port != "0" || try == 10 {
			return nil, err
		}
	}
}

// bothLoopbacks accepts on 127.0.0.1, which is its address, and on ::1.
type bothLoopbacks struct {
	*net.TCPListener
	six         *net.TCPListener
	start, stop sync.Once
	accepted    chan accepted
	closed      chan struct{}
}

type accepted struct {
	conn *net.TCPConn
	err  error
}

func (b *bothLoopbacks) AcceptTCP() (*net.TCPConn, error) {
	b.start.Do(func() {
		go b.accept(b.TCPListener)
		go b.accept(b.six)
	})
	select {
	case a := <-b.accepted:
		return a.conn, a.err
	case <-b.closed:
		return nil, net.ErrClosed
	}
}

func (b *bothLoopbacks) accept(l *net.TCPListener) {
	for {
		conn, err := l.AcceptTCP()
		select {
		case b.accepted <- accepted{conn, err}:
		case <-b.closed:
			if err == nil {
				_ = conn.Close()
			}
			return
		}
	}
}

func (b *bothLoopbacks) Close() error {
	b.stop.Do(func() { close(b.closed) })
	return errors.Join(b.TCPListener.Close(), b.six.Close())
}
