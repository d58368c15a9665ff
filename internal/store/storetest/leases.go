package storetest

import (
	"context"
	"time"

	"liked"
)

var leaseTests = []test{{"one server", leases}}

// leases: a server holds what it asks for while no other does, however often it asks.
func leases(t *T) {
	s := t.open()
	hold := func(names ...string) {
		t.Helper()
		held, err := s.Hold(t.ctx, names, 10*time.Second)
		t.ok(err)
		same(t, "number of answers", len(held), len(names))
		for i, ok := range held {
			if !ok {
				t.Errorf("%q is not held", names[i])
			}
		}
	}
	hold()
	hold("a", "b/1")
	hold("b/1", "c", "a") // again
	t.ok(s.Release(t.ctx, []string{"b/1", "never held"}))
	t.ok(s.Release(t.ctx, nil))
	hold("b/1")
	_, err := s.Hold(t.ctx, []string{"a"}, 0)
	t.fails(err, liked.Invalid)
	ended, end := context.WithCancel(t.ctx)
	end()
	_, err = s.Hold(ended, []string{"a"}, time.Second)
	same(t, "error after ctx", err, context.Canceled)
	s = t.Reopen(t, s)
	t.end(s)
	hold("a") // its holder is gone, or is this one
	t.ok(s.Close())
	_, err = s.Hold(t.ctx, []string{"a"}, time.Second)
	t.fails(err, liked.Unavailable)
	t.fails(s.Release(t.ctx, []string{"a"}), liked.Unavailable)
}
