package admin_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"liked"
	"liked/internal/admin"
	"liked/internal/enginetest"
	"liked/internal/journal"
	"liked/internal/store"
	"liked/internal/webhook"
	"liked/likedtest"
)

// The list of dead letters has every letter once, wherever a page ends: here between two letters of one like.
func TestDeadLetterPages(t *testing.T) {
	t.Parallel()
	st := enginetest.Open(t)
	defer st.Close()
	ctx, now := t.Context(), time.Now()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(st.AddApp(ctx, store.App{App: liked.App{ID: 1, Name: "demo", ClientID: "c", APIKey: "k"}}))
	must(st.AddWebhook(ctx, liked.Webhook{ID: 1, App: 1, URL: "https://example.com", CreatedAt: now, Valid: true, Checked: now}, 1))
	const likes, each = 334, 3
	for n := range likes {
		var letters []store.DeadLetter
		for sub := range each {
			event := liked.LikeEvent{Seq: liked.SeqAt(now) + liked.Seq(n), On: true, User: 1, Post: 2, Author: 3, At: now}
			letters = append(letters, store.DeadLetter{Webhook: 1, Subscription: liked.SubscriptionID(sub + 1), Event: event, At: now, Attempts: 1})
		}
		_, err := st.AddDeadLetters(ctx, letters, 10_000)
		must(err)
	}
	hooks := webhook.New(webhook.Options{Store: st, Now: time.Now, Logger: slog.New(slog.DiscardHandler),
		Secret: func(context.Context, liked.AppID) (string, error) { return "", nil }})
	h := admin.New(admin.Options{Store: st, Hooks: hooks, Now: time.Now, Logger: slog.New(slog.DiscardHandler)})
	seen := map[string]bool{}
	for path := "/admin/webhooks/1/dead"; path != ""; {
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, httptest.NewRequest("GET", path, nil))
		var page admin.DeadLetters
		if err := json.Unmarshal(rec.Body.Bytes(), &page); err != nil || rec.Code != 200 {
			t.Fatalf("%s: %d %s, %v", path, rec.Code, rec.Body, err)
		}
		for _, d := range page.DeadLetters {
			seen[d.Event+" "+d.Subscription.String()] = true
		}
		if path = ""; page.Next != "" {
			path = "/admin/webhooks/1/dead?after=" + page.Next
		}
	}
	if len(seen) != likes*each {
		t.Errorf("the list has %d letters, want %d", len(seen), likes*each)
	}
}

// endpoint is one of the first app's. It answers events with a status, and keeps those that are signed.
type endpoint struct {
	status atomic.Int32
	events chan string // bodies
	url    string
}

func newEndpoint(t *testing.T, srv *likedtest.Server) *endpoint {
	t.Helper()
	e := &endpoint{events: make(chan string, 100)}
	e.status.Store(200)
	sign := func(text []byte) string {
		mac := hmac.New(sha256.New, []byte(srv.Apps[0].APISecret))
		mac.Write(text)
		return "sha256=" + base64.StdEncoding.EncodeToString(mac.Sum(nil))
	}
	listening := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			fmt.Fprintf(w, `{"response_token":%q}`, sign([]byte(r.URL.Query().Get("crc_token"))))
			return
		}
		body, _ := io.ReadAll(r.Body)
		if r.Header.Get("X-Twitter-Webhooks-Signature") != sign(body) {
			t.Errorf("a wrong signature of %s", body)
		}
		w.WriteHeader(int(e.status.Load()))
		e.events <- string(body)
	}))
	t.Cleanup(listening.Close)
	e.url = listening.URL
	return e
}

