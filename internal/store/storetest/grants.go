package storetest

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"liked"
	"liked/internal/store"
)

var grantTests = []test{
	{"apps", apps},
	{"update app", updateApp},
	{"passwords", passwords},
	{"codes", codes},
	{"second consent", secondConsent},
	{"refresh", refresh},
	{"grants", grants},
	{"request tokens", requestTokens},
	{"sessions", sessions},
	{"sweep", sweep},
	{"generation", generation},
	{"seal key", sealKey},
	{"what is taken back", takenBack},
	{"what is given anew", givenAnew},
	{"delete app", deleteApp},
	{"hand over app", handOver},
	{"owned apps", ownedApps},
	{"expire tokens", expireTokens},
	{"expire refresh tokens and codes", expireOthers},
}

// hash makes the hash of a secret that is called name.
func hash(name string, n ...int) store.Hash { return sha256.Sum256(fmt.Append([]byte(name), n)) }

func grantID(n int) (id store.GrantID) {
	h := hash("grant", n)
	copy(id[:], h[:])
	return id
}

func newGrant(n, user int) store.Grant {
	return store.Grant{ID: grantID(n), App: 1, User: uid(user), Scopes: liked.AllScopes, CreatedAt: start.Add(time.Duration(n) * time.Second)}
}

func newApp(n int) store.App {
	app := liked.App{ID: liked.AppID(n), Owner: uid(1), Name: fmt.Sprintf("app %d", n), Public: true, State: liked.NotEnrolled,
		Tier: liked.SelfServe, Access: liked.ReadWriteDirectMessages, RedirectURIs: []string{"http://127.0.0.1/cb", "app://x"},
		CreatedAt: start, ClientID: fmt.Sprintf("client %d", n), APIKey: fmt.Sprintf("key %d", n)}
	return store.App{App: app, ClientSecretHash: hash("client secret", n), SealedAPISecret: []byte{1, 2, 0},
		BearerHash: hash("bearer", n), SealedBearer: []byte{0, 3}}
}

// tokens makes an access token that expires an hour after the start, and a refresh token.
func tokens(name string, n ...int) store.Tokens {
	return store.Tokens{Access: store.AccessToken{Token: hash(name+" access", n...), Expires: start.Add(time.Hour)},
		Refresh: &store.RefreshToken{Token: hash(name+" refresh", n...)}}
}

func apps(t *T) {
	s := t.open()
	for _, n := range []int{3, 1, 2} {
		t.ok(s.AddApp(t.ctx, newApp(n)))
	}
	bare := store.App{App: liked.App{ID: 9, Name: "bare", ClientID: "c", APIKey: "k"}}
	t.ok(s.AddApp(t.ctx, bare))
	for range 2 {
		for _, find := range []func() (store.App, error){
			func() (store.App, error) { return s.App(t.ctx, 2) },
			func() (store.App, error) { return s.AppByClientID(t.ctx, "client 2") },
			func() (store.App, error) { return s.AppByAPIKey(t.ctx, "key 2") },
			func() (store.App, error) { return s.AppByBearer(t.ctx, hash("bearer", 2)) },
		} {
			got, err := find()
			t.ok(err)
			same(t, "app", got, newApp(2))
			got.RedirectURIs[0], got.SealedBearer[0] = "changed", 9 // a copy
		}
	}
	all, err := s.Apps(t.ctx)
	t.ok(err)
	same(t, "Apps", all, []liked.App{newApp(1).App, newApp(2).App, newApp(3).App, bare.App})
	_, err = s.App(t.ctx, 4)
	t.fails(err, liked.NotFound)
	_, err = s.AppByClientID(t.ctx, "Client 2")
	t.fails(err, liked.NotFound)
	_, err = s.AppByAPIKey(t.ctx, "")
	t.fails(err, liked.NotFound)
	_, err = s.AppByBearer(t.ctx, store.Hash{})
	t.fails(err, liked.NotFound)
	for name, c := range map[string]struct {
		change func(*store.App)
		want   liked.Kind
	}{
		"id":            {func(a *store.App) { a.ID = 1 }, liked.Conflict},
		"client id":     {func(a *store.App) { a.ClientID = "client 1" }, liked.Conflict},
		"API key":       {func(a *store.App) { a.APIKey = "key 1" }, liked.Conflict},
		"no id":         {func(a *store.App) { a.ID = 0 }, liked.Invalid},
		"11 redirects":  {func(a *store.App) { a.RedirectURIs = make([]string, 11) }, liked.Invalid},
		"unknown state": {func(a *store.App) { a.State = liked.AppSuspended + 1 }, liked.Invalid},
	} {
		t.Log(name)
		a := newApp(4)
		c.change(&a)
		t.fails(s.AddApp(t.ctx, a), c.want)
	}
	all, err = s.Apps(t.ctx)
	t.ok(err)
	same(t, "number of apps", len(all), 4)
	_, err = s.AppByAPIKey(t.ctx, "key 4")
	t.fails(err, liked.NotFound)
}

