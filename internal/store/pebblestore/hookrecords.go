package pebblestore

import (
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
	blank := liked.Subscription{ID: id, App: app}
	return row[liked.Subscription]{subscriptionKey(app, id), blank, subscriptionFields, "subscription", int64(id)}
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
