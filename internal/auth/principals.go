package auth

import (
	"sync"
	"time"

	"liked"
	"liked/internal/store"
)

const (
	principalShards = 64
	principalsMax   = 65536 / principalShards // in one shard
)

// principals remembers what the store said about credentials, so that a busy caller costs the store nothing. Only
// credentials that exist are remembered: guesses do not push out callers, and a new token works at once.
//
// An entry holds the number that the store gave for what it was made of, and is not used again once the store gives
// another. An entry during whose reading a principal changed, whichever, is not remembered: it may be older than its number.
type principals struct {
	store  store.Changes
	shards [principalShards]struct {
		mu      sync.RWMutex
		entries map[store.Hash]*caller
		_       [32]byte // keeps neighbours' locks off one cache line
	}
}

// caller is an entry. It does not change once it is remembered.
type caller struct {
	generation uint64
	principal  liked.Principal
	grant      store.GrantID // zero for AppOnly
	expires    time.Time     // zero: never
	signer     *signer       // of an OAuth 1.0a token
}

func newPrincipals(s store.Changes) *principals {
	p := &principals{store: s}
	for i := range p.shards {
		p.shards[i].entries = make(map[store.Hash]*caller)
	}
	return p
}

// get returns the caller if it is remembered and nothing that it was made of has changed, nil otherwise.
func (p *principals) get(key store.Hash) *caller {
	s := &p.shards[key[0]%principalShards]
	s.mu.RLock()
	c := s.entries[key]
	s.mu.RUnlock()
	if c == nil || c.generation != p.now(c) {
		return nil
	}
	return c
}

// now returns the number of what c is made of.
func (p *principals) now(c *caller) uint64 {
	return p.store.PrincipalGeneration(c.principal.App, c.principal.User, c.grant)
}

// before returns what put must be told: it is asked for before the store is read.
func (p *principals) before() uint64 { return p.store.Generation(store.Principals) }

// put remembers the caller; if there is no room, some other is forgotten.
func (p *principals) put(key store.Hash, c *caller, before uint64) {
	if c.generation = p.now(c); p.before() != before {
		return
	}
	s := &p.shards[key[0]%principalShards]
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.entries[key]; !ok && len(s.entries) >= principalsMax {
		for other := range s.entries { // in random order
			delete(s.entries, other)
			break
		}
	}
	s.entries[key] = c
}
