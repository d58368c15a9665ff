package admin

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"

	"liked"
	"liked/internal/store"
	"liked/internal/webhook"
)

type Webhook struct {
	ID           liked.WebhookID `json:"id"`
	App          liked.AppID     `json:"app"`
	URL          string          `json:"url"`
	CreatedAt    time.Time       `json:"created_at"`
	Valid        bool            `json:"valid"`
	Checked      time.Time       `json:"checked"`       // when it last passed a challenge
	Why          string          `json:"why,omitempty"` // why it last failed one
	Replaying    bool            `json:"replaying,omitempty"`
	DeadLetters  int             `json:"dead_letters"`          // likes that it did not accept
	DelaySeconds float64         `json:"delay_seconds"`         // how long the oldest waiting like has waited
	LostBefore   *time.Time      `json:"lost_before,omitempty"` // likes before it were dropped undelivered
}

type WebhookList struct {
	Webhooks []Webhook `json:"webhooks"`
}

// NewWebhook creates a webhook, which is challenged at once.
type NewWebhook struct {
	App string `json:"app"` // id, client id or name
	URL string `json:"url"`
}

// WebhookReplay requests redelivery of the dead letters, or of the likes in a period.
type WebhookReplay struct {
	From *time.Time `json:"from,omitempty"` // nil: the dead letters
	To   *time.Time `json:"to,omitempty"`   // exclusive; nil: now
}

type Started struct {
	Job string `json:"job"`
}

type DeadLetter struct {
	Event        string               `json:"event"` // its position in the like log
	Subscription liked.SubscriptionID `json:"subscription"`
	User         liked.UserID         `json:"user"`
	Post         liked.PostID         `json:"post"`
	LikedAt      time.Time            `json:"liked_at"`
	At           time.Time            `json:"at"` // of the last attempt
	Attempts     int                  `json:"attempts"`
	Why          string               `json:"why"`
}

// DeadLetters is a page, oldest like first. With Next there may be more after it.
type DeadLetters struct {
	DeadLetters []DeadLetter `json:"dead_letters"`
	Next        string       `json:"next,omitempty"`
}

func (h *Handler) webhookOf(ctx context.Context, id liked.WebhookID) (Webhook, error) {
	s, err := h.Hooks.Status(ctx, 0, id)
	w := Webhook{ID: s.ID, App: s.App, URL: s.URL, CreatedAt: s.CreatedAt, Valid: s.Valid, Checked: s.Checked, Why: s.Why,
		Replaying: s.Replay.ID != 0, DeadLetters: s.Dead, DelaySeconds: s.Delay.Seconds()}
	if !s.Lost.IsZero() {
		w.LostBefore = &s.Lost
	}
	return w, err
}

// hookError makes a failed challenge Invalid; package webhook gives it no kind.
func hookError(err error) error {
	if refused, ok := errors.AsType[*webhook.ChallengeError](err); ok {
		return liked.Errorf(liked.Invalid, "%v", refused)
	}
	return err
}

func (h *Handler) addWebhook(r *http.Request, in NewWebhook) (Webhook, error) {
	app, err := h.app(r.Context(), in.App)
	if err != nil {
		return Webhook{}, err
	}
	w, err := h.Hooks.Add(r.Context(), app.ID, in.URL)
	if err != nil {
		return Webhook{}, hookError(err)
	}
	return h.webhookOf(r.Context(), w.ID)
}

func (h *Handler) webhooks(r *http.Request) (WebhookList, error) {
	all, err := h.Store.Webhooks(r.Context(), 0)
	if err != nil {
		return WebhookList{}, err
	}
	list := WebhookList{[]Webhook{}}
	for _, w := range all {
		one, err := h.webhookOf(r.Context(), w.ID)
		if err != nil && liked.KindOf(err) == liked.NotFound {
			continue // removed since
		}
		if err != nil {
			return WebhookList{}, err
		}
		list.Webhooks = append(list.Webhooks, one)
	}
	return list, nil
}

