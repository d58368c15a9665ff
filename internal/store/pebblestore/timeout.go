package pebblestore

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"liked"
)

// diskTimeouts bounds how long calls wait for the disk. A timer per call would cost more than the rest of its wait, so
// all calls that begin within one tick share a channel, closed when the last has waited long enough or the store fails.
// Ticks are counted, so that a suspended process does not time out a disk that had no chance.
type diskTimeouts struct {
	begun   atomic.Pointer[wait] // of calls that begin to wait now
	stalled atomic.Bool          // a call timed out, and nothing was synced since

	mu    sync.Mutex
	waits []*wait // not over, oldest first; nil: no more begin
}

type wait struct{ over chan struct{} }

// ticks divide a timeout, which is exact to one of them.
const ticks = 20

// watch ticks until the store is closed or fails.
func (s *Store) watch(diskTimeouts time.Duration) {
	p := &s.timeouts
	p.tick()
	go func() {
		tick := time.NewTicker(max(diskTimeouts/ticks, time.Millisecond))
		defer tick.Stop()
		defer p.end() // in either case: a failure may have ended the committer, too
		for {
			select {
			case <-tick.C:
				p.tick()
				s.recover()
			case <-s.stopped:
				return
			case <-s.failed:
				return
			}
		}
	}()
}

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

// end ends all waits. The newest stays in begun for late calls.
func (p *diskTimeouts) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, w := range p.waits {
		close(w.over)
	}
	p.waits = nil
}

// errStalled is the error of calls that timed out, and of all others until the disk answers.
var errStalled = liked.Errorf(liked.Unavailable,
	"the disk has not answered for too long; see what keeps it busy, or stop the server and look after the disk")

// timedOut returns why a wait ended. The sync may have ended just now.
func (s *Store) timedOut() error {
	if failure := s.failure.Load(); failure != nil {
		return failure
	}
	if s.timeouts.stalled.CompareAndSwap(false, true) {
		s.log.Error("store: refusing calls until the disk goes on: " + errStalled.Error())
	}
	return errStalled
}

func (s *Store) resumed() {
	if s.timeouts.stalled.Load() && s.timeouts.stalled.CompareAndSwap(true, false) {
		s.log.Warn("store: the disk goes on, and calls are answered again")
	}
}

// recover ends a stall when nothing is left to sync.
func (s *Store) recover() {
	if s.timeouts.stalled.Load() && s.synced.Load() == s.applied.Load() && s.queue.empty() {
		s.resumed()
	}
}

// waitSynced waits until all that could be read when it was called is on disk.
func (s *Store) waitSynced(ctx context.Context) error { return s.waitFor(ctx, s.applied.Load()) }

// waitFor waits until the batch and all before it are on disk.
func (s *Store) waitFor(ctx context.Context, batch uint64) error {
	wait := s.timeouts.begun.Load()
	for s.synced.Load() < batch {
		synced := s.onSync.wait()
		if s.synced.Load() >= batch {
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

// signal tells any number of waiters of a change.
type signal struct {
	mu sync.Mutex
	ch chan struct{} // nil while nothing waits
}

// wait returns a channel that the next change closes. Call it before looking at what may change, to miss none.
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
