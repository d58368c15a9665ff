package storetest

import (
	"context"
	"errors"
	"strings"
	"time"

	"liked"
	"liked/internal/store"
)

var accountTests = []test{
	{"users", users},
	{"usernames", usernames},
	{"invalid users", invalidUsers},
	{"texts", texts},
	{"update user", updateUser},
	{"users in order", usersInOrder},
	{"posts", posts},
	{"references", references},
	{"who sees a post", whoSeesAPost},
	{"delete post", deletePost},
	{"follow", follow},
	{"block", block},
	{"closed and cancelled", closed},
	{"reopen", reopen},
}

func users(t *T) {
	s := t.open()
	want := liked.User{
		ID: 1<<63 - 1, Username: "Ada_L", Name: strings.Repeat("é", 50), CreatedAt: start.Add(time.Millisecond),
		Protected: true, State: liked.Locked, Description: "d", Location: "l", URL: "https://example.com/",
		ProfileImageURL: "p", Verified: true, PinnedPost: 5,
	}
	given := want
	given.Metrics = liked.UserMetrics{Followers: 9, Following: 9, Posts: 9, Likes: 9} // ignored
	t.ok(s.AddUser(t.ctx, given))
	for range 2 { // a second read returns the same, whatever is done to the first
		got, err := s.User(t.ctx, want.ID)
		t.ok(err)
		same(t, "User", got, want)
		got.Name = "changed"
	}
	got, err := s.UserByUsername(t.ctx, "ada_l")
	t.ok(err)
	same(t, "UserByUsername", got, want)
	_, err = s.User(t.ctx, 5)
	t.fails(err, liked.NotFound)
	_, err = s.UserByUsername(t.ctx, "ada")
	t.fails(err, liked.NotFound)
	_, err = s.UserByUsername(t.ctx, "")
	t.fails(err, liked.NotFound)
}

func usernames(t *T) {
	s := t.open()
	t.people(s, 2)
	u := newUser(3)
	u.Username = "uSER_1"
	t.fails(s.AddUser(t.ctx, u), liked.Conflict)
	_, err := s.User(t.ctx, u.ID)
	t.fails(err, liked.NotFound)
	u = newUser(1)
	u.Username = "free"
	t.fails(s.AddUser(t.ctx, u), liked.Conflict)
	_, err = s.UserByUsername(t.ctx, "free")
	t.fails(err, liked.NotFound)

	rename := func(n int, to string) error {
		return s.UpdateUser(t.ctx, uid(n), func(u *liked.User) error { u.Username = to; return nil })
	}
	t.fails(rename(1, "USER_2"), liked.Conflict)
	t.ok(rename(1, "USER_1")) // the same but for case
	t.ok(rename(1, "new"))
	_, err = s.UserByUsername(t.ctx, "user_1")
	t.fails(err, liked.NotFound)
	t.ok(rename(2, "User_1"))
	got, err := s.UserByUsername(t.ctx, "NEW")
	t.ok(err)
	same(t, "user", got.ID, uid(1))
	same(t, "username", got.Username, "new")
}

