package webhook_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"liked"
	"liked/internal/enginetest"
	"liked/internal/likelog"
	"liked/internal/store"
	"liked/internal/webhook"
)

const secret = "the consumer secret"

// receiver is somebody's endpoint, which checks signatures and answers challenges as X's documentation shows it.
type receiver struct {
	*httptest.Server
	t *testing.T

	mu     sync.Mutex
	events []told // in the order in which they were taken
	tries  int

	status    atomic.Int64                   // of answers to events; 0: 200
	challenge atomic.Int64                   // of answers to challenges
	wrong     atomic.Bool                    // answers challenges wrong
	refuse    atomic.Pointer[func(told) int] // the status for an event, 0 for none of its own
}

// told is what the body of a test says.
type told struct {
	ID           string
	User         liked.UserID
	Post         liked.PostID
	Subscription liked.SubscriptionID
	Job          struct {
		State string `json:"job_state"`
	} `json:"replay_job_status"`
}

func newReceiver(t *testing.T) *receiver {
	r := &receiver{t: t}
	r.Server = httptest.NewServer(r)
	t.Cleanup(r.Close)
	return r
}

func mac(text []byte) string {
	h := hmac.New(sha256.New, []byte(secret))
	h.Write(text)
	return "sha256=" + base64.StdEncoding.EncodeToString(h.Sum(nil))
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if req.Method == http.MethodGet {
		token := req.URL.Query().Get("crc_token")
		if r.wrong.Load() {
			token += "x"
		}
		if status := int(r.challenge.Load()); status != 0 {
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(status)
			return
		}
		json.NewEncoder(w).Encode(map[string]string{"response_token": mac([]byte(token))})
		return
	}
	body, err := io.ReadAll(req.Body)
	if got := req.Header.Get("x-twitter-webhooks-signature"); err != nil || got != mac(body) {
		r.t.Errorf("got signature %q of %s, want %q (%v)", got, body, mac(body), err)
	}
	var e told
	if err := json.Unmarshal(body, &e); err != nil || req.Header.Get("Content-Type") != "application/json; charset=utf-8" {
		r.t.Errorf("got %s as %s: %v", body, req.Header.Get("Content-Type"), err)
	}
	status := int(r.status.Load())
	if f := r.refuse.Load(); f != nil {
		status = (*f)(e)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tries++
	if status == 0 || status < 300 {
		r.events = append(r.events, e)
	}
	if status != 0 {
		w.WriteHeader(status)
	}
}

func (r *receiver) got() []told {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.events)
}

func (r *receiver) tried() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.tries
}

// world is a store with people who like, and the delivery of it.
type world struct {
	t     *testing.T
	ctx   context.Context
	store store.Store
	hooks *webhook.Hooks
	app   liked.App
	stop  func()

	mu       sync.Mutex
	outcomes map[webhook.Outcome]int
	clock    atomic.Int64
}

const (
	author liked.UserID = 1
	people liked.UserID = 8 // users 2 to 9 like, and 10 posts
)

var quick = webhook.Pace{Attempts: 3, Backoff: time.Millisecond, Longest: 10 * time.Millisecond, Timeout: time.Minute, Letters: 100,
	Challenge: time.Hour, Patience: 28 * time.Hour, Lease: 15 * time.Second}

// patient waits long for an endpoint.
func patient() webhook.Pace {
	pace := webhook.DefaultPace()
	pace.Timeout = time.Minute
	return pace
}

func newWorld(t *testing.T, pace webhook.Pace) *world {
	t.Helper()
	return newWorldOn(t, enginetest.Open(t), pace)
}

