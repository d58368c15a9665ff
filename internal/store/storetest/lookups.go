package storetest

import (
	"fmt"
	"sync/atomic"
	"time"

	"liked"
	"liked/internal/store"
)

var lookupTests = []test{
	{"many users", manyUsers},
	{"many posts", manyPosts},
	{"newest posts", newestPosts},
	{"users by the beginning of a username", usersNamed},
	{"sides of relations", related},
	{"posts by author", postsBy},
	{"latest posts", latestPosts},
	{"totals", totals},
	{"totals while much changes", totalsMeanwhile},
	{"relations", relations},
	{"publish", publish},
	{"conversations", conversations},
	{"what publish refuses", publishRefuses},
	{"publish the same at once", publishAtOnce},
}

func manyUsers(t *T) {
	s := t.open()
	t.people(s, 4)
	t.state(s, 3, liked.Suspended)
	t.post(s, 1, 2)
	users, err := s.UsersByID(t.ctx, []liked.UserID{uid(3), uid(9), uid(2), uid(3)}, store.WithMetrics)
	t.ok(err)
	var numbers []int
	for _, u := range users {
		numbers = append(numbers, number(u.ID))
	}
	same(t, "UsersByID", numbers, []int{3, 2, 3})
	same(t, "metrics", users[1].Metrics.Posts, int64(1))
	same(t, "state", users[0].State, liked.Suspended)
	users, err = s.UsersByUsername(t.ctx, []string{"USER_4", "nobody", "user_1", "", "User_4"}, store.WithMetrics)
	t.ok(err)
	numbers = nil
	for _, u := range users {
		numbers = append(numbers, number(u.ID))
	}
	same(t, "UsersByUsername", numbers, []int{4, 1, 4})
	for _, u := range users { // without metrics, all else is there
		for _, find := range []func() ([]liked.User, error){
			func() ([]liked.User, error) { return s.UsersByID(t.ctx, []liked.UserID{u.ID}, store.WithoutMetrics) },
			func() ([]liked.User, error) {
				return s.UsersByUsername(t.ctx, []string{u.Username}, store.WithoutMetrics)
			},
		} {
			found, err := find()
			t.ok(err)
			if len(found) == 1 {
				found[0].Metrics = u.Metrics
			}
			same(t, "without metrics", found, []liked.User{u})
		}
	}
	users, err = s.UsersByID(t.ctx, nil, store.WithMetrics)
	t.ok(err)
	same(t, "UsersByID of nobody", users, nil)
}

func manyPosts(t *T) {
	for _, v := range t.visibility() {
		s := t.open()
		t.people(s, 3)
		t.post(s, 1, 2)
		t.post(s, 2, 3)
		t.post(s, 3, 3)
		t.like(s, 3, 2, true, true)
		t.ok(s.DeletePost(t.ctx, 0, pid(3)))
		v.set(s)
		t.Log(v.name)
		for viewer, want := range map[int]liked.Kind{0: v.stranger, 1: v.user} {
			seen, err := s.Posts(t.ctx, uid(viewer), []liked.PostID{pid(2), pid(1), pid(3), pid(9), pid(2)}, store.WithMetrics)
			t.ok(err)
			if len(seen) != 5 {
				t.Fatalf("got %d answers, want 5", len(seen))
			}
			t.outcome(seen[1].Err, want)
			t.fails(seen[2].Err, liked.NotFound)
			t.fails(seen[3].Err, liked.NotFound)
			for _, i := range []int{0, 4} {
				t.ok(seen[i].Err)
				same(t, "post", seen[i].Post.ID, pid(2))
				same(t, "likes", seen[i].Post.Metrics.Likes, int64(1))
			}
			fewer, err := s.Posts(t.ctx, uid(viewer), []liked.PostID{pid(2), pid(1)}, store.WithoutMetrics)
			t.ok(err)
			t.outcome(fewer[1].Err, want)
			fewer[0].Post.Metrics = seen[0].Post.Metrics
			same(t, "a post without metrics", fewer[0], seen[0])
		}
	}
}

