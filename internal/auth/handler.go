package auth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"liked"
	"liked/internal/exchange"
	"liked/internal/limit"
	"liked/internal/web"
	"liked/internal/webhook"
)

// HandlerOptions is what NewHandler needs. Limiter, Hooks and Next are required.
type HandlerOptions struct {
	Limiter *limit.Limiter
	Hooks   *webhook.Hooks
	Next    http.Handler // answers every path that is not one of the handler's own

	// Lifetime is that of the access tokens that clients are given; 0 means DefaultLifetime.
	Lifetime time.Duration

	// PublicURL is where browsers reach the server, as "scheme://host[:port]", if that is known.
	PublicURL string

	// Address returns the address that a request came from. Nil means its RemoteAddr without the port.
	Address func(*http.Request) string

	// Explain tells everybody what only the operator and an app's owner may know: why a request was refused, and what
	// would have been right. For development only.
	Explain bool

	// AutoConsent is the username of somebody who consents to everything at once, unasked. For tests only.
	AutoConsent string

	// Explorer is what the page to try the API on starts with. The frame is the handler's.
	Explorer web.Explorer

	// Observe is called after each answer. Nil does nothing.
	Observe exchange.Observer
}

// Handler hands out what requests are authorized with: the OAuth 2.0 and OAuth 1.0a endpoints, and the pages on which
// people sign in, consent, look after what they consented to, and register apps. It is safe for concurrent use.
type Handler struct {
	*Auth
	HandlerOptions
	crossOrigin *http.CrossOriginProtection
	routes      map[string]*route
}

// route is one path. A method that it does not have is nil.
type route struct {
	operation string
	dialect   dialect
	get, post func(*call) (answer, error)
}

// NewHandler returns a Handler for the credentials that a looks after.
func (a *Auth) NewHandler(o HandlerOptions) (*Handler, error) {
	if o.Limiter == nil || o.Hooks == nil || o.Next == nil {
		return nil, errors.New("auth: Limiter, Hooks and Next are required")
	}
	if o.Lifetime == 0 {
		o.Lifetime = DefaultLifetime
	}
	if o.Address == nil {
		o.Address = func(r *http.Request) string { return withoutPort(r.RemoteAddr) }
	}
	h := &Handler{Auth: a, HandlerOptions: o, crossOrigin: http.NewCrossOriginProtection(), routes: make(map[string]*route)}
	if o.PublicURL != "" {
		if err := h.crossOrigin.AddTrustedOrigin(NormalOrigin(o.PublicURL)); err != nil {
			return nil, fmt.Errorf("auth: PublicURL: %w", err)
		}
	}
	for _, rt := range routes {
		h.routes[rt.path] = &rt.route
	}
	return h, nil
}

