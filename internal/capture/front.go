package capture

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync"
	"time"
)

// Front is X in front of a server, for programs that trust its authority. It keeps what the program wrote: path, query,
// headers and the real host, which OAuth 1.0a signs.
type Front struct {
	Log Log

	// OnlyX refuses every host but X's, for a front that others than this machine can reach.
	OnlyX bool

	authority *Authority
	target    *url.URL
	forward   *httputil.ReverseProxy
	tls       *tls.Config
	secure    *http.Server
	plain     *http.Server
	agreed    queue // connections that speak TLS
	ctx       context.Context
	stop      context.CancelFunc // of ctx, which ends with Close
	serving   sync.WaitGroup
}

// NewFront returns a front of the server at target, scheme://host:port. Close must be called.
func NewFront(target string, a *Authority) (*Front, error) {
	to, err := url.Parse(target)
	if err != nil {
		return nil, err
	}
	f := &Front{authority: a, target: to, agreed: queue{conns: make(chan net.Conn), closed: make(chan struct{})}}
	f.ctx, f.stop = context.WithCancel(context.Background())
	if f.tls, err = a.tls(); err != nil {
		return nil, err
	}
	f.tls.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		if c, ok := hello.Conn.(*arrival); ok {
			c.host = hello.ServerName
		}
		return nil, nil
	}
	shown := f.tls.Certificates[0]
	f.tls.Certificates = nil // so that it is asked for with each connection
	f.tls.GetCertificate = func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		if c, ok := hello.Conn.(*arrival); ok {
			c.shown = true
		}
		return &shown, nil
	}
	quiet := log.New(io.Discard, "", 0)
	f.forward = &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme, r.Out.URL.Host = to.Scheme, to.Host
			r.Out.URL.RawQuery = r.In.URL.RawQuery
			r.Out.Host = r.In.Host
		},
		Transport: &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 64, ResponseHeaderTimeout: time.Minute},
		ModifyResponse: func(r *http.Response) error {
			f.Log.call(r)
			return nil
		},
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			if r.Context().Err() == nil {
				f.Log.miss(hostOf(r.Host), "the server did not answer: "+err.Error())
			}
			w.WriteHeader(http.StatusBadGateway)
		},
		ErrorLog: quiet,
	}
	serve := func(h http.Handler) *http.Server {
		return &http.Server{Handler: h, ReadHeaderTimeout: 30 * time.Second, IdleTimeout: 2 * time.Minute, ErrorLog: quiet}
	}
	f.secure, f.plain = serve(f.forward), serve(http.HandlerFunc(f.servePlain))
	f.serving.Go(func() { _ = f.secure.Serve(&f.agreed) })
	return f, nil
}

// ServeTLS answers as X's hosts on l, until Close.
func (f *Front) ServeTLS(l net.Listener) { f.accept(l, func(c net.Conn) { f.agree(c, "") }) }

// accept has serve called with each connection to l, until Close.
func (f *Front) accept(l net.Listener, serve func(net.Conn)) {
	f.agreed.keep(l)
	f.serving.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go serve(c)
		}
	})
}

// serveTo passes what comes to l on to the host of a URL, until Close.
func (f *Front) serveTo(l net.Listener, to string) {
	at, err := url.Parse(to)
	if err != nil {
		return
	}
	f.accept(l, func(c net.Conn) {
		defer c.Close()
		if other, err := net.Dial("tcp", at.Host); err == nil {
			join(c, other)
			_ = other.Close()
		}
	})
}

// ServePlain answers on l, until Close: as a proxy, and as the server itself to those who call it by an address.
func (f *Front) ServePlain(l net.Listener) {
	f.serving.Go(func() { _ = f.plain.Serve(l) })
}

// Close ends all connections.
func (f *Front) Close() error {
	f.stop()
	err := errors.Join(f.plain.Close(), f.agreed.Close(), f.secure.Close())
	f.serving.Wait()
	if t, ok := f.forward.Transport.(*http.Transport); ok {
		t.CloseIdleConnections()
	}
	return err
}

// arrival is a connection to one of X's hosts.
type arrival struct {
	net.Conn
	early io.Reader // what the client sent before TLS was expected
	host  string
	spoke bool // it sent something
	shown bool // it was sent the certificate
}

func (a *arrival) Read(p []byte) (n int, err error) {
	if a.early != nil {
		n, err = a.early.Read(p)
	} else {
		n, err = a.Conn.Read(p)
	}
	a.spoke = a.spoke || n > 0
	return n, err
}

// agree speaks TLS with a client and has the connection served. A client that does not want to is a miss: it does not trust
// the authority, or it pins a certificate, or it speaks none that can be answered. One that says nothing has only looked.
func (f *Front) agree(c net.Conn, host string) {
	a, ok := c.(*arrival)
	if !ok {
		a = &arrival{Conn: c}
	}
	a.host = host
	conn := tls.Server(a, f.tls)
	ctx, cancel := context.WithTimeout(f.ctx, 30*time.Second)
	defer cancel()
	if err := conn.HandshakeContext(ctx); err != nil {
		why := "it does not speak the TLS that X does"
		if a.shown {
			why = "the program trusts only other authorities, or a certificate that it knows"
		}
		if a.spoke && f.ctx.Err() == nil {
			f.Log.miss(a.host, why+": "+err.Error())
		}
		_ = c.Close()
		return
	}
	f.agreed.add(conn)
}

// queue is a listener of connections that are there already, and keeps what is closed with it.
type queue struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once

	mu   sync.Mutex
	feed []io.Closer
}

func (q *queue) keep(l io.Closer) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.feed = append(q.feed, l)
}

func (q *queue) add(c net.Conn) {
	select {
	case q.conns <- c:
	case <-q.closed:
		_ = c.Close()
	}
}

func (q *queue) Accept() (net.Conn, error) {
	select {
	case c := <-q.conns:
		return c, nil
	case <-q.closed:
		return nil, net.ErrClosed
	}
}

func (q *queue) Close() (err error) {
	q.once.Do(func() {
		close(q.closed)
		q.mu.Lock()
		defer q.mu.Unlock()
		for _, l := range q.feed {
			err = errors.Join(err, l.Close())
		}
	})
	return err
}

func (q *queue) Addr() net.Addr { return &net.TCPAddr{} }

func hostOf(hostport string) string { return (&url.URL{Host: hostport}).Hostname() }
