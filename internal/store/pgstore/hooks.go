package pgstore

import (
	"context"

	"liked"
)

func (*Store) AddWebhook(ctx context.Context, w liked.Webhook, max int) error { panic("not built") }

func (*Store) DeleteWebhook(ctx context.Context, id liked.WebhookID) error { panic("not built") }

func (*Store) UpdateWebhook(ctx context.Context, id liked.WebhookID, change func(*liked.Webhook) error) error {
	panic("not built")
}

func (*Store) Webhook(ctx context.Context, id liked.WebhookID) (liked.Webhook, error) {
	panic("not built")
}

func (*Store) Webhooks(ctx context.Context, app liked.AppID) ([]liked.Webhook, error) {
	panic("not built")
}

func (*Store) AddSubscription(ctx context.Context, s liked.Subscription, max int) error {
	panic("not built")
}

func (*Store) CountSubscriptions(ctx context.Context, app liked.AppID, viewer liked.UserID) (int, error) {
	panic("not built")
}

func (*Store) DeleteSubscription(ctx context.Context, app liked.AppID, id liked.SubscriptionID) error {
	panic("not built")
}

func (*Store) Subscription(ctx context.Context, app liked.AppID, id liked.SubscriptionID) (liked.Subscription, error) {
	panic("not built")
}

func (*Store) Subscriptions(ctx context.Context, app liked.AppID, viewer liked.UserID, after liked.SubscriptionID,
	max int) ([]liked.Subscription, error) {
	panic("not built")
}

func (*Store) SubscriptionsAbout(ctx context.Context, users []liked.UserID) ([]liked.Subscription, error) {
	panic("not built")
}

func (*Store) UpdateSubscription(ctx context.Context, app liked.AppID, id liked.SubscriptionID,
	change func(*liked.Subscription) error) error {
	panic("not built")
}
