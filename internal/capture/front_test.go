package capture

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

// standing is a front with a proxy, and what came to the server behind it.
type standing struct {
	*Front
	proxy string // host:port
	got   *http.Request
}

func stand(t *testing.T) *standing {
	t.Helper()
	a, err := NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	s := &standing{}
	behind := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.got = r
		switch r.URL.Path {
		case "/slow":
			w.WriteHeader(200)
			_ = http.NewResponseController(w).Flush()
			fmt.Fprint(w, "first\n")
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		case "/2/users/12/likes":
			w.Header().Set("X-Liked-Explain", "because")
			w.WriteHeader(403)
		}
	}))
	t.Cleanup(behind.Close)
	if s.Front, err = NewFront(behind.URL, a); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.proxy = l.Addr().String()
	s.ServePlain(l)
	return s
}

// client uses the proxy, and trusts the authority if trusting.
func (s *standing) client(t *testing.T, trusting bool) *http.Client {
	pool := x509.NewCertPool()
	if trusting {
		pool.AppendCertsFromPEM(s.authority.PEM())
	}
	transport := &http.Transport{Proxy: http.ProxyURL(&url.URL{Scheme: "http", Host: s.proxy}), TLSClientConfig: &tls.Config{RootCAs: pool},
		ForceAttemptHTTP2: true}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 2 * time.Minute}
}

// Each of X's hosts leads to the server, in HTTP/1.1 and HTTP/2, with what the client wrote.
func TestFrontIsX(t *testing.T) {
	t.Parallel()
	s := stand(t)
	two, one := s.client(t, true), s.client(t, true)
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	one.Transport.(*http.Transport).Protocols = protocols
	one.Transport.(*http.Transport).ForceAttemptHTTP2 = false
	for _, host := range Hosts {
		for proto, client := range map[string]*http.Client{"HTTP/1.1": one, "HTTP/2.0": two} {
			resp, err := client.Get("https://" + host + "/a%2fb/?b=%zz&c")
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if resp.Proto != proto || s.got.Host != host || s.got.RequestURI != "/a%2fb/?b=%zz&c" {
				t.Errorf("%s: %s, and the server sees %s%s", host, resp.Proto, s.got.Host, s.got.RequestURI)
			}
			for name := range s.got.Header {
				if strings.HasPrefix(name, "X-") || name == "Forwarded" {
					t.Errorf("the server gets %s", name)
				}
			}
		}
	}
	if got := s.Log.Summary(); got.Calls != 2*len(Hosts) || len(got.Errors) > 0 || got.Refused() > 0 {
		t.Errorf("%+v", got)
	}
}

// What does not reach the server is in the summary, and does not reach X either.
func TestFrontRefuses(t *testing.T) {
	t.Parallel()
	s := stand(t)
	client := s.client(t, true)
	for _, url := range []string{"https://ads-api.x.com/", "https://api.x.com:8443/", "https://API.twitter.com.:444/"} {
		if resp, err := client.Get(url); err == nil {
			resp.Body.Close()
			t.Errorf("%s: %s", url, resp.Status)
		}
	}
	resp, err := client.Get("http://api.x.com/2/users/me")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusForbidden {
		t.Errorf("without TLS: %s", resp.Status)
	}
	if resp, err := s.client(t, false).Get("https://x.com/"); err == nil {
		resp.Body.Close()
		t.Errorf("a client that trusts nobody: %s", resp.Status)
	}
	if s.got != nil {
		t.Errorf("the server got %s%s", s.got.Host, s.got.URL)
	}
	var hosts []string
	for deadline := time.Now().Add(time.Minute); len(hosts) < 5 && time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		hosts = nil // the client may hear of the end of TLS first
		for _, m := range s.Log.Summary().Errors {
			hosts = append(hosts, m.Host)
		}
	}
	slices.Sort(hosts)
	if want := []string{"ads-api.x.com", "api.twitter.com", "api.x.com", "api.x.com", "x.com"}; !slices.Equal(hosts, want) {
		t.Errorf("errors of %q, want %q", hosts, want)
	}
}

// Other hosts are reached as without the proxy, but where more than this machine could use it.
func TestFrontPassesOthers(t *testing.T) {
	t.Parallel()
	s := stand(t)
	other := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "other "+r.Host) })
	plain, secure := httptest.NewServer(other), httptest.NewTLSServer(other)
	defer plain.Close()
	defer secure.Close()
	client := s.client(t, true)
	client.Transport.(*http.Transport).TLSClientConfig.RootCAs.AddCert(secure.Certificate())
	for _, onlyX := range []bool{false, true} {
		s.OnlyX = onlyX
		client.CloseIdleConnections()
		for _, url := range []string{plain.URL, secure.URL} {
			resp, err := client.Get(url)
			if err != nil && onlyX {
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			text, _ := io.ReadAll(resp.Body)
			resp.Body.Close()
			if got := strings.HasPrefix(string(text), "other "); got == onlyX {
				t.Errorf("%s, with X alone %t: %s %s", url, onlyX, resp.Status, text)
			}
		}
	}
	if s.got != nil || len(s.Log.Summary().Errors) > 0 {
		t.Errorf("it is taken for X: %v %+v", s.got, s.Log.Summary())
	}
}

// What the server sends of a stream arrives at once, and what was called is counted with what the server says of it.
func TestFrontStreamsAndCounts(t *testing.T) {
	t.Parallel()
	s := stand(t)
	client := s.client(t, true)
	resp, err := client.Get("https://api.x.com/slow")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if line, err := bufio.NewReader(resp.Body).ReadString('\n'); line != "first\n" {
		t.Errorf("%q, %v", line, err)
	}
	for range 2 {
		resp, err := client.Post("https://api.x.com/2/users/12/likes", "application/json", strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
	}
	want := []Call{{"POST", "/2/users/{id}/likes", 403, "because", 2}, {"GET", "/slow", 200, "", 1}}
	if got := s.Log.Summary(); !slices.Equal(got.Answers, want) || got.Calls != 3 || got.Refused() != 2 {
		t.Errorf("%+v, want %+v", got, want)
	}
}

// Those who are to trust the authority get it from the proxy, and who calls that by its address reaches the server.
func TestFrontByAddress(t *testing.T) {
	t.Parallel()
	s := stand(t)
	resp, err := http.Get("http://" + s.proxy + "/ca.pem")
	if err != nil {
		t.Fatal(err)
	}
	text, _ := io.ReadAll(resp.Body)
	resp.Body.Close()
	if string(text) != string(s.authority.PEM()) {
		t.Errorf("%s %s", resp.Status, text)
	}
	if resp, err = http.Get("http://" + s.proxy + "/2/users/me"); err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if s.got == nil || s.got.Host != s.proxy {
		t.Errorf("the server got %v", s.got)
	}
}
