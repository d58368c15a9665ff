package auth

import (
	"context"
	"encoding/xml"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"liked"
	"liked/internal/limit"
	"liked/internal/store"
	"liked/internal/web"
)

// The three legs of OAuth 1.0a (RFC 5849, 2): a request token, the user's consent, and the access token.

const (
	requestTokenLife = 15 * time.Minute
	outOfBand        = "oob" // the callback of an app that has none: the user copies a PIN

	sealRequestSecret = "oauth1 request token secret: " // + hash of the token
)

var (
	perAppRequests = []limit.Rule{{App: true, Window: requestTokenLife, Max: 5000}} // bounds how many are pending
	perVerifier    = []limit.Rule{{Window: requestTokenLife, Max: 10}}              // guesses at a PIN
)

// The refusals of the OAuth 1.0a endpoints, in X's words. Those without a number are plain text.
var (
	notAuthenticated = &refused{status: 401, code: codeNotAuthenticated, text: "Could not authenticate you."}
	invalidToken     = &refused{status: 401, code: codeBadToken, text: "Invalid or expired token."}
	outOfBounds      = &refused{status: 401, code: codeTimestamp, text: "Timestamp out of bounds."}
	badData          = &refused{status: 400, code: codeBadData, text: "Bad Authentication data."}
	badCallback      = &refused{status: 403, code: "415", text: "Callback URL not approved for this client application. Approved callback URLs can be adjusted in your application settings"}
	suspendedApp     = &refused{status: 403, code: "416", text: "Invalid / suspended application"}
	desktopApp       = &refused{status: 401, code: "417", text: "Desktop applications only support the oauth_callback value 'oob'"}
	tooMany          = &refused{status: 429, code: "88", text: "Rate limit exceeded"}

	badVerifier1   = &refused{status: 401, text: "Error processing your OAuth request: Invalid oauth_verifier parameter"}
	noRequestToken = &refused{status: 401, text: "Request token missing"}
	deadRequest    = &refused{status: 401, text: "Reverse auth credentials are invalid"}
)

// inOAuth1 answers in JSON whoever asks for it, in XML whoever does not, and in plain text where X does.
func inOAuth1(c *call, f *refused) answer {
	switch {
	case f.status >= 500:
		f = &refused{status: f.status, code: map[bool]string{true: "130", false: "131"}[f.status == http.StatusServiceUnavailable], text: f.text}
	case f.code == "":
		return answer{status: f.status, contentType: "text/plain;charset=utf-8", body: []byte(f.text)}
	}
	if strings.Contains(c.r.Header.Get("Accept"), "application/json") {
		return answer{status: f.status, contentType: jsonUTF8, body: errorsJSON(f.code, f.text)}
	}
	var text strings.Builder
	_ = xml.EscapeText(&text, []byte(f.text)) // a Builder does not fail
	body := `<?xml version='1.0' encoding='UTF-8'?><errors><error code="` + f.code + `">` + strings.ReplaceAll(text.String(), "&#39;", "'") + `</error></errors>`
	return answer{status: f.status, contentType: "application/xml;charset=utf-8", body: []byte(body)}
}

// errorsJSON is X's old form of an error. The code is a number.
func errorsJSON(code, text string) []byte {
	return append(append([]byte(`{"errors":[{"code":`+code+`,`), object("message", text)[1:]...), "]}"...)
}

// oauthHeader returns the value of the one Authorization header after the scheme OAuth.
func oauthHeader(h http.Header) (text string, ok bool) {
	headers := h["Authorization"]
	if len(headers) != 1 || len(headers[0]) > maxHeader {
		return "", false
	}
	scheme, text, _ := strings.Cut(headers[0], " ")
	return strings.Trim(text, " "), strings.EqualFold(scheme, "OAuth")
}

// signed verifies the request's signature as Authenticate does, and returns all that was signed: clients put a callback
// or a verifier into the header, the query or the body.
func (c *call) signed(token bool, find func(*oauth1Header) (*caller, error)) (params, error) {
	text, ok := oauthHeader(c.r.Header)
	if !ok {
		return nil, coded{codeBadData, refuse("there is not one Authorization header of scheme OAuth and at most %d bytes", maxHeader)}
	}
	s := c.scratch.Get().(*signed)
	defer func() {
		s.reset()
		c.scratch.Put(s)
	}()
	_, err := c.signedBy(c.r, text, s, token, func(_ context.Context, h *oauth1Header) (*caller, error) { return find(h) })
	if err != nil {
		return nil, err
	}
	p := make(params)
	for _, v := range s.params {
		if !slices.Contains(p[v.name], v.value) { // the same one in the header and in the body counts once
			p[v.name] = append(p[v.name], v.value)
		}
	}
	return p, nil
}

