// Package likedtest runs a real server in a Go test: the code of `liked dev`, on loopback ports of its own, in memory,
// with users, posts, apps and credentials of every kind.
//
//	srv := likedtest.New(t)
//	alice := srv.Users["alice"]
//	resp, err := srv.Client("alice").Post(srv.URL+"/2/users/"+alice.ID.String()+"/likes", "application/json",
//		strings.NewReader(`{"tweet_id":"`+srv.Posts[0].ID.String()+`"}`))
//
// The server stops at the end of the test, which fails if likes, lists, counts and the log disagree.
package likedtest

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"liked/internal/admin"
	"liked/internal/journal"
	"liked/internal/seed"
	"liked/internal/server"
)

// Credentials is what `liked dev --credentials FILE` writes, for tests of a server in another process.
type Credentials = seed.Credentials

// App is an app with its secrets: client id and secret (OAuth 2.0), API key and secret (OAuth 1.0a), bearer token.
type App = seed.App

// User is a user with the first app's tokens: OAuth 2.0 with every scope, and OAuth 1.0a.
type User = seed.User

// Post is a post that can be liked.
type Post = seed.Post

// Server is a running server.
type Server struct {
	URL        string          // of the API, without a trailing slash
	AdminURL   string          // of the admin listener: /admin/, /metrics and so on
	AdminToken string          // for /admin/, as a bearer token
	Apps       []App           // the first is confidential, the second public
	Users      map[string]User // by username: XDevelopers, likesbot, alice, bob, carol, dave, erin, user7, user8 ...
	Posts      []Post
	Clock      *Clock
	server     *server.Server
	client     *http.Client
}

// Option changes what New starts.
type Option func(*server.Config)

// Profile sets the year of the X API that is served, "2024" (the default) or "2026".
func Profile(year string) Option { return func(c *server.Config) { c.Profile = year } }

// RateLimits is "off", or JSON with exceptions by operationId, where 0 removes a limit:
//
//	likedtest.RateLimits(`{"usersIdLike":{"user_15m":5,"user_24h":0}}`)
func RateLimits(limits string) Option { return func(c *server.Config) { c.RateLimits = limits } }

// Now sets the clock of rate windows, tokens and signatures, until Server.Clock moves it. Tokens of the seed data expire
// 30 days after its time at the start of the server.
func Now(now func() time.Time) Option { return func(c *server.Config) { c.Now = now } }

// AutoConsent redirects every authorize link at once, as if the user had signed in and consented: getting a token
// needs no browser.
func AutoConsent(username string) Option {
	return func(c *server.Config) { c.AutoConsent = username }
}

// Size sets the numbers of users and posts; named ones come first.
func Size(users, posts int) Option {
	return func(c *server.Config) { c.Seed.Users, c.Seed.Posts = users, posts }
}

// Postgres keeps everything in a PostgreSQL database instead of in memory: in the schema that the connection string names
// (search_path), which must be empty. It keeps the world that is made there; drop it after the test.
func Postgres(dsn string) Option {
	return func(c *server.Config) { c.Postgres, c.KnownSeed = dsn, true } // nobody but the test can reach the server
}

// Logger gets a line per request. By default there is no log.
func Logger(l *slog.Logger) Option { return func(c *server.Config) { c.Logger = l } }

// New starts a server that stops at the end of the test.
func New(t testing.TB, options ...Option) *Server {
	t.Helper()
	c := server.Config{Dev: true, PrivateWebhooks: true, Journal: journal.DefaultMax, Grace: 2 * time.Second,
		Seed: &seed.Options{
			Users: seed.DefaultUsers, Posts: seed.DefaultPosts, Seed: 1, TokenLifetime: 30 * 24 * time.Hour}}
	for _, o := range options {
		o(&c)
	}
	if c.Postgres != "" {
		c.SealKey = filepath.Join(t.TempDir(), "seal.key")
	}
	srv, err := server.New(c)
	if err != nil {
		t.Fatalf("likedtest: %v", err)
	}
	return run(t, srv)
}

// run runs a server until the end of the test.
func run(t testing.TB, srv *server.Server) *Server {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- srv.Run(ctx) }()
	select { // a reset and a snapshot are refused before
	case <-srv.Ready():
	case err := <-ended:
		stop()
		t.Fatalf("likedtest: %v", err)
	}

	k := srv.Credentials()
	s := &Server{server: srv, URL: k.URL, AdminURL: k.AdminURL, AdminToken: k.AdminToken, Apps: k.Apps, Posts: k.Posts,
		Users: make(map[string]User, len(k.Users)), client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}}
	s.Clock = &Clock{s}
	for _, u := range k.Users {
		s.Users[u.Username] = u
	}
	t.Cleanup(func() {
		if t.Failed() {
			s.printRefusals(t)
		}
		if err := s.check(); err != nil {
			t.Errorf("likedtest: %v", err)
		}
		s.client.CloseIdleConnections()
		stop()
		if err := <-ended; err != nil {
			t.Errorf("likedtest: %v", err)
		}
	})
	return s
}

// Client returns a client that sets the Authorization of requests to the user's OAuth 2.0 access token. It panics if
// there is no such user.
func (s *Server) Client(username string) *http.Client {
	u, ok := s.Users[username]
	if !ok {
		panic(fmt.Sprintf("likedtest: no user %q", username))
	}
	return &http.Client{Transport: bearer{u.AccessToken, s.client.Transport}}
}

type bearer struct {
	token string
	http.RoundTripper
}

func (b bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+b.token)
	return b.RoundTripper.RoundTrip(r)
}

// Admin calls the admin API: it sends in as JSON (nil: no body) and decodes the response into out (nil: ignored).
//
//	err := srv.Admin("PATCH", "/admin/users/alice", map[string]any{"state": "locked"}, nil)
func (s *Server) Admin(method, path string, in, out any) error {
	if err := s.admin().Call(context.Background(), method, path, in, out); err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	return nil
}

// admin is the client that the operator's commands use, too.
func (s *Server) admin() *admin.Client {
	return &admin.Client{URL: s.AdminURL, Token: s.AdminToken, Transport: s.client.Transport}
}

func (s *Server) check() error {
	var r admin.Report
	if err := s.Admin(http.MethodPost, "/admin/check", nil, &r); err != nil {
		return err
	}
	if len(r.Problems) > 0 {
		return fmt.Errorf("the store contradicts itself: %q", r.Problems)
	}
	return nil
}
