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

// sharedLog: a like at one server ends the wait for the log at another.
func sharedLog(t *T) {
	servers, _ := t.join(2)
	a, b := servers[0], servers[1]
	t.people(a, 1)
	t.post(a, 1, 1)
	got := make(chan []liked.LikeEvent, 1)
	go func() {
		events, err := b.LikeLog(t.ctx, liked.PartitionOf(uid(1)), 0, 9)
		t.noError(err)
		got <- events
	}()
	time.Sleep(300 * time.Millisecond) // most times it waits by now
	t.like(a, 1, 1, true, true)
	if events := <-got; len(events) != 1 || events[0].User != uid(1) || events[0].Post != pid(1) {
		t.Errorf("got %v, want the like", events)
	}
}

// sharedSubscriptions: one that is added at one server is known to the other before any like after it.
func sharedSubscriptions(t *T) {
	servers, _ := t.join(2)
	a, b := servers[0], servers[1]
	users := repeat(16)
	t.people(a, users)
	t.post(a, 1, 1)
	t.ok(a.AddApp(t.ctx, newApp(1)))
	t.ok(a.AddWebhook(t.ctx, newWebhook(1, 1), 1))
	stop := make(chan struct{})
	likes := make([]atomic.Int64, users)
	var likers, matchers sync.WaitGroup
	for i := range users {
		rng := rand.New(rand.NewPCG(1, t.rng.Uint64()))
		likers.Go(func() {
			for on := true; ; on = !on {
				select {
				case <-stop:
					return
				default:
					_, err := servers[rng.IntN(2)].SetLike(t.ctx, uid(i+1), pid(1), on, start)
					t.noError(err)
					likes[i].Add(1)
				}
			}
		})
	}
	// Each matcher remembers what the server says of a user until the server says that it has changed.
	type matched struct {
		liked.LikeEvent
		by []liked.Subscription
	}
	var all [liked.Partitions][]matched
	ctx, cancel := context.WithCancel(t.ctx)
	defer cancel()
	var events atomic.Int64
	for p := range liked.Partitions {
		matchers.Go(func() {
			type known struct {
				generation uint64
				about      []liked.Subscription
			}
			memory := make(map[liked.UserID]known)
			for after := liked.Seq(0); ; {
				more, err := b.LikeLog(ctx, p, after, 20)
				if err != nil {
					return
				}
				for _, e := range more {
					k, there := memory[e.User]
					if now := b.SubscriptionGeneration(e.User); !there || k.generation != now {
						about, err := b.SubscriptionsAbout(ctx, []liked.UserID{e.User})
						t.noError(err)
						k = known{now, about}
						memory[e.User] = k
					}
					all[p] = append(all[p], matched{e, k.about})
					after = e.Seq
				}
				events.Add(int64(len(more)))
			}
		})
	}
	likedMore := func(i int) {
		before := likes[i].Load()
		t.soon("more likes", func() bool { return likes[i].Load() > before+4 })
	}
	begins := make(map[liked.UserID]liked.Seq)
	for i := range users {
		likedMore(i)
		t.ok(a.AddSubscription(t.ctx, newSubscription(i+1, 1, i+1), users))
		likedMore(i)
		sub, err := a.Subscription(t.ctx, 1, liked.SubscriptionID(i+1))
		t.ok(err)
		begins[sub.User] = sub.After
	}
	close(stop)
	likers.Wait()
	sum := int64(0)
	for i := range likes {
		sum += likes[i].Load()
	}
	t.soon("all likes matched", func() bool { return events.Load() == sum })
	cancel()
	matchers.Wait()
	for p := range all {
		for _, e := range all[p] {
			wants := e.Seq > begins[e.User]
			got := len(e.by) == 1 && e.by[0].After < e.Seq
			if wants != got {
				t.Errorf("a like at %d by user %d, whose subscription begins after %d: matched is %v", e.Seq, number(e.User), begins[e.User], got)
			}
		}
	}
}

// likeLists are lists of likes, and what is in them.
type likeLists struct {
	make func(t *T, s store.Store, item int) error
	set  func(t *T, s store.Store, list, item int, on bool, at time.Time) error
	read func(t *T, s store.Store, list, max int) ([]int, error)
}

var postsLists = likeLists{
	func(t *T, s store.Store, item int) error { return s.AddUser(t.ctx, newUser(item)) },
	func(t *T, s store.Store, list, item int, on bool, at time.Time) error {
		_, err := s.SetLike(t.ctx, uid(item), pid(list), on, at)
		return err
	},
	func(t *T, s store.Store, list, max int) (items []int, err error) {
		page, err := s.LikingUsers(t.ctx, 0, pid(list), store.Cursor{}, max, store.WithMetrics, nil)
		for _, u := range page.Items {
			items = append(items, number(u.ID))
		}
		return items, err
	},
}

