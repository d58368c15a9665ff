// Package oauth has the endpoints of OAuth 2.0 and OAuth 1.0a, and the pages for signing in, consent and its
// revocation. Start with [New]; [Server.Find] returns a request's handler.
//
// Other packages use its sessions and forms for their pages: see [Server.Handler] and [Call].
package oauth

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"liked"
	"liked/internal/auth"
	"liked/internal/exchange"
	"liked/internal/faults"
	"liked/internal/store"
	"liked/internal/web"
)

// Options configures New.
type Options struct {
	Auth    *auth.Auth
	Store   Store
	BaseURL func(*http.Request) string // as in auth.Options
	Now     func() time.Time
	Address func(*http.Request) string // the client's

	// All below are optional.

	// Lifetime is that of access tokens; 0 means auth.DefaultLifetime.
	Lifetime time.Duration

	// PublicURL is where browsers reach the server, "scheme://host[:port]", if known.
	PublicURL string

	// NeedHint makes a revocation without token_type_hint fail, as on X since 2025.
	NeedHint bool

	// Explain tells every client why a request was refused, otherwise known only to the operator and the app's owner.
	// For development only.
	Explain bool

	// OneClick lets whoever has the sign-in page sign in as any user, without a password. For development only, where everybody
	// who reaches the server knows the passwords.
	OneClick bool

	// Resets says that the world can be reset to that of its start, which pages name as the way back.
	Resets bool

	// AutoConsent names a user who consents to everything unasked. For tests only.
	AutoConsent string

	Observe exchange.Observer

	Faults *faults.Rules // nil: nothing is provoked
}

// Store keeps package auth's data, and sessions.
type Store interface {
	auth.Store
	store.Sessions
}

// Server is an authorization server (RFC 6749). It is safe for concurrent use.
type Server struct {
	Options
	crossOrigin *http.CrossOriginProtection
}

// New returns a Server.
func New(o Options) (*Server, error) {
	if o.Lifetime == 0 {
		o.Lifetime = auth.DefaultLifetime
	}
	s := &Server{Options: o, crossOrigin: http.NewCrossOriginProtection()}
	if o.PublicURL != "" {
		if err := s.crossOrigin.AddTrustedOrigin(auth.NormalOrigin(o.PublicURL)); err != nil {
			return nil, fmt.Errorf("oauth: PublicURL: %w", err)
		}
	}
	return s, nil
}

// Route is the methods of one path; one that it lacks is nil.
type Route struct {
	Operation string // in logs and metrics
	Get, Post func(*Call) (*Answer, error)

	refuse func(*Call, *Refusal) *Answer // nil: shows a page
}

var routes = map[string]*Route{
	"/i/oauth2/authorize":              {"oauth2Authorize", (*Call).authorize, (*Call).decide, nil},
	"/2/oauth2/authorize":              {"oauth2Authorize", (*Call).authorize, (*Call).decide, nil},
	"/2/oauth2/token":                  {"oauth2Token", nil, (*Call).token, inOAuth2},
	"/2/oauth2/revoke":                 {"oauth2Revoke", nil, (*Call).revoke, inOAuth2},
	"/oauth2/token":                    {"oauth2AppToken", nil, (*Call).appToken, inAppOnly},
	"/oauth2/invalidate_token":         {"oauth2InvalidateToken", nil, (*Call).invalidateAppToken, inAppOnly},
	"/oauth/request_token":             {"oauthRequestToken", (*Call).requestToken, (*Call).requestToken, inOAuth1},
	"/oauth/authorize":                 {"oauthAuthorize", (*Call).authorize1, (*Call).decide1, nil},
	"/oauth/authenticate":              {"oauthAuthenticate", (*Call).authorize1, (*Call).decide1, nil},
	"/i/oauth/authenticate":            {"oauthAuthenticate", (*Call).authorize1, (*Call).decide1, nil}, // for X's XDK
	"/oauth/access_token":              {"oauthAccessToken", (*Call).accessToken, (*Call).accessToken, inOAuth1},
	"/1.1/oauth/invalidate_token":      {"oauthInvalidateToken", nil, (*Call).invalidateToken, inOAuth1},
	"/1.1/oauth/invalidate_token.json": {"oauthInvalidateToken", nil, (*Call).invalidateToken, inOAuth1},
	"/login":                           {"signIn", (*Call).signInPage, (*Call).signIn, nil},
	"/logout":                          {"signOut", nil, (*Call).signOut, nil},
	"/settings/connected_apps":         {"connectedApps", (*Call).connectedApps, (*Call).disconnect, nil},
}

