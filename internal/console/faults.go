package console

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"liked/internal/admin"
)

// rule is a rule of what goes wrong, in words.
type rule struct {
	admin.Fault
	Which, When, Does string
}

// faultChoices is what the form of a rule offers.
type faultChoices struct {
	admin.FaultNames
	Problems []problem // by status, then by name
}

type problem struct {
	Name   string
	Status int
}

func (c *call) fillFaults(p *controlPage) (err error) {
	list, err := get[admin.FaultList](c, "/admin/faults", nil)
	if err != nil {
		return err
	}
	for _, f := range list.Faults {
		p.Faults = append(p.Faults, rule{f, which(f), when(f), does(f)})
	}
	if p.Names.FaultNames, err = get[admin.FaultNames](c, "/admin/faults/names", nil); err != nil {
		return err
	}
	for name, status := range p.Names.FaultNames.Problems {
		p.Names.Problems = append(p.Names.Problems, problem{name, status})
	}
	slices.SortFunc(p.Names.Problems, func(a, b problem) int {
		return cmp.Or(cmp.Compare(a.Status, b.Status), strings.Compare(a.Name, b.Name))
	})
	return nil
}

// which is the calls that a rule is about.
func which(f admin.Fault) string {
	m := f.Match
	text := cmp.Or(m.Operation, "any call")
	if m.Method != "" {
		text += " by " + m.Method
	}
	if m.Path != "" {
		text += " to " + m.Path
	}
	if m.User != "" {
		text += " of @" + m.User
	}
	if m.App != "" {
		text += " through " + m.App
	}
	for _, name := range slices.Sorted(maps.Keys(m.Header)) {
		text += " with " + name + ": " + m.Header[name]
	}
	if m.Status != 0 {
		text += fmt.Sprintf(" that was answered %d", m.Status)
	}
	return text
}

// when is which of them.
func when(f admin.Fault) string {
	var all []string
	if n := f.When.Every; n > 1 {
		all = append(all, fmt.Sprintf("each %d.", n))
	}
	switch n := f.When.Times; {
	case n == 1:
		all = append(all, "once")
	case n > 1:
		all = append(all, fmt.Sprintf("%d times", n))
	}
	return strings.Join(all, ", ")
}

// does is what happens to them.
func does(f admin.Fault) string {
	var text string
	switch do := f.Do; {
	case do.Problem != "":
		text = "refused: " + do.Problem
	case do.Status != 0:
		text = fmt.Sprintf("answered %d", do.Status)
	case do.ResetIn != 0:
		text = "429: limits are used up for " + do.ResetIn.String()
	case do.Close == "before":
		text = "cut before it is carried out"
	case do.Close == "after":
		text = "carried out, and the answer is lost"
	case do.Disconnect != "":
		text = "the stream ends: " + do.Disconnect
	}
	if d := f.Do.Delay; d != nil {
		late := d.Min.String()
		if d.Max != d.Min {
			late += " to " + d.Max.String()
		}
		text = strings.TrimPrefix(text+", "+late+" late", ", ")
	}
	return text
}

