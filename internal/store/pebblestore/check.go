package pebblestore

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"math"

	"github.com/cockroachdb/pebble/v2"

	"liked"
	"liked/internal/store"
)

// Check walks all lists in order of user and of post. It keeps in memory how often each post is referred to, each
// author's number of posts, and, per partition of the log, each like's last change.
func (s *Store) Check(ctx context.Context) (report store.Report, err error) {
	err = s.view(ctx, func(r pebble.Reader) error {
		c := checker{reader: reader{ctx, r}, report: store.Report{Problems: []string{}}, written: make(map[thing]*counts),
			indexRows: make(map[byte]int64)}
		if err := c.check(); err != nil {
			return err
		}
		report = c.report
		return nil
	})
	return report, err
}

type checker struct {
	reader
	report    store.Report
	horizon   liked.Seq
	imported  liked.Seq         // 0: nothing was ever imported
	written   map[thing]*counts // sums over existing posts
	indexRows map[byte]int64    // that records must have, by index
}

// indexes lead to records.
var indexes = map[byte]string{
	tagName:       "usernames",
	tagPostOf:     "posts by author",
	tagLiked:      "liked posts",
	tagLikers:     "liking users",
	tagFollowed:   "followers",
	tagBlockedBy:  "blockers",
	tagGrantOf:    "grants by user",
	tagWebhookOf:  "webhooks by app",
	tagSubscribes: "subscriptions by what they are about",
	tagAbout:      "subscriptions by user",
	tagMade:       "subscriptions by who made them",
}

func (c *checker) problem(format string, args ...any) {
	if len(c.report.Problems) < 100 {
		c.report.Problems = append(c.report.Problems, fmt.Sprintf(format, args...))
	}
}

func (c *checker) check() error {
	horizon, err := count(c.r, horizonKey)
	if err != nil {
		return err
	}
	imported, err := count(c.r, importedKey)
	if err != nil {
		return err
	}
	c.horizon, c.imported = liked.Seq(horizon), liked.Seq(imported)
	for _, step := range []func() error{c.users, c.posts, c.userCounts, c.postCounts, c.likes, c.relations, c.log, c.grants, c.hooks} {
		if err := step(); err != nil {
			return err
		}
	}
	for tag, name := range indexes {
		var n int64
		err := c.scan(tag, func(key, _ []byte) (err error) {
			left := false
			if tag == tagAbout { // what ended with its app is left to Sweep
				app, id := liked.AppID(field(key, 1)), liked.SubscriptionID(field(key, 2))
				if left, err = exists(c.r, unsweptKey(0, app)); err == nil && left {
					there, readErr := exists(c.r, subscriptionKey(app, id))
					left, err = !there, readErr
				}
			}
			if !left {
				n++
			}
			return err
		})
		if err != nil {
			return err
		}
		if n != c.indexRows[tag] { // each record has its row, so there are others
			c.problem("the list of %s has %d rows and should have %d", name, n, c.indexRows[tag])
		}
	}
	return nil
}

// reader reads one state of the store, until ctx is done.
type reader struct {
	ctx context.Context
	r   pebble.Reader
}

func (r reader) scan(tag byte, f func(key, value []byte) error) error {
	n := 0
	return scan(r.r, []byte{tag}, nil, func(key, value []byte) (bool, error) {
		if n++; n%1024 == 0 && r.ctx.Err() != nil {
			return false, r.ctx.Err()
		}
		return true, f(key, value)
	})
}

// indexed reports a problem unless a record's row in an index leads to the id, or has no value if that is zero.
func (c *checker) indexed(key []byte, id uint64, record string, args ...any) error {
	c.indexRows[key[0]]++
	right, _, err := read(c.r, key, func(value []byte) (bool, error) {
		return id == 0 && len(value) == 0 || bytes.Equal(value, encodeID(id)), nil
	})
	if err == nil && !right {
		c.problem("%s is not in the list of %s", fmt.Sprintf(record, args...), indexes[key[0]])
	}
	return err
}