// newWorldOn is newWorld on a store that is empty.
func newWorldOn(t *testing.T, st store.Store, pace webhook.Pace) *world {
	t.Helper()
	w := &world{
		t: t, ctx: t.Context(), store: st, outcomes: map[webhook.Outcome]int{},
		app: liked.App{ID: 1, Name: "demo", ClientID: "c", APIKey: "k"},
	}
	w.must(st.AddApp(w.ctx, store.App{App: w.app}))
	for id := author; id <= author+people; id++ {
		w.must(st.AddUser(w.ctx, liked.User{ID: id, Username: "u" + id.String(), Name: "U", CreatedAt: time.Now()}))
	}
	for id := liked.PostID(1); id <= 10; id++ {
		w.must(st.AddPost(w.ctx, liked.Post{ID: id, Author: author, Text: "x", CreatedAt: time.Now()}))
	}
	w.run(pace)
	t.Cleanup(func() {
		w.stop()
		report, err := st.Check(context.Background())
		if err != nil || len(report.Problems) > 0 {
			t.Errorf("check: %v, %v", report.Problems, err)
		}
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	})
	return w
}

// run begins to deliver; stop ends it, and waits.
func (w *world) run(pace webhook.Pace) {
	o := options(w.store, pace)
	o.Now = func() time.Time { return time.Now().Add(time.Duration(w.clock.Load())) }
	o.Count = func(o webhook.Outcome) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.outcomes[o]++
	}
	w.hooks = webhook.New(o)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); w.hooks.Run(ctx) }()
	w.stop = sync.OnceFunc(func() { cancel(); <-ended })
}

func options(st store.Store, pace webhook.Pace) webhook.Options {
	return webhook.Options{
		Store:  st,
		Log:    likelog.New(st),
		Secret: func(context.Context, liked.AppID) (string, error) { return secret, nil },
		Render: func(_ context.Context, s liked.Subscription, e liked.LikeEvent) ([]byte, error) {
			return json.Marshal(told{ID: fmt.Sprint(e.Seq, " ", s.ID), User: e.User, Post: e.Post, Subscription: s.ID})
		},
		Now:      time.Now,
		Logger:   slog.New(slog.DiscardHandler),
		Anywhere: true,
		Pace:     pace,
	}
}

func (w *world) count(o webhook.Outcome) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.outcomes[o]
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// hook registers the endpoint, and subscribes it to the likes of what the author posts.
func (w *world) hook(url string) (liked.Webhook, liked.Subscription) {
	w.t.Helper()
	k, err := w.hooks.Add(w.ctx, w.app.ID, url)
	w.must(err)
	of := liked.Subscription{App: w.app.ID, User: author, Viewer: author, Direction: liked.Inbound, Webhook: k.ID}
	s, err := w.hooks.Subscribe(w.ctx, of)
	w.must(err)
	return k, s
}

// like lets all people like the posts, from the first to the last of both.
func (w *world) like(from, to liked.PostID) (n int) {
	w.t.Helper()
	for post := from; post <= to; post++ {
		for user := author + 1; user <= author+people; user++ {
			changed, err := w.store.SetLike(w.ctx, user, post, true, time.Now())
			w.must(err)
			if changed {
				n++
			}
		}
	}
	return n
}

// until waits for something to come true.
func (w *world) until(what string, true func() bool) {
	w.t.Helper()
	const limit = 2 * time.Minute
	for deadline := time.Now().Add(limit); !true(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.t.Fatalf("%s: not within %v; %v", what, limit, w.outcomes)
		}
	}
}

// inOrder checks that each user's likes came in their order, and returns how often each id came.
func inOrder(t *testing.T, events []told) map[string]int {
	t.Helper()
	last, times := map[liked.UserID]liked.PostID{}, map[string]int{}
	for _, e := range events {
		times[e.ID]++
		if times[e.ID] == 1 && e.Post <= last[e.User] {
			t.Errorf("user %v: post %v came after post %v", e.User, e.Post, last[e.User])
		}
		last[e.User] = max(last[e.User], e.Post)
	}
	return times
}

