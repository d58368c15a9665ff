package portal

import (
	"errors"
	"time"

	"liked"
	"liked/internal/oauth"
	"liked/internal/web"
	"liked/internal/webhook"
)

// perAppChallenges bounds how often an owner can make the server call an address.
var perAppChallenges = []liked.RateRule{{App: true, Window: 15 * time.Minute, Max: 100}}

func (c *call) webhooksOf(app liked.App) (list []web.Webhook) {
	hooks, _ := c.Hooks.Store.Webhooks(c.Context, app.ID) // a failing store fails the next call, too
	for _, w := range hooks {
		v := web.Webhook{Webhook: w}
		if s, err := c.Hooks.Status(c.Context, app.ID, w.ID); err == nil { // else removed meanwhile
			v.Dead, v.Lost = s.Dead, s.Lost
		}
		list = append(list, v)
	}
	return list
}

func (c *call) changeWebhook(app liked.App, form oauth.Form) (*oauth.Answer, error) {
	do := form.First("do")
	id, err := liked.ParseID[liked.WebhookID](form.First("webhook"))
	if err != nil && do != "add" {
		return nil, oauth.ErrForm.Because("the field webhook is no id")
	}
	if do == "add" || do == "validate" {
		_, ok, err := c.Store.Take(c.Context, c.Now(), "developerApp", app.ID, 0, perAppChallenges, nil)
		if err != nil {
			return nil, err
		}
		if !ok {
			return c.webhookTrouble(app, form, "There were too many challenges. Try again in a quarter of an hour")
		}
	}
	var notice string
	switch do {
	case "add":
		_, err = c.Hooks.Add(c.Context, app.ID, form.First("url"))
		notice = "The webhook is registered."
	case "validate":
		_, err = c.Hooks.Validate(c.Context, app.ID, id)
		notice = "The webhook is valid. What waited is delivered now."
	case "replay":
		_, err = c.Hooks.Replay(c.Context, app.ID, id, liked.Replay{Dead: true})
		notice = "What was not taken is delivered again."
	case "remove":
		err = c.Hooks.Remove(c.Context, app.ID, id)
		notice = "The webhook is removed."
	default:
		return nil, oauth.ErrForm.Because("the field do is unknown")
	}
	if err == nil {
		return c.Done(pathOf(app), web.Outcome{Notice: notice})
	}
	text := trouble(err, do)
	if text == "" {
		return nil, err
	}
	return c.webhookTrouble(app, form, text)
}

// trouble describes an error that the owner can fix; "" for others.
func trouble(err error, do string) string {
	if refused, ok := errors.AsType[*webhook.ChallengeError](err); ok {
		return web.Sentence(refused.Error())
	}
	switch liked.KindOf(err) {
	case liked.Invalid:
		return web.Sentence(err.Error())
	case liked.Conflict:
		if do == "add" {
			return "This app has that webhook already"
		}
		return "It is being delivered again already: wait until that has ended"
	case liked.Forbidden:
		return "The app has as many webhooks as it may have: remove one to make room"
	case liked.NotFound:
		if do != "add" { // else the app itself is gone
			return "The app has no such webhook any more"
		}
	}
	return ""
}

// webhookTrouble shows what is wrong at the field for a new webhook, or for all of them.
func (c *call) webhookTrouble(app liked.App, form oauth.Form, text string) (*oauth.Answer, error) {
	field := "webhooks"
	if form.First("do") == "add" {
		field = "webhook-url"
	}
	return c.refuse(app, func(p *web.DeveloperPage) { p.WebhookURL = form.First("url") }, web.Problem{Field: field, Text: text})
}
