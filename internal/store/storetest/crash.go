package storetest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"liked"
	"liked/internal/store"
)

var killTests = []test{
	{"under load", func(t *T) { crashes(t, t.kill) }},
	{"again and again", func(t *T) { crashAfterCrash(t, t.kill) }},
	{"after an import", func(t *T) { crashAfterImport(t, t.kill) }},
}

var crashTests = []test{
	{"nothing unsynced is kept", func(t *T) { crashes(t, t.crashAt(0)) }},
	{"half of what is unsynced is kept", func(t *T) { crashes(t, t.crashAt(50)) }},
	{"all that is unsynced is kept", func(t *T) { crashes(t, t.crashAt(100)) }},
	{"crash after crash", func(t *T) { crashAfterCrash(t, t.crashAt(50)) }},
	{"after an import, nothing unsynced is kept", func(t *T) { crashAfterImport(t, t.crashAt(0)) }},
	{"after an import, half of what is unsynced is kept", func(t *T) { crashAfterImport(t, t.crashAt(50)) }},
	{"after an import, all that is unsynced is kept", func(t *T) { crashAfterImport(t, t.crashAt(100)) }},
}

// taker takes what a kill or a crash would leave of a store, and returns a function that opens it.
type taker func(s store.Store) (open func() store.Store)

func (t *T) kill(s store.Store) func() store.Store { return t.Kill(t, s) }

func (t *T) crashAt(percent int) taker {
	return func(s store.Store) func() store.Store {
		return t.crash(t, s, percent, rand.New(rand.NewPCG(1, t.rng.Uint64())))
	}
}

// tracked is one thing that a single goroutine changes, version by version. After a crash it must have a version
// between the last that was acknowledged before and the last that was begun.
type tracked struct {
	begun, acknowledged atomic.Int64
}

func (v *tracked) next(change func(version int64) error) error {
	n := v.begun.Add(1)
	err := change(n)
	if err == nil {
		v.acknowledged.Store(n)
	}
	return err
}

// load is work from many goroutines on one store.
type load struct {
	likes   [8][4]tracked // user i+1, post j+1: odd versions are on
	fans    tracked       // post 100 is liked by users 100 to 99+version
	windows tracked       // units taken of one window, each before a like
	names   tracked       // of user 9
	blocks  tracked       // of user 10 by user 11, who follow each other in between
	grants  tracked       // refresh tokens, each the successor of the last
	counted atomic.Int64  // likes of post 100 that a read has shown
	logged  sync.Map      // seq -> event that a read has shown

	stop chan struct{}
	wg   sync.WaitGroup
}

const maxFans = 500

// prepare adds what the load needs to a new store.
func (l *load) prepare(t *T, s store.Store) {
	t.Helper()
	t.people(s, 12)
	for n := 1; n <= 4; n++ {
		t.post(s, n, 12)
	}
	t.post(s, 100, 12)
	together(32, func(i int) {
		for n := 100 + i; n < 100+maxFans; n += 32 {
			t.noError(s.AddUser(t.ctx, newUser(n)))
		}
	})
	t.ok(s.AddGrant(t.ctx, newGrant(1, 1), tokens("r", 0)))
}

