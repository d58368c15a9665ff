package pgstore

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"liked"
	"liked/internal/store"
	"liked/internal/store/valid"
)

const webhookColumns = "webhook, app, url, created_at, valid, checked, why, replay_id, replay_at, replay_dead, replay_from, replay_to"

// webhookFields are the values of webhookColumns.
func webhookFields(w *liked.Webhook) []any {
	r := &w.Replay
	return []any{w.ID, w.App, w.URL, micros(w.CreatedAt), w.Valid, micros(w.Checked), w.Why, r.ID, micros(r.CreatedAt), r.Dead,
		micros(r.From), micros(r.To)}
}

// scanWebhook scans webhookColumns, and what comes before them into also.
func scanWebhook(r pgx.CollectableRow, also ...any) (w liked.Webhook, err error) {
	var created, checked, at, from, to int64
	err = r.Scan(append(also, &w.ID, &w.App, &w.URL, &created, &w.Valid, &checked, &w.Why, &w.Replay.ID, &at, &w.Replay.Dead, &from, &to)...)
	w.CreatedAt, w.Checked = timeOf(created), timeOf(checked)
	if w.Replay.ID == 0 {
		w.Replay = liked.Replay{}
	} else {
		w.Replay.CreatedAt, w.Replay.From, w.Replay.To = timeOf(at), timeOf(from), timeOf(to)
	}
	return w, err
}

func aWebhook(r pgx.CollectableRow) (liked.Webhook, error) { return scanWebhook(r) }

// subscribed has the transaction change subscriptions about the user.
func (t *tx) subscribed(s *Store, user liked.UserID) {
	t.change(s, store.Webhooks, func(g *generations) { of(g, about(user)).Add(1) })
}

// hooked has the transaction change webhooks, but no subscription.
func (t *tx) hooked(s *Store) { t.change(s, store.Webhooks, func(*generations) {}) }

// begin reads what decides whether the app may have one webhook or subscription more, after it has locked that, and returns
// the highest position of the log. Every like that is committed after the transaction has a higher one.
func (t *tx) begin(app liked.AppID) (end liked.Seq, err error) {
	var there bool
	t.lockAll()
	t.queue("SELECT FROM apps WHERE app = $1 AND NOT deleted FOR NO KEY UPDATE", app).Exec(changed(&there))
	end, _, err = row(t, pgx.RowTo[liked.Seq], "SELECT max(last) FROM lanes")
	if err == nil && !there {
		err = noSuch("app", app)
	}
	t.exec("UPDATE lanes SET last = $1 WHERE last < $1", end)
	return end, err
}

func (s *Store) AddWebhook(ctx context.Context, w liked.Webhook, max int) error {
	if err := valid.Webhook(&w); err != nil {
		return err
	}
	return s.update(ctx, func(t *tx) error {
		end, err := t.begin(w.App)
		if err != nil {
			return err
		}
		others, err := rows(t, aWebhook, "SELECT "+webhookColumns+" FROM webhooks WHERE app = $1 OR webhook = $2", w.App, w.ID)
		if err != nil {
			return err
		}
		n := 0
		for _, other := range others {
			if other.ID == w.ID {
				return taken("webhook", w.ID)
			}
		}
		for _, other := range others {
			if n++; other.URL == w.URL {
				return liked.Errorf(liked.Conflict, "app %v has webhook %v with this URL", w.App, other.ID)
			}
		}
		if n >= max {
			return liked.Errorf(liked.Forbidden, "app %v has %d webhooks, as many as it may", w.App, n)
		}
		t.exec("INSERT INTO webhooks ("+webhookColumns+") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)", webhookFields(&w)...)
		var at liked.Positions
		for i := range at {
			at[i] = end
		}
		t.exec("INSERT INTO offsets (webhook, positions) VALUES ($1, $2)", w.ID, at[:])
		t.hooked(s)
		return nil
	})
}

// UpdateWebhook calls change on the caller's goroutine, outside the transaction, which compares the version.
func (s *Store) UpdateWebhook(ctx context.Context, id liked.WebhookID, change func(*liked.Webhook) error) error {
	type stored struct {
		liked.Webhook
		version int64
	}
	for {
		old, err := first(ctx, s, noSuch("webhook", id), func(r pgx.CollectableRow) (w stored, err error) {
			w.Webhook, err = scanWebhook(r, &w.version)
			return w, err
		}, "SELECT version, "+webhookColumns+" FROM webhooks WHERE webhook = $1", id)
		if err != nil {
			return err
		}
		w := old.Webhook
		if err := change(&w); err != nil {
			return err
		}
		if w.ID != id || w.App != old.App || w.URL != old.URL {
			return liked.Errorf(liked.Invalid, "the id, the app and the URL of webhook %v cannot change", id)
		}
		if err := valid.Webhook(&w); err != nil {
			return err
		}
		err = s.update(ctx, func(t *tx) error {
			current := false
			t.exec(`UPDATE webhooks SET version = version + 1, app = $2, url = $3, created_at = $4, valid = $5, checked = $6, why = $7,
				replay_id = $8, replay_at = $9, replay_dead = $10, replay_from = $11, replay_to = $12 WHERE webhook = $1 AND version = $13`,
				append(webhookFields(&w), old.version)...).Exec(changed(&current))
			if err := t.send(); err != nil {
				return err
			}
			if !current {
				return asIs{errStale}
			}
			t.hooked(s)
			return nil
		})
		if !errors.Is(err, errStale) {
			return err
		}
	}
}

