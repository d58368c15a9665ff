package console

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"liked"
	"liked/internal/admin"
	"liked/internal/clock"
	"liked/internal/exchange"
	"liked/internal/faults"
	"liked/internal/journal"
)

// makeFault adds a rule that provokes a fault in requests like one: its fields are do, times, and user, app and path, which if
// set mean only requests of the same.
func (c *call) makeFault() (answer, error) {
	d, err := c.admin.Request(c.Context(), c.PathValue("transaction"))
	if err != nil {
		return answer{}, err
	}
	rule := faults.Rule{Match: exchange.Match{Operation: d.Operation}}
	if c.PostForm.Get("user") != "" {
		rule.Match.User = d.User
	}
	if c.PostForm.Get("app") != "" {
		rule.Match.App = d.App
	}
	if c.PostForm.Get("path") != "" {
		rule.Match.Path = d.Path
	}
	if times := strings.TrimSpace(c.PostForm.Get("times")); times != "" {
		if rule.When.Times, err = strconv.Atoi(times); err != nil || rule.When.Times < 1 {
			return answer{}, liked.Errorf(liked.Invalid, "%q is no number of times: enter 1 or more, or leave it empty for each time.", times)
		}
	}
	var what string
	switch c.PostForm.Get("do") {
	case "same":
		rule.Do.Status, what = d.Status, fmt.Sprintf("answered %d as this one was", d.Status)
		if json.Valid([]byte(d.Response.Body)) {
			rule.Do.Body = json.RawMessage(d.Response.Body)
		}
	case "limit":
		rule.Do.ResetIn, what = clock.Duration(15*time.Minute), "answered 429 for 15 minutes"
	case "503":
		rule.Do.Status, what = http.StatusServiceUnavailable, "answered 503"
	case "before":
		rule.Do.Close, what = "before", "cut before they are carried out"
	case "after":
		rule.Do.Close, what = "after", "carried out, and their answers are lost"
	case "delay":
		two := clock.Duration(2 * time.Second)
		rule.Do.Delay, what = &faults.Delay{Min: two, Max: two}, "answered 2 seconds late"
	default:
		return answer{}, liked.Errorf(liked.Invalid, "Choose what is to happen.")
	}
	text, err := json.Marshal(rule)
	if err != nil {
		return answer{}, err
	}
	added, err := c.admin.AddFault(c.Context(), text)
	if err != nil {
		return answer{}, err
	}
	return c.back(c.from(), Notice{Text: "Calls of " + d.Operation + " like this one are " + what + " from now on.",
		Undo: "/console/undo/fault/" + url.PathEscape(added.ID)})
}

func (c *call) removeFault() (answer, error) {
	if err := c.endRule(c.PathValue("fault")); err != nil {
		return answer{}, err
	}
	return c.back(c.from(), Notice{Text: "The rule is removed."})
}

// assertion is the form that holds the journal to an expectation, and what came of it.
type assertion struct {
	Text    string // the body of POST /admin/verify
	Run     bool
	Refused string // it is no expectation
	Verdict journal.Verdict
	Found   []listed
	Near    []nearMiss
}

type nearMiss struct {
	listed
	Differs []exchange.Difference
}

// assertion returns an expectation that a request meets, or the one of the address with what came of it.
func (c *call) assertion(l listed, d journal.Detail) (a assertion, err error) {
	if a.Text = c.URL.Query().Get("assert"); a.Text == "" {
		a.Text, err = expect(l, d)
		return a, err
	}
	a.Run = true
	a.Verdict, err = c.admin.VerifyJSON(c.Context(), []byte(a.Text))
	if refused, ok := errors.AsType[*admin.Refusal](err); ok {
		a.Refused, err = sentence(refused.Reason), nil
	}
	names := c.newNames()
	for _, row := range a.Verdict.Data {
		a.Found = append(a.Found, names.listed(c.Context(), row))
	}
	for _, miss := range a.Verdict.Nearest {
		a.Near = append(a.Near, nearMiss{names.listed(c.Context(), miss.Request), miss.Differs})
	}
	return a, err
}

// expect is the expectation that there was one request like this.
func expect(l listed, d journal.Detail) (string, error) {
	match := exchange.Match{Operation: d.Operation, User: l.Username, App: l.AppName, Status: d.Status}
	if match.Operation == "" {
		match.Method, match.Path = d.Method, d.Path
	}
	if body := d.Request.Body; body != "" && !d.Request.Cut && json.Valid([]byte(body)) {
		match.Body = json.RawMessage(body)
	}
	one := 1
	text, err := json.MarshalIndent(journal.Expectation{Match: &match, AtLeast: &one}, "", "  ")
	return string(text), err
}
