package capture

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync"
	"time"
)

// servePlain answers what came without TLS: what a proxy is asked for, calls of the server by an address, and its
// certificate, for those who are to trust it.
func (f *Front) servePlain(w http.ResponseWriter, r *http.Request) {
	host, port := hostOf(r.Host), r.URL.Port()
	switch {
	case r.Method == http.MethodConnect:
		f.connect(w, r)
	case r.URL.Scheme == "https" && isHost(host) && (port == "" || port == "443"): // axios asks a proxy so
		r.Host = host
		f.forward.ServeHTTP(w, r)
	case isX(host):
		f.refuse(w, host, "it was called without TLS, in which alone X answers")
	case r.URL.IsAbs() && (f.OnlyX || r.URL.Scheme != "http"):
		http.Error(w, "liked: this proxy leads to X's hosts alone", http.StatusForbidden)
	case r.URL.IsAbs():
		others.ServeHTTP(w, r)
	case r.URL.Path == "/ca.pem":
		w.Header().Set("Content-Type", "application/x-x509-ca-cert")
		_, _ = w.Write(f.authority.PEM())
	default:
		f.forward.ServeHTTP(w, r)
	}
}

// refuse answers a call to X that does not get through.
func (f *Front) refuse(w http.ResponseWriter, host, why string) {
	f.Log.miss(host, why)
	http.Error(w, "liked: "+host+": "+why, http.StatusForbidden)
}

// others forwards plain HTTP to hosts that are not X's.
var others = &httputil.ReverseProxy{
	Rewrite:   func(r *httputil.ProxyRequest) { r.Out.Host = r.In.Host },
	Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, DisableCompression: true},
}

// connect answers CONNECT: X's hosts are here, all others where they are.
func (f *Front) connect(w http.ResponseWriter, r *http.Request) {
	host, port, err := net.SplitHostPort(r.Host)
	switch {
	case err != nil:
		http.Error(w, fmt.Sprintf("liked: %q is not host:port", r.Host), http.StatusBadRequest)
		return
	case isHost(host) && port == "443":
		if c := hijack(w); c != nil {
			f.agree(c, canonical(host))
		}
		return
	case isHost(host):
		f.refuse(w, host, "it was called at port "+port+", where X does not answer")
		return
	case isX(host):
		f.refuse(w, host, "no such host of X leads here")
		return
	case f.OnlyX:
		http.Error(w, "liked: this proxy leads to X's hosts alone", http.StatusForbidden)
		return
	}
	to, err := dial(r.Context(), r.Host)
	if err != nil {
		http.Error(w, "liked: "+err.Error(), http.StatusBadGateway)
		return
	}
	defer to.Close()
	c := hijack(w)
	if c == nil {
		return
	}
	defer c.Close()
	join(c, to)
}

// join passes on what either side sends, until both have ended.
func join(a, b net.Conn) {
	var passing sync.WaitGroup
	pass := func(to, from net.Conn) {
		_, _ = io.Copy(to, from) // an end of either kind ends that direction
		if half, ok := to.(interface{ CloseWrite() error }); ok {
			_ = half.CloseWrite()
		}
	}
	passing.Go(func() { pass(a, b) })
	passing.Go(func() { pass(b, a) })
	passing.Wait()
}

// hijack tells the client that it is connected, and returns the connection; nil if the client has gone.
func hijack(w http.ResponseWriter) net.Conn {
	c, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return nil
	}
	if _, err := io.WriteString(c, "HTTP/1.1 200 Connection established\r\n\r\n"); err != nil {
		_ = c.Close()
		return nil
	}
	_ = c.SetDeadline(time.Time{})
	return &arrival{Conn: c, early: buffered.Reader}
}

// CloseWrite ends the direction to the client alone.
func (a *arrival) CloseWrite() error {
	if half, ok := a.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// dial connects with a host that is not X's, by the proxy that this process was told to use, if any.
func dial(ctx context.Context, address string) (net.Conn, error) {
	var d net.Dialer
	d.Timeout = 30 * time.Second
	proxy, err := http.ProxyFromEnvironment(&http.Request{URL: &url.URL{Scheme: "https", Host: address}})
	if err != nil || proxy == nil || proxy.Scheme != "http" {
		return d.DialContext(ctx, "tcp", address)
	}
	at := proxy.Host
	if proxy.Port() == "" {
		at = net.JoinHostPort(proxy.Hostname(), "80")
	}
	c, err := d.DialContext(ctx, "tcp", at)
	if err != nil {
		return nil, err
	}
	ask := &http.Request{Method: http.MethodConnect, URL: &url.URL{Opaque: address}, Host: address, Header: http.Header{}}
	if password, ok := proxy.User.Password(); ok {
		basic := http.Request{Header: http.Header{}}
		basic.SetBasicAuth(proxy.User.Username(), password)
		ask.Header.Set("Proxy-Authorization", basic.Header.Get("Authorization"))
	}
	from := bufio.NewReader(c)
	err = ask.Write(c)
	var answer *http.Response
	if err == nil {
		answer, err = http.ReadResponse(from, ask)
	}
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("the proxy %s answers %s", at, answer.Status)
	}
	if err != nil {
		_ = c.Close()
		return nil, err
	}
	return &arrival{Conn: c, early: from}, nil
}