func updateApp(t *T) {
	s := t.open()
	t.ok(s.AddApp(t.ctx, newApp(1)))
	t.ok(s.AddApp(t.ctx, newApp(2)))
	update := func(change func(*store.App)) error {
		return s.UpdateApp(t.ctx, 1, func(a *store.App) error { change(a); return nil })
	}
	t.fails(update(func(a *store.App) { a.ID = 5 }), liked.Invalid)
	t.fails(update(func(a *store.App) { a.ClientID = "client 2" }), liked.Conflict)
	t.fails(update(func(a *store.App) { a.APIKey = "key 2" }), liked.Conflict)
	nope := errors.New("no")
	if err := s.UpdateApp(t.ctx, 1, func(a *store.App) error { a.RedirectURIs[0] = "changed"; return nope }); err != nope {
		t.Errorf("got error %v, want the one of change", err)
	}
	t.fails(s.UpdateApp(t.ctx, 7, func(*store.App) error { return nil }), liked.NotFound)
	got, err := s.App(t.ctx, 1)
	t.ok(err)
	same(t, "app", got, newApp(1))
	t.ok(update(func(a *store.App) {
		a.ClientID, a.APIKey, a.BearerHash, a.State = "c", "k", hash("b"), liked.Enrolled
	}))
	_, err = s.AppByClientID(t.ctx, "client 1")
	t.fails(err, liked.NotFound)
	_, err = s.AppByAPIKey(t.ctx, "key 1")
	t.fails(err, liked.NotFound)
	_, err = s.AppByBearer(t.ctx, hash("bearer", 1))
	t.fails(err, liked.NotFound)
	got, err = s.AppByBearer(t.ctx, hash("b"))
	t.ok(err)
	same(t, "client id", got.ClientID, "c")
	t.ok(update(func(a *store.App) { a.BearerHash, a.SealedBearer = store.Hash{}, nil }))
	_, err = s.AppByBearer(t.ctx, hash("b"))
	t.fails(err, liked.NotFound)
	_, err = s.AppByBearer(t.ctx, store.Hash{})
	t.fails(err, liked.NotFound)
}

func passwords(t *T) {
	s := t.open()
	t.people(s, 1)
	_, err := s.Password(t.ctx, uid(1))
	t.fails(err, liked.NotFound)
	t.fails(s.SetPassword(t.ctx, uid(2), "x"), liked.NotFound)
	for _, want := range []string{"$argon2id$a", "$argon2id$b"} {
		t.ok(s.SetPassword(t.ctx, uid(1), want))
		got, err := s.Password(t.ctx, uid(1))
		t.ok(err)
		same(t, "password", got, want)
	}
}

func newCode(n int) store.Code {
	return store.Code{
		Code: hash("code", n), App: 1, User: uid(1), Scopes: liked.LikeWrite | liked.OfflineAccess,
		RedirectURI: "http://127.0.0.1/", Challenge: "c", ChallengeMethod: "S256", Expires: start.Add(30 * time.Second),
	}
}

