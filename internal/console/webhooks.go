package console

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"liked"
	"liked/internal/admin"
	"liked/internal/journal"
)

const webhooksPath = Path + "/webhooks"

var webhookRoutes = []route{
	{pattern: "GET /console/webhooks", serve: (*call).webhooks},
	{pattern: "POST /console/webhooks", serve: (*call).addWebhook},
	{pattern: "GET /console/webhooks/{webhook}", serve: (*call).webhook},
	{pattern: "POST /console/webhooks/{webhook}/test", serve: (*call).testWebhook},
	{pattern: "POST /console/webhooks/{webhook}/validate", serve: (*call).validateWebhook},
	{pattern: "POST /console/webhooks/{webhook}/replay", serve: (*call).replayWebhook},
	{pattern: "POST /console/webhooks/{webhook}/redeliver", serve: (*call).redeliver},
	{pattern: "POST /console/webhooks/{webhook}/remove", serve: (*call).removeWebhook},
	{pattern: "POST /console/webhooks/{webhook}/subscriptions", serve: (*call).subscribe},
	{pattern: "POST /console/webhooks/{webhook}/unsubscribe", serve: (*call).unsubscribe},
	{pattern: "GET /console/webhooks/deliveries/{transaction}", serve: (*call).delivery},
}

// hook is a webhook with the name of its app.
type hook struct {
	admin.Webhook
	AppName string
}

// Path is the webhook's page.
func (h hook) Path() string { return webhooksPath + "/" + h.ID.String() }

// Delay is how long the oldest like has waited, in words; "" for none.
func (h hook) Delay() string {
	if h.DelaySeconds < 1 {
		return ""
	}
	return lasts(time.Duration(h.DelaySeconds * float64(time.Second)))
}

func (c *call) hooks() (list []hook, err error) {
	all, err := get[admin.WebhookList](c, "/admin/webhooks", nil)
	if err != nil {
		return nil, err
	}
	names := c.newNames()
	for _, w := range all.Webhooks {
		list = append(list, hook{w, names.app(c.Context(), w.App.String())})
	}
	return list, nil
}

// told is a like that a webhook was told of, or an order of a replay, with the last attempt at it.
type told struct {
	listed
	Like     like
	Attempts int // in the journal
}

// Page is the page of the delivery.
func (t told) Page() string { return webhooksPath + "/deliveries/" + t.TransactionID }

// like is what the body of an event says.
type like struct {
	UUID, Tag, Post string
	Text            string // of the post, its beginning
}

func readLike(body string) (l like) {
	var event struct {
		Data struct {
			UUID    string `json:"event_uuid"`
			Tag     string
			Payload struct {
				Post string `json:"liked_tweet_id"`
			}
			Includes struct{ Tweets []struct{ Text string } }
		}
	}
	if json.Unmarshal([]byte(body), &event) != nil {
		return l // it was cut off
	}
	l = like{UUID: event.Data.UUID, Tag: event.Data.Tag, Post: event.Data.Payload.Post}
	if posts := event.Data.Includes.Tweets; len(posts) > 0 {
		l.Text = shortened(posts[0].Text, 80)
	}
	return l
}

const (
	attemptsRead = 200 // at once
	partsRead    = 20  // at most, of all webhooks, to find what one was told of
	maxTold      = 50  // deliveries that a page shows
)

// deliveries lists the newest deliveries, those to one webhook if there is one, and says where the page after them begins.
func (c *call) deliveries(to liked.WebhookID, after string) (list []told, next string, err error) {
	limit := maxTold // so that a page leaves out none which the next one does not have
	if to != 0 {
		limit = attemptsRead
	}
	query := url.Values{"operation": {"webhookDelivery"}, "limit": {strconv.Itoa(limit)}}
	names := c.newNames()
	at := make(map[journal.Delivery]int)
	for range partsRead {
		if after != "" {
			query.Set("after", after)
		}
		part, err := c.admin.Requests(c.Context(), query)
		if err != nil {
			return nil, "", err
		}
		for _, row := range part.Data {
			if row.Delivery == nil {
				continue // what ends a replay
			}
			if to != 0 && row.Delivery.Webhook != to.String() {
				continue
			}
			if i, ok := at[*row.Delivery]; ok {
				list[i].Attempts++
				continue
			}
			if len(list) == maxTold {
				continue
			}
			at[*row.Delivery] = len(list)
			t := told{listed: names.listed(c.Context(), row), Attempts: 1}
			if d, err := c.admin.Request(c.Context(), row.TransactionID); err == nil { // else forgotten meanwhile
				t.Like = readLike(d.Request.Body)
			}
			list = append(list, t)
		}
		if after = part.Next; after == "" || to == 0 || len(list) == maxTold {
			break
		}
	}
	return list, after, nil
}

// webhooksPage is the data of webhooks.html.
type webhooksPage struct {
	form
	Hooks      []hook
	URLs       map[string]string // by id
	Deliveries []told
	Older      string // address of the next page
	Newest     bool
	NoJournal  string
}

func (c *call) webhooks() (answer, error) { return c.showWebhooks(form{}) }

