package admin

import (
	"context"
	"fmt"
	"time"

	"liked"
	"liked/internal/auth"
	"liked/internal/store"
)

// World is what Seed makes.
type World struct {
	Users    int           // at least 1; the named ones come first
	Posts    int           // the named ones come first
	Lifetime time.Duration // of access tokens
}

// The world has two users and two posts of X's own documentation, so that its examples run as they are.
var (
	namedUsers = []liked.User{
		{ID: 2244994945, Username: "XDevelopers", Name: "X Dev", Verified: true, Description: "The voice of the developer platform",
			CreatedAt: time.Date(2013, 12, 14, 4, 35, 55, 0, time.UTC)},
		{ID: 1324848235714736129, Username: "likesbot", Name: "Likes Bot", Description: "Likes what it reads"},
		{ID: 1100000000000000001, Username: "alice", Name: "Alice", Location: "Amsterdam"},
		{ID: 1100000000000000002, Username: "bob", Name: "Bob"},
		{ID: 1100000000000000003, Username: "carol", Name: "Carol", Description: "Posts about birds"},
		{ID: 1100000000000000004, Username: "dave", Name: "Dave"},
		{ID: 1100000000000000005, Username: "erin", Name: "Erin"},
	}
	namedPosts = []struct {
		liked.Post
		author int // in namedUsers
	}{
		{liked.Post{ID: 1521887626935947265, Text: "An API is only as good as its error messages"}, 2},
		{liked.Post{ID: 1228393702244134912, Text: "What did the developer write in their card? while(true) { I = Love(You) }"}, 3},
		{liked.Post{ID: 1600000000000000001, Text: "Good morning!"}, 2},
		{liked.Post{ID: 1600000000000000002, Text: "Is it the coffee, or is the build faster today?"}, 3},
		{liked.Post{ID: 1600000000000000003, Text: "A kingfisher 🐦 by the canal"}, 4},
		{liked.Post{ID: 1600000000000000004, Text: "A heron, an hour later. It did not move once"}, 4},
		{liked.Post{ID: 1600000000000000005, Text: "Reading RFC 6749 so that you need not"}, 5},
		{liked.Post{ID: 1600000000000000006, Text: "Shipped it"}, 6},
	}
)

// DefaultUsers and DefaultPosts are the numbers of those that have names.
const (
	DefaultUsers = 7
	DefaultPosts = 8
)

// Generated users and posts are numbered from here: 2020-01-01 and 2023-01-01 as identifiers, one second apart.
const (
	firstUser = (1577836800000 - 1288834974657) << 22
	firstPost = (1672531200000 - 1288834974657) << 22
	perSecond = 1000 << 22
)

// made is the time in a generated identifier.
func made(id int64) time.Time {
	return time.UnixMilli(id>>22 + 1288834974657).UTC().Truncate(time.Second)
}

func (w World) user(i int) liked.User {
	if i < len(namedUsers) {
		u := namedUsers[i]
		if u.CreatedAt.IsZero() {
			u.CreatedAt = made(int64(u.ID))
		}
		return u
	}
	id := int64(firstUser) + int64(i)*perSecond
	return liked.User{ID: liked.UserID(id), Username: fmt.Sprintf("user%d", i), Name: fmt.Sprintf("User %d", i), CreatedAt: made(id)}
}

func (w World) post(i int) liked.Post {
	if i < len(namedPosts) {
		p := namedPosts[i].Post
		p.Author = w.user(namedPosts[i].author % w.Users).ID
		p.CreatedAt = made(int64(p.ID))
		return p
	}
	id := int64(firstPost) + int64(i)*perSecond
	return liked.Post{ID: liked.PostID(id), Author: w.user(i % w.Users).ID, Text: fmt.Sprintf("Post %d", i), CreatedAt: made(id)}
}

// Streams is how many issuers Seed needs.
const Streams = 64

