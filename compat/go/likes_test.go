// Package compat likes posts with OAuth 1.0a, signed by github.com/dghubble/oauth1, and with OAuth 2.0 by
// golang.org/x/oauth2, from a person's consent on. The tests run against the server
// that the driver one directory up started.
package compat

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/dghubble/oauth1"
)

// world is what the tests read of the file that `liked dev --credentials` wrote.
type world struct {
	URL  string
	Apps []struct {
		Type         string
		ClientID     string   `json:"client_id"`
		ClientSecret string   `json:"client_secret"`
		APIKey       string   `json:"api_key"`
		APISecret    string   `json:"api_secret"`
		RedirectURIs []string `json:"redirect_uris"`
	}
	Users []user
	Posts []struct{ ID string }
}

type user struct {
	ID          string
	Username    string
	Password    string
	Token       string `json:"oauth1_token"`
	TokenSecret string `json:"oauth1_token_secret"`
}

func readWorld(t *testing.T) world {
	t.Helper()
	b, err := os.ReadFile(env(t, "LIKED_CREDENTIALS"))
	if err != nil {
		t.Fatal(err)
	}
	var w world
	if err := json.Unmarshal(b, &w); err != nil {
		t.Fatal(err)
	}
	if len(w.Apps) == 0 || len(w.Users) == 0 || len(w.Posts) == 0 {
		t.Fatalf("the world is empty: %s", b)
	}
	return w
}

func env(t *testing.T, name string) string {
	t.Helper()
	v := os.Getenv(name)
	if v == "" {
		t.Fatalf("%s is not set: start these tests with go test ./compat in the directory above", name)
	}
	return v
}

func (w world) user(t *testing.T, is func(user) bool) user {
	t.Helper()
	for _, u := range w.Users {
		if is(u) {
			return u
		}
	}
	t.Fatalf("no such user among %d", len(w.Users))
	return user{}
}

func (w world) named(t *testing.T, name string) user {
	t.Helper()
	return w.user(t, func(u user) bool { return u.Username == name })
}

func (w world) config() *oauth1.Config {
	return oauth1.NewConfig(w.Apps[0].APIKey, w.Apps[0].APISecret)
}

func (w world) client(u user) *http.Client {
	return w.config().Client(context.Background(), oauth1.NewToken(u.Token, u.TokenSecret))
}

// An answer is what came back, body and all.
type answer struct {
	status int
	header http.Header
	body   string
}

func (a answer) String() string { return fmt.Sprintf("%d %s", a.status, a.body) }

func send(t *testing.T, c *http.Client, method, url, body string) answer {
	t.Helper()
	req, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, string(b)}
}

func (w world) like(t *testing.T, c *http.Client, user, post string) answer {
	t.Helper()
	return send(t, c, "POST", w.URL+"/2/users/"+user+"/likes", `{"tweet_id":"`+post+`"}`)
}

func (w world) unlike(t *testing.T, c *http.Client, user, post string) answer {
	t.Helper()
	return send(t, c, "DELETE", w.URL+"/2/users/"+user+"/likes/"+post, "")
}

func (w world) likeCount(t *testing.T, c *http.Client, post string) int {
	t.Helper()
	got := send(t, c, "GET", w.URL+"/2/tweets/"+post+"?tweet.fields=public_metrics", "")
	var found struct {
		Data struct {
			Metrics struct {
				Likes *int `json:"like_count"`
			} `json:"public_metrics"`
		}
	}
	if err := json.Unmarshal([]byte(got.body), &found); err != nil || found.Data.Metrics.Likes == nil {
		t.Fatalf("GET /2/tweets/%s = %v, which has no like_count", post, got)
	}
	return *found.Data.Metrics.Likes
}

func (w world) wantLikeCount(t *testing.T, c *http.Client, post string, want int) {
	t.Helper()
	if got := w.likeCount(t, c, post); got != want {
		t.Errorf("like_count of post %s = %d, want %d", post, got, want)
	}
}

// want checks the status, the content type and the body, the latter byte for byte unless it is an indented one.
func want(t *testing.T, got answer, status int, contentType, body string) {
	t.Helper()
	text := got.body
	if strings.Contains(text, "\n") {
		var b bytes.Buffer
		if err := json.Compact(&b, []byte(text)); err != nil {
			t.Errorf("body %q: %v", text, err)
		}
		text = b.String()
	}
	if got.status != status || text != body {
		t.Errorf("got %v, want %d %s", got, status, body)
	}
	if ct := got.header.Get("Content-Type"); ct != contentType {
		t.Errorf("content-type %q, want %q", ct, contentType)
	}
}

const (
	plain   = "application/json; charset=utf-8"
	problem = "application/problem+json"

	liked        = `{"data":{"liked":true}}`
	unliked      = `{"data":{"liked":false}}`
	unauthorized = `{"title":"Unauthorized","type":"about:blank","status":401,"detail":"Unauthorized"}`
	invalid      = `],"title":"Invalid Request","detail":"One or more parameters to your request was invalid.",` +
		`"type":"https://api.twitter.com/2/problems/invalid-request"}`
)

