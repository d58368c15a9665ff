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

// newFaults returns the rules of a development server, which know all that there is to provoke.
func (s *Server) newFaults() *faults.Rules {
	operations := slices.Concat(api.Operations(), oauth.Operations(), portal.Operations(), explorer.Operations())
	operations = append(operations, webhook.Delivery, webhook.Challenge)
	slices.Sort(operations)
	problems := oauth.Problems()
	maps.Copy(problems, api.Problems())
	rules := faults.New(faults.Options{Now: s.Now, Operations: slices.Compact(operations), Streams: api.Streams(), Problems: problems,
		Disconnects: api.Disconnects()})
	if s.begins != nil {
		rules.Replace(s.begins.faults)
	}
	return rules
}
