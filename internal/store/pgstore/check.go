package pgstore

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"liked"
	"liked/internal/store"
)

// Totals reads what every transaction keeps: 40 rows.
func (s *Store) Totals(ctx context.Context) (store.Totals, error) {
	return first(ctx, s, nil, pgx.RowToStructByPos[store.Totals], `SELECT coalesce(sum(t.users), 0)::bigint,
		coalesce(sum(t.posts), 0)::bigint, coalesce(sum(l.likes), 0)::bigint FROM lanes l JOIN tallies t USING (lane)`)
}

// Check compares whole tables on a snapshot, which the database does, and then the log with the likes. It keeps in memory, per lane
// of the log, each like's last change. What PostgreSQL itself promises, as that an index has all rows of its table, is left to
// amcheck.
func (s *Store) Check(ctx context.Context) (report store.Report, err error) {
	err = s.atOneMoment(ctx, func(t *tx) error {
		report, err = check(t)
		return err
	})
	return report, err
}

// maxProblems is how many problems a report names.
const maxProblems = 100

type checker struct {
	*tx
	report  store.Report
	horizon liked.Seq
	matched int64 // likes that the log ends with, from the horizon on
}

func check(t *tx) (store.Report, error) {
	c := checker{tx: t, report: store.Report{Problems: []string{}}}
	r := &c.report
	var imported liked.Seq
	t.queue(t.shards.gathered("SELECT (SELECT count(*) FROM users), (SELECT count(*) FROM post_heads WHERE NOT deleted), " +
		"(SELECT count(*) FROM likes)")).QueryRow(func(row pgx.Row) error { return row.Scan(&r.Users, &r.Posts, &r.Likes) })
	t.queue("SELECT coalesce(max(horizon), 0)::bigint, coalesce(max(imported), 0)::bigint FROM meta").
		QueryRow(func(row pgx.Row) error { return row.Scan(&c.horizon, &imported) })
	for _, sql := range disagreements() {
		problems, err := rows(t, pgx.RowTo[string], t.shards.gathered(fmt.Sprintf("%s LIMIT %d", sql, maxProblems)))
		if err != nil {
			return c.report, err
		}
		for _, p := range problems {
			c.problem("%s", p)
		}
	}
	for lane := range liked.Partitions {
		if err := c.lane(lane, imported != 0); err != nil {
			return c.report, err
		}
	}
	return c.report, c.unlogged()
}

func (c *checker) problem(format string, args ...any) {
	if len(c.report.Problems) < maxProblems {
		c.report.Problems = append(c.report.Problems, fmt.Sprintf(format, args...))
	}
}

