package admin_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"liked/internal/enginetest"
	"liked/likedtest"
)

func TestMain(m *testing.M) { enginetest.Main(m) }

func newServer(t *testing.T, options ...likedtest.Option) *likedtest.Server {
	t.Helper()
	if dsn := enginetest.Postgres(t); dsn != "" {
		options = append(options, likedtest.Postgres(dsn))
	}
	return likedtest.New(t, options...)
}

// call sends a body as it is and returns status and answer.
func call(t *testing.T, srv *likedtest.Server, method, path, body string) (int, string) {
	t.Helper()
	r, err := http.NewRequest(method, srv.AdminURL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+srv.AdminToken)
	transport := &http.Transport{DisableKeepAlives: true}
	resp, err := transport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if got := resp.Header.Get("Content-Type"); got != "application/json" {
		t.Errorf("%s %s: content type %q", method, path, got)
	}
	checkDescribed(t, srv, method, path, resp.StatusCode, string(text))
	return resp.StatusCode, string(text)
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	srv := newServer(t)
	post := srv.Posts[0].ID.String()
	for _, tt := range []struct {
		name, method, path, body string
		status                   int
		want                     string // part of the reason
	}{
		{"unknown path", "GET", "/admin/nothing", "", 404, "no endpoint GET /admin/nothing"},
		{"wrong method", "PUT", "/admin/users", "", 404, "no endpoint PUT /admin/users"},
		{"no name", "DELETE", "/admin/apps//keys", "", 404, "no endpoint DELETE /admin/apps//keys"},
		{"dots", "GET", "/admin/posts/../users", "", 404, "no endpoint GET /admin/posts/../users"},
		{"no body", "POST", "/admin/users", "", 400, "body"},
		{"no object", "POST", "/admin/users", `[]`, 400, "body"},
		{"unknown key", "POST", "/admin/users", `{"username":"u","nmae":"x"}`, 400, `unknown member "nmae"`},
		{"another case", "POST", "/admin/users", `{"username":"u","ID":"5"}`, 400, `unknown member "ID"`},
		{"a key twice", "POST", "/admin/users", `{"username":"u","id":"5","id":"6"}`, 400, `member "id" stands twice`},
		{"two objects", "POST", "/admin/users", `{"username":"u"}{}`, 400, "no JSON from byte 17 on"},
		{"id as number", "POST", "/admin/users", `{"username":"u","id":1}`, 400, "body"},
		{"id that is none", "POST", "/admin/users", `{"username":"u","id":"x"}`, 400, "1 to 19 decimal digits"},
		{"large body", "POST", "/admin/users", `{"username":"` + strings.Repeat("u", 300<<10) + `"}`, 413, "larger than"},
		{"odd username", "POST", "/admin/users", `{"username":"a b"}`, 400, "username"},
		{"long name", "POST", "/admin/users", `{"username":"u","name":"` + strings.Repeat("x", 51) + `"}`, 400, "name"},
		{"taken username", "POST", "/admin/users", `{"username":"ALICE"}`, 409, "taken"},
		{"taken id", "POST", "/admin/users", `{"username":"u","id":"2244994945"}`, 409, "2244994945"},
		{"unknown user", "GET", "/admin/users/nobody", "", 404, "nobody"},
		{"unknown id", "GET", "/admin/users/5", "", 404, "5"},
		{"unknown state", "PATCH", "/admin/users/alice", `{"state":"asleep"}`, 400, "asleep"},
		{"rename to taken", "PATCH", "/admin/users/alice", `{"username":"bob"}`, 409, "taken"},
		{"follow oneself", "PUT", "/admin/users/alice/following/alice", "", 400, ""},
		{"a page of words", "GET", "/admin/users?max=many", "", 400, `max="many": not from 1 to 1000`},
		{"likes after no page", "GET", "/admin/likes?user=alice&after=x", "", 400, `after="x": it is no next of a page before`},
		{"requests after no page", "GET", "/admin/requests?after=0", "", 400, `after="0": it is no next of a page before`},
		{"calls or not", "GET", "/admin/requests?calls=perhaps", "", 400, `calls="perhaps": neither true nor false`},
		{"requests of no operation", "GET", "/admin/requests?operation=usersIdLikes", "", 400, `"usersIdLikes" is no operation; there are `},
		{"bad lines or not", "POST", "/admin/import?skip_bad=perhaps", "", 400, `skip_bad="perhaps": neither true nor false`},
		{"too large a page", "GET", "/admin/users?max=1001", "", 400, "1 to 1000"},
		{"unknown parameter", "GET", "/admin/users?limit=1", "", 400, "limit"},
		{"unknown parameter of none", "GET", "/admin/clock?at=1", "", 400, `at="1": unknown parameter; there are none`},
		{"a parameter twice", "DELETE", "/admin/limits?user=alice&user=bob", "", 400, `user="bob": the parameter stands twice`},
		{"a parameter that cannot be read", "DELETE", "/admin/limits?user=%zz", "", 400, `invalid URL escape "%zz"`},
		{"parameters with semicolons", "DELETE", "/admin/limits?user=alice;app=demo", "", 400, "semicolon"},
		{"a body of parameters", "DELETE", "/admin/limits", `{"user":"alice"}`, 400, `unknown member "user"`},
		{"a body of a call without one", "POST", "/admin/reset", `{"hard":true}`, 400, `unknown member "hard"`},
		{"a body that is no JSON", "DELETE", "/admin/requests", `user=alice`, 400, "no JSON"},
		{"post without text", "POST", "/admin/posts", `{"author":"alice"}`, 400, "text"},
		{"post of nobody", "POST", "/admin/posts", `{"author":"nobody","text":"x"}`, 404, "nobody"},
		{"repost of nothing", "POST", "/admin/posts", `{"author":"alice","repost_of":"9"}`, 404, "9"},
		{"taken post", "POST", "/admin/posts", `{"author":"alice","text":"x","id":"` + post + `"}`, 409, post},
		{"unknown post", "DELETE", "/admin/posts/9", "", 404, "9"},
		{"post that is no id", "GET", "/admin/posts/x", "", 400, `post "x"`},
		{"app without name", "POST", "/admin/apps", `{}`, 400, "name"},
		{"app of unknown type", "POST", "/admin/apps", `{"name":"a","type":"secret"}`, 400, "secret"},
		{"redirect to nowhere", "POST", "/admin/apps", `{"name":"a","redirect_uris":["/callback"]}`, 400, "/callback"},
		{"redirect with fragment", "PATCH", "/admin/apps/demo", `{"redirect_uris":["http://a/#b"]}`, 400, "fragment"},
		{"forbidden scheme", "PATCH", "/admin/apps/demo", `{"redirect_uris":["javascript:alert(1)"]}`, 400, "scheme javascript"},
		{"forbidden scheme of a new app", "POST", "/admin/apps", `{"name":"a","redirect_uris":["data:x"]}`, 400, "scheme data"},
		{"app of no user", "PATCH", "/admin/apps/demo", `{"owner":"nobody"}`, 404, "nobody"},
		{"unknown app", "DELETE", "/admin/apps/nothing", "", 404, "nothing"},
		{"the server's app", "DELETE", "/admin/apps/1", "", 403, "the server's own"},
		{"unknown token", "POST", "/admin/tokens/expire", `{"token":"x"}`, 404, "no such"},
		{"posts of nobody", "GET", "/admin/posts?author=nobody", "", 400, "nobody"},
		{"posts before no id", "GET", "/admin/posts?before=x", "", 400, "1 to 19 decimal digits"},
		{"followers of nobody", "GET", "/admin/users/nobody/followers", "", 404, "nobody"},
		{"followers after no id", "GET", "/admin/users/alice/followers?after=x", "", 400, "1 to 19 decimal digits"},
		{"short password", "PATCH", "/admin/users/alice", `{"password":"short"}`, 400, "5 characters"},
		{"empty password", "POST", "/admin/users", `{"username":"u","password":""}`, 400, "0 characters"},
		{"11 redirects", "PATCH", "/admin/apps/demo",
			`{"redirect_uris":["a:1","a:2","a:3","a:4","a:5","a:6","a:7","a:8","a:9","a:10","a:11"]}`, 400, "11"},
		{"unknown app", "PATCH", "/admin/apps/none", `{}`, 404, "none"},
		{"unknown tier", "PATCH", "/admin/apps/demo", `{"tier":"free"}`, 400, "free"},
		{"unknown kind of token", "POST", "/admin/tokens", `{"kind":"refresh","app":"demo"}`, 400, "refresh"},
		{"app token of a user", "POST", "/admin/tokens", `{"kind":"app","app":"demo","user":"alice"}`, 400, "no user"},
		{"negative lifetime", "POST", "/admin/tokens", `{"kind":"user","app":"demo","user":"alice","lifetime_seconds":-1}`, 400, "lifetime"},
		{"endless lifetime", "POST", "/admin/tokens",
			`{"kind":"user","app":"demo","user":"alice","lifetime_seconds":9223372036854775807}`, 400, "lifetime"},
		{"unknown scope", "POST", "/admin/tokens", `{"kind":"user","app":"demo","user":"alice","scopes":"like.all"}`, 400, "like.all"},
		{"revoke nothing", "POST", "/admin/tokens/revoke", `{}`, 400, "no token"},
		{"revoke what there is not", "POST", "/admin/tokens/revoke", `{"token":"x"}`, 404, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			status, text := call(t, srv, tt.method, tt.path, tt.body)
			var answer struct{ Error string }
			if err := json.Unmarshal([]byte(text), &answer); err != nil {
				t.Fatalf("%s: %v", text, err)
			}
			if status != tt.status || answer.Error == "" || !strings.Contains(answer.Error, tt.want) {
				t.Errorf("%d %q, want %d with %q", status, answer.Error, tt.status, tt.want)
			}
		})
	}
}

