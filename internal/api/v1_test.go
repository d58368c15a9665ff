package api_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"liked"
	"liked/internal/api"
)

// What a limit of v1.1 has used up is refused in its words, with the headers that its clients wait by.
func TestV1Limit(t *testing.T) {
	t.Parallel()
	limits, err := api.ParseLimits([]byte(`{"favoritesList":{"user_15m":1}}`))
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, func(o *api.Options) { o.Limits = limits })
	w.do("user 11 alice")
	w.do("oauth1 Alice 11 read-write")
	for _, want := range []struct {
		status int
		body   string
	}{{200, "[]"}, {429, `{"errors":[{"code":88,"message":"Rate limit exceeded"}]}`}} {
		resp, body := w.request("Alice", "GET", "/1.1/favorites/list.json", nil)
		if resp.StatusCode != want.status || body != want.body {
			t.Errorf("got %d %s, want %d %s", resp.StatusCode, body, want.status, want.body)
		}
		if got := resp.Header.Get("X-Rate-Limit-Limit") + " " + resp.Header.Get("X-Rate-Limit-Remaining"); got != "1 0" {
			t.Errorf("got limit and remaining %q, want 1 0", got)
		}
	}
}

// What is left of the caller's limits is told by family, and is what the next request finds: to ask counts in a window of
// its own alone.
func TestV1RateLimits(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	for _, line := range []string{"user 11 alice", "oauth1 Alice 11 read-write", "bearer app"} {
		w.do(line)
	}
	const path = "/1.1/application/rate_limit_status.json"
	type window struct{ Limit, Remaining, Reset int64 }
	ask := func(caller, query string) (context map[string]string, resources map[string]map[string]window) {
		t.Helper()
		resp, body := w.request(caller, "GET", path+query, nil)
		var answer struct {
			Context   map[string]string `json:"rate_limit_context"`
			Resources map[string]map[string]window
		}
		if err := json.Unmarshal([]byte(body), &answer); err != nil || resp.StatusCode != 200 {
			t.Fatalf("got %d %s", resp.StatusCode, body)
		}
		return answer.Context, answer.Resources
	}
	ends := start.Add(15 * time.Minute).Unix()
	w.request("Alice", "GET", "/1.1/favorites/list.json", nil)
	w.request("alice", "GET", "/2/users/11/liked_tweets", nil)
	for range 2 {
		w.request("app", "GET", "/2/tweets/1/liking_users", nil)
	}

	of, got := ask("Alice", "")
	if want := map[string]string{"access_token": w.signers["Alice"].token}; !maps.Equal(of, want) {
		t.Errorf("got context %v, want %v", of, want)
	}
	want := strings.Fields("account activity application favorites tweets users webhooks")
	if families := slices.Sorted(maps.Keys(got)); !slices.Equal(families, want) {
		t.Errorf("got families %v", families)
	}
	for name, want := range map[string]window{
		"favorites /favorites/list":                  {75, 74, ends},
		"account /account/verify_credentials":        {75, 75, ends},
		"application /application/rate_limit_status": {180, 179, ends},
		"users /users/:id/likes&POST":                {50, 50, ends},
		"users /users/:id/likes/:tweet_id&DELETE":    {50, 50, ends},
		"users /users&GET":                           {900, 900, ends},
		"tweets /tweets/:id/liking_users&GET":        {75, 75, ends},
	} {
		family, name, _ := strings.Cut(name, " ")
		if got[family][name] != want {
			t.Errorf("%s: got %v, want %v", name, got[family][name], want)
		}
	}
	if len(got["favorites"]) != 1 { // the others have no window of 15 minutes
		t.Errorf("got %v", got["favorites"])
	}

	if of, got = ask("app", "?resources=tweets,favorites,nope"); of["application"] != w.app.APIKey || len(of) != 1 || len(got) != 2 ||
		got["tweets"]["/tweets/:id/liking_users&GET"] != (window{75, 73, ends}) || got["favorites"]["/favorites/list"].Remaining != 75 {
		t.Errorf("for an app: got %v, %v", of, got)
	}
	w.clock.Add(int64(20 * time.Minute))
	if _, got = ask("Alice", "?resources=favorites"); got["favorites"]["/favorites/list"] != (window{75, 75, ends + 20*60}) {
		t.Errorf("after the window: got %v", got)
	}
	if resp, body := w.request("alice", "GET", path, nil); resp.StatusCode != 403 || !strings.Contains(body, `"code":220`) {
		t.Errorf("with an OAuth 2.0 token: got %d %s", resp.StatusCode, body)
	}
}

