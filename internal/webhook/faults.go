package webhook

import (
	"context"
	"errors"
	"net/http"
	"net/url"

	"liked/internal/exchange"
	"liked/internal/faults"
)

// Operations of the requests to webhooks, for rules that provoke their failure.
const (
	Delivery  = "webhookDelivery"  // of a like, with the app and the user who likes
	Challenge = "webhookChallenge" // with the app
)

// request sends as send does, but what a rule says happens instead. The header that rules see is what all requests have.
func (h *Hooks) request(
	ctx context.Context, t exchange.Traits, address string, body []byte, signature string,
) (status int, answer []byte, err error) {
	if h.Record != nil {
		known := exchange.Exchange{Operation: t.Operation, App: t.App, User: t.User}
		ctx = exchange.WithDetails(ctx, &exchange.Details{Exchange: known})
	}
	u, err := url.Parse(address)
	if !h.Faults.Any() || err != nil {
		return h.send(ctx, t.Method, address, body, signature)
	}
	t.Path, t.Header = u.Path, headerOf(body, signature)
	var course faults.Course
	if h.Faults.Request(t, &course); course.Fault != nil {
		switch err := h.wait(ctx, u.Host, course.Fault); {
		case err != nil:
			return 0, nil, err
		case course.Close == faults.Before:
			return 0, nil, errors.New("the connection was closed: " + course.Why)
		case course.Refuses():
			return h.statusOf(course.Fault), course.Body, nil
		}
	}
	known := course.Fault != nil
	status, answer, err = h.send(ctx, t.Method, address, body, signature)
	if err == nil && !known {
		t.Status = status
		if h.Faults.Answer(t, &course); course.Fault != nil {
			if err := h.wait(ctx, u.Host, course.Fault); err != nil {
				return 0, nil, err
			}
		}
	}
	switch {
	case err != nil || course.Fault == nil:
	case course.Close != "":
		return 0, nil, errors.New("the connection was closed: " + course.Why)
	case course.Refuses() && !known:
		return h.statusOf(course.Fault), course.Body, nil
	}
	return status, answer, err
}

// wait waits for the delay. It fails if an answer would have taken too long.
func (h *Hooks) wait(ctx context.Context, host string, f *faults.Fault) error {
	ctx, cancel := context.WithTimeout(ctx, h.Timeout)
	defer cancel()
	f.Wait(ctx)
	return h.unanswered(ctx, host, ctx.Err())
}

func (h *Hooks) statusOf(f *faults.Fault) int {
	switch {
	case f.Status != 0:
		return f.Status
	case f.Problem != "":
		return h.Faults.Problems[f.Problem]
	}
	return http.StatusTooManyRequests
}
