package pgstore

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/jackc/pgx/v5"

	"liked"
	"liked/internal/store"
)

// Totals reads what every transaction keeps: 40 rows.
func (s *Store) Totals(ctx context.Context) (store.Totals, error) {
	return first(ctx, s, nil, pgx.RowToStructByPos[store.Totals], `SELECT coalesce(sum(t.users), 0)::bigint,
		coalesce(sum(t.posts), 0)::bigint, coalesce(sum(l.likes), 0)::bigint FROM lanes l JOIN tallies t USING (lane)`)
}

// maxProblems is how many problems a report names.
const maxProblems = 100

// disagreements return a text for each problem, or rather for some of each kind: no text, no problem.
var disagreements = []string{
	// Users.
	`SELECT format('username %s of user %s is not in the list of usernames', u.username, u.user_id) FROM users u
		LEFT JOIN usernames n ON n.name = lower(u.username) AND n.user_id = u.user_id WHERE n.name IS NULL`,
	`SELECT format('username %s belongs to user %s, who is not there or has another', n.name, n.user_id) FROM usernames n
		LEFT JOIN users u ON u.user_id = n.user_id AND lower(u.username) = n.name WHERE u.user_id IS NULL`,
	`SELECT format('user %s has no counts', u.user_id) FROM users u LEFT JOIN user_counts c USING (user_id)
		LEFT JOIN user_likes l USING (user_id) WHERE c.user_id IS NULL OR l.user_id IS NULL`,
	`SELECT format('user %s is counted and not there', user_id) FROM user_counts c FULL JOIN user_likes l USING (user_id)
		LEFT JOIN users u USING (user_id) WHERE u.user_id IS NULL`,
	`SELECT format('user %s has %s followers, follows %s and has %s posts, and should have %s, %s and %s', user_id, c.followers, c.following,
		c.posts, coalesce(i.n, 0), coalesce(o.n, 0), coalesce(p.n, 0)) FROM user_counts c
		LEFT JOIN (SELECT followed AS user_id, count(*) AS n FROM follows GROUP BY 1) i USING (user_id)
		LEFT JOIN (SELECT follower AS user_id, count(*) AS n FROM follows GROUP BY 1) o USING (user_id)
		LEFT JOIN (SELECT author_id AS user_id, count(*) AS n FROM post_heads WHERE NOT deleted GROUP BY 1) p USING (user_id)
		WHERE (c.followers, c.following, c.posts) <> (coalesce(i.n, 0), coalesce(o.n, 0), coalesce(p.n, 0))`,
	`SELECT format('user %s likes %s posts, and should like %s', user_id, c.n, coalesce(l.n, 0)) FROM user_likes c
		LEFT JOIN (SELECT user_id, count(*) AS n FROM likes GROUP BY 1) l USING (user_id) WHERE c.n <> coalesce(l.n, 0)`,
	`SELECT format('user %s has likes and is not there', l.user_id) FROM (SELECT DISTINCT user_id FROM likes) l
		LEFT JOIN users u USING (user_id) WHERE u.user_id IS NULL`,
	`SELECT format('user %s is hidden: %s, protected: %s, blocks %s, and the like rules say otherwise', user_id, u.state >= 2, u.protected,
		coalesce(b.n, 0)) FROM users u LEFT JOIN special s USING (user_id)
		LEFT JOIN (SELECT blocker AS user_id, count(*) AS n FROM blocks GROUP BY 1) b USING (user_id)
		WHERE (coalesce(s.hidden, false), coalesce(s.protected, false), coalesce(s.blocks, 0)) <>
			(u.state >= 2, u.protected, coalesce(b.n, 0))`,
	`SELECT format('the like rules know user %s, who is not there', s.user_id) FROM special s LEFT JOIN users u USING (user_id)
		WHERE u.user_id IS NULL`,
	`SELECT format('user %s has a password and is not there', p.user_id) FROM passwords p LEFT JOIN users u USING (user_id)
		WHERE u.user_id IS NULL`,

	// Relations.
	`SELECT format('the follow of user %s by user %s is in one list only', followed, follower) FROM follows f
		FULL JOIN followed_by b USING (follower, followed) WHERE f.* IS NULL OR b.* IS NULL`,
	`SELECT format('the block of user %s by user %s is in one list only', blocked, blocker) FROM blocks f
		FULL JOIN blocked_by b USING (blocker, blocked) WHERE f.* IS NULL OR b.* IS NULL`,
	`SELECT format('a relation names user %s, who is not there', r.user_id) FROM (SELECT follower AS user_id FROM follows UNION
		SELECT followed FROM follows UNION SELECT blocker FROM blocks UNION SELECT blocked FROM blocks) r
		LEFT JOIN users u USING (user_id) WHERE u.user_id IS NULL`,

	// Posts.
	`SELECT format('post %s has no author %s', h.post_id, h.author_id) FROM post_heads h LEFT JOIN users u ON u.user_id = h.author_id
		WHERE u.user_id IS NULL`,
	`SELECT format('post %s has a text: %s, deleted: %s', post_id, x.post_id IS NOT NULL, h.deleted) FROM post_heads h
		LEFT JOIN post_texts x USING (post_id) WHERE (x.post_id IS NULL) <> h.deleted`,
	`SELECT format('post %s has a text and is not there', x.post_id) FROM post_texts x LEFT JOIN post_heads h USING (post_id)
		WHERE h.post_id IS NULL`,
	`SELECT format('post %s answers post %s of user %s in conversation %s', post_id, in_reply_to, in_reply_to_user, conversation)
		FROM post_texts WHERE (in_reply_to <> 0) <> (conversation <> 0) OR (in_reply_to <> 0) <> (in_reply_to_user <> 0)`,
	`SELECT format('post %s refers to post %s, which never was', r.post_id, r.ref) FROM (
		SELECT post_id, unnest(ARRAY[repost_of, in_reply_to, post_texts.quotes]) AS ref FROM post_heads JOIN post_texts USING (post_id)) r
		LEFT JOIN post_heads h ON h.post_id = r.ref WHERE r.ref <> 0 AND h.post_id IS NULL`,
	`SELECT format('post %s of user %s is in the list of the author''s posts: %s, deleted: %s', coalesce(h.post_id, o.post_id),
		coalesce(h.author_id, o.author_id), o.post_id IS NOT NULL, h.deleted) FROM post_heads h
		FULL JOIN posts_of o ON o.post_id = h.post_id AND o.author_id = h.author_id
		WHERE h.post_id IS NULL OR (o.post_id IS NULL) <> h.deleted`,
	`SELECT format('post %s has %s reposts, %s replies and %s quotes, and should have %s, %s and %s', h.post_id,
			h.reposts, h.replies, h.quotes,
		coalesce(r.reposts, 0), coalesce(r.replies, 0), coalesce(r.quotes, 0)) FROM post_heads h
		LEFT JOIN (SELECT ref AS post_id, count(*) FILTER (WHERE kind = 1) AS reposts, count(*) FILTER (WHERE kind = 2) AS replies,
				count(*) FILTER (WHERE kind = 3) AS quotes FROM (
			SELECT unnest(ARRAY[repost_of, in_reply_to, post_texts.quotes]) AS ref, unnest(ARRAY[1, 2, 3]) AS kind
				FROM post_heads JOIN post_texts USING (post_id) WHERE NOT deleted) refs WHERE ref <> 0 GROUP BY 1) r USING (post_id)
		WHERE (h.reposts, h.replies, h.quotes) <> (coalesce(r.reposts, 0), coalesce(r.replies, 0), coalesce(r.quotes, 0))`,
	`SELECT format('post %s has %s likes, and should have %s', post_id, h.likes, coalesce(l.n, 0)) FROM post_heads h
		LEFT JOIN (SELECT post_id, count(*) AS n FROM likers GROUP BY 1) l USING (post_id) WHERE h.likes <> coalesce(l.n, 0)`,
	`SELECT format('post %s has likes up to %s, and had some up to %s', post_id, l.seq, h.last) FROM post_heads h
		JOIN (SELECT post_id, max(seq) AS seq FROM likers GROUP BY 1) l USING (post_id) WHERE l.seq > h.last`,

	// Likes.
	`SELECT format('like %s of post %s by user %s is in one list only', seq, post_id, user_id) FROM likes l
		FULL JOIN likers r USING (user_id, post_id, seq) WHERE l.* IS NULL OR r.* IS NULL`,
	`SELECT format('like %s of post %s by user %s is of no post that can be liked', l.seq, l.post_id, l.user_id) FROM likes l
		LEFT JOIN post_heads h USING (post_id) WHERE h.post_id IS NULL OR h.repost_of <> 0`,
	`SELECT format('like %s of post %s by user %s is imported and newer than any import', seq, post_id, user_id) FROM likes, meta
		WHERE NOT logged AND seq > meta.imported`,
	`SELECT format('like %s of post %s by user %s is newer than any position given', seq, post_id, user_id) FROM likes
		WHERE seq > (SELECT max(last) FROM lanes)`,
	`SELECT format('the lanes count %s likes, and there are %s', (SELECT sum(likes) FROM lanes), (SELECT count(*) FROM likes))
		WHERE (SELECT sum(likes) FROM lanes) <> (SELECT count(*) FROM likes)`,
	`SELECT format('the tallies count %s users and %s posts, and there are %s and %s', t.users, t.posts, u.n, p.n)
		FROM (SELECT sum(users) AS users, sum(posts) AS posts FROM tallies) t, (SELECT count(*) AS n FROM users) u,
		(SELECT count(*) AS n FROM post_heads WHERE NOT deleted) p WHERE t.users <> u.n OR t.posts <> p.n`,
	`SELECT format('there is no lane %s, or no tally of it', n) FROM generate_series(0, 19) n
		WHERE NOT EXISTS (SELECT FROM lanes l JOIN tallies t USING (lane) WHERE lane = n)`,

	// Webhooks.
	`SELECT format('webhook %s belongs to app %s, which is not there', w.webhook, w.app) FROM webhooks w
		LEFT JOIN apps a ON a.app = w.app AND NOT a.deleted WHERE a.app IS NULL`,
	`SELECT format('webhook %s has no offsets', w.webhook) FROM webhooks w LEFT JOIN offsets o USING (webhook) WHERE o.webhook IS NULL`,
	`SELECT format('webhook %s has offsets and is not there', o.webhook) FROM offsets o LEFT JOIN webhooks w USING (webhook)
		WHERE w.webhook IS NULL`,
	`SELECT format('webhook %s has %s dead letters, and should have %s', webhook, coalesce(o.dead, 0), coalesce(l.n, 0)) FROM offsets o
		FULL JOIN (SELECT webhook, count(*) AS n FROM letters GROUP BY 1) l USING (webhook) WHERE coalesce(o.dead, 0) <> coalesce(l.n, 0)`,
	`SELECT format('subscription %s belongs to app %s, which is not there', s.subscription, s.app) FROM subscriptions s
		LEFT JOIN apps a ON a.app = s.app AND NOT a.deleted WHERE a.app IS NULL`,
	`SELECT format('app %s has %s subscriptions that user %s made (0: in all), and should have %s', app, coalesce(c.n, 0), viewer,
		coalesce(s.n, 0)) FROM subscription_counts c FULL JOIN (
			SELECT app, viewer, count(*) AS n FROM subscriptions WHERE viewer <> 0 GROUP BY 1, 2 UNION ALL
			SELECT app, 0, count(*) FROM subscriptions GROUP BY 1) s USING (app, viewer)
		WHERE coalesce(c.n, 0) <> coalesce(s.n, 0)`,
}

