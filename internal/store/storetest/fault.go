package storetest

import (
	"runtime"
	"sync"
	"sync/atomic"
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
// acknowledged is lost and no change is there in part. Several runs at once, since an engine may wait long for what has failed.
func faults(t *T, lasting bool, stride int) {
	if testing.Short() {
		stride *= 4
	}
	var next, failures atomic.Int64
	next.Store(int64(t.rng.IntN(stride)))
	var over atomic.Bool
	together(8, func(int) {
		for !over.Load() {
			if t.faulty(int(next.Add(int64(stride)))-stride, lasting) {
				failures.Add(1)
			} else {
				over.Store(true)
			}
		}
	})
	t.Logf("%d accesses failed in turn", failures.Load())
	if failures.Load() < 10 {
		t.Errorf("got %d accesses that failed, which is too few to have tested anything", failures.Load())
	}
}

// faulty runs the work once, and reports whether it came to the access that fails.
func (t *T) faulty(n int, lasting bool) (failed bool) {
	f, err := t.fault(t, n, lasting)
	if err != nil {
		t.unavailable(n, err)
		if !f.Failed() {
			t.Errorf("access %d: opening failed, though no access has: %v", n, err)
		}
		return true
	}
	w := faultyWork{T: t, n: n, lasting: lasting, s: f.Store, also: f.Also}
	w.do()
	closed := make(chan error, 1)
	go func() { closed <- f.Store.Close() }()
	select {
	case err := <-closed:
		if err != nil {
			t.unavailable(n, err)
		}
	case <-time.After(time.Minute):
		stacks := make([]byte, 1<<20)
		t.Errorf("access %d: Close does not return: %s", n, stacks[:runtime.Stack(stacks, true)])
		return true
	}
	if failed = f.Failed(); w.failed && !failed {
		t.Errorf("access %d: a call failed, though no access has", n)
	}
	w.s = f.Reopen(t)
	w.verify()
	t.noError(w.s.Close())
	return failed
}

// unavailable checks an error that the failed access n led to.
func (t *T) unavailable(n int, err error) {
	t.Helper()
	if e, is := err.(*liked.Error); !is || e.Kind != liked.Unavailable {
		t.Errorf("access %d: got error %T %v, want Unavailable", n, err, err)
	}
}

// faultyWork is some of everything, that goes on after errors: one call after the other, but all that are left at once when they
// are to fail, since each may wait long.
type faultyWork struct {
	*T
	n       int
	lasting bool
	s       store.Store
	also    func() error
	rest    sync.WaitGroup // calls after a failure that lasts

	mu     sync.Mutex
	failed bool // a call has failed: later ones may miss what it was to do

	users, posts []int // that were acknowledged
	likes        [6][6]tracked
	count        [6]int64 // newest count of a post that a read has shown, while it only rises
}

// try makes a call, and then what is to follow it if it succeeds.
func (w *faultyWork) try(call func() error, then func()) {
	w.Helper()
	do := func() {
		err := call()
		w.mu.Lock()
		defer w.mu.Unlock()
		switch {
		case err == nil:
			then()
			return
		case !w.failed || liked.KindOf(err) == liked.Internal:
			w.unavailable(w.n, err)
		}
		w.failed = true
	}
	w.mu.Lock()
	atOnce := w.lasting && w.failed
	w.mu.Unlock()
	if atOnce {
		w.rest.Go(do)
	} else {
		do()
	}
}

func (w *faultyWork) do() {
	defer w.rest.Wait()
	nothing := func() {}
	for i := range w.likes {
		w.try(func() error { return w.s.AddUser(w.ctx, newUser(i+1)) }, func() { w.users = append(w.users, i+1) })
		w.try(func() error { return w.s.AddPost(w.ctx, newPost(i+1, i+1)) }, func() { w.posts = append(w.posts, i+1) })
	}
	for version := int64(1); version <= 2; version++ {
		for i := range w.likes {
			for j := range w.likes[i] {
				if version == 2 && (i+j)%3 != 0 {
					continue
				}
				w.try(func() error {
					_, _, err := w.s.Take(w.ctx, start, "usersIdLike", 1, uid(i+1), []liked.RateRule{quarter}, nil)
					return err
				}, nothing)
				w.likes[i][j].begun.Store(version)
				w.try(func() error { return w.like(i+1, j+1, version == 1) }, func() { w.likes[i][j].acknowledged.Store(version) })
			}
			var p liked.Post
			w.try(func() (err error) { p, err = w.s.Post(w.ctx, 0, pid(i+1)); return err }, func() {
				if version == 1 {
					w.count[i] = p.Metrics.Likes
				}
			})
			w.try(func() error {
				_, err := w.s.LikedPosts(w.ctx, 0, uid(i+1), store.Cursor{}, 10, store.WithMetrics, nil)
				return err
			}, nothing)
		}
		if w.also != nil {
			w.try(w.also, nothing)
		}
		var r store.Report
		w.try(func() (err error) { r, err = w.s.Check(w.ctx); return err }, func() {
			if len(r.Problems) > 0 {
				w.Errorf("access %d: Check: %v", w.n, r.Problems)
			}
		})
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
			if err != nil {
				w.Errorf("access %d: Liked: %v", w.n, err)
				return
			}
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
