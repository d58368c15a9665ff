package store

import (
	"context"

	"liked"
)

// Hooks is to whom changes of likes are delivered, what they want, and how far each of them is in the like log.
type Hooks interface {
	// AddWebhook adds the webhook, whose place is the end of the log: what was liked before is not delivered to it.
	// Conflict if the id is taken or the app has a webhook with this URL, Forbidden if the app has max of them.
	AddWebhook(ctx context.Context, w liked.Webhook, max int) error
	// UpdateWebhook replaces the webhook by what change makes of it, as UpdateUser does. Id, app and URL cannot change.
	UpdateWebhook(ctx context.Context, id liked.WebhookID, change func(*liked.Webhook) error) error
	// DeleteWebhook removes the webhook with its place and its dead letters. Subscriptions that lead to it stay, and lead
	// nowhere. NotFound if it is not there.
	DeleteWebhook(ctx context.Context, id liked.WebhookID) error
	// Webhooks returns all webhooks, in order of id.
	Webhooks(ctx context.Context) ([]liked.Webhook, error)

	// AddSubscription adds the subscription, to likes after the newest that there is: it sets After. Conflict if the id is
	// taken or the app has a subscription with the same user, direction and webhook, Forbidden if it has max of them.
	AddSubscription(ctx context.Context, s liked.Subscription, max int) error
	// UpdateSubscription works as UpdateWebhook does, for a subscription of the app. Only Webhook, Tag and UpdatedAt can
	// change; Conflict is as in AddSubscription.
	UpdateSubscription(ctx context.Context, app liked.AppID, id liked.SubscriptionID, change func(*liked.Subscription) error) error
	DeleteSubscription(ctx context.Context, app liked.AppID, id liked.SubscriptionID) error
	// Subscriptions returns up to max subscriptions of the app with an id above after, in order of id.
	Subscriptions(ctx context.Context, app liked.AppID, after liked.SubscriptionID, max int) ([]liked.Subscription, error)

	// Progress returns how far the webhook is. NotFound if it is not there.
	Progress(ctx context.Context, id liked.WebhookID) (Progress, error)
	// Advance moves the places of webhooks forward, never back. Those of webhooks that are gone are left out.
	Advance(ctx context.Context, to map[liked.WebhookID]liked.Positions) error

	// Bury adds a dead letter, and moves the webhook's place in the partition of its event to the event. If the webhook
	// has max letters, the one with the oldest event is dropped for it. A letter that is there already is replaced. It does
	// nothing if the webhook is gone.
	Bury(ctx context.Context, d liked.DeadLetter, max int) (dropped bool, err error)
	// DeadLetters returns up to max letters of the webhook after the one given (of which only the position of the event
	// and the subscription count), in order of the log. The zero letter comes before all.
	DeadLetters(ctx context.Context, id liked.WebhookID, after liked.DeadLetter, max int) ([]liked.DeadLetter, error)
	// Unbury removes a dead letter, if it is there.
	Unbury(ctx context.Context, d liked.DeadLetter) error
}

// Progress is how far a webhook is.
type Progress struct {
	Places liked.Positions
	// Lost is the position below which entries were forgotten before the webhook was past them; zero: that never happened.
	// The log keeps entries for a time, whoever waits for them.
	Lost liked.Seq
	Dead int // letters
}
