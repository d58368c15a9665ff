package webhook

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"

	"liked"
	"liked/internal/clock"
	"liked/internal/exchange"
	"liked/internal/likelog"
	"liked/internal/store"
)

const parallel = 4 // concurrent requests to a webhook

// hook is a webhook that this process delivers to.
type hook struct {
	h     *Hooks
	id    liked.WebhookID
	app   liked.AppID
	slots chan struct{} // one for each request in progress

	// Guarded by Hooks.mu.
	liked.Webhook
	ctx       context.Context // of all its goroutines
	stop      context.CancelFunc
	changed   chan struct{} // closed and replaced when the webhook changes
	lanes     [liked.Partitions]lane
	offsets   liked.Positions // each working lane is done up to it; an idle one, up to the dispatcher's position
	saved     liked.Positions // in the store
	delivered bool            // since offsets were saved
	lost      liked.Seq
}

// lane is the deliveries of a webhook in one partition.
type lane struct {
	works  bool
	queue  []delivery // the first is in progress
	behind bool       // the queue is incomplete: the lane reads the log, up to the dispatcher's position
	read   liked.Seq  // if behind, up to which the lane has read
}

func newHook(h *Hooks, w liked.Webhook, p store.Progress) *hook {
	return &hook{h: h, id: w.ID, app: w.App, slots: make(chan struct{}, parallel),
		Webhook: w, changed: make(chan struct{}), offsets: p.Offsets, saved: p.Offsets, lost: p.Lost}
}

// h.mu must be held.
func (k *hook) start(ctx context.Context) {
	k.ctx, k.stop = context.WithCancel(ctx)
	for p, at := range k.offsets {
		if at < k.h.dispatched[p] {
			k.lanes[p].behind = true
			k.work(p)
		}
	}
	k.h.lanes.Go(func() { k.challenges(k.ctx) })
	k.h.lanes.Go(func() { k.replays(k.ctx) })
}

// push queues deliveries before the dispatcher moves on. h.mu must be held.
func (k *hook) push(partition int, deliveries []delivery) {
	l := &k.lanes[partition]
	for _, d := range deliveries {
		switch {
		case l.behind: // the lane will read it
			return
		case d.event.Seq <= k.offsets[partition]:
		case len(l.queue) == maxQueue:
			l.behind = true
		default:
			if l.queue = append(l.queue, d); !l.works {
				k.offsets[partition] = max(k.offsets[partition], k.h.dispatched[partition])
				k.work(partition)
			}
		}
	}
}

func (k *hook) work(partition int) {
	k.lanes[partition].works = true
	k.h.lanes.Go(func() { k.lane(k.ctx, partition) })
}

// reached is up to where all is done. h.mu must be held.
func (k *hook) reached() liked.Positions {
	at := k.offsets
	for p := range at {
		if !k.lanes[p].works {
			at[p] = max(at[p], k.h.dispatched[p])
		}
	}
	return at
}

// delay is the longest wait of a first like of a queue. h.mu must be held.
func (k *hook) delay(now time.Time) (d time.Duration) {
	for _, l := range k.lanes {
		if len(l.queue) > 0 {
			d = max(d, now.Sub(l.queue[0].event.At))
		}
	}
	return d
}

// now returns the webhook, and a channel that its next change closes.
func (k *hook) now() (liked.Webhook, <-chan struct{}) {
	k.h.mu.Lock()
	defer k.h.mu.Unlock()
	return k.Webhook, k.changed
}

// until waits for the webhook to be as is wanted; ok is false if ctx has ended.
func (k *hook) until(ctx context.Context, wanted func(liked.Webhook) bool) (w liked.Webhook, ok bool) {
	for ctx.Err() == nil {
		w, changed := k.now()
		if wanted(w) {
			return w, true
		}
		select {
		case <-changed:
		case <-ctx.Done():
		}
	}
	return w, false
}

