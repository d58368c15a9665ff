package pebblestore

import (
	"context"
	"maps"
	"slices"
	"unicode/utf8"

	"github.com/cockroachdb/pebble/v2"

	"liked"
	"liked/internal/store"
)

func validWebhook(w *liked.Webhook) error {
	switch {
	case w.ID <= 0 || w.App <= 0:
		return liked.Errorf(liked.Invalid, "the ids of webhook %d of app %d are not positive", int64(w.ID), int64(w.App))
	case w.URL == "" || len(w.URL) > 2048:
		return liked.Errorf(liked.Invalid, "webhook %v has no URL of 1 to 2048 bytes", w.ID)
	}
	return texts("webhook", w.ID, w.URL, w.Why)
}

func validSubscription(s *liked.Subscription) error {
	switch {
	case s.ID <= 0 || s.App <= 0 || s.User <= 0 || s.Viewer < 0 || s.Webhook < 0:
		return liked.Errorf(liked.Invalid, "the ids of subscription %d are not positive", int64(s.ID))
	case s.Direction > liked.Outbound || utf8.RuneCountInString(s.Tag) > 200:
		return liked.Errorf(liked.Invalid, "subscription %v has no known direction, or a tag of more than 200 characters", s.ID)
	}
	return texts("subscription", s.ID, s.Tag)
}

// count reads a number that is there only while it is not zero.
func count(r pebble.Reader, key []byte) (uint64, error) {
	n, _, err := read(r, key, decodeID)
	return n, err
}

func (t *tx) setCount(key []byte, n uint64) {
	if n == 0 {
		t.delete(key)
		return
	}
	t.set(key, encodeID(n))
}

// AddWebhook looks at all webhooks on a snapshot, and starts again if there were others meanwhile.
func (s *Store) AddWebhook(ctx context.Context, w liked.Webhook, max int) error {
	if err := validWebhook(&w); err != nil {
		return err
	}
	value := encodeWebhook(&w)
	for {
		before := s.Generation(store.Webhooks)
		err := s.view(ctx, func(r pebble.Reader) error {
			if ok, err := exists(r, appKey(w.App)); err != nil {
				return err
			} else if !ok {
				return liked.Errorf(liked.NotFound, "no such app %v", w.App)
			}
			n := 0
			err := scan(r, []byte{tagWebhook}, nil, func(key, value []byte) (bool, error) {
				other, err := decodeWebhook(liked.WebhookID(field(key, 0)), value)
				switch {
				case err != nil:
					return false, err
				case other.ID == w.ID:
					return false, liked.Errorf(liked.Conflict, "webhook %v exists already", w.ID)
				case other.App == w.App && other.URL == w.URL:
					return false, liked.Errorf(liked.Conflict, "app %v has webhook %v with this URL", w.App, other.ID)
				case other.App == w.App:
					n++
				}
				return true, nil
			})
			if err == nil && n >= max {
				err = liked.Errorf(liked.Forbidden, "app %v has %d webhooks, as many as it may", w.App, n)
			}
			return err
		})
		if err != nil {
			return err
		}
		err = s.update(ctx, func(t *tx) error {
			if s.Generation(store.Webhooks) != before {
				return errStale
			}
			p := store.Progress{}
			for i := range p.Offsets {
				p.Offsets[i] = t.c.lastSeq
			}
			t.hooks = true
			t.set(webhookKey(w.ID), value)
			t.set(progressKey(w.ID), encodeProgress(&p))
			return nil
		})
		if err != errStale {
			return err
		}
	}
}

func noSuchWebhook(id liked.WebhookID) error {
	return liked.Errorf(liked.NotFound, "no such webhook %v", id)
}

func (s *Store) UpdateWebhook(ctx context.Context, id liked.WebhookID, change func(*liked.Webhook) error) error {
	return modify(ctx, s, webhookKey(id), "webhook", id, decoding(id, decodeWebhook), func(w *liked.Webhook) ([]byte, error) {
		app, url := w.App, w.URL
		if err := change(w); err != nil {
			return nil, err
		}
		if w.ID != id || w.App != app || w.URL != url {
			return nil, liked.Errorf(liked.Invalid, "the id, the app and the URL of webhook %v cannot change", id)
		}
		return encodeWebhook(w), validWebhook(w)
	}, func(t *tx, _, _ *liked.Webhook) error {
		t.hooks = true
		return nil
	})
}

func (s *Store) DeleteWebhook(ctx context.Context, id liked.WebhookID) error {
	return s.update(ctx, func(t *tx) error {
		if ok, err := exists(t.db(), webhookKey(id)); err != nil {
			return err
		} else if !ok {
			return noSuchWebhook(id)
		}
		t.hooks = true
		t.delete(webhookKey(id))
		t.delete(progressKey(id))
		t.delete(deadNKey(id))
		letters := num(nil, tagDead, uint64(id))
		must(t.c.batch().DeleteRange(letters, after(letters), nil))
		return nil
	})
}

