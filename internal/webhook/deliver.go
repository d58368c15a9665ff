package webhook

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"

	"liked"
	"liked/internal/store"
)

const (
	parallel  = 4                      // requests to one webhook at a time
	pageSize  = 256                    // entries of the log that are read at once
	rest      = 50 * time.Millisecond  // between two looks at the log, so that a crowd is not met one by one
	saveEvery = 500 * time.Millisecond // places, which is what may be delivered again after a crash
	lastCall  = 3 * time.Second        // for requests under way when it is time to stop
)

// hook is a webhook with its lanes.
type hook struct {
	h     *Hooks
	id    liked.WebhookID
	app   liked.AppID
	gone  chan struct{} // closed when it is removed
	slots chan struct{} // one for each request under way

	// Guarded by Hooks.mu.
	liked.Webhook
	changed chan struct{} // closed when the webhook changes, and replaced
	places  liked.Positions
	waiting [liked.Partitions]time.Time // of the like that each lane is at; zero: none waits
	lost    liked.Seq
	dirty   bool // the places are not in the store
}

func newHook(h *Hooks, w liked.Webhook, p store.Progress) *hook {
	return &hook{h: h, id: w.ID, app: w.App, gone: make(chan struct{}), slots: make(chan struct{}, parallel),
		Webhook: w, changed: make(chan struct{}), places: p.Offsets, lost: p.Lost}
}

// delay is how long the oldest like that a lane is at has waited. h.mu must be held.
func (k *hook) delay(now time.Time) (d time.Duration) {
	for _, at := range k.waiting {
		if !at.IsZero() {
			d = max(d, now.Sub(at))
		}
	}
	return d
}

// Run delivers until ctx ends. Then it gives requests under way a moment, and writes down how far each webhook is.
func (h *Hooks) Run(ctx context.Context) {
	h.mu.Lock()
	h.running = ctx
	for _, k := range h.hooks {
		k.start(ctx)
	}
	h.mu.Unlock()
	tick := time.NewTicker(saveEvery)
	defer tick.Stop()
	minute := time.NewTicker(time.Minute)
	defer minute.Stop()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-tick.C:
			h.save(ctx)
		case <-minute.C:
			h.lookBehind(ctx)
		}
	}
	h.mu.Lock()
	h.running = nil
	h.mu.Unlock()
	h.lanes.Wait()
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastCall)
	defer cancel()
	h.save(last)
	h.transport.CloseIdleConnections()
}

// save writes down the places that have changed.
func (h *Hooks) save(ctx context.Context) {
	places := make(map[liked.WebhookID]liked.Positions)
	h.mu.Lock()
	for id, k := range h.hooks {
		if k.dirty {
			places[id], k.dirty = k.places, false
		}
	}
	h.mu.Unlock()
	if len(places) == 0 {
		return
	}
	if err := h.Store.Advance(ctx, places); err != nil {
		if ctx.Err() == nil {
			h.Logger.Error("webhooks: places cannot be kept; what was delivered since may be delivered again after a restart", "error", err)
		}
		h.mu.Lock()
		for id := range places {
			if k := h.hooks[id]; k != nil {
				k.dirty = true
			}
		}
		h.mu.Unlock()
	}
}

// lookBehind tells of webhooks that are so far behind that the log has forgotten what they wait for.
func (h *Hooks) lookBehind(ctx context.Context) {
	for _, w := range h.Webhooks(0) {
		p, err := h.Store.Progress(ctx, w.ID)
		if err != nil {
			continue // it is gone, or the store is, of which others tell
		}
		h.mu.Lock()
		k := h.hooks[w.ID]
		lost := k != nil && p.Lost > k.lost
		if lost {
			k.lost = p.Lost
			for i := range k.places {
				k.places[i] = max(k.places[i], p.Offsets[i])
			}
		}
		h.mu.Unlock()
		if lost {
			h.Count(Lost)
			h.Logger.Error("webhook: likes were forgotten before they could be delivered, for the like log keeps them for a time only",
				"webhook", w.ID.String(), "app", w.App.String(), "before", p.Lost.Time(), "why", w.Why)
		}
	}
}

// start begins the lanes. h.mu must be held.
func (k *hook) start(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	k.h.lanes.Go(func() {
		defer cancel()
		select {
		case <-k.gone:
		case <-ctx.Done():
		}
	})
	for p := range liked.Partitions {
		k.h.lanes.Go(func() { k.lane(ctx, p) })
	}
	k.h.lanes.Go(func() { k.challenges(ctx) })
	k.h.lanes.Go(func() { k.replays(ctx) })
}

