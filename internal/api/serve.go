package api

import (
	"net/http"
	"sync"

	"liked"
	"liked/internal/exchange"
)

// serve checks in X's order, runs the handler and writes the answer.
func (a *API) serve(rt *endpoint, w http.ResponseWriter, r *http.Request) {
	x := newRequestState(rt, r)
	defer a.done(r, x)
	defer func() {
		err := exchange.Panicked(recover())
		if err == nil {
			return
		}
		if x.Status != 0 { // the answer has begun, and can only be aborted
			x.Err = err
			panic(http.ErrAbortHandler)
		}
		a.refuse(w, r, x, a.problem(rt, r, err))
	}()
	answer, err := a.run(rt, w, r, x)
	if a.Faults.Any() {
		answer, err = a.replace(rt, r, x, answer, err)
	}
	if err == nil {
		err = a.write(rt, w, r, x, answer)
	}
	if err != nil {
		a.refuse(w, r, x, a.problem(rt, r, err))
	}
}

const revive = "the operator makes it active with liked user set --state active"

// admit identifies the caller, and checks credential, rate limits and app.
func (a *API) admit(rt *endpoint, r *http.Request, x *requestState) (liked.Principal, error) {
	who, err := a.authorize(rt, r, x)
	if err != nil {
		return who, err
	}
	var ok bool
	x.limits, ok, err = a.Store.Take(r.Context(), a.Now(), rt.id, who.App, who.User, rt.rules(who), x.limitSpace[:0])
	if err != nil {
		return who, err
	}
	x.Details.Took(x.limits, ok)
	if !ok {
		return who, rateLimited.because(a.usedUp(r.Context(), rt, who, x))
	}

	if who.AppState == liked.NotEnrolled {
		return who, a.notEnrolled(who.ClientID)
	}
	if who.Credential == liked.OAuth1User && rt.writes() && who.Access == liked.ReadOnly {
		return who, a.readOnly.because("the OAuth 1.0a token was issued read-only, and stays so: " +
			"give the app the permission to write, then have the user consent again")
	}
	return who, nil
}

// run checks the request against the route and calls the handler.
func (a *API) run(rt *endpoint, w http.ResponseWriter, r *http.Request, x *requestState) (any, error) {
	who, err := a.admit(rt, r, x)
	if err != nil {
		return nil, err
	}
	c := &x.call
	c.ctx, c.who = r.Context(), who
	if rt.tag == tagOlder {
		err = c.readForm(w, r)
	} else {
		err = a.read(rt, c, w, r, x)
	}
	switch {
	case err != nil:
	case !rt.writes():
	case who.State == liked.Locked:
		err = a.locked.because("the account is locked: the operator unlocks it with liked user set --state active")
	case who.State.Hidden():
		err = notPermitted.coded(64).because("the account is " + who.State.String() + ": " + revive)
	}
	if err == nil && a.Faults.Any() {
		err = a.provoke(rt, r, x)
	}
	if err != nil {
		return nil, err
	}
	return rt.serve(a, c)
}

// read takes path, query and body.
func (a *API) read(rt *endpoint, c *call, w http.ResponseWriter, r *http.Request, x *requestState) error {
	c.path = x.idSpace[:0]
	for i, p := range rt.path {
		value := r.PathValue(p.name)
		n, _ := liked.ParseID[liked.PostID](value) // readQuery reports errors
		c.path, c.ids[i] = append(c.path, pair{p.name, value}), int64(n)
	}
	var faults []fault
	if c.query, faults = rt.readQuery(c.path, r.URL.RawQuery); len(faults) > 0 {
		return a.invalid("", faults...)
	}
	if rt.body != nil {
		var p *problem
		if c.body, p = a.readBody(w, r, x, rt.body); p != nil {
			return p
		}
	}
	if rt.is(ownPath) && liked.UserID(c.ids[0]) != c.who.User {
		return a.invalid("", badValue(c.path[0], "must be the same as the authenticating user ["+c.who.User.String()+"]"))
	}
	return nil
}

