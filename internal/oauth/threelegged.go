package oauth

import (
	"cmp"
	"encoding/json"
	"encoding/xml"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"liked"
	"liked/internal/auth"
	"liked/internal/store"
	"liked/internal/web"
)

// OAuth 1.0a in three legs (RFC 5849, 2): request token, consent, access token.

const (
	requestTokenLife = 15 * time.Minute
	outOfBand        = "oob" // the callback of an app without one: the user copies a PIN
)

var (
	perAppRequests = []liked.RateRule{{App: true, Window: requestTokenLife, Max: 5000}} // bounds how many are pending
	perVerifier    = []liked.RateRule{{Window: requestTokenLife, Max: 10}}              // guesses at a PIN
)

// Refusals of the OAuth 1.0a endpoints. Those without a code are plain text.
var (
	notAuthenticated = &Refusal{Status: 401, Code: "32", Text: "Could not authenticate you."}
	invalidToken     = &Refusal{Status: 401, Code: "89", Text: "Invalid or expired token."}
	outOfBounds      = &Refusal{Status: 401, Code: "135", Text: "Timestamp out of bounds."}
	badData          = &Refusal{Status: 400, Code: "215", Text: "Bad Authentication data."}
	badCallback      = &Refusal{Status: 403, Code: "415", Text: "Callback URL not approved for this client application. " +
		"Approved callback URLs can be adjusted in your application settings"}
	suspendedApp = &Refusal{Status: 403, Code: "416", Text: "Invalid / suspended application"}
	desktopApp   = &Refusal{Status: 401, Code: "417", Text: "Desktop applications only support the oauth_callback value 'oob'"}
	tooMany      = &Refusal{Status: 429, Code: "88", Text: "Rate limit exceeded"}

	badVerifier1   = &Refusal{Status: 401, Text: "Error processing your OAuth request: Invalid oauth_verifier parameter"}
	noRequestToken = &Refusal{Status: 401, Text: "Request token missing"}
	deadRequest    = &Refusal{Status: 401, Text: "Reverse auth credentials are invalid"}
)

// inOAuth1 answers in JSON if the client accepts it, else in XML, and in plain text where X does.
func inOAuth1(c *Call, f *Refusal) *Answer {
	code := f.Code
	switch {
	case f.Status == http.StatusServiceUnavailable:
		code = "130"
	case f.Status >= 500:
		code = "131"
	case code == "":
		return &Answer{status: f.Status, contentType: "text/plain;charset=utf-8", body: []byte(f.Text)}
	}
	if strings.Contains(c.Request.Header.Get("Accept"), "application/json") {
		return oldErrors(f.Status, oldError{Code: json.Number(code), Message: f.Text})
	}
	var text strings.Builder
	_ = xml.EscapeText(&text, []byte(f.Text)) // never fails
	body := `<?xml version='1.0' encoding='UTF-8'?><errors><error code="` + code + `">` +
		strings.ReplaceAll(text.String(), "&#39;", "'") + `</error></errors>`
	return &Answer{status: f.Status, contentType: "application/xml;charset=utf-8", body: []byte(body)}
}

// oldError is X's old error format.
type oldError struct {
	Code    json.Number `json:"code"`
	Label   string      `json:"label,omitempty"`
	Message string      `json:"message"`
}

func oldErrors(status int, e oldError) *Answer {
	return inJSON(status, jsonUTF8, map[string][]oldError{"errors": {e}})
}

// signed returns the app and all that was signed: clients put a callback into the header, query or body.
func (c *Call) signed() (auth.Signed, error) {
	signed, err := c.Auth.Signed(c.Request)
	c.App, c.User = signed.App.ID, signed.User
	return signed, oauth1Refusal(err)
}

// oauth1Refusal is X's answer to a request that package auth refused.
func oauth1Refusal(err error) error {
	if err == nil || liked.KindOf(err) != liked.Unauthorized {
		return err
	}
	refusal := notAuthenticated
	var coded interface{ Code() string }
	if errors.As(err, &coded) {
		for _, f := range []*Refusal{invalidToken, outOfBounds, badData, suspendedApp} {
			if f.Code == coded.Code() {
				refusal = f
			}
		}
	}
	return refusal.Because("%v", err)
}

