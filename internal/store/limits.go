package store

import (
	"context"
	"time"

	"liked"
)

// Limits keeps rate limits and nonces, for all servers on the store together, without disk access of its own: what was
// taken is durable when any later write to the store has returned, and within a second in any case. Where a database can crash
// alone, what it had not written by then of requests under way is lost; of nonces nothing is.
type Limits interface {
	// Take counts a request of the app, for the user (zero: none), against every rule, and appends the rules' states to
	// states. If a window is used up, it is counted nowhere and ok is false. operation has at most 255 bytes; there are
	// at most liked.MaxRateRules rules, no two alike but for Max.
	Take(ctx context.Context, now time.Time, operation string, app liked.AppID, user liked.UserID,
		rules []liked.RateRule, states []liked.RateState) (_ []liked.RateState, ok bool, err error)
	// Left appends what Take would find, and counts nothing: a window that is not open has all its requests left, and ends
	// as if it opened now.
	Left(ctx context.Context, now time.Time, operation string, app liked.AppID, user liked.UserID,
		rules []liked.RateRule, states []liked.RateState) ([]liked.RateState, error)
	// GiveBack undoes a Take with the same arguments that counted, but not in windows that have ended since.
	GiveBack(ctx context.Context, now time.Time, operation string, app liked.AppID, user liked.UserID, rules []liked.RateRule) error

	// Windows lists the windows of the callers that are meant and have not ended at now, by operation, app, user and length.
	Windows(ctx context.Context, now time.Time, of Callers) ([]Window, error)
	// ResetWindows forgets all windows of the callers that are meant, and says how many it found under keys of their own.
	ResetWindows(ctx context.Context, of Callers) (int, error)

	// UseNonce remembers the app's nonce (the hash of the nonce and all that it is unique within) at least until the given
	// time. Of any number of calls with one nonce, one returns fresh. Unavailable if no more fit: none is forgotten early.
	// An app may have as many as there is room left, so that no app, nor several, can take all.
	UseNonce(ctx context.Context, now time.Time, app liked.AppID, nonce Hash, until time.Time) (fresh bool, err error)
}

// Callers says whose windows are meant; what is zero means all. User means windows of the user alone, and not those of the app
// as a whole, in which the user's requests are counted, too.
type Callers struct {
	Operation string
	App       liked.AppID
	User      liked.UserID
}

// Mean reports whether the windows under this key are meant.
func (c Callers) Mean(operation string, app liked.AppID, user liked.UserID) bool {
	return (c.Operation == "" || c.Operation == operation) && (c.App == 0 || c.App == app) && (c.User == 0 || c.User == user)
}

// Window is how many requests were counted in one.
type Window struct {
	Operation string
	App       liked.AppID
	User      liked.UserID // zero: of the app as a whole
	Length    time.Duration
	Count     int
	Reset     time.Time
}
