package journal

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/textproto"
	"slices"
	"strings"
	"time"

	"liked"
	"liked/internal/clock"
	"liked/internal/exchange"
)

// Expectation is what a journal should hold: requests that Match means, Exactly so many, or AtLeast, or AtMost (without
// any: at least one); or requests that match InOrder, one after the other, with any others between them.
type Expectation struct {
	Match   *exchange.Match  `json:"match,omitempty"`
	Exactly *int             `json:"exactly,omitempty"`
	AtLeast *int             `json:"at_least,omitempty"`
	AtMost  *int             `json:"at_most,omitempty"`
	InOrder []exchange.Match `json:"in_order,omitempty"`
	// Within is how long to wait, as "2s", of real time: at least so many, or those in order, are awaited, all else is looked at
	// at the end.
	Within string `json:"within,omitempty"`
}

// maxWithin bounds Within.
const maxWithin = 5 * time.Minute

// maxSteps bounds InOrder.
const maxSteps = 1000

// Verdict is what was found. Without Error all is as expected.
type Verdict struct {
	Error string `json:"error,omitempty"`
	Found int    `json:"found"`
	Data  []Row  `json:"data"` // what was found, the oldest first, at most 100
	// Nearest are requests that were no match, those that differ least first; for InOrder, no match for the first step that
	// was not found.
	Nearest []Miss `json:"nearest"`

	last *row // found
}

// Miss is a request that is not meant, and why.
type Miss struct {
	Request Row                   `json:"request"`
	Differs []exchange.Difference `json:"differs"`
}

const (
	maxFound   = 100
	maxNearest = 3
)

// matcher is an exchange.Matcher of what is in a journal, where secrets are cut.
type matcher struct {
	*exchange.Matcher
	deep bool // it looks at headers or at the body
}

func newMatcher(m exchange.Match, names exchange.Names) (matcher, error) {
	var c cutter
	header := make(map[string]string, len(m.Header))
	for name, value := range m.Header {
		if header[name] = value; strings.Contains(value, "*") {
			continue
		}
		header[name] = c.field(textproto.CanonicalMIMEHeaderKey(name), value)
	}
	m.Header = header
	if len(m.Body) > 0 && json.Valid(m.Body) {
		m.Body = c.json(nil, string(m.Body))
	}
	found, err := m.Matcher(names)
	return matcher{found, len(header) > 0 || len(m.Body) > 0}, err
}

func (m matcher) traits(w *row) exchange.Traits {
	if m.deep {
		return w.traits()
	}
	return exchange.Traits{Operation: w.operation, Method: w.method, Path: w.shown().path, App: w.app, User: w.user, Status: w.status}
}

// check is a checked Expectation.
type check struct {
	Expectation
	match  matcher
	steps  []matcher
	within time.Duration
}

func (e Expectation) check(names exchange.Names) (c check, err error) {
	c = check{Expectation: e}
	counts := e.Exactly != nil || e.AtLeast != nil || e.AtMost != nil
	wrong := func(format string, args ...any) (check, error) {
		return c, liked.Errorf(liked.Invalid, format, args...)
	}
	switch {
	case (e.Match == nil) == (e.InOrder == nil):
		return wrong("give either match, with exactly, at_least or at_most, or in_order")
	case e.InOrder != nil && counts:
		return wrong("exactly, at_least and at_most are of match, not of in_order")
	case e.InOrder != nil && (len(e.InOrder) == 0 || len(e.InOrder) > maxSteps):
		return wrong("in_order has %d matches; give 1 to %d", len(e.InOrder), maxSteps)
	case e.Exactly != nil && (e.AtLeast != nil || e.AtMost != nil):
		return wrong("exactly stands alone, without at_least and at_most")
	case e.AtLeast != nil && e.AtMost != nil && *e.AtLeast > *e.AtMost:
		return wrong("at_least %d is more than at_most %d", *e.AtLeast, *e.AtMost)
	}
	for _, n := range []*int{e.Exactly, e.AtLeast, e.AtMost} {
		if n != nil && *n < 0 {
			return wrong("%d is no number of requests", *n)
		}
	}
	if e.Within != "" {
		c.within, err = time.ParseDuration(e.Within)
		if err != nil || c.within < 0 || c.within > maxWithin {
			return wrong("within: %q is no duration from 0s to %s, as 2s", e.Within, clock.Duration(maxWithin))
		}
	}
	if e.Match != nil && !counts {
		one := 1
		c.AtLeast = &one
	}
	if e.Match != nil {
		c.match, err = newMatcher(*e.Match, names)
	}
	for i, m := range e.InOrder {
		if err != nil {
			break
		}
		var step matcher
		if step, err = newMatcher(m, names); err != nil {
			err = fmt.Errorf("in_order, match %d: %w", i+1, err)
		}
		c.steps = append(c.steps, step)
	}
	return c, err
}

// pause is how long Verify leaves the journal alone between two looks.
const pause = 10 * time.Millisecond

