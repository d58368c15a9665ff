package likedtest_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"liked/internal/authtest"
	"liked/likedtest"
)

// at starts a server whose clock stands.
func at(t *testing.T, options ...likedtest.Option) (srv *likedtest.Server, noon time.Time) {
	t.Helper()
	srv = likedtest.New(t, options...)
	srv.Clock.Freeze(t)
	noon = srv.Clock.Now(t).Truncate(time.Hour).Add(time.Hour)
	if s := srv.Clock.Set(t, noon); !s.Now.Equal(noon) || !s.Frozen || !s.Moved || s.Speed != 1 {
		t.Fatalf("the clock is %+v, want it frozen at %v", s, noon)
	}
	return srv, noon
}

// send sends a request with a bearer token, and returns status and body.
func send(t *testing.T, method, target, token, contentType, body string) (int, string, http.Header) {
	t.Helper()
	r := request(t, method, target)
	if body != "" {
		r.Body = io.NopCloser(strings.NewReader(body))
		r.Header.Set("Content-Type", contentType)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	return answer(t, r)
}

func answer(t *testing.T, r *http.Request) (int, string, http.Header) {
	t.Helper()
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text), resp.Header
}

func until(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// A user likes 50 posts in 15 minutes, and not one more until they are over, however long the test takes.
func TestRateWindowFollowsTheClock(t *testing.T) {
	t.Parallel()
	srv, noon := at(t, likedtest.Size(7, 60))
	for n := range 50 {
		if status, body, _ := like(t, srv, "alice", n); status != 200 {
			t.Fatalf("like %d: %d %s", n, status, body)
		}
	}
	status, _, h := like(t, srv, "alice", 50)
	if reset := h.Get("X-Rate-Limit-Reset"); status != 429 || reset != fmt.Sprint(noon.Add(15*time.Minute).Unix()) {
		t.Fatalf("like 51: %d, the window ends at %s", status, reset)
	}
	srv.Clock.Advance(t, 15*time.Minute-time.Second)
	if status, _, _ := like(t, srv, "alice", 50); status != 429 {
		t.Fatalf("a second before the window ends: %d", status)
	}
	if s := srv.Clock.Advance(t, time.Second); !s.Now.Equal(noon.Add(15*time.Minute)) || !s.Frozen {
		t.Fatalf("the clock is %+v", s)
	}
	if status, body, _ := like(t, srv, "alice", 50); status != 200 {
		t.Fatalf("in the next window: %d %s", status, body)
	}
}

// tokens has a code exchanged after its lifetime has passed but for left.
func tokens(t *testing.T, srv *likedtest.Server, after time.Duration) (status int, access, refresh string) {
	t.Helper()
	app := srv.Apps[1]
	_, _, h := answer(t, request(t, "GET", srv.URL+"/i/oauth2/authorize?"+url.Values{"response_type": {"code"},
		"client_id": {app.ClientID}, "redirect_uri": {app.RedirectURIs[0]}, "scope": {"users.read tweet.read offline.access"}, "state": {"s"},
		"code_challenge": {"c"}, "code_challenge_method": {"plain"}}.Encode()))
	to, err := url.Parse(h.Get("Location"))
	if err != nil || to.Query().Get("code") == "" {
		t.Fatalf("%q, %v: no code", h.Get("Location"), err)
	}
	srv.Clock.Advance(t, after)
	status, body, _ := send(t, "POST", srv.URL+"/2/oauth2/token", "", "application/x-www-form-urlencoded", url.Values{
		"grant_type": {"authorization_code"}, "client_id": {app.ClientID}, "redirect_uri": {app.RedirectURIs[0]},
		"code": {to.Query().Get("code")}, "code_verifier": {"c"}}.Encode())
	var got struct {
		Access  string `json:"access_token"`
		Refresh string `json:"refresh_token"`
	}
	if err := json.Unmarshal([]byte(body), &got); err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	return status, got.Access, got.Refresh
}

func TestCodesAndTokensFollowTheClock(t *testing.T) {
	t.Parallel()
	srv, _ := at(t, likedtest.AutoConsent("bob"))
	if status, _, _ := tokens(t, srv, 30*time.Second); status != 400 {
		t.Errorf("a code after 30 s: %d", status)
	}
	status, access, _ := tokens(t, srv, 30*time.Second-time.Millisecond)
	if status != 200 {
		t.Fatalf("a code just before: %d", status)
	}
	me := func() int {
		status, _, _ := send(t, "GET", srv.URL+"/2/users/me", access, "", "")
		return status
	}
	srv.Clock.Advance(t, 2*time.Hour-time.Millisecond)
	if status := me(); status != 200 {
		t.Errorf("a token within 2 h: %d", status)
	}
	srv.Clock.Advance(t, time.Millisecond)
	if status := me(); status != 401 {
		t.Errorf("a token after 2 h: %d", status)
	}
}

func TestRecordsFollowTheClock(t *testing.T) {
	t.Parallel()
	srv, noon := at(t)
	var user struct {
		ID        string
		CreatedAt time.Time `json:"created_at"`
	}
	if err := srv.Admin("POST", "/admin/users", map[string]string{"username": "ada"}, &user); err != nil {
		t.Fatal(err)
	}
	id, err := strconv.ParseInt(user.ID, 10, 64)
	if made := id>>22 + 1288834974657; err != nil || !user.CreatedAt.Equal(noon) || made != noon.UnixMilli() {
		t.Errorf("user %d of %v was made at %v, want %v", id, time.UnixMilli(made), user.CreatedAt, noon)
	}
}

// A stream over a span of the clock that has passed has what was liked in it, and ends.
func TestStreamsFollowTheClock(t *testing.T) {
	t.Parallel()
	srv, _ := at(t)
	streamed := func(from, to time.Duration) (lines, refused int) {
		t.Helper()
		for partition := range 20 {
			now := srv.Clock.Now(t)
			status, body, _ := send(t, "GET", fmt.Sprintf("%s/2/likes/firehose/stream?partition=%d&start_time=%s&end_time=%s", srv.URL, partition+1,
				now.Add(from).Format(time.RFC3339), now.Add(to).Format(time.RFC3339)), srv.Apps[0].BearerToken, "", "")
			if status != 200 {
				refused++
			}
			lines += strings.Count(body, `{"data":{"id":"`)
		}
		return lines, refused
	}
	if status, body, _ := like(t, srv, "alice", 0); status != 200 {
		t.Fatalf("%d %s", status, body)
	}
	if _, refused := streamed(-time.Minute, time.Minute); refused != 20 {
		t.Errorf("%d of 20 spans that have not ended were refused", refused)
	}
	srv.Clock.Advance(t, 10*time.Minute)
	if lines, refused := streamed(-11*time.Minute, -9*time.Minute); lines != 1 || refused != 0 {
		t.Errorf("%d likes, and %d of 20 streams refused; want 1 like", lines, refused)
	}
	if lines, _ := streamed(-9*time.Minute, -time.Minute); lines != 0 {
		t.Errorf("%d likes after the like", lines)
	}
	srv.Clock.Advance(t, 24*time.Hour)
	if _, refused := streamed(-24*time.Hour-9*time.Minute, -time.Minute); refused != 20 {
		t.Errorf("%d of 20 spans beyond 24 h were refused", refused)
	}
}

// endpoint answers challenges, and takes likes but for so many that it refuses first.
type endpoint struct {
	likes, challenges, refused atomic.Int64
}

func (e *endpoint) start(t *testing.T, srv *likedtest.Server) {
	t.Helper()
	secret := srv.Apps[0].APISecret
	listening := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			e.challenges.Add(1)
			mac := hmac.New(sha256.New, []byte(secret))
			mac.Write([]byte(r.URL.Query().Get("crc_token")))
			fmt.Fprintf(w, `{"response_token":"sha256=%s"}`, base64.StdEncoding.EncodeToString(mac.Sum(nil)))
			return
		}
		if e.likes.Add(1) <= e.refused.Load() {
			w.WriteHeader(http.StatusInternalServerError)
		}
	}))
	t.Cleanup(listening.Close)
	var hook struct{ ID string }
	if err := srv.Admin("POST", "/admin/webhooks", map[string]string{"app": "demo", "url": listening.URL}, &hook); err != nil {
		t.Fatal(err)
	}
	alice := srv.Users["alice"]
	status, body, _ := send(t, "POST", srv.URL+"/2/activity/subscriptions", alice.AccessToken, "application/json",
		`{"event_type":"like.create","filter":{"user_id":"`+alice.ID.String()+`"},"webhook_id":"`+hook.ID+`"}`)
	if status != 200 {
		t.Fatalf("%d %s", status, body)
	}
}

