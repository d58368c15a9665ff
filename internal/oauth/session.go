package oauth

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"liked"
	"liked/internal/auth"
	"liked/internal/store"
	"liked/internal/web"
)

const (
	sessionCookie = "liked_session"
	sessionLife   = 30 * 24 * time.Hour

	sealForm   = "form of a session"
	sealReturn = "place to return to"
)

// session is a browser's. Its cookie is random text, after the user's ID and a hyphen if signed in. The store's key is
// a hash of the cookie and the user's password hash, so that a new password ends all sessions.
type session struct {
	cookie string // "" for none
	id     store.Hash
	user   liked.User // ID 0: not signed in
}

// mark stands for the session in its pages, which do not name the cookie.
func (s *session) mark() string { return fmt.Sprintf("%x", auth.HashOf(s.cookie)) }

// secure reports whether the browser uses HTTPS, as far as is known.
func (c *Call) secure() bool { return strings.HasPrefix(c.BaseURL(c.Request), "https://") }

// cookieName adds, under HTTPS, a prefix with which browsers refuse a cookie set for a domain or without Secure (RFC
// 6265bis, 4.1.3.2).
func (c *Call) cookieName(name string) string {
	if c.secure() {
		return "__Host-" + name
	}
	return name
}

func (c *Call) setCookie(name, value string, life time.Duration) {
	c.cookies = append(c.cookies, &http.Cookie{Name: c.cookieName(name), Value: value, Path: "/", MaxAge: int(life / time.Second),
		Secure: c.secure(), HttpOnly: true, SameSite: http.SameSiteLaxMode})
}

// readSession fails only if the store does.
func (c *Call) readSession() error {
	if cookie, err := c.Request.Cookie(c.cookieName(sessionCookie)); err == nil && len(cookie.Value) <= 128 {
		c.session.cookie = cookie.Value
	}
	id, _, signedIn := strings.Cut(c.session.cookie, "-")
	if user, err := liked.ParseID[liked.UserID](id); signedIn && err == nil {
		if err := c.resume(user); err != nil && !notFound(err) {
			return err
		}
	}
	return nil
}

// resume signs in the cookie's user, if the session is valid.
func (c *Call) resume(user liked.UserID) error {
	id, err := c.sessionID(c.session.cookie, user)
	if err != nil {
		return err
	}
	kept, err := c.Store.Session(c.Context, id)
	if err != nil || kept.User != user || !c.Now().Before(kept.Expires) {
		return err
	}
	u, err := c.Store.User(c.Context, user)
	if err == nil && !u.State.Hidden() {
		c.session.id, c.session.user, c.User = id, u, u.ID
	}
	return err
}

func (c *Call) sessionID(cookie string, user liked.UserID) (store.Hash, error) {
	password, err := c.Store.Password(c.Context, user)
	return auth.HashOf(cookie + "\n" + password), err
}

// signInNeeded is answered with the sign-in page, which leads back to the request's URL.
type signInNeeded struct {
	app string // name of the requesting app, "" for none
}

func (*signInNeeded) Error() string { return "the browser is not signed in" }

// SignedIn returns the signed-in user. If there is none, its error leads to the sign-in page.
func (c *Call) SignedIn() (liked.User, error) { return c.signedIn("") }

func (c *Call) signedIn(app string) (liked.User, error) {
	if c.session.user.ID == 0 {
		return liked.User{}, &signInNeeded{app}
	}
	return c.session.user, nil
}

// here seals the request's path with the query, to return to.
func (c *Call) here(query string) string {
	place := c.Path
	if query != "" {
		place += "?" + query
	}
	return c.Seal(sealReturn, "", place)
}

// Seal seals text for a form or a link. Open returns it unaltered, for the same purpose and owner only.
func (c *Call) Seal(purpose, owner, text string) string {
	return base64.RawURLEncoding.EncodeToString(c.Auth.Seal(purpose, owner, text))
}

// Open undoes Seal.
func (c *Call) Open(purpose, owner, sealed string) (string, bool) {
	b, err := base64.RawURLEncoding.DecodeString(sealed)
	if err != nil {
		return "", false
	}
	text, err := c.Auth.Unseal(purpose, owner, b)
	return text, err == nil
}

// Frame returns what surrounds a page's content.
func (c *Call) Frame() web.Frame {
	u := c.session.user
	if u.ID == 0 {
		return web.Frame{Console: c.Explain}
	}
	return web.Frame{Console: c.Explain, Username: u.Username, Name: u.Name, FormToken: c.formToken()}
}

var (
	errCrossSite = &Refusal{Status: http.StatusForbidden, Code: "This form came from somewhere else",
		Text: "For your safety, forms are taken only from our own pages. Go back and try again."}
	errOldForm = &Refusal{Status: http.StatusForbidden, Code: "This page is out of date",
		Text: "You signed in or out since it was shown, or the server's keys changed. Go back, reload it, and try again."}
	// ErrForm refuses a form that none of our pages posts.
	ErrForm = &Refusal{Status: http.StatusBadRequest, Code: "That did not work", Text: "The form could not be read."}
)

// form reads a form, which must come from our site and the session that its page was shown to. The error for one of another
// session is a *staleForm.
func (c *Call) form() (Form, error) {
	if err := c.crossOrigin.Check(c.Request); err != nil {
		return nil, errCrossSite.Because("%v", err)
	}
	if !auth.IsForm(c.Request.Header.Get("Content-Type")) {
		return nil, ErrForm.Because("the body is no form")
	}
	body := *c.Request
	body.URL = &url.URL{}
	f, err := readParams(&body)
	if err != nil {
		return nil, ErrForm.Because("%v", err)
	}
	shown, here := c.readFormToken(f.First("form_token"))
	if !here {
		return nil, &staleForm{f, shown}
	}
	return f, nil
}

// Form reads a form of our pages, and returns the user to whom the page was shown.
func (c *Call) Form() (Form, liked.User, error) {
	f, err := c.form()
	if err == nil && c.session.user.ID == 0 { // the session has ended, here or on another server
		shown, _ := c.readFormToken(f.First("form_token"))
		err = &staleForm{f, shown}
	}
	return f, c.session.user, err
}
