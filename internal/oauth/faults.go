package oauth

import (
	"bytes"
	"cmp"
	"encoding/json"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"

	"liked/internal/auth"
	"liked/internal/exchange"
	"liked/internal/faults"
	"liked/internal/web"
)

// Rules of package faults are asked before a route's function, which identifies the caller itself, and before an answer
// is written.

// provoke returns the answer that a rule gives instead of the route's function, nil for none.
func (c *Call) provoke(rt *Route) *Answer {
	c.identify()
	switch c.Faults.Before(c.Context, c.traits(), &c.course) {
	case faults.Drop:
		c.drop()
	case faults.Refuse:
		return c.provoked(rt)
	}
	return nil
}

// replace returns what is answered instead.
func (c *Call) replace(rt *Route, answer *Answer) *Answer {
	t := c.traits()
	t.Status = cmp.Or(answer.status, http.StatusOK)
	switch c.Faults.After(c.Context, t, &c.course) {
	case faults.Drop:
		c.drop()
	case faults.Refuse:
		return c.provoked(rt)
	}
	return answer
}

func (c *Call) traits() exchange.Traits {
	return exchange.Traits{Operation: c.Operation, Method: c.Method, Path: c.Request.URL.EscapedPath(), Host: c.Request.Host,
		App: c.App, User: c.User, Header: c.Request.Header}
}

// drop closes the connection without an answer.
func (c *Call) drop() {
	c.Why = c.course.Why
	c.Observe.Done(c.Request, &c.Exchange)
	panic(http.ErrAbortHandler)
}

// identify finds app and user as far as the parameters name them. Whether they may is left to the route's function.
func (c *Call) identify() {
	body, _ := io.ReadAll(io.LimitReader(c.Request.Body, maxForm+1))
	rest := c.Request.Body
	whole := func() { c.Request.Body = readCloser{io.MultiReader(bytes.NewReader(body), rest), rest} }
	whole()
	form, _ := readParams(c.Request)
	whole()
	signed := authorizationParameter.FindAllStringSubmatch(c.Request.Header.Get("Authorization"), -1)
	named := func(name string) string {
		for _, m := range signed {
			if m[1] == name {
				return m[2]
			}
		}
		return form.First(name)
	}
	user, _, _, _ := basic(c.Request.Header)
	if app, err := c.Store.AppByClientID(c.Context, cmp.Or(user, form.First("client_id"))); err == nil {
		c.App = app.ID
	} else if app, err := c.Store.AppByAPIKey(c.Context, cmp.Or(user, named("oauth_consumer_key"))); err == nil {
		c.App = app.ID
	}
	if code, err := c.Store.Code(c.Context, auth.HashOf(form.First("code"))); err == nil {
		c.App, c.User = code.App, code.User
	}
	for _, token := range []string{form.First("refresh_token"), form.First("token"), named("oauth_token")} {
		if grant, err := c.Auth.GrantOf(c.Context, token); err == nil {
			c.App, c.User = grant.App, grant.User
		} else if t, err := c.Store.RequestToken(c.Context, auth.HashOf(token)); err == nil {
			c.App, c.User = t.App, cmp.Or(t.User, c.User)
		}
	}
}

type readCloser struct {
	io.Reader
	io.Closer
}

// authorizationParameter is a parameter of OAuth 1.0a in the Authorization header.
var authorizationParameter = regexp.MustCompile(`\b(\w+)="([^"]*)"`)

// provoked is the answer of the request's fault.
func (c *Call) provoked(rt *Route) *Answer {
	f := c.course.Fault
	var a *Answer
	if f.Body != nil || f.Status < 400 {
		a = &Answer{status: f.Status, contentType: f.MediaType, body: f.Body}
	} else {
		a = c.formOf(rt).answer(c, rt, f.Problem, f.Status)
	}
	made := *a
	made.headers = map[string]string{}
	if f.ResetIn != 0 {
		made.headers = map[string]string{"X-Rate-Limit-Limit": "1", "X-Rate-Limit-Remaining": "0",
			"X-Rate-Limit-Reset": strconv.FormatInt(f.Reset.Unix(), 10)}
	}
	for name, value := range f.Headers {
		if made.headers[http.CanonicalHeaderKey(name)] = value; strings.EqualFold(name, "Content-Type") {
			made.contentType = value
		}
	}
	c.Why = f.Why
	return &made
}