func (s *Store) Webhooks(ctx context.Context) (all []liked.Webhook, err error) {
	err = s.view(ctx, func(r pebble.Reader) (err error) {
		all, err = webhooks(r)
		return err
	})
	return all, err
}

func webhooks(r pebble.Reader) (all []liked.Webhook, err error) {
	err = scan(r, []byte{tagWebhook}, nil, func(key, value []byte) (bool, error) {
		w, err := decodeWebhook(liked.WebhookID(field(key, 0)), value)
		if err != nil {
			return false, err
		}
		all = append(all, w)
		return true, nil
	})
	return all, err
}

func (s *Store) AddSubscription(ctx context.Context, sub liked.Subscription, max int) error {
	if err := validSubscription(&sub); err != nil {
		return err
	}
	return s.update(ctx, func(t *tx) error {
		if ok, err := exists(t.db(), appKey(sub.App)); err != nil {
			return err
		} else if !ok {
			return liked.Errorf(liked.NotFound, "no such app %v", sub.App)
		}
		if ok, err := exists(t.db(), subscriptionKey(sub.App, sub.ID)); err != nil {
			return err
		} else if ok {
			return liked.Errorf(liked.Conflict, "subscription %v exists already", sub.ID)
		}
		n, err := count(t.db(), subscribedNKey(sub.App))
		if err != nil {
			return err
		}
		if n >= uint64(max) {
			return liked.Errorf(liked.Forbidden, "app %v has %d subscriptions, as many as it may", sub.App, n)
		}
		if err := t.subscribe(&sub); err != nil {
			return err
		}
		t.hooks = true
		added := sub
		added.After = t.c.lastSeq
		t.set(subscriptionKey(sub.App, sub.ID), encodeSubscription(&added))
		t.setCount(subscribedNKey(sub.App), n+1)
		return nil
	})
}

// subscribe makes what the subscription is about the subscription's, if it is nobody else's.
func (t *tx) subscribe(sub *liked.Subscription) error {
	id, taken, err := read(t.db(), subscribesKey(sub), decodeID)
	if err != nil {
		return err
	}
	if taken && liked.SubscriptionID(id) != sub.ID {
		return liked.Errorf(liked.Conflict, "app %v has subscription %d to the same", sub.App, id)
	}
	t.set(subscribesKey(sub), encodeID(sub.ID))
	return nil
}

func (s *Store) UpdateSubscription(ctx context.Context, app liked.AppID, id liked.SubscriptionID, change func(*liked.Subscription) error) error {
	decode := func(value []byte) (liked.Subscription, error) { return decodeSubscription(app, id, value) }
	return modify(ctx, s, subscriptionKey(app, id), "subscription", id, decode, func(sub *liked.Subscription) ([]byte, error) {
		before := *sub
		if err := change(sub); err != nil {
			return nil, err
		}
		before.Webhook, before.Tag, before.UpdatedAt = sub.Webhook, sub.Tag, sub.UpdatedAt
		if *sub != before {
			return nil, liked.Errorf(liked.Invalid, "what subscription %v is about cannot change", id)
		}
		return encodeSubscription(sub), validSubscription(sub)
	}, func(t *tx, before, after *liked.Subscription) error {
		t.hooks = true
		if before.Webhook == after.Webhook {
			return nil
		}
		t.delete(subscribesKey(before))
		return t.subscribe(after)
	})
}

func (s *Store) DeleteSubscription(ctx context.Context, app liked.AppID, id liked.SubscriptionID) error {
	return s.update(ctx, func(t *tx) error {
		sub, ok, err := read(t.db(), subscriptionKey(app, id), func(value []byte) (liked.Subscription, error) { return decodeSubscription(app, id, value) })
		if err != nil {
			return err
		}
		if !ok {
			return liked.Errorf(liked.NotFound, "no such subscription %v", id)
		}
		n, err := count(t.db(), subscribedNKey(app))
		if err != nil {
			return err
		}
		t.hooks = true
		t.delete(subscriptionKey(app, id))
		t.delete(subscribesKey(&sub))
		t.setCount(subscribedNKey(app), max(n, 1)-1)
		return nil
	})
}

func (s *Store) Subscriptions(ctx context.Context, app liked.AppID, from liked.SubscriptionID, max int) (subs []liked.Subscription, err error) {
	if max < 1 {
		return nil, liked.Errorf(liked.Invalid, "a page of %d subscriptions", max)
	}
	err = s.view(ctx, func(r pebble.Reader) error {
		return scan(r, num(nil, tagSubscribed, uint64(app)), subscriptionKey(app, from+1), func(key, value []byte) (bool, error) {
			sub, err := decodeSubscription(app, liked.SubscriptionID(field(key, 1)), value)
			if err != nil {
				return false, err
			}
			subs = append(subs, sub)
			return len(subs) < max, nil
		})
	})
	return subs, err
}