func invalidUsers(t *T) {
	s := t.open()
	t.people(s, 1)
	for name, change := range map[string]func(*liked.User){
		"no id":              func(u *liked.User) { u.ID = 0 },
		"negative id":        func(u *liked.User) { u.ID = -1 },
		"no username":        func(u *liked.User) { u.Username = "" },
		"username too long":  func(u *liked.User) { u.Username = strings.Repeat("a", 16) },
		"username":           func(u *liked.User) { u.Username = "a-b" },
		"username not ASCII": func(u *liked.User) { u.Username = "é" },
		"no name":            func(u *liked.User) { u.Name = "" },
		"name too long":      func(u *liked.User) { u.Name = strings.Repeat("é", 51) },
		"name turned round":  func(u *liked.User) { u.Name = "Ada \u202egrubevoL" },
		"name isolated":      func(u *liked.User) { u.Name = "\u2066Ada\u2069" },
		"name with a mark":   func(u *liked.User) { u.Name = "Ada\u200e" },
		"name of no width":   func(u *liked.User) { u.Name = "A\u200bda" },
		"name of two lines":  func(u *liked.User) { u.Name = "Ada\nLovelace" },
		"blank name":         func(u *liked.User) { u.Name = " \u00a0" },
		"name not UTF-8":     func(u *liked.User) { u.Name = "\xff" },
		"NUL":                func(u *liked.User) { u.Description = "a\x00b" },
		"state":              func(u *liked.User) { u.State = liked.Deactivated + 1 },
	} {
		u := newUser(2)
		change(&u)
		t.Log(name)
		t.fails(s.AddUser(t.ctx, u), liked.Invalid)
		t.fails(s.UpdateUser(t.ctx, uid(1), func(u *liked.User) error { change(u); return nil }), liked.Invalid)
	}
	t.fails(s.UpdateUser(t.ctx, uid(1), func(u *liked.User) error { u.ID = uid(2); return nil }), liked.Invalid)
	got, err := s.User(t.ctx, uid(1))
	t.ok(err)
	same(t, "user", got, newUser(1))
}

func updateUser(t *T) {
	s := t.open()
	t.people(s, 1)
	nope := errors.New("no")
	if err := s.UpdateUser(t.ctx, uid(1), func(u *liked.User) error { u.Name = "x"; return nope }); err != nope {
		t.Errorf("got error %v, want the one of change", err)
	}
	t.fails(s.UpdateUser(t.ctx, uid(2), func(*liked.User) error { return nil }), liked.NotFound)
	want := newUser(1)
	t.ok(s.UpdateUser(t.ctx, uid(1), func(u *liked.User) error {
		same(t, "what change is given", *u, want)
		u.Description, u.State, u.Metrics.Likes = "d", liked.Suspended, 7
		return nil
	}))
	want.Description, want.State = "d", liked.Suspended
	got, err := s.User(t.ctx, uid(1))
	t.ok(err)
	same(t, "user", got, want)
}

func usersInOrder(t *T) {
	s := t.open()
	ids := []liked.UserID{9, 10, 255, 256, 1 << 40, 1<<63 - 1}
	for _, i := range t.rng.Perm(len(ids)) {
		u := newUser(i)
		u.ID = ids[i]
		t.ok(s.AddUser(t.ctx, u))
	}
	for max := 1; max < 8; max++ {
		var got []liked.UserID
		for after := liked.UserID(0); ; {
			users, err := s.Users(t.ctx, after, max)
			t.ok(err)
			if len(users) == 0 {
				break
			}
			for _, u := range users {
				got = append(got, u.ID)
			}
			after = users[len(users)-1].ID
		}
		same(t, "users", got, ids)
	}
}

func posts(t *T) {
	s := t.open()
	t.people(s, 1)
	want := newPost(1, 1)
	want.Text = "ein Wort, ein 👍\n"
	given := want
	given.Metrics = liked.PostMetrics{Reposts: 9, Replies: 9, Likes: 9, Quotes: 9} // ignored
	t.ok(s.AddPost(t.ctx, given))
	got, err := s.Post(t.ctx, 0, pid(1))
	t.ok(err)
	same(t, "post", got, want)
	t.fails(s.AddPost(t.ctx, newPost(1, 1)), liked.Conflict)
	t.fails(s.AddPost(t.ctx, newPost(2, 2)), liked.NotFound)
	t.fails(s.AddPost(t.ctx, liked.Post{Author: uid(1)}), liked.Invalid)
	_, err = s.Post(t.ctx, 0, pid(2))
	t.fails(err, liked.NotFound)
	u, err := s.User(t.ctx, uid(1))
	t.ok(err)
	same(t, "posts of the user", u.Metrics, liked.UserMetrics{Posts: 1})
}

