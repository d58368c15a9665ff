package storetest

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/anishathalye/porcupine"

	"liked"
	"liked/internal/store"
)

var historyTests = []test{
	{"linearizable", linearizable},
	{"broken stores are caught", brokenStores},
}

// A history is checked twice: once for each post, whose members are the users who like it, and once for each user,
// whose members are the posts.
type call struct {
	kind callKind
	set  string // "post 1" or "user 1"
	who  byte   // the member; unused by calls about all
	on   bool
}

type callKind byte

const (
	callSet callKind = iota
	callHas
	callCount
	callList
)

type answer struct {
	changed, has bool
	count        int64
	list         string // members, newest first
	unknown      bool   // the call did not come back
}

// members is a set in the order in which it is listed: newest first.
var members = porcupine.Model{
	Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
		sets := make(map[string][]porcupine.Operation)
		for _, op := range history {
			name := op.Input.(call).set
			sets[name] = append(sets[name], op)
		}
		var all [][]porcupine.Operation
		for _, ops := range sets {
			all = append(all, ops)
		}
		return all
	},
	Init: func() any { return "" },
	Step: func(state, input, output any) (bool, any) {
		list, c, a := state.(string), input.(call), output.(answer)
		is := strings.IndexByte(list, c.who) >= 0
		switch c.kind {
		case callSet:
			next := list
			if is != c.on {
				next = strings.ReplaceAll(list, string(c.who), "")
				if c.on {
					next = string(c.who) + next
				}
			}
			return a.unknown || a.changed == (is != c.on), next
		case callHas:
			return a.has == is, list
		case callCount:
			return a.count == int64(len(list)), list
		default:
			return a.list == list, list
		}
	},
	DescribeOperation: func(input, output any) string { return fmt.Sprintf("%+v -> %+v", input, output) },
}

// record lets clients call at random and returns what each call was answered. Some calls are given too little time; they
// may take effect at any time from then on.
func record(t *T, s store.Store, rng *rand.Rand, clients, calls int) []porcupine.Operation {
	const users, posts = 3, 2
	var (
		mu      sync.Mutex
		history []porcupine.Operation
		clock   atomic.Int64
	)
	seeds := make([]uint64, clients)
	for i := range seeds {
		seeds[i] = rng.Uint64()
	}
	together(clients, func(client int) {
		rng := rand.New(rand.NewPCG(1, seeds[client]))
		for range calls {
			user, post := 1+rng.IntN(users), 1+rng.IntN(posts)
			byPost := call{set: fmt.Sprintf("post %d", post), who: byte('0' + user)}
			byUser := call{set: fmt.Sprintf("user %d", user), who: byte('0' + post)}
			var a answer
			var err error
			inputs := make([]call, 0, 2)
			begin := clock.Add(1)
			switch n := rng.IntN(10); {
			case n < 5:
				on := rng.IntN(2) == 0
				byPost.on, byUser.on = on, on
				ctx, cancel := t.ctx, func() {}
				if rng.IntN(10) == 0 {
					ctx, cancel = context.WithTimeout(ctx, time.Duration(rng.IntN(200))*time.Microsecond)
				}
				a.changed, err = s.SetLike(ctx, uid(user), pid(post), on, start)
				cancel()
				if err == context.DeadlineExceeded {
					a.unknown, err = true, nil
				}
				inputs = append(inputs, byPost, byUser)
			case n < 6:
				var on []bool
				if on, err = s.Liked(t.ctx, uid(user), []liked.PostID{pid(post)}); err == nil {
					a.has = on[0]
				}
				byPost.kind, byUser.kind = callHas, callHas
				inputs = append(inputs, byPost, byUser)
			case n < 7:
				var p liked.Post
				p, err = s.Post(t.ctx, 0, pid(post))
				a.count, byPost.kind = p.Metrics.Likes, callCount
				inputs = append(inputs, byPost)
			case n < 8:
				var u liked.User
				u, err = s.User(t.ctx, uid(user))
				a.count, byUser.kind = u.Metrics.Likes, callCount
				inputs = append(inputs, byUser)
			case n < 9:
				var page store.Page[liked.User]
				page, err = s.LikingUsers(t.ctx, 0, pid(post), store.Cursor{}, 10, store.WithMetrics, nil)
				for _, u := range page.Items {
					a.list += string(byte('0' + u.ID>>22))
				}
				byPost.kind = callList
				inputs = append(inputs, byPost)
			default:
				var page store.Page[liked.Post]
				page, err = s.LikedPosts(t.ctx, 0, uid(user), store.Cursor{}, 10, store.WithMetrics, nil)
				for _, p := range page.Items {
					a.list += string(byte('0' + p.ID>>22))
				}
				byUser.kind = callList
				inputs = append(inputs, byUser)
			}
			end := clock.Add(1)
			t.noError(err)
			if a.unknown {
				end = math.MaxInt64
			}
			mu.Lock()
			for _, in := range inputs {
				history = append(history, porcupine.Operation{ClientId: client, Input: in, Call: begin, Output: a, Return: end})
			}
			mu.Unlock()
		}
	})
	return history
}