// now returns the webhook as it is, and a channel that the next change closes.
func (k *hook) now() (liked.Webhook, <-chan struct{}) {
	k.h.mu.Lock()
	defer k.h.mu.Unlock()
	return k.Webhook, k.changed
}

// valid waits until the webhook is valid. It returns false if ctx has ended.
func (k *hook) valid(ctx context.Context) bool {
	for ctx.Err() == nil {
		w, changed := k.now()
		if w.Valid {
			return true
		}
		select {
		case <-changed:
		case <-ctx.Done():
		}
	}
	return false
}

func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// lane delivers what happens in one partition of the log.
func (k *hook) lane(ctx context.Context, partition int) {
	for k.valid(ctx) {
		k.h.mu.Lock()
		place := k.places[partition]
		k.h.mu.Unlock()
		events, err := k.h.Store.LikeLog(ctx, partition, place, pageSize)
		if err != nil {
			sleep(ctx, time.Second) // the store is closed, or its disk is ill: it says so itself
			continue
		}
		for _, e := range events {
			if subs := k.wanted(e); len(subs) > 0 {
				k.h.mu.Lock()
				k.waiting[partition] = e.At
				k.h.mu.Unlock()
				for _, s := range subs {
					if !k.insist(ctx, s, e) {
						return
					}
				}
			}
			k.h.mu.Lock()
			k.places[partition] = max(k.places[partition], e.Seq)
			k.waiting[partition] = time.Time{}
			k.dirty = true
			k.h.mu.Unlock()
		}
		if len(events) < pageSize {
			sleep(ctx, rest)
		}
	}
}

// wanted returns the subscriptions that lead to the webhook and are about the like.
func (k *hook) wanted(e liked.LikeEvent) (subs []*liked.Subscription) {
	k.h.mu.Lock()
	defer k.h.mu.Unlock()
	add := func(user liked.UserID) {
		for _, s := range k.h.byUser[user] {
			if s.Webhook == k.id && s.App == k.app && s.Wants(e) {
				subs = append(subs, s)
			}
		}
	}
	add(e.User)
	if e.Author != e.User {
		add(e.Author)
	}
	return subs
}

// insist tries to deliver until the like is taken, kept as a dead letter, or of no interest any more.
func (k *hook) insist(ctx context.Context, s *liked.Subscription, e liked.LikeEvent) bool {
	alive := false // the endpoint has answered a challenge since the last attempt
	for attempt := 1; k.valid(ctx); attempt++ {
		if !k.stands(s) {
			return true
		}
		err := k.try(ctx, s, e)
		if err == nil {
			return true
		}
		if ctx.Err() != nil {
			return false
		}
		refused, _ := errors.AsType[*refusal](err)
		final := refused != nil && refused.final
		if _, ours := errors.AsType[*held](err); ours {
			attempt, alive = 1, false // the endpoint has no part in it
		}
		if final || alive {
			return k.bury(ctx, s, e, attempt, err)
		}
		k.h.Count(Failed)
		if attempt >= k.h.Attempts {
			// Is it the like that the endpoint does not take, or does it take nothing? If the latter, the like can wait;
			// if the former, it has one more chance, for the endpoint may just have come back.
			w, _ := k.now()
			challenged := k.h.challenge(ctx, w)
			if alive = challenged == nil; alive {
				continue
			}
			k.failed(ctx, challenged)
		}
		sleep(ctx, k.h.pause(attempt))
	}
	return false
}

// pause is how long to wait after an attempt: twice as long each time, give or take a half, so that not all lanes come
// back at once.
func (h *Hooks) pause(attempt int) time.Duration {
	d := min(h.Backoff<<min(attempt-1, 20), h.Longest)
	return d/2 + rand.N(d)
}

// stands reports whether the subscription is still as it was.
func (k *hook) stands(s *liked.Subscription) bool {
	k.h.mu.Lock()
	defer k.h.mu.Unlock()
	now := k.h.subs[subscriptionID{s.App, s.ID}]
	return now != nil && now.Webhook == s.Webhook
}

// refusal is an answer that is no success.
type refusal struct {
	status int
	final  bool
}

func (r *refusal) Error() string { return "it answered with status " + strconv.Itoa(r.status) }

