package admin_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"liked/likedtest"
)

// Each call makes a state, whatever was before, and again.
func TestAnyState(t *testing.T) {
	t.Parallel()
	srv := likedtest.New(t)
	post, alice := srv.Posts[0].ID.String(), srv.Users["alice"].ID.String()
	for _, c := range []struct {
		method, path, body string
		status             int
		want               string
	}{
		{"PUT", "/admin/users/alice", `{"state":"locked","protected":true}`, 200, `"state":"locked"`},
		{"PUT", "/admin/users/" + alice, `{"state":"active","protected":false}`, 200, `"username":"alice"`},
		{"PUT", "/admin/users/zoe", `{}`, 200, `"username":"zoe"`},
		{"PUT", "/admin/users/4711", `{"username":"byid","created_at":"2020-01-02T03:04:05Z"}`, 200, `"created_at":"2020-01-02T03:04:05Z"`},
		{"PUT", "/admin/users/4712", `{}`, 400, "username"},
		{"PUT", "/admin/users/4713", `{"username":"exact","created_at":"2020-01-02T03:04:05.123456789+02:00"}`, 200, "01:04:05.123456Z"},
		{"PUT", "/admin/posts/78", `{"author":"exact","text":"x","created_at":"2020-01-02T03:04:05.123456789Z"}`, 200, "03:04:05.123456Z"},
		{"PUT", "/admin/users/zoe", `{"username":"alice"}`, 409, "taken"},
		{"PUT", "/admin/posts/77", `{"author":"zoe","text":"x"}`, 200, `"text":"x"`},
		{"PUT", "/admin/posts/77", `{"author":"zoe","text":"y"}`, 409, "never changes"},
		{"PUT", "/admin/users/zoe", `{"protected":true}`, 200, `"protected":true`},
		{"PUT", "/admin/posts/77", `{"author":"zoe","text":"x"}`, 200, `"text":"x"`}, // though not everybody sees it now
		{"PUT", "/admin/users/zoe", `{"state":"suspended"}`, 200, `"state":"suspended"`},
		{"PUT", "/admin/posts/77", `{"text":"x"}`, 200, `"text":"x"`},
		{"PUT", "/admin/posts/77", `{"text":"x","created_at":"2020-01-02T03:04:05Z"}`, 409, "never changes"},
		{"PUT", "/admin/users/zoe", `{"state":"active","protected":false}`, 200, `"state":"active"`},
		{"PUT", "/admin/users/@ann", `{"pinned_post_id":"0"}`, 200, `"username":"ann"`},
		{"PUT", "/admin/posts/77", `{"id":"78","author":"zoe","text":"x"}`, 400, "not that of the path"},
		{"PUT", "/admin/likes/zoe/" + post, "", 200, "changed"},
		{"GET", "/admin/likes?user=zoe", "", 200, `"likes":[{"user":"`},
		{"GET", "/admin/likes?user=zoe&post=" + post, "", 200, `"liked":true`},
		{"GET", "/admin/likes?post=" + post, "", 200, `"post":"` + post + `"`},
		{"GET", "/admin/likes?user=zoe&post=" + post + ",9", "", 200, `"liked":true},{"user":"`},
		{"GET", "/admin/likes?post=" + post + ",9", "", 400, "one post"},
		{"GET", "/admin/likes", "", 400, "one post"},
		{"DELETE", "/admin/likes/zoe/" + post, "", 200, "changed"},
		{"GET", "/admin/likes?user=zoe&post=" + post, "", 200, `"liked":false`},
		{"GET", "/admin/likes?user=zoe", "", 200, `"likes":[]`},
		{"PUT", "/admin/likes/zoe/9", "", 404, "9"},
		{"DELETE", "/admin/limits?operation=nothing", "", 400, "no operation"},
		{"GET", "/admin/limits?user=nobody", "", 400, "nobody"},
		{"GET", "/admin/limits?app=nothing", "", 400, `no app \"nothing\"`},
		{"GET", "/admin/limits?app=demo", "", 200, `"limits":[`},
	} {
		var first string
		for range 2 {
			status, text := call(t, srv, c.method, c.path, c.body)
			if status != c.status || !strings.Contains(text, c.want) {
				t.Errorf("%s %s %s: got %d %s, want %d and %s", c.method, c.path, c.body, status, text, c.status, c.want)
			}
			if first == "" {
				first = text
			} else if text != first && c.want != "changed" {
				t.Errorf("%s %s %s: got %s, then %s", c.method, c.path, c.body, first, text)
			}
		}
	}
}

