package admin

import (
	"context"
	"net/http"
	"time"

	"liked/internal/clock"
)

// Clock is what the server's clock shows, and how it goes.
type Clock clock.State

// ClockChange is a Clock's members that are to change.
type ClockChange clock.Change

// ClockAdvance is how far to move a Clock.
type ClockAdvance struct {
	By clock.Duration `json:"by"`
}

func (h *Handler) clockRoutes() []route {
	return []route{
		{pattern: "GET /admin/clock", endpoint: gives(h.clock), does: "Shows the server's clock."},
		{pattern: "PUT /admin/clock", endpoint: takes(h.setClock),
			does: "Changes the server's clock, which goes back only by a reset or to a snapshot; members left out stay."},
		{pattern: "POST /admin/clock/advance", endpoint: takes(h.advanceClock),
			does: "Moves the server's clock forward; it goes on as before."},
	}
}

func (h *Handler) clock(*http.Request) (Clock, error) { return Clock(h.Dev.Clock.State()), nil }

func (h *Handler) setClock(_ *http.Request, in ClockChange) (Clock, error) {
	s, err := h.Dev.Clock.Set(clock.Change(in))
	return Clock(s), err
}

func (h *Handler) advanceClock(_ *http.Request, in ClockAdvance) (Clock, error) {
	s, err := h.Dev.Clock.Advance(time.Duration(in.By))
	return Clock(s), err
}

// Clock returns the server's clock.
func (c *Client) Clock(ctx context.Context) (now Clock, err error) {
	err = c.Call(ctx, "GET", "/admin/clock", nil, &now)
	return now, err
}

// SetClock changes the server's clock.
func (c *Client) SetClock(ctx context.Context, change ClockChange) (now Clock, err error) {
	err = c.Call(ctx, "PUT", "/admin/clock", change, &now)
	return now, err
}

// AdvanceClock moves the server's clock forward.
func (c *Client) AdvanceClock(ctx context.Context, by time.Duration) (now Clock, err error) {
	err = c.Call(ctx, "POST", "/admin/clock/advance", ClockAdvance{clock.Duration(by)}, &now)
	return now, err
}
