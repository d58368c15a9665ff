package webhook

import (
	"bytes"
	"cmp"
	"io"
	"net/http"

	"liked/internal/exchange"
	"liked/internal/faults"
)

// Operations of the requests to webhooks, for rules that provoke their failure.
const (
	Delivery  = "webhookDelivery"  // of a like, with the app and the user who likes
	Challenge = "webhookChallenge" // with the app
)

// provoking is a transport that asks the rules. The exchange.Details of a request get the Why of what was provoked.
type provoking struct {
	rules *faults.Rules
	next  http.RoundTripper
}

func (p provoking) RoundTrip(r *http.Request) (resp *http.Response, err error) {
	if !p.rules.Any() {
		return p.next.RoundTrip(r)
	}
	ctx, of := r.Context(), &exchange.DetailsOf(r.Context()).Exchange
	t := exchange.Traits{Operation: of.Operation, Method: r.Method, Path: cmp.Or(r.URL.EscapedPath(), "/"), Host: r.URL.Host,
		App: of.App, User: of.User, Header: r.Header}
	var course faults.Course
	action := p.rules.Before(ctx, t, &course)
	if action == faults.Go && ctx.Err() == nil {
		if resp, err = p.next.RoundTrip(r); err != nil {
			return nil, err
		}
		t.Status = resp.StatusCode
		action = p.rules.After(ctx, t, &course)
	}
	err = ctx.Err() // the delay was longer than the time for an answer
	if action == faults.Go && err == nil {
		return resp, nil
	}
	if course.Fault != nil {
		of.Why = course.Why
	}
	if resp != nil {
		_ = resp.Body.Close()
	}
	switch {
	case err != nil:
		return nil, err
	case action == faults.Drop:
		return nil, &unanswered{"the connection was closed: " + course.Why, io.EOF}
	}
	return provoked(course.Fault), nil
}

// provoked is the fault's answer.
func provoked(f *faults.Fault) *http.Response {
	header := make(http.Header)
	if f.MediaType != "" {
		header.Set("Content-Type", f.MediaType)
	}
	for name, value := range f.Headers {
		header.Set(name, value)
	}
	return &http.Response{StatusCode: f.Status, Header: header, Body: io.NopCloser(bytes.NewReader(f.Body))}
}