// routes is every path of the handler. Those of an app in the portal, and of the explorer's files, are the one here and
// the app's id, or the file's name.
var routes = []struct {
	path string
	route
}{
	{"/i/oauth2/authorize", route{"oauth2Authorize", onPage, (*call).authorize, (*call).decide}},
	{"/2/oauth2/authorize", route{"oauth2Authorize", onPage, (*call).authorize, (*call).decide}},
	{"/2/oauth2/token", route{"oauth2Token", inOAuth2, nil, (*call).token}},
	{"/2/oauth2/revoke", route{"oauth2Revoke", inOAuth2, nil, (*call).revoke}},
	{"/oauth2/token", route{"oauth2AppToken", inAppOnly, nil, (*call).appToken}},
	{"/oauth2/invalidate_token", route{"oauth2InvalidateToken", inAppOnly, nil, (*call).invalidateAppToken}},
	{"/oauth/request_token", route{"oauthRequestToken", inOAuth1, (*call).requestToken, (*call).requestToken}},
	{"/oauth/authorize", route{"oauthAuthorize", onPage, (*call).authorize1, (*call).decide1}},
	{"/oauth/authenticate", route{"oauthAuthenticate", onPage, (*call).authorize1, (*call).decide1}},
	{"/i/oauth/authenticate", route{"oauthAuthenticate", onPage, (*call).authorize1, (*call).decide1}}, // where X's XDK leads people
	{"/oauth/access_token", route{"oauthAccessToken", inOAuth1, (*call).accessToken, (*call).accessToken}},
	{"/1.1/oauth/invalidate_token", route{"oauthInvalidateToken", inOAuth1, nil, (*call).invalidateToken}},
	{"/1.1/oauth/invalidate_token.json", route{"oauthInvalidateToken", inOAuth1, nil, (*call).invalidateToken}},
	{"/login", route{"signIn", onPage, (*call).signInPage, (*call).signIn}},
	{"/logout", route{"signOut", onPage, nil, (*call).signOut}},
	{"/settings/connected_apps", route{"connectedApps", onPage, (*call).connectedApps, (*call).disconnect}},
	{"/developer", route{"developer", onPage, (*call).developer, (*call).createApp}},
	{developerApps, route{"developerApp", onPage, (*call).developerApp, (*call).changeApp}},
	{"/explorer", route{"explorer", onPage, (*call).explorer, nil}},
	{explorerFiles, route{"explorerFile", onPage, (*call).explorerFile, nil}},
}

const (
	developerApps = "/developer/apps/"
	explorerFiles = "/explorer/"
)

// Operations lists the names of operations in Exchanges.
func Operations() (names []string) {
	seen := make(map[string]bool)
	for _, rt := range routes {
		if !seen[rt.operation] {
			names = append(names, rt.operation)
		}
		seen[rt.operation] = true
	}
	return names
}

// call is one request.
type call struct {
	*Handler
	exchange.Exchange
	ctx     context.Context
	r       *http.Request
	path    string
	cookies []*http.Cookie // of the answer
	session session
}

// answer is a page, one of the explorer's files, a redirect or a body.
type answer struct {
	status      int
	page        web.Page
	file        bool // the one that the path names
	location    string
	contentType string
	body        []byte
}

// refused is a request that cannot be granted, in the words of the endpoint's dialect.
type refused struct {
	status int
	code   string
	text   string
	why    string // for the operator; empty: text says it all
}

func (r *refused) Error() string {
	if r.why == "" {
		return r.text
	}
	return r.why
}

// because returns the refusal with a reason, which names no secret.
func (r *refused) because(format string, args ...any) *refused {
	with := *r
	with.why = fmt.Sprintf(format, args...)
	return &with
}

// dialect is how an endpoint answers a request that it refuses.
type dialect func(*call, *refused) answer

// ServeHTTP answers the handler's own paths, and leaves all others to Next.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := r.URL.EscapedPath()
	rt := h.routes[path]
	if id, ok := strings.CutPrefix(path, developerApps); ok {
		if _, err := liked.ParseID[liked.AppID](id); err != nil {
			rt = nil
		} else {
			rt = h.routes[developerApps]
		}
	} else if strings.HasPrefix(path, explorerFiles) {
		rt = h.routes[explorerFiles]
	}
	if rt == nil {
		h.Next.ServeHTTP(w, r)
		return
	}
	c := &call{Handler: h, ctx: r.Context(), r: r, path: path, Exchange: exchange.New(rt.operation, r.Method)}
	r.Body = http.MaxBytesReader(w, r.Body, 2*maxForm)
	ans, err := c.answer(rt)
	if err != nil {
		ans = c.refuse(rt, err)
	}
	c.Why = strings.ToValidUTF8(c.Why[:min(len(c.Why), maxWhy)], "")
	c.write(w, ans)
	h.Observe.Done(r.Context(), &c.Exchange)
}

