package storetest

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"liked"
	"liked/internal/store"
)

var concurrencyTests = []test{
	{"one refresh token", oneRefreshToken},
	{"one code", oneCode},
	{"one request token", oneRequestToken},
	{"one username", oneUsername},
	{"updates of one user", updatesOfOneUser},
	{"20 likes of one post", twentyLikes},
	{"likes and unlikes", likesAndUnlikes},
	{"likes against rules", likesAgainstRules},
	{"readers of the log", readersOfTheLog},
	{"walks during writes", walksDuringWrites},
	{"pages of one moment", pagesOfOneMoment},
	{"close during calls", closeDuringCalls},
	{"cancelled calls", cancelledCalls},
}

// together runs f n times at once.
func together(n int, f func(i int)) {
	var wg sync.WaitGroup
	gate := make(chan struct{})
	for i := range n {
		wg.Go(func() {
			<-gate
			f(i)
		})
	}
	close(gate)
	wg.Wait()
}

// oneWins runs f n times at once and checks that one call succeeds and the others fail with the kind.
func (t *T) oneWins(n int, want liked.Kind, f func(i int) error) {
	t.Helper()
	var won atomic.Int64
	together(n, func(i int) {
		if err := f(i); err == nil {
			won.Add(1)
		} else {
			t.fails(err, want)
		}
	})
	same(t, "calls that succeeded", won.Load(), 1)
}

func oneRefreshToken(t *T) {
	s := t.open()
	t.ok(s.AddGrant(t.ctx, newGrant(1, 1), tokens("t")))
	for round := range repeat(4) {
		h := hash("t refresh")
		if round > 0 {
			h = hash("winner", round)
		}
		var won atomic.Int64
		t.oneWins(100, liked.Conflict, func(i int) error {
			next := tokens("n", round, i)
			err := s.RotateRefreshToken(t.ctx, h, next, start, 10*time.Second)
			if err == nil {
				won.Store(int64(i))
			}
			return err
		})
		last := tokens("n", round, int(won.Load()))
		_, _, err := s.AccessToken(t.ctx, last.Access.Token)
		t.ok(err)
		spare := tokens("spare", round)
		spare.Refresh.Token = hash("winner", round+1)
		t.ok(s.RotateRefreshToken(t.ctx, last.Refresh.Token, spare, start, 10*time.Second))
	}
}

func oneCode(t *T) {
	s := t.open()
	for round := range repeat(4) {
		t.ok(s.AddCode(t.ctx, newCode(round)))
		t.oneWins(50, liked.Conflict, func(i int) error {
			return s.RedeemCode(t.ctx, hash("code", round), newGrant(1000*round+i, 1), tokens("t", round, i), start)
		})
	}
	all, err := s.GrantsOf(t.ctx, uid(1))
	t.ok(err)
	same(t, "grants, all revoked by the second redemption", all, nil)
}

func oneRequestToken(t *T) {
	s := t.open()
	t.ok(s.AddRequestToken(t.ctx, store.RequestToken{Token: hash("r"), App: 1, Expires: start}))
	t.oneWins(50, liked.Conflict, func(i int) error { return s.ApproveRequestToken(t.ctx, hash("r"), uid(i+1), hash("v", i)) })
	t.oneWins(50, liked.NotFound, func(i int) error {
		return s.RedeemRequestToken(t.ctx, hash("r"), newGrant(i, 1), store.OAuth1Token{Token: hash("o", i)})
	})
	all, err := s.GrantsOf(t.ctx, uid(1))
	t.ok(err)
	same(t, "grants", len(all), 1)
}

func oneUsername(t *T) {
	s := t.open()
	t.oneWins(50, liked.Conflict, func(i int) error {
		u := newUser(i + 1)
		u.Username = []string{"name", "NAME", "Name"}[i%3]
		return s.AddUser(t.ctx, u)
	})
}

func updatesOfOneUser(t *T) {
	s := t.open()
	t.people(s, 1)
	const n = 50
	together(n, func(int) {
		t.noError(s.UpdateUser(t.ctx, uid(1), func(u *liked.User) error { u.PinnedPost++; return nil }))
	})
	u, err := s.User(t.ctx, uid(1))
	t.ok(err)
	same(t, "updates that took effect", u.PinnedPost, liked.PostID(n))
}

