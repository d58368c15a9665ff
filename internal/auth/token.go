package auth

import (
	"cmp"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"net/http"
	"strconv"
	"time"

	"liked"
	"liked/internal/store"
)

// reuseGrace is for how long a spent refresh token is only refused: a client that refreshes twice at once is no thief.
const reuseGrace = 10 * time.Second

func invalidRequest(text string) *refused {
	return &refused{status: http.StatusBadRequest, code: "invalid_request", text: text}
}

// The refusals of the token endpoint, in X's words.
var (
	badCode     = invalidRequest("Value passed for the authorization code was invalid.")
	badVerifier = invalidRequest("Value passed for the code verifier did not match the code challenge.")
	badRedirect = invalidRequest("Value passed for the redirect uri did not match the uri of the authorization code.")
	badToken    = invalidRequest("Value passed for the token was invalid.")
	badGrant    = invalidRequest("Value passed for the grant type was invalid. Grant type should be one of [authorization_code, refresh_token].")
	badClient   = &refused{status: http.StatusUnauthorized, code: "invalid_client", text: "Value passed for the client id was invalid."}
	noClient    = &refused{status: http.StatusUnauthorized, code: "unauthorized_client", text: "Missing valid authorization header"}
)

// inOAuth2 answers with an error of RFC 6749, 5.2, without the WWW-Authenticate header that it asks for with 401: X sends
// none, and some clients cannot read it.
func inOAuth2(_ *call, f *refused) answer {
	return answer{status: f.status, contentType: jsonOAuth2, body: object("error", f.code, "error_description", f.text)}
}

const jsonOAuth2 = "application/json;charset=utf-8"

// need returns the parameters, of which none may be missing.
func (p params) need(names ...string) ([]string, error) {
	values := make([]string, len(names))
	for i, name := range names {
		var err error
		if values[i], err = p.one(name); err != nil {
			return nil, invalidRequest("Duplicate parameter [" + name + "].")
		}
		if values[i] == "" {
			return nil, invalidRequest("Missing required parameter [" + name + "].")
		}
	}
	return values, nil
}

func (c *call) oauth2Params() (params, error) {
	p, err := readParams(c.r)
	if err != nil {
		return nil, invalidRequest("The request could not be read.").because("%v", err)
	}
	return p, nil
}