// run loads the store until halted.
func (l *load) run(t *T, s store.Store, rng *rand.Rand) {
	l.stop = make(chan struct{})
	loop := func(f func(rng *rand.Rand) error) {
		rng := rand.New(rand.NewPCG(rng.Uint64(), rng.Uint64()))
		l.wg.Go(func() {
			for {
				select {
				case <-l.stop:
					return
				default:
				}
				if err := f(rng); err != nil {
					t.Errorf("under load: got error %v", err)
					return
				}
			}
		})
	}
	for i := range l.likes {
		loop(func(rng *rand.Rand) error {
			j := rng.IntN(len(l.likes[i]))
			return l.likes[i][j].next(func(version int64) error {
				changed, err := s.SetLike(t.ctx, uid(i+1), pid(j+1), version%2 == 1, start)
				if err == nil && !changed {
					return fmt.Errorf("version %d of like %d %d changed nothing", version, i+1, j+1)
				}
				return err
			})
		})
	}
	loop(func(*rand.Rand) error {
		if l.fans.begun.Load() == maxFans {
			time.Sleep(time.Millisecond)
			return nil
		}
		return l.windows.next(func(count int64) error {
			if n := t.take(s); int64(n) != count {
				return fmt.Errorf("%d units are taken, want %d", n, count)
			}
			return l.fans.next(func(version int64) error {
				_, err := s.SetLike(t.ctx, uid(99+int(version)), pid(100), true, start)
				return err
			})
		})
	})
	loop(func(*rand.Rand) error {
		return l.names.next(func(version int64) error {
			return s.UpdateUser(t.ctx, uid(9), func(u *liked.User) error { u.Username = fmt.Sprintf("v%d", version); return nil })
		})
	})
	loop(func(*rand.Rand) error {
		return l.blocks.next(func(version int64) (err error) {
			if version%2 == 1 {
				_, err = s.SetBlock(t.ctx, uid(11), uid(10), true)
				return err
			}
			if _, err = s.SetBlock(t.ctx, uid(11), uid(10), false); err == nil {
				_, err = s.SetFollow(t.ctx, uid(10), uid(11), true)
			}
			return err
		})
	})
	loop(func(*rand.Rand) error {
		return l.grants.next(func(version int64) error {
			return s.RotateRefreshToken(t.ctx, hash("r refresh", int(version-1)), tokens("r", int(version)), start, time.Hour)
		})
	})
	loop(func(*rand.Rand) error {
		p, err := s.Post(t.ctx, 0, pid(100))
		if err == nil && l.counted.Load() < p.Metrics.Likes {
			l.counted.Store(p.Metrics.Likes)
		}
		return err
	})
	var after [liked.Partitions]liked.Seq
	loop(func(rng *rand.Rand) error {
		ctx, cancel := context.WithTimeout(t.ctx, 5*time.Millisecond)
		defer cancel()
		p := rng.IntN(liked.Partitions)
		events, err := s.LikeLog(ctx, p, after[p], 100)
		for _, e := range events {
			l.logged.Store(e.Seq, e)
			after[p] = e.Seq
		}
		if err == context.DeadlineExceeded {
			err = nil
		}
		return err
	})
}

// halt ends the load and waits for it.
func (l *load) halt() {
	close(l.stop)
	l.wg.Wait()
}

// moment is what is certain at one time.
type moment struct {
	versions map[*tracked]int64
	counted  int64
	logged   map[liked.Seq]liked.LikeEvent
}

func (l *load) all() []*tracked {
	all := []*tracked{&l.fans, &l.windows, &l.names, &l.blocks, &l.grants}
	for i := range l.likes {
		for j := range l.likes[i] {
			all = append(all, &l.likes[i][j])
		}
	}
	return all
}

// certain returns what a crash from now on must not lose.
func (l *load) certain() moment {
	m := moment{make(map[*tracked]int64), l.counted.Load(), make(map[liked.Seq]liked.LikeEvent)}
	for _, v := range l.all() {
		m.versions[v] = v.acknowledged.Load()
	}
	l.logged.Range(func(seq, e any) bool { m.logged[seq.(liked.Seq)] = e.(liked.LikeEvent); return true })
	return m
}

// begun returns what a crash before now may have kept at most.
func (l *load) begun() map[*tracked]int64 {
	m := make(map[*tracked]int64)
	for _, v := range l.all() {
		m[v] = v.begun.Load()
	}
	return m
}

// verify holds what a crash has left against what it may have left.
func (l *load) verify(t *T, s store.Store, least moment, most map[*tracked]int64) {
	t.Helper()
	t.check(s)
	between := func(what string, v *tracked, got int64) {
		t.Helper()
		if got < least.versions[v] || got > most[v] {
			t.Errorf("%s: got version %d, want %d to %d", what, got, least.versions[v], most[v])
		}
	}
	var posts []liked.PostID
	for j := range l.likes[0] {
		posts = append(posts, pid(j+1))
	}
	for i := range l.likes {
		got, err := s.Liked(t.ctx, uid(i+1), posts)
		t.ok(err)
		for j, on := range got {
			v := &l.likes[i][j]
			if least.versions[v] == most[v] && on != (most[v]%2 == 1) {
				t.Errorf("like %d %d: got %v, want version %d", i+1, j+1, on, most[v])
			}
		}
	}
	p, err := s.Post(t.ctx, 0, pid(100))
	t.ok(err)
	between("fans", &l.fans, p.Metrics.Likes)
	if p.Metrics.Likes < least.counted {
		t.Errorf("got %d likes, want the %d that were read before the crash", p.Metrics.Likes, least.counted)
	}
	fans, err := s.LikingUsers(t.ctx, 0, pid(100), store.Cursor{}, maxFans, store.WithMetrics, nil)
	t.ok(err)
	same(t, "fans listed", int64(len(fans.Items)), p.Metrics.Likes)
	between("window", &l.windows, int64(t.take(s)-1)) // it goes with the like that follows it, or ahead of it, but not after it
	u, err := s.User(t.ctx, uid(9))
	t.ok(err)
	var version int64
	if u.Username != newUser(9).Username {
		if _, err := fmt.Sscanf(u.Username, "v%d", &version); err != nil {
			t.Errorf("got username %q", u.Username)
		}
	}
	between("username", &l.names, version)
	same(t, "name leads to the user", func() liked.UserID {
		u, err := s.UserByUsername(t.ctx, u.Username)
		t.ok(err)
		return u.ID
	}(), uid(9))
	version = 0
	for v := least.versions[&l.grants]; v <= most[&l.grants]; v++ {
		if r, _, err := s.RefreshToken(t.ctx, hash("r refresh", int(v))); err == nil && r.Spent.IsZero() {
			version++
			between("refresh token", &l.grants, v)
		}
	}
	same(t, "refresh tokens that are not spent", version, 1)
	found := make(map[liked.Seq]liked.LikeEvent)
	for _, events := range t.log(s) {
		for _, e := range events {
			found[e.Seq] = e
		}
	}
	for seq, want := range least.logged {
		if got := found[seq]; got != want {
			t.Errorf("entry %d of the log: got %+v, want %+v as it was read before the crash", seq, got, want)
		}
	}
}