// disagreements are statements that return a text for each row that is wrong.
func disagreements() (all []string) {
	add := func(sql ...string) { all = append(all, sql...) }
	// of: each row of a table leads to one of another.
	of := func(table, key, other, otherKey string) {
		add(fmt.Sprintf(`SELECT format('%[1]s names %[2]s %%s, which is not in %[3]s', a.%[2]s) FROM (SELECT DISTINCT %[2]s FROM %[1]s) a
			WHERE NOT EXISTS (SELECT FROM %[3]s b WHERE b.%[4]s = a.%[2]s)`, table, key, other, otherKey))
	}
	// both: two tables have the same keys.
	both := func(table, other string, keys ...string) {
		on, names := make([]string, len(keys)), make([]string, len(keys))
		for i, k := range keys {
			on[i], names[i] = fmt.Sprintf("a.%s = b.%[1]s", k), fmt.Sprintf("coalesce(a.%s, b.%[1]s)", k)
		}
		add(fmt.Sprintf(`SELECT format('%[1]s and %[2]s do not both have %[3]s %[4]s', %[5]s) FROM %[1]s a FULL JOIN %[2]s b ON %[6]s
			WHERE a.%[7]s IS NULL OR b.%[7]s IS NULL`, table, other, strings.Join(keys, ", "),
			strings.TrimSuffix(strings.Repeat("%s, ", len(keys)), ", "),
			strings.Join(names, ", "), strings.Join(on, " AND "), keys[0]))
	}
	// counts: a column has the number of rows of a list, by owner.
	counts := func(table, key, column, list, owner string) {
		add(fmt.Sprintf(`SELECT format('%[1]s has %[3]s %%s of %[2]s %%s and should have %%s', coalesce(a.%[3]s, 0), coalesce(a.%[2]s, n.id),
			coalesce(n.n, 0)) FROM %[1]s a FULL JOIN (SELECT %[5]s AS id, count(*) AS n FROM %[4]s GROUP BY 1) n ON n.id = a.%[2]s
			WHERE coalesce(a.%[3]s, 0) <> coalesce(n.n, 0) OR (a.%[2]s IS NULL)`, table, key, column, list, owner))
	}

	add("SELECT 'meta has ' || count(*) || ' rows and should have 1' FROM meta HAVING count(*) <> 1",
		`SELECT format('username %s of user %s is not in usernames', u.username, u.user_id)
			FROM users u LEFT JOIN usernames m ON m.name = lower(u.username) WHERE m.user_id IS DISTINCT FROM u.user_id`,
		`SELECT format('usernames has %s of user %s, who has another name or is not there', m.name, m.user_id)
			FROM usernames m LEFT JOIN users u ON u.user_id = m.user_id WHERE lower(u.username) IS DISTINCT FROM m.name`,
		`SELECT format('special does not say of user %s that state is %s and protected %s',
			coalesce(u.user_id, s.user_id), u.state, u.protected)
			FROM users u FULL JOIN special s ON s.user_id = u.user_id WHERE u.user_id IS NULL OR u.protected <> coalesce(s.protected, false)
			OR (u.state IN (`+hiddenStates()+`)) <> coalesce(s.hidden, false)`,
		"SELECT format('special has user %s for no reason', user_id) FROM special WHERE NOT hidden AND NOT protected AND blocks = 0")
	both("users", "user_counts", "user_id")
	both("users", "user_likes", "user_id")
	of("passwords", "user_id", "users", "user_id")
	counts("user_counts", "user_id", "followers", "followed_by", "followed")
	counts("user_counts", "user_id", "following", "follows", "follower")
	counts("user_counts", "user_id", "posts", "posts_of", "author_id")
	counts("user_likes", "user_id", "n", "likes", "user_id")
	counts("special", "user_id", "blocks", "blocks", "blocker")
	for _, r := range []relation{follows, blocks} {
		both(r.table, r.reverse, r.from, r.to)
		of(r.table, r.from, "users", "user_id")
		of(r.table, r.to, "users", "user_id")
		add(fmt.Sprintf("SELECT format('%s has user %%s with themselves', %[2]s) FROM %[1]s WHERE %[2]s = %[3]s", r.table, r.from, r.to))
	}

	of("post_heads", "author_id", "users", "user_id")
	both("(SELECT author_id, post_id FROM post_heads WHERE NOT deleted)", "posts_of", "author_id", "post_id")
	both("(SELECT post_id FROM post_heads WHERE NOT deleted)", "post_texts", "post_id")
	for column, from := range map[string]string{"repost_of": "post_heads", "in_reply_to": "post_texts", "quotes": "post_texts"} {
		add(fmt.Sprintf(`SELECT format('post %%s refers to post %%s, which never was', p.post_id, p.%[1]s) FROM %[2]s p
			WHERE p.%[1]s <> 0 AND NOT EXISTS (SELECT FROM post_heads h WHERE h.post_id = p.%[1]s)`, column, from))
	}
	counts("post_heads", "post_id", "reposts", "(SELECT repost_of FROM post_heads WHERE repost_of <> 0 AND NOT deleted) p", "repost_of")
	counts("post_heads", "post_id", "replies", "(SELECT in_reply_to FROM post_texts WHERE in_reply_to <> 0) p", "in_reply_to")
	counts("post_heads", "post_id", "quotes", "(SELECT quotes FROM post_texts WHERE quotes <> 0) p", "quotes")
	counts("post_heads", "post_id", "likes", "likers", "post_id")
	add(`SELECT format('post %s answers post %s of user %s in conversation %s', post_id, in_reply_to, in_reply_to_user, conversation)
			FROM post_texts WHERE (in_reply_to <> 0) <> (conversation <> 0) OR (in_reply_to <> 0) <> (in_reply_to_user <> 0)`,
		`SELECT format('post %s is a repost of post %s, which is one itself', p.post_id, p.repost_of)
			FROM post_heads p JOIN post_heads h ON h.post_id = p.repost_of WHERE h.repost_of <> 0`,
		`SELECT format('the last position of post %s is %s, and its list has %s', h.post_id, h.last, k.newest) FROM post_heads h
			JOIN (SELECT post_id, max(seq) AS newest FROM likers GROUP BY 1) k ON k.post_id = h.post_id WHERE h.last < k.newest`,

		`SELECT format('like %s of post %s by user %s is not in likers', l.seq, l.post_id, l.user_id)
			FROM likes l LEFT JOIN likers k ON k.post_id = l.post_id AND k.seq = l.seq WHERE k.user_id IS DISTINCT FROM l.user_id`,
		`SELECT format('likers has %s of post %s by user %s, and likes %s', k.seq, k.post_id, k.user_id, coalesce(l.seq, 0))
			FROM likers k LEFT JOIN likes l ON l.user_id = k.user_id AND l.post_id = k.post_id WHERE l.seq IS DISTINCT FROM k.seq`,
		`SELECT format('like %s by user %s is of post %s, which is a repost', l.seq, l.user_id, l.post_id)
			FROM likes l JOIN post_heads h ON h.post_id = l.post_id WHERE h.repost_of <> 0`,
		`SELECT format('like %s of post %s by user %s is imported and newer than any import', l.seq, l.post_id, l.user_id)
			FROM likes l, meta m WHERE NOT l.logged AND l.seq > m.imported`,

		fmt.Sprintf(`SELECT format('lane %%s is not in both of lanes and tallies', n) FROM generate_series(0, %d) n
			WHERE NOT EXISTS (SELECT FROM lanes WHERE lane = n) OR NOT EXISTS (SELECT FROM tallies WHERE lane = n)`, liked.Partitions-1),
		`SELECT format('the last position of lane %s is %s, below its newest entry %s or the newest import %s',
			l.lane, l.last, l.newest, m.imported)
			FROM lanes l, meta m WHERE l.last < greatest(l.newest, m.imported)`,
		`SELECT format('the newest entry of lane %s is %s, and its log ends at %s', l.lane, l.newest, coalesce(g.pos, 0))
			FROM lanes l
			LEFT JOIN (SELECT lane, max(pos) AS pos FROM log GROUP BY 1) g ON g.lane = l.lane WHERE l.newest <> coalesce(g.pos, 0)`,
		"SELECT format('the log has lane %s', lane) FROM log WHERE lane NOT IN (SELECT lane FROM lanes) GROUP BY lane")
	for _, n := range []struct{ what, sum, rows string }{
		{"likes", "SELECT sum(likes) FROM lanes", "likes"},
		{"users", "SELECT sum(users) FROM tallies", "users"},
		{"posts", "SELECT sum(posts) FROM tallies", "post_heads WHERE NOT deleted"},
	} {
		add(fmt.Sprintf(`SELECT format('the total of %s is %%s and should be %%s', s, n)
			FROM (SELECT coalesce((%s), 0) AS s, (SELECT count(*) FROM %s) AS n) c WHERE s <> n`, n.what, n.sum, n.rows))
	}

	of("tokens", "grant_id", "grants", "grant_id")
	add(fmt.Sprintf(`SELECT format('key %%s of app %%s is that of app %%s', coalesce(k.kind, a.kind), coalesce(a.app, 0), coalesce(k.app, 0))
			FROM app_keys k FULL JOIN (
				SELECT %d::smallint AS kind, convert_to(client_id, 'UTF8') AS key, app FROM apps WHERE NOT deleted
				UNION ALL SELECT %d, convert_to(api_key, 'UTF8'), app FROM apps WHERE NOT deleted
				UNION ALL SELECT %d, bearer_hash, app FROM apps WHERE NOT deleted AND bearer_hash <> decode(repeat('00', 32), 'hex')) a
			ON a.kind = k.kind AND a.key = k.key WHERE a.app IS DISTINCT FROM k.app`, clientID, apiKey, bearer),
		`SELECT format('grant %s is of era %s of app %s, which has era %s', encode(g.grant_id, 'hex'), g.era, g.app, coalesce(a.era, 0))
			FROM grants g LEFT JOIN apps a ON a.app = g.app
			WHERE NOT g.ended AND (g.era > coalesce(a.era, 0) OR g.era < a.era AND NOT a.unswept)`)
	of("webhooks", "app", "(SELECT app FROM apps WHERE NOT deleted)", "app")
	of("subscriptions", "app", "(SELECT app FROM apps WHERE NOT deleted)", "app")
	both("webhooks", "offsets", "webhook")
	counts("offsets", "webhook", "dead", "letters", "webhook")
	add(fmt.Sprintf("SELECT format('offsets of webhook %%s has no %[1]d positions', webhook) "+
		"FROM offsets WHERE cardinality(positions) <> %[1]d",
		liked.Partitions),
		`SELECT format('subscription_counts has %s of app %s and viewer %s and should have %s', coalesce(c.n, 0), coalesce(c.app, s.app),
			coalesce(c.viewer, s.viewer), coalesce(s.n, 0)) FROM subscription_counts c FULL JOIN (
				SELECT app, 0::bigint AS viewer, count(*) AS n FROM subscriptions GROUP BY app
				UNION ALL SELECT app, viewer, count(*) FROM subscriptions WHERE viewer <> 0 GROUP BY app, viewer) s
			ON s.app = c.app AND s.viewer = c.viewer WHERE c.n IS DISTINCT FROM s.n`)
	return all
}

