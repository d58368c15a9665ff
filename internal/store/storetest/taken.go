package storetest

import (
	"cmp"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"liked"
	"liked/internal/store"
)

// given is what user 1 or 2 gave to app 1 or 2: a grant of each kind, a code and an approved request token.
type given struct{ user, app int }

var allGiven = []given{{1, 1}, {1, 2}, {2, 1}, {2, 2}}

func (g given) n() int { return 10*g.user + g.app }

func (g given) grant(n int) store.Grant {
	grant := newGrant(1000*n+g.n(), g.user)
	grant.App = liked.AppID(g.app)
	return grant
}

func (g given) give(t *T, s store.Store) {
	t.Helper()
	n := g.n()
	t.ok(s.AddGrant(t.ctx, g.grant(1), tokens("g", n)))
	t.ok(s.AddOAuth1Token(t.ctx, g.grant(2), store.OAuth1Token{Token: hash("o", n)}))
	c := newCode(n)
	c.App, c.User = liked.AppID(g.app), uid(g.user)
	t.ok(s.AddCode(t.ctx, c))
	t.ok(s.AddRequestToken(t.ctx, store.RequestToken{Token: hash("r", n), App: liked.AppID(g.app), Expires: start.Add(time.Hour)}))
	t.ok(s.ApproveRequestToken(t.ctx, hash("r", n), uid(g.user), hash("v")))
}

// holds checks whether the grants are there, and whether code and request token, which are spent by that, still make grants.
func (g given) holds(t *T, s store.Store, grants, pending bool) {
	t.Helper()
	n := g.n()
	expect := func(what string, err error, want bool) {
		t.Helper()
		if want && err != nil || !want && (err == nil || liked.KindOf(err) != liked.NotFound) {
			t.Errorf("%s of user %d to app %d: got error %v, want it to hold: %v", what, g.user, g.app, err, want)
		}
	}
	_, _, err := s.AccessToken(t.ctx, hash("g access", n))
	expect("access token", err, grants)
	_, _, err = s.RefreshToken(t.ctx, hash("g refresh", n))
	expect("refresh token", err, grants)
	expect("use of a refresh token", s.RotateRefreshToken(t.ctx, hash("g refresh", n), tokens("h", n), start, time.Hour), grants)
	_, _, err = s.OAuth1Token(t.ctx, hash("o", n))
	expect("OAuth 1.0a token", err, grants)
	expect("code", s.RedeemCode(t.ctx, hash("code", n), g.grant(3), tokens("c", n), start), pending)
	_, _, err = s.AccessToken(t.ctx, hash("c access", n))
	expect("access token of a code", err, pending)
	expect("request token", s.RedeemRequestToken(t.ctx, hash("r", n), g.grant(4), store.OAuth1Token{Token: hash("ro", n)}), pending)
	_, _, err = s.OAuth1Token(t.ctx, hash("ro", n))
	expect("OAuth 1.0a token of a request token", err, pending)
	all, err := s.GrantsOf(t.ctx, uid(g.user))
	t.ok(err)
	left := 0
	for _, other := range all {
		if other.App == liked.AppID(g.app) {
			left++
		}
	}
	want := 0
	if grants {
		want += 2
	}
	if pending {
		want += 2
	}
	same(t, fmt.Sprintf("grants of user %d to app %d", g.user, g.app), left, want)
}

