package storetest

import (
	"context"
	"fmt"
	"slices"
	"time"

	"liked"
	"liked/internal/store"
)

var likeTests = []test{
	{"set and take back", setLike},
	{"who may like", whoMayLike},
	{"reposts", reposts},
	{"what lists leave out", leaveOut},
	{"pages", pages},
	{"cursor held during writes", heldCursor},
	{"many hidden rows", manyHidden},
	{"log", likeLog},
	{"clock goes back", clockGoesBack},
	{"many blocks", manyBlocks},
	{"log waits", logWaits},
}

func setLike(t *T) {
	s := t.open()
	t.people(s, 3)
	t.post(s, 1, 1)
	t.post(s, 2, 1)
	t.like(s, 2, 1, false, false)
	t.like(s, 2, 1, true, true)
	t.like(s, 2, 1, true, false)
	t.like(s, 2, 2, true, true)
	t.like(s, 1, 1, true, true) // one's own
	on, err := s.Liked(t.ctx, uid(2), []liked.PostID{pid(3), pid(2), pid(1), pid(2)})
	t.ok(err)
	same(t, "Liked", on, []bool{false, true, true, true})
	on, err = s.Liked(t.ctx, uid(9), []liked.PostID{pid(1)})
	t.ok(err)
	same(t, "Liked by nobody", on, []bool{false})
	on, err = s.Liked(t.ctx, uid(2), nil)
	t.ok(err)
	same(t, "Liked of nothing", on, nil)
	p, err := s.Post(t.ctx, 0, pid(1))
	t.ok(err)
	same(t, "likes of the post", p.Metrics, liked.PostMetrics{Likes: 2})
	u, err := s.User(t.ctx, uid(2))
	t.ok(err)
	same(t, "likes of the user", u.Metrics, liked.UserMetrics{Likes: 2})
	t.like(s, 2, 1, false, true)
	t.like(s, 2, 1, false, false)
	t.like(s, 9, 1, false, false) // nobody
	t.like(s, 2, 9, false, false) // nothing
	for _, c := range [][2]int{{9, 1}, {2, 9}, {0, 1}, {2, 0}} {
		_, err := s.SetLike(t.ctx, uid(c[0]), pid(c[1]), true, start)
		t.fails(err, liked.NotFound)
	}
	same(t, "liking users", t.likingUsers(s, 0, 1, 10), []int{1})
	same(t, "liked posts", t.likedPosts(s, 0, 2, 10), []int{2})
	same(t, "likes", t.check(s).Likes, int64(2))
}

func whoMayLike(t *T) {
	for _, v := range t.visibility() {
		t.Log(v.name)
		// Set with nothing there, and with a like from before.
		for _, before := range []bool{false, true} {
			s := t.open()
			t.people(s, 3)
			t.post(s, 1, 2)
			if before {
				t.like(s, 1, 1, true, true)
			}
			v.set(s)
			changed, err := s.SetLike(t.ctx, uid(1), pid(1), true, start)
			t.outcome(err, v.user)
			same(t, "changed", changed, v.user == 0 && !before)
			is := before || v.user == 0
			on, err := s.Liked(t.ctx, uid(1), []liked.PostID{pid(1)})
			t.ok(err)
			same(t, "Liked", on, []bool{is})
			t.like(s, 1, 1, false, is) // never fails
			t.like(s, 1, 1, false, false)
		}
	}
}