func newestPosts(t *T) {
	s := t.Open(t)
	t.people(s, 3)
	for _, n := range []int{5, 2, 7, 6} {
		t.post(s, n, 2)
	}
	t.post(s, 9, 3)
	expect := func(viewer int, want ...liked.PostID) {
		t.Helper()
		got, err := s.NewestPosts(t.ctx, uid(viewer), []liked.UserID{uid(2), uid(1), uid(9), uid(3), uid(2)})
		t.ok(err)
		same(t, "NewestPosts", got, want)
	}
	expect(0, pid(7), 0, 0, pid(9), pid(7))
	t.ok(s.DeletePost(t.ctx, 0, pid(7)))
	s = t.Reopen(t, s)
	t.end(s)
	expect(1, pid(6), 0, 0, pid(9), pid(6))
	t.protect(s, 2, true)
	expect(1, 0, 0, 0, pid(9), 0)
	expect(2, pid(6), 0, 0, pid(9), pid(6))
	t.state(s, 3, liked.Suspended)
	t.follow(s, 1, 2, true, true)
	expect(1, pid(6), 0, 0, 0, pid(6))
}

func latestPosts(t *T) {
	s := t.Open(t)
	expect := func(max int, want ...int) {
		t.Helper()
		posts, err := s.LatestPosts(t.ctx, max)
		t.ok(err)
		var got []int
		for _, p := range posts {
			got = append(got, number(p.ID))
		}
		same(t, "LatestPosts", got, want)
	}
	expect(3)
	t.people(s, 4)
	for _, n := range []int{5, 2, 7, 6} {
		t.post(s, n, 2)
	}
	t.post(s, 9, 3)
	repost := newPost(11, 4)
	repost.RepostOf = pid(5)
	t.ok(s.AddPost(t.ctx, repost))
	t.like(s, 1, 7, true, true)
	expect(2, 9, 7)
	expect(9, 9, 7, 6, 5, 2)
	posts, err := s.LatestPosts(t.ctx, 2)
	t.ok(err)
	same(t, "likes", posts[1].Metrics.Likes, int64(1))
	t.ok(s.DeletePost(t.ctx, 0, pid(6)))
	t.protect(s, 3, true)
	t.follow(s, 1, 3, true, true)
	s = t.Reopen(t, s)
	t.end(s)
	expect(2, 7, 5)
	t.state(s, 2, liked.Suspended)
	expect(9)
	_, err = s.LatestPosts(t.ctx, 0)
	t.fails(err, liked.Invalid)
}

func totals(t *T) {
	s := t.Open(t)
	expect := func(users, posts, likes int64) {
		t.Helper()
		got, err := s.Totals(t.ctx)
		t.ok(err)
		same(t, "Totals", got, store.Totals{Users: users, Posts: posts, Likes: likes})
	}
	expect(0, 0, 0)
	t.people(s, 3)
	t.fails(s.AddUser(t.ctx, newUser(3)), liked.Conflict)
	t.post(s, 1, 2)
	t.post(s, 2, 2)
	t.fails(s.AddPost(t.ctx, newPost(2, 2)), liked.Conflict)
	t.like(s, 1, 1, true, true)
	t.like(s, 1, 1, true, false)
	t.like(s, 3, 2, true, true)
	expect(3, 2, 2)
	s = t.Reopen(t, s)
	t.end(s)
	t.like(s, 2, 1, true, true) // before anybody asks
	expect(3, 2, 3)
	t.like(s, 1, 1, false, true)
	t.ok(s.DeletePost(t.ctx, 0, pid(2))) // the like of it stays
	repost := newPost(3, 1)
	repost.RepostOf = pid(1)
	t.ok(s.AddPost(t.ctx, repost))
	expect(3, 2, 2)
	user, post := newUser(4), store.Post{Post: newPost(4, 4)}
	like := store.Like{User: uid(4), Post: pid(4), Seq: liked.Seq(start.UnixMilli()) << 20}
	records := []store.Record{{User: &user}, {Post: &post}, {Like: &like}}
	for range 2 { // the second time all of it is there
		_, err := s.Import(t.ctx, records, false)
		t.ok(err)
		expect(4, 3, 3)
	}
	s = t.Kill(t, s)()
	t.end(s)
	expect(4, 3, 3) // s is what the crash has left
}

