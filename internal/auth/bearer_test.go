package auth_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"liked"
	"liked/internal/store"
)

func sha256Of(s string) store.Hash { return sha256.Sum256([]byte(s)) }

func TestUserToken(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	tokens := w.issue(t, liked.TweetRead|liked.LikeWrite)
	want := liked.Principal{Credential: liked.OAuth2User, App: 2, ClientID: w.app.ClientID, User: docsUser,
		Scopes: liked.TweetRead | liked.LikeWrite, Access: liked.ReadWrite}
	for range 2 { // from the store, then from memory
		v := w.get(t, "Bearer "+tokens.AccessToken)
		wantOK(t, v)
		if v.Principal != want {
			t.Errorf("got %+v, want %+v", v.Principal, want)
		}
	}
}

func TestUserTokenExpires(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	issued := w.clock.Now()
	token := w.issue(t, liked.TweetRead).AccessToken
	w.clock.Set(issued.Add(2*time.Hour - time.Nanosecond))
	wantOK(t, w.get(t, "Bearer "+token))
	w.clock.Set(issued.Add(2 * time.Hour))
	wantRefused(t, w.get(t, "Bearer "+token), "expired at 2011-10-14T22:09:18Z, 0s ago")
	w.clock.Set(issued.Add(2*time.Hour + time.Minute))
	wantRefused(t, w.get(t, "Bearer "+token), "1m0s ago")

	short, err := w.auth.IssueTokens(t.Context(), w.app.ID, w.user, 0, time.Second)
	check(t, err)
	w.clock.Add(time.Second)
	wantRefused(t, w.get(t, "Bearer "+short.AccessToken), "expired") // not read before it expired
}

func TestUnknownBearerHints(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	tokens := w.issue(t, liked.AllScopes)
	for _, c := range []struct{ name, token, want string }{
		{"refresh token", tokens.RefreshToken, "looks like a refresh token"},
		{"client id", w.app.ClientID, "looks like a client id"},
		{"OAuth 1.0a token", docsToken, "looks like an OAuth 1.0a access token"},
		{"anything", "anything", "unknown or was revoked"},
		{"app-only", strings.Repeat("A", 21) + "x", "no app has this app-only token"},
		{"broken app-only", strings.Repeat("A", 21) + "%2", "percent sign"},
	} {
		t.Run(c.name, func(t *testing.T) { wantRefused(t, w.get(t, "Bearer "+c.token), c.want) })
	}
}

func TestAppOnlyToken(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	encoded := w.app1.Bearer
	decoded, err := url.QueryUnescape(encoded)
	check(t, err)
	if encoded == decoded {
		t.Fatalf("%s has no escapes", encoded)
	}
	want := liked.Principal{Credential: liked.AppOnly, App: 2, ClientID: w.app.ClientID, Access: liked.ReadOnly}
	for _, token := range []string{encoded, decoded, strings.ReplaceAll(encoded, "%2B", "%2b"), encoded} {
		v := w.get(t, "Bearer "+token)
		wantOK(t, v)
		if v.Principal != want {
			t.Errorf("got %+v, want %+v", v.Principal, want)
		}
	}
}

// What was remembered about a caller is not used after a change that was acknowledged.
func TestChangesAreSeenAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := t.Context()
	user := "Bearer " + w.issue(t, liked.TweetRead).AccessToken
	app := "Bearer " + w.app1.Bearer
	nonce := 0
	oauth1 := func() verdict {
		client := docsClient()
		nonce++
		client.Nonce += strings.Repeat("x", nonce)
		return w.do(t, client.Request(t, "GET", w.url+"/2/users/me"))
	}
	setApp := func(id liked.AppID, state liked.AppState) {
		check(t, w.store.UpdateApp(ctx, id, func(a *store.App) error { a.State = state; return nil }))
	}
	for _, state := range []liked.AccountState{liked.Active, liked.Locked, liked.Suspended, liked.Deactivated, liked.Active} {
		check(t, w.store.UpdateUser(ctx, w.user, func(u *liked.User) error { u.State = state; return nil }))
		for name, v := range map[string]verdict{"bearer": w.get(t, user), "oauth1": oauth1()} {
			wantOK(t, v)
			if v.Principal.State != state {
				t.Errorf("%s: got a user %s, want %s", name, v.Principal.State, state)
			}
		}
	}
	for _, state := range []liked.AppState{liked.NotEnrolled, liked.Enrolled} {
		setApp(1, state)
		setApp(2, state)
		for name, v := range map[string]verdict{"bearer": w.get(t, user), "app": w.get(t, app), "oauth1": oauth1()} {
			wantOK(t, v)
			if v.Principal.AppState != state {
				t.Errorf("%s: got an app %s, want %s", name, v.Principal.AppState, state)
			}
		}
	}
	setApp(1, liked.AppSuspended)
	setApp(2, liked.AppSuspended)
	wantRefused(t, w.get(t, user), "app 2 is suspended")
	wantRefused(t, w.get(t, app), "app 2 is suspended")
	wantRefused(t, oauth1(), "app 1 is suspended")
	setApp(1, liked.Enrolled)
	setApp(2, liked.Enrolled)
	wantOK(t, w.get(t, user))
	wantOK(t, w.get(t, app))
	wantOK(t, oauth1())
}

