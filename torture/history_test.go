package torture

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
)

// The world of a history: users who like, posts that are liked and in the end deleted, and clients who call for them.
const (
	historyUsers   = 10
	historyPosts   = 10
	historyClients = 32
	historyCalls   = 40 // of each client
)

// op is one call as one set saw it. A call is part of two histories: that of its post, a set of users, and that of its
// user, a set of posts. Both are listed newest first.
type op struct {
	set  string // "post 1" or "user 1"
	what string // "like", "unlike", "count", "list", "delete"
	who  byte   // the member; of a deletion among the user's posts, the post
}

// result is what a call was answered.
type result struct {
	gone    bool // the post is not there
	count   int
	list    string
	unknown bool // it did not come back: it took effect while the server it was sent to lived, or never
}

// sets is the promise, for posts and for users. The state is the members, newest first, then "|", then what was deleted:
// of a post "*", of a user the posts.
var sets = porcupine.NondeterministicModel{
	Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
		bySet := make(map[string][]porcupine.Operation)
		for _, o := range history {
			bySet[o.Input.(op).set] = append(bySet[o.Input.(op).set], o)
		}
		return slices.Collect(maps.Values(bySet))
	},
	Init: func() []any { return []any{"|"} },
	Step: func(state, input, output any) []any {
		o, r := input.(op), output.(result)
		ok, next := step(state.(string), o, r)
		switch {
		case r.unknown && next != state:
			return []any{state, next}
		case r.unknown || ok:
			return []any{next}
		}
		return nil
	},
	DescribeOperation: func(input, output any) string { return fmt.Sprintf("%+v -> %+v", input, output) },
}

// step returns what the state is after the call, and whether it may be answered so.
func step(state string, o op, r result) (ok bool, next string) {
	members, deleted, _ := strings.Cut(state, "|")
	post := strings.HasPrefix(o.set, "post")
	gone := strings.IndexByte(deleted, o.who) >= 0
	if post {
		gone = deleted != ""
	}
	without := strings.ReplaceAll(members, string(o.who), "")
	switch o.what {
	case "like":
		switch {
		case gone:
			return r.gone, state
		case without == members:
			return !r.gone, string(o.who) + members + "|" + deleted
		}
		return !r.gone, state
	case "unlike":
		return !r.gone, without + "|" + deleted
	case "delete":
		switch {
		case post:
			return true, "|*"
		case !gone:
			deleted += string(o.who)
		}
		return true, without + "|" + deleted
	case "count":
		return r.gone == gone && (gone || r.count == len(members)), state
	}
	return r.gone == (post && gone) && r.list == members, state
}

// stage is a server, or several on one database, with posts of their own for each history.
type stage struct {
	m      *machine // one of them
	c      *http.Client
	users  []user // of the history
	author user   // of the posts
	app    string // authorization of an app
	posts  []string
	bases  []string // where the clients call, each at one of them
	net    *network // between them; nil: none
	kills  int

	// fail kills something under its calls, and returns how to start the servers that are gone. Nothing that these were asked
	// is still under way then, and those that are left answer.
	fail func() (start func())

	gate  sync.RWMutex // held for reading by each request: when it is locked, no request is under way
	clock atomic.Int64
	mu    sync.Mutex
	ops   []porcupine.Operation
	open  []int // of ops: unknown calls to the server that runs now
}

// newStage starts a server that is the program.
func newStage(t *testing.T, program string) *stage {
	m := newMachine(t, "--users", fmt.Sprint(historyUsers+1), "--posts", "0", "--rate-limits", "off")
	m.bin = program
	m.start()
	return onStage(t, m)
}

func onStage(t *testing.T, m *machine) *stage {
	return &stage{
		m: m, c: client(t), bases: []string{m.URL},
		users: m.Users[:historyUsers], author: m.Users[historyUsers], app: bearer(m.Apps[0].BearerToken),
	}
}

// behindNetwork lets clients call the only server through a network that can be stormy, each time on a connection of its own.
func (s *stage) behindNetwork(t *testing.T) {
	s.net = newNetwork(t)
	s.net.to(s.m.URL)
	s.fail = func() func() {
		s.m.kill()
		return func() {
			s.m.start()
			s.net.to(s.m.URL)
		}
	}
	s.bases = []string{s.net.url}
	s.c = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: time.Minute}
}

// clear begins a history: the likes of earlier ones are of posts that are gone.
func (s *stage) clear() {
	for _, id := range s.posts {
		s.m.must(s.c, del("/2/tweets/"+id, bearer(s.author.AccessToken)), nil)
	}
	s.posts, s.ops = nil, nil
	for range historyPosts {
		var made struct{ Data struct{ ID string } }
		s.m.must(s.c, request{"POST", "/2/tweets", bearer(s.author.AccessToken), "application/json",
			fmt.Sprintf(`{"text":"history %d"}`, counter.Add(1))}, &made)
		s.posts = append(s.posts, made.Data.ID)
	}
}

