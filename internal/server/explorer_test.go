package server_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"liked/internal/seed"
	"liked/internal/server"
)

// attributes of the explorer's page.
var attribute = regexp.MustCompile(` data-([a-z]+)="([^"]*)"`)

func explorerOf(t *testing.T, s *server.Server) map[string]string {
	t.Helper()
	resp, err := http.Get(s.URL() + "/explorer")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	page, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%d, %v: %s", resp.StatusCode, err, page)
	}
	found := map[string]string{}
	for _, m := range attribute.FindAllSubmatch(page, -1) {
		found[string(m[1])] = strings.TrimSpace(string(m[2]))
	}
	return found
}

// The page has no token. Who loads it gets one by way of the console only where every caller who could use it knows it anyway.
func TestExplorerToken(t *testing.T) {
	world := func(number uint64) *seed.Options {
		return &seed.Options{Users: 7, Posts: 8, Seed: number, TokenLifetime: time.Hour}
	}
	data := filepath.Join(t.TempDir(), "data")
	for _, tt := range []struct {
		name        string
		config      server.Config
		free, inURL bool
	}{
		{"in memory, on loopback, of a known seed", server.Config{Seed: world(1)}, true, false},
		{"random tokens", server.Config{Seed: world(0)}, false, true},
		{"kept", server.Config{Seed: world(1), Data: data}, false, true},
		{"what dev kept, without a world", server.Config{Data: data}, false, false},
		{"beyond this machine", server.Config{Seed: world(1), Listen: "0.0.0.0:0"}, false, true},
		{"with a public address", server.Config{Seed: world(1), PublicURL: "https://likes.example"}, false, true},
		{"no world", server.Config{}, false, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.config.Dev = true
			s, _ := startHere(t, tt.config)
			page := explorerOf(t, s)
			status, text := browse(t, nil, s.URL()+"/console/identity", nil)
			if got := status == 200 && strings.Contains(text, `"token":"`); got != tt.free || !got && status != 403 {
				t.Errorf("the console answers %d %s; want a token: %v", status, text, tt.free)
			}
			if got := strings.Contains(s.ExplorerURL(), "#access_token="); got != tt.inURL {
				t.Errorf("a token in %s: %v, want %v", s.ExplorerURL(), got, tt.inURL)
			}
			if world := tt.config.Seed != nil; (page["user"] != "") != world || (page["username"] != "") != world {
				t.Errorf("user %q, username %q; want some only in a seeded world", page["user"], page["username"])
			}
		})
	}
}

// As whom the explorer calls is what the console says, and it can be changed from there and back.
func TestExplorerIdentity(t *testing.T) {
	t.Parallel()
	s, _ := startHere(t, server.Config{Dev: true, Seed: world()})
	jar := newJar(t)
	address := s.URL() + "/console/identity"
	var first, again, app struct {
		User, App *struct{ Name string }
		Token     string
		AppToken  string `json:"app_token"`
	}
	ask := func(form url.Values, into any) {
		t.Helper()
		status, text := browse(t, jar, address, form)
		if err := json.Unmarshal([]byte(text), into); err != nil || status != 200 {
			t.Fatalf("%d, %v: %s", status, err, text)
		}
	}
	ask(url.Values{"as": {"user"}, "user": {"@likesbot"}, "app": {"demo"}}, &first)
	if ask(nil, &again); again.Token != first.Token || first.User == nil || again.User.Name != "likesbot" || again.App.Name != "demo" {
		t.Errorf("got %+v after %+v", again, first)
	}
	if ask(url.Values{}, &again); again.Token == first.Token || again.Token == "" || again.User.Name != "likesbot" {
		t.Errorf("a token that was refused is given again: %+v after %+v", again, first)
	}
	if ask(url.Values{"as": {"app"}, "app": {"demo"}}, &app); app.User != nil || app.Token == "" || app.Token != app.AppToken {
		t.Errorf("the app alone: %+v", app)
	}
	status, text := browse(t, jar, address, url.Values{"as": {"user"}, "user": {"nobody_at_all"}, "app": {"demo"}})
	if status != 404 || !strings.Contains(text, `"error":"No such user`) {
		t.Errorf("an unknown user: %d %s", status, text)
	}
	if _, text := browse(t, jar, s.URL()+"/console", nil); !strings.Contains(text, "Calling as <strong>app demo") {
		t.Error("the console calls as another one")
	}
}

// The explorer's app stays the same over a restart, and its redirect URIs follow the address.
func TestExplorerApp(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	s, stop := start(t, server.Config{Data: data})
	before := explorerOf(t, s)
	if _, port, _ := strings.Cut(strings.TrimPrefix(s.URL(), "http://"), ":"); before["origins"] != s.URL()+" http://localhost:"+port {
		t.Errorf("origins %q of %s", before["origins"], s.URL())
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	s, _ = start(t, server.Config{Data: data, PublicURL: "https://likes.example:443"})
	after := explorerOf(t, s)
	if after["client"] != before["client"] || before["client"] == "" || after["origins"] != "https://likes.example" {
		t.Errorf("got %v after %v", after, before)
	}
	for redirect, want := range map[string]int{
		"https://likes.example/explorer":  http.StatusOK,
		"https://likes.example/explorer/": http.StatusBadRequest,
		s.URL() + "/explorer":             http.StatusBadRequest,
	} {
		resp, err := http.Get(s.URL() + "/i/oauth2/authorize?response_type=code&state=s&scope=users.read&code_challenge=c" +
			"&client_id=" + after["client"] + "&redirect_uri=" + redirect)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("redirect to %s: %d, want %d", redirect, resp.StatusCode, want)
		}
	}
}

// The page has a form for each endpoint, which starts with the world's user and post, before any script runs.
func TestExplorerForms(t *testing.T) {
	t.Parallel()
	for _, world := range []*seed.Options{nil, {Users: 7, Posts: 8, Seed: 1, TokenLifetime: time.Hour}} {
		s, _ := startHere(t, server.Config{Seed: world})
		var description struct {
			Paths map[string]map[string]struct{ OperationID string }
		}
		_, text := get(t, http.DefaultClient, s.URL()+"/2/openapi.json", "")
		if err := json.Unmarshal([]byte(text), &description); err != nil {
			t.Fatal(err)
		}
		_, page := get(t, http.DefaultClient, s.URL()+"/explorer", "")
		n := 0
		for path, methods := range description.Paths {
			for method, op := range methods {
				n++
				want := `id="` + op.OperationID + `" data-method="` + strings.ToUpper(method) + `" data-path="` + path + `"`
				if !strings.Contains(page, want) {
					t.Errorf("the page lacks %s", want)
				}
			}
		}
		if forms := strings.Count(page, `<form class="asks"`); forms != n || n == 0 {
			t.Errorf("%d forms for %d endpoints", forms, n)
		}
		user := explorerOf(t, s)["user"]
		if want := `name="id" data-in="path" value="` + user + `"`; !strings.Contains(page, want) {
			t.Errorf("no form starts with %s", want)
		}
		if strings.Contains(page, "2244994945") {
			t.Error("the page has the user of the examples")
		}
		if strings.Contains(page, "Signed in as") {
			t.Error("somebody is signed in who has not signed in")
		}
	}
}