// A retry that waits in a timer is made when the clock is moved past it, and a challenge that is due.
func TestWebhooksFollowTheClock(t *testing.T) {
	t.Parallel()
	srv, _ := at(t)
	var hook endpoint
	hook.refused.Store(5)
	hook.start(t, srv)
	if status, body, _ := like(t, srv, "alice", 0); status != 200 {
		t.Fatalf("%d %s", status, body)
	}
	until(t, "attempt 6", func() bool { // a wait that begins after the move is not over
		srv.Clock.Advance(t, 2*time.Minute)
		return hook.likes.Load() == 6
	})
	challenged := hook.challenges.Load()
	until(t, "a challenge", func() bool {
		srv.Clock.Advance(t, time.Hour)
		return hook.challenges.Load() > challenged
	})
	if made := hook.likes.Load(); made != 6 {
		t.Errorf("%d attempts, want 6", made)
	}
}

func TestLogFollowsTheClock(t *testing.T) {
	t.Parallel()
	srv, _ := at(t)
	for n := range 3 {
		if status, body, _ := like(t, srv, "alice", n); status != 200 {
			t.Fatalf("%d %s", status, body)
		}
		srv.Clock.Advance(t, time.Second)
	}
	entries := func() int {
		var report struct {
			Entries int `json:"log_entries"`
		}
		if err := srv.Admin("POST", "/admin/check", nil, &report); err != nil {
			t.Fatal(err)
		}
		return report.Entries
	}
	srv.Clock.Advance(t, 23*time.Hour)
	if n := entries(); n != 3 {
		t.Errorf("%d entries of 3 after 23 h", n)
	}
	srv.Clock.Advance(t, time.Hour)
	until(t, "the log to forget all but the newest", func() bool { // a wait that begins after the move is not over
		srv.Clock.Advance(t, time.Minute)
		return entries() == 1
	})
}

