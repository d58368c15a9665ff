package api

import (
	"cmp"
	"context"
	"fmt"
	"net/http"

	"liked"
	"liked/internal/exchange"
	"liked/internal/faults"
)

// Rules of package faults are asked where a handler would run, after all checks, and before an answer is written.

func traits(r *http.Request, x *requestState) exchange.Traits {
	return exchange.Traits{Operation: x.Operation, Method: r.Method, Path: r.URL.EscapedPath(), Host: r.Host, App: x.App, User: x.User,
		Header: r.Header}
}

// provoke returns the refusal that stands in for the handler; rt is nil for what is no endpoint.
func (a *API) provoke(rt *endpoint, r *http.Request, x *requestState) error {
	switch a.Faults.Before(r.Context(), traits(r, x), &x.course) {
	case faults.Drop:
		x.drop()
	case faults.Refuse:
		return a.provoked(rt, r, x)
	}
	return nil
}

// drop closes the connection without an answer.
func (x *requestState) drop() {
	x.Why = x.course.Why
	panic(http.ErrAbortHandler)
}

// replace returns what is answered instead of the answer or the refusal of a call that was made.
func (a *API) replace(rt *endpoint, r *http.Request, x *requestState, answer any, err error) (any, error) {
	t := traits(r, x)
	t.Status = http.StatusOK
	if _, ok := answer.(created); ok {
		t.Status = http.StatusCreated
	}
	switch {
	case err != nil && rt == nil:
		t.Status = a.problemOf(err).status
	case err != nil:
		t.Status = a.problem(rt, r, err).status
	}
	action := a.Faults.After(r.Context(), t, &x.course)
	if s, ok := answer.(*stream); ok && action != faults.Go {
		s.leave("")
	}
	switch action {
	case faults.Drop:
		x.drop()
	case faults.Refuse:
		return nil, a.provoked(rt, r, x)
	}
	return answer, err
}

// provoked is the refusal of the request's fault.
func (a *API) provoked(rt *endpoint, r *http.Request, x *requestState) *problem {
	f := x.course.Fault
	o := &occasion{a, rt, r, x}
	var p *problem
	switch named, known := namedProblems[f.Problem]; {
	case f.Body != nil:
		p = &problem{status: f.Status, body: f.Body}
	case f.ResetIn != 0:
		x.exhaust(f)
		p = o.ofStatus(f.Status)
	case o.older() && v1Problems[f.Problem] != 0:
		p = v1(v1Problems[f.Problem], "")
	case known && !o.older():
		p = named.of(o)
	case known && named.of(o).code != 0:
		p = a.v1Problem(r, named.of(o))
	default:
		p = o.ofStatus(f.Status)
	}
	made := *p
	made.why, made.provoked, made.v1 = f.Why, f, true // it is whole for v1.1, too
	if made.status == http.StatusTooManyRequests && len(x.limits) > 0 {
		x.limits[0].Remaining = 0
	}
	return &made
}

// sendProvoked writes a refusal as it is, with the fault's headers.
func (a *API) sendProvoked(w http.ResponseWriter, r *http.Request, x *requestState, p *problem) {
	h := w.Header()
	switch {
	case p.allow != "":
		h["Allow"] = []string{p.allow}
		h["Content-Type"] = headerJSON
		a.headers.gateway(h, x)
	case p.gateway:
		if p.body != nil {
			h["Content-Type"] = headerProblem
		}
		a.headers.gateway(h, x)
	default:
		a.headers.api(h, x)
	}
	f := p.provoked
	switch {
	case f.MediaType != "":
		h["Content-Type"] = []string{f.MediaType}
	case len(p.body) == 0:
		delete(h, "Content-Type")
	}
	for name, value := range f.Headers {
		h.Set(name, value)
	}
	x.reply(w, r, p.status, p.body)
}

// exhaust makes the endpoint's limit per 15 minutes used up until the fault's time.
func (x *requestState) exhaust(f *faults.Fault) {
	used := liked.RateState{RateRule: liked.RateRule{App: x.User == 0, Window: quarter, Max: 1}, Reset: f.Reset}
	for i, s := range x.limits {
		if s.Window == quarter {
			used.Max = s.Max
			x.limits[i] = used
			return
		}
	}
	x.limits = append([]liked.RateState{used}, x.limits[:min(len(x.limits), len(x.limitSpace)-1)]...)
}

// older reports whether v1.1 answers.
func (o *occasion) older() bool { return o.rt != nil && o.rt.tag == tagOlder }

// ofStatus is X's refusal with this status.
func (o *occasion) ofStatus(status int) *problem {
	names := map[int]string{400: "invalidRequest", 401: "unauthorized", 403: "notPermitted", 404: "notFound", 405: "methodNotAllowed",
		500: "internalServerError"}
	codes := map[int]int{400: 215, 401: 32, 403: 220, 404: 34, 429: 88, 503: 130}
	switch named, known := namedProblems[names[status]]; {
	case status == http.StatusNoContent || status == http.StatusNotModified:
		return &problem{status: status, body: []byte{}}
	case o.older():
		p := v1(cmp.Or(codes[status], 131), "")
		p.status = status
		return p
	case known:
		return named.of(o)
	}
	text := cmp.Or(http.StatusText(status), fmt.Sprint("Status ", status))
	p := titled(status, text, text)
	return &p
}

