package pebblestore

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"liked"
)

// wholeFilter waits until the store has put all likes into its filter.
func wholeFilter(t *testing.T, s *Store) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); s.filter.now.Load() == nil || s.filter.filling.Load(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("after ten seconds the filter does not have all likes")
		}
	}
}

func TestFilterLacksNoLike(t *testing.T) {
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
	like(1, 1, true, false)
	for end := time.Now().Add(10 * time.Second); s.filter.filling.Load(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("after ten seconds the filter is not given up")
		}
	}
	if s.filter.now.Load() != nil {
		t.Error("a filter with room for 24 likes took all")
	}
	ok(t, s.Close())
}

// TestFilterGrows likes until the filter has grown twice, and holds it to what is there at any moment.
func TestFilterGrows(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	const users, posts = 8, 200
	s := open(t, testOptions(vfs.NewMem()))
	for i := range users {
		ok(t, s.AddUser(ctx, liked.User{ID: liked.UserID(i + 1), Username: "u" + string(rune('a'+i)), Name: "x"}))
	}
	for i := range posts {
		ok(t, s.AddPost(ctx, liked.Post{ID: liked.PostID(i + 1), Author: 1}))
	}
	wholeFilter(t, s)
	s.filter.least = 1
	s.fill(1)
	wholeFilter(t, s)
	var all sync.WaitGroup
	for user := 1; user <= users; user++ {
		all.Go(func() {
			for post := 1; post <= posts; post++ {
				for _, on := range []bool{true, true, false, true} {
					if _, err := s.SetLike(ctx, liked.UserID(user), liked.PostID(post), on, noon); err != nil {
						t.Error(err)
						return
					}
					if id := (likeID{liked.UserID(user), liked.PostID(post)}); on && s.filter.lacks(id) {
						t.Errorf("user %d likes post %d, and the filter lacks it", user, post)
						return
					}
				}
			}
		})
	}
	all.Wait()
	wholeFilter(t, s)
	for user := 1; user <= users; user++ {
		for post := 1; post <= posts; post++ {
			if s.filter.lacks(likeID{liked.UserID(user), liked.PostID(post)}) {
				t.Fatalf("user %d likes post %d, and the filter that has grown lacks it", user, post)
			}
		}
	}
	if now := s.filter.now.Load(); len(now.words) < 64 || now.likes.Load() > users*posts {
		t.Errorf("the filter of %d likes has %d words, of which %d likes changed a bit", users*posts, len(now.words), now.likes.Load())
	}
	ok(t, s.Close())
}
