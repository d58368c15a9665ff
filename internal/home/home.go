// Package home serves the page at / and the files for Postman. Start with [New].
package home

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"liked"
	"liked/internal/exchange"
	"liked/internal/likelog"
	"liked/internal/store"
	"liked/internal/web"
)

// Options configures a Home. Store, Log and Likes are required.
type Options struct {
	Store Store
	Log   *likelog.Log

	// Likes returns how many likes were set since the server started.
	Likes func() int64

	// Page is the constant part of the page. Numbers and posts are filled in.
	Page web.Home

	// First is the post that stands first on the page, if everybody may see it. 0: none does.
	First liked.PostID

	// NoPage leaves out the page at / and all that it loads.
	NoPage bool

	// Patience bounds the write of one event; a slower viewer is disconnected. Zero means 5 s.
	Patience time.Duration

	// Collection and Environment return the files for Postman, as JSON.
	Collection, Environment func() []byte

	// Observe is called after each answer. Nil does nothing.
	Observe exchange.Observer
}

// Store is what the page reads.
type Store interface {
	Totals(ctx context.Context) (store.Totals, error)
	LogEnds(ctx context.Context) (liked.Positions, error)
	LatestPosts(ctx context.Context, max int) ([]liked.Post, error)
	Posts(ctx context.Context, viewer liked.UserID, ids []liked.PostID, metrics store.Metrics) ([]store.Seen, error)
	UsersByID(ctx context.Context, ids []liked.UserID, metrics store.Metrics) ([]liked.User, error)
}

// Home serves the page and the files. It is safe for concurrent use.
type Home struct {
	Options
	board
	rate   rate
	ending chan struct{} // closed when Run ends
}

// New returns a Home. Its numbers start with Run.
func New(o Options) *Home {
	o.Patience = cmp.Or(o.Patience, 5*time.Second)
	return &Home{Options: o, board: board{store: o.Store, log: o.Log, first: o.First}, ending: make(chan struct{})}
}

// Run counts totals and the rate of likes until ctx ends. It must be called once.
func (h *Home) Run(ctx context.Context) {
	defer close(h.ending)
	if h.NoPage {
		return
	}
	var counting sync.WaitGroup
	defer counting.Wait()
	counting.Go(func() {
		if _, err := h.Store.Totals(ctx); err == nil {
			h.counted.Store(true)
		}
	})
	h.rate.run(ctx, h.Likes)
}

// Operations lists the operation names used in Exchanges.
func Operations() []string { return []string{"home", "homeFile", "homeLive", "postman"} }

// LivePath is where viewers of the page get its server-sent events, for as long as they like.
const LivePath = "/home/live"

// Find returns the handler of GET and HEAD of this package's paths. X has no pages, so only a client that asks for HTML gets
// the page at /, and one about a path that is none. For all others it returns nil.
func (h *Home) Find(r *http.Request) http.Handler {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return nil
	}
	switch path := r.URL.EscapedPath(); {
	case path == "/postman/collection.json":
		return h.handler("postman", file("liked.postman_collection.json", h.Collection))
	case path == "/postman/environment.json":
		return h.handler("postman", file("liked.postman_environment.json", h.Environment))
	case path == "/" && !h.NoPage && web.Accepted(r):
		return h.handler("home", h.page)
	case path == "/home/home.js" && !h.NoPage:
		return h.handler("homeFile", asset)
	case path == LivePath && !h.NoPage && r.Method == http.MethodGet:
		return h.handler("homeLive", h.live)
	case web.Accepted(r):
		return h.handler("", h.missing)
	}
	return nil
}

type answer func(http.ResponseWriter, *http.Request, *exchange.Exchange)

func (h *Home) handler(operation string, answer answer) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		x := exchange.New(operation, r)
		w.Header().Set("X-Transaction-Id", x.TransactionID)
		answer(w, r, &x)
		h.Observe.Done(r, &x)
	})
}

// page answers with the current page. If the store cannot be read, the page says so and has no numbers.
func (h *Home) page(w http.ResponseWriter, r *http.Request, x *exchange.Exchange) {
	p := h.Page
	now, err := h.look(r.Context())
	if err != nil {
		x.Status, p.Trouble = http.StatusServiceUnavailable, true
	} else {
		x.Status, p.Numbers, p.Posts = http.StatusOK, now.Numbers, now.Posts
		p.Numbers.PerSecond = h.rate.now()
	}
	size, writeErr := web.Write(w, x.Status, p)
	x.Bytes, x.Err = size, errors.Join(err, writeErr)
}

// missing answers a browser that follows a wrong link.
func (h *Home) missing(w http.ResponseWriter, _ *http.Request, x *exchange.Exchange) {
	p := web.Trouble{Title: "There is no page here",
		Text: "Check the address. What the API has is listed in the API explorer, endpoint by endpoint.",
		Next: &web.Link{Label: "Open the API explorer", URL: "/explorer"}}
	x.Status, x.Why = http.StatusNotFound, "no page has this path"
	x.Bytes, x.Err = web.Write(w, x.Status, p)
}

func asset(w http.ResponseWriter, r *http.Request, x *exchange.Exchange) {
	x.Status, x.Bytes = web.Asset("home.js").Write(w, r)
}

// file answers with JSON to be saved under the name.
func file(name string, read func() []byte) answer {
	return func(w http.ResponseWriter, _ *http.Request, x *exchange.Exchange) {
		header := w.Header()
		header.Set("Cache-Control", "no-store") // an environment may hold credentials
		header.Set("Content-Disposition", "attachment; filename="+name)
		header.Set("Cross-Origin-Resource-Policy", "same-origin")
		header.Set("X-Content-Type-Options", "nosniff")
		x.Status, x.Bytes = http.StatusOK, web.Send(w, http.StatusOK, "application/json; charset=utf-8", read())
	}
}
