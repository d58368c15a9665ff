package pebblestore

import (
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"liked"
	"liked/internal/store"
)

// Whoever asks for no counts does not pay for them: none is read.
func TestCountsThatNobodyAskedFor(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	s := open(t, testOptions(vfs.NewMem()))
	fill(t, s)
	for id := range uint64(4) { // counts that cannot be read
		for _, tag := range []byte{tagUserN, tagPostN} {
			ok(t, s.db.Set(num(nil, tag, id+1), []byte{0xff}, pebble.NoSync))
		}
	}
	for _, metrics := range []store.Metrics{store.WithoutMetrics, store.WithMetrics} {
		for name, find := range map[string]func() error{
			"UsersByID":       func() error { _, err := s.UsersByID(ctx, []liked.UserID{1}, metrics); return err },
			"UsersByUsername": func() error { _, err := s.UsersByUsername(ctx, []string{"b"}, metrics); return err },
			"Posts":           func() error { _, err := s.Posts(ctx, 0, []liked.PostID{1}, metrics); return err },
			"LikedPosts":      func() error { _, err := s.LikedPosts(ctx, 0, 2, store.Cursor{}, 10, metrics, nil); return err },
			"LikingUsers":     func() error { _, err := s.LikingUsers(ctx, 0, 1, store.Cursor{}, 10, metrics, nil); return err },
		} {
			if err := find(); (err != nil) != bool(metrics) {
				t.Errorf("%s, metrics %v: got error %v", name, metrics, err)
			}
		}
	}
	ok(t, s.Close())
}
