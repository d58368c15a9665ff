package pgstore

import (
	"cmp"
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"liked"
	"liked/internal/store"
	"liked/internal/store/sight"
)

// On Citus a statement may lock rows of one shard only, and may join tables only where the rows that meet are in one shard. The
// shards that it is about follow from its values, if each table has a condition `key = ANY($1)`; an empty array would name all
// of them. So what PostgreSQL does with one statement is here several, and each touches the shards of its ids and no others.

// shards says in which shard Citus keeps the row of an id, which is the same one for all tables that are distributed. nil: the
// tables are not distributed, or all in one shard.
type shards struct {
	least []int32 // the lowest hash of each, ascending
	users []int64 // Citus' numbers of those of users
}

// of returns the number of the id's shard.
func (s *shards) of(id int64) int {
	h := hashOf(id)
	n, found := slices.BinarySearch(s.least, h)
	if !found {
		n--
	}
	return n
}

// hashOf is PostgreSQL's hashint8, by which Citus distributes a bigint.
func hashOf(id int64) int32 {
	low, high := uint32(id), uint32(id>>32)
	if id >= 0 {
		low ^= high
	} else {
		low ^= ^high
	}
	const start = 0x9e3779b9 + 4 + 3923095
	a, b, c := start+low, uint32(start), uint32(start)
	for _, step := range [...]struct {
		to, by *uint32
		left   int
	}{{&c, &b, 14}, {&a, &c, 11}, {&b, &a, 25}, {&c, &b, 16}, {&a, &c, 4}, {&b, &a, 14}, {&c, &b, 24}} {
		*step.to ^= *step.by
		*step.to -= *step.by<<step.left | *step.by>>(32-step.left)
	}
	return int32(c)
}

// split returns the ids, which ascend, by shard in ascending order: what locks a row of each locks shard by shard.
func (s *shards) split(ids []int64) [][]int64 {
	if s == nil || len(ids) < 2 {
		return [][]int64{ids}
	}
	by := make(map[int][]int64)
	for _, id := range ids {
		n := s.of(id)
		by[n] = append(by[n], id)
	}
	all := make([][]int64, 0, len(by))
	for _, n := range sorted(by) {
		all = append(all, by[int(n)])
	}
	return all
}

// pairs returns two columns by shard of the first, in ascending order.
func (s *shards) pairs(a, b []int64) []columnPair {
	if s == nil {
		return []columnPair{{a, b}}
	}
	by := make(map[int]columnPair)
	for i := range a {
		n := s.of(a[i])
		p := by[n]
		by[n] = columnPair{append(p.a, a[i]), append(p.b, b[i])}
	}
	all := make([]columnPair, 0, len(by))
	for _, n := range sorted(by) {
		all = append(all, by[int(n)])
	}
	return all
}

type columnPair struct{ a, b []int64 }

// only is the statement, which ends with its condition, with another that names the shards. PostgreSQL needs none, and might
// follow it to rows that the statement is not about.
func (s *shards) only(sql, condition string) string {
	if s == nil {
		return sql
	}
	return sql + " AND " + condition
}

// Shards returns over how many shards Citus distributes the tables, 0 if it does not.
func (s *Store) Shards() int {
	if s.shards == nil {
		return 0
	}
	return len(s.shards.least)
}

// findShards returns nil if the tables are not distributed.
func (s *Store) findShards(ctx context.Context, conn *pgx.Conn) (*shards, error) {
	var citus bool
	if err := conn.QueryRow(ctx, hasCitus).Scan(&citus); err != nil || !citus {
		return nil, err
	}
	rows, err := conn.Query(ctx, "SELECT shardminvalue::int, shardid FROM pg_dist_shard WHERE logicalrelid = to_regclass('users') ORDER BY 1")
	if err != nil {
		return nil, err
	}
	var found shards
	var least int32
	var user int64
	if _, err = pgx.ForEachRow(rows, []any{&least, &user}, func() error {
		found.least, found.users = append(found.least, least), append(found.users, user)
		return nil
	}); err != nil {
		return nil, err
	}
	if len(found.least) == 0 {
		s.log.Warn("store: the database has Citus, and the schema, which was made without, is on one node; to distribute it, " +
			"export it, and import it into a new schema")
		return nil, nil
	}
	return &found, nil
}

