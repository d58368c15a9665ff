package pebblestore

import (
	"cmp"
	"context"
	"encoding/binary"
	"slices"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"liked"
	"liked/internal/store"
	"liked/internal/store/sight"
	"liked/internal/store/valid"
)

// AddPost keeps a repost of a repost as a repost of the original.
func (s *Store) AddPost(ctx context.Context, p liked.Post) error {
	if err := valid.Post(&p); err != nil {
		return err
	}
	return s.update(ctx, func(t *tx) error { return t.addPost(p) })
}

// A new post is compared with so many of the author's newest, if not older than sameFor.
const (
	comparedPosts = 20
	sameFor       = 24 * time.Hour
)

func (s *Store) Publish(ctx context.Context, p liked.Post) error {
	if err := valid.Post(&p); err != nil {
		return err
	}
	return s.update(ctx, func(t *tx) error {
		p := p
		e := newVisibility(t, p.Author)
		for _, ref := range []*liked.PostID{&p.InReplyTo, &p.Quotes} {
			named := *ref
			if named == 0 {
				continue
			}
			seen, err := e.post(named)
			if err == nil && seen.RepostOf != 0 {
				*ref = seen.RepostOf
				_, err = e.post(*ref)
			}
			if err != nil && unlessUnseen(err) == nil {
				return &liked.Error{Kind: liked.NotFound, Msg: err.Error(), Post: named}
			}
			if err != nil {
				return err
			}
		}
		compared := 0
		err := newestPosts(t, p.Author, func(id liked.PostID) (bool, error) {
			other, _, err := postRow(id).read(t)
			if err != nil {
				return false, err
			}
			if other.Text == p.Text && other.InReplyTo == p.InReplyTo && other.Quotes == p.Quotes && other.RepostOf == p.RepostOf &&
				p.CreatedAt.Sub(other.CreatedAt) < sameFor {
				return false, liked.Errorf(liked.Forbidden, "post %v, by the same author, says the same", id)
			}
			compared++
			return compared < comparedPosts, nil
		})
		if err != nil {
			return err
		}
		return t.addPost(p)
	})
}

// newestPosts calls f with the author's posts, highest id first, until it returns false or an error.
func newestPosts(r pebble.Reader, author liked.UserID, f func(liked.PostID) (bool, error)) error {
	prefix := num(nil, tagPostOf, uint64(author))
	return scanBack(r, prefix, after(prefix), func(key []byte) (bool, error) { return f(liked.PostID(field(key, 1))) })
}

func (s *Store) LatestPosts(ctx context.Context, max int) ([]liked.Post, error) {
	if err := valid.Page(max); err != nil {
		return nil, err
	}
	return view(ctx, s, func(r pebble.Reader) (posts []liked.Post, err error) {
		e := newVisibility(r, 0)
		rows := 0
		err = scanBack(r, []byte{tagPost}, []byte{tagPost + 1}, func(key []byte) (bool, error) {
			p, err := e.post(liked.PostID(field(key, 0)))
			if err == nil && p.RepostOf == 0 {
				posts = append(posts, p)
			}
			rows++
			return len(posts) < max && rows < rowsPerItem*max, unlessUnseen(err)
		})
		return posts, err
	})
}

func (s *Store) NewestPosts(ctx context.Context, viewer liked.UserID, users []liked.UserID) ([]liked.PostID, error) {
	return view(ctx, s, func(r pebble.Reader) ([]liked.PostID, error) {
		posts := make([]liked.PostID, len(users))
		e := newVisibility(r, viewer)
		for i, id := range users {
			seen, err := e.author(id)
			if err == nil && seen == sight.Visible {
				err = newestPosts(r, id, func(id liked.PostID) (bool, error) { posts[i] = id; return false, nil })
			}
			if err != nil {
				return nil, err
			}
		}
		return posts, nil
	})
}

func (s *Store) PostsBy(ctx context.Context, author liked.UserID, before liked.PostID, max int) ([]liked.Post, error) {
	if err := valid.Page(max); err != nil {
		return nil, err
	}
	prefix, which := []byte{tagPost}, 0
	if author != 0 {
		prefix, which = num(nil, tagPostOf, uint64(author)), 1
	}
	to := after(prefix)
	if before > 0 {
		to = binary.BigEndian.AppendUint64(slices.Clip(prefix), uint64(before))
	}
	return view(ctx, s, func(r pebble.Reader) (posts []liked.Post, err error) {
		err = scanBack(r, prefix, to, func(key []byte) (bool, error) {
			p, _, err := postRow(liked.PostID(field(key, which))).read(r)
			if err == nil && !p.Deleted {
				p.Metrics, err = stateOf(r).postMetrics(p.ID)
				posts = append(posts, p.Post)
			}
			return len(posts) < max, cmp.Or(err, ctx.Err())
		})
		return posts, err
	})
}