// readFault makes a rule of the form, as /admin/faults takes one.
func readFault(form url.Values) ([]byte, error) {
	match, when, do := map[string]any{}, map[string]any{}, map[string]any{}
	var err error
	get := func(name string) string { return strings.TrimSpace(form.Get(name)) }
	text := func(to map[string]any, member, field string) {
		if value := get(field); value != "" {
			to[member] = value
		}
	}
	number := func(to map[string]any, member, field, what string) {
		if get(field) == "" {
			return
		}
		n, failed := strconv.Atoi(get(field))
		if (failed != nil || n < 1) && err == nil {
			err = mistake("%s: %q is no number above 0", what, get(field))
		}
		to[member] = n
	}
	required := func(field, text string) {
		if get(field) == "" && err == nil {
			err = mistake("%s", text)
		}
	}
	length := func(field, what string) string {
		if _, failed := readDuration(get(field)); get(field) != "" && failed != nil && err == nil {
			err = mistake("%s: %v", what, failed)
		}
		return strings.ReplaceAll(get(field), " ", "")
	}
	headers := func(to map[string]any, member, field string) {
		lines := map[string]string{}
		for line := range strings.Lines(form.Get(field)) {
			name, value, ok := strings.Cut(strings.TrimSpace(line), ":")
			switch {
			case ok:
				lines[strings.TrimSpace(name)] = strings.TrimSpace(value)
			case name != "" && err == nil:
				err = mistake("Headers: %q has no colon: write Name: value, one a line", name)
			}
		}
		if len(lines) > 0 {
			to[member] = lines
		}
	}
	for _, name := range []string{"operation", "method", "path", "app"} {
		text(match, name, name)
	}
	if user := strings.TrimPrefix(get("user"), "@"); user != "" {
		match["user"] = user
	}
	number(match, "status", "status", "Status")
	headers(match, "header", "header")
	number(when, "times", "times", "How many times")
	number(when, "every", "every", "Each one of")
	switch kind := get("do"); kind {
	case "problem":
		required("problem", "Choose a refusal")
		text(do, "problem", "problem")
	case "answer":
		required("answer", "Status of the answer: enter one, from 200 to 599")
		number(do, "status", "answer", "Status of the answer")
		if body := form.Get("body"); strings.TrimSpace(body) != "" {
			do["body"] = body
			if json.Valid([]byte(body)) {
				do["body"] = json.RawMessage(body)
			}
		}
	case "limit":
		required("reset_in", "For: enter a length of time, as 15m")
		do["reset_in"] = length("reset_in", "For")
	case "before", "after":
		do["close"] = kind
	case "disconnect":
		required("disconnect", "Choose a message")
		text(do, "disconnect", "disconnect")
	case "delay":
		required("delay", "Late by: enter a length of time, as 2s")
	default:
		required("do", "Choose what happens")
	}
	headers(do, "headers", "headers")
	if least, most := length("delay", "Late by"), length("delay_most", "Late by at most"); least != "" || most != "" {
		do["delay"] = map[string]string{"min": cmp.Or(least, "0s"), "max": cmp.Or(most, least)}
	}
	if err != nil {
		return nil, err
	}
	return json.Marshal(map[string]any{"match": match, "when": when, "do": do})
}

func (c *call) addFault() (answer, error) {
	rule, err := readFault(c.PostForm)
	if err != nil {
		return c.unfitAt("faults", err)
	}
	if _, err := c.admin.AddFault(c.Context(), rule); err != nil {
		if refused, ok := errors.AsType[*admin.Refusal](err); ok { // which names the member, and the form has none
			for _, member := range []string{"match: ", "when: ", "do: "} {
				refused.Reason = strings.TrimPrefix(refused.Reason, member)
			}
		}
		return c.unfitAt("faults", err)
	}
	return c.back(controlPath+"#faults", Notice{Text: "The rule is added. It goes until you remove it."})
}

// removeFaults removes the rule, or all without one.
func (c *call) removeFaults() (answer, error) {
	id := c.PostForm.Get("id")
	if id == "" {
		if err := c.admin.ClearFaults(c.Context()); err != nil {
			return answer{}, err
		}
		return c.back(controlPath+"#faults", Notice{Text: "All rules are removed."})
	}
	if err := c.endRule(id); err != nil {
		return answer{}, err
	}
	return c.back(controlPath+"#faults", Notice{Text: "The rule is removed."})
}

// endRule removes a rule. One that was removed elsewhere, or by a reset, is removed, too.
func (c *call) endRule(id string) error {
	err := c.change(http.MethodDelete, "/admin/faults/"+url.PathEscape(id), nil, nil)
	if refused, ok := errors.AsType[*admin.Refusal](err); ok && refused.Status == http.StatusNotFound {
		return nil
	}
	return err
}
