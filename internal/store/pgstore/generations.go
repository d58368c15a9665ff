package pgstore

import (
	"encoding/binary"
	"sync/atomic"

	"liked"
	"liked/internal/store"
)

// generations counts changes of what servers cache. Changes of this process count by what they change; those of others,
// and the loss of contact, count for everything (poll.go).
type generations struct {
	topics [store.Webhooks + 1]atomic.Uint64
	marks  [1 << 16]atomic.Uint32 // by a hash of the app, user, grant or user of a subscription
	all    [store.Webhooks + 1]atomic.Uint64
}

func (g *generations) of(kind byte, id uint64) *atomic.Uint32 {
	return &g.marks[mix(mix(uint64(kind))^id)%uint64(len(g.marks))]
}

// mix spreads bits, as the finalizer of SplitMix64 does.
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

func grantMark(id store.GrantID) uint64 {
	return binary.BigEndian.Uint64(id[:8]) ^ mix(binary.BigEndian.Uint64(id[8:]))
}

func (s *Store) Generation(topic store.Topic) uint64 { return s.generations.topics[topic].Load() }

func (s *Store) PrincipalGeneration(app liked.AppID, user liked.UserID, grant store.GrantID) uint64 {
	g := &s.generations
	sum := g.all[store.Principals].Load() + uint64(g.of('a', uint64(app)).Load())
	if user != 0 {
		sum += uint64(g.of('u', uint64(user)).Load())
	}
	if grant != (store.GrantID{}) {
		sum += uint64(g.of('g', grantMark(grant)).Load())
	}
	return sum
}

func (s *Store) SubscriptionGeneration(user liked.UserID) uint64 {
	return s.generations.all[store.Webhooks].Load() + uint64(s.generations.of('s', uint64(user)).Load())
}

// principals has the transaction change what principals are made of: the topic's number in the database, for other servers,
// and here those of the app, the user and the grant that are not zero.
func (t *tx) principals(s *Store, app liked.AppID, user liked.UserID, grant store.GrantID) {
	t.exec("UPDATE meta SET principals = principals + 1")
	t.onCommit(func() {
		g := &s.generations
		g.topics[store.Principals].Add(1) // first, as the contract demands
		if app != 0 {
			g.of('a', uint64(app)).Add(1)
		}
		if user != 0 {
			g.of('u', uint64(user)).Add(1)
		}
		if grant != (store.GrantID{}) {
			g.of('g', grantMark(grant)).Add(1)
		}
	})
}
