package auth

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"liked"
	"liked/internal/limit"
	"liked/internal/store"
	"liked/internal/web"
)

const (
	sessionLife = 30 * 24 * time.Hour
	deviceLife  = 400 * 24 * time.Hour // the longest that browsers allow

	sealForm    = "form of the session "    // + cookie
	sealConsent = "consent in the session " // + cookie
	sealReturn  = "place to return to"
	sealDevice  = "device of user " // + id

	afterSignIn = "/settings/connected_apps"
)

// session is the browser that a request comes from. Its cookie is random text; with a user it is the user's id, a hyphen
// and random text. The store knows a session by a hash of the cookie and of the user's password hash, so that a new
// password ends them all.
type session struct {
	read   bool
	cookie string // "" for none
	id     store.Hash
	user   liked.User // ID 0: nobody is signed in
}

// secure reports whether the browser speaks HTTPS, as far as is known.
func (c *call) secure() bool { return strings.HasPrefix(c.baseURL(c.r), "https://") }

// cookieName returns the name of one of our cookies. The prefix makes browsers refuse one that was set for a domain, or
// without Secure (RFC 6265bis, 4.1.3.2).
func (c *call) cookieName(name string) string {
	if c.secure() {
		return "__Host-" + name
	}
	return name
}

func (c *call) setCookie(name, value string, life time.Duration) {
	seconds := int(life / time.Second)
	if life < 0 {
		seconds = -1
	}
	c.cookies = append(c.cookies, &http.Cookie{Name: c.cookieName(name), Value: value, Path: "/", MaxAge: seconds,
		Secure: c.secure(), HttpOnly: true, SameSite: http.SameSiteLaxMode})
}

const (
	sessionCookie = "liked_session"
	deviceCookie  = "liked_device"
)

// whoever reads the session. It is an error only if the store cannot be read.
func (c *call) whoever() (*session, error) {
	s := &c.session
	if s.read {
		return s, nil
	}
	if cookie, err := c.r.Cookie(c.cookieName(sessionCookie)); err == nil && len(cookie.Value) <= 128 {
		s.cookie = cookie.Value
	}
	id, _, signedIn := strings.Cut(s.cookie, "-")
	user, err := liked.ParseID[liked.UserID](id)
	if !signedIn || err != nil {
		s.read = true
		return s, nil
	}
	sid, err := c.sessionID(c.ctx, s.cookie, user)
	if err == nil {
		var kept store.Session
		kept, err = c.store.Session(c.ctx, sid)
		if err == nil && kept.User == user && c.now().Before(kept.Expires) {
			var u liked.User
			if u, err = c.store.User(c.ctx, user); err == nil && !u.State.Hidden() {
				s.id, s.user, c.User = sid, u, u.ID
			}
		}
	}
	if err != nil && !notFound(err) {
		return s, err
	}
	s.read = true
	return s, nil
}

func (c *call) sessionID(ctx context.Context, cookie string, user liked.UserID) (store.Hash, error) {
	password, err := c.store.Password(ctx, user)
	return hashOf(cookie + "\n" + password), err
}

// signedIn returns who is signed in. If it is nobody, ok is false and the answer is the page to do so, which leads back
// to the address of this request.
func (c *call) signedIn(app string) (u liked.User, ans answer, ok bool, err error) {
	s, err := c.whoever()
	if err != nil {
		return liked.User{}, answer{}, false, err
	}
	if s.user.ID != 0 {
		return s.user, answer{}, true, nil
	}
	ans, err = c.askSignIn(http.StatusOK, web.SignIn{Return: c.here(c.r.URL.RawQuery), AppName: app})
	return liked.User{}, ans, false, err
}

// here seals the request's own path with the query, for coming back later.
func (c *call) here(query string) string {
	place := c.path
	if query != "" {
		place += "?" + query
	}
	return c.blob(sealReturn, "", place)
}

// blob seals text for a form, and open undoes it. Only this server can make one, so that what comes back is what was
// shown, to the owner that it was shown to.
func (c *call) blob(purpose, owner, text string) string {
	b, err := c.sealed(purpose, owner, text)
	if err != nil {
		return "" // it will not open
	}
	return base64.RawURLEncoding.EncodeToString(b)
}

func (c *call) open(purpose, owner, blob string) (string, bool) {
	b, err := base64.RawURLEncoding.DecodeString(blob)
	if err != nil {
		return "", false
	}
	text, err := c.unsealed(purpose, owner, b)
	return text, err == nil
}

// frame is what stands around a page.
func (c *call) frame() web.Frame {
	s, err := c.whoever()
	if err != nil || s.user.ID == 0 {
		return web.Frame{}
	}
	return web.Frame{Username: s.user.Username, Name: s.user.Name, FormToken: c.blob(sealForm, s.cookie, "")}
}

