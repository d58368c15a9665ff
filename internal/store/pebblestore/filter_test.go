package pebblestore

import (
	"context"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"liked"
)

// wholeFilter waits until the store has put all likes into its filter.
func wholeFilter(t *testing.T, s *Store) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !s.filter.whole.Load(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("after ten seconds the filter does not have all likes")
		}
	}
}

func TestFilter(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	const users, posts = 20, 100
	fs := vfs.NewMem()
	s := open(t, testOptions(fs))
	for i := range users {
		ok(t, s.AddUser(ctx, liked.User{ID: liked.UserID(i + 1), Username: "u" + string(rune('a'+i)), Name: "x"}))
	}
	for i := range posts {
		ok(t, s.AddPost(ctx, liked.Post{ID: liked.PostID(i + 1), Author: 1}))
	}
	like := func(user, post int, on, want bool) {
		t.Helper()
		changed, err := s.SetLike(ctx, liked.UserID(user), liked.PostID(post), on, noon)
		ok(t, err)
		if changed != want {
			t.Fatalf("user %d likes post %d, %v: got changed %v, want %v", user, post, on, changed, want)
		}
	}
	// Each user likes every other post, and takes every tenth back.
	wholeFilter(t, s)
	for user := 1; user <= users; user++ {
		for post := 2; post <= posts; post += 2 {
			like(user, post, true, true)
			if post%10 == 0 {
				like(user, post, false, true)
			}
		}
	}
	for _, from := range []string{"what was put in", "what was read"} {
		lacking := 0
		for user := 1; user <= users; user++ {
			for post := 1; post <= posts; post++ {
				lacks := s.filter.lacks(likeID{liked.UserID(user), liked.PostID(post)})
				if there := post%2 == 0 && post%10 != 0; there && lacks {
					t.Fatalf("%s: user %d likes post %d, and the filter lacks it", from, user, post)
				}
				if lacks {
					lacking++
				}
			}
		}
		if all := users * posts / 2; lacking < all*9/10 {
			t.Errorf("%s: the filter lacks %d of %d likes that never were", from, lacking, all)
		}
		ok(t, s.Close())
		s = open(t, testOptions(fs))
		wholeFilter(t, s)
	}
	like(1, 2, true, false)
	like(1, 10, true, true)
	like(1, 1, false, false)
	like(1, 1, true, true)
	like(1, 1, false, true)
	ok(t, s.Close())

	// A filter for fewer likes than there are is of no use, and does no harm.
	o := testOptions(fs)
	o.FilterBytes = 8
	s = open(t, o)
	like(1, 2, true, false)
	like(1, 1, true, true)
	ok(t, s.Close())
	s = open(t, o)
	ok(t, s.enter(ctx))
	s.fillFilter()
	if s.filter.whole.Load() {
		t.Error("a filter with room for 16 likes took all")
	}
	like(1, 1, true, false)
	ok(t, s.Close())
}