func reposts(t *T) {
	s := t.open()
	t.people(s, 4)
	t.post(s, 1, 1)
	repost := newPost(2, 2)
	repost.RepostOf = pid(1)
	t.ok(s.AddPost(t.ctx, repost))
	t.like(s, 3, 2, true, true)
	t.like(s, 3, 1, true, false)
	t.like(s, 4, 1, true, true)
	t.like(s, 4, 2, true, false)
	on, err := s.Liked(t.ctx, uid(3), []liked.PostID{pid(1), pid(2)})
	t.ok(err)
	same(t, "Liked", on, []bool{true, true})
	same(t, "liking users of the original", t.likingUsers(s, 0, 1, 10), []int{4, 3})
	same(t, "liking users of the repost", t.likingUsers(s, 0, 2, 10), []int{4, 3})
	same(t, "liked posts", t.likedPosts(s, 3, 3, 10), []int{1})
	for _, events := range t.log(s) {
		for _, e := range events {
			if e.Post != pid(1) || e.Author != uid(1) {
				t.Errorf("got an event of post %v by %v, want the original and its author", e.Post, e.Author)
			}
		}
	}
	for n, want := range map[int]int64{1: 2, 2: 0} {
		p, err := s.Post(t.ctx, 0, pid(n))
		t.ok(err)
		same(t, "likes", p.Metrics.Likes, want)
	}
	t.like(s, 4, 2, false, true)
	t.like(s, 4, 1, false, false)

	// Whoever may not see the repost or the original cannot like it.
	set := func(want liked.Kind) {
		t.Helper()
		_, err := s.SetLike(t.ctx, uid(4), pid(2), true, start)
		t.outcome(err, want)
	}
	t.block(s, 1, 4, true, true)
	set(liked.Forbidden)
	t.block(s, 1, 4, false, true)
	t.block(s, 2, 4, true, true)
	set(liked.Forbidden)
	t.state(s, 1, liked.Suspended)
	set(liked.NotFound)
	t.state(s, 1, liked.Active)
	t.state(s, 2, liked.Suspended)
	set(liked.NotFound)
	t.state(s, 2, liked.Active)
	t.block(s, 2, 4, false, true)
	t.ok(s.DeletePost(t.ctx, 0, pid(1)))
	set(liked.NotFound)
	t.like(s, 3, 2, false, true) // through the repost, though the original is gone
}

func leaveOut(t *T) {
	for _, v := range t.visibility() {
		t.Log(v.name)
		s := t.open()
		t.people(s, 3)
		t.post(s, 1, 2)
		t.post(s, 2, 3)
		for _, n := range []int{1, 3} {
			t.like(s, n, 1, true, true)
			t.like(s, n, 2, true, true)
		}
		v.set(s)
		expect := func(viewer int, hidden liked.Kind) {
			t.Helper()
			want := []int{2, 1}
			if hidden != 0 {
				want = []int{2}
			}
			same(t, "liked posts", t.likedPosts(s, viewer, 1, 10), want)
			same(t, "liked posts, one by one", t.likedPosts(s, viewer, 1, 1), want)
		}
		expect(1, v.user)
		expect(0, v.stranger)
		expect(operator, 0)
	}
	s := t.open()
	t.people(s, 4)
	t.post(s, 1, 1)
	for _, n := range []int{2, 3, 4} {
		t.like(s, n, 1, true, true)
	}
	t.state(s, 3, liked.Deactivated)
	t.state(s, 4, liked.Locked)
	same(t, "liking users", t.likingUsers(s, 1, 1, 10), []int{4, 2})
	same(t, "liking users whom the operator sees", t.likingUsers(s, operator, 1, 2), []int{4, 3, 2})
	p, err := s.Post(t.ctx, 0, pid(1))
	t.ok(err)
	same(t, "the count is of all likes", p.Metrics.Likes, int64(3))
	t.state(s, 3, liked.Active)
	same(t, "liking users", t.likingUsers(s, 1, 1, 10), []int{4, 3, 2})
	_, err = s.LikedPosts(t.ctx, uid(1), uid(9), store.Cursor{}, 10, store.WithMetrics, nil)
	t.fails(err, liked.NotFound)
	_, err = s.LikingUsers(t.ctx, uid(1), pid(9), store.Cursor{}, 10, store.WithMetrics, nil)
	t.fails(err, liked.NotFound)
}

// pages walks with ties in time and ids whose order as text is another than as numbers.
func pages(t *T) {
	s := t.open()
	t.people(s, 30)
	var order []int
	for _, i := range t.rng.Perm(29) {
		order = append(order, i+1)
	}
	t.post(s, 1, 30)
	for _, n := range order {
		t.like(s, n, 1, true, true)
	}
	for n := 2; n <= 30; n++ {
		t.post(s, n, 30)
	}
	for _, n := range order {
		t.like(s, 30, n+1, true, true)
	}
	var users, posts []int
	for _, n := range slices.Backward(order) {
		users, posts = append(users, n), append(posts, n+1)
	}
	for _, page := range []int{1, 2, 7, 28, 29, 30, 100} {
		same(t, "liking users", t.likingUsers(s, 0, 1, page), users)
		same(t, "liked posts", t.likedPosts(s, 0, 30, page), posts)
	}
	space := make([]liked.User, 29)
	users29, err := s.LikingUsers(t.ctx, 0, pid(1), store.Cursor{}, 29, store.WithMetrics, space)
	t.ok(err)
	same(t, "the page in the space for it", users29.Items, space)
	same(t, "older than exactly all", users29.Older, store.Cursor{})
	same(t, "metrics in the list", users29.Items[0].Metrics, liked.UserMetrics{Likes: 1})
	p, err := s.LikedPosts(t.ctx, 0, uid(1), store.Cursor{}, 1, store.WithMetrics, nil)
	t.ok(err)
	same(t, "metrics in the list", p.Items[0].Metrics, liked.PostMetrics{Likes: 29})
	_, err = s.LikingUsers(t.ctx, 0, pid(1), store.Cursor{}, 0, store.WithMetrics, nil)
	t.fails(err, liked.Invalid)
	_, err = s.LikedPosts(t.ctx, 0, uid(1), store.Cursor{}, 0, store.WithMetrics, nil)
	t.fails(err, liked.Invalid)
}

