package pebblestore

import (
	"cmp"
	"context"
	"encoding/binary"
	"hash/maphash"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"liked"
	"liked/internal/limit"
	"liked/internal/store"
)

// limits counts in memory, which has all windows and nonces of the database. Changes are written with any next group,
// or after half a second in one of their own.
type limits struct {
	s      *Store
	loaded atomic.Bool // the database has been read
	load   sync.Mutex
	seed   maphash.Seed
	newest atomic.Int64 // newest time of a counted request, in Unix seconds
	signed atomic.Int64 // of a signed one, by which nonces are forgotten: it may be earlier
	pruned [2]int64     // both at the last prune
	shards [64]limitShard
	used   nonces
	due    atomic.Bool // changes have waited for limitsWait

	mu      sync.Mutex
	changed []*counter // to be written
	nonces  []keptNonce
	timer   *time.Timer

	// Reused by the committer only.
	spareChanged []*counter
	spareNonces  []keptNonce
	key, value   []byte
}

type limitShard struct {
	sync.Mutex
	counters map[windowsID]*counter
	_        [48]byte // keeps neighbours' locks off one cache line
}

// counter has the windows of one key, guarded by its shard's lock.
type counter struct {
	shard   *limitShard
	id      windowsID
	windows limit.Windows
	waits   bool // it is in changed
}

type windowsID struct {
	app       liked.AppID
	user      liked.UserID // zero: the app as a whole
	operation string
}

const limitsWait = 500 * time.Millisecond

func (l *limits) init(s *Store) {
	l.s, l.seed = s, maphash.MakeSeed()
	l.used.init(maxNonces)
	l.timer = time.AfterFunc(time.Hour, func() {
		l.due.Store(true)
		s.queue.poke()
	})
	l.timer.Stop()
}

func (l *limits) shard(id windowsID) int {
	return int(maphash.Comparable(l.seed, id) % uint64(len(l.shards)))
}

// caller is where a call counts: for the app's user, and for the app as a whole.
type caller [2]struct {
	id      windowsID
	shard   int      // -1: it does not count there
	counter *counter // nil: none yet
}

// lock locks the shards that the rules count in, and finds the counters.
func (l *limits) lock(operation string, app liked.AppID, user liked.UserID, rules []liked.RateRule) (c caller) {
	c[0].shard, c[1].shard = -1, -1
	for _, r := range rules {
		at := &c[bit(r.App, 1)]
		if at.shard >= 0 {
			continue
		}
		at.id = windowsID{app, user, operation}
		if r.App {
			at.id.user = 0
		}
		at.shard = l.shard(at.id)
	}
	c.each(l, (*limitShard).Lock)
	for i := range c {
		if c[i].shard >= 0 {
			c[i].counter = l.shards[c[i].shard].counters[c[i].id]
		}
	}
	return c
}

func (c *caller) unlock(l *limits) { c.each(l, (*limitShard).Unlock) }

// each calls f with the caller's shards, always the lower one first, so that locks do not wait for each other.
func (c *caller) each(l *limits, f func(*limitShard)) {
	low, high := min(c[0].shard, c[1].shard), max(c[0].shard, c[1].shard)
	if low >= 0 {
		f(&l.shards[low])
	}
	if high > low {
		f(&l.shards[high])
	}
}

func (c *caller) windows(i int) *limit.Windows {
	if c[i].counter == nil {
		return nil
	}
	return &c[i].counter.windows
}

func (c *caller) keep(l *limits) {
	for i := range c {
		if n := c[i].counter; n != nil {
			l.keep(n)
		}
	}
}

// keep has a counter written. Its shard must be locked.
func (l *limits) keep(n *counter) {
	if n.waits {
		return
	}
	n.waits = true
	l.mu.Lock()
	l.arm()
	l.changed = append(l.changed, n)
	l.mu.Unlock()
}

