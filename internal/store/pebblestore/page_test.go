package pebblestore

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"liked"
	"liked/internal/store"
)

var manyLikes = flag.Int("likes", 200_000, "how many like the post of BenchmarkPage; its user likes a tenth as many posts")

// BenchmarkPage reads pages of 100 from lists of 100 and of many likes, at their beginning and anywhere in them. What a
// page costs must not depend on where it is in how long a list: "x" is how many times a page of a short list it takes,
// read in turns with it. Each time that is another of many short lists, so that what stands on either page is as likely
// to be in memory; "hot-x" compares with one short list that is always in memory.
//
//	go test ./internal/store/pebblestore -run '^$' -bench Page -likes 10000000
func BenchmarkPage(b *testing.B) {
	const short, page, lists = 100, 100, 1000
	likers, liking := *manyLikes, *manyLikes/10
	s := benchStore(b, likers, liking)
	ctx := context.Background()
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	many := func(n int, do func(i int) error) {
		b.Helper()
		var workers sync.WaitGroup
		for w := range 512 {
			workers.Go(func() {
				for i := w; i < n; i += 512 {
					if err := do(i); err != nil {
						b.Error(err)
						return
					}
				}
			})
		}
		workers.Wait()
		if b.Failed() {
			b.FailNow()
		}
	}
	// Everybody likes post 1, user 1 likes every post. Short lists are those of the next posts and users.
	like := func(user, post int) error {
		_, err := s.SetLike(ctx, liked.UserID(user+1)<<22, liked.PostID(post+1)<<22, true, at)
		return err
	}
	rng := rand.New(rand.NewPCG(1, 2))
	users, posts := rng.Perm(likers), rng.Perm(liking)
	many(lists*short, func(i int) error { return like(users[(i*7919)%likers], 1+i/short) })
	many(lists*short, func(i int) error { return like(1+i/short, posts[(i*7919)%liking]) })
	many(likers, func(i int) error { return like(users[i], 0) })
	many(liking, func(i int) error { return like(0, posts[i]) })

	for _, l := range []struct {
		name string
		long int
		read func(of int64, from store.Cursor) (n int, older store.Cursor, err error)
	}{
		{"likers", likers, func(of int64, from store.Cursor) (int, store.Cursor, error) {
			p, err := s.LikingUsers(ctx, 5<<22, liked.PostID(of)<<22, from, page, store.WithMetrics, nil)
			return len(p.Items), p.Older, err
		}},
		{"liked", liking, func(of int64, from store.Cursor) (int, store.Cursor, error) {
			p, err := s.LikedPosts(ctx, 5<<22, liked.UserID(of)<<22, from, page, store.WithMetrics, nil)
			return len(p.Items), p.Older, err
		}},
	} {
		_, older, err := l.read(1, store.Cursor{})
		if err != nil || older.Seq == 0 {
			b.Fatal(older, err)
		}
		for _, row := range []struct {
			name string
			from func() store.Cursor
		}{
			{"newest", func() store.Cursor { return store.Cursor{} }},
			// Likes set at one time are numbered without a gap.
			{"anywhere", func() store.Cursor {
				return store.Cursor{Seq: older.Seq - liked.Seq(rng.IntN(l.long-3*page)), Newer: rng.IntN(2) == 0}
			}},
		} {
			b.Run(fmt.Sprintf("%s/of=%d/%s", l.name, l.long, row.name), func(b *testing.B) {
				timed := func(of int64, from store.Cursor) time.Duration {
					start := time.Now()
					n, _, err := l.read(of, from)
					if err != nil || n != page {
						b.Fatalf("a page of %d, %v", n, err)
					}
					return time.Since(start)
				}
				var inLong, inShort, inHot time.Duration
				for b.Loop() {
					inLong += timed(1, row.from())
					inShort += timed(3+rng.Int64N(lists-1), store.Cursor{})
					inHot += timed(2, store.Cursor{})
				}
				b.ReportMetric(float64(inLong)/float64(b.N), "ns/page")
				b.ReportMetric(float64(inLong)/float64(inShort), "x")
				b.ReportMetric(float64(inLong)/float64(inHot), "hot-x")
			})
		}
	}
}
