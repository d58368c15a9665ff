package auth

import (
	"context"
	"net/url"
	"strings"
	"time"

	"liked"
	"liked/internal/store"
)

// A development server takes credentials that were made elsewhere, so that a program finds its own to be valid.

// AppCredentials are those of an app; empty ones are not given.
type AppCredentials struct {
	ClientID, APIKey string
	AppSecrets
}

// given returns Invalid for a credential that cannot be sent in a header.
func given(what, text string, no string) error {
	if len(text) > 1000 || strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune(no, r) }) {
		if no != "" {
			no = " other than " + no
		}
		return liked.Errorf(liked.Invalid, "the given %s is not up to 1000 characters of printable ASCII without spaces%s", what, no)
	}
	return nil
}

// give replaces credentials of the app, and in made what has been made of them. The API secret is sealed for the key, the
// bearer token for the client id, so that they follow these.
func (a *Issuer) give(app *store.App, made *AppSecrets, c AppCredentials) error {
	for _, one := range []struct{ what, text, no string }{
		{"client id", c.ClientID, ":"}, {"client secret", c.ClientSecret, ""}, {"API key", c.APIKey, ":"},
		{"API secret", c.APISecret, ""}, {"bearer token", c.Bearer, ""},
	} {
		if err := given(one.what, one.text, one.no); err != nil {
			return err
		}
	}
	if app.Public && c.ClientSecret != "" {
		return liked.Errorf(liked.Invalid, "a public app has no client secret")
	}
	if c.ClientSecret != "" {
		made.ClientSecret, app.ClientSecretHash = c.ClientSecret, HashOf(c.ClientSecret)
	}
	if c.APIKey != "" || c.APISecret != "" {
		secret := c.APISecret
		if secret == "" {
			var err error
			if secret, err = a.Unseal(sealAPISecret, app.APIKey, app.SealedAPISecret); err != nil {
				return err
			}
		}
		if c.APIKey != "" {
			app.APIKey = c.APIKey
		}
		made.APISecret, app.SealedAPISecret = secret, a.Seal(sealAPISecret, app.APIKey, secret)
	}
	if c.ClientID != "" || c.Bearer != "" {
		bearer := c.Bearer
		if bearer == "" && app.BearerHash != (store.Hash{}) {
			var err error
			if bearer, err = a.Unseal(sealBearer, app.ClientID, app.SealedBearer); err != nil {
				return err
			}
		}
		if c.ClientID != "" {
			app.ClientID = c.ClientID
		}
		if bearer != "" {
			plain, err := url.PathUnescape(bearer)
			if err != nil {
				return liked.Errorf(liked.Invalid, "the given bearer token has a percent sign without two hex digits")
			}
			made.Bearer, app.BearerHash = bearer, HashOf(plain)
			app.SealedBearer = a.Seal(sealBearer, app.ClientID, bearer)
		}
	}
	return nil
}

// SetApp changes an app, then gives it credentials; those that it had instead are invalid at once. An app that becomes
// confidential gets a client secret. Only what was given or made is returned. Invalid is as in NewApp; Conflict: another
// app has the client id, the API key or the bearer token.
func (a *Issuer) SetApp(
	ctx context.Context, id liked.AppID, change func(*liked.App), c AppCredentials,
) (app liked.App, s AppSecrets, err error) {
	err = a.store.UpdateApp(ctx, id, func(stored *store.App) error {
		s = AppSecrets{}
		change(&stored.App)
		switch {
		case stored.Public:
			stored.ClientSecretHash = store.Hash{}
		case stored.ClientSecretHash == store.Hash{}:
			s = a.newSecrets(stored, true, false, false)
		}
		if err := a.give(stored, &s, c); err != nil {
			return err
		}
		app = stored.App
		return a.CheckApp(app)
	})
	return app, s, err
}

// GiveTokens is IssueTokens with tokens that are given; one that is empty is made. Whoever had them before loses them.
func (a *Issuer) GiveTokens(
	ctx context.Context, app liked.AppID, user liked.UserID, scopes liked.Scope, lifetime time.Duration, access, refresh string,
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
	for _, one := range []struct{ what, text string }{{"token", access}, {"refresh token", refresh}} {
		if err := given(one.what, one.text, ""); err != nil {
			return UserTokens{}, err
		}
	}
	switch {
	case strings.HasPrefix(access, appBearerPrefix):
		return UserTokens{}, liked.Errorf(liked.Invalid, "the given token is an app-only one, which is given to an app as bearer_token")
	case access != "" && access == refresh:
		return UserTokens{}, liked.Errorf(liked.Invalid, "the given token and refresh token are the same")
	case refresh != "" && !scopes.Has(liked.OfflineAccess):
		return UserTokens{}, liked.Errorf(liked.Invalid, "a refresh token needs the scope offline.access")
	}
	g := store.Grant{App: app, User: user, Scopes: scopes}
	if err := a.newGrant(ctx, &g); err != nil {
		return UserTokens{}, err
	}
	t, kept := a.newTokens(scopes, lifetime, g.CreatedAt)
	if access != "" {
		t.AccessToken, kept.Access.Token = access, HashOf(access)
	}
	if refresh != "" {
		t.RefreshToken, kept.Refresh.Token = refresh, HashOf(refresh)
	}
	return t, a.taken(ctx, func() error { return a.store.AddGrant(ctx, g, kept) }, access, refresh)
}

// GiveOAuth1Token is IssueOAuth1Token with a token that is given. Whoever had it before loses it.
func (a *Issuer) GiveOAuth1Token(
	ctx context.Context, app liked.AppID, user liked.UserID, access liked.Access, token, secret string,
) error {
	for _, one := range []struct{ what, text string }{{"token", token}, {"token secret", secret}} {
		if err := given(one.what, one.text, ""); err != nil {
			return err
		}
	}
	if token == "" || secret == "" {
		return liked.Errorf(liked.Invalid, "a token of OAuth 1.0a and its secret are given together")
	}
	g := store.Grant{App: app, User: user, Access: access, OAuth1: true}
	if err := a.newGrant(ctx, &g); err != nil {
		return err
	}
	hash := HashOf(token)
	kept := store.OAuth1Token{Token: hash, Access: access, SealedSecret: a.Seal(sealTokenSecret, string(hash[:]), secret)}
	return a.taken(ctx, func() error { return a.store.AddOAuth1Token(ctx, g, kept) }, token)
}

// taken calls add, and if a token is in use takes it from where it is, and calls it again.
func (a *Issuer) taken(ctx context.Context, add func() error, tokens ...string) error {
	err := add()
	if err == nil || liked.KindOf(err) != liked.Conflict {
		return err
	}
	for _, token := range tokens {
		if g, found := a.GrantOf(ctx, token); found == nil {
			if err := a.store.RevokeGrant(ctx, g.ID); err != nil {
				return err
			}
		}
	}
	if err := a.store.Sweep(ctx, a.now()); err != nil { // a revoked token's hash is free only then
		return err
	}
	return add()
}