func (s *Store) Take(ctx context.Context, now time.Time, operation string, app liked.AppID, user liked.UserID,
	rules []liked.RateRule, states []liked.RateState) (_ []liked.RateState, ok bool, err error) {
	l := &s.limits
	if err := l.ready(ctx); err != nil {
		return states, false, err
	}
	if len(rules) == 0 {
		return states, true, nil
	}
	later(&l.newest, now)
	c := l.lock(operation, app, user, rules)
	defer c.unlock(l)
	for i := range c {
		if c[i].shard >= 0 && c[i].counter == nil {
			c[i].counter = l.shards[c[i].shard].add(c[i].id)
		}
	}
	if states, ok = limit.Take(now, c.windows(0), c.windows(1), rules, states); ok {
		c.keep(l)
	}
	return states, ok, nil
}

// later sets newest to now if that is later, or to the time of another call at that moment.
func later(newest *atomic.Int64, now time.Time) {
	if unix := now.Unix(); unix > newest.Load() {
		newest.Store(unix)
	}
}

func (sh *limitShard) add(id windowsID) *counter {
	c := sh.counters[id]
	if c == nil {
		if sh.counters == nil {
			sh.counters = make(map[windowsID]*counter)
		}
		c = &counter{shard: sh, id: id}
		sh.counters[id] = c
	}
	return c
}

func (s *Store) Left(ctx context.Context, now time.Time, operation string, app liked.AppID, user liked.UserID,
	rules []liked.RateRule, states []liked.RateState) ([]liked.RateState, error) {
	l := &s.limits
	if err := l.ready(ctx); err != nil {
		return states, err
	}
	c := l.lock(operation, app, user, rules)
	defer c.unlock(l)
	return limit.Left(now, c.windows(0), c.windows(1), rules, states), nil
}

// meant calls f with the counters of the callers, their shard locked.
func (l *limits) meant(ctx context.Context, of store.Callers, f func(*counter)) error {
	if err := l.ready(ctx); err != nil {
		return err
	}
	for i := range l.shards {
		sh := &l.shards[i]
		sh.Lock()
		for id, c := range sh.counters {
			if of.Mean(id.operation, id.app, id.user) {
				f(c)
			}
		}
		sh.Unlock()
	}
	return nil
}

func (s *Store) Windows(ctx context.Context, now time.Time, of store.Callers) (all []store.Window, err error) {
	err = s.limits.meant(ctx, of, func(c *counter) {
		all = c.windows.Open(now, store.Window{Operation: c.id.operation, App: c.id.app, User: c.id.user}, all)
	})
	limit.Sort(all)
	return all, err
}

func (s *Store) ResetWindows(ctx context.Context, of store.Callers) (n int, err error) {
	err = s.limits.meant(ctx, of, func(c *counter) {
		if c.windows != (limit.Windows{}) {
			c.windows = limit.Windows{} // prune removes the counter
			s.limits.keep(c)
			n++
		}
	})
	return n, err
}

func (s *Store) GiveBack(
	ctx context.Context, now time.Time, operation string, app liked.AppID, user liked.UserID, rules []liked.RateRule,
) error {
	l := &s.limits
	if err := l.ready(ctx); err != nil {
		return err
	}
	c := l.lock(operation, app, user, rules)
	defer c.unlock(l)
	limit.GiveBack(now, c.windows(0), c.windows(1), rules)
	c.keep(l)
	return nil
}

func (s *Store) UseNonce(
	ctx context.Context, now time.Time, app liked.AppID, nonce store.Hash, until time.Time,
) (fresh bool, err error) {
	l := &s.limits
	if err := l.ready(ctx); err != nil {
		return false, err
	}
	later(&l.signed, now)
	if fresh, err = l.used.add(app, nonce, until.Unix(), now.Unix()); fresh {
		l.mu.Lock()
		l.arm()
		l.nonces = append(l.nonces, keptNonce{nonce, until.UnixMicro()})
		l.mu.Unlock()
	}
	return fresh, err
}

