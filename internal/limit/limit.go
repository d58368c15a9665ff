// Package limit counts requests in fixed windows. A window opens at the first request that it counts, in whole
// seconds, and ends a fixed time later; until then its end does not move. Start with [New], then [Limiter.Take].
package limit

import (
	"hash/maphash"
	"math/bits"
	"sync"
	"time"

	"liked"
)

// Rule is one limit of one endpoint: at most Max requests in each Window.
type Rule struct {
	App    bool // counted for the app as a whole; otherwise for each user of each app
	Window time.Duration
	Max    int
}

// State is what a rule's window looks like after a request.
type State struct {
	Rule
	Remaining int
	Reset     time.Time // when the window ends, in whole seconds
}

// Window is what has to be kept for counting to go on after a restart.
type Window struct {
	Operation string
	App       liked.AppID
	User      liked.UserID // zero: the window of the app as a whole
	Length    time.Duration
	Opened    time.Time
	Count     int
}

// Limiter counts. It is safe for concurrent use, and its memory is bounded by the number of windows that are open.
type Limiter struct {
	keep   func(Window)
	seed   maphash.Seed
	shards [64]shard
}

// New returns a Limiter that tells keep of every window that it opens or counts in. keep is called with a lock held,
// so that calls for one window come in order: it must be quick and must not call the Limiter. It may be nil.
func New(keep func(Window)) *Limiter {
	if keep == nil {
		keep = func(Window) {}
	}
	l := &Limiter{keep: keep, seed: maphash.MakeSeed()}
	for i := range l.shards {
		l.shards[i] = shard{windows: make(map[key]*window), sweepAt: 1024}
	}
	return l
}

type key struct {
	operation string
	app       liked.AppID
	user      liked.UserID
	length    time.Duration
}

type window struct {
	opened int64 // Unix seconds
	count  int
}

type shard struct {
	mu      sync.Mutex
	windows map[key]*window
	sweepAt int // size at which ended windows are looked for
	_       [32]byte
}

// Restore takes back a window that was kept, unless the Limiter has counted in it already.
func (l *Limiter) Restore(w Window) {
	k := key{w.Operation, w.App, w.User, w.Length}
	s := &l.shards[l.shard(k)]
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.windows[k] == nil {
		s.windows[k] = &window{opened: w.Opened.Unix(), count: w.Count}
	}
}

// Take counts one request of the app, on behalf of the user (zero if there is none), against every rule, and appends
// the rules' states to states. If a window is used up the request is counted nowhere and ok is false. At most
// maxRules rules.
func (l *Limiter) Take(now time.Time, operation string, app liked.AppID, user liked.UserID, rules []Rule, states []State) (_ []State, ok bool) {
	if len(rules) == 0 {
		return states, true
	}
	var keys [maxRules]key
	var places [maxRules]uint64
	var locked uint64 // a bit a shard
	for i, r := range rules {
		keys[i] = key{operation, app, user, r.Window}
		if r.App {
			keys[i].user = 0
		}
		places[i] = l.shard(keys[i])
		locked |= 1 << places[i]
	}
	for left := locked; left != 0; left &= left - 1 { // in ascending order, so that two calls cannot wait for each other
		l.shards[bits.TrailingZeros64(left)].mu.Lock()
	}
	defer func() {
		for left := locked; left != 0; left &= left - 1 {
			l.shards[bits.TrailingZeros64(left)].mu.Unlock()
		}
	}()

	unix, ok := now.Unix(), true
	var windows [maxRules]*window
	for i, r := range rules {
		windows[i] = l.shards[places[i]].open(keys[i], unix)
		ok = ok && windows[i].count < r.Max
	}
	for i, r := range rules {
		w := windows[i]
		if ok {
			w.count++
			l.keep(Window{operation, app, keys[i].user, r.Window, time.Unix(w.opened, 0), w.count})
		}
		states = append(states, State{r, max(r.Max-w.count, 0), time.Unix(w.opened, 0).Add(r.Window)})
	}
	return states, ok
}

const maxRules = 4

// GiveBack undoes a Take that counted, for a request that turned out not to count. now, the rules and the rest are those
// of Take. A window that has ended since is left alone.
func (l *Limiter) GiveBack(now time.Time, operation string, app liked.AppID, user liked.UserID, rules []Rule) {
	for _, r := range rules {
		k := key{operation, app, user, r.Window}
		if r.App {
			k.user = 0
		}
		s := &l.shards[l.shard(k)]
		s.mu.Lock()
		if w := s.windows[k]; w != nil && w.count > 0 && w.opened <= now.Unix() {
			w.count--
			l.keep(Window{operation, app, k.user, r.Window, time.Unix(w.opened, 0), w.count})
		}
		s.mu.Unlock()
	}
}

func (l *Limiter) shard(k key) uint64 {
	// Windows of one caller on one endpoint share a shard, so that a request mostly takes one lock.
	k.length = 0
	return maphash.Comparable(l.seed, k) % uint64(len(l.shards))
}

// open returns the window under k that is open at now, opening one if there is none. s.mu is held.
func (s *shard) open(k key, now int64) *window {
	w := s.windows[k]
	if w == nil {
		if len(s.windows) >= s.sweepAt {
			s.sweep(now)
		}
		w = &window{opened: now}
		s.windows[k] = w
		return w
	}
	switch {
	case now >= w.opened+int64(k.length/time.Second):
		*w = window{opened: now}
	case now < w.opened:
		// The clock went back. The count stands, but the window must not end later than one that opens now.
		w.opened = now
	}
	return w
}

// sweep forgets windows that have ended, and waits until the shard has doubled before it looks again.
func (s *shard) sweep(now int64) {
	for k, w := range s.windows {
		if now >= w.opened+int64(k.length/time.Second) {
			delete(s.windows, k)
		}
	}
	s.sweepAt = max(1024, 2*len(s.windows))
}