// What an operator does shows at the API at once.
func TestEffects(t *testing.T) {
	t.Parallel()
	srv := newServer(t)
	bob := srv.Users["bob"]
	var author likedtest.User // of the first post: alice
	for _, u := range srv.Users {
		if u.ID == srv.Posts[0].AuthorID {
			author = u
		}
	}
	like := func(token string) int {
		t.Helper()
		body := strings.NewReader(`{"tweet_id":"` + srv.Posts[0].ID.String() + `"}`)
		r, err := http.NewRequest("POST", srv.URL+"/2/users/"+bob.ID.String()+"/likes", body)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+token)
		r.Header.Set("Content-Type", "application/json")
		transport := &http.Transport{DisableKeepAlives: true}
		resp, err := transport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp.StatusCode
	}
	admin := func(method, path, body string) {
		t.Helper()
		if status, text := call(t, srv, method, path, body); status >= 300 {
			t.Fatalf("%s %s: %d %s", method, path, status, text)
		}
	}
	token := bob.AccessToken
	for _, step := range []struct {
		name, method, path, body string
		status                   int // of a like afterwards
	}{
		{"nothing", "GET", "/admin/users/bob", "", 200},
		{"lock", "PATCH", "/admin/users/bob", `{"state":"locked"}`, 403},
		{"unlock", "PATCH", "/admin/users/@BOB", `{"state":"active"}`, 200},
		{"protect", "PATCH", "/admin/users/" + author.ID.String(), `{"protected":true}`, 403},
		{"follow", "PUT", "/admin/users/bob/following/" + author.Username, "", 200},
		{"block", "PUT", "/admin/users/" + author.Username + "/blocking/bob", "", 403},
		{"unblock", "DELETE", "/admin/users/" + author.Username + "/blocking/bob", "", 403}, // the follow is gone
		{"follow again", "PUT", "/admin/users/bob/following/" + author.Username, "", 200},
		{"unfollow", "DELETE", "/admin/users/bob/following/" + author.Username, "", 403},
		{"unprotect", "PATCH", "/admin/users/" + author.Username, `{"protected":false}`, 200},
		{"self-serve", "PATCH", "/admin/apps/demo", `{"tier":"self-serve"}`, 403},
		{"enterprise", "PATCH", "/admin/apps/demo", `{"tier":"enterprise"}`, 200},
		{"suspend app", "PATCH", "/admin/apps/demo", `{"state":"suspended"}`, 401},
		{"restore app", "PATCH", "/admin/apps/demo", `{"state":"enrolled"}`, 200},
		{"delete", "DELETE", "/admin/posts/" + srv.Posts[0].ID.String(), "", 400},
		{"revoke", "POST", "/admin/tokens/revoke", fmt.Sprintf(`{"token":%q}`, token), 401},
	} {
		admin(step.method, step.path, step.body)
		if got := like(token); got != step.status {
			t.Errorf("like after %s: %d, want %d", step.name, got, step.status)
		}
	}

	// The bearer token of an app is the same until it is revoked.
	var first, again struct{ Token string }
	for _, into := range []any{&first, &again} {
		if err := srv.Admin("POST", "/admin/tokens", map[string]string{"kind": "app", "app": "demo"}, into); err != nil {
			t.Fatal(err)
		}
	}
	if first.Token != srv.Apps[0].BearerToken || again != first {
		t.Errorf("bearer tokens %s and %s, want %s", first.Token, again.Token, srv.Apps[0].BearerToken)
	}
	if err := srv.Admin("POST", "/admin/tokens/revoke", map[string]string{"token": first.Token}, nil); err != nil {
		t.Fatal(err)
	}
	if err := srv.Admin("POST", "/admin/tokens", map[string]string{"kind": "app", "app": "demo"}, &again); err != nil || again == first {
		t.Errorf("bearer token after a revocation: %s, %v; want a new one", again.Token, err)
	}
}