// What is taken back stays taken back, whatever was on its way, and nothing else is.
func takenBack(t *T) {
	password := func(s store.Store) { t.ok(s.SetPassword(t.ctx, uid(1), "new")) }
	app := func(s store.Store, state liked.AppState) {
		t.ok(s.UpdateApp(t.ctx, 1, func(a *store.App) error { a.State = state; return nil }))
	}
	for _, c := range []struct {
		name            string
		do              func(s store.Store)
		user, app       int // zero: any
		grants, pending bool
	}{
		{"nothing", func(store.Store) {}, 0, 0, true, true},
		{"withdraw", func(s store.Store) { t.ok(s.Withdraw(t.ctx, uid(1), 1)) }, 1, 1, false, false},
		{"password", password, 1, 0, true, false},
		{"user suspended", func(s store.Store) { t.state(s, 1, liked.Suspended); t.state(s, 1, liked.Active) }, 1, 0, true, false},
		{"user locked", func(s store.Store) { t.state(s, 1, liked.Locked) }, 0, 0, true, true},
		{"app suspended", func(s store.Store) { app(s, liked.AppSuspended); app(s, liked.Enrolled) }, 0, 1, true, false},
		{"app not enrolled", func(s store.Store) { app(s, liked.NotEnrolled) }, 0, 0, true, true},
		{"app deleted", func(s store.Store) { t.ok(s.DeleteApp(t.ctx, 1)) }, 0, 1, false, false},
		{"app handed over", func(s store.Store) {
			t.ok(s.UpdateApp(t.ctx, 1, func(a *store.App) error { a.Owner = uid(2); return nil }))
		}, 0, 1, false, false},
	} {
		for _, between := range []string{"", "swept", "reopened"} {
			t.Logf("%s %s", c.name, between)
			s := t.Open(t)
			t.people(s, 2)
			t.ok(s.AddApp(t.ctx, newApp(1)))
			t.ok(s.AddApp(t.ctx, newApp(2)))
			t.ok(s.UpdateApp(t.ctx, 1, func(a *store.App) error { a.State = liked.Enrolled; return nil }))
			for _, g := range allGiven {
				g.give(t, s)
			}
			c.do(s)
			t.check(s)
			switch between {
			case "swept":
				t.ok(s.Sweep(t.ctx, start))
				t.check(s)
			case "reopened":
				s = t.Reopen(t, s)
			}
			t.end(s)
			for _, g := range allGiven {
				hit := (c.user == 0 || c.user == g.user) && (c.app == 0 || c.app == g.app)
				g.holds(t, s, c.grants || !hit, c.pending || !hit)
			}
		}
	}
}

// After consent was withdrawn it can be given anew.
func givenAnew(t *T) {
	s := t.open()
	t.people(s, 2)
	t.ok(s.AddApp(t.ctx, newApp(1)))
	for round := range 3 {
		g := given{1, 1}
		t.ok(s.AddGrant(t.ctx, g.grant(10+round), tokens("t", round)))
		t.ok(s.AddGrant(t.ctx, given{2, 1}.grant(10+round), tokens("other", round)))
		code := newCode(100 + round)
		t.ok(s.AddCode(t.ctx, code))
		t.ok(s.RedeemCode(t.ctx, code.Code, g.grant(20+round), tokens("c", round), start))
		for _, name := range []string{"t access", "c access"} {
			_, _, err := s.AccessToken(t.ctx, hash(name, round))
			t.ok(err)
		}
		before := s.PrincipalGeneration(1, uid(1), grantID(1))
		t.ok(s.Withdraw(t.ctx, uid(1), 1))
		if s.PrincipalGeneration(1, uid(1), grantID(1)) == before {
			t.Error("what was cached of the user would live on")
		}
		for _, name := range []string{"t access", "c access"} {
			_, _, err := s.AccessToken(t.ctx, hash(name, round))
			t.fails(err, liked.NotFound)
		}
		t.fails(s.RedeemCode(t.ctx, code.Code, g.grant(30+round), tokens("d", round), start), liked.Conflict)
		if round == 1 {
			t.ok(s.Sweep(t.ctx, start))
		}
	}
	all, err := s.GrantsOf(t.ctx, uid(2))
	t.ok(err)
	same(t, "another user's grants", len(all), 3)
}

