package main

import (
	"fmt"
	"time"

	"liked/internal/admin"
)

type webhookAddCmd struct {
	URL string `arg:"" json:"url" help:"Where likes are delivered to: https, and public unless the server allows more."`
	App string `json:"app" need:"the id, client id or name of the app whose webhook it is" help:"Id, client id or name of the app."`
	Answer
}

func (c *webhookAddCmd) Run(e *env) error {
	return show(e, &c.Answer, request{method: "POST", path: at("webhooks"), body: c}, webhookLines)
}

func webhookLines(w admin.Webhook) [][2]string {
	lost := ""
	if w.LostBefore != nil {
		lost = "likes before " + when(*w.LostBefore)
	}
	return [][2]string{{"id", w.ID.String()}, {"app", w.App.String()}, {"url", w.URL}, {"state", webhookState(w)}, {"why", w.Why},
		{"created", when(w.CreatedAt)}, {"checked", when(w.Checked)}, {"dead letters", fmt.Sprint(w.DeadLetters)},
		{"delay", webhookDelay(w).String()}, {"lost", lost}}
}

func webhookState(w admin.Webhook) string {
	state := "invalid"
	if w.Valid {
		state = "valid"
	}
	if w.Replaying {
		state += ", replaying"
	}
	return state
}

func webhookDelay(w admin.Webhook) time.Duration {
	return time.Duration(w.DelaySeconds * float64(time.Second)).Round(time.Second)
}

type webhookListCmd struct{ Answer }

func (c *webhookListCmd) Run(e *env) error {
	return list(e, &c.Answer, at("webhooks"), "ID\tAPP\tSTATE\tDEAD\tDELAY\tURL\tWHY",
		func(all admin.WebhookList) ([]admin.Webhook, string) { return all.Webhooks, "" },
		func(w admin.Webhook) []any {
			return []any{w.ID, w.App, webhookState(w), w.DeadLetters, webhookDelay(w), w.URL, w.Why}
		})
}

type webhookRemoveCmd struct {
	ID string `arg:"" help:"Id of the webhook."`
	Operator
}

func (c *webhookRemoveCmd) Run(e *env) error {
	return c.do(e, request{method: "DELETE", path: at("webhooks", c.ID)})
}

type webhookValidateCmd struct {
	ID string `arg:"" help:"Id of the webhook."`
	Answer
}

func (c *webhookValidateCmd) Run(e *env) error {
	return show(e, &c.Answer, request{method: "POST", path: at("webhooks", c.ID, "validate")}, webhookLines)
}

type webhookDeadCmd struct {
	ID string `arg:"" help:"Id of the webhook."`
	Answer
}

func (c *webhookDeadCmd) Run(e *env) error {
	path := at("webhooks", c.ID, "dead") + "?"
	return list(e, &c.Answer, path, "LIKED AT\tUSER\tPOST\tSUBSCRIPTION\tATTEMPTS\tWHY",
		func(page admin.DeadLetters) ([]admin.DeadLetter, string) {
			return page.DeadLetters, nextPage(path, "after", page.Next)
		},
		func(d admin.DeadLetter) []any {
			return []any{when(d.LikedAt), d.User, d.Post, d.Subscription, d.Attempts, d.Why}
		})
}

type webhookReplayCmd struct {
	ID   string     `arg:"" json:"-" help:"Id of the webhook."`
	From *time.Time `json:"from,omitempty" placeholder:"TIME"`
	To   *time.Time `json:"to,omitempty" placeholder:"TIME" help:"Replay what happened before; without it until now."`
	Answer
}

func (c *webhookReplayCmd) Run(e *env) error {
	return show(e, &c.Answer, request{method: "POST", path: at("webhooks", c.ID, "replay"), body: c},
		func(s admin.Started) [][2]string { return [][2]string{{"job", s.Job}} })
}
