package exchange

import (
	"context"
	"slices"

	"liked"
)

// Details is what a journal keeps of a request beside its Exchange. A journal puts one into the request's context; what
// learns something fills it in, in the request's goroutine. Methods do nothing on nil, which is all there is without a
// journal.
type Details struct {
	Exchange  Exchange          // as it was last told
	Limits    []liked.RateState // the caller's windows after the request
	Counted   bool              // the request counted in them
	Signature *Signature        // of OAuth 1.0a
	Once      [32]byte          // hash of the code or token that the request would spend; zero: none
	Delivery  Delivery          // of a request to a webhook; zero: another
}

// Delivery is the like that a request tells a webhook.
type Delivery struct {
	Webhook      liked.WebhookID
	Subscription liked.SubscriptionID
	Event        liked.Seq
}

// Signature is what became of a signature of OAuth 1.0a. It holds no secret: values of parameters are cut.
type Signature struct {
	Method     string       `json:"method"`
	Verified   bool         `json:"verified"`
	App        liked.AppID  `json:"app"`  // of the consumer key
	User       liked.UserID `json:"user"` // of the token; 0 without one
	Tried      []string     `json:"tried"`
	BaseString string       `json:"base_string"`
	// Signed is the base string of the client, if its mistake was found.
	Signed     string `json:"signed,omitempty"`
	Difference string `json:"difference,omitempty"` // the first one, in words
}

type detailsKey struct{}

// WithDetails returns a context for a request of which d is kept.
func WithDetails(ctx context.Context, d *Details) context.Context {
	return context.WithValue(ctx, detailsKey{}, d)
}

// DetailsOf returns what WithDetails put there, or nil.
func DetailsOf(ctx context.Context) *Details {
	d, _ := ctx.Value(detailsKey{}).(*Details)
	return d
}

// Begun tells what is known by now of an exchange that goes on.
func (x *Exchange) Begun() {
	if x.Details != nil {
		x.Details.Exchange = *x
	}
}

// Took tells the windows of the caller, and whether the request counted.
func (d *Details) Took(limits []liked.RateState, counted bool) {
	if d != nil {
		d.Limits, d.Counted = slices.Clone(limits), counted
	}
}

// Spends tells the hash of a code or token that works once.
func (d *Details) Spends(hash [32]byte) {
	if d != nil {
		d.Once = hash
	}
}
