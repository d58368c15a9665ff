package likedtest_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"

	"liked/likedtest"
)

// get sends a request and returns its answer, read to its end.
func get(t *testing.T, r *http.Request) *http.Response {
	t.Helper()
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		t.Fatal(err)
	}
	return resp
}

func TestRequests(t *testing.T) {
	t.Parallel()
	srv := likedtest.New(t)
	alice := srv.Users["alice"]
	status, _, h := like(t, srv, "alice", 0)
	if status != 200 {
		t.Fatalf("status %d", status)
	}
	rows := srv.Requests(t, "")
	if len(rows) != 1 {
		t.Fatalf("%d rows", len(rows))
	}
	got := rows[0]
	if got.At.IsZero() || got.DurationMS <= 0 {
		t.Errorf("at %v, duration %v", got.At, got.DurationMS)
	}
	id := h.Get("X-Transaction-Id")
	want := likedtest.Request{TransactionID: id, At: got.At, DurationMS: got.DurationMS, Method: "POST",
		Path: "/2/users/" + alice.ID.String() + "/likes", Operation: "usersIdLike", User: alice.ID.String(),
		App: appID(t, srv), Credential: "user", Status: 200}
	if got != want {
		t.Errorf("row\n%+v, want\n%+v", got, want)
	}
	d := srv.Request(t, id)
	if d.Row != got {
		t.Errorf("one alone is %+v", d.Row)
	}
	if d.Request.Body != `{"tweet_id":"`+srv.Posts[0].ID.String()+`"}` || d.Response.Body != `{"data":{"liked":true}}` {
		t.Errorf("bodies %q and %q", d.Request.Body, d.Response.Body)
	}
	if auth := d.Request.Headers["Authorization"]; auth != "Bearer "+alice.AccessToken[:4]+"…" {
		t.Errorf("Authorization %q", auth)
	}
	if d.Request.Headers["Content-Type"] != "application/json" || d.Response.Headers["X-Transaction-Id"] != id ||
		d.Request.Headers["Host"] != strings.TrimPrefix(srv.URL, "http://") {
		t.Errorf("headers %v and %v", d.Request.Headers, d.Response.Headers)
	}
	if d.Limits == nil || len(d.Limits.Before) != 2 || len(d.Limits.After) != 2 {
		t.Fatalf("limits %+v", d.Limits)
	}
	if b, a := d.Limits.Before[0], d.Limits.After[0]; b.Remaining != 50 || a.Remaining != 49 || a.Limit != 50 || a.Of != "user" ||
		a.Window != "15m" || fmt.Sprint(a.Reset.Unix()) != h.Get("X-Rate-Limit-Reset") || d.Limits.After[1].Window != "24h" {
		t.Errorf("windows %+v", d.Limits)
	}
	if err := srv.Admin("GET", "/admin/requests/nothing", nil, nil); err == nil {
		t.Error("a request that never was is found")
	}
	srv.ClearRequests(t)
	if rows := srv.Requests(t, ""); len(rows) != 0 {
		t.Errorf("%d rows of an empty journal", len(rows))
	}
}

func TestRequestsFilter(t *testing.T) {
	t.Parallel()
	srv := likedtest.New(t)
	like(t, srv, "alice", 0)
	like(t, srv, "bob", 1)
	get(t, request(t, "GET", srv.URL+"/2/users/me?user.fields=verified"))
	get(t, request(t, "GET", srv.URL+"/nowhere"))
	for filter, want := range map[string]int{
		"": 4, "operation=usersIdLike": 2, "user=alice": 1, "user=" + srv.Users["bob"].ID.String(): 1, "user=carol": 0,
		"app=" + appID(t, srv): 2, "app=" + url.QueryEscape(srv.Apps[0].Name): 2,
		"app=" + url.QueryEscape(srv.Apps[1].Name): 0,
		"status=200": 2, "status=401": 1, "status=4xx": 2, "status=5xx": 0,
		"text=USER.FIELDS": 1, "text=" + srv.Posts[1].ID.String(): 1, "text=%22liked%22%3Atrue": 2,
		"text=no+authorization+header": 1, "limit=3": 3,
		"operation=usersIdLike&user=bob&status=2xx": 1,
	} {
		if got := srv.Requests(t, filter); len(got) != want {
			t.Errorf("%q selects %d: %v, want %d", filter, len(got), got, want)
		}
	}
	for _, bad := range []string{"user=nobody_", "app=none", "status=abc", "status=6xx", "status=5", "status=404xx",
		"limit=0", "limit=1001", "after=x", "after=0", "other=1"} {
		if err := srv.Admin("GET", "/admin/requests?"+bad, nil, nil); err == nil {
			t.Errorf("%s is allowed", bad)
		}
	}
}

// A walk sees each of 10,000 exchanges once, whatever is recorded meanwhile.
func TestRequestsPage(t *testing.T) {
	t.Parallel()
	srv := likedtest.New(t, likedtest.RateLimits("off"))
	const all = 10_000
	var flood sync.WaitGroup
	fill := func(each int) {
		for range 8 {
			flood.Go(func() {
				for range each {
					get(t, request(t, "GET", srv.URL+"/2/users/me"))
				}
			})
		}
	}
	fill(all / 8)
	flood.Wait()
	first := srv.Requests(t, "limit=1")[0]
	fill(200)
	seen := make(map[string]bool)
	var page struct {
		Data []likedtest.Request
		Next string
	}
	// Exchanges that are recorded meanwhile drop the oldest: the walk ends where the journal does.
	path, begun := "/admin/requests?limit=1000", false
	for more := path; more != ""; {
		page.Data, page.Next = nil, ""
		if err := srv.Admin("GET", more, nil, &page); err != nil {
			t.Fatal(err)
		}
		for _, r := range page.Data {
			if seen[r.TransactionID] {
				t.Fatalf("%s is seen twice", r.TransactionID)
			}
			seen[r.TransactionID] = true
			begun = begun || r.TransactionID == first.TransactionID
		}
		more = ""
		if page.Next != "" {
			more = path + "&after=" + page.Next
		}
	}
	flood.Wait()
	if len(seen) < all-1600 || len(seen) > all || !begun {
		t.Errorf("%d were seen, the first: %v", len(seen), begun)
	}
	if rows := srv.Requests(t, ""); len(rows) != 1000 {
		t.Errorf("%d rows a page", len(rows))
	}
}

// appID returns the id of the first app.
func appID(t *testing.T, srv *likedtest.Server) string {
	t.Helper()
	var app struct{ ID string }
	if err := srv.Admin("GET", "/admin/apps/"+url.PathEscape(srv.Apps[0].Name), nil, &app); err != nil {
		t.Fatal(err)
	}
	return app.ID
}

func decode[T any](t *testing.T, text string) (v T) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return v
}

// read sends a request and returns its answer and the body.
func read(t *testing.T, r *http.Request) (*http.Response, string) {
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
	return resp, string(text)
}
