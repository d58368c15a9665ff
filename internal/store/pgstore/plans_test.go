package pgstore

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"liked"
	"liked/internal/store"
	"liked/internal/store/pgstore/pgtest"
)

var update = flag.Bool("update", false, "rewrite testdata/plans.txt with the plans of now")

// world is what hot calls are about. Users 1 to users like some posts each, posts 1 to posts have one author of ten likes
// each; in the heavy world user 1 and post 1 have as many likes as heavy, and author 1 as many followers and blocks.
type world struct{ users, posts, heavy int }

// hot is each call that must touch little whatever the tables hold, and how many blocks it may touch at most. To have the
// statements of another call looked at, add it here and run this test with -update.
var hot = []struct {
	name   string
	blocks int
	call   func(ctx context.Context, s *Store, w world) error
}{
	{"SetLike, 100 on", 3000, func(ctx context.Context, s *Store, w world) error { return setLikes(ctx, s, w, true) }},
	{"SetLike, 100 off", 3000, func(ctx context.Context, s *Store, w world) error { return setLikes(ctx, s, w, false) }},
	{"Liked, 100 posts", 800, func(ctx context.Context, s *Store, w world) error {
		_, err := s.Liked(ctx, 1, ids[liked.PostID](w.posts))
		return err
	}},
	{"LikedPosts", 4500, func(ctx context.Context, s *Store, w world) error {
		for _, from := range []store.Cursor{{}, {Seq: 40}, {Seq: 40, Newer: true}} {
			if _, err := s.LikedPosts(ctx, 2, 1, from, 100, store.WithMetrics, nil); err != nil {
				return err
			}
		}
		return nil
	}},
	{"LikingUsers", 4500, func(ctx context.Context, s *Store, w world) error {
		for _, from := range []store.Cursor{{}, {Seq: 40}, {Seq: 40, Newer: true}} {
			if _, err := s.LikingUsers(ctx, 2, 1, from, 100, store.WithMetrics, nil); err != nil {
				return err
			}
		}
		return nil
	}},
	{"LikingUsers without counts", 900, func(ctx context.Context, s *Store, w world) error {
		_, err := s.LikingUsers(ctx, 2, 1, store.Cursor{}, 100, store.WithoutMetrics, nil)
		return err
	}},
	{"LikeLog", 20, func(ctx context.Context, s *Store, w world) error {
		_, err := s.LikeLog(ctx, liked.PartitionOf(1), 1, 100)
		return err
	}},
	{"LogEnds", 10, func(ctx context.Context, s *Store, w world) error { _, err := s.LogEnds(ctx); return err }},
	{"Totals", 80, func(ctx context.Context, s *Store, w world) error { _, err := s.Totals(ctx); return err }},
	{"poll", 10, func(ctx context.Context, s *Store, w world) error { return s.pollOnce(ctx, new(poller)) }},
	{"Posts, 100", 1500, func(ctx context.Context, s *Store, w world) error {
		_, err := s.Posts(ctx, 2, ids[liked.PostID](w.posts), store.WithMetrics)
		return err
	}},
	{"NewestPosts, 100", 800, func(ctx context.Context, s *Store, w world) error {
		_, err := s.NewestPosts(ctx, 2, ids[liked.UserID](w.users))
		return err
	}},
	{"PostsBy", 400, func(ctx context.Context, s *Store, w world) error { _, err := s.PostsBy(ctx, 1, 0, 100); return err }},
	{"UsersByID, 100", 1200, func(ctx context.Context, s *Store, w world) error {
		_, err := s.UsersByID(ctx, ids[liked.UserID](w.users), store.WithMetrics)
		return err
	}},
	{"UsersByUsername", 60, func(ctx context.Context, s *Store, w world) error {
		_, err := s.UsersByUsername(ctx, []string{"u2", "u3"}, store.WithMetrics)
		return err
	}},
	{"Relations, 100", 1000, func(ctx context.Context, s *Store, w world) error {
		_, err := s.Relations(ctx, 2, ids[liked.UserID](w.users))
		return err
	}},
	{"Publish", 200, func(ctx context.Context, s *Store, w world) error {
		now := time.Now()
		return s.Publish(ctx, liked.Post{ID: liked.PostID(now.UnixNano()), Author: 2, Quotes: 3, Text: now.String(), CreatedAt: now})
	}},
}

