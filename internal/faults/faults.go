// Package faults provokes what goes wrong in life: refusals, lost answers, delays, streams that end. [Rules] are asked
// about each exchange by who answers it; nil Rules are never asked.
package faults

import (
	"context"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"liked"
	"liked/internal/clock"
	"liked/internal/exchange"
)

// Options of New: what there is to provoke. All are required.
type Options struct {
	Now         func() time.Time
	Operations  []string
	Streams     map[string]bool   // operations that are streams
	Problems    map[string]int    // refusals of X by name, with their status
	Disconnects map[string]string // types of X's message at the end of a stream, with what /2/connections says of it
}

// ProblemNames lists the problems in order.
func (o *Options) ProblemNames() []string { return slices.Sorted(maps.Keys(o.Problems)) }

// DisconnectNames lists the types of the end of a stream in order.
func (o *Options) DisconnectNames() []string { return slices.Sorted(maps.Keys(o.Disconnects)) }

// CheckOperation returns Invalid, with those that there are, for what is no operation that rules match.
func (o *Options) CheckOperation(name string) error {
	return exchange.CheckOperation(name, o.Operations)
}

// Rules are asked in the order in which they were added. They are safe for concurrent use.
type Rules struct {
	Options

	some atomic.Bool // spares exchanges the lock while there are no rules

	mu      sync.Mutex
	all     []*State
	last    int           // the highest number
	changed chan struct{} // closed when rules are added
}

// State is a rule with what happened to it.
type State struct {
	ID string `json:"id"`
	Rule
	Matched int `json:"matched"` // exchanges that matched, and that no rule before it took
	Done    int `json:"done"`    // of these, those that it was done to

	number  int // the id
	matcher *exchange.Matcher
	until   time.Time // of ResetIn
}

// New returns Rules without any.
func New(o Options) *Rules { return &Rules{Options: o, changed: make(chan struct{})} }

// Add adds a rule behind all others. Invalid says what is wrong with it.
func (r *Rules) Add(rule Rule, names exchange.Names) (id string, err error) {
	if err := r.check(&rule); err != nil {
		return "", err
	}
	matcher, err := rule.Match.Matcher(names)
	if err != nil {
		return "", err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.all) >= maxRules {
		return "", liked.Errorf(liked.Conflict, "there are %d rules already; delete some", maxRules)
	}
	r.last++
	until := r.Now().Add(time.Duration(rule.Do.ResetIn))
	if rule.Do.ResetIn >= clock.Duration(time.Second) {
		until = until.Truncate(time.Second) // what the header can say; a clock that is moved by ResetIn has passed it
	}
	id = strconv.Itoa(r.last)
	r.set(append(r.all, &State{ID: id, Rule: rule, number: r.last, matcher: matcher, until: until}))
	return id, nil
}

// set replaces the rules, and tells streams so. r.mu must be held.
func (r *Rules) set(all []*State) {
	r.all = all
	r.some.Store(len(all) > 0)
	close(r.changed)
	r.changed = make(chan struct{})
}

// maxRules bounds how long an exchange waits for the rules.
const maxRules = 1000

// All returns the rules as they are now.
func (r *Rules) All() []State {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := make([]State, len(r.all))
	for i, s := range r.all {
		all[i] = *s
	}
	return all
}

// Replace puts what All returned in place of the rules that there are.
func (r *Rules) Replace(all []State) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last = 0
	var rules []*State
	for _, s := range all {
		rules = append(rules, &s)
		r.last = max(r.last, s.number)
	}
	r.set(rules)
}

// Find returns a rule; NotFound.
func (r *Rules) Find(id string) (State, error) {
	for _, s := range r.All() {
		if s.ID == id {
			return s, nil
		}
	}
	return State{}, unknown(id)
}

func unknown(id string) error {
	return liked.Errorf(liked.NotFound, "no rule %q; GET /admin/faults lists them", id)
}

// Remove removes a rule; NotFound.
func (r *Rules) Remove(id string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, s := range r.all {
		if s.ID == id {
			r.set(slices.Delete(r.all, i, i+1))
			return nil
		}
	}
	return unknown(id)
}

// Clear removes all rules, and says how many.
func (r *Rules) Clear() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := len(r.all)
	r.set(nil)
	return n
}

// Fault is what is to be done to one exchange.
type Fault struct {
	Why   string // in words
	Delay time.Duration
	// Do has the Status of the answer for Problem and ResetIn, too; 0: the answer is not the fault's.
	Do
	Body      []byte // of the answer; nil: X's own. It is Do.Body as it is sent.
	MediaType string
	Reset     time.Time // of ResetIn
}

