package auth_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"liked/internal/authtest"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"liked"
	"liked/internal/auth"
)

func TestNewAppShapes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	app, secrets, err := w.auth.NewApp(t.Context(), liked.App{Name: "shapes", RedirectURIs: []string{"http://127.0.0.1/cb", "myapp://done"}})
	check(t, err)
	for _, c := range []struct{ name, got, want string }{
		{"client id", app.ClientID, `^[A-Za-z0-9_-]{34}$`},
		{"client id decoded", decode64(t, app.ClientID), `^[A-Za-z0-9_-]{20}:1:ci$`},
		{"client secret", secrets.ClientSecret, `^[A-Za-z0-9_-]{50}$`},
		{"api key", app.APIKey, `^[A-Za-z0-9]{25}$`},
		{"api secret", secrets.APISecret, `^[A-Za-z0-9]{50}$`},
		{"bearer", secrets.Bearer, `^A{21}[A-Za-z0-9]{4}A{7}[A-Za-z0-9]%2B[A-Za-z0-9]{5}%2B[A-Za-z0-9]{19}%3D[A-Za-z0-9]{50}$`},
	} {
		if !regexp.MustCompile(c.want).MatchString(c.got) {
			t.Errorf("%s: got %q, want %s", c.name, c.got, c.want)
		}
	}
	if app.ID == 0 || !app.CreatedAt.Equal(w.clock.Now()) {
		t.Errorf("got id %d, created at %s", app.ID, app.CreatedAt)
	}
	stored, err := w.store.App(t.Context(), app.ID)
	check(t, err)
	if stored.ClientSecretHash != sha256Of(secrets.ClientSecret) {
		t.Error("the hash of the client secret is of something else")
	}
	if stored.ClientID != app.ClientID || stored.Name != "shapes" || len(stored.RedirectURIs) != 2 {
		t.Errorf("got %+v in the store, want %+v", stored, app)
	}
	if got, err := w.auth.UnsealBearer(app.ClientID, stored.SealedBearer); err != nil || got != secrets.Bearer {
		t.Errorf("got %q, %v for the sealed bearer token, want %q", got, err, secrets.Bearer)
	}
	if _, err := w.auth.UnsealBearer(w.app.ClientID, stored.SealedBearer); err == nil {
		t.Error("a sealed secret opens for another app")
	}
	if bytes.Contains(stored.SealedAPISecret, []byte(secrets.APISecret)) {
		t.Error("the API secret is in the clear")
	}
}

func TestNewAppPublic(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	app, secrets, err := w.auth.NewApp(t.Context(), liked.App{Name: "public", Public: true})
	check(t, err)
	stored, err := w.store.App(t.Context(), app.ID)
	check(t, err)
	if secrets.ClientSecret != "" || stored.ClientSecretHash != [32]byte{} {
		t.Errorf("got a client secret %q for a public app", secrets.ClientSecret)
	}
}

func TestNewAppConflict(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if _, _, err := w.auth.NewApp(t.Context(), liked.App{ID: 1, Name: "x"}); err == nil || liked.KindOf(err) != liked.Conflict {
		t.Errorf("got %v for an id that is taken, want a conflict", err)
	}
	// Two processes that make ids from the same clock.
	other := newAuth(t, w.store, w.clock)
	for range 3 {
		for _, a := range []*auth.Auth{w.auth, other} {
			_, _, err := a.NewApp(t.Context(), liked.App{Name: "x"})
			check(t, err)
		}
	}
}

func TestNewAppNamesAllMistakes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	uris := []string{"/relative", "http://a/#b", "https://a/#", "JavaScript:alert(1)", "mso-offdap://x", "https:///path", "http://a b/", ":",
		""}
	for range 3 {
		uris = append(uris, "https://ok.example/cb?x=y")
	}
	_, _, err := w.auth.NewApp(t.Context(), liked.App{RedirectURIs: uris})
	if err == nil || liked.KindOf(err) != liked.Invalid {
		t.Fatalf("got %v, want invalid", err)
	}
	for _, want := range []string{"enter a name", "12 callbacks", `"/relative": begin with https:// or with your app's own scheme;`,
		`"http://a/#b": remove the fragment`, `"https://a/#": remove the fragment`, "scheme javascript", "scheme mso-offdap",
		`"https:///path": name a host`, `"http://a b/": percent-encode`, `":": percent-encode`, `"": begin with`} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("got %q, which does not say %q", err, want)
		}
	}
	if strings.Contains(err.Error(), "ok.example") {
		t.Errorf("got %q, which blames a good URI", err)
	}
	for _, name := range []string{strings.Repeat("é", 101), "\xff", "a\nb", "Bank \u202efdp.exe", "\u2067Bank\u2069",
		"Bank\u200e", "Ba\u200bnk", " "} {
		if _, _, err := w.auth.NewApp(t.Context(), liked.App{Name: name}); err == nil || liked.KindOf(err) != liked.Invalid {
			t.Errorf("got %v for name %q, want invalid", err, name)
		}
	}
	if _, _, err := w.auth.NewApp(t.Context(), liked.App{Name: strings.Repeat("é", 100)}); err != nil {
		t.Errorf("got %v for a name of 100 characters", err)
	}
}