// signedAt is alice's request for herself, by OAuth 1.0a.
func signedAt(t *testing.T, srv *likedtest.Server, at time.Time, nonce string) *http.Request {
	t.Helper()
	alice, app := srv.Users["alice"], srv.Apps[0]
	c := authtest.Client{Key: app.APIKey, Secret: app.APISecret, Token: alice.OAuth1Token, TokenSecret: alice.OAuth1TokenSecret,
		Nonce: nonce, Timestamp: fmt.Sprint(at.Unix())}
	r := request(t, "GET", srv.URL+"/2/users/me")
	r.Header.Set("Authorization", c.Header(t, "GET", srv.URL+"/2/users/me", ""))
	return r
}

// Clients sign by their own clock or by the server's, and no request counts twice.
func TestOAuth1WithTwoClocks(t *testing.T) {
	t.Parallel()
	srv := likedtest.New(t, likedtest.RateLimits("off"))
	me := func(at time.Time, nonce string) int {
		t.Helper()
		status, _, _ := answer(t, signedAt(t, srv, at, nonce))
		return status
	}
	real := time.Now()
	if status := me(real, "before"); status != 200 {
		t.Fatalf("the real time: %d", status)
	}
	moved := srv.Clock.Advance(t, 10*24*time.Hour).Now
	for _, tt := range []struct {
		name, nonce string
		at          time.Time
		status      int
	}{
		{"the real time", "real", real, 200},
		{"the server's time", "moved", moved, 200},
		{"neither", "neither", moved.Add(-time.Hour), 401},
		{"real, again", "real", real, 401},
		{"moved, again", "moved", moved, 401},
		{"before, again", "before", real, 401},
	} {
		if status := me(tt.at, tt.nonce); status != tt.status {
			t.Errorf("%s: %d, want %d", tt.name, status, tt.status)
		}
	}
	later := srv.Clock.Advance(t, 24*time.Hour).Now
	for n := range 400 { // what is over is forgotten when others come
		if status := me(later, fmt.Sprint(n)); status != 200 {
			t.Fatalf("request %d: %d", n, status)
		}
	}
	if status := me(real, "real"); status != 401 {
		t.Errorf("real, after a day: %d, want 401", status)
	}
}

func TestClockIsRefused(t *testing.T) {
	t.Parallel()
	srv, _ := at(t)
	noon := srv.Clock.Set(t, time.Date(2050, 3, 1, 12, 0, 0, 0, time.UTC)).Now
	for _, tt := range []struct {
		method, path, body string
		status             int
	}{
		{"PUT", "/admin/clock", `{"now":"2050-03-01T11:59:59.999999999Z"}`, 409},
		{"PUT", "/admin/clock", `{"now":"2090-01-01T00:00:00Z"}`, 400},
		{"PUT", "/admin/clock", `{"now":"noon"}`, 400},
		{"PUT", "/admin/clock", `{"speed":0}`, 400},
		{"PUT", "/admin/clock", `{"speed":"60"}`, 400},
		{"PUT", "/admin/clock", `{"sped":60}`, 400},
		{"PUT", "/admin/clock", ``, 400},
		{"POST", "/admin/clock/advance", `{"by":"-1s"}`, 409},
		{"POST", "/admin/clock/advance", `{"by":15}`, 400},
		{"POST", "/admin/clock/advance", `{"by":"15 minutes"}`, 400},
		{"POST", "/admin/clock/advance", `{"by":"15m","to":"x"}`, 400},
	} {
		if status, body, _ := send(t, tt.method, srv.AdminURL+tt.path, srv.AdminToken, "application/json", tt.body); status != tt.status {
			t.Errorf("%s %s %s: %d %s, want %d", tt.method, tt.path, tt.body, status, body, tt.status)
		}
	}
	if now := srv.Clock.Now(t); !now.Equal(noon) {
		t.Errorf("refused changes moved the clock from %v to %v", noon, now)
	}
	status, body, _ := send(t, "PUT", srv.AdminURL+"/admin/clock", srv.AdminToken, "application/json", `{"speed":60}`)
	if want := `{"now":"2050-03-01T12:00:00Z","frozen":true,"speed":60,"moved":true}`; status != 200 || strings.TrimSpace(body) != want {
		t.Errorf("%d %s, want %s", status, body, want)
	}
}
