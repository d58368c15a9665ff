package console

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"sync"
	"time"
)

// gate knows the browsers in which the admin token was entered. It keeps hashes, in memory alone.
type gate struct {
	mu      sync.Mutex
	entered map[[32]byte]pass
}

type pass struct {
	token [32]byte // hash of the admin token that was entered, which may have been replaced since
	until time.Time
}

const (
	gateCookie = "liked_console"
	passLife   = 12 * time.Hour // of real time
	maxPasses  = 100
)

// passes reports whether the token of now was entered in the request's browser.
func (g *gate) passes(r *http.Request, token string) bool {
	cookie, err := r.Cookie(cookieName(gateCookie, r))
	if err != nil {
		return false
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	p, ok := g.entered[sha256.Sum256([]byte(cookie.Value))]
	return ok && time.Now().Before(p.until) && p.token == sha256.Sum256([]byte(token))
}

// enter returns the value of a cookie that passes, if the token is the right one.
func (g *gate) enter(given, token string) (value string, ok bool) {
	got, want := sha256.Sum256([]byte(given)), sha256.Sum256([]byte(token))
	if subtle.ConstantTimeCompare(got[:], want[:]) != 1 {
		return "", false
	}
	value = rand.Text() + rand.Text()
	g.mu.Lock()
	defer g.mu.Unlock()
	now := time.Now()
	var first [32]byte
	for key, p := range g.entered {
		if now.After(p.until) {
			delete(g.entered, key)
		} else if first == ([32]byte{}) || p.until.Before(g.entered[first].until) {
			first = key
		}
	}
	if len(g.entered) >= maxPasses {
		delete(g.entered, first)
	}
	if g.entered == nil {
		g.entered = make(map[[32]byte]pass)
	}
	g.entered[sha256.Sum256([]byte(value))] = pass{want, now.Add(passLife)}
	return value, true
}

// passes reports whether the request may see and change what there is.
func (c *call) passes() bool { return c.Open || c.gate.passes(c.Request, c.AdminToken()) }

// askToken is the page that asks for the admin token.
func (c *call) askToken(wrong string) (answer, error) {
	to := c.from()
	if c.Exchange.Method == http.MethodGet {
		to = c.URL.RequestURI()
	}
	c.Why = "the console needs the admin token"
	return answer{status: http.StatusForbidden, template: "gate", title: "Console", data: struct{ Return, Error string }{to, wrong}}, nil
}

// enter takes the admin token.
func (c *call) enter() (answer, error) {
	value, ok := c.gate.enter(c.PostForm.Get("token"), c.AdminToken())
	if !ok {
		return c.askToken("This is not the admin token of this server.")
	}
	return answer{location: own(c.from()), cookies: []*http.Cookie{c.cookie(gateCookie, value, Path, passLife)}}, nil
}
