package auth

import (
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"net/url"
	"strings"
	"time"

	"liked"
	"liked/internal/store"
)

// appBearerPrefix starts every app-only token and no other.
const appBearerPrefix = "AAAAAAAAAAAAAAAAAAAAA"

// bearer authenticates a bearer token (RFC 6750, 2.1).
func (a *Auth) bearer(ctx context.Context, token string) (liked.Principal, error) {
	if token == "" {
		return liked.Principal{}, refuse("the bearer token is empty")
	}
	appOnly := strings.HasPrefix(token, appBearerPrefix)
	if appOnly {
		// The token response has it percent-encoded; clients send it encoded or decoded.
		var err error
		if token, err = url.PathUnescape(token); err != nil {
			return liked.Principal{}, refuse("the app-only token has a percent sign without two hex digits")
		}
	}
	key := HashOf(token)
	c := a.bearers.get(key)
	if c == nil {
		before := a.bearers.before()
		var err error
		if appOnly {
			c, err = a.readAppBearer(ctx, key)
		} else {
			c, err = a.readAccessToken(ctx, key, token)
			if err != nil && a.dev { // a given app-only token may have any form
				c, err = a.readGivenBearer(ctx, token, err)
			}
		}
		if err != nil {
			return liked.Principal{}, err
		}
		a.bearers.put(key, c, before)
	}
	if now := a.now(); !c.expires.IsZero() && !now.Before(c.expires) {
		return liked.Principal{}, refuse("the access token expired at %s, %s ago: refresh it",
			c.expires.UTC().Format(time.RFC3339), now.Sub(c.expires).Round(time.Second))
	}
	return c.principal, nil
}

func (a *Auth) readAppBearer(ctx context.Context, key store.Hash) (*caller, error) {
	app, err := a.store.AppByBearer(ctx, key)
	if err != nil {
		return nil, refuseIfNotFound(err, "no app has this app-only token: it is unknown or was invalidated")
	}
	p, err := a.principal(ctx, liked.AppOnly, app.App, 0)
	return &caller{principal: p}, err
}

// readGivenBearer returns unknown unless an app was given this token.
func (a *Auth) readGivenBearer(ctx context.Context, token string, unknown error) (*caller, error) {
	plain, err := url.PathUnescape(token)
	if err != nil {
		return nil, unknown
	}
	app, err := a.store.AppByBearer(ctx, HashOf(plain))
	if err != nil {
		return nil, unknown
	}
	p, err := a.principal(ctx, liked.AppOnly, app.App, 0)
	return &caller{principal: p}, err
}

func (a *Auth) readAccessToken(ctx context.Context, key store.Hash, token string) (*caller, error) {
	t, grant, err := a.store.AccessToken(ctx, key)
	if err != nil {
		return nil, refuseIfNotFound(err, "the access token is unknown or was revoked%s",
			cmp.Or(LooksLike(token, AnAccessToken), ": refresh it, or have the user consent again"))
	}
	app, err := a.store.App(ctx, grant.App)
	if err != nil {
		return nil, refuseIfNotFound(err, "app %d of the access token is gone", grant.App)
	}
	p, err := a.principal(ctx, liked.OAuth2User, app.App, grant.User)
	p.Scopes, p.Access = grant.Scopes, liked.ReadWrite
	return &caller{principal: p, grant: grant.ID, expires: t.Expires}, err
}

// principal leaves Access ReadOnly and Scopes empty.
func (a *Auth) principal(ctx context.Context, kind liked.Credential, app liked.App, user liked.UserID) (liked.Principal, error) {
	if app.State == liked.AppSuspended {
		return liked.Principal{}, refuse("app %d is suspended", app.ID)
	}
	p := liked.Principal{Credential: kind, App: app.ID, ClientID: app.ClientID, AppState: app.State, Tier: app.Tier, AppOwner: app.Owner,
		User: user}
	if user != 0 {
		u, err := a.store.User(ctx, user)
		if err != nil {
			return liked.Principal{}, refuseIfNotFound(err, "user %d, whose token this is, is gone", user)
		}
		p.State = u.State
	}
	return p, nil
}

// IsUserToken reports whether text has the form of an access or refresh token of OAuth 2.0.
func IsUserToken(text string) bool {
	b, err := base64.RawURLEncoding.DecodeString(text)
	return err == nil && (bytes.HasSuffix(b, []byte(":at:1")) || bytes.HasSuffix(b, []byte(":rt:1")))
}

// What a token should be, for [LooksLike].
const (
	AnAccessToken = "an access token"
	ARefreshToken = "a refresh token"
)

// LooksLike guesses what an unknown token is, unless it is what it should be, as the end of a sentence.
func LooksLike(token, should string) string {
	if id, _, ok := strings.Cut(token, "-"); ok {
		if _, err := liked.ParseID[liked.UserID](id); err == nil {
			return "; it looks like an OAuth 1.0a access token, which takes part in a signature and is no bearer token"
		}
	}
	b, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil {
		return ""
	}
	for _, kind := range [...]struct{ end, name string }{
		{":at:1", AnAccessToken}, {":rt:1", ARefreshToken}, {":ac:1", "an authorization code"}, {":1:ci", "a client id"},
	} {
		if bytes.HasSuffix(b, []byte(kind.end)) && kind.name != should {
			return "; it looks like " + kind.name
		}
	}
	return ""
}
