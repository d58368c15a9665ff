package likedtest_test

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"liked/likedtest"
)

// likes returns how many likes the first post has.
func likes(t *testing.T, srv *likedtest.Server) int {
	t.Helper()
	var post struct{ Likes int }
	if err := srv.Admin("GET", "/admin/posts/"+srv.Posts[0].ID.String(), nil, &post); err != nil {
		t.Fatal(err)
	}
	return post.Likes
}

func mustLike(t *testing.T, srv *likedtest.Server, username string) http.Header {
	t.Helper()
	status, body, h := like(t, srv, username, 0)
	if status != 200 {
		t.Fatalf("%s: %d %s", username, status, body)
	}
	return h
}

// works tells whether a bearer token does.
func works(t *testing.T, srv *likedtest.Server, token string) bool {
	t.Helper()
	status, body, _ := send(t, "GET", srv.URL+"/2/users/me", token, "", "")
	if status != 200 && status != 401 {
		t.Fatalf("%d %s", status, body)
	}
	return status == 200
}

// After a reset all is as it was just after the start: who and what there is, the tokens, the windows and the clock.
func TestReset(t *testing.T) {
	t.Parallel()
	srv := likedtest.New(t, likedtest.RateLimits(`{"usersIdLike":{"user_15m":3}}`))
	for round := range 3 {
		for range 3 {
			mustLike(t, srv, "alice")
		}
		if status, _, _ := like(t, srv, "alice", 0); status != 429 {
			t.Fatalf("like 4 of round %d: %d", round, status)
		}
		var token struct{ Token string }
		if err := srv.Admin("POST", "/admin/tokens", map[string]string{"kind": "user", "app": "demo", "user": "bob"}, &token); err != nil {
			t.Fatal(err)
		}
		if !works(t, srv, token.Token) {
			t.Error("a token that was just made does not work")
		}
		if err := srv.Admin("POST", "/admin/tokens/revoke", map[string]string{"token": srv.Users["carol"].AccessToken}, nil); err != nil {
			t.Fatal(err)
		}
		if err := srv.Admin("POST", "/admin/users", map[string]string{"username": "ada"}, nil); err != nil {
			t.Fatal(err)
		}
		srv.Clock.Freeze(t)
		srv.Clock.Advance(t, 48*time.Hour)

		srv.Reset(t)
		if rows := srv.Requests(t, ""); len(rows) != 0 {
			t.Errorf("the journal has %v after a reset", rows)
		}
		if s := srv.Clock.State(t); s.Moved || s.Frozen || s.Now.After(time.Now()) {
			t.Errorf("the clock is %+v after a reset", s)
		}
		if n := likes(t, srv); n != 0 {
			t.Errorf("%d likes after a reset", n)
		}
		if works(t, srv, token.Token) || !works(t, srv, srv.Users["carol"].AccessToken) {
			t.Error("after a reset want the seed's tokens, and no other")
		}
		if err := srv.Admin("GET", "/admin/users/ada", nil, nil); err == nil {
			t.Error("a user of before the reset is there")
		}
	}
}

// All state is of one moment: people, posts, likes, credentials, windows, nonces and the clock.
func TestSnapshots(t *testing.T) {
	t.Parallel()
	srv, noon := at(t, likedtest.RateLimits(`{"usersIdLike":{"user_15m":3}}`))
	mustLike(t, srv, "alice")
	srv.Snapshot(t, "one-like")
	reset := mustLike(t, srv, "alice").Get("X-Rate-Limit-Reset")
	mustLike(t, srv, "bob")
	srv.Clock.Advance(t, time.Hour)
	srv.Clock.Run(t, 60)
	if err := srv.Admin("DELETE", "/admin/posts/"+srv.Posts[1].ID.String(), nil, nil); err != nil {
		t.Fatal(err)
	}
	srv.Snapshot(t, "later")

	for range 2 {
		srv.Restore(t, "one-like")
		if s := srv.Clock.State(t); !s.Now.Equal(noon) || !s.Frozen || s.Speed != 1 || !s.Moved {
			t.Errorf("the clock is %+v, want it frozen at %v", s, noon)
		}
		if n := likes(t, srv); n != 1 {
			t.Errorf("%d likes, want 1", n)
		}
		if err := srv.Admin("GET", "/admin/posts/"+srv.Posts[1].ID.String(), nil, nil); err != nil {
			t.Errorf("a post that was deleted later: %v", err)
		}
		h := mustLike(t, srv, "alice")
		if left := h.Get("X-Rate-Limit-Remaining"); left != "1" || h.Get("X-Rate-Limit-Reset") != reset {
			t.Errorf("%s calls are left until %s, want 1 until %s", left, h.Get("X-Rate-Limit-Reset"), reset)
		}
	}
	srv.Restore(t, "later")
	if s := srv.Clock.State(t); s.Now.Before(noon.Add(time.Hour)) || s.Speed != 60 || s.Frozen {
		t.Errorf("the clock is %+v", s)
	}
	if n := likes(t, srv); n != 2 {
		t.Errorf("%d likes, want 2", n)
	}

	srv.Reset(t) // snapshots stay
	srv.Snapshot(t, "real")
	srv.Clock.Advance(t, time.Hour)
	srv.Restore(t, "real")
	if s := srv.Clock.State(t); s.Moved || time.Since(s.Now) > 10*time.Minute || s.Now.After(time.Now()) {
		t.Errorf("a clock that was never moved is %+v after a restore", s)
	}

	var list struct {
		Snapshots []struct {
			Name string
			At   time.Time
		}
	}
	if err := srv.Admin("GET", "/admin/snapshots", nil, &list); err != nil {
		t.Fatal(err)
	}
	if s := list.Snapshots; len(s) != 3 || s[0].Name != "later" || s[1].Name != "one-like" || !s[1].At.Equal(noon) || s[2].Name != "real" {
		t.Errorf("the snapshots are %+v", list)
	}
	for _, tt := range []struct {
		method, path string
		status       int
	}{
		{"PUT", "/admin/snapshots/Upper", 400},
		{"PUT", "/admin/snapshots/a_b", 400},
		{"PUT", "/admin/snapshots/" + strings.Repeat("a", 65), 400},
		{"PUT", "/admin/snapshots/" + strings.Repeat("a", 64), 200},
		{"DELETE", "/admin/snapshots/none", 404},
		{"DELETE", "/admin/snapshots/a%20b", 400},
		{"POST", "/admin/snapshots/none/restore", 404},
		{"POST", "/admin/snapshots/No/restore", 400},
		{"DELETE", "/admin/snapshots/later", 200},
		{"POST", "/admin/snapshots/later/restore", 404},
	} {
		if status, body, _ := send(t, tt.method, srv.AdminURL+tt.path, srv.AdminToken, "", ""); status != tt.status {
			t.Errorf("%s %s: %d %s, want %d", tt.method, tt.path, status, body, tt.status)
		}
	}
}

