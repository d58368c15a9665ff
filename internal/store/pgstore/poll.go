package pgstore

import (
	"context"
	"time"

	"liked"
	"liked/internal/store"
)

// blindAfter is how long the poll may fail before this server takes every change for possible: others' are seen within 2 s,
// or nothing is believed from memory.
const blindAfter = 1500 * time.Millisecond

// poll asks the database what other servers have changed: often while somebody waits for the log, else twice a second.
func (s *Store) poll(ctx context.Context, every time.Duration) {
	g := &s.generations
	blind := time.AfterFunc(blindAfter, func() { g.blind.Store(true) })
	defer blind.Stop()
	var seen liked.Positions
	failed := false
	tick := time.NewTicker(every)
	defer tick.Stop()
	for n := 0; ; n++ {
		if s.pollers.Load() > 0 || n%5 == 0 {
			begun := time.Now()
			if err := s.pollOnce(ctx, &seen); err == nil {
				// What the answer showed is as old as the question.
				blind.Reset(blindAfter - min(time.Since(begun), blindAfter))
				if time.Since(begun) < blindAfter && (failed || g.blind.Load()) {
					g.forgetAll() // the numbers may be another database's
					failed = false
					g.blind.Store(false)
				}
			} else if failed = true; ctx.Err() == nil {
				s.log.Warn("store: the database does not answer; nothing is believed from memory until it does", "err", err)
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

func (s *Store) pollOnce(ctx context.Context, seen *liked.Positions) error {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	g := &s.generations
	var newest []liked.Seq
	var principals, webhooks uint64
	err := s.work.QueryRow(ctx, "SELECT (SELECT array_agg(newest ORDER BY lane) FROM lanes), principals, webhooks FROM meta").
		Scan(&newest, &principals, &webhooks)
	if err != nil {
		return err
	}
	g.saw(store.Principals, principals)
	g.saw(store.Webhooks, webhooks)
	for lane, n := range newest {
		if n != seen[lane] {
			seen[lane] = n
			s.onLog[lane].raise()
		}
	}
	return nil
}
