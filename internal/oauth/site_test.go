package oauth_test

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"liked/internal/authtest"
	"liked/internal/enginetest"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/argon2"

	"liked"
	"liked/internal/auth"
	"liked/internal/exchange"
	"liked/internal/oauth"
	"liked/internal/portal"
	"liked/internal/store"
	"liked/internal/webhook"
)

func TestMain(m *testing.M) { enginetest.Main(m) }

// Of authtest.
type reply = authtest.Reply

var (
	check      = authtest.Check
	inputs     = authtest.Inputs
	newAuth    = authtest.NewAuth
	newRequest = authtest.NewRequest
	newStore   = authtest.NewStore
	seeded     = authtest.Seeded
	with       = authtest.With
)

const (
	password = "correct horse battery staple"
	callback = "http://127.0.0.1:3000/callback?own=1"
	verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk" // of RFC 7636, appendix B
)

// A site is a Handler over TCP with users ada and bob, who have the password, and three apps.
type site struct {
	store store.Store
	auth  *auth.Auth
	clock *authtest.Clock
	url   string

	ada, bob                      liked.User
	conf, other, public           liked.App
	confKeys, otherKeys, noSecret auth.AppSecrets

	mu      sync.Mutex
	seen    []exchange.Exchange
	secrets []string // that no log line may contain
	nonces  atomic.Int64

	serving sync.RWMutex // held for reading by each request until it has been observed, which is after its answer
}

func newSite(t testing.TB, change func(*oauth.Options)) *site {
	t.Helper()
	s := &site{clock: authtest.NewClock(time.Date(2024, 5, 1, 12, 0, 0, 250e6, time.UTC))}
	s.store = newStore(t)
	s.auth = newAuth(t, s.store, s.clock)
	ctx := t.Context()
	// A hash says itself what it cost, and this one was cheap.
	hash := "$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHQ$" + base64.RawStdEncoding.EncodeToString(argon2.IDKey([]byte(password),
		[]byte("somesalt"), 1, 64, 1, 32))
	for i, u := range []*liked.User{&s.ada, &s.bob} {
		*u = liked.User{ID: liked.UserID(11 + i), Username: []string{"ada", "bob"}[i], Name: []string{"Ada", "Bob"}[i], CreatedAt: s.clock.Now()}
		check(t, s.store.AddUser(ctx, *u))
		check(t, s.store.SetPassword(ctx, u.ID, hash))
	}
	uris := []string{callback, "com.example.app:/back", "http://localhost:3000/callback"}
	for _, a := range []struct {
		app     *liked.App
		secrets *auth.AppSecrets
		spec    liked.App
	}{
		{&s.conf, &s.confKeys, liked.App{ID: 1, Name: "Shop", Access: liked.ReadWrite, RedirectURIs: uris, Owner: s.bob.ID}},
		{&s.other, &s.otherKeys, liked.App{ID: 2, Name: "Other", Access: liked.ReadOnly, RedirectURIs: uris}},
		{&s.public, &s.noSecret, liked.App{ID: 3, Name: "Phone", Public: true, Access: liked.ReadWrite, RedirectURIs: uris}},
	} {
		var err error
		*a.app, *a.secrets, err = s.auth.NewApp(ctx, a.spec)
		check(t, err)
		s.secrets = append(s.secrets, a.secrets.APISecret, a.secrets.Bearer)
		if a.secrets.ClientSecret != "" {
			s.secrets = append(s.secrets, a.secrets.ClientSecret)
		}
	}
	o := oauth.Options{Auth: s.auth, Store: s.store, BaseURL: baseURL, Now: s.clock.Now,
		Address: func(r *http.Request) string { return r.RemoteAddr[:strings.LastIndex(r.RemoteAddr, ":")] }}
	o.Observe = func(_ *http.Request, x exchange.Exchange) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.seen = append(s.seen, x)
	}
	if change != nil {
		change(&o)
	}
	h := pages(t, s.store, o)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.serving.RLock()
		defer s.serving.RUnlock()
		h.ServeHTTP(w, r)
	}))
	s.url = srv.URL
	s.secrets = append(s.secrets, password, verifier)
	t.Cleanup(func() {
		srv.Close()
		s.checkLog(t)
	})
	return s
}

func baseURL(r *http.Request) string { return "http://" + r.Host }

// pages returns a handler of all pages of people who are signed in: those of the room itself, and those of an app's owner. It
// answers 418 for paths that neither has.
func pages(t testing.TB, st store.Store, o oauth.Options) http.Handler {
	t.Helper()
	h, err := oauth.New(o)
	check(t, err)
	hooks := webhook.New(webhook.Options{Store: st, Secret: o.Auth.APISecret, Now: o.Now, Logger: slog.New(slog.DiscardHandler)})
	p := portal.New(portal.Options{Sessions: h, Auth: o.Auth, Store: st, Hooks: hooks})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for _, find := range []func(*http.Request) http.Handler{h.Find, p.Find} {
			if found := find(r); found != nil {
				found.ServeHTTP(w, r)
				return
			}
		}
		w.Header().Set("Cache-Control", "no-store")
		w.WriteHeader(http.StatusTeapot)
	})
}