const hasCitus = "SELECT EXISTS (SELECT FROM pg_extension WHERE extname = 'citus')"

// keepShards has shards stay where they are until the transaction ends, as Citus itself does once one is written to: a row that
// is locked before would be another one's after a move. Who moves a shard takes that of users first.
func (t *tx) keepShards() {
	if t.shards != nil {
		const share = 5 // ShareLock
		t.queue("SELECT lock_shard_metadata($1, $2)", share, t.shards.users)
	}
}

// inspectNodes refuses nodes that cannot commit what is written to several of them by as many connections at once.
func (s *Store) inspectNodes(ctx context.Context, conn *pgx.Conn, connections int) error {
	rows, err := conn.Query(ctx, `SELECT n.nodename || ':' || n.nodeport, r.success, r.result
		FROM run_command_on_workers('SHOW max_prepared_transactions') r
		JOIN pg_dist_node n ON n.nodename = r.nodename AND n.nodeport = r.nodeport`)
	if err != nil {
		return err
	}
	type node struct {
		Name   string
		OK     bool
		Result string
	}
	nodes, err := pgx.CollectRows(rows, pgx.RowToStructByPos[node])
	if err != nil {
		return err
	}
	for _, n := range nodes {
		most := 0
		if _, err := fmt.Sscan(n.Result, &most); n.OK && err == nil && most < connections {
			return liked.Errorf(liked.Invalid, "max_prepared_transactions is %d on node %s, so what is written to several nodes cannot be "+
				"committed: set it to the readers and writers of all servers together, %d at least, on each node", most, n.Name, connections)
		}
	}
	var every int64
	err = conn.QueryRow(ctx, "SELECT extract(epoch FROM current_setting('citus.recover_2pc_interval')::interval)::bigint").Scan(&every)
	if err == nil && (every <= 0 || every > 10) {
		s.log.Warn("store: after a node was lost, what it was committing stays locked until Citus recovers it, which takes longer than " +
			"calls wait; set citus.recover_2pc_interval = 2s on the coordinator")
	}
	return err
}

// forShards has statements that write to several shards neither wait for each other, since their rows are locked in one order
// already, nor use several connections to a node. PostgreSQL alone takes no notice.
const forShards = "SET citus.enable_deadlock_prevention = off; SET citus.max_adaptive_executor_pool_size = 1"

// sights returns how the viewer sees authors that are not visible. It sends what waits.
func (t *tx) sights(viewer liked.UserID, authors []liked.UserID) (map[liked.UserID]sight.Author, error) {
	if viewer == store.Operator {
		return nil, t.send()
	}
	pairs := make([]viewOf, len(authors))
	for i, a := range authors {
		pairs[i] = viewOf{viewer, a}
	}
	all, err := t.views(pairs)
	by := make(map[liked.UserID]sight.Author, len(all))
	for v, how := range all {
		by[v.author] = how
	}
	return by, err
}

// viewOf is a viewer and an author.
type viewOf struct{ viewer, author liked.UserID }

