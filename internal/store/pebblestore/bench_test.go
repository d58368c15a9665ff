package pebblestore

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"liked"
	"liked/internal/store"
)

// benchStore is a store on disk with users 1 to users and posts 1 to posts.
func benchStore(b *testing.B, users, posts int) *Store {
	s := open(b, Options{Dir: b.TempDir()})
	b.Cleanup(func() { ok(b, s.Close()) })
	// Written past the committer, which is about likes here.
	batch := s.db.NewBatch()
	apply := func() {
		must(s.db.Apply(batch, s.writeOptions()))
		must(batch.Close())
		batch = s.db.NewBatch()
	}
	for i := 1; i <= users; i++ {
		u := liked.User{ID: liked.UserID(i) << 22, Username: fmt.Sprintf("u%d", i), Name: "x"}
		must(batch.Set(userKey(u.ID), encode(&u, userFields), nil))
		must(batch.Set(nameKey(u.Username), encodeID(u.ID), nil))
		if i%10_000 == 0 {
			apply()
		}
	}
	for i := 1; i <= posts; i++ {
		p := store.Post{Post: liked.Post{ID: liked.PostID(i) << 22, Author: 1 << 22}}
		must(batch.Set(postKey(p.ID), encode(&p, postFields), nil))
		must(batch.Set(postOfKey(p.Author, p.ID), nil, nil))
		if i%10_000 == 0 {
			apply()
		}
	}
	must(batch.Set(num(nil, tagUserN, 1<<22), counts{userPosts: int64(posts)}.append(nil), nil))
	apply()
	must(batch.Close())
	return s
}

// parallel runs f from as many goroutines; i is another number in each call.
func parallel(b *testing.B, callers int, f func(i int)) {
	var n atomic.Int64
	b.SetParallelism((callers + 1) / 2) // of two processors
	if callers == 1 {
		for b.Loop() {
			f(int(n.Add(1)) - 1)
		}
		return
	}
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			f(int(n.Add(1)) - 1)
		}
	})
}

// processorTime is what this process has used so far.
func processorTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	ok(b, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkSetLike is of likes that are synced to disk before each call returns. Without a disk that waits for nobody else
// the processor time of a like, cpu-ns/like, says more than how long it takes.
func BenchmarkSetLike(b *testing.B) {
	ctx := context.Background()
	const users, posts = 10_000, 10_000
	random := rand.New(rand.NewPCG(1, 2))
	zipf := rand.NewZipf(random, 1.1, 1, posts-1)
	drawn := make([][2]int, 1<<20)
	for i := range drawn {
		drawn[i] = [2]int{1 + random.IntN(users), 1 + int(zipf.Uint64())}
	}
	for _, bench := range []struct {
		name string
		like func(i int) (user, post int)
	}{
		{"distinct", func(i int) (int, int) { return 1 + i%users, 1 + (i/users+i*7)%posts }},
		{"zipf", func(i int) (int, int) { return drawn[i%len(drawn)][0], drawn[i%len(drawn)][1] }},
		{"hot", func(i int) (int, int) { return 1 + i, 1 }},
		{"repeat", func(i int) (int, int) { return 1 + i%100, 1 }},
	} {
		for _, callers := range []int{1, 32, 256} {
			b.Run(fmt.Sprintf("%s/callers=%d", bench.name, callers), func(b *testing.B) {
				n := users
				if bench.name == "hot" {
					n = max(b.N, users)
				}
				s := benchStore(b, n, posts)
				b.ReportAllocs()
				b.ResetTimer()
				before := processorTime(b)
				parallel(b, callers, func(i int) {
					user, post := bench.like(i)
					_, err := s.SetLike(ctx, liked.UserID(user)<<22, liked.PostID(post)<<22, true, noon)
					ok(b, err)
				})
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "likes/s")
				b.ReportMetric(float64(processorTime(b)-before)/float64(b.N), "cpu-ns/like")
			})
		}
	}
}

// BenchmarkRead is of a page of 100, and of single posts.
func BenchmarkRead(b *testing.B) {
	ctx := context.Background()
	s := benchStore(b, 1_000, 1_000)
	for i := 1; i <= 1_000; i++ {
		_, err := s.SetLike(ctx, liked.UserID(i)<<22, 1<<22, true, noon)
		ok(b, err)
		_, err = s.SetLike(ctx, 1<<22, liked.PostID(i)<<22, true, noon)
		ok(b, err)
	}
	for name, f := range map[string]func(){
		"post": func() { _, err := s.Post(ctx, 2<<22, 1<<22); ok(b, err) },
		"user": func() { _, err := s.User(ctx, 2<<22); ok(b, err) },
		"likedPosts": func() {
			_, err := s.LikedPosts(ctx, 2<<22, 1<<22, store.Cursor{}, 100, store.WithMetrics, nil)
			ok(b, err)
		},
		"likingUsers": func() {
			_, err := s.LikingUsers(ctx, 2<<22, 1<<22, store.Cursor{}, 100, store.WithMetrics, nil)
			ok(b, err)
		},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				f()
			}
		})
	}
}
