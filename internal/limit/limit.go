// Package limit counts requests in fixed windows. A window opens at the first request that it counts, in whole
// seconds, and ends a fixed time later; until then its end does not move. Start with [New], then [Limiter.Take].
package limit

import (
	"hash/maphash"
	"slices"
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

// MaxRules bounds the rules of one call.
const MaxRules = len(liked.RateWindows{}.Windows)

// Limiter counts. It is safe for concurrent use, and its memory is bounded by the number of windows that are open.
type Limiter struct {
	keep   func(liked.RateWindows)
	seed   maphash.Seed
	shards [64]shard
}

// New returns a Limiter that tells keep what has to be kept for counting to go on after a restart, whenever it changes.
// keep is called with a lock held, so that calls for one caller on one endpoint come in order: it must be quick and must
// not call the Limiter. It may be nil.
func New(keep func(liked.RateWindows)) *Limiter {
	if keep == nil {
		keep = func(liked.RateWindows) {}
	}
	l := &Limiter{keep: keep, seed: maphash.MakeSeed()}
	for i := range l.shards {
		l.shards[i] = shard{counters: make(map[key]*counter), sweepAt: 1024}
	}
	return l
}

type key struct {
	operation string
	app       liked.AppID
	user      liked.UserID // zero: the app as a whole
}

// counter is all windows under one key. Those that are not used are zero.
type counter [MaxRules]window

type window struct {
	length, opened int64 // seconds, Unix seconds
	count          int
}

type shard struct {
	mu       sync.Mutex
	counters map[key]*counter
	sweepAt  int // size at which ended windows are looked for
	_        [32]byte
}

// Restore takes back what was kept, unless the Limiter has counted there already.
func (l *Limiter) Restore(kept liked.RateWindows) {
	k := key{kept.Operation, kept.App, kept.User}
	s := &l.shards[l.shard(k)]
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.counters[k] != nil {
		return
	}
	c := new(counter)
	for i, w := range kept.Windows {
		c[i] = window{int64(w.Length / time.Second), w.Opened.Unix(), w.Count}
	}
	s.counters[k] = c
}

// Take counts one request of the app, on behalf of the user (zero if there is none), against every rule, and appends
// the rules' states to states. If a window is used up the request is counted nowhere and ok is false. At most MaxRules
// rules, no two alike but for Max.
func (l *Limiter) Take(now time.Time, operation string, app liked.AppID, user liked.UserID, rules []Rule, states []State) (_ []State, ok bool) {
	if len(rules) == 0 {
		return states, true
	}
	p := l.lock(operation, app, user, rules)
	defer p.unlock(l)

	unix, ok := now.Unix(), true
	var windows [MaxRules]*window
	for i, r := range rules {
		place := &p[place(r)]
		if place.counter == nil {
			place.counter = l.shards[place.shard].counter(place.key, unix)
		}
		windows[i] = place.counter.open(r, rules, unix)
		ok = ok && windows[i].count < r.Max
	}
	for i, r := range rules {
		w := windows[i]
		if ok {
			w.count++
		}
		states = append(states, State{r, max(r.Max-w.count, 0), time.Unix(w.opened, 0).Add(r.Window)})
	}
	if ok {
		p.keep(l)
	}
	return states, ok
}

// GiveBack undoes a Take that counted, for a request that turned out not to count. now, the rules and the rest are those
// of Take. A window that has ended since is left alone.
func (l *Limiter) GiveBack(now time.Time, operation string, app liked.AppID, user liked.UserID, rules []Rule) {
	if len(rules) == 0 {
		return
	}
	p := l.lock(operation, app, user, rules)
	defer p.unlock(l)
	for _, r := range rules {
		place := &p[place(r)]
		place.counter = l.shards[place.shard].counters[place.key]
		if place.counter == nil {
			continue
		}
		if w := place.counter.find(r); w != nil && w.count > 0 && w.opened <= now.Unix() {
			w.count--
		}
	}
	p.keep(l)
}

// places are where a call counts: the windows of the user, and those of the app as a whole.
type places [2]struct {
	key
	shard   uint64
	used    bool
	counter *counter
}

// place is the index among places of what a rule counts.
func place(r Rule) int {
	if r.App {
		return 1
	}
	return 0
}

// lock locks the shards of what the rules count, in ascending order, so that two calls cannot wait for each other.
func (l *Limiter) lock(operation string, app liked.AppID, user liked.UserID, rules []Rule) (p places) {
	for _, r := range rules {
		at := &p[place(r)]
		if at.used {
			continue
		}
		at.used, at.key = true, key{operation, app, user}
		if r.App {
			at.user = 0
		}
		at.shard = l.shard(at.key)
	}
	if p[0].used && p[1].used && p[1].shard < p[0].shard {
		l.shards[p[1].shard].mu.Lock()
		l.shards[p[0].shard].mu.Lock()
		return p
	}
	for i := range p {
		if p[i].used && (i == 0 || !p[0].used || p[0].shard != p[1].shard) {
			l.shards[p[i].shard].mu.Lock()
		}
	}
	return p
}

func (p *places) unlock(l *Limiter) {
	for i := range p {
		if p[i].used && (i == 0 || !p[0].used || p[0].shard != p[1].shard) {
			l.shards[p[i].shard].mu.Unlock()
		}
	}
}

// keep tells what has changed.
func (p *places) keep(l *Limiter) {
	for i := range p {
		if p[i].counter == nil {
			continue
		}
		kept := liked.RateWindows{Operation: p[i].operation, App: p[i].app, User: p[i].user}
		for j, w := range p[i].counter {
			if w.length != 0 {
				kept.Windows[j] = liked.RateWindow{Length: time.Duration(w.length) * time.Second, Opened: time.Unix(w.opened, 0).UTC(), Count: w.count}
			}
		}
		l.keep(kept)
	}
}

func (l *Limiter) shard(k key) uint64 {
	return maphash.Comparable(l.seed, k) % uint64(len(l.shards))
}

// counter returns the counter under k, making one if there is none. s.mu is held.
func (s *shard) counter(k key, now int64) *counter {
	c := s.counters[k]
	if c == nil {
		if len(s.counters) >= s.sweepAt {
			s.sweep(now)
		}
		c = new(counter)
		s.counters[k] = c
	}
	return c
}

// find returns the window of the rule, nil if there is none.
func (c *counter) find(r Rule) *window {
	for i := range c {
		if c[i].length == int64(r.Window/time.Second) {
			return &c[i]
		}
	}
	return nil
}

// open returns the window of a rule that is open at now, opening one if there is none: in place of one that is not used,
// or that none of the rules has, which then are others than they were.
func (c *counter) open(r Rule, rules []Rule, now int64) *window {
	w := c.find(r)
	switch {
	case w == nil:
		if w = c.find(Rule{}); w == nil {
			w = &c[slices.IndexFunc(c[:], func(w window) bool {
				return !slices.ContainsFunc(rules, func(r Rule) bool { return int64(r.Window/time.Second) == w.length })
			})]
		}
		fallthrough
	case now >= w.opened+w.length:
		*w = window{length: int64(r.Window / time.Second), opened: now}
	case now < w.opened:
		// The clock went back. The count stands, but the window must not end later than one that opens now.
		w.opened = now
	}
	return w
}

// sweep forgets callers whose windows have all ended, and waits until the shard has doubled before it looks again.
func (s *shard) sweep(now int64) {
	for k, c := range s.counters {
		if !slices.ContainsFunc(c[:], func(w window) bool { return now < w.opened+w.length }) {
			delete(s.counters, k)
		}
	}
	s.sweepAt = max(1024, 2*len(s.counters))
}
