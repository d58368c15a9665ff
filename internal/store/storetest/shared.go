package storetest

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"liked"
	"liked/internal/store"
)

// Place is where any number of servers share a store. At first there is nothing.
type Place struct {
	// Open opens one more server.
	Open func() (store.Store, error)
	// OpenFar opens one whose way to what keeps the data is a link of its own. Its calls wait for the link for some seconds.
	OpenFar func() (store.Store, Link, error)
	// Raise makes what is kept that of a later release, which this one can still use or not.
	Raise func(usable bool)
}

// Link is a way that a test can interrupt.
type Link interface {
	Cut()  // ends all connections, and each new one at once
	Hold() // lets nothing through, as if the other side was no longer there
	Open() // undoes Cut and Hold
}

// RunShared proves what servers that share a store promise each other, of an engine that lets them. place returns a new one.
func RunShared(t *testing.T, place func(testing.TB) Place) {
	run(t, T{place: place}, map[string][]test{"Shared": sharedTests})
}

var sharedTests = []test{
	{"all make the store at once", sharedStart},
	{"other releases", sharedReleases},
	{"windows and nonces", sharedLimits},
	{"leases", sharedLeases},
	{"identifiers", sharedIdentifiers},
	{"what ends at one ends at the others", sharedRevocations},
	{"a server that cannot ask", sharedBlind},
	{"the log", sharedLog},
	{"subscriptions", sharedSubscriptions},
	{"a post's list grows at the top only", func(t *T) { sharedLists(t, postsLists) }},
	{"a user's list grows at the top only", func(t *T) { sharedLists(t, usersLists) }},
	{"rules", sharedRules},
}

// join opens servers of a new place. The end of the test closes them, and checks what they have kept.
func (t *T) join(n int) (servers []store.Store, p Place) {
	t.Helper()
	p = t.place(t)
	for range n {
		servers = append(servers, t.more(p))
	}
	return servers, p
}

func (t *T) more(p Place) store.Store {
	t.Helper()
	s, err := p.Open()
	t.ok(err)
	t.end(s)
	return s
}

func (t *T) far(p Place) (store.Store, Link) {
	t.Helper()
	s, link, err := p.OpenFar()
	t.ok(err)
	t.end(s)
	return s, link
}

// soon waits until ok.
func (t *T) soon(what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not so after a minute", what)
		}
	}
}

func sharedStart(t *T) {
	for range 3 {
		p := t.place(t)
		together(4, func(i int) {
			s, err := p.Open()
			if err != nil {
				t.Errorf("Open: %v", err)
				return
			}
			t.noError(s.AddUser(t.ctx, newUser(1+i)))
			t.noError(s.Close())
		})
		all, err := t.more(p).Users(t.ctx, 0, 9)
		t.ok(err)
		same(t, "users", len(all), 4)
	}
}

func sharedReleases(t *T) {
	servers, p := t.join(1)
	t.people(servers[0], 1)
	p.Raise(true)
	_, err := t.more(p).User(t.ctx, uid(1))
	t.ok(err)
	p.Raise(false)
	if s, err := p.Open(); err == nil {
		t.Error("a store that this release is too old for is opened")
		t.ok(s.Close())
	} else {
		t.fails(err, liked.Invalid)
	}
}

