package pgstore

import (
	"testing"
	"time"

	"liked/internal/store/pgstore/pgtest"
)

// Another server's change is never taken for an own one, whenever the poll runs; and an own one costs nothing else.
func TestGenerationsOfTwo(t *testing.T) {
	t.Parallel()
	dsn := pgtest.Schema(t)
	var servers [2]*Store
	for i := range servers {
		var err error
		// Neither polls by itself, and this test is not about one that could not.
		if servers[i], err = Open(Options{DSN: dsn, Readers: 2, Writers: 2, pollEvery: time.Hour, blindAfter: time.Hour}); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = servers[i].Close() })
	}
	a, b := servers[0], servers[1]
	var p poller
	poll := func() {
		t.Helper()
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
	// Its own first poll may be slow, and would tell later what was so now.
	for end := time.Now().Add(10 * time.Second); a.generations.asked.Load() == 0 && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
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

// soon waits until ok, and fails the test if that is not so in the end.
func soon(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not so after a minute", what)
		}
	}
}
