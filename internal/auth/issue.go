package auth

import (
	"cmp"
	"context"
	"crypto/cipher"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"liked"
	"liked/internal/store"
)

// DefaultLifetime is how long an OAuth 2.0 access token is good for, as on X.
const DefaultLifetime = 2 * time.Hour

// Store keeps credentials, and the users whose they are.
type Store interface {
	store.Grants
	User(ctx context.Context, id liked.UserID) (liked.User, error)
	UserByUsername(ctx context.Context, username string) (liked.User, error)
	NewID(at time.Time) int64
}

// Issuer makes credentials, and ends them. It is safe for concurrent use.
type Issuer struct {
	store     Store
	now       func() time.Time
	seal      cipher.AEAD
	newID     func(time.Time) int64
	passwords passwords

	randMu sync.Mutex
	rand   io.Reader
}

// NewIssuer returns an Issuer that seals secrets with the key, for HMAC needs them in the clear. It reads rand under a lock, so
// that rand need not be safe for concurrent use.
func NewIssuer(st Store, key [32]byte, now func() time.Time, rand io.Reader) (*Issuer, error) {
	seal, err := newSeal(key)
	return &Issuer{store: st, newID: st.NewID, now: now, seal: seal, rand: rand, passwords: newPasswords()}, err
}

// With returns an Issuer on the same store which takes its secrets and its time from elsewhere: it makes the same credentials
// as another with the same bytes, time and calls.
func (a *Issuer) With(rand io.Reader, now func() time.Time) *Issuer {
	return &Issuer{store: a.store, newID: new(liked.Snowflakes).Next, now: now, seal: a.seal, rand: rand, passwords: a.passwords}
}

// AppSecrets is what an app is told once.
type AppSecrets struct {
	ClientSecret string // empty for a public app
	APISecret    string
	Bearer       string // app-only token, percent-encoded as X sends it
}

// UserTokens is what a token response carries.
type UserTokens struct {
	AccessToken  string
	RefreshToken string // only with offline.access
	Scopes       liked.Scope
	ExpiresIn    time.Duration
}

// NewApp registers an app. It fills in ID and CreatedAt if they are zero, and makes its credentials.
// Invalid names every mistake in name and redirect URIs at once; Conflict means that the ID is taken.
func (a *Issuer) NewApp(ctx context.Context, spec liked.App) (liked.App, AppSecrets, error) {
	app := store.App{App: spec}
	if err := CheckApp(spec); err != nil {
		return liked.App{}, AppSecrets{}, err
	}
	if app.CreatedAt.IsZero() {
		app.CreatedAt = a.now()
	}
	app.RedirectURIs = slices.Clone(app.RedirectURIs)
	given := app.ID != 0
	for try := 1; ; try++ {
		if !given {
			app.ID = liked.AppID(a.newID(a.now()))
		}
		d := draw{a: a}
		app.ClientID = base64.RawURLEncoding.EncodeToString([]byte(d.text(urlSafe, 20) + ":1:ci"))
		secrets, err := a.newSecrets(&app, !app.Public, true, true)
		if err = cmp.Or(d.err, err); err != nil {
			return liked.App{}, AppSecrets{}, err
		}
		err = a.store.AddApp(ctx, app)
		if err == nil {
			return app.App, secrets, nil
		}
		// Another process may have made the same id in the same millisecond.
		if given || try == 10 || liked.KindOf(err) != liked.Conflict {
			return liked.App{}, AppSecrets{}, err
		}
	}
}

// ExplorerApp is the id of the app with which people sign in from the API explorer.
const ExplorerApp liked.AppID = 1

// UseExplorerApp makes the explorer's app, or gives the one that there is these redirect URIs, and returns it. What the
// operator changed about it otherwise stays.
func (a *Issuer) UseExplorerApp(ctx context.Context, redirectURIs []string) (liked.App, error) {
	stored, err := a.store.App(ctx, ExplorerApp)
	app := stored.App
	switch {
	case notFound(err):
		app, _, err = a.NewApp(ctx, liked.App{ID: ExplorerApp, Name: "API explorer", Public: true, Access: liked.ReadWrite,
			RedirectURIs: redirectURIs})
	case err == nil && !slices.Equal(app.RedirectURIs, redirectURIs):
		err = a.store.UpdateApp(ctx, ExplorerApp, func(app *store.App) error {
			app.RedirectURIs = redirectURIs
			return CheckApp(app.App)
		})
	}
	return app, err
}

