package admin_test

import (
	"net/http"
	"testing"

	"liked/likedtest"
)

// as calls the API with a bearer token.
func as(t *testing.T, srv *likedtest.Server, token, path string) int {
	t.Helper()
	r, err := http.NewRequest("GET", srv.URL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	return resp.StatusCode
}

// A program's own credentials are made valid, as often as that is said.
func TestGivenSecrets(t *testing.T) {
	t.Parallel()
	srv := newServer(t)
	type app struct {
		ID           string
		Type         string
		ClientID     string `json:"client_id"`
		ClientSecret string `json:"client_secret"`
		APIKey       string `json:"api_key"`
		APISecret    string `json:"api_secret"`
		BearerToken  string `json:"bearer_token"`
	}
	const secrets = `"client_id":"mine","client_secret":"s","api_key":"k","api_secret":"ks","bearer_token":"app-only"`
	var first app
	for i := range 2 {
		made := get[app](t, srv, "PUT", "/admin/apps/adopted", `{`+secrets+`}`)
		if made.ClientID != "mine" || made.ClientSecret != "s" || made.APIKey != "k" || made.APISecret != "ks" || made.BearerToken != "app-only" {
			t.Errorf("made %+v, want what was given", made)
		}
		if i == 0 {
			first = made
		} else if made != first {
			t.Errorf("made %+v, then %+v", first, made)
		}
		if got := as(t, srv, "app-only", "/2/users/by/username/alice"); got != 200 {
			t.Errorf("with the app-only token: got %d", got)
		}
		token := get[map[string]any](t, srv, "POST", "/admin/tokens", `{"kind":"user","app":"adopted","user":"alice","lifetime_seconds":3600,
			"token":"my-access","refresh_token":"my-refresh"}`)
		if token["token"] != "my-access" || token["refresh_token"] != "my-refresh" || token["expires_in"] != 3600.0 {
			t.Errorf("got %v", token)
		}
		if got := as(t, srv, "my-access", "/2/users/me"); got != 200 {
			t.Errorf("with the access token: got %d", got)
		}
		token = get[map[string]any](t, srv, "POST", "/admin/tokens", `{"kind":"oauth1","app":"adopted","user":"alice",
			"token":"my-token","token_secret":"my-token-secret"}`)
		if token["token"] != "my-token" || token["token_secret"] != "my-token-secret" {
			t.Errorf("got %v", token)
		}
		get[map[string]any](t, srv, "POST", "/admin/tokens/revoke", `{"token":"my-access"}`)
		if got := as(t, srv, "my-access", "/2/users/me"); got != 401 {
			t.Errorf("with the revoked access token: got %d", got)
		}
	}
	get[map[string]any](t, srv, "POST", "/admin/tokens", `{"kind":"app","app":"adopted","token":"app-only-2"}`)
	const path = "/2/users/by/username/alice"
	if one, other := as(t, srv, "app-only", path), as(t, srv, "app-only-2", path); one != 401 || other != 200 {
		t.Errorf("with the first app-only token: got %d; with the second: %d", one, other)
	}
	made := get[app](t, srv, "PUT", "/admin/apps/mine", `{"type":"public"}`)
	if made.ID != first.ID || made.Type != "public" || made.APIKey != "k" {
		t.Errorf("changed to a public one: %+v", made)
	}
	if made := get[app](t, srv, "PUT", "/admin/apps/4711", `{"name":"by its id"}`); made.ID != "4711" || len(made.ClientSecret) != 50 {
		t.Errorf("made %+v", made)
	}
	for body, want := range map[string]int{
		`{"name":"x","client_id":"mine"}`:                                                         409,
		`{"name":"x","api_key":"a b"}`:                                                            400,
		`{"name":"x","type":"public","client_secret":"s"}`:                                        400,
		`{"kind":"user","app":"adopted","user":"alice","token_secret":"x"}`:                       400,
		`{"kind":"oauth1","app":"adopted","user":"alice","refresh_token":"x"}`:                    400,
		`{"kind":"oauth1","app":"adopted","user":"alice","token":"x"}`:                            400,
		`{"kind":"user","app":"adopted","user":"alice","scopes":"like.read","refresh_token":"x"}`: 400,
		`{"kind":"user","app":"adopted","user":"alice","token":"AAAAAAAAAAAAAAAAAAAAAAAAA"}`:      400,
		`{"kind":"user","app":"adopted","user":"nobody","token":"x"}`:                             404,
		`{"kind":"user","app":"adopted","user":"alice","token":"both","refresh_token":"both"}`:    400,
	} {
		path := "/admin/tokens"
		if body[2] == 'n' {
			path = "/admin/apps"
		}
		if status, answer := call(t, srv, "POST", path, body); status != want {
			t.Errorf("%s %s: got %d %s, want %d", path, body, status, answer, want)
		}
	}
}
