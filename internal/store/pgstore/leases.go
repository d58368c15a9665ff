package pgstore

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"liked"
)

func (s *Store) Hold(ctx context.Context, names []string, ttl time.Duration) ([]bool, error) {
	if ttl <= 0 {
		return nil, liked.Errorf(liked.Invalid, "a lease of %v", ttl)
	}
	sorted := slices.Compact(slices.Sorted(slices.Values(names)))
	ours, err := write(ctx, s, func(t *tx) ([]string, error) {
		if len(sorted) == 0 {
			return nil, nil
		}
		t.wrote = true
		// The clock is read row by row, after the wait for a row.
		return rows(t, pgx.RowTo[string], `INSERT INTO leases (name, holder, until)
			SELECT name, $2, clock_timestamp() + $3::interval FROM unnest($1::text[]) name ORDER BY name
			ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, until = clock_timestamp() + $3::interval
			WHERE leases.holder = excluded.holder OR leases.until < clock_timestamp()
			RETURNING name`, sorted, s.holder[:], ttl)
	})
	if err != nil {
		return nil, err
	}
	held := make([]bool, len(names))
	for i, name := range names {
		held[i] = slices.Contains(ours, name)
	}
	return held, nil
}

func (s *Store) Release(ctx context.Context, names []string) error {
	names = slices.Clone(names)
	return s.update(ctx, func(t *tx) error {
		if len(names) > 0 {
			t.exec(`DELETE FROM leases WHERE name IN (SELECT name FROM leases WHERE name = ANY($1) AND holder = $2 ORDER BY name FOR UPDATE)`,
				names, s.holder[:])
		}
		return nil
	})
}

// resign gives up all that this server holds, so that others need not wait until it expires. If the database does not answer
// soon, they do.
func (s *Store) resign() {
	ctx, cancel := context.WithTimeout(context.Background(), min(s.patience, time.Second))
	defer cancel()
	conn, err := s.calls.Acquire(ctx)
	if err != nil {
		return
	}
	defer conn.Release()
	var b pgx.Batch
	b.Queue("DELETE FROM leases WHERE name IN (SELECT name FROM leases WHERE holder = $1 ORDER BY name FOR UPDATE)", s.holder[:])
	s.numbered.mu.Lock()
	b.Queue("UPDATE servers SET until = clock_timestamp() WHERE number = $2 AND holder = $1", s.holder[:], s.numbered.number)
	s.numbered.mu.Unlock()
	_ = conn.SendBatch(ctx, &b).Close()
}

// A server's number is its own for serverLease from the start of each renewal, and is given to another only after
// serverRest more, and after all others that are free: by then the identifiers that it made are of the past.
const (
	serverLease = time.Minute
	serverRest  = time.Minute
)

// numbered makes identifiers of the number that this server holds.
type numbered struct {
	mu      sync.Mutex
	ids     liked.Snowflakes
	number  int
	renewed time.Time // when the renewal that succeeded last began
}

// NewID makes identifiers of the time of the last renewal, and then rising, when the number has not been renewed in time.
func (s *Store) NewID(at time.Time) int64 {
	n := &s.numbered
	n.mu.Lock()
	defer n.mu.Unlock()
	if time.Since(n.renewed) > serverLease {
		at = n.renewed
	}
	return n.ids.Next(at)
}

// renew takes a number, or renews the one that this server holds.
func (s *Store) renew() error {
	began := time.Now()
	s.numbered.mu.Lock()
	ours, number := s.numbered.number, 0 // that this server held last
	s.numbered.mu.Unlock()
	err := s.commit(s.work, func(t *tx) error {
		t.wrote = true
		n, ok, err := row(t, pgx.RowTo[int], `UPDATE servers SET until = clock_timestamp() + $2::interval
			WHERE number = $3 AND holder = $1 RETURNING number`, s.holder[:], serverLease, ours)
		if err == nil && !ok {
			n, ok, err = row(t, pgx.RowTo[int], `UPDATE servers SET holder = $1, until = clock_timestamp() + $2::interval WHERE number = (
				SELECT number FROM servers WHERE until < clock_timestamp() - $3::interval ORDER BY until, number LIMIT 1 FOR UPDATE SKIP LOCKED)
				RETURNING number`, s.holder[:], serverLease, serverRest)
		}
		if err == nil && !ok {
			err = liked.Errorf(liked.Unavailable, "%d servers have used this database within the last %v, as many as can; stop some",
				liked.Workers, serverLease+serverRest)
		}
		number = n
		return err
	})
	if err != nil {
		return err
	}
	n := &s.numbered
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.renewed.IsZero() || n.number != number {
		n.number = number
		n.ids.SetWorker(number)
	}
	n.renewed = began
	return nil
}

// keepNumber renews the number until ctx ends.
func (s *Store) keepNumber(ctx context.Context) {
	tick := time.NewTicker(serverLease / 3)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if err := s.renew(); err != nil && ctx.Err() == nil {
				s.log.Warn("store: this server's number could not be renewed", "err", err)
			}
		}
	}
}