func (s *Store) DeleteWebhook(ctx context.Context, id liked.WebhookID) error {
	return s.update(ctx, func(t *tx) error {
		there := false
		t.exec("DELETE FROM webhooks WHERE webhook = $1", id).Exec(changed(&there))
		if err := t.send(); err != nil {
			return err
		}
		if !there {
			return noSuch("webhook", id)
		}
		t.exec("DELETE FROM offsets WHERE webhook = $1", id) // who adds letters holds this row
		t.exec("DELETE FROM letters WHERE webhook = $1", id)
		t.hooked(s)
		return nil
	})
}

// endHooks has the transaction, which has locked the app, remove its webhooks, what they hold, and its subscriptions.
func (t *tx) endHooks(s *Store, app liked.AppID) error {
	ids, err := rows(t, pgx.RowTo[liked.WebhookID], "SELECT webhook FROM webhooks WHERE app = $1 ORDER BY webhook FOR UPDATE", app)
	if err != nil {
		return err
	}
	for _, id := range ids { // few: an app has a limit of them
		t.exec("DELETE FROM webhooks WHERE webhook = $1", id)
		t.exec("DELETE FROM offsets WHERE webhook = $1", id)
		t.exec("DELETE FROM letters WHERE webhook = $1", id)
	}
	t.exec("DELETE FROM subscriptions WHERE app = $1", app)
	t.exec("DELETE FROM subscription_counts WHERE app = $1", app)
	t.change(s, store.Webhooks, func(g *generations) { g.all[store.Webhooks].Add(1) })
	return nil
}

func (s *Store) Webhook(ctx context.Context, id liked.WebhookID) (liked.Webhook, error) {
	return first(ctx, s, noSuch("webhook", id), aWebhook, "SELECT "+webhookColumns+" FROM webhooks WHERE webhook = $1", id)
}

func (s *Store) Webhooks(ctx context.Context, app liked.AppID) ([]liked.Webhook, error) {
	return list(ctx, s, aWebhook, "SELECT "+webhookColumns+" FROM webhooks WHERE $1::bigint = 0 OR app = $1 ORDER BY webhook", app)
}

const subscriptionColumns = "app, subscription, viewer, user_id, direction, webhook, tag, created_at, updated_at, after"

// scanSubscription scans subscriptionColumns, and what comes before them into also.
func scanSubscription(r pgx.CollectableRow, also ...any) (sub liked.Subscription, err error) {
	var created, updated int64
	err = r.Scan(append(also, &sub.App, &sub.ID, &sub.Viewer, &sub.User, &sub.Direction, &sub.Webhook, &sub.Tag, &created, &updated,
		&sub.After)...)
	sub.CreatedAt, sub.UpdatedAt = timeOf(created), timeOf(updated)
	return sub, err
}

func aSubscription(r pgx.CollectableRow) (liked.Subscription, error) { return scanSubscription(r) }

func (s *Store) AddSubscription(ctx context.Context, sub liked.Subscription, max int) error {
	if err := valid.Subscription(&sub); err != nil {
		return err
	}
	return s.update(ctx, func(t *tx) error {
		end, err := t.begin(sub.App)
		if err != nil {
			return err
		}
		var there bool
		t.queue("SELECT FROM subscriptions WHERE app = $1 AND subscription = $2", sub.App, sub.ID).Exec(changed(&there))
		n, _, err := row(t, pgx.RowTo[int], "SELECT n FROM subscription_counts WHERE app = $1 AND viewer = 0", sub.App)
		switch {
		case err != nil:
			return err
		case there:
			return taken("subscription", sub.ID)
		case n >= max:
			return liked.Errorf(liked.Forbidden, "app %v has %d subscriptions, as many as it may", sub.App, n)
		}
		if err := t.differs(&sub); err != nil {
			return err
		}
		t.exec("INSERT INTO subscriptions ("+subscriptionColumns+") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
			sub.App, sub.ID, sub.Viewer, sub.User, sub.Direction, sub.Webhook, sub.Tag, micros(sub.CreatedAt), micros(sub.UpdatedAt), end)
		t.countSubscription(s, &sub, 1)
		return nil
	})
}

// differs returns Conflict if the app, which is locked, has another subscription to the same.
func (t *tx) differs(sub *liked.Subscription) error {
	other, ok, err := row(t, pgx.RowTo[liked.SubscriptionID], `SELECT subscription FROM subscriptions
		WHERE app = $1 AND user_id = $2 AND direction = $3 AND webhook = $4 AND subscription <> $5`,
		sub.App, sub.User, sub.Direction, sub.Webhook, sub.ID)
	if err == nil && ok {
		err = liked.Errorf(liked.Conflict, "app %v has subscription %v to the same", sub.App, other)
	}
	return err
}

