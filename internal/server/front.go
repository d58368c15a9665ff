package server

import (
	"net/http"
	"strings"
)

// room is a part of the server with paths of its own. Find returns what answers the request, nil if the room has no such path.
type room interface {
	Find(*http.Request) http.Handler
}

// front says which path belongs to which room, by the first prefix that fits: a like meets the API before any page. The API
// answers what no room has, with X's own 404 and 405.
type front struct {
	api   http.Handler
	paths []frontPath
}

type frontPath struct {
	prefix string
	room   room // nil: the API
}

func newFront(api http.Handler, oauth, portal, explorer, home room) *front {
	return &front{api, []frontPath{
		{"/2/oauth2/", oauth}, // tokens of OAuth 2.0
		{"/2/", nil},
		{"/1.1/oauth/", oauth}, // the end of a token of OAuth 1.0a
		{"/1.1/", nil},
		{"/oauth2/", oauth},   // app-only tokens
		{"/oauth/", oauth},    // tokens of OAuth 1.0a
		{"/i/", oauth},        // X's addresses of the pages that ask for consent
		{"/login", oauth},     // signing in
		{"/logout", oauth},    //   and out
		{"/settings/", oauth}, // the apps that a user consented to
		{"/developer", portal},
		{"/explorer", explorer},
		{"/home/", home},    // what the page at / loads
		{"/postman/", home}, // files for Postman
		{"/", home},
	}}
}

func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := r.URL.EscapedPath()
	for _, p := range f.paths {
		if !strings.HasPrefix(path, p.prefix) {
			continue
		}
		if p.room != nil {
			if h := p.room.Find(r); h != nil {
				h.ServeHTTP(w, r)
				return
			}
		}
		break
	}
	f.api.ServeHTTP(w, r)
}