// judge runs the checker.
func judge(history []porcupine.Operation) porcupine.CheckResult {
	return porcupine.CheckOperationsTimeout(members, history, 30*time.Second)
}

// stage opens a store with the users and posts that record calls about.
func (t *T) stage() store.Store {
	s := t.open()
	t.people(s, 4)
	for n := 1; n <= 2; n++ {
		t.post(s, n, 4)
	}
	return s
}

func linearizable(t *T) {
	for range repeat(12) {
		history := record(t, t.stage(), t.rng, 6, 40)
		if got := judge(history); got != porcupine.Ok {
			slices.SortFunc(history, func(a, b porcupine.Operation) int { return int(a.Call - b.Call) })
			for _, op := range history {
				t.Logf("%d-%d client %d: %s", op.Call, op.Return, op.ClientId, members.DescribeOperation(op.Input, op.Output))
			}
			t.Fatalf("history is %v, want Ok", got)
		}
	}
}

// brokenStores proves that the checker can fail.
func brokenStores(t *T) {
	for name, wrap := range map[string]func(store.Store) store.Store{
		"counts lag behind": func(s store.Store) store.Store { return &lateCounts{Store: s} },
		"repeats change":    func(s store.Store) store.Store { return repeats{s} },
		"order is lost":     func(s store.Store) store.Store { return unordered{s} },
		"likes get lost":    func(s store.Store) store.Store { return &forgetful{Store: s} },
	} {
		caught := false
		for range 20 { // one history may miss it
			if judge(record(t, wrap(t.stage()), t.rng, 6, 40)) == porcupine.Illegal {
				caught = true
				break
			}
		}
		if !caught {
			t.Errorf("%s: got only histories that are in order", name)
		}
	}
}

type lateCounts struct {
	store.Store
	last sync.Map
}

func (s *lateCounts) Post(ctx context.Context, viewer liked.UserID, id liked.PostID) (liked.Post, error) {
	p, err := s.Store.Post(ctx, viewer, id)
	if old, ok := s.last.Swap(id, p.Metrics.Likes); ok {
		p.Metrics.Likes = old.(int64)
	}
	return p, err
}

type repeats struct{ store.Store }

func (s repeats) SetLike(ctx context.Context, user liked.UserID, post liked.PostID, on bool, at time.Time) (bool, error) {
	_, err := s.Store.SetLike(ctx, user, post, on, at)
	return err == nil, err
}

type unordered struct{ store.Store }

func (s unordered) LikingUsers(
	ctx context.Context, viewer liked.UserID, post liked.PostID, from store.Cursor, max int, metrics store.Metrics,
	space []liked.User,
) (store.Page[liked.User], error) {
	page, err := s.Store.LikingUsers(ctx, viewer, post, from, max, metrics, space)
	slices.SortFunc(page.Items, func(a, b liked.User) int { return int(a.ID - b.ID) })
	return page, err
}

type forgetful struct {
	store.Store
	n atomic.Int64
}

func (s *forgetful) SetLike(ctx context.Context, user liked.UserID, post liked.PostID, on bool, at time.Time) (bool, error) {
	if s.n.Add(1)%20 == 0 {
		return on, nil
	}
	return s.Store.SetLike(ctx, user, post, on, at)
}
