package pgstore

import (
	"context"
	"time"

	"liked"
	"liked/internal/store"
)

// blindAfter is how long after the beginning of the last poll that succeeded this server takes every change for possible:
// others' are seen within 2 s, or nothing is believed from memory.
const blindAfter = 1500 * time.Millisecond

// poll asks the database what other servers have changed: often while somebody waits for the log, else twice a second.
func (s *Store) poll(ctx context.Context, every time.Duration, quiet bool) {
	var p poller
	tick := time.NewTicker(every)
	defer tick.Stop()
	for n := 0; ; n++ {
		if s.pollers.Load() > 0 || n == 0 || n%5 == 0 && !quiet {
			failed := p.failed
			switch err := s.pollOnce(ctx, &p); {
			case ctx.Err() != nil:
			case err != nil && !failed:
				s.log.Warn("store: the database does not answer; nothing is believed from memory until it does", "err", err)
			case err == nil && failed:
				s.log.Info("store: the database answers again")
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// poller is what the last polls have shown.
type poller struct {
	newest liked.Positions
	failed bool
}

func (s *Store) pollOnce(ctx context.Context, p *poller) error {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	g := &s.generations
	begun := time.Since(g.begun) // what the answer shows may be as old as the question
	var newest []liked.Seq
	var principals, webhooks uint64
	err := s.work.QueryRow(ctx, "SELECT (SELECT array_agg(newest ORDER BY lane) FROM lanes), principals, webhooks FROM meta").
		Scan(&newest, &principals, &webhooks)
	if err != nil {
		p.failed = true
		return err
	}
	g.saw(store.Principals, principals)
	g.saw(store.Webhooks, webhooks)
	if p.failed || g.blind() {
		g.forgetAll() // the numbers may be another database's
		p.failed = false
	}
	g.asked.Store(int64(begun))
	for lane, n := range newest {
		if n != p.newest[lane] {
			p.newest[lane] = n
			s.onLog[lane].raise()
		}
	}
	return nil
}
