package storetest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"liked"
	"liked/internal/store"
)

var transferTests = []test{
	{"round trip", roundTrip},
	{"repeat", repeatImport},
	{"refusals", importRefusals},
	{"older likes", olderLikes},
	{"likes after the last position", afterTheLast},
	{"positions that are taken", takenPositions},
	{"import during likes", importDuringLikes},
	{"export that is given up", exportGivenUp},
	{"settled", settled},
}

// settled likes and takes back while the store is settled, again and again.
func settled(t *T) {
	s := t.open()
	t.world(s, 8, 20)
	before := t.exported(s)
	t.ok(s.Settle(t.ctx))
	same(t, "Export", t.exported(s), before)
	var likes sync.WaitGroup
	likes.Go(func() {
		for range 20 {
			for _, on := range []bool{true, false} {
				if _, err := s.SetLike(t.ctx, uid(1), pid(1), on, start); err != nil && liked.KindOf(err) == liked.Unavailable {
					t.Error(err)
				}
			}
		}
	})
	for range 5 {
		t.ok(s.Settle(t.ctx))
	}
	likes.Wait()
	ctx, cancel := context.WithCancel(t.ctx)
	cancel()
	if err := s.Settle(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("given up: got %v", err)
	}
}

// exported returns everything that Export hands out.
func (t *T) exported(s store.Store) (records []store.Record) {
	t.Helper()
	t.ok(s.Export(t.ctx, func(r store.Record) error { records = append(records, r); return nil }))
	return records
}

// imports puts the records in and checks how many were missing and how many were there.
func (t *T) imports(s store.Store, records []store.Record, added, kept int) {
	t.Helper()
	got, err := s.Import(t.ctx, records, false)
	t.ok(err)
	same(t, "Import", got, store.Imported{Added: added, Kept: kept})
}

// world fills the store with all kinds of things, some of which are gone again.
func (t *T) world(s store.Store, users, posts int) {
	t.Helper()
	t.people(s, users)
	anyUser := func() int { return 1 + t.rng.IntN(users) }
	for i := 1; i <= posts; i++ {
		p := newPost(posts+1-i, anyUser()) // falling ids: what is referred to comes later in order of id
		p.CreatedAt = start.Add(time.Duration(t.rng.IntN(1e9)) * time.Microsecond)
		if i > 1 {
			ref := pid(posts + 1 - (1 + t.rng.IntN(i-1)))
			switch t.rng.IntN(6) {
			case 0:
				p.RepostOf, p.Text = ref, ""
			case 1:
				p.InReplyTo = ref
			case 2:
				p.Quotes = ref
			}
		}
		t.ok(s.AddPost(t.ctx, p))
	}
	for range users * posts {
		u, p := anyUser(), pid(1+t.rng.IntN(posts))
		at := start.Add(time.Duration(t.rng.IntN(500)) * time.Millisecond)
		_, err := s.SetLike(t.ctx, uid(u), p, t.rng.IntN(3) > 0, at)
		t.ok(err)
	}
	for range users {
		a, b := anyUser(), anyUser()
		if a == b {
			continue
		}
		var err error
		if t.rng.IntN(2) == 0 {
			_, err = s.SetFollow(t.ctx, uid(a), uid(b), true)
		} else {
			_, err = s.SetBlock(t.ctx, uid(a), uid(b), true)
			if err == nil && t.rng.IntN(2) == 0 { // a follow in spite of a block
				_, err = s.SetFollow(t.ctx, uid(b), uid(a), true)
			}
		}
		t.ok(err)
	}
	for n := 2; n <= posts; n += 5 {
		t.ok(s.DeletePost(t.ctx, 0, pid(n)))
	}
	t.state(s, 1, liked.Suspended)
	t.protect(s, 2, true)
}

// answers is all that can be asked of a world, cursors included.
func (t *T) answers(s store.Store, users, posts int) (answers []string) {
	t.Helper()
	say := func(v ...any) { answers = append(answers, fmt.Sprintf("%+v", v)) }
	all, err := s.Users(t.ctx, 0, users+1)
	t.ok(err)
	say(all)
	for n := 1; n <= posts; n++ {
		p, err := s.Post(t.ctx, uid(3), pid(n))
		say(p, err)
		for from := (store.Cursor{}); ; {
			page, err := s.LikingUsers(t.ctx, uid(3), pid(n), from, 3, store.WithMetrics, nil)
			say(page, err)
			if from = page.Older; from == (store.Cursor{}) {
				break
			}
		}
	}
	for n := 1; n <= users; n++ {
		for from := (store.Cursor{}); ; {
			page, err := s.LikedPosts(t.ctx, uid(3), uid(n), from, 3, store.WithMetrics, nil)
			say(page, err)
			if from = page.Older; from == (store.Cursor{}) {
				break
			}
		}
	}
	return answers
}

