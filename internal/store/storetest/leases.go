package storetest

import (
	"context"
	"time"

	"liked"
)

var leaseTests = []test{{"one server", leases}, {"identifiers", identifiers}}

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

// identifiers rise, whatever the clock does, and none is given twice.
func identifiers(t *T) {
	s := t.open()
	const callers, each = 8, 5000 // more than one millisecond has room for
	all := make([][]int64, callers)
	together(callers, func(i int) {
		for n := range each {
			all[i] = append(all[i], s.NewID(start.Add(-time.Duration(n)*time.Microsecond)))
		}
	})
	seen := make(map[int64]bool)
	for _, ids := range all {
		for n, id := range ids {
			if seen[id] || n > 0 && id <= ids[n-1] {
				t.Fatalf("got %d after %d, or twice", id, ids[max(n, 1)-1])
			}
			seen[id] = true
		}
	}
	const ahead = 64 // milliseconds that the counter may run ahead of the clock for so many
	first := s.NewID(start.Add(time.Second)) >> 22
	if want := start.Add(time.Second).UnixMilli() - 1288834974657; first < want || first > want+ahead {
		t.Errorf("an identifier is of the millisecond %d, want %d", first, want)
	}
}