func heldCursor(t *T) {
	s := t.open()
	t.people(s, 12)
	t.post(s, 1, 1)
	for n := 1; n <= 10; n++ {
		t.like(s, n, 1, true, true)
	}
	first, err := s.LikingUsers(t.ctx, 0, pid(1), store.Cursor{}, 3, store.WithMetrics, nil) // 10 9 8
	t.ok(err)
	same(t, "first page", len(first.Items), 3)
	second, err := s.LikingUsers(t.ctx, 0, pid(1), first.Older, 1, store.WithMetrics, nil) // 7
	t.ok(err)
	t.like(s, 8, 1, false, true) // the row that the cursor stands on
	t.like(s, 7, 1, false, true) // the one that comes next
	t.like(s, 5, 1, false, true) // set again: a new like, at the top
	t.like(s, 5, 1, true, true)
	t.like(s, 11, 1, true, true)
	t.like(s, 9, 1, false, true)
	t.like(s, 9, 1, true, true)
	numbers := func(users []liked.User) (list []int) {
		for _, u := range users {
			list = append(list, number(u.ID))
		}
		return list
	}
	var rest []int
	for from := first.Older; from != (store.Cursor{}); {
		page, err := s.LikingUsers(t.ctx, 0, pid(1), from, 2, store.WithMetrics, nil)
		t.ok(err)
		rest, from = append(rest, numbers(page.Items)...), page.Older
		t.like(s, 12, 1, true, true)
		t.like(s, 12, 1, false, true)
	}
	// Back to what is nearest first, though newer likes have come on top.
	var back [][]int
	for from := second.Newer; from != (store.Cursor{}); {
		page, err := s.LikingUsers(t.ctx, 0, pid(1), from, 2, store.WithMetrics, nil)
		t.ok(err)
		back, from = append(back, numbers(page.Items)), page.Newer
		t.like(s, 12, 1, true, true)
		t.like(s, 12, 1, false, true)
	}
	same(t, "the way back", back, [][]int{{5, 10}, {9, 11}})
	same(t, "the rest of the walk", rest, []int{6, 4, 3, 2, 1})
	same(t, "a new walk", t.likingUsers(s, 0, 1, 4), []int{9, 11, 5, 10, 6, 4, 3, 2, 1})
}

func manyHidden(t *T) {
	s := t.open()
	t.people(s, 3)
	for n := 1; n <= 200; n++ {
		author := 2
		if n == 1 || n == 100 {
			author = 3
		}
		t.post(s, n, author)
		t.like(s, 1, n, true, true)
	}
	t.protect(s, 2, true)
	same(t, "what is left", t.likedPosts(s, 1, 1, 5), []int{100, 1})
}