func TestDelivers(t *testing.T) {
	t.Parallel()
	w, r := newWorld(t, quick), newReceiver(t)
	w.like(1, 1) // before anybody subscribed
	k, s := w.hook(r.URL + "/in?a=b")
	n := w.like(2, 6)
	w.until("all likes", func() bool { return len(r.got()) >= n })
	if times := inOrder(t, r.got()); len(times) != n || len(r.got()) != n {
		t.Errorf("got %d likes, %d different, want %d", len(r.got()), len(times), n)
	}
	w.until("no delay", func() bool {
		status, err := w.hooks.Status(w.ctx, w.app.ID, k.ID)
		return err == nil && status.Delay == 0 && status.Dead == 0 && status.Valid
	})

	// What is not subscribed to is not delivered; what is taken back is no event.
	w.must(w.store.DeleteSubscription(w.ctx, w.app.ID, s.ID))
	w.like(7, 7)
	_, err := w.store.SetLike(w.ctx, 2, 2, false, time.Now())
	w.must(err)
	_, err = w.hooks.Subscribe(w.ctx, liked.Subscription{App: w.app.ID, User: 2, Viewer: 2, Direction: liked.Outbound, Webhook: k.ID})
	w.must(err)
	w.like(8, 8)
	w.until("the like of user 2", func() bool { return len(r.got()) > n })
	if last := r.got()[n:]; len(last) != 1 || last[0].User != 2 || last[0].Post != 8 {
		t.Errorf("got %+v, want one like of post 8 by user 2", last)
	}
	if k.App = 2; w.hooks.Remove(w.ctx, 2, k.ID) == nil {
		t.Error("another app removes the webhook")
	}
	w.must(w.hooks.Remove(w.ctx, 1, k.ID))
	w.like(9, 9)
	if got := len(r.got()); got != n+1 {
		t.Errorf("got %d likes after the webhook was removed", got-n-1)
	}
}

func TestRetries(t *testing.T) {
	t.Parallel()
	w, r := newWorld(t, quick), newReceiver(t)
	w.hook(r.URL)
	var calls sync.Map
	refuse := func(e told) int { // the first two attempts at each
		n, _ := calls.LoadOrStore(e.ID, new(atomic.Int64))
		switch n.(*atomic.Int64).Add(1) {
		case 1:
			return []int{500, 429, 503, 302, 404, 401}[int(e.Post+liked.PostID(e.User))%6]
		case 2:
			return 500
		}
		return 0
	}
	r.refuse.Store(&refuse)
	n := w.like(1, 3)
	w.until("all likes", func() bool { return len(inOrder(t, r.got())) == n })
	w.until("counts", func() bool { return w.count(webhook.Delivered) == n })
	if failed, dead := w.count(webhook.Failed), w.count(webhook.Dead); failed != 2*n || dead != 0 {
		t.Errorf("got %d failed attempts and %d dead letters, want %d and none", failed, dead, 2*n)
	}
}

