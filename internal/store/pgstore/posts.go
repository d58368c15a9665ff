package pgstore

import (
	"cmp"
	"context"
	"math"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"liked"
	"liked/internal/store"
	"liked/internal/store/valid"
)

// AddPost keeps a repost of a repost as a repost of the original.
func (s *Store) AddPost(ctx context.Context, p liked.Post) error {
	if err := valid.Post(&p); err != nil {
		return err
	}
	return s.update(ctx, func(t *tx) error {
		p := p
		there, err := t.lockNew(&p)
		if err == nil {
			err = t.send()
		}
		if err != nil {
			return err
		}
		return t.addPost(&p, there)
	})
}

// A new post is compared with so many of the author's newest, if not older than sameFor.
const (
	comparedPosts = 20
	sameFor       = 24 * time.Hour
)

// Publish holds the author's lane, so that of the same posts at once one comes first, and what the author may see stands
// still.
func (s *Store) Publish(ctx context.Context, p liked.Post) error {
	if err := valid.Post(&p); err != nil {
		return err
	}
	return s.update(ctx, func(t *tx) error {
		p := p
		t.lock(p.Author)
		there, err := t.lockNew(&p)
		if err != nil {
			return err
		}
		found := t.originals(p.Author, []liked.PostID{p.InReplyTo, p.Quotes})
		newest, err := t.postsOf(p.Author, math.MaxInt64, comparedPosts, true)
		if err != nil {
			return err
		}
		for _, ref := range []*liked.PostID{&p.InReplyTo, &p.Quotes} {
			if *ref == 0 {
				continue
			}
			seen, err := found(*ref)
			if err != nil {
				return err
			}
			if seen.Err != nil {
				return &liked.Error{Kind: liked.NotFound, Msg: seen.Err.Error(), Post: *ref}
			}
			*ref = seen.Post.ID
		}
		for _, other := range newest {
			if other.Text == p.Text && other.InReplyTo == p.InReplyTo && other.Quotes == p.Quotes && other.RepostOf == p.RepostOf &&
				p.CreatedAt.Sub(other.CreatedAt) < sameFor {
				return liked.Errorf(liked.Forbidden, "post %v, by the same author, says the same", other.ID)
			}
		}
		return t.addPost(&p, there)
	})
}

// head is what a new post must know of those that it refers to, and one that is deleted of itself.
type head struct {
	id       liked.PostID
	author   liked.UserID
	repostOf liked.PostID
	deleted  bool
	// Zero if it is deleted.
	inReplyTo, quotes, conversation liked.PostID
}

func aHead(r pgx.CollectableRow) (h head, err error) {
	err = r.Scan(&h.id, &h.author, &h.repostOf, &h.deleted, &h.inReplyTo, &h.quotes, &h.conversation)
	return h, err
}

// lockHeads locks posts. All that it returns of them is current, though it may wait: only deleted ever changes, and that is
// read after the wait.
const (
	lockHeads = `SELECT h.post_id, h.author_id, h.repost_of, h.deleted, coalesce(x.in_reply_to, 0), coalesce(x.quotes, 0),
		coalesce(x.conversation, 0) FROM post_heads h LEFT JOIN post_texts x ON x.post_id = h.post_id WHERE h.post_id = ANY(`
	headsInOrder = ") ORDER BY h.post_id FOR NO KEY UPDATE OF h"

	lockNamed = lockHeads + "$1::bigint[] || ARRAY(SELECT repost_of FROM post_heads WHERE post_id = ANY($1))" + headsInOrder
	lockPost  = lockHeads + `$1::bigint || ARRAY(SELECT unnest(ARRAY[o.repost_of, y.in_reply_to, y.quotes])
		FROM post_heads o JOIN post_texts y ON y.post_id = o.post_id WHERE o.post_id = $1)` + headsInOrder
)

