package pgstore

import (
	"slices"

	"github.com/jackc/pgx/v5"

	"liked"
	"liked/internal/store"
	"liked/internal/store/sight"
)

// Whoever asks what a viewer sees passes the viewer as $1 (zero: no user, -1: store.Operator), joins post_heads h and post_texts x
// or users u, and joins special s of the author from the left. Sub-queries in seenColumn run for special authors only, and read
// one row by a whole key each: an EXISTS there could be planned to read all that the viewer follows, or all blocks that there are.
const (
	seenColumn = `CASE WHEN s.user_id IS NULL OR $1 = -1::bigint THEN 0 WHEN s.hidden THEN 1 WHEN s.user_id = $1 THEN 0
		WHEN s.blocks > 0 AND (SELECT true FROM blocks b WHERE b.blocker = s.user_id AND b.blocked = $1) THEN 2
		WHEN s.protected AND (SELECT true FROM follows f WHERE f.follower = $1 AND f.followed = s.user_id) IS NULL THEN 3
		ELSE 0 END::int2`
	postColumns = `h.post_id, h.author_id, x.text, x.created_at, h.repost_of, x.in_reply_to, x.quotes, x.conversation, x.in_reply_to_user,
		h.reposts, h.replies, h.likes, h.quotes`
)

// scanPost scans postColumns, and what comes before them into also.
func scanPost(r pgx.CollectableRow, also ...any) (p liked.Post, err error) {
	var created int64
	m := &p.Metrics
	err = r.Scan(slices.Concat(also, []any{(*int64)(&p.ID), (*int64)(&p.Author), &p.Text, &created, (*int64)(&p.RepostOf),
		(*int64)(&p.InReplyTo), (*int64)(&p.Quotes), (*int64)(&p.Conversation), (*int64)(&p.InReplyToUser),
		&m.Reposts, &m.Replies, &m.Likes, &m.Quotes})...)
	p.CreatedAt = timeOf(created)
	return p, err
}

func aPost(r pgx.CollectableRow) (liked.Post, error) { return scanPost(r) }

// postsSeen is what a viewer sees of posts whose ids are an array as $2, without those that are gone; originalsSeen is who sees
// them, and the originals of reposts.
const (
	postsSeen     = "SELECT " + seenColumn + ", " + postColumns + " FROM unnest($2::bigint[]) r(id)" + seenJoins
	originalsSeen = "SELECT " + seenColumn + `, h.post_id, h.author_id, h.repost_of FROM (SELECT unnest($2::bigint[])
		UNION ALL SELECT repost_of FROM post_heads WHERE post_id = ANY($2)) r(id)
		JOIN post_heads h ON h.post_id = r.id AND NOT h.deleted LEFT JOIN special s ON s.user_id = h.author_id`
	seenJoins = ` JOIN post_heads h ON h.post_id = r.id AND NOT h.deleted JOIN post_texts x ON x.post_id = h.post_id
		LEFT JOIN special s ON s.user_id = h.author_id`
)

type seenPost struct {
	id liked.PostID
	store.Seen
}

// scanSeen scans a row of postsSeen.
func scanSeen(viewer liked.UserID) pgx.RowToFunc[seenPost] {
	return func(r pgx.CollectableRow) (seenPost, error) {
		var how sight.Author
		p, err := scanPost(r, &how)
		return seen(viewer, p, how), err
	}
}

func seen(viewer liked.UserID, p liked.Post, how sight.Author) seenPost {
	if how != sight.Visible {
		return seenPost{p.ID, store.Seen{Err: how.Refusal(viewer, p.Author, ", the author of post "+p.ID.String()+",")}}
	}
	return seenPost{p.ID, store.Seen{Post: p}}
}

// originals returns a function that tells whether the viewer sees a post, or its original if it is a repost, and which one that
// is, once all that waits was sent.
func (t *tx) originals(viewer liked.UserID, ids []liked.PostID) func(liked.PostID) (store.Seen, error) {
	var found []seenPost
	if t.shards == nil {
		t.queue(originalsSeen, viewer, ids).Query(into(&found, func(r pgx.CollectableRow) (seenPost, error) {
			var how sight.Author
			var p liked.Post
			err := r.Scan(&how, &p.ID, &p.Author, &p.RepostOf)
			return seen(viewer, p, how), err
		}))
		return func(id liked.PostID) (store.Seen, error) { return seenOriginal(id, found), nil }
	}
	return func(id liked.PostID) (store.Seen, error) {
		found, err := t.originalsApart(viewer, []liked.PostID{id})
		return seenOriginal(id, found), err
	}
}

// inOrder returns what was found for each id, in their order.
func inOrder(ids []liked.PostID, found []seenPost) []store.Seen {
	by := make(map[liked.PostID]store.Seen, len(found))
	for _, f := range found {
		by[f.id] = f.Seen
	}
	all := make([]store.Seen, len(ids))
	for i, id := range ids {
		there := false
		if all[i], there = by[id]; !there {
			all[i].Err = noSuch("post", id)
		}
	}
	return all
}

// seenOriginal is what was found for the post, or for its original if it is a repost.
func seenOriginal(id liked.PostID, found []seenPost) store.Seen {
	s := inOrder([]liked.PostID{id}, found)[0]
	if s.Err == nil && s.Post.RepostOf != 0 {
		s = inOrder([]liked.PostID{s.Post.RepostOf}, found)[0]
	}
	return s
}
