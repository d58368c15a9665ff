package torture

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// load is clients that each change things of their own, so that each knows what to find.
type load struct {
	m          *machine   // is asked what is there
	servers    []*machine // which clients call, each another one in each run; m is one of them
	runs       int
	c          *http.Client
	likers     []*liker
	refreshers []*refresher
	granters   []*granter
	publishers []*publisher
	readers    *readers

	acknowledged, unanswered atomic.Int64
	crashes                  *atomic.Int64 // of a database, counted before and after: a call under way may count twice, or not
}

func newLoad(m *machine, rng *rand.Rand) *load {
	m.t.Helper()
	l := &load{m: m, servers: []*machine{m}, c: client(m.t), crashes: new(atomic.Int64)}
	for i := range m.Users {
		switch {
		case i < 26:
			l.likers = append(l.likers, &liker{load: l, user: i, signs: i%4 == 0, likes: make(map[string]bool)})
		case i < 32:
			l.refreshers = append(l.refreshers, &refresher{load: l, user: i, current: m.Users[i].RefreshToken, access: m.Users[i].AccessToken})
		case i < 36:
			l.granters = append(l.granters, &granter{load: l, user: i})
		default:
			l.publishers = append(l.publishers, &publisher{load: l, user: i, posts: make(map[string]bool)})
		}
	}
	l.readers = newReaders(l)
	l.readers.assign(rng)
	return l
}

// at is the server that a client calls in this run.
func (l *load) at(user int) *machine { return l.servers[(user+l.runs)%len(l.servers)] }

// call makes one request for a client while its server may be killed. If it is not answered, ok is false. An answer must
// have one of the statuses.
func (l *load) call(user int, r request, statuses ...int) (a answer, ok bool) {
	a, err := send(l.c, l.at(user).URL, r)
	if err != nil {
		l.unanswered.Add(1)
		return a, false
	}
	for _, s := range statuses {
		if a.status == s {
			l.acknowledged.Add(1)
			return a, true
		}
	}
	l.m.t.Errorf("%s %s: got %d %s, want %v", r.method, r.path, a.status, a.body, statuses)
	return a, false
}

// run lets all clients work for the time given, and until the end of what then befalls the servers.
func (l *load) run(rng *rand.Rand, d time.Duration, befalls func()) {
	var clients sync.WaitGroup
	var over atomic.Bool
	l.runs++
	l.readers.connect(rng, d)
	for _, step := range l.steps() {
		rng := split(rng)
		clients.Go(func() {
			for !over.Load() && step(rng) {
			}
		})
	}
	time.Sleep(d)
	befalls()
	over.Store(true)
	clients.Wait()
	l.c.CloseIdleConnections()
}

// kill ends the only server, and with it all streams.
func (l *load) kill() {
	l.m.kill()
	l.readers.wait()
}

// steps is what each client does, again and again until it reports that it was not answered.
func (l *load) steps() (all []func(*rand.Rand) bool) {
	for _, c := range l.likers {
		all = append(all, c.step)
	}
	for _, c := range l.refreshers {
		all = append(all, c.step)
	}
	for _, c := range l.granters {
		all = append(all, c.step)
	}
	for _, c := range l.publishers {
		all = append(all, c.step)
	}
	return all
}

func (l *load) verify() {
	for _, c := range l.refreshers {
		c.verify()
	}
	for _, c := range l.granters {
		c.verify()
	}
	for _, c := range l.publishers {
		c.verify()
	}
	for _, c := range l.likers {
		c.verify()
	}
	l.counts()
}

// counts holds the like count of every post to the lists that were just read.
func (l *load) counts() {
	want := make(map[string]int)
	var ids []string
	for _, p := range l.m.Posts {
		ids = append(ids, p.ID)
		for _, c := range l.likers {
			if c.likes[p.ID] {
				want[p.ID]++
			}
		}
	}
	counts := l.m.likeCounts(l.c, ids)
	if len(counts) != len(ids) {
		l.m.t.Errorf("got %d posts, want %d", len(counts), len(ids))
	}
	for id, n := range counts {
		if n != want[id] {
			l.m.t.Errorf("post %s: got %d likes, want the %d of the lists", id, n, want[id])
		}
	}
}

// liker likes and unlikes, each time changing something.
type liker struct {
	*load
	user      int
	signs     bool     // with OAuth 1.0a
	partition int      // of its changes, from 1
	posts     []string // that no other client of the partition likes
	likes     map[string]bool
	pending   string   // the post of a request that was not answered
	changes   []change // that the streams were not compared with yet
	windows   [2][2]window
	replay    request // the last request that was signed and answered
}

// window is a rate window as answers have shown it.
type window struct {
	remaining, reset int64
	lost             int64 // calls without an answer since, which may have counted
	crashes          int64 // before the last call that was answered
}

func (c *liker) request(post string, on bool) request {
	u := c.m.Users[c.user]
	if !c.signs {
		return like(u.ID, post, bearer(u.AccessToken), on)
	}
	r := like(u.ID, post, "", on)
	r.authorization = c.m.oauth1(u, r.method, r.path)
	return r
}