// requestToken answers /oauth/request_token (RFC 5849, 2.1). Some apps sign with an access token of their developer.
func (c *Call) requestToken() (*Answer, error) {
	signed, err := c.signed()
	if err != nil {
		return nil, err
	}
	app, p := signed.App, Form(signed.Params)
	callback, err := p.one("oauth_callback")
	switch {
	case err != nil:
		return nil, badData.Because("%v", err)
	case callback == "":
		return nil, badData.Because("oauth_callback is missing: it is a registered callback URL, or oob for a PIN")
	case callback == outOfBand:
	case len(app.RedirectURIs) == 0:
		return nil, desktopApp.Because("the app has no callback URL registered, so that oauth_callback can only be oob")
	case !registered(app, callback):
		return nil, badCallback.Because("oauth_callback is not one of the app's callback URLs; it must be the same to the letter, " +
			"but for parameters added to its query, none of which is oauth_token, oauth_verifier or denied")
	}
	access := app.Access
	switch p.First("x_auth_access_type") {
	case "read":
		access = liked.ReadOnly
	case "write":
		access = min(access, liked.ReadWrite)
	}
	_, ok, err := c.Store.Take(c.Context, c.Now(), "oauthRequestToken", app.ID, 0, perAppRequests, nil)
	switch {
	case err != nil:
		return nil, err
	case !ok:
		return nil, tooMany.Because("the app asked for %d request tokens within %s", perAppRequests[0].Max, web.Lasts(perAppRequests[0].Window))
	}
	token, secret, err := c.Auth.IssueRequestToken(c.Context, store.RequestToken{App: app.ID, Access: access, Callback: callback,
		Expires: c.Now().Add(requestTokenLife)})
	if err != nil {
		return nil, err
	}
	return formAnswer("oauth_token", token, "oauth_token_secret", secret, "oauth_callback_confirmed", "true")
}

// registered reports whether a callback is one of the app's, or one with parameters added to its query, as X allows. They
// must not be taken for those of our answer.
func registered(app liked.App, callback string) bool {
	return slices.ContainsFunc(app.RedirectURIs, func(uri string) bool {
		more, ok := strings.CutPrefix(callback, uri)
		if !ok || more == "" {
			return ok
		}
		if !strings.Contains(uri, "?") {
			ok = strings.HasPrefix(more, "?")
		} else if !strings.HasSuffix(uri, "?") {
			ok = strings.HasPrefix(more, "&")
		}
		return ok && auth.CheckRedirect(callback, "oauth_token", "oauth_verifier", "denied") == nil
	})
}

// formAnswer has X's content type for a form.
func formAnswer(members ...string) (*Answer, error) {
	return &Answer{status: http.StatusOK, contentType: "text/html;charset=utf-8", body: []byte(withQuery("?", members...)[1:])}, nil
}

// readRequest returns an undecided request token and its app. The error is a *linkFault or the store's.
func (c *Call) readRequest(token string) (rt store.RequestToken, app liked.App, err error) {
	if token == "" {
		return rt, app, &linkFault{why: "oauth_token is missing"}
	}
	rt, err = c.Store.RequestToken(c.Context, auth.HashOf(token))
	if err == nil {
		var stored store.App
		stored, err = c.Store.App(c.Context, rt.App)
		app = stored.App
	}
	if notFound(err) {
		err = &linkFault{why: "there is no such request token: it was used already, or it is older than " + web.Lasts(requestTokenLife)}
	}
	if err != nil {
		return rt, app, err
	}
	c.App = app.ID
	f := &linkFault{app: app}
	switch {
	case !c.Now().Before(rt.Expires):
		f.why = "the request token is older than " + web.Lasts(requestTokenLife)
	case rt.User != 0:
		f.why = decidedBefore
	case app.State == liked.AppSuspended:
		f.why = "the app is suspended"
	case rt.Callback != outOfBand && !registered(app, rt.Callback):
		f.why, f.sent, f.registered = "the callback URL is no longer registered for this app", rt.Callback, app.RedirectURIs
	default:
		return rt, app, nil
	}
	return rt, app, f
}

