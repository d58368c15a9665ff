package oauth

import (
	"cmp"
	"errors"
	"fmt"
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
	afterSignIn = connectedPath
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
	p.FormToken = c.formToken()
	if c.Explain {
		if p.DevUsers, err = c.Store.Users(c.Context, 0, 7); err != nil {
			return nil, err
		}
		p.OneClick = c.OneClick
	}
	return Page(status, p)
}

// signIn checks a password. An unknown user and a wrong password get the same answer in the same time.
func (c *Call) signIn() (*Answer, error) {
	form, err := c.form()
	stale, isStale := errors.AsType[*staleForm](err)
	switch {
	case isStale:
		form = stale.form
		if p := c.unfinished(form.First("resume")); p != nil { // the page to go on with was loaded anew, or another tab was faster
			return Page(http.StatusOK, *p)
		}
	case err != nil:
		return nil, err
	}
	p := web.SignIn{Return: form.First("return"), Resume: form.First("resume"),
		Username: strings.TrimPrefix(strings.TrimSpace(form.First("username")), "@")}
	if len(p.Username) > 64 {
		p.Username = ""
	}
	again := func(status int, text, why string) (*Answer, error) {
		p.Error, c.Why = text, why
		return c.askSignIn(status, p)
	}
	if isStale {
		return again(http.StatusForbidden, "This page was out of date. Please try again.", err.Error())
	}
	if name := form.First("as"); c.OneClick && name != "" {
		u, err := c.Store.UserByUsername(c.Context, name)
		if notFound(err) {
			return again(http.StatusNotFound, "This user is gone. Take another one.", err.Error())
		} else if err != nil {
			return nil, err
		}
		return c.enter(u, "", p)
	}
	device, err := c.device(p.Username)
	if err != nil {
		return nil, err
	}
	attempt, ok := c.throttle(p.Username, device)
	switch {
	case attempt.err != nil:
		return nil, attempt.err
	case !ok:
		return again(http.StatusTooManyRequests, "Too many attempts. Wait a few minutes and try again.", "too many passwords, wrong or right")
	}
	u, why, err := c.Auth.CheckPassword(c.Context, p.Username, form.First("password"))
	if err != nil {
		return nil, err
	}
	if why != "" {
		if err := attempt.giveBack(attempt.right); err != nil {
			return nil, err
		}
		return again(http.StatusUnauthorized, "Wrong username or password.", why)
	}
	if err := attempt.giveBack(attempt.wrong); err != nil {
		return nil, err
	}
	return c.enter(u, device, p)
}

// enter signs the user in, who has shown to be that, and leads on to where one was going.
func (c *Call) enter(u liked.User, device string, p web.SignIn) (*Answer, error) {
	if u.State.Hidden() {
		c.User, c.Why = u.ID, "the account is "+u.State.String()
		p.Error = "This account is " + u.State.String() + "."
		return c.askSignIn(http.StatusForbidden, p)
	}
	if err := c.startSession(u, device); err != nil {
		return nil, err
	}
	if resumed := c.unfinished(p.Resume); resumed != nil {
		return Page(http.StatusOK, *resumed)
	}
	place, ok := c.Open(sealReturn, "", p.Return)
	if !ok {
		place = afterSignIn
	}
	return redirect(http.StatusSeeOther, place)
}

// device returns the name of a browser in which the account was used before with its present password, else "".
func (c *Call) device(username string) (string, error) {
	cookie, err := c.Request.Cookie(c.cookieName(deviceCookie))
	if err != nil || len(cookie.Value) > 256 {
		return "", nil
	}
	text, _ := c.Open(sealDevice, strings.ToLower(username), cookie.Value)
	device, mark, _ := strings.Cut(text, " ")
	if mark == "" {
		return "", nil
	}
	u, err := c.Store.UserByUsername(c.Context, username)
	var password string
	if err == nil {
		password, err = c.Store.Password(c.Context, u.ID)
	}
	if notFound(err) || err == nil && mark != passwordMark(password) {
		return "", nil
	}
	return device, err
}

// passwordMark stands for a stored password in a device's cookie, which ends with it.
func passwordMark(encoded string) string { return fmt.Sprintf("%x", auth.HashOf(encoded)) }

// startSession signs the user in, under a new cookie.
func (c *Call) startSession(u liked.User, device string) error {
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
	password, err := c.Store.Password(c.Context, u.ID)
	device = cmp.Or(device, c.randomText())
	c.setCookie(deviceCookie, c.Seal(sealDevice, strings.ToLower(u.Username), device+" "+passwordMark(password)), deviceLife)
	return err
}

func (c *Call) endSession() error {
	if c.session.user.ID == 0 {
		return nil
	}
	return c.Store.DeleteSession(c.Context, c.session.id)
}

func (c *Call) signOut() (*Answer, error) {
	form, err := c.form()
	stale, isStale := errors.AsType[*staleForm](err)
	switch {
	case isStale && c.session.user.ID == 0: // what was asked for is so
		form = stale.form
	case isStale:
		return nil, errOldForm.Because("%v", stale)
	case err != nil:
		return nil, err
	}
	if err := c.endSession(); err != nil {
		return nil, err
	}
	c.setCookie(sessionCookie, "", -time.Second)
	place, ok := c.Open(sealReturn, "", form.First("return"))
	if !ok {
		place = "/login"
	}
	return redirect(http.StatusSeeOther, place)
}

func (c *Call) randomText() string { return c.Auth.RandomText(auth.Alphanumeric, 43) } // 256 bits