// noError is ok for goroutines that are not the test's.
func (t *T) noError(err error) {
	t.Helper()
	if err != nil {
		t.Errorf("got error %v", err)
	}
}

func twentyLikes(t *T) {
	s := t.open()
	t.people(s, 20)
	for n := 1; n <= repeat(40); n++ {
		t.post(s, n, 1)
		together(20, func(i int) {
			changed, err := s.SetLike(t.ctx, uid(i+1), pid(n), true, start)
			t.noError(err)
			same(t, "changed", changed, true)
			p, err := s.Post(t.ctx, 0, pid(n))
			t.noError(err)
			if p.Metrics.Likes < 1 || p.Metrics.Likes > 20 {
				t.Errorf("got %d likes after one's own", p.Metrics.Likes)
			}
		})
		p, err := s.Post(t.ctx, 0, pid(n))
		t.ok(err)
		same(t, "likes", p.Metrics.Likes, int64(20))
	}
}

// likesAndUnlikes races on few likes, so that most calls meet a change that is not on disk yet.
func likesAndUnlikes(t *T) {
	s := t.open()
	t.people(s, 3)
	t.post(s, 1, 1)
	t.post(s, 2, 1)
	var changes atomic.Int64
	seeds := [16]uint64{}
	for i := range seeds {
		seeds[i] = t.rng.Uint64()
	}
	together(len(seeds), func(i int) {
		rng := rand.New(rand.NewPCG(1, seeds[i]))
		for range repeat(400) {
			changed, err := s.SetLike(t.ctx, uid(1+rng.IntN(3)), pid(1+rng.IntN(2)), rng.IntN(2) == 0, start)
			t.noError(err)
			if changed {
				changes.Add(1)
			}
		}
	})
	r := t.check(s)
	same(t, "entries of the log", r.LogEntries, changes.Load())
	var n int64
	for user := 1; user <= 3; user++ {
		posts := t.likedPosts(s, 0, user, 10)
		u, err := s.User(t.ctx, uid(user))
		t.ok(err)
		same(t, "likes of the user", u.Metrics.Likes, int64(len(posts)))
		n += int64(len(posts))
	}
	same(t, "likes", r.Likes, n)
}

// likesAgainstRules checks that no like is set after a call has returned that forbids it.
func likesAgainstRules(t *T) {
	s := t.open()
	t.people(s, 6)
	rounds := repeat(60)
	for n := 1; n <= rounds; n++ {
		t.post(s, n, 1)
		user := 2 + n%4
		forbid, allow := func() error { return s.DeletePost(t.ctx, 0, pid(n)) }, func() error { return nil }
		switch n % 3 {
		case 1:
			forbid = func() error { _, err := s.SetBlock(t.ctx, uid(1), uid(user), true); return err }
			allow = func() error { _, err := s.SetBlock(t.ctx, uid(1), uid(user), false); return err }
		case 2:
			set := func(state liked.AccountState) error {
				return s.UpdateUser(t.ctx, uid(1), func(u *liked.User) error { u.State = state; return nil })
			}
			forbid, allow = func() error { return set(liked.Suspended) }, func() error { return set(liked.Active) }
		}
		var forbidden atomic.Bool
		together(8, func(i int) {
			if i == 0 {
				t.noError(forbid())
				forbidden.Store(true)
				return
			}
			for on := true; !forbidden.Load(); on = !on {
				_, err := s.SetLike(t.ctx, uid(user), pid(n), on, start)
				if err != nil && liked.KindOf(err) != liked.NotFound && liked.KindOf(err) != liked.Forbidden {
					t.Errorf("SetLike: got error %v", err)
				}
			}
			if changed, err := s.SetLike(t.ctx, uid(user), pid(n), true, start); err == nil {
				t.Errorf("round %d: a like that is forbidden by now was set (changed %v)", n, changed)
			}
		})
		t.ok(allow())
	}
}

