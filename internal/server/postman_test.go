package server_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"liked/internal/seed"
	"liked/internal/server"
)

// TestPostman: the server knows every request of the collection that it serves, whose values stand in the environment
// beside it. compat/postman runs the collection whole.
func TestPostman(t *testing.T) {
	t.Parallel()
	for _, profile := range []string{"2024", "2026"} {
		srv, _ := startHere(t, server.Config{Seed: &seed.Options{Users: 7, Posts: 8, Seed: 1, TokenLifetime: time.Hour}, Profile: profile})
		c := client(t, nil)
		var environment struct {
			Values []struct{ Key, Value string }
		}
		_, text := get(t, c, srv.URL()+"/postman/environment.json", "")
		if err := json.Unmarshal([]byte(text), &environment); err != nil {
			t.Fatal(err)
		}
		values := map[string]string{}
		for _, v := range environment.Values {
			values[v.Key] = v.Value
		}
		if user, post := srv.Credentials().First(); values["baseUrl"] != srv.URL() || values["accessToken"] != user.AccessToken ||
			values["postId"] != post.ID.String() || values["ownPostId"] == "" {
			t.Errorf("got environment %v", values)
		}
		var collection struct {
			Item []struct {
				Item []struct {
					ID      string
					Request struct {
						Method string
						URL    struct{ Raw string }
					}
				}
			}
		}
		_, text = get(t, c, srv.URL()+"/postman/collection.json", "")
		if err := json.Unmarshal([]byte(text), &collection); err != nil {
			t.Fatal(err)
		}
		known := 0
		for _, folder := range collection.Item {
			for _, item := range folder.Item {
				r, err := http.NewRequest(item.Request.Method, strings.Replace(item.Request.URL.Raw, "{{baseUrl}}", srv.URL(), 1), nil)
				if err != nil {
					t.Fatal(err)
				}
				resp, err := c.Do(r)
				if err != nil {
					t.Fatal(err)
				}
				io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
				if resp.StatusCode == 404 || resp.StatusCode == 405 {
					t.Errorf("%s: %s %s: %s", item.ID, item.Request.Method, item.Request.URL.Raw, resp.Status)
				}
				known++
			}
		}
		if known < 30 {
			t.Errorf("%s: %d requests", profile, known)
		}
	}
}
