package pgstore

import (
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	"liked"
	"liked/internal/store"
)

// generations counts changes of what servers cache. Changes of this process count by what they change; those of others,
// and the loss of contact, count for everything (poll.go).
type generations struct {
	topics [store.Webhooks + 1]atomic.Uint64
	marks  [1 << 16]atomic.Uint32 // by a hash of the app, user, grant or user of a subscription
	all    [store.Webhooks + 1]atomic.Uint64

	mu   sync.Mutex
	seen [store.Webhooks + 1]uint64 // by the database's count of all servers' changes, up to which this server knows them

	blindAfter time.Duration

	begun time.Time
	asked atomic.Int64 // when the last poll that succeeded was begun, in nanoseconds since begun
}

// blind reports whether others' changes cannot be told: then every call returns another number. A clock is asked, so that what
// held the whole process up holds nothing else up.
func (g *generations) blind() bool {
	return time.Since(g.begun)-time.Duration(g.asked.Load()) > g.blindAfter
}

// saw notes the number of the last change, which others may have made, as those before it. One below those that were seen is an
// answer that comes late, or of a database that a failover took back.
func (g *generations) saw(topic store.Topic, number uint64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if number != g.seen[topic] {
		g.seen[topic] = number
		g.forget(topic)
	}
}

// change has the transaction change a topic: its number in the database, and here, by did, what marks what has changed. The row
// is locked last of all. Numbers are committed in their order.
func (t *tx) change(s *Store, topic store.Topic, did func(g *generations)) {
	g := &s.generations
	var number uint64
	column := [...]string{store.Principals: "principals", store.Webhooks: "webhooks"}[topic]
	t.exec("UPDATE meta SET " + column + " = " + column + " + 1 RETURNING " + column).
		QueryRow(func(r pgx.Row) error { return r.Scan(&number) })
	t.onCommit(func() {
		g.mu.Lock()
		if number == g.seen[topic]+1 { // else the poll finds others' changes before it
			g.seen[topic] = number
		}
		g.mu.Unlock()
		g.topics[topic].Add(1) // first, as the contract demands
		did(g)
	})
}

func (g *generations) forget(topic store.Topic) {
	g.topics[topic].Add(1) // first, as the contract demands
	g.all[topic].Add(1)
}

func (g *generations) forgetAll() {
	g.forget(store.Principals)
	g.forget(store.Webhooks)
}

// of counts the changes of what has the key: an app, a user, a grant, or a user whom subscriptions are about.
func of[K comparable](g *generations, key K) *atomic.Uint32 {
	return &g.marks[maphash.Comparable(seed, key)%uint64(len(g.marks))]
}

// about is the key of subscriptions about a user.
type about liked.UserID

func (s *Store) Generation(topic store.Topic) uint64 {
	g := &s.generations
	if g.blind() {
		g.forget(topic)
	}
	return g.topics[topic].Load()
}

func (s *Store) PrincipalGeneration(app liked.AppID, user liked.UserID, grant store.GrantID) uint64 {
	g := &s.generations
	if g.blind() {
		g.forget(store.Principals)
	}
	sum := g.all[store.Principals].Load() + uint64(of(g, app).Load())
	if user != 0 {
		sum += uint64(of(g, user).Load())
	}
	if grant != (store.GrantID{}) {
		sum += uint64(of(g, grant).Load())
	}
	return sum
}

func (s *Store) SubscriptionGeneration(user liked.UserID) uint64 {
	g := &s.generations
	if g.blind() {
		g.forget(store.Webhooks)
	}
	return g.all[store.Webhooks].Load() + uint64(of(g, about(user)).Load())
}

// principals has the transaction change what principals are made of: the app, the user and the grant that are not zero.
func (t *tx) principals(s *Store, app liked.AppID, user liked.UserID, grant store.GrantID) {
	t.change(s, store.Principals, func(g *generations) {
		if app != 0 {
			of(g, app).Add(1)
		}
		if user != 0 {
			of(g, user).Add(1)
		}
		if grant != (store.GrantID{}) {
			of(g, grant).Add(1)
		}
	})
}