// signed1 is signed, with X's numbers.
func (c *call) signed1(token bool, find func(*oauth1Header) (*caller, error)) (params, error) {
	p, err := c.signed(token, find)
	if err == nil {
		return p, nil
	}
	if _, ok := errors.AsType[*refused](err); ok || liked.KindOf(err) != liked.Unauthorized {
		return nil, err
	}
	f := notAuthenticated
	if with, ok := errors.AsType[coded](err); ok {
		switch with.code {
		case codeBadToken:
			f = invalidToken
		case codeTimestamp:
			f = outOfBounds
		case codeBadData:
			f = badData
		}
	}
	return nil, f.because("%v", err)
}

// consumerApp1 returns the app that the header names, if it may ask for anything.
func (c *call) consumerApp1(h *oauth1Header) (liked.App, error) {
	app, err := c.consumerApp(c.ctx, h)
	if err != nil {
		return app, err
	}
	c.App = app.ID
	if app.State == liked.AppSuspended {
		return app, suspendedApp
	}
	return app, nil
}

// requestToken answers /oauth/request_token (RFC 5849, 2.1).
func (c *call) requestToken() (answer, error) {
	var app liked.App
	p, err := c.signed1(false, func(h *oauth1Header) (by *caller, err error) {
		if app, err = c.consumerApp1(h); err != nil {
			return nil, err
		}
		s, err := c.signerOf(app, "")
		return &caller{signer: s}, err
	})
	if err != nil {
		return answer{}, err
	}
	callback, err := p.one("oauth_callback")
	switch {
	case err != nil:
		return answer{}, badData.because("%v", err)
	case callback == "":
		return answer{}, badData.because("oauth_callback is missing: it is a registered callback URL, or oob for a PIN")
	case callback == outOfBand:
	case len(app.RedirectURIs) == 0:
		return answer{}, desktopApp.because("the app has no callback URL registered, so that oauth_callback can only be oob")
	case !slices.Contains(app.RedirectURIs, callback):
		return answer{}, badCallback.because("oauth_callback is not one of the app's callback URLs; it must be the same to the letter")
	}
	access := app.Access
	switch asked := p.first("x_auth_access_type"); asked {
	case "read":
		access = liked.ReadOnly
	case "write":
		access = min(access, liked.ReadWrite)
	}
	if _, ok := c.Limiter.Take(c.now(), "oauthRequestToken", app.ID, 0, perAppRequests, nil); !ok {
		return answer{}, tooMany.because("the app asked for %d request tokens within %s", perAppRequests[0].Max, perAppRequests[0].Window)
	}
	pick := c.pick()
	token, secret := pick.text(urlSafe, 27), pick.text(alnum, 32)
	pick.done()
	if pick.err != nil {
		return answer{}, pick.err
	}
	kept := store.RequestToken{Token: hashOf(token), App: app.ID, Access: access, Callback: callback, Expires: c.now().Add(requestTokenLife)}
	if kept.SealedSecret, err = c.sealed(sealRequestSecret, string(kept.Token[:]), secret); err != nil {
		return answer{}, err
	}
	if err := c.store.AddRequestToken(c.ctx, kept); err != nil {
		return answer{}, err
	}
	return formAnswer("oauth_token", token, "oauth_token_secret", secret, "oauth_callback_confirmed", "true"), nil
}

// formAnswer is a form under X's content type.
func formAnswer(members ...string) answer {
	return answer{status: http.StatusOK, contentType: "text/html;charset=utf-8", body: []byte(withQuery("?", members...)[1:])}
}

