package pgstore

import (
	"testing"
	"time"

	"liked"
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
	var seen liked.Positions
	poll := func() {
		t.Helper()
		if err := a.pollOnce(t.Context(), &seen); err != nil {
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
	for !a.generations.blind.Load() { // which is once, since it does not poll by itself
		time.Sleep(10 * time.Millisecond)
	}
	poll()
	a.generations.blind.Store(false)
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
