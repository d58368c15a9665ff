package store

import (
	"context"
	"time"

	"liked"
)

type Hooks interface {
	// AddWebhook adds the webhook, its offsets at the end of the log: earlier likes are not delivered. Conflict if the
	// id is taken or the app has a webhook with this URL, Forbidden if the app has max webhooks.
	AddWebhook(ctx context.Context, w liked.Webhook, max int) error
	// UpdateWebhook works as UpdateUser does. Id, app and URL cannot change.
	UpdateWebhook(ctx context.Context, id liked.WebhookID, change func(*liked.Webhook) error) error
	// DeleteWebhook removes the webhook, its offsets and its dead letters, but no subscriptions. NotFound if it is not there.
	DeleteWebhook(ctx context.Context, id liked.WebhookID) error
	Webhook(ctx context.Context, id liked.WebhookID) (liked.Webhook, error)
	// Webhooks returns the webhooks of the app (zero: of all apps), by id.
	Webhooks(ctx context.Context, app liked.AppID) ([]liked.Webhook, error)
}

type Subscriptions interface {
	// AddSubscription adds the subscription, and sets After to the newest like. Conflict if the id is taken or the app
	// has one with the same user, direction and webhook, Forbidden if the app has max.
	AddSubscription(ctx context.Context, s liked.Subscription, max int) error
	// UpdateSubscription works as UpdateUser does. Only Webhook, Tag and UpdatedAt can change; Conflict is as in
	// AddSubscription.
	UpdateSubscription(ctx context.Context, app liked.AppID, id liked.SubscriptionID, change func(*liked.Subscription) error) error
	DeleteSubscription(ctx context.Context, app liked.AppID, id liked.SubscriptionID) error
	Subscription(ctx context.Context, app liked.AppID, id liked.SubscriptionID) (liked.Subscription, error)
	// Subscriptions returns up to max subscriptions of the app with an id above after, by id, that the viewer (zero:
	// anyone) made.
	Subscriptions(ctx context.Context, app liked.AppID, viewer liked.UserID, after liked.SubscriptionID, max int) ([]liked.Subscription, error)
	// CountSubscriptions counts those that Subscriptions lists. It reads one number.
	CountSubscriptions(ctx context.Context, app liked.AppID, viewer liked.UserID) (int, error)
	// SubscriptionsAbout returns all subscriptions about the users, by user, app and id.
	SubscriptionsAbout(ctx context.Context, users []liked.UserID) ([]liked.Subscription, error)
}

// Deliveries keeps each webhook's offsets in the like log, and its dead letters.
type Deliveries interface {
	Progress(ctx context.Context, id liked.WebhookID) (Progress, error)
	// Advance moves offsets forward, never back, and ignores webhooks that are gone. Each webhook is a step of its own:
	// a crash may leave some unmoved.
	Advance(ctx context.Context, to map[liked.WebhookID]liked.Positions) error

	// AddDeadLetters adds or replaces dead letters of one webhook and one event, and moves the webhook's offset in the
	// event's partition to the event, in one step. If the webhook then has more than max, those with the oldest events are
	// dropped. It does nothing if the webhook is gone. Invalid for letters of several webhooks or events, or more than max.
	AddDeadLetters(ctx context.Context, letters []DeadLetter, max int) (dropped int, err error)
	// DeadLetters returns up to max letters of the webhook after the given one (only its event's position and its
	// subscription count; zero: from the first), in log order, and by subscription within an event.
	DeadLetters(ctx context.Context, id liked.WebhookID, after DeadLetter, max int) ([]DeadLetter, error)
	// RemoveDeadLetter removes a dead letter, if it exists.
	RemoveDeadLetter(ctx context.Context, d DeadLetter) error
}

// DeadLetter is a like that a webhook did not accept.
type DeadLetter struct {
	Webhook      liked.WebhookID
	Subscription liked.SubscriptionID
	Event        liked.LikeEvent
	At           time.Time // of the last attempt
	Attempts     int
	Why          string // result of the last attempt
}

// Progress is how far a webhook is.
type Progress struct {
	Offsets liked.Positions // all entries up to them are done
	// Lost is the position below which the log, which keeps entries for a limited time, dropped some before the webhook
	// was past them; zero: never.
	Lost liked.Seq
	Dead int // letters
}