// queueHeads locks the heads of posts, whose ids ascend, and reads columns of them: on Citus shard by shard, so read is called for
// each.
func (t *tx) queueHeads(columns string, ids []int64, read func(pgx.Rows) error) {
	for _, some := range t.shards.split(ids) {
		t.queue("SELECT "+columns+" FROM post_heads WHERE post_id = ANY($1) ORDER BY post_id FOR NO KEY UPDATE", some).Query(read)
	}
}

// locked is what a transaction has found and locked of what a new post needs.
type locked struct {
	author bool
	heads  []head // the new post's, if its id is taken, and those of the posts that it names, and of their originals
}

func (l *locked) head(id liked.PostID) (head, bool) {
	i := slices.IndexFunc(l.heads, func(h head) bool { return h.id == id })
	if i < 0 {
		return head{}, false
	}
	return l.heads[i], true
}

// lockNew locks what a new post changes: its author's counts, and the posts that it names, with their originals. What it
// returns is there once all that waits was sent.
func (t *tx) lockNew(p *liked.Post) (*locked, error) {
	var l locked
	t.queue("SELECT FROM user_counts WHERE user_id = $1 FOR NO KEY UPDATE", p.Author).Exec(changed(&l.author))
	named := []int64{int64(p.ID), int64(p.RepostOf), int64(p.InReplyTo), int64(p.Quotes)}
	if t.shards == nil {
		t.queue(lockNamed, named).Query(into(&l.heads, aHead))
		return &l, nil
	}
	named, err := t.withOriginals(named)
	t.lockApart(named, &l.heads)
	return &l, err
}

// addPost adds a post that lockNew was called for.
func (t *tx) addPost(p *liked.Post, there *locked) error {
	if _, is := there.head(p.ID); is {
		return taken("post", p.ID)
	}
	if err := there.resolve(p); err != nil {
		return err
	}
	t.countPost(p, 1)
	t.exec("INSERT INTO post_heads (post_id, author_id, repost_of, deleted) VALUES ($1, $2, $3, false)", p.ID, p.Author, p.RepostOf)
	t.exec(`INSERT INTO post_texts (post_id, text, created_at, in_reply_to, quotes, conversation, in_reply_to_user)
		VALUES ($1, $2, $3, $4, $5, $6, $7)`, p.ID, p.Text, micros(p.CreatedAt), p.InReplyTo, p.Quotes, p.Conversation, p.InReplyToUser)
	t.exec("INSERT INTO posts_of (author_id, post_id) VALUES ($1, $2)", p.Author, p.ID)
	t.exec("UPDATE tallies SET posts = posts + 1 WHERE lane = $1", liked.PartitionOf(p.Author))
	return nil
}

// resolve checks that the author and the posts referred to are there, makes a repost of a repost one of the original, and sets a reply's
// conversation.
func (l *locked) resolve(p *liked.Post) error {
	if !l.author {
		return noSuch("user", p.Author)
	}
	p.Conversation, p.InReplyToUser = 0, 0
	for _, ref := range []*liked.PostID{&p.RepostOf, &p.InReplyTo, &p.Quotes} {
		if *ref == 0 {
			continue
		}
		h, ok := l.head(*ref)
		if ok && !h.deleted && ref == &p.RepostOf && h.repostOf != 0 {
			*ref = h.repostOf
			h, ok = l.head(*ref)
		}
		if !ok || h.deleted {
			return noSuch("post", *ref)
		}
		if ref == &p.InReplyTo {
			p.InReplyToUser, p.Conversation = h.author, cmp.Or(h.conversation, h.id)
		}
	}
	return nil
}

// countPost adds delta to all counts that the post is part of but the tallies, which come last.
func (t *tx) countPost(p *liked.Post, delta int) {
	t.exec("UPDATE user_counts SET posts = posts + $2 WHERE user_id = $1", p.Author, delta)
	if p.RepostOf|p.InReplyTo|p.Quotes != 0 {
		t.exec(`UPDATE post_heads SET reposts = reposts + $4 * (post_id = $1)::int, replies = replies + $4 * (post_id = $2)::int,
			quotes = quotes + $4 * (post_id = $3)::int WHERE post_id = ANY($5)`, p.RepostOf, p.InReplyTo, p.Quotes, delta,
			posts(int64(p.RepostOf), int64(p.InReplyTo), int64(p.Quotes)))
	}
}

