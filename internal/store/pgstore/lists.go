package pgstore

import (
	"cmp"
	"context"
	"math"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"liked"
	"liked/internal/store"
	"liked/internal/store/sight"
	"liked/internal/store/valid"
)

// likeList is a list of likes: a table, its owner's column, and how the rows of a part r(seq, id) of it become items that a
// viewer, $1, sees.
type likeList[T any] struct {
	table string // where the list is, up to its owner
	of    string // the owner of a list of $2
	id    string // column of what an item is made of
	items string // from the columns to the end of WHERE
	scan  pgx.RowToFunc[T]
	apart func(t *tx, viewer liked.UserID, ids []int64) (map[int64]T, error) // items on Citus, of ids
}

var likedPosts = likeList[liked.Post]{
	table: "likes WHERE user_id", of: "$2", id: "post_id", scan: aPost,
	items: postColumns + " FROM r" + seenJoins + " WHERE " + seenColumn + " = 0",
	apart: func(t *tx, viewer liked.UserID, ids []int64) (map[int64]liked.Post, error) {
		found, err := t.postsApart(viewer, column(ids, func(id int64) liked.PostID { return liked.PostID(id) }))
		by := make(map[int64]liked.Post)
		for _, f := range found {
			if f.Err == nil {
				by[int64(f.id)] = f.Post
			}
		}
		return by, err
	},
}

const (
	likers     = " FROM r JOIN users u ON u.user_id = r.id"
	likersSeen = " LEFT JOIN special s ON s.user_id = u.user_id WHERE " + seenColumn + " = 0"
)

// The likers of a repost are those of its original.
var likingUsers = likeList[liked.User]{
	table: "likers WHERE post_id", of: "(SELECT CASE repost_of WHEN 0 THEN post_id ELSE repost_of END FROM post_heads WHERE post_id = $2)",
	id: "user_id", scan: aUser,
	items: userColumns + likers + userJoins + likersSeen,
	apart: func(t *tx, viewer liked.UserID, ids []int64) (map[int64]liked.User, error) {
		users, err := rows(t, aUser, t.shards.usersByID(), ids)
		if err != nil {
			return nil, err
		}
		how, err := t.sights(viewer, column(users, func(u liked.User) liked.UserID { return u.ID }))
		by := make(map[int64]liked.User)
		for _, u := range users {
			if how[u.ID] == sight.Visible {
				by[int64(u.ID)] = u
			}
		}
		return by, err
	},
}

// LikedPosts reads what counts a post has with what decides who sees it.
func (s *Store) LikedPosts(ctx context.Context, viewer, user liked.UserID, from store.Cursor, max int,
	_ store.Metrics, space []liked.Post) (store.Page[liked.Post], error) {
	return walk(ctx, s, likedPosts, viewer, int64(user), from, max, space, func(t *tx) func() error {
		how := sight.Hidden
		if t.shards != nil {
			return func() error {
				_, there, err := row(t, pgx.RowTo[bool], "SELECT true FROM user_likes WHERE user_id = $1", user)
				if err != nil || !there {
					return cmp.Or(err, how.Refusal(viewer, user, ""))
				}
				sights, err := t.sights(viewer, []liked.UserID{user})
				return cmp.Or(err, sights[user].Refusal(viewer, user, ""))
			}
		}
		t.queue("SELECT "+seenColumn+" FROM users u LEFT JOIN special s ON s.user_id = u.user_id WHERE u.user_id = $2", viewer, user).
			Query(func(r pgx.Rows) error {
				_, err := pgx.ForEachRow(r, []any{&how}, func() error { return nil })
				return err
			})
		return func() error { return how.Refusal(viewer, user, "") }
	})
}

func (s *Store) LikingUsers(ctx context.Context, viewer liked.UserID, post liked.PostID, from store.Cursor, max int,
	metrics store.Metrics, space []liked.User) (store.Page[liked.User], error) {
	l := likingUsers
	if !metrics {
		l.items = uncounted + likers + likersSeen
	}
	return walk(ctx, s, l, viewer, int64(post), from, max, space, func(t *tx) func() error {
		seen := t.originals(viewer, []liked.PostID{post})
		return func() error {
			s, err := seen(post)
			return cmp.Or(err, s.Err)
		}
	})
}

