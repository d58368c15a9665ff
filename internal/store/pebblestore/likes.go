package pebblestore

import (
	"context"
	"slices"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"liked"
	"liked/internal/store"
	"liked/internal/store/sight"
	"liked/internal/store/valid"
)

// SetLike does its look-ups before it queues, to spare the committer. A call that changes nothing does not queue if its
// look-ups are known to show one state.
func (s *Store) SetLike(ctx context.Context, user liked.UserID, post liked.PostID, on bool, at time.Time) (bool, error) {
	if err := s.enter(ctx); err != nil {
		return false, err
	}
	defer s.leave()
	if s.readOnly {
		return false, errReadOnly
	}
	if err := valid.At(at); err != nil {
		return false, err
	}
	epoch := s.epoch.Load()
	var v likeTarget
	var err error
	if on {
		v, err = s.applyLikeRules(user, post)
	} else {
		v, err = s.original(post)
	}
	if err != nil {
		return false, err
	}
	visible := s.visible.Load()
	var had liked.Seq
	if v.target != 0 {
		var known bool
		if had, known = s.recent.get(user, v.target); !known {
			if had, err = s.likeSeq(user, v.target); err != nil {
				return false, err
			}
		}
	}
	// Taking a like back depends on nothing but the like.
	if s.steady(epoch) || !on {
		switch {
		case v.err != nil:
			if err := s.waitSynced(ctx); err != nil {
				return false, err
			}
			return false, v.err
		case (had != 0) == on:
			if on && uint64(had) <= s.syncedSeq.Load() && s.synced.Load() >= s.epochGroup.Load() {
				return false, nil
			}
			return false, s.waitSynced(ctx)
		}
	} else {
		epoch = 1
	}
	r := requests.Get().(*request)
	*r = request{user: user, post: post, target: v.target, author: v.author, on: on, at: at.UnixMilli(), epoch: epoch,
		visible: visible, had: had, done: r.done}
	finished, err := s.do(ctx, r)
	if !finished {
		return false, err
	}
	changed := r.changed && err == nil
	requests.Put(r)
	return changed, err
}

// original resolves a post that may be deleted. Without a post, target is 0.
func (s *Store) original(post liked.PostID) (v likeTarget, err error) {
	h, ok, err := s.postHead(post)
	if err != nil || !ok {
		return v, err
	}
	v.target, v.author = post, h.author
	if h.repostOf != 0 {
		v.target = h.repostOf
		if h, ok, err = s.postHead(v.target); err != nil || !ok {
			return likeTarget{}, err
		}
		v.author = h.author
	}
	return v, nil
}

// likeSeq returns the like's position, 0 if there is no like.
func (s *Store) likeSeq(user liked.UserID, post liked.PostID) (liked.Seq, error) {
	if s.filter.lacks(likeID{user, post}) {
		return 0, nil
	}
	var buf [17]byte
	like, _, err := read(s.db, likeKey(buf[:0], user, post), decodeLike)
	return like.seq, err
}

// rowsPerItem bounds the rows read per item of a page: a viewer may not see most of a list.
const rowsPerItem = 8

func (s *Store) LikedPosts(ctx context.Context, viewer, user liked.UserID, from store.Cursor, max int,
	metrics store.Metrics, space []liked.Post) (store.Page[liked.Post], error) {
	return look(ctx, s, func(r *state) (page store.Page[liked.Post], err error) {
		e := newVisibility(r, viewer)
		if err := e.lists(user); err != nil {
			return page, err
		}
		return walk(r, thing{tagUserN, uint64(user)}, from, max, space, func(posts []liked.Post, ids []liked.PostID) ([]liked.Post, error) {
			return e.liked(posts, ids, metrics)
		})
	})
}

func (s *Store) LikingUsers(ctx context.Context, viewer liked.UserID, post liked.PostID, from store.Cursor, max int,
	metrics store.Metrics, space []liked.User) (store.Page[liked.User], error) {
	return look(ctx, s, func(r *state) (page store.Page[liked.User], err error) {
		e := newVisibility(r, viewer)
		original, err := e.original(post)
		if err != nil {
			return page, err
		}
		of := thing{tagPostN, uint64(original)}
		return walk(r, of, from, max, space, func(users []liked.User, ids []liked.UserID) ([]liked.User, error) {
			return e.likers(users, ids, metrics)
		})
	})
}

// newestMost is how many rows of a list are kept in memory: those of the largest page.
const newestMost = 100

// listOf is the tag of the list of likes that counts are of.
var listOf = map[byte]byte{tagUserN: tagLiked, tagPostN: tagLikers}