func deleteApp(t *T) {
	s := t.open()
	t.people(s, 3)
	for n := 1; n <= 2; n++ {
		t.ok(s.AddApp(t.ctx, newApp(n)))
		for k := range 3 {
			t.ok(s.AddWebhook(t.ctx, newWebhook(10*n+k, n), 9))
			sub := newSubscription(10*n+k, n, 1+k)
			sub.Webhook = liked.WebhookID(10*n + k)
			t.ok(s.AddSubscription(t.ctx, sub, 9))
		}
		letter := store.DeadLetter{Webhook: liked.WebhookID(10 * n), Subscription: 1, Event: liked.LikeEvent{Seq: 7, User: uid(1)}}
		_, err := s.AddDeadLetters(t.ctx, []store.DeadLetter{letter}, 9)
		t.ok(err)
	}
	hooks, about, app := s.Generation(store.Webhooks), s.SubscriptionGeneration(uid(3)), s.PrincipalGeneration(1, 0, store.GrantID{})
	t.ok(s.DeleteApp(t.ctx, 1))
	if s.Generation(store.Webhooks) == hooks || s.SubscriptionGeneration(uid(3)) == about ||
		s.PrincipalGeneration(1, 0, store.GrantID{}) == app {
		t.Error("what was cached of the app would live on")
	}
	for range 2 { // before and after a sweep
		t.check(s)
		for _, err := range []error{
			s.DeleteApp(t.ctx, 1),
			s.UpdateApp(t.ctx, 1, func(*store.App) error { return nil }),
			s.AddWebhook(t.ctx, newWebhook(30, 1), 9),
			s.AddSubscription(t.ctx, newSubscription(30, 1, 1), 9),
			s.AddGrant(t.ctx, newGrant(1, 1), tokens("x")),
			s.AddOAuth1Token(t.ctx, newGrant(1, 1), store.OAuth1Token{Token: hash("o")}),
			s.DeleteWebhook(t.ctx, 10),
			s.DeleteSubscription(t.ctx, 1, 10),
		} {
			t.fails(err, liked.NotFound)
		}
		_, err := s.App(t.ctx, 1)
		t.fails(err, liked.NotFound)
		_, err = s.AppByClientID(t.ctx, "client 1")
		t.fails(err, liked.NotFound)
		_, err = s.AppByAPIKey(t.ctx, "key 1")
		t.fails(err, liked.NotFound)
		_, err = s.AppByBearer(t.ctx, hash("bearer", 1))
		t.fails(err, liked.NotFound)
		_, err = s.Progress(t.ctx, 10)
		t.fails(err, liked.NotFound)
		letters, err := s.DeadLetters(t.ctx, 10, store.DeadLetter{}, 9)
		t.ok(err)
		same(t, "dead letters", letters, nil)
		for app, want := range []int{0, 0, 3} {
			n, err := s.CountSubscriptions(t.ctx, liked.AppID(app), 0)
			t.ok(err)
			same(t, "number of subscriptions", n, want)
			subs, err := s.Subscriptions(t.ctx, liked.AppID(app), 0, 0, 9)
			t.ok(err)
			same(t, "subscriptions", len(subs), want)
		}
		subs, err := s.SubscriptionsAbout(t.ctx, []liked.UserID{uid(1), uid(2), uid(3)})
		t.ok(err)
		same(t, "subscriptions about users", len(subs), 3)
		all, err := s.Webhooks(t.ctx, 0)
		t.ok(err)
		same(t, "webhooks", len(all), 3)
		apps, err := s.Apps(t.ctx)
		t.ok(err)
		same(t, "apps", apps, []liked.App{newApp(2).App})
		t.ok(s.Sweep(t.ctx, start))
	}
	// Its id is never another app's, its credentials may be.
	t.fails(s.AddApp(t.ctx, newApp(1)), liked.Conflict)
	again := newApp(1)
	again.ID = 5
	t.ok(s.AddApp(t.ctx, again))
	t.fails(s.DeleteApp(t.ctx, 9), liked.NotFound)
}

// An app that goes to another owner has nothing left but its secrets; what is made for it anew stays.
func handOver(t *T) {
	s := t.open()
	t.people(s, 3)
	t.ok(s.AddApp(t.ctx, newApp(1)))
	give := func(n int) {
		t.Helper()
		t.ok(s.AddWebhook(t.ctx, newWebhook(n, 1), 1))
		sub := newSubscription(n, 1, 2)
		sub.Webhook = liked.WebhookID(n)
		t.ok(s.AddSubscription(t.ctx, sub, 1))
		t.ok(s.AddGrant(t.ctx, newGrant(n, 1), tokens("t", n)))
	}
	give(1)
	about := s.SubscriptionGeneration(uid(2))
	t.ok(s.UpdateApp(t.ctx, 1, func(a *store.App) error { a.Name = "renamed"; return nil }))
	if s.SubscriptionGeneration(uid(2)) != about {
		t.Error("a new name ends what is cached of subscriptions")
	}
	for n := 2; n <= 4; n++ {
		t.ok(s.UpdateApp(t.ctx, 1, func(a *store.App) error { a.Owner = uid(1 + n%3); return nil }))
		_, _, err := s.AccessToken(t.ctx, hash("t access", n-1))
		t.fails(err, liked.NotFound)
		_, err = s.Webhook(t.ctx, liked.WebhookID(n-1))
		t.fails(err, liked.NotFound)
		_, err = s.AppByBearer(t.ctx, hash("bearer", 1))
		t.fails(err, liked.NotFound)
		app, err := s.AppByAPIKey(t.ctx, "key 1")
		t.ok(err)
		same(t, "client secret", app.ClientSecretHash, newApp(1).ClientSecretHash)
		give(n)
		t.check(s)
		if n == 3 {
			t.ok(s.Sweep(t.ctx, start))
		}
		subs, err := s.SubscriptionsAbout(t.ctx, []liked.UserID{uid(2)})
		t.ok(err)
		if len(subs) != 1 || subs[0].ID != liked.SubscriptionID(n) {
			t.Errorf("got subscriptions %+v, want %d", subs, n)
		}
		_, _, err = s.AccessToken(t.ctx, hash("t access", n))
		t.ok(err)
	}
	if s.SubscriptionGeneration(uid(2)) == about {
		t.Error("what was cached of the subscriptions would live on")
	}
}

