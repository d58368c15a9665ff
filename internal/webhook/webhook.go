// Package webhook delivers likes to URLs that apps have registered, as X's activity API does. [New] makes the [Hooks],
// [Hooks.Run] delivers until its context ends; the other methods change registrations.
//
// A dispatcher for each partition of the like log queues each like for the webhooks subscribed to it. A webhook has a
// lane for each partition, which delivers one like after the other: each must be accepted or kept as a dead letter
// first. So one user's likes arrive in order, a slow or dead endpoint delays no other, setting a like waits for none of
// this, and an idle webhook costs nothing. Offsets in the log become durable a moment later: likes delivered just
// before a crash are delivered again, with the same id, and none is left out.
package webhook

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"math"
	"net/http"
	"slices"
	"sync"
	"time"

	"liked"
	"liked/internal/clock"
	"liked/internal/faults"
	"liked/internal/likelog"
	"liked/internal/store"
)

// Options is what New needs.
type Options struct {
	Store Store
	Log   *likelog.Log
	// Secret returns an app's consumer secret, which signs deliveries and challenge answers; Forbidden if suspended.
	Secret func(context.Context, liked.AppID) (string, error)
	// Render returns the body that reports the like; nil if the subscriber may not see it.
	Render func(context.Context, liked.Subscription, liked.LikeEvent) ([]byte, error)
	Now    func() time.Time
	// Sleep waits by the clock of Now, for the next attempt or challenge; nil: clock.Sleep.
	Sleep  func(context.Context, time.Duration)
	Logger *slog.Logger

	// Anywhere allows http URLs, ports, and loopback and private addresses. Without it webhooks reach only the public
	// internet over https, whatever their names resolve to at the time.
	Anywhere bool

	Faults *faults.Rules // nil: nothing is provoked

	// Record returns a transport that sends with another, and keeps what was sent and answered; the context of a request has
	// its exchange.Details. Nil: nothing is kept.
	Record func(http.RoundTripper) http.RoundTripper

	Count func(Outcome) // called with the outcome of each delivery attempt and challenge; nil does nothing

	Pace // zero: DefaultPace
}

// Store is the part of a store that Hooks use.
type Store interface {
	store.Log
	store.Hooks
	store.Subscriptions
	store.Deliveries
	App(ctx context.Context, id liked.AppID) (store.App, error)
	store.Changes
	store.Leases
}

// Pace is intervals and limits.
type Pace struct {
	Attempts  int           // at an event before it is a dead letter
	Backoff   time.Duration // after the first attempt; then doubling
	Longest   time.Duration // wait between attempts
	Timeout   time.Duration // of one request
	Challenge time.Duration // between challenges
	Patience  time.Duration // with an endpoint that answers no challenges; then it is invalid
	Letters   int           // dead letters of a webhook
	Lease     time.Duration // of exclusive delivery to a webhook, renewed earlier
}

// DefaultPace returns the pace of Options without one.
func DefaultPace() Pace {
	return Pace{Attempts: 8, Backoff: time.Second, Longest: time.Minute, Timeout: 10 * time.Second,
		Challenge: time.Hour, Patience: 28 * time.Hour, Letters: 10_000, Lease: 15 * time.Second}
}

// Outcome is the outcome of an attempt.
type Outcome string

const (
	Delivered Outcome = "delivered"
	Failed    Outcome = "failed" // will be retried
	Dead      Outcome = "dead"
	Dropped   Outcome = "dropped" // a dead letter, for a newer one
	Unseen    Outcome = "unseen"  // the subscriber may not see it

	ChallengeRight Outcome = "challenge_right"
	ChallengeWrong Outcome = "challenge_wrong"
	Unreachable    Outcome = "challenge_unanswered"
	Lost           Outcome = "lost" // the log dropped undelivered likes; once for each time
)

// Outcomes lists all outcomes.
func Outcomes() []Outcome {
	return []Outcome{Delivered, Failed, Dead, Dropped, Unseen, ChallengeRight, ChallengeWrong, Unreachable, Lost}
}

// most returns how many webhooks and subscriptions an app of the tier may have.
func most(t liked.Tier) (webhooks, subscriptions int) {
	if t == liked.SelfServe {
		return 1, 1_500
	}
	return 5, 75_000
}

// Hooks registers webhooks and subscriptions, and delivers. It is safe for concurrent use.
type Hooks struct {
	Options
	transport   *http.Transport
	sends       http.RoundTripper // with transport
	subscribers subscribers
	reloading   sync.Mutex // held while hooks is synchronized with the store
	number      int        // of this server among those that deliver
	counted     int        // servers, the last time; 0: never

	mu         sync.Mutex
	running    context.Context           // nil outside of Run
	hooks      map[liked.WebhookID]*hook // those that this process delivers to
	generation uint64                    // of the store when hooks was read
	held       time.Time                 // when all their leases were requested
	dispatched liked.Positions           // up to which all lanes were given likes, while there are dispatchers
	stop       context.CancelFunc        // of the dispatchers; nil while there are none
	lanes      sync.WaitGroup            // and all other goroutines of Run
}