// asked counts what is read of the store about credentials. meanwhile, if it is set, runs once, when a user has been read
// and is not yet returned.
type asked struct {
	store.Store
	n         atomic.Int64
	meanwhile func()
}

func (s *asked) AccessToken(ctx context.Context, h store.Hash) (store.AccessToken, store.Grant, error) {
	s.n.Add(1)
	return s.Store.AccessToken(ctx, h)
}

func (s *asked) AppByBearer(ctx context.Context, h store.Hash) (store.App, error) {
	s.n.Add(1)
	return s.Store.AppByBearer(ctx, h)
}

func (s *asked) OAuth1Token(ctx context.Context, h store.Hash) (store.OAuth1Token, store.Grant, error) {
	s.n.Add(1)
	return s.Store.OAuth1Token(ctx, h)
}

func (s *asked) User(ctx context.Context, id liked.UserID) (liked.User, error) {
	u, err := s.Store.User(ctx, id)
	if f := s.meanwhile; f != nil {
		s.meanwhile = nil
		f()
	}
	return u, err
}

// A change forgets the callers that were made of what changed, and no others.
func TestForgetWhatChanged(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := t.Context()
	counted := &asked{Store: w.store}
	w.auth = newAuth(t, counted, w.clock)
	check(t, w.store.AddUser(ctx, liked.User{ID: 5, Username: "bob", Name: "Bob", CreatedAt: w.clock.Now()}))
	other, err := w.auth.IssueTokens(ctx, 1, 5, liked.TweetRead, time.Hour)
	check(t, err)
	one, two := w.issue(t, liked.TweetRead), w.issue(t, liked.TweetRead)
	callers := map[string]func() verdict{}
	for name, token := range map[string]string{"one": one.AccessToken, "two": two.AccessToken, "other": other.AccessToken,
		"app": w.app1.Bearer} {
		callers[name] = func() verdict { return w.get(t, "Bearer "+token) }
	}
	nonce := 0
	callers["oauth1"] = func() verdict {
		client := docsClient()
		nonce++
		client.Nonce += strings.Repeat("y", nonce)
		return w.do(t, client.Request(t, "GET", w.url+"/2/users/me"))
	}
	for _, call := range callers {
		wantOK(t, call())
	}
	updateUser := func(id liked.UserID, change func(*liked.User)) func() error {
		return func() error {
			return w.store.UpdateUser(ctx, id, func(u *liked.User) error { change(u); return nil })
		}
	}
	for _, c := range []struct {
		what      string
		change    func() error
		forgotten string
	}{
		{"a rename", updateUser(docsUser, func(u *liked.User) { u.Username = "lovelace" }), ""},
		{"a profile", updateUser(docsUser, func(u *liked.User) { u.Description = "new" }), ""},
		{"a sweep", func() error {
			code := store.Code{Code: sha256Of("code"), App: 1, User: 5, Expires: w.clock.Now().Add(-time.Hour)}
			if err := w.store.AddCode(ctx, code); err != nil {
				return err
			}
			return w.store.Sweep(ctx, w.clock.Now())
		}, ""},
		{"a revoked grant", func() error {
			_, g, err := w.store.AccessToken(ctx, sha256Of(two.AccessToken))
			check(t, err)
			return w.store.RevokeGrant(ctx, g.ID)
		}, "two"},
		{"a user's state", updateUser(docsUser, func(u *liked.User) { u.State = liked.Locked }), "oauth1 one two"},
		{"another user's state", updateUser(5, func(u *liked.User) { u.State = liked.Locked }), "other"},
		{"an app", func() error { return w.store.UpdateApp(ctx, 2, func(*store.App) error { return nil }) }, "app one two"},
	} {
		check(t, c.change())
		for name, call := range callers {
			before := counted.n.Load()
			call()
			if forgotten := counted.n.Load() != before; forgotten != slices.Contains(strings.Fields(c.forgotten), name) && name != "two" {
				t.Errorf("%s: %s was forgotten: %v", c.what, name, forgotten)
			}
		}
	}
	wantRefused(t, callers["two"](), "unknown or was revoked")
}

