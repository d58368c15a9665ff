package oauth

import (
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"liked/internal/web"
)

const (
	outcomeCookie = "liked_outcome"
	outcomeLife   = time.Minute

	sealOutcome = "what is shown once " // + at path and to cookie
)

// sealedOutcome is what the cookie holds. Its end is checked here, too: a cookie lives as long as a browser likes.
type sealedOutcome struct {
	Until   time.Time
	Outcome web.Outcome
}

// Done answers a form that was carried out: the browser goes on to the page at the path, which shows the outcome once. A
// reload of that page repeats nothing. The outcome goes with the browser, sealed, so that any server of the store can show
// it and none has to keep it.
func (c *Call) Done(path string, o web.Outcome) (*Answer, error) {
	text, err := json.Marshal(sealedOutcome{c.Now().Add(outcomeLife), o})
	if err != nil {
		return nil, err
	}
	c.cookies = append(c.cookies, c.outcomeCookie(path, c.Seal(sealOutcome, path+" "+c.session.cookie, string(text)), outcomeLife))
	return redirect(http.StatusSeeOther, path)
}

// outcomeCookie is sent to its page alone, and never with a request that another site causes.
func (c *Call) outcomeCookie(path, value string, life time.Duration) *http.Cookie {
	return &http.Cookie{Name: c.outcomeCookieName(), Value: value, Path: path, MaxAge: int(life / time.Second),
		Secure: c.secure(), HttpOnly: true, SameSite: http.SameSiteStrictMode}
}

// outcomeCookieName has, under HTTPS, the prefix that is left to a cookie with a path.
func (c *Call) outcomeCookieName() string {
	if c.secure() {
		return "__Secure-" + outcomeCookie
	}
	return outcomeCookie
}

// Outcome is what led to this page, for the session that did it. The next time there is none.
func (c *Call) Outcome() (o web.Outcome) {
	if c.Method != http.MethodGet { // a HEAD shows nothing
		return o
	}
	for _, cookie := range c.Request.CookiesNamed(c.outcomeCookieName()) { // those of pages above come, too
		text, ok := c.Open(sealOutcome, c.Path+" "+c.session.cookie, cookie.Value)
		var kept sealedOutcome
		if !ok || json.NewDecoder(strings.NewReader(text)).Decode(&kept) != nil {
			continue
		}
		c.cookies = append(c.cookies, c.outcomeCookie(c.Path, "", -time.Second))
		if c.Now().Before(kept.Until) {
			return kept.Outcome
		}
	}
	return o
}
