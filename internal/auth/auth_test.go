package auth_test

import (
	"encoding/json"
	"io"
	"liked/internal/authtest"
	"liked/internal/enginetest"
	"liked/internal/store"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"liked"
	"liked/internal/auth"
)

func TestMain(m *testing.M) { enginetest.Main(m) }

// Of authtest.
var (
	check           = authtest.Check
	encode          = authtest.Encode
	newAuth         = authtest.NewAuth
	newRequest      = authtest.NewRequest
	newStore        = authtest.NewStore
	plainBaseString = authtest.BaseString
	seeded          = authtest.Seeded
)

// The example that X's documentation signs.
const (
	docsTime        = 1318622958
	docsUser        = liked.UserID(370773112)
	docsKey         = "xvz1evFS4wEEPTGEFPHBog"
	docsSecret      = "kAcSOqF21Fu85e7zjz7ZN2U4ZRhfV3WpwPAoE3Z7kBw"
	docsToken       = "370773112-GmHxMAgYyLbNEtIKZeRNFsMKPR9EyMZeS9weJAEb"
	docsTokenSecret = "LswwdoUaIvS8ltyTt5jkRh4J50vUPVVHtR2YPi5kE"
	docsNonce       = "kYjzVBB8Y0ZFabxSWbWovY3uYSQ2pTgmZeNu2VS4cg"
)

// world is a server that answers each request with what Authenticate said about it.
type world struct {
	store store.Store
	auth  *auth.Auth
	clock *authtest.Clock
	url   string // of the server
	app   liked.App
	app1  auth.AppSecrets
	user  liked.UserID

	secrets []string // that no reason may contain
}

// verdict is what Authenticate said, and what was left of the body.
type verdict struct {
	Principal liked.Principal
	Kind      liked.Kind
	Reason    string // empty if the caller was identified
	Body      string
	Query     string
}

// newWorld returns a world at docsTime with one user, the docs' app and token, and an app of our own making.
func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{
		clock:   authtest.NewClock(time.Unix(docsTime, 0)),
		user:    docsUser,
		secrets: []string{docsKey, docsSecret, docsToken, docsTokenSecret},
	}
	w.store = newStore(t)
	w.auth = newAuth(t, w.store, w.clock)
	ctx := t.Context()
	check(t, w.store.AddUser(ctx, liked.User{ID: docsUser, Username: "ada", Name: "Ada", CreatedAt: w.clock.Now()}))
	check(t, w.auth.AddApp(ctx, liked.App{ID: 1, Name: "docs", Access: liked.ReadWrite, CreatedAt: w.clock.Now(),
		ClientID: "docs", APIKey: docsKey}, docsSecret))
	check(t, w.auth.AddOAuth1Token(ctx, 1, docsUser, docsToken, docsTokenSecret))
	var err error
	w.app, w.app1, err = w.auth.NewApp(ctx, liked.App{ID: 2, Name: "made here", Access: liked.ReadWrite})
	check(t, err)
	w.secrets = append(w.secrets, w.app.APIKey, w.app1.APISecret, w.app1.ClientSecret, w.app1.Bearer)
	w.serve(t)
	return w
}

func (w *world) serve(t testing.TB) {
	srv := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		var v verdict
		var err error
		if v.Principal, err = w.auth.Authenticate(r); err != nil {
			v.Kind, v.Reason = liked.KindOf(err), err.Error()
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		v.Body, v.Query = string(body), r.URL.RawQuery
		if err := json.NewEncoder(rw).Encode(v); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(srv.Close)
	w.url = srv.URL
}

// do sends the request to the world's server, whatever host its URL names, and returns the verdict on it.
func (w *world) do(t testing.TB, r *http.Request) verdict {
	t.Helper()
	if r.Host == "" {
		r.Host = r.URL.Host
	}
	r.URL.Scheme, r.URL.Host, _ = strings.Cut(w.url, "://")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("got status %s", resp.Status)
	}
	var v verdict
	if err := json.NewDecoder(resp.Body).Decode(&v); err != nil {
		t.Fatal(err)
	}
	w.checkReason(t, v.Reason)
	return v
}

func (w *world) checkReason(t interface {
	Helper()
	Errorf(string, ...any)
}, reason string) {
	t.Helper()
	for _, s := range w.secrets {
		if s != "" && strings.Contains(reason, s) {
			t.Errorf("the reason %q contains %q", reason, s)
		}
	}
}

// get asks for a page with the Authorization headers given.
func (w *world) get(t testing.TB, authorization ...string) verdict {
	t.Helper()
	r := newRequest(t, "GET", w.url+"/2/users/me", "")
	r.Header["Authorization"] = authorization
	return w.do(t, r)
}

// issue returns a fresh OAuth 2.0 token of the world's own app.
func (w *world) issue(t testing.TB, scopes liked.Scope) auth.UserTokens {
	t.Helper()
	tokens, err := w.auth.IssueTokens(t.Context(), w.app.ID, w.user, scopes, 0)
	check(t, err)
	w.secrets = append(w.secrets, tokens.AccessToken, tokens.RefreshToken)
	return tokens
}

// wantOK fails unless the caller was identified.
func wantOK(t testing.TB, v verdict) {
	t.Helper()
	if v.Reason != "" {
		t.Errorf("got %s: %s, want success", v.Kind, v.Reason)
	}
}

// wantRefused fails unless the caller was refused for a reason that contains the text.
func wantRefused(t testing.TB, v verdict, text string) {
	t.Helper()
	if v.Reason == "" {
		t.Errorf("got success, want a refusal because of %q", text)
	} else if v.Kind != liked.Unauthorized || !strings.Contains(v.Reason, text) {
		t.Errorf("got %s: %s, want unauthorized because of %q", v.Kind, v.Reason, text)
	}
}

func TestAuthorizationHeader(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	token := w.issue(t, liked.TweetRead).AccessToken
	for _, c := range []struct {
		name    string
		headers []string
		refused string // empty: let in
	}{
		{"none", nil, "no Authorization header"},
		{"bearer", []string{"Bearer " + token}, ""},
		{"lower-case scheme", []string{"bearer " + token}, ""},
		{"upper-case scheme", []string{"BEARER " + token}, ""},
		{"two spaces", []string{"Bearer  " + token}, ""},
		{"twice the same", []string{"Bearer " + token, "Bearer " + token}, "2 Authorization headers"},
		{"other case of the token", []string{"Bearer " + strings.ToLower(token)}, "unknown or was revoked"},
		{"no scheme", []string{token}, "neither Bearer nor OAuth"},
		{"no token", []string{"Bearer"}, "empty"},
		{"basic", []string{"Basic Zm9vOmJhcg=="}, "scheme Basic"},
		{"empty", []string{""}, "neither Bearer nor OAuth"},
		{"largest", []string{"Bearer " + strings.Repeat("x", auth.MaxHeader-7)}, "unknown or was revoked"},
		{"too large", []string{"Bearer " + strings.Repeat("x", auth.MaxHeader-6)}, "at most 8192 are read"},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := w.get(t, c.headers...)
			if c.refused == "" {
				wantOK(t, v)
			} else {
				wantRefused(t, v, c.refused)
			}
		})
	}
}

func TestBearerInQueryOrBodyDoesNotCount(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	token := w.issue(t, liked.TweetRead).AccessToken
	r := newRequest(t, "POST", w.url+"/2/tweets?access_token="+token, "access_token="+token)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	wantRefused(t, w.do(t, r), "no Authorization header")
}
