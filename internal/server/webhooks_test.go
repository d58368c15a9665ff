package server_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"liked/internal/server"
)

// TestWebhooks goes from the operator's side over a like to an endpoint, and looks at the metrics.
func TestWebhooks(t *testing.T) {
	t.Parallel()
	c := server.Config{Seed: world(), Data: filepath.Join(t.TempDir(), "data"), PrivateWebhooks: true}
	srv, stop := start(t, c)
	k := srv.Credentials()
	secret := k.Apps[0].APISecret
	var likes, refused atomic.Int64
	endpoint := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mac := hmac.New(sha256.New, []byte(secret))
		if r.Method == http.MethodGet {
			mac.Write([]byte(r.URL.Query().Get("crc_token")))
			fmt.Fprintf(w, `{"response_token":"sha256=%s"}`, base64.StdEncoding.EncodeToString(mac.Sum(nil)))
			return
		}
		body, _ := io.ReadAll(r.Body)
		mac.Write(body)
		if r.Header.Get("X-Twitter-Webhooks-Signature") != "sha256="+base64.StdEncoding.EncodeToString(mac.Sum(nil)) {
			t.Errorf("got signature %q of %s", r.Header.Get("X-Twitter-Webhooks-Signature"), body)
		}
		if strings.Contains(string(body), "like.create") && likes.Add(1) == 1 {
			refused.Add(1)
			w.WriteHeader(http.StatusUnprocessableEntity) // for good
		}
	}))
	defer endpoint.Close()
	cl := client(t, nil)
	ask := func(base, token, method, path, body string, status int, into any) {
		t.Helper()
		resp, text := send(t, cl, method, base+path, token, body)
		if resp.StatusCode != status {
			t.Fatalf("%s %s %s: %d %s", method, path, body, resp.StatusCode, text)
		}
		if into != nil {
			if err := json.Unmarshal([]byte(text), into); err != nil {
				t.Fatal(err)
			}
		}
	}
	admin := func(method, path, body string, status int, into any) {
		t.Helper()
		ask(srv.AdminURL(), srv.AdminToken, method, path, body, status, into)
	}
	var hook struct {
		ID          string
		Valid       bool
		DeadLetters int `json:"dead_letters"`
	}
	admin("POST", "/admin/webhooks", `{"app":"demo","url":"`+endpoint.URL+`"}`, 201, &hook)
	admin("POST", "/admin/webhooks", `{"app":"demo","url":"`+endpoint.URL+`"}`, 409, nil)
	admin("POST", "/admin/webhooks", `{"app":"demo","url":"x"}`, 400, nil)
	admin("POST", "/admin/webhooks/7/validate", "", 404, nil)
	admin("POST", "/admin/webhooks/"+hook.ID+"/validate", "", 200, &hook)
	alice := k.Users[0]
	ask(srv.URL(), alice.AccessToken, "POST", "/2/activity/subscriptions",
		`{"event_type":"like.create","filter":{"user_id":"`+alice.ID.String()+`"},"webhook_id":"`+hook.ID+`"}`, 200, nil)
	ask(srv.URL(), alice.AccessToken, "POST", "/2/users/"+alice.ID.String()+"/likes", `{"tweet_id":"`+k.Posts[0].ID.String()+`"}`, 200, nil)

	var dead struct {
		DeadLetters []struct{ Why string } `json:"dead_letters"`
	}
	until(t, "a dead letter", func() bool {
		admin("GET", "/admin/webhooks/"+hook.ID+"/dead", "", 200, &dead)
		return len(dead.DeadLetters) == 1
	})
	if why := dead.DeadLetters[0].Why; why != "it answered with status 422" {
		t.Errorf("got %q", why)
	}
	for _, want := range []string{
		`liked_webhook_attempts_total{outcome="dead"} 1`,
		`liked_webhook_attempts_total{outcome="challenge_right"} 2`,
		`liked_webhooks{state="valid"} 1`,
		`liked_webhooks{state="invalid"} 0`,
		"liked_webhook_delay_seconds 0",
	} {
		until(t, want+" in the metrics", func() bool { // a letter is counted once it is kept
			_, metrics := get(t, cl, srv.AdminURL()+"/metrics", "")
			return strings.Contains(metrics, want)
		})
	}

	// Stopped and started, it still knows, and a replay is asked for while it is stopped.
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	offline, closeStore, err := server.Admin(c.Data, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	var replay struct{ Job string }
	if err := offline.Call(t.Context(), "POST", "/admin/webhooks/"+hook.ID+"/replay", []byte("{}"), &replay); err != nil || replay.Job == "" {
		t.Errorf("replay: %+v, %v", replay, err)
	}
	if err := closeStore(); err != nil {
		t.Fatal(err)
	}
	srv, _ = start(t, c)
	until(t, "the replay", func() bool {
		var list struct {
			Webhooks []struct {
				DeadLetters int `json:"dead_letters"`
			}
		}
		admin("GET", "/admin/webhooks", "", 200, &list)
		return len(list.Webhooks) == 1 && list.Webhooks[0].DeadLetters == 0
	})
	if likes.Load() != 2 || refused.Load() != 1 {
		t.Errorf("got %d likes, %d refused; want the one that was refused once more", likes.Load(), refused.Load())
	}
	admin("DELETE", "/admin/webhooks/"+hook.ID, "", 200, nil)
	admin("DELETE", "/admin/webhooks/"+hook.ID, "", 404, nil)
}

func until(t *testing.T, what string, true func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !true(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within a minute", what)
		}
	}
}

// Unless its configuration says otherwise, a server delivers webhooks to the public internet only.
func TestWebhooksArePublic(t *testing.T) {
	t.Parallel()
	srv, _ := start(t, server.Config{Seed: world()})
	called := false
	endpoint := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { called = true }))
	defer endpoint.Close()
	_, port, _ := strings.Cut(strings.TrimPrefix(endpoint.URL, "http://"), ":")
	for url, want := range map[string]string{
		endpoint.URL:                "UrlValidationFailed: the URL of a webhook must begin with https:// and a host",
		"https://127.0.0.1/":        "UrlValidationFailed: the URL of a webhook must lead to the public internet",
		"https://localhost:" + port: "UrlValidationFailed: the URL of a webhook must have no port",
		"https://localhost/": "CrcValidationFailed: URL returned bad response during CRC with error: " +
			"it cannot be reached over the public internet, or gave no answer within 10s",
		"https://no-such-host.invalid/": "CrcValidationFailed: URL returned bad response during CRC with error: " +
			"it cannot be reached over the public internet, or gave no answer within 10s",
	} {
		app := srv.Credentials().Apps[0]
		resp, body := send(t, client(t, nil), "POST", srv.URL()+"/2/webhooks", app.BearerToken, `{"url":"`+url+`"}`)
		if resp.StatusCode != 400 || !strings.Contains(body, want) {
			t.Errorf("%s: got %d %s; want %s", url, resp.StatusCode, body, want)
		}
	}
	if called {
		t.Error("the server called this machine")
	}
}
