package admin

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"liked"
	"liked/internal/clock"
	"liked/internal/store"
)

// Rate windows, of development servers alone.

// Window is how many requests of a user of an app, or of an app as a whole, were counted.
type Window struct {
	Operation string         `json:"operation"`
	App       liked.AppID    `json:"app"`
	User      liked.UserID   `json:"user,omitempty"` // zero: the app as a whole
	Window    clock.Duration `json:"window"`
	Limit     int            `json:"limit,omitempty"` // zero: there is none any more
	Remaining int            `json:"remaining"`
	Reset     time.Time      `json:"reset"`
}

type WindowList struct {
	Limits []Window `json:"limits"`
}

type WindowsReset struct {
	Reset int `json:"reset"` // callers of an operation
}

func (h *Handler) limitRoutes() []route {
	const of = "user app operation"
	return []route{
		{pattern: "GET /admin/limits", endpoint: gives(h.limits), query: of,
			does: "Lists the rate windows that have counted requests and have not ended."},
		{pattern: "DELETE /admin/limits", endpoint: gives(h.resetLimits), query: of,
			does: "Resets rate windows, so that their requests are as if never made."},
	}
}

// callers are those that the request's parameters mean.
func (h *Handler) callers(r *http.Request) (c store.Callers, err error) {
	names := h.names(r)
	err = query(r, map[string]func(string) error{
		"user": func(name string) (err error) { c.User, err = names.User(name); return err },
		"app":  func(name string) (err error) { c.App, err = names.App(name); return err },
		"operation": func(name string) error {
			c.Operation = name
			return h.Dev.Faults.CheckOperation(name)
		},
	})
	return c, err
}

func (h *Handler) limits(r *http.Request) (WindowList, error) {
	of, err := h.callers(r)
	if err != nil {
		return WindowList{}, err
	}
	kept, err := h.Store.Windows(r.Context(), h.Now(), of)
	return WindowList{each(kept, func(w store.Window) Window {
		shown := Window{Operation: w.Operation, App: w.App, User: w.User, Window: clock.Duration(w.Length), Reset: w.Reset}
		for _, rule := range h.Dev.Rules(w.Operation) {
			if rule.App == (w.User == 0) && rule.Window == w.Length {
				shown.Limit, shown.Remaining = rule.Max, max(rule.Max-w.Count, 0)
			}
		}
		return shown
	})}, err
}

func (h *Handler) resetLimits(r *http.Request) (WindowsReset, error) {
	of, err := h.callers(r)
	if err != nil {
		return WindowsReset{}, err
	}
	n, err := h.Store.ResetWindows(r.Context(), of)
	return WindowsReset{n}, err
}

// Callers says whose windows are meant; what is empty means all.
type Callers struct{ User, App, Operation string }

// Path is the address of the windows.
func (c Callers) Path() string {
	values := url.Values{}
	for name, value := range map[string]string{"user": c.User, "app": c.App, "operation": c.Operation} {
		if value != "" {
			values.Set(name, value)
		}
	}
	return "/admin/limits?" + values.Encode()
}

// Limits lists windows.
func (c *Client) Limits(ctx context.Context, of Callers) (list WindowList, err error) {
	err = c.Call(ctx, "GET", of.Path(), nil, &list)
	return list, err
}

// ResetLimits resets windows.
func (c *Client) ResetLimits(ctx context.Context, of Callers) (done WindowsReset, err error) {
	err = c.Call(ctx, "DELETE", of.Path(), nil, &done)
	return done, err
}
