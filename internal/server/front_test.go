package server

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
)

// stub is a room that has every path that it is asked for, and says its name.
type stub string

func (s stub) Find(*http.Request) http.Handler { return s }

func (s stub) ServeHTTP(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, string(s)) }

// nothing is a room without paths.
type nothing struct{}

func (nothing) Find(*http.Request) http.Handler { return nil }

func TestFront(t *testing.T) {
	t.Parallel()
	f := newFront(stub("api"), stub("oauth"), stub("portal"), stub("explorer"), stub("home"))
	bare := newFront(stub("api"), nothing{}, nothing{}, nothing{}, nothing{})
	for path, want := range map[string]string{
		"/2/users/1/likes": "api", "/2/oauth2": "api", "/2/oauth2/token": "oauth", "/1.1/favorites/create.json": "api",
		"/1.1/oauth/invalidate_token": "oauth", "/oauth2/token": "oauth", "/oauth/request_token": "oauth", "/i/oauth2/authorize": "oauth",
		"/login": "oauth", "/logout": "oauth", "/settings/connected_apps": "oauth", "/developer": "portal", "/developer/apps/1": "portal",
		"/explorer": "explorer", "/explorer/code.js": "explorer", "/": "home", "/home/live": "home", "/postman/collection.json": "home",
		"/2%2Foauth2/token": "home", "*": "api",
	} {
		r := httptest.NewRequest("GET", "/", nil)
		u, err := url.Parse(path)
		if err != nil {
			t.Fatal(err)
		}
		r.URL = u
		for front, want := range map[*front]string{f: want, bare: "api"} {
			w := httptest.NewRecorder()
			front.ServeHTTP(w, r)
			if got := w.Body.String(); got != want {
				t.Errorf("%s is answered by %s, want %s", path, got, want)
			}
		}
	}
}

// A like meets its route without the cost of an allocation.
func TestFrontAllocations(t *testing.T) {
	h := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	f := newFront(h, stub("oauth"), stub("portal"), stub("explorer"), stub("home"))
	r := httptest.NewRequest("POST", "/2/users/1/likes", nil)
	w := httptest.NewRecorder()
	if n := testing.AllocsPerRun(100, func() { f.ServeHTTP(w, r) }); n != 0 {
		t.Errorf("the way to the API costs %v allocations", n)
	}
}