const decidedBefore = "the request token was decided on already"

// authorize1 shows the consent page for a request token. /oauth/authenticate skips it if the user granted as much before.
func (c *Call) authorize1() (*Answer, error) {
	query := make(Form)
	if err := query.add(c.Request.URL.RawQuery); err != nil {
		return nil, &linkFault{why: "the query cannot be read: " + err.Error()}
	}
	token, err := query.one("oauth_token")
	if err != nil {
		return nil, &linkFault{why: err.Error()}
	}
	rt, app, err := c.readRequest(token)
	if err != nil {
		return nil, err
	}
	plain := url.Values{"oauth_token": {token}}.Encode() // to return to; force_login is done by then
	if c.AutoConsent == "" && query.First("force_login") == "true" {
		name := query.First("screen_name")
		if !liked.ValidUsername(name) {
			name = ""
		}
		return c.askSignIn(http.StatusOK, web.SignIn{Return: c.here(plain), AppName: app.Name, Username: name})
	}
	u, approved, err := c.consenter(app)
	if err == nil && !approved && c.Operation == "oauthAuthenticate" {
		approved, err = c.granted(u.ID, app.ID, rt.Access)
	}
	switch {
	case err != nil:
		return nil, err
	case approved:
		return c.approve(token, c.newVerifier(rt), rt, app, u)
	}
	asked := token
	if rt.Callback == outOfBand {
		asked += " " + c.newVerifier(rt) // so that the page with the PIN can be loaded anew
	}
	return c.askConsent(app, asked, plain, rt.Callback, web.Consent{Access: rt.Access.String()})
}

// granted reports whether the user granted the app at least this access by OAuth 1.0a.
func (c *Call) granted(user liked.UserID, app liked.AppID, access liked.Access) (bool, error) {
	grants, err := c.Store.GrantsOf(c.Context, user)
	return slices.ContainsFunc(grants, func(g store.Grant) bool {
		return g.App == app && g.OAuth1 && g.Access >= access
	}), err
}

func (c *Call) decide1() (*Answer, error) {
	u, asked, allowed, err := c.openConsent()
	if err != nil {
		return nil, err
	}
	token, pin, _ := strings.Cut(asked, " ")
	rt, app, err := c.readRequest(token)
	switch {
	case allowed && pin != "" && rt.User == u.ID && same(auth.HashOf(pin), rt.Verifier): // the same decision once more
		return c.showPIN(app, pin)
	case err != nil:
		return nil, err
	case allowed:
		return c.approve(token, cmp.Or(pin, c.newVerifier(rt)), rt, app, u)
	}
	if err := c.decideRequest(rt, app, u, c.newVerifier(rt)); err != nil { // nobody gets to know the verifier
		return nil, err
	}
	c.Why = "the user refused"
	p := web.Denied{Frame: c.Frame(), AppName: app.Name}
	if rt.Callback != outOfBand {
		p.Back = withQuery(rt.Callback, "denied", token)
	}
	return Page(http.StatusOK, p)
}

// newVerifier makes what spends the token once the user has agreed.
func (c *Call) newVerifier(rt store.RequestToken) string {
	if rt.Callback == outOfBand { // a PIN
		return c.Auth.RandomText(auth.Digits, 7)
	}
	return c.Auth.RandomText(auth.Alphanumeric, 32)
}

// decideRequest records the user's decision.
func (c *Call) decideRequest(rt store.RequestToken, app liked.App, u liked.User, verifier string) error {
	err := c.Store.ApproveRequestToken(c.Context, rt.Token, u.ID, auth.HashOf(verifier))
	if isSpent(err) {
		err = &linkFault{app: app, why: decidedBefore}
	}
	return err
}