// walk reads a list until it has max items, leaving out those that the viewer does not see. may queues what says whether the
// viewer sees the list at all, and returns a function that says it once all is sent.
func walk[T any](ctx context.Context, s *Store, l likeList[T], viewer liked.UserID, owner int64, from store.Cursor, max int,
	space []T, may func(*tx) func() error) (store.Page[T], error) {
	if err := valid.Page(max); err != nil {
		return store.Page[T]{}, err
	}
	bound, order, border := " AND seq < $3", " ORDER BY seq DESC", int64(math.MaxInt64)
	if from.Newer {
		bound, order = " AND seq >= $3", " ORDER BY seq"
	}
	if from != (store.Cursor{}) {
		border = int64(min(from.Seq, math.MaxInt64))
	}
	list := " FROM " + l.table + " = " + l.of + bound + order
	endsOf := fewer.Replace("SELECT seq" + list + " LIMIT 2 OFFSET $4 - 1")
	itemsOf := "WITH r AS MATERIALIZED (SELECT seq, " + l.id + " AS id" + list + " LIMIT $4) SELECT " + l.items + order
	return view(ctx, s, func(t *tx) (page store.Page[T], err error) {
		allowed := may(t)
		all := space[:0]
		more := true
		var last liked.Seq
		next := border
		for left := rowsPerItem * max; more && len(all) < max && left > 0; {
			n := min(max-len(all), left)
			var ends []liked.Seq // of n rows the last one, and the row behind it
			var items []T
			if t.shards == nil {
				t.queue(endsOf, owner, next, n).Query(into(&ends, pgx.RowTo[liked.Seq]))
				items, err = rows(t, l.scan, itemsOf, viewer, owner, next, n)
				err = cmp.Or(err, allowed())
			} else if err = allowed(); err == nil {
				ends, items, err = l.readApart(t, bound+order, viewer, owner, next, n)
			}
			if err != nil {
				return page, err
			}
			all = append(all, items...)
			if more = len(ends) == 2; more {
				last = ends[0]
				if next = int64(last); from.Newer {
					next++
				}
			}
			left -= n
		}
		return sight.Page(all, from, last, more), nil
	})
}

// fewer numbers the parameters of a statement that has no viewer.
var fewer = strings.NewReplacer("$2", "$1", "$3", "$2", "$4", "$3")

// readApart returns, of n rows of a part, the positions of the last one and of the row behind it, if there are so many, and those
// items that the viewer sees.
func (l *likeList[T]) readApart(t *tx, part string, viewer liked.UserID, owner, next int64, n int) ([]liked.Seq, []T, error) {
	if l.of != "$2" {
		id, there, err := row(t, pgx.RowTo[int64], "SELECT "+strings.ReplaceAll(l.of, "$2", "$1"), owner)
		if err != nil || !there {
			return nil, nil, err
		}
		owner = id
	}
	type item struct {
		Seq liked.Seq
		ID  int64
	}
	sql := fewer.Replace("SELECT seq, " + l.id + " FROM " + l.table + " = $2" + part + " LIMIT $4")
	found, err := rows(t, pgx.RowToStructByPos[item], sql, owner, next, n+1)
	if err != nil || len(found) == 0 {
		return nil, nil, err
	}
	ids := column(found, func(i item) int64 { return i.ID })
	by, err := l.apart(t, viewer, ids[:min(n, len(ids))])
	var items []T
	for _, id := range ids[:min(n, len(ids))] {
		if item, seen := by[id]; seen {
			items = append(items, item)
		}
	}
	return column(found[min(n-1, len(found)):], func(i item) liked.Seq { return i.Seq }), items, err
}

// Liked looks up likes by both columns of their key: an array of one user's posts could be read as all likes of the user.
func (s *Store) Liked(ctx context.Context, user liked.UserID, posts []liked.PostID) ([]bool, error) {
	if s.shards != nil {
		return view(ctx, s, func(t *tx) ([]bool, error) { return t.likedApart(user, posts) })
	}
	return list(ctx, s, pgx.RowTo[bool], `SELECT l.seq IS NOT NULL FROM unnest($1::bigint[], $2::bigint[]) WITH ORDINALITY r(u, p, i)
		LEFT JOIN post_heads h ON h.post_id = r.p
		LEFT JOIN likes l ON l.user_id = r.u AND l.post_id = CASE h.repost_of WHEN 0 THEN h.post_id ELSE h.repost_of END
		ORDER BY r.i`, slices.Repeat([]liked.UserID{user}, len(posts)), posts)
}