// Verify holds the journal to an expectation, once its time is over or nothing can change any more. An error means that
// the expectation is none.
func (j *Journal) Verify(ctx context.Context, e Expectation, names exchange.Names) (Verdict, error) {
	c, err := e.check(names)
	if err != nil {
		return Verdict{}, err
	}
	over := time.After(c.within)
	for waits := c.within > 0; ; {
		j.mu.Lock()
		changed := j.wait()
		j.mu.Unlock()
		var v Verdict
		if !waits || c.canSettle() {
			rows, _ := j.snapshot()
			v = c.look(rows)
			if !waits || v.Error == "" || changed == nil {
				v.finish(rows, &c)
				return v, nil
			}
		} else {
			changed = nil
		}
		select {
		case <-changed:
			select {
			case <-time.After(pause):
			case <-ctx.Done():
				return Verdict{}, ctx.Err()
			}
		case <-over:
			waits = false
		case <-ctx.Done():
			return Verdict{}, ctx.Err()
		}
	}
}

// canSettle reports whether what holds once holds for good, whatever is recorded later.
func (c *check) canSettle() bool { return c.Exactly == nil && c.AtMost == nil }

// look counts.
func (c *check) look(rows []*row) (v Verdict) {
	v = Verdict{Data: []Row{}, Nearest: []Miss{}}
	step := 0
	for _, w := range rows {
		m := c.match
		if c.steps != nil {
			if step == len(c.steps) {
				break
			}
			m = c.steps[step]
		}
		if !m.Matches(m.traits(w)) {
			continue
		}
		step, v.last = step+1, w
		if v.Found++; len(v.Data) < maxFound {
			v.Data = append(v.Data, w.Row())
		}
	}
	switch {
	case c.steps != nil:
		if v.Found < len(c.steps) {
			v.Error = fmt.Sprintf("found the first %d of %d requests in order; nothing after them is match %d", v.Found, len(c.steps), v.Found+1)
		}
	case c.Exactly != nil && v.Found != *c.Exactly:
		v.Error = fmt.Sprintf("found %s, expected exactly %d", requests(v.Found), *c.Exactly)
	case c.AtLeast != nil && v.Found < *c.AtLeast:
		v.Error = fmt.Sprintf("found %s, expected at least %d", requests(v.Found), *c.AtLeast)
	case c.AtMost != nil && v.Found > *c.AtMost:
		v.Error = fmt.Sprintf("found %s, expected at most %d", requests(v.Found), *c.AtMost)
	}
	return v
}

// finish adds the nearest misses to a verdict that something is wrong, and to its text.
func (v *Verdict) finish(rows []*row, c *check) {
	if v.Error == "" {
		return
	}
	m := c.match
	if c.steps != nil {
		m = c.steps[v.Found]
	}
	type miss struct {
		w       *row
		differs []exchange.Difference
		order   int // 0: all but its place is right
	}
	var misses []miss
	for _, w := range rows {
		differs, order := m.Differences(m.traits(w)), 1
		if c.steps != nil && len(differs) == 0 && w != v.last {
			differs = []exchange.Difference{{Field: "order", Wanted: "after " + v.last.transaction, Got: "before"}}
			order = 0
		}
		if len(differs) > 0 {
			misses = append(misses, miss{w, differs, order})
		}
	}
	slices.SortStableFunc(misses, func(a, b miss) int {
		return cmp.Or(cmp.Compare(a.order, b.order), cmp.Compare(len(a.differs), len(b.differs)), cmp.Compare(b.w.seq, a.w.seq))
	})
	for _, near := range misses[:min(len(misses), maxNearest)] {
		v.Nearest = append(v.Nearest, Miss{near.w.Row(), near.differs})
	}
}

func requests(n int) string {
	if n == 1 {
		return "1 request"
	}
	return fmt.Sprintf("%d requests", n)
}

// Refused reports whether something is not as expected.
func (v Verdict) Refused() bool { return v.Error != "" }

// String tells all of it in lines.
func (v Verdict) String() string {
	var b strings.Builder
	b.WriteString(cmp.Or(v.Error, "as expected"))
	for _, r := range v.Data {
		fmt.Fprintf(&b, "\n  found %s", r)
	}
	for _, miss := range v.Nearest {
		fmt.Fprintf(&b, "\n  near  %s", miss.Request)
		for _, d := range miss.Differs {
			fmt.Fprintf(&b, "\n        %s", d.Field)
			if d.Got == nil {
				fmt.Fprintf(&b, " is missing, not %s", value(d.Wanted))
			} else {
				fmt.Fprintf(&b, " is %s, not %s", value(d.Got), value(d.Wanted))
			}
		}
	}
	return b.String()
}

func value(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(text)
}

// String is a row in a line.
func (r Row) String() string {
	line := fmt.Sprintf("%s %s", r.Method, r.Path)
	if r.Query != "" {
		line += "?" + r.Query
	}
	line += fmt.Sprintf(" %d %s", r.Status, r.TransactionID)
	if r.Why != "" {
		line += ": " + r.Why
	}
	return line
}