func (c *liker) step(rng *rand.Rand) bool {
	post := c.posts[rng.IntN(len(c.posts))]
	on := !c.likes[post]
	r := c.request(post, on)
	c.pending = post
	crashes := c.crashes.Load()
	a, ok := c.call(c.user, r, 200)
	windows := &c.windows[0]
	if !on {
		windows = &c.windows[1]
	}
	if !ok {
		for i := range windows {
			windows[i].lost++
		}
		return false
	}
	c.pending = ""
	c.likes[post] = on
	c.changes = append(c.changes, change{post, on})
	if want := fmt.Sprintf(`{"data":{"liked":%v}}`, on); string(a.body) != want {
		c.m.t.Errorf("got %s, want %s", a.body, want)
	}
	for i, prefix := range []string{"X-Rate-Limit-", "X-User-Limit-24hour-"} {
		if err := windows[i].follow(a.header, prefix, c.crashes.Load()); err != nil {
			c.m.t.Errorf("user %d: %s: %v", c.user, prefix, err)
		}
		windows[i].crashes = crashes
	}
	if c.signs {
		c.replay = r
	}
	return true
}

// follow holds the window to the last answer: it has counted every answered call, and what was not answered at most once.
func (w *window) follow(h http.Header, prefix string, crashes int64) error {
	last := *w
	var err1, err2 error
	w.remaining, err1 = strconv.ParseInt(h.Get(prefix+"Remaining"), 10, 64)
	w.reset, err2 = strconv.ParseInt(h.Get(prefix+"Reset"), 10, 64)
	w.lost = 0
	crashes -= last.crashes
	least, most := max(0, 1-crashes), 1+last.lost+crashes
	switch {
	case err1 != nil || err2 != nil:
		return fmt.Errorf("the headers are missing: %v", h)
	case last.reset == 0 || time.Now().Unix() >= last.reset:
		return nil // a new one
	case w.reset != last.reset:
		return fmt.Errorf("the window ends at %d, before the kill at %d", w.reset, last.reset)
	case w.remaining > last.remaining-least || w.remaining < last.remaining-most:
		return fmt.Errorf("%d remain, before %d, with %d to %d calls since", w.remaining, last.remaining, least, most)
	}
	return nil
}

func (c *liker) verify() {
	u := c.m.Users[c.user]
	var found struct{ Data []struct{ ID string } }
	c.m.must(c.c, get("/2/users/"+u.ID+"/liked_tweets?max_results=100", bearer(u.AccessToken)), &found)
	got := make(map[string]bool)
	for _, p := range found.Data {
		got[p.ID] = true
	}
	for _, p := range c.m.Posts {
		if got[p.ID] != c.likes[p.ID] && p.ID != c.pending {
			c.m.t.Errorf("user %d, post %s: got liked %v, acknowledged was %v", c.user, p.ID, got[p.ID], c.likes[p.ID])
		}
	}
	if on := got[c.pending]; on != c.likes[c.pending] {
		c.changes = append(c.changes, change{c.pending, on})
	}
	c.likes, c.pending = got, ""
	if c.replay.path == "" {
		return
	}
	// A nonce outlives the process that saw it: an eavesdropper must not be able to repeat a request after a crash.
	if a, err := send(c.c, c.m.URL, c.replay); err != nil || a.status != 401 {
		c.m.t.Errorf("a signed call that was answered before the kill, again: got %d %s %v, want 401", a.status, a.body, err)
	}
	c.replay = request{}
}

// refresher rotates its refresh token.
type refresher struct {
	*load
	user            int
	current, access string
	spent           string // the refresh token before current
	pending         bool
}