// next is the next event.
func (e *endpoint) next(t *testing.T) (event struct {
	UUID    string `json:"event_uuid"`
	Tag     string
	Payload struct {
		Post   liked.PostID `json:"liked_tweet_id"`
		Author liked.UserID `json:"tweet_author_id"`
	}
}) {
	t.Helper()
	select {
	case body := <-e.events:
		in := struct{ Data any }{&event}
		if err := json.Unmarshal([]byte(body), &in); err != nil {
			t.Fatal(err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("no event came")
	}
	return event
}

// A webhook hears of a test event, and of one like again, at once: the answer says what became of it and where the journal has it.
func TestWebhookNow(t *testing.T) {
	t.Parallel()
	srv := newServer(t)
	e := newEndpoint(t, srv)
	alice, bob := srv.Users["alice"], srv.Users["bob"]
	hook := get[admin.Webhook](t, srv, "POST", "/admin/webhooks", `{"app":"demo","url":"`+e.url+`"}`)
	at := "/admin/webhooks/" + hook.ID.String()
	refused := func(method, path, body string, want int) {
		t.Helper()
		if status, text := call(t, srv, method, path, body); status != want {
			t.Errorf("%s %s %s: got %d %s, want %d", method, path, body, status, text, want)
		}
	}
	refused("POST", at+"/test", `{}`, 400) // about whom?
	refused("POST", at+"/test", `{"user":"nobody"}`, 404)
	status, text := call(t, srv, "POST", at+"/test", `{"user":"alice","post":"1"}`)
	if status != 404 || !strings.Contains(text, "no such post 1") {
		t.Errorf("a post that there is not: got %d %s", status, text)
	}
	refused("POST", "/admin/webhooks/1/test", `{"user":"alice"}`, 404)
	other := get[admin.Webhook](t, srv, "POST", "/admin/webhooks", `{"app":"demo","url":"`+e.url+`/other"}`)

	// Without a subscription one is made up, to which consent matters all the same.
	first := get[admin.Sent](t, srv, "POST", at+"/test", `{"user":"alice"}`)
	if got := e.next(t); !first.Delivered || first.Status != 200 || got.Payload.Post == 0 {
		t.Errorf("got %+v of %+v", got, first)
	}

	subs := "/admin/apps/demo/subscriptions"
	inbound := get[admin.Subscription](t, srv, "POST", subs,
		`{"user":"bob","direction":"inbound","webhook":"`+hook.ID.String()+`","tag":"mine"}`)
	outbound := get[admin.Subscription](t, srv, "POST", subs, `{"user":"alice","direction":"outbound","webhook":"`+hook.ID.String()+`"}`)
	refused("POST", subs, `{"user":"bob","direction":"inbound","webhook":"`+hook.ID.String()+`"}`, 409)
	refused("POST", subs, `{"user":"bob","direction":"sideways"}`, 400)
	refused("POST", subs, `{"user":"bob","webhook":"1"}`, 404)
	if list := get[admin.SubscriptionPage](t, srv, "GET", subs+"?max=1", ""); len(list.Subscriptions) != 1 ||
		list.Subscriptions[0].ID != inbound.ID ||
		list.Next != inbound.ID {
		t.Errorf("got %+v", list)
	}
	if list := get[admin.SubscriptionPage](t, srv, "GET", subs+"?after="+inbound.ID.String(), ""); len(list.Subscriptions) != 1 ||
		list.Subscriptions[0].ID != outbound.ID {
		t.Errorf("got %+v", list)
	}

	// The first subscription is about bob's posts.
	e.status.Store(503)
	sent := get[admin.Sent](t, srv, "POST", at+"/test", `{}`)
	got := e.next(t)
	if sent.Delivered || sent.Status != 503 || sent.Why == "" || got.Tag != "mine" || got.Payload.Author != bob.ID {
		t.Errorf("got %+v of %+v", got, sent)
	}
	row := get[journal.Detail](t, srv, "GET", "/admin/requests/"+sent.TransactionID, "")
	if row.Status != 503 || row.Operation != "webhookDelivery" || row.Delivery == nil || row.Delivery.Webhook != hook.ID.String() ||
		row.Delivery.Subscription != inbound.ID.String() {
		t.Errorf("the journal has %+v", row)
	}
	if dead := get[admin.DeadLetters](t, srv, "GET", at+"/dead", ""); len(dead.DeadLetters) > 0 {
		t.Errorf("a test event is a dead letter: %+v", dead)
	}

	// A like that was delivered, again: all attempts are one delivery in the journal.
	e.status.Store(200)
	var posts []likedtest.Post // of which the outbound subscription alone hears
	for _, p := range srv.Posts {
		if p.AuthorID != bob.ID {
			posts = append(posts, p)
		}
	}
	refused("POST", at+"/test", `{"post":"`+posts[0].ID.String()+`"}`, 404) // it is not bob's
	like := func(post int) {
		t.Helper()
		status, text := call(t, srv, "PUT", "/admin/likes/alice/"+posts[post].ID.String(), "")
		if status != 200 {
			t.Fatalf("%d %s", status, text)
		}
	}
	like(0)
	before := e.next(t)
	// The journal has a delivery when it is answered: a moment after the endpoint had it.
	delivery := func() string {
		t.Helper()
		deadline := time.Now().Add(20 * time.Second)
		for {
			rows := get[admin.RequestPage](t, srv, "GET", "/admin/requests?operation=webhookDelivery&user=alice&limit=1", "").Data
			if d := rows[0].Delivery; d.Subscription == outbound.ID.String() || time.Now().After(deadline) {
				return fmt.Sprintf(`{"event":%q,"subscription":%q}`, d.Event, d.Subscription)
			}
			time.Sleep(time.Millisecond)
		}
	}
	name := delivery()
	sent = get[admin.Sent](t, srv, "POST", at+"/redeliver", name)
	if again := e.next(t); !sent.Delivered || again.UUID != before.UUID || again.Payload.Post != posts[0].ID || delivery() != name {
		t.Errorf("got %+v and %+v after %+v", sent, again, before)
	}

	// A dead letter that is accepted is none any more; one that is not stays, and counts the attempt.
	e.status.Store(410)
	like(1)
	before = e.next(t)
	dead := func() []admin.DeadLetter {
		return get[admin.DeadLetters](t, srv, "GET", at+"/dead", "").DeadLetters
	}
	for deadline := time.Now().Add(20 * time.Second); len(dead()) == 0 && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
	}
	letter := dead()[0]
	name = fmt.Sprintf(`{"event":%q,"subscription":%q}`, letter.Event, letter.Subscription)
	sent = get[admin.Sent](t, srv, "POST", at+"/redeliver", name)
	if left := dead(); sent.Delivered || e.next(t).UUID != before.UUID || len(left) != 1 || left[0].Attempts != 2 || left[0].Why != sent.Why {
		t.Errorf("refused again: got %+v and %+v", sent, left)
	}
	e.status.Store(200)
	sent = get[admin.Sent](t, srv, "POST", at+"/redeliver", name)
	if left := dead(); !sent.Delivered || e.next(t).UUID != before.UUID || len(left) != 0 {
		t.Errorf("accepted: got %+v and %+v", sent, left)
	}

	refused("POST", at+"/redeliver", `{"event":"x","subscription":"1"}`, 400)
	refused("POST", at+"/redeliver", fmt.Sprintf(`{"event":"1","subscription":%q}`, outbound.ID), 404)
	refused("POST", at+"/redeliver", fmt.Sprintf(`{"event":%q,"subscription":%q}`, letter.Event, inbound.ID), 404) // it is not about that like
	refused("POST", "/admin/webhooks/"+other.ID.String()+"/redeliver", name, 404)

	refused("DELETE", subs+"/"+outbound.ID.String(), "", 200)
	refused("DELETE", subs+"/"+outbound.ID.String(), "", 404)
	refused("POST", at+"/redeliver", name, 404)

	// Whom the app may not tell of, it is not told of in a test.
	get[any](t, srv, "POST", "/admin/tokens/revoke", `{"token":"`+alice.RefreshToken+`"}`)
	get[any](t, srv, "POST", "/admin/tokens/revoke", `{"token":"`+alice.OAuth1Token+`"}`)
	refused("POST", at+"/test", `{"user":"alice"}`, 403)
}
