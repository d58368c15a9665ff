package pgstore

import (
	"fmt"
	"testing"
	"time"

	"liked"
	"liked/internal/store"
	"liked/internal/store/pgstore/pgtest"
)

// Another server's change is never taken for an own one, whenever the poll runs; and an own one costs nothing else.
func TestGenerationsOfTwo(t *testing.T) {
	t.Parallel()
	dsn := pgtest.Schema(t)
	var servers [2]*Store
	for i := range servers {
		var err error
		if servers[i], err = Open(Options{DSN: dsn, Readers: 2, Writers: 2, pollEvery: time.Hour}); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = servers[i].Close() })
	}
	a, b := servers[0], servers[1]
	var p poller
	poll := func() {
		t.Helper()
		a.generations.asked.Store(int64(time.Since(a.generations.begun))) // it does not poll by itself, and this test is about other things
		if err := a.pollOnce(t.Context(), &p); err != nil {
			t.Error(err)
		}
	}
	change := func(s *Store, committed func()) {
		t.Helper()
		err := s.update(t.Context(), func(t *tx) error {
			t.onCommit(committed)
			t.subscribed(s, 7)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	// changes tells whether a takes what it knows about another user for old.
	changes := func(do func()) bool {
		before := a.SubscriptionGeneration(8)
		do()
		return a.SubscriptionGeneration(8) != before
	}
	poll()
	for range 3 {
		if changes(func() { change(a, func() {}); poll() }) {
			t.Error("an own change counts for all users")
		}
		change(a, poll) // between the commit and what follows it here
		if !changes(func() { change(b, func() {}); poll() }) {
			t.Error("another server's change is not seen after an own one that the poll saw")
		}
		if !changes(func() { change(b, func() {}); change(a, func() {}); poll() }) {
			t.Error("another server's change is not seen before an own one")
		}
		if !changes(func() { change(a, func() {}); change(b, func() {}); poll() }) {
			t.Error("another server's change is not seen after an own one")
		}
		if changes(poll) {
			t.Error("a poll that finds nothing counts")
		}
	}
}

// openTwo opens two servers on one schema. What the second says goes through the link.
func openTwo(t *testing.T) (a, b *Store, link *pgtest.Link) {
	t.Helper()
	dsn := pgtest.Schema(t)
	link = pgtest.NewLink(t, dsn)
	var servers []*Store
	for _, dsn := range []string{dsn, link.DSN} {
		s, err := Open(Options{DSN: dsn, Readers: 2, Writers: 2, Patience: time.Second})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		servers = append(servers, s)
	}
	return servers[0], servers[1], link
}

// soon waits until ok, and fails the test if that is not so in the end.
func soon(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not so after 20 s", what)
		}
	}
}

// What one server changes ends what another has in memory: within 2 s, however slow the machine is, since a server that was not
// told in time believes nothing.
func TestRevocationIsSeen(t *testing.T) {
	t.Parallel()
	a, b, _ := openTwo(t)
	ctx := t.Context()
	app := store.App{App: liked.App{ID: 1, ClientID: "c", APIKey: "k"}}
	if err := a.AddApp(ctx, app); err != nil {
		t.Fatal(err)
	}
	if err := a.AddUser(ctx, liked.User{ID: 1, Username: "ada", Name: "Ada"}); err != nil {
		t.Fatal(err)
	}
	n := byte(0)
	grant := func() (g store.Grant, token store.Hash) {
		t.Helper()
		n++
		g, token = store.Grant{ID: store.GrantID{n}, App: 1, User: 1}, store.Hash{n}
		if err := a.AddGrant(ctx, g, store.Tokens{Access: store.AccessToken{Token: token}}); err != nil {
			t.Fatal(err)
		}
		return g, token
	}
	revoked, token := grant()
	withdrawn, other := grant()
	kept, _ := grant()
	tokens := map[store.GrantID]store.Hash{revoked.ID: token, withdrawn.ID: other}
	for _, c := range []struct {
		name  string
		grant store.GrantID // whose token has ended
		do    func() error
	}{
		{"a revocation", revoked.ID, func() error { return a.RevokeGrant(ctx, revoked.ID) }},
		{"a user who is suspended", store.GrantID{}, func() error {
			return a.UpdateUser(ctx, 1, func(u *liked.User) error { u.State = liked.Suspended; return nil })
		}},
		{"an app that changes", store.GrantID{}, func() error {
			return a.UpdateApp(ctx, 1, func(a *store.App) error { a.State = liked.AppSuspended; return nil })
		}},
		{"a withdrawal", withdrawn.ID, func() error { return a.Withdraw(ctx, 1, 1) }},
		{"an app that is deleted", store.GrantID{}, func() error { return a.DeleteApp(ctx, 1) }},
	} {
		whole, part := b.Generation(store.Principals), b.PrincipalGeneration(1, 1, kept.ID)
		if err := c.do(); err != nil {
			t.Fatal(err)
		}
		for end := time.Now().Add(2 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
			if b.Generation(store.Principals) != whole {
				break
			}
		}
		if b.Generation(store.Principals) == whole || b.PrincipalGeneration(1, 1, kept.ID) == part {
			t.Errorf("%s: another server has not noticed after 2 s", c.name)
		}
		if c.grant != (store.GrantID{}) {
			if _, _, err := b.AccessToken(ctx, tokens[c.grant]); liked.KindOf(err) != liked.NotFound {
				t.Errorf("%s: got error %v for the token, want one of kind %v", c.name, err, liked.NotFound)
			}
		}
	}
}

