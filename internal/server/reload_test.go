package server_test

import (
	"crypto/tls"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"liked/internal/livetest"
	"liked/internal/server"
)

// Certificates, rate limits and the admin token are read anew without a restart, all or nothing.
func TestReload(t *testing.T) {
	t.Parallel()
	var log livetest.Log
	dir := t.TempDir()
	cert, key, pool := livetest.Certificate(t)
	config := server.Config{Data: filepath.Join(dir, "data"), Seed: world(), TLSCert: cert, TLSKey: key, AdminToken: "the-first-token!",
		RateLimits: `{"usersIdLike":{"user_15m":7}}`, Logger: slog.New(slog.NewTextHandler(&log, nil))}
	srv, _ := start(t, config)
	k := srv.Credentials()
	limit := func(c *http.Client) string {
		r, err := http.NewRequest("POST", srv.URL()+"/2/users/"+k.Users[0].ID.String()+"/likes",
			strings.NewReader(`{"tweet_id":"`+k.Posts[0].ID.String()+`"}`))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+k.Users[0].AccessToken)
		r.Header.Set("Content-Type", "application/json")
		resp, err := c.Do(r)
		if err != nil {
			return err.Error()
		}
		resp.Body.Close()
		return resp.Header.Get("X-Rate-Limit-Limit")
	}
	admits := func(token string) int {
		status, _ := get(t, client(t, nil), srv.AdminURL()+"/admin/users", token)
		return status
	}
	first := client(t, &tls.Config{RootCAs: pool})
	if got := limit(first); got != "7" {
		t.Errorf("at the start: limit %s, want 7", got)
	}

	// A mistake changes nothing.
	if err := srv.Reload("the-second-token", "{"); !says(err, "rate limits") {
		t.Errorf("limits that are no JSON: %v", err)
	}
	if got := admits("the-first-token!"); got != 200 {
		t.Errorf("after a mistake: %d for the old token, want 200", got)
	}

	newCert, newKey, newPool := livetest.Certificate(t)
	for from, to := range map[string]string{newCert: cert, newKey: key} {
		text, err := os.ReadFile(from)
		if err == nil {
			err = os.WriteFile(to, text, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := srv.Reload("the-second-token", `{"usersIdLike":{"user_15m":9}}`); err != nil {
		t.Fatal(err)
	}
	if got := limit(client(t, &tls.Config{RootCAs: newPool})); got != "9" {
		t.Errorf("with the new certificate: limit %s, want 9", got)
	}
	if got := limit(client(t, &tls.Config{RootCAs: pool})); !strings.Contains(got, "certificate") {
		t.Errorf("with the old certificate: %s, want that it is refused", got)
	}
	if _, body := get(t, first, srv.URL()+"/2/openapi.json", ""); !strings.Contains(body, `"user":{"x-rate-limit":9,`) {
		t.Error("the description has the old limit")
	}
	if old, new := admits("the-first-token!"), admits("the-second-token"); old != 401 || new != 200 {
		t.Errorf("%d for the old token and %d for the new one, want 401 and 200", old, new)
	}
	c, done, err := server.Admin(config.Data, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Call(t.Context(), "GET", "/admin/users", nil, nil); err != nil || c.URL == "http://local" {
		t.Errorf("a command on the directory: %v at %s", err, c.URL)
	}
	if err := done(); err != nil {
		t.Error(err)
	}
	if err := srv.Reload("", `{"usersIdLike":{"user_15m":9}}`); err != nil {
		t.Error(err)
	}
	for _, want := range []string{`changed="[admin token certificate rate limits]"`, "changed=[]"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log lacks %s", want)
		}
	}
	// The end of the test checks the store with the first token.
	if err := srv.Reload(config.AdminToken, ""); err != nil {
		t.Error(err)
	}
	if got := limit(client(t, &tls.Config{RootCAs: newPool})); got != "50" {
		t.Errorf("without rate limits of its own: limit %s, want X's 50", got)
	}
}
