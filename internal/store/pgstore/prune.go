package pgstore

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"liked"
)

const (
	// outcomesKeep is how long a transaction that lost its server may still be under way: a row of outcomes must outlive it.
	outcomesKeep = 24 * time.Hour
	// pruneRows bounds the rows that a step deletes, of each lane and of outcomes.
	pruneRows = 500
)

// prune deletes what is over, on one server at a time: old entries of the like log, and outcomes.
func (s *Store) prune(ctx context.Context, every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		held, err := s.Hold(ctx, []string{"prune"}, 2*every)
		if err == nil && !held[0] {
			continue
		}
		for _, forget := range []func(context.Context) error{s.pruneLog, s.pruneOutcomes} {
			if err == nil {
				err = forget(ctx)
			}
		}
		if err != nil && ctx.Err() == nil && err != errClosed {
			s.log.Error("store: cannot forget what is over", "err", err)
		}
	}
}

// pruneLog deletes the log's rows that are older than logKeep, counted from the newest like, but each lane's last row, which
// LogEnds names. A webhook that was not past what is deleted is moved there, and told.
func (s *Store) pruneLog(ctx context.Context) error {
	newest, err := first(ctx, s, nil, pgx.RowTo[liked.Seq], "SELECT max(newest) FROM lanes")
	if err != nil {
		return err
	}
	// A position ahead of the clock, as one after an import may be, says nothing of what is old.
	ms := min(int64(newest>>20), time.Now().UnixMilli()) - s.logKeep.Milliseconds()
	if ms <= 0 {
		return nil
	}
	horizon := liked.Seq(ms) << 20
	var done liked.Positions
	for ctx.Err() == nil {
		deleted := false
		err := s.commit(s.work, func(t *tx) (err error) {
			deleted, err = t.pruneLog(&done, horizon)
			return err
		})
		if err != nil || !deleted {
			return err
		}
	}
	return nil
}

// pruneLog deletes rows after the positions done, which it moves, with all entries below the horizon. Nobody else deletes
// rows, and none is added below a lane's last one, so no lane needs to stand still.
func (t *tx) pruneLog(done *liked.Positions, horizon liked.Seq) (deleted bool, err error) {
	type step struct {
		lane int
		to   liked.Seq
	}
	steps, err := rows(t, func(r pgx.CollectableRow) (to step, err error) {
		err = r.Scan(&to.lane, &to.to)
		return to, err
	}, pruneSteps, done[:], horizon, pruneRows)
	if err != nil || len(steps) == 0 {
		return false, err
	}
	to := *done
	var moved liked.Positions // by lane, what is deleted up to; zero: nothing is
	for _, step := range steps {
		to[step.lane], moved[step.lane] = step.to, step.to
	}
	t.queue("SELECT FROM offsets WHERE "+offsetsBehind+" ORDER BY webhook FOR NO KEY UPDATE", moved[:])
	t.exec(`UPDATE offsets SET lost = $2, positions = ARRAY(SELECT greatest(p, d) FROM unnest(positions, $1::bigint[])
		WITH ORDINALITY r(p, d, i) ORDER BY i) WHERE `+offsetsBehind, moved[:], horizon)
	t.exec(`DELETE FROM log g USING unnest($1::bigint[], $2::bigint[]) WITH ORDINALITY r(after, till, i)
		WHERE r.till > r.after AND g.lane = (r.i - 1)::int AND g.pos > r.after AND g.pos <= r.till`, done[:], to[:])
	t.exec("UPDATE meta SET horizon = $1 WHERE horizon < $1", horizon)
	t.onCommit(func() { *done = to })
	return true, nil
}

const (
	// pruneSteps returns the lanes that have rows to delete after the positions $1, and up to where the next $3 of them go.
	pruneSteps = `SELECT l.lane, p.pos FROM lanes l CROSS JOIN LATERAL (SELECT max(pos) AS pos FROM (SELECT pos FROM log
			WHERE lane = l.lane AND pos > ($1::bigint[])[l.lane + 1] AND pos < least($2, l.newest) ORDER BY pos LIMIT $3) o) p
		WHERE p.pos IS NOT NULL ORDER BY l.lane`
	// offsetsBehind is whether a webhook is not past what is deleted, by lane up to the positions $1.
	offsetsBehind = "EXISTS (SELECT FROM unnest(positions, $1::bigint[]) r(p, d) WHERE p < d)"
)

func (s *Store) pruneOutcomes(ctx context.Context) error {
	before := time.Now().Add(-outcomesKeep).UnixMilli()
	for ctx.Err() == nil {
		deleted := false
		err := s.commit(s.work, func(t *tx) error {
			t.exec("DELETE FROM outcomes WHERE id IN (SELECT id FROM outcomes WHERE at < $1 ORDER BY at LIMIT $2)", before, pruneRows).
				Exec(changed(&deleted))
			return t.send()
		})
		if err != nil || !deleted {
			return err
		}
	}
	return nil
}
