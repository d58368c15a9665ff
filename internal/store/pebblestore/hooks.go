package pebblestore

import (
	"context"
	"encoding/binary"
	"maps"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"liked"
	"liked/internal/store"
	"liked/internal/store/valid"
)

// count reads a number that is stored only if not zero.
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

func (t *tx) addCount(key []byte, delta int) error {
	n, err := count(t, key)
	if err == nil {
		t.setCount(key, uint64(max(int(n)+delta, 0)))
	}
	return err
}

func (s *Store) AddWebhook(ctx context.Context, w liked.Webhook, max int) error {
	if err := valid.Webhook(&w); err != nil {
		return err
	}
	return s.update(ctx, func(t *tx) error {
		if err := appRow(w.App).need(t); err != nil {
			return err
		}
		if err := webhookRow(w.ID).free(t); err != nil {
			return err
		}
		own, err := webhooks(t, w.App) // bounded by max
		if err != nil {
			return err
		}
		for _, other := range own {
			if other.URL == w.URL {
				return liked.Errorf(liked.Conflict, "app %v has webhook %v with this URL", w.App, other.ID)
			}
		}
		if len(own) >= max {
			return liked.Errorf(liked.Forbidden, "app %v has %d webhooks, as many as it may", w.App, len(own))
		}
		p := store.Progress{}
		for i := range p.Offsets {
			p.Offsets[i] = t.c.lastSeq
		}
		t.hooks = true
		webhookRow(w.ID).set(t, &w)
		t.set(webhookOfKey(&w), nil)
		progressRow(w.ID).set(t, &p)
		return nil
	})
}

func (s *Store) UpdateWebhook(ctx context.Context, id liked.WebhookID, change func(*liked.Webhook) error) error {
	return modify(ctx, s, webhookRow(id), change, func(before, w *liked.Webhook) error {
		if w.ID != id || w.App != before.App || w.URL != before.URL {
			return liked.Errorf(liked.Invalid, "the id, the app and the URL of webhook %v cannot change", id)
		}
		return valid.Webhook(w)
	}, func(t *tx, _, _ *liked.Webhook) error {
		t.hooks = true
		return nil
	})
}

func (s *Store) DeleteWebhook(ctx context.Context, id liked.WebhookID) error {
	return s.update(ctx, func(t *tx) error {
		w, err := webhookRow(id).find(t)
		if err == nil {
			t.deleteWebhook(&w)
		}
		return err
	})
}

func (t *tx) deleteWebhook(w *liked.Webhook) {
	t.hooks = true
	for _, key := range [][]byte{webhookKey(w.ID), webhookOfKey(w), progressKey(w.ID), deadNKey(w.ID)} {
		t.delete(key)
	}
	letters := num(nil, tagDead, uint64(w.ID))
	t.deleteRange(letters, after(letters))
}

func (s *Store) Webhook(ctx context.Context, id liked.WebhookID) (liked.Webhook, error) {
	return webhookRow(id).get(ctx, s)
}

func (s *Store) Webhooks(ctx context.Context, app liked.AppID) ([]liked.Webhook, error) {
	return view(ctx, s, func(r pebble.Reader) ([]liked.Webhook, error) { return webhooks(r, app) })
}

// webhooks lists the app's, or all if app is zero.
func webhooks(r pebble.Reader, app liked.AppID) (list []liked.Webhook, err error) {
	prefix, which := []byte{tagWebhook}, 0
	if app != 0 {
		prefix, which = num(nil, tagWebhookOf, uint64(app)), 1
	}
	err = scan(r, prefix, nil, func(key, _ []byte) (bool, error) {
		w, ok, err := webhookRow(liked.WebhookID(field(key, which))).read(r)
		if ok && err == nil {
			list = append(list, w)
		}
		return true, err
	})
	return list, err
}

