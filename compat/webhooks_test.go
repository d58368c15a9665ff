package compat

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// hookReceiver is an endpoint for webhooks, as X's guide describes one.
type hookReceiver struct {
	*httptest.Server
	t      *testing.T
	secret func() string // the app's consumer secret

	mu    sync.Mutex
	likes map[string][]string          // user -> posts, in the order in which they came first
	ids   map[string]map[string]string // user -> post -> event_uuid
	taken int
}

func newHookReceiver(t *testing.T, secret func() string) *hookReceiver {
	r := &hookReceiver{t: t, secret: secret, likes: map[string][]string{}, ids: map[string]map[string]string{}}
	r.Server = httptest.NewServer(r)
	t.Cleanup(r.Close)
	return r
}

func (r *hookReceiver) mac(text []byte) string {
	h := hmac.New(sha256.New, []byte(r.secret()))
	h.Write(text)
	return "sha256=" + base64.StdEncoding.EncodeToString(h.Sum(nil))
}

func (r *hookReceiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if token := req.URL.Query().Get("crc_token"); req.Method == http.MethodGet && token != "" {
		fmt.Fprintf(w, `{"response_token":%q}`, r.mac([]byte(token)))
		return
	}
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return // the server was killed
	}
	if got := req.Header.Get("x-twitter-webhooks-signature"); !hmac.Equal([]byte(got), []byte(r.mac(body))) {
		r.t.Errorf("got signature %q of %s", got, body)
	}
	var event struct {
		Data struct {
			UUID   string `json:"event_uuid"`
			Type   string `json:"event_type"`
			Filter struct {
				UserID string `json:"user_id"`
			}
			Payload struct {
				LikedTweetID string `json:"liked_tweet_id"`
			}
		}
	}
	if err := json.Unmarshal(body, &event); err != nil || event.Data.Type != "like.create" || event.Data.UUID == "" {
		r.t.Errorf("got %s: %v", body, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.taken++
	user, post := event.Data.Filter.UserID, event.Data.Payload.LikedTweetID
	if r.ids[user] == nil {
		r.ids[user] = map[string]string{}
	}
	switch before, ok := r.ids[user][post]; {
	case !ok:
		r.ids[user][post] = event.Data.UUID
		r.likes[user] = append(r.likes[user], post)
	case before != event.Data.UUID:
		r.t.Errorf("post %s liked by %s: event %s was %s before the crash", post, user, event.Data.UUID, before)
	}
}

func (r *hookReceiver) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.taken
}

// TestWebhooksSurviveKills kills the server while it delivers, again and again: every like that was answered arrives,
// each user's in their order, and what arrives twice has the id that it had before.
func TestWebhooksSurviveKills(t *testing.T) {
	t.Parallel()
	const posts, kills, perKill = 120, 3, 60
	bin, at := build(t, false), newPlace(t)
	flags := []string{"--rate-limits", "off", "--posts", fmt.Sprint(posts)}
	var c credentials
	var secret atomic.Value // of c, which is read anew in each round
	r := newHookReceiver(t, func() string { s, _ := secret.Load().(string); return s })
	next := map[string]int{} // user -> first post without an answer

	// like lets every user like the posts in their order, until all are liked or the server is gone.
	like := func(c credentials) {
		var wg sync.WaitGroup
		var mu sync.Mutex
		for _, u := range c.Users {
			wg.Go(func() {
				mu.Lock()
				i := next[u.ID]
				mu.Unlock()
				for ; i < posts; i++ {
					req, err := http.NewRequest("POST", c.URL+"/2/users/"+u.ID+"/likes", strings.NewReader(`{"tweet_id":"`+c.Posts[i].ID+`"}`))
					if err != nil {
						t.Error(err)
						break
					}
					req.Header.Set("Authorization", "Bearer "+u.AccessToken)
					req.Header.Set("Content-Type", "application/json")
					resp, err := http.DefaultClient.Do(req)
					if err != nil {
						break
					}
					_, err = io.Copy(io.Discard, resp.Body)
					_ = resp.Body.Close()
					if err != nil {
						break
					}
					if resp.StatusCode != 200 {
						t.Errorf("like: status %d", resp.StatusCode)
						break
					}
				}
				mu.Lock()
				next[u.ID] = i
				mu.Unlock()
			})
		}
		wg.Wait()
	}

	for round := range kills {
		file := filepath.Join(t.TempDir(), "credentials.json")
		cmd := dev(bin, at, file, flags...)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		for deadline := time.Now().Add(3 * time.Minute); ; time.Sleep(10 * time.Millisecond) {
			if c.read(file) {
				secret.Store(c.Apps[0].APISecret)
				break
			}
			if time.Now().After(deadline) {
				_ = cmd.Process.Kill()
				t.Fatal("the server wrote no credentials within three minutes")
			}
		}
		if round == 0 {
			var hook struct{ Data struct{ ID string } }
			post(t, c, "/2/webhooks", map[string]any{"url": r.URL + "/likes"}, &hook)
			for _, u := range c.Users {
				post(t, c, "/2/activity/subscriptions", map[string]any{"event_type": "like.create", "webhook_id": hook.Data.ID,
					"filter": map[string]string{"user_id": u.ID, "direction": "outbound"}}, nil)
			}
		}
		killed := make(chan struct{})
		enough := r.count() + perKill
		go func() {
			defer close(killed)
			for deadline := time.Now().Add(30 * time.Second); r.count() < enough && time.Now().Before(deadline); time.Sleep(time.Millisecond) {
			}
			_ = cmd.Process.Kill()
		}()
		like(c)
		<-killed
		_ = cmd.Wait() // it was killed
	}

	s := startOn(t, bin, at, flags...)
	like(s.credentials)
	want := posts * len(s.Users)
	got := func() (n int) {
		r.mu.Lock()
		defer r.mu.Unlock()
		for _, posts := range r.likes {
			n += len(posts)
		}
		return n
	}
	for deadline := time.Now().Add(3 * time.Minute); got() < want; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("got %d likes within three minutes, want %d", got(), want)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for user, posts := range r.likes {
		for i, post := range posts {
			if post != s.Posts[i].ID {
				t.Fatalf("user %s: got post %s as like %d, want %s", user, post, i, s.Posts[i].ID)
			}
		}
	}
	t.Logf("%d likes were delivered in %d requests, through %d kills", want, r.taken, kills)
}

// post asks the API as the first app, which must agree.
func post(t *testing.T, c credentials, path string, body any, answer any) {
	t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	status, got := do(t, "POST", c.URL+path, c.Apps[0].BearerToken, text)
	if status != 200 {
		t.Fatalf("POST %s %s: %d %s", path, text, status, got)
	}
	if answer == nil {
		return
	}
	if err := json.Unmarshal(got, answer); err != nil {
		t.Fatal(err)
	}
}