func codes(t *T) {
	s := t.open()
	want := newCode(1)
	t.ok(s.AddCode(t.ctx, want))
	got, err := s.Code(t.ctx, want.Code)
	t.ok(err)
	same(t, "code", got, want)
	_, err = s.Code(t.ctx, hash("code", 2))
	t.fails(err, liked.NotFound)
	t.fails(s.RedeemCode(t.ctx, hash("code", 2), newGrant(1, 1), tokens("x"), start), liked.NotFound)
	t.ok(s.RedeemCode(t.ctx, want.Code, newGrant(1, 1), tokens("first"), start))
	got, err = s.Code(t.ctx, want.Code)
	t.ok(err)
	want.Spent = true
	same(t, "code", got, want)
	access, grant, err := s.AccessToken(t.ctx, hash("first access"))
	t.ok(err)
	same(t, "access token", access, tokens("first").Access)
	same(t, "grant", grant, newGrant(1, 1))
	t.ok(s.AddGrant(t.ctx, newGrant(3, 1), tokens("bystander")))
	t.fails(s.RedeemCode(t.ctx, want.Code, newGrant(2, 1), tokens("second"), start), liked.Conflict)
	for _, h := range []string{"first access", "second access"} {
		_, _, err = s.AccessToken(t.ctx, hash(h))
		t.fails(err, liked.NotFound)
	}
	_, _, err = s.RefreshToken(t.ctx, hash("first refresh"))
	t.fails(err, liked.NotFound)
	t.fails(s.RedeemCode(t.ctx, want.Code, newGrant(2, 1), tokens("second"), start), liked.Conflict)
	all, err := s.GrantsOf(t.ctx, uid(1))
	t.ok(err)
	same(t, "grants left", all, []store.Grant{newGrant(3, 1)})
}

// secondConsent redeems codes of one user and app one after the other: each ends the refresh token of the one before.
func secondConsent(t *T) {
	s := t.open()
	redeem := func(n, user int, app liked.AppID, name string) {
		t.Helper()
		c, g := newCode(n), newGrant(n, user)
		c.App, c.User, g.App = app, uid(user), app
		t.ok(s.AddCode(t.ctx, c))
		t.ok(s.RedeemCode(t.ctx, c.Code, g, tokens(name), start))
	}
	works := func(name string, access, refresh bool) {
		t.Helper()
		_, _, err := s.AccessToken(t.ctx, hash(name+" access"))
		same(t, name+" access", err == nil, access)
		_, _, err = s.RefreshToken(t.ctx, hash(name+" refresh"))
		same(t, name+" refresh", err == nil, refresh)
	}
	t.ok(s.AddGrant(t.ctx, newGrant(9, 1), tokens("issued")))
	redeem(1, 1, 1, "first")
	redeem(2, 2, 1, "other user")
	redeem(3, 1, 2, "other app")
	rotated := tokens("rotated")
	t.ok(s.RotateRefreshToken(t.ctx, hash("first refresh"), rotated, start, time.Second))
	works("rotated", true, true)
	redeem(4, 1, 1, "second")
	works("first", true, true) // the spent one is known still: a replay is found out
	works("rotated", true, false)
	for _, name := range []string{"issued", "other user", "other app", "second"} {
		works(name, true, true)
	}
	t.fails(s.RotateRefreshToken(t.ctx, hash("rotated refresh"), tokens("x"), start, time.Second), liked.NotFound)

	// Once its access tokens are gone, too, so is the grant, whichever comes first.
	t.ok(s.Sweep(t.ctx, start.Add(2*time.Hour)))
	redeem(5, 1, 1, "third")
	all, err := s.GrantsOf(t.ctx, uid(1))
	t.ok(err)
	same(t, "grants", all, []store.Grant{func() store.Grant { g := newGrant(3, 1); g.App = 2; return g }(), newGrant(5, 1), newGrant(9, 1)})

	t.ok(s.RevokeGrant(t.ctx, grantID(5)))
	redeem(6, 1, 1, "fourth")
	works("fourth", true, true)
}