// X's own library for servers refuses access tokens of more than 50 characters.
func TestOAuth1TokenLength(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for id, random := range map[liked.UserID]int{7: 40, 123456789: 40, 1234567890: 39, 1<<63 - 1: 30} {
		check(t, w.store.AddUser(t.Context(), liked.User{ID: id, Username: fmt.Sprint("u", id)[:min(len(fmt.Sprint("u", id)), 15)], Name: "U",
			CreatedAt: w.clock.Now()}))
		token, _, err := w.auth.IssueOAuth1Token(t.Context(), w.app.ID, id, liked.ReadWrite)
		check(t, err)
		if rest, ok := strings.CutPrefix(token, id.String()+"-"); !ok || len(rest) != random || len(token) > 50 {
			t.Errorf("got %q of %d characters, want %d random ones after the id", token, len(token), random)
		}
	}
}

// What is registered leads only to a web server or to the app itself, and cannot be mistaken for an answer.
func TestRedirectURIs(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	dev := auth.New(auth.Options{Store: w.store, Now: w.clock.Now, Rand: seeded("dev"), Dev: true})
	for _, c := range []struct{ uri, wrong, wrongInDev string }{
		{"https://app.example/cb", "", ""},
		{"https://app.example:8443/cb?next=/home&codes=1", "", ""},
		{"http://127.0.0.1:3000/cb", "", ""},
		{"http://[::1]/cb", "", ""},
		{"http://localhost:8080/callback", "", ""},
		{"http://app.localhost/cb", "", ""},
		{"http://app.example/cb", "in the clear", ""},
		{"http://10.0.0.1/cb", "in the clear", ""},
		{"http://localhost.example/cb", "in the clear", ""},
		{"http://127.0.0.1.example/cb", "in the clear", ""},
		{"com.example.app:/cb", "", ""},
		{"com.example.app:cb", "", ""},
		{"myapp://cb", "", ""},
		{"myapp:cb", "a dot (com.example.app:/callback)", "a dot (com.example.app:/callback)"},
		{"myapp:/cb", "a dot (com.example.app:/callback)", "a dot (com.example.app:/callback)"},
		{"ms-msdt:/id", "scheme ms-msdt", "scheme ms-msdt"},
		{"ms-settings://x", "scheme ms-settings", "scheme ms-settings"},
		{"intent://x#Intent;end", "fragment", "fragment"},
		{"intent://x", "scheme intent", "scheme intent"},
		{"tel:+1", "scheme tel", "scheme tel"},
		{"tel://1", "scheme tel", "scheme tel"},
		{"blob:https://x/y", "scheme blob", "scheme blob"},
		{"about:blank", "scheme about", "scheme about"},
		{"view-source:https://x", "scheme view-source", "scheme view-source"},
		{"filesystem://x", "scheme filesystem", "scheme filesystem"},
		{"Search-MS://x", "scheme search-ms", "scheme search-ms"},
		{"chrome-extension://x", "scheme chrome-extension", "scheme chrome-extension"},
		{"firefox://open-url?url=x", "scheme firefox", "scheme firefox"},
		{"safari-http://x", "scheme safari-http", "scheme safari-http"},
		{"microsoft-edge:https://x", "scheme microsoft-edge", "scheme microsoft-edge"},
		{"safaripark.example:/cb", "", ""}, // begins as a browser's does, and is an app's own
		{"devtoolsmith://cb", "", ""},
		{"view-my-photos://cb", "", ""},
		{"x-safari-https://x", "scheme x-safari-https", "scheme x-safari-https"},
		{"microsoft-edge-holographic://x", "scheme microsoft-edge", "scheme microsoft-edge"},
		{"mk:@MSITStore:c:/x.chm", "scheme mk", "scheme mk"},
		{"shortcuts://run-shortcut?name=x", "scheme shortcuts", "scheme shortcuts"},
		{"https://app.example/cb?code=1", "parameter code", "parameter code"},
		{"https://app.example/cb?a=b&state=1", "parameter state", "parameter state"},
		{"https://app.example/cb?%65rror", "parameter error", "parameter error"},
		{"myapp://cb?State=x", "parameter State", "parameter State"},
		{"https://app.example/cb?oauth_verifier=x", "parameter oauth_verifier", "parameter oauth_verifier"},
		{"https://app.example/cb?a=%2", "percent-encode", "percent-encode"},
	} {
		for name, check := range map[string]struct {
			a     *auth.Auth
			wrong string
		}{"serve": {w.auth, c.wrong}, "dev": {dev, c.wrongInDev}} {
			err := check.a.CheckApp(liked.App{Name: "x", RedirectURIs: []string{c.uri}})
			if check.wrong == "" && err != nil || check.wrong != "" && (err == nil || !strings.Contains(err.Error(), check.wrong)) {
				t.Errorf("%s, in %s: got %v, want %q", c.uri, name, err, check.wrong)
			}
		}
	}
	for _, name := range strings.Fields("code state error error_description error_uri iss oauth_token oauth_verifier denied") {
		uri := "https://app.example/cb?a=b&" + strings.ToUpper(name[:1]) + name[1:] + "=x"
		err := w.auth.CheckApp(liked.App{Name: "x", RedirectURIs: []string{uri}})
		if err == nil || !strings.Contains(err.Error(), "of the answer") {
			t.Errorf("%s: got %v, want that the parameter is one of the answer", uri, err)
		}
	}
}

