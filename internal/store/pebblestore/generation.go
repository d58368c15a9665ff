package pebblestore

import (
	"encoding/binary"
	"sync/atomic"

	"liked"
	"liked/internal/store"
)

// generations counts changes of what servers cache.
type generations struct {
	topics [store.Webhooks + 1]atomic.Uint64
	// made counts, by mark, changes of parts of principals (users, apps, grants) and of subscriptions about a user.
	made     [1 << 16]atomic.Uint32
	aboutAll atomic.Uint64 // changes of subscriptions about any number of users
}

func (g *generations) of(mark uint64) *atomic.Uint32 { return &g.made[mark%uint64(len(g.made))] }

func mark(tag byte, id uint64) uint64 { return mix(mix(uint64(tag)) ^ id) }

func grantMark(id store.GrantID) uint64 {
	return mark(tagGrant, binary.BigEndian.Uint64(id[:8])^mix(binary.BigEndian.Uint64(id[8:])))
}

func (s *Store) Generation(topic store.Topic) uint64 { return s.generations.topics[topic].Load() }

func (s *Store) PrincipalGeneration(app liked.AppID, user liked.UserID, grant store.GrantID) uint64 {
	g := &s.generations
	sum := uint64(g.of(mark(tagApp, uint64(app))).Load())
	if user != 0 {
		sum += uint64(g.of(mark(tagUser, uint64(user))).Load())
	}
	if grant != (store.GrantID{}) {
		sum += uint64(g.of(grantMark(grant)).Load())
	}
	return sum
}

func (s *Store) SubscriptionGeneration(user liked.UserID) uint64 {
	return uint64(s.generations.of(mark(tagAbout, uint64(user))).Load()) + s.generations.aboutAll.Load()
}

// count counts an operation's changes once they can be read.
func (g *generations) count(t *tx) {
	if t.hooks {
		g.topics[store.Webhooks].Add(1)
	}
	if t.about != 0 {
		g.of(mark(tagAbout, uint64(t.about))).Add(1)
	}
	if t.owner != 0 {
		g.of(ownerMark(t.owner)).Add(1)
	}
	if t.aboutAll {
		g.aboutAll.Add(1)
	}
	if len(t.made) > 0 {
		g.topics[store.Principals].Add(1) // topic first, as the contract demands
	}
	for _, mark := range t.made {
		g.of(mark).Add(1)
	}
}
