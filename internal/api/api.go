// Package api implements X's API v2 around likes, as X's published document and X's own answers have it.
//
// [New] returns an http.Handler for all of X's API host. One table (routes.go) holds what each endpoint demands; one
// function, serve (serve.go), checks requests in X's order and writes every answer; handlers (likes.go, users.go,
// posts.go, streams.go) return a value or an error.
package api

import (
	"cmp"
	"context"
	"crypto/cipher"
	"errors"
	"net"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"liked"
	"liked/internal/exchange"
	"liked/internal/faults"
	"liked/internal/likelog"
	"liked/internal/store"
	"liked/internal/webhook"
)

// Options configures an API. Store, Auth, Hooks and Now are required.
type Options struct {
	Store   Store
	Auth    Authenticator
	Hooks   *webhook.Hooks
	Log     *likelog.Log // nil: one of its own
	Limits  Limits
	Profile Profile
	Now     func() time.Time
	// PageKey seals pagination tokens, of which others are refused, and makes the ids of likes. It must survive a
	// restart, and is secret.
	PageKey [32]byte
	// PrivateLikes is X's rule since June 2024: only a post's author sees its likers, only a user their likes.
	PrivateLikes bool
	KeepAlive    time.Duration              // longest silence of a stream; 0 means 10 s
	Stall        time.Duration              // how long its reader may accept no bytes; 0 means 10 s
	Explain      bool                       // show clients why they are refused; for development only
	Observe      exchange.Observer          // called after each answer
	Address      func(*http.Request) string // of the client; nil: of the connection
	Faults       *faults.Rules              // nil: nothing is provoked
}

// Authenticator identifies the caller. An error of Kind Unauthorized holds the reason, for the operator only.
type Authenticator interface {
	Authenticate(*http.Request) (liked.Principal, error)
}

// Store is what the endpoints read and write.
type Store interface {
	store.Likes
	store.Log
	store.Users
	store.Posts
	store.Relations
	store.Apps
	store.Grants
	store.Hooks
	store.Subscriptions
	store.Limits
	store.Changes
	store.Leases
}

// API is an http.Handler. It is safe for concurrent use.
type API struct {
	Options
	*catalogue
	headers headers
	table   atomic.Pointer[table]
	ids     cipher.Block
	streams streams
}

// table is the endpoints with their limits.
type table struct {
	mux     *http.ServeMux
	methods []string        // of all endpoints, sorted
	self    func() *encoded // the description of the API

	endpoints []*endpoint // in the order of allRoutes
}

// New returns an API.
func New(o Options) (*API, error) {
	if o.Store == nil || o.Auth == nil || o.Hooks == nil || o.Now == nil {
		return nil, errors.New("api: Store, Auth, Hooks and Now are required")
	}
	if o.PageKey == ([32]byte{}) {
		return nil, errors.New("api: PageKey is required")
	}
	if o.Log == nil {
		o.Log = likelog.New(o.Store)
	}
	o.KeepAlive, o.Stall = cmp.Or(o.KeepAlive, 10*time.Second), cmp.Or(o.Stall, 10*time.Second)
	if o.Address == nil {
		o.Address = func(r *http.Request) string { host, _, _ := net.SplitHostPort(r.RemoteAddr); return host }
	}
	f := o.Profile.facts()
	a := &API{Options: o, catalogue: newCatalogue(f), headers: newHeaders(f), ids: o.likeIDs()}
	a.streams = streams{slots: make(map[slot]*connection), feeds: make(map[feedKey]*feed), lease: 15 * time.Second}
	a.SetLimits(o.Limits)
	return a, nil
}

