package pgstore

import (
	"strings"
	"testing"
	"time"

	"liked"
	"liked/internal/store"
	"liked/internal/store/pgstore/pgtest"
)

// A pooler may give each transaction another connection, if statements are described and not prepared.
func TestPooler(t *testing.T) {
	t.Parallel()
	server := pgtest.Start(t)
	dsn := pgtest.With(server.Pooler(t), "default_query_exec_mode", "cache_describe")
	s, other := opened(t, dsn), opened(t, dsn)
	ctx := t.Context()
	for range 2 { // with statements that are known, too
		for id := liked.UserID(1); id <= 8; id++ {
			user := liked.User{ID: id, Username: "u" + id.String(), Name: "User"}
			post := liked.Post{ID: liked.PostID(id), Author: id, Text: "x"}
			for _, err := range []error{s.AddUser(ctx, user), s.AddPost(ctx, post)} {
				if err != nil && liked.KindOf(err) != liked.Conflict {
					t.Error(err)
				}
			}
		}
		for id := liked.UserID(1); id <= 8; id++ {
			for _, on := range []bool{false, true} {
				if _, err := other.SetLike(ctx, id, 1, on, time.Now()); err != nil {
					t.Error(err)
				}
			}
			if page, err := s.LikedPosts(ctx, 1, id, store.Cursor{}, 9, store.WithMetrics, nil); err != nil || len(page.Items) != 1 {
				t.Errorf("got %v, %v, want one post", page, err)
			}
			if _, ok, err := s.Take(ctx, time.Now(), "a", 1, id, []liked.RateRule{{Window: time.Hour, Max: 10}}, nil); err != nil || !ok {
				t.Error(ok, err)
			}
		}
		if r, err := s.Check(ctx); err != nil || len(r.Problems) > 0 || r.Likes != 8 {
			t.Error(r, err)
		}
	}
}

// Without that, the error says what to add.
func TestPoolerUnawares(t *testing.T) {
	t.Parallel()
	dsn := pgtest.Start(t).Pooler(t)
	var err error
	for range 20 {
		var s *Store
		if s, err = Open(Options{DSN: dsn}); err != nil {
			break
		}
		err = second(s.Totals(t.Context()))
		ok(t, s.Close())
		if err != nil {
			break
		}
	}
	if err == nil || !strings.Contains(err.Error(), "default_query_exec_mode=cache_describe") {
		t.Errorf("got %v", err)
	}
}
