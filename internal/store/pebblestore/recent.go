package pebblestore

import (
	"cmp"
	"slices"
	"sync"

	"liked"
)

// recentLikes knows all likes changed after group since, readable or not. A like that it does not know is as it was
// found by a call that looked when that group was visible. It is asked before the database: most likes repeated or
// taken back are young.
type recentLikes struct {
	shards [64]struct {
		sync.Mutex
		aging[likeID, liked.Seq] // 0: taken back
	}

	// The committer's alone.
	pending         map[likeID]liked.Seq // changes of the current group
	size            int                  // of now, over all shards
	since, nowSince uint64
}

type likeID struct {
	user liked.UserID
	post liked.PostID
}

// recentSize is how many of the newest likes are known at least, and half of the most, give or take a group, at some 40
// bytes each.
const recentSize = 1 << 18

func (l *recentLikes) init() {
	l.pending = make(map[likeID]liked.Seq)
}

func (id likeID) hash() uint64 { return mix(uint64(id.user) ^ mix(uint64(id.post))) }

// get returns the position of a readable like, 0 if it was taken back; ok is false if it is not known.
func (l *recentLikes) get(user liked.UserID, post liked.PostID) (seq liked.Seq, ok bool) {
	id := likeID{user, post}
	sh := &l.shards[id.hash()%64]
	sh.Lock()
	defer sh.Unlock()
	return sh.get(id)
}

// latest is get with the current group's changes.
func (l *recentLikes) latest(user liked.UserID, post liked.PostID) (liked.Seq, bool) {
	if seq, ok := l.pending[likeID{user, post}]; ok {
		return seq, true
	}
	return l.get(user, post)
}

func (l *recentLikes) put(user liked.UserID, post liked.PostID, seq liked.Seq) {
	l.pending[likeID{user, post}] = seq
}

// publish makes the group's changes visible to get, before Store.visible is set. Once the newer half is full it drops
// the older one.
func (l *recentLikes) publish(applied uint64, all *likeFilter) {
	for id, seq := range l.pending {
		if seq != 0 {
			all.add(id)
		}
		sh := &l.shards[id.hash()%64]
		sh.Lock()
		sh.put(id, seq)
		sh.Unlock()
	}
	l.size += len(l.pending)
	clear(l.pending)
	if l.size < recentSize {
		return
	}
	for i := range l.shards {
		sh := &l.shards[i]
		sh.Lock()
		sh.age()
		sh.Unlock()
	}
	l.size = 0
	l.since, l.nowSince = l.nowSince, applied
}

func (l *recentLikes) discard() { clear(l.pending) }

// aging is a map that forgets what was put before the last two calls of age.
type aging[K comparable, V any] struct{ now, old map[K]V }

func (a *aging[K, V]) get(k K) (v V, ok bool) {
	if v, ok = a.now[k]; !ok {
		v, ok = a.old[k]
	}
	return v, ok
}

func (a *aging[K, V]) put(k K, v V) {
	if a.now == nil {
		a.now = make(map[K]V)
	}
	a.now[k] = v
}

func (a *aging[K, V]) age() {
	a.now, a.old = a.old, a.now
	clear(a.now)
}

// countCache holds counts that were used lately or that the group changes.
type countCache struct {
	aging[thing, *counts]
	dirty []thing
}

const countSize = 1 << 15

// of returns counts for the caller to change, as part of the group.
func (cc *countCache) of(c *committer, tag byte, id uint64) (*counts, error) {
	k := thing{tag, id}
	n := cc.now[k]
	if n == nil {
		if n = cc.old[k]; n == nil {
			v, _, err := read(c.s.db, num(nil, tag, id), decodeCounts)
			if err != nil {
				return nil, err
			}
			n = &v
		}
		cc.put(k, n)
	}
	cc.dirty = append(cc.dirty, k)
	return n, nil
}

// write adds each changed count to the group's batch once.
func (cc *countCache) write(c *committer) {
	slices.SortFunc(cc.dirty, func(a, b thing) int { return cmp.Or(cmp.Compare(a.tag, b.tag), cmp.Compare(a.id, b.id)) })
	for _, k := range slices.Compact(cc.dirty) {
		c.s.changes.of(k).Store(c.applied + 1)
		c.key = num(c.key[:0], k.tag, k.id)
		n := cc.now[k]
		if *n == (counts{}) {
			must(c.group.batch.Delete(c.key, nil))
			continue
		}
		c.value = n.append(c.value[:0])
		must(c.group.batch.Set(c.key, c.value, nil))
	}
	cc.dirty = cc.dirty[:0]
	if len(cc.now) > countSize {
		cc.age()
	}
}

func (cc *countCache) discard() {
	for _, k := range cc.dirty {
		delete(cc.now, k)
		delete(cc.old, k)
	}
	cc.dirty = cc.dirty[:0]
}