// need reports a problem unless the key exists.
func (c *checker) need(key []byte, format string, args ...any) error {
	ok, err := exists(c.r, key)
	if err == nil && !ok {
		c.problem(format, args...)
	}
	return err
}

func (c *checker) users() error {
	return c.scan(tagUser, func(key, value []byte) error {
		c.report.Users++
		u, err := userRow(liked.UserID(field(key, 0))).decode(value)
		if err != nil {
			return err
		}
		return c.indexed(nameKey(u.Username), uint64(u.ID), "username %s of user %v", u.Username, u.ID)
	})
}

func (c *checker) count(tag byte, id uint64, which int) {
	k := thing{tag, id}
	if c.written[k] == nil {
		c.written[k] = new(counts)
	}
	c.written[k][which]++
}

func (c *checker) posts() error {
	return c.scan(tagPost, func(key, value []byte) error {
		p, err := postRow(liked.PostID(field(key, 0))).decode(value)
		if err == nil {
			err = c.need(userKey(p.Author), "post %v has no author %v", p.ID, p.Author)
		}
		if err != nil || p.Deleted {
			return err
		}
		c.report.Posts++
		c.count(tagUserN, uint64(p.Author), userPosts)
		if reply := p.InReplyTo != 0; reply != (p.Conversation != 0) || reply != (p.InReplyToUser != 0) {
			c.problem("post %v answers post %v of user %v in conversation %v", p.ID, p.InReplyTo, p.InReplyToUser, p.Conversation)
		}
		for which, ref := range map[int]liked.PostID{postReposts: p.RepostOf, postReplies: p.InReplyTo, postQuotes: p.Quotes} {
			if ref == 0 {
				continue
			}
			if err := c.need(postKey(ref), "post %v refers to post %v, which never was", p.ID, ref); err != nil {
				return err
			}
			c.count(tagPostN, uint64(ref), which)
		}
		return c.indexed(postOfKey(p.Author, p.ID), 0, "post %v of user %v", p.ID, p.Author)
	})
}

// userCounts includes likes of deleted posts.
func (c *checker) userCounts() error {
	return c.countsOf("user", tagUser, tagUserN, map[int]byte{userLikes: tagLiked, userFollowers: tagFollowed, userFollowing: tagFollow})
}

func (c *checker) postCounts() error {
	return c.countsOf("post", tagPost, tagPostN, map[int]byte{postLikes: tagLikers})
}

// countsOf compares counts with the rows of lists in order of owner.
func (c *checker) countsOf(what string, tag, tagN byte, lists map[int]byte) (err error) {
	rows := make(map[int]*rows)
	const kept = -1 // the counts' own rows
	lists[kept] = tagN
	for which, tag := range lists {
		if rows[which], err = newRows(c.r, tag); err != nil {
			return err
		}
		defer closeInto(&err, rows[which].it)
	}
	err = c.scan(tag, func(key, _ []byte) error {
		id := field(key, 0)
		var got, want counts
		if w := c.written[thing{tagN, id}]; w != nil {
			want = *w
		}
		for which, rows := range rows {
			if n := rows.of(id); which != kept {
				want[which] = n
			} else if n > 0 {
				if got, err = decodeCounts(rows.value); err != nil {
					return damaged(num(nil, tagN, id), err)
				}
				if got == (counts{}) {
					c.problem("counts of %s %d are kept, and zero", what, id)
				}
			}
		}
		if got != want {
			c.problem("counts of %s %d are %v and should be %v", what, id, got, want)
		}
		return nil
	})
	for which, rows := range rows {
		rows.of(math.MaxUint64)
		if rows.orphans > 0 {
			c.problem("%d rows %c belong to no %s, the first to %d", rows.orphans, lists[which], what, rows.orphan)
		}
	}
	return err
}

// rows counts a list's rows, owner by owner in ascending order.
type rows struct {
	it      *pebble.Iterator
	ok      bool
	value   []byte // of the last row counted
	orphans int    // rows of no owner asked for
	orphan  uint64 // their first owner
}

