package pgstore

import (
	"context"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"liked"
	"liked/internal/store"
	"liked/internal/store/pgstore/pgtest"
	"liked/internal/store/storetest"
)

// The suite passes on Citus, too, but for what must kill servers, which are not the test's there, and for the moment of a page,
// which shards do not share: docs/scale.md says what a reader may see.
func TestCitusSuite(t *testing.T) { suiteOnCitus(t, new(schemas)) }

func TestCitusSuiteOnTwo(t *testing.T) { suiteOnCitus(t, &schemas{pair: true}) }

func TestCitusFaults(t *testing.T) {
	_ = pgtest.Distributed(t)
	suiteFaults(t, func(t testing.TB) string {
		dsn := pgtest.Distributed(t)
		s, err := Open(Options{DSN: dsn, Readers: 1, Writers: 1}) // to distribute the tables takes longer than the suite waits
		if err != nil {
			t.Error(err)
			return dsn
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		return dsn
	})
}

func suiteOnCitus(t *testing.T, d *schemas) {
	_ = pgtest.Distributed(t)
	storetest.Run(t, storetest.Harness{
		Open: func(t testing.TB) store.Store {
			if strings.Contains(t.Name(), "/Kill/") {
				t.Skip("the nodes are not the test's to kill")
			}
			if strings.HasSuffix(t.Name(), "/pages_of_one_moment") {
				t.Skip("shards have no moment in common")
			}
			return d.open(t, pgtest.Distributed(t))
		},
		Reopen: func(t testing.TB, s store.Store) store.Store {
			if err := s.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
			return d.open(t, d.of(s))
		},
		Kill: func(t testing.TB, _ store.Store) func() store.Store {
			t.Skip("the nodes are not the test's to kill")
			return nil
		},
		Forget: d.forget,
	})
}

func TestCitusCheckFinds(t *testing.T) { checkFinds(t, pgtest.Distributed(t)) }

// A server does not start on nodes that could not commit what it writes.
func TestCitusNodes(t *testing.T) {
	s := opened(t, pgtest.Distributed(t))
	conn, err := s.calls.Acquire(t.Context())
	ok(t, err)
	defer conn.Release()
	ok(t, s.inspectNodes(t.Context(), conn.Conn(), 4))
	err = s.inspectNodes(t.Context(), conn.Conn(), 1_000_000)
	if liked.KindOf(err) != liked.Invalid || !strings.Contains(err.Error(), "max_prepared_transactions is ") {
		t.Errorf("got %v", err)
	}
}

func someIDs() []int64 {
	all := []int64{0, 1, -1, math.MaxInt64, math.MinInt64, math.MaxUint32, math.MinInt32}
	for range 1000 {
		all = append(all, int64(rand.Uint64())>>rand.IntN(64))
	}
	slices.Sort(all)
	return all
}

// The hash is PostgreSQL's.
func TestHashOf(t *testing.T) {
	t.Parallel()
	conn := connected(t, pgtest.Schema(t))
	all := someIDs()
	rows, err := conn.Query(t.Context(), "SELECT hashint8(id) FROM unnest($1::bigint[]) WITH ORDINALITY r(id, i) ORDER BY i", all)
	ok(t, err)
	hashes, err := pgx.CollectRows(rows, pgx.RowTo[int32])
	ok(t, err)
	for i, id := range all {
		if got := hashOf(id); got != hashes[i] {
			t.Errorf("%d: got %d, want %d", id, got, hashes[i])
		}
	}
}

func connected(t *testing.T, dsn string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	ok(t, err)
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

// Rows are where the program takes them to be, and ids go shard by shard.
func TestCitusShards(t *testing.T) {
	dsn := pgtest.Distributed(t)
	s := opened(t, dsn)
	conn := connected(t, dsn)
	all := someIDs()
	for _, table := range apart {
		rows, err := conn.Query(t.Context(), `WITH s AS (SELECT shardid, row_number() OVER (ORDER BY shardminvalue::int) - 1 AS n
				FROM pg_dist_shard WHERE logicalrelid = $1::text::regclass)
			SELECT s.n FROM unnest($2::bigint[]) WITH ORDINALITY r(id, i) JOIN s ON s.shardid = get_shard_id_for_distribution_column($1::text, r.id)
			ORDER BY r.i`, table, all)
		ok(t, err)
		numbers, err := pgx.CollectRows(rows, pgx.RowTo[int])
		ok(t, err)
		for i, id := range all {
			if got := s.shards.of(id); got != numbers[i] {
				t.Errorf("%s, %d: got shard %d, want %d", table, id, got, numbers[i])
			}
		}
	}
	last, n := -1, 0
	for _, some := range s.shards.split(all) {
		n += len(some)
		for _, id := range some {
			if s.shards.of(id) != s.shards.of(some[0]) || s.shards.of(id) <= last || !slices.IsSorted(some) {
				t.Fatalf("%d is not in order", id)
			}
		}
		last = s.shards.of(some[0])
	}
	if n != len(all) {
		t.Errorf("got %d ids, want %d", n, len(all))
	}
}

// remote keeps which shards are touched, of each table.
type remote struct {
	mu     sync.Mutex
	shards map[string]bool
}

var ofShard = regexp.MustCompile(`\b(` + strings.Join(apart, "|") + `)_(\d+)\b`)

func (r *remote) notice(_ *pgconn.PgConn, n *pgconn.Notice) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if strings.HasPrefix(n.Message, "issuing ") {
		for _, shard := range ofShard.FindAllString(n.Message, -1) {
			r.shards[shard] = true
		}
	}
}

func (r *remote) take() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := slices.Sorted(maps.Keys(r.shards))
	clear(r.shards)
	return all
}

