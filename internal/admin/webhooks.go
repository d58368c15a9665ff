package admin

import (
	"context"
	"errors"
	"fmt"
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
		return liked.Errorf(liked.Invalid, "the endpoint failed its challenge: %s", refused.Why)
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
