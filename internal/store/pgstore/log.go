package pgstore

import (
	"context"
	"math"
	"sync"

	"github.com/jackc/pgx/v5"

	"liked"
	"liked/internal/store"
	"liked/internal/store/valid"
)

// signal lets any number of goroutines wait until something happens. The zero value is ready.
type signal struct {
	mu   sync.Mutex
	next chan struct{}
}

// wait returns a channel that is closed by the next raise.
func (s *signal) wait() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.next == nil {
		s.next = make(chan struct{})
	}
	return s.next
}

func (s *signal) raise() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.next != nil {
		close(s.next)
		s.next = nil
	}
}

// LikeLog waits without a connection: this process's commits and the poll wake it.
func (s *Store) LikeLog(ctx context.Context, partition int, after liked.Seq, max int) ([]liked.LikeEvent, error) {
	if partition < 0 || partition >= liked.Partitions {
		return nil, liked.Errorf(liked.Invalid, "no such partition %d", partition)
	}
	if err := valid.Page(max); err != nil {
		return nil, err
	}
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.leave()
	s.pollers.Add(1)
	defer s.pollers.Add(-1)
	for {
		more := s.onLog[partition].wait()
		events, err := s.readLog(ctx, partition, after, max)
		if err != nil || len(events) > 0 {
			return events, err
		}
		select {
		case <-more:
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-s.closing:
			return nil, errClosed
		}
	}
}

// readLog returns up to max entries after the position: the rows that have as many, of which the first may have some that were
// read before. The statement that reads them reads the generation of webhooks, too: a
// subscription that was added before an entry is known before the entry is.
func (s *Store) readLog(ctx context.Context, partition int, after liked.Seq, max int) (events []liked.LikeEvent, err error) {
	type part struct {
		first   liked.Seq
		entries []byte
		changes uint64
	}
	parts, err := list(ctx, s, func(r pgx.CollectableRow) (p part, err error) {
		err = r.Scan(&p.first, &p.entries, &p.changes)
		return p, err
	}, `SELECT first, entries, (SELECT webhooks FROM meta) FROM (
			SELECT pos, first, entries, sum(n) OVER (ORDER BY pos) - n AS before FROM (
				SELECT pos, first, entries, n FROM log WHERE lane = $1 AND pos > $2 ORDER BY pos LIMIT $3) r) r
		WHERE before <= $3 ORDER BY pos`, partition, int64(min(after, math.MaxInt64)), max)
	for _, p := range parts {
		s.generations.saw(store.Webhooks, p.changes)
		if events, err = unpackEntries(events, p.first, p.entries); err != nil {
			return nil, &liked.Error{Kind: liked.Internal, Msg: "the database is damaged; restore a backup", Err: err}
		}
	}
	i := 0
	for i < len(events) && events[i].Seq <= after {
		i++
	}
	return events[i:min(len(events), i+max)], err
}

func (s *Store) LogEnds(ctx context.Context) (ends liked.Positions, err error) {
	type lane struct {
		n      int
		newest liked.Seq
	}
	lanes, err := list(ctx, s, func(r pgx.CollectableRow) (l lane, err error) {
		err = r.Scan(&l.n, &l.newest)
		return l, err
	}, "SELECT lane, newest FROM lanes")
	for _, l := range lanes {
		ends[l.n] = l.newest
	}
	return ends, err
}
