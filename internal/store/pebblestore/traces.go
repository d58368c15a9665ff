package pebblestore

import (
	"cmp"
	"context"
	"encoding/binary"
	"slices"
	"strings"
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
	windows map[windowsID]windowStates
	nonces  []keptNonce
	timer   *time.Timer
	newest  int64 // newest time that a window was opened, in microseconds
	pruned  int64 // what newest was when the last pruning ran

	// The committer's, to be used again.
	spareWindows map[windowsID]windowStates
	spareNonces  []keptNonce
	ids          []windowsID
	key, value   []byte
}

// windowsID is what windows are kept under.
type windowsID struct {
	app       liked.AppID
	user      liked.UserID
	operation string
}

// windowStates is liked.RateWindows.Windows in less space.
type windowStates [len(liked.RateWindows{}.Windows)]struct{ seconds, opened, count int64 }

// keptNonce is a nonce and when it is forgotten, in microseconds.
type keptNonce struct {
	hash  store.Hash
	until int64
}

const tracesWait = 500 * time.Millisecond

func (t *traces) init(s *Store) {
	t.s = s
	t.windows = make(map[windowsID]windowStates)
	t.spareWindows = make(map[windowsID]windowStates)
	t.timer = time.AfterFunc(time.Hour, func() {
		t.due.Store(true)
		s.queue.poke()
	})
	t.timer.Stop()
}

func (s *Store) KeepWindows(w liked.RateWindows) {
	t := &s.traces
	t.mu.Lock()
	defer t.mu.Unlock()
	t.arm()
	var states windowStates
	for i, w := range w.Windows {
		if w.Length == 0 {
			continue
		}
		states[i].seconds, states[i].opened, states[i].count = int64(w.Length/time.Second), w.Opened.UnixMicro(), int64(w.Count)
		t.newest = max(t.newest, states[i].opened)
	}
	t.windows[windowsID{w.App, w.User, w.Operation}] = states
}

func (s *Store) KeepNonce(nonce store.Hash, until time.Time) {
	t := &s.traces
	t.mu.Lock()
	defer t.mu.Unlock()
	t.arm()
	t.nonces = append(t.nonces, keptNonce{nonce, until.UnixMicro()})
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
	slices.SortFunc(t.ids, func(a, b windowsID) int {
		return cmp.Or(cmp.Compare(a.app, b.app), cmp.Compare(a.user, b.user), strings.Compare(a.operation, b.operation))
	})
	for _, id := range t.ids {
		t.key = appendWindowsKey(t.key[:0], id)
		t.value = t.value[:0]
		for _, w := range windows[id] {
			if w.seconds != 0 {
				t.value = binary.AppendVarint(binary.AppendVarint(binary.AppendUvarint(t.value, uint64(w.seconds)), w.opened), w.count)
			}
		}
		must(b.Set(t.key, t.value, nil))
	}
	slices.SortFunc(nonces, func(a, b keptNonce) int { return cmp.Compare(a.until, b.until) })
	for rest := nonces; len(rest) > 0; { // one row for all that are forgotten in one second
		t.key = appendNonceKey(t.key[:0], rest[0])
		t.value = binary.AppendVarint(t.value[:0], rest[0].until)
		second := rest[0].until / 1e6
		for rest = rest[1:]; len(rest) > 0 && rest[0].until/1e6 == second; rest = rest[1:] {
			t.value = binary.AppendVarint(append(t.value, rest[0].hash[:]...), rest[0].until)
		}
		must(b.Set(t.key, t.value, nil))
	}
	clear(windows)
	t.spareWindows, t.spareNonces = windows, nonces[:0]
}

// decodeNonces reads a row of nonces, of which the key names the first.
func decodeNonces(key, value []byte) (nonces []keptNonce, err error) {
	r := reader{b: value}
	nonces = append(nonces, keptNonce{hash: splitNonceKey(key), until: r.int()})
	for len(r.b) > 0 {
		nonces = append(nonces, keptNonce{hash: r.hash(), until: r.int()})
	}
	return nonces, r.done()
}

func decodeWindows(id windowsID, value []byte) (liked.RateWindows, error) {
	r := reader{b: value}
	w := liked.RateWindows{Operation: id.operation, App: id.app, User: id.user}
	for i := 0; i < len(w.Windows) && len(r.b) > 0; i++ {
		w.Windows[i] = liked.RateWindow{Length: time.Duration(r.uint()) * time.Second, Opened: r.time(), Count: int(r.int())}
	}
	return w, r.done()
}

// stillOpen leaves the windows that end after now, and reports whether there are any.
func stillOpen(w *liked.RateWindows, now time.Time) (any bool) {
	for i := range w.Windows {
		if w.Windows[i].Opened.Add(w.Windows[i].Length).After(now) {
			any = true
		} else {
			w.Windows[i] = liked.RateWindow{}
		}
	}
	return any
}

func (s *Store) LoadTraces(ctx context.Context, now time.Time, window func(liked.RateWindows), nonce func(store.Hash, time.Time)) error {
	var windows []liked.RateWindows
	var nonces []keptNonce
	// What waits to be written has been kept, too.
	if err := s.update(ctx, func(t *tx) error { t.c.batch(); return nil }); err != nil {
		return err
	}
	err := s.view(ctx, func(r pebble.Reader) error {
		err := scanWindows(r, func(w liked.RateWindows) {
			if stillOpen(&w, now) {
				windows = append(windows, w)
			}
		})
		if err != nil {
			return err
		}
		return scan(r, []byte{tagNonce}, noncesFrom(now), func(key, value []byte) (bool, error) {
			kept, err := decodeNonces(key, value)
			if err != nil {
				return false, damaged(key, err)
			}
			for _, n := range kept {
				if n.until > now.UnixMicro() {
					nonces = append(nonces, n)
				}
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
		nonce(n.hash, time.UnixMicro(n.until).UTC())
	}
	return nil
}

func scanWindows(r pebble.Reader, f func(liked.RateWindows)) error {
	return scan(r, []byte{tagWindow}, nil, func(key, value []byte) (bool, error) {
		w, err := decodeWindows(splitWindowsKey(key), value)
		if err != nil {
			return false, damaged(key, err)
		}
		f(w)
		return true, nil
	})
}