// What is done often touches the shards of the users and posts that it is about, and no others, of which there are many.
func TestCitusTouches(t *testing.T) {
	r := &remote{shards: make(map[string]bool)}
	dsn := pgtest.With(pgtest.Distributed(t), "citus.log_remote_commands", "on")
	s, err := Open(Options{DSN: dsn, Readers: 1, Writers: 1, pollEvery: time.Hour, pruneEvery: time.Hour, notice: r.notice})
	ok(t, err)
	t.Cleanup(func() { ok(t, s.Close()) })
	ctx := t.Context()
	const users = 20
	for id := liked.UserID(1); id <= users; id++ {
		ok(t, s.AddUser(ctx, liked.User{ID: id, Username: "u" + id.String(), Name: "User", Protected: id == 3}))
		ok(t, s.AddPost(ctx, liked.Post{ID: liked.PostID(id), Author: id, Text: "x"}))
	}
	ok(t, s.AddPost(ctx, liked.Post{ID: 100, Author: 5, RepostOf: 6}))
	for id := liked.PostID(4); id <= 6; id++ {
		ok(t, second(s.SetLike(ctx, 1, id, true, time.Now())))
	}
	at := time.Now()
	for _, c := range []struct {
		name string
		most int // tables of shards
		call func() error
	}{
		// post_heads and likers of the post; likes, user_likes of the user.
		{"SetLike", 4, func() error { return second(s.SetLike(ctx, 2, 5, true, at)) }},
		{"SetLike, there", 3, func() error { return second(s.SetLike(ctx, 2, 5, true, at)) }},
		{"SetLike, taken back", 4, func() error { return second(s.SetLike(ctx, 2, 5, false, at)) }},
		{"SetLike of a repost", 5, func() error { return second(s.SetLike(ctx, 2, 100, true, at)) }},
		{"SetLike, refused", 4, func() error {
			if err := second(s.SetLike(ctx, 2, 3, true, at)); liked.KindOf(err) != liked.Forbidden {
				return fmt.Errorf("got %v, want Forbidden", err)
			}
			return nil
		}},
		{"Liked", 2, func() error { return second(s.Liked(ctx, 1, []liked.PostID{5})) }},
		{"LikedPosts", 2 + 2*3, func() error { return second(s.LikedPosts(ctx, 2, 1, store.Cursor{}, 10, store.WithMetrics, nil)) }},
		{"LikingUsers", 3 + 3*2, func() error { return second(s.LikingUsers(ctx, 2, 5, store.Cursor{}, 10, store.WithMetrics, nil)) }},
		{"LikeLog", 0, func() error { return second(s.LikeLog(ctx, liked.PartitionOf(1), 0, 10)) }},
		{"LogEnds", 0, func() error { return second(s.LogEnds(ctx)) }},
		{"Totals", 0, func() error { return second(s.Totals(ctx)) }},
		{"poll", 0, func() error { return s.pollOnce(ctx, new(poller)) }},
		{"User", 3, func() error { return second(s.User(ctx, 1)) }},
		{"UserByUsername", 3, func() error { return second(s.UserByUsername(ctx, "u1")) }},
		{"UsersByID", 6, func() error { return second(s.UsersByID(ctx, []liked.UserID{1, 2}, store.WithMetrics)) }},
		{"Post", 2, func() error { return second(s.Post(ctx, 2, 1)) }},
		{"Post of who is special", 3, func() error { return second(s.Post(ctx, 3, 3)) }},
		{"NewestPosts", 4, func() error { return second(s.NewestPosts(ctx, 2, []liked.UserID{1, 2})) }},
		{"PostsBy", 3, func() error { return second(s.PostsBy(ctx, 1, 0, 10)) }},
		{"Relations", 4, func() error { return second(s.Relations(ctx, 1, []liked.UserID{2, 3, 4, 5})) }},
		{"Related", 2 + 3, func() error { return second(s.Related(ctx, 1, store.Followers, 0, 10)) }},
		{"SetFollow", 2 + 4 + 1, func() error { return second(s.SetFollow(ctx, 2, 1, true)) }},
		{"Publish", 1 + 1 + 2 + 2*2, func() error {
			return s.Publish(ctx, liked.Post{ID: 50, Author: 1, Quotes: 4, Text: "y", CreatedAt: at})
		}},
		{"DeletePost", 1 + 2 + 1 + 1 + 2, func() error { return s.DeletePost(ctx, 0, 50) }},
		{"AccessToken", 0, func() error { _, _, _ = s.AccessToken(ctx, store.Hash{}); return nil }},
	} {
		r.take()
		ok(t, c.call())
		if got := r.take(); len(got) > c.most {
			t.Errorf("%s touches %d, want at most %d: %v", c.name, len(got), c.most, got)
		}
	}
	ok(t, second(s.Users(ctx, 0, 10))) // which asks all
	if got := r.take(); len(got) != 3*len(s.shards.least) {
		t.Errorf("Users touches %v", got)
	}
}

