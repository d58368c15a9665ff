// Package explorer is the page for trying every endpoint, with its files. See [New].
package explorer

import (
	"fmt"
	"net/http"
	"strings"

	"liked/internal/oauth"
	"liked/internal/web"
)

// Explorer serves the page and its files. It is safe for concurrent use.
type Explorer struct{ page, file http.Handler }

// New returns an Explorer of the API that the description, in OpenAPI, describes. Its page starts as start says, with the
// signed-in user's frame.
func New(sessions *oauth.Server, description []byte, start web.Explorer) (*Explorer, error) {
	if err := fill(&start, description); err != nil {
		return nil, fmt.Errorf("description of the API: %w", err)
	}
	strangers := make(map[bool]web.Page) // by Frame.Console: what is large and open to all is made once
	for _, console := range []bool{false, true} {
		page := start
		page.Frame = web.Frame{Console: console}
		strangers[console] = web.Rendered(page)
	}
	return &Explorer{
		page: sessions.Handler(&oauth.Route{Operation: operations[0], Get: func(c *oauth.Call) (*oauth.Answer, error) {
			frame := c.Frame()
			if frame == (web.Frame{Console: frame.Console}) {
				return oauth.Page(http.StatusOK, strangers[frame.Console])
			}
			page := start
			page.Frame = frame
			return oauth.Page(http.StatusOK, page)
		}}),
		file: sessions.Handler(&oauth.Route{Operation: operations[1], Get: func(c *oauth.Call) (*oauth.Answer, error) {
			return oauth.File(fileAt(c.Path))
		}}),
	}, nil
}

var operations = []string{"explorer", "explorerFile"}

// Operations lists the operations of Exchanges.
func Operations() []string { return operations }

// fileAt returns the page's file at a path, nil if there is none.
func fileAt(path string) *web.File {
	name, _ := strings.CutPrefix(path, "/explorer/")
	return web.Asset(name)
}

// Find returns the request's handler, nil if the path is not the explorer's.
func (e *Explorer) Find(r *http.Request) http.Handler {
	switch path := r.URL.EscapedPath(); {
	case path == "/explorer":
		return e.page
	case fileAt(path) != nil:
		return e.file
	}
	return nil
}
