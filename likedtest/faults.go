package likedtest

import (
	"context"
	"testing"

	"liked/internal/admin"
)

// Fault adds a rule that provokes what goes wrong, as JSON (docs/control.md), and returns its id:
//
//	srv.Fault(t, `{"match":{"operation":"usersIdLike"},"when":{"times":2},"do":{"problem":"serviceUnavailable"}}`)
func (s *Server) Fault(t testing.TB, rule string) string {
	t.Helper()
	added, err := s.admin().AddFault(context.Background(), []byte(rule))
	failed(t, err)
	return added.ID
}

// ClearFaults removes all rules.
func (s *Server) ClearFaults(t testing.TB) {
	t.Helper()
	failed(t, s.admin().ClearFaults(context.Background()))
}

// Callers says whose rate windows are meant; what is empty means all.
type Callers = admin.Callers

// Window is a rate window that has counted requests.
type Window = admin.Window

// Limits lists the rate windows.
func (s *Server) Limits(t testing.TB, of Callers) []Window {
	t.Helper()
	list, err := s.admin().Limits(context.Background(), of)
	failed(t, err)
	return list.Limits
}

// ResetLimits resets them: their requests are as if never made.
func (s *Server) ResetLimits(t testing.TB, of Callers) {
	t.Helper()
	_, err := s.admin().ResetLimits(context.Background(), of)
	failed(t, err)
}
