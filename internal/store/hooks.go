package store

import (
	"context"
	"time"

	"liked"
)

// Hooks is to whom changes of likes are delivered.
type Hooks interface {
	// AddWebhook adds the webhook, whose offsets are the end of the log: what was liked before is not delivered to it.
	// Conflict if the id is taken or the app has a webhook with this URL, Forbidden if the app has max of them.
	AddWebhook(ctx context.Context, w liked.Webhook, max int) error
	// UpdateWebhook replaces the webhook by what change makes of it, as UpdateUser does. Id, app and URL cannot change.
	UpdateWebhook(ctx context.Context, id liked.WebhookID, change func(*liked.Webhook) error) error
	// DeleteWebhook removes the webhook with its offsets and its dead letters. Subscriptions that lead to it stay, and lead
	// nowhere. NotFound if it is not there.
	DeleteWebhook(ctx context.Context, id liked.WebhookID) error
	// Webhook returns a webhook. NotFound if it is not there.
	Webhook(ctx context.Context, id liked.WebhookID) (liked.Webhook, error)
	// Webhooks returns the webhooks of the app, or all if that is zero, in order of id.
	Webhooks(ctx context.Context, app liked.AppID) ([]liked.Webhook, error)
}

// Subscriptions is what is delivered.
type Subscriptions interface {
	// AddSubscription adds the subscription, to likes after the newest that there is: it sets After. Conflict if the id is
	// taken or the app has a subscription with the same user, direction and webhook, Forbidden if it has max of them.
	AddSubscription(ctx context.Context, s liked.Subscription, max int) error
	// UpdateSubscription works as UpdateWebhook does, for a subscription of the app. Only Webhook, Tag and UpdatedAt can
	// change; Conflict is as in AddSubscription.
	UpdateSubscription(ctx context.Context, app liked.AppID, id liked.SubscriptionID, change func(*liked.Subscription) error) error
	DeleteSubscription(ctx context.Context, app liked.AppID, id liked.SubscriptionID) error
	// Subscription returns a subscription of the app. NotFound if it is not there.
	Subscription(ctx context.Context, app liked.AppID, id liked.SubscriptionID) (liked.Subscription, error)
	// Subscriptions returns up to max subscriptions of the app with an id above after, in order of id: those that the viewer
	// made, or all if that is zero.
	Subscriptions(ctx context.Context, app liked.AppID, viewer liked.UserID, after liked.SubscriptionID, max int) ([]liked.Subscription, error)
	// CountSubscriptions returns how many there are of those that Subscriptions lists. It reads one number.
	CountSubscriptions(ctx context.Context, app liked.AppID, viewer liked.UserID) (int, error)
	// SubscriptionsAbout returns all subscriptions to the users, in order of user, app and id.
	SubscriptionsAbout(ctx context.Context, users []liked.UserID) ([]liked.Subscription, error)
}

// Deliveries is how far each webhook is in the like log, and what it did not take.
type Deliveries interface {
	// Progress returns how far the webhook is. NotFound if it is not there.
	Progress(ctx context.Context, id liked.WebhookID) (Progress, error)
	// Advance moves the offsets of webhooks forward, never back. Those of webhooks that are gone are left out. Each webhook is
	// a step of its own: a crash may leave some where they were.
	Advance(ctx context.Context, to map[liked.WebhookID]liked.Positions) error

	// AddDeadLetters adds dead letters of one webhook and one event, and moves the webhook's offset in the partition of the
	// event to the event, in one step. Of more than max letters of the webhook those with the oldest events are dropped.
	// A letter that is there already is replaced. It does nothing if the webhook is gone. Invalid for letters that are not
	// of one webhook and event, and for more than max.
	AddDeadLetters(ctx context.Context, letters []DeadLetter, max int) (dropped int, err error)
	// DeadLetters returns up to max letters of the webhook after the one given (of which only the position of the event
	// and the subscription count), in order of the log and, where they are of one event, of their subscriptions. The zero
	// letter comes before all.
	DeadLetters(ctx context.Context, id liked.WebhookID, after DeadLetter, max int) ([]DeadLetter, error)
	// RemoveDeadLetter removes a dead letter, if it is there.
	RemoveDeadLetter(ctx context.Context, d DeadLetter) error
}

// DeadLetter is a like that a webhook did not take.
type DeadLetter struct {
	Webhook      liked.WebhookID
	Subscription liked.SubscriptionID
	Event        liked.LikeEvent
	At           time.Time // of the last attempt
	Attempts     int
	Why          string // what the last attempt came to
}

// Progress is how far a webhook is.
type Progress struct {
	Offsets liked.Positions // all up to them was dealt with
	// Lost is the position below which entries were forgotten before the webhook was past them; zero: that never happened.
	// The log keeps entries for a time, also those that a webhook waits for.
	Lost liked.Seq
	Dead int // letters
}