// New returns Hooks; Run delivers.
func New(o Options) *Hooks {
	if o.Count == nil {
		o.Count = func(Outcome) {}
	}
	if o.Sleep == nil {
		o.Sleep = clock.Sleep
	}
	o.Pace = cmp.Or(o.Pace, DefaultPace())
	h := &Hooks{Options: o, transport: newTransport(o.Anywhere, o.Timeout), hooks: make(map[liked.WebhookID]*hook),
		subscribers: subscribers{store: o.Store}, generation: math.MaxUint64}
	h.sends = h.transport
	if o.Faults != nil {
		h.sends = provoking{o.Faults, h.sends}
	}
	if o.Record != nil { // what the rules say is what happened
		h.sends = o.Record(h.sends)
	}
	return h
}

// Webhook returns a webhook of the app (zero: any), or NotFound.
func (h *Hooks) Webhook(ctx context.Context, app liked.AppID, id liked.WebhookID) (liked.Webhook, error) {
	w, err := h.Store.Webhook(ctx, id)
	if app != 0 && (liked.KindOf(err) == liked.NotFound || err == nil && w.App != app) {
		return liked.Webhook{}, liked.Errorf(liked.NotFound, "app %v has no webhook %v", app, id)
	}
	return w, err
}

// Add registers a webhook that answers a challenge correctly. Invalid for a bad URL, *ChallengeError for a failed
// challenge, Conflict if the app has the URL, Forbidden if it has the most webhooks allowed, NotFound if the app is gone, or
// went to another user meanwhile.
func (h *Hooks) Add(ctx context.Context, id liked.AppID, url string) (liked.Webhook, error) {
	if err := checkURL(url, h.Anywhere); err != nil {
		return liked.Webhook{}, err
	}
	app, err := h.Store.App(ctx, id)
	if err != nil {
		return liked.Webhook{}, err
	}
	own, err := h.Store.Webhooks(ctx, id)
	if err != nil {
		return liked.Webhook{}, err
	}
	max, _ := most(app.Tier)
	if len(own) >= max {
		return liked.Webhook{}, liked.Errorf(liked.Forbidden, "app %v has %d webhooks, as many as it may", id, len(own))
	}
	if slices.ContainsFunc(own, func(w liked.Webhook) bool { return w.URL == url }) {
		return liked.Webhook{}, liked.Errorf(liked.Conflict, "app %v has a webhook with this URL", id)
	}
	w := liked.Webhook{App: id, URL: url, CreatedAt: h.Now(), Valid: true}
	if err := h.challenge(ctx, w); err != nil {
		return liked.Webhook{}, err
	}
	w.Checked = h.Now()

	now, err := h.Store.App(ctx, id)
	if err == nil && now.Owner != app.Owner { // who asked for the webhook; an endpoint takes its time as it likes
		err = liked.Errorf(liked.NotFound, "app %v has gone to another user", id)
	}
	if err != nil {
		return liked.Webhook{}, err
	}
	w.ID = liked.WebhookID(h.Store.NewID(h.Now()))
	if err := h.Store.AddWebhook(ctx, w, max); err != nil {
		return liked.Webhook{}, err
	}
	h.reload(ctx)
	return w, nil
}

// Validate challenges a webhook of the app (zero: any), makes it valid or invalid accordingly, and returns it, also
// with a *ChallengeError. Delivery follows before it returns, within a second if another server delivers.
func (h *Hooks) Validate(ctx context.Context, app liked.AppID, id liked.WebhookID) (liked.Webhook, error) {
	w, err := h.Webhook(ctx, app, id)
	if err != nil {
		return w, err
	}
	return h.examine(ctx, w, 0)
}

// examine challenges a webhook and keeps the outcome: a right answer makes it valid, a wrong one invalid, and so does
// none once the last right one is older than patience.
func (h *Hooks) examine(ctx context.Context, w liked.Webhook, patience time.Duration) (liked.Webhook, error) {
	challenged := h.challenge(ctx, w)
	refused, made := errors.AsType[*ChallengeError](challenged)
	if ctx.Err() != nil || challenged != nil && !made {
		return w, cmp.Or(ctx.Err(), challenged)
	}
	learn := func(w *liked.Webhook) {
		if refused == nil {
			w.Valid, w.Why, w.Checked = true, "", h.Now()
		} else {
			w.Valid, w.Why = w.Valid && !refused.Wrong && patience > 0 && h.Now().Sub(w.Checked) < patience, refused.Why
		}
	}
	before := w
	if learn(&w); w == before {
		return w, challenged
	}
	w, err := h.change(ctx, w.ID, learn)
	if err != nil {
		return w, err // the webhook is gone, or the store failed, which it reports itself
	}
	if before.Valid && !w.Valid {
		h.Logger.Warn("webhook: it is no longer valid, and gets nothing until it is validated", "webhook", w.ID.String(), "app", w.App.String(),
			"why", w.Why, "last_right", w.Checked)
	}
	return w, challenged
}