func newRows(r pebble.Reader, tag byte) (*rows, error) {
	it, err := r.NewIter(&pebble.IterOptions{LowerBound: []byte{tag}, UpperBound: []byte{tag + 1}})
	if err != nil {
		return nil, unavailable(err)
	}
	return &rows{it: it, ok: it.First()}, nil
}

func (r *rows) of(owner uint64) (n int64) {
	for ; r.ok && field(r.it.Key(), 0) <= owner; r.ok = r.it.Next() {
		switch found := field(r.it.Key(), 0); {
		case found == owner:
			n++
			r.value = append(r.value[:0], r.it.Value()...)
		case r.orphans == 0:
			r.orphan = found
			fallthrough
		default:
			r.orphans++
		}
	}
	return n
}

// likes checks each like's rows in both lists and its log entry.
func (c *checker) likes() error {
	return c.scan(tagLike, func(key, value []byte) error {
		c.report.Likes++
		user, post := liked.UserID(field(key, 0)), liked.PostID(field(key, 1))
		like, err := decodeLike(value)
		if err != nil {
			return err
		}
		seq := like.seq
		err = cmp.Or(c.indexed(likedKey(nil, user, seq), uint64(post), "like %d of post %v by user %v", seq, post, user),
			c.indexed(likersKey(nil, post, seq), uint64(user), "like %d of post %v by user %v", seq, post, user))
		if err != nil {
			return err
		}
		if like.unlogged && seq > c.imported {
			c.problem("like %d of post %v by user %v is imported and newer than any import", seq, post, user)
		}
		if like.unlogged || seq < c.horizon {
			return nil
		}
		e, ok, err := read(c.r, logKey(nil, liked.PartitionOf(user), seq), func(value []byte) (liked.LikeEvent, error) {
			return decodeEvent(seq, value)
		})
		if err != nil {
			return err
		}
		if !ok || !e.On || e.User != user || e.Post != post {
			c.problem("like %d of post %v by user %v is not in the log", seq, post, user)
		}
		return nil
	})
}