// Nobody owns more apps than they may, however many calls there are at once, and whether an app is added or handed over.
func ownedApps(t *T) {
	s := t.open()
	t.people(s, 2)
	const many = 2 * store.MaxOwnedApps
	var added atomic.Int32
	var calls sync.WaitGroup
	for n := 1; n <= many; n++ {
		calls.Go(func() {
			switch err := s.AddApp(t.ctx, newApp(n)); {
			case err == nil:
				added.Add(1)
			case liked.KindOf(err) != liked.Forbidden:
				t.Errorf("AddApp: got error %v", err)
			}
		})
	}
	calls.Wait()
	same(t, "apps added", added.Load(), store.MaxOwnedApps)
	owned := func(want ...int) {
		t.Helper()
		all, err := s.Apps(t.ctx)
		t.ok(err)
		got := make([]int, 3)
		for _, a := range all {
			got[number(a.Owner)]++
		}
		same(t, "apps of the operator and of two users", got, want)
	}
	owned(0, store.MaxOwnedApps, 0)
	free := newApp(many + 1)
	free.Owner = 0
	t.ok(s.AddApp(t.ctx, free))
	give := func(id liked.AppID, owner liked.UserID) error {
		return s.UpdateApp(t.ctx, id, func(a *store.App) error { a.Owner = owner; return nil })
	}
	t.fails(give(free.ID, uid(1)), liked.Forbidden)
	t.ok(give(free.ID, uid(2)))
	all, err := s.Apps(t.ctx)
	t.ok(err)
	var first, last liked.AppID
	for _, a := range all {
		if a.Owner == uid(1) {
			first, last = cmp.Or(first, a.ID), a.ID
		}
	}
	t.ok(s.UpdateApp(t.ctx, first, func(a *store.App) error { a.Name = "renamed"; return nil })) // not one more
	t.ok(give(first, 0))
	t.ok(s.DeleteApp(t.ctx, last))
	owned(1, store.MaxOwnedApps-2, 1)
	for range 2 {
		for n := 1; n <= 4; n++ { // handed over and added at once
			a := newApp(many + 10 + n)
			calls.Go(func() {
				if n <= 2 {
					_ = give([]liked.AppID{first, free.ID}[n-1], uid(1))
				} else {
					_ = s.AddApp(t.ctx, a)
				}
			})
		}
		calls.Wait()
	}
	all, err = s.Apps(t.ctx)
	t.ok(err)
	n := 0
	for _, a := range all {
		if a.Owner == uid(1) {
			n++
		}
	}
	same(t, "apps of user 1", n, store.MaxOwnedApps)
}