// A server that cannot ask believes nothing from memory, and does again once it can.
func TestBlind(t *testing.T) {
	t.Parallel()
	a, b, link := openTwo(t)
	numbers := func() [4]uint64 {
		return [...]uint64{b.Generation(store.Principals), b.Generation(store.Webhooks), b.PrincipalGeneration(1, 2, store.GrantID{3}),
			b.SubscriptionGeneration(4)}
	}
	sees := func() bool {
		before := numbers()
		return numbers() == before
	}
	for name, stop := range map[string]func(){"connections that end": link.Cut, "connections on which nothing comes": link.Hold} {
		soon(t, "a server that can ask", sees)
		stop()
		if err := a.SetKnownSeed(t.Context()); err != nil { // the other one goes on
			t.Error(err)
		}
		time.Sleep(2 * time.Second)
		before := numbers()
		for range 3 {
			after := numbers()
			for i := range after {
				if after[i] == before[i] {
					t.Errorf("%s: number %d is the same in two calls after 2 s", name, i)
				}
			}
			before = after
		}
		if _, _, err := b.AccessToken(t.Context(), store.Hash{1}); liked.KindOf(err) != liked.Unavailable {
			t.Errorf("%s: got error %v, want one of kind %v", name, err, liked.Unavailable)
		}
		link.Open()
		soon(t, "a server that can ask again", sees)
		if numbers() == before {
			t.Errorf("%s: what was in memory before is believed again", name)
		}
		if known, err := b.KnownSeed(t.Context()); err != nil || !known {
			t.Errorf("%s: got %v, %v from the server that can ask again", name, known, err)
		}
	}
}

// A like at one server ends the wait for the log at another.
func TestLikeLogOfTwo(t *testing.T) {
	t.Parallel()
	a, b, _ := openTwo(t)
	ctx := t.Context()
	for id := liked.UserID(1); id <= 2; id++ {
		if err := a.AddUser(ctx, liked.User{ID: id, Username: fmt.Sprintf("user%d", id), Name: "User"}); err != nil {
			t.Fatal(err)
		}
	}
	if err := a.AddPost(ctx, liked.Post{ID: 7, Author: 2, Text: "x"}); err != nil {
		t.Fatal(err)
	}
	got := make(chan []liked.LikeEvent, 1)
	go func() {
		events, err := b.LikeLog(ctx, liked.PartitionOf(1), 0, 9)
		if err != nil {
			t.Error(err)
		}
		got <- events
	}()
	soon(t, "a reader of the log", func() bool { return b.pollers.Load() > 0 })
	if _, err := a.SetLike(ctx, 1, 7, true, time.Now()); err != nil {
		t.Fatal(err)
	}
	if events := <-got; len(events) != 1 || events[0].User != 1 || events[0].Post != 7 {
		t.Errorf("got %v, want the like", events)
	}
}
