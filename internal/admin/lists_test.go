package admin_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"liked/likedtest"
)

// get asks for one answer, which must be a success, and decodes it.
func get[T any](t *testing.T, srv *likedtest.Server, method, path, body string) (v T) {
	t.Helper()
	status, text := call(t, srv, method, path, body)
	if status >= 300 {
		t.Fatalf("%s %s: got %d %s", method, path, status, text)
	}
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// Each list is whole in pages of any size, in its order.
func TestLists(t *testing.T) {
	t.Parallel()
	srv := newServer(t)
	for _, pair := range []string{"alice/following/bob", "alice/following/carol", "bob/following/alice", "dave/following/alice",
		"alice/blocking/erin", "bob/blocking/erin"} {
		call(t, srv, "PUT", "/admin/users/"+pair, "")
	}
	for _, name := range []string{"al", "ALX", "alicf"} {
		get[any](t, srv, "POST", "/admin/users", `{"username":"`+name+`"}`)
	}
	for path, want := range map[string]string{
		"/admin/users/alice/following?": "bob carol",
		"/admin/users/alice/followers?": "bob dave",
		"/admin/users/alice/blocking?":  "erin",
		"/admin/users/erin/blocked-by?": "alice bob",
		"/admin/users/erin/following?":  "",
		"/admin/users?username=AL&":     "al alice alicf ALX",
		"/admin/users?username=nobody&": "",
		"/admin/posts?author=carol&":    "A heron, an hour later. It did not move once|A kingfisher 🐦 by the canal",
		"/admin/posts?author=likesbot&": "",
		"/admin/posts?author=dave&":     "Reading RFC 6749 so that you need not",
	} {
		for _, most := range []int{1, 2, 1000} {
			var got []string
			parameter, sep := "&after=", " "
			for next := path + "max=" + strconv.Itoa(most); next != ""; {
				page := get[struct {
					Users []struct{ Username string }
					Posts []struct{ Text string }
					Next  string
				}](t, srv, "GET", next, "")
				if n := len(page.Users) + len(page.Posts); n > most || len(got) > 20 {
					t.Fatalf("%s: a page of at most %d has %d entries, after %q", path, most, n, got)
				}
				for _, u := range page.Users {
					got = append(got, u.Username)
				}
				for _, p := range page.Posts {
					got = append(got, p.Text)
				}
				if strings.HasPrefix(path, "/admin/posts") {
					parameter, sep = "&before=", "|"
				}
				if next = ""; page.Next != "" {
					next = path + "max=" + strconv.Itoa(most) + parameter + page.Next
				}
			}
			if got := strings.Join(got, sep); got != want {
				t.Errorf("%s in pages of %d: got %q, want %q", path, most, got, want)
			}
		}
	}
}

// An app that is handed over works with its secrets and new tokens alone; one that is deleted is gone. Tokens end at once.
func TestAppsEnd(t *testing.T) {
	t.Parallel()
	srv := newServer(t)
	me := func(token string) int {
		r, err := http.NewRequest("GET", srv.URL+"/2/users/me", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+token)
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp.StatusCode
	}
	type app struct {
		ID       string
		Owner    string `json:"owner_id"`
		ClientID string `json:"client_id"`
	}
	bob := srv.Users["bob"]
	made := get[app](t, srv, "POST", "/admin/apps", `{"name":"shop","owner":"alice"}`)
	issue := func() string {
		return get[struct{ Token string }](t, srv, "POST", "/admin/tokens", `{"kind":"user","app":"shop","user":"bob"}`).Token
	}
	token := issue()
	if want := srv.Users["alice"].ID.String(); made.Owner != want || me(token) != 200 {
		t.Fatalf("got owner %q, want %q, and status %d", made.Owner, want, me(token))
	}
	for _, owner := range []string{bob.ID.String(), ""} {
		name := owner
		got := get[app](t, srv, "PATCH", "/admin/apps/shop", `{"owner":"`+name+`"}`)
		if got.Owner != owner || got.ClientID != made.ClientID || me(token) != 401 {
			t.Errorf("handed to %q: got owner %q and status %d of a token from before, want 401", name, got.Owner, me(token))
		}
		if token = issue(); me(token) != 200 {
			t.Errorf("handed to %q: a new token does not work", name)
		}
	}
	for n := range 26 {
		status, text := call(t, srv, "POST", "/admin/apps", `{"name":"more","owner":"bob"}`)
		if want := map[bool]int{true: 201, false: 403}[n < 25]; status != want {
			t.Errorf("app %d of one user: got %d %s, want %d", n+1, status, text, want)
		}
	}
	if status, text := call(t, srv, "PATCH", "/admin/apps/shop", `{"owner":"bob"}`); status != 403 {
		t.Errorf("handed to a user with 25 apps: got %d %s, want 403", status, text)
	}
	get[any](t, srv, "DELETE", "/admin/apps/shop", "")
	if got := me(token); got != 401 {
		t.Errorf("a token of a deleted app: got status %d, want 401", got)
	}
	apps := get[struct{ Apps []app }](t, srv, "GET", "/admin/apps", "").Apps
	if slices.ContainsFunc(apps, func(a app) bool { return a.ID == made.ID }) {
		t.Error("a deleted app is in the list")
	}
	if status, _ := call(t, srv, "POST", "/admin/tokens", `{"kind":"app","app":"`+made.ClientID+`"}`); status != 404 {
		t.Errorf("a token for a deleted app: got %d, want 404", status)
	}

	get[any](t, srv, "POST", "/admin/tokens/expire", `{"token":"`+bob.AccessToken+`"}`)
	if got := me(bob.AccessToken); got != 401 {
		t.Errorf("an expired token: got status %d, want 401", got)
	}
	if status, text := call(t, srv, "POST", "/admin/tokens/expire", `{"token":"`+bob.OAuth1Token+`"}`); status != 400 {
		t.Errorf("expiry of an OAuth 1.0a token: got %d %s, want 400", status, text)
	}
	get[any](t, srv, "POST", "/admin/tokens/expire", `{"token":"`+bob.RefreshToken+`"}`) // it is not spent
}
