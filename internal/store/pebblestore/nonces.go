package pebblestore

import (
	"sync"

	"liked"
	"liked/internal/store"
)

const (
	maxNonces   = 1 << 24 // some 28,000 signed requests a second for 600 s; about 0.4 GB
	nonceShards = 64
)

// nonces remembers used nonces by minute of expiry, and drops whole minutes. When full it refuses and does not forget:
// a nonce must not be used again.
type nonces struct {
	max    int // in one shard
	shards [nonceShards]struct {
		mu      sync.Mutex
		count   int
		minutes map[int64]map[nonceKey]struct{} // by minute of expiry
		_       [32]byte                        // keeps neighbours' locks off one cache line
	}
}

// nonceKey is the first half of a SHA-256: collisions are infeasible to find.
type nonceKey [16]byte

// keptNonce is a nonce and its expiry in microseconds.
type keptNonce struct {
	hash  store.Hash
	until int64
}

func (n *nonces) init(limit int) { n.max = limit / nonceShards }

// add remembers the nonce until the given time unless it is remembered already. Of concurrent calls with one nonce, one
// gets fresh. Times are Unix seconds.
func (n *nonces) add(h store.Hash, until, now int64) (fresh bool, err error) {
	s := &n.shards[h[31]%nonceShards]
	key := nonceKey(h[:16])
	minute := until / 60
	s.mu.Lock()
	defer s.mu.Unlock()
	seen := s.minutes[minute]
	if _, ok := seen[key]; ok {
		return false, nil
	}
	if seen == nil || s.count >= n.max {
		for m, old := range s.minutes {
			if m*60+59 < now && m != minute {
				s.count -= len(old)
				delete(s.minutes, m)
			}
		}
	}
	if s.count >= n.max {
		return false, liked.Errorf(liked.Unavailable,
			"%d nonces are remembered, which is as many as there is room for; it gets free within minutes", s.count*nonceShards)
	}
	if seen == nil {
		if s.minutes == nil {
			s.minutes = make(map[int64]map[nonceKey]struct{})
		}
		seen = make(map[nonceKey]struct{})
		s.minutes[minute] = seen
	}
	seen[key] = struct{}{}
	s.count++
	return true, nil
}

// decodeNonces reads a row of nonces, whose key has the first hash.
func decodeNonces(key, value []byte) (nonces []keptNonce, err error) {
	r := record{b: value}
	n := keptNonce{hash: splitNonceKey(key)}
	signed(&r, &n.until)
	for nonces = append(nonces, n); len(r.b) > 0; nonces = append(nonces, n) {
		r.raw(n.hash[:])
		signed(&r, &n.until)
	}
	return nonces, r.done()
}
