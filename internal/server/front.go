package server

import (
	"net/http"
	"strings"

	"liked/internal/console"
)

// room is a part of the server with paths of its own. Find returns nil for all other paths.
type room interface {
	Find(*http.Request) http.Handler
}

// front routes a path to the rooms whose prefixes fit, in their order: a like meets the API before any page. The API answers
// what no room has, with X's own 404 and 405. The last room, home, has every path for browsers that ask for a page.
type front struct {
	api   http.Handler
	paths []frontPath
}

type frontPath struct {
	prefix string
	room   room // nil: API
}

// withConsole answers what is the console's, and has next answer all else. The console is before the worlds and the journal: it
// outlives a reset that it makes, and what it shows is not what it does itself.
func withConsole(c *console.Console, guarded func(http.Handler) http.Handler, next http.Handler) http.Handler {
	found := guarded(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { c.Find(r).ServeHTTP(w, r) }))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, console.Path) && c.Find(r) != nil {
			found.ServeHTTP(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func newFront(api http.Handler, oauth, portal, explorer, home room) *front {
	return &front{api, []frontPath{
		{"/2/oauth2/", oauth}, // OAuth 2.0 tokens
		{"/2/", nil},
		{"/1.1/oauth/", oauth}, // invalidation of OAuth 1.0a tokens
		{"/1.1/", nil},
		{"/oauth2/", oauth}, // app-only tokens
		{"/oauth/", oauth},  // OAuth 1.0a tokens
		{"/i/", oauth},      // X's addresses of consent pages
		{"/login", oauth},
		{"/logout", oauth},
		{"/settings/", oauth}, // connected apps
		{"/developer", portal},
		{"/explorer", explorer},
		{"/home/", home}, // loaded by the page at /
		{"/postman/", home},
		{"/", home},
	}}
}

func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := r.URL.EscapedPath()
	for _, p := range f.paths {
		if !strings.HasPrefix(path, p.prefix) {
			continue
		}
		if p.room == nil {
			break
		}
		if h := p.room.Find(r); h != nil {
			h.ServeHTTP(w, r)
			return
		}
	}
	f.api.ServeHTTP(w, r)
}