// SetLimits changes the rate limits. What was counted before counts on.
func (a *API) SetLimits(l Limits) {
	f := a.Profile.facts()
	words := f.paramWords()
	t := &table{mux: http.NewServeMux()}
	for _, row := range allRoutes {
		rt := &endpoint{route: row, path: row.pathParams(), params: queryParams(row.query, words)}
		if rt.is(listOfLikes) && a.PrivateLikes {
			rt.allow &^= liked.AppOnly
		}
		rules := l.apply(rt.id, rt.limits)
		rt.userRules, rt.appRules = applicable(rules, false), applicable(rules, true)
		t.endpoints = append(t.endpoints, rt)
		t.mux.HandleFunc(rt.pattern, func(w http.ResponseWriter, r *http.Request) { a.serve(rt, w, r) })
		if !slices.Contains(t.methods, rt.method()) {
			t.methods = append(t.methods, rt.method())
		}
	}
	t.mux.HandleFunc(catchAll, a.serveNoRoute)
	slices.Sort(t.methods)
	t.self = sync.OnceValue(func() *encoded {
		return newEncoded(describe(f, t.endpoints[:len(routes)], t.endpoints[len(routes):]))
	})
	a.table.Store(t)
}

// RateRules are the rules that count an operation's requests.
func (a *API) RateRules(operation string) (rules []liked.RateRule) {
	for _, rt := range a.table.Load().endpoints {
		if rt.id == operation {
			rules = append(rules, rt.userRules...)
			for _, r := range rt.appRules {
				if !slices.Contains(rules, r) {
					rules = append(rules, r)
				}
			}
		}
	}
	return rules
}

// endpoint is a route with what SetLimits derived from it.
type endpoint struct {
	route
	path, params        []param // of the path and of the query
	userRules, appRules []liked.RateRule
}

// call is a request that meets its route's demands.
type call struct {
	ctx   context.Context
	who   liked.Principal
	path  []pair   // wildcards, in order
	ids   [2]int64 // path as numbers, 0 where not numeric
	query any      // pointer to the route's query type
	body  body

	// Of v1.1, instead of query and body.
	form          url.Values
	authorization string // the header

	users answerSpace[liked.User, userObject]
	posts answerSpace[liked.Post, postObject]
}

// ConnContext is for http.Server.ConnContext. It gives connections the ids that X sends in a header.
func ConnContext(ctx context.Context, _ net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, exchange.RandomHex(32))
}

type connKey struct{}

// ServeHTTP answers any request. The mux would redirect unclean paths and take HEAD for GET, so it never gets these.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodHead || !canonical(r) {
		a.serveNoRoute(w, r)
		return
	}
	a.table.Load().mux.ServeHTTP(w, r)
}

func canonical(r *http.Request) bool {
	escaped := r.URL.EscapedPath()
	return path.Clean(escaped) == escaped
}

// catchAll is the mux's pattern for unknown endpoints. It has no method, so that the mux never answers by itself.
const catchAll = "/"

func (a *API) serveNoRoute(w http.ResponseWriter, r *http.Request) {
	p := noRoute()
	if strings.HasPrefix(r.URL.Path, v1Prefix) {
		p = v1(34, "no endpoint of v1.1 has this path and this method")
	} else if canonical(r) {
		if allow := a.allowed(r); len(allow) > 0 {
			p = wrongMethod(r.Method, allow)
		}
	}
	x := newRequestState(nil, r)
	defer a.done(r, x)
	if a.Faults.Any() {
		err := a.provoke(nil, r, x)
		if err == nil {
			err = p
		}
		_, err = a.replace(nil, r, x, nil, err)
		p = a.problemOf(err)
	}
	a.refuse(w, r, x, p)
}

// Refuse answers a request that meets the error before its route.
func (a *API) Refuse(w http.ResponseWriter, r *http.Request, err error) {
	x := newRequestState(nil, r)
	a.refuse(w, r, x, a.problemOf(err))
	a.done(r, x)
}

// allowed lists the path's methods. If a literal pattern matches, those with wildcards do not count.
func (a *API) allowed(r *http.Request) (methods []string) {
	probe := *r
	var literal []string
	for _, probe.Method = range a.table.Load().methods {
		switch _, pattern := a.table.Load().mux.Handler(&probe); pattern {
		case catchAll:
		case probe.Method + " " + r.URL.Path:
			literal = append(literal, probe.Method)
			fallthrough
		default:
			methods = append(methods, probe.Method)
		}
	}
	if literal != nil {
		return literal
	}
	return methods
}