func (s *Store) Post(ctx context.Context, viewer liked.UserID, id liked.PostID) (liked.Post, error) {
	seen, err := s.Posts(ctx, viewer, []liked.PostID{id}, store.WithMetrics)
	if err != nil {
		return liked.Post{}, err
	}
	return seen[0].Post, seen[0].Err
}

func (s *Store) Posts(ctx context.Context, viewer liked.UserID, ids []liked.PostID, _ store.Metrics) ([]store.Seen, error) {
	var found []seenPost
	var err error
	if s.shards == nil {
		found, err = list(ctx, s, scanSeen(viewer), postsSeen, viewer, ids)
	} else {
		found, err = view(ctx, s, func(t *tx) ([]seenPost, error) { return t.postsApart(viewer, ids) })
	}
	if err != nil {
		return nil, err
	}
	return inOrder(ids, found), nil
}

// rowsPerItem bounds what is read of rows that the viewer may not see.
const rowsPerItem = 8

func (s *Store) LatestPosts(ctx context.Context, max int) ([]liked.Post, error) {
	if err := valid.Page(max); err != nil {
		return nil, err
	}
	if s.shards != nil {
		return view(ctx, s, func(t *tx) ([]liked.Post, error) { return t.latestApart(rowsPerItem*max, max) })
	}
	return list(ctx, s, aPost, latestPosts, rowsPerItem*max, max)
}

const latestPosts = "SELECT " + postColumns + ` FROM (SELECT * FROM post_heads ORDER BY post_id DESC LIMIT $1) h
	JOIN post_texts x ON x.post_id = h.post_id LEFT JOIN special s ON s.user_id = h.author_id
	WHERE NOT h.deleted AND h.repost_of = 0 AND (s.user_id IS NULL OR NOT s.hidden AND NOT s.protected)
	ORDER BY h.post_id DESC LIMIT $2`

func (s *Store) NewestPosts(ctx context.Context, viewer liked.UserID, users []liked.UserID) ([]liked.PostID, error) {
	if s.shards != nil {
		return view(ctx, s, func(t *tx) ([]liked.PostID, error) { return t.newestApart(viewer, users) })
	}
	return list(ctx, s, pgx.RowTo[liked.PostID], newestPosts, viewer, users)
}

const newestPosts = "SELECT CASE WHEN " + seenColumn + ` = 0 THEN
	coalesce((SELECT max(o.post_id) FROM posts_of o WHERE o.author_id = r.id), 0) ELSE 0 END
	FROM unnest($2::bigint[]) WITH ORDINALITY r(id, i) LEFT JOIN special s ON s.user_id = r.id ORDER BY r.i`

func (s *Store) PostsBy(ctx context.Context, author liked.UserID, before liked.PostID, max int) ([]liked.Post, error) {
	if err := valid.Page(max); err != nil {
		return nil, err
	}
	if before <= 0 {
		before = math.MinInt64 // less one is the highest id
	}
	last := before - 1 // the highest id there is, unless before says less
	if author == 0 {
		return list(ctx, s, aPost, postsBefore, last, max)
	}
	if s.shards != nil {
		return view(ctx, s, func(t *tx) ([]liked.Post, error) { return t.postsOf(author, last, max, false) })
	}
	return list(ctx, s, aPost, postsOf, author, last, max)
}

// In postsBefore each table has a bound, as in usersAfter. Of an author's posts the ids come first: as one join, those of an
// author who has many could be planned as a merge that reads everybody's.
const (
	postsBefore = "SELECT " + postColumns + ` FROM post_heads h JOIN post_texts x ON x.post_id = h.post_id
		WHERE h.post_id <= $1 AND x.post_id <= $1 AND NOT h.deleted ORDER BY h.post_id DESC LIMIT $2`
	postsOf = "SELECT " + postColumns + ` FROM
		(SELECT post_id FROM posts_of WHERE author_id = $1 AND post_id <= $2 ORDER BY post_id DESC LIMIT $3) o
		JOIN post_heads h ON h.post_id = o.post_id JOIN post_texts x ON x.post_id = o.post_id ORDER BY o.post_id DESC`
)

