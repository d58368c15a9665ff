package admin

import (
	"context"
	"maps"
	"net/http"
	"slices"
	"strings"

	"liked"
	"liked/internal/exchange"
	"liked/internal/faults"
)

// Rules of faults, of development servers alone.

// Fault is a rule with what happened to it.
type Fault = faults.State

// NewFault is a rule: see package faults.
type NewFault = faults.Rule

type FaultAdded struct {
	ID string `json:"id"`
}

type FaultList struct {
	Faults []Fault `json:"faults"`
}

// names finds what a match is about.
func (h *Handler) names(r *http.Request) exchange.Names {
	return exchange.Names{
		Operation: func(name string) error { return exchange.CheckOperation(name, h.Dev.Operations) },
		App: func(name string) (liked.AppID, error) {
			a, err := h.app(r.Context(), name)
			return a.ID, err
		},
		User: func(name string) (liked.UserID, error) {
			u, err := h.user(r.Context(), name)
			return u.ID, err
		},
	}
}

func (h *Handler) faultRoutes() []route {
	rules := h.Dev.Faults
	return []route{
		{pattern: "POST /admin/faults", status: 201, endpoint: takes(h.addFault),
			does: "Adds a rule that provokes a fault in the exchanges that match. Problems are " + strings.Join(rules.ProblemNames(), ", ") +
				"; disconnects of streams " + strings.Join(rules.DisconnectNames(), ", ") + "."},
		{pattern: "GET /admin/faults", endpoint: gives(h.faults), does: "Lists the rules; the first that matches wins."},
		{pattern: "DELETE /admin/faults", endpoint: gives(h.clearFaults), does: "Removes all rules."},
		{pattern: "GET /admin/faults/names", endpoint: gives(h.faultNames), does: "Lists what rules can match and provoke."},
		{pattern: "GET /admin/faults/{fault}", endpoint: of(pathFault, h.fault), does: "Shows a rule, and how often it matched."},
		{pattern: "DELETE /admin/faults/{fault}", endpoint: of(pathFault, h.removeFault), does: "Removes a rule."},
	}
}

func (h *Handler) addFault(r *http.Request, in NewFault) (FaultAdded, error) {
	id, err := h.Dev.Faults.Add(in, h.names(r))
	return FaultAdded{id}, err
}

func (h *Handler) faults(*http.Request) (FaultList, error) { return FaultList{h.Dev.Faults.All()}, nil }

// FaultNames is what rules may name.
type FaultNames struct {
	Operations  []string       `json:"operations"`
	Streams     []string       `json:"streams"`  // operations that can be disconnected
	Problems    map[string]int `json:"problems"` // refusals of X, with their status
	Disconnects []string       `json:"disconnects"`
}

func (h *Handler) faultNames(*http.Request) (FaultNames, error) {
	r := h.Dev.Faults
	return FaultNames{r.Operations, slices.Sorted(maps.Keys(r.Streams)), r.Problems, r.DisconnectNames()}, nil
}

func (h *Handler) clearFaults(*http.Request) (Changed, error) {
	return Changed{h.Dev.Faults.Clear() > 0}, nil
}

func pathFault(r *http.Request) (string, error) { return r.PathValue("fault"), nil }

func (h *Handler) fault(_ *http.Request, id string) (Fault, error) { return h.Dev.Faults.Find(id) }

func (h *Handler) removeFault(_ *http.Request, id string) (Changed, error) {
	return Changed{true}, h.Dev.Faults.Remove(id)
}

// AddFault adds a rule, as JSON, and returns its id.
func (c *Client) AddFault(ctx context.Context, rule []byte) (added FaultAdded, err error) {
	err = c.Call(ctx, "POST", "/admin/faults", rule, &added)
	return added, err
}

// ClearFaults removes all rules.
func (c *Client) ClearFaults(ctx context.Context) error {
	return c.Call(ctx, "DELETE", "/admin/faults", nil, nil)
}