func (c *refresher) step(*rand.Rand) bool {
	c.pending = true
	a, ok := c.call(c.user, c.m.form("/2/oauth2/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {c.current}}), 200)
	if !ok {
		return false
	}
	c.pending = false
	c.take(a)
	return true
}

func (c *refresher) take(a answer) {
	var t struct {
		Access  string `json:"access_token"`
		Refresh string `json:"refresh_token"`
	}
	if err := json.Unmarshal(a.body, &t); err != nil || t.Access == "" || t.Refresh == "" {
		c.m.t.Errorf("a refresh: %v: %s", err, a.body)
	}
	c.spent, c.current, c.access = c.current, t.Refresh, t.Access
}

func (c *refresher) verify() {
	t := c.m.t
	refresh := func(token string) answer {
		a, err := send(c.c, c.m.URL, c.m.form("/2/oauth2/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token}}))
		if err != nil {
			t.Errorf("refresh: %v", err)
		}
		return a
	}
	if a, err := send(c.c, c.m.URL, get("/2/users/me", bearer(c.access))); err != nil || a.status != 200 {
		t.Errorf("the access token that was last given: got %d %v, want 200", a.status, err)
	}
	a := refresh(c.current)
	switch {
	case a.status == 200:
		c.take(a)
	case a.status != 400 || !c.pending:
		t.Errorf("the refresh token that was last given (pending %v): got %d %s", c.pending, a.status, a.body)
	}
	if c.spent != "" {
		if b := refresh(c.spent); b.status != 400 {
			t.Errorf("a refresh token that was spent: got %d %s, want 400", b.status, b.body)
		}
	}
	// It may have come back so late that the whole grant ended, or its successor was lost with the answer.
	c.access, c.current = issue(c.m, c.c, c.user)
	c.spent, c.pending = "", false
}

// issue has the operator give the user a pair of tokens.
func issue(m *machine, c *http.Client, n int) (access, refresh string) {
	m.t.Helper()
	a, err := send(c, m.AdminURL, issueRequest(m, n))
	var made issued
	if err == nil {
		err = json.Unmarshal(a.body, &made)
	}
	if err != nil || a.status != 201 {
		m.t.Fatalf("POST /admin/tokens: %d %s %v", a.status, a.body, err)
	}
	return made.Token, made.RefreshToken
}

type issued struct {
	Token        string
	RefreshToken string `json:"refresh_token"`
}

func issueRequest(m *machine, n int) request {
	return request{"POST", "/admin/tokens", bearer(m.AdminToken), "application/json",
		fmt.Sprintf(`{"kind":"user","app":%q,"user":%q}`, m.Apps[0].Name, m.Users[n].Username)}
}

// granter has grants made, and revokes them.
type granter struct {
	*load
	user          int
	live, revoked []string // access tokens
	pending       string   // that was being revoked
}

func (c *granter) step(rng *rand.Rand) bool {
	if len(c.live) < 4 {
		m := c.at(c.user)
		a, err := send(c.c, m.AdminURL, issueRequest(m, c.user))
		if err != nil {
			c.unanswered.Add(1)
			return false
		}
		var made issued
		if err := json.Unmarshal(a.body, &made); err != nil || a.status != 201 {
			c.m.t.Errorf("POST /admin/tokens: %d %s", a.status, a.body)
			return false
		}
		c.acknowledged.Add(1)
		c.live = append(c.live, made.Token)
		return true
	}
	i := rng.IntN(len(c.live))
	token := c.live[i]
	c.pending = token
	c.live = append(c.live[:i], c.live[i+1:]...)
	if _, ok := c.call(c.user, c.m.form("/2/oauth2/revoke", url.Values{"token": {token}}), 200); !ok {
		return false
	}
	c.pending = ""
	c.revoked = append(c.revoked, token)
	return true
}

// revoked is how long another server may still let in who was revoked.
const revoked = 2 * time.Second

func (c *granter) verify() {
	accepted := func(token string) int {
		a, err := send(c.c, c.m.URL, get("/2/users/me", bearer(token)))
		if err != nil {
			c.m.t.Errorf("GET /2/users/me: %v", err)
		}
		return a.status
	}
	for _, token := range c.live {
		if got := accepted(token); got != 200 {
			c.m.t.Errorf("a token that was issued: got %d", got)
		}
	}
	for end := time.Now().Add(revoked); len(c.revoked) > 0; {
		asked := time.Now() // what is answered after the end may have been asked before it
		switch got := accepted(c.revoked[0]); {
		case got == 401:
			c.revoked = c.revoked[1:]
		case len(c.servers) == 1 || asked.After(end):
			c.m.t.Errorf("a token that was revoked: got %d", got)
			c.revoked = nil
		}
	}
	if c.pending != "" {
		if got := accepted(c.pending); got != 200 && got != 401 {
			c.m.t.Errorf("a token that was being revoked: got %d", got)
		}
	}
	c.pending = ""
}

// publisher publishes posts, and deletes some.
type publisher struct {
	*load
	user    int
	posts   map[string]bool // whether it is there
	pending string
}

func (c *publisher) step(rng *rand.Rand) bool {
	token := bearer(c.m.Users[c.user].AccessToken)
	for id, there := range c.posts {
		if there && rng.IntN(4) == 0 {
			c.pending = id
			if _, ok := c.call(c.user, del("/2/tweets/"+id, token), 200); !ok {
				return false
			}
			c.posts[id], c.pending = false, ""
			return true
		}
	}
	a, ok := c.call(c.user, request{"POST", "/2/tweets", token, "application/json", fmt.Sprintf(`{"text":"torture %d"}`, counter.Add(1))}, 201)
	if !ok {
		return false
	}
	var made struct{ Data struct{ ID string } }
	if err := json.Unmarshal(a.body, &made); err != nil || made.Data.ID == "" {
		c.m.t.Errorf("POST /2/tweets: %s", a.body)
		return false
	}
	c.posts[made.Data.ID] = true
	return true
}

func (c *publisher) verify() {
	counts := c.m.likeCounts(c.c, slices.Collect(maps.Keys(c.posts)))
	for id, acknowledged := range c.posts {
		if _, there := counts[id]; there != acknowledged && id != c.pending {
			c.m.t.Errorf("post %s: there is %v, acknowledged was %v", id, there, acknowledged)
		}
	}
	clear(c.posts)
	c.pending = ""
}
