package storetest

import (
	"slices"
	"strconv"
	"sync/atomic"

	"liked"
	"liked/internal/store"
)

// pagesOfOneMoment reads pages while all changes that they show: names, counts, blocks, who is protected. A page shows one
// moment, not before what its caller knows, and no later page one before.
func pagesOfOneMoment(t *T) {
	s := t.open()
	t.people(s, 8)
	t.post(s, 1, 1)
	t.post(s, 2, 2)
	for _, fan := range []int{3, 4} {
		t.like(s, fan, 1, true, true)
		t.ok(s.UpdateUser(t.ctx, uid(fan), func(u *liked.User) error { u.Name = "0"; return nil }))
	}
	t.like(s, 5, 1, true, true)
	t.like(s, 5, 2, true, true)
	t.follow(s, 2, 4, true, true)

	fans := func(viewer int) []liked.User {
		page, err := s.LikingUsers(t.ctx, uid(viewer), pid(1), store.Cursor{}, 100, store.WithoutMetrics, nil)
		t.noError(err)
		return page.Items
	}
	sees := func(viewer, fan int) bool {
		return slices.ContainsFunc(fans(viewer), func(u liked.User) bool { return u.ID == uid(fan) })
	}
	same(t, "one who is not blocked yet sees the other", sees(7, 3), true)
	rounds := repeat(300)
	var over atomic.Int32
	writers := []func(n int){
		func(n int) { // both have the same name, or the first the next one
			for _, fan := range []int{3, 4} {
				t.noError(s.UpdateUser(t.ctx, uid(fan), func(u *liked.User) error { u.Name = strconv.Itoa(n); return nil }))
			}
		},
		func(n int) { // the first post has as many likes as the second, or one more
			for _, step := range []struct {
				post int
				on   bool
			}{{1, true}, {2, true}, {2, false}, {1, false}} {
				changed, err := s.SetLike(t.ctx, uid(6), pid(step.post), step.on, start)
				t.noError(err)
				same(t, "changed", changed, true)
			}
		},
		func(n int) {
			_, err := s.SetBlock(t.ctx, uid(3), uid(7), n%2 == 1)
			t.noError(err)
			same(t, "the blocked one sees the blocker", sees(7, 3), n%2 == 0)
		},
		func(n int) {
			t.noError(s.UpdateUser(t.ctx, uid(4), func(u *liked.User) error { u.Protected = n%2 == 1; return nil }))
			same(t, "a stranger sees the protected one", sees(8, 4), n%2 == 0)
		},
		func(n int) {
			_, err := s.SetFollow(t.ctx, uid(7), uid(4), n%2 == 1)
			t.noError(err)
		},
	}
	read := func(last *[2]int) {
		var names [2]int
		for _, u := range fans(2) {
			if i := slices.Index([]liked.UserID{uid(3), uid(4)}, u.ID); i >= 0 {
				names[i], _ = strconv.Atoi(u.Name)
			}
		}
		if d := names[0] - names[1]; d != 0 && d != 1 || names[0] < last[0] || names[1] < last[1] {
			t.Errorf("got the names %d after %d", names, *last)
		}
		*last = names
		page, err := s.LikedPosts(t.ctx, uid(2), uid(5), store.Cursor{}, 100, store.WithMetrics, nil)
		t.noError(err)
		likes := make(map[liked.PostID]int64)
		for _, p := range page.Items {
			likes[p.ID] = p.Metrics.Likes
		}
		if d := likes[pid(1)] - likes[pid(2)]; len(likes) != 2 || d != 2 && d != 3 { // two fans more
			t.Errorf("got the counts %v", likes)
		}
	}
	together(len(writers)+2, func(i int) {
		if i < len(writers) {
			for n := range rounds {
				writers[i](n + 1)
			}
			over.Add(1)
			return
		}
		var last [2]int
		for over.Load() < int32(len(writers)) {
			read(&last)
		}
	})
	for _, m := range []store.Metrics{store.WithMetrics, store.WithoutMetrics} { // for either the same items
		page, err := s.LikedPosts(t.ctx, 0, uid(5), store.Cursor{}, 100, m, nil)
		t.ok(err)
		same(t, "items", len(page.Items), 2)
		same(t, "newest", page.Items[0].ID, pid(2))
	}
}