// sharedLimits: servers count as one, in windows that none of them has seen before.
func sharedLimits(t *T) {
	servers, _ := t.join(2)
	const keys, callers, each = 4, 16, 20
	var counted, apps, fresh [keys]atomic.Int64
	together(callers, func(i int) {
		s := servers[i%2]
		for n := range keys * each {
			n %= keys
			fifty := []liked.RateRule{{Window: 15 * time.Minute, Max: 50}}
			_, ok, err := s.Take(t.ctx, start, "one user", liked.AppID(1+n), uid(1), fifty, nil)
			if t.noError(err); ok {
				counted[n].Add(1)
			}
			both := []liked.RateRule{{Window: time.Hour, Max: 40}, {App: true, Window: time.Hour, Max: 150}}
			if _, ok, err = s.Take(t.ctx, start, "the app", liked.AppID(1+n), uid(1+i%4), both, nil); ok {
				apps[n].Add(1)
			}
			t.noError(err)
			ok, err = s.UseNonce(t.ctx, start, 1, hash("nonce", n), start.Add(time.Minute))
			if t.noError(err); ok {
				fresh[n].Add(1)
			}
		}
	})
	for n := range keys {
		same(t, "requests counted of 320, in a window of 50", counted[n].Load(), 50)
		same(t, "requests counted of 320 by four users with 40 each, in the app's window of 150", apps[n].Load(), 150)
		same(t, "calls to which a nonce was fresh", fresh[n].Load(), 1)
	}
}

// sharedLeases: a name is one server's at a time, until that releases it, closes, or has not renewed it in time.
func sharedLeases(t *T) {
	servers, p := t.join(2)
	a, b := servers[0], servers[1]
	hold := func(s store.Store, ttl time.Duration, names []string, want ...bool) {
		t.Helper()
		held, err := s.Hold(t.ctx, names, ttl)
		t.ok(err)
		same(t, "held", held, want)
	}
	hold(a, time.Hour, []string{"y", "x", "y"}, true, true, true)
	hold(b, time.Hour, []string{"x", "z", "y"}, false, true, false)
	t.ok(b.Release(t.ctx, []string{"x", "y"})) // which are not its own
	hold(b, time.Hour, []string{"x", "y"}, false, false)
	t.ok(a.Release(t.ctx, []string{"y", "z"}))
	hold(b, time.Hour, []string{"x", "y", "z"}, false, true, true)
	hold(b, time.Millisecond, []string{"z"}, true)
	time.Sleep(10 * time.Millisecond)
	hold(a, time.Hour, []string{"z"}, true)
	hold(b, time.Hour, []string{"z"}, false)
	t.ok(a.Close())
	hold(b, time.Hour, []string{"x", "z"}, true, true)

	for range repeat(20) {
		t.ok(b.Release(t.ctx, []string{"x"}))
		var won atomic.Int64
		rivals := []store.Store{b, t.more(p)}
		together(8, func(i int) {
			if held, err := rivals[i%2].Hold(t.ctx, []string{"x"}, time.Hour); err == nil && held[0] {
				won.Add(1 << (8 * (i % 2)))
			} else {
				t.noError(err)
			}
		})
		if n := won.Load(); n != 4 && n != 4<<8 {
			t.Errorf("two servers hold one name: of four calls each got it %d and %d", n&0xff, n>>8)
		}
		t.ok(rivals[1].Close())
		hold(b, time.Hour, []string{"x"}, true)
	}

	lost, link := t.far(p)
	const ttl = 700 * time.Millisecond
	begun := time.Now()
	hold(lost, ttl, []string{"w"}, true)
	link.Hold()
	t.soon("another server that takes over", func() bool {
		held, err := b.Hold(t.ctx, []string{"w"}, time.Hour)
		t.ok(err)
		return held[0]
	})
	if after := time.Since(begun); after < ttl {
		t.Errorf("a lease of %v was another's after %v", ttl, after)
	}
	_, err := lost.Hold(t.ctx, []string{"w"}, time.Hour)
	t.fails(err, liked.Unavailable)
	link.Open()
	t.soon("the server that is back", func() bool {
		held, err := lost.Hold(t.ctx, []string{"w"}, time.Hour)
		if err == nil && held[0] {
			t.Error("a server that is back takes what has another holder")
		}
		return err == nil
	})
}