// An endpoint that answers challenges and never takes a certain like does not hold up the others.
func TestDeadLetters(t *testing.T) {
	t.Parallel()
	w, r := newWorld(t, quick), newReceiver(t)
	k, _ := w.hook(r.URL)
	refuse := func(e told) int {
		switch e.Post {
		case 2:
			return 500 // after all attempts
		case 3:
			return 400 // at once
		}
		return 0
	}
	r.refuse.Store(&refuse)
	n := w.like(1, 4)
	w.until("the likes that are taken", func() bool { return len(inOrder(t, r.got())) == n/2 })
	w.until("dead letters", func() bool { return w.count(webhook.Dead) == n/2 })
	letters, err := w.store.DeadLetters(w.ctx, k.ID, store.DeadLetter{}, 100)
	w.must(err)
	for _, d := range letters {
		attempts, why := 4, "it answered with status 500"
		if d.Event.Post == 3 {
			attempts, why = 1, "it answered with status 400"
		}
		if d.Attempts != attempts || d.Why != why {
			t.Errorf("post %v: got %d attempts, %q; want %d, %q", d.Event.Post, d.Attempts, d.Why, attempts, why)
		}
	}

	// A replay tries them again; those that are refused once more stay.
	refuse2 := func(e told) int {
		if e.Post == 3 {
			return 400
		}
		return 0
	}
	r.refuse.Store(&refuse2)
	job, err := w.hooks.Replay(w.ctx, w.app.ID, k.ID, liked.Replay{Dead: true})
	w.must(err)
	jobs := func() (states []string) {
		for _, e := range r.got() {
			if e.Job.State != "" {
				states = append(states, e.Job.State)
			}
		}
		return states
	}
	w.until("the end of the job", func() bool { return len(jobs()) == 1 })
	if job.ID == 0 || jobs()[0] != "Incomplete" {
		t.Errorf("got job %d, %v", job.ID, jobs())
	}
	r.refuse.Store(nil)
	w.until("the next job", func() bool {
		_, err := w.hooks.Replay(w.ctx, w.app.ID, k.ID, liked.Replay{Dead: true})
		return err == nil
	})
	w.until("the end of the next job", func() bool { return len(jobs()) == 2 })
	if jobs()[1] != "Complete" {
		t.Errorf("got jobs %v", jobs())
	}
	if status, err := w.hooks.Status(w.ctx, 0, k.ID); err != nil || status.Dead != 0 {
		t.Errorf("got %d dead letters, %v; want none", status.Dead, err)
	}
}

// An endpoint that answers nothing at all is waited for, and loses nothing.
func TestDown(t *testing.T) {
	t.Parallel()
	w, r := newWorld(t, quick), newReceiver(t)
	k, _ := w.hook(r.URL)
	r.status.Store(502)
	r.challenge.Store(502)
	n := w.like(1, 3)
	w.until("many attempts", func() bool { return r.tried() > 20*quick.Attempts })
	status, err := w.hooks.Status(w.ctx, 0, k.ID)
	w.must(err)
	if status.Dead != 0 || !status.Valid || status.Why != "it answered with status 502" || status.Delay <= 0 {
		t.Errorf("got status %+v", status)
	}
	r.status.Store(0)
	r.challenge.Store(0)
	w.until("all likes", func() bool { return len(inOrder(t, r.got())) == n })
}

// Nobody waits for an endpoint that takes connections and says nothing, but itself.
func TestBlackHole(t *testing.T) {
	t.Parallel()
	w, r := newWorld(t, patient()), newReceiver(t)
	hole := newReceiver(t)
	w.hook(hole.URL)
	release := make(chan struct{})
	var stuck atomic.Int64
	wait := func(told) int { stuck.Add(1); <-release; return 0 }
	hole.refuse.Store(&wait)
	t.Cleanup(func() { close(release) }) // before the server closes
	w.hook(r.URL)
	n := w.like(1, 5)
	w.until("the other endpoint's likes", func() bool { return len(inOrder(t, r.got())) == n })
	w.until("requests that hang", func() bool { return stuck.Load() == 4 })
	if len(hole.got()) != 0 {
		t.Error("the black hole has taken a like")
	}
	if s := w.hooks.Summary(); s.Valid != 2 || s.Delay <= 0 {
		t.Errorf("got summary %+v", s)
	}
}

// Two readers of an answer to a challenge understand the same, or it is no answer.
func TestChallengeAnswers(t *testing.T) {
	t.Parallel()
	w := newWorld(t, quick)
	for answer, valid := range map[string]bool{
		`{"response_token":"%s"}`:                           true,
		`{"response_token":"%s","version":2}`:               true,
		`{"Response_Token":"%s"}`:                           false,
		`{"response_token":"x","response_token":"%s"}`:      false,
		`{"response_token":"%s"}{"response_token":"%[1]s"}`: false,
		`{"response_token":"%s"} ok`:                        false,
	} {
		endpoint := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			fmt.Fprintf(rw, answer, mac([]byte(r.URL.Query().Get("crc_token"))))
		}))
		k, err := w.hooks.Add(w.ctx, w.app.ID, endpoint.URL)
		if (err == nil) != valid {
			t.Errorf("%s: got %v, want an answer: %v", answer, err, valid)
		}
		if err == nil {
			w.must(w.hooks.Remove(w.ctx, w.app.ID, k.ID))
		}
		endpoint.Close()
	}
}