var usersLists = likeLists{
	func(t *T, s store.Store, item int) error { return s.AddPost(t.ctx, newPost(item, 1)) },
	func(t *T, s store.Store, list, item int, on bool, at time.Time) error {
		_, err := s.SetLike(t.ctx, uid(list), pid(item), on, at)
		return err
	},
	func(t *T, s store.Store, list, max int) (items []int, err error) {
		page, err := s.LikedPosts(t.ctx, 0, uid(list), store.Cursor{}, max, store.WithMetrics, nil)
		for _, p := range page.Items {
			items = append(items, number(p.ID))
		}
		return items, err
	},
}

// sharedLists: two servers write to few lists, of which a third reads all, again and again. What is new stands above all that was
// there, which keeps its order. Nor does the log get an entry before one that was read.
func sharedLists(t *T, kind likeLists) {
	servers, _ := t.join(3)
	third := servers[2]
	const lists, writers, first = 5, 8, 100
	const each = 30
	t.people(third, lists)
	for n := 1; n <= lists; n++ {
		t.post(third, n, n)
	}
	together(writers, func(w int) {
		for n := w; n < writers*each; n += writers {
			t.noError(kind.make(t, third, first+n))
		}
	})
	ctx, cancel := context.WithCancel(t.ctx)
	defer cancel()
	var seen [liked.Partitions][]liked.LikeEvent
	var entries, changes atomic.Int64
	var readers, writing sync.WaitGroup
	for p := range liked.Partitions {
		readers.Go(func() {
			for after := liked.Seq(0); ; after = seen[p][len(seen[p])-1].Seq {
				events, err := third.LikeLog(ctx, p, after, 50)
				if err != nil {
					return
				}
				seen[p] = append(seen[p], events...)
				entries.Add(int64(len(events)))
			}
		})
	}
	for w := range writers {
		rng := rand.New(rand.NewPCG(1, t.rng.Uint64()))
		writing.Go(func() {
			for n := w; n < writers*each; n += writers {
				for _, list := range rng.Perm(lists) {
					for on := true; ; on = false { // what is taken back is not set again: it would stand at the top, and tell nothing
						at := start.Add(time.Duration(rng.IntN(1000)) * time.Millisecond)
						t.noError(kind.set(t, servers[rng.IntN(2)], 1+list, first+n, on, at))
						if changes.Add(1); !on || rng.IntN(8) > 0 {
							break
						}
					}
				}
			}
		})
	}
	written := make(chan struct{})
	go func() { writing.Wait(); close(written) }()
	var lasts [lists][]int
	for over := false; !over; {
		select {
		case <-written:
			over = true
		default:
		}
		for i := range lasts {
			now, err := kind.read(t, third, 1+i, 2*writers*each)
			t.ok(err)
			if !grown(lasts[i], now) {
				t.Fatalf("list %d has changed below what is new:\n%v\n%v", 1+i, lasts[i], now)
			}
			lasts[i] = now
		}
	}
	t.soon("the whole log", func() bool { return entries.Load() >= changes.Load() })
	cancel()
	readers.Wait()
	for p, events := range t.log(third) {
		same(t, "what a reader of the log saw", seen[p], events)
	}
}

// grown reports whether a list is an earlier one without what was removed, below what is new.
func grown(before, now []int) bool {
	place := make(map[int]int, len(before))
	for i, item := range before {
		place[item] = i
	}
	last := -1
	for _, item := range now {
		i, old := place[item]
		if !old && last >= 0 || old && i <= last {
			return false
		}
		if old {
			last = i
		}
	}
	return true
}

// sharedRules: what one server forbids does not happen afterwards, not even by a call that another had begun before.
func sharedRules(t *T) {
	servers, _ := t.join(2)
	a, b := servers[0], servers[1]
	t.people(a, 6)
	for n := 1; n <= repeat(60); n++ {
		t.post(a, n, 1)
		user := 2 + n%4
		lane := liked.PartitionOf(uid(user))
		var end liked.Seq // of the user's likes, once they are forbidden
		var forbidden atomic.Bool
		together(4, func(i int) {
			if i == 0 {
				_, err := a.SetBlock(t.ctx, uid(1), uid(user), true)
				t.noError(err)
				ends, err := a.LogEnds(t.ctx)
				t.noError(err)
				end = ends[lane]
				forbidden.Store(true)
				return
			}
			for on := true; !forbidden.Load(); on = !on {
				if _, err := b.SetLike(t.ctx, uid(user), pid(n), on, start); err != nil {
					t.fails(err, liked.Forbidden)
				}
			}
			_, err := b.SetLike(t.ctx, uid(user), pid(n), true, start)
			t.fails(err, liked.Forbidden)
		})
		for _, e := range t.log(b)[lane] {
			if e.On && e.Seq > end {
				t.Errorf("round %d: a like that another server had forbidden was set", n)
			}
		}
		t.block(a, 1, user, false, true)
	}
}