func (s *Store) AddSubscription(ctx context.Context, sub liked.Subscription, max int) error {
	if err := valid.Subscription(&sub); err != nil {
		return err
	}
	return s.update(ctx, func(t *tx) error {
		if err := appRow(sub.App).need(t); err != nil {
			return err
		}
		if err := subscriptionRow(sub.App, sub.ID).free(t); err != nil {
			return err
		}
		n, err := count(t, subscribedNKey(sub.App))
		if err != nil {
			return err
		}
		if n >= uint64(max) {
			return liked.Errorf(liked.Forbidden, "app %v has %d subscriptions, as many as it may", sub.App, n)
		}
		if err := t.subscribe(&sub); err != nil {
			return err
		}
		added := sub
		added.After = t.c.lastSeq
		subscriptionRow(sub.App, sub.ID).set(t, &added)
		return t.countSubscription(&added, true)
	})
}

// subscribe makes the row that prevents a duplicate; Conflict if there is one.
func (t *tx) subscribe(sub *liked.Subscription) error {
	other, err := claim(t, subscribesKey(sub), sub.ID)
	if err == nil && other != 0 {
		err = liked.Errorf(liked.Conflict, "app %v has subscription %v to the same", sub.App, other)
	}
	return err
}

// countSubscription updates counts and indexes for an added or deleted subscription.
func (t *tx) countSubscription(sub *liked.Subscription, on bool) error {
	t.hooks, t.about = true, sub.User
	keep := func(key []byte) {
		if on {
			t.set(key, nil)
		} else {
			t.delete(key)
		}
	}
	keep(aboutKey(sub))
	delta := -1
	if on {
		delta = 1
	}
	if sub.Viewer != 0 {
		keep(madeKey(sub))
		if err := t.addCount(madeNKey(sub.App, sub.Viewer), delta); err != nil {
			return err
		}
	}
	return t.addCount(subscribedNKey(sub.App), delta)
}

func (s *Store) UpdateSubscription(
	ctx context.Context, app liked.AppID, id liked.SubscriptionID, change func(*liked.Subscription) error,
) error {
	return modify(ctx, s, subscriptionRow(app, id), change, func(before, sub *liked.Subscription) error {
		same := *before
		same.Webhook, same.Tag, same.UpdatedAt = sub.Webhook, sub.Tag, sub.UpdatedAt
		if *sub != same {
			return liked.Errorf(liked.Invalid, "what subscription %v is about cannot change", id)
		}
		return valid.Subscription(sub)
	}, func(t *tx, before, after *liked.Subscription) error {
		t.hooks, t.about = true, after.User
		if before.Webhook == after.Webhook {
			return nil
		}
		t.delete(subscribesKey(before))
		return t.subscribe(after)
	})
}

func (s *Store) DeleteSubscription(ctx context.Context, app liked.AppID, id liked.SubscriptionID) error {
	return s.update(ctx, func(t *tx) error {
		sub, err := subscriptionRow(app, id).find(t)
		if err != nil {
			return err
		}
		t.delete(subscriptionKey(app, id))
		t.delete(subscribesKey(&sub))
		return t.countSubscription(&sub, false)
	})
}

func (s *Store) Subscription(ctx context.Context, app liked.AppID, id liked.SubscriptionID) (liked.Subscription, error) {
	return subscriptionRow(app, id).get(ctx, s)
}

func (s *Store) Subscriptions(
	ctx context.Context, app liked.AppID, viewer liked.UserID, from liked.SubscriptionID, max int,
) ([]liked.Subscription, error) {
	prefix := num(nil, tagSubscribed, uint64(app))
	if viewer != 0 {
		prefix = num(nil, tagMade, uint64(app), uint64(viewer))
	}
	lower := binary.BigEndian.AppendUint64(prefix, uint64(from+1))
	return page(ctx, s, prefix, lower, max, func(r pebble.Reader, key, value []byte) (liked.Subscription, error) {
		w := subscriptionRow(app, liked.SubscriptionID(field(key, len(prefix)/8)))
		if viewer == 0 {
			return w.decode(value)
		}
		return w.find(r)
	})
}

func (s *Store) CountSubscriptions(ctx context.Context, app liked.AppID, viewer liked.UserID) (int, error) {
	key := subscribedNKey(app)
	if viewer != 0 {
		key = madeNKey(app, viewer)
	}
	n, err := view(ctx, s, func(r pebble.Reader) (uint64, error) { return count(r, key) })
	return int(n), err
}