// totalsMeanwhile asks for the first time while likes are set, and goes on asking: no answer may go back.
func totalsMeanwhile(t *T) {
	s := t.Open(t)
	const users, posts = 8, 16
	t.people(s, users)
	for post := range posts {
		t.post(s, post+1, 1)
		t.like(s, 1, post+1, true, true)
	}
	s = t.Reopen(t, s)
	t.end(s)
	together(users, func(user int) {
		if user == 0 {
			var last store.Totals
			for last.Likes < users*posts {
				got, err := s.Totals(t.ctx)
				if t.noError(err); err != nil {
					return
				}
				if got.Users != users || got.Posts != posts || got.Likes < last.Likes || got.Likes > users*posts {
					t.Errorf("Totals: got %+v after %+v", got, last)
					return
				}
				last = got
			}
			return
		}
		for post := range posts {
			_, err := s.SetLike(t.ctx, uid(user+1), pid(post+1), true, start)
			t.noError(err)
		}
	})
}

func relations(t *T) {
	s := t.open()
	t.people(s, 4)
	t.follow(s, 1, 2, true, true)
	t.follow(s, 3, 1, true, true)
	t.block(s, 1, 4, true, true)
	got, err := s.Relations(t.ctx, uid(1), []liked.UserID{uid(4), uid(2), uid(1), uid(3), uid(9)})
	t.ok(err)
	same(t, "Relations", got, []store.Relation{{Blocks: true}, {Follows: true}, {}, {FollowedBy: true}, {}})
	got, err = s.Relations(t.ctx, uid(4), []liked.UserID{uid(1)})
	t.ok(err)
	same(t, "a block by the other", got, []store.Relation{{BlockedBy: true}})
	got, err = s.Relations(t.ctx, 0, []liked.UserID{uid(1), uid(4)})
	t.ok(err)
	same(t, "Relations of no user", got, make([]store.Relation, 2))
}

// published is post n of user 1, who says the text.
func published(n int, text string) liked.Post {
	p := newPost(n, 1)
	p.Text = text
	return p
}

func publish(t *T) {
	s := t.open()
	t.people(s, 3)
	t.post(s, 1, 2)
	repost := newPost(2, 3)
	repost.RepostOf = pid(1)
	t.ok(s.AddPost(t.ctx, repost))
	p := published(3, "answer")
	p.InReplyTo, p.Quotes = pid(2), pid(2)
	t.ok(s.Publish(t.ctx, p))
	got, err := s.Post(t.ctx, 0, pid(3))
	t.ok(err)
	p.InReplyTo, p.Quotes, p.Conversation, p.InReplyToUser = pid(1), pid(1), pid(1), uid(2)
	same(t, "an answer to a repost is one of the original", got, p)
	original, err := s.Post(t.ctx, 0, pid(1))
	t.ok(err)
	same(t, "metrics", original.Metrics, liked.PostMetrics{Reposts: 1, Replies: 1, Quotes: 1})
	t.fails(s.Publish(t.ctx, published(3, "taken")), liked.Conflict)
	p = published(4, "nobody")
	p.Author = uid(9)
	t.fails(s.Publish(t.ctx, p), liked.NotFound)
	t.fails(s.Publish(t.ctx, published(-1, "x")), liked.Invalid)

	// The same text, in the same place, by the same author, lately.
	p = published(5, "answer")
	p.InReplyTo, p.Quotes = pid(1), pid(1)
	t.fails(s.Publish(t.ctx, p), liked.Forbidden)
	t.ok(s.Publish(t.ctx, published(5, "answer"))) // not an answer
	t.fails(s.Publish(t.ctx, published(6, "answer")), liked.Forbidden)
	p = published(6, "answer")
	p.Author = uid(2)
	t.ok(s.Publish(t.ctx, p))
	later := published(7, "answer")
	later.CreatedAt = start.Add(24*time.Hour - time.Millisecond)
	t.fails(s.Publish(t.ctx, later), liked.Forbidden)
	later.CreatedAt = start.Add(24 * time.Hour)
	t.ok(s.Publish(t.ctx, later))
	t.ok(s.DeletePost(t.ctx, uid(1), pid(7)))
	later.ID = pid(8)
	t.ok(s.Publish(t.ctx, later)) // what is gone does not count
	for n := 100; n < 119; n++ {
		p := newPost(n, 1)
		p.CreatedAt = later.CreatedAt
		t.ok(s.AddPost(t.ctx, p))
	}
	later.ID = pid(119)
	t.fails(s.Publish(t.ctx, later), liked.Forbidden)
	t.post(s, 119, 1)
	later.ID = pid(120)
	t.ok(s.Publish(t.ctx, later)) // twenty posts ago
}

