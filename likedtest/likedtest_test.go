package likedtest_test

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"liked/internal/enginetest"
	"liked/internal/livetest"
	"liked/likedtest"
)

func TestMain(m *testing.M) {
	os.Exit(livetest.Run(m, enginetest.Stop))
}

func newServer(t *testing.T, options ...likedtest.Option) *likedtest.Server {
	t.Helper()
	if dsn := enginetest.Postgres(t); dsn != "" {
		options = append(options, likedtest.Postgres(dsn))
	}
	return likedtest.New(t, options...)
}

func like(t *testing.T, srv *likedtest.Server, username string, post int) (status int, body string, header http.Header) {
	t.Helper()
	resp, err := srv.Client(username).Post(srv.URL+"/2/users/"+srv.Users[username].ID.String()+"/likes", "application/json",
		strings.NewReader(`{"tweet_id":"`+srv.Posts[post].ID.String()+`"}`))
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

func TestLike(t *testing.T) {
	t.Parallel()
	for _, profile := range []string{"2024", "2026"} {
		t.Run(profile, func(t *testing.T) {
			t.Parallel()
			srv := newServer(t, likedtest.Profile(profile))
			if len(srv.Apps) != 2 || srv.Apps[0].Type != "confidential" || srv.Apps[1].Type != "public" {
				t.Errorf("apps %+v, want a confidential and a public one", srv.Apps)
			}
			if status, body, _ := like(t, srv, "alice", 0); status != 200 || body != `{"data":{"liked":true}}` {
				t.Errorf("like: %d %s, want 200 and liked", status, body)
			}
			if err := srv.Admin("PATCH", "/admin/users/alice", map[string]any{"state": "locked"}, nil); err != nil {
				t.Fatal(err)
			}
			if status, body, h := like(t, srv, "alice", 1); status != 403 || h.Get("X-Liked-Explain") == "" {
				t.Errorf("like from a locked account: %d %s, want 403 with an explanation", status, body)
			}
		})
	}
}

// Each user's like counts once, from however many connections it comes.
func TestCount(t *testing.T) {
	t.Parallel()
	srv := newServer(t, likedtest.Size(20, 8))
	var all sync.WaitGroup
	for username := range srv.Users {
		for range 2 {
			all.Go(func() {
				if status, body, _ := like(t, srv, username, 3); status != 200 {
					t.Errorf("%s: %d %s", username, status, body)
				}
			})
		}
	}
	all.Wait()
	var post struct{ Likes int }
	if err := srv.Admin("GET", "/admin/posts/"+srv.Posts[3].ID.String(), nil, &post); err != nil {
		t.Fatal(err)
	}
	if post.Likes != 20 {
		t.Errorf("%d likes, want 20", post.Likes)
	}
}

func TestRateLimitsFollowTheClock(t *testing.T) {
	t.Parallel()
	var minutes atomic.Int64
	start := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	srv := newServer(t, likedtest.RateLimits(`{"usersIdLike":{"user_15m":2}}`),
		likedtest.Now(func() time.Time { return start.Add(time.Duration(minutes.Load()) * time.Minute) }))
	var got []int
	for _, at := range []int64{0, 1, 2, 14, 15} {
		minutes.Store(at)
		status, _, _ := like(t, srv, "bob", 0)
		got = append(got, status)
	}
	if want := []int{200, 200, 429, 429, 200}; fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("statuses %v, want %v", got, want)
	}
}

// A log holds no secret, whatever way a request proves or fails to prove who sends it.
func TestLogHoldsNoSecret(t *testing.T) {
	t.Parallel()
	var log livetest.Log
	srv := newServer(t, likedtest.Logger(slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))))
	alice, app := srv.Users["alice"], srv.Apps[0]
	secrets := []string{srv.AdminToken, alice.AccessToken, alice.RefreshToken, alice.OAuth1Token, alice.OAuth1TokenSecret,
		app.ClientSecret, app.APISecret, app.APIKey, app.BearerToken, "signature-of-mine"}
	headers := []string{}
	for _, s := range secrets {
		headers = append(headers, "Bearer "+s, "Basic "+s, "OAuth "+s, s, "Bearer "+s+"x",
			`OAuth oauth_consumer_key="`+app.APIKey+`", oauth_token="`+s+`", oauth_signature_method="HMAC-SHA1", oauth_timestamp="1", `+
				`oauth_nonce="`+s+`", oauth_version="1.0", oauth_signature="`+s+`"`)
	}
	for _, base := range []string{
		srv.URL + "/2/users/me", srv.URL + "/nowhere", srv.AdminURL + "/admin/users", srv.AdminURL + "/debug/pprof/",
	} {
		for _, h := range headers {
			r, err := http.NewRequest("GET", base, nil)
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Authorization", h)
			resp, err := http.DefaultTransport.RoundTrip(r)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
		}
	}
	for _, s := range secrets {
		_ = srv.Admin("POST", "/admin/tokens/revoke", map[string]string{"token": s}, nil)
		_ = srv.Admin("POST", "/admin/tokens/revoke", map[string]string{"token": s, s: s}, nil)
	}
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	text := log.String()
	if n := strings.Count(text, "msg=request"); n != 2*len(headers) {
		t.Errorf("%d lines about requests, want %d", n, 2*len(headers))
	}
	for _, s := range secrets {
		if strings.Contains(text, s) {
			i := strings.Index(text, s)
			t.Errorf("the log holds %q: …%s…", s, text[max(0, i-200):min(len(text), i+200)])
		}
	}
}

func ExampleNew() {
	var t *testing.T // what go test gives

	srv := newServer(t)
	alice := srv.Users["alice"]
	resp, err := srv.Client("alice").Post(srv.URL+"/2/users/"+alice.ID.String()+"/likes", "application/json",
		strings.NewReader(`{"tweet_id":"`+srv.Posts[0].ID.String()+`"}`))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	// {"data":{"liked":true}}
}

func TestAutoConsent(t *testing.T) {
	t.Parallel()
	srv := newServer(t, likedtest.AutoConsent("bob"))
	app := srv.Apps[1]
	resp, err := http.DefaultTransport.RoundTrip(request(t, "GET", srv.URL+"/i/oauth2/authorize?"+url.Values{"response_type": {"code"},
		"client_id": {app.ClientID}, "redirect_uri": {app.RedirectURIs[0]}, "scope": {"users.read"}, "state": {"s"}, "code_challenge": {"c"},
		"code_challenge_method": {"plain"}}.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if to, err := resp.Location(); err != nil || to.Query().Get("state") != "s" || to.Query().Get("code") == "" {
		t.Errorf("%s to %v: %v", resp.Status, to, err)
	}
}

func request(t *testing.T, method, target string) *http.Request {
	t.Helper()
	r, err := http.NewRequest(method, target, nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}