// Check reads one snapshot. It keeps in memory, for one lane after the other, the last change of each like in the log.
func (s *Store) Check(ctx context.Context) (store.Report, error) {
	return view(ctx, s, func(t *tx) (store.Report, error) {
		c := checker{tx: t, report: store.Report{Problems: []string{}}}
		err := c.check()
		return c.report, err
	})
}

type checker struct {
	*tx
	report  store.Report
	horizon liked.Seq
	likes   int64 // found in the log as it says, and not older than the horizon
}

func (c *checker) problem(format string, args ...any) {
	if len(c.report.Problems) < maxProblems {
		c.report.Problems = append(c.report.Problems, fmt.Sprintf(format, args...))
	}
}

func (c *checker) check() error {
	c.queue("SET LOCAL statement_timeout = 0")
	c.queue("SELECT (SELECT count(*) FROM users), (SELECT count(*) FROM post_heads WHERE NOT deleted), (SELECT count(*) FROM likes), " +
		"horizon FROM meta").QueryRow(func(r pgx.Row) error { return r.Scan(&c.report.Users, &c.report.Posts, &c.report.Likes, &c.horizon) })
	for _, sql := range disagreements {
		found, err := rows(c.tx, pgx.RowTo[string], fmt.Sprintf("%s LIMIT %d", sql, maxProblems))
		if err != nil {
			return err
		}
		for _, problem := range found {
			c.problem("%s", problem)
		}
	}
	for lane := range liked.Partitions {
		if err := c.lane(lane); err != nil {
			return err
		}
	}
	return c.unlogged()
}