func (s *Store) SubscriptionsAbout(ctx context.Context, users []liked.UserID) ([]liked.Subscription, error) {
	users = slices.Compact(slices.Sorted(slices.Values(users)))
	return view(ctx, s, func(r pebble.Reader) (subs []liked.Subscription, err error) {
		it, err := r.NewIter(&pebble.IterOptions{LowerBound: []byte{tagAbout}, UpperBound: []byte{tagAbout + 1}})
		if err != nil {
			return nil, unavailable(err)
		}
		defer closeInto(&err, it)
		var from []byte
		for _, user := range users {
			from = num(from[:0], tagAbout, uint64(user))
			for ok := it.SeekGE(from); ok && field(it.Key(), 0) == uint64(user); ok = it.Next() {
				app, id := liked.AppID(field(it.Key(), 1)), liked.SubscriptionID(field(it.Key(), 2))
				sub, ok, err := subscriptionRow(app, id).read(r)
				if err != nil {
					return nil, err
				}
				if ok {
					subs = append(subs, sub)
				}
			}
		}
		return subs, unavailable(it.Error())
	})
}

func (s *Store) Progress(ctx context.Context, id liked.WebhookID) (store.Progress, error) {
	return view(ctx, s, func(r pebble.Reader) (store.Progress, error) {
		p, err := progressRow(id).find(r)
		if err != nil {
			return p, err
		}
		n, err := count(r, deadNKey(id))
		p.Dead = int(n)
		return p, err
	})
}

func (s *Store) Advance(ctx context.Context, to map[liked.WebhookID]liked.Positions) error {
	to = maps.Clone(to) // the caller may change it before use
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
	p, ok, err := progressRow(id).read(t)
	if err != nil || !ok {
		return err
	}
	before := p.Offsets
	for i, seq := range to {
		p.Offsets[i] = max(p.Offsets[i], seq)
	}
	if p.Offsets == before {
		return nil
	}
	return progressRow(id).replace(t, &p)
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
		if err := valid.Texts("a dead letter of webhook", webhook, d.Why); err != nil {
			return 0, err
		}
		w := letterRow(webhook, event.Seq, d.Subscription)
		values[string(w.key)] = w.encode(d)
	}
	err = s.update(ctx, func(t *tx) error {
		if ok, err := exists(t, webhookKey(webhook)); err != nil || !ok {
			return err
		}
		before, err := count(t, deadNKey(webhook))
		if err != nil {
			return err
		}
		n := int(before)
		for key, value := range values {
			there, err := exists(t, []byte(key))
			if err != nil {
				return err
			}
			if !there {
				n++
			}
			t.set([]byte(key), value)
		}
		if n > max {
			err := scan(t, num(nil, tagDead, uint64(webhook)), nil, func(key, _ []byte) (bool, error) {
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
		to[liked.PartitionOf(event.User)] = event.Seq
		return t.advance(webhook, to)
	})
	if err != nil {
		return 0, err
	}
	return dropped, nil
}

func (s *Store) DeadLetters(ctx context.Context, id liked.WebhookID, from store.DeadLetter, max int) ([]store.DeadLetter, error) {
	lower := deadKey(id, from.Event.Seq, from.Subscription+1)
	return page(ctx, s, num(nil, tagDead, uint64(id)), lower, max, func(_ pebble.Reader, key, value []byte) (store.DeadLetter, error) {
		return letterRow(id, liked.Seq(field(key, 1)), liked.SubscriptionID(field(key, 2))).decode(value)
	})
}

func (s *Store) RemoveDeadLetter(ctx context.Context, d store.DeadLetter) error {
	key := deadKey(d.Webhook, d.Event.Seq, d.Subscription)
	return s.update(ctx, func(t *tx) error {
		there, err := exists(t, key)
		if err != nil || !there {
			return err
		}
		t.delete(key)
		return t.addCount(deadNKey(d.Webhook), -1)
	})
}
