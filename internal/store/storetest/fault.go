package storetest

import (
	"testing"
	"time"

	"liked"
	"liked/internal/store"
)

var faultTests = []test{
	{"one access fails", func(t *T) { faults(t, false, 3) }},
	{"all accesses fail from one on", func(t *T) { faults(t, true, 7) }},
}

// faults runs the same work again and again, each time with a later access to the disk failing, until the work is over
// before that access. Each run takes every stride-th access, beginning with a random one. Whatever fails, nothing that was
// acknowledged is lost and no change is there in part.
func faults(t *T, lasting bool, stride int) {
	if testing.Short() {
		stride *= 4
	}
	failures := 0
	for n := t.rng.IntN(stride); ; n += stride {
		f, err := t.fault(t, n, lasting)
		if err != nil {
			t.unavailable(n, err)
			failures++
			continue
		}
		w := faultyWork{T: t, n: n, s: f.Store, also: f.Also}
		w.do()
		closed := make(chan error, 1)
		go func() { closed <- f.Store.Close() }()
		select {
		case err := <-closed:
			if err != nil {
				t.unavailable(n, err)
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("access %d: Close does not return", n)
		}
		fired := f.Failed()
		if w.failed && !fired {
			t.Errorf("access %d: a call failed, though no access has", n)
		}
		w.s = f.Reopen(t)
		w.verify()
		t.ok(w.s.Close())
		if !fired {
			break
		}
		failures++
	}
	t.Logf("%d accesses failed in turn", failures)
	if failures < 10 {
		t.Errorf("got %d accesses that failed, which is too few to have tested anything", failures)
	}
}

// unavailable checks an error that the failed access n led to.
func (t *T) unavailable(n int, err error) {
	t.Helper()
	if e, is := err.(*liked.Error); !is || e.Kind != liked.Unavailable {
		t.Errorf("access %d: got error %T %v, want Unavailable", n, err, err)
	}
}

// faultyWork is some of everything, one call after the other, that goes on after errors.
type faultyWork struct {
	*T
	n      int
	s      store.Store
	also   func() error
	failed bool // a call has failed: later ones may miss what it was to do

	users, posts []int // that were acknowledged
	likes        [6][6]tracked
	count        [6]int64 // newest count of a post that a read has shown, while it only rises
}

// try reports whether a call succeeded.
func (w *faultyWork) try(err error) bool {
	w.Helper()
	if err == nil {
		return true
	}
	if !w.failed || liked.KindOf(err) == liked.Internal {
		w.unavailable(w.n, err)
	}
	w.failed = true
	return false
}

func (w *faultyWork) do() {
	for i := range w.likes {
		if w.try(w.s.AddUser(w.ctx, newUser(i+1))) {
			w.users = append(w.users, i+1)
		}
		if w.try(w.s.AddPost(w.ctx, newPost(i+1, i+1))) {
			w.posts = append(w.posts, i+1)
		}
	}
	for version := int64(1); version <= 2; version++ {
		for i := range w.likes {
			for j := range w.likes[i] {
				if version == 2 && (i+j)%3 != 0 {
					continue
				}
				_, _, err := w.s.Take(w.ctx, start, "usersIdLike", 1, uid(i+1), []liked.RateRule{quarter}, nil)
				w.try(err)
				w.likes[i][j].begun.Store(version)
				if w.try(w.like(i+1, j+1, version == 1)) {
					w.likes[i][j].acknowledged.Store(version)
				}
			}
			if p, err := w.s.Post(w.ctx, 0, pid(i+1)); w.try(err) && version == 1 {
				w.count[i] = p.Metrics.Likes
			}
			_, err := w.s.LikedPosts(w.ctx, 0, uid(i+1), store.Cursor{}, 10)
			w.try(err)
		}
		if w.also != nil {
			w.try(w.also())
		}
		r, err := w.s.Check(w.ctx)
		if w.try(err) && len(r.Problems) > 0 {
			w.Errorf("access %d: Check: %v", w.n, r.Problems)
		}
	}
}

// like sets some likes by importing them.
func (w *faultyWork) like(user, post int, on bool) error {
	if !on || (user+post)%4 != 1 {
		_, err := w.s.SetLike(w.ctx, uid(user), pid(post), on, start)
		return err
	}
	seq := liked.Seq(start.Add(-time.Hour).UnixMilli()) << 20
	got, err := w.s.Import(w.ctx, []store.Record{{Like: &store.Like{User: uid(user), Post: pid(post), Seq: seq}}}, false)
	if err == nil && len(got.Refused) > 0 {
		err = got.Refused[0].Err
	}
	return err
}

func (w *faultyWork) verify() {
	for _, p := range w.check(w.s).Problems {
		w.Errorf("access %d: Check: %s", w.n, p)
	}
	for _, n := range w.users {
		_, err := w.s.User(w.ctx, uid(n))
		w.noError(err)
	}
	for _, n := range w.posts {
		_, err := w.s.Post(w.ctx, 0, pid(n))
		w.noError(err)
	}
	for i := range w.likes {
		taken := false
		for j := range w.likes[i] {
			v := &w.likes[i][j]
			on, err := w.s.Liked(w.ctx, uid(i+1), []liked.PostID{pid(j + 1)})
			w.ok(err)
			if version := v.begun.Load(); version == v.acknowledged.Load() && on[0] != (version == 1) {
				w.Errorf("access %d: like %d %d: got %v, want version %d", w.n, i+1, j+1, on[0], version)
			}
			taken = taken || w.likes[j][i].begun.Load() == 2
		}
		if p, err := w.s.Post(w.ctx, 0, pid(i+1)); err == nil && !taken && p.Metrics.Likes < w.count[i] {
			w.Errorf("access %d: post %d: got %d likes, want the %d that were read", w.n, i+1, p.Metrics.Likes, w.count[i])
		}
	}
}