// Tokens expire one by one, or all of a kind.
func TestExpire(t *testing.T) {
	t.Parallel()
	srv := likedtest.New(t, likedtest.AutoConsent("bob"))
	issue := func() (access, refresh string) {
		t.Helper()
		token := get[map[string]any](t, srv, "POST", "/admin/tokens", `{"kind":"user","app":"demo-public","user":"alice"}`)
		return token["token"].(string), token["refresh_token"].(string)
	}
	refreshed := func(token string) int {
		t.Helper()
		resp, err := http.PostForm(srv.URL+"/2/oauth2/token", url.Values{"grant_type": {"refresh_token"},
			"refresh_token": {token}, "client_id": {srv.Apps[1].ClientID}})
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp.StatusCode
	}
	expire := func(body string, want int) {
		t.Helper()
		if status, text := call(t, srv, "POST", "/admin/tokens/expire", body); status != want {
			t.Errorf("%s: got %d %s, want %d", body, status, text, want)
		}
	}
	access, refresh := issue()
	expire(`{"token":"`+access+`"}`, 200)
	if a, r := as(t, srv, access, "/2/users/me"), refreshed(refresh); a != 401 || r != 200 {
		t.Errorf("after the access token expired: %d, and %d for the refresh token", a, r)
	}
	for _, body := range []string{`{"token":"%"}`, `{"user":"alice","app":"demo-public","kind":"refresh"}`} {
		access, refresh := issue()
		expire(strings.ReplaceAll(body, "%", refresh), 200)
		if a, r := as(t, srv, access, "/2/users/me"), refreshed(refresh); a != 200 || r != 400 {
			t.Errorf("%s: %d for the access token, %d for the refresh token", body, a, r)
		}
	}
	for _, body := range []string{
		`{"token":"%"}`, `{"user":"bob","app":"demo-public","kind":"code"}`, `{"user":"alice","kind":"code"}`,
	} {
		form := url.Values{"grant_type": {"authorization_code"}, "client_id": {srv.Apps[1].ClientID}, "code_verifier": {"v"},
			"redirect_uri": {srv.Apps[1].RedirectURIs[0]}}
		r, err := http.NewRequest("GET", srv.URL+"/i/oauth2/authorize?response_type=code&scope=users.read&state=s&code_challenge=v"+
			"&code_challenge_method=plain&"+url.Values{"client_id": form["client_id"], "redirect_uri": form["redirect_uri"]}.Encode(), nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		back, err := resp.Location()
		if err != nil {
			t.Fatal(err)
		}
		form.Set("code", back.Query().Get("code"))
		expire(strings.ReplaceAll(body, "%", form.Get("code")), 200)
		if resp, err = http.PostForm(srv.URL+"/2/oauth2/token", form); err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if want := map[bool]int{true: 200, false: 400}[strings.Contains(body, "alice")]; resp.StatusCode != want {
			t.Errorf("%s: got %d for the code, want %d", body, resp.StatusCode, want)
		}
	}
	access, _ = issue()
	expire(`{"user":"alice","kind":"access"}`, 200)
	if a, b := as(t, srv, access, "/2/users/me"), as(t, srv, srv.Users["alice"].AccessToken, "/2/users/me"); a != 401 || b != 401 {
		t.Errorf("after all expired: %d and %d", a, b)
	}
	expire(`{"user":"alice","kind":"code"}`, 200)
	expire(`{"user":"alice"}`, 400)
	expire(`{"user":"alice","kind":"x"}`, 400)
	expire(`{"token":"x","kind":"access"}`, 400)
	expire(`{"token":"x"}`, 404)
}