// views returns how viewers see authors, of those who do not see them. Hardly any author has a row in special, so mostly it is
// one trip.
func (t *tx) views(pairs []viewOf) (map[viewOf]sight.Author, error) {
	authors := make(map[liked.UserID]bool)
	for _, p := range pairs {
		authors[p.author] = true
	}
	type special struct {
		User              liked.UserID
		Hidden, Protected bool
		Blocks            int
	}
	found, err := rows(t, pgx.RowToStructByPos[special], `SELECT s.user_id, s.hidden, s.protected, s.blocks
		FROM unnest($1::bigint[]) r(id) JOIN special s ON s.user_id = r.id`, sorted(authors))
	if err != nil || len(found) == 0 {
		return nil, err
	}
	by := make(map[liked.UserID]special, len(found))
	for _, s := range found {
		by[s.User] = s
	}
	how := make(map[viewOf]sight.Author)
	var blockers, blocked, followers, followed []int64
	for _, p := range pairs {
		s, is := by[p.author]
		switch {
		case !is:
		case s.Hidden:
			how[p] = sight.Hidden
		case p.viewer == p.author:
		default:
			if s.Blocks > 0 {
				blockers, blocked = append(blockers, int64(p.author)), append(blocked, int64(p.viewer))
			}
			if s.Protected {
				how[p] = sight.Protected
				followers, followed = append(followers, int64(p.viewer)), append(followed, int64(p.author))
			}
		}
	}
	ask := func(rel relation, table, key string, from, to []int64, then func(from, to liked.UserID)) {
		keys := from
		if key == rel.to {
			keys = to
		}
		if len(from) == 0 {
			return
		}
		t.queue(fmt.Sprintf(`SELECT f.%[2]s, f.%[3]s FROM unnest($1::bigint[], $2::bigint[]) r(a, b) JOIN %[1]s f
			ON f.%[2]s = r.a AND f.%[3]s = r.b WHERE f.%[4]s = ANY($3)`, table, rel.from, rel.to, key), from, to, keys).
			Query(func(r pgx.Rows) error {
				var a, b liked.UserID
				_, err := pgx.ForEachRow(r, []any{&a, &b}, func() error { then(a, b); return nil })
				return err
			})
	}
	// Both are in the shard of the viewer.
	ask(follows, follows.table, follows.from, followers, followed, func(viewer, author liked.UserID) { delete(how, viewOf{viewer, author}) })
	ask(blocks, blocks.reverse, blocks.to, blockers, blocked, func(author, viewer liked.UserID) {
		how[viewOf{viewer, author}] = sight.Blocks
	})
	return how, t.send()
}

// postsApart is what postsSeen returns on PostgreSQL.
func (t *tx) postsApart(viewer liked.UserID, ids []liked.PostID) ([]seenPost, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	posts, err := rows(t, aPost, "SELECT "+postColumns+` FROM post_heads h JOIN post_texts x ON x.post_id = h.post_id
		WHERE h.post_id = ANY($1) AND x.post_id = ANY($1) AND NOT h.deleted`, ids)
	if err != nil || len(posts) == 0 {
		return nil, err
	}
	authors := make([]liked.UserID, len(posts))
	for i, p := range posts {
		authors[i] = p.Author
	}
	how, err := t.sights(viewer, authors)
	found := make([]seenPost, len(posts))
	for i, p := range posts {
		found[i] = seen(viewer, p, how[p.Author])
	}
	return found, err
}

// originalsApart is what originalsSeen returns on PostgreSQL.
func (t *tx) originalsApart(viewer liked.UserID, ids []liked.PostID) ([]seenPost, error) {
	found, err := t.postsApart(viewer, ids)
	if err != nil {
		return nil, err
	}
	var originals []liked.PostID
	for _, f := range found {
		if f.Post.RepostOf != 0 {
			originals = append(originals, f.Post.RepostOf)
		}
	}
	if len(originals) == 0 {
		return found, nil
	}
	more, err := t.postsApart(viewer, originals)
	return append(found, more...), err
}

// withOriginals adds the originals of those of the posts that are reposts. It sends what waits.
func (t *tx) withOriginals(ids []int64) ([]int64, error) {
	ids = posts(ids...)
	originals, err := rows(t, pgx.RowTo[int64], "SELECT repost_of FROM post_heads WHERE post_id = ANY($1) AND repost_of <> 0", ids)
	return posts(append(ids, originals...)...), err
}

// posts returns the ids ascending, each once, and without zero, which is no post.
func posts(ids ...int64) []int64 {
	ids = slices.DeleteFunc(slices.Clone(ids), func(id int64) bool { return id == 0 })
	slices.Sort(ids)
	return slices.Compact(ids)
}

// lockApart locks posts, and keeps their heads once all that waits was sent.
func (t *tx) lockApart(ids []int64, heads *[]head) {
	first := len(*heads)
	t.queueHeads("post_id, author_id, repost_of, deleted, 0::bigint, 0::bigint, 0::bigint", ids, func(r pgx.Rows) error {
		more, err := pgx.CollectRows(r, aHead)
		*heads = append(*heads, more...)
		return err
	})
	t.queue("SELECT post_id, in_reply_to, quotes, conversation FROM post_texts WHERE post_id = ANY($1)", ids).Query(func(r pgx.Rows) error {
		var of head
		_, err := pgx.ForEachRow(r, []any{&of.id, &of.inReplyTo, &of.quotes, &of.conversation}, func() error {
			for i := range (*heads)[first:] {
				if h := &(*heads)[first+i]; h.id == of.id {
					h.inReplyTo, h.quotes, h.conversation = of.inReplyTo, of.quotes, of.conversation
				}
			}
			return nil
		})
		return err
	})
}