// askSignIn returns the page on which to sign in. A browser without a cookie gets one, to bind the form to.
func (c *call) askSignIn(status int, p web.SignIn) (answer, error) {
	s, err := c.whoever()
	if err != nil {
		return answer{}, err
	}
	if s.cookie == "" || s.user.ID == 0 && strings.Contains(s.cookie, "-") { // the second: of a session that is over
		if s.cookie, err = c.randomText(); err != nil {
			return answer{}, err
		}
		c.setCookie(sessionCookie, s.cookie, 24*time.Hour)
	}
	p.Frame = c.frame()
	p.FormToken = c.blob(sealForm, s.cookie, "")
	p.Action = "/login"
	if c.Explain {
		users, err := c.store.Users(c.ctx, 0, 7)
		if err != nil {
			return answer{}, err
		}
		for _, u := range users {
			p.DevUsers = append(p.DevUsers, web.DevUser{Username: u.Username, Name: u.Name})
		}
	}
	return answer{status: status, page: p}, nil
}

func (c *call) randomText() (string, error) {
	p := c.pick()
	defer p.done()
	text := p.text(alnum, 43) // 256 bits
	return text, p.err
}

var (
	errCrossSite = &refused{status: http.StatusForbidden, code: "This form came from somewhere else",
		text: "For your safety, forms are taken only from our own pages. Go back and try again."}
	errOldForm = &refused{status: http.StatusForbidden, code: "This page is out of date",
		text: "You signed in or out since it was shown, or the server's keys changed. Go back, reload it, and try again."}
	errForm = &refused{status: http.StatusBadRequest, code: "That did not work", text: "The form could not be read."}
)

// form reads a form that one of our pages posted: from our own site, in the session that the page was shown to.
func (c *call) form() (params, error) {
	p, err := c.foreignForm()
	if err != nil {
		return nil, err
	}
	if _, ok := c.open(sealForm, c.session.cookie, p.first("form_token")); !ok || c.session.cookie == "" {
		return p, errOldForm.because("the form was not shown to this session")
	}
	return p, nil
}

// foreignForm is form without proof of the session.
func (c *call) foreignForm() (params, error) {
	if err := c.crossOrigin.Check(c.r); err != nil {
		return nil, errCrossSite.because("%v", err)
	}
	if _, err := c.whoever(); err != nil {
		return nil, err
	}
	if !isForm(c.r.Header.Get("Content-Type")) {
		return nil, errForm.because("the body is no form")
	}
	body := *c.r
	body.URL = &url.URL{}
	p, err := readParams(&body)
	if err != nil {
		return nil, errForm.because("%v", err)
	}
	return p, nil
}

// first returns the first value of a field of our own forms.
func (p params) first(name string) string {
	if v := p[name]; len(v) > 0 {
		return v[0]
	}
	return ""
}

func (c *call) signInPage() (answer, error) {
	s, err := c.whoever()
	if err != nil {
		return answer{}, err
	}
	if s.user.ID != 0 {
		return answer{status: http.StatusSeeOther, location: afterSignIn}, nil
	}
	return c.askSignIn(http.StatusOK, web.SignIn{})
}

// Limits on wrong passwords. Nobody is locked out by somebody else's guesses: these count against the guesser's address,
// and a browser in which the account was used before is counted for itself.
var (
	perDevice         = []limit.Rule{{Window: 15 * time.Minute, Max: 20}}
	perAccountAddress = []limit.Rule{{Window: 15 * time.Minute, Max: 20}}
	perAccount        = []limit.Rule{{Window: 15 * time.Minute, Max: 100}}
	perAddress        = []limit.Rule{{Window: 15 * time.Minute, Max: 200}}
)

const wrongPassword = "Wrong username or password."

// signIn checks a password. That there is no such user takes as long to say, in the same words, as that the password is
// wrong.
func (c *call) signIn() (answer, error) {
	form, err := c.form()
	if form == nil {
		return answer{}, err
	}
	p := web.SignIn{Return: form.first("return"), Username: strings.TrimPrefix(strings.TrimSpace(form.first("username")), "@")}
	if len(p.Username) > 64 {
		p.Username = ""
	}
	again := func(status int, text, why string) (answer, error) {
		p.Error, c.Why = text, why
		return c.askSignIn(status, p)
	}
	if err != nil {
		return again(http.StatusForbidden, "This page was out of date. Please try again.", err.Error())
	}
	device, known := c.device(p.Username)
	giveBack, ok := c.throttle(p.Username, device, known)
	if !ok {
		return again(http.StatusTooManyRequests, "Too many attempts. Wait a few minutes and try again.", "too many wrong passwords")
	}
	u, why, err := c.checkPassword(p.Username, form.first("password"))
	if err != nil {
		return answer{}, err
	}
	if why != "" {
		return again(http.StatusUnauthorized, wrongPassword, why)
	}
	giveBack()
	if u.State.Hidden() {
		c.User = u.ID
		return again(http.StatusForbidden, "This account is "+u.State.String()+".", "the account is "+u.State.String())
	}
	if err := c.startSession(u, device, known); err != nil {
		return answer{}, err
	}
	place, ok := c.open(sealReturn, "", p.Return)
	if !ok {
		place = afterSignIn
	}
	return answer{status: http.StatusSeeOther, location: place}, nil
}

