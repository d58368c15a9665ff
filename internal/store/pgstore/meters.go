package pgstore

import (
	"sync/atomic"

	"github.com/jackc/pgx/v5/pgxpool"

	"liked/internal/store"
)

// meters count what the store does, for operators.
type meters struct {
	batches, batched, retries atomic.Int64
}

// Meters implements store.Metered.
func (s *Store) Meters() []store.Meter {
	sum := func(of func(*pgxpool.Stat) float64) func() float64 {
		return func() float64 { return of(s.calls.Stat()) + of(s.work.Stat()) }
	}
	count := func(n *atomic.Int64) func() float64 { return func() float64 { return float64(n.Load()) } }
	return []store.Meter{
		{Name: "liked_store_connections", Help: "Connections to the database.",
			Read: sum(func(p *pgxpool.Stat) float64 { return float64(p.TotalConns()) })},
		{Name: "liked_store_connections_in_use", Help: "Connections to the database that something is done on.",
			Read: sum(func(p *pgxpool.Stat) float64 { return float64(p.AcquiredConns()) })},
		{Name: "liked_store_connection_waits_total", Help: "How often a call waited for a connection, since none was free.", Rises: true,
			Read: sum(func(p *pgxpool.Stat) float64 { return float64(p.EmptyAcquireCount()) })},
		{Name: "liked_store_connection_wait_seconds_total", Help: "How long calls have waited for a connection.", Rises: true,
			Read: sum(func(p *pgxpool.Stat) float64 { return p.EmptyAcquireWaitTime().Seconds() })},
		{Name: "liked_store_batches_total", Help: "Batches of likes that were written.", Rises: true, Read: count(&s.meters.batches)},
		{Name: "liked_store_batched_likes_total", Help: "Likes and unlikes in batches.", Rises: true, Read: count(&s.meters.batched)},
		{Name: "liked_store_retries_total", Help: "How often the database was asked again after an error.", Rises: true,
			Read: count(&s.meters.retries)},
	}
}