// postsOf returns an author's newest posts up to the last one. It sends what waits. complete: the author's counts are locked, and
// what is not committed on all nodes of Citus yet must not be missed.
func (t *tx) postsOf(author liked.UserID, last liked.PostID, max int, complete bool) ([]liked.Post, error) {
	if t.shards == nil {
		return rows(t, aPost, postsOf, author, last, max)
	}
	ids, err := rows(t, pgx.RowTo[liked.PostID], "SELECT post_id FROM posts_of WHERE author_id = $1 AND post_id <= $2 "+
		"ORDER BY post_id DESC LIMIT $3", author, last, max)
	if err != nil || len(ids) == 0 {
		return nil, err
	}
	posts, err := rows(t, aPost, "SELECT "+postColumns+` FROM post_heads h JOIN post_texts x ON x.post_id = h.post_id
		WHERE h.post_id = ANY($1) AND x.post_id = ANY($1) ORDER BY h.post_id DESC`, ids)
	if err == nil && complete && len(posts) < len(ids) {
		err = errHalf
	}
	return posts, err
}

// lockPost locks the counts of a post's author, the post, and the posts that it names.
func (t *tx) lockPost(id liked.PostID) (heads []head, err error) {
	if t.shards == nil {
		t.queue(`SELECT FROM user_counts WHERE user_id = (SELECT author_id FROM post_heads WHERE post_id = $1) FOR NO KEY UPDATE`, id)
		return rows(t, aHead, lockPost, id)
	}
	var of struct{ author, repostOf, inReplyTo, quotes int64 } // which never change
	t.queue("SELECT author_id, repost_of FROM post_heads WHERE post_id = $1", id).Query(scanInto(&of.author, &of.repostOf))
	t.queue("SELECT in_reply_to, quotes FROM post_texts WHERE post_id = $1", id).Query(scanInto(&of.inReplyTo, &of.quotes))
	if err := t.send(); err != nil {
		return nil, err
	}
	t.queue("SELECT FROM user_counts WHERE user_id = $1 FOR NO KEY UPDATE", of.author)
	t.lockApart(posts(int64(id), of.repostOf, of.inReplyTo, of.quotes), &heads)
	return heads, t.send()
}

// scanInto keeps the columns of the last row of a statement that waits.
func scanInto(to ...any) func(pgx.Rows) error {
	return func(r pgx.Rows) error {
		_, err := pgx.ForEachRow(r, to, func() error { return nil })
		return err
	}
}

// DeletePost leaves a tombstone, so that the id is never used again, and the likes, which can be taken back but are in no list.
func (s *Store) DeletePost(ctx context.Context, by liked.UserID, id liked.PostID) error {
	return s.update(ctx, func(t *tx) error {
		heads, err := t.lockPost(id)
		h, ok := (&locked{heads: heads}).head(id)
		switch {
		case err != nil:
			return err
		case !ok || h.deleted:
			return noSuch("post", id)
		case by != 0 && by != h.author:
			return liked.Errorf(liked.Forbidden, "post %v is not by user %v", id, by)
		}
		t.countPost(&liked.Post{Author: h.author, RepostOf: h.repostOf, InReplyTo: h.inReplyTo, Quotes: h.quotes}, -1)
		t.exec("UPDATE post_heads SET deleted = true WHERE post_id = $1", id)
		t.exec("DELETE FROM post_texts WHERE post_id = $1", id)
		t.exec("DELETE FROM posts_of WHERE author_id = $1 AND post_id = $2", h.author, id)
		t.exec("UPDATE users SET pinned = 0, version = version + 1 WHERE user_id = $1 AND pinned = $2", h.author, id)
		t.exec("UPDATE tallies SET posts = posts - 1 WHERE lane = $1", liked.PartitionOf(h.author))
		return nil
	})
}