func roundTrip(t *T) {
	const users, posts = 8, 40
	s := t.open()
	t.world(s, users, posts)
	records := t.exported(s)
	if len(records) < users+posts+50 {
		t.Fatalf("got %d records, which is not much of a world", len(records))
	}
	same(t, "another Export", t.exported(s), records)
	copied := t.open()
	for chunk := range slices.Chunk(records, 17) {
		t.imports(copied, chunk, len(chunk), 0)
	}
	same(t, "exported again", t.exported(copied), records)
	same(t, "answers", t.answers(copied, users, posts), t.answers(s, users, posts))
	t.check(copied)

	copied = t.Reopen(t, copied)
	t.end(copied)
	same(t, "exported after reopening", t.exported(copied), records)
	// What happens from now on is newer than anything before.
	before := t.likedPosts(copied, 0, 3, 100)
	t.post(copied, posts+1, 3)
	t.like(copied, 3, posts+1, true, true)
	same(t, "liked posts", t.likedPosts(copied, 0, 3, 100), append([]int{posts + 1}, before...))
}

func repeatImport(t *T) {
	s := t.open()
	t.world(s, 5, 20)
	records := t.exported(s)
	t.imports(s, records, 0, len(records))
	same(t, "Export", t.exported(s), records)
	copied := t.open()
	t.imports(copied, records[:len(records)/2], len(records)/2, 0)
	t.imports(copied, records, len(records)-len(records)/2, len(records)/2)
	same(t, "Export after an interruption", t.exported(copied), records)
	// What is there is left as it is.
	u := newUser(1)
	u.Name, u.Username = "Somebody else", "User_2" // not even asked whether it is free
	t.imports(copied, []store.Record{{User: &u}}, 0, 1)
	same(t, "Export", t.exported(copied), records)
	t.imports(copied, nil, 0, 0)
}

func importRefusals(t *T) {
	user := func(n int, change func(*liked.User)) store.Record {
		u := newUser(n)
		change(&u)
		return store.Record{User: &u}
	}
	post := func(n, author int, change func(*store.Post)) store.Record {
		p := store.Post{Post: newPost(n, author)}
		change(&p)
		return store.Record{Post: &p}
	}
	like := func(u, p int, seq liked.Seq) store.Record {
		return store.Record{Like: &store.Like{User: uid(u), Post: pid(p), Seq: seq}}
	}
	likeWith := func(u, p int, with store.Record) store.Record {
		return store.Record{Like: &store.Like{User: uid(u), Post: pid(p), Seq: 1 << 20, With: with.Post}}
	}
	standIn := func(p *store.Post) { p.By = user(7, func(*liked.User) {}).User }
	bad := []struct {
		name string
		rec  store.Record
		want liked.Kind
	}{
		{"nothing", store.Record{}, liked.Invalid},
		{"user without id", user(0, func(*liked.User) {}), liked.Invalid},
		{"username that is none", user(7, func(u *liked.User) { u.Username = "a b" }), liked.Invalid},
		{"name turned round", user(7, func(u *liked.User) { u.Name = "Ada \u202e" }), liked.Invalid},
		{"username of another", user(7, func(u *liked.User) { u.Username = "uSER_1" }), liked.Conflict},
		{"post without id", post(0, 1, func(*store.Post) {}), liked.Invalid},
		{"post of nobody", post(7, 9, func(*store.Post) {}), liked.NotFound},
		{"deleted post of nobody", post(7, 9, func(p *store.Post) { p.Deleted = true }), liked.NotFound},
		{"reply to nothing", post(7, 1, func(p *store.Post) { p.InReplyTo = pid(9) }), liked.NotFound},
		{"text with NUL", post(7, 1, func(p *store.Post) { p.Text = "a\x00" }), liked.Invalid},
		{"post with another's stand-in", post(7, 1, func(p *store.Post) { p.By = user(7, func(*liked.User) {}).User }), liked.Invalid},
		{"stand-in that refers", post(7, 7, func(p *store.Post) { p.By, p.Quotes = user(7, func(*liked.User) {}).User, pid(1) }), liked.Invalid},
		{"stand-in with a username of another", post(7, 7, func(p *store.Post) {
			p.By = user(7, func(u *liked.User) { u.Username = "user_1" }).User
		}), liked.Conflict},
		{"follow of oneself", store.Record{Follow: &store.Pair{From: uid(1), To: uid(1)}}, liked.Invalid},
		{"follow of nobody", store.Record{Follow: &store.Pair{From: uid(1), To: uid(9)}}, liked.NotFound},
		{"block by nobody", store.Record{Block: &store.Pair{From: uid(9), To: uid(1)}}, liked.NotFound},
		{"like by nobody", like(9, 1, 1<<20), liked.NotFound},
		{"like of nothing", like(1, 9, 1<<20), liked.NotFound},
		{"like without a time", like(1, 1, 0), liked.Invalid},
		{"like in eternity", like(1, 1, 1<<62), liked.Invalid},
		{"like by nobody, with its post", likeWith(9, 7, post(7, 7, standIn)), liked.NotFound},
		{"like with another post", likeWith(1, 1, post(7, 7, standIn)), liked.Invalid},
		{"like with a post that is refused", likeWith(1, 7, post(7, 9, func(*store.Post) {})), liked.NotFound},
	}
	world := []store.Record{user(1, func(*liked.User) {}), user(2, func(*liked.User) {}), post(1, 1, func(*store.Post) {})}
	good := like(2, 1, 5<<20)

	all := slices.Clone(world)
	for _, b := range bad {
		s := t.open()
		t.imports(s, world, len(world), 0)
		got, err := s.Import(t.ctx, []store.Record{b.rec, good}, false)
		t.ok(err)
		if len(got.Refused) != 1 || got.Refused[0].Index != 0 || got.Added+got.Kept != 0 {
			t.Errorf("%s: got %+v, want one refusal and nothing after it", b.name, got)
		} else {
			t.fails(got.Refused[0].Err, b.want)
		}
		same(t, b.name, t.exported(s), world)
		all = append(all, b.rec)
	}
	s := t.open()
	got, err := s.Import(t.ctx, append(all, good), true)
	t.ok(err)
	same(t, "added", got.Added, len(world)+1)
	same(t, "refused", len(got.Refused), len(bad))
	for i, r := range got.Refused {
		same(t, "index", r.Index, len(world)+i)
	}
	same(t, "Export", t.exported(s), append(slices.Clone(world), good))
}

