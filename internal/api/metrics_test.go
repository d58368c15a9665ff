package api_test

import (
	"context"
	"sync/atomic"
	"testing"

	"liked"
	"liked/internal/api"
	"liked/internal/store"
)

// metered counts the calls that ask for metrics.
type metered struct {
	api.Store
	asked *atomic.Int64
}

func (s metered) note(m store.Metrics) store.Metrics {
	if m {
		s.asked.Add(1)
	}
	return m
}

func (s metered) UsersByID(ctx context.Context, ids []liked.UserID, m store.Metrics) ([]liked.User, error) {
	return s.Store.UsersByID(ctx, ids, s.note(m))
}

func (s metered) UsersByUsername(ctx context.Context, names []string, m store.Metrics) ([]liked.User, error) {
	return s.Store.UsersByUsername(ctx, names, s.note(m))
}

func (s metered) Posts(ctx context.Context, viewer liked.UserID, ids []liked.PostID, m store.Metrics) ([]store.Seen, error) {
	return s.Store.Posts(ctx, viewer, ids, s.note(m))
}

func (s metered) LikedPosts(ctx context.Context, viewer, by liked.UserID, from store.Cursor, max int, m store.Metrics,
	space []liked.Post) (store.Page[liked.Post], error) {
	return s.Store.LikedPosts(ctx, viewer, by, from, max, s.note(m), space)
}

func (s metered) LikingUsers(ctx context.Context, viewer liked.UserID, of liked.PostID, from store.Cursor, max int, m store.Metrics,
	space []liked.User) (store.Page[liked.User], error) {
	return s.Store.LikingUsers(ctx, viewer, of, from, max, s.note(m), space)
}

// Counts, which cost the store a look-up each, are read where an answer shows them, and only there.
func TestMetricsAreReadWhereTheyAreShown(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	w := newWorld(t, func(o *api.Options) { o.Store = metered{o.Store, &asked} })
	for _, line := range []string{"user 11 alice", "user 12 bob", "post 101 12 hello", "like 11 101"} {
		w.do(line)
	}
	for _, path := range []string{"/2/users?ids=11,12", "/2/users/by?usernames=bob", "/2/tweets?ids=101", "/2/tweets/101?expansions=author_id",
		"/2/users/11/liked_tweets?expansions=author_id", "/2/tweets/101/liking_users?expansions=pinned_tweet_id"} {
		get := func(query string) int64 {
			t.Helper()
			asked.Store(0)
			if resp, body := w.request("alice", "GET", path+query, nil); resp.StatusCode != 200 {
				t.Fatalf("%s%s: %d %s", path, query, resp.StatusCode, body)
			}
			return asked.Load()
		}
		if n := get(""); n != 0 {
			t.Errorf("%s: %d calls ask for metrics that are not shown", path, n)
		}
		if n := get("&user.fields=public_metrics&tweet.fields=public_metrics"); n == 0 {
			t.Errorf("%s: no call asks for metrics that are shown", path)
		}
	}
}