// A request that was signed before a snapshot is known after it, and one after the snapshot is not.
func TestSnapshotsHaveNonces(t *testing.T) {
	t.Parallel()
	srv := likedtest.New(t)
	signed := time.Now()
	before := func() *http.Request { return signedAt(t, srv, signed, "before") }
	after := func() *http.Request { return signedAt(t, srv, signed, "after") }
	if status, _, _ := answer(t, before()); status != 200 {
		t.Fatal(status)
	}
	srv.Snapshot(t, "signed")
	if status, _, _ := answer(t, after()); status != 200 {
		t.Fatal(status)
	}
	srv.Restore(t, "signed")
	if status, _, _ := answer(t, before()); status != 401 {
		t.Errorf("a nonce of before the snapshot: %d", status)
	}
	if status, _, _ := answer(t, after()); status != 200 {
		t.Errorf("a nonce of after it: %d", status)
	}
}

// Open streams end as X ends them, and those that are opened afterwards show the world that was restored.
func TestStreamsEndWithTheirWorld(t *testing.T) {
	t.Parallel()
	srv := likedtest.New(t)
	srv.Snapshot(t, "empty")
	lines := make(chan string, 100)
	var open sync.WaitGroup
	stream := func() {
		t.Helper()
		for partition := range 20 {
			r := request(t, "GET", fmt.Sprintf("%s/2/likes/firehose/stream?partition=%d", srv.URL, partition+1))
			r.Header.Set("Authorization", "Bearer "+srv.Apps[0].BearerToken)
			resp, err := http.DefaultTransport.RoundTrip(r)
			if err != nil || resp.StatusCode != 200 {
				t.Fatalf("%+v, %v", resp, err)
			}
			open.Go(func() {
				defer resp.Body.Close()
				for body := bufio.NewScanner(resp.Body); body.Scan(); {
					if line := body.Text(); line != "" { // one in a while says that the stream lives
						lines <- line
					}
				}
			})
		}
	}
	for _, back := range []func(){func() { srv.Restore(t, "empty") }, func() { srv.Reset(t) }} {
		stream()
		mustLike(t, srv, "alice")
		if line := <-lines; !strings.HasPrefix(line, `{"data":{"id":"`) {
			t.Errorf("got %s", line)
		}
		back()
		open.Wait()
		for range 20 {
			if line := <-lines; !strings.Contains(line, `"disconnect_type":"UpstreamOperationalDisconnect"`) {
				t.Errorf("got %s", line)
			}
		}
		if n := likes(t, srv); n != 0 || len(lines) > 0 {
			t.Errorf("%d likes and %d more lines", n, len(lines))
		}
	}
}

// Calls that are under way while the world is replaced are answered by one world or the other, none by neither.
func TestResetUnderLoad(t *testing.T) {
	t.Parallel()
	srv := likedtest.New(t, likedtest.RateLimits("off"), likedtest.Size(20, 8))
	var done atomic.Bool
	var calling sync.WaitGroup
	var answered atomic.Int64
	for username := range srv.Users {
		calling.Go(func() {
			for !done.Load() {
				if status, body, _ := like(t, srv, username, 0); status != 200 {
					t.Errorf("%s: %d %s", username, status, body)
					return
				}
				answered.Add(1)
			}
		})
	}
	for range 10 {
		before := answered.Load()
		until(t, "calls", func() bool { return answered.Load() > before+20 || t.Failed() })
		srv.Reset(t)
	}
	done.Store(true)
	calling.Wait()
	srv.Reset(t)
	if n := likes(t, srv); n != 0 {
		t.Errorf("%d likes after the last reset", n)
	}
}