// ids returns 100 ids of n, with 1, which may be heavy, among them.
func ids[ID ~int64](n int) (some []ID) {
	for i := range 100 {
		some = append(some, ID(1+i*max(n/100, 1)%n))
	}
	return some
}

// setLikes is calls at once, so that they go in few batches.
func setLikes(ctx context.Context, s *Store, w world, on bool) error {
	var calls sync.WaitGroup
	errs := make(chan error, 100)
	for i, post := range ids[liked.PostID](w.posts) {
		calls.Go(func() {
			_, err := s.SetLike(ctx, liked.UserID(1+i%2), post, on, time.UnixMilli(1000)) // later than all that growth adds
			errs <- err
		})
	}
	calls.Wait()
	close(errs)
	for err := range errs {
		if err != nil && liked.KindOf(err) != liked.Forbidden {
			return err
		}
	}
	return nil
}

// recorder keeps the statements that are run.
type recorder struct {
	mu         sync.Mutex
	statements []statement
}

type statement struct {
	sql  string
	args []any
}

func (r *recorder) add(sql string, args []any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.statements = append(r.statements, statement{sql, args})
}

func (r *recorder) take() []statement {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := r.statements
	r.statements = nil
	return all
}

func (r *recorder) TraceQueryStart(ctx context.Context, _ *pgx.Conn, q pgx.TraceQueryStartData) context.Context {
	r.add(q.SQL, q.Args)
	return ctx
}

func (r *recorder) TraceBatchStart(ctx context.Context, _ *pgx.Conn, b pgx.TraceBatchStartData) context.Context {
	for _, q := range b.Batch.QueuedQueries {
		r.add(q.SQL, q.Arguments)
	}
	return ctx
}

func (*recorder) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData)     {}
func (*recorder) TraceBatchQuery(context.Context, *pgx.Conn, pgx.TraceBatchQueryData) {}
func (*recorder) TraceBatchEnd(context.Context, *pgx.Conn, pgx.TraceBatchEndData)     {}

// explainer explains statements as the server would run them on a connection that has prepared each the first time.
type explainer struct {
	conn     *pgx.Conn
	prepared map[string]string
}

// node is a part of a plan.
type node struct {
	Type  string  `json:"Node Type"`
	Table string  `json:"Relation Name"`
	Index string  `json:"Index Name"`
	Cond  string  `json:"Index Cond"`
	Hit   int     `json:"Shared Hit Blocks"`
	Read  int     `json:"Shared Read Blocks"`
	Plans []*node `json:"Plans"`
}

// skipped is what is not explained: what reads nothing of tables, or could not be run a second time.
var skipped = regexp.MustCompile(`^(BEGIN|COMMIT|ROLLBACK|SET|INSERT|CREATE|select \$1|;|-- ping)`)

// explain returns the paths by which the statement reads tables, and how many blocks it touches.
func (e *explainer) explain(st statement, mode string) (paths []string, blocks int, err error) {
	ctx := context.Background()
	name, ok := e.prepared[st.sql]
	if !ok {
		name = fmt.Sprintf("p%d", len(e.prepared))
		if _, err := e.conn.Exec(ctx, "PREPARE "+name+" AS "+st.sql, pgx.QueryExecModeSimpleProtocol); err != nil {
			return nil, 0, err
		}
		e.prepared[st.sql] = name
	}
	tx, err := e.conn.Begin(ctx)
	if err != nil {
		return nil, 0, err
	}
	defer tx.Rollback(ctx)
	if _, err := tx.Exec(ctx, "SET LOCAL plan_cache_mode = "+mode); err != nil {
		return nil, 0, err
	}
	run := "EXECUTE " + name
	for i := range st.args {
		run += []string{"(", ", "}[min(i, 1)] + fmt.Sprintf("$%d", i+1)
	}
	if len(st.args) > 0 {
		run += ")"
	}
	var text string
	args := []any{pgx.QueryExecModeSimpleProtocol}
	for _, a := range st.args {
		args = append(args, plain(a))
	}
	if err := tx.QueryRow(ctx, "EXPLAIN (ANALYZE, BUFFERS, TIMING off, FORMAT JSON) "+run, args...).Scan(&text); err != nil {
		return nil, 0, err
	}
	var plans []struct{ Plan *node }
	if err := json.Unmarshal([]byte(text), &plans); err != nil {
		return nil, 0, err
	}
	top := plans[0].Plan
	for n := range top.all {
		if n.Table != "" && n.Type != "ModifyTable" || n.Index != "" {
			paths = append(paths, n.path())
		}
	}
	return paths, top.Hit + top.Read, nil
}

