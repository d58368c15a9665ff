package pgstore

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"liked"
	"liked/internal/store/pgstore/pgtest"
)

// trips keeps the statements of each trip that has several.
type trips struct {
	recorder
	mu  sync.Mutex
	all [][]string
}

func (tr *trips) TraceBatchStart(ctx context.Context, _ *pgx.Conn, b pgx.TraceBatchStartData) context.Context {
	var trip []string
	for _, q := range b.Batch.QueuedQueries {
		trip = append(trip, q.SQL)
	}
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.all = append(tr.all, trip)
	return ctx
}

// A batch of likes is two trips, and the lock of the heads of its posts is the last thing that the first one does: a post that many
// like is locked by one batch at a time.
func TestHeadsAreLockedLast(t *testing.T) {
	t.Parallel()
	tr := new(trips)
	s, err := Open(Options{DSN: pgtest.Schema(t), Writers: 1, pollEvery: time.Hour, Tracer: tr})
	ok(t, err)
	t.Cleanup(func() { ok(t, s.Close()) })
	ok(t, s.AddUser(t.Context(), liked.User{ID: 1, Username: "a", Name: "x", CreatedAt: time.UnixMilli(1)}))
	ok(t, s.AddPost(t.Context(), liked.Post{ID: 1, Author: 1, CreatedAt: time.UnixMilli(1)}))
	for _, on := range []bool{true, false, true} {
		tr.mu.Lock()
		tr.all = nil
		tr.mu.Unlock()
		changed, err := s.SetLike(t.Context(), 1, 1, on, time.UnixMilli(1000))
		ok(t, err)
		if !changed {
			t.Fatal("the like changes nothing")
		}
	}
	tr.mu.Lock()
	defer tr.mu.Unlock()
	likes := slices.DeleteFunc(slices.Clone(tr.all), func(trip []string) bool { // those of other goroutines
		return !slices.ContainsFunc(trip, func(sql string) bool { return strings.Contains(sql, "lanes") })
	})
	if len(likes) != 2 {
		t.Fatalf("a like takes %d trips, want two: %q", len(likes), likes)
	}
	locks := likes[0]
	if !strings.Contains(locks[len(locks)-1], "FROM post_heads") || !slices.Contains(locks, refusedAuthors) {
		t.Errorf("want the rules read and then the heads locked, last: %q", locks)
	}
}
