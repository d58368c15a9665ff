package auth

import (
	"context"
	"crypto/cipher"
	"io"
	"strings"
	"sync"
	"time"

	"liked"
	"liked/internal/store"
)

// DefaultLifetime is that of an OAuth 2.0 access token, as on X.
const DefaultLifetime = 2 * time.Hour

// Store keeps users and credentials, counts against limits, and reports changes.
type Store interface {
	store.Users
	store.Apps
	store.Passwords
	store.Codes
	store.Grants
	store.RequestTokens
	store.Limits
	store.Changes
	NewID(at time.Time) int64
	Sweep(ctx context.Context, now time.Time) error
}

// Issuer makes and revokes credentials. It is safe for concurrent use.
type Issuer struct {
	store     Store
	now       func() time.Time
	seal      cipher.AEAD
	newID     func(time.Time) int64
	passwords passwords
	dev       bool // see Options
	requested requested

	randMu sync.Mutex
	rand   io.Reader
}

// NewIssuer returns an Issuer. key seals (AES-256-GCM) secrets that HMAC needs in plain text; rand is read under a lock.
func NewIssuer(st Store, key [32]byte, now func() time.Time, rand io.Reader) *Issuer {
	return &Issuer{store: st, newID: st.NewID, now: now, seal: newSeal(key), rand: rand, passwords: newPasswords()}
}

// With returns an Issuer on the same store whose credentials depend only on rand's bytes, the time and the calls.
func (a *Issuer) With(rand io.Reader, now func() time.Time) *Issuer {
	return &Issuer{store: a.store, newID: new(liked.Snowflakes).Next, now: now, seal: a.seal, rand: rand, passwords: a.passwords, dev: a.dev}
}

// UserTokens are OAuth 2.0 tokens of a user.
type UserTokens struct {
	AccessToken  string
	RefreshToken string // only with offline.access
	Scopes       liked.Scope
	ExpiresIn    time.Duration
}

// IssueTokens makes a grant with its first OAuth 2.0 tokens. lifetime 0 means DefaultLifetime. NotFound if there is no
// such app or user.
func (a *Issuer) IssueTokens(
	ctx context.Context, app liked.AppID, user liked.UserID, scopes liked.Scope, lifetime time.Duration,
) (UserTokens, error) {
	return a.GiveTokens(ctx, app, user, scopes, lifetime, "", "")
}

// IssueCode makes an authorization code and stores the rest of code with it.
func (a *Issuer) IssueCode(ctx context.Context, code store.Code) (string, error) {
	text := a.timed("ac", a.now())
	code.Code = HashOf(text)
	return text, a.store.AddCode(ctx, code)
}

// RedeemCode spends a code on tokens, in one step. Conflict if it was spent before: its first tokens are then revoked.
// NotFound if it, the app or the user is gone.
func (a *Issuer) RedeemCode(ctx context.Context, code store.Code, lifetime time.Duration) (UserTokens, error) {
	grant := store.Grant{App: code.App, User: code.User, Scopes: code.Scopes}
	return a.issueTokens(ctx, grant, lifetime, func(ctx context.Context, g store.Grant, kept store.Tokens) error {
		return a.store.RedeemCode(ctx, code.Code, g, kept, g.CreatedAt)
	})
}

// issueTokens completes the grant and makes its tokens; keep stores both.
func (a *Issuer) issueTokens(
	ctx context.Context, g store.Grant, lifetime time.Duration, keep func(context.Context, store.Grant, store.Tokens) error,
) (UserTokens, error) {
	if err := a.newGrant(ctx, &g); err != nil {
		return UserTokens{}, err
	}
	tokens, kept := a.newTokens(g.Scopes, lifetime, g.CreatedAt)
	return tokens, keep(ctx, g, kept)
}

// reuseGrace is how long reuse of a refresh token does not revoke its grant: clients may refresh concurrently.
const reuseGrace = 10 * time.Second

// Refresh spends a refresh token on new tokens, in one step. Conflict if it was spent before, NotFound if it is gone.
func (a *Issuer) Refresh(ctx context.Context, token store.Hash, grant store.Grant, lifetime time.Duration) (UserTokens, error) {
	now := a.now()
	tokens, kept := a.newTokens(grant.Scopes, lifetime, now)
	return tokens, a.store.RotateRefreshToken(ctx, token, kept, now, reuseGrace)
}