// forbiddenSchemes are those that X does not take for redirect URIs.
var forbiddenSchemes = strings.Fields(`vbscript javascript vbs data mocha keyword livescript ftp file gopher acrobat callto
	daap itpc itms firefoxurl hcp ldap mailto mmst mmsu msbd rtsp mso-offdap snews news nntp outlook stssync rlogin
	telnet tn3270 shell sip`)

const (
	maxRedirects = 10
	maxRedirect  = 2048 // bytes
)

// CheckApp returns Invalid with all that is wrong about what a person chose: the name and the redirect URIs.
func CheckApp(app liked.App) error {
	var wrong []error
	n := utf8.RuneCountInString(app.Name)
	if n == 0 || n > 100 || !utf8.ValidString(app.Name) || strings.ContainsFunc(app.Name, unicode.IsControl) {
		wrong = append(wrong, fmt.Errorf("the name has %d characters, not 1 to 100 of printable UTF-8", n))
	}
	if n := len(app.RedirectURIs); n > maxRedirects {
		wrong = append(wrong, fmt.Errorf("there are %d redirect URIs, more than %d", n, maxRedirects))
	}
	for _, s := range app.RedirectURIs[:min(len(app.RedirectURIs), maxRedirects)] {
		if err := checkRedirect(s); err != nil {
			wrong = append(wrong, err)
		}
	}
	if len(wrong) == 0 {
		return nil
	}
	return liked.Errorf(liked.Invalid, "the app is not valid: %s", strings.ReplaceAll(errors.Join(wrong...).Error(), "\n", "; "))
}

// checkRedirect says what is wrong with a redirect URI. What is right can stand in a Location header as it is.
func checkRedirect(s string) error {
	if len(s) > maxRedirect {
		return fmt.Errorf("redirect URI %.40q... has %d bytes, more than %d", s, len(s), maxRedirect)
	}
	u, err := url.Parse(s)
	switch {
	case err != nil || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune("\"<>\\^`{|}", r) }):
		return fmt.Errorf("redirect URI %q is not a URI", s) // RFC 3986, 2
	case !u.IsAbs():
		return fmt.Errorf("redirect URI %q has no scheme", s)
	case strings.Contains(s, "#"):
		return fmt.Errorf("redirect URI %q has a fragment", s) // RFC 6749, 3.1.2
	case slices.Contains(forbiddenSchemes, u.Scheme):
		return fmt.Errorf("redirect URI %q has scheme %s, which is not allowed", s, u.Scheme)
	case u.User != nil:
		return fmt.Errorf("redirect URI %q has a user name before its host, which deceives people", s)
	case (u.Scheme == "http" || u.Scheme == "https") && u.Hostname() == "":
		return fmt.Errorf("redirect URI %q has no host", s)
	}
	return nil
}

// newSecrets gives the app new credentials, of the kinds asked for. The app has its client id.
func (a *Issuer) newSecrets(app *store.App, clientSecret, apiKeys, bearer bool) (s AppSecrets, err error) {
	d := draw{a: a}
	if clientSecret {
		s.ClientSecret = d.text(urlSafe, 50)
		app.ClientSecretHash = HashOf(s.ClientSecret)
	}
	if apiKeys {
		app.APIKey, s.APISecret = d.text(Alphanumeric, 25), d.text(Alphanumeric, 50)
	}
	if bearer {
		plain := d.appBearer()
		app.BearerHash, s.Bearer = HashOf(plain), url.QueryEscape(plain)
	}
	if d.err == nil && apiKeys {
		app.SealedAPISecret, d.err = a.Seal(sealAPISecret, app.APIKey, s.APISecret)
	}
	if d.err == nil && bearer {
		app.SealedBearer, d.err = a.Seal(sealBearer, app.ClientID, s.Bearer)
	}
	if d.err != nil {
		return AppSecrets{}, d.err
	}
	return s, nil
}

// What Regenerate replaces.
const (
	ClientSecret = "client_secret"
	APIKeys      = "api_keys"
	BearerToken  = "bearer_token"
)

// Regenerate gives the app a new client secret, API key and secret, or app-only token, and returns the app as it is then.
// What was there before is refused from now on; tokens of users stay. NotFound if there is no such app of the owner, Invalid for
// the client secret of a public app.
func (a *Issuer) Regenerate(ctx context.Context, owner liked.UserID, id liked.AppID, what string) (app liked.App, s AppSecrets, err error) {
	err = a.store.UpdateApp(ctx, id, func(stored *store.App) (err error) {
		if stored.Owner != owner {
			return liked.Errorf(liked.NotFound, "no such app %d", id)
		}
		if what != APIKeys && what != BearerToken && (what != ClientSecret || stored.Public) {
			return liked.Errorf(liked.Invalid, "an app of this type has no %.20q", what)
		}
		s, err = a.newSecrets(stored, what == ClientSecret, what == APIKeys, what == BearerToken)
		app = stored.App
		return err
	})
	return app, s, err
}