type lastChange struct {
	seq liked.Seq
	on  bool
}

// pageOfLog is how many rows of the log, or of likes, are read at once.
const pageOfLog = 512

// lane replays a lane of the log: a like's last entry must match its state.
func (c *checker) lane(lane int) error {
	ends, _, err := row(c.tx, pgx.RowToStructByPos[struct{ Last, Newest liked.Seq }], "SELECT last, newest FROM lanes WHERE lane = $1", lane)
	if err != nil {
		return err
	}
	type part struct {
		Pos, First liked.Seq
		N          int
		Entries    []byte
	}
	last := make(map[likeID]lastChange)
	newest := liked.Seq(0)
	for {
		parts, err := rows(c.tx, pgx.RowToStructByPos[part],
			"SELECT pos, first, n, entries FROM log WHERE lane = $1 AND pos > $2 ORDER BY pos LIMIT $3", lane, newest, pageOfLog)
		if err != nil {
			return err
		}
		if len(parts) == 0 {
			break
		}
		var entries []liked.LikeEvent
		for _, p := range parts {
			before := len(entries)
			if entries, err = unpackEntries(entries, p.First, p.Entries); err != nil || len(entries)-before != p.N || p.First <= newest ||
				entries[len(entries)-1].Seq != p.Pos {
				c.problem("row %d in lane %d of the log does not have the %d entries that it should", p.Pos, lane, p.N)
			}
			newest = p.Pos
		}
		c.report.LogEntries += int64(len(entries))
		for _, e := range entries {
			if laneOf(e.User) != lane || e.Seq&laneMask != liked.Seq(lane) {
				c.problem("entry %d of user %v is in lane %d of the log", e.Seq, e.User, lane)
			}
			last[likeID{e.User, e.Post}] = lastChange{e.Seq, e.On}
		}
		if err := c.authors(entries); err != nil {
			return err
		}
	}
	if newest != ends.Newest || newest > ends.Last {
		c.problem("lane %d of the log ends at %d, and should at %d, with no position above %d", lane, newest, ends.Newest, ends.Last)
	}
	return c.compare(last)
}

