package auth

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"liked"
	"liked/internal/store"
	"liked/internal/web"
)

const (
	codeLife    = 30 * time.Second
	consentLife = time.Hour // how long a consent page can be thought about

	maxState     = 4096 // bytes; X's documentation says 500, and some clients send more
	maxScope     = 2048
	maxChallenge = 512
)

// authorization is a request for an authorization code (RFC 6749, 4.1.1; RFC 7636, 4.3) for which everything holds.
type authorization struct {
	app       liked.App
	redirect  string
	state     string
	scopes    liked.Scope
	challenge string
	method    string // "S256" or "plain"
}

// fault is something wrong with the link that led a person here. It is shown on a page and never sent to the redirect
// URI, which nobody has vouched for yet.
type fault struct {
	app        liked.App // whose owner may read the rest; zero if there is none
	why        string
	sent       string
	registered []string
}

func (f *fault) Error() string { return f.why }

// faultPage shows a fault: the reason only to the app's owner, or to everybody in development.
func (c *call) faultPage(f *fault) (answer, error) {
	s, err := c.whoever()
	if err != nil {
		return answer{}, err
	}
	c.Why, c.App = f.why, f.app.ID
	p := web.Fault{Frame: c.frame()}
	if c.Explain || f.app.Owner != 0 && f.app.Owner == s.user.ID {
		p.Why, p.Sent, p.Registered = f.why, f.sent, f.registered
	}
	return answer{status: http.StatusBadRequest, page: p}, nil
}

