package server_test

import (
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"

	"liked/internal/server"
)

// browse asks for a page, or posts a form, as a browser with cookies does.
func browse(t *testing.T, jar http.CookieJar, address string, form url.Values) (int, string) {
	t.Helper()
	r, err := http.NewRequest("GET", address, nil)
	if form != nil {
		r, err = http.NewRequest("POST", address, strings.NewReader(form.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if err != nil {
		t.Fatal(err)
	}
	c := http.Client{Jar: jar}
	resp, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

func newJar(t *testing.T) http.CookieJar {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return jar
}

// What is no development server has no console: X's own 404 answers.
func TestServeHasNoConsole(t *testing.T) {
	t.Parallel()
	srv, _ := start(t, server.Config{})
	status, console := browse(t, nil, srv.URL()+"/console", nil)
	otherStatus, other := browse(t, nil, srv.URL()+"/nothing", nil)
	if status != 404 || status != otherStatus || console != other {
		t.Errorf("got %d %q, and of an unknown path %d %q", status, console, otherStatus, other)
	}
}

// The console is open where the page at / shows tokens. Elsewhere it needs the admin token, once in a browser.
func TestConsoleGate(t *testing.T) {
	t.Parallel()
	random := world()
	random.Seed = 0
	for name, tt := range map[string]struct {
		config server.Config
		open   bool
	}{
		"known, in memory, on loopback": {server.Config{Dev: true, Seed: world()}, true},
		"random":                        {server.Config{Dev: true, Seed: random}, false},
		"kept":                          {server.Config{Dev: true, Seed: world(), Data: t.TempDir()}, false},
		"for others to connect":         {server.Config{Dev: true, Seed: world(), Listen: "0.0.0.0:0"}, false},
	} {
		srv, _ := startHere(t, tt.config)
		jar := newJar(t)
		address := srv.URL() + "/console"
		status, text := browse(t, jar, address, nil)
		if tt.open {
			if status != 200 || !strings.Contains(text, "Calling as <strong>@") {
				t.Errorf("%s: got %d %s", name, status, text)
			}
			continue
		}
		for _, path := range []string{"", "/live", "/requests/1"} {
			if status, text := browse(t, jar, address+path, nil); status != 403 || strings.Contains(text, "Calling as") {
				t.Errorf("%s: %s answers %d without the admin token", name, path, status)
			}
		}
		if status, _ := browse(t, jar, address+"/reset", url.Values{}); status != 403 {
			t.Errorf("%s: a reset without the admin token is answered %d", name, status)
		}
		if status, text = browse(t, jar, address+"/enter", url.Values{"token": {"another"}}); status != 403 {
			t.Errorf("%s: got %d with another token", name, status)
		}
		status, text = browse(t, jar, address+"/enter", url.Values{"token": {srv.AdminToken}, "return": {"/console"}})
		if status != 200 || !strings.Contains(text, "Calling as") || strings.Contains(text, srv.AdminToken) {
			t.Errorf("%s: got %d %s with the admin token", name, status, text)
		}
		for _, cookie := range jar.Cookies(&url.URL{Scheme: "http", Host: "x", Path: "/console"}) {
			if strings.Contains(cookie.Value, srv.AdminToken) {
				t.Errorf("%s: a cookie holds the admin token", name)
			}
		}
	}
}

// A form of another site is refused, and what the console does itself is not in the journal.
func TestConsoleForms(t *testing.T) {
	t.Parallel()
	srv, _ := startHere(t, server.Config{Dev: true, Seed: world(), Journal: 100})
	r, err := http.NewRequest("POST", srv.URL()+"/console/reset", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Origin", "https://example.com")
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 403 {
		t.Errorf("a reset by another site is answered %d", resp.StatusCode)
	}
	jar := newJar(t)
	status, text := browse(t, jar, srv.URL()+"/console/acting", url.Values{"as": {"user"}, "user": {"@likesbot"}, "app": {"demo"}})
	if status != 200 || !strings.Contains(text, "You call as @likesbot now") || !strings.Contains(text, "Calling as <strong>@likesbot") {
		t.Errorf("got %d %s", status, text)
	}
	if !strings.Contains(text, "Nothing was called yet") {
		t.Errorf("the console lists its own requests: %s", text)
	}
	if status, text = browse(t, jar, srv.URL()+"/console/nothing", nil); status != 404 || !strings.Contains(text, "<h1>Not found</h1>") {
		t.Errorf("an unknown page: %d %s", status, text)
	}
	if status, text = browse(t, jar, srv.URL()+"/console/reset", url.Values{}); status != 200 || !strings.Contains(text, ">Undo<") {
		t.Errorf("a reset: %d %s", status, text)
	}
}