// walk reads the list of likes that counts are of until it has max items. look appends those of the ids that are shown.
func walk[ID ~int64, T any](r *state, counts thing, from store.Cursor, max int, space []T,
	look func(items []T, ids []ID) ([]T, error)) (page store.Page[T], err error) {
	if err := valid.Page(max); err != nil {
		return page, err
	}
	if from == (store.Cursor{}) {
		if page, ok, err := newestPage(r, counts, max, space, look); ok || err != nil {
			return page, err
		}
	}
	tag := listOf[counts.tag]
	prefix := num(nil, tag, counts.id)
	o := pebble.IterOptions{LowerBound: prefix, UpperBound: after(prefix)}
	switch border := num(nil, tag, counts.id, ^uint64(from.Seq)+1); { // newest key below from.Seq
	case from == store.Cursor{}:
	case from.Newer && from.Seq > 0:
		o.UpperBound = border
	case !from.Newer:
		o.LowerBound = border
	}
	it, err := r.likes(counts, &o)
	if err != nil {
		return page, unavailable(err)
	}
	defer closeInto(&err, it)
	first, next := it.First, it.Next
	if from.Newer {
		first, next = it.Last, it.Prev
	}
	more, rows := first(), 0
	items := space[:0]
	var ids []ID
	var newest []listed
	var last liked.Seq
	for more && len(items) < max && rows < rowsPerItem*max {
		ids = ids[:0]
		for wanted := max - len(items); more && len(ids) < wanted && rows < rowsPerItem*max; more = next() {
			value, err := it.ValueAndErr()
			if err != nil {
				return page, unavailable(err)
			}
			id, err := decodeID(value)
			if err != nil {
				return page, damaged(it.Key(), err)
			}
			if ids == nil {
				ids, newest = make([]ID, 0, min(wanted, newestMost)), make([]listed, 0, min(wanted, newestMost))
			}
			ids = append(ids, ID(id))
			last = listSeq(it.Key())
			if rows++; from == (store.Cursor{}) && rows <= newestMost {
				newest = append(newest, listed{last, int64(id)})
			}
		}
		if items, err = look(slices.Grow(items, len(ids)), ids); err != nil {
			return page, err
		}
	}
	if err := it.Error(); err != nil {
		return page, unavailable(err)
	}
	if from == (store.Cursor{}) {
		r.keepNewest(counts, newest, more || rows > len(newest))
	}
	return sight.Page(items, from, last, more), nil
}

// newestPage is walk from the newest like, where no likes but those in memory are needed.
func newestPage[ID ~int64, T any](r *state, counts thing, max int, space []T,
	look func(items []T, ids []ID) ([]T, error)) (page store.Page[T], ok bool, err error) {
	rows, more, ok := r.newestLikes(counts, max)
	if !ok {
		return page, false, nil
	}
	ids := make([]ID, len(rows))
	for i, row := range rows {
		ids[i] = ID(row.id)
	}
	items, err := look(slices.Grow(space[:0], len(ids)), ids)
	if err != nil || len(items) < len(ids) && more { // others may take the place of those that are not shown
		return page, false, err
	}
	var last liked.Seq
	if len(rows) > 0 {
		last = rows[len(rows)-1].seq
	}
	return sight.Page(items, store.Cursor{}, last, more), true, nil
}

// unlessUnseen returns nil for an error of unseen.
func unlessUnseen(err error) error {
	if kind := liked.KindOf(err); kind == liked.NotFound || kind == liked.Forbidden {
		return nil
	}
	return err
}

func (s *Store) Liked(ctx context.Context, user liked.UserID, posts []liked.PostID) ([]bool, error) {
	return each(ctx, s, posts, func(r pebble.Reader, post liked.PostID) (on, ok bool, err error) {
		v, err := s.original(post)
		if err == nil && v.target != 0 {
			on, err = exists(r, likeKey(nil, user, v.target))
		}
		return on, true, err
	})
}

func (s *Store) LikeLog(ctx context.Context, partition int, from liked.Seq, max int) ([]liked.LikeEvent, error) {
	if partition < 0 || partition >= liked.Partitions {
		return nil, liked.Errorf(liked.Invalid, "no such partition %d", partition)
	}
	if err := valid.Page(max); err != nil {
		return nil, err
	}
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.leave()
	for {
		more := s.onLog[partition].wait()
		if synced := liked.Seq(s.syncedSeq.Load()); synced > from {
			events, err := s.readLog(partition, from, synced, max)
			if err != nil || len(events) > 0 {
				return events, err
			}
		}
		select {
		case <-more:
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-s.failed:
			return nil, s.failure.Load()
		case <-s.closing:
			return nil, errClosed
		}
	}
}

func (s *Store) LogEnds(ctx context.Context) (ends liked.Positions, err error) {
	if err := s.enter(ctx); err != nil {
		return ends, err
	}
	defer s.leave()
	synced := liked.Seq(s.syncedSeq.Load())
	for p := range ends {
		if ends[p], err = s.lastInLog(p, synced); err != nil {
			return ends, err
		}
	}
	return ends, nil
}

// readLog returns at most max entries in (from, to].
func (s *Store) readLog(partition int, from, to liked.Seq, max int) (events []liked.LikeEvent, err error) {
	err = scanRange(s.db, logKey(nil, partition, from+1), after(logKey(nil, partition, to)), func(key, value []byte) (bool, error) {
		_, seq := splitLogKey(key)
		e, err := decodeEvent(seq, value)
		events = append(events, e)
		return len(events) < max, err
	})
	return events, err
}