func readersOfTheLog(t *T) {
	s := t.open()
	t.people(s, 8)
	t.post(s, 1, 1)
	t.post(s, 2, 1)
	ctx, cancel := context.WithCancel(t.ctx)
	defer cancel()
	var seen [liked.Partitions][2][]liked.LikeEvent
	var entries atomic.Int64 // in all of seen
	var readers sync.WaitGroup
	for p := range liked.Partitions {
		for r := range 2 { // one in large pages, one in pages of one
			readers.Go(func() {
				for after := liked.Seq(0); ; {
					events, err := s.LikeLog(ctx, p, after, 1+99*r)
					if err != nil {
						if err != context.Canceled {
							t.Errorf("LikeLog: got error %v", err)
						}
						return
					}
					seen[p][r] = append(seen[p][r], events...)
					after = events[len(events)-1].Seq
					entries.Add(int64(len(events)))
				}
			})
		}
	}
	var changes atomic.Int64
	seed := t.rng.Uint64()
	together(8, func(i int) {
		rng := rand.New(rand.NewPCG(uint64(i), seed))
		for range repeat(300) {
			changed, err := s.SetLike(t.ctx, uid(i+1), pid(1+rng.IntN(2)), rng.IntN(2) == 0, start)
			t.noError(err)
			if changed {
				changes.Add(1)
			}
		}
	})
	want := t.log(s)
	for begun := time.Now(); entries.Load() < 2*changes.Load() && time.Since(begun) < time.Minute; {
		time.Sleep(time.Millisecond)
	}
	done := make(chan struct{})
	go func() { defer close(done); readers.Wait() }()
	cancel()
	select {
	case <-done:
	case <-time.After(time.Minute):
		t.Fatal("readers of the log do not leave when ctx is done")
	}
	var n int64
	for p := range want {
		n += int64(len(want[p]))
		for r := range 2 {
			same(t, "what a reader saw", seen[p][r], want[p])
		}
	}
	same(t, "entries", n, changes.Load())
}

// walksDuringWrites walks over likes that stay, among others that come and go.
func walksDuringWrites(t *T) {
	s := t.open()
	const stay, all = 40, 80
	t.people(s, all)
	t.post(s, 1, 1)
	for n := 1; n <= all; n++ {
		t.like(s, n, 1, true, true)
	}
	stop := make(chan struct{})
	var writer sync.WaitGroup
	seed := t.rng.Uint64()
	writer.Go(func() {
		rng := rand.New(rand.NewPCG(1, seed))
		for {
			select {
			case <-stop:
				return
			default:
				_, err := s.SetLike(t.ctx, uid(stay+1+rng.IntN(all-stay)), pid(1), rng.IntN(2) == 0, start)
				t.noError(err)
			}
		}
	})
	for range repeat(20) {
		count, steady := make(map[int]int), 0
		users, last := walkThere(t, 7, func(from store.Cursor) (store.Page[liked.User], error) {
			return s.LikingUsers(t.ctx, 0, pid(1), from, 7, store.WithMetrics, nil)
		})
		for _, u := range users {
			n := number(u.ID)
			if count[n]++; n <= stay {
				steady++
			}
		}
		same(t, "likes that stay", steady, stay)
		for n, times := range count {
			// One that is taken back and set again stands at the top, behind the walk.
			if times > 1 {
				t.Errorf("user %d was in the walk %d times", n, times)
			}
		}
		back := make(map[int]bool)
		for from := last.Newer; from != (store.Cursor{}); {
			page, err := s.LikingUsers(t.ctx, 0, pid(1), from, 7, store.WithMetrics, nil)
			t.ok(err)
			for _, u := range page.Items {
				n := number(u.ID)
				if n <= stay && back[n] { // another may have been set anew, at the top, where this walk goes
					t.Errorf("user %d was twice on the way back", n)
				}
				back[n] = true
			}
			from = page.Newer
		}
		for _, u := range last.Items {
			back[number(u.ID)] = true
		}
		for n := 1; n <= stay; n++ {
			if !back[n] {
				t.Errorf("user %d was not on the way back", n)
			}
		}
	}
	close(stop)
	writer.Wait()
}