// sharedIdentifiers: no two servers make the same one, those that have ended included.
func sharedIdentifiers(t *T) {
	servers, p := t.join(3)
	var mu sync.Mutex
	seen := make(map[int64]bool)
	for range 2 {
		together(6, func(i int) {
			ids := make([]int64, 3000)
			for n := range ids {
				ids[n] = servers[i/2].NewID(start)
			}
			mu.Lock()
			defer mu.Unlock()
			for _, id := range ids {
				if seen[id] {
					t.Errorf("%d was made twice", id)
					return
				}
				seen[id] = true
			}
		})
		t.ok(servers[0].Close())
		servers[0] = t.more(p)
	}
}

// sharedRevocations: what one server changes ends what another has in memory, within 2 s, however slow the machine is: a server
// that was not told in time believes nothing.
func sharedRevocations(t *T) {
	servers, _ := t.join(2)
	a, b := servers[0], servers[1]
	t.ok(a.AddApp(t.ctx, newApp(1)))
	t.people(a, 1)
	for n := 1; n <= 3; n++ {
		t.ok(a.AddGrant(t.ctx, newGrant(n, 1), tokens("t", n)))
	}
	for _, c := range []struct {
		what  string
		ended int // whose token has ended
		do    func() error
	}{
		{"a revocation", 1, func() error { return a.RevokeGrant(t.ctx, grantID(1)) }},
		{"a user who is suspended", 0, func() error {
			return a.UpdateUser(t.ctx, uid(1), func(u *liked.User) error { u.State = liked.Suspended; return nil })
		}},
		{"an app that changes", 0, func() error {
			return a.UpdateApp(t.ctx, 1, func(a *store.App) error { a.State = liked.AppSuspended; return nil })
		}},
		{"a withdrawal", 2, func() error { return a.Withdraw(t.ctx, uid(1), 1) }},
		{"an app that is deleted", 0, func() error { return a.DeleteApp(t.ctx, 1) }},
	} {
		whole, part := b.Generation(store.Principals), b.PrincipalGeneration(1, uid(1), grantID(3))
		t.ok(c.do())
		for end := time.Now().Add(2 * time.Second); b.Generation(store.Principals) == whole && time.Now().Before(end); {
			time.Sleep(10 * time.Millisecond)
		}
		if b.Generation(store.Principals) == whole || b.PrincipalGeneration(1, uid(1), grantID(3)) == part {
			t.Errorf("%s: another server has not noticed after 2 s", c.what)
		}
		if c.ended != 0 {
			_, _, err := b.AccessToken(t.ctx, tokens("t", c.ended).Access.Token)
			t.fails(err, liked.NotFound)
		}
	}
}

// sharedBlind: a server that cannot ask believes nothing from memory, and does again once it can.
func sharedBlind(t *T) {
	servers, p := t.join(1)
	a := servers[0]
	b, link := t.far(p)
	numbers := func() [4]uint64 {
		return [...]uint64{b.Generation(store.Principals), b.Generation(store.Webhooks), b.PrincipalGeneration(1, 2, grantID(3)),
			b.SubscriptionGeneration(4)}
	}
	sees := func() bool {
		before := numbers()
		return numbers() == before
	}
	for what, stop := range map[string]func(){"connections that end": link.Cut, "connections on which nothing comes": link.Hold} {
		t.soon("a server that can ask", sees)
		stop()
		t.ok(a.SetKnownSeed(t.ctx)) // the other one goes on
		time.Sleep(2 * time.Second)
		before := numbers()
		for range 3 {
			after := numbers()
			for i := range after {
				if after[i] == before[i] {
					t.Errorf("%s: number %d is the same in two calls after 2 s", what, i)
				}
			}
			before = after
		}
		_, _, err := b.AccessToken(t.ctx, hash("a"))
		t.fails(err, liked.Unavailable)
		link.Open()
		t.soon("a server that can ask again", sees)
		if numbers() == before {
			t.Errorf("%s: what was in memory before is believed again", what)
		}
		known, err := b.KnownSeed(t.ctx)
		t.ok(err)
		same(t, "what the other one did meanwhile", known, true)
	}
}