func TestIssueTokensShapes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	tokens := w.issue(t, liked.TweetRead|liked.OfflineAccess)
	for _, c := range []struct{ name, token, kind string }{{"access", tokens.AccessToken, "at"}, {"refresh", tokens.RefreshToken, "rt"}} {
		want := `^[A-Za-z0-9_-]{45}:1318622958000:1:1:` + c.kind + `:1$`
		if got := decode64(t, c.token); len(c.token) != 91 || !regexp.MustCompile(want).MatchString(got) {
			t.Errorf("%s: got %d characters of %q, want 91 of %s", c.name, len(c.token), got, want)
		}
	}
	if tokens.ExpiresIn != 2*time.Hour || tokens.Scopes != liked.TweetRead|liked.OfflineAccess {
		t.Errorf("got %+v", tokens)
	}
	if got := w.issue(t, liked.AllScopes&^liked.OfflineAccess).RefreshToken; got != "" {
		t.Errorf("got refresh token %q without offline.access", got)
	}
	token, secret, err := w.auth.IssueOAuth1Token(t.Context(), w.app.ID, w.user, liked.ReadWrite)
	check(t, err)
	if !regexp.MustCompile(`^370773112-[A-Za-z0-9]{40}$`).MatchString(token) || !regexp.MustCompile(`^[A-Za-z0-9]{45}$`).MatchString(secret) {
		t.Errorf("got token %q and secret %q", token, secret)
	}
}

func TestIssuedOAuth1TokenSigns(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, access := range []liked.Access{liked.ReadOnly, liked.ReadWrite, liked.ReadWriteDirectMessages} {
		token, secret, err := w.auth.IssueOAuth1Token(t.Context(), w.app.ID, w.user, access)
		check(t, err)
		client := docsClient()
		client.Key, client.Secret, client.Token, client.TokenSecret = w.app.APIKey, w.app1.APISecret, token, secret
		v := w.do(t, client.Request(t, "GET", w.url+"/2/users/me"))
		wantOK(t, v)
		want := liked.Principal{Credential: liked.OAuth1User, App: 2, ClientID: w.app.ClientID, User: docsUser, Access: access}
		if v.Principal != want {
			t.Errorf("got %+v, want %+v", v.Principal, want)
		}
	}
}

func TestIssueRefusals(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, c := range []struct {
		name     string
		app      liked.AppID
		user     liked.UserID
		scopes   liked.Scope
		lifetime time.Duration
		want     liked.Kind
	}{
		{"no such app", 99, w.user, 0, 0, liked.NotFound},
		{"no such user", w.app.ID, 99, 0, 0, liked.NotFound},
		{"unknown scope", w.app.ID, w.user, liked.AllScopes + 1, 0, liked.Invalid},
		{"negative lifetime", w.app.ID, w.user, 0, -1, liked.Invalid},
	} {
		if _, err := w.auth.IssueTokens(t.Context(), c.app, c.user, c.scopes, c.lifetime); err == nil || liked.KindOf(err) != c.want {
			t.Errorf("%s: got %v, want %s", c.name, err, c.want)
		}
		if c.want == liked.NotFound {
			if _, _, err := w.auth.IssueOAuth1Token(t.Context(), c.app, c.user, liked.ReadOnly); err == nil || liked.KindOf(err) != c.want {
				t.Errorf("%s: got %v for OAuth 1.0a, want %s", c.name, err, c.want)
			}
		}
	}
	if _, _, err := w.auth.IssueOAuth1Token(t.Context(), w.app.ID, w.user, 3); err == nil || liked.KindOf(err) != liked.Invalid {
		t.Errorf("got %v for an unknown permission level, want invalid", err)
	}
}

