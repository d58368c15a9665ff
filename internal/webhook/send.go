package webhook

import (
	"context"

	"liked"
	"liked/internal/exchange"
	"liked/internal/likelog"
	"liked/internal/store"
)

// Sent is what became of one request that was made at once.
type Sent struct {
	Status        int    // 0: there was no answer
	Why           string // why the like was not accepted; "" if it was
	TransactionID string // by which the journal has the request
}

// Send makes one attempt to deliver a like, now. The store need have neither the subscription nor the like. *ChallengeError
// if the webhook is not valid, Forbidden if the subscriber may not see the like.
func (h *Hooks) Send(ctx context.Context, s liked.Subscription, e liked.LikeEvent) (Sent, error) {
	w, err := h.Webhook(ctx, s.App, s.Webhook)
	if err != nil {
		return Sent{}, err
	}
	if !w.Valid {
		return Sent{}, &ChallengeError{Why: "the webhook is not valid: " + w.Why, Wrong: true}
	}
	body, err := h.Render(ctx, s, e)
	if err != nil {
		return Sent{}, err
	}
	if body == nil {
		return Sent{}, liked.Errorf(liked.Forbidden, "user %v may not see this like by app %v: they gave it no consent to read likes, "+
			"took it back, or may not see the post", s.Viewer, s.App)
	}
	h.mu.Lock()
	k := h.hooks[w.ID]
	h.mu.Unlock()
	if k == nil { // another server delivers
		k = newHook(h, w, store.Progress{})
	}
	of := about(&s, e)
	of.Exchange.TransactionID = exchange.RandomHex(8)
	status, failed := k.post(ctx, of, body)
	switch {
	case failed == nil:
		h.Count(Delivered)
		return Sent{Status: status, TransactionID: of.Exchange.TransactionID}, nil
	case failed.ours || ctx.Err() != nil:
		return Sent{}, failed.error
	}
	h.Count(Failed)
	return Sent{status, plain(failed.error, ""), of.Exchange.TransactionID}, nil
}

// Redeliver makes one attempt to deliver a like of the log, or a dead letter, again, to a webhook of the app (zero: any). A dead
// letter that is accepted is none any more. NotFound without the like or the subscription, otherwise as Send.
func (h *Hooks) Redeliver(ctx context.Context, app liked.AppID, id liked.WebhookID, sub liked.SubscriptionID, event liked.Seq) (
	Sent, error) {
	w, err := h.Webhook(ctx, app, id)
	if err != nil {
		return Sent{}, err
	}
	s, err := h.Store.Subscription(ctx, w.App, sub)
	if err != nil {
		return Sent{}, err
	}
	if s.Webhook != id {
		return Sent{}, liked.Errorf(liked.NotFound, "subscription %v does not lead to webhook %v", sub, id)
	}
	before := store.DeadLetter{Event: liked.LikeEvent{Seq: event}, Subscription: sub - 1}
	letters, err := h.Store.DeadLetters(ctx, id, before, 1)
	if err != nil {
		return Sent{}, err
	}
	if len(letters) == 0 || letters[0].Event.Seq != event || letters[0].Subscription != sub {
		e, err := h.logged(ctx, &s, event)
		if err != nil {
			return Sent{}, err
		}
		return h.Send(ctx, s, e)
	}
	sent, err := h.Send(ctx, s, letters[0].Event)
	if err != nil {
		return sent, err
	}
	return sent, h.keep(ctx, letters[0], sent.Why)
}

// logged returns the like at a position of the log that the subscription wants, or NotFound.
func (h *Hooks) logged(ctx context.Context, s *liked.Subscription, at liked.Seq) (found liked.LikeEvent, err error) {
	ends, err := h.Store.LogEnds(ctx)
	if err != nil {
		return found, err
	}
	var from liked.Positions
	for p, end := range ends {
		ends[p] = min(end, at)
		from[p] = min(end, max(at, 1)-1)
	}
	err = h.Log.Between(ctx, likelog.All(), from, ends, func(entries []liked.LikeEvent) error {
		for _, e := range entries {
			if e.Seq == at && s.Wants(e) {
				found = e
			}
		}
		return nil
	})
	if err == nil && found.Seq == 0 {
		err = liked.Errorf(liked.NotFound,
			"the log of the last likes has none at %d that subscription %v wants, and it is no dead letter", at, s.ID)
	}
	return found, err
}
