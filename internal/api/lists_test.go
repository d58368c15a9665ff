package api_test

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"liked"
	"liked/internal/api"
	"liked/internal/auth"
	"liked/internal/enginetest"
	"liked/internal/exchange"
	"liked/internal/livetest"
	"liked/internal/store"
)

func TestMain(m *testing.M) {
	flag.Parse()
	switch {
	case os.Getenv(enginetest.Environment) != "": // each call goes over a connection
		fewer("5")
	case livetest.Raced(): // pebble notes a stack for every table that it opens then: tests by model take twenty times as long
		fewer("25")
	}
	enginetest.Main(m)
}

// fewer sets how many histories a test by model makes, unless a flag says it.
func fewer(checks string) {
	if f := flag.Lookup("rapid.checks"); f.Value.String() == f.DefValue {
		if err := flag.Set(f.Name, checks); err != nil {
			panic(err)
		}
	}
}

// TestLists holds every list, count and page to a model in its plainest form, while people like, unlike, delete, block,
// follow, protect and are suspended at random, and the server restarts.
func TestLists(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		m := newListModel(r, enginetest.Place(t))
		defer m.close()
		r.Repeat(map[string]func(*rapid.T){
			"like":       func(t *rapid.T) { m.setLike(t, true) },
			"unlike":     func(t *rapid.T) { m.setLike(t, false) },
			"like anew":  func(t *rapid.T) { m.setLike(t, false); m.setLike(t, true) },
			"delete":     m.deletePost,
			"protect":    m.protect,
			"suspend":    m.suspend,
			"follow":     func(t *rapid.T) { m.relate(t, m.store.SetFollow, m.follows) },
			"block":      func(t *rapid.T) { m.relate(t, m.store.SetBlock, m.blocks) },
			"restart":    m.restart,
			"begin walk": m.beginWalk,
			"walk on":    m.walkOn,
			"walk far":   func(t *rapid.T) { m.walkOn(t); m.walkOn(t); m.walkOn(t) },
			"":           m.check,
		})
	})
}

const (
	listUsers = 6
	listPosts = 14 // the last two are reposts of the first two
)

type listModel struct {
	place  func() (store.Store, error)
	store  store.Store
	server *httptest.Server
	tokens [listUsers + 1]string // 0 is a caller without a user

	hidden, protected [listUsers + 1]bool
	follows, blocks   map[[2]int]bool
	deleted           [listPosts + 1]bool
	likes             []listLike // oldest first
	made              int        // likes ever
	walks             []*listWalk
	at                time.Time
}

type listLike struct{ id, user, post int }

func authorOf(post int) int { return 1 + post%3 } // the others only like

func original(post int) int {
	if post > listPosts-2 {
		return post - (listPosts - 2)
	}
	return post
}

func newListModel(t *rapid.T, place func() (store.Store, error)) *listModel {
	m := &listModel{place: place, follows: map[[2]int]bool{}, blocks: map[[2]int]bool{}, at: start}
	m.open(t)
	ctx := context.Background()
	for i := 1; i <= listUsers; i++ {
		must(t, m.store.AddUser(ctx, liked.User{ID: liked.UserID(i), Username: fmt.Sprint("user", i), Name: "User", CreatedAt: start}))
	}
	for i := 1; i <= listPosts; i++ {
		p := liked.Post{ID: liked.PostID(i), Author: liked.UserID(authorOf(i)), Text: "post", CreatedAt: start}
		if original(i) != i {
			p.RepostOf = liked.PostID(original(i))
		}
		must(t, m.store.AddPost(ctx, p))
	}
	for i, n := range rapid.Permutation(numbers(listUsers*(listPosts-2))).Draw(t, "likes") {
		like := listLike{i + 1, 1 + n%listUsers, 1 + n/listUsers}
		_, err := m.store.SetLike(ctx, liked.UserID(like.user), liked.PostID(like.post), true, start)
		must(t, err)
		m.likes = append(m.likes, like)
	}
	m.made = len(m.likes)
	au := m.auth(t)
	app, secrets, err := au.NewApp(ctx, liked.App{Name: "demo"})
	must(t, err)
	m.tokens[0] = secrets.Bearer
	for i := 1; i <= listUsers; i++ {
		token, err := au.IssueTokens(ctx, app.ID, liked.UserID(i), liked.AllScopes, 1000*time.Hour)
		must(t, err)
		m.tokens[i] = token.AccessToken
	}
	return m
}

func numbers(n int) (all []int) {
	for i := range n {
		all = append(all, i)
	}
	return all
}

