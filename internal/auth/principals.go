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
// An entry holds the store's generation from before the store was read. If anything that it was made of changed while
// it was read or later, then the generation has changed too by the time that the change is acknowledged, and the entry
// is not used again.
type principals struct {
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
	expires    time.Time // zero: never
	signer     *signer   // of an OAuth 1.0a token
}

func newPrincipals() *principals {
	p := new(principals)
	for i := range p.shards {
		p.shards[i].entries = make(map[store.Hash]*caller)
	}
	return p
}

// get returns the caller if it was read from the store in this generation, nil otherwise.
func (p *principals) get(key store.Hash, generation uint64) *caller {
	s := &p.shards[key[0]%principalShards]
	s.mu.RLock()
	c := s.entries[key]
	s.mu.RUnlock()
	if c == nil || c.generation != generation {
		return nil
	}
	return c
}

// put remembers the caller; if there is no room, some other is forgotten.
func (p *principals) put(key store.Hash, c *caller) {
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
