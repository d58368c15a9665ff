package journal

import (
	"math/rand/v2"
	"slices"
	"testing"
)

func TestQueue(t *testing.T) {
	t.Parallel()
	var q queue[uint64] // of its own numbers
	check := func() {
		t.Helper()
		items := q.all()
		if len(items) != q.len() || q.next-q.first != uint64(len(items)) {
			t.Fatalf("%d items, said to be %d, of the numbers from %d to %d", len(items), q.len(), q.first, q.next)
		}
		for i, item := range items {
			if n := q.first + uint64(i); item != n || *q.at(n) != n {
				t.Fatalf("item %d is %d, and %d at its place", n, item, *q.at(n))
			}
		}
		if len(q.ring) > max(16, 4*300) {
			t.Fatalf("a ring of %d for 300", len(q.ring))
		}
	}
	for range 10_000 {
		switch n := rand.IntN(100); {
		case n == 0:
			before := q.next
			if q.clear(); q.len() != 0 || q.next != before {
				t.Fatalf("cleared, %d are left, and the next is %d after %d", q.len(), q.next, before)
			}
		case q.len() == 300 || n < 40 && q.len() > 0:
			oldest := q.first
			if got := q.drop(); got != oldest || slices.Contains(q.ring, got) && got != 0 {
				t.Fatalf("dropped %d instead of %d, which is kept: %t", got, oldest, slices.Contains(q.ring, got))
			}
		default:
			q.add(q.next)
		}
		check()
	}
}