func TestInvalid(t *testing.T) {
	t.Parallel()
	pace := quick
	pace.Challenge = 10 * time.Millisecond
	w, r := newWorld(t, pace), newReceiver(t)
	k, _ := w.hook(r.URL)
	valid := func(want bool) func() bool {
		return func() bool { k, err := w.hooks.Webhook(w.ctx, w.app.ID, k.ID); return err == nil && k.Valid == want }
	}
	n := w.like(1, 1)
	w.until("likes", func() bool { return len(r.got()) == n })
	r.wrong.Store(true)
	w.until("invalid", func() bool { return w.hooks.Summary().Invalid == 1 }) // delivery knows it, which may be after the store
	n += w.like(2, 2)
	if _, err := w.hooks.Validate(w.ctx, w.app.ID, k.ID); fmt.Sprint(err) != "the endpoint failed its challenge: Invalid `response_token`" {
		t.Errorf("got error %v", err)
	}
	if _, err := w.hooks.Replay(w.ctx, w.app.ID, k.ID, liked.Replay{}); err == nil {
		t.Error("an invalid webhook replays")
	}
	time.Sleep(100 * time.Millisecond) // longer than a look at the log; nothing must come
	if got := len(r.got()); got != n/2 {
		t.Errorf("got %d likes while invalid, want %d", got, n/2)
	}
	r.wrong.Store(false)
	if k, err := w.hooks.Validate(w.ctx, w.app.ID, k.ID); err != nil || !k.Valid || k.Why != "" {
		t.Errorf("got %+v, %v", k, err)
	}
	w.until("what waited", func() bool { return len(inOrder(t, r.got())) == n })

	// No answer is forgiven for a time.
	r.challenge.Store(500)
	w.until("unanswered", func() bool { k, _ := w.hooks.Webhook(w.ctx, 0, k.ID); return k.Why != "" })
	if !valid(true)() {
		t.Error("invalid after one challenge that was not answered")
	}
	w.clock.Add(int64(29 * time.Hour))
	w.until("invalid for want of an answer", valid(false))
	r.challenge.Store(302)
	if _, err := w.hooks.Validate(w.ctx, w.app.ID, k.ID); err == nil || !strings.Contains(err.Error(), "redirects are not followed") {
		t.Errorf("got error %v", err)
	}
}

// What was not delivered when it stopped is delivered when it runs again, with the same ids.
func TestRestart(t *testing.T) {
	t.Parallel()
	w, r := newWorld(t, quick), newReceiver(t)
	w.hook(r.URL)
	n := 0
	for post := liked.PostID(1); post <= 5; post++ {
		n += w.like(post, post)
		w.until("something", func() bool { return len(r.got()) > n-int(people) })
		w.stop()
		w.run(quick)
	}
	w.until("all likes", func() bool { return len(inOrder(t, r.got())) == n })
}

func TestReplay(t *testing.T) {
	t.Parallel()
	w, r := newWorld(t, quick), newReceiver(t)
	k, _ := w.hook(r.URL)
	day := time.Now().Add(-time.Hour)
	for post := liked.PostID(1); post <= 4; post++ {
		_, err := w.store.SetLike(w.ctx, 2, post, true, day.Add(time.Duration(post)*time.Minute))
		w.must(err)
	}
	w.until("all likes", func() bool { return len(r.got()) == 4 })
	_, err := w.hooks.Replay(w.ctx, w.app.ID, k.ID, liked.Replay{From: day.Add(2 * time.Minute), To: day.Add(4 * time.Minute)})
	w.must(err)
	w.until("the end of the job", func() bool { return len(r.got()) >= 7 })
	again := r.got()[4:]
	if again[0] != r.got()[1] || again[1] != r.got()[2] || again[2].Job.State != "Complete" || len(again) != 3 {
		t.Errorf("got %+v, want likes 2 and 3 once more and the end of the job", again)
	}
}