// Course is what the rules have said of one exchange so far.
type Course struct {
	*Fault        // nil: nothing is to be done
	asked  bool   // Before was
	behind *State // the rule from which on the answer decides; nil: none
}

// Action is what who answers does in place of what was to come.
type Action int

const (
	Go     Action = iota // nothing
	Refuse               // gives the fault's answer
	Drop                 // closes the connection without one
)

// Any reports whether there are rules; nil has none.
func (r *Rules) Any() bool { return r != nil && r.some.Load() }

// Before says what to do instead of carrying out an exchange. It returns after the fault's delay, or when ctx ends.
func (r *Rules) Before(ctx context.Context, t exchange.Traits, c *Course) Action {
	if r.request(t, c); c.Fault == nil {
		return Go
	}
	if c.Wait(ctx); c.Close == closeAfter {
		return Go
	}
	return c.action()
}

// After says what to do instead of answering as t says, which has the status. It returns as Before does. An exchange that
// was refused without Before is one for rules about a status alone.
func (r *Rules) After(ctx context.Context, t exchange.Traits, c *Course) Action {
	if c.Fault != nil { // of Before, which has done all but this
		if c.Close == closeAfter {
			return Drop
		}
		return Go
	}
	if r.answer(t, c); c.Fault == nil {
		return Go
	}
	c.Wait(ctx)
	return c.action()
}

func (f *Fault) action() Action {
	switch {
	case f.Close != "":
		return Drop
	case f.Status != 0:
		return Refuse
	}
	return Go
}

func (r *Rules) request(t exchange.Traits, c *Course) {
	c.asked = true
	if !r.some.Load() {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.all {
		switch {
		case s.Do.Disconnect != "" || r.over(s):
		case s.matcher.NeedsStatus():
			if s.matcher.MatchesRequest(t) {
				c.behind = s
				return
			}
		case s.matcher.Matches(t) && r.take(s):
			c.Fault = r.fault(s)
			return
		}
	}
}

func (r *Rules) answer(t exchange.Traits, c *Course) {
	if !r.some.Load() || c.asked && c.behind == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	skip := c.asked
	for _, s := range r.all {
		if s == c.behind {
			skip = false
		}
		if skip || s.Do.Disconnect != "" || r.over(s) || !c.asked && !s.matcher.NeedsStatus() {
			continue
		}
		if s.matcher.Matches(t) && r.take(s) {
			c.Fault = r.fault(s)
			return
		}
	}
}

// Stream returns what ends an open stream, nil for nothing, and a channel that is closed when it should be asked again. A
// stream is one exchange: each rule counts it once. seen is 0 the first time, and keeps which rules have been asked.
func (r *Rules) Stream(t exchange.Traits, seen *int) (*Fault, <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.all {
		if s.number <= *seen {
			continue
		}
		*seen = s.number
		if s.Do.Disconnect != "" && !r.over(s) && s.matcher.Matches(t) && r.take(s) {
			return r.fault(s), r.changed
		}
	}
	return nil, r.changed
}

// over reports whether the rule does nothing any more.
func (r *Rules) over(s *State) bool {
	return s.When.Times > 0 && s.Done >= s.When.Times || s.Do.ResetIn > 0 && !r.Now().Before(s.until)
}

// take counts a match, and reports whether all conditions hold.
func (r *Rules) take(s *State) bool {
	s.Matched++
	if s.When.Every > 1 && s.Matched%s.When.Every != 0 {
		return false
	}
	s.Done++
	return true
}

func (r *Rules) fault(s *State) *Fault {
	why := "rule " + s.ID + " of /admin/faults provoked it; liked fault delete " + s.ID + " removes the rule"
	f := &Fault{Do: s.Do, Why: why, Reset: s.until}
	f.Body, f.MediaType = s.Do.text()
	switch {
	case f.Problem != "":
		f.Status = r.Problems[f.Problem]
	case f.ResetIn != 0:
		f.Status = http.StatusTooManyRequests
	}
	if d := s.Do.Delay; d != nil {
		f.Delay = time.Duration(d.Min)
		if d.Max > d.Min {
			f.Delay += rand.N(time.Duration(d.Max - d.Min))
		}
	}
	return f
}

// Wait waits for the delay, or until ctx ends.
func (f *Fault) Wait(ctx context.Context) {
	if f.Delay == 0 {
		return
	}
	t := time.NewTimer(f.Delay)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
