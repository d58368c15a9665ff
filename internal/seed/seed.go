// Package seed is the data that `liked dev` starts with: users, posts, apps, and credentials for all of them. [Load]
// creates it in an empty store, or renews the tokens of a seeded one.
package seed

import (
	"cmp"
	"context"
	cryptorand "crypto/rand"
	_ "embed"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"sync"
	"time"

	"liked"
	"liked/internal/auth"
	"liked/internal/store"
)

type Options struct {
	Users, Posts int // at least 1, at least 0; named ones come first

	// Seed determines the secrets, the same on every machine. Zero: random.
	Seed uint64

	// RedirectURIs are callbacks of the apps beside those that examples and common clients have.
	RedirectURIs []string

	// TokenLifetime is that of OAuth 2.0 access tokens, from the call of Load.
	TokenLifetime time.Duration
}

// named is the users and posts with names. Two of each are of X's documentation, so that its examples run unchanged.
var named = func() (w struct {
	Users []liked.User
	Posts []struct {
		liked.Post
		By int // in Users
	}
}) {
	if err := json.Unmarshal(worldJSON, &w); err != nil {
		panic(err)
	}
	return w
}()

//go:embed world.json
var worldJSON []byte

// DefaultUsers and DefaultPosts are the numbers of those with names.
var DefaultUsers, DefaultPosts = len(named.Users), len(named.Posts)

// Generated ids start at 2020-01-01 and 2023-01-01, one second apart.
const (
	firstUser = (1577836800000 - 1288834974657) << 22
	firstPost = (1672531200000 - 1288834974657) << 22
	perSecond = 1000 << 22
)

func made(id int64) time.Time {
	return time.UnixMilli(id>>22 + 1288834974657).UTC().Truncate(time.Second)
}

func (o Options) user(i int) liked.User {
	if i < len(named.Users) {
		u := named.Users[i]
		if u.CreatedAt.IsZero() {
			u.CreatedAt = made(int64(u.ID))
		}
		return u
	}
	id := int64(firstUser) + int64(i)*perSecond
	return liked.User{ID: liked.UserID(id), Username: fmt.Sprintf("user%d", i), Name: fmt.Sprintf("User %d", i), CreatedAt: made(id)}
}

// owner is who owns the apps, and sees them in the portal: alice, whom the documents sign in as, or the first of fewer users.
func (o Options) owner() liked.UserID {
	for i := range min(o.Users, len(named.Users)) {
		if named.Users[i].Username == "alice" {
			return named.Users[i].ID
		}
	}
	return o.user(0).ID
}

func (o Options) post(i int) liked.Post {
	if i < len(named.Posts) {
		p := named.Posts[i].Post
		p.Author = o.user(named.Posts[i].By % o.Users).ID
		p.CreatedAt = made(int64(p.ID))
		return p
	}
	id := int64(firstPost) + int64(i)*perSecond
	return liked.Post{ID: liked.PostID(id), Author: o.user(i % o.Users).ID, Text: fmt.Sprintf("Post %d", i), CreatedAt: made(id)}
}

// madeAt is when credentials are made, fixed because tokens contain it.
var madeAt = time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)

// streams is the number of streams of randomness for the credentials. Each serves the same users in the same order,
// whatever their number and the timing.
const streams = 64

func (o Options) stream(i int) io.Reader {
	if o.Seed == 0 {
		return cryptorand.Reader
	}
	var key [32]byte
	copy(key[:], "liked: a seeded world")
	key[23] = byte(i)
	binary.BigEndian.PutUint64(key[24:], o.Seed)
	return rand.NewChaCha8(key)
}

// Callbacks are the redirect URIs of the apps.
func (o Options) Callbacks() []string {
	return append([]string{"http://127.0.0.1:3000/callback", "http://localhost:3000/callback",
		"http://localhost:8080/callback",                   // xurl
		"http://localhost:3000/api/auth/callback/twitter"}, // Auth.js
		o.RedirectURIs...)
}