func refresh(t *T) {
	s := t.open()
	const grace = 10 * time.Second
	t.ok(s.AddGrant(t.ctx, newGrant(1, 1), tokens("t", 0)))
	t.fails(s.RotateRefreshToken(t.ctx, hash("no"), tokens("t", 1), start, grace), liked.NotFound)
	t.ok(s.RotateRefreshToken(t.ctx, hash("t refresh", 0), tokens("t", 1), start, grace))
	got, grant, err := s.RefreshToken(t.ctx, hash("t refresh", 0))
	t.ok(err)
	same(t, "spent token", got, store.RefreshToken{Token: hash("t refresh", 0), Spent: start})
	same(t, "grant", grant, newGrant(1, 1))
	got, _, err = s.RefreshToken(t.ctx, hash("t refresh", 1))
	t.ok(err)
	same(t, "successor", got, *tokens("t", 1).Refresh)
	for n := range 2 { // rotation ends no access token
		_, grant, err = s.AccessToken(t.ctx, hash("t access", n))
		t.ok(err)
		same(t, "grant", grant, newGrant(1, 1))
	}
	// An honest race, up to grace, takes nothing away.
	t.fails(s.RotateRefreshToken(t.ctx, hash("t refresh", 0), tokens("t", 2), start.Add(grace), grace), liked.Conflict)
	_, _, err = s.AccessToken(t.ctx, hash("t access", 2))
	t.fails(err, liked.NotFound)
	without := tokens("t", 3)
	without.Refresh = nil
	t.ok(s.RotateRefreshToken(t.ctx, hash("t refresh", 1), without, start, grace))
	_, _, err = s.AccessToken(t.ctx, hash("t access", 3))
	t.ok(err)
	// A replay ends everything that came of the consent.
	t.fails(s.RotateRefreshToken(t.ctx, hash("t refresh", 0), tokens("t", 4), start.Add(grace+time.Millisecond), grace), liked.Conflict)
	for n := range 5 {
		_, _, err = s.AccessToken(t.ctx, hash("t access", n))
		t.fails(err, liked.NotFound)
		_, _, err = s.RefreshToken(t.ctx, hash("t refresh", n))
		t.fails(err, liked.NotFound)
	}
	all, err := s.GrantsOf(t.ctx, uid(1))
	t.ok(err)
	same(t, "grants", all, nil)
}

func grants(t *T) {
	s := t.open()
	for _, n := range []int{3, 1, 2} {
		t.ok(s.AddGrant(t.ctx, newGrant(n, 1), tokens("g", n)))
	}
	t.ok(s.AddGrant(t.ctx, newGrant(4, 2), tokens("g", 4)))
	all, err := s.GrantsOf(t.ctx, uid(1))
	t.ok(err)
	same(t, "grants, oldest first", all, []store.Grant{newGrant(1, 1), newGrant(2, 1), newGrant(3, 1)})
	t.ok(s.RevokeGrant(t.ctx, grantID(2)))
	t.ok(s.RevokeGrant(t.ctx, grantID(2)))
	t.ok(s.RevokeGrant(t.ctx, grantID(9)))
	for n := 1; n <= 4; n++ {
		_, _, accessErr := s.AccessToken(t.ctx, hash("g access", n))
		_, _, refreshErr := s.RefreshToken(t.ctx, hash("g refresh", n))
		rotateErr := s.RotateRefreshToken(t.ctx, hash("g refresh", n), tokens("next", n), start, 0)
		for _, err := range []error{accessErr, refreshErr, rotateErr} {
			if n == 2 {
				t.fails(err, liked.NotFound)
			} else {
				t.ok(err)
			}
		}
	}
	all, err = s.GrantsOf(t.ctx, uid(1))
	t.ok(err)
	same(t, "living grants", all, []store.Grant{newGrant(1, 1), newGrant(3, 1)})
}

