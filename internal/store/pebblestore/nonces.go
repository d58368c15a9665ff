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
// a nonce must not be used again. An app may have as many as there is room left: one that takes all it can leaves half of
// the room to others, n of them leave one part of n+1.
type nonces struct {
	max    int // in one shard
	shards [nonceShards]struct {
		mu      sync.Mutex
		count   int
		apps    map[liked.AppID]int    // counts of those since the start; those from the disk are of app 0, which has no limit
		minutes map[int64]*nonceMinute // by minute of expiry
		_       [24]byte               // keeps neighbours' locks off one cache line
	}
}

type nonceMinute struct {
	seen map[nonceKey]struct{}
	apps map[liked.AppID]int
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
func (n *nonces) add(app liked.AppID, h store.Hash, until, now int64) (fresh bool, err error) {
	s := &n.shards[h[31]%nonceShards]
	key := nonceKey(h[:16])
	minute := until / 60
	s.mu.Lock()
	defer s.mu.Unlock()
	in := s.minutes[minute]
	if in != nil {
		if _, ok := in.seen[key]; ok {
			return false, nil
		}
	}
	full := func() bool { return s.count >= n.max || app != 0 && s.apps[app] >= n.max-s.count }
	if in == nil || full() {
		for m, old := range s.minutes {
			if m*60+59 < now && m != minute {
				s.count -= len(old.seen)
				for app, count := range old.apps {
					if s.apps[app] -= count; s.apps[app] == 0 {
						delete(s.apps, app)
					}
				}
				delete(s.minutes, m)
			}
		}
	}
	if full() {
		return false, liked.Errorf(liked.Unavailable, "%d nonces are remembered, %d of them of app %d, which is as many as it may have: "+
			"those of others need room, too; it gets free within minutes", s.count*nonceShards, s.apps[app]*nonceShards, app)
	}
	if in == nil {
		if s.minutes == nil {
			s.minutes, s.apps = make(map[int64]*nonceMinute), make(map[liked.AppID]int)
		}
		in = &nonceMinute{make(map[nonceKey]struct{}), make(map[liked.AppID]int)}
		s.minutes[minute] = in
	}
	in.seen[key] = struct{}{}
	in.apps[app]++
	s.apps[app]++
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
