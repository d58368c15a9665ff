package pebblestore

import (
	"errors"

	"liked"
	"liked/internal/store"
)

func webhookRow(id liked.WebhookID) row[liked.Webhook] {
	return row[liked.Webhook]{webhookKey(id), liked.Webhook{ID: id}, webhookFields, "webhook", int64(id)}
}

func webhookFields(r *record, w *liked.Webhook) {
	number(r, &w.App)
	r.strings(&w.URL)
	r.time(&w.CreatedAt)
	r.bool(&w.Valid)
	r.time(&w.Checked)
	r.strings(&w.Why)
	if number(r, &w.Replay.ID); w.Replay.ID != 0 {
		r.time(&w.Replay.CreatedAt)
		r.bool(&w.Replay.Dead)
		r.time(&w.Replay.From)
		r.time(&w.Replay.To)
	}
}

func subscriptionRow(app liked.AppID, id liked.SubscriptionID) row[liked.Subscription] {
	return row[liked.Subscription]{subscriptionKey(app, id), liked.Subscription{ID: id, App: app}, subscriptionFields, "subscription", int64(id)}
}

func subscriptionFields(r *record, s *liked.Subscription) {
	number(r, &s.Viewer)
	number(r, &s.User)
	small(r, &s.Direction)
	number(r, &s.Webhook)
	r.strings(&s.Tag)
	r.time(&s.CreatedAt)
	r.time(&s.UpdatedAt)
	fixed(r, &s.After)
}

func progressRow(webhook liked.WebhookID) row[store.Progress] {
	return row[store.Progress]{progressKey(webhook), store.Progress{}, progressFields, "webhook", int64(webhook)}
}

// progressFields omits the number of dead letters, which has its own key.
func progressFields(r *record, p *store.Progress) {
	fixed(r, &p.Lost)
	for i := range p.Offsets {
		fixed(r, &p.Offsets[i])
	}
}

func letterRow(webhook liked.WebhookID, seq liked.Seq, of liked.SubscriptionID) row[store.DeadLetter] {
	d := store.DeadLetter{Webhook: webhook, Subscription: of, Event: liked.LikeEvent{Seq: seq}}
	return row[store.DeadLetter]{deadKey(webhook, seq, of), d, letterFields, "dead letter", 0}
}

// letterFields stores the event as in the log, after its length.
func letterFields(r *record, d *store.DeadLetter) {
	r.time(&d.At)
	number(r, &d.Attempts)
	r.strings(&d.Why)
	var event []byte
	if r.writing {
		event = appendEvent(nil, &d.Event)
	}
	if r.bytes(&event); !r.writing && !r.bad {
		var err error
		d.Event, err = decodeEvent(d.Event.Seq, event)
		r.bad = err != nil
	}
}

// hooks checks webhooks, subscriptions and dead letters against their counts and indexes.
func (c *checker) hooks() error {
	apps, letters, viewers := map[string]uint64{}, map[string]uint64{}, map[string]uint64{}
	var subscribed, subscribes, about, webhooks, webhooksOf int
	found := func(what string, key []byte) error {
		ok, err := exists(c.r, key)
		if err == nil && !ok {
			c.problem("%s is not found by the key %x", what, key)
		}
		return err
	}
	for _, list := range []struct {
		tag, owner byte
		each       func(key, value []byte) error
	}{
		{tagWebhook, tagProgress, func(key, value []byte) error {
			w, err := webhookRow(liked.WebhookID(field(key, 0))).decode(value)
			if err != nil {
				return err
			}
			webhooks++
			if ok, err := exists(c.r, appKey(w.App)); err != nil {
				return err
			} else if !ok {
				c.problem("webhook %v belongs to app %v, which is not there", w.ID, w.App)
			}
			return found("webhook "+w.ID.String(), webhookOfKey(&w))
		}},
		{tagProgress, tagWebhook, func(key, value []byte) error {
			_, err := progressRow(0).decode(value)
			return err
		}},
		{tagDead, tagWebhook, func(key, value []byte) error {
			letters[string(key[1:9])]++
			hook, seq, sub := liked.WebhookID(field(key, 0)), liked.Seq(field(key, 1)), liked.SubscriptionID(field(key, 2))
			if _, err := letterRow(hook, seq, sub).decode(value); err != nil {
				return err
			}
			return nil
		}},
		{tagSubscribed, tagApp, func(key, value []byte) error {
			apps[string(key[1:9])]++
			s, err := subscriptionRow(liked.AppID(field(key, 0)), liked.SubscriptionID(field(key, 1))).decode(value)
			if err != nil {
				return err
			}
			id, ok, err := read(c.r, subscribesKey(&s), decodeID)
			if err == nil && (!ok || liked.SubscriptionID(id) != s.ID) {
				c.problem("subscription %v is not found by what it is about", s.ID)
			}
			subscribed++
			if s.Viewer != 0 {
				viewers[string(madeNKey(s.App, s.Viewer)[1:])]++
				err = errors.Join(err, found("subscription "+s.ID.String(), madeKey(&s)))
			}
			return errors.Join(err, found("subscription "+s.ID.String(), aboutKey(&s)))
		}},
		{tagSubscribes, tagApp, func(_, _ []byte) error { subscribes++; return nil }},
		{tagWebhookOf, tagApp, func(_, _ []byte) error { webhooksOf++; return nil }},
	} {
		err := c.scan(list.tag, func(key, value []byte) error {
			if ok, err := exists(c.r, num(nil, list.owner, field(key, 0))); err != nil {
				return err
			} else if !ok {
				c.problem("the key %x has no %c", key, list.owner)
			}
			return list.each(key, value)
		})
		if err != nil {
			return err
		}
	}
	if err := c.scan(tagAbout, func(_, _ []byte) error { about++; return nil }); err != nil {
		return err
	}
	if subscribed != subscribes || subscribed != about || webhooks != webhooksOf {
		c.problem("%d subscriptions have %d rows that say what they are about, "+
			"and %d that find them by user; %d webhooks have %d that find them by app",
			subscribed, subscribes, about, webhooks, webhooksOf)
	}
	for tag, want := range map[byte]map[string]uint64{tagSubscribedN: apps, tagDeadN: letters, tagMadeN: viewers} {
		err := c.scan(tag, func(key, value []byte) error {
			n, err := decodeID(value)
			if err != nil {
				return err
			}
			owner := string(key[1:])
			if n != want[owner] || n == 0 {
				c.problem("the number %c of %x is %d and should be %d", tag, owner, n, want[owner])
			}
			delete(want, owner)
			return nil
		})
		if err != nil {
			return err
		}
		for owner, n := range want {
			c.problem("the number %c of %x is missing and should be %d", tag, owner, n)
		}
	}
	return nil
}