func (t *tx) addPost(p liked.Post) error {
	if err := postRow(p.ID).free(t); err != nil {
		return err
	}
	if err := t.resolve(&p, false); err != nil {
		return err
	}
	return t.putPost(&p)
}

// resolve checks that the author and the posts referred to exist (with once, also deleted ones), makes a repost of a
// repost one of the original, and sets a reply's conversation, unless once is set and the post has one.
func (t *tx) resolve(p *liked.Post, once bool) error {
	if err := userRow(p.Author).need(t); err != nil {
		return err
	}
	if p.InReplyTo == 0 || !once {
		p.Conversation, p.InReplyToUser = 0, 0
	}
	for _, ref := range []*liked.PostID{&p.RepostOf, &p.InReplyTo, &p.Quotes} {
		if *ref == 0 {
			continue
		}
		h, ok, err := read(t, postKey(*ref), decodePostHead)
		if err != nil {
			return err
		}
		if ok && (!h.deleted || once) && ref == &p.RepostOf && h.repostOf != 0 {
			*ref = h.repostOf
			if h, ok, err = read(t, postKey(*ref), decodePostHead); err != nil {
				return err
			}
		}
		if !ok || h.deleted && !once {
			return noSuch("post", *ref)
		}
		if ref == &p.InReplyTo && (p.Conversation == 0 || p.InReplyToUser == 0) {
			p.InReplyToUser, p.Conversation = h.author, *ref
			if h.deleted { // its conversation is lost
				continue
			}
			answered, _, err := postRow(*ref).read(t)
			if err != nil {
				return err
			}
			if answered.Conversation != 0 {
				p.Conversation = answered.Conversation
			}
		}
	}
	return nil
}

// putPost writes a resolved post, its index row and counts.
func (t *tx) putPost(p *liked.Post) error {
	if err := t.countPost(p, 1); err != nil {
		return err
	}
	postRow(p.ID).set(t, &store.Post{Post: *p})
	t.set(postOfKey(p.Author, p.ID), nil)
	return nil
}

// countPost adds delta to all counts that the post is part of.
func (t *tx) countPost(p *liked.Post, delta int64) error {
	t.c.totals.Posts += delta
	err := t.add(tagUserN, uint64(p.Author), userPosts, delta)
	for _, ref := range [...]struct {
		post  liked.PostID
		which int
	}{{p.RepostOf, postReposts}, {p.InReplyTo, postReplies}, {p.Quotes, postQuotes}} {
		if err == nil && ref.post != 0 {
			err = t.add(tagPostN, uint64(ref.post), ref.which, delta)
		}
	}
	return err
}

func (s *Store) Post(ctx context.Context, viewer liked.UserID, id liked.PostID) (liked.Post, error) {
	return look(ctx, s, func(r *state) (liked.Post, error) { return newVisibility(r, viewer).post(id) })
}

func (s *Store) Posts(ctx context.Context, viewer liked.UserID, ids []liked.PostID, metrics store.Metrics) ([]store.Seen, error) {
	return look(ctx, s, func(r *state) ([]store.Seen, error) { return newVisibility(r, viewer).posts(ids, metrics) })
}

// DeletePost leaves a tombstone, so that the id is never used again, and the likes, which can be taken back but are in
// no list.
func (s *Store) DeletePost(ctx context.Context, by liked.UserID, id liked.PostID) error {
	return s.update(ctx, func(t *tx) error {
		p, ok, err := postRow(id).read(t)
		switch {
		case err != nil:
			return err
		case !ok || p.Deleted:
			return noSuch("post", id)
		case by != 0 && by != p.Author:
			return liked.Errorf(liked.Forbidden, "post %v is not by user %v", id, by)
		}
		if err := t.countPost(&p.Post, -1); err != nil {
			return err
		}
		author, ok, err := userRow(p.Author).read(t)
		if err != nil {
			return err
		}
		if ok && author.PinnedPost == id {
			author.PinnedPost = 0
			if err := userRow(p.Author).replace(t, &author); err != nil {
				return err
			}
		}
		p.Deleted = true
		postRow(id).set(t, &p)
		t.delete(postOfKey(p.Author, id))
		t.rules = true
		return nil
	})
}