// The same seed makes the same credentials, even if the reader hands out its bytes one by one.
func TestSeededCredentials(t *testing.T) {
	t.Parallel()
	issue := func(random io.Reader) string {
		s := newStore(t)
		c := authtest.NewClock(time.Unix(docsTime, 0))
		a := auth.New(auth.Options{Store: s, Now: c.Now, Rand: random, BaseURL: func(*http.Request) string { return "" }})
		check(t, s.AddUser(t.Context(), liked.User{ID: 7, Username: "ada", Name: "Ada", CreatedAt: c.Now()}))
		app, secrets, err := a.NewApp(t.Context(), liked.App{Name: "seeded"})
		check(t, err)
		tokens, err := a.IssueTokens(t.Context(), app.ID, 7, liked.AllScopes, 0)
		check(t, err)
		token, secret, err := a.IssueOAuth1Token(t.Context(), app.ID, 7, liked.ReadWrite)
		check(t, err)
		return fmt.Sprintln(app, secrets, tokens, token, secret)
	}
	one, two, other := issue(seeded("a")), issue(iotest.OneByteReader(seeded("a"))), issue(seeded("b"))
	if one != two {
		t.Errorf("one seed gave\n%s and\n%s", one, two)
	}
	if one == other {
		t.Errorf("two seeds gave\n%s", one)
	}
}

// As with crypto/rand, nothing goes on without randomness.
func TestNoRandomness(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := auth.New(auth.Options{Store: w.store, Now: w.clock.Now, Rand: iotest.ErrReader(errors.New("dry")),
		BaseURL: func(*http.Request) string { return "" }})
	for name, issue := range map[string]func(){
		"an app":              func() { _, _, _ = a.NewApp(t.Context(), liked.App{Name: "x"}) },
		"OAuth 2.0 tokens":    func() { _, _ = a.IssueTokens(t.Context(), 1, w.user, 0, 0) },
		"an OAuth 1.0a token": func() { _, _, _ = a.IssueOAuth1Token(t.Context(), 1, w.user, liked.ReadOnly) },
	} {
		func() {
			defer func() {
				if said := fmt.Sprint(recover()); !strings.Contains(said, "no randomness: dry") {
					t.Errorf("%s: got a panic with %q, want one that names the cause", name, said)
				}
			}()
			issue()
		}()
	}
}

// What was sealed with another key is as good as lost: nobody can prove to be the app, and its app-only token, which is
// known by its hash, is good until somebody asks for it, who gets a new one.
func TestOtherSealKey(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	before, err := w.auth.Bearer(t.Context(), w.app.ID)
	check(t, err)
	w.auth = auth.New(auth.Options{Store: w.store, Seal: [32]byte{9}, Now: w.clock.Now, Rand: seeded("x"),
		BaseURL: func(r *http.Request) string { return "http://" + r.Host }})
	v := w.do(t, docsClient().Request(t, "GET", w.url+"/2/users/me"))
	if v.Kind != liked.Unauthorized || !strings.Contains(v.Reason, "the API secret of app 1 is lost") ||
		!strings.Contains(v.Reason, "the app needs new API keys") {
		t.Errorf("got %s: %s, want that the secret is lost and what to do", v.Kind, v.Reason)
	}
	token, err := w.auth.Bearer(t.Context(), w.app.ID)
	check(t, err)
	again, err := w.auth.Bearer(t.Context(), w.app.ID)
	check(t, err)
	if token == before || again != token {
		t.Errorf("got app-only tokens %t the old one and %t the same, want a new one that stays", token == before, again == token)
	}
}

// Every character of the alphabet is as likely as the others. The reader is seeded, so the outcome is fixed.
func TestCredentialsAreUnbiased(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	counts := map[rune]int{}
	total := 0
	for range 500 {
		token, secret, err := w.auth.IssueOAuth1Token(t.Context(), w.app.ID, w.user, liked.ReadOnly)
		check(t, err)
		_, random, _ := strings.Cut(token, "-")
		for _, c := range random + secret {
			counts[c]++
			total++
		}
	}
	if len(counts) != 62 {
		t.Fatalf("got %d different characters, want 62", len(counts))
	}
	for c, n := range counts {
		if share := float64(n) * 62 / float64(total); share < 0.85 || share > 1.15 { // 4 standard deviations
			t.Errorf("got %q %.2f times as often as it should be", c, share)
		}
	}
}
