package oauth

import (
	"cmp"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"liked"
	"liked/internal/auth"
	"liked/internal/store"
	"liked/internal/web"
)

func invalidRequest(text string) *Refusal {
	return &Refusal{Status: http.StatusBadRequest, Code: "invalid_request", Text: text}
}

// Refusals of the token endpoint, in X's words.
var (
	badCode     = invalidRequest("Value passed for the authorization code was invalid.")
	badVerifier = invalidRequest("Value passed for the code verifier did not match the code challenge.")
	badRedirect = invalidRequest("Value passed for the redirect uri did not match the uri of the authorization code.")
	badToken    = invalidRequest("Value passed for the token was invalid.")
	badGrant    = invalidRequest("Value passed for the grant type was invalid. " +
		"Grant type should be one of [authorization_code, refresh_token].")
	badClient = &Refusal{Status: http.StatusUnauthorized, Code: "invalid_client", Text: "Value passed for the client id was invalid."}
	noClient  = &Refusal{Status: http.StatusUnauthorized, Code: "unauthorized_client", Text: "Missing valid authorization header"}
)

// inOAuth2 answers as RFC 6749, 5.2 without WWW-Authenticate: X sends none, and some clients cannot read it.
func inOAuth2(_ *Call, f *Refusal) *Answer {
	return inJSON(f.Status, jsonOAuth2, struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}{cmp.Or(f.Code, "invalid_request"), f.Text})
}

// need returns parameters that are all required.
func (f Form) need(names ...string) ([]string, error) {
	values := make([]string, len(names))
	for i, name := range names {
		var err error
		if values[i], err = f.one(name); err != nil {
			return nil, invalidRequest("Duplicate parameter [" + name + "].")
		}
		if values[i] == "" {
			return nil, invalidRequest("Missing required parameter [" + name + "].")
		}
	}
	return values, nil
}

func (c *Call) oauth2Params() (p Form, err error) {
	if p, err = readParams(c.Request); err != nil {
		err = invalidRequest("The request could not be read.").Because("%v", err)
	}
	return p, err
}

// client authenticates the app (RFC 6749, 2.3.1). A confidential one must send its secret in the Authorization header,
// whatever its parameters; a public one its client ID as a parameter.
func (c *Call) client(p Form) (liked.App, error) {
	id, secret, given, readable := basic(c.Request.Header)
	if given && !readable {
		return liked.App{}, noClient.Because("the Authorization header is not of scheme Basic, or cannot be read")
	}
	param, err := p.one("client_id")
	if err != nil {
		return liked.App{}, invalidRequest("Duplicate parameter [client_id].")
	}
	if !given {
		if id = param; id == "" {
			return liked.App{}, invalidRequest("Missing required parameter [client_id].")
		}
	}
	app, err := c.Store.AppByClientID(c.Context, id)
	if err != nil {
		return liked.App{}, refuseNotFound(badClient, err, "no app has this client id%s", c.apiKeyHint(id))
	}
	c.App = app.ID
	switch {
	case app.State == liked.AppSuspended:
		return liked.App{}, badClient.Because("the app is suspended")
	case app.Public && given && (secret != "" || param != id):
		return liked.App{}, noClient.Because("the app is public: it sends client_id as a parameter, and no Authorization header")
	case !app.Public && !given:
		return liked.App{}, noClient.Because(`the app is confidential: it must send "Authorization: Basic" with its client id and secret; ` +
			"a secret in the body does not count")
	case !app.Public && !same(auth.HashOf(secret), app.ClientSecretHash):
		return liked.App{}, noClient.Because("the client secret is wrong")
	}
	return app.App, nil
}

func (c *Call) apiKeyHint(id string) string {
	if _, err := c.Store.AppByAPIKey(c.Context, id); err == nil {
		return "; it is an API key, which is for OAuth 1.0a and app-only tokens"
	}
	return ""
}

// token answers POST /2/oauth2/token. It authenticates the client and checks the grant before spending it, in one step
// with the new tokens.
func (c *Call) token() (*Answer, error) {
	p, err := c.oauth2Params()
	if err != nil {
		return nil, err
	}
	grantType, err := p.need("grant_type")
	if err != nil {
		return nil, err
	}
	if grantType[0] != "authorization_code" && grantType[0] != "refresh_token" {
		return nil, badGrant
	}
	app, err := c.client(p)
	switch {
	case err != nil:
		return nil, err
	case grantType[0] == "refresh_token":
		return c.refresh(p, app)
	}
	return c.redeemCode(p, app)
}