// authorize identifies the caller, if the endpoint wants to know, and checks their right to it.
func (a *API) authorize(rt *endpoint, r *http.Request, x *requestState) (liked.Principal, error) {
	if rt.allow == 0 {
		return liked.Principal{}, nil
	}
	who, err := a.Auth.Authenticate(r)
	if err != nil {
		return who, err
	}
	x.App, x.User, x.Credential, x.access = who.App, who.User, who.Credential, who.Access
	switch {
	case who.State.Hidden() && !rt.writes():
		return who, a.unauthorized.because("the account is " + who.State.String() + ": " + revive)
	case who.Credential&rt.allow == 0:
		return who, a.unsupported(who.Credential, rt.allow)
	case who.Credential == liked.OAuth2User && !who.Scopes.Has(rt.scopes):
		return who, a.forbidden.because("the token lacks the scopes " + (rt.scopes &^ who.Scopes).String() +
			": ask for them when the user consents")
	case rt.is(paid) && who.Tier == liked.SelfServe:
		return who, a.forbidden.coded(453).because(
			"the app's tier, self-serve, lacks this endpoint: change it with liked app set --tier enterprise")
	case rt.is(streaming) && a.PrivateLikes && who.AppOwner != 0 && !a.Explain: // whoever develops is the operator
		return who, a.forbidden.coded(453).because(
			"likes are private: streams are for apps that the operator registers, with `liked app add`")
	}
	return who, nil
}

func (a *API) write(rt *endpoint, w http.ResponseWriter, r *http.Request, x *requestState, answer any) error {
	status := http.StatusOK
	switch v := answer.(type) {
	case *encoded:
		a.send(w, r, x, status, v)
		return nil
	case *stream:
		a.serveStream(rt, w, r, x, v)
		return nil
	case created:
		status, answer = http.StatusCreated, v.document
		w.Header()["Location"] = []string{a.host + v.location}
	}
	space := answers.Get().(*[]byte)
	text, err := encodeInto((*space)[:0], answer)
	if err != nil {
		return err
	}
	a.send(w, r, x, status, &encoded{body: text})
	if cap(text) <= maxAnswerKept {
		*space = text
		answers.Put(space)
	}
	return nil
}

// answers are buffers of answers that have been sent.
var answers = sync.Pool{New: func() any { return new([]byte) }}

const maxAnswerKept = 64 << 10

type encoded struct {
	body []byte
	gzip []byte // compressed body; nil until needed
}

func newEncoded(answer any) *encoded {
	body := mustEncode(answer)
	return &encoded{body, compress(body)}
}

// created answers a creation.
type created struct {
	document
	location string
}

// send writes an answer of the API itself.
func (a *API) send(w http.ResponseWriter, r *http.Request, x *requestState, status int, f *encoded) {
	text := f.body
	h := w.Header()
	if acceptsGzip(r.Header.Get("Accept-Encoding")) {
		if text = f.gzip; text == nil {
			text = compress(f.body)
		}
		h["Content-Encoding"] = headerGzip
	}
	a.headers.api(h, x)
	x.reply(w, r, status, text)
}

func (a *API) refuse(w http.ResponseWriter, r *http.Request, x *requestState, p *problem) {
	x.Why, x.Err = p.why, p.cause
	h := w.Header()
	if a.Explain {
		h["X-Liked-Explain"] = []string{exchange.HeaderText(p.why)}
	}
	if p.retry {
		h["Retry-After"] = headerRetry
	}
	if p.provoked != nil {
		a.sendProvoked(w, r, x, p)
		return
	}
	if !p.gateway && p.allow == "" {
		a.send(w, r, x, p.status, &encoded{body: p.body})
		return
	}
	switch {
	case p.allow != "":
		h["Allow"] = []string{p.allow}
		h["Content-Type"] = headerJSON
	case p.body != nil:
		h["Content-Type"] = headerProblem
	}
	a.headers.gateway(h, x)
	x.reply(w, r, p.status, p.body)
}

func (a *API) done(r *http.Request, x *requestState) {
	a.Observe.Done(r, &x.Exchange)
	x.release()
}
