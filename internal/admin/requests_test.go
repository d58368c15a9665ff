package admin_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"liked/internal/journal"
)

// The journal counts calls by status and likes by time, until it is emptied.
func TestCounts(t *testing.T) {
	t.Parallel()
	srv := newServer(t)
	alice := srv.Users["alice"]
	ask := func(method, path, body string) {
		t.Helper()
		r, err := http.NewRequest(method, srv.URL+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+alice.AccessToken)
		r.Header.Set("Content-Type", "application/json")
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body) // its end comes when it has been counted
		resp.Body.Close()
	}
	for _, post := range []int{0, 1, 1} { // the last changes nothing
		ask("POST", "/2/users/"+alice.ID.String()+"/likes", `{"tweet_id":"`+srv.Posts[post].ID.String()+`"}`)
	}
	ask("GET", "/2/nothing", "")
	ask("GET", "/explorer", "") // a page is no call
	counts := func() (statuses map[string]int, likes int) {
		c := get[journal.Counts](t, srv, "GET", "/admin/requests/counts", "")
		for _, n := range c.Likes {
			likes += n
		}
		return c.Statuses, likes
	}
	if statuses, likes := counts(); likes != 2 || statuses["200"] != 3 || statuses["404"] != 1 || len(statuses) != 2 {
		t.Errorf("got %d likes and %v", likes, statuses)
	}
	get[any](t, srv, "DELETE", "/admin/requests", "")
	if statuses, likes := counts(); likes != 0 || len(statuses) != 0 {
		t.Errorf("after it was emptied: got %d likes and %v", likes, statuses)
	}
}
