package oauth

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"liked"
	"liked/internal/store"
	"liked/internal/web"
)

const (
	codeLife = 30 * time.Second

	maxState     = 500 // characters, as on X
	maxScope     = 2048
	maxChallenge = 512
)

// authorization is a valid authorization request (RFC 6749, 4.1.1; RFC 7636, 4.3).
type authorization struct {
	app       liked.App
	redirect  string
	state     string
	scopes    liked.Scope
	challenge string
	method    string // "S256" or "plain"
}

// readAuthorization parses an authorize link. The error is a *linkFault or the store's.
func (c *Call) readAuthorization(query string) (a authorization, err error) {
	p := make(Form)
	if err := p.add(query); err != nil {
		return a, &linkFault{why: "the query cannot be read: " + err.Error()}
	}
	wrong := func(sent, format string, args ...any) (authorization, error) {
		return a, &linkFault{app: a.app, why: fmt.Sprintf(format, args...), sent: sent}
	}
	var clientID, responseType, scope string
	for _, f := range []struct {
		name  string
		value *string
	}{
		{"client_id", &clientID}, {"response_type", &responseType}, {"redirect_uri", &a.redirect}, {"state", &a.state},
		{"scope", &scope}, {"code_challenge", &a.challenge}, {"code_challenge_method", &a.method},
	} {
		if *f.value, err = p.one(f.name); err != nil {
			return wrong("", "%v", err)
		}
	}
	if clientID == "" {
		return wrong("", "client_id is missing")
	}
	app, err := c.Store.AppByClientID(c.Context, clientID)
	a.app = app.App
	switch {
	case notFound(err):
		return wrong(clientID, "no app has this client_id%s", c.apiKeyHint(clientID))
	case err != nil:
		return a, err
	}
	c.App = a.app.ID
	if a.app.State == liked.AppSuspended {
		return wrong("", "the app is suspended")
	}
	if a.redirect == "" {
		return wrong("", "redirect_uri is missing")
	}
	if !slices.Contains(a.app.RedirectURIs, a.redirect) { // RFC 9700, 2.1: exact string matching
		return a, &linkFault{app: a.app, why: "redirect_uri is not registered for this app; it must be the same to the letter",
			sent: a.redirect, registered: a.app.RedirectURIs}
	}
	a.scopes, err = liked.ParseScope(scope)
	switch {
	case responseType != "code":
		return wrong(responseType, `response_type is not "code"`)
	case a.state == "":
		return wrong("", "state is missing")
	case utf8.RuneCountInString(a.state) > maxState:
		return wrong("", "state has %d characters; X takes at most %d", utf8.RuneCountInString(a.state), maxState)
	case len(scope) > maxScope:
		return wrong("", "scope has %d bytes, more than %d", len(scope), maxScope)
	case err != nil:
		return wrong(scope, "%v", err)
	case a.scopes == 0:
		return wrong("", "scope is missing")
	case a.challenge == "": // RFC 9700, 2.1.1: no code without PKCE, against downgrades
		return wrong("", "code_challenge is missing: every client needs PKCE here")
	case len(a.challenge) > maxChallenge || strings.ContainsFunc(a.challenge, func(r rune) bool { return r < '!' || r > '~' }):
		return wrong("", "code_challenge has %d bytes: it must be at most %d of visible ASCII", len(a.challenge), maxChallenge)
	case strings.EqualFold(a.method, "S256"):
		a.method = "S256"
	case strings.EqualFold(a.method, "plain"), a.method == "": // RFC 7636, 4.3: the default
		a.method = "plain"
	default:
		return wrong(a.method, "code_challenge_method is neither S256 nor plain")
	}
	return a, nil
}

// encoded is the inverse of readAuthorization, for the consent form.
func (a *authorization) encoded() string {
	return url.Values{"response_type": {"code"}, "client_id": {a.app.ClientID}, "redirect_uri": {a.redirect}, "state": {a.state},
		"scope": {a.scopes.String()}, "code_challenge": {a.challenge}, "code_challenge_method": {a.method}}.Encode()
}

// authorize shows the consent page to a signed-in user.
func (c *Call) authorize() (*Answer, error) {
	a, err := c.readAuthorization(c.Request.URL.RawQuery)
	if err != nil {
		return nil, err
	}
	u, unasked, err := c.consenter(a.app)
	switch {
	case err != nil:
		return nil, err
	case unasked:
		return c.grantCode(&a, u)
	}
	return c.askConsent(a.app, a.encoded(), c.Request.URL.RawQuery, a.redirect, web.Consent{Scopes: a.scopes})
}

// decide applies the user's choice. The request is checked again: the app may have changed.
func (c *Call) decide() (*Answer, error) {
	u, asked, allowed, err := c.openConsent()
	if err != nil {
		return nil, err
	}
	a, err := c.readAuthorization(asked)
	switch {
	case err != nil:
		return nil, err
	case allowed:
		return c.grantCode(&a, u)
	}
	c.Why = "the user refused"
	return redirect(http.StatusFound, withQuery(a.redirect, "error", "access_denied", "state", a.state))
}

// grantCode redirects with a new authorization code (RFC 6749, 4.1.2).
func (c *Call) grantCode(a *authorization, u liked.User) (*Answer, error) {
	c.User = u.ID
	code, err := c.Auth.IssueCode(c.Context, store.Code{App: a.app.ID, User: u.ID, Scopes: a.scopes, RedirectURI: a.redirect,
		Challenge: a.challenge, ChallengeMethod: a.method, Expires: c.Now().Add(codeLife)})
	if err != nil {
		return nil, err
	}
	return redirect(http.StatusFound, withQuery(a.redirect, "state", a.state, "code", code))
}
