package pebblestore

import (
	"context"
	"errors"
	"slices"
	"time"

	"liked"
	"liked/internal/store"
)

// prune periodically deletes old like log entries, and rate windows and nonces that have expired by the callers' time.
func (s *Store) prune(o *Options) {
	ctx, end := context.WithCancel(context.Background())
	go func() {
		defer end()
		select {
		case <-s.closing:
		case <-s.failed:
		}
	}()
	for {
		if o.Sleep(ctx, o.pruneEvery); ctx.Err() != nil {
			return
		}
		var now int64 // milliseconds
		if o.Now != nil {
			now = o.Now().UnixMilli()
		}
		pruneLog := func(ctx context.Context) error { return s.pruneLog(ctx, now) }
		for _, forget := range []func(context.Context) error{pruneLog, s.limits.prune} {
			if err := forget(context.Background()); err != nil && !s.isClosing() {
				s.log.Error("store: cannot forget what is over", "err", err)
			}
		}
	}
}

// pruneLog deletes all log entries below a horizon in one operation, after moving webhooks up to it. The newest entry stays.
func (s *Store) pruneLog(ctx context.Context, now int64) error {
	var horizon liked.Seq
	err := s.update(ctx, func(t *tx) error {
		newest := t.c.newestAt
		if h := liked.Seq(max(min(max(now, newest)-s.logKeep.Milliseconds(), newest), 0)) << 20; h > t.c.horizon {
			horizon = h
		}
		return nil
	})
	if err != nil || horizon == 0 {
		return err
	}
	for again := true; again; {
		if again, err = s.moveWebhooks(ctx, horizon); err != nil {
			return err
		}
	}
	return s.update(ctx, func(t *tx) error {
		for p := range liked.Partitions {
			t.deleteRange(logKey(nil, p, 0), logKey(nil, p, horizon))
		}
		t.set(horizonKey, encodeID(horizon))
		t.c.horizon = horizon
		return nil
	})
}

// moveWebhooks moves webhooks up to the horizon, below which nothing is added to the log, and records in their progress
// whether they lose entries. If some advanced meanwhile, again is true and it must be called again.
func (s *Store) moveWebhooks(ctx context.Context, horizon liked.Seq) (again bool, err error) {
	type move struct{ from, to store.Progress }
	moves := make(map[string]move)
	rowAt := func(key []byte) row[store.Progress] { return progressRow(liked.WebhookID(field(key, 0))) }
	find := func(take func([]byte) error) error {
		return scan(s.db, []byte{tagProgress}, nil, func(key, value []byte) (bool, error) {
			p, err := rowAt(key).decode(value)
			if err != nil {
				return false, err
			}
			m := move{p, p}
			for i, offset := range p.Offsets {
				if offset+1 >= horizon {
					continue
				}
				m.to.Offsets[i] = horizon - 1
				lost, err := firstKey(s.db, logKey(nil, i, offset+1), logKey(nil, i, horizon))
				if err != nil {
					return false, err
				}
				if lost != nil {
					m.to.Lost = horizon
				}
			}
			if m.from == m.to {
				return !s.isClosing(), nil
			}
			moves[string(key)] = m
			return true, take(key)
		})
	}
	err = s.inSteps(ctx, find, func(t *tx, keys [][]byte) error {
		for _, key := range keys {
			w := rowAt(key)
			p, ok, err := w.read(t)
			switch m := moves[string(key)]; {
			case err != nil:
			case ok && p == m.from:
				err = w.replace(t, &m.to)
			case ok:
				again = true
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil { // again may still change
		return false, err
	}
	return again, nil
}

// prune deletes windows that ended before the newest counted request, and nonces that expired before the newest signed one.
func (l *limits) prune(ctx context.Context) error {
	newest, signed := l.newest.Load(), l.signed.Load()
	if l.pruned == [2]int64{newest, signed} {
		return nil
	}
	l.pruned = [2]int64{newest, signed}
	err := l.s.update(ctx, func(t *tx) error {
		t.deleteRange([]byte{tagNonce}, noncesFrom(time.Unix(signed, 0)))
		return nil
	})
	for i := 0; err == nil && i < len(l.shards); i++ {
		for step := range slices.Chunk(l.shards[i].ended(newest), stepRows) {
			err = errors.Join(err, l.s.update(ctx, func(t *tx) error {
				for _, c := range step {
					c.forget(t, newest)
				}
				return nil
			}))
		}
	}
	return err
}

func (sh *limitShard) ended(newest int64) (ended []*counter) {
	sh.Lock()
	defer sh.Unlock()
	for _, c := range sh.counters {
		if c.windows.Ended(newest) {
			ended = append(ended, c)
		}
	}
	return ended
}

// forget removes the counter unless it was used again.
func (c *counter) forget(t *tx, newest int64) {
	c.shard.Lock()
	defer c.shard.Unlock()
	if !c.waits && c.windows.Ended(newest) {
		delete(c.shard.counters, c.id)
		t.delete(appendWindowsKey(nil, c.id))
	}
}