// valid waits until the webhook is valid; false if ctx has ended.
func (k *hook) valid(ctx context.Context) bool {
	_, ok := k.until(ctx, func(w liked.Webhook) bool { return w.Valid })
	return ok
}

// lane delivers what waits in a partition, then ends.
func (k *hook) lane(ctx context.Context, partition int) {
	l, at := &k.lanes[partition], &k.offsets[partition]
	var log *likelog.Reader
	defer func() {
		if log != nil {
			log.Close()
		}
	}()
	for k.valid(ctx) {
		k.h.mu.Lock()
		var next delivery
		switch {
		case len(l.queue) > 0:
			next = l.queue[0]
		case !l.behind || *at >= k.h.dispatched[partition]:
			l.works, l.behind, l.queue = false, false, nil
			k.h.mu.Unlock()
			return
		}
		from := k.offsets
		k.h.mu.Unlock()

		if len(next.subs) > 0 {
			if !k.deliver(ctx, next) {
				return
			}
			k.h.mu.Lock()
			*at, l.queue, k.delivered = max(*at, next.event.Seq), l.queue[1:], true
			if len(l.queue) == 0 {
				*at = max(*at, l.read)
			}
			k.h.mu.Unlock()
			continue
		}
		var entries []liked.LikeEvent
		var matches map[liked.WebhookID][]delivery
		var err error
		if log == nil {
			log, err = k.h.Log.Read(ctx, []int{partition}, from)
		}
		if err == nil {
			_, entries, err = log.Next(ctx)
		}
		if err == nil {
			matches, err = k.h.match(ctx, entries)
		}
		if err != nil {
			if log != nil {
				log.Close()
				log = nil
			}
			clock.Sleep(ctx, time.Second) // the store is closed or its disk fails, which it reports itself
			continue
		}
		k.h.mu.Lock()
		l.queue, l.read = matches[k.id], entries[len(entries)-1].Seq
		if len(l.queue) == 0 {
			*at = max(*at, l.read)
		}
		k.h.mu.Unlock()
	}
}

// deliver delivers to each of the subscriptions, or keeps dead letters; false if ctx has ended.
func (k *hook) deliver(ctx context.Context, d delivery) bool {
	var letters []store.DeadLetter
	for _, s := range d.subs {
		letter, ok := k.deliverOne(ctx, s, d.event)
		if !ok {
			return false
		}
		if letter != nil {
			letters = append(letters, *letter)
		}
	}
	// One step adds all letters and moves the webhook past the like: the other subscriptions are done.
	for len(letters) > 0 {
		dropped, err := k.h.Store.AddDeadLetters(ctx, letters, k.h.Letters)
		if ctx.Err() != nil {
			return false
		}
		if err != nil {
			clock.Sleep(ctx, time.Second) // the letters must not be lost
			continue
		}
		for range dropped {
			k.h.Count(Dropped)
		}
		for _, letter := range letters {
			k.h.Count(Dead)
			k.h.Logger.Warn("webhook: a like was not taken, and is kept as a dead letter", "webhook", k.id.String(), "app", k.app.String(),
				"attempts", letter.Attempts, "why", letter.Why, "dropped_oldest", dropped > 0)
		}
		break
	}
	return true
}

// deliverOne tries until the like is accepted, becomes a dead letter or is no longer wanted. ok is false if ctx has ended.
func (k *hook) deliverOne(ctx context.Context, s *liked.Subscription, e liked.LikeEvent) (letter *store.DeadLetter, ok bool) {
	alive := false // a challenge was answered since the last attempt
	for attempt := 1; k.valid(ctx); attempt++ {
		failed := k.try(ctx, s, e)
		if failed == nil {
			return nil, true
		}
		if ctx.Err() != nil {
			return nil, false
		}
		if failed.ours {
			attempt, alive = 1, false
		}
		if failed.final || alive {
			return &store.DeadLetter{Webhook: k.id, Subscription: s.ID, Event: e, At: k.h.Now(), Attempts: attempt,
				Why: plain(failed.error, "")}, true
		}
		k.h.Count(Failed)
		if attempt >= k.h.Attempts {
			// A challenge tells whether the endpoint rejects this like or is down. If it is down, the like can wait;
			// else it has one more attempt, as the endpoint may just have come back.
			w, _ := k.now()
			_, err := k.h.examine(ctx, w, k.h.Patience)
			if alive = err == nil; alive {
				continue
			}
		}
		k.h.Sleep(ctx, k.h.pause(attempt))
	}
	return nil, false
}

