package pgstore

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
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
	t.Parallel()
	suiteFaults(t, pgtest.Start(t, "max_connections=400").Schema)
}

func suiteFaults(t *testing.T, schema func(testing.TB) string) {
	d := new(schemas)
	h := storetest.Harness{Open: func(t testing.TB) store.Store { return d.open(t, schema(t)) }}
	storetest.RunFaults(t, h, func(t testing.TB, n int, lasting bool) (storetest.Faulty, error) {
		dsn := schema(t)
		patience := 20 * time.Second
		if lasting {
			patience = 5 * time.Second // which each call takes once all fails
		}
		every := 6 // messages for an access: each run takes up to a second
		if lasting && testing.Short() {
			every = 3
		}
		link := pgtest.NewLink(t, dsn)
		link.Fail(n*every, lasting)
		s, err := Open(Options{DSN: link.DSN, Readers: 4, Writers: 1, Patience: patience})
		if err != nil {
			return storetest.Faulty{Failed: link.Failed}, err
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
	more("likes in the standby that was promoted") // none of which may fail, as it would if it took too long
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

// A disk without room takes no writes: calls say what to do, reads go on, nothing is there in part, and writes go on by themselves
// once there is room.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	server, fill := pgtest.StartSmall(t, 64<<20)
	s := opened(t, server.DSN())
	ctx := t.Context()
	const users, posts = 100, 30
	for id := liked.UserID(1); id <= users; id++ {
		ok(t, s.AddUser(ctx, liked.User{ID: id, Username: "u" + id.String(), Name: "User"}))
	}
	for id := liked.PostID(1); id <= posts; id++ {
		ok(t, s.AddPost(ctx, liked.Post{ID: id, Author: 1, Text: "x"}))
	}
	now := time.Now()
	writes := []struct {
		what string
		do   func(n int) error
	}{
		{"a like", func(n int) error {
			_, err := s.SetLike(ctx, liked.UserID(1+n%users), liked.PostID(1+n/users), true, now)
			return err
		}},
		{"a post", func(n int) error { return s.AddPost(ctx, liked.Post{ID: liked.PostID(1000 + n), Author: 1, Text: "x"}) }},
		{"a request that is counted", func(n int) error {
			_, _, err := s.Take(ctx, now, "a", 1, liked.UserID(1+n), []liked.RateRule{{Window: time.Hour, Max: 10}}, nil)
			return err
		}},
	}
	free := fill()
	done := make([]int, len(writes))
	for i, w := range writes {
		var err error
		for err == nil && done[i] < users*posts { // pages that are there have some room
			if err = w.do(done[i]); err == nil {
				done[i]++
			}
		}
		if e, is := errors.AsType[*liked.Error](err); !is || e.Kind != liked.Unavailable || !strings.Contains(e.Msg, "free space") {
			t.Errorf("%s after %d, without room on the disk: got error %v", w.what, done[i], err)
		}
	}
	there := func() {
		t.Helper()
		likes := int64(0)
		for id := liked.PostID(1); id <= posts; id++ {
			p, err := s.Post(ctx, 0, id)
			ok(t, err)
			likes += p.Metrics.Likes
		}
		if likes != int64(done[0]) {
			t.Errorf("got %d likes, want the %d that were acknowledged", likes, done[0])
		}
		if _, err := s.Post(ctx, 0, liked.PostID(1000+done[1])); liked.KindOf(err) != liked.NotFound {
			t.Errorf("a post that was refused: got error %v", err)
		}
		if r, err := s.Check(ctx); err != nil || len(r.Problems) > 0 {
			t.Errorf("Check: %v, %v", r.Problems, err)
		}
	}
	there()
	free()
	there()
	for i, w := range writes {
		if err := w.do(done[i]); err != nil {
			t.Errorf("%s that was refused, once there is room: got error %v", w.what, err)
		}
	}
	done[0], done[1] = done[0]+1, done[1]+1
	there()
}

// A host vanishes, and says not even that its connections are gone. Calls wait no longer than they should for it, or find the
// standby that takes over.
func TestHostVanishes(t *testing.T) {
	t.Parallel()
	primary := pgtest.Start(t)
	host, vanish := pgtest.Elsewhere(t, primary.DSN())
	standby := primary.Standby(t)
	dsn := pgtest.With(primary.DSN(), "host", host)
	const patience = 5 * time.Second
	alone, err := Open(Options{DSN: dsn, Readers: 4, Writers: 2, Patience: patience})
	ok(t, err)
	t.Cleanup(func() { _ = alone.Close() })
	s := opened(t, pgtest.With(pgtest.With(dsn, "host", host+","+standby.Host()), "port", "5432,5432"))
	ctx := t.Context()
	ok(t, s.AddUser(ctx, liked.User{ID: 1, Username: "ada", Name: "Ada"}))
	ok(t, s.AddPost(ctx, liked.Post{ID: 1, Author: 1, Text: "x"}))
	calls := []struct {
		what string
		do   func(s *Store) error
	}{
		{"a like", func(s *Store) error { _, err := s.SetLike(ctx, 1, 1, true, time.Now()); return err }},
		{"a read", func(s *Store) error { _, err := s.User(ctx, 1); return err }},
		{"a write", func(s *Store) error { return s.SetKnownSeed(ctx) }},
		{"a request that is counted", func(s *Store) error {
			_, _, err := s.Take(ctx, time.Now(), "a", 1, 1, []liked.RateRule{{Window: time.Hour, Max: 10}}, nil)
			return err
		}},
		{"a lease", func(s *Store) error { _, err := s.Hold(ctx, []string{"a"}, time.Second); return err }},
	}
	for _, c := range calls { // so that there are connections
		for _, s := range []*Store{alone, s} {
			if err := c.do(s); err != nil {
				t.Fatalf("%s: %v", c.what, err)
			}
		}
	}
	vanish()
	begun := time.Now()
	var all sync.WaitGroup
	for _, c := range calls {
		all.Go(func() {
			if err := c.do(alone); liked.KindOf(err) != liked.Unavailable {
				t.Errorf("%s: got error %v, want one of kind %v", c.what, err, liked.Unavailable)
			}
			if took := time.Since(begun); took > patience+20*time.Second { // and not until the system gives up
				t.Errorf("%s came back after %v, though nobody waits for longer than %v", c.what, took, patience)
			}
		})
		all.Go(func() {
			if err := c.do(s); err != nil {
				t.Errorf("%s with a standby: %v", c.what, err)
			}
		})
	}
	primary.Kill() // nothing of it is heard any more
	standby.Promote(t)
	all.Wait()
	if took := time.Since(begun); took > deadAfter+20*time.Second {
		t.Errorf("calls went on with the standby after %v", took)
	}
}

// A start says when a failover would lose what was acknowledged.
func TestAsynchronousStandby(t *testing.T) {
	t.Parallel()
	for _, synchronous := range []bool{false, true} {
		primary := pgtest.Start(t)
		if synchronous {
			primary.Standby(t)
		} else {
			primary.Follower(t)
		}
		var log bytes.Buffer
		s, err := Open(Options{DSN: primary.DSN(), Logger: slog.New(slog.NewTextHandler(&log, nil))})
		ok(t, err)
		ok(t, s.Close())
		if warned := strings.Contains(log.String(), "no standby is synchronous"); warned == synchronous {
			t.Errorf("with a standby that is synchronous: %v, the log has: %s", synchronous, log.String())
		}
	}
}
