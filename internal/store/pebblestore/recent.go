package pebblestore

import (
	"slices"

	"liked"
)

// recentLikes knows all likes that changed after the group since, however many of those groups can be read by now. So
// a like that it does not know is as it was found by whoever looked when that group was visible.
type recentLikes struct {
	since    uint64
	now, old map[likeID]liked.Seq // 0: taken back
	nowSince uint64
}

type likeID struct {
	user liked.UserID
	post liked.PostID
}

const recentSize = 8192

func (l *recentLikes) init() {
	l.now, l.old = make(map[likeID]liked.Seq, recentSize), make(map[likeID]liked.Seq, recentSize)
}

func (l *recentLikes) get(user liked.UserID, post liked.PostID) (liked.Seq, bool) {
	id := likeID{user, post}
	seq, ok := l.now[id]
	if !ok {
		seq, ok = l.old[id]
	}
	return seq, ok
}

func (l *recentLikes) put(user liked.UserID, post liked.PostID, seq liked.Seq) {
	l.now[likeID{user, post}] = seq
}

// rotate forgets the older half once the newer one is full. It must be called between groups.
func (l *recentLikes) rotate(applied uint64) {
	if len(l.now) < recentSize {
		return
	}
	l.old, l.now = l.now, l.old
	clear(l.now)
	l.since, l.nowSince = l.nowSince, applied
}

// countCache holds counts that were used lately, and those that the group changes.
type countCache struct {
	now, old map[countID]*counts
	dirty    []countID
}

type countID struct {
	tag byte
	id  uint64
}

const countSize = 1 << 15

func (cc *countCache) init() {
	cc.now, cc.old = make(map[countID]*counts), make(map[countID]*counts)
}

// of returns counts for the caller to change, which makes them part of the group.
func (cc *countCache) of(c *committer, tag byte, id uint64) (*counts, error) {
	k := countID{tag, id}
	n := cc.now[k]
	if n == nil {
		if n = cc.old[k]; n == nil {
			v, _, err := read(c.s.db, num(nil, tag, id), decodeCounts)
			if err != nil {
				return nil, err
			}
			n = &v
		}
		cc.now[k] = n
	}
	cc.dirty = append(cc.dirty, k)
	return n, nil
}

// write adds the counts that changed to the group's batch, each once.
func (cc *countCache) write(c *committer) {
	slices.SortFunc(cc.dirty, func(a, b countID) int {
		if a.tag != b.tag {
			return int(a.tag) - int(b.tag)
		}
		if a.id < b.id {
			return -1
		}
		return int(bit(a.id > b.id, 1))
	})
	for _, k := range slices.Compact(cc.dirty) {
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
		cc.now, cc.old = cc.old, cc.now
		clear(cc.now)
	}
}

// discard forgets what the group changed.
func (cc *countCache) discard() {
	for _, k := range cc.dirty {
		delete(cc.now, k)
		delete(cc.old, k)
	}
	cc.dirty = cc.dirty[:0]
}
