package console

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"liked"
	"liked/internal/admin"
)

// Acting is as whom one calls: a user of an app, an app alone, or nobody. Each is an id, "" for none; there is no user without
// an app.
type Acting struct{ User, App string }

const actingCookie = "liked_acting"

// actingAs returns as whom the request's browser calls, if one has chosen. Whether there still is such a user or app it does
// not say.
func actingAs(r *http.Request) (a Acting, chosen bool) {
	cookie, err := r.Cookie(cookieName(actingCookie, r))
	if err != nil {
		return a, false
	}
	a.User, a.App, chosen = strings.Cut(cookie.Value, ".")
	return a, chosen && a.valid()
}

func (a Acting) valid() bool {
	for _, id := range []string{a.User, a.App} {
		if _, err := liked.ParseID[int64](id); id != "" && err != nil {
			return false
		}
	}
	return a.User == "" || a.App != ""
}

// Identity is an Acting with its names.
type Identity struct {
	Acting
	Username, AppName string
}

// String says who it is, as in "Calling as".
func (i Identity) String() string {
	switch {
	case i.User != "":
		return "@" + i.Username
	case i.App != "":
		return "app " + i.AppName
	}
	return "nobody"
}

// Identity returns as whom the request's browser calls: as chosen, or as the console begins if nothing was chosen or what was
// is no more. It is nobody if that is no more, either.
func (c *Console) Identity(r *http.Request) Identity {
	if chosen, ok := actingAs(r); ok {
		if i, err := c.identify(r.Context(), chosen); err == nil {
			return i
		}
	}
	i, err := c.identify(r.Context(), c.First)
	if err != nil {
		return Identity{}
	}
	return i
}

// identify finds the names. A user or an app may be called by its name, too.
func (c *Console) identify(ctx context.Context, a Acting) (i Identity, err error) {
	if a.App != "" {
		var app admin.App
		if err = c.admin.Call(ctx, http.MethodGet, "/admin/apps/"+url.PathEscape(a.App), nil, &app); err != nil {
			return Identity{}, err
		}
		i.App, i.AppName = app.ID.String(), app.Name
	}
	if a.User != "" {
		var user admin.User
		if err = c.admin.Call(ctx, http.MethodGet, "/admin/users/"+url.PathEscape(a.User), nil, &user); err != nil {
			return Identity{}, err
		}
		i.User, i.Username = user.ID.String(), user.Username
	}
	return i, nil
}

// act is the form that says as whom one calls from now on.
func (c *call) act() (answer, error) {
	i, cookie, err := c.choose()
	if err != nil {
		return answer{}, err
	}
	to, err := c.back(c.from(), Notice{Text: "You call as " + i.String() + " now."})
	to.cookies = append(to.cookies, cookie)
	return to, err
}

// choose returns whom the form's fields as (user, app or nobody), user and app name, and the cookie that keeps it.
func (c *call) choose() (Identity, *http.Cookie, error) {
	var a Acting
	switch c.PostForm.Get("as") {
	case "user":
		a = Acting{strings.TrimPrefix(strings.TrimSpace(c.PostForm.Get("user")), "@"), c.PostForm.Get("app")}
		if a.User == "" {
			return Identity{}, nil, liked.Errorf(liked.Invalid, "Enter the username of whom you want to call as.")
		}
		if a.App == "" {
			a.App = c.Identity(c.Request).App
		}
		if a.App == "" {
			a.App = c.First.App
		}
	case "app":
		a.App = c.PostForm.Get("app")
	}
	i, err := c.identify(c.Context(), a)
	if err != nil {
		return Identity{}, nil, err
	}
	return i, c.cookie(actingCookie, i.User+"."+i.App, Path, 365*24*time.Hour), nil
}

// issued is a token of an Acting.
type issued struct {
	token string
	until time.Time // by the server's clock
}

// Token returns a token with which one calls as said, "" for nobody. One of a user is issued when it is first needed, has all
// scopes and is kept in memory alone.
func (c *Console) Token(ctx context.Context, as Acting) (string, error) {
	if as.App == "" {
		return "", nil
	}
	c.mu.Lock()
	kept, ok := c.tokens[as]
	c.mu.Unlock()
	if ok && c.Now().Before(kept.until) {
		return kept.token, nil
	}
	in := admin.NewToken{Kind: "app", App: as.App}
	if as.User != "" {
		in.Kind, in.User = "user", as.User
	}
	var made admin.Token
	if err := c.admin.Call(ctx, http.MethodPost, "/admin/tokens", in, &made); err != nil {
		return "", err
	}
	if as.User != "" {
		c.mu.Lock()
		defer c.mu.Unlock()
		if len(c.tokens) >= maxTokens {
			clear(c.tokens)
		}
		c.tokens[as] = issued{made.Token, c.Now().Add(time.Duration(made.ExpiresIn)*time.Second - time.Minute)}
	}
	return made.Token, nil
}

const maxTokens = 1000

// Forget forgets the tokens: the server became another one, or what it was before.
func (c *Console) Forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.tokens)
}

// called is a call to X's API that was made.
type called struct {
	Status      int    // zero: the answer was lost
	Transaction string // by which the journal has it
}

const (
	callTime  = 10 * time.Second
	maxAnswer = 256 << 10 // of which it is seen whether it was lost
)

// send makes a call to X's API, with a token of as: like any other it is counted, and in the journal. A body is JSON, or empty.
func (c *call) send(as Acting, method, path string, body []byte) (done called, err error) {
	ctx, cancel := context.WithTimeout(c.Context(), callTime)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, "http://"+c.Host+path, bytes.NewReader(body))
	if err != nil {
		return done, liked.Errorf(liked.Invalid, "%s %s is no request: %v", method, path, err)
	}
	r.RemoteAddr, r.TLS, r.RequestURI = c.RemoteAddr, c.TLS, path
	r.Header.Set("User-Agent", "liked console")
	if len(body) > 0 {
		r.Header.Set("Content-Type", "application/json")
	}
	token, err := c.Token(ctx, as)
	if err != nil {
		return done, err
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := admin.InProcess{Handler: c.Public}.RoundTrip(r)
	if err != nil {
		return done, err
	}
	defer resp.Body.Close()
	done.Status, done.Transaction = resp.StatusCode, resp.Header.Get("X-Transaction-Id")
	if done.Status == http.StatusUnauthorized { // somebody revoked it: the next call gets another one
		c.mu.Lock()
		delete(c.tokens, as)
		c.mu.Unlock()
	}
	_, err = io.CopyN(io.Discard, resp.Body, maxAnswer)
	switch {
	case errors.Is(err, io.EOF):
		err = nil
	case errors.Is(err, io.ErrUnexpectedEOF): // the connection was closed, as rules of faults do
		done.Status, err = 0, nil
		done.Transaction = c.newest(as, method, r.URL.Path)
	}
	return done, err
}

// newest is the transaction of the last such request in the journal, "" for none: an answer that was lost does not say it.
func (c *call) newest(as Acting, method, path string) string {
	query := url.Values{"limit": {"10"}}
	if as.User != "" {
		query.Set("user", as.User)
	}
	list, err := c.admin.Requests(c.Context(), query)
	if err != nil {
		return ""
	}
	for _, row := range list.Data {
		if row.Method == method && row.Path == path {
			return row.TransactionID
		}
	}
	return ""
}
