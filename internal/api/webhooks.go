package api

import (
	"errors"
	"slices"
	"strconv"
	"time"

	"liked"
	"liked/internal/webhook"
)

// hookPattern is idPattern for webhooks and subscriptions, which the description tells from posts.
var hookPattern = &digits{1, 19}

var (
	webhookBody = &schema{properties: []property{
		{name: "url", typ: "string", required: true, example: "https://example.com/likes", value: "{{webhookUrl}}"},
	}, open: openAlways}
	replayBody = &schema{properties: []property{
		{name: "webhook_id", typ: "string", pattern: hookPattern, required: true, example: exampleWebhook, value: "{{webhookId}}"},
		{name: "from_date", typ: "string", pattern: minutePattern, required: true, example: "202603011100", value: "{{hourAgo}}"},
		{name: "to_date", typ: "string", pattern: minutePattern, required: true, example: "202603011200", value: "{{thisMinute}}"},
	}, open: openAlways}
	minutePattern = &digits{12, 12}
)

// webhookObject is X's. The id is always set, the rest unless a request selects fields.
type webhookObject struct {
	CreatedAt string          `json:"created_at,omitempty"`
	ID        liked.WebhookID `json:"id"`
	URL       string          `json:"url,omitempty"`
	Valid     *bool           `json:"valid,omitempty"`
}

type validity struct {
	Valid bool `json:"valid"`
}

type replayJob struct {
	ID        string `json:"job_id"`
	CreatedAt string `json:"created_at"`
}

// counted is the meta of lists without pages.
type counted struct {
	ResultCount int `json:"result_count"`
}

func newWebhook(w liked.Webhook, fields []string) webhookObject {
	o := webhookObject{ID: w.ID}
	wants := func(field string) bool { return len(fields) == 0 || slices.Contains(fields, field) }
	if wants("created_at") {
		o.CreatedAt = timestamp(w.CreatedAt)
	}
	if wants("url") {
		o.URL = w.URL
	}
	if wants("valid") {
		o.Valid = &w.Valid
	}
	return o
}

// hookProblem is X's refusal of a webhook: a reason for programs, then one for people.
func (a *API) hookProblem(err error, reasons map[liked.Kind]string) error {
	why := ""
	if refused, ok := errors.AsType[*webhook.ChallengeError](err); ok {
		why = "CrcValidationFailed: URL returned bad response during CRC with error: " + refused.Why
	} else if reason := reasons[liked.KindOf(err)]; reason != "" {
		why = reason + ": " + err.Error()
	} else {
		return err
	}
	return a.invalid(why, fault{object{}, why})
}

func (a *API) createWebhook(c *call) (any, error) {
	w, err := a.Hooks.Add(c.ctx, c.who.App, c.body.text("url"))
	if err != nil {
		return nil, a.hookProblem(err, map[liked.Kind]string{liked.Invalid: "UrlValidationFailed", liked.Conflict: "DuplicateUrlFailed",
			liked.Forbidden: "WebhookLimitExceeded"})
	}
	return document{Data: newWebhook(w, nil)}, nil
}

func (a *API) webhooks(c *call) (any, error) {
	hooks, err := a.Store.Webhooks(c.ctx, c.who.App)
	if err != nil {
		return nil, err
	}
	list := []webhookObject{}
	for _, w := range hooks {
		list = append(list, newWebhook(w, c.query.(*webhooksQuery).Fields))
	}
	return document{Data: list, Meta: counted{len(list)}}, nil
}

var badWebhookID = map[liked.Kind]string{liked.NotFound: "WebhookIdInvalid"}

func (a *API) validateWebhook(c *call) (any, error) {
	w, err := a.Hooks.Validate(c.ctx, c.who.App, liked.WebhookID(c.ids[0]))
	if err != nil {
		return nil, a.hookProblem(err, badWebhookID)
	}
	return document{Data: validity{w.Valid}}, nil
}

func (a *API) deleteWebhook(c *call) (any, error) {
	if err := a.Hooks.Remove(c.ctx, c.who.App, liked.WebhookID(c.ids[0])); err != nil {
		return nil, a.hookProblem(err, badWebhookID)
	}
	return deletedTrue, nil
}

func (a *API) replayWebhook(c *call) (any, error) {
	id, span, faults := readReplay(c.body, a.Now())
	if len(faults) > 0 {
		return nil, a.invalid("", faults...)
	}
	job, err := a.Hooks.Replay(c.ctx, c.who.App, id, span)
	if err != nil {
		return nil, a.hookProblem(err, map[liked.Kind]string{liked.NotFound: "WebhookIdInvalid", liked.Conflict: "ReplayConflictError"})
	}
	return document{Data: replayJob{strconv.FormatInt(job.ID, 10), timestamp(job.CreatedAt)}}, nil
}

// readReplay reads a replay. Its span includes both minutes that the body names.
func readReplay(b body, now time.Time) (id liked.WebhookID, span liked.Replay, faults []fault) {
	wrong := func(name, what string) {
		faults = append(faults, fault{object{name, []string{b.text(name)}}, "QueryParamInvalid: `" + name + "` " + what})
	}
	minute := func(name string) time.Time {
		t, err := time.Parse("200601021504", b.text(name))
		if err != nil {
			wrong(name, "is not a time of the form yyyymmddhhmm")
		}
		return t
	}
	from, to := minute("from_date"), minute("to_date")
	switch {
	case len(faults) > 0:
	case from.Before(now.Add(-replayable).Truncate(time.Minute)):
		wrong("from_date", "is older than 24 hours")
	case from.After(to):
		wrong("from_date", "is more recent than `to_date`")
	case to.After(now):
		wrong("to_date", "is in the future")
	}
	id, err := liked.ParseID[liked.WebhookID](b.text("webhook_id"))
	if err != nil { // 19 digits may overflow int64
		faults = append(faults, badValue(pair{"webhook_id", b.text("webhook_id")}, "is not valid"))
	}
	return id, liked.Replay{From: from, To: to.Add(time.Minute)}, faults
}