// afterTheLast sets likes after the newest like that can be imported.
func afterTheLast(t *T) {
	s := t.open()
	t.people(s, 2)
	t.post(s, 1, 1)
	t.imports(s, []store.Record{{Like: &store.Like{User: uid(1), Post: pid(1), Seq: 1<<62 - 1}}}, 1, 0)
	t.like(s, 2, 1, true, true)
	same(t, "likers", t.likingUsers(s, 0, 1, 10), []int{2, 1})
	t.like(s, 1, 1, false, true)
	t.like(s, 1, 1, true, true)
	same(t, "likers", t.likingUsers(s, 0, 1, 10), []int{1, 2})
	_, err := s.SetLike(t.ctx, uid(2), pid(1), false, time.UnixMilli(1<<42))
	t.fails(err, liked.Invalid)
}

// olderLikes imports likes from before others that are there, and in the log.
func olderLikes(t *T) {
	s := t.open()
	t.people(s, 3)
	for n := 1; n <= 4; n++ {
		t.post(s, n, 1)
	}
	t.like(s, 2, 1, true, true)
	t.like(s, 2, 2, true, true)
	t.like(s, 3, 1, true, true)
	old := liked.Seq(start.Add(-time.Hour).UnixMilli()) << 20
	records := []store.Record{
		{Like: &store.Like{User: uid(2), Post: pid(3), Seq: old}},
		{Like: &store.Like{User: uid(2), Post: pid(4), Seq: old + 1}},
		{Like: &store.Like{User: uid(1), Post: pid(1), Seq: old}},
		{Like: &store.Like{User: uid(2), Post: pid(1), Seq: old}}, // there already, at its own time
	}
	t.imports(s, records, 3, 1)
	same(t, "liked posts", t.likedPosts(s, 0, 2, 10), []int{2, 1, 4, 3})
	same(t, "liking users", t.likingUsers(s, 0, 1, 10), []int{3, 2, 1})
	same(t, "log entries", t.check(s).LogEntries, int64(3))
	t.like(s, 2, 3, true, false) // as with any like
	t.like(s, 2, 3, false, true)
	t.like(s, 2, 3, false, false)
	same(t, "log entries", t.check(s).LogEntries, int64(4))
	t.imports(s, records[:1], 1, 0) // taken back, and imported again
	t.like(s, 2, 3, false, true)
	t.like(s, 2, 3, true, true) // now it is a like of today
	same(t, "liked posts", t.likedPosts(s, 0, 2, 10), []int{3, 2, 1, 4})
	same(t, "log entries", t.check(s).LogEntries, int64(6))
	s = t.Reopen(t, s)
	t.end(s)
	same(t, "liked posts", t.likedPosts(s, 0, 2, 10), []int{3, 2, 1, 4})

	// A stand-in comes with a post that is missing, and only then.
	standIn := func(post, author int) store.Record {
		u := newUser(author)
		return store.Record{Post: &store.Post{Post: newPost(post, author), By: &u}}
	}
	t.imports(s, []store.Record{standIn(1, 7), standIn(5, 8), standIn(6, 8)}, 2, 1)
	_, err := s.User(t.ctx, uid(7))
	t.fails(err, liked.NotFound)
	u, err := s.User(t.ctx, uid(8))
	t.ok(err)
	same(t, "posts of the stand-in", u.Metrics.Posts, int64(2))

	// A post that is missing comes with its like.
	with := func(post, author int) store.Record {
		return store.Record{Like: &store.Like{User: uid(1), Post: pid(post), Seq: old - 1, With: standIn(post, author).Post}}
	}
	t.imports(s, []store.Record{with(7, 8), with(2, 7), with(7, 8)}, 2, 1)
	same(t, "liking users", t.likingUsers(s, 0, 7, 10), []int{1})
	same(t, "liking users", t.likingUsers(s, 0, 2, 10), []int{2, 1})
	_, err = s.User(t.ctx, uid(7))
	t.fails(err, liked.NotFound)

	// A repost stands for its original.
	p := newPost(9, 3)
	p.RepostOf = pid(2)
	t.ok(s.AddPost(t.ctx, p))
	t.imports(s, []store.Record{{Like: &store.Like{User: uid(3), Post: pid(9), Seq: old - 2}}}, 1, 0)
	same(t, "liking users", t.likingUsers(s, 0, 2, 10), []int{2, 1, 3})
}

