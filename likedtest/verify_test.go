package likedtest_test

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"liked/likedtest"
)

type verdict struct {
	Error   string
	Found   int
	Data    []likedtest.Request
	Nearest []struct {
		Request likedtest.Request
		Differs []struct {
			Field       string
			Wanted, Got any
		}
	}
}

// verify returns the status and the verdict.
func verify(t *testing.T, srv *likedtest.Server, body string) (int, verdict) {
	t.Helper()
	r := request(t, "POST", srv.AdminURL+"/admin/verify")
	r2, err := http.NewRequest("POST", r.URL.String(), strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r2.Header.Set("Authorization", "Bearer "+srv.AdminToken)
	resp, text := read(t, r2)
	return resp.StatusCode, decode[verdict](t, text)
}

func TestVerify(t *testing.T) {
	t.Parallel()
	srv := likedtest.New(t)
	like(t, srv, "alice", 0)
	like(t, srv, "bob", 1)
	like(t, srv, "bob", 2)
	get(t, request(t, "GET", srv.URL+"/2/users/me"))
	post := srv.Posts[1].ID.String()
	for body, want := range map[string]int{
		`{"match":{"operation":"usersIdLike"}}`:                             200,
		`{"match":{"operation":"usersIdLike"},"exactly":3}`:                 200,
		`{"match":{"operation":"usersIdLike"},"exactly":2}`:                 409,
		`{"match":{"operation":"usersIdLike"},"at_least":3,"at_most":3}`:    200,
		`{"match":{"operation":"usersIdLike"},"at_least":4}`:                409,
		`{"match":{"operation":"usersIdLike"},"at_most":2}`:                 409,
		`{"match":{"user":"bob","status":200},"exactly":2}`:                 200,
		`{"match":{"user":"carol"},"exactly":0}`:                            200,
		`{"match":{"method":"POST","path":"/2/users/*/likes"},"exactly":3}`: 200,
		`{"match":{"body":{"tweet_id":"` + post + `"}},"exactly":1}`:        200,
		`{"match":{"header":{"authorization":"Bearer *"}},"exactly":3}`:     200,
		`{"match":{"app":"` + srv.Apps[0].Name + `"},"exactly":3}`:          200,
		`{"in_order":[{"user":"alice"},{"user":"bob"},{"status":401}]}`:     200,
		`{"in_order":[{"user":"bob"},{"user":"bob"},{"user":"bob"}]}`:       409,
		`{"in_order":[{"user":"bob"},{"user":"alice"}]}`:                    409,
		`{}`: 400, `{"match":{},"in_order":[{}]}`: 400, `{"match":{},"exactly":1,"at_least":1}`: 400, `{"match":{},"at_least":-1}`: 400,
		`{"match":{"user":"nobody_"}}`: 404, `{"match":{"app":"none"}}`: 404, `{"match":{},"within":"2 s"}`: 400, `{"match":{},"other":1}`: 400,
		`{"match":{"operation":"usersIdLikes"},"exactly":0}`: 400, `{"match":{"header":{"a b":"c"}},"exactly":0}`: 400,
		`{"in_order":[{"operation":"likes"}]}`: 400, `{"match":{"operation":"homeLive"},"exactly":0}`: 200,
		`{"match":{"header":{"host":"*:*"}},"exactly":4}`: 200,
		`{"in_order":[]}`: 400, `{"in_order":[{}],"exactly":1}`: 400, `{"match":{},"at_least":2,"at_most":1}`: 400,
	} {
		if status, v := verify(t, srv, body); status != want {
			t.Errorf("%s: %d %+v, want %d", body, status, v, want)
		}
	}
	// A secret is compared by what the journal has of it.
	token := srv.Users["bob"].AccessToken
	if status, v := verify(t, srv, `{"match":{"header":{"authorization":"Bearer `+token+`"}},"exactly":2}`); status != 200 {
		t.Errorf("a token in a header: %d %+v", status, v)
	}

	status, v := verify(t, srv, `{"match":{"operation":"usersIdLike","user":"alice","body":{"tweet_id":"`+post+`"}},"exactly":1}`)
	if status != 409 || v.Found != 0 || len(v.Data) != 0 || len(v.Nearest) != 3 ||
		!strings.Contains(v.Error, "found 0 requests, expected exactly 1") {
		t.Fatalf("%d %+v", status, v)
	}
	// Alice's like of another post, and Bob's of this one, differ in one thing each; the later is first.
	if d := v.Nearest[0].Differs; len(d) != 1 || d[0].Field != "user" || d[0].Wanted != "alice" || d[0].Got != srv.Users["bob"].ID.String() {
		t.Errorf("nearest %+v", v.Nearest[0])
	}
	if d := v.Nearest[1].Differs; len(d) != 1 || d[0].Field != "body.tweet_id" || d[0].Got != srv.Posts[0].ID.String() {
		t.Errorf("second %+v", v.Nearest[1])
	}
	_, v = verify(t, srv, `{"in_order":[{"user":"bob"},{"user":"alice"}]}`)
	if v.Found != 1 || len(v.Nearest) == 0 || v.Nearest[0].Differs[0].Field != "order" {
		t.Errorf("out of order: %+v", v)
	}
}

// within returns once at_least holds, and waits its time out for the others.
func TestVerifyWithin(t *testing.T) {
	t.Parallel()
	srv := likedtest.New(t)
	begun := time.Now()
	done := make(chan int)
	go func() {
		status, _ := verify(t, srv, `{"match":{"operation":"usersIdLike"},"at_least":1,"within":"1m"}`)
		done <- status
	}()
	time.Sleep(20 * time.Millisecond)
	like(t, srv, "alice", 0)
	if status := <-done; status != 200 || time.Since(begun) > 50*time.Second {
		t.Errorf("at_least: %d after %s", status, time.Since(begun))
	}
	for body, want := range map[string]int{`"exactly":1`: 200, `"exactly":2`: 409, `"at_most":1`: 200, `"at_least":2`: 409} {
		begun := time.Now()
		if status, v := verify(t, srv, `{"match":{"operation":"usersIdLike"},"within":"100ms",`+body+`}`); status != want ||
			time.Since(begun) < 100*time.Millisecond {
			t.Errorf("%s: %d %+v after %s", body, status, v, time.Since(begun))
		}
	}
}

// A code and a refresh token that were spent are told with who spent them.
func TestSpentBefore(t *testing.T) {
	t.Parallel()
	srv := likedtest.New(t)
	app, alice := srv.Apps[0], srv.Users["alice"]
	refresh := func() (*http.Response, string) {
		r, err := http.NewRequest("POST", srv.URL+"/2/oauth2/token", strings.NewReader(url.Values{"grant_type": {"refresh_token"},
			"refresh_token": {alice.RefreshToken}}.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(app.ClientID+":"+app.ClientSecret)))
		return read(t, r)
	}
	first, text := refresh()
	if first.StatusCode != 200 {
		t.Fatal(text)
	}
	second, _ := refresh()
	d := srv.Request(t, second.Header.Get("X-Transaction-Id"))
	id := first.Header.Get("X-Transaction-Id")
	at := srv.Request(t, id).At
	if d.Status != 400 || d.SpentBy == nil || d.SpentBy.TransactionID != id || !d.SpentBy.At.Equal(at) ||
		!strings.Contains(d.Why, id) || !strings.Contains(d.Why, at.Format(time.RFC3339Nano)) {
		t.Errorf("%s %+v", d.Why, d.SpentBy)
	}
}

// Server-sent events tell each request, a slow reader is told what it lost, and many readers see the same.
func TestRequestsLive(t *testing.T) {
	t.Parallel()
	srv := likedtest.New(t, likedtest.RateLimits("off"))
	open := func(filter string) (*bufio.Scanner, func()) {
		ctx, stop := context.WithCancel(t.Context())
		r := request(t, "GET", srv.AdminURL+"/admin/requests/live"+filter).WithContext(ctx)
		r.Header.Set("Authorization", "Bearer "+srv.AdminToken)
		resp, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		if kind := resp.Header.Get("Content-Type"); resp.StatusCode != 200 || kind != "text/event-stream" {
			t.Fatalf("%s %s", resp.Status, kind)
		}
		s := bufio.NewScanner(resp.Body)
		s.Buffer(nil, 1<<20)
		s.Scan() // a comment: what comes from now on is told
		return s, func() { stop(); resp.Body.Close() }
	}
	next := func(s *bufio.Scanner) (event string, data string) {
		for s.Scan() {
			line := s.Text()
			if e, ok := strings.CutPrefix(line, "event: "); ok {
				event = e
			}
			if d, ok := strings.CutPrefix(line, "data: "); ok {
				return event, d
			}
		}
		return "", fmt.Sprint(s.Err())
	}
	var readers sync.WaitGroup
	for i := range 4 {
		filter := []string{"", "?user=bob"}[i%2]
		s, stop := open(filter)
		readers.Go(func() {
			defer stop()
			for n := range 20 {
				event, data := next(s)
				var row likedtest.Request
				if err := json.Unmarshal([]byte(data), &row); err != nil || event != "request" || row.Operation != "usersIdLike" ||
					filter != "" && row.User != srv.Users["bob"].ID.String() {
					t.Errorf("event %d of %q: %s %s", n, filter, event, data)
					return
				}
			}
		})
	}
	for i := range 20 {
		like(t, srv, "alice", i%8)
		like(t, srv, "bob", i%8)
	}
	readers.Wait()

	slow, stop := open("")
	defer stop()
	var flood sync.WaitGroup
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 8}}
	defer client.CloseIdleConnections()
	const sent = 12_000
	for range 8 {
		flood.Go(func() {
			for range sent / 8 {
				resp, err := client.Get(srv.URL + "/2/users/me")
				if err != nil {
					t.Error(err)
					stop()
					return
				}
				_, _ = io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
			}
		})
	}
	over := make(chan struct{})
	go func() { flood.Wait(); close(over) }()
	told := 0
	for told < sent {
		select { // slow, and not for so long without a word that the server takes the reader for one that is gone
		case <-over:
		case <-time.After(10 * time.Millisecond):
		}
		event, data := next(slow)
		switch event {
		case "request":
			told++
		case "lost":
			told += decode[struct{ Lost int }](t, data).Lost
		default:
			t.Fatalf("%d of %d were told, then %s %s", told, sent, event, data)
		}
	}
	if told != sent {
		t.Errorf("%d were told or lost, want %d", told, sent)
	}
	srv.ClearRequests(t)
	if event, data := next(slow); event != "cleared" {
		t.Errorf("%s %s after the journal was cleared", event, data)
	}
}