// held is an error of ours that keeps a like from being sent.
type held struct{ error }

func (e *held) Unwrap() error { return e.error }

// try makes one attempt. A nil error means that the like was taken, or is not for this subscription's eyes.
func (k *hook) try(ctx context.Context, s *liked.Subscription, e liked.LikeEvent) error {
	body, err := k.h.Render(ctx, *s, e)
	if err != nil {
		return &held{err}
	}
	if body == nil {
		k.h.Count(Unseen)
		return nil
	}
	if err := k.post(ctx, body); err != nil {
		return err
	}
	k.h.Count(Delivered)
	return nil
}

// post sends a body, once it has one of the webhook's slots. When ctx ends, a request under way has a moment left.
func (k *hook) post(ctx context.Context, body []byte) error {
	select {
	case k.slots <- struct{}{}:
		defer func() { <-k.slots }()
	case <-ctx.Done():
		return ctx.Err()
	}
	w, _ := k.now()
	secret, err := k.h.Secret(ctx, k.app)
	if err != nil {
		return &held{err}
	}
	under, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	stop := context.AfterFunc(ctx, func() {
		sleep(under, lastCall)
		cut()
	})
	defer stop()
	status, _, err := k.h.send(under, http.MethodPost, w.URL, body, sign(secret, body))
	if status >= 200 && status < 300 {
		return nil // whatever became of the rest of the answer
	}
	if err != nil {
		return err
	}
	switch status {
	case http.StatusBadRequest, http.StatusGone, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType, http.StatusUnprocessableEntity:
		return &refusal{status, true} // the same like would be refused again
	}
	return &refusal{status, false}
}

// bury keeps the like as a dead letter, and goes on.
func (k *hook) bury(ctx context.Context, s *liked.Subscription, e liked.LikeEvent, attempts int, why error) bool {
	d := store.DeadLetter{Webhook: k.id, Subscription: s.ID, Event: e, At: k.h.Now(), Attempts: attempts, Why: plain(why, "")}
	for ctx.Err() == nil {
		dropped, err := k.h.Store.AddDeadLetters(ctx, []store.DeadLetter{d}, k.h.Letters)
		if err != nil {
			sleep(ctx, time.Second) // it must not be lost
			continue
		}
		k.h.Count(Dead)
		for range dropped {
			k.h.Count(Dropped)
		}
		k.h.Logger.Warn("webhook: a like was not taken, and is kept as a dead letter", "webhook", k.id.String(), "app", k.app.String(),
			"attempts", attempts, "why", d.Why, "dropped_oldest", dropped > 0)
		return true
	}
	return false
}

// challenges asks the endpoint again and again who it is.
func (k *hook) challenges(ctx context.Context) {
	sleep(ctx, rand.N(k.h.Challenge)) // not all at once
	for ctx.Err() == nil {
		if w, _ := k.now(); w.Valid {
			if err := k.h.challenge(ctx, w); err != nil {
				k.failed(ctx, err)
			} else if _, err := k.h.change(ctx, k.id, func(w *liked.Webhook) { w.Checked, w.Why = k.h.Now(), "" }); err != nil && ctx.Err() == nil {
				k.h.Logger.Error("webhook: a challenge cannot be kept", "webhook", k.id.String(), "error", err)
			}
		}
		sleep(ctx, k.h.Challenge)
	}
}

// failed notes a challenge that was not answered right. A wrong answer ends deliveries; no answer does after a time.
func (k *hook) failed(ctx context.Context, err error) {
	refused, ok := errors.AsType[*ChallengeError](err)
	if !ok || ctx.Err() != nil {
		return // we could not ask
	}
	before, _ := k.now()
	if !before.Valid || before.Why == refused.Why && !refused.Wrong && k.h.Now().Sub(before.Checked) < k.h.Patience {
		return // nothing new
	}
	after, err := k.h.change(ctx, k.id, func(w *liked.Webhook) {
		w.Why = refused.Why
		w.Valid = w.Valid && !refused.Wrong && k.h.Now().Sub(w.Checked) < k.h.Patience
	})
	if err != nil {
		return // it is gone, or the store is
	}
	if before.Valid && !after.Valid {
		k.h.Logger.Warn("webhook: it is no longer valid, and gets nothing until it is validated", "webhook", k.id.String(), "app", k.app.String(),
			"why", refused.Why, "last_right", after.Checked)
	}
}
