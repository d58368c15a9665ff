package pebblestore

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"liked"
)

// diskTimeouts bound how long calls wait for the disk. A timer for each call would cost more than the rest of its wait, so
// calls share their ends: all that begin to wait within one tick wait on one channel, which is closed when the last of them
// has waited long enough, or once the store has failed. Ticks are counted, so that a process that was stopped for a while
// does not give up a disk that had no chance.
type diskTimeouts struct {
	begun   atomic.Pointer[wait] // of the calls that begin to wait now
	stalled atomic.Bool          // a call has waited in vain, and nothing was synced since

	mu    sync.Mutex
	waits []*wait // not over, oldest first; nil: no more begin
}

// wait is one that any number of calls share.
type wait struct{ over chan struct{} }

// ticks is how many of them make a whole wait, which so is exact to a twentieth.
const ticks = 20

// watch counts the ticks until the store is closed or fails.
func (s *Store) watch(diskTimeouts time.Duration) {
	p := &s.timeouts
	p.tick()
	go func() {
		tick := time.NewTicker(max(diskTimeouts/ticks, time.Millisecond))
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				p.tick()
				s.recover()
			case <-s.stopped:
				return
			case <-s.failed:
				p.end()
				return
			}
		}
	}()
}

// tick begins a wait, and ends the oldest once there are too many.
func (p *diskTimeouts) tick() {
	w := &wait{make(chan struct{})}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.begun.Store(w)
	if p.waits = append(p.waits, w); len(p.waits) > ticks+1 {
		close(p.waits[0].over)
		p.waits = p.waits[1:]
	}
}

// end ends all waits. The last one to begin is over as well, for calls that come late.
func (p *diskTimeouts) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, w := range p.waits {
		close(w.over)
	}
	p.waits = nil
}

// errStalled is the error of calls that have waited in vain, and of all others until the disk goes on.
var errStalled = liked.Errorf(liked.Unavailable,
	"the disk has not answered for too long; see what keeps it busy, or stop the server and look after the disk")

// timedOut says why a wait is over. That the store is stalled is not certain: what the call waited for may have come just now.
func (s *Store) timedOut() error {
	if failure := s.failure.Load(); failure != nil {
		return failure
	}
	if s.timeouts.stalled.CompareAndSwap(false, true) {
		s.log.Error("store: refusing calls until the disk goes on: " + errStalled.Error())
	}
	return errStalled
}

// resumed is called when something was synced.
func (s *Store) resumed() {
	if s.timeouts.stalled.Load() && s.timeouts.stalled.CompareAndSwap(true, false) {
		s.log.Warn("store: the disk goes on, and calls are answered again")
	}
}

// recover unsticks a store that has nothing to sync.
func (s *Store) recover() {
	if s.timeouts.stalled.Load() && s.synced.Load() == s.applied.Load() && s.queue.empty() {
		s.resumed()
	}
}

// waitSynced waits until everything that could be read when it was called is on disk.
func (s *Store) waitSynced(ctx context.Context) error {
	wait := s.timeouts.begun.Load()
	for seen := s.applied.Load(); s.synced.Load() < seen; {
		synced := s.onSync.wait()
		if s.synced.Load() >= seen {
			break
		}
		select {
		case <-synced:
		case <-ctx.Done():
			return ctx.Err()
		case <-wait.over:
			return s.timedOut()
		}
	}
	return nil
}

// signal tells any number of waiters that something has changed.
type signal struct {
	mu sync.Mutex
	ch chan struct{} // nil while nothing waits
}

// wait returns a channel that the next change closes. To miss none, call it before looking at what may change.
func (s *signal) wait() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ch == nil {
		s.ch = make(chan struct{})
	}
	return s.ch
}

func (s *signal) tell() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ch != nil {
		close(s.ch)
		s.ch = nil
	}
}