// Seed makes the world in an empty store. Issuers that make the same secrets again give the same credentials again: each
// serves the same users in the same order, however many users there are and however the work is timed. URL, AdminURL
// and AdminToken are for the caller to fill in.
func Seed(ctx context.Context, s store.Store, issuers [Streams]*auth.Auth, w World) (Credentials, error) {
	var c Credentials
	var first liked.App
	for i, app := range []liked.App{
		{Name: "demo", Access: liked.ReadWriteDirectMessages, RedirectURIs: []string{"http://127.0.0.1:3000/callback", "http://localhost:3000/callback"}},
		{Name: "demo-public", Public: true, Access: liked.ReadWriteDirectMessages, RedirectURIs: []string{"http://127.0.0.1:3000/callback", "http://localhost:3000/callback"}},
	} {
		app.ID = liked.AppID(27000001 + i)
		app.CreatedAt = time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)
		app, secrets, err := issuers[0].NewApp(ctx, app)
		if err != nil {
			return Credentials{}, fmt.Errorf("app %s: %w", app.Name, err)
		}
		if i == 0 {
			first = app
		}
		c.Apps = append(c.Apps, AppCredentials{Name: app.Name, Type: appType(app), ClientID: app.ClientID,
			ClientSecret: secrets.ClientSecret, APIKey: app.APIKey, APISecret: secrets.APISecret, BearerToken: secrets.Bearer,
			RedirectURIs: app.RedirectURIs})
	}
	c.Users = make([]UserCredentials, w.Users)
	password, hash, err := newPassword(ctx, issuers[Streams-1])
	if err != nil {
		return Credentials{}, err
	}
	err = inStreams(w.Users, func(stream, i int) error {
		u := w.user(i)
		if err := s.AddUser(ctx, u); err != nil {
			return err
		}
		if err := s.SetPassword(ctx, u.ID, hash); err != nil {
			return err
		}
		c.Users[i] = UserCredentials{ID: u.ID, Username: u.Username, Name: u.Name, Password: password}
		return c.Users[i].issue(ctx, issuers[stream], first, w.Lifetime)
	})
	if err != nil {
		return Credentials{}, err
	}
	if err := inStreams(w.Posts, func(_, i int) error { return s.AddPost(ctx, w.post(i)) }); err != nil {
		return Credentials{}, err
	}
	c.Posts = make([]SeededPost, w.Posts)
	for i := range c.Posts {
		p := w.post(i)
		c.Posts[i] = SeededPost{p.ID, p.Author, p.Text}
	}
	return c, nil
}

// newPassword makes the one password that a world's users share: hashing takes long on purpose.
func newPassword(ctx context.Context, is *auth.Auth) (password, hash string, err error) {
	if password, err = is.NewPassword(); err == nil {
		hash, err = is.HashPassword(ctx, password)
	}
	return password, hash, err
}

// issue gives the user tokens of every kind.
func (u *UserCredentials) issue(ctx context.Context, is *auth.Auth, app liked.App, lifetime time.Duration) error {
	if err := u.issueOAuth2(ctx, is, app.ID, lifetime); err != nil {
		return err
	}
	var err error
	u.OAuth1Token, u.OAuth1TokenSecret, err = is.IssueOAuth1Token(ctx, app.ID, u.ID, app.Access)
	return err
}

// issueOAuth2 gives the user a new access and refresh token with every scope.
func (u *UserCredentials) issueOAuth2(ctx context.Context, is *auth.Auth, app liked.AppID, lifetime time.Duration) error {
	t, err := is.IssueTokens(ctx, app, u.ID, liked.AllScopes, lifetime)
	if err != nil {
		return fmt.Errorf("user %s: %w", u.Username, err)
	}
	u.AccessToken, u.RefreshToken, u.Scope = t.AccessToken, t.RefreshToken, t.Scopes.String()
	return nil
}

// Renew issues new OAuth 2.0 tokens to the users whose access token is no longer good, by the word of the function, and a
// password to those that have none from earlier versions. Users that are gone, and everybody if the app is gone, keep
// what they have.
func (c *Credentials) Renew(ctx context.Context, s store.Store, is *auth.Auth, lifetime time.Duration, good func(accessToken string) bool) error {
	app, err := s.AppByClientID(ctx, c.Apps[0].ClientID)
	if err != nil {
		return ignoreNotFound(err)
	}
	password, hash := "", ""
	for i := range c.Users {
		u := &c.Users[i]
		if u.Password == "" {
			if password == "" {
				if password, hash, err = newPassword(ctx, is); err != nil {
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
		if good(u.AccessToken) {
			continue
		}
		if err := u.issueOAuth2(ctx, is, app.ID, lifetime); ignoreNotFound(err) != nil {
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

// inStreams calls do with 0 to n-1, in Streams goroutines, so that a large world on a disk waits for few syncs. Each
// number has its stream, in which it follows the one that is smaller by Streams. It returns an error of one of the calls.
func inStreams(n int, do func(stream, i int) error) error {
	errs := make(chan error, Streams)
	for stream := range Streams {
		go func() {
			var err error
			for i := stream; i < n && err == nil; i += Streams {
				err = do(stream, i)
			}
			errs <- err
		}()
	}
	var first error
	for range Streams {
		if err := <-errs; first == nil {
			first = err
		}
	}
	return first
}
