// Package cache provides a bounded cache. Start with [New].
package cache

import "sync"

const shards = 64

// Cache is a bounded cache. It is safe for concurrent use.
type Cache[K comparable, V any] struct {
	hash   func(K) uint64
	max    int // per shard
	shards [shards]struct {
		sync.RWMutex
		m map[K]V
		_ [32]byte // keeps neighbours' locks off one cache line
	}
}

// New returns an empty cache of at most max values. hash must spread its results evenly over its lowest bits.
func New[K comparable, V any](max int, hash func(K) uint64) *Cache[K, V] {
	return &Cache[K, V]{hash: hash, max: max / shards}
}

// Get returns the value of k, if cached.
func (c *Cache[K, V]) Get(k K) (V, bool) {
	s := &c.shards[c.hash(k)%shards]
	s.RLock()
	v, ok := s.m[k]
	s.RUnlock()
	return v, ok
}

// Put caches the value of k, unless valid reports that it is out of date. A Drop after the value went out of date comes
// after Put, or valid sees it. A full cache evicts another value.
func (c *Cache[K, V]) Put(k K, v V, valid func() bool) {
	s := &c.shards[c.hash(k)%shards]
	s.Lock()
	defer s.Unlock()
	if !valid() {
		return
	}
	if s.m == nil {
		s.m = make(map[K]V)
	}
	if _, ok := s.m[k]; !ok && len(s.m) >= c.max {
		for other := range s.m { // in random order
			delete(s.m, other)
			break
		}
	}
	s.m[k] = v
}

// Drop removes the value of k.
func (c *Cache[K, V]) Drop(k K) {
	s := &c.shards[c.hash(k)%shards]
	s.Lock()
	delete(s.m, k)
	s.Unlock()
}