// occasion is where a refusal is provoked.
type occasion struct {
	*API
	rt *endpoint // nil: none
	r  *http.Request
	x  *requestState
}

// namedProblems are the refusals of v2 that can be provoked.
var namedProblems = map[string]struct {
	status int
	of     func(*occasion) *problem
}{
	"invalidRequest": {400, func(o *occasion) *problem {
		return o.invalid("", fault{object{}, "One or more parameters to your request was invalid."})
	}},
	"postNotFound": {400, func(o *occasion) *problem { return &o.postCannotFound }},
	"unauthorized": {401, func(o *occasion) *problem { return &o.unauthorized }},
	"forbidden":    {403, func(o *occasion) *problem { return &o.forbidden }},
	"unsupportedAuthentication": {403, func(o *occasion) *problem {
		if o.rt != nil && o.rt.allow == liked.AppOnly {
			return o.unsupported(liked.OAuth2User, liked.AppOnly)
		}
		return o.unsupported(liked.AppOnly, userContext)
	}},
	"oauth1Permissions":   {403, func(o *occasion) *problem { return &o.readOnly }},
	"accountLocked":       {403, func(o *occasion) *problem { return &o.locked }},
	"accountSuspended":    {403, func(*occasion) *problem { return notPermitted.coded(64).because("") }},
	"accessLevel":         {403, func(o *occasion) *problem { return o.forbidden.coded(453).because("") }},
	"clientNotEnrolled":   {403, func(o *occasion) *problem { return o.notEnrolled(o.x.call.who.ClientID) }},
	"notPermitted":        {403, func(*occasion) *problem { return &notPermitted }},
	"notYourPost":         {403, func(*occasion) *problem { return &notYourPost }},
	"duplicatePost":       {403, func(*occasion) *problem { return &duplicate }},
	"replyNotAllowed":     {403, func(*occasion) *problem { return &replyUnseen }},
	"notFound":            {404, func(*occasion) *problem { return noRoute() }},
	"methodNotAllowed":    {405, func(o *occasion) *problem { return wrongMethod(o.r.Method, o.allowed(o.r)) }},
	"requestTimeout":      {408, func(*occasion) *problem { return &timeout }},
	"payloadTooLarge":     {413, func(*occasion) *problem { return &tooLarge }},
	"tooManyRequests":     {429, func(*occasion) *problem { return &rateLimited }},
	"tooManyConnections":  {429, func(o *occasion) *problem { return &o.tooManyReaders }},
	"internalServerError": {500, func(*occasion) *problem { return &internal }},
	"serviceUnavailable":  {503, func(*occasion) *problem { return &unavailable }},
}

// v1Problems are the refusals of v1.1 that can be provoked, by code.
var v1Problems = map[string]int{"parametersMissing": 25, "couldNotAuthenticate": 32, "pageDoesNotExist": 34, "accountSuspended": 64,
	"rateLimitExceeded": 88, "invalidOrExpiredToken": 89, "overCapacity": 130, "internalError": 131, "timestampOutOfBounds": 135,
	"blockedByAuthor": 136, "alreadyFavorited": 139, "statusNotFound": 144, "notAuthorizedToSeeStatus": 179,
	"badAuthenticationData": 215, "credentialsNotAllowed": 220, "cannotWrite": 261, "accountLocked": 326, "accessLevel": 453}

// Problems are the names of X's refusals that can be provoked, with their status; for those that v1.1 alone has, its
// status.
func Problems() map[string]int {
	all := make(map[string]int)
	for name, code := range v1Problems {
		all[name] = v1Words[code].status
	}
	for name, p := range namedProblems {
		all[name] = p.status
	}
	return all
}

// Streams are the operations that are streams.
func Streams() map[string]bool {
	all := make(map[string]bool)
	for _, rt := range allRoutes {
		if rt.is(streaming) {
			all[rt.id] = true
		}
	}
	return all
}

// Disconnects are the types of X's message at the end of a stream, with the reason that /2/connections gives.
func Disconnects() map[string]string {
	return map[string]string{"OperationalDisconnect": "operator_disconnect", "UpstreamOperationalDisconnect": "upstream_disconnect",
		"ForceDisconnect": "operator_disconnect", "UpstreamUncleanDisconnect": "upstream_disconnect", "SlowReader": "slow_reader",
		"InternalError": "internal_error", "ClientApplicationStateDegraded": "client_application_state",
		"InvalidRules": "client_application_state"}
}

// provokedEnd is why a stream ends that a rule disconnects.
type provokedEnd struct{ *faults.Fault }

func (e *provokedEnd) Error() string { return e.Why }

// disconnectIfProvoked ends the stream when a rule says so, until ctx ends.
func (a *API) disconnectIfProvoked(ctx context.Context, t exchange.Traits, end context.CancelCauseFunc) {
	for seen := 0; ; {
		f, changed := a.Faults.Stream(t, &seen)
		if f != nil {
			f.Wait(ctx)
			end(&provokedEnd{f})
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}