// form is how refusals are written.
type form struct {
	problems map[string]*Refusal // that can be provoked by name
	others   map[int]*Refusal    // by status
}

var (
	overCapacity = &Refusal{Status: 503, Code: "temporarily_unavailable", Text: "Over capacity"}
	internalFail = &Refusal{Status: 500, Code: "server_error", Text: "Internal error"}

	oauth2Form = form{
		map[string]*Refusal{"invalidAuthorizationCode": badCode, "invalidCodeVerifier": badVerifier, "invalidRedirectUri": badRedirect,
			"invalidToken": badToken, "invalidGrantType": badGrant, "invalidClient": badClient, "unauthorizedClient": noClient},
		map[int]*Refusal{400: invalidRequest("The request could not be read."), 401: noClient, 500: internalFail, 503: overCapacity},
	}
	oauth1Form = form{
		map[string]*Refusal{"couldNotAuthenticate": notAuthenticated, "invalidOrExpiredToken": invalidToken,
			"timestampOutOfBounds": outOfBounds, "badAuthenticationData": badData, "callbackNotApproved": badCallback,
			"suspendedApplication": suspendedApp, "desktopApplication": desktopApp, "rateLimitExceeded": tooMany,
			"invalidVerifier": badVerifier1, "requestTokenMissing": noRequestToken, "invalidRequestToken": deadRequest},
		map[int]*Refusal{400: badData, 401: notAuthenticated, 429: tooMany, 500: internalFail, 503: overCapacity},
	}
	appOnlyForm = form{
		map[string]*Refusal{"unableToVerifyCredentials": unverified},
		map[int]*Refusal{403: unverified, 500: internalFail, 503: overCapacity},
	}
	pageForm = form{}
)

func (c *Call) formOf(rt *Route) form {
	switch {
	case rt.refuse == nil:
		return pageForm
	case strings.HasPrefix(c.Path, "/2/"):
		return oauth2Form
	case strings.HasPrefix(c.Path, "/oauth2/"):
		return appOnlyForm
	}
	return oauth1Form
}

func (f form) answer(c *Call, rt *Route, problem string, status int) *Answer {
	refusal := f.problems[problem]
	if refusal == nil {
		refusal = f.others[status]
	}
	text := cmp.Or(http.StatusText(status), "Status "+strconv.Itoa(status))
	switch {
	case rt.refuse == nil:
		return &Answer{status: status, page: web.Trouble{Frame: c.Frame(), Title: text,
			Text: "A rule of what goes wrong made this page " + strconv.Itoa(status) + ". It goes on until it is removed.",
			Next: &web.Link{Label: "See the rules", URL: "/console/control#faults"}}}
	case refusal != nil:
		return rt.refuse(c, refusal)
	case strings.HasPrefix(c.Path, "/2/"):
		return rt.refuse(c, &Refusal{Status: status, Code: strings.ToLower(strings.ReplaceAll(text, " ", "_")), Text: text})
	}
	code := "131"
	if status == http.StatusTooManyRequests {
		code, text = tooMany.Code, tooMany.Text
	}
	if strings.HasPrefix(c.Path, "/oauth2/") {
		return oldErrors(status, oldError{Code: json.Number(code), Message: text})
	}
	return rt.refuse(c, &Refusal{Status: status, Code: code, Text: text})
}

// Problems are the names of X's refusals that can be provoked at the endpoints for tokens, with their status.
func Problems() map[string]int {
	all := make(map[string]int)
	for _, f := range []form{oauth2Form, oauth1Form, appOnlyForm} {
		for name, refusal := range f.problems {
			all[name] = refusal.Status
		}
	}
	return all
}