func takenPositions(t *T) {
	s := t.open()
	const n = 40
	t.people(s, n)
	t.post(s, 1, 1)
	t.post(s, 2, 1)
	seq := liked.Seq(start.UnixMilli()) << 20
	var records []store.Record
	for u := 1; u <= n; u++ {
		for p := 1; p <= 2; p++ {
			records = append(records, store.Record{Like: &store.Like{User: uid(u), Post: pid(p), Seq: seq}})
		}
	}
	t.imports(s, records[:n], n, 0)
	t.imports(s, records[n:], n, 0)
	same(t, "likes", t.check(s).Likes, int64(2*n))
	want := make([]int, n)
	for i := range want {
		want[i] = n - i // in the order in which they came
	}
	same(t, "liking users", t.likingUsers(s, 0, 1, n+1), want)
	for _, r := range t.exported(s) {
		if r.Like != nil && r.Like.Seq>>20 != seq>>20 {
			t.Errorf("like %+v has left its millisecond", r.Like)
		}
	}
}

// importDuringLikes imports likes that others set and take back at the same time.
func importDuringLikes(t *T) {
	s := t.open()
	const users, posts = 4, 6
	t.people(s, users)
	for n := 1; n <= posts; n++ {
		t.post(s, n, 1)
	}
	var all sync.WaitGroup
	stop := make(chan struct{})
	for u := 1; u <= users; u++ {
		seed := t.rng.Uint64()
		all.Go(func() {
			rng := rand.New(rand.NewPCG(1, seed))
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				post, on, at := pid(1+rng.IntN(posts)), rng.IntN(2) == 0, start.Add(time.Duration(n)*time.Millisecond)
				if _, err := s.SetLike(t.ctx, uid(u), post, on, at); err != nil {
					t.Errorf("SetLike: %v", err)
					return
				}
			}
		})
	}
	for range repeat(200) {
		var records []store.Record
		for range 10 {
			at := start.Add(-time.Duration(t.rng.IntN(1000)) * time.Millisecond)
			records = append(records, store.Record{Like: &store.Like{User: uid(1 + t.rng.IntN(users)), Post: pid(1 + t.rng.IntN(posts)),
				Seq: liked.Seq(at.UnixMilli()) << 20}})
		}
		got, err := s.Import(t.ctx, records, false)
		if err != nil || got.Added+got.Kept != len(records) {
			t.Errorf("Import: got %+v, %v", got, err)
			break
		}
	}
	close(stop)
	all.Wait()
	t.check(s)
}

func exportGivenUp(t *T) {
	s := t.open()
	t.people(s, 3)
	enough := errors.New("enough")
	n := 0
	err := s.Export(t.ctx, func(store.Record) error { n++; return enough })
	if err != enough || n != 1 {
		t.Errorf("got %v after %d records, want the error of the callback after 1", err, n)
	}
}