// approve records the consent and hands out the verifier (RFC 5849, 2.2).
func (c *Call) approve(token, verifier string, rt store.RequestToken, app liked.App, u liked.User) (*Answer, error) {
	c.User = u.ID
	err := c.decideRequest(rt, app, u, verifier)
	switch {
	case err != nil:
		return nil, err
	case rt.Callback == outOfBand:
		return c.showPIN(app, verifier)
	}
	return redirect(http.StatusFound, withQuery(rt.Callback, "oauth_token", token, "oauth_verifier", verifier))
}

func (c *Call) showPIN(app liked.App, pin string) (*Answer, error) {
	return Page(http.StatusOK, web.Pin{Frame: c.Frame(), AppName: app.Name, Pin: pin})
}

// accessToken answers /oauth/access_token (RFC 5849, 2.3). As on X, the request token and its verifier are enough: clients
// sign with its secret, without it, or not at all.
func (c *Call) accessToken() (*Answer, error) {
	params, err := c.Auth.Unsigned(c.Request)
	if err != nil {
		return nil, oauth1Refusal(err)
	}
	p := Form(params)
	requestToken, err := p.one("oauth_token")
	if err != nil || requestToken == "" {
		return nil, noRequestToken.Because("oauth_token is missing, or there are two")
	}
	c.Details.Spends(auth.HashOf(requestToken))
	rt, err := c.Store.RequestToken(c.Context, auth.HashOf(requestToken))
	if err != nil {
		return nil, refuseNotFound(deadRequest, err, "the request token is unknown: it was used already, or is too old")
	}
	app, err := c.Store.App(c.Context, rt.App)
	if err != nil {
		return nil, refuseNotFound(deadRequest, err, "the app of the request token is gone")
	}
	key, err := p.one("oauth_consumer_key")
	if err != nil {
		return nil, badData.Because("%v", err)
	}
	if key != "" {
		app, err = c.Auth.Consumer(c.Context, key)
	}
	switch {
	case err != nil:
		return nil, oauth1Refusal(err)
	case app.ID != rt.App:
		return nil, deadRequest.Because("the request token belongs to app %d", rt.App)
	case app.State == liked.AppSuspended:
		return nil, suspendedApp
	}
	c.App = app.ID
	if !c.Now().Before(rt.Expires) {
		return nil, deadRequest.Because("the request token is older than %s", web.Lasts(requestTokenLife))
	}
	_, ok, err := c.Store.Take(c.Context, c.Now(), "oauthAccessToken", 0, numbered(string(rt.Token[:])), perVerifier, nil)
	switch {
	case err != nil:
		return nil, err
	case !ok:
		return nil, badVerifier1.Because("too many wrong verifiers for one request token")
	}
	verifier, err := p.one("oauth_verifier")
	switch {
	case err != nil || verifier == "":
		return nil, badVerifier1.Because("oauth_verifier is missing, or there are two")
	case rt.User == 0:
		return nil, badVerifier1.Because("the user has not consented yet")
	case !same(auth.HashOf(verifier), rt.Verifier):
		return nil, badVerifier1.Because("the oauth_verifier is wrong, or the user refused")
	}
	u, err := c.living(rt.User, deadRequest)
	if err != nil {
		return nil, err
	}
	c.User = u.ID
	token, secret, err := c.Auth.RedeemRequestToken(c.Context, rt, min(rt.Access, app.Access))
	if err != nil {
		return nil, spent(err, deadRequest)
	}
	return formAnswer("oauth_token", token, "oauth_token_secret", secret, "user_id", u.ID.String(), "screen_name", u.Username)
}

// invalidateToken answers /1.1/oauth/invalidate_token, which revokes the signing token.
func (c *Call) invalidateToken() (*Answer, error) {
	signed, err := c.signed()
	if err != nil {
		return nil, err
	}
	token := Form(signed.Params).First("oauth_token")
	if token == "" {
		return nil, badData.Because("oauth_token is missing")
	}
	if err := c.Auth.Revoke(c.Context, token); err != nil {
		return nil, refuseNotFound(invalidToken, err, "the token was revoked just now")
	}
	return inJSON(http.StatusOK, jsonUTF8, tokenBody{Access: token}), nil
}
