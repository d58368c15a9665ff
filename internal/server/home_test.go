package server_test

import (
	"bufio"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"liked/internal/server"
)

// page asks for a path as a browser does.
func page(t *testing.T, srv *server.Server, path string) (int, string) {
	t.Helper()
	r, err := http.NewRequest("GET", srv.URL()+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Accept", "text/html")
	resp, err := client(t, nil).Do(r)
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

// The page contains a token only where it is known anyway and cannot be used from another machine.
func TestHomeKeepsSecrets(t *testing.T) {
	t.Parallel()
	random := world()
	random.Seed = 0
	for name, tt := range map[string]struct {
		config server.Config
		shown  bool
	}{
		"known, in memory, on loopback": {server.Config{Seed: world()}, true},
		"random":                        {server.Config{Seed: random}, false},
		"kept":                          {server.Config{Seed: world(), Data: t.TempDir()}, false},
		"for others to connect":         {server.Config{Seed: world(), Listen: "0.0.0.0:0"}, false},
		"under another address":         {server.Config{Seed: world(), PublicURL: "https://likes.example"}, false},
		"behind a proxy":                {server.Config{Seed: world(), TrustedProxies: []string{"127.0.0.1"}}, false},
	} {
		srv, _ := startHere(t, tt.config)
		k := srv.Credentials()
		status, home := page(t, srv, "/")
		if status != 200 || !strings.Contains(home, "Like a post") {
			t.Errorf("%s: got %d %s", name, status, home)
		}
		_, environment := get(t, client(t, nil), srv.URL()+"/postman/environment.json", "")
		for _, u := range k.Users {
			shown := tt.shown && u.ID == k.Users[len(k.Users)-1].ID // of one user, but for the password that all share
			for _, secret := range []struct {
				text  string
				shown bool
			}{
				{u.AccessToken, shown}, {u.RefreshToken, shown}, {u.OAuth1TokenSecret, shown},
				{u.Password, tt.shown}, {k.Apps[0].ClientSecret, tt.shown}, {k.Apps[0].BearerToken, tt.shown},
				{k.AdminToken, false},
			} {
				if strings.Contains(home, secret.text) != secret.shown {
					t.Errorf("%s: the page has a secret of %s: %v", name, u.Username, !secret.shown)
				}
				if strings.Contains(environment, secret.text) && !secret.shown {
					t.Errorf("%s: the environment has a secret of %s", name, u.Username)
				}
			}
		}
	}
	srv, _ := start(t, server.Config{Data: t.TempDir()})
	status, home := page(t, srv, "/")
	if status != 200 || strings.Contains(home, "credentials") || !strings.Contains(home, "There are no posts") {
		t.Errorf("without a world: got %d %s", status, home)
	}
}

// A browser at an address that is none gets a page that leads on. Clients of the API get what X has, and so does everybody
// below its paths.
func TestMissingPages(t *testing.T) {
	t.Parallel()
	srv, _ := start(t, server.Config{Seed: world(), Dev: true})
	for _, path := range []string{"/no/such", "/home/", "/developers", "/oauth/no", "/i/no", "/settings/", "/%2e%2e/x", "//",
		"/explorer/", "/explorer/no.js", "/explorer/code.js/"} {
		status, body := page(t, srv, path)
		if status != 404 || !strings.Contains(body, "There is no page here") || !strings.Contains(body, `href="/"`) {
			t.Errorf("%s: got %d %s", path, status, body)
		}
		if status, body := get(t, client(t, nil), srv.URL()+path, ""); status != 404 || body != "" {
			t.Errorf("%s, to a client of the API: got %d %q, want X's empty 404", path, status, body)
		}
	}
	for path, want := range map[string]string{"/2/no/such": "", "/2/oauth2/no": "",
		"/1.1/no": `{"errors":[{"code":34,"message":"Sorry, that page does not exist."}]}`} {
		if status, body := page(t, srv, path); status != 404 || body != want {
			t.Errorf("%s: got %d %q, want %q", path, status, body, want)
		}
	}
	if status, body := page(t, srv, "/logout"); status != 405 || !strings.Contains(body, "takes the forms of other pages") {
		t.Errorf("a path without a page: got %d %s", status, body)
	}
	status, body := get(t, client(t, nil), srv.URL()+"/logout", "")
	if status != 405 || !strings.HasPrefix(body, `{"title":"Method Not Allowed"`) {
		t.Errorf("a path without a page, to a client of the API: got %d %s", status, body)
	}
}

// One click signs in only where the page at / shows what would do it otherwise.
func TestOneClick(t *testing.T) {
	t.Parallel()
	random := world()
	random.Seed = 0
	for name, tt := range map[string]struct {
		config server.Config
		want   bool
	}{
		"known, in memory, on loopback": {server.Config{Seed: world(), Dev: true}, true},
		"not for development":           {server.Config{Seed: world()}, false},
		"random":                        {server.Config{Seed: random, Dev: true}, false},
		"kept":                          {server.Config{Seed: world(), Data: t.TempDir(), Dev: true}, false},
		"for others to connect":         {server.Config{Seed: world(), Listen: "0.0.0.0:0", Dev: true}, false},
		"under another address":         {server.Config{Seed: world(), PublicURL: "http://likes.example", Dev: true}, false},
		"behind a proxy":                {server.Config{Seed: world(), TrustedProxies: []string{"127.0.0.1"}, Dev: true}, false},
	} {
		srv, _ := startHere(t, tt.config)
		jar, err := cookiejar.New(nil)
		if err != nil {
			t.Fatal(err)
		}
		_, signIn := browse(t, jar, srv.URL()+"/developer", nil)
		form := url.Values{"as": {"alice"}}
		for _, field := range regexp.MustCompile(`name="(form_token|return)" value="([^"]*)"`).FindAllStringSubmatch(signIn, -1) {
			form.Set(field[1], field[2])
		}
		status, text := browse(t, jar, srv.URL()+"/login", form)
		if got := status == 200 && strings.Contains(text, "@alice") && strings.Contains(text, "<h1>Your apps</h1>"); got != tt.want {
			t.Errorf("%s: a form without a password signs in: %v, want %v; got %d %s", name, got, tt.want, status, text)
		}
		if tt.want { // the way back that a page names is there
			for path, question := range map[string]string{"/developer/apps/27000001?confirm=delete": "Delete demo?",
				"/settings/connected_apps?revoke=27000001": "Take back all access of demo?"} {
				_, ask := browse(t, jar, srv.URL()+path, nil)
				if !strings.Contains(ask, question) || !strings.Contains(ask, "<strong>Reset</strong>") {
					t.Errorf("%s: %s asks %s", name, path, ask)
				}
			}
		}
		if got := strings.Contains(signIn, `name="as"`); got != tt.want {
			t.Errorf("%s: the page has buttons: %v, want %v", name, got, tt.want)
		}
	}
}

func TestNoHomePage(t *testing.T) {
	t.Parallel()
	srv, _ := start(t, server.Config{Seed: world(), NoHomePage: true})
	if status, body := get(t, client(t, nil), srv.URL()+"/", ""); status != 404 || body != "" {
		t.Errorf("got %d %s, want X's empty 404", status, body)
	}
	if status, body := page(t, srv, "/"); status != 404 || !strings.Contains(body, "There is no page here") {
		t.Errorf("got %d %s, want that there is no page", status, body)
	}
	if status, _ := get(t, client(t, nil), srv.URL()+"/home/live", ""); status != 404 {
		t.Errorf("live: got %d", status)
	}
	if status, _ := get(t, client(t, nil), srv.URL()+"/postman/collection.json", ""); status != 200 {
		t.Errorf("the collection: got %d", status)
	}
}

// Viewers of the live page do not hold up a server that stops.
func TestStopsWithViewers(t *testing.T) {
	t.Parallel()
	srv, stop := start(t, server.Config{Seed: world(), Grace: time.Hour})
	resp, err := client(t, nil).Get(srv.URL() + "/home/live")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	if !lines.Scan() || !strings.HasPrefix(lines.Text(), "data: {") {
		t.Fatalf("got %q, %v", lines.Text(), lines.Err())
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	for lines.Scan() {
	}
	if err := lines.Err(); err != nil {
		t.Errorf("the view was cut: %v", err)
	}
}