// usersOf returns the users whose ids a statement returns, in their order.
func (t *tx) usersOf(names string, args ...any) ([]liked.User, error) {
	ids, err := rows(t, pgx.RowTo[liked.UserID], names, args...)
	if err != nil {
		return nil, err
	}
	return t.usersByID(ids)
}

func (t *tx) usersByID(ids []liked.UserID) ([]liked.User, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	return rows(t, aUser, t.shards.usersByID(), ids)
}

func (s *shards) usersByID() string {
	if s == nil {
		return usersByID
	}
	return strings.Replace(usersByID, "ORDER BY", "WHERE u.user_id = ANY($1) AND c.user_id = ANY($1) AND l.user_id = ANY($1) ORDER BY", 1)
}

// relationsApart is what relationsOf returns on PostgreSQL. All of it is in the shard of the viewer.
func (t *tx) relationsApart(viewer liked.UserID, users []liked.UserID) ([]store.Relation, error) {
	var is [4][]liked.UserID
	for i, of := range [...]struct{ table, viewer, other string }{
		{follows.table, follows.from, follows.to}, {follows.reverse, follows.to, follows.from}, {blocks.table, blocks.from, blocks.to},
		{blocks.reverse, blocks.to, blocks.from},
	} {
		t.queue(fmt.Sprintf("SELECT f.%[3]s FROM unnest($2::bigint[]) r(id) JOIN %[1]s f ON f.%[2]s = $1 AND f.%[3]s = r.id",
			of.table, of.viewer, of.other), viewer, users).Query(into(&is[i], pgx.RowTo[liked.UserID]))
	}
	err := t.send()
	all := make([]store.Relation, len(users))
	for i, u := range users {
		all[i] = store.Relation{Follows: slices.Contains(is[0], u), FollowedBy: slices.Contains(is[1], u),
			Blocks: slices.Contains(is[2], u), BlockedBy: slices.Contains(is[3], u)}
	}
	return all, err
}

// latestApart is what latestPosts returns on PostgreSQL. It asks every shard.
func (t *tx) latestApart(rowsRead, max int) ([]liked.Post, error) {
	ids, err := rows(t, pgx.RowTo[liked.PostID], "SELECT post_id FROM post_heads ORDER BY post_id DESC LIMIT $1", rowsRead)
	if err != nil {
		return nil, err
	}
	found, err := t.postsApart(0, ids)
	var posts []liked.Post
	for _, f := range inOrder(ids, found) {
		if f.Err == nil && f.Post.RepostOf == 0 && len(posts) < max {
			posts = append(posts, f.Post)
		}
	}
	return posts, err
}

// newestApart is what newestPosts returns on PostgreSQL.
func (t *tx) newestApart(viewer liked.UserID, users []liked.UserID) ([]liked.PostID, error) {
	if len(users) == 0 {
		return nil, nil
	}
	newest := make(map[liked.UserID]liked.PostID)
	t.queue(`SELECT l.user_id, (SELECT max(o.post_id) FROM posts_of o WHERE o.author_id = l.user_id AND o.author_id = ANY($1))
		FROM user_likes l WHERE l.user_id = ANY($1)`, users).Query(func(r pgx.Rows) error {
		var user liked.UserID
		var post *liked.PostID // nil: none
		_, err := pgx.ForEachRow(r, []any{&user, &post}, func() error {
			if post != nil {
				newest[user] = *post
			}
			return nil
		})
		return err
	})
	how, err := t.sights(viewer, users)
	all := make([]liked.PostID, len(users))
	for i, u := range users {
		if how[u] == sight.Visible {
			all[i] = newest[u]
		}
	}
	return all, err
}

