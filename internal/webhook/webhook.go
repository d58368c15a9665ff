// Package webhook delivers likes to the addresses that apps have registered, as X's activity API does. [New] makes the
// [Hooks], [Hooks.Run] delivers until it is told to stop; the other methods change what is registered.
//
// The dispatchers, one for each partition of the like log, find out for each like who has subscribed to it, and hand it to
// those webhooks alone. A webhook has a lane for each partition, which goes on to its next like once the one before it was
// taken, or is kept as a dead letter. So the likes of one user arrive in their order, an endpoint that is slow or dead
// slows no other, and a like waits for none of this. A webhook that has nothing to deliver costs nothing. The offsets up to
// which a webhook has dealt with the log are durable a moment later: what was delivered just before a crash is delivered
// again, with the same id, and nothing is left out.
package webhook

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"net/http"
	"slices"
	"sync"
	"time"

	"liked"
	"liked/internal/likelog"
	"liked/internal/store"
)

// Options is what New needs. Store, Secret, Render, Now and Logger are required.
type Options struct {
	Store Store
	Log   *likelog.Log // nil: one of its own
	// Secret returns the consumer secret of an app, with which it answers challenges and checks signatures. Forbidden
	// for an app that is suspended.
	Secret func(context.Context, liked.AppID) (string, error)
	// Render returns the body that tells of the like; nil if who subscribed may not see it.
	Render func(context.Context, liked.Subscription, liked.LikeEvent) ([]byte, error)
	Now    func() time.Time
	Logger *slog.Logger

	// Anywhere lets webhooks have http URLs with ports, and lead to loopback and private addresses. Without it they lead
	// to the public internet over https alone, whatever a name resolves to at the time.
	Anywhere bool

	// Count is called with what became of each attempt to deliver, and of each challenge: see the Outcomes. Nil does
	// nothing.
	Count func(Outcome)

	Pace
}

// Store keeps webhooks, and has the like log that they follow.
type Store interface {
	store.Log
	store.Hooks
	store.Subscriptions
	store.Deliveries
	App(ctx context.Context, id liked.AppID) (store.App, error)
	Apps(ctx context.Context) ([]liked.App, error)
	store.Changes
	store.Leases
}

// Pace is how often and how long things are tried. Zero stands for the default.
type Pace struct {
	Attempts  int           // at one event before it becomes a dead letter: 8
	Backoff   time.Duration // after the first attempt: 1 s; each further one waits twice as long
	Longest   time.Duration // that anything waits: 1 min
	Timeout   time.Duration // of one request: 10 s
	Challenge time.Duration // between challenges: 1 h
	Patience  time.Duration // with an endpoint that answers no challenges: 28 h, then it is invalid
	Letters   int           // that are kept for one webhook: 10,000
	Lease     time.Duration // for which this server alone delivers to a webhook, before it asks again: 15 s
}

func (p *Pace) fill() {
	p.Attempts = or(p.Attempts, 8)
	p.Backoff = or(p.Backoff, time.Second)
	p.Longest = or(p.Longest, time.Minute)
	p.Timeout = or(p.Timeout, 10*time.Second)
	p.Challenge = or(p.Challenge, time.Hour)
	p.Patience = or(p.Patience, 28*time.Hour)
	p.Letters = or(p.Letters, 10_000)
	p.Lease = or(p.Lease, 15*time.Second)
}

func or[T int | time.Duration](value, preset T) T {
	if value == 0 {
		return preset
	}
	return value
}

// Outcome is what became of an attempt.
type Outcome string

const (
	Delivered Outcome = "delivered"
	Failed    Outcome = "failed"  // and will be tried again
	Dead      Outcome = "dead"    // and is kept as a dead letter
	Dropped   Outcome = "dropped" // a dead letter, for one that is newer
	Unseen    Outcome = "unseen"  // who subscribed may not see it

	ChallengeRight Outcome = "challenge_right"
	ChallengeWrong Outcome = "challenge_wrong"
	Unreachable    Outcome = "challenge_unanswered"
	Lost           Outcome = "lost" // likes that the log forgot before they were delivered: once for each time that it did
)

// Outcomes lists them all.
func Outcomes() []Outcome {
	return []Outcome{Delivered, Failed, Dead, Dropped, Unseen, ChallengeRight, ChallengeWrong, Unreachable, Lost}
}

// Most that an app may have, by what its owner pays for.
func maxWebhooks(t liked.Tier) int {
	if t == liked.SelfServe {
		return 1
	}
	return 5
}

func maxSubscriptions(t liked.Tier) int {
	if t == liked.SelfServe {
		return 1_500
	}
	return 75_000
}