func pathWebhook(r *http.Request) (liked.WebhookID, error) {
	id, err := liked.ParseID[liked.WebhookID](r.PathValue("webhook"))
	if err != nil {
		return 0, liked.Errorf(liked.NotFound, "no webhook %q; list them with: liked webhook list", r.PathValue("webhook"))
	}
	return id, nil
}

func (h *Handler) removeWebhook(r *http.Request, id liked.WebhookID) (Changed, error) {
	return Changed{true}, h.Hooks.Remove(r.Context(), 0, id)
}

func (h *Handler) validateWebhook(r *http.Request, id liked.WebhookID) (Webhook, error) {
	if _, err := h.Hooks.Validate(r.Context(), 0, id); err != nil {
		return Webhook{}, hookError(err)
	}
	return h.webhookOf(r.Context(), id)
}

func (h *Handler) replayWebhook(r *http.Request, in WebhookReplay) (Started, error) {
	id, err := pathWebhook(r)
	if err != nil {
		return Started{}, err
	}
	job := liked.Replay{Dead: true}
	switch {
	case in.From != nil:
		job = liked.Replay{From: *in.From, To: h.Now()}
		if in.To != nil {
			job.To = *in.To
		}
		if !job.From.Before(job.To) {
			return Started{}, liked.Errorf(liked.Invalid, "a replay begins before it ends")
		}
	case in.To != nil:
		return Started{}, liked.Errorf(liked.Invalid, "a replay up to a time needs a time to begin at")
	}
	job, err = h.Hooks.Replay(r.Context(), 0, id, job)
	return Started{strconv.FormatInt(job.ID, 10)}, hookError(err)
}

// TestEvent says which like a webhook is to hear of; what is left out is chosen.
type TestEvent struct {
	User string       `json:"user,omitempty"` // id or username of who a subscription is about; none: that of the first subscription
	Post liked.PostID `json:"post,omitempty"` // zero: the newest
}

// WebhookDelivery names a like as the journal and the list of dead letters do.
type WebhookDelivery struct {
	Event        string               `json:"event"`
	Subscription liked.SubscriptionID `json:"subscription"`
}

// Sent is what became of one attempt.
type Sent struct {
	Delivered     bool   `json:"delivered"`
	Status        int    `json:"status"`         // 0: there was no answer
	Why           string `json:"why,omitempty"`  // why it was not accepted
	TransactionID string `json:"transaction_id"` // by which the journal of a development server has it
}

func sentOf(s webhook.Sent, err error) (Sent, error) {
	return Sent{s.Why == "", s.Status, s.Why, s.TransactionID}, hookError(err)
}

func (h *Handler) testWebhook(r *http.Request, in TestEvent) (Sent, error) {
	ctx := r.Context()
	id, err := pathWebhook(r)
	if err != nil {
		return Sent{}, err
	}
	w, err := h.Hooks.Webhook(ctx, 0, id)
	if err != nil {
		return Sent{}, err
	}
	s, err := h.subscriptionTo(ctx, w, in.User)
	if err != nil {
		return Sent{}, err
	}
	p, err := h.postToLike(ctx, s, in.Post)
	if err != nil {
		return Sent{}, err
	}
	now := h.Now()
	e := liked.LikeEvent{Seq: liked.SeqAt(now) + liked.Seq(rand.N(1<<20)), On: true, User: s.User, Post: p.ID, Author: p.Author, At: now}
	return sentOf(h.Hooks.Send(ctx, s, e))
}