// checkPassword returns the user whose password it is; why is not empty if it is nobody's.
func (c *call) checkPassword(username, password string) (u liked.User, why string, err error) {
	encoded := nobodysPassword
	u, err = c.store.UserByUsername(c.ctx, username)
	if err == nil {
		var kept string
		if kept, err = c.store.Password(c.ctx, u.ID); err == nil {
			encoded = kept
		} else {
			why = "the user has no password"
		}
	} else {
		why = "there is no such user"
	}
	if err != nil && !notFound(err) {
		return liked.User{}, "", err
	}
	same, err := c.samePassword(c.ctx, password, encoded)
	if err != nil {
		return liked.User{}, "", err
	}
	if !same && why == "" {
		why = "the password is wrong"
	}
	return u, why, nil
}

// device returns the name of the browser, if the account was used in it before.
func (c *call) device(username string) (device string, known bool) {
	cookie, err := c.r.Cookie(c.cookieName(deviceCookie))
	if err != nil || len(cookie.Value) > 256 {
		return "", false
	}
	return c.open(sealDevice, strings.ToLower(username), cookie.Value)
}

// throttle counts an attempt to sign in. giveBack takes that back.
func (c *call) throttle(username, device string, known bool) (giveBack func(), ok bool) {
	address := c.Address(c.r)
	if ip, err := netip.ParseAddr(strings.Trim(address, "[]")); err == nil && ip.Is6() && !ip.Is4In6() {
		if prefix, err := ip.Prefix(64); err == nil { // what one household has
			address = prefix.String()
		}
	}
	username = strings.ToLower(username)
	type count struct {
		operation string
		who       string
		rules     []limit.Rule
	}
	counts := []count{{"signIn.address", address, perAddress}, {"signIn.account.address", username + "\n" + address, perAccountAddress},
		{"signIn.account", username, perAccount}}
	if known {
		counts = []count{{"signIn.device", username + "\n" + device, perDevice}}
	}
	now := c.now()
	for _, n := range counts {
		if _, ok := c.Limiter.Take(now, n.operation, 0, numbered(n.who), n.rules, nil); !ok {
			return nil, false
		}
	}
	return func() {
		for _, n := range counts {
			c.Limiter.GiveBack(now, n.operation, 0, numbered(n.who), n.rules)
		}
	}, true
}

// numbered stands for text where the limiter counts by user.
func numbered(text string) liked.UserID {
	sum := sha256.Sum256([]byte(text))
	return liked.UserID(binary.BigEndian.Uint64(sum[:])>>1 | 1)
}

// startSession signs the user in, under a cookie that nobody knew before.
func (c *call) startSession(u liked.User, device string, known bool) error {
	text, err := c.randomText()
	if err != nil {
		return err
	}
	cookie := u.ID.String() + "-" + text
	id, err := c.sessionID(c.ctx, cookie, u.ID)
	if err != nil {
		return err
	}
	old := c.session
	if err := c.store.AddSession(c.ctx, store.Session{ID: id, User: u.ID, Expires: c.now().Add(sessionLife)}); err != nil {
		return err
	}
	if old.user.ID != 0 {
		if err := c.store.DeleteSession(c.ctx, old.id); err != nil {
			return err
		}
	}
	c.User, c.session = u.ID, session{read: true, cookie: cookie, id: id, user: u}
	c.setCookie(sessionCookie, cookie, sessionLife)
	if !known {
		if device, err = c.randomText(); err != nil {
			return err
		}
	}
	c.setCookie(deviceCookie, c.blob(sealDevice, strings.ToLower(u.Username), device), deviceLife)
	return nil
}

func (c *call) signOut() (answer, error) {
	form, err := c.form()
	if err != nil {
		return answer{}, err
	}
	if c.session.user.ID != 0 {
		if err := c.store.DeleteSession(c.ctx, c.session.id); err != nil {
			return answer{}, err
		}
	}
	c.setCookie(sessionCookie, "", -1)
	place, ok := c.open(sealReturn, "", form.first("return"))
	if !ok {
		place = "/login"
	}
	return answer{status: http.StatusSeeOther, location: place}, nil
}

// same compares secrets in a time that says nothing about them.
func same(a, b store.Hash) bool { return subtle.ConstantTimeCompare(a[:], b[:]) == 1 }
