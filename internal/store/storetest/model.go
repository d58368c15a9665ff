package storetest

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"time"

	"liked"
	"liked/internal/store"
)

var modelTests = []test{
	{"random calls", randomCalls},
	{"random calls with restarts", randomCallsWithRestarts},
}

// model is the contract in its plainest form: maps, and rules as they are written.
type model struct {
	users   map[int]liked.User
	posts   map[int]liked.Post
	gone    map[int]liked.Post // deleted
	likes   []modelLike        // oldest first
	follows map[[2]int]bool
	blocks  map[[2]int]bool
	changes int64
}

type modelLike struct{ user, post int }

func newModel() *model {
	return &model{users: make(map[int]liked.User), posts: make(map[int]liked.Post), gone: make(map[int]liked.Post),
		follows: make(map[[2]int]bool), blocks: make(map[[2]int]bool)}
}

func number[ID ~int64](id ID) int { return int(id >> 22) }

// sees returns 0, NotFound or Forbidden.
func (m *model) sees(viewer, author int) liked.Kind {
	a, ok := m.users[author]
	switch {
	case ok && viewer == operator:
		return 0
	case !ok || a.State.Hidden():
		return liked.NotFound
	case viewer == author:
		return 0
	case m.blocks[[2]int{author, viewer}], a.Protected && !m.follows[[2]int{viewer, author}]:
		return liked.Forbidden
	}
	return 0
}

func (m *model) seesPost(viewer, post int) liked.Kind {
	p, ok := m.posts[post]
	if !ok {
		return liked.NotFound
	}
	return m.sees(viewer, number(p.Author))
}

// original resolves reposts, of what is gone, too.
func (m *model) original(post int) int {
	p, ok := m.posts[post]
	if !ok {
		p = m.gone[post]
	}
	if p.RepostOf != 0 {
		return number(p.RepostOf)
	}
	return post
}

func (m *model) setLike(user, post int, on bool) (bool, liked.Kind) {
	original := m.original(post)
	if on {
		if _, ok := m.users[user]; !ok {
			return false, liked.NotFound
		}
		kind := m.seesPost(user, post)
		if other := m.seesPost(user, original); kind == 0 || other == liked.NotFound {
			kind = other
		}
		if kind != 0 {
			return false, kind
		}
	}
	l := modelLike{user, original}
	i := slices.Index(m.likes, l)
	if (i >= 0) == on {
		return false, 0
	}
	m.changes++
	if on {
		m.likes = append(m.likes, l)
	} else {
		m.likes = slices.Delete(m.likes, i, i+1)
	}
	return true, 0
}

func (m *model) user(n int) (liked.User, bool) {
	u, ok := m.users[n]
	u.Metrics = liked.UserMetrics{}
	for _, p := range m.posts {
		if number(p.Author) == n {
			u.Metrics.Posts++
		}
	}
	for _, l := range m.likes {
		if l.user == n {
			u.Metrics.Likes++
		}
	}
	for f := range m.follows {
		if f[0] == n {
			u.Metrics.Following++
		}
		if f[1] == n {
			u.Metrics.Followers++
		}
	}
	return u, ok
}

func (m *model) post(n int) liked.Post {
	post := m.posts[n]
	for _, p := range m.posts {
		for _, ref := range []struct {
			to liked.PostID
			n  *int64
		}{{p.RepostOf, &post.Metrics.Reposts}, {p.InReplyTo, &post.Metrics.Replies}, {p.Quotes, &post.Metrics.Quotes}} {
			if ref.to == post.ID {
				*ref.n++
			}
		}
	}
	for _, l := range m.likes {
		if l.post == n {
			post.Metrics.Likes++
		}
	}
	return post
}

func (m *model) likedPosts(viewer, user int) (posts []liked.Post, kind liked.Kind) {
	if kind = m.sees(viewer, user); kind != 0 {
		return nil, kind
	}
	for _, l := range slices.Backward(m.likes) {
		if l.user == user && m.seesPost(viewer, l.post) == 0 {
			posts = append(posts, m.post(l.post))
		}
	}
	return posts, 0
}

func (m *model) likingUsers(viewer, post int) (users []liked.User, kind liked.Kind) {
	if kind = m.seesPost(viewer, post); kind == 0 {
		post = m.original(post)
		kind = m.seesPost(viewer, post)
	}
	if kind != 0 {
		return nil, kind
	}
	for _, l := range slices.Backward(m.likes) {
		if l.post == post && m.sees(viewer, l.user) == 0 {
			u, _ := m.user(l.user)
			users = append(users, u)
		}
	}
	return users, 0
}

// newest returns the user's post with the highest id.
func (m *model) newest(viewer, user int) (id liked.PostID) {
	if m.sees(viewer, user) != 0 {
		return 0
	}
	for _, p := range m.posts {
		if p.Author == uid(user) {
			id = max(id, p.ID)
		}
	}
	return id
}