func expireTokens(t *T) {
	s := t.open()
	t.ok(s.AddGrant(t.ctx, newGrant(1, 1), tokens("t", 0)))
	const many = 150
	for n := range many {
		t.ok(s.RotateRefreshToken(t.ctx, hash("t refresh", n), tokens("t", n+1), start, 0))
	}
	t.ok(s.AddGrant(t.ctx, newGrant(2, 1), tokens("other")))
	before := s.PrincipalGeneration(1, uid(1), grantID(1))
	t.ok(s.ExpireTokens(t.ctx, grantID(1), start.Add(2*time.Hour))) // later than they do
	got, _, err := s.AccessToken(t.ctx, hash("t access", 0))
	t.ok(err)
	same(t, "expiry that comes sooner", got.Expires, start.Add(time.Hour))
	t.ok(s.ExpireTokens(t.ctx, grantID(1), start))
	t.ok(s.ExpireTokens(t.ctx, grantID(3), start))
	if s.PrincipalGeneration(1, uid(1), grantID(1)) == before {
		t.Error("what was cached of the grant would live on")
	}
	for n := range many + 1 {
		got, _, err := s.AccessToken(t.ctx, hash("t access", n))
		t.ok(err)
		same(t, "access token", got, store.AccessToken{Token: hash("t access", n), Expires: start})
	}
	got, _, err = s.AccessToken(t.ctx, hash("other access"))
	t.ok(err)
	same(t, "expiry of another grant's", got.Expires, start.Add(time.Hour))
	t.ok(s.RotateRefreshToken(t.ctx, hash("t refresh", many), tokens("t", many+1), start, 0))
	got, _, err = s.AccessToken(t.ctx, hash("t access", many+1))
	t.ok(err)
	same(t, "expiry of a new token", got.Expires, start.Add(time.Hour))
	t.ok(s.Sweep(t.ctx, start.Add(time.Minute)))
	_, _, err = s.AccessToken(t.ctx, hash("t access", 0))
	t.fails(err, liked.NotFound)
	_, _, err = s.AccessToken(t.ctx, hash("other access"))
	t.ok(err)
}

// inPages reads a list in pages of two, and returns what it holds.
func inPages[Item any](t *T, get func(last *Item) ([]Item, error)) (all []Item) {
	t.Helper()
	var last *Item
	for {
		page, err := get(last)
		t.ok(err)
		all = append(all, page...)
		if len(page) < 2 {
			return all
		}
		last = &page[1]
	}
}

// expireOthers ends the refresh token of a grant, and codes by each of their marks, and nothing else.
func expireOthers(t *T) {
	s := t.open()
	t.ok(s.AddGrant(t.ctx, newGrant(1, 1), tokens("g", 1)))
	t.ok(s.AddGrant(t.ctx, newGrant(2, 1), tokens("g", 2)))
	t.ok(s.RotateRefreshToken(t.ctx, hash("g refresh", 1), tokens("h", 1), start, 0))
	for range 2 {
		t.ok(s.ExpireRefreshToken(t.ctx, grantID(1)))
	}
	_, _, err := s.RefreshToken(t.ctx, hash("h refresh", 1))
	t.fails(err, liked.NotFound)
	for _, token := range []store.Hash{hash("g refresh", 1), hash("g refresh", 2)} { // spent, and of another grant
		_, _, err = s.RefreshToken(t.ctx, token)
		t.noError(err)
	}
	_, _, err = s.AccessToken(t.ctx, hash("h access", 1))
	t.noError(err)
	t.ok(s.ExpireRefreshToken(t.ctx, grantID(3)))

	for n, c := range []store.Code{{App: 1, User: uid(1)}, {App: 2, User: uid(1)}, {App: 1, User: uid(2)}, {App: 2, User: uid(2)}} {
		code := newCode(n)
		code.App, code.User = c.App, c.User
		t.ok(s.AddCode(t.ctx, code))
	}
	expired := func(want ...bool) {
		t.Helper()
		for n, want := range want {
			c, err := s.Code(t.ctx, hash("code", n))
			t.noError(err)
			same(t, fmt.Sprintf("code %d has expired", n), c.Expires.Equal(start), want)
		}
	}
	t.ok(s.ExpireCodes(t.ctx, store.Hash{}, uid(1), 1, start))
	expired(true, false, false, false)
	t.ok(s.ExpireCodes(t.ctx, hash("code", 3), 0, 0, start))
	expired(true, false, false, true)
	t.ok(s.ExpireCodes(t.ctx, store.Hash{}, 0, 1, start))
	expired(true, false, true, true)
	t.ok(s.ExpireCodes(t.ctx, store.Hash{}, 0, 0, start.Add(time.Hour))) // never later than they did
	expired(true, false, true, true)
	t.ok(s.ExpireCodes(t.ctx, store.Hash{}, uid(1), 0, start))
	expired(true, true, true, true)
	s = t.Reopen(t, s)
	expired(true, true, true, true)
}

