package server_test

import (
	"bufio"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"liked/internal/server"
)

// page asks for / as a browser does.
func page(t *testing.T, srv *server.Server) (int, string) {
	t.Helper()
	r, err := http.NewRequest("GET", srv.URL()+"/", nil)
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

// The page says a token only where everybody knows it and nobody else can use it.
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
	} {
		srv, _ := start(t, tt.config)
		k := srv.Credentials()
		status, home := page(t, srv)
		if status != 200 || !strings.Contains(home, "Like a post") {
			t.Errorf("%s: got %d %s", name, status, home)
		}
		_, environment := get(t, client(t, nil), srv.URL()+"/postman/environment.json", "")
		for _, u := range k.Users {
			for _, secret := range []string{u.AccessToken, u.RefreshToken, u.OAuth1TokenSecret, u.Password, k.Apps[0].ClientSecret, k.Apps[0].BearerToken, k.AdminToken} {
				mayBe := tt.shown && secret != k.AdminToken && (u.ID == k.Users[len(k.Users)-1].ID || secret == k.Apps[0].ClientSecret || secret == k.Apps[0].BearerToken || secret == u.Password)
				if strings.Contains(home, secret) != mayBe {
					t.Errorf("%s: the page says a secret of %s: %v", name, u.Username, !mayBe)
				}
				if strings.Contains(environment, secret) && !mayBe {
					t.Errorf("%s: the environment has a secret of %s", name, u.Username)
				}
			}
		}
	}
	srv, _ := start(t, server.Config{Data: t.TempDir()})
	if status, home := page(t, srv); status != 200 || strings.Contains(home, "credentials") || !strings.Contains(home, "There are no posts") {
		t.Errorf("without a world: got %d %s", status, home)
	}
}

func TestNoHomePage(t *testing.T) {
	t.Parallel()
	srv, _ := start(t, server.Config{Seed: world(), NoHomePage: true})
	if status, body := page(t, srv); status != 404 || body != "" {
		t.Errorf("got %d %s, want X's empty 404", status, body)
	}
	if status, _ := get(t, client(t, nil), srv.URL()+"/home/live", ""); status != 404 {
		t.Errorf("live: got %d", status)
	}
	if status, _ := get(t, client(t, nil), srv.URL()+"/postman/collection.json", ""); status != 200 {
		t.Errorf("the collection: got %d", status)
	}
}

// Somebody who looks on does not keep the server from stopping.
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
