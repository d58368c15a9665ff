// Package cache provides a bounded cache. Start with [New].
package cache

import "sync"

const shards = 64

// Cache is a bounded cache. It is safe for concurrent use.
type Cache[K comparable, V any] struct {
	hash   func(K) uint64
	size   func(V) int
	max    int // per shard
	shards [shards]struct {
		sync.RWMutex
		m    map[K]V
		size int
		_    [24]byte // keeps neighbours' locks off one cache line
	}
}

// New returns an empty cache of values whose sizes together are at most max. hash must spread its results evenly over its
// lowest bits. If size is nil, that of each value is one.
func New[K comparable, V any](max int, hash func(K) uint64, size func(V) int) *Cache[K, V] {
	if size == nil {
		size = func(V) int { return 1 }
	}
	return &Cache[K, V]{hash: hash, size: size, max: max / shards}
}

// Get returns the value of k, if cached.
func (c *Cache[K, V]) Get(k K) (V, bool) {
	s := &c.shards[c.hash(k)%shards]
	s.RLock()
	v, ok := s.m[k]
	s.RUnlock()
	return v, ok
}

// Put caches the value of k. A full cache evicts others.
func (c *Cache[K, V]) Put(k K, v V) {
	s := &c.shards[c.hash(k)%shards]
	s.Lock()
	defer s.Unlock()
	if s.m == nil {
		s.m = make(map[K]V)
	}
	if old, ok := s.m[k]; ok {
		s.size -= c.size(old)
		delete(s.m, k)
	}
	s.size += c.size(v)
	for other, old := range s.m { // in random order
		if s.size <= c.max {
			break
		}
		s.size -= c.size(old)
		delete(s.m, other)
	}
	s.m[k] = v
}