// A call that is under way finishes in the world that it came to, and changes nothing in the next.
func TestCallsFinishInTheirWorld(t *testing.T) {
	t.Parallel()
	srv := likedtest.New(t)
	alice, body := srv.Users["alice"], `{"tweet_id":"`+srv.Posts[0].ID.String()+`"}`
	host := strings.TrimPrefix(srv.URL, "http://")
	conn, err := net.Dial("tcp", host)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "POST /2/users/%v/likes HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\n"+
		"Content-Length: %d\r\n\r\n", alice.ID, host, alice.AccessToken, len(body))
	until(t, "the call", func() bool { // it was counted, and waits for its body
		_, metrics, _ := send(t, "GET", srv.AdminURL+"/metrics", "", "", "")
		return strings.Contains(metrics, "\nliked_requests_in_flight 1\n")
	})
	srv.Reset(t)
	time.Sleep(50 * time.Millisecond) // for a world that does not wait
	fmt.Fprint(conn, body)
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil || resp.StatusCode != 200 {
		t.Errorf("%+v, %v", resp, err)
	}
	if n := likes(t, srv); n != 0 {
		t.Errorf("%d likes in the next world", n)
	}
}

// A delivery that was due in a world is not made once the world is gone; the webhook of a snapshot is there again.
func TestWebhooksOfSnapshots(t *testing.T) {
	t.Parallel()
	srv, _ := at(t)
	var hook endpoint
	hook.refused.Store(1)
	hook.start(t, srv)
	srv.Snapshot(t, "hook")
	mustLike(t, srv, "alice")
	until(t, "an attempt", func() bool { return hook.likes.Load() == 1 })
	srv.Restore(t, "hook")
	srv.Clock.Advance(t, time.Hour)
	mustLike(t, srv, "alice") // the first one, in this world
	until(t, "its delivery", func() bool { return hook.likes.Load() == 2 })
	srv.Reset(t)
	mustLike(t, srv, "alice")
	srv.Clock.Advance(t, time.Hour)
	var list struct{ Webhooks []any }
	if err := srv.Admin("GET", "/admin/webhooks", nil, &list); err != nil || len(list.Webhooks) != 0 || hook.likes.Load() != 2 {
		t.Errorf("%d webhooks, %v, %d attempts; want none and 2", len(list.Webhooks), err, hook.likes.Load())
	}
}

// Forks begin as what the server is, with its clock, and go their own ways.
func TestFork(t *testing.T) {
	t.Parallel()
	srv, noon := at(t)
	mustLike(t, srv, "alice")
	for n := range 3 {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			t.Parallel()
			fork := srv.Fork(t)
			if fork.URL == srv.URL || fork.AdminURL == srv.AdminURL || fork.AdminToken == srv.AdminToken {
				t.Errorf("the fork is where the server is: %s, %s", fork.URL, fork.AdminURL)
			}
			if users, posts := len(fork.Users), len(fork.Posts); users != len(srv.Users) || posts != len(srv.Posts) ||
				!slices.Equal(fork.Apps[0].RedirectURIs, srv.Apps[0].RedirectURIs) {
				t.Errorf("%d users and %d posts", users, posts)
			}
			if now := fork.Clock.Now(t); !now.Equal(noon) {
				t.Errorf("the clock of the fork shows %v", now)
			}
			fork.Clock.Advance(t, time.Duration(n)*time.Minute)
			mustLike(t, fork, "bob")
			if n := likes(t, fork); n != 2 {
				t.Errorf("%d likes, want 2", n)
			}
			fork.Reset(t) // to how it began
			if n := likes(t, fork); n != 1 {
				t.Errorf("%d likes after a reset, want 1", n)
			}
			if n := likes(t, fork.Fork(t)); n != 1 {
				t.Errorf("%d likes in a fork of the fork, want 1", n)
			}
			if n, now := likes(t, srv), srv.Clock.Now(t); n != 1 || !now.Equal(noon) {
				t.Errorf("the server has %d likes at %v, want 1 at %v", n, now, noon)
			}
		})
	}
}

// BenchmarkFork reports the median, which is to be 5 ms at most.
func BenchmarkFork(b *testing.B) {
	srv := likedtest.New(b)
	var took []time.Duration
	for b.Loop() {
		begun := time.Now()
		srv.Fork(b)
		took = append(took, time.Since(begun))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "median-ms")
}

// BenchmarkReset reports the median, which is to be below 50 ms, as is that of a restore.
func BenchmarkReset(b *testing.B) {
	srv := likedtest.New(b)
	var took []time.Duration
	for b.Loop() {
		begun := time.Now()
		srv.Reset(b)
		took = append(took, time.Since(begun))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "median-ms")
}