// What is written to a single node is committed together with what is written to the coordinator.
func TestCitusCommits(t *testing.T) {
	var prepares atomic.Int64
	dsn := pgtest.With(pgtest.Distributed(t), "citus.log_remote_commands", "on")
	s, err := Open(Options{DSN: dsn, Readers: 1, Writers: 1, pollEvery: time.Hour, pruneEvery: time.Hour,
		notice: func(_ *pgconn.PgConn, n *pgconn.Notice) {
			if strings.HasPrefix(n.Message, "issuing PREPARE TRANSACTION") {
				prepares.Add(1)
			}
		}})
	ok(t, err)
	t.Cleanup(func() { ok(t, s.Close()) })
	fill(t, s)
	prepares.Store(0)
	ok(t, s.SetPassword(t.Context(), 1, "encoded"))
	if prepares.Load() == 0 {
		t.Error("it is committed in one phase")
	}
}

// A transaction is committed on one node, or the coordinator, before it is on another: who comes next waits for all of it.
func TestCitusHalf(t *testing.T) {
	dsn := pgtest.Distributed(t)
	s := opened(t, dsn)
	fill(t, s)
	ctx := t.Context()
	var host, likes, counts string
	var port int
	conn := connected(t, dsn)
	ok(t, conn.QueryRow(ctx, `SELECT l.nodename, l.nodeport, l.table_name || '_' || l.shardid, c.table_name || '_' || c.shardid
		FROM citus_shards l JOIN citus_shards c ON c.shardid = get_shard_id_for_distribution_column('user_likes', 3)
		WHERE l.shardid = get_shard_id_for_distribution_column('likes', 3)`).Scan(&host, &port, &likes, &counts))
	node := conn.Config().Copy()
	node.Host, node.Port = host, uint16(port)
	half, err := pgx.ConnectConfig(ctx, node)
	ok(t, err)
	defer half.Close(context.Background())
	for _, sql := range []string{"SET citus.enable_manual_changes_to_shards = on", "BEGIN", "DELETE FROM " + likes + " WHERE user_id = 3",
		"UPDATE " + counts + " SET n = n - 1 WHERE user_id = 3"} {
		_, err := half.Exec(ctx, sql)
		ok(t, err)
	}
	type answer struct {
		changed bool
		err     error
	}
	done := make(chan answer, 1)
	go func() {
		changed, err := s.SetLike(ctx, 3, 1, false, time.Now())
		done <- answer{changed, err}
	}()
	soon(t, "a like that waits", func() (waits bool) {
		const waiting = "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND transactionid = pg_current_xact_id()::xid)"
		ok(t, half.QueryRow(ctx, waiting).Scan(&waits))
		return waits
	})
	_, err = half.Exec(ctx, "COMMIT")
	ok(t, err)
	if a := <-done; a.err != nil || a.changed {
		t.Errorf("got %+v, want no change: the like was taken back before", a)
	}
}