// readRequest returns the request token that a consent page is about. The error is a *fault or the store's.
func (c *call) readRequest(token string) (rt store.RequestToken, app liked.App, err error) {
	if token == "" {
		return rt, app, &fault{why: "oauth_token is missing"}
	}
	rt, err = c.store.RequestToken(c.ctx, hashOf(token))
	if err == nil {
		app, err = c.store.App(c.ctx, rt.App)
	}
	switch {
	case notFound(err):
		return rt, app, &fault{why: "there is no such request token: it was used already, or it is older than " + requestTokenLife.String()}
	case err != nil:
		return rt, app, err
	}
	why := ""
	switch {
	case !c.now().Before(rt.Expires):
		why = "the request token is older than " + requestTokenLife.String()
	case rt.User != 0:
		why = "the request token was decided on already"
	case app.State == liked.AppSuspended:
		why = "the app is suspended"
	case rt.Callback != outOfBand && !slices.Contains(app.RedirectURIs, rt.Callback):
		return rt, app, &fault{app, "the callback URL is no longer registered for this app", rt.Callback, app.RedirectURIs}
	}
	if why != "" {
		return rt, app, &fault{app: app, why: why}
	}
	return rt, app, nil
}

// authorize1 shows the consent page for a request token. At /oauth/authenticate whoever has given the app as much before
// is not asked again.
func (c *call) authorize1() (answer, error) {
	query := make(params)
	if err := query.addForm(c.r.URL.RawQuery); err != nil {
		return c.faultPage(&fault{why: "the query cannot be read: " + err.Error()})
	}
	token, err := query.one("oauth_token")
	if err != nil {
		return c.faultPage(&fault{why: err.Error()})
	}
	rt, app, err := c.readRequest(token)
	if f, ok := err.(*fault); ok {
		return c.faultPage(f)
	}
	if err != nil {
		return answer{}, err
	}
	c.App = app.ID
	if c.AutoConsent != "" {
		u, err := c.store.UserByUsername(c.ctx, c.AutoConsent)
		if err != nil {
			return answer{}, err
		}
		return c.approve(token, rt, app, u)
	}
	plain := url.Values{"oauth_token": {token}}.Encode() // where to come back to: without force_login, which is then done
	if query.first("force_login") == "true" {
		name := query.first("screen_name")
		if !liked.ValidUsername(name) {
			name = ""
		}
		return c.askSignIn(http.StatusOK, web.SignIn{Return: c.here(plain), AppName: app.Name, Username: name})
	}
	u, ans, ok, err := c.signedIn(app.Name)
	if !ok {
		return ans, err
	}
	if c.Operation == "oauthAuthenticate" {
		granted, err := c.granted(u.ID, app.ID, rt.Access)
		if err != nil {
			return answer{}, err
		}
		if granted {
			return c.approve(token, rt, app, u)
		}
	}
	owner, err := c.ownerName(app)
	if err != nil {
		return answer{}, err
	}
	p := web.Consent{Frame: c.frame(), Action: c.path, Return: c.here(plain), Request: c.consentBlob(u, token), AppName: app.Name,
		AppOwner: owner, Access: rt.Access.String()}
	if rt.Callback != outOfBand {
		p.RedirectTo = destination(rt.Callback)
	}
	return answer{status: http.StatusOK, page: p}, nil
}

// granted reports whether the user gave the app as much as that before, by OAuth 1.0a.
func (c *call) granted(user liked.UserID, app liked.AppID, access liked.Access) (bool, error) {
	grants, err := c.store.GrantsOf(c.ctx, user)
	return slices.ContainsFunc(grants, func(g store.Grant) bool {
		return g.App == app && g.OAuth1 && g.Access >= access
	}), err
}

// decide1 does what the user chose on the consent page.
func (c *call) decide1() (answer, error) {
	u, token, allowed, err := c.openConsent()
	if err != nil {
		return answer{}, err
	}
	rt, app, err := c.readRequest(token)
	if f, ok := err.(*fault); ok {
		return c.faultPage(f)
	}
	if err != nil {
		return answer{}, err
	}
	c.App = app.ID
	if allowed {
		return c.approve(token, rt, app, u)
	}
	// Decided on, with a verifier that nobody knows.
	var nobodys store.Hash
	if err := c.random(nobodys[:]); err != nil {
		return answer{}, err
	}
	if err := c.store.ApproveRequestToken(c.ctx, rt.Token, u.ID, nobodys); err != nil {
		return c.decidedBefore(app, err)
	}
	c.Why = "the user refused"
	p := web.Denied{Frame: c.frame(), AppName: app.Name}
	if rt.Callback != outOfBand {
		p.Back = withQuery(rt.Callback, "denied", token)
	}
	return answer{status: http.StatusOK, page: p}, nil
}

func (c *call) decidedBefore(app liked.App, err error) (answer, error) {
	if k := liked.KindOf(err); k == liked.Conflict || k == liked.NotFound {
		return c.faultPage(&fault{app: app, why: "the request token was decided on already"})
	}
	return answer{}, err
}