// lockLikes reads how many likes users have, whose lanes are locked. On Citus a lane is free when its last transaction is committed
// on the coordinator, which may be a moment before it is on other nodes, or longer if one was lost: who is to read the likes
// themselves waits for that by a lock of the row that counts them.
func (t *tx) lockLikes(users []int64, found func(id liked.UserID, n int64)) {
	read := func(r pgx.Rows) error {
		var id liked.UserID
		var n int64
		_, err := pgx.ForEachRow(r, []any{&id, &n}, func() error { found(id, n); return nil })
		return err
	}
	if t.shards == nil {
		t.queue("SELECT l.user_id, l.n FROM unnest($1::bigint[]) r(id) JOIN user_likes l ON l.user_id = r.id", users).Query(read)
		return
	}
	for _, some := range t.shards.split(users) {
		t.queue("SELECT user_id, n FROM user_likes WHERE user_id = ANY($1) ORDER BY user_id FOR NO KEY UPDATE", some).Query(read)
	}
}

// likedApart is what Liked asks on PostgreSQL.
func (t *tx) likedApart(user liked.UserID, posts []liked.PostID) ([]bool, error) {
	if len(posts) == 0 {
		return nil, nil
	}
	original := make(map[liked.PostID]liked.PostID)
	t.queue("SELECT post_id, repost_of FROM post_heads WHERE post_id = ANY($1)", posts).Query(func(r pgx.Rows) error {
		var id, of liked.PostID
		_, err := pgx.ForEachRow(r, []any{&id, &of}, func() error { original[id] = cmp.Or(of, id); return nil })
		return err
	})
	if err := t.send(); err != nil {
		return nil, err
	}
	originals := make(map[liked.PostID]bool)
	for _, id := range original {
		originals[id] = false
	}
	_, err := rows(t, func(r pgx.CollectableRow) (id liked.PostID, err error) {
		err = r.Scan(&id)
		originals[id] = true
		return id, err
	}, "SELECT post_id FROM likes WHERE user_id = $1 AND post_id = ANY($2)", user, sorted(originals))
	return column(posts, func(id liked.PostID) bool { return originals[original[id]] }), err
}

// distribute spreads the tables of a new schema over the nodes if the database has Citus. One that is there stays as it is.
func distribute(ctx context.Context, tx pgx.Tx) error {
	var citus bool
	if err := tx.QueryRow(ctx, hasCitus).Scan(&citus); err != nil || !citus {
		return err
	}
	sql, err := migrations.ReadFile("migrations/citus.sql")
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, string(sql))
	return err
}

// sameMoment has a transaction that only reads see all nodes at one moment. Every write adds a row to outcomes last and holds that
// table until it is committed on each node: while nobody can, each node is asked for something.
func (s *Store) sameMoment(ctx context.Context, t *tx) error {
	if s.shards == nil {
		return nil
	}
	gate, err := s.calls.Acquire(ctx)
	if err != nil {
		return err
	}
	defer gate.Release()
	lock, err := gate.Begin(ctx)
	if err != nil {
		return err
	}
	defer lock.Rollback(context.Background())
	if _, err := lock.Exec(ctx, "LOCK TABLE outcomes IN SHARE MODE"); err != nil {
		return err
	}
	t.queue("SET LOCAL citus.max_adaptive_executor_pool_size = 1") // what it sees of a node is what the connection sees
	t.queue("SELECT count(*) FROM (SELECT user_id FROM user_likes LIMIT 1) u")
	return t.send()
}

// apart are the tables that are distributed.
var apart = []string{"users", "user_counts", "user_likes", "passwords", "likes", "follows", "followed_by", "blocks", "blocked_by",
	"posts_of", "post_heads", "post_texts", "likers"}

// gathered is a statement that compares whole tables: on Citus each is brought to the coordinator as a whole, whatever meets there.
func (s *shards) gathered(sql string) string {
	if s == nil {
		return sql
	}
	var with []string
	for _, table := range apart {
		if regexp.MustCompile(`\b` + table + `\b`).MatchString(sql) {
			with = append(with, fmt.Sprintf("%s AS MATERIALIZED (SELECT * FROM %[1]s)", table))
		}
	}
	if len(with) == 0 {
		return sql
	}
	return "WITH " + strings.Join(with, ", ") + " " + sql
}
