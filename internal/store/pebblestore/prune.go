package pebblestore

import (
	"context"
	"time"

	"liked"
	"liked/internal/store"
)

// prune forgets, now and then, old entries of the like log, and rate windows and nonces whose time is over. Time is what
// callers said it is.
func (s *Store) prune(every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-s.closing:
			return
		case <-s.failed:
			return
		}
		for _, forget := range []func(context.Context) error{s.pruneLog, s.traces.prune} {
			if err := forget(context.Background()); err != nil && !s.isClosing() {
				s.log.Error("store: cannot forget what is over", "err", err)
			}
		}
	}
}

// pruneLog forgets all entries of the log below a horizon in one operation. Before that, webhooks that have not come so
// far are moved to the horizon.
func (s *Store) pruneLog(ctx context.Context) error {
	var horizon liked.Seq
	err := s.update(ctx, func(t *tx) error {
		if h := liked.Seq(max(t.c.newestAt-s.logKeep.Milliseconds(), 0)) << 20; h > t.c.horizon {
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

// moveWebhooks moves webhooks to the horizon, and says in their progress whether they lose entries by that. Nothing is
// added to the log below the horizon meanwhile. A webhook that advances meanwhile is left as it is: moveWebhooks must be
// called again.
func (s *Store) moveWebhooks(ctx context.Context, horizon liked.Seq) (again bool, err error) {
	type move struct{ from, to store.Progress }
	moves := make(map[string]move)
	find := func(take func([]byte) error) error {
		return scan(s.db, []byte{tagProgress}, nil, func(key, value []byte) (bool, error) {
			p, err := decodeProgress(value)
			if err != nil {
				return false, damaged(key, err)
			}
			m := move{p, p}
			for i, offset := range p.Offsets {
				if offset+1 >= horizon {
					continue
				}
				m.to.Offsets[i] = horizon - 1
				err := scanRange(s.db, logKey(nil, i, offset+1), logKey(nil, i, horizon), func(_, _ []byte) (bool, error) {
					m.to.Lost = horizon
					return false, nil
				})
				if err != nil {
					return false, err
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
			p, ok, err := read(t.db(), key, decodeProgress)
			switch m := moves[string(key)]; {
			case err != nil:
				return err
			case ok && p == m.from:
				t.set(key, encodeProgress(&m.to))
			case ok:
				again = true
			}
		}
		return nil
	})
	if err != nil { // again may still change
		return false, err
	}
	return again, nil
}

// prune forgets what ended before the newest time known.
func (t *traces) prune(ctx context.Context) error {
	t.mu.Lock()
	newest := t.newest
	idle := newest == t.pruned
	t.pruned = newest
	t.mu.Unlock()
	if idle {
		return nil
	}
	now := time.UnixMicro(newest)
	err := t.s.update(ctx, func(t *tx) error {
		t.deleteRange([]byte{tagNonce}, noncesFrom(now))
		return nil
	})
	if err != nil {
		return err
	}
	ended := func(key, value []byte) (bool, error) {
		w, err := decodeWindows(splitWindowsKey(key), value)
		if err != nil {
			return false, damaged(key, err)
		}
		return !stillOpen(&w, now), nil
	}
	find := func(take func([]byte) error) error {
		return scan(t.s.db, []byte{tagWindow}, nil, func(key, value []byte) (bool, error) {
			over, err := ended(key, value)
			if over && err == nil {
				err = take(key)
			}
			return !t.s.isClosing(), err
		})
	}
	return t.s.inSteps(ctx, find, func(t *tx, keys [][]byte) error {
		for _, key := range keys {
			value, ok, err := read(t.db(), key, clone)
			if err == nil && ok {
				ok, err = ended(key, value)
			}
			if err != nil {
				return err
			}
			if ok {
				t.delete(key)
			}
		}
		return nil
	})
}