func hiddenStates() string {
	var hidden []string
	for s := liked.AccountState(0); s <= liked.Deactivated; s++ {
		if s.Hidden() {
			hidden = append(hidden, fmt.Sprint(uint8(s)))
		}
	}
	return strings.Join(hidden, ", ")
}

// lane replays a lane of the log: a like's last entry must match its state.
func (c *checker) lane(lane int, imported bool) error {
	last := make(map[likeID]liked.LikeEvent)
	for end := liked.Seq(0); ; {
		page, err := rows(c.tx, pgx.RowToStructByPos[logRow], "SELECT pos, first, n, entries FROM log WHERE lane = $1 AND pos > $2 "+
			"ORDER BY pos LIMIT 200", lane, end)
		if err != nil {
			return err
		}
		if len(page) == 0 {
			break
		}
		var all []liked.LikeEvent
		for _, row := range page {
			entries, err := unpackEntries(nil, row.First, row.Entries)
			c.report.LogEntries += int64(len(entries))
			if err != nil || len(entries) == 0 || len(entries) != row.N || entries[len(entries)-1].Seq != row.Pos || row.First <= end {
				c.problem("row %d of lane %d of the log is damaged, or is not after the one before", row.Pos, lane)
			}
			all = append(all, entries...)
			end = row.Pos
		}
		if err := c.authors(all); err != nil {
			return err
		}
		for _, e := range all {
			if liked.PartitionOf(e.User) != lane || int(e.Seq&laneMask) != lane {
				c.problem("entry %d of user %v is in lane %d of the log", e.Seq, e.User, lane)
			}
			id := likeID{e.User, e.Post}
			// An imported like is not in the log, and may have been taken back since.
			if before, ok := last[id]; ok && before.On == e.On && (e.On || !imported) {
				c.problem("entry %d of the log sets the like of post %v by user %v to what it was", e.Seq, e.Post, e.User)
			}
			last[id] = e
		}
	}
	return c.ends(last)
}