func must(t *rapid.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (m *listModel) now() time.Time { return m.at }

func (m *listModel) auth(t *rapid.T) *auth.Auth {
	baseURL := func(r *http.Request) string { return "http://" + r.Host }
	au := auth.New(auth.Options{Store: m.store, Now: m.now, Rand: rand.Reader, BaseURL: baseURL})
	return au
}

func (m *listModel) open(t *rapid.T) {
	var err error
	m.store, err = m.place()
	must(t, err)
	au := m.auth(t)
	o := api.Options{Store: m.store, Auth: au, Limits: api.NoLimits(), Now: m.now, PageKey: [32]byte{7}}
	o.Hooks = newHooks(m.store, au, o)
	a, err := api.New(o)
	must(t, err)
	m.server = httptest.NewServer(a)
}

func (m *listModel) close() error {
	m.server.Close()
	return m.store.Close()
}

func (m *listModel) restart(t *rapid.T) {
	must(t, m.close())
	m.open(t)
}

func anyUser(t *rapid.T) int { return rapid.IntRange(1, listUsers).Draw(t, "user") }
func anyPost(t *rapid.T) int { return rapid.IntRange(1, listPosts).Draw(t, "post") }

// sees returns 0, NotFound or Forbidden.
func (m *listModel) sees(viewer, user int) liked.Kind {
	switch {
	case m.hidden[user]:
		return liked.NotFound
	case viewer == user:
		return 0
	case m.blocks[[2]int{user, viewer}], m.protected[user] && !m.follows[[2]int{viewer, user}]:
		return liked.Forbidden
	}
	return 0
}

// seesPost is sees for a post, and for its original.
func (m *listModel) seesPost(viewer, post int) liked.Kind {
	for _, p := range []int{post, original(post)} {
		if m.deleted[p] {
			return liked.NotFound
		}
		if k := m.sees(viewer, authorOf(p)); k != 0 {
			return k
		}
	}
	return 0
}

func (m *listModel) setLike(t *rapid.T, on bool) {
	user, post := anyUser(t), anyPost(t)
	if m.hidden[user] {
		return
	}
	m.at = m.at.Add(time.Duration(rapid.IntRange(-2, 3).Draw(t, "ms")) * time.Millisecond)
	method, path, body := "POST", fmt.Sprintf("/2/users/%d/likes", user), fmt.Sprintf(`{"tweet_id":"%d"}`, post)
	if !on {
		method, path, body = "DELETE", path+"/"+fmt.Sprint(post), ""
	}
	resp, text := m.call(t, user, method, path, body)
	kind := liked.Kind(0)
	if on {
		kind = m.seesPost(user, post)
		if other := m.seesPost(user, original(post)); other == liked.NotFound {
			kind = other
		}
	}
	if want := map[liked.Kind]int{0: 200, liked.NotFound: 400, liked.Forbidden: 403}[kind]; resp.StatusCode != want {
		t.Fatalf("%s %s %s: got %d %s, want %d", method, path, body, resp.StatusCode, text, want)
	}
	if kind != 0 {
		return
	}
	i := slices.IndexFunc(m.likes, func(l listLike) bool { return l.user == user && l.post == original(post) })
	switch {
	case on && i < 0:
		m.made++
		m.likes = append(m.likes, listLike{m.made, user, original(post)})
	case !on && i >= 0:
		m.likes = slices.Delete(m.likes, i, i+1)
	}
}

func (m *listModel) deletePost(t *rapid.T) {
	post := anyPost(t)
	if m.deleted[post] || rapid.IntRange(0, 3).Draw(t, "really") != 0 {
		return
	}
	must(t, m.store.DeletePost(context.Background(), 0, liked.PostID(post)))
	m.deleted[post] = true
}

func (m *listModel) protect(t *rapid.T) {
	user := anyUser(t)
	m.protected[user] = !m.protected[user]
	m.change(t, user)
}

func (m *listModel) suspend(t *rapid.T) {
	user := anyUser(t)
	m.hidden[user] = !m.hidden[user]
	m.change(t, user)
}

func (m *listModel) change(t *rapid.T, user int) {
	must(t, m.store.UpdateUser(context.Background(), liked.UserID(user), func(u *liked.User) error {
		u.State, u.Protected = liked.Active, m.protected[user]
		if m.hidden[user] {
			u.State = liked.Suspended
		}
		return nil
	}))
}

func (m *listModel) relate(t *rapid.T, set func(context.Context, liked.UserID, liked.UserID, bool) (bool, error), is map[[2]int]bool) {
	a, b := anyUser(t), anyUser(t)
	if a == b {
		return
	}
	on := !is[[2]int{a, b}]
	_, err := set(context.Background(), liked.UserID(a), liked.UserID(b), on)
	must(t, err)
	is[[2]int{a, b}] = on
	if on && fmt.Sprintf("%p", is) == fmt.Sprintf("%p", m.blocks) { // a block ends the follows
		delete(m.follows, [2]int{a, b})
		delete(m.follows, [2]int{b, a})
	}
}

// list is one of the lists: of the posts that the user likes, or of the users who like the post.
type list struct {
	posts bool
	of    int
}

func (l list) path() string {
	if l.posts {
		return fmt.Sprintf("/2/users/%d/liked_tweets", l.of)
	}
	return fmt.Sprintf("/2/tweets/%d/liking_users", l.of)
}

// want returns what the viewer sees of the list, newest first, by the item's id, or why they see nothing.
func (m *listModel) want(viewer int, l list) (likes []listLike, kind liked.Kind) {
	if kind = m.seesPost(viewer, l.of); l.posts {
		kind = m.sees(viewer, l.of)
	}
	if kind != 0 {
		return nil, kind
	}
	for _, like := range slices.Backward(m.likes) {
		if l.posts && like.user == l.of && m.seesPost(viewer, like.post) == 0 ||
			!l.posts && like.post == original(l.of) && m.sees(viewer, like.user) == 0 {
			likes = append(likes, like)
		}
	}
	return likes, 0
}

func (l list) item(like listLike) int {
	if l.posts {
		return like.post
	}
	return like.user
}

// pageAnswer is as much of an answer as the tests read.
type pageAnswer struct {
	Data []struct {
		ID      string `json:"id"`
		Metrics *struct {
			Likes int `json:"like_count"`
		} `json:"public_metrics"`
	} `json:"data"`
	Errors []struct {
		Title string `json:"title"`
	} `json:"errors"`
	Meta struct {
		Count    int    `json:"result_count"`
		Next     string `json:"next_token"`
		Previous string `json:"previous_token"`
	} `json:"meta"`
}

func (m *listModel) call(t *rapid.T, viewer int, method, target, body string) (*http.Response, string) {
	r, err := http.NewRequest(method, m.server.URL+target, strings.NewReader(body))
	must(t, err)
	r.Header.Set("Authorization", "Bearer "+m.tokens[viewer])
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept-Encoding", "identity") // the race detector makes compression take most of the time
	resp, err := m.server.Client().Do(r)
	must(t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	must(t, err)
	return resp, string(text)
}

func (m *listModel) get(t *rapid.T, viewer int, target string) (p pageAnswer) {
	resp, text := m.call(t, viewer, "GET", target, "")
	if err := json.Unmarshal([]byte(text), &p); err != nil || resp.StatusCode != 200 {
		t.Fatalf("GET %s by %d: %d %s", target, viewer, resp.StatusCode, text)
	}
	if strings.Contains(target, "/lik") && p.Meta.Count != len(p.Data) {
		t.Fatalf("GET %s: result_count %d with %d items", target, p.Meta.Count, len(p.Data))
	}
	return p
}

func (m *listModel) someViewer(t *rapid.T) int {
	viewer := rapid.IntRange(0, listUsers).Draw(t, "viewer")
	if m.hidden[viewer] { // cannot read at all
		return 0
	}
	return viewer
}

func refusal(kind liked.Kind, posts bool) string {
	switch {
	case kind == liked.Forbidden:
		return "Authorization Error"
	case kind == liked.NotFound && posts:
		return "Forbidden" // suspended
	case kind == liked.NotFound:
		return "Not Found Error"
	}
	return ""
}

// check compares all lists and all counts as one viewer sees them, and the store with itself.
func (m *listModel) check(t *rapid.T) {
	viewer := m.someViewer(t)
	for i := 1; i <= listUsers+listPosts; i++ {
		l := list{posts: true, of: i}
		if i > listUsers {
			l = list{of: i - listUsers}
		}
		p := m.get(t, viewer, l.path())
		want, kind := m.want(viewer, l)
		title := ""
		if len(p.Errors) > 0 {
			title = p.Errors[0].Title
		}
		if title != refusal(kind, l.posts) {
			t.Fatalf("GET %s by %d: got %q, want %q", l.path(), viewer, title, refusal(kind, l.posts))
		}
		var got, wanted []string
		for _, d := range p.Data {
			got = append(got, d.ID)
		}
		for _, like := range want {
			wanted = append(wanted, fmt.Sprint(l.item(like)))
		}
		if !slices.Equal(got, wanted) {
			t.Fatalf("GET %s by %d: got %v, want %v", l.path(), viewer, got, wanted)
		}
	}
	count := func(target string, of func(listLike) int) {
		for _, d := range m.get(t, viewer, target).Data {
			n := 0
			for _, like := range m.likes {
				if fmt.Sprint(of(like)) == d.ID {
					n++
				}
			}
			if d.Metrics.Likes != n {
				t.Fatalf("like_count of %s in %s: got %d, want %d", d.ID, target, d.Metrics.Likes, n)
			}
		}
	}
	count("/2/users?ids=1,2,3,4,5,6&user.fields=public_metrics", func(l listLike) int { return l.user })
	count("/2/tweets?ids=1,2,3,4,5,6,7,8,9,10,11,12&tweet.fields=public_metrics", func(l listLike) int { return l.post })
	report, err := m.store.Check(context.Background())
	if err != nil || len(report.Problems) > 0 || report.Likes != int64(len(m.likes)) {
		t.Fatalf("Check: %v, %+v; want %d likes", err, report, len(m.likes))
	}
	// What was there and could be seen all through a walk must be seen by it.
	for _, w := range m.walks {
		now, _ := m.want(w.viewer, w.list)
		maps.DeleteFunc(w.must, func(like listLike, _ bool) bool { return !slices.Contains(now, like) })
	}
}

// What an answer is made of is used again by the next, which has nothing of it: neither another's items nor fields that were not
// asked for.
func TestAnswersDoNotMix(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(o *api.Options) {
		o.Limits, o.Observe = api.NoLimits(), func(*http.Request, exchange.Exchange) {}
	})
	const people = 6
	var targets []string
	for n := range people {
		w.do(fmt.Sprintf("user %d user%d", 11+n, n))
		w.do(fmt.Sprintf("post %d %d post %d", 101+n, 11+n, n))
		targets = append(targets, fmt.Sprintf("/2/users/%d/liked_tweets?max_results=%d", 11+n, 5+n),
			fmt.Sprintf("/2/users/%d/liked_tweets?expansions=author_id&tweet.fields=created_at,public_metrics&user.fields=url", 11+n),
			fmt.Sprintf("/2/tweets/%d/liking_users?max_results=%d", 101+n, 1+n),
			fmt.Sprintf("/2/tweets/%d/liking_users?user.fields=public_metrics,description,most_recent_tweet_id&expansions=most_recent_tweet_id",
				101+n),
			fmt.Sprintf("/2/tweets/%d?expansions=author_id", 101+n), fmt.Sprintf("/2/users/%d?user.fields=verified", 11+n))
	}
	for n := range people {
		for m := range n + 1 {
			w.do(fmt.Sprintf("like %d %d", 11+n, 101+m))
		}
	}
	get := func(target string) string {
		r, err := http.NewRequest("GET", w.url+target, nil)
		if err != nil {
			return err.Error()
		}
		r.Header.Set("Authorization", w.tokens["user0"])
		resp, err := w.transport.RoundTrip(r)
		if err != nil {
			return err.Error()
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		return fmt.Sprint(resp.StatusCode, string(text), err)
	}
	want := make([]string, len(targets))
	for i, target := range targets {
		if want[i] = get(target); !strings.HasPrefix(want[i], "200{") {
			t.Fatalf("GET %s: got %s", target, want[i])
		}
	}
	var callers sync.WaitGroup
	for caller := range 8 {
		callers.Go(func() {
			for n := range 5 * len(targets) {
				i := (n*7 + caller*5) % len(targets)
				if got := get(targets[i]); got != want[i] {
					t.Errorf("GET %s: got %s, want %s", targets[i], got, want[i])
				}
			}
		})
	}
	callers.Wait()
}

// A page without items is looked past, either way: clients take it for the last.
func TestEmptyPages(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	for _, line := range []string{
		"user 11 alice", "user 12 bob", "user 13 carol", "post 101 11 oldest", "post 102 11 newest", "follow 12 13", "like 12 101",
	} {
		w.do(line)
	}
	for i := range 200 { // a page of 5 of the store looks at 50
		w.do(fmt.Sprintf("post %d 13 hidden", 1000+i))
		w.do(fmt.Sprintf("like 12 %d", 1000+i))
	}
	w.do("like 12 102")
	w.do("protect 13")
	token := ""
	for _, want := range []struct {
		id             string
		next, previous bool
	}{{id: "102", next: true}, {id: "101", previous: true}, {id: "102", next: true}} {
		target := "/2/users/12/liked_tweets?max_results=5"
		if token != "" {
			target += "&pagination_token=" + token
		}
		var p struct {
			Data []struct{ ID string }
			Meta struct {
				Next     string `json:"next_token"`
				Previous string `json:"previous_token"`
			}
		}
		_, body := w.request("alice", "GET", target, nil)
		w.must(json.Unmarshal([]byte(body), &p))
		if len(p.Data) != 1 || p.Data[0].ID != want.id || (p.Meta.Next != "") != want.next || (p.Meta.Previous != "") != want.previous {
			t.Fatalf("GET %s: got %s, want %+v", target, body, want)
		}
		token = cmp.Or(p.Meta.Next, p.Meta.Previous)
	}
}
