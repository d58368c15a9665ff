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
	return &Explorer{
		page: sessions.Handler(&oauth.Route{Operation: operations[0], Get: func(c *oauth.Call) (*oauth.Answer, error) {
			page := start
			page.Frame = c.Frame()
			return oauth.Page(http.StatusOK, page)
		}}),
		file: sessions.Handler(&oauth.Route{Operation: operations[1], Get: func(c *oauth.Call) (*oauth.Answer, error) {
			return oauth.File(strings.TrimPrefix(c.Path, filesPath))
		}}),
	}, nil
}

var operations = []string{"explorer", "explorerFile"}

// Operations lists the operations of Exchanges.
func Operations() []string { return operations }

const filesPath = "/explorer/"

// Find returns the request's handler, nil if the path is not the explorer's.
func (e *Explorer) Find(r *http.Request) http.Handler {
	switch path := r.URL.EscapedPath(); {
	case path == "/explorer":
		return e.page
	case strings.HasPrefix(path, filesPath):
		return e.file
	}
	return nil
}
