package auth

import (
	"sync"
	"time"

	"liked/internal/store"
)

const (
	maxSkew     = 300 // seconds that oauth_timestamp may be off the clock, each way
	nonceMemory = 600 // seconds after its timestamp for which a nonce is remembered

	maxNonces   = 1 << 24 // some 28,000 signed requests a second for 600 s; about 0.4 GB
	nonceShards = 64
)

// nonces remembers requests that were let in (RFC 5849, 3.3). A nonce is unique for its timestamp, so it is remembered
// by the timestamp: it can go when the timestamp is no longer let in, and whole minutes go at once. It is remembered
// for 300 s longer than that, so that a clock which is set back a little does not let old requests in again.
//
// When there is no room the answer is to refuse, not to forget: only requests with a right signature are remembered, so
// that strangers cannot fill the room, and whoever has been let in once must not be let in again.
type nonces struct {
	max    int // in one shard
	shards [nonceShards]struct {
		mu      sync.Mutex
		count   int
		minutes map[int64]map[nonceKey]struct{} // by timestamp / 60
		_       [32]byte                        // keeps neighbours' locks off one cache line
	}
}

// nonceKey is the first half of a SHA-256: nobody finds two requests that share it.
type nonceKey [16]byte

func newNonces(limit int) *nonces {
	n := &nonces{max: limit / nonceShards}
	for i := range n.shards {
		n.shards[i].minutes = make(map[int64]map[nonceKey]struct{})
	}
	return n
}

type nonceVerdict uint8

const (
	nonceNew nonceVerdict = iota
	nonceSeen
	nonceNoRoom
)

// add remembers the nonce unless it is remembered already. Of concurrent calls with one nonce, one is told nonceNew.
// timestamp and now are seconds since 1970.
func (n *nonces) add(h store.Hash, timestamp, now int64) nonceVerdict {
	s := &n.shards[h[31]%nonceShards]
	key := nonceKey(h[:16])
	minute := timestamp / 60
	s.mu.Lock()
	defer s.mu.Unlock()
	seen := s.minutes[minute]
	if _, ok := seen[key]; ok {
		return nonceSeen
	}
	if seen == nil || s.count >= n.max {
		for m, old := range s.minutes {
			if m*60+59+nonceMemory < now && m != minute {
				s.count -= len(old)
				delete(s.minutes, m)
			}
		}
	}
	if s.count >= n.max {
		return nonceNoRoom
	}
	if seen == nil {
		seen = make(map[nonceKey]struct{})
		s.minutes[minute] = seen
	}
	seen[key] = struct{}{}
	s.count++
	return nonceNew
}

// load remembers a nonce that the store kept: one that is not old.
func (n *nonces) load(h store.Hash, until time.Time) {
	n.add(h, until.Unix()-nonceMemory, 0)
}

// keptUntil is the time until which the store must keep a nonce of the timestamp.
func keptUntil(timestamp int64) time.Time { return time.Unix(timestamp+nonceMemory, 0) }
