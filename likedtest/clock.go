package likedtest

import (
	"context"
	"testing"
	"time"

	"liked/internal/admin"
)

// Clock is the clock that everything in a Server follows: rate windows, codes, tokens, sessions, created_at, what a stream
// replays, retries and challenges of webhooks. It is the real one until a test moves it. What waits in the server for a
// time that is passed goes on at once.
//
//	srv.Clock.Advance(t, 15*time.Minute) // the next window
type Clock struct{ srv *Server }

// State is what a Clock shows, and how it goes.
type State = admin.Clock

// State returns the clock as it is.
func (c *Clock) State(t testing.TB) State {
	t.Helper()
	state, err := c.srv.admin().Clock(context.Background())
	failed(t, err)
	return state
}

// Now returns the time.
func (c *Clock) Now(t testing.TB) time.Time {
	t.Helper()
	return c.State(t).Now
}

// Advance moves the clock forward; it goes on as before.
func (c *Clock) Advance(t testing.TB, by time.Duration) State {
	t.Helper()
	state, err := c.srv.admin().AdvanceClock(context.Background(), by)
	failed(t, err)
	return state
}

// Set moves the clock forward to a time; it goes on as before.
func (c *Clock) Set(t testing.TB, now time.Time) State {
	t.Helper()
	return c.change(t, admin.ClockChange{Now: &now})
}

// Freeze stops the clock, which can still be moved.
func (c *Clock) Freeze(t testing.TB) State {
	t.Helper()
	frozen := true
	return c.change(t, admin.ClockChange{Frozen: &frozen})
}

// Run makes the clock go at so many seconds in a real one.
func (c *Clock) Run(t testing.TB, speed float64) State {
	t.Helper()
	frozen := false
	return c.change(t, admin.ClockChange{Frozen: &frozen, Speed: &speed})
}

func (c *Clock) change(t testing.TB, change admin.ClockChange) State {
	t.Helper()
	state, err := c.srv.admin().SetClock(context.Background(), change)
	failed(t, err)
	return state
}

// failed ends the test if a call of the operator's side was refused.
func failed(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("likedtest: %v", err)
	}
}