func TestLikeAndUnlikeTwice(t *testing.T) {
	w := readWorld(t)
	alice, post := w.named(t, "alice"), w.Posts[0].ID
	c := w.client(alice)
	before := w.likeCount(t, c, post)
	for range 2 {
		want(t, w.like(t, c, alice.ID, post), 200, plain, liked)
		w.wantLikeCount(t, c, post, before+1)
	}
	for range 2 {
		want(t, w.unlike(t, c, alice.ID, post), 200, plain, unliked)
		w.wantLikeCount(t, c, post, before)
	}
	did(t, "github.com/dghubble/oauth1", "likes")
}

// The two likes of X's reference page: the TypeScript example's and the Java example's.
func TestReferencePageIDs(t *testing.T) {
	w := readWorld(t)
	for _, tt := range []struct{ user, post string }{
		{"1324848235714736129", "1521887626935947265"},
		{"2244994945", "1228393702244134912"},
	} {
		c := w.client(w.user(t, func(u user) bool { return u.ID == tt.user }))
		before := w.likeCount(t, c, tt.post)
		want(t, w.like(t, c, tt.user, tt.post), 200, plain, liked)
		w.wantLikeCount(t, c, tt.post, before+1)
	}
}

func TestRefusedParameters(t *testing.T) {
	w := readWorld(t)
	alice, bob, post := w.named(t, "alice"), w.named(t, "bob"), w.Posts[1].ID
	c := w.client(alice)
	before := w.likeCount(t, c, post)
	want(t, w.like(t, c, bob.ID, post), 400, plain, `{"errors":[{"parameters":{"id":["`+bob.ID+`"]},"message":`+
		"\"The `id` query parameter value ["+bob.ID+"] must be the same as the authenticating user ["+alice.ID+`]"}`+invalid)
	want(t, w.like(t, c, alice.ID, "1"), 400, plain, `{"errors":[{"message":"This tweet cannot be found."}`+invalid)
	w.wantLikeCount(t, c, post, before)
}

func TestReadOnlyToken(t *testing.T) {
	w := readWorld(t)
	alice, post := w.named(t, "alice"), w.Posts[1].ID
	readOnly := w.client(user{Token: env(t, "LIKED_READONLY_TOKEN"), TokenSecret: env(t, "LIKED_READONLY_SECRET")})
	before := w.likeCount(t, readOnly, post)
	got := w.like(t, readOnly, alice.ID, post)
	want(t, got, 403, plain, `{"title":"Forbidden","status":403,"detail":"Your client app is not configured with the `+
		`appropriate oauth1 app permissions for this endpoint.","type":"https://api.twitter.com/2/problems/oauth1-permissions"}`)
	if level := got.header.Get("X-Access-Level"); level != "read" {
		t.Errorf("x-access-level %q, want read", level)
	}
	w.wantLikeCount(t, readOnly, post, before)
}

func TestWrongSecrets(t *testing.T) {
	w := readWorld(t)
	alice, post := w.named(t, "alice"), w.Posts[1].ID
	app, token := w.config(), oauth1.NewToken(alice.Token, alice.TokenSecret)
	wrongApp, wrongToken := *app, *token
	wrongApp.ConsumerSecret += "x"
	wrongToken.TokenSecret += "x"
	unknownApp, unknownToken := *app, *token
	unknownApp.ConsumerKey += "x"
	unknownToken.Token += "x"

	before := w.likeCount(t, w.client(alice), post)
	for _, tt := range []struct {
		name  string
		app   *oauth1.Config
		token *oauth1.Token
	}{
		{"consumer secret", &wrongApp, token},
		{"token secret", app, &wrongToken},
		{"consumer key", &unknownApp, token},
		{"token", app, &unknownToken},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := w.like(t, tt.app.Client(context.Background(), tt.token), alice.ID, post)
			want(t, got, 401, problem, unauthorized)
			if limit, ok := got.header["X-Rate-Limit-Limit"]; ok {
				t.Errorf("x-rate-limit-limit %q in the answer to a stranger", limit)
			}
		})
	}
	w.wantLikeCount(t, w.client(alice), post, before)
}

// skew makes the library's requests with a clock that is off: it moves the timestamp in what is signed (as a Signer)
// and in the header (as a RoundTripper) alike.
type skew struct {
	oauth1.Signer
	off time.Duration
}

var timestamp = regexp.MustCompile(`oauth_timestamp(%3D|=")(\d+)`)

func (s skew) shift(in string) string {
	return timestamp.ReplaceAllStringFunc(in, func(m string) string {
		i := strings.LastIndexAny(m, `D"`) + 1
		at, err := strconv.ParseInt(m[i:], 10, 64)
		if err != nil {
			panic(err) // the pattern let only digits through
		}
		return m[:i] + strconv.FormatInt(at+int64(s.off.Seconds()), 10)
	})
}

