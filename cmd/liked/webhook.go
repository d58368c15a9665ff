package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"text/tabwriter"
	"time"

	"liked/internal/admin"
)

type webhookAddCmd struct {
	URL string `arg:"" json:"url" help:"Where likes are delivered to: https, and public unless the server allows more."`
	App string `json:"app" help:"Id, client id or name of the app. Required."`
	Output
	Operator
}

func (*webhookAddCmd) Help() string {
	return `Example:

  liked webhook add https://example.com/likes --app shop --data DIR

The endpoint is challenged at once: it has to answer with its app's API secret, as on X. What it gets is what the app
subscribes to, with POST /2/activity/subscriptions.`
}

func (c *webhookAddCmd) check() error {
	var err error
	if c.App == "" {
		err = errors.New("app: missing; give the id, client id or name of the app whose webhook it is")
	}
	return errors.Join(err, c.Operator.check())
}

func (c *webhookAddCmd) Run(e *env) error {
	return c.with(e, false, func(a *operator) error {
		var w admin.Webhook
		if err := a.call(http.MethodPost, "/admin/webhooks", c, &w); err != nil {
			return err
		}
		return c.print(e.stdout, w, webhookLines(w))
	})
}

func webhookLines(w admin.Webhook) [][2]string {
	lost := ""
	if w.LostBefore != nil {
		lost = "likes before " + w.LostBefore.UTC().Format(time.RFC3339)
	}
	return [][2]string{{"id", w.ID.String()}, {"app", w.App.String()}, {"url", w.URL}, {"state", webhookState(w)}, {"why", w.Why},
		{"created", w.CreatedAt.UTC().Format(time.RFC3339)}, {"checked", w.Checked.UTC().Format(time.RFC3339)},
		{"dead letters", fmt.Sprint(w.DeadLetters)}, {"delay", webhookDelay(w)}, {"lost", lost}}
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

func webhookDelay(w admin.Webhook) string {
	return time.Duration(w.DelaySeconds * float64(time.Second)).Round(time.Second).String()
}

type webhookListCmd struct {
	Output
	Operator
}

func (*webhookListCmd) Help() string { return "Example:\n\n  liked webhook list --data DIR" }

func (c *webhookListCmd) Run(e *env) error {
	return c.with(e, false, func(a *operator) error {
		var list admin.WebhookList
		if err := a.call(http.MethodGet, "/admin/webhooks", nil, &list); err != nil {
			return err
		}
		t := tabwriter.NewWriter(e.stdout, 0, 0, 2, ' ', 0)
		if !c.JSON {
			fmt.Fprintln(t, "ID\tAPP\tSTATE\tDEAD\tDELAY\tURL\tWHY")
		}
		for _, w := range list.Webhooks {
			if c.JSON {
				if err := json.NewEncoder(e.stdout).Encode(w); err != nil {
					return err
				}
				continue
			}
			fmt.Fprintf(t, "%d\t%d\t%s\t%d\t%s\t%s\t%s\n", w.ID, w.App, webhookState(w), w.DeadLetters, webhookDelay(w), w.URL, w.Why)
		}
		return t.Flush()
	})
}

type webhookRemoveCmd struct {
	ID string `arg:"" help:"Id of the webhook."`
	Operator
}

func (*webhookRemoveCmd) Help() string {
	return "Example:\n\n  liked webhook remove 1228393702244134912 --data DIR\n\nIts dead letters go with it. Subscriptions stay, and lead nowhere."
}

func (c *webhookRemoveCmd) Run(e *env) error {
	return c.with(e, false, func(a *operator) error {
		return a.call(http.MethodDelete, "/admin/webhooks/"+url.PathEscape(c.ID), nil, nil)
	})
}

type webhookValidateCmd struct {
	ID string `arg:"" help:"Id of the webhook."`
	Output
	Operator
}

func (*webhookValidateCmd) Help() string {
	return "Example:\n\n  liked webhook validate 1228393702244134912 --data DIR\n\nA right answer makes it valid, and deliveries go on where they stopped; any other makes it invalid."
}

func (c *webhookValidateCmd) Run(e *env) error {
	return c.with(e, false, func(a *operator) error {
		var w admin.Webhook
		if err := a.call(http.MethodPost, "/admin/webhooks/"+url.PathEscape(c.ID)+"/validate", nil, &w); err != nil {
			return err
		}
		return c.print(e.stdout, w, webhookLines(w))
	})
}

type webhookDeadCmd struct {
	ID string `arg:"" help:"Id of the webhook."`
	Output
	Operator
}

func (*webhookDeadCmd) Help() string {
	return "Example:\n\n  liked webhook dead 1228393702244134912 --data DIR\n\nLikes that the endpoint did not take, oldest first. \"liked webhook replay\" tries them again."
}

func (c *webhookDeadCmd) Run(e *env) error {
	return c.with(e, false, func(a *operator) error {
		t := tabwriter.NewWriter(e.stdout, 0, 0, 2, ' ', 0)
		if !c.JSON {
			fmt.Fprintln(t, "LIKED AT\tUSER\tPOST\tSUBSCRIPTION\tATTEMPTS\tWHY")
		}
		path := "/admin/webhooks/" + url.PathEscape(c.ID) + "/dead"
		for after := ""; ; {
			var page admin.DeadLetters
			if err := a.call(http.MethodGet, path+after, nil, &page); err != nil {
				return err
			}
			for _, d := range page.DeadLetters {
				if c.JSON {
					if err := json.NewEncoder(e.stdout).Encode(d); err != nil {
						return err
					}
					continue
				}
				fmt.Fprintf(t, "%s\t%d\t%d\t%d\t%d\t%s\n", d.LikedAt.UTC().Format(time.RFC3339), d.User, d.Post, d.Subscription, d.Attempts, d.Why)
			}
			if err := t.Flush(); err != nil || page.Next == "" {
				return err
			}
			after = "?after=" + url.QueryEscape(page.Next)
		}
	})
}

type webhookReplayCmd struct {
	ID   string     `arg:"" json:"-" help:"Id of the webhook."`
	From *time.Time `json:"from,omitempty" placeholder:"TIME" help:"Replay what happened since, as in 2026-03-01T12:00:00Z. Without it: the dead letters."`
	To   *time.Time `json:"to,omitempty" placeholder:"TIME" help:"Replay what happened before; without it until now."`
	Output
	Operator
}

func (*webhookReplayCmd) Help() string {
	return `Examples:

  liked webhook replay 1228393702244134912 --data DIR
  liked webhook replay 1228393702244134912 --from 2026-03-01T12:00:00Z --data DIR

The first tries the dead letters again, oldest first; those that are taken are dead no longer. The second delivers once
more what was delivered before, as far as the like log has it, which is 24 hours. A message to the endpoint tells when
it is done, as on X.`
}

func (c *webhookReplayCmd) Run(e *env) error {
	return c.with(e, false, func(a *operator) error {
		var s admin.Started
		if err := a.call(http.MethodPost, "/admin/webhooks/"+url.PathEscape(c.ID)+"/replay", c, &s); err != nil {
			return err
		}
		return c.print(e.stdout, s, [][2]string{{"job", s.Job}})
	})
}