func usersNamed(t *T) {
	s := t.open()
	for n, name := range []string{"ab", "abc", "Ab_", "aBd", "b", "a", "AB0"} {
		u := newUser(n + 1)
		u.Username = name
		t.ok(s.AddUser(t.ctx, u))
	}
	t.state(s, 2, liked.Suspended)
	t.post(s, 1, 2)
	for prefix, want := range map[string][]string{
		"ab": {"ab", "AB0", "Ab_", "abc", "aBd"}, "AB": {"ab", "AB0", "Ab_", "abc", "aBd"}, "abc": {"abc"}, "c": nil,
		"": {"a", "ab", "AB0", "Ab_", "abc", "aBd", "b"}, "\xff": nil, "a\x00": nil,
	} {
		var got []string
		for _, u := range inPages(t, func(last *liked.User) ([]liked.User, error) {
			after := ""
			if last != nil {
				after = last.Username
			}
			return s.UsersNamed(t.ctx, prefix, after, 2)
		}) {
			got = append(got, u.Username)
		}
		same(t, fmt.Sprintf("usernames that begin with %q", prefix), got, want)
	}
	users, err := s.UsersNamed(t.ctx, "abc", "", 1)
	t.ok(err)
	want, err := s.User(t.ctx, uid(2))
	t.ok(err)
	same(t, "a user", users, []liked.User{want})
	_, err = s.UsersNamed(t.ctx, "a", "", 0)
	t.fails(err, liked.Invalid)
}

func related(t *T) {
	s := t.open()
	t.people(s, 6)
	for _, pair := range [][2]int{{1, 5}, {1, 2}, {1, 4}, {3, 1}, {2, 1}, {6, 2}} {
		t.follow(s, pair[0], pair[1], true, true)
	}
	for _, pair := range [][2]int{{1, 6}, {1, 3}, {4, 1}} { // which ends a follow
		t.block(s, pair[0], pair[1], true, true)
	}
	t.state(s, 5, liked.Suspended)
	for user, sides := range map[int][4][]int{1: {{2, 5}, {2}, {3, 6}, {4}}, 2: {{1}, {1, 6}, nil, nil}, 5: {nil, {1}, nil, nil}} {
		for side, want := range sides {
			var got []int
			for _, u := range inPages(t, func(last *liked.User) ([]liked.User, error) {
				var after liked.UserID
				if last != nil {
					after = last.ID
				}
				return s.Related(t.ctx, uid(user), store.Side(side), after, 2)
			}) {
				got = append(got, number(u.ID))
			}
			same(t, fmt.Sprintf("side %d of user %d", side, user), got, want)
		}
	}
	users, err := s.Related(t.ctx, uid(2), store.Following, 0, 1)
	t.ok(err)
	want, err := s.User(t.ctx, uid(1))
	t.ok(err)
	same(t, "a user", users, []liked.User{want})
	_, err = s.Related(t.ctx, uid(9), store.Following, 0, 2)
	t.fails(err, liked.NotFound)
	_, err = s.Related(t.ctx, uid(1), store.Following, 0, 0)
	t.fails(err, liked.Invalid)
}

func postsBy(t *T) {
	s := t.open()
	t.people(s, 3)
	for n := 1; n <= 9; n++ {
		t.post(s, n, 1+n%2)
	}
	t.ok(s.DeletePost(t.ctx, 0, pid(4)))
	t.ok(s.DeletePost(t.ctx, 0, pid(9)))
	t.like(s, 3, 8, true, true)
	t.protect(s, 1, true)
	t.state(s, 2, liked.Suspended)
	for author, want := range map[int][]int{0: {8, 7, 6, 5, 3, 2, 1}, 1: {8, 6, 2}, 2: {7, 5, 3, 1}, 3: nil, 7: nil} {
		var got []int
		for _, p := range inPages(t, func(last *liked.Post) ([]liked.Post, error) {
			var before liked.PostID
			if last != nil {
				before = last.ID
			}
			return s.PostsBy(t.ctx, uid(author), before, 2)
		}) {
			got = append(got, number(p.ID))
		}
		same(t, fmt.Sprintf("posts of user %d", author), got, want)
	}
	posts, err := s.PostsBy(t.ctx, 0, 0, 1)
	t.ok(err)
	want := newPost(8, 1)
	want.Metrics.Likes = 1
	same(t, "a post", posts, []liked.Post{want})
	_, err = s.PostsBy(t.ctx, 0, 0, 0)
	t.fails(err, liked.Invalid)
}