func (s skew) Sign(key, message string) (string, error) { return s.Signer.Sign(key, s.shift(message)) }

func (s skew) RoundTrip(req *http.Request) (*http.Response, error) {
	req.Header.Set("Authorization", s.shift(req.Header.Get("Authorization")))
	return http.DefaultTransport.RoundTrip(req)
}

func TestTimestampsWithin300Seconds(t *testing.T) {
	w := readWorld(t)
	alice, post := w.named(t, "alice"), w.Posts[2].ID
	before := w.likeCount(t, w.client(alice), post)
	skewed := func(off time.Duration) *http.Client {
		app := w.config()
		s := skew{&oauth1.HMACSigner{ConsumerSecret: app.ConsumerSecret}, off}
		app.Signer = s
		ctx := context.WithValue(context.Background(), oauth1.HTTPClient, &http.Client{Transport: s})
		return app.Client(ctx, oauth1.NewToken(alice.Token, alice.TokenSecret))
	}
	for _, off := range []time.Duration{-400 * time.Second, 400 * time.Second} {
		want(t, w.like(t, skewed(off), alice.ID, post), 401, problem, unauthorized)
	}
	w.wantLikeCount(t, w.client(alice), post, before)

	// The same client with a clock that is only a little off is let in, so it was the clock that was refused above.
	for i, off := range []time.Duration{-200 * time.Second, 200 * time.Second} {
		want(t, w.like(t, skewed(off), alice.ID, post), 200, plain, liked)
		w.wantLikeCount(t, w.client(alice), post, before+1)
		if i == 0 {
			want(t, w.unlike(t, w.client(alice), alice.ID, post), 200, plain, unliked)
		}
	}
}

// replay sends each request twice, bit for bit, and returns the second answer.
type replay struct{}

func (replay) RoundTrip(req *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return nil, err
	}
	for n := 1; ; n++ {
		req.Body = io.NopCloser(bytes.NewReader(body))
		resp, err := http.DefaultTransport.RoundTrip(req)
		if err != nil || n == 2 {
			return resp, err
		}
		if _, err := io.Copy(io.Discard, resp.Body); err != nil {
			return nil, err
		}
		resp.Body.Close()
		if resp.StatusCode != 200 {
			return nil, fmt.Errorf("the first of the two requests got %s", resp.Status)
		}
	}
}

func TestReplayedNonce(t *testing.T) {
	w := readWorld(t)
	alice, post := w.named(t, "alice"), w.Posts[3].ID
	c := w.client(alice)
	before := w.likeCount(t, c, post)
	ctx := context.WithValue(context.Background(), oauth1.HTTPClient, &http.Client{Transport: replay{}})
	replayed := w.config().Client(ctx, oauth1.NewToken(alice.Token, alice.TokenSecret))
	want(t, w.like(t, replayed, alice.ID, post), 401, problem, unauthorized)
	w.wantLikeCount(t, c, post, before+1) // by the first of the two
	want(t, w.unlike(t, replayed, alice.ID, post), 401, problem, unauthorized)
	w.wantLikeCount(t, c, post, before)
}

func TestFiftyFirstLikeIn15Minutes(t *testing.T) {
	w := readWorld(t)
	dave, post := w.named(t, "dave"), w.Posts[4].ID
	c := w.client(dave)
	before := w.likeCount(t, c, post)
	for n := 1; n <= 50; n++ {
		got := w.like(t, c, dave.ID, post)
		want(t, got, 200, plain, liked)
		if left := got.header.Get("X-Rate-Limit-Remaining"); left != strconv.Itoa(50-n) {
			t.Fatalf("x-rate-limit-remaining %q after %d likes, want %d", left, n, 50-n)
		}
	}
	got := w.like(t, c, dave.ID, post)
	want(t, got, 429, plain, `{"title":"Too Many Requests","detail":"Too Many Requests","type":"about:blank","status":429}`)
	for name, v := range map[string]string{"X-Rate-Limit-Limit": "50", "X-Rate-Limit-Remaining": "0"} {
		if got.header.Get(name) != v {
			t.Errorf("%s %q, want %s", name, got.header.Get(name), v)
		}
	}
	reset, err := strconv.ParseInt(got.header.Get("X-Rate-Limit-Reset"), 10, 64)
	if wait := reset - time.Now().Unix(); err != nil || wait <= 0 || wait > 900 {
		t.Errorf("x-rate-limit-reset is in %d s (%v), want 1 to 900", wait, err)
	}
	w.wantLikeCount(t, c, post, before+1)

	// Unlikes have a window of their own, so the like can be taken back at once.
	want(t, w.unlike(t, c, dave.ID, post), 200, plain, unliked)
	w.wantLikeCount(t, c, post, before)
}
