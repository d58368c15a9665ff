package compat

import (
	"context"
	"errors"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/dghubble/oauth1"
	"golang.org/x/oauth2"
)

// person is a user with a browser that does not follow links out of the server.
type person struct {
	http.Client
	w world
}

func (w world) person(t *testing.T) *person {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &person{w: w, Client: http.Client{Jar: jar, CheckRedirect: func(r *http.Request, _ []*http.Request) error {
		if strings.HasPrefix(r.URL.String(), w.URL) {
			return nil
		}
		return http.ErrUseLastResponse
	}}}
}

var (
	formTag  = regexp.MustCompile(`(?s)<form.*?</form>`)
	inputTag = regexp.MustCompile(`<input[^>]*>`)
	attr     = regexp.MustCompile(`(\w+)="([^"]*)"`)
)

// submit fills in and posts the first form of the page that has the field.
func (p *person) submit(t *testing.T, resp *http.Response, field string, fill ...string) *http.Response {
	t.Helper()
	page, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	if err != nil {
		t.Fatal(err)
	}
	for _, form := range formTag.FindAllString(string(page), -1) {
		if !strings.Contains(form, `name="`+field+`"`) {
			continue
		}
		v := url.Values{}
		for _, tag := range inputTag.FindAllString(form, -1) {
			m := map[string]string{}
			for _, a := range attr.FindAllStringSubmatch(tag, -1) {
				m[a[1]] = html.UnescapeString(a[2])
			}
			v.Set(m["name"], m["value"])
		}
		for i := 0; i < len(fill); i += 2 {
			v.Set(fill[i], fill[i+1])
		}
		action := regexp.MustCompile(`<form[^>]*action="([^"]*)"`).FindStringSubmatch(form)
		if action == nil {
			t.Fatalf("the form says not where to post to: %s", form)
		}
		to, err := resp.Request.URL.Parse(html.UnescapeString(action[1]))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := p.PostForm(to.String(), v)
		if err != nil {
			t.Fatal(err)
		}
		return resp
	}
	t.Fatalf("%s at %s has no form with %s: %s", resp.Status, resp.Request.URL, field, page)
	return nil
}

// consents follows the link as a person does who is not signed in, and returns where it leads.
func (p *person) consents(t *testing.T, link, username string) *url.URL {
	t.Helper()
	resp := p.decides(t, link, username, "allow")
	resp.Body.Close()
	to, err := resp.Location()
	if err != nil {
		t.Fatalf("%s: %v", resp.Status, err)
	}
	return to
}

// decides is consents for a decision of either kind. It returns the answer to it, whose body is open.
func (p *person) decides(t *testing.T, link, username, decision string) *http.Response {
	t.Helper()
	resp, err := p.Get(link)
	if err != nil {
		t.Fatal(err)
	}
	password := p.w.named(t, username).Password
	resp = p.submit(t, resp, "password", "username", username, "password", password)
	return p.submit(t, resp, "request", "decision", decision)
}