// Hooks is what is registered, and its delivery. It is safe for concurrent use.
type Hooks struct {
	Options
	transport   *http.Transport
	subscribers subscribers
	reloading   sync.Mutex // held while hooks is made to agree with the store

	mu         sync.Mutex
	running    context.Context           // nil outside of Run
	hooks      map[liked.WebhookID]*hook // to which this process delivers
	generation uint64                    // of the store when hooks was read
	held       time.Time                 // when the leases of all of them were asked for
	dispatched liked.Positions           // up to which all lanes were told, while there are dispatchers
	stop       context.CancelFunc        // ends the dispatchers; nil while there are none
	lanes      sync.WaitGroup            // and everything else that Run waits for
}

// New returns Hooks that deliver nothing before Run.
func New(o Options) (*Hooks, error) {
	if o.Store == nil || o.Secret == nil || o.Render == nil || o.Now == nil || o.Logger == nil {
		return nil, errors.New("webhook: Store, Secret, Render, Now and Logger are required")
	}
	if o.Count == nil {
		o.Count = func(Outcome) {}
	}
	if o.Log == nil {
		o.Log = likelog.New(o.Store)
	}
	o.Pace.fill()
	return &Hooks{Options: o, transport: newTransport(o.Anywhere, o.Timeout), hooks: make(map[liked.WebhookID]*hook),
		subscribers: subscribers{store: o.Store}, generation: math.MaxUint64}, nil
}

// Webhook returns a webhook of the app, of any app if it is zero. NotFound if there is none.
func (h *Hooks) Webhook(ctx context.Context, app liked.AppID, id liked.WebhookID) (liked.Webhook, error) {
	w, err := h.Store.Webhook(ctx, id)
	if app != 0 && (liked.KindOf(err) == liked.NotFound || err == nil && w.App != app) {
		return liked.Webhook{}, liked.Errorf(liked.NotFound, "app %v has no webhook %v", app, id)
	}
	return w, err
}

// Add registers a webhook, once it has answered a challenge right. Invalid for a URL that may not be, a *ChallengeError
// if it did not, Conflict if the app has it already, Forbidden if the app has as many as it may.
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
	if len(own) >= maxWebhooks(app.Tier) {
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

	w.ID = liked.WebhookID(h.Store.NewID(h.Now()))
	if err := h.Store.AddWebhook(ctx, w, maxWebhooks(app.Tier)); err != nil {
		return liked.Webhook{}, err
	}
	h.reload(ctx)
	return w, nil
}

// Validate challenges a webhook of the app, and returns it as it is then: a right answer makes it valid, and any other,
// or none, invalid. A *ChallengeError comes with the webhook.
func (h *Hooks) Validate(ctx context.Context, app liked.AppID, id liked.WebhookID) (liked.Webhook, error) {
	w, err := h.Webhook(ctx, app, id)
	if err != nil {
		return w, err
	}
	challenged := h.challenge(ctx, w)
	if ctx.Err() != nil {
		return w, ctx.Err()
	}
	refused, ok := errors.AsType[*ChallengeError](challenged)
	if challenged != nil && !ok {
		return w, challenged
	}
	w, err = h.change(ctx, id, func(w *liked.Webhook) {
		if refused != nil {
			w.Valid, w.Why = false, refused.Error()
		} else {
			w.Valid, w.Why, w.Checked = true, "", h.Now()
		}
	})
	if err != nil {
		return w, err
	}
	return w, challenged
}

// change changes a webhook, and wakes what waits for a change.
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

// Remove ends a webhook of the app, of any if that is zero. What is on its way is cut.
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

// Subscribe adds a subscription, and fills in its id and times. NotFound if its webhook is not the app's, Conflict if
// the app has subscribed to the same, Forbidden if it has as many subscriptions as it may.
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
	return s, h.Store.AddSubscription(ctx, s, maxSubscriptions(app.Tier))
}

// Resubscribe changes where a subscription of the app leads, and its tag; nil leaves each as it is.
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

// Replay begins to deliver once more to a webhook of the app, of any if that is zero: its dead letters, or what
// happened in a time, as far as it was delivered or given up and the log has it. Conflict if a replay is under way,
// a *ChallengeError if the webhook is not valid.
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

// Status is how a webhook does.
type Status struct {
	liked.Webhook
	Dead  int           // letters
	Lost  time.Time     // likes before it were forgotten before they were delivered; zero: none ever were
	Delay time.Duration // how long the oldest like that waits has waited; zero if another server delivers to it
}

// Status returns how a webhook of the app does, of any if that is zero.
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

// Summary is how the webhooks do to which this process delivers.
type Summary struct {
	Valid, Invalid int
	Delay          time.Duration // of the valid one that is furthest behind
}

// Summary returns how the webhooks do to which this process delivers.
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