func requestTokens(t *T) {
	s := t.open()
	want := store.RequestToken{
		Token: hash("r"), SealedSecret: []byte{0, 1}, App: 1, Access: liked.ReadWrite,
		Callback: "oob", Expires: start.Add(time.Minute),
	}
	t.ok(s.AddRequestToken(t.ctx, want))
	got, err := s.RequestToken(t.ctx, want.Token)
	t.ok(err)
	same(t, "request token", got, want)
	t.fails(s.ApproveRequestToken(t.ctx, hash("no"), uid(1), hash("v")), liked.NotFound)
	t.ok(s.ApproveRequestToken(t.ctx, want.Token, uid(1), hash("v")))
	t.fails(s.ApproveRequestToken(t.ctx, want.Token, uid(2), hash("w")), liked.Conflict)
	want.User, want.Verifier = uid(1), hash("v")
	got, err = s.RequestToken(t.ctx, want.Token)
	t.ok(err)
	same(t, "request token", got, want)

	tok := store.OAuth1Token{Token: hash("o"), SealedSecret: []byte{5}, Access: liked.ReadWrite}
	t.ok(s.RedeemRequestToken(t.ctx, want.Token, newGrant(1, 1), tok))
	_, err = s.RequestToken(t.ctx, want.Token)
	t.fails(err, liked.NotFound)
	t.fails(s.RedeemRequestToken(t.ctx, want.Token, newGrant(2, 1), store.OAuth1Token{Token: hash("p")}), liked.NotFound)
	_, _, err = s.OAuth1Token(t.ctx, hash("p"))
	t.fails(err, liked.NotFound)
	other := store.OAuth1Token{Token: hash("q"), SealedSecret: []byte{6}}
	grants := map[store.Hash]store.Grant{tok.Token: newGrant(1, 1), other.Token: newGrant(3, 1)}
	level := grants[other.Token]
	level.OAuth1, level.Access, level.Scopes = true, liked.ReadWrite, 0
	grants[other.Token] = level
	t.ok(s.AddOAuth1Token(t.ctx, level, other))
	for _, want := range []store.OAuth1Token{tok, other} {
		got, g, err := s.OAuth1Token(t.ctx, want.Token)
		t.ok(err)
		same(t, "token", got, want)
		same(t, "grant", g, grants[want.Token])
	}
	t.ok(s.RevokeGrant(t.ctx, grantID(1)))
	_, _, err = s.OAuth1Token(t.ctx, tok.Token)
	t.fails(err, liked.NotFound)
}

func sessions(t *T) {
	s := t.open()
	want := store.Session{ID: hash("s"), User: uid(1), Expires: start}
	_, err := s.Session(t.ctx, want.ID)
	t.fails(err, liked.NotFound)
	t.ok(s.AddSession(t.ctx, want))
	got, err := s.Session(t.ctx, want.ID)
	t.ok(err)
	same(t, "session", got, want)
	t.ok(s.DeleteSession(t.ctx, want.ID))
	t.ok(s.DeleteSession(t.ctx, want.ID))
	_, err = s.Session(t.ctx, want.ID)
	t.fails(err, liked.NotFound)
}