// plain is an argument without types of its own, which the simple protocol does not know.
func plain(arg any) any {
	v := reflect.ValueOf(arg)
	bigint := reflect.TypeFor[int64]()
	switch {
	case v.CanConvert(bigint):
		return v.Convert(bigint).Interface()
	case v.Kind() == reflect.Slice && v.Type().Elem().ConvertibleTo(bigint) && v.Type().Elem().Kind() != reflect.Uint8:
		all := make([]int64, v.Len())
		for i := range all {
			all[i] = v.Index(i).Convert(bigint).Int()
		}
		return all
	}
	return arg
}

func (n *node) all(yield func(*node) bool) {
	if !yield(n) {
		return
	}
	for _, p := range n.Plans {
		p.all(yield)
	}
}

var condition = regexp.MustCompile(`(\w+) (=|<|>|<=|>=) `)

func (n *node) path() string {
	if n.Index == "" {
		return n.Table + ": all rows"
	}
	var columns []string
	for _, c := range condition.FindAllStringSubmatch(n.Cond, -1) {
		columns = append(columns, c[1]+c[2])
	}
	if len(columns) == 0 {
		return n.Index + ": all rows"
	}
	return fmt.Sprintf("%s by %s", n.Index, strings.Join(columns, " "))
}

// TestPlans holds the hot statements to the plans in testdata/plans.txt, and the calls to their number of blocks: with plans
// made when tables were empty, with statistics of them full, when one user and one post have become heavy since, and with
// statistics of that.
func TestPlans(t *testing.T) {
	t.Parallel()
	r := new(recorder)
	s, err := Open(Options{DSN: pgtest.Schema(t), Writers: 1, pollEvery: time.Hour, Tracer: r})
	ok(t, err)
	t.Cleanup(func() { ok(t, s.Close()) })
	conn, err := s.calls.Acquire(t.Context())
	ok(t, err)
	t.Cleanup(conn.Release)
	e := &explainer{conn.Conn(), make(map[string]string)}
	found := make(map[string]string) // when each path was taken last
	check := func(when string, w world) {
		t.Helper()
		for _, h := range hot {
			r.take()
			if err := h.call(t.Context(), s, w); err != nil {
				t.Errorf("%s: %v", h.name, err)
			}
			statements := r.take()
			for _, mode := range []string{"force_generic_plan", "force_custom_plan"} {
				sum := 0
				for _, st := range statements {
					if skipped.MatchString(st.sql) {
						continue
					}
					paths, blocks, err := e.explain(st, mode)
					if err != nil {
						t.Fatalf("%s: %v in %s", h.name, err, st.sql)
					}
					for _, p := range paths {
						found[h.name+": "+p] = when + ", " + mode
					}
					sum += blocks
				}
				if sum > h.blocks {
					t.Errorf("%s, %s: %s touches %d blocks, want at most %d", when, mode, h.name, sum, h.blocks)
				}
			}
		}
	}
	// Statistics come when this test says so.
	s.sql(t, `DO $$ DECLARE r record; BEGIN
		FOR r IN SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = current_schema()::regnamespace
		LOOP EXECUTE 'ALTER TABLE ' || r.relname || ' SET (autovacuum_enabled = off)'; END LOOP; END $$`)
	grow := func(from, to world) {
		for _, sql := range strings.Split(strings.TrimSpace(growth), ";\n") {
			s.sql(t, strings.NewReplacer("$from", fmt.Sprint(from.users), "$to", fmt.Sprint(to.users),
				"$heavy", fmt.Sprint(to.heavy)).Replace(sql))
		}
	}
	few, many := world{users: 20, posts: 20}, world{users: 20_000, posts: 20_000}
	heavy := world{users: 20_000, posts: 20_000, heavy: 50_000}
	grow(world{}, few)
	check("never analyzed", few)
	grow(few, many)
	check("grown since", many)
	s.sql(t, "ANALYZE")
	check("analyzed", many)
	grow(many, heavy)
	check("heavy since", heavy)
	s.sql(t, "ANALYZE")
	check("heavy, analyzed", heavy)

	got := strings.Join(slices.Sorted(maps.Keys(found)), "\n") + "\n"
	const golden = "testdata/plans.txt"
	if *update {
		ok(t, os.WriteFile(golden, []byte(got), 0o644))
	}
	want, err := os.ReadFile(golden)
	ok(t, err)
	for _, line := range slices.Sorted(maps.Keys(found)) {
		if !strings.Contains("\n"+string(want), "\n"+line+"\n") {
			t.Errorf("%s\n\tis a new path (%s); if it is right, run with -update", line, found[line])
		}
	}
	for line := range strings.Lines(string(want)) {
		if found[strings.TrimSuffix(line, "\n")] == "" {
			t.Errorf("no plan is as in %s: %s; run with -update", golden, line)
		}
	}
}