// subscriptionTo finds a subscription that leads to the webhook, about the user if one is named. Without one it is made up.
func (h *Handler) subscriptionTo(ctx context.Context, w liked.Webhook, name string) (s liked.Subscription, err error) {
	var user liked.User
	if name != "" {
		if user, err = h.user(ctx, name); err != nil {
			return s, err
		}
	}
	for after := (liked.SubscriptionID)(0); ; {
		const page = 1000
		subs, err := h.Store.Subscriptions(ctx, w.App, 0, after, page)
		if err != nil {
			return s, err
		}
		for _, s := range subs {
			if s.Webhook == w.ID && (name == "" || s.User == user.ID) {
				return s, nil
			}
		}
		if len(subs) < page {
			break
		}
		after = subs[page-1].ID
	}
	if name == "" {
		return s, liked.Errorf(liked.Invalid, "no subscription leads to webhook %v: give a user, or subscribe to one", w.ID)
	}
	return liked.Subscription{ID: liked.SubscriptionID(h.Store.NewID(h.Now())), App: w.App, Viewer: user.ID, User: user.ID,
		Direction: liked.Outbound, Webhook: w.ID}, nil
}

// postToLike finds the post, or the newest that a like of the subscription's user may be about.
func (h *Handler) postToLike(ctx context.Context, s liked.Subscription, id liked.PostID) (liked.Post, error) {
	var author liked.UserID
	if s.Direction == liked.Inbound {
		author = s.User
	}
	if id != 0 {
		p, err := h.Store.Post(ctx, store.Operator, id)
		if err == nil && author != 0 && p.Author != author {
			err = liked.Errorf(liked.NotFound, "post %v is not by user %v, whose posts subscription %v is about", id, author, s.ID)
		}
		return p, err
	}
	const most = 100
	posts, err := h.Store.PostsBy(ctx, author, 0, most)
	if err != nil {
		return liked.Post{}, err
	}
	for _, p := range posts {
		if p.RepostOf == 0 {
			return p, nil
		}
	}
	if author != 0 {
		return liked.Post{}, liked.Errorf(liked.NotFound, "subscription %v is about the posts of user %v, who has none", s.ID, author)
	}
	return liked.Post{}, liked.Errorf(liked.NotFound, "there is no post: add one")
}

func (h *Handler) redeliver(r *http.Request, in WebhookDelivery) (Sent, error) {
	id, err := pathWebhook(r)
	if err != nil {
		return Sent{}, err
	}
	event, err := strconv.ParseUint(in.Event, 10, 64)
	if err != nil || event == 0 || in.Subscription == 0 {
		return Sent{}, liked.Errorf(liked.Invalid, "a delivery has an event and a subscription, as the journal and dead letters say")
	}
	return sentOf(h.Hooks.Redeliver(r.Context(), 0, id, in.Subscription, liked.Seq(event)))
}

func (h *Handler) deadLetters(r *http.Request, id liked.WebhookID) (DeadLetters, error) {
	if _, err := h.Hooks.Webhook(r.Context(), 0, id); err != nil {
		return DeadLetters{}, err
	}
	var after store.DeadLetter
	err := query(r, map[string]func(string) error{"after": func(text string) error {
		if n, err := fmt.Sscanf(text, "%d-%d", &after.Event.Seq, &after.Subscription); n != 2 || err != nil {
			return errors.New("not the next of a page")
		}
		return nil
	}})
	if err != nil {
		return DeadLetters{}, err
	}
	const page = 1000
	letters, err := h.Store.DeadLetters(r.Context(), id, after, page)
	if err != nil {
		return DeadLetters{}, err
	}
	list := DeadLetters{DeadLetters: each(letters, func(d store.DeadLetter) DeadLetter {
		return DeadLetter{Event: strconv.FormatUint(uint64(d.Event.Seq), 10), Subscription: d.Subscription,
			User: d.Event.User, Post: d.Event.Post, LikedAt: d.Event.At, At: d.At, Attempts: d.Attempts, Why: d.Why}
	})}
	if len(letters) == page {
		list.Next = fmt.Sprintf("%d-%d", letters[page-1].Event.Seq, letters[page-1].Subscription)
	}
	return list, nil
}
