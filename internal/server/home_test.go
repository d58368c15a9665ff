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
	} {
		srv, _ := startHere(t, tt.config)
		k := srv.Credentials()
		status, home := page(t, srv)
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