// What the server sends to webhooks is in the journal, too, without secrets.
func TestRequestsOfWebhooks(t *testing.T) {
	t.Parallel()
	srv := likedtest.New(t)
	var hook endpoint
	hook.refused.Store(1)
	hook.start(t, srv)
	like(t, srv, "alice", 0)
	alice := srv.Users["alice"]
	srv.Verify(t, likedtest.Expectation{AtLeast: likedtest.Exactly(2), Within: "1m",
		Match: &likedtest.Match{Operation: "webhookDelivery", User: "alice", App: "demo", Method: "POST", Path: "/"}})
	rows := srv.Requests(t, "operation=webhookDelivery&status=500")
	if len(rows) != 1 || rows[0].Why == "" {
		t.Fatalf("refused deliveries: %v", rows)
	}
	d := srv.Request(t, srv.Requests(t, "operation=webhookDelivery&status=200")[0].TransactionID)
	if signature := d.Request.Headers["X-Twitter-Webhooks-Signature"]; len(signature) != len("sha256=")+44 {
		t.Errorf("the signature, which is of this body alone, is %q", signature)
	}
	if !strings.Contains(d.Request.Body, alice.ID.String()) || d.Request.Headers["Host"] == "" || d.Response.Headers["Date"] == "" {
		t.Errorf("a delivery: %+v", d)
	}
	d = srv.Request(t, srv.Requests(t, "operation=webhookChallenge")[0].TransactionID)
	if d.Status != 200 || !strings.HasPrefix(d.Query, "crc_token=") || !strings.HasSuffix(d.Query, "…") ||
		!strings.HasSuffix(d.Response.Body, `…"}`) {
		t.Errorf("a challenge: %+v", d)
	}
}
