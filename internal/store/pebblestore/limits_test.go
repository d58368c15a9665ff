package pebblestore

import (
	"crypto/sha256"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"liked"
	"liked/internal/store"
)

func TestNoncesAreBounded(t *testing.T) {
	t.Parallel()
	const docsTime, memory = 1318622958, 600
	const limit = 6400
	const app = 0
	var book nonces
	book.init(limit)
	hash := func(i int) (h store.Hash) { return sha256.Sum256([]byte(fmt.Sprint(i))) }
	var accepted, full []int
	for i := range 2 * limit {
		fresh, err := book.add(app, hash(i), docsTime+int64(i%600)+memory, docsTime+300)
		if fresh {
			accepted = append(accepted, i)
		} else if err != nil {
			full = append(full, i)
		}
	}
	if got := held(&book); got > limit || got != len(accepted) || len(full) == 0 {
		t.Errorf("got %d remembered of %d accepted, %d refused for lack of room; want at most %d", got, len(accepted), len(full), limit)
	}
	for _, i := range accepted { // nothing was forgotten to make room
		if fresh, err := book.add(app, hash(i), docsTime+int64(i%600)+memory, docsTime+300); fresh || err != nil {
			t.Fatalf("nonce %d was forgotten", i)
		}
	}
	// All of them are too old to be let in, and make room.
	const later = docsTime + 600 + 600 + 60
	for i := range limit / 2 {
		if fresh, _ := book.add(app, hash(i), later+memory, later); !fresh && i < limit/4 {
			t.Fatalf("there is no room for nonce %d though all others are old", i)
		}
	}
	if got := held(&book); got > limit/2 {
		t.Errorf("got %d remembered, want the %d new ones at most", got, limit/2)
	}
}

// An app that takes all it can leaves half of the room, which is free again for it with its own nonces.
func TestNoncesAreShared(t *testing.T) {
	t.Parallel()
	const now, memory, limit = 1318622958, 600, 64 * 1000
	var book nonces
	book.init(limit)
	take := func(app liked.AppID, at int64) (taken int) {
		for i := range 2 * limit {
			fresh, err := book.add(app, sha256.Sum256(fmt.Append(nil, app, at, i)), at+memory, at)
			if err != nil && liked.KindOf(err) != liked.Unavailable {
				t.Fatal(err)
			}
			if fresh {
				taken++
			}
		}
		return taken
	}
	for app, part := range []int{1: 2, 2: 4, 3: 8} {
		if app == 0 {
			continue
		}
		if got, want := take(liked.AppID(app), now), limit/part; got < want || got > want+nonceShards {
			t.Errorf("app %d has %d nonces, want %d", app, got, want)
		}
	}
	if got := take(1, now+memory+120); got < limit/2 || got > limit/2+nonceShards {
		t.Errorf("later app 1 has %d nonces, want %d again", got, limit/2)
	}
}

func held(n *nonces) (count int) {
	for i := range n.shards {
		for _, m := range n.shards[i].minutes {
			count += len(m.seen)
		}
	}
	return count
}

func BenchmarkTake(b *testing.B) {
	s := open(b, Options{})
	defer s.Close()
	rules := []liked.RateRule{{Window: 15 * time.Minute, Max: 1 << 40}, {Window: 24 * time.Hour, Max: 1 << 40}}
	var next atomic.Int64
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		states := make([]liked.RateState, 0, 4)
		n := next.Add(1_000_000)
		for pb.Next() {
			n++
			_, _, _ = s.Take(b.Context(), noon, "usersIdLike", 1, liked.UserID(n%1000), rules, states[:0])
		}
	})
}
