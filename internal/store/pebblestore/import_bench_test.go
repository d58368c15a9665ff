package pebblestore

import (
	"context"
	"math/rand/v2"
	"testing"
	"time"

	"liked"
	"liked/internal/store"
)

// BenchmarkImport imports likes user by user, as an export has them, into a store in a directory.
func BenchmarkImport(b *testing.B) {
	const users, posts = 1000, 10_000
	s, err := Open(Options{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { s.Close() })
	imported := func(records []store.Record) {
		got, err := s.Import(context.Background(), records, false)
		if err != nil || len(got.Refused) > 0 {
			b.Fatal(got.Refused, err)
		}
	}
	var records []store.Record
	created := time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
	for i := range users {
		u := liked.User{ID: liked.UserID(i+1) << 22, Username: "u" + liked.UserID(i).String(), Name: "u", CreatedAt: created}
		records = append(records, store.Record{User: &u})
	}
	for i := range posts {
		p := liked.Post{ID: liked.PostID(i+1) << 22, Author: 1 << 22, Text: "x", CreatedAt: created}
		records = append(records, store.Record{Post: &store.Post{Post: p}})
	}
	imported(records)
	rng := rand.New(rand.NewPCG(1, 2))
	records = records[:0]
	b.ResetTimer()
	for n := 0; n < b.N; {
		user := liked.UserID(n/1000%users+1) << 22
		ms := created.UnixMilli()
		for _, p := range rng.Perm(posts)[:1000] {
			ms += rng.Int64N(10_000_000)
			records = append(records, store.Record{Like: &store.Like{User: user, Post: liked.PostID(p+1) << 22, Seq: liked.Seq(ms) << 20}})
			n++
		}
		if len(records) >= 4000 || n >= b.N {
			imported(records)
			records = records[:0]
		}
	}
}