// redeemCode answers grant_type authorization_code (RFC 6749, 4.1.3).
func (c *Call) redeemCode(p Form, app liked.App) (*Answer, error) {
	in, err := p.need("code", "redirect_uri", "code_verifier")
	if err != nil {
		return nil, err
	}
	c.Details.Spends(auth.HashOf(in[0]))
	code, err := c.Store.Code(c.Context, auth.HashOf(in[0]))
	if err != nil {
		return nil, refuseNotFound(badCode, err, "the code is unknown")
	}
	if code.App != app.ID { // RFC 6749, 5.2: issued to another client
		return nil, badCode.Because("the code belongs to app %d", code.App)
	}
	c.User = code.User
	now := c.Now()
	if !code.Spent && !now.Before(code.Expires) {
		return nil, badCode.Because("the code expired %s ago; it lives for %s", web.Lasts(now.Sub(code.Expires)), web.Lasts(codeLife))
	}
	wrong := wrongProof(code, in[1], in[2])
	switch {
	case code.Spent && wrong != nil: // without the verifier, reuse must not revoke the code's tokens
		return nil, badCode.Because("the code was redeemed before")
	case wrong != nil:
		return nil, wrong
	}
	if _, err := c.living(code.User, badCode); err != nil {
		return nil, err
	}
	tokens, err := c.Auth.RedeemCode(c.Context, code, c.Lifetime)
	if err != nil {
		return nil, spent(err, badCode)
	}
	return tokenAnswer(tokens)
}

// wrongProof compares the redirect URI (RFC 6749, 4.1.3) and the verifier (RFC 7636, 4.6) with the code's, which always
// has a challenge.
func wrongProof(code store.Code, redirect, verifier string) error {
	if code.RedirectURI != redirect {
		return badRedirect
	}
	got := verifier
	if code.ChallengeMethod == "S256" {
		sum := sha256.Sum256([]byte(verifier))
		got = base64.RawURLEncoding.EncodeToString(sum[:])
	}
	if code.Challenge == "" || subtle.ConstantTimeCompare([]byte(got), []byte(code.Challenge)) != 1 {
		return badVerifier
	}
	return nil
}

// living returns the user, or f if the account is suspended, deactivated or gone.
func (c *Call) living(user liked.UserID, f *Refusal) (liked.User, error) {
	u, err := c.Store.User(c.Context, user)
	if err != nil {
		return u, refuseNotFound(f, err, "the user is gone")
	}
	if u.State.Hidden() {
		return u, f.Because("the account is %s", u.State)
	}
	return u, nil
}

// isSpent reports whether the store's error says gone or spent before.
func isSpent(err error) bool { return liked.KindOf(err) == liked.Conflict || notFound(err) }

func spent(err error, f *Refusal) error {
	if isSpent(err) {
		return f.Because("%v", err)
	}
	return err
}

// refresh answers grant_type refresh_token (RFC 6749, 6) and rotates the token (RFC 9700, 4.14.2).
func (c *Call) refresh(p Form, app liked.App) (*Answer, error) {
	in, err := p.need("refresh_token")
	if err != nil {
		return nil, err
	}
	key := auth.HashOf(in[0])
	c.Details.Spends(key)
	_, grant, err := c.Store.RefreshToken(c.Context, key)
	if err != nil {
		return nil, refuseNotFound(badToken, err, "the refresh token is unknown, has expired or was revoked%s",
			auth.LooksLike(in[0], auth.ARefreshToken))
	}
	if grant.App != app.ID {
		return nil, badToken.Because("the refresh token belongs to app %d", grant.App)
	}
	c.User = grant.User
	if _, err := c.living(grant.User, badToken); err != nil {
		return nil, err
	}
	tokens, err := c.Auth.Refresh(c.Context, key, grant, c.Lifetime)
	if err != nil {
		return nil, spent(err, badToken)
	}
	return tokenAnswer(tokens)
}

// tokenBody is X's form of RFC 6749, 5.1. An app-only token has neither lifetime nor scope, an invalidated one no type.
type tokenBody struct {
	Type      string      `json:"token_type,omitempty"`
	ExpiresIn json.Number `json:"expires_in,omitempty"` // seconds
	Access    string      `json:"access_token"`
	Scope     string      `json:"scope,omitempty"`
	Refresh   string      `json:"refresh_token,omitempty"`
}

func tokenAnswer(t auth.UserTokens) (*Answer, error) {
	seconds := strconv.FormatInt(int64(t.ExpiresIn/time.Second), 10)
	return inJSON(http.StatusOK, jsonOAuth2,
		tokenBody{"bearer", json.Number(seconds), t.AccessToken, t.Scopes.String(), t.RefreshToken}), nil
}