// logRow is a row of the log.
type logRow struct {
	Pos, First liked.Seq
	N          int
	Entries    []byte
}

// authors checks the authors that entries name.
func (c *checker) authors(entries []liked.LikeEvent) error {
	posts := make(map[liked.PostID]liked.UserID)
	for _, e := range entries {
		posts[e.Post] = 0
	}
	c.queue("SELECT h.post_id, h.author_id FROM unnest($1::bigint[]) r(id) JOIN post_heads h ON "+
		c.shards.only("h.post_id = r.id", "h.post_id = ANY($1)"), sorted(posts)).
		Query(func(r pgx.Rows) error {
			var id liked.PostID
			var author liked.UserID
			_, err := pgx.ForEachRow(r, []any{&id, &author}, func() error { posts[id] = author; return nil })
			return err
		})
	if err := c.send(); err != nil {
		return err
	}
	for _, e := range entries {
		if posts[e.Post] != e.Author {
			c.problem("entry %d of the log names author %v of post %v", e.Seq, e.Author, e.Post)
		}
	}
	return nil
}

// ends compares each like's last entry with the like.
func (c *checker) ends(last map[likeID]liked.LikeEvent) error {
	type like struct {
		seq    liked.Seq
		logged bool
	}
	users, posts := make([]int64, 0, pageSize), make([]int64, 0, pageSize)
	compare := func() error {
		likes := make(map[likeID]like)
		c.queueLikes(users, posts, "l.logged", func(id likeID, seq liked.Seq, logged bool) { likes[id] = like{seq, logged} })
		if err := c.send(); err != nil {
			return err
		}
		for n := range users {
			id := likeID{liked.UserID(users[n]), liked.PostID(posts[n])}
			want := last[id]
			like, ok := likes[id]
			if ok && !like.logged && !want.On {
				continue // imported since
			}
			if ok != want.On || ok && (like.seq != want.Seq || !like.logged) {
				c.problem("the log ends with like %d of post %v by user %v %v, the like is %d", want.Seq, id.post, id.user, want.On, like.seq)
			} else if ok && like.seq >= c.horizon {
				c.matched++
			}
		}
		users, posts = users[:0], posts[:0]
		return nil
	}
	for id := range last {
		if users, posts = append(users, int64(id.user)), append(posts, int64(id.post)); len(users) == pageSize {
			if err := compare(); err != nil {
				return err
			}
		}
	}
	return compare()
}

