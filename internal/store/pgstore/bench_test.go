package pgstore

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"liked"
	"liked/internal/store/pgstore/pgtest"
)

// trips counts how often the store asks the database.
type trips struct {
	recorder
	n atomic.Int64
}

func (c *trips) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	c.n.Add(1)
	return ctx
}

func (c *trips) TraceBatchStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceBatchStartData) context.Context {
	c.n.Add(1)
	return ctx
}

// BenchmarkSetLike compares likes, all through four connections, with the floor of any such store: an INSERT that a repeat
// does not fail, and a counter, in a transaction for each like. Times depend on the machine; what holds elsewhere is the
// ratio to the floor, the round trips and the bytes of write-ahead log of a like.
func BenchmarkSetLike(b *testing.B) {
	const users, posts, writers = 2_000, 2_000, 4
	ctx := context.Background()
	floor := 0.0 // likes a second
	for _, bench := range []struct {
		name    string
		callers int
		bare    bool
		post    func(i int) int
	}{
		{"floor", 32, true, func(i int) int { return 1 + (i/users+i*7)%posts }},
		{"one by one", writers, false, func(i int) int { return 1 + (i/users+i*7)%posts }},
		{"spread", 800, false, func(i int) int { return 1 + (i/users+i*7)%posts }},
		{"hot", 800, false, func(int) int { return 1 }},
	} {
		b.Run(bench.name, func(b *testing.B) {
			c := new(trips)
			s, err := Open(Options{DSN: pgtest.Schema(b), Readers: writers, Writers: writers, pollEvery: time.Hour, Tracer: c})
			ok(b, err)
			b.Cleanup(func() { ok(b, s.Close()) })
			n := users
			if bench.name == "hot" {
				n = max(b.N, users)
			}
			for _, sql := range []string{
				fmt.Sprintf("INSERT INTO user_likes SELECT generate_series(1, %d)", n),
				fmt.Sprintf("INSERT INTO post_heads SELECT n, 1, 0, false FROM generate_series(1, %d) n", posts),
				"CREATE TABLE bare (user_id bigint, post_id bigint, PRIMARY KEY (user_id, post_id))",
				"CREATE TABLE counters (post_id bigint PRIMARY KEY, n bigint) WITH (fillfactor = 60)",
				fmt.Sprintf("INSERT INTO counters SELECT generate_series(1, %d), 0", posts),
			} {
				_, err := s.calls.Exec(ctx, sql)
				ok(b, err)
			}
			like := func(i int) error {
				_, err := s.SetLike(ctx, liked.UserID(1+i%n), liked.PostID(bench.post(i)), true, time.UnixMilli(1))
				return err
			}
			if bench.bare {
				like = func(i int) error {
					_, err := s.calls.Exec(ctx, `WITH new AS (INSERT INTO bare VALUES ($1, $2) ON CONFLICT DO NOTHING RETURNING post_id)
						UPDATE counters SET n = n + 1 WHERE post_id = (SELECT post_id FROM new)`, 1+i%n, bench.post(i))
					return err
				}
			}
			wal := func() (bytes float64) {
				ok(b, s.calls.QueryRow(ctx, "SELECT (pg_current_wal_insert_lsn() - '0/0')::float8").Scan(&bytes))
				return bytes
			}
			before := wal()
			c.n.Store(0)
			b.ResetTimer()
			var next atomic.Int64
			var callers sync.WaitGroup
			for range bench.callers {
				callers.Go(func() {
					for i := int(next.Add(1)) - 1; i < b.N; i = int(next.Add(1)) - 1 {
						if err := like(i); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			callers.Wait()
			b.StopTimer()
			asked := c.n.Load()
			rate := float64(b.N) / b.Elapsed().Seconds()
			if bench.bare {
				floor = rate
			}
			b.ReportMetric(rate, "likes/s")
			b.ReportMetric(rate/floor, "x-floor")
			b.ReportMetric(float64(asked)/float64(b.N), "trips/like")
			b.ReportMetric((wal()-before)/float64(b.N), "wal-B/like")
		})
	}
}
