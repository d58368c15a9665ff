package server

import (
	"net/http"

	"liked/internal/console"
)

// consoleOptions are of the console of a development server, whose calls public answers.
func (s *Server) consoleOptions(public http.Handler) console.Options {
	o := console.Options{Operator: s.calling(func(w *world) http.Handler { return w.unlogged }), Public: public,
		Open: s.credentials != nil && s.openWorld(), AdminToken: func() string { return s.live.Load().adminToken },
		Operations: provoked(), Description: func() []byte { return s.current().x.Description() }, Now: s.Now, Observe: s.observer.observe}
	if s.publicURL != "" {
		o.PublicURL = s.origins()[0]
	}
	if s.credentials != nil {
		user, _ := s.credentials.First()
		o.First = console.Acting{User: user.ID.String(), App: s.credentials.Apps[0].ClientID}
	}
	return o
}
