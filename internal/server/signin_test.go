package server_test

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"liked/internal/livetest"
	"liked/internal/server"
)

// A token that a user consented to likes a post, and what happened on the way is logged and counted like any request,
// without a secret.
func TestFromConsentToLike(t *testing.T) {
	t.Parallel()
	log := new(livetest.Log)
	srv, _ := start(t, server.Config{Seed: world(), AutoConsent: "alice", TokenLifetime: time.Hour, Dev: true,
		Logger: slog.New(slog.NewTextHandler(log, nil))})
	k := srv.Credentials()
	app, alice := k.Apps[0], k.Users[2]
	c := client(t, nil)
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	do := func(r *http.Request, err error) (*http.Response, string) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		resp, err := c.Do(r)
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
	resp, _ := send(t, c, "GET", k.URL+"/i/oauth2/authorize?"+url.Values{"response_type": {"code"}, "client_id": {app.ClientID},
		"redirect_uri": {app.RedirectURIs[0]}, "scope": {"tweet.read users.read like.write"}, "state": {"s"},
		"code_challenge": {"challenge"}, "code_challenge_method": {"plain"}}.Encode(), "", "")
	to, err := resp.Location()
	if err != nil || resp.StatusCode != 302 {
		t.Fatalf("%s %v", resp.Status, err)
	}
	code := to.Query().Get("code")
	token := func() (*http.Response, string) {
		form := url.Values{"grant_type": {"authorization_code"}, "code": {code},
			"redirect_uri": {app.RedirectURIs[0]}, "code_verifier": {"challenge"}}
		r, err := http.NewRequest("POST", k.URL+"/2/oauth2/token", strings.NewReader(form.Encode()))
		if err == nil {
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			r.SetBasicAuth(app.ClientID, app.ClientSecret)
		}
		return do(r, err)
	}
	resp, text := token()
	var got struct {
		Token string `json:"access_token"`
		In    int    `json:"expires_in"`
	}
	if err := json.Unmarshal([]byte(text), &got); err != nil || resp.StatusCode != 200 || got.In != 3600 {
		t.Fatalf("%s %s", resp.Status, text)
	}
	resp, text = send(t, c, "POST", k.URL+"/2/users/"+alice.ID.String()+"/likes", got.Token, `{"tweet_id":"`+k.Posts[0].ID.String()+`"}`)
	if resp.StatusCode != 200 || text != `{"data":{"liked":true}}` {
		t.Errorf("%s %s", resp.Status, text)
	}
	if resp, _ := token(); resp.StatusCode != 400 || resp.Header.Get("X-Liked-Explain") == "" {
		t.Errorf("%s %v", resp.Status, resp.Header)
	}
	if resp, text := send(t, c, "GET", k.URL+"/", "", ""); resp.StatusCode != 404 || text != "" {
		t.Errorf("/: %s %q", resp.Status, text)
	}

	_, metrics := get(t, c, k.AdminURL+"/metrics", "")
	for _, want := range []string{
		`liked_requests_total{code="302",operation="oauth2Authorize"} 1`,
		`liked_requests_total{code="200",operation="oauth2Token"} 1`,
		`liked_requests_total{code="400",operation="oauth2Token"} 1`,
		`liked_requests_total{code="404",operation="none"} 1`,
	} {
		if !strings.Contains(metrics, want) {
			t.Errorf("the metrics lack %s", want)
		}
	}
	lines := log.String()
	for _, want := range []string{
		"operation=oauth2Authorize method=GET status=302",
		"operation=oauth2Token method=POST status=400",
		`why="the authorization code was redeemed before`,
	} {
		if !strings.Contains(lines, want) {
			t.Errorf("the log lacks %s:\n%s", want, lines)
		}
	}
	for _, secret := range []string{code, got.Token, app.ClientSecret, alice.Password} {
		if strings.Contains(lines, secret) {
			t.Errorf("the log has the secret %s", secret)
		}
	}
}

