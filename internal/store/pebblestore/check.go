package pebblestore

import (
	"context"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"liked"
	"liked/internal/store"
)

// Check walks all lists in order of user and of post. It keeps in memory how often each post is referred to, each
// author's number of posts, and, per partition of the log, each like's last change.
func (s *Store) Check(ctx context.Context) (report store.Report, err error) {
	err = s.view(ctx, func(r pebble.Reader) error {
		c := checker{ctx: ctx, r: r, written: make(map[countID]*counts)}
		if err := c.check(); err != nil {
			return err
		}
		report = c.report
		return nil
	})
	return report, err
}

type checker struct {
	ctx     context.Context
	r       pebble.Reader
	report  store.Report
	horizon liked.Seq

	imported liked.Seq           // 0: nothing was ever imported
	written  map[countID]*counts // sums over existing posts
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
	// Every item has its rows, so equal numbers rule out extra ones.
	for _, list := range []struct {
		tag        byte
		want       int64
		what, rows string
	}{
		{tagName, c.report.Users, "users", "usernames"},
		{tagPostOf, c.report.Posts, "posts", "rows under their authors"},
		{tagLiked, c.report.Likes, "likes", "rows in the lists of liked posts"},
		{tagLikers, c.report.Likes, "likes", "rows in the lists of liking users"},
	} {
		var n int64
		if err := c.scan(list.tag, func(_, _ []byte) error { n++; return nil }); err != nil {
			return err
		}
		if n != list.want {
			c.problem("%d %s have %d %s", list.want, list.what, n, list.rows)
		}
	}
	return nil
}

func (c *checker) scan(tag byte, f func(key, value []byte) error) error {
	n := 0
	return scan(c.r, []byte{tag}, nil, func(key, value []byte) (bool, error) {
		if n++; n%1024 == 0 && c.ctx.Err() != nil {
			return false, c.ctx.Err()
		}
		return true, f(key, value)
	})
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
		if id, ok, err := read(c.r, nameKey(u.Username), decodeID); err != nil {
			return err
		} else if ok && liked.UserID(id) != u.ID {
			c.problem("username %s leads to user %d, and is that of user %d", u.Username, id, u.ID)
		}
		return nil
	})
}

func (c *checker) count(tag byte, id uint64, which int) {
	k := countID{tag, id}
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
		return c.need(postOfKey(p.Author, p.ID), "post %v is not among those of its author %v", p.ID, p.Author)
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
	rows := make(map[int]*rows, len(lists))
	for which, tag := range lists {
		if rows[which], err = newRows(c.r, tag); err != nil {
			return err
		}
		defer closeInto(&err, rows[which].it)
	}
	kept, err := newRows(c.r, tagN)
	if err != nil {
		return err
	}
	defer closeInto(&err, kept.it)
	err = c.scan(tag, func(key, _ []byte) error {
		id := field(key, 0)
		var want counts
		if w := c.written[countID{tagN, id}]; w != nil {
			want = *w
		}
		for which, rows := range rows {
			n, orphans := rows.of(id)
			if orphans > 0 {
				c.problem("%d keys %c before %s %d belong to no %s", orphans, lists[which], what, id, what)
			}
			want[which] = n
		}
		n, orphans := kept.of(id)
		if orphans > 0 {
			c.problem("%d counts before %s %d belong to no %s", orphans, what, id, what)
		}
		var got counts
		if n > 0 {
			if got, err = decodeCounts(kept.value); err != nil {
				return damaged(num(nil, tagN, id), err)
			}
		}
		if got != want || n > 0 && got == (counts{}) {
			c.problem("counts of %s %d are %v and should be %v", what, id, got, want)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for which, rows := range rows {
		if n := rows.rest(); n > 0 {
			c.problem("%d keys %c belong to no %s", n, lists[which], what)
		}
	}
	if n := kept.rest(); n > 0 {
		c.problem("%d counts belong to no %s", n, what)
	}
	return nil
}

// rows counts a list's rows, owner by owner in ascending order.
type rows struct {
	it    *pebble.Iterator
	ok    bool
	value []byte // of the last row counted
}

func newRows(r pebble.Reader, tag byte) (*rows, error) {
	it, err := r.NewIter(&pebble.IterOptions{LowerBound: []byte{tag}, UpperBound: []byte{tag + 1}})
	if err != nil {
		return nil, unavailable(err)
	}
	return &rows{it: it, ok: it.First()}, nil
}

// of returns the numbers of the owner's rows and of uncounted ones before them.
func (r *rows) of(owner uint64) (n, orphans int64) {
	for ; r.ok && field(r.it.Key(), 0) <= owner; r.ok = r.it.Next() {
		if field(r.it.Key(), 0) == owner {
			n++
			r.value = append(r.value[:0], r.it.Value()...)
		} else {
			orphans++
		}
	}
	return n, orphans
}

func (r *rows) rest() (n int64) {
	for ; r.ok; r.ok = r.it.Next() {
		n++
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
		for _, row := range []struct {
			key  []byte
			want uint64
			list string
		}{{likedKey(nil, user, seq), uint64(post), "liked posts"}, {likersKey(nil, post, seq), uint64(user), "liking users"}} {
			if got, ok, err := read(c.r, row.key, decodeID); err != nil {
				return err
			} else if !ok || got != row.want {
				c.problem("like %d of post %v by user %v is not in the list of %s", seq, post, user, row.list)
			}
		}
		if like.unlogged && seq > c.imported {
			c.problem("like %d of post %v by user %v is imported and newer than any import", seq, post, user)
		}
		if like.unlogged || seq < c.horizon {
			return nil
		}
		e, ok, err := read(c.r, logKey(nil, partitionOf(user), seq), func(value []byte) (liked.LikeEvent, error) {
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

// relations checks that follows and blocks have reverse rows.
func (c *checker) relations() error {
	for there, back := range map[byte]byte{tagFollow: tagFollowed, tagFollowed: tagFollow, tagBlock: tagBlockedBy, tagBlockedBy: tagBlock} {
		err := c.scan(there, func(key, _ []byte) error {
			a, b := liked.UserID(field(key, 0)), liked.UserID(field(key, 1))
			return c.need(pair(back, b, a), "the relation %c of user %v to user %v has no reverse", there, a, b)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// grants checks tokens and users' lists of grants against the grants.
func (c *checker) grants() error {
	err := c.scan(tagTokenOf, func(key, _ []byte) error {
		id, _, _ := splitTokenOfKey(key)
		if ended, err := exists(c.r, endedKey(id)); err != nil || ended {
			return err
		}
		return c.need(grantKey(id), "the token %x belongs to no grant", key)
	})
	if err == nil {
		err = c.scan(tagGrantOf, func(key, _ []byte) error {
			user, id := splitGrantOfKey(key)
			return c.need(grantKey(id), "user %v belongs to no grant %x", user, id)
		})
	}
	if err != nil {
		return err
	}
	return c.scan(tagGrant, func(key, value []byte) error {
		g, err := grantRow(store.GrantID(key[1:])).decode(value)
		if err != nil {
			return err
		}
		return c.need(grantOfKey(g.User, g.ID), "grant %x is not among those of user %v", g.ID, g.User)
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
			if partitionOf(e.User) != p {
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