// checkLog holds what is logged to its promise: a known operation, a reason for each refusal, and no secret.
func (s *site) checkLog(t testing.TB) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, x := range s.seen {
		line := fmt.Sprintf("%+v", x)
		for _, secret := range s.secrets {
			if strings.Contains(line, secret) {
				t.Errorf("the log has a secret %q: %s", secret, line)
			}
		}
		if x.Operation == "" || x.TransactionID == "" || x.Status == 0 || x.Status >= 400 && x.Why == "" {
			t.Errorf("the log line lacks something: %s", line)
		}
	}
}

// last is the request that was answered last.
func (s *site) last() exchange.Exchange {
	s.serving.Lock()
	defer s.serving.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.seen[len(s.seen)-1]
}

// secret remembers what must not be logged.
func (s *site) secret(text string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.secrets = append(s.secrets, text)
	return text
}

// browser is a browser that calls the site.
type browser struct {
	*authtest.Browser
	s *site
}

func (s *site) browser() *browser { return &browser{authtest.NewBrowser(s.url), s} }

// signIn signs in as the user, from the sign-in page.
func (b *browser) signIn(t testing.TB, username string) {
	t.Helper()
	page := b.Get(t, "/login")
	if r := b.Post(t, "/login", with(page.Form(), "username", username, "password", password)); r.Status != 303 {
		t.Fatalf("sign in: %d %s", r.Status, b.s.last().Why)
	}
}

func challenge() string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// ask returns the parameters of an authorize link of the app, with some replaced; an empty one is left out.
func (s *site) ask(app liked.App, members ...string) url.Values {
	v := url.Values{"response_type": {"code"}, "client_id": {app.ClientID}, "redirect_uri": {callback}, "state": {"st"},
		"scope": {"tweet.read users.read like.write offline.access"}, "code_challenge": {challenge()}, "code_challenge_method": {"S256"}}
	for i := 0; i < len(members); i += 2 {
		if v.Set(members[i], members[i+1]); members[i+1] == "" {
			v.Del(members[i])
		}
	}
	return v
}

const authorizePath = "/i/oauth2/authorize"

// consent goes through the consent page of somebody who is signed in.
func (b *browser) consent(t testing.TB, link, decision string) reply {
	t.Helper()
	page := b.Get(t, link)
	if page.Status != 200 || page.Form().Get("request") == "" {
		t.Fatalf("no consent page: %d %s: %s", page.Status, page.Location, b.s.last().Why)
	}
	path, _, _ := strings.Cut(link, "?")
	return b.Post(t, path, with(page.Form(), "decision", decision))
}

// code returns a new authorization code.
func (b *browser) code(t testing.TB, app liked.App, members ...string) string {
	t.Helper()
	r := b.consent(t, authorizePath+"?"+b.s.ask(app, members...).Encode(), "allow")
	u, err := url.Parse(r.Location)
	if err != nil || r.Status != 302 || u.Query().Get("code") == "" {
		t.Fatalf("no code: %d %q %v: %s", r.Status, r.Location, err, b.s.last().Why)
	}
	return b.s.secret(u.Query().Get("code"))
}

// app sends a form as the app does: with Basic if it is confidential, and a client id if it is not.
func (s *site) app(t testing.TB, app liked.App, target string, members ...string) reply {
	t.Helper()
	form := with(url.Values{}, members...)
	if app.Public {
		form.Set("client_id", app.ClientID)
	}
	r := newRequest(t, "POST", s.url+target, form.Encode())
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	switch app.ID {
	case s.conf.ID:
		r.SetBasicAuth(app.ClientID, s.confKeys.ClientSecret)
	case s.other.ID:
		r.SetBasicAuth(app.ClientID, s.otherKeys.ClientSecret)
	}
	return s.send(t, r)
}

// send sends a request of an app.
func (s *site) send(t testing.TB, r *http.Request) reply {
	t.Helper()
	resp, err := http.DefaultTransport.RoundTrip(r)
	check(t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	check(t, err)
	for name := range resp.Header {
		if name == "Www-Authenticate" || name == "Set-Cookie" || strings.HasPrefix(name, "Access-Control") {
			t.Errorf("%s %s: the answer has a header %s", r.Method, r.URL.Path, name)
		}
	}
	if cc := resp.Header.Get("Cache-Control"); !strings.Contains(cc, "no-store") {
		t.Errorf("%s %s: Cache-Control is %q", r.Method, r.URL.Path, cc)
	}
	return reply{Status: resp.StatusCode, Header: resp.Header, Body: string(text), Location: resp.Header.Get("Location")}
}

// works reports whether an access token is good at the API.
func (s *site) works(token string) bool {
	r := &http.Request{Method: "GET", Header: http.Header{"Authorization": {"Bearer " + token}}}
	_, err := s.auth.Authenticate(r)
	return err == nil
}

func newServer(t testing.TB, h http.Handler) (url string) {
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	return srv.URL
}