func sweep(t *T) {
	s := t.open()
	// Half of everything expires at the start, half an hour later.
	const n = 600
	for i := range n {
		expires := start.Add(time.Duration(i%2) * time.Hour)
		c := newCode(i)
		c.Expires = expires
		t.ok(s.AddCode(t.ctx, c))
	}
	for i := range 4 {
		expires := start.Add(time.Duration(i%2) * time.Hour)
		t.ok(s.AddSession(t.ctx, store.Session{ID: hash("s", i), User: uid(1), Expires: expires}))
		t.ok(s.AddRequestToken(t.ctx, store.RequestToken{Token: hash("r", i), App: 1, Expires: expires}))
		tok := tokens("g", i)
		tok.Access.Expires = expires
		if i >= 2 {
			tok.Refresh = nil
		}
		t.ok(s.AddGrant(t.ctx, newGrant(i, 1), tok))
	}
	t.ok(s.AddOAuth1Token(t.ctx, newGrant(4, 1), store.OAuth1Token{Token: hash("o")}))
	t.ok(s.Sweep(t.ctx, start)) // nothing expired before its own time
	_, err := s.Session(t.ctx, hash("s", 0))
	t.ok(err)
	t.ok(s.Sweep(t.ctx, start.Add(time.Minute)))
	expect := func(i int, err error) {
		t.Helper()
		if i%2 == 0 {
			t.fails(err, liked.NotFound)
		} else {
			t.ok(err)
		}
	}
	for i := range n {
		_, err := s.Code(t.ctx, hash("code", i))
		expect(i, err)
	}
	for i := range 4 {
		_, err := s.Session(t.ctx, hash("s", i))
		expect(i, err)
		_, err = s.RequestToken(t.ctx, hash("r", i))
		expect(i, err)
		_, _, err = s.AccessToken(t.ctx, hash("g access", i))
		expect(i, err)
	}
	_, _, err = s.RefreshToken(t.ctx, hash("g refresh", 0)) // does not expire
	t.ok(err)
	_, _, err = s.OAuth1Token(t.ctx, hash("o")) // nor does this
	t.ok(err)
	all, err := s.GrantsOf(t.ctx, uid(1))
	t.ok(err)
	same(t, "grants that have a token left", all, []store.Grant{newGrant(0, 1), newGrant(1, 1), newGrant(3, 1), newGrant(4, 1)})
	// A spent refresh token does not keep a grant alive.
	last := tokens("last")
	last.Refresh = nil
	t.ok(s.RotateRefreshToken(t.ctx, hash("g refresh", 0), last, start, 0))
	t.ok(s.Sweep(t.ctx, start.Add(48*time.Hour)))
	all, err = s.GrantsOf(t.ctx, uid(1))
	t.ok(err)
	same(t, "grants left in the end", all, []store.Grant{newGrant(1, 1), newGrant(4, 1)})
}