// authors checks that the entries name the authors of their posts.
func (c *checker) authors(entries []liked.LikeEvent) error {
	named := make(map[liked.PostID]liked.UserID)
	for _, e := range entries {
		named[e.Post] = e.Author
	}
	posts, authors := make([]int64, 0, len(named)), make([]int64, 0, len(named))
	for post, author := range named {
		posts, authors = append(posts, int64(post)), append(authors, int64(author))
	}
	wrong, err := rows(c.tx, pgx.RowTo[string], `SELECT format('the log names author %s of post %s', a, p)
		FROM unnest($1::bigint[], $2::bigint[]) r(p, a) LEFT JOIN post_heads h ON h.post_id = r.p AND h.author_id = r.a
		WHERE h.post_id IS NULL`, posts, authors)
	for _, w := range wrong {
		c.problem("%s", w)
	}
	return err
}

// compare checks that likes are as the log has left them.
func (c *checker) compare(last map[likeID]lastChange) error {
	type like struct {
		User   liked.UserID
		Post   liked.PostID
		Seq    liked.Seq
		Logged bool
	}
	for ids := range slices.Chunk(slices.Collect(maps.Keys(last)), 4096) {
		users, posts := make([]int64, len(ids)), make([]int64, len(ids))
		for i, id := range ids {
			users[i], posts[i] = int64(id.user), int64(id.post)
		}
		likes, err := rows(c.tx, pgx.RowToStructByPos[like], `SELECT l.user_id, l.post_id, l.seq, l.logged
			FROM unnest($1::bigint[], $2::bigint[]) r(u, p) JOIN likes l ON l.user_id = r.u AND l.post_id = r.p`, users, posts)
		if err != nil {
			return err
		}
		for _, l := range likes {
			id := likeID{l.User, l.Post}
			want := last[id]
			switch {
			case !l.Logged && !want.on: // imported after it was taken back
			case !want.on || l.Seq != want.seq || !l.Logged:
				c.problem("the log ends with like %d of post %v by user %v %v, the like is %d", want.seq, l.Post, l.User, want.on, l.Seq)
			case l.Seq >= c.horizon:
				c.likes++
			}
			delete(last, id)
		}
		for _, id := range ids {
			if want, ok := last[id]; ok && want.on {
				c.problem("the log ends with like %d of post %v by user %v, which is not there", want.seq, id.post, id.user)
			}
		}
	}
	return nil
}