func TestAddRefuses(t *testing.T) {
	t.Parallel()
	w, r := newWorld(t, quick), newReceiver(t)
	add := func(url string) error { _, err := w.hooks.Add(w.ctx, w.app.ID, url); return err }
	for i := range 5 {
		w.must(add(r.URL + "/" + fmt.Sprint(i)))
	}
	if err := add(r.URL + "/9"); liked.KindOf(err) != liked.Forbidden {
		t.Errorf("got %v, want that five are as many as it may have", err)
	}
	own, err := w.store.Webhooks(w.ctx, w.app.ID)
	w.must(err)
	w.must(w.hooks.Remove(w.ctx, w.app.ID, own[0].ID))
	if err := add(r.URL + "/4"); liked.KindOf(err) != liked.Conflict {
		t.Errorf("got %v, want a conflict", err)
	}
	r.wrong.Store(true)
	var refused *webhook.ChallengeError
	if err := add(r.URL + "/9"); fmt.Sprintf("%T", err) != fmt.Sprintf("%T", refused) {
		t.Errorf("got %v, want a failed challenge", err)
	}
	err = add("http://127.0.0.1:1") // a port that no receiver of another test gets
	if fmt.Sprintf("%T", err) != fmt.Sprintf("%T", refused) || strings.Contains(err.Error(), "crc_token") {
		t.Errorf("got %v, want a failed challenge, and no token", err)
	}
	if _, err := w.hooks.Subscribe(w.ctx, liked.Subscription{App: w.app.ID, User: 2, Webhook: 7}); liked.KindOf(err) != liked.NotFound {
		t.Errorf("got %v, want that there is no such webhook", err)
	}
}

// counted counts reads of the like log.
type counted struct {
	store.Store
	reads *atomic.Int64
}

func (s counted) LikeLog(ctx context.Context, partition int, after liked.Seq, max int) ([]liked.LikeEvent, error) {
	s.reads.Add(1)
	return s.Store.LikeLog(ctx, partition, after, max)
}

// A like that no webhook has subscribed to costs one read of the log, however many webhooks there are, and wakes none.
func TestIdle(t *testing.T) {
	t.Parallel()
	w, r := newWorld(t, quick), newReceiver(t)
	w.stop()
	var reads atomic.Int64
	w.store = counted{w.store, &reads}
	for app := liked.AppID(2); app <= 11; app++ {
		w.must(w.store.AddApp(w.ctx, store.App{App: liked.App{ID: app, Name: "demo", ClientID: "c" + app.String(), APIKey: "k" + app.String()}}))
		for n := range 5 {
			id := 5*liked.WebhookID(app) + liked.WebhookID(n)
			w.must(w.store.AddWebhook(w.ctx, liked.Webhook{ID: id, App: app, URL: fmt.Sprint(r.URL, "/", n), Valid: true, Checked: time.Now()}, 5))
		}
	}
	w.run(quick)
	w.until("50 webhooks", func() bool { return w.hooks.Summary().Valid == 50 })
	k, _ := w.hook(r.URL + "/busy")
	_, err := w.hooks.Subscribe(w.ctx, liked.Subscription{App: 2, User: author + people + 1, Webhook: 10})
	w.must(err)
	n := w.like(1, 10)
	w.until("the likes of the one who subscribed", func() bool { return len(r.got()) == n })
	if got := reads.Load(); got > int64(n+liked.Partitions) {
		t.Errorf("%d likes took %d reads of the log", n, got)
	}
	w.until("offsets", func() bool {
		p, err := w.store.Progress(w.ctx, k.ID)
		return err == nil && p.Offsets == w.ends()
	})
	// The offsets of the others follow once they are some minutes of likes behind, so that the log forgets nothing for them.
	_, err = w.store.SetLike(w.ctx, 2, 1, false, time.Now().Add(3*time.Minute))
	w.must(err)
	for _, id := range []liked.WebhookID{10, 59} {
		w.until("offsets of an idle webhook", func() bool {
			p, err := w.store.Progress(w.ctx, id)
			return err == nil && slices.Max(p.Offsets[:]).Time().After(time.Now().Add(2*time.Minute))
		})
	}
}