// All users of the seeded world have the same password, and too many wrong ones are counted by the address that a trusted
// proxy names.
func TestSignInBehindProxy(t *testing.T) {
	t.Parallel()
	srv, _ := start(t, server.Config{Seed: world(), TrustedProxies: []string{"127.0.0.1"}, PublicURL: "https://likes.test"})
	k := srv.Credentials()
	hidden := regexp.MustCompile(`name="form_token" value="([^"]*)"`)
	try := func(forwarded, username, password string) *http.Response {
		t.Helper()
		transport := &http.Transport{DisableKeepAlives: true}
		resp, err := transport.RoundTrip(request(t, "GET", srv.URL()+"/login", ""))
		if err != nil {
			t.Fatal(err)
		}
		page, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		form := hidden.FindSubmatch(page)
		if err != nil || form == nil || len(resp.Cookies()) != 1 {
			t.Fatalf("%v: %s", err, page)
		}
		filled := url.Values{"username": {username}, "password": {password}, "form_token": {string(form[1])}}
		r := request(t, "POST", srv.URL()+"/login", filled.Encode())
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Cookie", resp.Cookies()[0].Name+"="+resp.Cookies()[0].Value)
		r.Header.Set("Origin", "https://likes.test")
		r.Header.Set("X-Forwarded-For", forwarded)
		resp, err = transport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		return resp
	}
	for _, u := range k.Users {
		resp := try("10.9.9.9", u.Username, k.Users[0].Password)
		if c := resp.Cookies(); resp.StatusCode != 303 || len(c) == 0 || !strings.HasPrefix(c[0].Name, "__Host-") || !c[0].Secure {
			t.Errorf("%s: %s %v", u.Username, resp.Status, c)
		}
	}
	for i := range 20 {
		if resp := try("1.2.3.4, 10.0.0.1", "alice", "wrong"); resp.StatusCode != 401 {
			t.Fatalf("guess %d: %s", i+1, resp.Status)
		}
	}
	if resp := try("5.6.7.8, 10.0.0.1", "alice", "wrong"); resp.StatusCode != 429 {
		t.Errorf("another made-up address before the proxy's word: %s", resp.Status)
	}
	if resp := try("10.0.0.2, 127.0.0.1", "alice", "wrong"); resp.StatusCode != 401 {
		t.Errorf("another address, through two trusted proxies: %s", resp.Status)
	}
}

func request(t *testing.T, method, target, body string) *http.Request {
	t.Helper()
	r, err := http.NewRequest(method, target, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// Whoever reaches a server that consents without a person gets that person's tokens: the operator is told if that may be anybody.
func TestAutoConsentBeyondThisMachine(t *testing.T) {
	t.Parallel()
	for url, want := range map[string]bool{"": false, "https://likes.example": true} {
		var log livetest.Log
		_, stop := start(t, server.Config{Seed: world(), AutoConsent: "alice", PublicURL: url, Logger: slog.New(slog.NewTextHandler(&log, nil))})
		if err := stop(); err != nil {
			t.Error(err)
		}
		if got := strings.Contains(log.String(), "without a password"); got != want {
			t.Errorf("public URL %q: warned %v, want %v", url, got, want)
		}
	}
}

func TestAutoConsentOfUnknownUser(t *testing.T) {
	t.Parallel()
	if _, err := server.New(server.Config{Seed: world(), AutoConsent: "unknown"}); !says(err, "auto-consent: ") {
		t.Errorf("got %v", err)
	}
}

// A world that an earlier version seeded has no passwords: they are made when it is found again, and work.
func TestPasswordsForAnOldWorld(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	srv, stop := start(t, server.Config{Data: dir, Seed: world()})
	k := srv.Credentials()
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	for i := range k.Users {
		k.Users[i].Password = ""
	}
	if err := server.WriteSecret(dir+"/credentials.json", k); err != nil {
		t.Fatal(err)
	}
	srv, _ = start(t, server.Config{Data: dir, Seed: world()})
	k = srv.Credentials()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Jar: jar, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get(srv.URL() + "/login")
	if err != nil {
		t.Fatal(err)
	}
	page, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if err != nil {
		t.Fatal(err)
	}
	token := regexp.MustCompile(`name="form_token" value="([^"]*)"`).FindSubmatch(page)
	resp, err = client.PostForm(srv.URL()+"/login",
		url.Values{"username": {k.Users[1].Username}, "password": {k.Users[1].Password}, "form_token": {string(token[1])}})
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.Request.URL.Path != "/settings/connected_apps" || k.Users[1].Password == "" || k.Users[1].Password != k.Users[0].Password {
		t.Errorf("%s at %s, password %q", resp.Status, resp.Request.URL.Path, k.Users[1].Password)
	}
}

// X demands the kind of a token that is to be revoked since 2025: the profile says which X it is.
func TestRevocationFollowsProfile(t *testing.T) {
	t.Parallel()
	for profile, want := range map[string]string{"2024": `{"revoked":true}`,
		"2026": `{"error":"invalid_request","error_description":"Missing required parameter [token_type_hint]."}`} {
		srv, _ := start(t, server.Config{Seed: world(), Profile: profile})
		k := srv.Credentials()
		r, err := http.NewRequest("POST", k.URL+"/2/oauth2/revoke", strings.NewReader("token="+k.Users[0].AccessToken))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.SetBasicAuth(k.Apps[0].ClientID, k.Apps[0].ClientSecret)
		resp, err := client(t, nil).Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if text, err := io.ReadAll(resp.Body); string(text) != want || err != nil {
			t.Errorf("%s: %d %s, %v, want %s", profile, resp.StatusCode, text, err, want)
		}
	}
}