// A list that is private is empty for others.
func TestV1PrivateLikes(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(o *api.Options) { o.PrivateLikes = true })
	for _, line := range []string{
		"user 11 alice", "user 12 bob", "post 1001 12 Hello", "oauth1 Alice 11 read-write", "oauth1 Bob 12 read-write", "app-only app",
	} {
		w.do(line)
	}
	w.request("Alice", "POST", "/1.1/favorites/create.json?id=1001", nil)
	if _, body := w.request("Alice", "GET", "/1.1/favorites/list.json", nil); !strings.Contains(body, `"id":1001`) {
		t.Errorf("one's own list: got %s", body)
	}
	if _, body := w.request("Bob", "GET", "/1.1/favorites/list.json?screen_name=alice", nil); body != "[]" {
		t.Errorf("another's list: got %s", body)
	}
	resp, body := w.request("app", "GET", "/1.1/favorites/list.json?screen_name=alice", nil)
	if resp.StatusCode != 403 || !strings.Contains(body, `"code":220`) {
		t.Errorf("for an app: got %d %s", resp.StatusCode, body)
	}
}

// oauth1 is what a client of OAuth 1.0a holds.
type oauth1 struct {
	key, secret, token, tokenSecret string
}

// newOAuth1 gives the user a token of a new app.
func (w *world) newOAuth1(user liked.UserID, access liked.Access) oauth1 {
	w.t.Helper()
	app, secrets, err := w.auth.NewApp(context.Background(), liked.App{Name: "signs", Access: access})
	w.must(err)
	token, tokenSecret, err := w.auth.IssueOAuth1Token(context.Background(), app.ID, user, access)
	w.must(err)
	return oauth1{app.APIKey, secrets.APISecret, token, tokenSecret}
}

// sign adds the header of RFC 5849, 3.5.1. A form body is signed, too.
func (o oauth1) sign(w *world, r *http.Request, body string) {
	w.t.Helper()
	w.nonces++
	own := map[string]string{"oauth_consumer_key": o.key, "oauth_nonce": fmt.Sprint("n", w.nonces), "oauth_signature_method": "HMAC-SHA1",
		"oauth_timestamp": fmt.Sprint(w.now().Unix()), "oauth_token": o.token, "oauth_version": "1.0"}
	encode := func(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }
	var params []string
	for k, v := range own {
		params = append(params, encode(k)+"="+encode(v))
	}
	lists := []url.Values{r.URL.Query()}
	if r.Header.Get("Content-Type") == "application/x-www-form-urlencoded" {
		form, err := url.ParseQuery(body)
		w.must(err)
		lists = append(lists, form)
	}
	for _, list := range lists {
		for k, values := range list {
			for _, v := range values {
				params = append(params, encode(k)+"="+encode(v))
			}
		}
	}
	slices.Sort(params)
	mac := hmac.New(sha1.New, []byte(encode(o.secret)+"&"+encode(o.tokenSecret)))
	fmt.Fprint(mac, r.Method, "&", encode("http://"+r.URL.Host+r.URL.Path), "&", encode(strings.Join(params, "&")))
	own["oauth_signature"] = base64.StdEncoding.EncodeToString(mac.Sum(nil))
	var header []string
	for k, v := range own {
		header = append(header, k+`="`+encode(v)+`"`)
	}
	r.Header.Set("Authorization", "OAuth "+strings.Join(header, ", "))
}