// readAuthorization judges the parameters of an authorize link. The error is a *fault or the store's.
func (c *call) readAuthorization(query string) (a authorization, err error) {
	p := make(params)
	if err := p.addForm(query); err != nil {
		return a, &fault{why: "the query cannot be read: " + err.Error()}
	}
	wrong := func(sent, format string, args ...any) (authorization, error) {
		return a, &fault{app: a.app, why: fmt.Sprintf(format, args...), sent: sent}
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
	a.app, err = c.store.AppByClientID(c.ctx, clientID)
	switch {
	case notFound(err):
		hint := ""
		if _, err := c.store.AppByAPIKey(c.ctx, clientID); err == nil {
			hint = ": it is an app's API key, which is for OAuth 1.0a"
		}
		return wrong(clientID, "no app has this client_id%s", hint)
	case err != nil:
		return a, err
	case a.app.State == liked.AppSuspended:
		return wrong("", "the app is suspended")
	}
	if a.redirect == "" {
		return wrong("", "redirect_uri is missing")
	}
	if !slices.Contains(a.app.RedirectURIs, a.redirect) { // RFC 9700, 2.1: exact string matching
		return a, &fault{a.app, "redirect_uri is not registered for this app; it must be the same to the letter", a.redirect, a.app.RedirectURIs}
	}
	if responseType != "code" {
		return wrong(responseType, `response_type is not "code"`)
	}
	if a.state == "" {
		return wrong("", "state is missing")
	}
	if len(a.state) > maxState {
		return wrong("", "state has %d bytes, more than %d", len(a.state), maxState)
	}
	if len(scope) > maxScope {
		return wrong("", "scope has %d bytes, more than %d", len(scope), maxScope)
	}
	if a.scopes, err = liked.ParseScope(scope); err != nil {
		return wrong(scope, "%v", err)
	}
	if a.scopes == 0 {
		return wrong("", "scope is missing")
	}
	if a.challenge == "" { // RFC 9700, 2.1.1: no code without PKCE, so that none can be taken away
		return wrong("", "code_challenge is missing: every client needs PKCE here")
	}
	if len(a.challenge) > maxChallenge || strings.ContainsFunc(a.challenge, func(r rune) bool { return r < '!' || r > '~' }) {
		return wrong("", "code_challenge has %d bytes: it must be at most %d of visible ASCII", len(a.challenge), maxChallenge)
	}
	switch {
	case strings.EqualFold(a.method, "S256"):
		a.method = "S256"
	case strings.EqualFold(a.method, "plain"), a.method == "": // RFC 7636, 4.3: the default
		a.method = "plain"
	default:
		return wrong(a.method, "code_challenge_method is neither S256 nor plain")
	}
	return a, nil
}

// encoded is the inverse of readAuthorization, for the blob in the consent form.
func (a *authorization) encoded() string {
	return url.Values{"response_type": {"code"}, "client_id": {a.app.ClientID}, "redirect_uri": {a.redirect}, "state": {a.state},
		"scope": {a.scopes.String()}, "code_challenge": {a.challenge}, "code_challenge_method": {a.method}}.Encode()
}

// authorize shows the consent page, to somebody who is signed in.
func (c *call) authorize() (answer, error) {
	a, err := c.readAuthorization(c.r.URL.RawQuery)
	if f, ok := err.(*fault); ok {
		return c.faultPage(f)
	}
	if err != nil {
		return answer{}, err
	}
	c.App = a.app.ID
	if c.AutoConsent != "" {
		u, err := c.store.UserByUsername(c.ctx, c.AutoConsent)
		if err != nil {
			return answer{}, err
		}
		return c.grantCode(&a, u.ID)
	}
	u, ans, ok, err := c.signedIn(a.app.Name)
	if !ok {
		return ans, err
	}
	owner, err := c.ownerName(a.app)
	if err != nil {
		return answer{}, err
	}
	p := web.Consent{Frame: c.frame(), Action: c.path, Return: c.here(c.r.URL.RawQuery), Request: c.consentBlob(u, a.encoded()),
		AppName: a.app.Name, AppOwner: owner, Scopes: strings.Fields(a.scopes.String()), RedirectTo: destination(a.redirect)}
	return answer{status: http.StatusOK, page: p}, nil
}

// consentBlob binds what a consent page shows to the session that it is shown to.
func (c *call) consentBlob(u liked.User, shown string) string {
	return c.blob(sealConsent, c.path+" "+c.session.cookie, c.now().Add(consentLife).UTC().Format(time.RFC3339)+" "+u.ID.String()+" "+shown)
}

// openConsent returns what the page showed that the form comes from, and whether it was consented to.
func (c *call) openConsent() (u liked.User, shown string, allowed bool, err error) {
	form, err := c.form()
	if err != nil {
		return u, "", false, err
	}
	text, ok := c.open(sealConsent, c.path+" "+c.session.cookie, form.first("request"))
	expires, text, _ := strings.Cut(text, " ")
	id, shown, _ := strings.Cut(text, " ")
	until, timeErr := time.Parse(time.RFC3339, expires)
	u = c.session.user
	if !ok || timeErr != nil || !c.now().Before(until) || u.ID == 0 || u.ID.String() != id {
		return u, "", false, errOldForm.because("the consent form was shown to another session or too long ago")
	}
	switch decision := form.first("decision"); decision {
	case "allow", "deny":
		return u, shown, decision == "allow", nil
	}
	return u, "", false, errForm.because("the consent form has no decision")
}

// decide does what the user chose on the consent page. What was asked for is judged again: the app may have changed
// since the page was shown.
func (c *call) decide() (answer, error) {
	u, shown, allowed, err := c.openConsent()
	if err != nil {
		return answer{}, err
	}
	a, err := c.readAuthorization(shown)
	if f, ok := err.(*fault); ok {
		return c.faultPage(f)
	}
	if err != nil {
		return answer{}, err
	}
	c.App = a.app.ID
	if !allowed {
		c.Why = "the user refused"
		return answer{status: http.StatusFound, location: withQuery(a.redirect, "error", "access_denied", "state", a.state)}, nil
	}
	return c.grantCode(&a, u.ID)
}

// grantCode redirects with a new authorization code (RFC 6749, 4.1.2).
func (c *call) grantCode(a *authorization, user liked.UserID) (answer, error) {
	now := c.now()
	p := c.pick()
	code := p.timed("ac", now)
	p.done()
	if p.err != nil {
		return answer{}, p.err
	}
	c.User = user
	err := c.store.AddCode(c.ctx, store.Code{Code: hashOf(code), App: a.app.ID, User: user, Scopes: a.scopes, RedirectURI: a.redirect,
		Challenge: a.challenge, ChallengeMethod: a.method, Expires: now.Add(codeLife)})
	if err != nil {
		return answer{}, err
	}
	return answer{status: http.StatusFound, location: withQuery(a.redirect, "state", a.state, "code", code)}, nil
}

// withQuery adds parameters to the query of a URI, which keeps its own (RFC 6749, 3.1.2). Values are percent-encoded, a
// space too, so that they come out the same whoever decodes them.
func withQuery(uri string, members ...string) string {
	b := []byte(uri)
	switch _, query, there := strings.Cut(uri, "?"); {
	case !there:
		b = append(b, '?')
	case query != "" && !strings.HasSuffix(query, "&"):
		b = append(b, '&')
	}
	for i := 0; i < len(members); i += 2 {
		if i > 0 {
			b = append(b, '&')
		}
		b = append(append(b, members[i]...), '=')
		b = appendEncoded(b, members[i+1])
	}
	return string(b)
}

// destination says where a redirect leads: the host, or the scheme of an app on the device.
func destination(uri string) string {
	u, err := url.Parse(uri)
	if err != nil {
		return ""
	}
	if u.Scheme == "http" || u.Scheme == "https" {
		return u.Host
	}
	return u.Scheme + ":"
}

// ownerName returns the username of the app's owner, "" if that is the operator.
func (c *call) ownerName(app liked.App) (string, error) {
	if app.Owner == 0 {
		return "", nil
	}
	u, err := c.store.User(c.ctx, app.Owner)
	if err != nil && !notFound(err) {
		return "", err
	}
	return u.Username, nil
}
