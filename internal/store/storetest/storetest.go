// Package storetest holds every engine to the contract of package store: what each method answers, what happens when
// many call at once, and what is left when the engine is killed. Call [Run] from a test of the engine, [RunShared] if several
// servers can have one store, [RunFaults] if an access to what keeps its data can be made to fail, and [RunCrash] and
// [RunBackup] if it has files of its own.
package storetest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"liked"
	"liked/internal/store"
)

// Harness is what the suite must be able to do with any engine. All of it is needed: there are no opt-outs.
type Harness struct {
	// Open returns a new, empty store.
	Open func(t testing.TB) store.Store
	// Reopen closes s, and opens what it kept.
	Reopen func(t testing.TB, s store.Store) store.Store
	// Kill takes what would be left if all of the engine was killed now, and with it whatever may be lost then. It returns a
	// function that opens what is left; s goes on working.
	Kill func(t testing.TB, s store.Store) (open func() store.Store)
	// Forget has s write what waits, and delete at once the windows and nonces that are over, which it else does now and then.
	Forget func(t testing.TB, s store.Store)
}

// Faulty is a store beneath which an access to what keeps its data fails. If it could not be opened it has Failed alone.
type Faulty struct {
	Store  store.Store
	Also   func() error                 // does more with the store, where the engine can do more; nil: it cannot
	Failed func() bool                  // reports whether an access has failed
	Reopen func(testing.TB) store.Store // opens what a crash now would leave, once all is well again
}

// Run runs the suite that every engine passes. Everything random follows from one number, which is logged; set STORETEST_SEED to it
// to have the same choices again.
func Run(t *testing.T, h Harness) {
	run(t, T{Harness: h}, map[string][]test{"Accounts": accountTests, "Lookups": lookupTests, "Likes": likeTests, "Grants": grantTests,
		"Limits": limitTests, "Leases": leaseTests, "Concurrency": concurrencyTests, "Kill": killTests, "History": historyTests,
		"Model": modelTests, "Transfer": transferTests, "Hooks": hookTests})
}

// RunFaults proves that an access that fails loses nothing. fault opens a new store beneath which one access to what keeps
// its data fails: the one after n others. If lasting is set, all later ones fail too. The error is that of opening the store.
func RunFaults(t *testing.T, h Harness, fault func(t testing.TB, n int, lasting bool) (Faulty, error)) {
	run(t, T{Harness: h, fault: fault}, map[string][]test{"Fault": faultTests})
}

// RunCrash proves what is left if the machine loses power, of an engine that has files of its own. crash is Kill with the
// percentage given of what was written but not yet made safe, chosen by rng.
func RunCrash(t *testing.T, h Harness, crash func(t testing.TB, s store.Store, percent int, rng *rand.Rand) (open func() store.Store)) {
	run(t, T{Harness: h, crash: crash}, map[string][]test{"Crash": crashTests})
}

// RunBackup proves that backups are whole, of an engine whose stores are a store.Backup. restore opens the store that the
// files of a backup are.
func RunBackup(t *testing.T, h Harness, restore func(t testing.TB, files map[string][]byte) store.Store) {
	run(t, T{Harness: h, restore: restore}, map[string][]test{"Backup": backupTests})
}

func run(t *testing.T, with T, suite map[string][]test) {
	seed := uint64(time.Now().UnixNano())
	if s := os.Getenv("STORETEST_SEED"); s != "" {
		var err error
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatalf("STORETEST_SEED: %v", err)
		}
	}
	t.Logf("STORETEST_SEED=%d", seed)
	for name, tests := range suite {
		t.Run(name, func(t *testing.T) {
			if len(tests) == 0 {
				t.Fatal("no tests")
			}
			for i, test := range tests {
				t.Run(test.name, func(t *testing.T) {
					t.Parallel()
					with := with
					with.T, with.ctx, with.rng = t, t.Context(), rand.New(rand.NewPCG(seed, uint64(i)))
					test.run(&with)
				})
			}
		})
	}
}

type test struct {
	name string
	run  func(*T)
}

// T is one test with its engine.
type T struct {
	*testing.T
	Harness
	fault   func(t testing.TB, n int, lasting bool) (Faulty, error)
	crash   func(t testing.TB, s store.Store, percent int, rng *rand.Rand) (open func() store.Store)
	restore func(t testing.TB, files map[string][]byte) store.Store
	place   func(testing.TB) Place
	ctx     context.Context
	rng     *rand.Rand
}

