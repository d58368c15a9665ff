package seed

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"testing"
	"time"

	"liked/internal/auth"
	"liked/internal/enginetest"
)

// The same seed makes the same credentials in every version: they stand in scripts and in documents.
func TestLoadIsDeterministic(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		seed uint64
		want string // SHA-256 of the credentials as JSON
	}{
		{1, "e7b43685b8102a6b668ecf65eee71f3686fc1161db637c2374a47bf4ba631430"},
		{7, "95ff7349b873c884126e25bd065f6d7ed1fe9eafdf900f1de4747aa18e6cc1cc"},
	} {
		// More users than there are streams, so that some streams serve several.
		c := load(t, Options{Users: 150, Posts: 20, Seed: test.seed, TokenLifetime: time.Hour})
		for i := range c.Apps { // callbacks are no secrets: there may be more in later versions
			c.Apps[i].RedirectURIs = c.Apps[i].RedirectURIs[:2]
		}
		text, err := json.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprintf("%x", sha256.Sum256(text)); got != test.want {
			t.Errorf("seed %d: got credentials with hash %s, want %s", test.seed, got, test.want)
		}
	}
}

func TestMain(m *testing.M) { enginetest.Main(m) }

func load(t *testing.T, o Options) Credentials {
	t.Helper()
	st := enginetest.Open(t)
	t.Cleanup(func() {
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	})
	a := auth.New(auth.Options{Store: st, Now: time.Now, Rand: rand.Reader, BaseURL: func(*http.Request) string { return "" }})
	c, err := Load(context.Background(), st, a, o, time.Now(), "")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// Whoever signs in as the documents say sees the apps that the terminal prints; of a smaller world its first user does.
func TestOwner(t *testing.T) {
	t.Parallel()
	for users, want := range map[int]string{1: "XDevelopers", 2: "XDevelopers", 3: "alice", DefaultUsers: "alice", DefaultUsers + 9: "alice"} {
		o := Options{Users: users}
		for i := range users {
			if u := o.user(i); u.ID == o.owner() && u.Username != want {
				t.Errorf("of %d users, %s owns the apps, want %s", users, u.Username, want)
			}
		}
	}
}
