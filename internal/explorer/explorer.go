// Package explorer is the page on which people try every endpoint, with the files that it loads. See [New].
package explorer

import (
	"net/http"
	"strings"

	"liked/internal/oauth"
	"liked/internal/web"
)

// Explorer is the page and its files. It is safe for concurrent use.
type Explorer struct{ page, file http.Handler }

// New returns an Explorer, whose page starts with what start says. The frame is that of the user who is signed in.
func New(sessions *oauth.Server, start web.Explorer) *Explorer {
	return &Explorer{
		page: sessions.Handler(&oauth.Route{Operation: operations[0], Get: func(c *oauth.Call) (*oauth.Answer, error) {
			page := start
			page.Frame = c.Frame()
			return oauth.Page(http.StatusOK, page)
		}}),
		file: sessions.Handler(&oauth.Route{Operation: operations[1], Get: func(c *oauth.Call) (*oauth.Answer, error) {
			return oauth.File(strings.TrimPrefix(c.Path, filesPath))
		}}),
	}
}

var operations = []string{"explorer", "explorerFile"}

// Operations lists the names of operations in Exchanges.
func Operations() []string { return operations }

const filesPath = "/explorer/"

// Find returns what answers the request, nil if its path is none of the explorer's.
func (e *Explorer) Find(r *http.Request) http.Handler {
	switch path := r.URL.EscapedPath(); {
	case path == "/explorer":
		return e.page
	case strings.HasPrefix(path, filesPath):
		return e.file
	}
	return nil
}