func references(t *T) {
	s := t.open()
	t.people(s, 2)
	t.post(s, 1, 1)
	for i, refer := range []func(*liked.Post, liked.PostID){
		func(p *liked.Post, id liked.PostID) { p.RepostOf = id },
		func(p *liked.Post, id liked.PostID) { p.InReplyTo = id },
		func(p *liked.Post, id liked.PostID) { p.Quotes = id },
	} {
		p := newPost(10+i, 2)
		refer(&p, pid(99))
		t.fails(s.AddPost(t.ctx, p), liked.NotFound)
		refer(&p, p.ID)
		t.fails(s.AddPost(t.ctx, p), liked.NotFound)
		refer(&p, pid(1))
		t.ok(s.AddPost(t.ctx, p))
		if p.InReplyTo != 0 {
			p.Conversation, p.InReplyToUser = pid(1), uid(1)
		}
		got, err := s.Post(t.ctx, 0, p.ID)
		t.ok(err)
		same(t, "post", got, p)
	}
	again := newPost(20, 2)
	again.RepostOf = pid(10) // a repost of a repost is one of the original
	t.ok(s.AddPost(t.ctx, again))
	got, err := s.Post(t.ctx, 0, pid(20))
	t.ok(err)
	same(t, "original", got.RepostOf, pid(1))
	metrics := func(want liked.PostMetrics) {
		t.Helper()
		got, err := s.Post(t.ctx, 0, pid(1))
		t.ok(err)
		same(t, "metrics", got.Metrics, want)
	}
	metrics(liked.PostMetrics{Reposts: 2, Replies: 1, Quotes: 1})
	for _, n := range []int{20, 11, 12, 10} {
		t.ok(s.DeletePost(t.ctx, uid(2), pid(n)))
	}
	metrics(liked.PostMetrics{})
	t.ok(s.DeletePost(t.ctx, 0, pid(1)))
	p := newPost(30, 2)
	p.Quotes = pid(1)
	t.fails(s.AddPost(t.ctx, p), liked.NotFound)
}

// visibility lists what stands between user 1, who looks, and user 2, whose posts they are.
func (t *T) visibility() []struct {
	name           string
	set            func(s store.Store)
	stranger, user liked.Kind // 0: allowed
} {
	type row = struct {
		name           string
		set            func(s store.Store)
		stranger, user liked.Kind
	}
	both := func(s store.Store) { t.protect(s, 2, true); t.follow(s, 1, 2, true, true) }
	return []row{
		{"nothing", func(store.Store) {}, 0, 0},
		{"locked", func(s store.Store) { t.state(s, 2, liked.Locked) }, 0, 0},
		{"suspended", func(s store.Store) { t.state(s, 2, liked.Suspended) }, liked.NotFound, liked.NotFound},
		{"deactivated", func(s store.Store) { t.state(s, 2, liked.Deactivated) }, liked.NotFound, liked.NotFound},
		{"protected", func(s store.Store) { t.protect(s, 2, true) }, liked.Forbidden, liked.Forbidden},
		{"protected and followed", both, liked.Forbidden, 0},
		{"protected and once followed", func(s store.Store) { both(s); t.follow(s, 1, 2, false, true) }, liked.Forbidden, liked.Forbidden},
		{"no longer protected", func(s store.Store) { t.protect(s, 2, true); t.protect(s, 2, false) }, 0, 0},
		{"blocked", func(s store.Store) { t.block(s, 2, 1, true, true) }, 0, liked.Forbidden},
		{"blocks", func(s store.Store) { t.block(s, 1, 2, true, true) }, 0, 0},
		{"no longer blocked", func(s store.Store) { t.block(s, 2, 1, true, true); t.block(s, 2, 1, false, true) }, 0, 0},
		{"blocks somebody else", func(s store.Store) { t.block(s, 2, 3, true, true) }, 0, 0},
		{"blocked follower", func(s store.Store) { both(s); t.block(s, 2, 1, true, true) }, liked.Forbidden, liked.Forbidden},
		{"suspended, blocked, protected", func(s store.Store) {
			t.protect(s, 2, true)
			t.block(s, 2, 1, true, true)
			t.state(s, 2, liked.Suspended)
		}, liked.NotFound, liked.NotFound},
		{"no longer suspended", func(s store.Store) { t.state(s, 2, liked.Suspended); t.state(s, 2, liked.Active) }, 0, 0},
	}
}