// countSubscription has the transaction count a subscription that is added, or removed (by -1).
func (t *tx) countSubscription(s *Store, sub *liked.Subscription, by int) {
	viewers := []liked.UserID{0, sub.Viewer}
	if sub.Viewer == 0 {
		viewers = viewers[:1]
	}
	t.exec(`INSERT INTO subscription_counts (app, viewer, n) SELECT $1, viewer, $3 FROM unnest($2::bigint[]) viewer
		ON CONFLICT (app, viewer) DO UPDATE SET n = subscription_counts.n + excluded.n`, sub.App, viewers, by)
	t.exec("DELETE FROM subscription_counts WHERE app = $1 AND viewer = ANY($2) AND n = 0", sub.App, viewers)
	t.subscribed(s, sub.User)
}

// UpdateSubscription calls change on the caller's goroutine, outside the transaction, which compares the version.
func (s *Store) UpdateSubscription(ctx context.Context, app liked.AppID, id liked.SubscriptionID,
	change func(*liked.Subscription) error) error {
	type stored struct {
		liked.Subscription
		version int64
	}
	for {
		old, err := first(ctx, s, noSuch("subscription", id), func(r pgx.CollectableRow) (sub stored, err error) {
			sub.Subscription, err = scanSubscription(r, &sub.version)
			return sub, err
		}, "SELECT version, "+subscriptionColumns+" FROM subscriptions WHERE app = $1 AND subscription = $2", app, id)
		if err != nil {
			return err
		}
		sub := old.Subscription
		if err := change(&sub); err != nil {
			return err
		}
		same := old.Subscription
		same.Webhook, same.Tag, same.UpdatedAt = sub.Webhook, sub.Tag, sub.UpdatedAt
		if sub != same {
			return liked.Errorf(liked.Invalid, "what subscription %v is about cannot change", id)
		}
		if err := valid.Subscription(&sub); err != nil {
			return err
		}
		err = s.update(ctx, func(t *tx) error {
			if sub.Webhook != old.Webhook {
				t.queue("SELECT FROM apps WHERE app = $1 FOR NO KEY UPDATE", app)
				if err := t.differs(&sub); err != nil {
					return err
				}
			}
			current := false
			t.exec(`UPDATE subscriptions SET version = version + 1, webhook = $4, tag = $5, updated_at = $6
				WHERE app = $1 AND subscription = $2 AND version = $3`, app, id, old.version, sub.Webhook, sub.Tag, micros(sub.UpdatedAt)).
				Exec(changed(&current))
			if err := t.send(); err != nil {
				return err
			}
			if !current {
				return asIs{errStale}
			}
			t.subscribed(s, sub.User)
			return nil
		})
		if !errors.Is(err, errStale) {
			return err
		}
	}
}

func (s *Store) DeleteSubscription(ctx context.Context, app liked.AppID, id liked.SubscriptionID) error {
	return s.update(ctx, func(t *tx) error {
		t.wrote = true
		sub, ok, err := row(t, aSubscription, "DELETE FROM subscriptions WHERE app = $1 AND subscription = $2 RETURNING "+subscriptionColumns,
			app, id)
		if err == nil && !ok {
			err = noSuch("subscription", id)
		}
		if err == nil {
			t.countSubscription(s, &sub, -1)
		}
		return err
	})
}

func (s *Store) Subscription(ctx context.Context, app liked.AppID, id liked.SubscriptionID) (liked.Subscription, error) {
	return first(ctx, s, noSuch("subscription", id), aSubscription,
		"SELECT "+subscriptionColumns+" FROM subscriptions WHERE app = $1 AND subscription = $2", app, id)
}

func (s *Store) Subscriptions(ctx context.Context, app liked.AppID, viewer liked.UserID, after liked.SubscriptionID,
	max int) ([]liked.Subscription, error) {
	if err := valid.Page(max); err != nil {
		return nil, err
	}
	if viewer != 0 {
		return list(ctx, s, aSubscription, "SELECT "+subscriptionColumns+` FROM subscriptions
			WHERE app = $1 AND viewer = $2 AND subscription > $3 ORDER BY subscription LIMIT $4`, app, viewer, after, max)
	}
	return list(ctx, s, aSubscription, "SELECT "+subscriptionColumns+` FROM subscriptions
		WHERE app = $1 AND subscription > $2 ORDER BY subscription LIMIT $3`, app, after, max)
}

func (s *Store) CountSubscriptions(ctx context.Context, app liked.AppID, viewer liked.UserID) (int, error) {
	all, err := list(ctx, s, pgx.RowTo[int], "SELECT n FROM subscription_counts WHERE app = $1 AND viewer = $2", app, viewer)
	if err != nil || len(all) == 0 {
		return 0, err
	}
	return all[0], nil
}

func (s *Store) SubscriptionsAbout(ctx context.Context, users []liked.UserID) ([]liked.Subscription, error) {
	return list(ctx, s, aSubscription, "SELECT "+subscriptionColumns+` FROM subscriptions
		WHERE user_id = ANY($1) ORDER BY user_id, app, subscription`, users)
}