// unlogged looks for likes that should be in the log and are not: only if their numbers differ.
func (c *checker) unlogged() error {
	number, _, err := row(c.tx, pgx.RowTo[int64], "SELECT count(*) FROM likes WHERE logged AND seq >= $1", c.horizon)
	if err != nil || number == c.likes {
		return err
	}
	logged := make(map[liked.Seq]bool)
	for after, more := (struct {
		lane int
		pos  liked.Seq
	}{-1, math.MaxInt64}), true; more; {
		more = false
		_, err := rows(c.tx, func(r pgx.CollectableRow) (none struct{}, err error) {
			var first liked.Seq
			var packed []byte
			if err := r.Scan(&after.lane, &after.pos, &first, &packed); err != nil {
				return none, err
			}
			more = true
			entries, _ := unpackEntries(nil, first, packed) // damage is a problem already
			for _, e := range entries {
				if e.On {
					logged[e.Seq] = true
				}
			}
			return none, nil
		}, "SELECT lane, pos, first, entries FROM log WHERE (lane, pos) > ($1, $2) ORDER BY lane, pos LIMIT $3",
			after.lane, after.pos, pageOfLog)
		if err != nil {
			return err
		}
	}
	for user, seq, more := liked.UserID(0), liked.Seq(0), true; more && len(c.report.Problems) < maxProblems; {
		more = false
		_, err := rows(c.tx, func(r pgx.CollectableRow) (none struct{}, err error) {
			var post liked.PostID
			if err := r.Scan(&user, &seq, &post); err != nil {
				return none, err
			}
			if more = true; !logged[seq] {
				c.problem("like %d of post %v by user %v is not in the log", seq, post, user)
			}
			return none, nil
		}, "SELECT user_id, seq, post_id FROM likes WHERE logged AND seq >= $1 AND (user_id, seq) > ($2, $3) ORDER BY user_id, seq LIMIT $4",
			c.horizon, user, seq, pageOfLog)
		if err != nil {
			return err
		}
	}
	return nil
}