// APISecret returns the app's API secret, its consumer secret in the words of OAuth 1.0a. NotFound if there is no such
// app, Forbidden if it is suspended.
func (a *Issuer) APISecret(ctx context.Context, id liked.AppID) (string, error) {
	app, err := a.store.App(ctx, id)
	if err != nil {
		return "", err
	}
	if app.State == liked.AppSuspended {
		return "", liked.Errorf(liked.Forbidden, "app %v is suspended", id)
	}
	return a.apiSecret(app)
}

// Bearer returns the app's app-only token, percent-encoded as X sends it: the same each time until it is revoked, and then a
// new one; a new one, too, in the place of one that was sealed with another key. NotFound if there is no such app.
func (a *Issuer) Bearer(ctx context.Context, id liked.AppID) (string, error) {
	for {
		app, err := a.store.App(ctx, id)
		if err != nil {
			return "", err
		}
		before := app.BearerHash
		if before != (store.Hash{}) {
			if token, err := a.Unseal(sealBearer, app.ClientID, app.SealedBearer); err == nil {
				return token, nil
			}
		}
		err = a.store.UpdateApp(ctx, id, func(app *store.App) (err error) {
			if app.BearerHash == before { // else another call made one meanwhile
				_, err = a.newSecrets(app, false, false, true)
			}
			return err
		})
		if err != nil {
			return "", err
		}
	}
}

// IssueTokens makes a grant of the user to the app and its first OAuth 2.0 tokens, as if the user had consented now.
// lifetime 0 means DefaultLifetime. NotFound if there is no such app or user.
func (a *Issuer) IssueTokens(
	ctx context.Context, app liked.AppID, user liked.UserID, scopes liked.Scope, lifetime time.Duration,
) (UserTokens, error) {
	if lifetime == 0 {
		lifetime = DefaultLifetime
	}
	if lifetime < 0 {
		return UserTokens{}, liked.Errorf(liked.Invalid, "a lifetime of %s is negative", lifetime)
	}
	if !liked.AllScopes.Has(scopes) {
		return UserTokens{}, liked.Errorf(liked.Invalid, "there are unknown scopes in %#x", uint32(scopes))
	}
	return a.issueTokens(ctx, store.Grant{App: app, User: user, Scopes: scopes}, lifetime, func(g store.Grant, kept store.Tokens) error {
		return a.store.AddGrant(ctx, g, kept)
	})
}

// IssueCode makes an authorization code of what code says, and keeps its hash.
func (a *Issuer) IssueCode(ctx context.Context, code store.Code) (string, error) {
	d := draw{a: a}
	text := d.timed("ac", a.now())
	if d.err != nil {
		return "", d.err
	}
	code.Code = HashOf(text)
	return text, a.store.AddCode(ctx, code)
}

// RedeemCode spends an authorization code on the tokens that it stands for, in one step. Conflict if it was spent before, in
// which case what it gave is revoked; NotFound if it, the app or the user is gone.
func (a *Issuer) RedeemCode(ctx context.Context, code store.Code, lifetime time.Duration) (UserTokens, error) {
	grant := store.Grant{App: code.App, User: code.User, Scopes: code.Scopes}
	return a.issueTokens(ctx, grant, lifetime, func(g store.Grant, kept store.Tokens) error {
		return a.store.RedeemCode(ctx, code.Code, g, kept, g.CreatedAt)
	})
}

// issueTokens completes the grant, makes its first OAuth 2.0 tokens, and has both kept.
func (a *Issuer) issueTokens(
	ctx context.Context, g store.Grant, lifetime time.Duration, keep func(store.Grant, store.Tokens) error,
) (UserTokens, error) {
	if err := a.newGrant(ctx, &g); err != nil {
		return UserTokens{}, err
	}
	tokens, kept, err := a.newTokens(g.Scopes, lifetime, g.CreatedAt)
	if err == nil {
		err = keep(g, kept)
	}
	if err != nil {
		return UserTokens{}, err
	}
	return tokens, nil
}

// reuseGrace is for how long a spent refresh token is only refused: a client that refreshes twice at once is no thief.
const reuseGrace = 10 * time.Second