func randomCalls(t *T)             { compare(t, 0) }
func randomCallsWithRestarts(t *T) { compare(t, 300) }

// calls is how many calls are compared: STORETEST_CALLS, or as many as fit a short test.
func (t *T) calls() int {
	text := os.Getenv("STORETEST_CALLS")
	if text == "" {
		return repeat(4000)
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("STORETEST_CALLS: %q is not a number of calls", text)
	}
	return n
}

// compare makes the same random calls on the store and on the model, and restarts the store every so many calls.
func compare(t *T, restart int) {
	const users, posts = 6, 12
	s := t.Open(t)
	m := newModel()
	const remembered = 60
	var trail []string // the last calls, oldest first
	defer func() {
		if t.Failed() {
			for _, line := range trail[max(len(trail)-remembered, 0):] {
				t.Log(line)
			}
		}
	}()
	kind := func(err error) liked.Kind {
		if err == nil {
			return 0
		}
		if _, is := err.(*liked.Error); !is || liked.KindOf(err) == liked.Internal {
			t.Errorf("got error %T %v, want a *liked.Error that is not Internal", err, err)
		}
		return liked.KindOf(err)
	}
	calls := t.calls()
	for i := 0; i < calls && !t.Failed(); i++ {
		if restart > 0 && i%restart == restart-1 {
			s = t.Reopen(t, s)
		}
		a, b, n := 1+t.rng.IntN(users), 1+t.rng.IntN(users), 1+t.rng.IntN(posts)
		on := t.rng.IntN(3) > 0
		step := t.rng.IntN(100)
		if len(trail) == 2*remembered {
			trail = append(trail[:0], trail[remembered:]...)
		}
		trail = append(trail, fmt.Sprintf("call %d: step %d users %d %d post %d %v", i, step, a, b, n, on))
		switch {
		case step < 40:
			changed, err := s.SetLike(t.ctx, uid(a), pid(n), on, start.Add(time.Duration(i)*time.Millisecond))
			wantChanged, want := m.setLike(a, n, on)
			same(t, "SetLike", kind(err), want)
			same(t, "SetLike changed", changed, wantChanged)
		case step < 43:
			u := newUser(a)
			err := s.AddUser(t.ctx, u)
			if _, ok := m.users[a]; ok {
				same(t, "AddUser", kind(err), liked.Conflict)
			} else {
				t.ok(err)
				m.users[a] = u
			}
		case step < 50:
			p := newPost(n, a)
			refs := []*liked.PostID{&p.RepostOf, &p.InReplyTo, &p.Quotes}
			if k := t.rng.IntN(5); k < 3 {
				*refs[k] = pid(1 + t.rng.IntN(posts))
			}
			want := liked.Kind(0)
			if _, ok := m.users[a]; !ok {
				want = liked.NotFound
			}
			for k, ref := range refs {
				if *ref == 0 {
					continue
				}
				if k == 0 {
					if _, ok := m.posts[number(*ref)]; ok {
						*ref = pid(m.original(number(*ref)))
					}
				}
				if _, ok := m.posts[number(*ref)]; !ok {
					want = liked.NotFound
				}
			}
			_, there := m.posts[n]
			_, once := m.gone[n]
			if there || once {
				want = liked.Conflict
			}
			same(t, "AddPost", kind(s.AddPost(t.ctx, p)), want)
			if want == 0 {
				if answered := m.posts[number(p.InReplyTo)]; p.InReplyTo != 0 {
					p.InReplyToUser = answered.Author
					if p.Conversation = answered.Conversation; p.Conversation == 0 {
						p.Conversation = p.InReplyTo
					}
				}
				m.posts[n] = p
			}
		case step < 52:
			p, ok := m.posts[n]
			want := liked.Kind(0)
			if !ok {
				want = liked.NotFound
			} else if p.Author != uid(a) {
				want = liked.Forbidden
			}
			same(t, "DeletePost", kind(s.DeletePost(t.ctx, uid(a), pid(n))), want)
			if want == 0 {
				delete(m.posts, n)
				m.gone[n] = p
			}
		case step < 60:
			blocks := step < 53
			set := s.SetFollow
			if blocks {
				set = s.SetBlock
			}
			changed, err := set(t.ctx, uid(a), uid(b), on)
			_, okA := m.users[a]
			_, okB := m.users[b]
			want := liked.Kind(0)
			switch {
			case a == b:
				want = liked.Invalid
			case !okA || !okB:
				want = liked.NotFound
			}
			same(t, "relation", kind(err), want)
			relation := m.follows
			if blocks {
				relation = m.blocks
			}
			changes := want == 0 && relation[[2]int{a, b}] != on
			same(t, "relation changed", changed, changes)
			if !changes {
				break
			}
			delete(relation, [2]int{a, b})
			if on {
				relation[[2]int{a, b}] = true
				if blocks {
					delete(m.follows, [2]int{a, b})
					delete(m.follows, [2]int{b, a})
				}
			}
		case step < 64:
			change := func(u *liked.User) error {
				switch step {
				case 60:
					u.Protected = !u.Protected
				case 61:
					u.State = liked.AccountState(n % 4)
				case 62:
					u.State = liked.Active
				default:
					u.Username = fmt.Sprintf("Name%d", n%3)
				}
				return nil
			}
			u, ok := m.users[a]
			_ = change(&u)
			want := liked.Kind(0)
			if !ok {
				want = liked.NotFound
			} else {
				for other, o := range m.users {
					if other != a && o.Username == u.Username {
						want = liked.Conflict
					}
				}
			}
			same(t, "UpdateUser", kind(s.UpdateUser(t.ctx, uid(a), change)), want)
			if want == 0 {
				m.users[a] = u
			}
		case step < 72:
			viewer := t.rng.IntN(users+2) - 1 // 0: without a user; or operator
			p, err := s.Post(t.ctx, uid(viewer), pid(n))
			want := m.seesPost(viewer, n)
			same(t, "Post", kind(err), want)
			if want == 0 {
				same(t, "Post", p, m.post(n))
			}
			ids := []liked.PostID{pid(n), pid(1), pid(2), pid(n)}
			seen, err := s.Posts(t.ctx, uid(viewer), ids, store.WithMetrics)
			t.ok(err)
			for i, id := range ids {
				want := m.seesPost(viewer, number(id))
				same(t, "Posts", kind(seen[i].Err), want)
				if want == 0 {
					same(t, "Posts", seen[i].Post, m.post(number(id)))
				}
			}
			newest, err := s.NewestPosts(t.ctx, uid(viewer), []liked.UserID{uid(a), uid(b)})
			t.ok(err)
			same(t, "NewestPosts", newest, []liked.PostID{m.newest(viewer, a), m.newest(viewer, b)})
		case step < 78:
			u, err := s.User(t.ctx, uid(a))
			want, ok := m.user(a)
			if !ok {
				same(t, "User", kind(err), liked.NotFound)
			} else {
				t.noError(err)
				same(t, "User", u, want)
			}
			var wanted []liked.User
			for _, n := range []int{a, b, 1, a} {
				if u, ok := m.user(n); ok {
					wanted = append(wanted, u)
				}
			}
			users, err := s.UsersByID(t.ctx, []liked.UserID{uid(a), uid(b), uid(1), uid(a)}, store.WithMetrics)
			t.noError(err)
			same(t, "UsersByID", users, wanted)
			relations, err := s.Relations(t.ctx, uid(a), []liked.UserID{uid(b), uid(1)})
			t.noError(err)
			for i, other := range []int{b, 1} {
				same(t, "Relations", relations[i], store.Relation{Follows: m.follows[[2]int{a, other}],
					FollowedBy: m.follows[[2]int{other, a}], Blocks: m.blocks[[2]int{a, other}], BlockedBy: m.blocks[[2]int{other, a}]})
			}
		case step < 86:
			viewer := t.rng.IntN(users+2) - 1 // 0: without a user; or operator
			if want, refused := m.likedPosts(viewer, a); refused == 0 {
				same(t, "LikedPosts", walkPosts(t, s, viewer, a, 1+n%3), want)
			} else {
				_, err := s.LikedPosts(t.ctx, uid(viewer), uid(a), store.Cursor{}, 1, store.WithMetrics, nil)
				same(t, "LikedPosts", kind(err), refused)
			}
		case step < 94:
			viewer := t.rng.IntN(users+2) - 1 // 0: without a user; or operator
			if want, refused := m.likingUsers(viewer, n); refused == 0 {
				same(t, "LikingUsers", walkUsers(t, s, viewer, n, 1+a%3), want)
			} else {
				_, err := s.LikingUsers(t.ctx, uid(viewer), pid(n), store.Cursor{}, 1, store.WithMetrics, nil)
				same(t, "LikingUsers", kind(err), refused)
			}
		default:
			var ids []liked.PostID
			var want []bool
			for k := range posts {
				ids = append(ids, pid(k+1))
				want = append(want, slices.Contains(m.likes, modelLike{a, m.original(k + 1)}))
			}
			got, err := s.Liked(t.ctx, uid(a), ids)
			t.noError(err)
			same(t, "Liked", got, want)
		}
	}
	t.end(s)
	r := t.check(s)
	same(t, "report", r, store.Report{
		Users: int64(len(m.users)), Posts: int64(len(m.posts)), Likes: int64(len(m.likes)), LogEntries: m.changes,
		Problems: []string{},
	})
}
