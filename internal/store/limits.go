package store

import (
	"context"
	"time"

	"liked"
)

// Limits is what may not be done too often, or twice. It counts for all servers on one store together. Taking costs no
// disk access of its own: that a unit or a nonce was taken is durable when any later write to the store has returned, and
// within a second in any case.
type Limits interface {
	// Take counts one request of the app, on behalf of the user (zero if there is none), against every rule, and appends the
	// rules' states to states. If a window is used up the request is counted nowhere and ok is false. The operation has at
	// most 255 bytes; there are at most liked.MaxRateRules rules, no two alike but for Max.
	Take(ctx context.Context, now time.Time, operation string, app liked.AppID, user liked.UserID,
		rules []liked.RateRule, states []liked.RateState) (_ []liked.RateState, ok bool, err error)
	// GiveBack undoes a Take that counted, for a request that turned out not to count. now, the rules and the rest are those
	// of Take. A window that has ended since is left alone.
	GiveBack(ctx context.Context, now time.Time, operation string, app liked.AppID, user liked.UserID, rules []liked.RateRule) error

	// UseNonce remembers a nonce (the hash of the nonce and all that it is unique within) until the time given at least. Of
	// any number of calls with one nonce, one is told that it is fresh. Unavailable if no more nonces can be remembered:
	// none is forgotten before its time to make room for others.
	UseNonce(ctx context.Context, now time.Time, nonce Hash, until time.Time) (fresh bool, err error)
}