// What changes while it is read is not remembered as it was.
func TestChangeWhileCallerIsRead(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := t.Context()
	var token string
	tokens := []string{w.issue(t, liked.TweetRead).AccessToken, w.issue(t, liked.TweetRead).AccessToken,
		w.issue(t, liked.TweetRead).AccessToken}
	for what, change := range map[string]func() error{
		"user": func() error {
			return w.store.UpdateUser(ctx, docsUser, func(u *liked.User) error { u.State = liked.Suspended; return nil })
		},
		"app": func() error {
			return w.store.UpdateApp(ctx, 2, func(a *store.App) error { a.State = liked.NotEnrolled; return nil })
		},
		"grant": func() error {
			_, g, err := w.store.AccessToken(ctx, sha256Of(strings.TrimPrefix(token, "Bearer ")))
			check(t, err)
			return w.store.RevokeGrant(ctx, g.ID)
		},
	} {
		token, tokens = "Bearer "+tokens[0], tokens[1:]
		w.auth = newAuth(t, &asked{Store: w.store, meanwhile: func() { check(t, change()) }}, w.clock)
		first := w.get(t, token)
		wantOK(t, first)
		if second := w.get(t, token); second == first {
			t.Errorf("%s: the caller is remembered as before the change: %+v", what, second)
		}
		check(t, w.store.UpdateUser(ctx, docsUser, func(u *liked.User) error { u.State = liked.Active; return nil }))
		check(t, w.store.UpdateApp(ctx, 2, func(a *store.App) error { a.State = liked.Enrolled; return nil }))
	}
}

func TestRevoke(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := t.Context()
	tokens, kept := w.issue(t, liked.AllScopes), w.issue(t, liked.AllScopes)
	wantOK(t, w.get(t, "Bearer "+tokens.AccessToken))
	check(t, w.auth.Revoke(ctx, tokens.AccessToken))
	wantRefused(t, w.get(t, "Bearer "+tokens.AccessToken), "was revoked")
	if err := w.auth.Revoke(ctx, tokens.RefreshToken); liked.KindOf(err) != liked.NotFound {
		t.Errorf("got %v for the refresh token of a revoked access token, want not found", err)
	}
	wantOK(t, w.get(t, "Bearer "+kept.AccessToken))
	check(t, w.auth.Revoke(ctx, kept.RefreshToken))
	wantRefused(t, w.get(t, "Bearer "+kept.AccessToken), "was revoked")

	client := docsClient()
	wantOK(t, w.do(t, client.Request(t, "GET", w.url+"/2/users/me")))
	check(t, w.auth.Revoke(ctx, docsToken))
	client.Nonce += "x"
	wantRefused(t, w.do(t, client.Request(t, "GET", w.url+"/2/users/me")), "oauth_token is unknown or was revoked")

	wantOK(t, w.get(t, "Bearer "+w.app1.Bearer))
	check(t, w.auth.Revoke(ctx, w.app1.Bearer))
	wantRefused(t, w.get(t, "Bearer "+w.app1.Bearer), "no app has this app-only token")

	for _, token := range []string{"", "x", tokens.AccessToken, docsToken, w.app1.Bearer, w.app1.Bearer + "%"} {
		err := w.auth.Revoke(ctx, token)
		if err == nil || liked.KindOf(err) != liked.NotFound {
			t.Errorf("got %v for a token that is unknown, want not found", err)
		} else {
			w.checkReason(t, err.Error())
		}
	}
}

// meanwhile is a store on which something else happens just before the first change of an app.
type meanwhile struct {
	store.Store
	happens func()
}

func (m *meanwhile) UpdateApp(ctx context.Context, id liked.AppID, change func(*store.App) error) error {
	if happens := m.happens; happens != nil {
		m.happens = nil
		happens()
	}
	return m.Store.UpdateApp(ctx, id, change)
}

func TestBearerStaysTheSame(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := t.Context()
	if got, err := w.auth.Bearer(ctx, w.app.ID); err != nil || got != w.app1.Bearer {
		t.Errorf("got %q, %v, want the token that the app was made with, %q", got, err, w.app1.Bearer)
	}
	check(t, w.auth.Revoke(ctx, w.app1.Bearer))

	// Of two who ask for a new one at once, both are told the one that works.
	var first string
	second, err := newAuth(t, &meanwhile{w.store, func() {
		var err error
		first, err = w.auth.Bearer(ctx, w.app.ID)
		check(t, err)
	}}, w.clock).Bearer(ctx, w.app.ID)
	check(t, err)
	if first != second || first == w.app1.Bearer {
		t.Errorf("got %q and %q, want one new token", first, second)
	}
	wantOK(t, w.get(t, "Bearer "+first))
	wantRefused(t, w.get(t, "Bearer "+w.app1.Bearer), "no app has this app-only token")
	if _, err := w.auth.Bearer(ctx, 99); err == nil || liked.KindOf(err) != liked.NotFound {
		t.Errorf("got %v for an app that is not there, want not found", err)
	}
}

func decode64(t *testing.T, s string) string {
	t.Helper()
	b, err := base64.RawURLEncoding.DecodeString(s)
	check(t, err)
	return string(b)
}