// Users are listed in pages, each once.
func TestPages(t *testing.T) {
	t.Parallel()
	srv := newServer(t, likedtest.Size(25, 0))
	seen := map[string]bool{}
	for path := "/admin/users?max=10"; path != ""; {
		var page struct {
			Users []struct{ ID, Username string }
			Next  string
		}
		if err := srv.Admin("GET", path, nil, &page); err != nil {
			t.Fatal(err)
		}
		for _, u := range page.Users {
			if seen[u.Username] {
				t.Fatalf("%s is listed twice", u.Username)
			}
			seen[u.Username] = true
		}
		if len(page.Users) > 10 {
			t.Errorf("%d users on a page, want at most 10", len(page.Users))
		}
		path = ""
		if page.Next != "" {
			path = "/admin/users?max=10&after=" + page.Next
		}
	}
	if len(seen) != 25 {
		t.Errorf("%d users, want 25", len(seen))
	}
}

// An import is read ahead of what the store has taken: what is refused still ends it where it stands, with all before it
// added and nothing behind it.
func TestImportSteps(t *testing.T) {
	t.Parallel()
	const lines = 10_000 // more than two steps
	const ofNoUser = `{"type":"like","user_id":"1","post_id":"1","at":"2024-01-01T00:00:00.000Z"}`
	for _, tt := range []struct {
		name    string
		line    int    // which is bad
		text    string // as it stands
		skip    bool
		added   int
		refused int
	}{
		{"nothing bad", 0, "", false, lines, 0},
		{"refused by the store in the second step", 5000, ofNoUser, false, 4999, 1},
		{"the same, skipped", 5000, ofNoUser, true, lines - 1, 1},
		{"no record at all", 9000, `{"type":"nothing"}`, false, 8999, 1},
		{"the same, skipped", 9000, `{"type":"nothing"}`, true, lines - 1, 1},
		{"the first line", 1, `{"type":"nothing"}`, false, 0, 1},
		{"the last line", lines, `{"type":"nothing"}`, false, lines - 1, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			srv := newServer(t)
			var body strings.Builder
			for n := 1; n <= lines; n++ {
				if n == tt.line {
					fmt.Fprintln(&body, tt.text)
					continue
				}
				fmt.Fprintf(&body, `{"type":"user","id":"%d","username":"u%d","name":"u","created_at":"2020-01-01T00:00:00.000Z"}`+"\n",
					5_000_000_000+n, n)
			}
			status, text := call(t, srv, "POST", fmt.Sprintf("/admin/import?skip_bad=%v", tt.skip), body.String())
			var got struct {
				Added, Refused int
				Reasons        []struct{ Line int }
			}
			if err := json.Unmarshal([]byte(text), &got); err != nil || status != 200 {
				t.Fatalf("%d %s, %v", status, text, err)
			}
			if got.Added != tt.added || got.Refused != tt.refused || len(got.Reasons) != tt.refused {
				t.Fatalf("added %d and refused %d, want %d and %d: %.300s", got.Added, got.Refused, tt.added, tt.refused, text)
			}
			if tt.refused > 0 && got.Reasons[0].Line != tt.line {
				t.Errorf("line %d is refused, want %d", got.Reasons[0].Line, tt.line)
			}
			want := 404 // of the last line's user
			if tt.line != lines && (tt.line == 0 || tt.skip) {
				want = 200
			}
			if status, text := call(t, srv, "GET", fmt.Sprintf("/admin/users/u%d", lines), ""); status != want {
				t.Errorf("the last line's user: %d %s, want %d", status, text, want)
			}
		})
	}
}

// A client that is still writing gets its answer after the last byte, not a connection that is closed under it.
func TestImportIsAnsweredAtItsEnd(t *testing.T) {
	t.Parallel()
	srv := newServer(t)
	for path, want := range map[string]int{"/admin/import": 200, "/admin/import?no=parameter": 400} {
		body, rest := io.Pipe()
		r, err := http.NewRequest("POST", srv.AdminURL+path, body)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+srv.AdminToken)
		answers := make(chan string, 1)
		go func() {
			resp, err := new(http.Transport).RoundTrip(r)
			if err != nil {
				answers <- err.Error()
				return
			}
			defer resp.Body.Close()
			answers <- fmt.Sprint(resp.StatusCode)
		}()
		fmt.Fprintln(rest, `{"type":"nothing"}`)
		select {
		case got := <-answers:
			t.Fatalf("%s: got %s while the client wrote", path, got)
		case <-time.After(200 * time.Millisecond):
		}
		if _, err := rest.Write(make([]byte, 3<<20)); err != nil {
			t.Errorf("%s: %v", path, err)
		}
		rest.Close()
		if got := <-answers; got != fmt.Sprint(want) {
			t.Errorf("%s: got %s, want %d", path, got, want)
		}
	}
}
