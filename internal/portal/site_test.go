package portal_test

import (
	"crypto/rand"
	"liked/internal/authtest"
	"liked/internal/enginetest"
	"liked/internal/store"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"liked"
	"liked/internal/auth"
	"liked/internal/exchange"
	"liked/internal/oauth"
	"liked/internal/portal"
	"liked/internal/webhook"
)

func TestMain(m *testing.M) { enginetest.Main(m) }

// Of authtest.
type reply = authtest.Reply

var (
	check  = authtest.Check
	inputs = authtest.Inputs
	with   = authtest.With
)

const password = "correct horse battery staple"

// A site is a portal over TCP, and the pages to sign in, with users ada and bob, who have the password, and an app of bob's.
type site struct {
	store    store.Store
	auth     *auth.Auth
	url      string
	ada, bob liked.User
	app      liked.App
	keys     auth.AppSecrets

	later atomic.Int64 // what the time is ahead of ours

	mu      sync.Mutex
	seen    []exchange.Exchange
	secrets []string // that no log line may contain
}

func newSite(t testing.TB) *site {
	t.Helper()
	st := enginetest.Open(t)
	s := &site{store: st, secrets: []string{password}}
	t.Cleanup(func() { // after the servers
		s.checkLog(t)
		check(t, st.Close())
	})
	s.auth = s.newAuth()
	ctx := t.Context()
	for i, u := range []*liked.User{&s.ada, &s.bob} {
		name := []string{"ada", "bob"}[i]
		*u = liked.User{ID: liked.UserID(11 + i), Username: name, Name: strings.ToUpper(name), CreatedAt: time.Now()}
		check(t, st.AddUser(ctx, *u))
		hash, err := s.auth.HashPassword(ctx, password)
		check(t, err)
		check(t, st.SetPassword(ctx, u.ID, hash))
	}
	var err error
	s.app, s.keys, err = s.auth.NewApp(ctx, liked.App{ID: 1, Name: "Shop", Access: liked.ReadWrite, Owner: s.bob.ID})
	check(t, err)
	s.url = s.serve(t, s.auth)
	return s
}

func (s *site) now() time.Time { return time.Now().Add(time.Duration(s.later.Load())) }

func baseURL(r *http.Request) string { return "http://" + r.Host }

func (s *site) newAuth() *auth.Auth {
	return auth.New(auth.Options{Store: s.store, Seal: [32]byte{1}, BaseURL: baseURL, Now: s.now, Rand: rand.Reader})
}

// serve starts a server of the site's store, and returns its address.
func (s *site) serve(t testing.TB, a *auth.Auth) string {
	t.Helper()
	sessions, err := oauth.New(oauth.Options{Auth: a, Store: s.store, BaseURL: baseURL, Now: s.now,
		Address: func(*http.Request) string { return "127.0.0.1" },
		Observe: func(_ *http.Request, x exchange.Exchange) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.seen = append(s.seen, x)
		}})
	check(t, err)
	hooks := webhook.New(webhook.Options{Store: s.store, Secret: a.APISecret, Now: s.now, Logger: slog.New(slog.DiscardHandler),
		Anywhere: true})
	p := portal.New(portal.Options{Sessions: sessions, Auth: a, Store: s.store, Hooks: hooks})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		found := p.Find(r)
		if found == nil {
			found = sessions.Find(r)
		}
		if found == nil {
			found = http.NotFoundHandler()
		}
		found.ServeHTTP(w, r)
	}))
	t.Cleanup(srv.Close)
	return srv.URL
}

// checkLog holds what is logged to its promise: a known operation, a reason for each refusal, and no secret.
func (s *site) checkLog(t testing.TB) {
	for _, x := range s.seen {
		for _, secret := range s.secrets {
			if strings.Contains(x.Why, secret) {
				t.Errorf("the log has a secret: %+v", x)
			}
		}
		if x.Operation == "" || x.TransactionID == "" || x.Status == 0 || x.Status >= 400 && x.Why == "" {
			t.Errorf("the log line lacks something: %+v", x)
		}
	}
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
		t.Fatalf("sign in: %d", r.Status)
	}
}

// act posts a form and goes where the answer leads, as a browser does.
func (b *browser) act(t testing.TB, path string, form url.Values) reply {
	t.Helper()
	r := b.Post(t, path, form)
	if r.Status == 303 {
		return b.Get(t, r.Location)
	}
	return r
}

// works reports whether an access token is good at the API.
func (s *site) works(token string) bool {
	r := &http.Request{Method: "GET", Header: http.Header{"Authorization": {"Bearer " + token}}}
	_, err := s.auth.Authenticate(r)
	return err == nil
}
