package server

import (
	"maps"
	"slices"

	"liked/internal/api"
	"liked/internal/explorer"
	"liked/internal/faults"
	"liked/internal/oauth"
	"liked/internal/portal"
	"liked/internal/webhook"
)

// provoked are the operations that there are faults for.
func provoked() []string {
	return withHooks(slices.Concat(api.Operations(), oauth.Operations(), portal.Operations(), explorer.Operations()))
}

// recorded are the operations that the journal has.
func recorded() []string { return withHooks(served()) }

func withHooks(operations []string) []string {
	operations = append(operations, webhook.Delivery, webhook.Challenge)
	slices.Sort(operations)
	return slices.Compact(operations)
}

// newFaults returns the rules of a development server, which know all that there is to provoke.
func (s *Server) newFaults() *faults.Rules {
	problems := oauth.Problems()
	maps.Copy(problems, api.Problems())
	rules := faults.New(faults.Options{Now: s.Now, Operations: provoked(), Streams: api.Streams(), Problems: problems,
		Disconnects: api.Disconnects()})
	if s.begins != nil {
		rules.Replace(s.begins.faults)
	}
	return rules
}
