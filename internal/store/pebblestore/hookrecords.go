package pebblestore

import (
	"liked"
	"liked/internal/store"
)

func encodeWebhook(h *liked.Webhook) []byte {
	w := newWriter()
	w.uint(uint64(h.App))
	w.string(h.URL)
	w.time(h.CreatedAt)
	w.bool(h.Valid)
	w.time(h.Checked)
	w.string(h.Why)
	w.uint(uint64(h.Replay.ID))
	if h.Replay.ID != 0 {
		w.time(h.Replay.CreatedAt)
		w.bool(h.Replay.Dead)
		w.time(h.Replay.From)
		w.time(h.Replay.To)
	}
	return w.b
}

func decodeWebhook(id liked.WebhookID, value []byte) (liked.Webhook, error) {
	r := newReader(value)
	h := liked.Webhook{ID: id, App: liked.AppID(r.uint()), URL: r.string(), CreatedAt: r.time(), Valid: r.bool(), Checked: r.time(), Why: r.string()}
	if h.Replay.ID = int64(r.uint()); h.Replay.ID != 0 {
		h.Replay.CreatedAt, h.Replay.Dead, h.Replay.From, h.Replay.To = r.time(), r.bool(), r.time(), r.time()
	}
	return h, r.done()
}

func encodeSubscription(s *liked.Subscription) []byte {
	w := newWriter()
	w.uint(uint64(s.Viewer))
	w.uint(uint64(s.User))
	w.byte(byte(s.Direction))
	w.uint(uint64(s.Webhook))
	w.string(s.Tag)
	w.time(s.CreatedAt)
	w.time(s.UpdatedAt)
	w.fixed(uint64(s.After))
	return w.b
}

func decodeSubscription(app liked.AppID, id liked.SubscriptionID, value []byte) (liked.Subscription, error) {
	r := newReader(value)
	s := liked.Subscription{ID: id, App: app, Viewer: liked.UserID(r.uint()), User: liked.UserID(r.uint()), Direction: liked.Direction(r.byte()),
		Webhook: liked.WebhookID(r.uint()), Tag: r.string(), CreatedAt: r.time(), UpdatedAt: r.time(), After: liked.Seq(r.fixed())}
	return s, r.done()
}

// encodeProgress leaves out the number of dead letters, which has a key of its own.
func encodeProgress(p *store.Progress) []byte {
	w := newWriter()
	w.fixed(uint64(p.Lost))
	for _, place := range p.Offsets {
		w.fixed(uint64(place))
	}
	return w.b
}

func decodeProgress(value []byte) (store.Progress, error) {
	r := newReader(value)
	p := store.Progress{Lost: liked.Seq(r.fixed())}
	for i := range p.Offsets {
		p.Offsets[i] = liked.Seq(r.fixed())
	}
	return p, r.done()
}

func encodeDeadLetter(d *store.DeadLetter) []byte {
	w := newWriter()
	w.time(d.At)
	w.uint(uint64(d.Attempts))
	w.string(d.Why)
	w.bytes(appendEvent(nil, &d.Event))
	return w.b
}

func decodeDeadLetter(webhook liked.WebhookID, seq liked.Seq, of liked.SubscriptionID, value []byte) (d store.DeadLetter, err error) {
	r := newReader(value)
	d = store.DeadLetter{Webhook: webhook, Subscription: of, At: r.time(), Attempts: int(r.uint()), Why: r.string()}
	event := r.bytes()
	if err := r.done(); err != nil {
		return d, err
	}
	d.Event, err = decodeEvent(seq, event)
	return d, err
}

// hooks holds subscriptions and dead letters against their numbers and their owners.
func (c *checker) hooks() error {
	apps, letters := map[uint64]uint64{}, map[uint64]uint64{}
	subscribes := 0
	for _, list := range []struct {
		tag, owner byte
		each       func(key, value []byte) error
	}{
		{tagWebhook, tagProgress, func(key, value []byte) error {
			w, err := decodeWebhook(liked.WebhookID(field(key, 0)), value)
			if err != nil {
				return damaged(key, err)
			}
			if ok, err := exists(c.r, appKey(w.App)); err != nil || ok {
				return err
			}
			c.problem("webhook %v belongs to app %v, which is not there", w.ID, w.App)
			return nil
		}},
		{tagProgress, tagWebhook, func(key, value []byte) error {
			if _, err := decodeProgress(value); err != nil {
				return damaged(key, err)
			}
			return nil
		}},
		{tagDead, tagWebhook, func(key, value []byte) error {
			letters[field(key, 0)]++
			if _, err := decodeDeadLetter(liked.WebhookID(field(key, 0)), liked.Seq(field(key, 1)), liked.SubscriptionID(field(key, 2)), value); err != nil {
				return damaged(key, err)
			}
			return nil
		}},
		{tagSubscribed, tagApp, func(key, value []byte) error {
			apps[field(key, 0)]++
			s, err := decodeSubscription(liked.AppID(field(key, 0)), liked.SubscriptionID(field(key, 1)), value)
			if err != nil {
				return damaged(key, err)
			}
			id, ok, err := read(c.r, subscribesKey(&s), decodeID)
			if err == nil && (!ok || liked.SubscriptionID(id) != s.ID) {
				c.problem("subscription %v is not found by what it is about", s.ID)
			}
			return err
		}},
		{tagSubscribes, tagApp, func(_, _ []byte) error { subscribes++; return nil }},
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
	total := 0
	for _, n := range apps {
		total += int(n)
	}
	if total != subscribes {
		c.problem("%d subscriptions have %d rows that say what they are about", total, subscribes)
	}
	for tag, want := range map[byte]map[uint64]uint64{tagSubscribedN: apps, tagDeadN: letters} {
		err := c.scan(tag, func(key, value []byte) error {
			n, err := decodeID(value)
			if err != nil {
				return damaged(key, err)
			}
			if owner := field(key, 0); n != want[owner] || n == 0 {
				c.problem("the number %c of %d is %d and should be %d", tag, owner, n, want[owner])
			}
			delete(want, field(key, 0))
			return nil
		})
		if err != nil {
			return err
		}
		for owner, n := range want {
			c.problem("the number %c of %d is missing and should be %d", tag, owner, n)
		}
	}
	return nil
}
