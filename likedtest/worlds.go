package likedtest

import (
	"context"
	"testing"
)

// Reset makes the server what it was when it had started: the same users, posts, ids and tokens, the real clock. Streams end.
func (s *Server) Reset(t testing.TB) {
	t.Helper()
	failed(t, s.admin().Reset(context.Background()))
}

// Snapshot keeps what the server is under a name (a-z, 0-9 and -): people, posts, likes, credentials, rate windows,
// used nonces, faults, the clock.
func (s *Server) Snapshot(t testing.TB, name string) {
	t.Helper()
	failed(t, s.admin().Snapshot(context.Background(), name))
}

// Restore makes the server what it was at a snapshot. Streams end.
func (s *Server) Restore(t testing.TB, name string) {
	t.Helper()
	failed(t, s.admin().Restore(context.Background(), name))
}

// Fork returns a server of its own that begins as what this one is, and stops at the end of the test. Parallel tests can so
// share what it takes to prepare a world.
func (s *Server) Fork(t testing.TB) *Server {
	t.Helper()
	other, err := s.server.Fork(context.Background())
	failed(t, err)
	return run(t, other)
}