func (t *T) outcome(err error, want liked.Kind) {
	t.Helper()
	if want == 0 {
		t.ok(err)
		return
	}
	t.fails(err, want)
}

func whoSeesAPost(t *T) {
	for _, v := range t.visibility() {
		s := t.open()
		t.people(s, 3)
		t.post(s, 1, 2)
		v.set(s)
		t.Log(v.name)
		_, err := s.Post(t.ctx, uid(1), pid(1))
		t.outcome(err, v.user)
		_, err = s.Post(t.ctx, 0, pid(1))
		t.outcome(err, v.stranger)
		own := v.user
		if own == liked.Forbidden {
			own = 0
		}
		_, err = s.Post(t.ctx, uid(2), pid(1))
		t.outcome(err, own)
	}
}

func deletePost(t *T) {
	s := t.open()
	t.people(s, 3)
	t.post(s, 1, 1)
	t.post(s, 2, 1)
	t.like(s, 2, 1, true, true)
	t.like(s, 2, 2, true, true)
	t.fails(s.DeletePost(t.ctx, uid(2), pid(1)), liked.Forbidden)
	t.fails(s.DeletePost(t.ctx, uid(1), pid(3)), liked.NotFound)
	t.ok(s.DeletePost(t.ctx, uid(1), pid(1)))
	t.fails(s.DeletePost(t.ctx, uid(1), pid(1)), liked.NotFound)
	_, err := s.Post(t.ctx, uid(1), pid(1))
	t.fails(err, liked.NotFound)
	t.fails(s.AddPost(t.ctx, newPost(1, 1)), liked.Conflict) // for good
	_, err = s.SetLike(t.ctx, uid(3), pid(1), true, start)
	t.fails(err, liked.NotFound)
	_, err = s.SetLike(t.ctx, uid(2), pid(1), true, start) // even where it is set
	t.fails(err, liked.NotFound)
	same(t, "liked posts", t.likedPosts(s, 2, 2, 10), []int{2})
	_, err = s.LikingUsers(t.ctx, uid(2), pid(1), store.Cursor{}, 10, store.WithMetrics, nil)
	t.fails(err, liked.NotFound)
	u, err := s.User(t.ctx, uid(1))
	t.ok(err)
	same(t, "posts left", u.Metrics.Posts, int64(1))
	t.like(s, 3, 1, false, false)
	t.like(s, 2, 1, false, true) // a like of what is gone can be taken back, once
	t.like(s, 2, 1, false, false)
	u, err = s.User(t.ctx, uid(2))
	t.ok(err)
	same(t, "likes count on when the post is gone", u.Metrics.Likes, int64(1))
	t.ok(s.DeletePost(t.ctx, 0, pid(2))) // the operator
	u, err = s.User(t.ctx, uid(2))
	t.ok(err)
	same(t, "likes count on when the post is gone", u.Metrics.Likes, int64(1))
	t.post(s, 4, 1)
	t.ok(s.UpdateUser(t.ctx, uid(1), func(u *liked.User) error { u.PinnedPost = pid(4); return nil }))
	t.ok(s.DeletePost(t.ctx, uid(1), pid(4)))
	u, err = s.User(t.ctx, uid(1))
	t.ok(err)
	same(t, "pinned", u.PinnedPost, liked.PostID(0))
}

