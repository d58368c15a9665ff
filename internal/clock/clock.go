// Package clock is the time that a server promises by. [New] makes a [Clock], which is the real one until it is moved; a
// server that nobody may move has time.Now and [Sleep] instead.
//
// What users were promised follows the clock: windows, codes, tokens, sessions, created_at and ids, which part of the log
// a stream replays, retries and challenges of webhooks, how long the log is kept, throttles of signing in. Machinery is
// real: deadlines of connections, leases, signs of life, how often something is saved or looked at, what a request took.
package clock

import (
	"context"
	"fmt"
	"math"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"liked"
)

// Clock is a clock that can be moved forward, stopped, and made faster or slower. It is safe for concurrent use.
type Clock struct {
	real   func() time.Time
	motion atomic.Pointer[motion] // nil: never moved

	mu      sync.Mutex
	changed chan struct{} // closed and replaced whenever motion is
}

// motion is how a moved clock goes.
type motion struct {
	since  time.Time // real
	from   time.Time // what the clock showed then
	frozen bool
	speed  float64
}

// State is what a clock shows, and how it goes.
type State struct {
	Now    time.Time `json:"now"`
	Frozen bool      `json:"frozen"`
	Speed  float64   `json:"speed"` // seconds in a real one, unless it is frozen
	Moved  bool      `json:"moved"` // it is no longer the real one
}

// Change is what is to change in a State; nil leaves a member as it is.
type Change struct {
	Now    *time.Time `json:"now,omitempty"`
	Frozen *bool      `json:"frozen,omitempty"`
	Speed  *float64   `json:"speed,omitempty"`
}

// end is where a clock stops: a few months later there are no more ids in X's layout.
var end = time.Date(2080, 1, 1, 0, 0, 0, 0, time.UTC)

// MaxSpeed is a day in a second.
const MaxSpeed = 86_400

// New returns a clock that shows what real returns until it is moved.
func New(real func() time.Time) *Clock { return &Clock{real: real, changed: make(chan struct{})} }

// Real returns the time as if the clock had never been moved.
func (c *Clock) Real() time.Time { return c.real() }

// Now returns the time.
func (c *Clock) Now() time.Time {
	now := c.real()
	if m := c.motion.Load(); m != nil {
		return m.at(now)
	}
	return now
}

// at returns what the clock shows at a real time.
func (m *motion) at(real time.Time) time.Time {
	if m.frozen {
		return m.from
	}
	passed := real.Sub(m.since)
	if m.speed != 1 {
		passed = time.Duration(min(float64(passed)*m.speed, math.MaxInt64/2)) // 146 years
	}
	if t := m.from.Add(passed); t.Before(end) {
		return t
	}
	return end
}

// state must be called with c.mu held, or on what is not shared.
func (m *motion) state(real time.Time) State {
	if m == nil {
		return State{Now: shown(real), Speed: 1}
	}
	return State{shown(m.at(real)), m.frozen, m.speed, true}
}

// shown makes equal times equal values.
func shown(t time.Time) time.Time { return t.Round(0).UTC() }

// State returns the clock as it is.
func (c *Clock) State() State { return c.motion.Load().state(c.real()) }

// Set changes the clock, and returns it as it is then. Conflict if that would set it back, Invalid for what no clock can
// show. A change to what is so already moves nothing.
func (c *Clock) Set(change Change) (State, error) {
	return c.change(func(s *State) {
		if change.Now != nil {
			s.Now = *change.Now
		}
		if change.Frozen != nil {
			s.Frozen = *change.Frozen
		}
		if change.Speed != nil {
			s.Speed = *change.Speed
		}
	})
}

// Advance moves the clock forward, and returns it as it is then. It goes on as before.
func (c *Clock) Advance(by time.Duration) (State, error) {
	return c.change(func(s *State) {
		s.Now = s.Now.Add(by)
	})
}

func (c *Clock) change(f func(*State)) (State, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	real := c.real()
	before := c.motion.Load().state(real)
	after := before
	f(&after)
	after.Now = shown(after.Now)
	switch {
	case after.Now.Before(before.Now):
		return before, liked.Errorf(liked.Conflict, "it is %s already: the clock goes back only with a reset, or to a snapshot",
			before.Now.UTC().Format("15:04:05 on 2 January 2006 UTC"))
	case after.Now.After(end):
		return before, liked.Errorf(liked.Invalid, "the clock ends at %s, soon after which X's ids do", end.Format(time.RFC3339))
	case !(after.Speed > 0 && after.Speed <= MaxSpeed):
		return before, liked.Errorf(liked.Invalid, "speed: %v is not above 0 and at most %d; freeze the clock to stop it", after.Speed, MaxSpeed)
	case after == before:
		return before, nil
	}
	after.Moved = true
	c.move(after, real)
	return after, nil
}

// Restore makes the clock go on from the state; one that was never moved is the real time again.
func (c *Clock) Restore(s State) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.move(s, c.real())
}

// move must be called with c.mu held.
func (c *Clock) move(s State, real time.Time) {
	var m *motion
	if s.Moved {
		m = &motion{since: real, from: shown(s.Now), frozen: s.Frozen, speed: s.Speed}
	}
	c.motion.Store(m)
	close(c.changed)
	c.changed = make(chan struct{})
}

// leastSleep is what a timer of a fast clock waits for in real time at least, so that what is done every minute leaves
// time for other work.
const leastSleep = 10 * time.Millisecond

// Sleep waits until the clock has moved on by d, or ctx ends.
func (c *Clock) Sleep(ctx context.Context, d time.Duration) {
	for due := c.Now().Add(d); ; {
		c.mu.Lock()
		m, changed, left := c.motion.Load(), c.changed, due.Sub(c.Now())
		c.mu.Unlock()
		if left <= 0 {
			return
		}
		var over <-chan time.Time // never, if the clock is frozen
		if m == nil || !m.frozen {
			if m != nil && m.speed != 1 {
				left = time.Duration(min(max(float64(left)/m.speed, float64(leastSleep)), math.MaxInt64/2))
			}
			t := time.NewTimer(left)
			defer t.Stop() // few are ever made
			over = t.C
		}
		select {
		case <-over:
			return
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}

// Sleep waits for d of real time, or until ctx ends.
func Sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// Duration is written as Go does, without its zeros: "15m" and not "15m0s".
type Duration time.Duration

func (d Duration) String() string {
	text := strings.Replace(time.Duration(d).String(), "m0s", "m", 1)
	return strings.Replace(text, "h0m", "h", 1)
}

func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText refuses what time.ParseDuration does.
func (d *Duration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	if err != nil {
		return fmt.Errorf("%q is no duration such as 1m30s", text)
	}
	*d = Duration(parsed)
	return nil
}
