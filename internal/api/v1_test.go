package api_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

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