func follow(t *T) {
	s := t.open()
	t.people(s, 3)
	t.follow(s, 1, 2, true, true)
	t.follow(s, 1, 2, true, false)
	t.follow(s, 1, 3, true, true)
	t.follow(s, 3, 2, true, true)
	metrics := func(n int, followers, following int64) {
		t.Helper()
		u, err := s.User(t.ctx, uid(n))
		t.ok(err)
		same(t, "metrics", u.Metrics, liked.UserMetrics{Followers: followers, Following: following})
	}
	metrics(1, 0, 2)
	metrics(2, 2, 0)
	metrics(3, 1, 1)
	t.follow(s, 1, 2, false, true)
	t.follow(s, 1, 2, false, false)
	metrics(1, 0, 1)
	metrics(2, 1, 0)
	for _, pair := range [][2]int{{1, 4}, {4, 1}} {
		_, err := s.SetFollow(t.ctx, uid(pair[0]), uid(pair[1]), true)
		t.fails(err, liked.NotFound)
	}
	_, err := s.SetFollow(t.ctx, uid(1), uid(1), true)
	t.fails(err, liked.Invalid)
}

func block(t *T) {
	s := t.open()
	t.people(s, 3)
	t.follow(s, 1, 2, true, true)
	t.follow(s, 2, 1, true, true)
	t.follow(s, 3, 2, true, true)
	t.block(s, 1, 2, true, true)
	t.block(s, 1, 2, true, false)
	t.block(s, 2, 1, false, false)
	for n, want := range map[int]liked.UserMetrics{1: {}, 2: {Followers: 1}, 3: {Following: 1}} {
		u, err := s.User(t.ctx, uid(n))
		t.ok(err)
		same(t, "metrics", u.Metrics, want)
	}
	t.follow(s, 1, 2, false, false)
	t.block(s, 1, 2, false, true)
	t.block(s, 1, 2, false, false)
	t.follow(s, 2, 1, false, false) // what the block ended stays ended
	for _, pair := range [][2]int{{1, 4}, {4, 1}} {
		_, err := s.SetBlock(t.ctx, uid(pair[0]), uid(pair[1]), true)
		t.fails(err, liked.NotFound)
	}
	_, err := s.SetBlock(t.ctx, uid(1), uid(1), true)
	t.fails(err, liked.Invalid)
}

func closed(t *T) {
	s := t.open()
	t.people(s, 1)
	ctx, cancel := context.WithCancel(t.ctx)
	cancel()
	for range 20 {
		if _, err := s.User(ctx, uid(1)); err != context.Canceled {
			t.Errorf("User: got error %v, want the one of ctx", err)
		}
		if err := s.AddUser(ctx, newUser(2)); err != context.Canceled {
			t.Errorf("AddUser: got error %v, want the one of ctx", err)
		}
		if _, err := s.LikeLog(ctx, 0, 0, 1); err != context.Canceled {
			t.Errorf("LikeLog: got error %v, want the one of ctx", err)
		}
	}
	t.ok(s.Close())
	t.fails(s.AddUser(t.ctx, newUser(3)), liked.Unavailable)
	_, err := s.User(t.ctx, uid(1))
	t.fails(err, liked.Unavailable)
	_, err = s.SetLike(t.ctx, uid(1), pid(1), true, start)
	t.fails(err, liked.Unavailable)
	_, err = s.LikeLog(t.ctx, 0, 0, 1)
	t.fails(err, liked.Unavailable)
	_, err = s.Check(t.ctx)
	t.fails(err, liked.Unavailable)
	_, err = s.Apps(t.ctx)
	t.fails(err, liked.Unavailable)
}

func reopen(t *T) {
	s := t.Open(t)
	t.people(s, 2)
	t.post(s, 1, 1)
	t.like(s, 2, 1, true, true)
	before := t.log(s)
	s = t.Reopen(t, s)
	t.end(s)
	got, err := s.Post(t.ctx, 0, pid(1))
	t.ok(err)
	want := newPost(1, 1)
	want.Metrics.Likes = 1
	same(t, "post", got, want)
	same(t, "log", t.log(s), before)
	t.like(s, 2, 1, true, false)
	t.like(s, 1, 1, true, true)
	for p, events := range t.log(s) { // later than all before, though the clock stood still
		for _, e := range events[len(before[p]):] {
			for _, old := range before {
				if len(old) > 0 && old[0].Seq >= e.Seq {
					t.Errorf("got entry %d after %d", e.Seq, old[0].Seq)
				}
			}
		}
	}
}
