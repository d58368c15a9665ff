package server_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"liked/internal/server"
)

// A web page whose owner points its name at this machine reads nothing.
func TestHostIsChecked(t *testing.T) {
	t.Parallel()
	dev := server.Config{Seed: world(), CheckHost: true, PublicURL: "http://likes.example:8443", AllowHosts: []string{"Likes.test"}}
	srv, _ := start(t, dev)
	all, _ := start(t, server.Config{Seed: world()})
	k := srv.Credentials()
	c := client(t, nil)
	ask := func(base, method, path, host string) (int, string) {
		r, err := http.NewRequest(method, base+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Host = host
		r.Header.Set("Authorization", "Bearer "+k.Users[0].AccessToken)
		resp, body := do(t, c, r)
		return resp.StatusCode, body
	}
	for _, host := range []string{"127.0.0.1", "127.0.0.1:8180", "[::1]:8180", "192.0.2.1", "localhost", "LocalHost:80", "localhost.",
		"a.localhost:1", "api.x.com", "api.twitter.com:443", "x.com", "likes.example", "likes.example:1", "likes.test:8180", "LIKES.test."} {
		if status, body := ask(srv.URL(), "GET", "/2/users/me", host); status != 200 {
			t.Errorf("%s: %d %s", host, status, body)
		}
	}
	for _, host := range []string{"attacker.example", "attacker.example:8180", "x.com.attacker.example", "notx.com",
		"localhost.attacker.example", "127.0.0.1.attacker.example", "sub.likes.test"} {
		for _, path := range []string{"/2/users/me", "/postman/environment.json", "/", "/explorer", "/no/such"} {
			status, body := ask(srv.URL(), "GET", path, host)
			name, _, _ := strings.Cut(host, ":")
			if want := `no host of this server: "` + name + `". Start it with --allow-host ` + name + " if it is.\n"; status != 421 || body != want {
				t.Errorf("%s as %s: %d %q, want 421 %q", path, host, status, body, want)
			}
		}
	}
	r, err := http.NewRequest("GET", srv.URL()+"/", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Host, r.Header = "attacker.example", http.Header{"Accept": {"text/html"}}
	resp, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if err != nil || resp.StatusCode != 421 || !strings.Contains(string(text), "<h1>This server has another name</h1>") ||
		!strings.Contains(string(text), "--allow-host attacker.example") {
		t.Errorf("a browser: %d %s, %v", resp.StatusCode, text, err)
	}
	wide, _ := start(t, server.Config{Seed: world(), CheckHost: true, Listen: "0.0.0.0:0"})
	named, _ := start(t, server.Config{Seed: world(), CheckHost: true, Listen: "0.0.0.0:0", AllowHosts: []string{"likes.test"}})
	for _, tt := range []struct {
		srv  *server.Server
		host string
		want int
	}{{all, "attacker.example", 404}, {wide, "attacker.example", 404}, {named, "attacker.example", 421}, {named, "likes.test", 404}} {
		if status, body := ask(tt.srv.URL(), "GET", "/no/such", tt.host); status != tt.want {
			t.Errorf("%s as %s: %d %s, want %d", tt.srv.Listen, tt.host, status, body, tt.want)
		}
	}

	for host, want := range map[string]int{"127.0.0.1": 200, "localhost:8181": 200, "[::1]": 200,
		"attacker.example": 421, "likes.test": 421, "x.com": 421} {
		for _, s := range []*server.Server{srv, all} {
			if status, body := ask(s.AdminURL(), "GET", "/livez", host); status != want {
				t.Errorf("the operator's side as %s: %d %s, want %d", host, status, body, want)
			}
		}
	}
	_, metrics := get(t, c, srv.AdminURL()+"/metrics", "")
	if want := `liked_requests_total{code="421",operation="none"} 36`; !strings.Contains(metrics, want) {
		t.Errorf("the metrics lack %s", want)
	}
	if err := (server.Config{AllowHosts: []string{"likes.test", "http://likes.test", "likes.test:80", "*.test", ""}}).Validate(); err == nil ||
		strings.Count(err.Error(), "allow-host: ") != 4 {
		t.Errorf("names that are none: %v", err)
	}
}

// In development X's own hosts are called over TLS, whatever stands in front of this server and has ended it.
func TestHostsOfXAreSecure(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		host   string
		dev    bool
		secure bool
	}{{"x.com", true, true}, {"api.twitter.com", true, true}, {"127.0.0.1", true, false}, {"notx.com", true, false}, {"x.com", false, false}} {
		srv, _ := start(t, server.Config{Seed: world(), Dev: tt.dev})
		r, err := http.NewRequest("GET", srv.URL()+"/login", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Host = tt.host
		resp, _ := do(t, client(t, nil), r)
		cookie := resp.Header.Get("Set-Cookie")
		if resp.StatusCode != 200 || cookie == "" || strings.Contains(cookie, "Secure") != tt.secure {
			t.Errorf("%+v: %s, cookie %q", tt, resp.Status, cookie)
		}
	}
}
