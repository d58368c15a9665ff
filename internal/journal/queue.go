package journal

// queue holds items by the numbers that they got when they were added, which go on from 0. Only the oldest are removed.
type queue[T any] struct {
	ring        []T    // item n is ring[n%len(ring)]; the length is a power of two
	first, next uint64 // numbers of the oldest item, and of the next one
}

func (q *queue[T]) len() int { return int(q.next - q.first) }

// at returns the place of an item that is there.
func (q *queue[T]) at(n uint64) *T { return &q.ring[n&uint64(len(q.ring)-1)] }

func (q *queue[T]) add(item T) {
	if q.len() == len(q.ring) {
		old := *q
		q.ring = make([]T, max(16, 2*len(old.ring)))
		for n := q.first; n < q.next; n++ {
			*q.at(n) = *old.at(n)
		}
	}
	*q.at(q.next) = item
	q.next++
}

// drop removes the oldest item, of which there must be one.
func (q *queue[T]) drop() (item T) {
	place := q.at(q.first)
	item, *place = *place, item
	q.first++
	return item
}

// clear removes all. Numbers go on.
func (q *queue[T]) clear() { *q = queue[T]{first: q.next, next: q.next} }

// all returns a copy of the items, the oldest first.
func (q *queue[T]) all() []T {
	items := make([]T, 0, q.len())
	for n := q.first; n < q.next; n++ {
		items = append(items, *q.at(n))
	}
	return items
}