// generation holds each method that changes what principals are made of to naming that, and all others to naming nothing.
func generation(t *T) {
	s := t.open()
	t.people(s, 4)
	t.ok(s.AddApp(t.ctx, newApp(1)))
	t.ok(s.AddApp(t.ctx, newApp(2)))
	t.post(s, 1, 2)
	for i := range 3 {
		t.ok(s.AddGrant(t.ctx, newGrant(i, 1), tokens("g", i)))
	}
	t.ok(s.AddCode(t.ctx, newCode(1)))
	t.ok(s.RedeemCode(t.ctx, hash("code", 1), newGrant(9, 1), tokens("c"), start))
	t.ok(s.RotateRefreshToken(t.ctx, hash("g refresh", 1), tokens("h"), start, 0))
	expired := newCode(2)
	expired.Expires = start.Add(-time.Minute)
	t.ok(s.AddCode(t.ctx, expired))
	type made struct {
		app   liked.AppID
		user  liked.UserID
		grant store.GrantID
	}
	all := []made{{app: 1}, {app: 2}, {user: uid(1)}, {user: uid(2)}, {user: uid(3)}, {user: uid(4)},
		{grant: grantID(0)}, {grant: grantID(1)}, {grant: grantID(2)}, {grant: grantID(9)}}
	user := func(n int, change func(*liked.User)) func() {
		return func() { t.ok(s.UpdateUser(t.ctx, uid(n), func(u *liked.User) error { change(u); return nil })) }
	}
	app := func(change func(*store.App)) func() {
		return func() { t.ok(s.UpdateApp(t.ctx, 1, func(a *store.App) error { change(a); return nil })) }
	}
	for _, step := range []struct {
		name    string
		do      func()
		changed made // zero: nothing
	}{
		{"user suspended", func() { t.state(s, 1, liked.Suspended) }, made{user: uid(1)}},
		{"user locked", func() { t.state(s, 1, liked.Locked) }, made{user: uid(1)}},
		{"user renamed", user(2, func(u *liked.User) { u.Username, u.Name = "another", "Another" }), made{}},
		{"profile changed", user(2, func(u *liked.User) { u.Description, u.Protected = "new", true }), made{}},
		{"user added", func() { t.ok(s.AddUser(t.ctx, newUser(9))) }, made{}},
		{"password", func() { t.ok(s.SetPassword(t.ctx, uid(2), "secret")) }, made{}},
		{"app suspended", app(func(a *store.App) { a.State = liked.AppSuspended }), made{app: 1}},
		{"bearer changed", app(func(a *store.App) { a.BearerHash = hash("new") }), made{app: 1}},
		{"app added", func() { t.ok(s.AddApp(t.ctx, newApp(3))) }, made{}},
		{"like", func() { t.like(s, 2, 1, true, true) }, made{}},
		{"follow", func() { t.follow(s, 3, 4, true, true) }, made{}},
		{"block", func() { t.block(s, 3, 4, true, true) }, made{}},
		{"post deleted", func() { t.ok(s.DeletePost(t.ctx, 0, pid(1))) }, made{}},
		{"sweep of a code", func() { t.ok(s.Sweep(t.ctx, start)) }, made{}},
		{"grant added", func() { t.ok(s.AddGrant(t.ctx, newGrant(5, 3), tokens("x"))) }, made{}},
		{"owned app added", func() {
			a := newApp(4)
			a.Owner = uid(2)
			t.ok(s.AddApp(t.ctx, a))
		}, made{}},
		{"grant revoked", func() { t.ok(s.RevokeGrant(t.ctx, grantID(0))) }, made{grant: grantID(0)}},
		{"no grant revoked", func() { t.ok(s.RevokeGrant(t.ctx, grantID(7))) }, made{}},
		{"refresh token used", func() { t.ok(s.RotateRefreshToken(t.ctx, hash("g refresh", 2), tokens("y"), start, 0)) }, made{}},
		{"refresh token replayed", func() {
			t.fails(s.RotateRefreshToken(t.ctx, hash("g refresh", 1), tokens("i"), start.Add(time.Hour), 0), liked.Conflict)
		}, made{grant: grantID(1)}},
		{"code replayed", func() {
			t.fails(s.RedeemCode(t.ctx, hash("code", 1), newGrant(10, 1), tokens("d"), start), liked.Conflict)
		}, made{grant: grantID(9)}},
		{"consent withdrawn", func() { t.ok(s.Withdraw(t.ctx, uid(2), 1)) }, made{user: uid(2)}},
		{"tokens expired", func() { t.ok(s.ExpireTokens(t.ctx, grantID(2), start)) }, made{grant: grantID(2)}},
		{"app deleted", func() { t.ok(s.DeleteApp(t.ctx, 2)) }, made{app: 2}},
	} {
		numbers := func() (n []uint64) {
			for _, m := range all {
				n = append(n, s.PrincipalGeneration(m.app, m.user, m.grant))
			}
			return n
		}
		whole, topic, before := s.PrincipalGeneration(1, uid(1), grantID(0)), s.Generation(store.Principals), numbers()
		step.do()
		for i, after := range numbers() {
			if (after != before[i]) != (all[i] == step.changed) {
				t.Errorf("%s: the generation of %+v went from %d to %d", step.name, all[i], before[i], after)
			}
		}
		if changed := s.Generation(store.Principals) != topic; changed != (step.changed != made{}) {
			t.Errorf("%s: the generation changed: %v", step.name, changed)
		}
		part := step.changed == made{app: 1} || step.changed == made{user: uid(1)} || step.changed == made{grant: grantID(0)}
		if changed := s.PrincipalGeneration(1, uid(1), grantID(0)) != whole; changed != part {
			t.Errorf("%s: the generation of what is made of three changed: %v", step.name, changed)
		}
	}
}

func sealKey(t *T) {
	s := t.open()
	keeps := func(name, want string) {
		t.Helper()
		got, err := s.SealKey(t.ctx, name)
		t.ok(err)
		if got != want {
			t.Errorf("SealKey %q: got %q, want %q", name, got, want)
		}
	}
	keeps("one", "one")
	keeps("two", "one")
	t.ok(s.SetSealKey(t.ctx, "three"))
	keeps("two", "three")
	seeded := func(want bool) {
		t.Helper()
		if got, err := s.KnownSeed(t.ctx); err != nil || got != want {
			t.Errorf("KnownSeed: got %v, %v, want %v", got, err, want)
		}
	}
	seeded(false)
	t.ok(s.SetKnownSeed(t.ctx))
	t.ok(s.SetKnownSeed(t.ctx))
	s = t.Reopen(t, s)
	t.end(s)
	keeps("one", "three")
	seeded(true)
}
