package server

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"liked"
	"liked/internal/admin"
	"liked/internal/clock"
	"liked/internal/faults"
	"liked/internal/seed"
	"liked/internal/store"
)

// moment is all that a development server was at a time: what it keeps, and how its clock went.
type moment struct {
	store store.Snapshot
	clock clock.State
	at    time.Time // of the clock

	faults []faults.State // the rules
}

// moments are those that a server can go back to. Only a development server has any.
type moments struct {
	mu      sync.Mutex // held while the world is replaced
	started *moment    // nil: the server cannot be reset
	named   map[string]*moment
}

// now returns what the server is. s.moments.mu must be held, or the server not run yet.
func (s *Server) now(ctx context.Context) (*moment, error) {
	w := s.current()
	engine, ok := w.store.(store.Snapshots)
	if !ok {
		return nil, liked.Errorf(liked.Invalid, "a store in PostgreSQL has no snapshots: keep the data in memory, or in a directory (--data)")
	}
	w.hooks.Save(ctx)
	m := &moment{clock: s.clock.State(), faults: s.faults.All()}
	m.at = m.clock.Now
	var err error
	m.store, err = engine.Snapshot(ctx)
	return m, err
}

// resets reports whether Reset works.
func (s *Server) resets() bool { return s.Dev && s.Postgres == "" && (s.Data == "" || s.AllowReset) }

// rememberStart makes Reset possible, which a directory must allow.
func (s *Server) rememberStart() (err error) {
	if !s.resets() {
		return nil
	}
	s.moments.started, err = s.now(context.Background())
	return err
}

// forget removes all moments, once the server has ended.
func (s *Server) forget() (err error) {
	for _, m := range append(slices.Collect(maps.Values(s.moments.named)), s.moments.started) {
		if m != nil {
			err = errors.Join(err, m.store.Remove())
		}
	}
	return err
}

// running refuses what a server that stops can no longer do. s.moments.mu must be held.
func (s *Server) running() error {
	if !s.ready.Load() {
		return liked.Errorf(liked.Unavailable, "the server starts or stops")
	}
	return nil
}

// Reset implements admin.Worlds. The rules of faults are those of the start: none.
func (s *Server) Reset(context.Context) error {
	s.moments.mu.Lock()
	defer s.moments.mu.Unlock()
	if err := s.running(); err != nil {
		return err
	}
	switch {
	case s.moments.started != nil:
		err := s.replace(s.moments.started)
		if err == nil {
			s.journal.Clear()
		}
		return err
	case s.Postgres != "":
		return liked.Errorf(liked.Invalid, "a store in PostgreSQL cannot be reset: keep the data in memory, or in a directory (--data)")
	}
	return liked.Errorf(liked.Conflict, "a reset takes back all that happened in %s since the server started: start it with --allow-reset "+
		"if that may be", s.Data)
}

// Snapshot implements admin.Worlds.
func (s *Server) Snapshot(ctx context.Context, name string) (admin.Snapshot, error) {
	s.moments.mu.Lock()
	defer s.moments.mu.Unlock()
	if err := s.running(); err != nil {
		return admin.Snapshot{}, err
	}
	m, err := s.now(ctx)
	if err != nil {
		return admin.Snapshot{}, err
	}
	if before := s.moments.named[name]; before != nil {
		err = before.store.Remove()
	}
	if s.moments.named == nil {
		s.moments.named = make(map[string]*moment)
	}
	s.moments.named[name] = m
	return admin.Snapshot{Name: name, At: m.at}, err
}

// Snapshots implements admin.Worlds.
func (s *Server) Snapshots() []admin.Snapshot {
	s.moments.mu.Lock()
	defer s.moments.mu.Unlock()
	all := make([]admin.Snapshot, 0, len(s.moments.named))
	for _, name := range slices.Sorted(maps.Keys(s.moments.named)) {
		all = append(all, admin.Snapshot{Name: name, At: s.moments.named[name].at})
	}
	return all
}

func (s *Server) snapshot(name string) (*moment, error) {
	m := s.moments.named[name]
	if m == nil {
		return nil, liked.Errorf(liked.NotFound, "there is no snapshot %q", name)
	}
	return m, nil
}

// RemoveSnapshot implements admin.Worlds.
func (s *Server) RemoveSnapshot(name string) error {
	s.moments.mu.Lock()
	defer s.moments.mu.Unlock()
	m, err := s.snapshot(name)
	if err != nil {
		return err
	}
	delete(s.moments.named, name)
	return m.store.Remove()
}

// Restore implements admin.Worlds.
func (s *Server) Restore(_ context.Context, name string) (admin.Snapshot, error) {
	s.moments.mu.Lock()
	defer s.moments.mu.Unlock()
	if err := s.running(); err != nil {
		return admin.Snapshot{}, err
	}
	m, err := s.snapshot(name)
	if err == nil {
		err = s.replace(m)
	}
	if err != nil {
		return admin.Snapshot{}, err
	}
	return admin.Snapshot{Name: name, At: m.at}, nil
}

// inherited is what a fork begins with.
type inherited struct {
	store       store.Store
	seal        [32]byte
	credentials *seed.Credentials
	clock       clock.State
	faults      []faults.State
}

// Fork returns another server, on ports of its own, that begins as what this one in memory is. Its Run must be called.
func (s *Server) Fork(ctx context.Context) (*Server, error) {
	if s.Data != "" {
		return nil, liked.Errorf(liked.Invalid, "only a server whose data is in memory can be forked")
	}
	s.moments.mu.Lock()
	m, err := s.now(ctx)
	s.moments.mu.Unlock()
	if err != nil {
		return nil, err
	}
	st, err := m.store.Open()
	if err = errors.Join(err, m.store.Remove()); err != nil {
		return nil, err
	}
	c := s.Config
	c.Listen, c.AdminListen, c.AdminToken, c.Now = "", "", "", s.clock.Real
	c.begins = &inherited{st, s.seal, s.credentials, m.clock, m.faults}
	other, err := New(c)
	if err != nil {
		return nil, errors.Join(err, st.Close()) // once more, maybe
	}
	return other, nil
}