// Shards move to another node while likes are written to them.
func TestCitusMoves(t *testing.T) {
	dsn := pgtest.Distributed(t)
	s := opened(t, dsn)
	fill(t, s)
	ctx := t.Context()
	conn := connected(t, dsn)
	var nodes int
	ok(t, conn.QueryRow(ctx, "SELECT count(DISTINCT (nodename, nodeport)) FROM citus_shards").Scan(&nodes))
	if nodes < 2 {
		t.Skip("there is one worker")
	}
	var stop atomic.Bool
	var calls sync.WaitGroup
	for user := liked.UserID(2); user <= 3; user++ {
		calls.Go(func() {
			for on := true; !stop.Load(); on = !on {
				if changed, err := s.SetLike(ctx, user, 2, on, time.Now()); err != nil || !changed {
					t.Errorf("user %d: got %v, %v", user, changed, err)
				}
			}
		})
	}
	defer calls.Wait()
	defer stop.Store(true)
	for _, id := range []int64{2, 3} { // users and a post
		_, err := conn.Exec(ctx, `SELECT citus_move_shard_placement(s.shardid, s.nodename, s.nodeport, n.nodename, n.nodeport, 'block_writes')
			FROM citus_shards s CROSS JOIN LATERAL (SELECT nodename, nodeport FROM citus_shards o
				WHERE (o.nodename, o.nodeport) <> (s.nodename, s.nodeport) LIMIT 1) n
			WHERE s.shardid = get_shard_id_for_distribution_column('users', $1::bigint)`, id)
		ok(t, err)
	}
	stop.Store(true)
	calls.Wait()
	if r, err := s.Check(ctx); err != nil || len(r.Problems) > 0 {
		t.Errorf("Check: %v, %v", r.Problems, err)
	}
}

// Many likes of few posts at two servers wait for each other, and never in a circle: nothing has to run again.
func TestCitusHotPosts(t *testing.T) {
	dsn := pgtest.Distributed(t)
	both := [2]*Store{opened(t, dsn), opened(t, dsn)}
	ctx := t.Context()
	const users, posts, rounds = 60, 12, 4
	for id := liked.UserID(1); id <= users; id++ {
		ok(t, both[0].AddUser(ctx, liked.User{ID: id, Username: "u" + id.String(), Name: "User"}))
	}
	for id := liked.PostID(1); id <= posts; id++ {
		ok(t, both[0].AddPost(ctx, liked.Post{ID: id, Author: 1, Text: "x"}))
	}
	var calls sync.WaitGroup
	for id := liked.UserID(1); id <= users; id++ {
		calls.Go(func() {
			for n := range posts * rounds {
				post := liked.PostID(1 + (n*7+int(id)*5)%posts)
				if changed, err := both[rand.IntN(2)].SetLike(ctx, id, post, n/posts%2 == 0, time.Now()); err != nil || !changed {
					t.Errorf("user %d, post %d: got %v, %v", id, post, changed, err)
				}
			}
		})
	}
	calls.Wait()
	for _, s := range both {
		if n := s.meters.retries.Load(); n > 0 {
			t.Errorf("%d transactions ran again", n)
		}
	}
	if r, err := both[1].Check(ctx); err != nil || len(r.Problems) > 0 || r.LogEntries != users*posts*rounds {
		t.Errorf("Check: %+v, %v", r, err)
	}
}