func likeLog(t *T) {
	s := t.open()
	t.people(s, 40)
	t.post(s, 1, 40)
	t.post(s, 2, 40)
	var want [liked.Partitions][]liked.LikeEvent
	where := make(map[liked.UserID]int)
	for i := range 200 {
		user, post := uid(1+t.rng.IntN(40)), pid(1+t.rng.IntN(2))
		on := t.rng.IntN(2) == 0
		if i < 2 { // somebody is in the log twice
			user, post, on = uid(1), pid(1), i == 0
		}
		at := start.Add(time.Duration(i) * 17 * time.Millisecond)
		changed, err := s.SetLike(t.ctx, user, post, on, at)
		t.ok(err)
		if !changed {
			continue
		}
		e := liked.LikeEvent{On: on, User: user, Post: post, Author: uid(40), At: at}
		if _, known := where[user]; !known {
			where[user] = -1
			for p, events := range t.log(s) {
				if len(events) > len(want[p]) {
					where[user] = p
				}
			}
		}
		want[where[user]] = append(want[where[user]], e)
	}
	got := t.log(s)
	ends, err := s.LogEnds(t.ctx)
	t.ok(err)
	var last liked.Seq
	for p, events := range got {
		last = 0
		for i := range events {
			if events[i].Seq <= last {
				t.Errorf("partition %d: got entry %d after %d", p, events[i].Seq, last)
			}
			if ms := int64(events[i].Seq >> 20); ms != events[i].At.UnixMilli() {
				t.Errorf("partition %d: got entry %d, want one of the time %d", p, events[i].Seq, events[i].At.UnixMilli())
			}
			last = events[i].Seq
			events[i].Seq = 0
		}
		same(t, "partition", events, want[p])
		same(t, "end of the partition", ends[p], last)
	}
	for _, c := range []struct{ partition, max int }{{-1, 1}, {liked.Partitions, 1}, {0, 0}} {
		_, err := s.LikeLog(t.ctx, c.partition, 0, c.max)
		t.fails(err, liked.Invalid)
	}
	p := where[uid(1)]
	one, err := s.LikeLog(t.ctx, p, 0, 1)
	t.ok(err)
	same(t, "entries of a page of one", len(one), 1)
	two, err := s.LikeLog(t.ctx, p, one[0].Seq, 1)
	t.ok(err)
	two[0].Seq = 0
	same(t, "the next page", two, got[p][1:2])
}

// manyBlocks is a list in which every third user has blocked the one who looks: few of them, and many.
func manyBlocks(t *T) {
	s := t.open()
	const people = 300
	t.people(s, people)
	t.post(s, 1, 2)
	for n := 2; n <= people; n++ {
		t.like(s, n, 1, true, true)
	}
	var hidden []int
	for n := people; n >= 2; n-- {
		if n%3 == 0 {
			hidden = append(hidden, n)
		}
	}
	blocked := 0
	for _, next := range []int{0, 1, 2, 63, 64, 65, len(hidden)} {
		for ; blocked < next; blocked++ {
			t.block(s, hidden[blocked], 1, true, true)
		}
		var want []int
		for n := people; n >= 2; n-- {
			if !slices.Contains(hidden[:next], n) {
				want = append(want, n)
			}
		}
		same(t, fmt.Sprintf("likers with %d of them who blocked the viewer", next), t.likingUsers(s, 1, 1, 100), want)
	}
}

func clockGoesBack(t *T) {
	s := t.Open(t)
	t.people(s, 5)
	t.post(s, 1, 1)
	for n, at := range []time.Time{start, start.Add(-time.Hour), time.Unix(0, 0), start.Add(-time.Millisecond)} {
		if n == 2 {
			s = t.Reopen(t, s)
			t.end(s)
		}
		changed, err := s.SetLike(t.ctx, uid(n+1), pid(1), true, at)
		t.ok(err)
		same(t, "changed", changed, true)
	}
	same(t, "order is that of the calls", t.likingUsers(s, 0, 1, 10), []int{4, 3, 2, 1})
	for _, events := range t.log(s) {
		for _, e := range events {
			if e.User == uid(3) {
				same(t, "time is that of the call", e.At, time.Unix(0, 0).UTC())
			}
		}
	}
}

func logWaits(t *T) {
	s := t.open()
	t.people(s, 1)
	t.post(s, 1, 1)
	ctx, cancel := context.WithCancel(t.ctx)
	defer cancel()
	type result struct {
		events []liked.LikeEvent
		err    error
	}
	results := make(chan result, liked.Partitions)
	for p := range liked.Partitions {
		go func() {
			events, err := s.LikeLog(ctx, p, 0, 10)
			results <- result{events, err}
		}()
	}
	select {
	case r := <-results:
		t.Fatalf("LikeLog: got %v, %v from an empty log", r.events, r.err)
	case <-time.After(20 * time.Millisecond):
	}
	t.like(s, 1, 1, true, true)
	ends, err := s.LogEnds(t.ctx)
	t.ok(err)
	written := 0
	for _, end := range ends {
		if end != 0 {
			written++
		}
	}
	same(t, "partitions with an entry as soon as the like is answered", written, 1)
	select {
	case r := <-results:
		t.ok(r.err)
		same(t, "entries", len(r.events), 1)
	case <-time.After(time.Minute):
		t.Fatal("LikeLog still waits, though there is an entry")
	}
	cancel()
	for range liked.Partitions - 1 {
		if r := <-results; r.err != context.Canceled {
			t.Errorf("LikeLog: got %v, %v, want the error of ctx", r.events, r.err)
		}
	}
}