type Store interface {
	store.Users
	store.Posts
	store.Passwords
	store.Apps
	store.SealKeys
}

// Load returns the credentials in the file, with new tokens for those no longer valid. If the file is missing or "",
// it seeds the store, which must be empty. The caller sets URL, AdminURL and AdminToken, and writes the file.
func Load(ctx context.Context, s Store, a *auth.Auth, o Options, now time.Time, file string) (c Credentials, err error) {
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return create(ctx, s, a.Issuer, o, now)
	}
	if err != nil {
		return c, err
	}
	if c, err = Parse(text); err != nil {
		return c, fmt.Errorf("%s: %w", file, err)
	}
	if err := c.renew(ctx, s, a, o.TokenLifetime); err != nil {
		return c, fmt.Errorf("renew tokens: %w", err)
	}
	return c, c.addCallbacks(ctx, s, a, o.RedirectURIs)
}

// addCallbacks registers redirect URIs that the apps lack.
func (c *Credentials) addCallbacks(ctx context.Context, s Store, a *auth.Auth, redirectURIs []string) error {
	for i := range c.Apps {
		app, err := s.AppByClientID(ctx, c.Apps[i].ClientID)
		if err == nil {
			err = s.UpdateApp(ctx, app.ID, func(app *store.App) error {
				for _, uri := range redirectURIs {
					if !slices.Contains(app.RedirectURIs, uri) {
						app.RedirectURIs = append(app.RedirectURIs, uri)
					}
				}
				c.Apps[i].RedirectURIs = app.RedirectURIs
				return a.CheckApp(app.App)
			})
		}
		if ignoreNotFound(err) != nil { // a removed app keeps what it has
			return fmt.Errorf("redirect-uri: app %s: %w", c.Apps[i].Name, err)
		}
	}
	return nil
}

// create seeds an empty store with issuers of its own randomness and time: the given one must not go on to make
// predictable secrets.
func create(ctx context.Context, s Store, issuer *auth.Issuer, o Options, now time.Time) (c Credentials, err error) {
	users, err := s.Users(ctx, 0, 1)
	if err != nil {
		return c, err
	}
	apps, err := s.Apps(ctx)
	if err != nil {
		return c, err
	}
	// Every start of a server creates the explorer's app.
	if len(users) > 0 || slices.ContainsFunc(apps, func(a liked.App) bool { return a.ID != auth.ExplorerApp }) {
		return c, errors.New("the store holds users or apps, and there is no credentials.json of them in the directory: " +
			"it was not made by `liked dev`, or with another directory, or the first start " +
			"was cut short; run it with `liked serve`, or remove it")
	}
	if o.Seed != 0 {
		if err := s.SetKnownSeed(ctx); err != nil {
			return c, err
		}
	}
	var issuers [streams]*auth.Issuer
	for i := range issuers {
		issuers[i] = issuer.With(o.stream(i), func() time.Time { return madeAt })
	}
	var first liked.App
	for i, name := range []string{"demo", "demo-public"} {
		app, secrets, err := issuers[0].NewApp(ctx, liked.App{ID: liked.AppID(27000001 + i), Owner: o.owner(), Name: name, Public: i > 0,
			Access: liked.ReadWriteDirectMessages, RedirectURIs: o.Callbacks()})
		if err != nil {
			return c, fmt.Errorf("app %s: %w", name, err)
		}
		kind := "confidential"
		if app.Public {
			kind = "public"
		} else {
			first = app
		}
		c.Apps = append(c.Apps, App{Name: app.Name, Type: kind, ClientID: app.ClientID, ClientSecret: secrets.ClientSecret, APIKey: app.APIKey,
			APISecret: secrets.APISecret, BearerToken: secrets.Bearer, RedirectURIs: app.RedirectURIs})
	}
	password, hash, err := newPassword(ctx, issuers[streams-1])
	if err != nil {
		return c, err
	}
	lifetime := now.Sub(madeAt) + o.TokenLifetime
	c.Users = make([]User, o.Users)
	err = inStreams(o.Users, func(stream, i int) error {
		u := o.user(i)
		if err := s.AddUser(ctx, u); err != nil {
			return err
		}
		if err := s.SetPassword(ctx, u.ID, hash); err != nil {
			return err
		}
		c.Users[i] = User{ID: u.ID, Username: u.Username, Name: u.Name, Password: password}
		err := c.Users[i].issue(ctx, issuers[stream], first.ID, lifetime)
		if err != nil {
			return err
		}
		c.Users[i].OAuth1Token, c.Users[i].OAuth1TokenSecret, err = issuers[stream].IssueOAuth1Token(ctx, first.ID, u.ID, first.Access)
		return err
	})
	if err != nil {
		return c, err
	}
	c.Posts = make([]Post, o.Posts)
	err = inStreams(o.Posts, func(_, i int) error {
		p := o.post(i)
		c.Posts[i] = Post{p.ID, p.Author, p.Text}
		return s.AddPost(ctx, p)
	})
	return c, err
}