// client finds out which app calls (RFC 6749, 2.3.1). A confidential app must send its secret in the Authorization
// header; what else stands in the request then does not matter. A public one must send its client id as a parameter.
func (c *call) client(p params) (liked.App, error) {
	id, secret, given, readable := basic(c.r.Header)
	if given && !readable {
		return liked.App{}, noClient.because("the Authorization header is not of scheme Basic, or cannot be read")
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
	app, err := c.store.AppByClientID(c.ctx, id)
	switch {
	case notFound(err):
		return liked.App{}, badClient.because("no app has this client id%s", c.apiKeyHint(id))
	case err != nil:
		return liked.App{}, err
	}
	c.App = app.ID
	hash := hashOf(secret)
	switch {
	case app.State == liked.AppSuspended:
		return liked.App{}, badClient.because("the app is suspended")
	case app.Public && given && (secret != "" || param != id):
		return liked.App{}, noClient.because("the app is public: it has no secret, and sends client_id as a parameter instead of an Authorization header")
	case !app.Public && !given:
		return liked.App{}, noClient.because("the app is confidential: it must send \"Authorization: Basic\" with its client id and secret; a secret in the body does not count")
	case !app.Public && !same(hash, app.ClientSecretHash):
		return liked.App{}, noClient.because("the client secret is wrong")
	}
	return app, nil
}

func (c *call) apiKeyHint(id string) string {
	if _, err := c.store.AppByAPIKey(c.ctx, id); err == nil {
		return "; it is an API key, which is for OAuth 1.0a and app-only tokens"
	}
	return ""
}

// token answers POST /2/oauth2/token. The phases are the same for every grant: read, authenticate the client, judge the
// grant, and only then spend it, in one step with what it is spent on.
func (c *call) token() (answer, error) {
	p, err := c.oauth2Params()
	if err != nil {
		return answer{}, err
	}
	grantType, err := p.need("grant_type")
	if err != nil {
		return answer{}, err
	}
	redeem := map[string]func(*call, params, liked.App) (answer, error){
		"authorization_code": (*call).redeemCode, "refresh_token": (*call).refresh}[grantType[0]]
	if redeem == nil {
		return answer{}, badGrant
	}
	app, err := c.client(p)
	if err != nil {
		return answer{}, err
	}
	return redeem(c, p, app)
}

// redeemCode answers grant_type authorization_code (RFC 6749, 4.1.3).
func (c *call) redeemCode(p params, app liked.App) (answer, error) {
	in, err := p.need("code", "redirect_uri", "code_verifier")
	if err != nil {
		return answer{}, err
	}
	code, err := c.store.Code(c.ctx, hashOf(in[0]))
	switch {
	case notFound(err):
		return answer{}, badCode.because("the code is unknown")
	case err != nil:
		return answer{}, err
	case code.App != app.ID: // RFC 6749, 5.2: issued to another client
		return answer{}, badCode.because("the code belongs to app %d", code.App)
	}
	c.User = code.User
	now := c.now()
	if !code.Spent && !now.Before(code.Expires) {
		return answer{}, badCode.because("the code expired %s ago; it lives for %s", now.Sub(code.Expires).Round(time.Millisecond), codeLife)
	}
	wrong := wrongProof(code, in[1], in[2])
	switch {
	case code.Spent && wrong != nil: // whoever does not know the verifier cannot end what the code gave, either
		return answer{}, badCode.because("the code was redeemed before")
	case wrong != nil:
		return answer{}, wrong
	}
	if err := c.living(code.User, badCode); err != nil {
		return answer{}, err
	}
	grant, err := c.newGrant(c.ctx, app.ID, code.User)
	if err != nil {
		return answer{}, err
	}
	grant.Scopes = code.Scopes
	t, kept, err := c.newTokens(code.Scopes, c.Lifetime, now)
	if err != nil {
		return answer{}, err
	}
	if err := c.store.RedeemCode(c.ctx, code.Code, grant, kept, now); err != nil {
		return answer{}, spent(err, badCode)
	}
	return tokenAnswer(t), nil
}

// wrongProof compares what the client sent with what the code was made for: the redirect URI (RFC 6749, 4.1.3) and the
// proof key (RFC 7636, 4.6). A code always has a challenge.
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

// living refuses what belongs to an account that is suspended, deactivated or gone.
func (c *call) living(user liked.UserID, f *refused) error {
	u, err := c.store.User(c.ctx, user)
	switch {
	case notFound(err):
		return f.because("the user is gone")
	case err != nil:
		return err
	case u.State.Hidden():
		return f.because("the account is %s", u.State)
	}
	return nil
}

// spent turns the store's word that something is gone, or was spent by somebody else, into a refusal.
func spent(err error, f *refused) error {
	if k := liked.KindOf(err); k == liked.Conflict || k == liked.NotFound {
		return f.because("%v", err)
	}
	return err
}

// refresh answers grant_type refresh_token (RFC 6749, 6) and rotates the token (RFC 9700, 4.14.2).
func (c *call) refresh(p params, app liked.App) (answer, error) {
	in, err := p.need("refresh_token")
	if err != nil {
		return answer{}, err
	}
	key := hashOf(in[0])
	_, grant, err := c.store.RefreshToken(c.ctx, key)
	switch {
	case notFound(err):
		return answer{}, badToken.because("the refresh token is unknown or was revoked%s", looksLike(in[0]))
	case err != nil:
		return answer{}, err
	case grant.App != app.ID:
		return answer{}, badToken.because("the refresh token belongs to app %d", grant.App)
	}
	c.User = grant.User
	if err := c.living(grant.User, badToken); err != nil {
		return answer{}, err
	}
	now := c.now()
	t, kept, err := c.newTokens(grant.Scopes, c.Lifetime, now)
	if err != nil {
		return answer{}, err
	}
	if err := c.store.RotateRefreshToken(c.ctx, key, kept, now, reuseGrace); err != nil {
		return answer{}, spent(err, badToken)
	}
	return tokenAnswer(t), nil
}

// tokenAnswer is X's form of RFC 6749, 5.1, in its order.
func tokenAnswer(t UserTokens) answer {
	b := []byte(`{"token_type":"bearer","expires_in":` + strconv.FormatInt(int64(t.ExpiresIn/time.Second), 10) + `,`)
	members := []string{"access_token", t.AccessToken, "scope", t.Scopes.String()}
	if t.RefreshToken != "" {
		members = append(members, "refresh_token", t.RefreshToken)
	}
	return answer{status: http.StatusOK, contentType: jsonOAuth2, body: append(b, object(members...)[1:]...)}
}

// revoke answers POST /2/oauth2/revoke (RFC 7009). Either token of a pair ends both.
func (c *call) revoke() (answer, error) {
	p, err := c.oauth2Params()
	if err != nil {
		return answer{}, err
	}
	app, err := c.client(p)
	if err != nil {
		return answer{}, err
	}
	in, err := p.need("token")
	if err != nil {
		return answer{}, err
	}
	key := hashOf(in[0])
	_, grant, err := c.store.AccessToken(c.ctx, key)
	if notFound(err) {
		_, grant, err = c.store.RefreshToken(c.ctx, key)
	}
	switch {
	case notFound(err):
		return answer{}, badToken.because("the token is unknown or was revoked before")
	case err != nil:
		return answer{}, err
	case grant.App != app.ID: // RFC 7009, 2.1
		return answer{}, badToken.because("the token belongs to app %d", grant.App)
	}
	c.User = grant.User
	if err := c.store.RevokeGrant(c.ctx, grant.ID); err != nil {
		return answer{}, err
	}
	return answer{status: http.StatusOK, contentType: jsonOAuth2, body: []byte(`{"revoked":true}`)}, nil
}

// unverified is the one refusal of the app-only endpoints.
var unverified = &refused{status: http.StatusForbidden, code: "99", text: "Unable to verify your credentials"}

func inAppOnly(_ *call, f *refused) answer {
	if f.status >= 500 {
		return answer{status: f.status, contentType: jsonUTF8, body: errorsJSON("131", f.text)}
	}
	return answer{status: unverified.status, contentType: jsonUTF8,
		body: []byte(`{"errors":[{"code":99,"label":"authenticity_token_error","message":"Unable to verify your credentials"}]}`)}
}

// consumer finds the app whose API key and secret the Authorization header holds.
func (c *call) consumer() (liked.App, error) {
	key, secret, given, readable := basic(c.r.Header)
	if !given || !readable {
		return liked.App{}, unverified.because("there is no Authorization header of scheme Basic that can be read")
	}
	app, err := c.store.AppByAPIKey(c.ctx, key)
	if err != nil {
		return liked.App{}, refuseAs(unverified, err, "no app has this API key")
	}
	c.App = app.ID
	if app.State == liked.AppSuspended {
		return liked.App{}, unverified.because("the app is suspended")
	}
	want, err := c.apiSecret(app)
	if err != nil {
		return liked.App{}, unverified.because("%v", err)
	}
	if !same(hashOf(secret), hashOf(want)) {
		return liked.App{}, unverified.because("the API secret is wrong")
	}
	return app, nil
}

// refuseAs turns the store's NotFound into the refusal and leaves other errors as they are.
func refuseAs(f *refused, err error, why string) error {
	if notFound(err) {
		return f.because("%s", why)
	}
	return err
}

// appToken answers POST /oauth2/token (RFC 6749, 4.4): the same token until it is invalidated.
func (c *call) appToken() (answer, error) {
	p, err := readParams(c.r)
	if err != nil {
		return answer{}, unverified.because("%v", err)
	}
	if grantType, err := p.one("grant_type"); err != nil || grantType != "client_credentials" {
		return answer{}, unverified.because("grant_type is not client_credentials")
	}
	app, err := c.consumer()
	if err != nil {
		return answer{}, err
	}
	token, err := c.Bearer(c.ctx, app.ID)
	if err != nil {
		return answer{}, err
	}
	return answer{status: http.StatusOK, contentType: jsonUTF8, body: object("token_type", "bearer", "access_token", token)}, nil
}

// invalidateAppToken answers POST /oauth2/invalidate_token, which is called with the API key and secret or with an
// OAuth 1.0a signature.
func (c *call) invalidateAppToken() (answer, error) {
	app, err := c.consumerOrSigner()
	if err != nil {
		return answer{}, err
	}
	c.App = app.ID
	p, err := readParams(c.r)
	if err != nil {
		return answer{}, unverified.because("%v", err)
	}
	token, err := p.one("access_token")
	if err != nil || token == "" {
		return answer{}, unverified.because("access_token is missing, or there twice")
	}
	plain, ok := percentDecoded(token)
	if owner, err := c.store.AppByBearer(c.ctx, hashOf(plain)); !ok || err != nil || owner.ID != app.ID {
		if err != nil && !notFound(err) {
			return answer{}, err
		}
		return answer{}, unverified.because("the token is not the app's")
	}
	if err := c.revokeBearer(c.ctx, token); err != nil {
		return answer{}, refuseAs(unverified, err, "the token was invalidated just now")
	}
	return answer{status: http.StatusOK, contentType: jsonUTF8, body: object("access_token", token)}, nil
}

// consumerOrSigner finds the app by its API key and secret, or by a signature with or without a token.
func (c *call) consumerOrSigner() (app liked.App, err error) {
	if _, ok := oauthHeader(c.r.Header); !ok {
		return c.consumer()
	}
	_, err = c.signed(false, func(h *oauth1Header) (*caller, error) {
		if app, err = c.consumerApp(c.ctx, h); err != nil || h.token != "" {
			by, err2 := c.signer(c.ctx, h)
			return by, cmp.Or(err, err2)
		}
		s, err := c.signerOf(app, "")
		return &caller{signer: s}, err
	})
	if err == nil && app.State == liked.AppSuspended {
		err = refuse("the app is suspended")
	}
	if err != nil && liked.KindOf(err) == liked.Unauthorized {
		err = unverified.because("%v", err)
	}
	return app, err
}