// Operations lists the operations of Exchanges, with duplicates.
func Operations() (names []string) {
	for _, rt := range routes {
		names = append(names, rt.Operation)
	}
	return names
}

// Find returns the request's handler, nil if the path is not this package's.
func (s *Server) Find(r *http.Request) http.Handler {
	if rt := routes[r.URL.EscapedPath()]; rt != nil {
		return s.Handler(rt)
	}
	return nil
}

// Call is one request.
type Call struct {
	*Server
	exchange.Exchange
	Context context.Context
	Request *http.Request
	Path    string

	course  faults.Course
	cookies []*http.Cookie // of the answer
	session session
}

// Answer is a page, a file of pages, a redirect or a body.
type Answer struct {
	status      int
	page        web.Page
	file        *web.File
	location    string
	allow       string // of 405
	contentType string
	body        []byte
	headers     map[string]string // others, of a provoked one
}

// Page answers with a page.
func Page(status int, page web.Page) (*Answer, error) {
	return &Answer{status: status, page: page}, nil
}

// File answers with a file that pages load.
func File(f *web.File) (*Answer, error) { return &Answer{file: f}, nil }

func redirect(status int, location string) (*Answer, error) {
	return &Answer{status: status, location: location}, nil
}

const (
	jsonUTF8   = "application/json; charset=utf-8"
	jsonOAuth2 = "application/json;charset=utf-8"
)

// inJSON answers with a value of strings and numbers, which always marshals.
func inJSON(status int, contentType string, value any) *Answer {
	body, _ := json.Marshal(value)
	return &Answer{status: status, contentType: contentType, body: body}
}

// Refusal is an error with an answer of its own.
type Refusal struct {
	Status int
	Code   string // of a page: its title
	Text   string
	Why    string // for the operator; empty: as Text
}

func (r *Refusal) Error() string {
	if r.Why == "" {
		return r.Text
	}
	return r.Why
}

// Because returns the refusal with a reason, which must name no secret.
func (r *Refusal) Because(format string, args ...any) *Refusal {
	with := *r
	with.Why = fmt.Sprintf(format, args...)
	return &with
}

// Handler returns the route's handler.
func (s *Server) Handler(rt *Route) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := &Call{Server: s, Context: r.Context(), Request: r, Path: r.URL.EscapedPath(), Exchange: exchange.New(rt.Operation, r)}
		r.Body = http.MaxBytesReader(w, r.Body, 2*maxForm)
		answer, err := c.answer(rt)
		if err != nil {
			answer = c.refuse(rt, err)
		}
		if s.Faults.Any() {
			answer = c.replace(rt, answer)
		}
		c.Why = strings.ToValidUTF8(c.Why[:min(len(c.Why), maxWhy)], "")
		c.write(w, answer)
		s.Observe.Done(r, &c.Exchange)
	})
}

const maxWhy = 1024 // bytes; reasons may quote the request

// answer turns a panic into an error.
func (c *Call) answer(rt *Route) (answer *Answer, err error) {
	defer func() { err = cmp.Or(exchange.Panicked(recover()), err) }()
	if rt.refuse == nil { // a page's
		if err := c.readSession(); err != nil {
			return nil, err
		}
	}
	if c.Faults.Any() {
		if answer := c.provoke(rt); answer != nil {
			return answer, nil
		}
	}
	switch {
	case rt.Get != nil && (c.Method == http.MethodGet || c.Method == http.MethodHead):
		return rt.Get(c)
	case rt.Post != nil && c.Method == http.MethodPost:
		return rt.Post(c)
	}
	allow := "GET, HEAD, POST"
	if rt.Get == nil {
		allow = "POST"
	} else if rt.Post == nil {
		allow = "GET, HEAD"
	}
	c.Why = fmt.Sprintf("the path has the methods %s, not %.20q", allow, c.Method)
	if rt.refuse == nil && web.Accepted(c.Request) {
		answer := c.trouble(&Refusal{Status: http.StatusMethodNotAllowed, Code: "There is no page here",
			Text: "This address takes the forms of other pages."})
		answer.allow = allow
		return answer, nil
	}
	return &Answer{status: http.StatusMethodNotAllowed, contentType: jsonUTF8, allow: allow,
		body: []byte(`{"title":"Method Not Allowed","detail":"Method Not Allowed","type":"about:blank","status":405}`)}, nil
}