// x/oauth2 does not know whether the app is confidential or public, and how to say who it is: it tries.
func TestXOAuth2(t *testing.T) {
	w := readWorld(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for i, app := range w.Apps {
		c := oauth2.Config{ClientID: app.ClientID, ClientSecret: app.ClientSecret, RedirectURL: app.RedirectURIs[0],
			Endpoint: oauth2.Endpoint{AuthURL: w.URL + "/i/oauth2/authorize", TokenURL: w.URL + "/2/oauth2/token"},
			Scopes:   []string{"tweet.read", "users.read", "like.write", "offline.access"}}
		verifier, state := oauth2.GenerateVerifier(), "a+/= &"
		to := w.person(t).consents(t, c.AuthCodeURL(state, oauth2.S256ChallengeOption(verifier)), "erin")
		if got := to.Query().Get("state"); got != state || !strings.HasPrefix(to.String(), app.RedirectURIs[0]) {
			t.Errorf("%s: sent to %s", app.Type, to)
		}
		code := to.Query().Get("code")
		// After a refusal it tries the other way to say who it is, and reports that refusal.
		want := map[string]string{"confidential": "unauthorized_client", "public": "invalid_request"}[app.Type]
		if _, err := c.Exchange(ctx, code, oauth2.VerifierOption(oauth2.GenerateVerifier())); refusal(err) != want {
			t.Errorf("%s: with a wrong verifier: %v, want %s", app.Type, err, want)
		}
		token, err := c.Exchange(ctx, code, oauth2.VerifierOption(verifier))
		if err != nil {
			t.Fatalf("%s: %v", app.Type, err)
		}
		scope, lifetime := token.Extra("scope"), time.Until(token.Expiry)
		if scope != "tweet.read users.read offline.access like.write" || token.RefreshToken == "" || lifetime > 2*time.Hour {
			t.Errorf("%s: got %v for %s", app.Type, scope, lifetime)
		}
		post := w.Posts[2+i].ID
		if got := w.like(t, c.Client(ctx, token), w.named(t, "erin").ID, post); got.body != `{"data":{"liked":true}}` {
			t.Errorf("%s: like: %v", app.Type, got)
		}
		old := *token
		token.Expiry = time.Now().Add(-time.Hour)
		again, err := c.TokenSource(ctx, token).Token()
		if err != nil || again.RefreshToken == old.RefreshToken || again.AccessToken == old.AccessToken {
			t.Fatalf("%s: refresh: %v", app.Type, err)
		}
		if _, err := c.TokenSource(ctx, &oauth2.Token{RefreshToken: old.RefreshToken}).Token(); refusal(err) != "invalid_request" {
			t.Errorf("%s: a spent refresh token: %v", app.Type, err)
		}
		if got := w.like(t, c.Client(ctx, again), w.named(t, "erin").ID, post); got.body != `{"data":{"liked":true}}` {
			t.Errorf("%s: like after the refresh: %v", app.Type, got)
		}
	}
	did(t, "golang.org/x/oauth2", "OAuth 2.0")
	did(t, "golang.org/x/oauth2", "likes")
}

// refusal is X's word for why there is no token.
func refusal(err error) string {
	if e, ok := errors.AsType[*oauth2.RetrieveError](err); ok {
		return e.ErrorCode
	}
	return fmt.Sprint(err)
}

// threeLegs begins the three legs of OAuth 1.0a: it returns a request token and the link for the user.
func (w world) threeLegs(t *testing.T) (c *oauth1.Config, token, secret, link string) {
	t.Helper()
	c = w.config()
	c.CallbackURL = w.Apps[0].RedirectURIs[0]
	c.Endpoint = oauth1.Endpoint{
		RequestTokenURL: w.URL + "/oauth/request_token",
		AuthorizeURL:    w.URL + "/oauth/authorize",
		AccessTokenURL:  w.URL + "/oauth/access_token",
	}
	token, secret, err := c.RequestToken()
	if err != nil {
		t.Fatal(err)
	}
	to, err := c.AuthorizationURL(token)
	if err != nil {
		t.Fatal(err)
	}
	return c, token, secret, to.String()
}

func TestThreeLeggedOAuth1(t *testing.T) {
	w := readWorld(t)
	c, _, secret, link := w.threeLegs(t)
	r, err := http.NewRequest("GET", w.person(t).consents(t, link, "XDevelopers").String(), nil)
	if err != nil {
		t.Fatal(err)
	}
	token, verifier, err := oauth1.ParseAuthorizationCallback(r)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.AccessToken(token, secret, verifier+"x"); err == nil {
		t.Error("a wrong verifier is good")
	}
	token, secret, err = c.AccessToken(token, secret, verifier)
	if err != nil {
		t.Fatal(err)
	}
	client := c.Client(t.Context(), oauth1.NewToken(token, secret))
	if got := w.like(t, client, w.named(t, "XDevelopers").ID, w.Posts[4].ID); got.body != `{"data":{"liked":true}}` {
		t.Errorf("like: %v", got)
	}
	did(t, "github.com/dghubble/oauth1", "OAuth 1.0a")
}

func TestDeniedConsent(t *testing.T) {
	w := readWorld(t)
	app := w.Apps[0]
	c2 := oauth2.Config{ClientID: app.ClientID, RedirectURL: app.RedirectURIs[0], Scopes: []string{"like.write"},
		Endpoint: oauth2.Endpoint{AuthURL: w.URL + "/i/oauth2/authorize", TokenURL: w.URL + "/2/oauth2/token"}}
	link2 := c2.AuthCodeURL("state", oauth2.S256ChallengeOption(oauth2.GenerateVerifier()))
	resp := w.person(t).decides(t, link2, "erin", "deny")
	resp.Body.Close()
	if got, want := resp.Header.Get("Location"), c2.RedirectURL+"?error=access_denied&state=state"; got != want {
		t.Errorf("OAuth 2.0: sent to %q, want %q", got, want)
	}

	c, token, secret, link := w.threeLegs(t)
	resp = w.person(t).decides(t, link, "dave", "deny")
	page, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	back := c.CallbackURL + "?denied=" + token
	if err != nil || !strings.Contains(html.UnescapeString(string(page)), `href="`+back+`"`) {
		t.Fatalf("OAuth 1.0a: no link to %s: %v, %s", back, err, page)
	}
	r, err := http.NewRequest("GET", back, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := oauth1.ParseAuthorizationCallback(r); err == nil {
		t.Error("OAuth 1.0a: the client takes the denial for consent")
	}
	if token, _, err := c.AccessToken(token, secret, "0000000"); err == nil {
		t.Errorf("OAuth 1.0a: got the access token %q", token)
	}
}
