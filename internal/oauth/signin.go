package oauth

import (
	"net/http"
	"strings"
	"time"

	"liked"
	"liked/internal/auth"
	"liked/internal/store"
	"liked/internal/web"
)

const (
	deviceCookie = "liked_device"
	deviceLife   = 400 * 24 * time.Hour // the longest that browsers allow

	sealDevice  = "device of user " // + username
	afterSignIn = "/settings/connected_apps"
)

func (c *Call) signInPage() (*Answer, error) {
	if c.session.user.ID != 0 {
		return redirect(http.StatusSeeOther, afterSignIn)
	}
	return c.askSignIn(http.StatusOK, web.SignIn{})
}

// askSignIn shows the sign-in page. A browser without a cookie gets one, to bind the form to.
func (c *Call) askSignIn(status int, p web.SignIn) (answer *Answer, err error) {
	s := &c.session
	if s.cookie == "" || s.user.ID == 0 && strings.Contains(s.cookie, "-") { // none, or of an ended session
		s.cookie = c.randomText()
		c.setCookie(sessionCookie, s.cookie, 24*time.Hour)
	}
	p.Frame = c.Frame()
	p.FormToken = c.seal(sealForm, s.cookie, "")
	if c.Explain {
		if p.DevUsers, err = c.Store.Users(c.Context, 0, 7); err != nil {
			return nil, err
		}
	}
	return Page(status, p)
}

// signIn checks a password. An unknown user and a wrong password get the same answer in the same time.
func (c *Call) signIn() (*Answer, error) {
	form, err := c.form()
	if form == nil {
		return nil, err
	}
	p := web.SignIn{Return: form.First("return"), Username: strings.TrimPrefix(strings.TrimSpace(form.First("username")), "@")}
	if len(p.Username) > 64 {
		p.Username = ""
	}
	again := func(status int, text, why string) (*Answer, error) {
		p.Error, c.Why = text, why
		return c.askSignIn(status, p)
	}
	if err != nil {
		return again(http.StatusForbidden, "This page was out of date. Please try again.", err.Error())
	}
	device, known := c.device(p.Username)
	attempt, ok := c.throttle(p.Username, device, known)
	switch {
	case attempt.err != nil:
		return nil, attempt.err
	case !ok:
		return again(http.StatusTooManyRequests, "Too many attempts. Wait a few minutes and try again.", "too many wrong passwords")
	}
	u, why, err := c.Auth.CheckPassword(c.Context, p.Username, form.First("password"))
	if err != nil {
		return nil, err
	}
	if why != "" {
		return again(http.StatusUnauthorized, "Wrong username or password.", why)
	}
	if attempt.giveBack(); attempt.err != nil {
		return nil, attempt.err
	}
	if u.State.Hidden() {
		c.User = u.ID
		return again(http.StatusForbidden, "This account is "+u.State.String()+".", "the account is "+u.State.String())
	}
	if err := c.startSession(u, device, known); err != nil {
		return nil, err
	}
	place, ok := c.open(sealReturn, "", p.Return)
	if !ok {
		place = afterSignIn
	}
	return redirect(http.StatusSeeOther, place)
}

// device returns the browser's name; known: the account was used in it before.
func (c *Call) device(username string) (device string, known bool) {
	cookie, err := c.Request.Cookie(c.cookieName(deviceCookie))
	if err != nil || len(cookie.Value) > 256 {
		return "", false
	}
	return c.open(sealDevice, strings.ToLower(username), cookie.Value)
}

// startSession signs the user in, under a new cookie.
func (c *Call) startSession(u liked.User, device string, known bool) error {
	cookie := u.ID.String() + "-" + c.randomText()
	id, err := c.sessionID(cookie, u.ID)
	if err != nil {
		return err
	}
	if err := c.Store.AddSession(c.Context, store.Session{ID: id, User: u.ID, Expires: c.Now().Add(sessionLife)}); err != nil {
		return err
	}
	if err := c.endSession(); err != nil {
		return err
	}
	c.User, c.session = u.ID, session{cookie: cookie, id: id, user: u}
	c.setCookie(sessionCookie, cookie, sessionLife)
	if !known {
		device = c.randomText()
	}
	c.setCookie(deviceCookie, c.seal(sealDevice, strings.ToLower(u.Username), device), deviceLife)
	return nil
}

func (c *Call) endSession() error {
	if c.session.user.ID == 0 {
		return nil
	}
	return c.Store.DeleteSession(c.Context, c.session.id)
}

func (c *Call) signOut() (*Answer, error) {
	form, err := c.form()
	if err != nil {
		return nil, err
	}
	if err := c.endSession(); err != nil {
		return nil, err
	}
	c.setCookie(sessionCookie, "", -time.Second)
	place, ok := c.open(sealReturn, "", form.First("return"))
	if !ok {
		place = "/login"
	}
	return redirect(http.StatusSeeOther, place)
}

func (c *Call) randomText() string { return c.Auth.RandomText(auth.Alphanumeric, 43) } // 256 bits
