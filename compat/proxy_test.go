package compat

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// hosts are the names of X that clients have written into them.
var hosts = []string{"api.x.com", "api.twitter.com", "x.com", "twitter.com", "upload.x.com", "stream.x.com"}

// A proxy stands between clients that cannot be told where the server is and the server, and is X to them: it answers
// CONNECT for X's hosts, on port 443, and nothing else, so that no client can reach the real X or any other machine.
type proxy struct {
	port string // on 127.0.0.1
	ca   string // PEM file with the authority that vouches for the hosts, for this test only
}

// startProxy starts a proxy in front of the server at target. It ends with the test.
func startProxy(t *testing.T, target string) *proxy {
	t.Helper()
	to, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	authority, certificate := certify(t)
	x := httptest.NewUnstartedServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(to)
		r.Out.Host = r.In.Host                 // an OAuth 1.0a signature covers it
		r.Out.URL.RawQuery = r.In.URL.RawQuery // as the client wrote it
		r.SetXForwarded()
	}})
	x.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}}
	x.StartTLS()
	t.Cleanup(x.Close)

	p := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, port, err := net.SplitHostPort(r.Host)
		if r.Method != http.MethodConnect || err != nil || port != "443" || !slices.Contains(hosts, strings.ToLower(host)) {
			http.Error(w, "only for X's hosts, with TLS", http.StatusForbidden)
			return
		}
		tunnel(w, x.Listener.Addr().String())
	}))
	t.Cleanup(p.Close)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: authority}), 0o600); err != nil {
		t.Fatal(err)
	}
	_, port, err := net.SplitHostPort(p.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return &proxy{port: port, ca: ca}
}

// tunnel connects the client with addr until either hangs up.
func tunnel(w http.ResponseWriter, addr string) {
	server, err := net.Dial("tcp", addr)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	defer server.Close()
	client, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	defer client.Close()
	if _, err := io.WriteString(client, "HTTP/1.1 200 Connection established\r\n\r\n"); err != nil {
		return
	}
	done := make(chan struct{}, 2)
	splice := func(to io.Writer, from io.Reader) {
		_, _ = io.Copy(to, from) // an end of either kind is the end of the tunnel
		done <- struct{}{}
	}
	go splice(server, buffered)
	go splice(client, server)
	<-done
}

// certify makes an authority, in DER, and a certificate of it for the hosts.
func certify(t *testing.T) (authority []byte, certificate tls.Certificate) {
	t.Helper()
	key := func() *ecdsa.PrivateKey {
		k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	caKey, leafKey := key(), key()
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "liked test authority"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: hosts[0]}, DNSNames: hosts,
		NotBefore: ca.NotBefore, NotAfter: ca.NotAfter,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	authority, err := x509.CreateCertificate(rand.Reader, ca, ca, caKey.Public(), caKey)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, leaf, ca, leafKey.Public(), caKey)
	if err != nil {
		t.Fatal(err)
	}
	return authority, tls.Certificate{Certificate: [][]byte{der}, PrivateKey: leafKey}
}

// TestProxyReachesOnlyTheServer: requests to other hosts and ports, and those without TLS, end at the proxy.
func TestProxyReachesOnlyTheServer(t *testing.T) {
	t.Parallel()
	var got *http.Request
	behind := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = r }))
	defer behind.Close()
	p := startProxy(t, behind.URL)
	pemCA, err := os.ReadFile(p.ca)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pemCA)
	client := &http.Client{Transport: &http.Transport{
		Proxy:           http.ProxyURL(&url.URL{Scheme: "http", Host: net.JoinHostPort("127.0.0.1", p.port)}),
		TLSClientConfig: &tls.Config{RootCAs: pool},
	}}
	defer client.CloseIdleConnections()
	for _, host := range hosts {
		resp, err := client.Get("https://" + host + "/a?b=%zz&c")
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		forwarded := got.Header.Get("X-Forwarded-Proto") + "://" + got.Header.Get("X-Forwarded-Host")
		if got.Host != host || got.RequestURI != "/a?b=%zz&c" || forwarded != "https://"+host {
			t.Errorf("%s: the server sees %s%s and %v", host, got.Host, got.RequestURI, got.Header)
		}
	}
	got = nil
	for _, url := range []string{"https://example.com/", "https://api.x.com.example.com/", "https://api.x.com:8443/", "https://127.0.0.1/"} {
		if resp, err := client.Get(url); err == nil {
			resp.Body.Close()
			t.Errorf("%s: %s", url, resp.Status)
		}
	}
	resp, err := client.Get(strings.Replace(behind.URL, "127.0.0.1", "api.x.com", 1)) // without TLS
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusForbidden || got != nil {
		t.Errorf("without TLS: %s, and the server saw %v", resp.Status, got)
	}
}