// approve records the consent and hands out the verifier (RFC 5849, 2.2).
func (c *call) approve(token string, rt store.RequestToken, app liked.App, u liked.User) (answer, error) {
	p := c.pick()
	verifier := p.text(alnum, 32)
	if rt.Callback == outOfBand {
		verifier = p.text("0123456789", 7)
	}
	p.done()
	if p.err != nil {
		return answer{}, p.err
	}
	c.User = u.ID
	if err := c.store.ApproveRequestToken(c.ctx, rt.Token, u.ID, hashOf(verifier)); err != nil {
		return c.decidedBefore(app, err)
	}
	if rt.Callback == outOfBand {
		return answer{status: http.StatusOK, page: web.Pin{Frame: c.frame(), AppName: app.Name, Pin: verifier}}, nil
	}
	return answer{status: http.StatusFound, location: withQuery(rt.Callback, "oauth_token", token, "oauth_verifier", verifier)}, nil
}

// accessToken answers /oauth/access_token (RFC 5849, 2.3), which is signed with the secret of the request token.
func (c *call) accessToken() (answer, error) {
	var app liked.App
	var rt store.RequestToken
	p, err := c.signed1(false, func(h *oauth1Header) (by *caller, err error) {
		if app, err = c.consumerApp1(h); err != nil {
			return nil, err
		}
		if h.token == "" {
			return nil, noRequestToken.because("oauth_token is missing from the OAuth header")
		}
		if rt, err = c.store.RequestToken(c.ctx, hashOf(h.token)); err != nil {
			return nil, refuseAs(deadRequest, err, "the request token is unknown: it was used already, or is too old")
		}
		if rt.App != app.ID {
			return nil, deadRequest.because("the request token belongs to app %d", rt.App)
		}
		secret, err := c.unsealed(sealRequestSecret, string(rt.Token[:]), rt.SealedSecret)
		if err != nil {
			return nil, deadRequest.because("the secret of the request token is lost: %v", err)
		}
		s, err := c.signerOf(app, secret)
		return &caller{signer: s}, err
	})
	if err != nil {
		return answer{}, err
	}
	if !c.now().Before(rt.Expires) {
		return answer{}, deadRequest.because("the request token is older than %s", requestTokenLife)
	}
	if _, ok := c.Limiter.Take(c.now(), "oauthAccessToken", 0, numbered(string(rt.Token[:])), perVerifier, nil); !ok {
		return answer{}, badVerifier1.because("too many wrong verifiers for one request token")
	}
	verifier, err := p.one("oauth_verifier")
	switch {
	case err != nil || verifier == "":
		return answer{}, badVerifier1.because("oauth_verifier is missing, or there are two")
	case rt.User == 0:
		return answer{}, badVerifier1.because("the user has not consented yet")
	case !same(hashOf(verifier), rt.Verifier):
		return answer{}, badVerifier1.because("the oauth_verifier is wrong, or the user refused")
	}
	if err := c.living(rt.User, deadRequest); err != nil {
		return answer{}, err
	}
	u, err := c.store.User(c.ctx, rt.User)
	if err != nil {
		return answer{}, err
	}
	c.User = u.ID
	grant, token, secret, kept, err := c.newOAuth1Token(c.ctx, app.ID, u.ID, min(rt.Access, app.Access))
	if err != nil {
		return answer{}, err
	}
	if err := c.store.RedeemRequestToken(c.ctx, rt.Token, grant, kept); err != nil {
		return answer{}, spent(err, deadRequest)
	}
	return formAnswer("oauth_token", token, "oauth_token_secret", secret, "user_id", u.ID.String(), "screen_name", u.Username), nil
}

// invalidateToken answers /1.1/oauth/invalidate_token: the token that signs it is no more.
func (c *call) invalidateToken() (answer, error) {
	var token string
	_, err := c.signed1(true, func(h *oauth1Header) (*caller, error) {
		token = h.token
		by, err := c.signer(c.ctx, h)
		if err == nil {
			c.App, c.User = by.principal.App, by.principal.User
		}
		return by, err
	})
	if err != nil {
		return answer{}, err
	}
	if err := c.Revoke(c.ctx, token); err != nil {
		return answer{}, refuseAs(invalidToken, err, "the token was revoked just now")
	}
	return answer{status: http.StatusOK, contentType: jsonUTF8, body: object("access_token", token)}, nil
}