func (w *world) ends() liked.Positions {
	w.t.Helper()
	ends, err := w.store.LogEnds(w.ctx)
	w.must(err)
	return ends
}

// A lane in which more waits than it keeps in memory reads the rest from the log, and leaves out nothing.
func TestOverflow(t *testing.T) {
	t.Parallel()
	w, r := newWorld(t, patient()), newReceiver(t)
	w.hook(r.URL)
	release := make(chan struct{})
	wait := func(told) int { <-release; return 0 }
	r.refuse.Store(&wait)
	unblock := sync.OnceFunc(func() { close(release) })
	t.Cleanup(unblock) // before the server closes
	const likes = 1000 // some windows of the lane
	for n := range 2 * likes {
		_, err := w.store.SetLike(w.ctx, 2, 1, n%2 == 0, time.Now())
		w.must(err)
	}
	other := w.like(2, 3)
	unblock()
	w.until("all likes", func() bool { return len(r.got()) >= likes+other })
	var last liked.Seq
	for _, e := range r.got() {
		if e.User != 2 || e.Post != 1 {
			continue
		}
		var seq liked.Seq
		if _, err := fmt.Sscan(e.ID, &seq); err != nil || seq <= last {
			t.Errorf("got like %d after %d, %v", seq, last, err)
		}
		last = seq
	}
	if got := len(r.got()); got != likes+other {
		t.Errorf("got %d likes, want %d", got, likes+other)
	}
}

// A dead letter does not move the webhook past the like while another subscription still waits for it.
func TestDeadLetterBesideAnother(t *testing.T) {
	t.Parallel()
	pace := quick
	pace.Attempts = 1 << 20
	w, r := newWorld(t, pace), newReceiver(t)
	k, first := w.hook(r.URL)
	second, err := w.hooks.Subscribe(w.ctx, liked.Subscription{App: w.app.ID, User: 2, Viewer: 2, Direction: liked.Outbound, Webhook: k.ID})
	w.must(err)
	for i, dead := range []liked.SubscriptionID{first.ID, second.ID} {
		var tries atomic.Int64
		refuse := func(e told) int {
			if e.Subscription == dead {
				return 400
			}
			tries.Add(1)
			return 503
		}
		r.refuse.Store(&refuse)
		before := len(r.got())
		changed, err := w.store.SetLike(w.ctx, 2, liked.PostID(i+1), true, time.Now())
		w.must(err)
		if !changed {
			t.Fatal("there was such a like before")
		}
		w.until("attempts at the other", func() bool { return tries.Load() > 2 })
		w.stop()
		onlyDead := func(e told) int {
			if e.Subscription == dead {
				return 400
			}
			return 0
		}
		r.refuse.Store(&onlyDead)
		w.run(pace)
		w.until("the other", func() bool { return len(r.got()) == before+1 })
		w.until("the letter", func() bool {
			letters, err := w.store.DeadLetters(w.ctx, k.ID, store.DeadLetter{}, 9)
			return err == nil && slices.ContainsFunc(letters, func(d store.DeadLetter) bool { return d.Subscription == dead })
		})
	}
}