func (c *call) showWebhooks(f form) (answer, error) {
	hooks, err := c.hooks()
	if err != nil {
		return answer{}, err
	}
	after := c.URL.Query().Get("after")
	p := webhooksPage{form: f, Hooks: hooks, URLs: make(map[string]string), Newest: after == ""}
	for _, h := range hooks {
		p.URLs[h.ID.String()] = h.URL
	}
	var next string
	p.Deliveries, next, err = c.deliveries(0, after)
	if err != nil {
		p.NoJournal = sentence(err.Error())
	}
	if next != "" {
		p.Older = webhooksPath + "?after=" + next + "#deliveries"
	}
	return page("webhooks", "Webhooks", p)
}

func (c *call) addWebhook() (answer, error) {
	in := admin.NewWebhook{App: c.PostForm.Get("app"), URL: strings.TrimSpace(c.PostForm.Get("url"))}
	var made admin.Webhook
	if err := c.change(http.MethodPost, "/admin/webhooks", in, &made); err != nil {
		if f, ok := c.refused(err); ok {
			return unfit(c.showWebhooks(f))
		}
		return answer{}, err
	}
	return c.back(hook{Webhook: made}.Path(), Notice{Text: "It answered its challenge. Now subscribe to somebody’s likes."})
}

// subscription is what an app subscribes to, with the user's name.
type subscription struct {
	admin.Subscription
	Username string
}

// webhookPage is the data of webhooks_one.html.
type webhookPage struct {
	form
	Hook          hook
	Subscriptions []subscription
	MoreSubs      bool
	Dead          []letter
	Deliveries    []told
}

type letter struct {
	admin.DeadLetter
	Username string
}

func (c *call) webhook() (answer, error) { return c.showWebhook(form{}) }

func (c *call) showWebhook(f form) (answer, error) {
	h, err := c.hook()
	if err != nil {
		return answer{}, err
	}
	p := webhookPage{form: f, Hook: h}
	names := c.newNames()
	if p.Subscriptions, p.MoreSubs, err = c.subscriptionsTo(names, h); err != nil {
		return answer{}, err
	}
	dead, err := get[admin.DeadLetters](c, "/admin/webhooks/"+h.ID.String()+"/dead", nil)
	if err != nil {
		return answer{}, err
	}
	for _, d := range dead.DeadLetters[:min(len(dead.DeadLetters), maxTold)] {
		p.Dead = append(p.Dead, letter{d, names.user(c.Context(), d.User.String())})
	}
	p.Deliveries, _, _ = c.deliveries(h.ID, "") // without a journal there are none
	return page("webhooks_one", h.URL, p)
}

// hook is the one that the path names.
func (c *call) hook() (hook, error) {
	hooks, err := c.hooks()
	for _, h := range hooks {
		if h.ID.String() == c.PathValue("webhook") {
			return h, nil
		}
	}
	if err == nil {
		err = liked.Errorf(liked.NotFound, "This webhook is not there any more.")
	}
	return hook{}, err
}

// subscriptionsTo lists the first subscriptions that lead to the webhook.
func (c *call) subscriptionsTo(names *names, h hook) (list []subscription, more bool, err error) {
	for query := (url.Values{"max": {"1000"}}); ; {
		page, err := get[admin.SubscriptionPage](c, "/admin/apps/"+h.App.String()+"/subscriptions", query)
		if err != nil {
			return nil, false, err
		}
		for _, s := range page.Subscriptions {
			if s.Webhook != h.ID {
				continue
			}
			if len(list) == maxTold {
				return list, true, nil
			}
			list = append(list, subscription{s, names.user(c.Context(), s.User.String())})
		}
		if page.Next == 0 {
			return list, false, nil
		}
		query.Set("after", page.Next.String())
	}
}

// call calls the webhook's endpoint of that name.
func (c *call) call(endpoint string, in, out any) error {
	return c.change(http.MethodPost, "/admin/webhooks/"+url.PathEscape(c.PathValue("webhook"))+"/"+endpoint, in, out)
}

// sent goes back with what became of an attempt.
func (c *call) sent(s admin.Sent, err error) (answer, error) {
	if err != nil {
		f, ok := c.refused(err)
		if !ok {
			return answer{}, err
		}
		return c.back(c.from(), Notice{Text: "Nothing was sent. " + f.Error})
	}
	n := Notice{Text: fmt.Sprintf("It was accepted: the webhook answered %d.", s.Status),
		Link: webhooksPath + "/deliveries/" + s.TransactionID}
	if !s.Delivered {
		n.Text = "It was not accepted. " + sentence(s.Why)
	}
	return c.back(c.from(), n)
}

// testWebhook sends a test event: about whom the form says, else whom a subscription is about, else as whom one calls.
func (c *call) testWebhook() (answer, error) {
	in := map[string]string{}
	for _, name := range []string{"user", "post"} {
		if value := strings.TrimPrefix(strings.TrimSpace(c.PostForm.Get(name)), "@"); value != "" {
			in[name] = value
		}
	}
	if in["user"] == "" {
		h, err := c.hook()
		if err != nil {
			return answer{}, err
		}
		subs, _, err := c.subscriptionsTo(c.newNames(), h)
		if err != nil {
			return answer{}, err
		}
		if me := c.Identity(c.Request).User; len(subs) == 0 && me != "" {
			in["user"] = me
		}
	}
	var s admin.Sent
	return c.sent(s, c.call("test", in, &s))
}

