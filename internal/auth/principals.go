package auth

import (
	"encoding/binary"
	"time"

	"liked"
	"liked/internal/cache"
	"liked/internal/store"
)

const principalsMax = 65536

// principals remembers what the store said about credentials. Only credentials that exist are remembered: guesses do not push
// out callers, and a new token works at once.
//
// An entry holds the store's generation of what it was made of, and is not used once the store gives another. An entry during
// whose reading any principal changed is not remembered: it may be older than its generation.
type principals struct {
	store store.Changes
	*cache.Cache[store.Hash, *caller]
}

// caller is an entry. It does not change once it is remembered.
type caller struct {
	generation uint64
	principal  liked.Principal
	grant      store.GrantID // zero for AppOnly
	expires    time.Time     // zero: never
	signer     *signer       // of an OAuth 1.0a token
}

func newPrincipals(s store.Changes) principals {
	return principals{s, cache.New[store.Hash, *caller](principalsMax, func(h store.Hash) uint64 { return binary.NativeEndian.Uint64(h[:]) })}
}

// get returns the remembered caller, nil if there is none or something that it was made of has changed.
func (p *principals) get(key store.Hash) *caller {
	c, ok := p.Get(key)
	if !ok || c.generation != p.now(c) {
		return nil
	}
	return c
}

// now returns the generation of what c is made of.
func (p *principals) now(c *caller) uint64 {
	return p.store.PrincipalGeneration(c.principal.App, c.principal.User, c.grant)
}

// before returns what put is told. It is called before the store is read.
func (p *principals) before() uint64 { return p.store.Generation(store.Principals) }

func (p *principals) put(key store.Hash, c *caller, before uint64) {
	c.generation = p.now(c)
	p.Put(key, c, func() bool { return p.before() == before })
}