// crashes takes several at random moments of each short run of the load, and looks at them once it has ended.
func crashes(t *T, take taker) {
	s := t.open()
	var l load
	l.prepare(t, s)
	for range repeat(4) {
		type taken struct {
			least moment
			most  map[*tracked]int64
			open  func() store.Store
		}
		var crashes []taken
		l.run(t, s, t.rng)
		for range 3 {
			time.Sleep(time.Duration(t.rng.IntN(20_000)) * time.Microsecond)
			c := taken{least: l.certain()}
			c.open = take(s)
			c.most = l.begun()
			crashes = append(crashes, c)
		}
		l.halt()
		for _, c := range crashes {
			crashed := c.open()
			l.verify(t, crashed, c.least, c.most)
			t.ok(crashed.Close())
		}
	}
	if n := l.fans.acknowledged.Load(); n == 0 {
		t.Error("the load did nothing")
	}
}

// crashAfterCrash goes on working with what a crash has left.
func crashAfterCrash(t *T, take taker) {
	s := t.open()
	new(load).prepare(t, s)
	for range repeat(4) {
		var l load
		l.adopt(t, s)
		l.run(t, s, t.rng)
		time.Sleep(time.Duration(t.rng.IntN(30)) * time.Millisecond)
		least := l.certain()
		left := take(s)
		most := l.begun()
		l.halt()
		s = left()
		t.end(s)
		l.verify(t, s, least, most)
	}
}

// adopt begins with the versions that the store has.
func (l *load) adopt(t *T, s store.Store) {
	t.Helper()
	set := func(v *tracked, version int64) { v.begun.Store(version); v.acknowledged.Store(version) }
	for i := range l.likes {
		for j := range l.likes[i] {
			on, err := s.Liked(t.ctx, uid(i+1), []liked.PostID{pid(j + 1)})
			t.ok(err)
			if on[0] {
				set(&l.likes[i][j], 1)
			}
		}
	}
	p, err := s.Post(t.ctx, 0, pid(100))
	t.ok(err)
	set(&l.fans, p.Metrics.Likes)
	taken := int64(t.take(s)) // this unit is not durable before another write
	l.windows.begun.Store(taken)
	l.windows.acknowledged.Store(taken - 1)
	t.ok(s.UpdateUser(t.ctx, uid(12), func(*liked.User) error { return nil })) // what was taken is as safe as a later write
	u, err := s.User(t.ctx, uid(9))
	t.ok(err)
	var version int64
	if u.Username != newUser(9).Username {
		_, err = fmt.Sscanf(u.Username, "v%d", &version)
		t.ok(err)
	}
	set(&l.names, version)
	for version = 0; ; version++ {
		r, _, err := s.RefreshToken(t.ctx, hash("r refresh", int(version)))
		t.ok(err)
		if r.Spent.IsZero() {
			break
		}
	}
	set(&l.grants, version)
}

func crashAfterImport(t *T, take taker) {
	s := t.open()
	t.people(s, 3)
	t.post(s, 1, 1)
	old := liked.Seq(start.Add(-time.Hour).UnixMilli()) << 20
	t.like(s, 3, 1, true, true)
	t.imports(s, []store.Record{{Like: &store.Like{User: uid(2), Post: pid(1), Seq: old}}}, 1, 0)
	want := t.exported(s)
	left := take(s)()
	t.end(left)
	same(t, "Export afterwards", t.exported(left), want)
	t.check(left)
}