// Refresh spends a refresh token of the grant on new tokens, in one step. Conflict if it was spent before, NotFound if it is
// gone.
func (a *Issuer) Refresh(ctx context.Context, token store.Hash, grant store.Grant, lifetime time.Duration) (UserTokens, error) {
	now := a.now()
	tokens, kept, err := a.newTokens(grant.Scopes, lifetime, now)
	if err != nil {
		return UserTokens{}, err
	}
	return tokens, a.store.RotateRefreshToken(ctx, token, kept, now, reuseGrace)
}

// newGrant completes a grant of an app and a user, which must exist.
func (a *Issuer) newGrant(ctx context.Context, g *store.Grant) error {
	if _, err := a.store.App(ctx, g.App); err != nil {
		return err
	}
	if _, err := a.store.User(ctx, g.User); err != nil {
		return err
	}
	g.CreatedAt = a.now()
	return a.random(g.ID[:])
}

// newTokens makes OAuth 2.0 tokens: what the client is told, and what is kept.
func (a *Issuer) newTokens(scopes liked.Scope, lifetime time.Duration, at time.Time) (UserTokens, store.Tokens, error) {
	d := draw{a: a}
	t := UserTokens{AccessToken: d.timed("at", at), Scopes: scopes, ExpiresIn: lifetime}
	kept := store.Tokens{Access: store.AccessToken{Token: HashOf(t.AccessToken), Expires: at.Add(lifetime)}}
	if scopes.Has(liked.OfflineAccess) {
		t.RefreshToken = d.timed("rt", at)
		kept.Refresh = &store.RefreshToken{Token: HashOf(t.RefreshToken)}
	}
	return t, kept, d.err
}

// IssueOAuth1Token makes a grant of the user to the app and its OAuth 1.0a token, which has the permission level given
// for as long as it lives. NotFound if there is no such app or user.
func (a *Issuer) IssueOAuth1Token(
	ctx context.Context, app liked.AppID, user liked.UserID, access liked.Access,
) (token, secret string, err error) {
	if access > liked.ReadWriteDirectMessages {
		return "", "", liked.Errorf(liked.Invalid, "permission level %d is unknown", access)
	}
	grant := store.Grant{App: app, User: user, Access: access}
	return a.issueOAuth1(ctx, grant, func(g store.Grant, kept store.OAuth1Token) error { return a.store.AddOAuth1Token(ctx, g, kept) })
}

// IssueRequestToken makes an OAuth 1.0a request token of what rt says, and keeps its hash and its secret, sealed.
func (a *Issuer) IssueRequestToken(ctx context.Context, rt store.RequestToken) (token, secret string, err error) {
	d := draw{a: a}
	token, secret = d.text(urlSafe, 27), d.text(Alphanumeric, 32)
	if d.err != nil {
		return "", "", d.err
	}
	rt.Token = HashOf(token)
	if rt.SealedSecret, err = a.Seal(sealRequestSecret, string(rt.Token[:]), secret); err != nil {
		return "", "", err
	}
	return token, secret, a.store.AddRequestToken(ctx, rt)
}

// RequestTokenSecret returns the secret of a request token.
func (a *Issuer) RequestTokenSecret(rt store.RequestToken) (string, error) {
	return a.Unseal(sealRequestSecret, string(rt.Token[:]), rt.SealedSecret)
}

// RedeemRequestToken spends a request token to which the user consented on an access token with the permission level, in one
// step. Conflict or NotFound if it, the app or the user is gone.
func (a *Issuer) RedeemRequestToken(ctx context.Context, rt store.RequestToken, access liked.Access) (token, secret string, err error) {
	grant := store.Grant{App: rt.App, User: rt.User, Access: access}
	return a.issueOAuth1(ctx, grant, func(g store.Grant, kept store.OAuth1Token) error {
		return a.store.RedeemRequestToken(ctx, rt.Token, g, kept)
	})
}

// issueOAuth1 completes the grant, makes its OAuth 1.0a token, and has both kept.
func (a *Issuer) issueOAuth1(
	ctx context.Context, g store.Grant, keep func(store.Grant, store.OAuth1Token) error,
) (token, secret string, err error) {
	if err = a.newGrant(ctx, &g); err != nil {
		return "", "", err
	}
	g.OAuth1 = true
	d := draw{a: a}
	// Clients take the user's id from what stands before the hyphen.
	token, secret = g.User.String()+"-"+d.text(Alphanumeric, 40), d.text(Alphanumeric, 45)
	if d.err != nil {
		return "", "", d.err
	}
	kept := store.OAuth1Token{Token: HashOf(token), Access: g.Access}
	if kept.SealedSecret, err = a.Seal(sealTokenSecret, string(kept.Token[:]), secret); err == nil {
		err = keep(g, kept)
	}
	if err != nil {
		return "", "", err
	}
	return token, secret, nil
}