// newGrant completes a grant, whose app and user must exist.
func (a *Issuer) newGrant(ctx context.Context, g *store.Grant) error {
	if _, err := a.store.App(ctx, g.App); err != nil {
		return err
	}
	if _, err := a.store.User(ctx, g.User); err != nil {
		return err
	}
	g.CreatedAt = a.now()
	a.random(g.ID[:])
	return nil
}

func (a *Issuer) newTokens(scopes liked.Scope, lifetime time.Duration, at time.Time) (UserTokens, store.Tokens) {
	t := UserTokens{AccessToken: a.timed("at", at), Scopes: scopes, ExpiresIn: lifetime}
	kept := store.Tokens{Access: store.AccessToken{Token: HashOf(t.AccessToken), Expires: at.Add(lifetime)}}
	if scopes.Has(liked.OfflineAccess) {
		t.RefreshToken = a.timed("rt", at)
		kept.Refresh = &store.RefreshToken{Token: HashOf(t.RefreshToken)}
	}
	return t, kept
}

// IssueOAuth1Token makes a grant with its OAuth 1.0a token, whose permission level never changes. NotFound if there is
// no such app or user.
func (a *Issuer) IssueOAuth1Token(
	ctx context.Context, app liked.AppID, user liked.UserID, access liked.Access,
) (token, secret string, err error) {
	if access > liked.ReadWriteDirectMessages {
		return "", "", liked.Errorf(liked.Invalid, "permission level %d is unknown", access)
	}
	return a.issueOAuth1(ctx, store.Grant{App: app, User: user, Access: access}, a.store.AddOAuth1Token)
}

// IssueRequestToken makes a request token and stores the rest of rt with it.
func (a *Issuer) IssueRequestToken(ctx context.Context, rt store.RequestToken) (token, secret string, err error) {
	token, secret = a.RandomText(urlSafe, 27), a.RandomText(Alphanumeric, 32)
	if a.dev {
		a.requested.add(rt.App, secret)
	}
	rt.Token = HashOf(token)
	rt.SealedSecret = a.Seal(sealRequestSecret, string(rt.Token[:]), secret)
	return token, secret, a.store.AddRequestToken(ctx, rt)
}

// RequestTokenSecret returns the secret of a request token.
func (a *Issuer) RequestTokenSecret(rt store.RequestToken) (string, error) {
	return a.Unseal(sealRequestSecret, string(rt.Token[:]), rt.SealedSecret)
}

// RedeemRequestToken spends an approved request token on an access token, in one step. Conflict or NotFound if it, the
// app or the user is gone.
func (a *Issuer) RedeemRequestToken(ctx context.Context, rt store.RequestToken, access liked.Access) (token, secret string, err error) {
	grant := store.Grant{App: rt.App, User: rt.User, Access: access}
	return a.issueOAuth1(ctx, grant, func(ctx context.Context, g store.Grant, kept store.OAuth1Token) error {
		return a.store.RedeemRequestToken(ctx, rt.Token, g, kept)
	})
}

// maxOAuth1Token is how long a token may be for X's own library for servers.
const maxOAuth1Token = 50

// issueOAuth1 completes the grant and makes its token; keep stores both.
func (a *Issuer) issueOAuth1(
	ctx context.Context, g store.Grant, keep func(context.Context, store.Grant, store.OAuth1Token) error,
) (token, secret string, err error) {
	if err = a.newGrant(ctx, &g); err != nil {
		return "", "", err
	}
	g.OAuth1 = true
	token = g.User.String() + "-" // clients read the user's ID before the hyphen
	token += a.RandomText(Alphanumeric, min(40, maxOAuth1Token-len(token)))
	secret = a.RandomText(Alphanumeric, 45)
	hash := HashOf(token)
	kept := store.OAuth1Token{Token: hash, Access: g.Access, SealedSecret: a.Seal(sealTokenSecret, string(hash[:]), secret)}
	return token, secret, keep(ctx, g, kept)
}

// Revoke ends a token with its grant, so that an access token and its refresh token end together. An app-only token has
// no grant: the app is left without one. NotFound if the token is unknown.
func (a *Issuer) Revoke(ctx context.Context, token string) error {
	if strings.HasPrefix(token, appBearerPrefix) {
		return a.RevokeBearer(ctx, 0, token)
	}
	grant, err := a.GrantOf(ctx, token)
	if err != nil {
		if notFound(err) && a.dev && a.RevokeBearer(ctx, 0, token) == nil { // a given one may have any form
			return nil
		}
		return err
	}
	return a.store.RevokeGrant(ctx, grant.ID)
}

// GrantOf returns the grant of a user's token, NotFound if there is none.
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