// pause doubles with each attempt, within 50% at random, so that lanes do not retry all at once.
func (h *Hooks) pause(attempt int) time.Duration {
	d := min(h.Backoff<<min(attempt-1, 20), h.Longest)
	return d/2 + rand.N(d)
}

// failure is why an attempt failed.
type failure struct {
	error
	final bool // the endpoint would refuse the body again
	ours  bool // of this server, before the body was sent
}

// try makes one attempt. Nil means that the like was accepted, or is not wanted: the subscription has ended, or may not
// see it.
func (k *hook) try(ctx context.Context, s *liked.Subscription, e liked.LikeEvent) *failure {
	stands, err := k.h.stands(ctx, s)
	if err == nil && !stands {
		return nil
	}
	var body []byte
	if err == nil {
		body, err = k.h.Render(ctx, *s, e)
	}
	if err != nil {
		return &failure{error: err, ours: true}
	}
	if body == nil {
		k.h.Count(Unseen)
		return nil
	}
	_, failed := k.post(ctx, about(s, e), body)
	if failed == nil {
		k.h.Count(Delivered)
	}
	return failed
}

// about is what the journal keeps of a request that tells a like.
func about(s *liked.Subscription, e liked.LikeEvent) exchange.Details {
	return exchange.Details{Exchange: exchange.Exchange{User: e.User},
		Delivery: exchange.Delivery{Webhook: s.Webhook, Subscription: s.ID, Event: e.Seq}}
}

// post sends a body, using one of the slots, and returns the status of the answer, zero if there was none. A request in progress
// when ctx ends has lastCall left.
func (k *hook) post(ctx context.Context, of exchange.Details, body []byte) (status int, failed *failure) {
	select {
	case k.slots <- struct{}{}:
		defer func() { <-k.slots }()
	case <-ctx.Done():
		return 0, &failure{error: ctx.Err()}
	}
	w, _ := k.now()
	secret, err := k.h.Secret(ctx, k.app)
	if err != nil {
		return 0, &failure{error: err, ours: true}
	}
	under, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	stop := context.AfterFunc(ctx, func() {
		clock.Sleep(under, lastCall)
		cut()
	})
	defer stop()
	of.Exchange.Operation, of.Exchange.Method, of.Exchange.App = Delivery, http.MethodPost, k.app
	status, _, err = k.h.send(under, of, w.URL, body, sign(secret, body))
	if status >= 200 && status < 300 {
		return status, nil // even if reading the response failed
	}
	if err != nil {
		return status, &failure{error: err}
	}
	failed = &failure{error: fmt.Errorf("it answered with status %d", status)}
	switch status {
	case http.StatusBadRequest, http.StatusGone, http.StatusRequestEntityTooLarge,
		http.StatusUnsupportedMediaType, http.StatusUnprocessableEntity:
		failed.final = true
	}
	return status, failed
}

func (k *hook) challenges(ctx context.Context) {
	k.h.Sleep(ctx, rand.N(k.h.Challenge)) // spread over time
	for ctx.Err() == nil {
		if w, _ := k.now(); w.Valid {
			_, _ = k.h.examine(ctx, w, k.h.Patience) // which keeps the outcome
		}
		k.h.Sleep(ctx, k.h.Challenge)
	}
}