// revoke answers POST /2/oauth2/revoke (RFC 7009). Either token of a pair revokes both; one that no longer is valid is
// revoked already (2.2).
func (c *Call) revoke() (*Answer, error) {
	p, err := c.oauth2Params()
	if err != nil {
		return nil, err
	}
	app, err := c.client(p)
	if err != nil {
		return nil, err
	}
	names := []string{"token", "token_type_hint"}
	if !c.NeedHint {
		names = names[:1]
	}
	in, err := p.need(names...)
	if err != nil {
		return nil, err
	}
	grant, err := c.Auth.GrantOf(c.Context, in[0])
	switch {
	case notFound(err) && auth.IsUserToken(in[0]):
		c.Why = "the token was revoked or spent before, or never issued"
		return revoked()
	case err != nil:
		return nil, refuseNotFound(badToken, err, "the token is none of OAuth 2.0%s", auth.LooksLike(in[0], ""))
	case grant.OAuth1 || grant.App != app.ID: // RFC 7009, 2.1
		return nil, badToken.Because("the token belongs to app %d, or is one of OAuth 1.0a", grant.App)
	}
	c.User = grant.User
	if err := c.Store.RevokeGrant(c.Context, grant.ID); err != nil {
		return nil, err
	}
	return revoked()
}

func revoked() (*Answer, error) {
	return inJSON(http.StatusOK, jsonOAuth2, map[string]bool{"revoked": true}), nil
}

// unverified is the app-only endpoints' answer to every error below 500.
var unverified = &Refusal{Status: http.StatusForbidden, Text: "Unable to verify your credentials"}

func inAppOnly(_ *Call, f *Refusal) *Answer {
	if f.Status >= 500 {
		return oldErrors(f.Status, oldError{Code: "131", Message: f.Text})
	}
	return oldErrors(unverified.Status, oldError{"99", "authenticity_token_error", unverified.Text})
}

// consumer returns the app of the API key and secret in the Authorization header.
func (c *Call) consumer() (liked.App, error) {
	key, secret, given, readable := basic(c.Request.Header)
	if !given || !readable {
		return liked.App{}, unverified.Because("there is no Authorization header of scheme Basic that can be read")
	}
	app, err := c.Store.AppByAPIKey(c.Context, key)
	if err != nil {
		return liked.App{}, refuseNotFound(unverified, err, "no app has this API key")
	}
	c.App = app.ID
	want, err := c.Auth.APISecret(c.Context, app.ID)
	if err == nil && !same(auth.HashOf(secret), auth.HashOf(want)) {
		err = unverified.Because("the API secret is wrong")
	}
	return app.App, err
}

// appToken answers POST /oauth2/token (RFC 6749, 4.4): the same token until it is invalidated.
func (c *Call) appToken() (*Answer, error) {
	p, err := readParams(c.Request)
	if err != nil {
		return nil, unverified.Because("%v", err)
	}
	if grantType, err := p.one("grant_type"); err != nil || grantType != "client_credentials" {
		return nil, unverified.Because("grant_type is not client_credentials")
	}
	app, err := c.consumer()
	if err != nil {
		return nil, err
	}
	token, err := c.Auth.Bearer(c.Context, app.ID)
	if err != nil {
		return nil, err
	}
	return inJSON(http.StatusOK, jsonUTF8, tokenBody{Type: "bearer", Access: token}), nil
}

// invalidateAppToken answers POST /oauth2/invalidate_token, with the API key and secret or an OAuth 1.0a signature.
func (c *Call) invalidateAppToken() (*Answer, error) {
	app, err := c.consumerOrSigner()
	if err != nil {
		return nil, err
	}
	c.App = app.ID
	p, err := readParams(c.Request)
	if err != nil {
		return nil, unverified.Because("%v", err)
	}
	token, err := p.one("access_token")
	if err != nil || token == "" {
		return nil, unverified.Because("access_token is missing, or there twice")
	}
	if err := c.Auth.RevokeBearer(c.Context, app.ID, token); err != nil {
		return nil, refuseNotFound(unverified, err, "the token is not the app's, or was invalidated before")
	}
	if !strings.Contains(token, "%") && auth.IsForm(c.Request.Header.Get("Content-Type")) {
		token = url.QueryEscape(token) // as it was written: the form's encoding was that of the token
	}
	return inJSON(http.StatusOK, jsonUTF8, tokenBody{Access: token}), nil
}

// consumerOrSigner returns the app of the API key and secret, or of a signature with or without a token.
func (c *Call) consumerOrSigner() (liked.App, error) {
	scheme, _, err := auth.Authorization(c.Request.Header)
	if err != nil || !strings.EqualFold(scheme, "OAuth") {
		return c.consumer()
	}
	signed, err := c.signed()
	return signed.App, err
}

// same compares hashes of secrets in constant time.
func same(a, b store.Hash) bool { return subtle.ConstantTimeCompare(a[:], b[:]) == 1 }
