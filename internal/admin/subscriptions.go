package admin

import (
	"net/http"
	"time"

	"liked"
)

// NewSubscription subscribes an app to likes.
type NewSubscription struct {
	User      string          `json:"user"`                // id or username, whose likes and posts it is about
	Direction string          `json:"direction,omitempty"` // "outbound": likes by the user, "inbound": of their posts; none: both
	Webhook   liked.WebhookID `json:"webhook,omitempty"`   // zero: none yet
	Tag       string          `json:"tag,omitempty"`       // which each event repeats
}

// Subscription is what an app subscribes to.
type Subscription struct {
	ID        liked.SubscriptionID `json:"id"`
	App       liked.AppID          `json:"app"`
	User      liked.UserID         `json:"user"`
	Viewer    liked.UserID         `json:"viewer,omitempty"` // who made it, and sees only what they may; zero: the app
	Direction string               `json:"direction,omitempty"`
	Webhook   liked.WebhookID      `json:"webhook,omitempty"`
	Tag       string               `json:"tag,omitempty"`
	CreatedAt time.Time            `json:"created_at"`
	UpdatedAt time.Time            `json:"updated_at"`
}

func subscriptionOf(s liked.Subscription) Subscription {
	return Subscription{s.ID, s.App, s.User, s.Viewer, s.Direction.String(), s.Webhook, s.Tag, s.CreatedAt, s.UpdatedAt}
}

// SubscriptionPage is a page in order of id. With Next there may be more after it.
type SubscriptionPage struct {
	Subscriptions []Subscription       `json:"subscriptions"`
	Next          liked.SubscriptionID `json:"next,omitempty"`
}

func (h *Handler) subscriptions(r *http.Request, app liked.App) (SubscriptionPage, error) {
	var most int
	var after liked.SubscriptionID
	if err := query(r, map[string]func(string) error{"max": upTo(&most), "after": into(&after)}); err != nil {
		return SubscriptionPage{}, err
	}
	subs, err := h.Store.Subscriptions(r.Context(), app.ID, 0, after, most)
	page := SubscriptionPage{Subscriptions: each(subs, subscriptionOf)}
	if len(subs) == most {
		page.Next = subs[most-1].ID
	}
	return page, err
}

func (h *Handler) addSubscription(r *http.Request, in NewSubscription) (Subscription, error) {
	app, err := h.pathApp(r)
	if err != nil {
		return Subscription{}, err
	}
	user, err := h.user(r.Context(), in.User)
	if err != nil {
		return Subscription{}, err
	}
	direction, err := liked.ParseDirection(in.Direction)
	if err != nil {
		return Subscription{}, err
	}
	s, err := h.Hooks.Subscribe(r.Context(), liked.Subscription{App: app.ID, Viewer: user.ID, User: user.ID, Direction: direction,
		Webhook: in.Webhook, Tag: in.Tag})
	return subscriptionOf(s), err
}

func (h *Handler) removeSubscription(r *http.Request, app liked.App) (Changed, error) {
	id, err := liked.ParseID[liked.SubscriptionID](r.PathValue("subscription"))
	if err != nil {
		return Changed{}, liked.Errorf(liked.NotFound, "app %v has no subscription %q", app.ID, r.PathValue("subscription"))
	}
	return Changed{true}, h.Store.DeleteSubscription(r.Context(), app.ID, id)
}