func (h *Hooks) change(ctx context.Context, id liked.WebhookID, change func(*liked.Webhook)) (after liked.Webhook, err error) {
	err = h.Store.UpdateWebhook(ctx, id, func(w *liked.Webhook) error {
		change(w)
		after = *w
		return nil
	})
	if err == nil {
		h.reload(ctx)
	}
	return after, err
}

// Remove removes a webhook of the app (zero: any), and cuts its requests in progress.
func (h *Hooks) Remove(ctx context.Context, app liked.AppID, id liked.WebhookID) error {
	if _, err := h.Webhook(ctx, app, id); err != nil {
		return err
	}
	if err := h.Store.DeleteWebhook(ctx, id); err != nil {
		return err
	}
	h.reload(ctx)
	return nil
}

// Subscribe adds a subscription, and sets its id and times. NotFound if its webhook is not the app's, Conflict if the
// app has the same subscription, Forbidden if it has the most allowed.
func (h *Hooks) Subscribe(ctx context.Context, s liked.Subscription) (liked.Subscription, error) {
	app, err := h.Store.App(ctx, s.App)
	if err != nil {
		return s, err
	}
	if s.Webhook != 0 {
		if _, err := h.Webhook(ctx, s.App, s.Webhook); err != nil {
			return s, err
		}
	}
	s.CreatedAt = h.Now()
	s.UpdatedAt = s.CreatedAt
	s.ID = liked.SubscriptionID(h.Store.NewID(s.CreatedAt))
	_, max := most(app.Tier)
	return s, h.Store.AddSubscription(ctx, s, max)
}

// Resubscribe changes the webhook and tag of a subscription of the app; nil leaves either as it is.
func (h *Hooks) Resubscribe(ctx context.Context, app liked.AppID, id liked.SubscriptionID, webhook *liked.WebhookID, tag *string) (
	after liked.Subscription, err error) {
	if webhook != nil {
		if _, err := h.Webhook(ctx, app, *webhook); err != nil {
			return after, err
		}
	}
	err = h.Store.UpdateSubscription(ctx, app, id, func(s *liked.Subscription) error {
		if webhook != nil {
			s.Webhook = *webhook
		}
		if tag != nil {
			s.Tag = *tag
		}
		s.UpdatedAt = h.Now()
		after = *s
		return nil
	})
	return after, err
}

// Replay starts to deliver again to a webhook of the app (zero: any): its dead letters, or the events of a period that
// were delivered or given up and are still in the log. Conflict if a replay is in progress, *ChallengeError if the
// webhook is not valid.
func (h *Hooks) Replay(ctx context.Context, app liked.AppID, id liked.WebhookID, r liked.Replay) (liked.Replay, error) {
	w, err := h.Webhook(ctx, app, id)
	if err != nil {
		return r, err
	}
	if !w.Valid {
		return r, &ChallengeError{Why: "the webhook is not valid: " + w.Why, Wrong: true}
	}
	r.CreatedAt = h.Now()
	r.ID = h.Store.NewID(r.CreatedAt)
	busy := false
	_, err = h.change(ctx, id, func(w *liked.Webhook) {
		if busy = w.Replay.ID != 0; !busy {
			w.Replay = r
		}
	})
	if err == nil && busy {
		err = liked.Errorf(liked.Conflict, "a replay of webhook %v is under way", id)
	}
	return r, err
}

// Status is the state of a webhook.
type Status struct {
	liked.Webhook
	Dead  int
	Lost  time.Time     // likes before it left the log undelivered; zero: none
	Delay time.Duration // wait of the oldest waiting like; zero if another server delivers
}

// Status returns the state of a webhook of the app (zero: any).
func (h *Hooks) Status(ctx context.Context, app liked.AppID, id liked.WebhookID) (s Status, err error) {
	if s.Webhook, err = h.Webhook(ctx, app, id); err != nil {
		return s, err
	}
	p, err := h.Store.Progress(ctx, id)
	if err != nil {
		return s, err
	}
	s.Dead = p.Dead
	if p.Lost != 0 {
		s.Lost = p.Lost.Time()
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if k := h.hooks[id]; k != nil {
		s.Delay = k.delay(h.Now())
	}
	return s, nil
}

// Summary is the state of this process's webhooks.
type Summary struct {
	Valid, Invalid int
	Delay          time.Duration // of the furthest behind that is valid
}

// Summary returns the state of this process's webhooks.
func (h *Hooks) Summary() (s Summary) {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := h.Now()
	for _, k := range h.hooks {
		if !k.Valid {
			s.Invalid++
			continue
		}
		s.Valid++
		s.Delay = max(s.Delay, k.delay(now))
	}
	return s
}