func conversations(t *T) {
	s := t.Open(t)
	t.people(s, 3)
	t.post(s, 1, 1)
	for n := 2; n <= 5; n++ {
		p := newPost(n, n%3+1)
		p.InReplyTo = pid(n - 1)
		p.Conversation, p.InReplyToUser = pid(77), uid(77) // ignored
		t.ok(s.AddPost(t.ctx, p))
	}
	t.ok(s.DeletePost(t.ctx, 0, pid(1)))
	s = t.Reopen(t, s)
	t.end(s)
	for n := 2; n <= 5; n++ {
		p, err := s.Post(t.ctx, 0, pid(n))
		t.ok(err)
		same(t, "conversation", p.Conversation, pid(1))
		same(t, "in reply to user", p.InReplyToUser, []liked.UserID{2: uid(1), 3: uid(3), 4: uid(1), 5: uid(2)}[n])
	}
}

func publishRefuses(t *T) {
	for _, v := range t.visibility() {
		t.Log(v.name)
		s := t.open()
		t.people(s, 3)
		t.post(s, 1, 2)
		v.set(s)
		for i, refer := range []func(*liked.Post){
			func(p *liked.Post) { p.InReplyTo = pid(1) },
			func(p *liked.Post) { p.Quotes = pid(1) },
		} {
			p := published(10+i, "x")
			refer(&p)
			want := v.user
			if want != 0 {
				want = liked.NotFound
			}
			t.outcome(s.Publish(t.ctx, p), want)
		}
		if v.user == 0 {
			continue
		}
		// Of several posts, the error names the one that it is about, as the new post does.
		t.post(s, 2, 3)
		for n := range 2 {
			repost := newPost(5+n, 3)
			repost.RepostOf = pid(1 + n)
			if err := s.AddPost(t.ctx, repost); err != nil { // of what is gone already
				t.fails(err, liked.NotFound)
			}
		}
		for _, c := range []struct{ answers, quotes, want int }{{2, 1, 1}, {1, 2, 1}, {1, 9, 1}, {2, 9, 9}, {6, 5, 5}, {5, 6, 5}, {1, 1, 1}} {
			p := published(20, "x")
			p.InReplyTo, p.Quotes = pid(c.answers), pid(c.quotes)
			err := s.Publish(t.ctx, p)
			t.fails(err, liked.NotFound)
			if e, is := err.(*liked.Error); is {
				same(t, fmt.Sprintf("the post that an answer to %d that quotes %d is refused for", c.answers, c.quotes), number(e.Post), c.want)
			}
		}
	}
}

func publishAtOnce(t *T) {
	s := t.open()
	t.people(s, 1)
	var done, refused atomic.Int64
	together(20, func(i int) {
		switch err := s.Publish(t.ctx, published(10+i, "the same")); {
		case err == nil:
			done.Add(1)
		case liked.KindOf(err) == liked.Forbidden:
			refused.Add(1)
		default:
			t.Errorf("got error %v", err)
		}
	})
	if done.Load() != 1 || refused.Load() != 19 {
		t.Errorf("got %d published and %d refused, want 1 and 19", done.Load(), refused.Load())
	}
}