// arm starts the timer if nothing waits yet. l.mu must be held.
func (l *limits) arm() {
	if !l.waits() {
		l.timer.Reset(limitsWait)
	}
}

func (l *limits) waits() bool { return len(l.changed)+len(l.nonces) > 0 }

func (l *limits) waiting() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.waits()
}

// ready refuses calls as the store does, and first loads the database's windows and nonces.
func (l *limits) ready(ctx context.Context) error {
	if l.s.readOnly {
		return errReadOnly
	}
	if l.loaded.Load() {
		return l.s.refuses()
	}
	l.load.Lock()
	defer l.load.Unlock()
	if l.loaded.Load() {
		return nil
	}
	err := l.s.view(ctx, func(r pebble.Reader) error {
		err := scan(r, []byte{tagWindow}, nil, func(key, value []byte) (bool, error) {
			id := splitWindowsKey(key)
			windows, err := decodeWindows(value)
			if err != nil {
				return false, err
			}
			l.shards[l.shard(id)].add(id).windows = windows
			return true, nil
		})
		if err != nil {
			return err
		}
		return scan(r, []byte{tagNonce}, nil, func(key, value []byte) (bool, error) {
			kept, err := decodeNonces(key, value)
			if err != nil {
				return false, err
			}
			for _, n := range kept {
				if _, err := l.used.add(0, n.hash, n.until/1e6, 0); err != nil {
					return false, err
				}
			}
			return true, nil
		})
	})
	l.loaded.Store(err == nil)
	return err
}

// drain moves what waits into a batch, in key order, which a memtable inserts faster. For the committer only.
func (l *limits) drain(b *pebble.Batch) {
	l.mu.Lock()
	if !l.waits() {
		l.mu.Unlock()
		return
	}
	l.timer.Stop()
	changed, nonces := l.changed, l.nonces
	l.changed, l.nonces = l.spareChanged, l.spareNonces
	l.mu.Unlock()
	slices.SortFunc(changed, func(a, b *counter) int {
		return cmp.Or(cmp.Compare(a.id.app, b.id.app), cmp.Compare(a.id.user, b.id.user), strings.Compare(a.id.operation, b.id.operation))
	})
	for _, c := range changed {
		c.shard.Lock()
		c.waits = false
		l.value = appendWindows(l.value[:0], &c.windows)
		c.shard.Unlock()
		l.key = appendWindowsKey(l.key[:0], c.id)
		must(b.Set(l.key, l.value, nil))
	}
	slices.SortFunc(nonces, func(a, b keptNonce) int { return cmp.Compare(a.until, b.until) })
	for rest := nonces; len(rest) > 0; { // one row for all that expire in one second
		l.key = appendNonceKey(l.key[:0], rest[0])
		l.value = binary.AppendVarint(l.value[:0], rest[0].until)
		second := rest[0].until / 1e6
		for rest = rest[1:]; len(rest) > 0 && rest[0].until/1e6 == second; rest = rest[1:] {
			l.value = binary.AppendVarint(append(l.value, rest[0].hash[:]...), rest[0].until)
		}
		must(b.Set(l.key, l.value, nil))
	}
	clear(changed)
	l.spareChanged, l.spareNonces = changed[:0], nonces[:0]
}

func appendWindows(b []byte, windows *limit.Windows) []byte {
	for _, w := range windows {
		if w.Length != 0 {
			b = binary.AppendVarint(binary.AppendVarint(binary.AppendUvarint(b, uint64(w.Length)), w.Opened*1e6), int64(w.Count))
		}
	}
	return b
}

func decodeWindows(value []byte) (windows limit.Windows, err error) {
	r := record{b: value}
	for i := 0; i < len(windows) && len(r.b) > 0; i++ {
		w := &windows[i]
		number(&r, &w.Length)
		signed(&r, &w.Opened)
		signed(&r, &w.Count)
		w.Opened /= 1e6
	}
	return windows, r.done()
}
