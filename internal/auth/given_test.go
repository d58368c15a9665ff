package auth_test

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"liked"
	"liked/internal/auth"
	"liked/internal/authtest"
)

// With its own credentials, given to a development server, a program is let in, again after it gave them again, and no
// longer by what was there before.
func TestGivenCredentials(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := t.Context()
	w.auth = auth.New(auth.Options{Store: w.store, Seal: [32]byte{1}, Now: w.clock.Now, Rand: seeded("given"), Dev: true,
		BaseURL: func(r *http.Request) string { return "http://" + r.Host }})
	mine := auth.AppCredentials{ClientID: "my-client", APIKey: "my-key",
		AppSecrets: auth.AppSecrets{ClientSecret: "s3cret~", APISecret: "my-api-secret", Bearer: "AAAAAAAAAAAAAAAAAAAAAmine%2B%3D"}}
	app, secrets, err := w.auth.NewAppWith(ctx, liked.App{ID: 77, Name: "mine", Access: liked.ReadWrite}, mine)
	check(t, err)
	if app.ClientID != mine.ClientID || app.APIKey != mine.APIKey || secrets != mine.AppSecrets {
		t.Errorf("made %+v with %+v, want what was given", app, secrets)
	}
	for _, bearer := range []string{mine.Bearer, "AAAAAAAAAAAAAAAAAAAAAmine+="} {
		wantOK(t, w.get(t, "Bearer "+bearer))
	}
	signed := func(key, secret, token, tokenSecret string) verdict {
		t.Helper()
		c := authtest.Client{Key: key, Secret: secret, Token: token, TokenSecret: tokenSecret, Nonce: rand.Text(),
			Timestamp: fmt.Sprint(w.clock.Now().Unix())}
		return w.do(t, c.Request(t, "GET", w.url+"/2/users/me"))
	}
	for range 2 { // the second time as the first
		_, err = w.auth.GiveTokens(ctx, app.ID, w.user, liked.AllScopes, 0, "my-access", "my-refresh")
		check(t, err)
		check(t, w.auth.GiveOAuth1Token(ctx, app.ID, w.user, liked.ReadWrite, "my-token", "my-token-secret"))
		v := w.get(t, "Bearer my-access")
		if wantOK(t, v); v.Principal.App != app.ID || v.Principal.User != w.user {
			t.Errorf("the given token is of %+v", v.Principal)
		}
		wantOK(t, signed("my-key", "my-api-secret", "my-token", "my-token-secret"))
		g, err := w.auth.GrantOf(ctx, "my-refresh")
		if check(t, err); g.App != app.ID {
			t.Errorf("the given refresh token is of %+v", g)
		}
	}
	// They can be given to another app.
	_, err = w.auth.GiveTokens(ctx, w.app.ID, w.user, liked.TweetRead, 0, "my-access", "")
	check(t, err)
	if v := w.get(t, "Bearer my-access"); v.Principal.App != w.app.ID || v.Principal.Scopes != liked.TweetRead {
		t.Errorf("the token that was given to another app is of %+v", v.Principal)
	}
	// A key alone keeps its secret, a client id alone its bearer token, which may have any form and can be revoked.
	app, secrets, err = w.auth.SetApp(ctx, app.ID, func(*liked.App) {},
		auth.AppCredentials{APIKey: "key2", AppSecrets: auth.AppSecrets{Bearer: "short"}})
	if check(t, err); app.APIKey != "key2" || secrets.APISecret != "my-api-secret" {
		t.Errorf("gave a key: %+v %+v", app, secrets)
	}
	wantOK(t, signed("key2", "my-api-secret", "my-token", "my-token-secret"))
	wantRefused(t, signed("my-key", "my-api-secret", "my-token", "my-token-secret"), "")
	wantRefused(t, w.get(t, "Bearer "+mine.Bearer), "")
	_, _, err = w.auth.SetApp(ctx, app.ID, func(*liked.App) {}, auth.AppCredentials{ClientID: "client2"})
	check(t, err)
	if token, err := w.auth.Bearer(ctx, app.ID); err != nil || token != "short" {
		t.Errorf("the bearer token is %q, %v", token, err)
	}
	wantOK(t, w.get(t, "Bearer short"))
	check(t, w.auth.Revoke(ctx, "short"))
	wantRefused(t, w.get(t, "Bearer short"), "unknown")

	// A public app has no client secret, and a confidential one always has one.
	_, secrets, err = w.auth.SetApp(ctx, app.ID, func(a *liked.App) { a.Public = true }, auth.AppCredentials{})
	if check(t, err); secrets != (auth.AppSecrets{}) {
		t.Errorf("an app that became public got %+v", secrets)
	}
	app, secrets, err = w.auth.SetApp(ctx, app.ID, func(a *liked.App) { a.Public = false }, auth.AppCredentials{})
	if check(t, err); app.Public || len(secrets.ClientSecret) != 50 {
		t.Errorf("an app that became confidential is %+v with %+v", app, secrets)
	}
	for _, c := range []struct {
		credentials auth.AppCredentials
		want        string
		kind        liked.Kind
	}{
		{auth.AppCredentials{ClientID: "a b"}, "client id", liked.Invalid},
		{auth.AppCredentials{ClientID: "a:b"}, "other than :", liked.Invalid},
		{auth.AppCredentials{APIKey: strings.Repeat("k", 1001)}, "API key", liked.Invalid},
		{auth.AppCredentials{AppSecrets: auth.AppSecrets{ClientSecret: "ä"}}, "client secret", liked.Invalid},
		{auth.AppCredentials{AppSecrets: auth.AppSecrets{Bearer: "50%"}}, "percent", liked.Invalid},
		{auth.AppCredentials{APIKey: w.app.APIKey}, "", liked.Conflict},
	} {
		_, _, err := w.auth.SetApp(ctx, app.ID, func(*liked.App) {}, c.credentials)
		if err == nil || liked.KindOf(err) != c.kind || !strings.Contains(err.Error(), c.want) {
			t.Errorf("giving %+v: got %v, want %v with %q", c.credentials, err, c.kind, c.want)
		}
	}
	for _, c := range []struct{ access, refresh, want string }{
		{"a b", "", "token"}, {"a", "a", "the same"}, {mine.Bearer, "", "app-only"},
	} {
		if _, err := w.auth.GiveTokens(ctx, app.ID, w.user, liked.AllScopes, 0, c.access, c.refresh); err == nil ||
			liked.KindOf(err) != liked.Invalid || !strings.Contains(err.Error(), c.want) {
			t.Errorf("giving %q and %q: got %v, want %q", c.access, c.refresh, err, c.want)
		}
	}
	if err := w.auth.GiveOAuth1Token(ctx, app.ID, w.user, liked.ReadWrite, "t", ""); err == nil {
		t.Error("a token was given without its secret")
	}
}

// Another server than one for development knows app-only tokens by their form.
func TestGivenBearerIsOfDev(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, _, err := w.auth.SetApp(t.Context(), w.app.ID, func(*liked.App) {},
		auth.AppCredentials{AppSecrets: auth.AppSecrets{Bearer: "short"}})
	check(t, err)
	wantRefused(t, w.get(t, "Bearer short"), "unknown")
}