// call makes one random call and notes what was answered.
func (s *stage) call(t testing.TB, rng *rand.Rand, client int) {
	u, p := rng.IntN(historyUsers), rng.IntN(historyPosts)
	who, post := s.users[u], s.posts[p]
	byPost := op{set: fmt.Sprintf("post %d", p), who: byte('0' + u)}
	byUser := op{set: fmt.Sprintf("user %d", u), who: byte('a' + p)}
	var r request
	var ops []op
	what := ""
	switch n := rng.IntN(100); {
	case n < 25:
		what, r = "like", like(who.ID, post, bearer(who.AccessToken), true)
	case n < 45:
		what, r = "unlike", like(who.ID, post, bearer(who.AccessToken), false)
	case n < 65:
		what, r = "count", get("/2/tweets/"+post+"?tweet.fields=public_metrics", s.app)
	case n < 82:
		what, r = "list", s.likers(p)
	case n < 99 || client != 0:
		what, r = "list", s.liked(u)
		byPost.set = ""
	default:
		what, r = "delete", del("/2/tweets/"+post, bearer(s.author.AccessToken))
	}
	byPost.what, byUser.what = what, what
	switch {
	case byPost.set == "":
		ops = []op{byUser}
	case what == "count" || what == "list":
		ops = []op{byPost}
	case what == "delete":
		ops = []op{byPost}
		for i := range historyUsers {
			byUser.set = fmt.Sprintf("user %d", i)
			ops = append(ops, byUser)
		}
	default:
		ops = []op{byPost, byUser}
	}

	s.gate.RLock()
	defer s.gate.RUnlock()
	s.note(t, s.bases[client%len(s.bases)], client, r, ops)
}

