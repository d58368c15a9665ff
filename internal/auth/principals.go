package auth

import (
	"encoding/binary"
	"time"

	"liked"
	"liked/internal/cache"
	"liked/internal/store"
)

const principalsMax = 65536

// principals caches callers by credential. Only existing credentials are cached: guesses do not evict callers, and a
// new token works at once.
//
// An entry holds the store's generation of the records it was made of, and is ignored once that changes. It is not
// cached if any principal changed while it was read: it may be older than its generation.
type principals struct {
	store store.Changes
	*cache.Cache[store.Hash, *caller]
}

// caller is a cache entry, immutable once cached.
type caller struct {
	generation uint64
	principal  liked.Principal
	grant      store.GrantID // zero for AppOnly
	expires    time.Time     // zero: never
	signer     *signer       // of an OAuth 1.0a token
}

func newPrincipals(s store.Changes) principals {
	first := func(h store.Hash) uint64 { return binary.NativeEndian.Uint64(h[:]) }
	return principals{s, cache.New[store.Hash, *caller](principalsMax, first, nil)}
}

// get returns the cached caller, nil if there is none or its records changed.
func (p *principals) get(key store.Hash) *caller {
	c, ok := p.Get(key)
	if !ok || c.generation != p.now(c) {
		return nil
	}
	return c
}

// now returns the generation of c's records.
func (p *principals) now(c *caller) uint64 {
	return p.store.PrincipalGeneration(c.principal.App, c.principal.User, c.grant)
}

// before returns an argument of put. It is called before the store is read.
func (p *principals) before() uint64 { return p.store.Generation(store.Principals) }

func (p *principals) put(key store.Hash, c *caller, before uint64) {
	if c.generation = p.now(c); p.before() == before {
		p.Put(key, c)
	}
}