// relations checks that follows and blocks have their reverse rows.
func (c *checker) relations() error {
	for there, back := range map[byte]byte{tagFollow: tagFollowed, tagBlock: tagBlockedBy} {
		err := c.scan(there, func(key, _ []byte) error {
			a, b := liked.UserID(field(key, 0)), liked.UserID(field(key, 1))
			return c.indexed(pair(back, b, a), 0, "the relation %c of user %v to user %v", there, a, b)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// grants checks tokens against the grants, and the grants.
func (c *checker) grants() error {
	err := c.scan(tagTokenOf, func(key, _ []byte) error {
		id, _, _ := splitTokenOfKey(key)
		if ended, err := exists(c.r, endedKey(id)); err != nil || ended {
			return err
		}
		return c.need(grantKey(id), "the token %x belongs to no grant", key)
	})
	if err != nil {
		return err
	}
	err = c.scan(tagConsent, func(key, value []byte) error {
		return c.need(grantKey(store.GrantID(value)), "the last consent %x leads to no grant", key)
	})
	if err != nil {
		return err
	}
	return c.scan(tagGrant, func(key, value []byte) error {
		g, err := grantRow(store.GrantID(key[1:])).decode(value)
		if err != nil {
			return err
		}
		return c.indexed(grantOfKey(g.User, g.ID), 0, "grant %x of user %v", g.ID, g.User)
	})
}

// log replays each partition: a like's last entry must match its state.
func (c *checker) log() error {
	type state struct {
		seq liked.Seq
		on  bool
	}
	for p := range liked.Partitions {
		last := make(map[likeID]state)
		prefix := logKey(nil, p, 0)[:2]
		err := scan(c.r, prefix, nil, func(key, value []byte) (bool, error) {
			c.report.LogEntries++
			_, seq := splitLogKey(key)
			e, err := decodeEvent(seq, value)
			if err != nil {
				return false, err
			}
			if liked.PartitionOf(e.User) != p {
				c.problem("entry %d of user %v is in partition %d of the log", seq, e.User, p)
			}
			if seq < c.horizon {
				c.problem("entry %d in partition %d of the log was to be forgotten", seq, p)
			}
			id := likeID{e.User, e.Post}
			// An imported like is not in the log, and may have been taken back since.
			if before, ok := last[id]; ok && before.on == e.On && (e.On || c.imported == 0) {
				c.problem("entry %d of the log sets the like of post %v by user %v to what it was", seq, e.Post, e.User)
			}
			h, ok, err := read(c.r, postKey(e.Post), decodePostHead)
			if err != nil {
				return false, err
			}
			if !ok || h.author != e.Author {
				c.problem("entry %d of the log names author %v of post %v", seq, e.Author, e.Post)
			}
			last[id] = state{seq, e.On}
			return c.ctx.Err() == nil, c.ctx.Err()
		})
		if err != nil {
			return err
		}
		for id, want := range last {
			like, ok, err := read(c.r, likeKey(nil, id.user, id.post), decodeLike)
			if err != nil {
				return err
			}
			if !want.on && like.unlogged {
				continue
			}
			if ok != want.on || ok && like.seq != want.seq {
				c.problem("the log ends with like %d of post %v by user %v %v, the like is %d", want.seq, id.post, id.user, want.on, like.seq)
			}
		}
	}
	return nil
}

// hooks checks webhooks, subscriptions and dead letters against their counts and indexes.
func (c *checker) hooks() error {
	numbers := make(map[string]uint64) // counted, by key
	for _, list := range []struct {
		tag, owner byte
		each       func(key, value []byte) error
	}{
		{tagWebhook, tagProgress, func(key, value []byte) error {
			w, err := webhookRow(liked.WebhookID(field(key, 0))).decode(value)
			if err != nil {
				return err
			}
			return cmp.Or(c.need(appKey(w.App), "webhook %v belongs to app %v, which is not there", w.ID, w.App),
				c.indexed(webhookOfKey(&w), 0, "webhook %v", w.ID))
		}},
		{tagProgress, tagWebhook, func(_, value []byte) error {
			_, err := progressRow(0).decode(value)
			return err
		}},
		{tagDead, tagWebhook, func(key, value []byte) error {
			hook := liked.WebhookID(field(key, 0))
			numbers[string(deadNKey(hook))]++
			_, err := letterRow(hook, liked.Seq(field(key, 1)), liked.SubscriptionID(field(key, 2))).decode(value)
			return err
		}},
		{tagSubscribed, tagApp, func(key, value []byte) error {
			s, err := subscriptionRow(liked.AppID(field(key, 0)), liked.SubscriptionID(field(key, 1))).decode(value)
			if err != nil {
				return err
			}
			numbers[string(subscribedNKey(s.App))]++
			if s.Viewer != 0 {
				numbers[string(madeNKey(s.App, s.Viewer))]++
				err = c.indexed(madeKey(&s), 0, "subscription %v", s.ID)
			}
			return cmp.Or(err, c.indexed(aboutKey(&s), 0, "subscription %v", s.ID),
				c.indexed(subscribesKey(&s), uint64(s.ID), "subscription %v", s.ID))
		}},
	} {
		err := c.scan(list.tag, func(key, value []byte) error {
			return cmp.Or(c.need(num(nil, list.owner, field(key, 0)), "the key %x has no %c", key, list.owner), list.each(key, value))
		})
		if err != nil {
			return err
		}
	}
	for _, tag := range []byte{tagSubscribedN, tagDeadN, tagMadeN} {
		err := c.scan(tag, func(key, value []byte) error {
			n, err := decodeID(value)
			if want := numbers[string(key)]; err == nil && (n != want || n == 0) {
				c.problem("the number %c of %x is %d and should be %d", tag, key[1:], n, want)
			}
			delete(numbers, string(key))
			return err
		})
		if err != nil {
			return err
		}
	}
	for key, n := range numbers {
		c.problem("the number %c of %x is missing and should be %d", key[0], key[1:], n)
	}
	return nil
}
