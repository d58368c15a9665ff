package portal_test

import (
	"crypto/rand"
	"html"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"liked"
	"liked/internal/auth"
	"liked/internal/exchange"
	"liked/internal/oauth"
	"liked/internal/portal"
	"liked/internal/store/pebblestore"
	"liked/internal/webhook"
)

const password = "correct horse battery staple"

// A site is a portal over TCP, and the pages to sign in, with users ada and bob, who have the password, and an app of bob's.
type site struct {
	store    *pebblestore.Store
	auth     *auth.Auth
	url      string
	ada, bob liked.User
	app      liked.App
	keys     auth.AppSecrets

	mu      sync.Mutex
	seen    []exchange.Exchange
	secrets []string // that no log line may contain
}

func newSite(t testing.TB) *site {
	t.Helper()
	st, err := pebblestore.Open(pebblestore.Options{})
	check(t, err)
	s := &site{store: st, secrets: []string{password}}
	baseURL := func(r *http.Request) string { return "http://" + r.Host }
	s.auth = auth.New(auth.Options{Store: st, Seal: [32]byte{1}, BaseURL: baseURL, Now: time.Now, Rand: rand.Reader})
	ctx := t.Context()
	for i, u := range []*liked.User{&s.ada, &s.bob} {
		name := []string{"ada", "bob"}[i]
		*u = liked.User{ID: liked.UserID(11 + i), Username: name, Name: strings.ToUpper(name), CreatedAt: time.Now()}
		check(t, st.AddUser(ctx, *u))
		hash, err := s.auth.HashPassword(ctx, password)
		check(t, err)
		check(t, st.SetPassword(ctx, u.ID, hash))
	}
	s.app, s.keys, err = s.auth.NewApp(ctx, liked.App{ID: 1, Name: "Shop", Access: liked.ReadWrite, Owner: s.bob.ID})
	check(t, err)
	sessions, err := oauth.New(oauth.Options{Auth: s.auth, Store: st, BaseURL: baseURL, Now: time.Now,
		Address: func(*http.Request) string { return "127.0.0.1" },
		Observe: func(_ *http.Request, x exchange.Exchange) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.seen = append(s.seen, x)
		}})
	check(t, err)
	hooks := webhook.New(webhook.Options{Store: st, Secret: s.auth.APISecret, Now: time.Now, Logger: slog.New(slog.DiscardHandler),
		Anywhere: true})
	p := portal.New(portal.Options{Sessions: sessions, Auth: s.auth, Store: st, Hooks: hooks})
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
	s.url = srv.URL
	t.Cleanup(func() {
		srv.Close()
		s.checkLog(t)
		check(t, st.Close())
	})
	return s
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

// reply is an answer that was read.
type reply struct {
	status   int
	header   http.Header
	body     string
	location string
}

// browser is a person's browser, which does not follow redirects by itself.
type browser struct {
	s      *site
	client http.Client
	header http.Header // of each request
}

func (s *site) browser() *browser {
	jar, err := cookiejar.New(nil)
	if err != nil {
		panic(err)
	}
	return &browser{s: s, client: http.Client{Jar: jar, CheckRedirect: func(*http.Request,
		[]*http.Request) error {
		return http.ErrUseLastResponse
	}},
		header: http.Header{"Sec-Fetch-Site": {"same-origin"}}}
}

func (b *browser) send(t testing.TB, r *http.Request) reply {
	t.Helper()
	for k, v := range b.header {
		r.Header[k] = v
	}
	resp, err := b.client.Do(r)
	check(t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	check(t, err)
	return reply{resp.StatusCode, resp.Header, string(text), resp.Header.Get("Location")}
}

func (b *browser) get(t testing.TB, target string) reply {
	t.Helper()
	return b.send(t, newRequest(t, "GET", b.s.url+target, ""))
}

func (b *browser) post(t testing.TB, target string, form url.Values) reply {
	t.Helper()
	r := newRequest(t, "POST", b.s.url+target, form.Encode())
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return b.send(t, r)
}

var (
	inputs = regexp.MustCompile(`<(?:input|textarea)[^>]*>`)
	attr   = regexp.MustCompile(`(name|value)="([^"]*)"`)
)

// form returns the hidden fields of a page's forms. Forms of one page agree about a field.
func (r reply) form() url.Values {
	f := make(url.Values)
	for _, tag := range inputs.FindAllString(r.body, -1) {
		m := map[string]string{}
		for _, a := range attr.FindAllStringSubmatch(tag, -1) {
			m[a[1]] = html.UnescapeString(a[2])
		}
		if strings.Contains(tag, `type="hidden"`) && m["name"] != "" && f.Get(m["name"]) == "" {
			f.Set(m["name"], m["value"])
		}
	}
	return f
}

func with(f url.Values, members ...string) url.Values {
	for i := 0; i < len(members); i += 2 {
		f.Set(members[i], members[i+1])
	}
	return f
}

// signIn signs in as the user, from the sign-in page.
func (b *browser) signIn(t testing.TB, username string) {
	t.Helper()
	page := b.get(t, "/login")
	if r := b.post(t, "/login", with(page.form(), "username", username, "password", password)); r.status != 303 {
		t.Fatalf("sign in: %d", r.status)
	}
}

func newRequest(t testing.TB, method, url, body string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// works reports whether an access token is good at the API.
func (s *site) works(token string) bool {
	r := &http.Request{Method: "GET", Header: http.Header{"Authorization": {"Bearer " + token}}}
	_, err := s.auth.Authenticate(r)
	return err == nil
}