// note makes a call and notes what was answered, for each set that it is about.
func (s *stage) note(t testing.TB, base string, client int, r request, ops []op) {
	begin := s.clock.Add(1)
	a, err := send(s.c, base, r)
	end := s.clock.Add(1)
	var got result
	switch {
	case err != nil && r.method == "GET":
		return // it changed nothing and says nothing
	case err != nil:
		got.unknown, end = true, math.MaxInt64
	default:
		if got, err = read(ops[0].what, a); err != nil {
			t.Errorf("%s %s: %d %s: %v", r.method, r.path, a.status, a.body, err)
			return
		}
	}
	if ops[0].what == "list" {
		got.list = s.letters(got.list)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, o := range ops {
		if got.unknown {
			s.open = append(s.open, len(s.ops))
		}
		s.ops = append(s.ops, porcupine.Operation{ClientId: client, Input: o, Call: begin, Output: got, Return: end})
	}
}

// likers asks who likes a post.
func (s *stage) likers(p int) request {
	return get("/2/tweets/"+s.posts[p]+"/liking_users", s.app)
}

// liked asks what a user likes.
func (s *stage) liked(u int) request {
	return get("/2/users/"+s.users[u].ID+"/liked_tweets", s.app)
}

// letters turns a list of ids into one letter each. Posts of earlier histories are gone, and not listed.
func (s *stage) letters(ids string) string {
	var b strings.Builder
	for id := range strings.FieldsSeq(ids) {
		if i := slices.Index(s.posts, id); i >= 0 {
			b.WriteByte(byte('a' + i))
		} else if i := slices.IndexFunc(s.users, func(u user) bool { return u.ID == id }); i >= 0 {
			b.WriteByte(byte('0' + i))
		} else {
			b.WriteByte('?')
		}
	}
	return b.String()
}

// read reads an answer. It is an error if it is none that the call can have.
func read(what string, a answer) (r result, err error) {
	const lost = `"message":"This tweet cannot be found."`
	switch {
	case what == "like" && a.status == 400 && strings.Contains(string(a.body), lost):
		return result{gone: true}, nil
	case a.status != 200:
		return r, fmt.Errorf("status %d", a.status)
	}
	switch what {
	case "like", "unlike":
		if want := fmt.Sprintf(`{"data":{"liked":%v}}`, what == "like"); string(a.body) != want {
			err = fmt.Errorf("want %s", want)
		}
	case "delete":
		if string(a.body) != `{"data":{"deleted":true}}` {
			err = fmt.Errorf("not deleted")
		}
	case "count":
		var found struct {
			Data *struct {
				Metrics struct {
					Likes int `json:"like_count"`
				} `json:"public_metrics"`
			}
		}
		if err = json.Unmarshal(a.body, &found); err == nil {
			if r.gone = found.Data == nil; !r.gone {
				r.count = found.Data.Metrics.Likes
			}
		}
	case "list":
		var found struct {
			Data   []struct{ ID string }
			Errors []struct{ Title string }
		}
		err = json.Unmarshal(a.body, &found)
		r.gone = len(found.Errors) > 0
		for _, item := range found.Data {
			r.list += item.ID + " "
		}
	}
	return r, err
}

// restart has the server fail under its calls and starts the next one. Clients wait for it, so that what the old one has
// not answered is over before anything else begins: each call that stays open lets a history be read in twice as many
// ways. What the new one finds is noted first.
func (s *stage) restart(t testing.TB) {
	alone := make(chan struct{})
	go func() { s.gate.Lock(); close(alone) }()
	start := s.fail()
	s.kills++
	<-alone
	defer s.gate.Unlock()
	at := s.clock.Add(1)
	for _, i := range s.open {
		s.ops[i].Return = at
	}
	s.open = nil
	start()
	for p := range s.posts {
		s.note(t, s.m.URL, historyClients, s.likers(p), []op{{set: fmt.Sprintf("post %d", p), what: "list"}})
	}
	for u := range s.users {
		s.note(t, s.m.URL, historyClients, s.liked(u), []op{{set: fmt.Sprintf("user %d", u), what: "list"}})
	}
}

// record lets all clients call at once, and chaos happen meanwhile, until it is told that the calls are over.
func (s *stage) record(t testing.TB, rng *rand.Rand, chaos func(over <-chan struct{})) []porcupine.Operation {
	s.clear()
	var clients sync.WaitGroup
	for i := range historyClients {
		rng := split(rng)
		clients.Go(func() {
			for range historyCalls {
				s.call(t, rng, i)
			}
		})
	}
	over := make(chan struct{})
	go func() { clients.Wait(); close(over) }()
	if chaos != nil {
		chaos(over)
	}
	<-over
	return s.ops
}

// underFaults records a history while connections are slow and cut, if there is a network, and what may fail does so again and
// again. How it ends is known.
func (s *stage) underFaults(t testing.TB, rng *rand.Rand) []porcupine.Operation {
	s.record(t, rng, func(over <-chan struct{}) {
		if s.net != nil {
			s.net.storm(split(rng))
		}
		for {
			select {
			case <-over:
				return
			case <-time.After(time.Duration(rng.IntN(600)) * time.Millisecond):
			}
			s.restart(t)
		}
	})
	if s.net != nil {
		s.net.calm()
	}
	s.restart(t)
	return s.ops
}

// check has porcupine check a history.
func check(history []porcupine.Operation) porcupine.CheckResult {
	return porcupine.CheckOperationsTimeout(sets.ToModel(), history, time.Minute)
}

// TestLinearizable holds histories of many clients, while connections are slow and cut and the server is killed, to
// what one client alone could have seen.
func TestLinearizable(t *testing.T) {
	t.Parallel()
	rng := dice(t)
	s := newStage(t, bin)
	s.behindNetwork(t)
	s.hold(t, rng, *histories, "likes, lists, counts and deletions are linearizable under faults", func() string {
		return fmt.Sprintf("%d kills, %d connections cut", s.kills, s.net.cuts.Load())
	})
	if s.net.cuts.Load() == 0 {
		t.Error("no connection was cut, which tests nothing")
	}
}

// hold records so many histories under faults, and holds them to the promise. also is what else was done for it.
func (s *stage) hold(t *testing.T, rng *rand.Rand, wanted int, promise string, also func() string) {
	var n, calls, unknown, undecided int
	outcome(t, promise, func() string {
		return fmt.Sprintf("%d histories of %d clients, %d operations of which %d without an answer, %s",
			n, historyClients, calls, unknown, also())
	})
	for n < wanted && !t.Failed() {
		history := s.underFaults(t, rng)
		calls += len(history)
		for _, o := range history {
			if o.Output.(result).unknown {
				unknown++
			}
		}
		switch got := check(history); got {
		case porcupine.Ok:
			n++
		case porcupine.Unknown: // too many orders to try in a minute: it shows nothing, and another takes its place
			if undecided++; undecided > wanted {
				t.Errorf("%d histories could not be checked, and %d were", undecided, n)
			}
		default:
			show(t, history)
			t.Errorf("history %d is %v, want Ok", n, got)
		}
	}
	if unknown == 0 {
		t.Error("all calls were answered, which tests nothing")
	}
}

// show logs the history that breaks the promise, or each where it is not known.
func show(t *testing.T, history []porcupine.Operation) {
	for _, part := range sets.Partition(history) {
		if check(part) == porcupine.Ok {
			continue
		}
		slices.SortFunc(part, func(a, b porcupine.Operation) int { return int(a.Call - b.Call) })
		for _, o := range part {
			t.Logf("%d-%d client %d: %s", o.Call, o.Return, o.ClientId, sets.DescribeOperation(o.Input, o.Output))
		}
	}
}
