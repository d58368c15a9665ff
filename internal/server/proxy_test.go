package server_test

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"liked/internal/seed"
	"liked/internal/server"
)

// signed returns the Authorization header of a GET of the URL (RFC 5849, 3.4.2), made from scratch.
func signed(k seed.Credentials, target, nonce string) string {
	app, user := k.Apps[0], k.Users[0]
	params := fmt.Sprintf("oauth_consumer_key=%s&oauth_nonce=%s&oauth_signature_method=HMAC-SHA1&"+
		"oauth_timestamp=%d&oauth_token=%s&oauth_version=1.0",
		app.APIKey, nonce, time.Now().Unix(), user.OAuth1Token)
	mac := hmac.New(sha1.New, []byte(app.APISecret+"&"+user.OAuth1TokenSecret))
	fmt.Fprintf(mac, "GET&%s&%s", url.QueryEscape(target), url.QueryEscape(params))
	signature := base64.StdEncoding.EncodeToString(mac.Sum(nil))
	header := `oauth_signature="` + url.QueryEscape(signature) + `"`
	for _, p := range strings.Split(params, "&") {
		name, value, _ := strings.Cut(p, "=")
		header += ", " + name + `="` + value + `"`
	}
	return "OAuth " + header
}

// What a client signed is found out from the request, from a proxy that is trusted, or from the public URL.
func TestSignedURL(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		config  server.Config
		signed  string // base URL; empty: the server's own
		headers http.Header
		status  int
	}{
		{"as connected", server.Config{}, "", nil, 200},
		{"another host", server.Config{}, "http://likes.test:81", nil, 401},
		{"Host header", server.Config{}, "http://likes.test:81", http.Header{"Host": {"likes.test:81"}}, 200},
		{"headers of an unknown proxy", server.Config{}, "https://likes.test:81",
			http.Header{"X-Forwarded-Proto": {"https"}, "X-Forwarded-Host": {"likes.test:81"}}, 401},
		{"headers of another proxy", server.Config{TrustedProxies: []string{"10.0.0.0/8"}}, "https://likes.test:81",
			http.Header{"X-Forwarded-Proto": {"https"}, "X-Forwarded-Host": {"likes.test:81"}}, 401},
		{"headers of a trusted proxy", server.Config{TrustedProxies: []string{"10.0.0.0/8", "127.0.0.0/8"}}, "https://likes.test:81",
			http.Header{"X-Forwarded-Proto": {"https"}, "X-Forwarded-Host": {"likes.test:81"}}, 200},
		{"a client's header before the proxy's", server.Config{TrustedProxies: []string{"127.0.0.1"}}, "https://likes.test:81",
			http.Header{"X-Forwarded-Proto": {"http, https"}, "X-Forwarded-Host": {"evil.test", "likes.test:81"}}, 200},
		{"only the client's header", server.Config{TrustedProxies: []string{"127.0.0.1"}}, "https://evil.test:81",
			http.Header{"X-Forwarded-Proto": {"https"}, "X-Forwarded-Host": {"evil.test:81, likes.test"}}, 401},
		{"a proxy that says no host", server.Config{TrustedProxies: []string{"127.0.0.1"}}, "https://likes.test:81",
			http.Header{"X-Forwarded-Proto": {"https"}, "Host": {"likes.test:81"}}, 200},
		{"public url", server.Config{PublicURL: "https://Likes.test:81"}, "https://likes.test:81", nil, 200},
		{"public url over a trusted proxy", server.Config{PublicURL: "https://likes.test:81", TrustedProxies: []string{"127.0.0.1"}},
			"https://likes.test:81", http.Header{"X-Forwarded-Proto": {"http"}, "X-Forwarded-Host": {"evil.test"}}, 200},
		{"another public url", server.Config{PublicURL: "https://likes.test:81"}, "", nil, 401},
		{"another public url, and the Host of what was signed", server.Config{PublicURL: "http://likes.test:81"}, "https://other.test",
			http.Header{"Host": {"other.test"}}, 401},
		{"another public url, and X's host", server.Config{PublicURL: "http://likes.test:81"}, "https://api.x.com",
			http.Header{"Host": {"other.test"}}, 200},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.config.Seed = world()
			srv, _ := start(t, tt.config)
			base := tt.signed
			if base == "" {
				base = srv.URL()
			}
			r, err := http.NewRequest("GET", srv.URL()+"/2/users/me", nil)
			if err != nil {
				t.Fatal(err)
			}
			for name, values := range tt.headers {
				if name == "Host" {
					r.Host = values[0]
				} else {
					r.Header[name] = values
				}
			}
			r.Header.Set("Authorization", signed(srv.Credentials(), base+"/2/users/me", "nonce"))
			resp, err := client(t, nil).Do(r)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if resp.StatusCode != tt.status {
				t.Errorf("signed for %s: %d, want %d", base, resp.StatusCode, tt.status)
			}
		})
	}
}

// A signature may stand in the query: the API takes it for the caller, and not for parameters that it does not know.
func TestSignedInQuery(t *testing.T) {
	t.Parallel()
	srv, _ := start(t, server.Config{Seed: world()})
	k := srv.Credentials()
	target := srv.URL() + "/2/users/me"
	query := strings.NewReplacer("OAuth ", "", `"`, "", ", ", "&").Replace(signed(k, target, "nonce"))
	resp, err := client(t, nil).Get(target + "?" + query)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if want := `"id":"` + k.Users[0].ID.String() + `"`; resp.StatusCode != 200 || !strings.Contains(string(body), want) || err != nil {
		t.Errorf("%d %s, %v, want %s", resp.StatusCode, body, err, want)
	}
}

// A request whose header is too large is given up.
func TestHeaderLimit(t *testing.T) {
	t.Parallel()
	srv, _ := start(t, server.Config{Seed: world()})
	conn, err := net.Dial("tcp", strings.TrimPrefix(srv.URL(), "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(time.Minute))
	fmt.Fprintf(conn, "GET /2/users/me HTTP/1.1\r\nHost: x\r\nX-Large: %s\r\n\r\n", strings.Repeat("x", 40<<10))
	answer := make([]byte, 12)
	if _, err := conn.Read(answer); err != nil || string(answer) != "HTTP/1.1 431" {
		t.Errorf("answer %q, %v, want 431", answer, err)
	}
}