func (s *Store) Progress(ctx context.Context, id liked.WebhookID) (p store.Progress, err error) {
	err = s.view(ctx, func(r pebble.Reader) error {
		var ok bool
		if p, ok, err = read(r, progressKey(id), decodeProgress); err != nil {
			return err
		}
		if !ok {
			return noSuchWebhook(id)
		}
		n, err := count(r, deadNKey(id))
		p.Dead = int(n)
		return err
	})
	return p, err
}

func (s *Store) Advance(ctx context.Context, to map[liked.WebhookID]liked.Positions) error {
	to = maps.Clone(to) // it may change by the time at which it is used
	for ids := range slices.Chunk(slices.Sorted(maps.Keys(to)), stepRows) {
		err := s.update(ctx, func(t *tx) error {
			for _, id := range ids {
				if err := t.advance(id, to[id]); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (t *tx) advance(id liked.WebhookID, to liked.Positions) error {
	p, ok, err := read(t.db(), progressKey(id), decodeProgress)
	if err != nil || !ok {
		return err
	}
	before := p.Offsets
	for i, seq := range to {
		p.Offsets[i] = max(p.Offsets[i], seq)
	}
	if p.Offsets != before {
		t.set(progressKey(id), encodeProgress(&p))
	}
	return nil
}

func (s *Store) AddDeadLetters(ctx context.Context, letters []store.DeadLetter, max int) (dropped int, err error) {
	if len(letters) == 0 || len(letters) > max {
		return 0, liked.Errorf(liked.Invalid, "%d dead letters, of which %d can be kept", len(letters), max)
	}
	webhook, event := letters[0].Webhook, letters[0].Event
	values := make(map[string][]byte, len(letters))
	for i := range letters {
		d := &letters[i]
		if d.Webhook <= 0 || d.Subscription <= 0 || d.Webhook != webhook || d.Event.Seq != event.Seq {
			return 0, liked.Errorf(liked.Invalid, "a dead letter has no ids, or another webhook or event than the first")
		}
		if err := texts("a dead letter of webhook", webhook, d.Why); err != nil {
			return 0, err
		}
		values[string(deadKey(webhook, event.Seq, d.Subscription))] = encodeDeadLetter(d)
	}
	err = s.update(ctx, func(t *tx) error {
		if ok, err := exists(t.db(), webhookKey(webhook)); err != nil || !ok {
			return err
		}
		before, err := count(t.db(), deadNKey(webhook))
		if err != nil {
			return err
		}
		n := int(before)
		for key, value := range values {
			there, err := exists(t.db(), []byte(key))
			if err != nil {
				return err
			}
			if !there {
				n++
			}
			t.set([]byte(key), value)
		}
		if n > max {
			err := scan(t.db(), num(nil, tagDead, uint64(webhook)), nil, func(key, _ []byte) (bool, error) {
				if values[string(key)] == nil {
					t.delete(key)
					dropped++
				}
				return n-dropped > max, nil
			})
			if err != nil {
				return err
			}
		}
		t.setCount(deadNKey(webhook), uint64(n-dropped))
		var to liked.Positions
		to[partitionOf(event.User)] = event.Seq
		return t.advance(webhook, to)
	})
	if err != nil {
		return 0, err
	}
	return dropped, nil
}

func (s *Store) DeadLetters(ctx context.Context, id liked.WebhookID, from store.DeadLetter, max int) (letters []store.DeadLetter, err error) {
	if max < 1 {
		return nil, liked.Errorf(liked.Invalid, "a page of %d dead letters", max)
	}
	err = s.view(ctx, func(r pebble.Reader) error {
		lower := deadKey(id, from.Event.Seq, from.Subscription+1)
		return scan(r, num(nil, tagDead, uint64(id)), lower, func(key, value []byte) (bool, error) {
			d, err := decodeDeadLetter(id, liked.Seq(field(key, 1)), liked.SubscriptionID(field(key, 2)), value)
			if err != nil {
				return false, err
			}
			letters = append(letters, d)
			return len(letters) < max, nil
		})
	})
	return letters, err
}

func (s *Store) RemoveDeadLetter(ctx context.Context, d store.DeadLetter) error {
	key := deadKey(d.Webhook, d.Event.Seq, d.Subscription)
	return s.update(ctx, func(t *tx) error {
		there, err := exists(t.db(), key)
		if err != nil || !there {
			return err
		}
		n, err := count(t.db(), deadNKey(d.Webhook))
		if err != nil {
			return err
		}
		t.delete(key)
		t.setCount(deadNKey(d.Webhook), max(n, 1)-1)
		return nil
	})
}