// What is changed through another server on the same store holds for the very next like.
func TestOtherServer(t *testing.T) {
	t.Parallel()
	w, r := newWorld(t, quick), newReceiver(t)
	here := w.hooks
	w.like(1, 1) // so that it is known who has no subscription
	other := webhook.New(here.Options)
	w.hooks = other
	k, s := w.hook(r.URL)
	n := w.like(2, 3)
	w.until("likes", func() bool { return len(r.got()) == n })
	if found, err := here.Webhook(w.ctx, w.app.ID, k.ID); err != nil || found.URL != k.URL {
		t.Errorf("got %+v, %v", found, err)
	}
	r2 := newReceiver(t)
	k2, err := other.Add(w.ctx, w.app.ID, r2.URL)
	w.must(err)
	_, err = other.Resubscribe(w.ctx, w.app.ID, s.ID, &k2.ID, nil)
	w.must(err)
	moved := w.like(4, 4)
	w.until("likes at the other endpoint", func() bool { return len(r2.got()) == moved })
	_, err = other.Resubscribe(w.ctx, w.app.ID, s.ID, &k.ID, nil)
	w.must(err)
	n += w.like(5, 6)
	w.until("likes", func() bool { return len(r.got()) == n })
	w.must(other.Remove(w.ctx, w.app.ID, k2.ID))
	w.must(other.Remove(w.ctx, w.app.ID, k.ID))
	w.until("the end", func() bool { return here.Summary().Valid == 0 })
	w.like(7, 7)
	if got, elsewhere := len(r.got()), len(r2.got()); got != n || elsewhere != moved {
		t.Errorf("got %d and %d likes, want %d and %d", got, elsewhere, n, moved)
	}
}

// Who likes, and who is liked, cannot fill the memory.
func TestMemoryIsBounded(t *testing.T) {
	t.Parallel()
	w := newWorld(t, quick)
	w.hook(newReceiver(t).URL) // to user 1
	for _, n := range []int{1000, 9 * webhook.MaxRemembered / 2} {
		got, err := webhook.Remember(w.ctx, w.store, n)
		w.must(err)
		if want := min(n+1, webhook.MaxRemembered/4); got < want || got > webhook.MaxRemembered {
			t.Errorf("of %d users %d are remembered", n, got)
		}
	}
}

// leased settles who delivers instead of the store.
type leased struct {
	store.Store
	elsewhere, broken *atomic.Bool
}

func (s leased) Hold(ctx context.Context, names []string, ttl time.Duration) ([]bool, error) {
	if s.broken.Load() {
		return nil, errors.New("out of touch")
	}
	held, err := s.Store.Hold(ctx, names, ttl)
	for i := range held {
		held[i] = held[i] && !s.elsewhere.Load()
	}
	return held, err
}

// A server delivers to the webhooks that it holds, and no longer to those that another one holds or may hold. Who takes
// over goes on where the last one stopped.
func TestLeases(t *testing.T) {
	t.Parallel()
	pace := sharing()
	w, r := newWorld(t, pace), newReceiver(t)
	w.stop()
	var elsewhere, broken atomic.Bool
	w.store = leased{w.store, &elsewhere, &broken}
	w.run(pace)
	w.hook(r.URL)
	n := w.like(1, 1)
	w.until("likes", func() bool { return len(r.got()) == n })
	post := liked.PostID(2)
	for _, away := range []*atomic.Bool{&elsewhere, &broken} {
		away.Store(true)
		w.until("the end", func() bool { return w.hooks.Summary().Valid == 0 })
		before := len(r.got())
		n += w.like(post, post)
		time.Sleep(100 * time.Millisecond) // longer than a look at the log; nothing must come
		if got := len(r.got()); got != before {
			t.Errorf("got %d likes through a server that does not hold the webhook", got-before)
		}
		away.Store(false)
		w.until("likes that waited", func() bool { return len(inOrder(t, r.got())) == n })
		post++
	}
}