// refuse alone turns errors into answers.
func (c *Call) refuse(rt *Route, err error) *Answer {
	var answer *Answer
	if needed, ok := errors.AsType[*signInNeeded](err); ok {
		answer, err = c.askSignIn(http.StatusOK, web.SignIn{Return: c.here(c.Request.URL.RawQuery), AppName: needed.app})
	} else if fault, ok := errors.AsType[*linkFault](err); ok {
		answer, err = c.showFault(fault)
	} else if stale, ok := errors.AsType[*staleForm](err); ok {
		answer, err = c.askResume(stale)
	} else if stale, ok := errors.AsType[*staleConsent](err); ok {
		answer, err = c.askAgain(stale)
	}
	if err == nil {
		return answer
	}
	c.Why = err.Error()
	f, ok := errors.AsType[*Refusal](err)
	if !ok {
		if f = c.refusalOf(err); f.Status >= 500 {
			c.Err = err
		}
	}
	if rt.refuse != nil {
		return rt.refuse(c, f)
	}
	return c.trouble(f)
}

// trouble is a page about a refusal.
func (c *Call) trouble(f *Refusal) *Answer {
	p := web.Trouble{Frame: c.Frame(), Title: f.Code, Text: f.Text}
	switch {
	case f.Status >= 500:
		p.Title, p.Text = "Something went wrong", "This is not your fault. Try again in a moment."
	case p.Title == "":
		p.Title = "That did not work"
	}
	if strings.HasPrefix(c.Path, "/developer") {
		p.Next = &web.Link{Label: "Go to your apps", URL: "/developer"}
	}
	return &Answer{status: f.Status, page: p}
}

// refusalOf maps another error to a Refusal, by its kind.
func (c *Call) refusalOf(err error) *Refusal {
	statuses := map[liked.Kind]int{liked.Internal: 500, liked.Invalid: 400, liked.Unauthorized: 401, liked.Forbidden: 403, liked.NotFound: 404,
		liked.Conflict: 409, liked.Unavailable: 503, liked.Overloaded: 503}
	switch status := statuses[liked.KindOf(err)]; {
	case status == 503 || c.Context.Err() != nil:
		return overCapacity
	case status == 500:
		return internalFail
	default:
		return &Refusal{Status: status, Text: "The request cannot be carried out."}
	}
}

// write sends the answer, which must not be cached (RFC 6749, 5.1).
func (c *Call) write(w http.ResponseWriter, a *Answer) {
	h := w.Header()
	h.Set("Cache-Control", "no-cache, no-store, max-age=0")
	h.Set("X-Transaction-Id", c.TransactionID)
	h.Set("X-Content-Type-Options", "nosniff")
	for _, cookie := range c.cookies {
		h.Add("Set-Cookie", cookie.String())
	}
	if c.Explain && c.Why != "" {
		h.Set("X-Liked-Explain", exchange.HeaderText(c.Why))
	}
	for name, value := range a.headers {
		h.Set(name, value)
	}
	if a.allow != "" {
		h.Set("Allow", a.allow)
	}
	c.Status = a.status
	switch {
	case a.page != nil:
		var err error
		c.Bytes, err = web.Write(w, a.status, a.page)
		c.Err = cmp.Or(err, c.Err)
		return
	case a.file != nil:
		c.Status, c.Bytes = a.file.Write(w, c.Request)
		return
	case a.location != "":
		h.Set("Location", a.location)
		h.Set("Referrer-Policy", "no-referrer") // this URL holds a state or a request token
		w.WriteHeader(a.status)
		return
	}
	c.Bytes = web.Send(w, a.status, a.contentType, a.body)
}

func refuseNotFound(f *Refusal, err error, format string, args ...any) error {
	if notFound(err) {
		return f.Because(format, args...)
	}
	return err
}

func notFound(err error) bool { return liked.KindOf(err) == liked.NotFound }