func (c *call) redeliver() (answer, error) {
	in := map[string]string{"event": c.PostForm.Get("event"), "subscription": c.PostForm.Get("subscription")}
	var s admin.Sent
	return c.sent(s, c.call("redeliver", in, &s))
}

func (c *call) validateWebhook() (answer, error) {
	n := Notice{Text: "It answered its challenge. What waited is delivered now.", Link: Path + "?operation=webhookChallenge"}
	if err := c.call("validate", nil, nil); err != nil {
		f, ok := c.refused(err)
		if !ok {
			return answer{}, err
		}
		n.Text = f.Error
	}
	return c.back(c.from(), n)
}

func (c *call) replayWebhook() (answer, error) {
	n := Notice{Text: "The dead letters are delivered again, one after the other."}
	if err := c.call("replay", struct{}{}, nil); err != nil {
		f, ok := c.refused(err)
		if !ok {
			return answer{}, err
		}
		n.Text = f.Error
	}
	return c.back(c.from(), n)
}

func (c *call) removeWebhook() (answer, error) {
	return c.remove("/admin/webhooks/"+url.PathEscape(c.PathValue("webhook")), webhooksPath, "The webhook")
}

func (c *call) subscribe() (answer, error) {
	h, err := c.hook()
	if err != nil {
		return answer{}, err
	}
	in := admin.NewSubscription{User: strings.TrimPrefix(strings.TrimSpace(c.PostForm.Get("user")), "@"),
		Direction: c.PostForm.Get("direction"), Webhook: h.ID, Tag: strings.TrimSpace(c.PostForm.Get("tag"))}
	if in.User == "" {
		err = mistake("Enter a user")
	} else {
		err = c.change(http.MethodPost, "/admin/apps/"+h.App.String()+"/subscriptions", in, nil)
	}
	if err != nil {
		if f, ok := c.refused(err); ok {
			return unfit(c.showWebhook(f))
		}
		return answer{}, err
	}
	return c.back(h.Path()+"#subscriptions", Notice{Text: "The webhook hears of likes from now on."})
}

func (c *call) unsubscribe() (answer, error) {
	h, err := c.hook()
	if err != nil {
		return answer{}, err
	}
	path := "/admin/apps/" + h.App.String() + "/subscriptions/" + url.PathEscape(c.PostForm.Get("subscription"))
	return c.remove(path, h.Path(), "The subscription")
}

// deliveryPage is the data of webhooks_delivery.html.
type deliveryPage struct {
	told
	Hook      hook // zero: it is not there any more
	Body      string
	Signature string
	Cut       bool
	Attempts  []attempt // the newest first
}

type attempt struct {
	listed
	Answer string // beginning of the body
}

const signatureHeader = "X-Twitter-Webhooks-Signature"

// delivery shows a like that a webhook was told of, with all attempts that the journal has.
func (c *call) delivery() (answer, error) {
	d, err := c.admin.Request(c.Context(), c.PathValue("transaction"))
	if err != nil {
		return answer{}, err
	}
	if d.Delivery == nil {
		return answer{location: Path + "/requests/" + url.PathEscape(d.TransactionID)}, nil
	}
	names := c.newNames()
	p := deliveryPage{told: told{listed: names.listed(c.Context(), d.Row), Like: readLike(d.Request.Body)},
		Body: indented(d.Request.Body), Cut: d.Request.Cut, Signature: d.Request.Headers[signatureHeader]}
	if p.Attempts, err = c.attempts(names, d, p.Like.UUID); err != nil {
		return answer{}, err
	}
	hooks, err := c.hooks()
	if err != nil {
		return answer{}, err
	}
	for _, h := range hooks {
		if h.ID.String() == d.Delivery.Webhook {
			p.Hook = h
		}
	}
	return page("webhooks_delivery", "Delivery", p)
}

func (c *call) attempts(names *names, of journal.Detail, uuid string) (all []attempt, err error) {
	query := url.Values{"operation": {of.Operation}, "limit": {strconv.Itoa(attemptsRead)}, "text": {uuid}}
	list, err := c.admin.Requests(c.Context(), query)
	if err != nil {
		return nil, err
	}
	for _, row := range list.Data {
		if row.Delivery == nil || *row.Delivery != *of.Delivery || len(all) == maxTold {
			continue
		}
		all = append(all, attempt{names.listed(c.Context(), row), c.answered(c.Context(), row.TransactionID)})
	}
	return all, nil
}

// answered is the beginning of the body of an answer.
func (c *call) answered(ctx context.Context, transaction string) string {
	d, err := c.admin.Request(ctx, transaction)
	if err != nil {
		return "" // forgotten meanwhile
	}
	return shortened(d.Response.Body, 200)
}

// shortened is the beginning of a text, in characters.
func shortened(text string, most int) string {
	if all := []rune(text); len(all) > most {
		return string(all[:most]) + "…"
	}
	return text
}
