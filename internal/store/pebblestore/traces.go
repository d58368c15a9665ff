package pebblestore

import (
	"cmp"
	"context"
	"encoding/binary"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"liked"
	"liked/internal/store"
)

// traces are rate windows and nonces that wait to be written. They go with the next group, whatever it is for, and
// after half a second in a group of their own.
type traces struct {
	s   *Store
	due atomic.Bool // they have waited long enough

	mu      sync.Mutex
	windows map[windowID]windowState
	nonces  map[store.Hash]time.Time
	timer   *time.Timer
	newest  time.Time // newest time that a window was opened
	pruned  time.Time // what newest was when the last pruning ran

	// The committer's, to be used again.
	spareWindows map[windowID]windowState
	spareNonces  map[store.Hash]time.Time
	ids          []windowID
	key, value   []byte
}

// windowID is what a window is kept under.
type windowID struct {
	app       liked.AppID
	user      liked.UserID
	seconds   int64
	operation string
}

type windowState struct {
	opened time.Time
	count  int
}

const tracesWait = 500 * time.Millisecond

func (t *traces) init(s *Store) {
	t.s = s
	t.windows = make(map[windowID]windowState)
	t.nonces = make(map[store.Hash]time.Time)
	t.spareWindows, t.spareNonces = make(map[windowID]windowState), make(map[store.Hash]time.Time)
	t.timer = time.AfterFunc(time.Hour, func() {
		t.due.Store(true)
		s.queue.poke()
	})
	t.timer.Stop()
}

func (s *Store) KeepWindow(w store.RateWindow) {
	t := &s.traces
	t.mu.Lock()
	defer t.mu.Unlock()
	t.arm()
	t.windows[windowID{w.App, w.User, int64(w.Length / time.Second), w.Operation}] = windowState{w.Opened, w.Count}
	if w.Opened.After(t.newest) {
		t.newest = w.Opened
	}
}

func (s *Store) KeepNonce(nonce store.Hash, until time.Time) {
	t := &s.traces
	t.mu.Lock()
	defer t.mu.Unlock()
	t.arm()
	t.nonces[nonce] = until
}

// arm starts the timer when the first trace begins to wait.
func (t *traces) arm() {
	if len(t.windows)+len(t.nonces) == 0 {
		t.timer.Reset(tracesWait)
	}
}

func (t *traces) waiting() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.windows)+len(t.nonces) > 0
}

// drain moves what waits into a batch, in the order of the keys, which a memtable takes faster. It is the committer's.
func (t *traces) drain(b *pebble.Batch) {
	t.mu.Lock()
	windows, nonces := t.windows, t.nonces
	if len(windows)+len(nonces) == 0 {
		t.mu.Unlock()
		return
	}
	t.timer.Stop()
	t.windows, t.nonces = t.spareWindows, t.spareNonces
	t.mu.Unlock()
	t.ids = t.ids[:0]
	for id := range windows {
		t.ids = append(t.ids, id)
	}
	slices.SortFunc(t.ids, func(a, b windowID) int {
		return cmp.Or(cmp.Compare(a.app, b.app), cmp.Compare(a.user, b.user), cmp.Compare(a.seconds, b.seconds), cmp.Compare(a.operation, b.operation))
	})
	for _, id := range t.ids {
		w := windows[id]
		t.key = appendWindowKey(t.key[:0], id)
		t.value = binary.AppendVarint(binary.AppendVarint(t.value[:0], w.opened.UnixMicro()), int64(w.count))
		must(b.Set(t.key, t.value, nil))
	}
	for h, until := range nonces {
		must(b.Set(nonceKey(until, h), binary.AppendVarint(nil, until.UnixMicro()), nil))
	}
	clear(windows)
	clear(nonces)
	t.spareWindows, t.spareNonces = windows, nonces
}

func decodeWindow(id windowID, value []byte) (store.RateWindow, error) {
	r := reader{b: value}
	w := store.RateWindow{Operation: id.operation, App: id.app, User: id.user, Length: time.Duration(id.seconds) * time.Second,
		Opened: r.time(), Count: int(r.int())}
	return w, r.done()
}

func (s *Store) LoadTraces(ctx context.Context, now time.Time, window func(store.RateWindow), nonce func(store.Hash, time.Time)) error {
	var windows []store.RateWindow
	type entry struct {
		hash  store.Hash
		until time.Time
	}
	var nonces []entry
	// What waits to be written has been kept, too.
	if err := s.update(ctx, func(t *tx) error { t.c.batch(); return nil }); err != nil {
		return err
	}
	err := s.view(ctx, func(r pebble.Reader) error {
		err := scanWindows(r, func(w store.RateWindow) {
			if w.Opened.Add(w.Length).After(now) {
				windows = append(windows, w)
			}
		})
		if err != nil {
			return err
		}
		return scan(r, []byte{tagNonce}, nonceKey(now, store.Hash{}), func(key, value []byte) (bool, error) {
			v := reader{b: value}
			until := v.time()
			if err := v.done(); err != nil {
				return false, damaged(key, err)
			}
			if _, h := splitNonceKey(key); until.After(now) {
				nonces = append(nonces, entry{h, until})
			}
			return true, nil
		})
	})
	if err != nil {
		return err
	}
	// The callbacks may call the store.
	for _, w := range windows {
		window(w)
	}
	for _, n := range nonces {
		nonce(n.hash, n.until)
	}
	return nil
}

func scanWindows(r pebble.Reader, f func(store.RateWindow)) error {
	return scan(r, []byte{tagWindow}, nil, func(key, value []byte) (bool, error) {
		w, err := decodeWindow(splitWindowKey(key), value)
		if err != nil {
			return false, damaged(key, err)
		}
		f(w)
		return true, nil
	})
}

// prune adds to the batch the removal of what ended before the newest time known.
func (t *traces) prune(r pebble.Reader, b *pebble.Batch) error {
	t.mu.Lock()
	now := t.newest
	idle := !now.After(t.pruned)
	t.pruned = now
	t.mu.Unlock()
	if idle {
		return nil
	}
	must(b.DeleteRange(nonceKey(time.Unix(0, 0), store.Hash{}), nonceKey(now, store.Hash{}), nil))
	return scanWindows(r, func(w store.RateWindow) {
		if !w.Opened.Add(w.Length).After(now) {
			must(b.Delete(windowKey(windowID{w.App, w.User, int64(w.Length / time.Second), w.Operation}), nil))
		}
	})
}