// newPassword makes one password for all users: hashing is slow on purpose.
func newPassword(ctx context.Context, issuer *auth.Issuer) (password, hash string, err error) {
	password = issuer.RandomText(auth.Alphanumeric, 16)
	hash, err = issuer.HashPassword(ctx, password)
	return password, hash, err
}

func (u *User) issue(ctx context.Context, issuer *auth.Issuer, app liked.AppID, lifetime time.Duration) error {
	t, err := issuer.IssueTokens(ctx, app, u.ID, liked.AllScopes, lifetime)
	if err != nil {
		return fmt.Errorf("user %s: %w", u.Username, err)
	}
	u.AccessToken, u.RefreshToken, u.Scope = t.AccessToken, t.RefreshToken, t.Scopes.String()
	return nil
}

// renew issues OAuth 2.0 tokens to users whose access token is no longer valid, and a password to users without one
// (from earlier versions). Removed users, and all if the app was removed, keep what they have.
func (c *Credentials) renew(ctx context.Context, s Store, a *auth.Auth, lifetime time.Duration) error {
	app, err := s.AppByClientID(ctx, c.Apps[0].ClientID)
	if err != nil {
		return ignoreNotFound(err)
	}
	password, hash := "", ""
	for i := range c.Users {
		u := &c.Users[i]
		if u.Password == "" {
			if password == "" {
				if password, hash, err = newPassword(ctx, a.Issuer); err != nil {
					return err
				}
			}
			err := s.SetPassword(ctx, u.ID, hash)
			if ignoreNotFound(err) != nil {
				return err
			}
			if err == nil {
				u.Password = password
			}
		}
		r := http.Request{Method: http.MethodGet, Header: http.Header{"Authorization": {"Bearer " + u.AccessToken}}}
		if _, err := a.Authenticate(&r); err == nil {
			continue
		}
		if err := u.issue(ctx, a.Issuer, app.ID, lifetime); ignoreNotFound(err) != nil {
			return err
		}
	}
	return nil
}

func ignoreNotFound(err error) error {
	if err != nil && liked.KindOf(err) == liked.NotFound {
		return nil
	}
	return err
}

// inStreams calls do with 0 to n-1, in a goroutine per stream, so that much data waits for few syncs. Numbers that are
// equal modulo streams share a stream, in order. It returns the error of one call.
func inStreams(n int, do func(stream, i int) error) error {
	errs := make([]error, streams)
	var working sync.WaitGroup
	for stream := range min(n, streams) {
		working.Go(func() {
			for i := stream; i < n && errs[stream] == nil; i += streams {
				errs[stream] = do(stream, i)
			}
		})
	}
	working.Wait()
	return cmp.Or(errs...)
}