// unlogged looks for likes that should be in the log and are not. Each that is was counted, so mostly there is nothing to do.
func (c *checker) unlogged() error {
	n, _, err := row(c.tx, pgx.RowTo[int64], "SELECT count(*) FROM likes WHERE logged AND seq >= $1", c.horizon)
	if err != nil || n == c.matched {
		return err
	}
	type missing struct {
		store.Like
		row logRow
	}
	return inPages(c.tx, func(r pgx.CollectableRow) (m missing, err error) {
		err = r.Scan(&m.User, &m.Post, &m.Seq, &m.row.First, &m.row.Entries)
		return m, err
	}, func(m *missing) [2]int64 { return [2]int64{int64(m.User), int64(m.Seq)} }, func(page []missing) error {
		for _, m := range page {
			entries, _ := unpackEntries(nil, m.row.First, m.row.Entries) // a damaged row was reported
			there := false
			for _, e := range entries {
				there = there || e.Seq == m.Seq && e.On && e.User == m.User && e.Post == m.Post
			}
			if !there {
				c.problem("like %d of post %v by user %v is not in the log", m.Seq, m.Post, m.User)
			}
		}
		return nil
	}, `SELECT l.user_id, l.post_id, l.seq, coalesce(g.first, 0), coalesce(g.entries, '') FROM
		(SELECT * FROM likes WHERE (user_id, seq) > ($1, $2) AND logged AND seq >= (SELECT horizon FROM meta) ORDER BY user_id, seq LIMIT $3) l
		LEFT JOIN LATERAL (SELECT first, entries FROM log WHERE lane = (l.seq & `+fmt.Sprint(laneMask)+`)::int AND pos >= l.seq
			ORDER BY pos LIMIT 1) g ON true ORDER BY l.user_id, l.seq`)
}
