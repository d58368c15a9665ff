package pebblestore

import (
	"context"
	"time"

	"liked"
)

// Hold grants all leases: the directory is locked, so there is no other server.
func (s *Store) Hold(ctx context.Context, names []string, ttl time.Duration) ([]bool, error) {
	if ttl <= 0 {
		return nil, liked.Errorf(liked.Invalid, "a lease of %v", ttl)
	}
	held := make([]bool, len(names))
	for i := range held {
		held[i] = true
	}
	return held, s.Release(ctx, names)
}

// NewID makes identifiers of worker 0, the only one.
func (s *Store) NewID(at time.Time) int64 { return s.ids.Next(at) }

func (s *Store) Release(ctx context.Context, _ []string) error {
	err := s.enter(ctx)
	if err == nil {
		s.leave()
	}
	return err
}