// A statement about an array of one is not planned anew for each call.
func TestPlannedOnce(t *testing.T) {
	t.Parallel()
	s, err := Open(Options{DSN: pgtest.Schema(t), Readers: 1})
	ok(t, err)
	t.Cleanup(func() { ok(t, s.Close()) })
	for range 20 {
		if _, err := s.Post(t.Context(), 1, 1); liked.KindOf(err) != liked.NotFound {
			t.Fatal(err)
		}
	}
	const plans = "SELECT custom_plans::int FROM pg_prepared_statements WHERE statement = $1"
	n, err := first(t.Context(), s, nil, pgx.RowTo[int], plans, postsSeen)
	if ok(t, err); n != 0 {
		t.Errorf("20 calls were planned %d times for their values", n)
	}
}

// growth adds users and posts above $from up to $to, three likes each, and with $heavy the heavy ones.
const growth = `
INSERT INTO users SELECT n, 0, 'u' || n, 'x', 0, false, 0, '', '', '', '', false, 0 FROM generate_series($from + 1, $to) n;
INSERT INTO usernames SELECT 'u' || n, n FROM generate_series($from + 1, $to) n;
INSERT INTO user_counts SELECT n FROM generate_series($from + 1, $to) n;
INSERT INTO user_likes SELECT n, 3 FROM generate_series($from + 1, $to) n;
INSERT INTO special (user_id, protected, blocks)
	SELECT n, n % 20 = 1, (n % 20 = 2)::int FROM generate_series($from + 1, $to) n WHERE n % 20 IN (1, 2);
INSERT INTO follows SELECT n, n - n % 20 + 1 FROM generate_series($from + 1, $to) n;
INSERT INTO followed_by SELECT n - n % 20 + 1, n FROM generate_series($from + 1, $to) n;
INSERT INTO blocks SELECT n, n + 1 FROM generate_series($from + 1, $to) n WHERE n % 20 = 2;
INSERT INTO blocked_by SELECT n + 1, n FROM generate_series($from + 1, $to) n WHERE n % 20 = 2;
INSERT INTO post_heads SELECT n, 1 + n % $to, 0, false, 3 FROM generate_series($from + 1, $to) n;
INSERT INTO post_texts SELECT n, 'x', 0, 0, 0, 0, 0 FROM generate_series($from + 1, $to) n;
INSERT INTO posts_of SELECT 1 + n % $to, n FROM generate_series($from + 1, $to) n;
INSERT INTO likes SELECT n, 1 + (n + i * 7) % $to, n * 4 + i, true FROM generate_series($from + 1, $to) n, generate_series(1, 3) i;
INSERT INTO likers SELECT 1 + (n + i * 7) % $to, n * 4 + i, n FROM generate_series($from + 1, $to) n, generate_series(1, 3) i;
INSERT INTO log
	SELECT lane, n * 100 + lane, n * 100 + lane, 1, ('\x0100' || repeat('00', 24))::bytea
	FROM generate_series($from + 1, $to) n, generate_series(0, 19, 10) lane;
INSERT INTO likes SELECT 1, 1000000 + n, 1000000 + n, true FROM generate_series(1, $heavy) n;
INSERT INTO likers SELECT 1, 1000000 + n, 1 + n % $to FROM generate_series(1, $heavy) n;
INSERT INTO follows SELECT 2, 1000000 + n FROM generate_series(1, $heavy / 5) n;
INSERT INTO followed_by SELECT 1, 1000000 + n FROM generate_series(1, $heavy / 5) n;
INSERT INTO blocks SELECT 1, 1000000 + n FROM generate_series(1, $heavy / 5) n;
INSERT INTO posts_of SELECT 1, 1000000 + n FROM generate_series(1, $heavy / 5) n
`