func closeDuringCalls(t *T) {
	for range repeat(8) {
		s := t.Open(t)
		t.people(s, 8)
		t.post(s, 1, 1)
		var acknowledged [8]atomic.Bool
		var calls sync.WaitGroup
		leave := func(err error) bool {
			if err != nil && liked.KindOf(err) != liked.Unavailable {
				t.Errorf("got error %v, want Unavailable", err)
			}
			return err != nil
		}
		for i := range 8 {
			calls.Go(func() {
				for on := true; ; on = !on {
					if _, err := s.SetLike(context.Background(), uid(i+1), pid(1), on, start); leave(err) {
						return
					}
					acknowledged[i].Store(on)
				}
			})
			calls.Go(func() {
				for {
					if _, err := s.User(context.Background(), uid(i+1)); leave(err) {
						return
					}
				}
			})
			calls.Go(func() {
				for after := liked.Seq(0); ; {
					events, err := s.LikeLog(context.Background(), i, after, 10)
					if leave(err) {
						return
					}
					after = events[len(events)-1].Seq
				}
			})
		}
		time.Sleep(time.Duration(t.rng.IntN(5)) * time.Millisecond)
		t.ok(s.Close())
		done := make(chan struct{})
		go func() { defer close(done); calls.Wait() }()
		select {
		case <-done:
		case <-time.After(time.Minute):
			t.Fatal("calls go on after Close")
		}
		t.ok(s.Close()) // again
		s = t.Reopen(t, s)
		t.end(s)
		for i := range acknowledged {
			on, err := s.Liked(t.ctx, uid(i+1), []liked.PostID{pid(1)})
			t.ok(err)
			same(t, "what the last call left", on, []bool{acknowledged[i].Load()})
		}
	}
}

// cancelledCalls gives calls too little time and then changes what they were given, as a caller may. The race detector
// is the judge of that.
func cancelledCalls(t *T) {
	s := t.open()
	t.people(s, 6)
	t.post(s, 1, 1)
	var ended, cancelled atomic.Int64
	seed := t.rng.Uint64()
	together(6, func(i int) {
		rng := rand.New(rand.NewPCG(uint64(i), seed))
		for n := range repeat(150) {
			id := 1000*i + n + 1
			ctx, cancel := context.WithTimeout(t.ctx, time.Duration(rng.IntN(3000))*time.Microsecond)
			app, refresh, sealed := newApp(id), store.RefreshToken{Token: hash("r", id)}, []byte{1}
			tokens := store.Tokens{Access: store.AccessToken{Token: hash("a", id)}, Refresh: &refresh}
			var err error
			switch n % 8 {
			case 0:
				err = s.AddApp(ctx, app)
			case 1:
				err = s.AddGrant(ctx, newGrant(id, 1), tokens)
			case 2:
				err = s.AddOAuth1Token(ctx, newGrant(id, 1), store.OAuth1Token{Token: hash("o", id), SealedSecret: sealed})
			case 3:
				err = s.AddRequestToken(ctx, store.RequestToken{Token: hash("q", id), SealedSecret: sealed})
			case 4:
				_, err = s.SetFollow(ctx, uid(i+1), uid((i+1)%6+1), rng.IntN(2) == 0)
			case 5:
				_, err = s.SetBlock(ctx, uid(i+1), uid((i+1)%6+1), rng.IntN(2) == 0)
			case 6:
				err = s.UpdateUser(ctx, uid(1), func(u *liked.User) error { u.Description += "x"; return nil })
			default:
				_, err = s.SetLike(ctx, uid(i+1), pid(1), rng.IntN(2) == 0, start)
			}
			cancel()
			app.RedirectURIs[0], app.SealedAPISecret[0], refresh.Spent, sealed[0] = "changed", 9, start, 9
			switch err {
			case nil:
				ended.Add(1)
			case context.DeadlineExceeded:
				cancelled.Add(1)
			default:
				if liked.KindOf(err) != liked.Forbidden { // a like of somebody who blocks
					t.Errorf("got error %v", err)
				}
			}
		}
	})
	t.Logf("%d calls ended, %d were cancelled", ended.Load(), cancelled.Load())
	// Whatever took effect did so with what was given.
	all, err := s.Apps(t.ctx)
	t.ok(err)
	for _, a := range all {
		kept, err := s.App(t.ctx, a.ID)
		t.ok(err)
		same(t, "app", kept, newApp(int(a.ID)))
	}
	grants, err := s.GrantsOf(t.ctx, uid(1))
	t.ok(err)
	for _, g := range grants {
		for id := 1; id <= 6000; id++ {
			if g.ID != grantID(id) {
				continue
			}
			if r, _, err := s.RefreshToken(t.ctx, hash("r", id)); err == nil && !r.Spent.IsZero() {
				t.Errorf("refresh token of grant %d was changed after the call", id)
			}
		}
	}
}