// answer runs the endpoint, and turns a panic into an error.
func (c *call) answer(rt *route) (ans answer, err error) {
	defer func() {
		if panicked := exchange.Panicked(recover()); panicked != nil {
			err = panicked
		}
	}()
	run, allow := rt.get, "GET, HEAD"
	switch {
	case rt.get == nil:
		allow = "POST"
	case rt.post != nil:
		allow = "GET, HEAD, POST"
	}
	switch c.r.Method {
	case http.MethodGet, http.MethodHead:
	case http.MethodPost:
		run = rt.post
	default:
		run = nil
	}
	if run == nil {
		return answer{}, &refused{status: http.StatusMethodNotAllowed, text: allow, why: "the path has the methods " + allow + ", not " + strconv.Quote(c.r.Method[:min(len(c.r.Method), 20)])}
	}
	return run(c)
}

// refuse is the one place where errors become answers.
func (c *call) refuse(rt *route, err error) answer {
	f, ok := errors.AsType[*refused](err)
	if !ok {
		f = &refused{status: http.StatusInternalServerError, code: "server_error", text: "Internal error"}
		if k := liked.KindOf(err); k == liked.Unavailable || c.ctx.Err() != nil {
			f = &refused{status: http.StatusServiceUnavailable, code: "temporarily_unavailable", text: "Over capacity"}
		}
		c.Err = err
	}
	c.Why = err.Error()
	if f.status == http.StatusMethodNotAllowed {
		return answer{status: f.status, contentType: jsonUTF8, location: f.text,
			body: []byte(`{"title":"Method Not Allowed","detail":"Method Not Allowed","type":"about:blank","status":405}`)}
	}
	return rt.dialect(c, f)
}

const maxWhy = 1024 // bytes; reasons may quote what was sent

const jsonUTF8 = "application/json; charset=utf-8"

// write sends the answer. Nothing that this handler says may be kept by anybody in between (RFC 6749, 5.1).
func (c *call) write(w http.ResponseWriter, ans answer) {
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
	c.Status = ans.status
	switch {
	case ans.page != nil:
		if err := web.Write(w, ans.status, ans.page); err != nil && c.ctx.Err() == nil {
			c.Err = err
		}
		c.Bytes, _ = strconv.Atoi(h.Get("Content-Length"))
		return
	case ans.file:
		c.Status, c.Bytes = web.WriteAsset(w, c.r, strings.TrimPrefix(c.path, explorerFiles))
		return
	case ans.status == http.StatusMethodNotAllowed:
		h.Set("Allow", ans.location)
	case ans.location != "":
		h.Set("Location", ans.location)
		h.Set("Referrer-Policy", "no-referrer") // the address left behind holds a state or a request token
		w.WriteHeader(ans.status)
		return
	}
	c.Bytes = len(ans.body)
	h.Set("Content-Type", ans.contentType)
	h.Set("Content-Length", strconv.Itoa(len(ans.body)))
	w.WriteHeader(ans.status)
	_, _ = w.Write(ans.body) // the client is gone: nobody is left to tell
}

// object writes a flat JSON object of keys and strings, in that order.
func object(members ...string) []byte {
	b := []byte("{")
	for i := 0; i < len(members); i += 2 {
		if i > 0 {
			b = append(b, ',')
		}
		key, _ := json.Marshal(members[i])
		value, _ := json.Marshal(members[i+1]) // strings have a JSON form
		b = append(append(append(b, key...), ':'), value...)
	}
	return append(b, '}')
}

func (c *call) explorer() (answer, error) {
	p := c.Explorer
	p.Frame = c.frame()
	return answer{status: http.StatusOK, page: p}, nil
}

func (c *call) explorerFile() (answer, error) { return answer{file: true}, nil }

// onPage answers a person.
func onPage(c *call, f *refused) answer {
	p := web.Trouble{Frame: c.frame(), Title: f.code, Text: f.text}
	switch {
	case f.status >= 500:
		p.Title, p.Text = "Something went wrong", "This is not your fault. Try again in a moment."
	case p.Title == "":
		p.Title = "That did not work"
	}
	return answer{status: f.status, page: p}
}