// Revoke ends a token of any kind, and with it the grant that it came from, so that an access token and its refresh
// token die together. An app-only token alone has no grant: the app is left without one. NotFound if the token is unknown.
func (a *Issuer) Revoke(ctx context.Context, token string) error {
	if strings.HasPrefix(token, appBearerPrefix) {
		return a.RevokeBearer(ctx, 0, token)
	}
	grant, err := a.GrantOf(ctx, token)
	if err != nil {
		return err
	}
	return a.store.RevokeGrant(ctx, grant.ID)
}

// GrantOf returns the living grant that a token of a user came from, NotFound if there is none.
func (a *Issuer) GrantOf(ctx context.Context, token string) (store.Grant, error) {
	key := HashOf(token)
	_, grant, err := a.store.AccessToken(ctx, key)
	if notFound(err) {
		_, grant, err = a.store.RefreshToken(ctx, key)
	}
	if notFound(err) {
		_, grant, err = a.store.OAuth1Token(ctx, key)
	}
	return grant, err
}

// RevokeBearer ends an app-only token, which may be percent-encoded. NotFound if it is unknown, or not that of the app owner,
// unless owner is zero.
func (a *Issuer) RevokeBearer(ctx context.Context, owner liked.AppID, token string) error {
	errUnknown := liked.Errorf(liked.NotFound, "no app has this app-only token")
	token, err := url.PathUnescape(token)
	if err != nil {
		return errUnknown
	}
	key := HashOf(token)
	app, err := a.store.AppByBearer(ctx, key)
	if err != nil {
		return err
	}
	if owner != 0 && owner != app.ID {
		return errUnknown
	}
	return a.store.UpdateApp(ctx, app.ID, func(app *store.App) error {
		if app.BearerHash != key {
			return errUnknown
		}
		app.BearerHash, app.SealedBearer = store.Hash{}, nil
		return nil
	})
}

// Alphabets of RandomText.
const (
	Digits       = "0123456789"
	Alphanumeric = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	urlSafe      = Alphanumeric + "-_"
)

// random fills b.
func (a *Issuer) random(b []byte) error {
	a.randMu.Lock()
	defer a.randMu.Unlock()
	if _, err := io.ReadFull(a.rand, b); err != nil {
		return &liked.Error{Kind: liked.Internal, Msg: "no randomness", Err: err}
	}
	return nil
}

// RandomText returns n characters of the alphabet, each as likely as the others.
func (a *Issuer) RandomText(alphabet string, n int) (string, error) {
	d := draw{a: a}
	text := d.text(alphabet, n)
	return text, d.err
}

// draw makes random text. Once the source has failed, err says so, and nothing that was drawn is of use.
type draw struct {
	a   *Issuer
	err error
}

// text returns n characters of the alphabet (at most 64 of them), each as likely as the others.
func (d *draw) text(alphabet string, n int) string {
	text := make([]byte, 0, n)
	var b [64]byte
	for len(text) < n && d.err == nil {
		d.err = d.a.random(b[:])
		for _, r := range b {
			// Six bits choose; where the alphabet is shorter, what is beyond its end is thrown away.
			if i := int(r & 63); i < len(alphabet) && len(text) < n {
				text = append(text, alphabet[i])
			}
		}
	}
	return string(text)
}

// timed returns a token or code in X's OAuth 2.0 shape, 91 characters.
func (d *draw) timed(kind string, at time.Time) string {
	plain := fmt.Appendf(nil, "%s:%d:1:1:%s:1", d.text(urlSafe, 45), at.UnixMilli(), kind)
	return base64.RawURLEncoding.EncodeToString(plain)
}

// appBearer returns an app-only token, as on X: 24 bytes that are mostly zero, 20 bytes that are not, both in base64,
// and 50 letters and digits.
func (d *draw) appBearer() string {
	return appBearerPrefix + d.text(Alphanumeric, 4) + "AAAAAAA" +
		d.text(Alphanumeric, 1) + "+" + d.text(Alphanumeric, 5) + "+" + d.text(Alphanumeric, 19) + "=" + d.text(Alphanumeric, 50)
}
