package pgstore

import (
	"context"
	"maps"
	"slices"

	"github.com/jackc/pgx/v5"

	"liked"
	"liked/internal/store"
	"liked/internal/store/valid"
)

// aProgress scans positions, lost, dead.
func aProgress(r pgx.CollectableRow) (p store.Progress, err error) {
	var positions []liked.Seq
	err = r.Scan(&positions, &p.Lost, &p.Dead)
	copy(p.Offsets[:], positions)
	return p, err
}

func (s *Store) Progress(ctx context.Context, id liked.WebhookID) (store.Progress, error) {
	return first(ctx, s, noSuch("webhook", id), aProgress, "SELECT positions, lost, dead FROM offsets WHERE webhook = $1", id)
}

func (s *Store) Advance(ctx context.Context, to map[liked.WebhookID]liked.Positions) error {
	const step = 500
	to = maps.Clone(to) // the caller may change it before use
	for ids := range slices.Chunk(slices.Sorted(maps.Keys(to)), step) {
		err := s.update(ctx, func(t *tx) error {
			type stored struct {
				id liked.WebhookID
				at liked.Positions
			}
			all, err := rows(t, func(r pgx.CollectableRow) (o stored, err error) {
				var positions []liked.Seq
				err = r.Scan(&o.id, &positions)
				copy(o.at[:], positions)
				return o, err
			}, "SELECT webhook, positions FROM offsets WHERE webhook = ANY($1) ORDER BY webhook FOR NO KEY UPDATE", ids)
			for _, o := range all {
				t.advance(o.id, o.at, to[o.id])
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// advance has the transaction, which has locked the webhook's offsets, move them forward.
func (t *tx) advance(id liked.WebhookID, from, to liked.Positions) {
	for i := range to {
		to[i] = max(to[i], from[i])
	}
	if to != from {
		t.exec("UPDATE offsets SET positions = $2 WHERE webhook = $1", id, to[:])
	}
}

func (s *Store) AddDeadLetters(ctx context.Context, letters []store.DeadLetter, max int) (dropped int, err error) {
	if len(letters) == 0 || len(letters) > max {
		return 0, liked.Errorf(liked.Invalid, "%d dead letters, of which %d can be kept", len(letters), max)
	}
	webhook, event := letters[0].Webhook, letters[0].Event
	added := make(map[liked.SubscriptionID]store.DeadLetter)
	for _, d := range letters {
		if d.Webhook <= 0 || d.Subscription <= 0 || d.Webhook != webhook || d.Event.Seq != event.Seq {
			return 0, liked.Errorf(liked.Invalid, "a dead letter has no ids, or another webhook or event than the first")
		}
		if err := valid.Texts("a dead letter of webhook", webhook, d.Why); err != nil {
			return 0, err
		}
		added[d.Subscription] = d
	}
	subscriptions := slices.Sorted(maps.Keys(added))
	return write(ctx, s, func(t *tx) (dropped int, err error) {
		p, ok, err := row(t, aProgress, "SELECT positions, lost, dead FROM offsets WHERE webhook = $1 FOR NO KEY UPDATE", webhook)
		if err != nil || !ok {
			return 0, err
		}
		there, _, err := row(t, pgx.RowTo[int], "SELECT count(*) FROM letters WHERE webhook = $1 AND seq = $2 AND subscription = ANY($3)",
			webhook, event.Seq, subscriptions)
		if err != nil {
			return 0, err
		}
		n := p.Dead + len(added) - there
		if dropped = n - max; dropped > 0 {
			t.exec(`DELETE FROM letters WHERE webhook = $1 AND (seq, subscription) IN (SELECT seq, subscription FROM letters
				WHERE webhook = $1 AND NOT (seq = $2 AND subscription = ANY($3)) ORDER BY seq, subscription LIMIT $4)`,
				webhook, event.Seq, subscriptions, dropped)
		} else {
			dropped = 0
		}
		for _, id := range subscriptions {
			d := added[id]
			t.exec(`INSERT INTO letters (webhook, seq, subscription, liked, user_id, post_id, author_id, liked_at, at, attempts, why)
				VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) ON CONFLICT (webhook, seq, subscription) DO UPDATE SET
				liked = excluded.liked, user_id = excluded.user_id, post_id = excluded.post_id, author_id = excluded.author_id,
				liked_at = excluded.liked_at, at = excluded.at, attempts = excluded.attempts, why = excluded.why`,
				webhook, d.Event.Seq, id, d.Event.On, d.Event.User, d.Event.Post, d.Event.Author, micros(d.Event.At), micros(d.At), d.Attempts,
				d.Why)
		}
		t.exec("UPDATE offsets SET dead = $2 WHERE webhook = $1", webhook, n-dropped)
		var to liked.Positions
		to[liked.PartitionOf(event.User)] = event.Seq
		t.advance(webhook, p.Offsets, to)
		return dropped, nil
	})
}

func aDeadLetter(r pgx.CollectableRow) (d store.DeadLetter, err error) {
	var liked, at int64
	e := &d.Event
	err = r.Scan(&d.Webhook, &e.Seq, &d.Subscription, &e.On, &e.User, &e.Post, &e.Author, &liked, &at, &d.Attempts, &d.Why)
	e.At, d.At = timeOf(liked), timeOf(at)
	return d, err
}

func (s *Store) DeadLetters(ctx context.Context, id liked.WebhookID, after store.DeadLetter, max int) ([]store.DeadLetter, error) {
	if err := valid.Page(max); err != nil {
		return nil, err
	}
	return list(ctx, s, aDeadLetter, `SELECT webhook, seq, subscription, liked, user_id, post_id, author_id, liked_at, at, attempts, why
		FROM letters WHERE webhook = $1 AND (seq, subscription) > ($2, $3) ORDER BY seq, subscription LIMIT $4`,
		id, after.Event.Seq, after.Subscription, max)
}

func (s *Store) RemoveDeadLetter(ctx context.Context, d store.DeadLetter) error {
	return s.update(ctx, func(t *tx) error {
		t.queue("SELECT FROM offsets WHERE webhook = $1 FOR NO KEY UPDATE", d.Webhook)
		there := false
		t.exec("DELETE FROM letters WHERE webhook = $1 AND seq = $2 AND subscription = $3", d.Webhook, d.Event.Seq, d.Subscription).
			Exec(changed(&there))
		if err := t.send(); err != nil {
			return err
		}
		if t.wrote = there; there {
			t.exec("UPDATE offsets SET dead = dead - 1 WHERE webhook = $1", d.Webhook)
		}
		return nil
	})
}
