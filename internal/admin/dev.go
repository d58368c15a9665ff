package admin

import (
	"slices"

	"liked"
	"liked/internal/clock"
	"liked/internal/faults"
	"liked/internal/journal"
)

// Dev is what a development server offers beyond what `liked serve` does.
type Dev struct {
	Clock   *clock.Clock
	Worlds  Worlds
	Faults  *faults.Rules
	Journal *journal.Journal                        // nil: none is kept
	Rules   func(operation string) []liked.RateRule // that count its requests

	Operations []string // of what is in the journal
}

// devRoutes are the endpoints of development servers alone. A row takes the place of one of routes with its pattern.
func (h *Handler) devRoutes() []route {
	return slices.Concat([]route{
		{pattern: "POST /admin/apps", status: 201, endpoint: takes(h.addGivenApp), seals: true,
			does: "Adds an app and shows its secrets, once. Those that are given are not made."},
		{pattern: "PUT /admin/apps/{app}", endpoint: takes(h.setGivenApp), seals: true,
			does: "Makes an app what is said, with given secrets, too; members left out stay. Without such an app it is added."},
		{pattern: "POST /admin/tokens", status: 201, endpoint: takes(h.issueGivenToken), seals: true,
			does: "Issues a credential of an app and shows it, once. One that is given is taken from whoever has it."},
	}, h.clockRoutes(), h.worldRoutes(), h.faultRoutes(), h.limitRoutes(), h.stateRoutes(), h.journalRoutes())
}

// with returns the rows, with others in place of those that have their patterns.
func with(rows, others []route) []route {
	return append(slices.DeleteFunc(rows, func(rt route) bool {
		return slices.ContainsFunc(others, func(other route) bool { return other.pattern == rt.pattern })
	}), others...)
}
