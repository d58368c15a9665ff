package pgstore

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"liked"
	"liked/internal/store"
	"liked/internal/store/pgstore/pgtest"
	"liked/internal/store/storetest"
)

// What fails is what the store and the database send each other, by turns before it arrives, in part, or after it has.
func TestSuiteFaults(t *testing.T) {
	pgtest.Long(t)
	server := pgtest.Start(t)
	d := new(schemas)
	h := storetest.Harness{Open: func(t testing.TB) store.Store { return d.open(t, server.Schema(t)) }}
	storetest.RunFaults(t, h, func(t testing.TB, n int, lasting bool) (storetest.Faulty, error) {
		dsn := server.Schema(t)
		every, patience := 6, 20*time.Second // each run takes up to a second
		if lasting {
			patience = 300 * time.Millisecond // which every later call may take
			if testing.Short() {
				every = 3
			}
		}
		n *= every
		link := pgtest.NewLink(t, dsn)
		link.Fail(n, lasting)
		s, err := Open(Options{DSN: link.DSN, Readers: 1, Writers: 1, Patience: patience})
		if err != nil {
			return storetest.Faulty{}, err
		}
		return storetest.Faulty{
			Store:  s,
			Failed: link.Failed,
			Reopen: func(t testing.TB) store.Store { return d.open(t, dsn) },
		}, nil
	})
}

// The primary dies and its standby, which is synchronous, takes over: no call fails, and what was acknowledged is there once.
func TestFailover(t *testing.T) {
	t.Parallel()
	primary := pgtest.Start(t)
	standby := primary.Standby(t)
	dsn := pgtest.With(primary.DSN(), "host", primary.Host()+","+standby.Host())
	dsn = pgtest.With(dsn, "port", "5432,5432")
	s := opened(t, dsn)
	ctx := t.Context()
	const users = 8
	for id := liked.UserID(1); id <= users; id++ {
		ok(t, s.AddUser(ctx, liked.User{ID: id, Username: "u" + id.String(), Name: "User"}))
	}
	ok(t, s.AddPost(ctx, liked.Post{ID: 7, Author: 1, Text: "x"}))
	var done atomic.Int64
	var stop atomic.Bool
	var on [users + 1]bool
	var writers sync.WaitGroup
	for id := liked.UserID(1); id <= users; id++ {
		writers.Go(func() {
			for !stop.Load() {
				changed, err := s.SetLike(ctx, id, 7, !on[id], time.Now())
				if err != nil || !changed {
					t.Errorf("user %d: got %v, %v", id, changed, err)
					return
				}
				on[id] = !on[id]
				done.Add(1)
			}
		})
	}
	more := func(what string) {
		t.Helper()
		before := done.Load()
		soon(t, what, func() bool { return done.Load() > before+50 || t.Failed() })
	}
	more("likes in both")
	primary.Kill()
	standby.Promote(t)
	more("likes in the standby that was promoted")
	stop.Store(true)
	writers.Wait()
	likes := int64(0)
	for id := liked.UserID(1); id <= users; id++ {
		got, err := s.Liked(ctx, id, []liked.PostID{7})
		if err != nil || got[0] != on[id] {
			t.Errorf("user %d: got %v (%v), want what was acknowledged last, %v", id, got, err, on[id])
		}
		if on[id] {
			likes++
		}
	}
	if p, err := s.Post(ctx, 0, 7); err != nil || p.Metrics.Likes != likes {
		t.Errorf("got %d likes (%v), want %d", p.Metrics.Likes, err, likes)
	}
	if r, err := s.Check(ctx); err != nil || len(r.Problems) > 0 {
		t.Errorf("Check: %v, %v", r.Problems, err)
	}
}