// start is when the world of the tests begins.
var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// open returns a new store, which must agree with itself at the end of the test.
func (t *T) open() store.Store {
	t.Helper()
	s := t.Open(t)
	t.end(s)
	return s
}

// end checks and closes the store at the end of the test, unless the test has closed it.
func (t *T) end(s store.Store) {
	t.Cleanup(func() {
		if _, err := s.Users(context.Background(), 0, 1); err == nil {
			t.total(s, t.check(s))
		} else if liked.KindOf(err) != liked.Unavailable {
			t.Errorf("Users: %v", err)
		}
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
}

// check fails the test if the store does not agree with itself.
func (t *T) check(s store.Store) store.Report {
	t.Helper()
	r, err := s.Check(context.Background())
	if err != nil {
		t.Errorf("Check: %v", err)
	}
	for _, p := range r.Problems {
		t.Errorf("Check: %s", p)
	}
	return r
}

// total fails the test if the totals are not those of a report that was made at the same time.
func (t *T) total(s store.Store, r store.Report) {
	t.Helper()
	got, err := s.Totals(context.Background())
	if err != nil {
		t.Errorf("Totals: %v", err)
	} else if want := (store.Totals{Users: r.Users, Posts: r.Posts, Likes: r.Likes}); got != want {
		t.Errorf("Totals: got %+v, want %+v", got, want)
	}
}

// repeat returns n, or less of it if tests are to be short.
func repeat(n int) int {
	if testing.Short() {
		return max(n/4, 1)
	}
	return n
}

func (t *T) ok(err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("got error %v", err)
	}
}

// fails checks that err is a *liked.Error of the kind.
func (t *T) fails(err error, want liked.Kind) {
	t.Helper()
	if err == nil {
		t.Errorf("got no error, want %v", want)
	} else if e, is := err.(*liked.Error); !is || e.Kind != want {
		t.Errorf("got %T %v (%v), want a *liked.Error of kind %v", err, liked.KindOf(err), err, want)
	} else if strings.HasPrefix(e.Msg, "there is no") {
		t.Errorf("got %q: operators read it, and all engines say \"no such\"", e.Msg)
	}
}

// same compares what a call returned. An empty slice is as good as none.
func same[V any](t *T, what string, got, want V) {
	t.Helper()
	g, w := reflect.ValueOf(got), reflect.ValueOf(want)
	if g.Kind() == reflect.Slice && g.Len() == 0 && w.Len() == 0 {
		return
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s: got %+v, want %+v", what, got, want)
	}
}

// operator is the number of store.Operator.
const operator = -1

// uid and pid make identifiers as X does, which differ in their upper bits only.
func uid(n int) liked.UserID {
	if n == operator {
		return store.Operator
	}
	return liked.UserID(n) << 22
}

func pid(n int) liked.PostID { return liked.PostID(n) << 22 }

func newUser(n int) liked.User {
	return liked.User{ID: uid(n), Username: fmt.Sprintf("User_%d", n), Name: fmt.Sprintf("User %d", n), CreatedAt: start}
}

func newPost(n, author int) liked.Post {
	return liked.Post{ID: pid(n), Author: uid(author), Text: fmt.Sprintf("post %d", n), CreatedAt: start}
}

// people adds users 1 to n.
func (t *T) people(s store.Store, n int) {
	t.Helper()
	for i := 1; i <= n; i++ {
		t.ok(s.AddUser(t.ctx, newUser(i)))
	}
}

// post adds post n.
func (t *T) post(s store.Store, n, author int) {
	t.Helper()
	t.ok(s.AddPost(t.ctx, newPost(n, author)))
}

// like sets a like or takes it back, and checks whether that changed anything.
func (t *T) like(s store.Store, user, post int, on, changes bool) {
	t.Helper()
	changed, err := s.SetLike(t.ctx, uid(user), pid(post), on, start)
	t.ok(err)
	if changed != changes {
		t.Errorf("SetLike %d %d %v: got changed %v, want %v", user, post, on, changed, changes)
	}
}

func (t *T) state(s store.Store, user int, state liked.AccountState) {
	t.Helper()
	t.ok(s.UpdateUser(t.ctx, uid(user), func(u *liked.User) error { u.State = state; return nil }))
}

func (t *T) protect(s store.Store, user int, on bool) {
	t.Helper()
	t.ok(s.UpdateUser(t.ctx, uid(user), func(u *liked.User) error { u.Protected = on; return nil }))
}

func (t *T) follow(s store.Store, a, b int, on, changes bool) {
	t.Helper()
	changed, err := s.SetFollow(t.ctx, uid(a), uid(b), on)
	t.ok(err)
	same(t, "SetFollow changed", changed, changes)
}

func (t *T) block(s store.Store, a, b int, on, changes bool) {
	t.Helper()
	changed, err := s.SetBlock(t.ctx, uid(a), uid(b), on)
	t.ok(err)
	same(t, "SetBlock changed", changed, changes)
}

// likedPosts walks the whole list in pages and returns the numbers of the posts.
func (t *T) likedPosts(s store.Store, viewer, user, page int) (posts []int) {
	t.Helper()
	for _, p := range walkPosts(t, s, viewer, user, page) {
		posts = append(posts, number(p.ID))
	}
	return posts
}

// likingUsers is likedPosts for the other list.
func (t *T) likingUsers(s store.Store, viewer, post, page int) (users []int) {
	t.Helper()
	for _, u := range walkUsers(t, s, viewer, post, page) {
		users = append(users, number(u.ID))
	}
	return users
}

func walkPosts(t *T, s store.Store, viewer, user, page int) []liked.Post {
	t.Helper()
	space := slices.Repeat([]liked.Post{{ID: -1, Text: "left over", Quotes: 1}}, page)
	return walk(t, page, func(from store.Cursor) (store.Page[liked.Post], error) {
		return s.LikedPosts(t.ctx, uid(viewer), uid(user), from, page, store.WithMetrics, space)
	})
}

func walkUsers(t *T, s store.Store, viewer, post, page int) []liked.User {
	t.Helper()
	space := slices.Repeat([]liked.User{{ID: -1, Description: "left over", PinnedPost: 1}}, page)
	return walk(t, page, func(from store.Cursor) (store.Page[liked.User], error) {
		return s.LikingUsers(t.ctx, uid(viewer), pid(post), from, page, store.WithMetrics, space)
	})
}

// walk goes through a list that nobody changes, to its end and back, and returns it.
func walk[Item any](t *T, max int, get func(store.Cursor) (store.Page[Item], error)) []Item {
	t.Helper()
	all, page := walkThere(t, max, get)
	var back []Item
	want := all[:len(all)-len(page.Items)]
	for from := page.Newer; from != (store.Cursor{}); from = page.Newer {
		var err error
		page, err = get(from)
		t.ok(err)
		back = append(slices.Clone(page.Items), back...)
		if len(page.Items) > max {
			t.Errorf("back: got %d items, want at most %d", len(page.Items), max)
		}
		if (page.Newer != store.Cursor{}) && (!page.Newer.Newer || page.Newer.Seq <= from.Seq) {
			t.Fatalf("cursor went back from %v to %v", from, page.Newer)
		}
		same(t, "older of a page on the way back", page.Older, store.Cursor{Seq: from.Seq})
	}
	same(t, "the way back", back, want)
	return all
}

// walkThere goes through a list, and returns what it saw and the last page.
func walkThere[Item any](t *T, max int, get func(store.Cursor) (store.Page[Item], error)) (all []Item, page store.Page[Item]) {
	t.Helper()
	var from store.Cursor
	for {
		var err error
		page, err = get(from)
		t.ok(err)
		all = append(all, page.Items...)
		if len(page.Items) > max {
			t.Errorf("got %d items, want at most %d", len(page.Items), max)
		}
		if (page.Newer == store.Cursor{}) != (from == store.Cursor{}) {
			t.Errorf("page from %v: got newer %v", from, page.Newer)
		}
		if page.Older == (store.Cursor{}) {
			return all, page
		}
		if page.Older.Newer || from.Seq != 0 && page.Older.Seq >= from.Seq {
			t.Fatalf("cursor went from %v to %v", from, page.Older)
		}
		from = page.Older
	}
}

// log returns all entries that there are, by partition.
func (t *T) log(s store.Store) (all [liked.Partitions][]liked.LikeEvent) {
	t.Helper()
	ends, err := s.LogEnds(t.ctx)
	t.ok(err)
	for p, end := range ends {
		for after := liked.Seq(0); after < end; after = all[p][len(all[p])-1].Seq {
			events, err := s.LikeLog(t.ctx, p, after, 100)
			t.ok(err)
			if len(events) == 0 {
				t.Fatalf("LikeLog: got no entries of partition %d after %d, though it ends at %d", p, after, end)
			}
			all[p] = append(all[p], events...)
		}
	}
	return all
}
