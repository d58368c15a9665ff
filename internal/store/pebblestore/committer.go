package pebblestore

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"liked"
	"liked/internal/store"
)

// request is a write for the committer: an operation if run is set, else a like.
type request struct {
	run func(*tx) error

	// A like. post is the caller's; target is the original if post is a repost.
	user         liked.UserID
	post, target liked.PostID
	author       liked.UserID // of target
	on           bool
	at           int64     // milliseconds
	epoch        uint64    // Store.epoch when the caller applied the like rules; odd: apply them again
	visible      uint64    // Store.visible before the caller read had
	had          liked.Seq // position of the existing like, 0 for none

	changed bool
	err     error
	done    chan struct{} // one token once changed and err are final
}

var requests = sync.Pool{New: func() any { return &request{done: make(chan struct{}, 1)} }}

type queue struct {
	mu      sync.Mutex
	waiting []*request
	wake    chan struct{} // holds a token if the committer may have work
}

func (q *queue) push(r *request) {
	q.mu.Lock()
	q.waiting = append(q.waiting, r)
	first := len(q.waiting) == 1
	q.mu.Unlock()
	if first {
		q.poke()
	}
}

func (q *queue) poke() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

func (q *queue) empty() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.waiting) == 0
}

// take returns the waiting requests and leaves empty instead.
func (q *queue) take(empty []*request) []*request {
	q.mu.Lock()
	defer q.mu.Unlock()
	taken := q.waiting
	q.waiting = empty
	return taken
}

// do queues the request and waits until it is finished, ctx or the disk timeout ends, or the store fails. Unless
// finished, the request still belongs to the committer, and may take effect or not.
func (s *Store) do(ctx context.Context, r *request) (finished bool, err error) {
	wait := s.timeouts.begun.Load()
	s.queue.push(r)
	select {
	case <-r.done:
		return true, r.err
	case <-ctx.Done():
		return false, ctx.Err()
	case <-wait.over:
	}
	select {
	case <-r.done:
		return true, r.err
	default:
		return false, s.timedOut()
	}
}

// update runs one operation on the committer, where it sees the exact state, and waits until its writes and all that it
// may have read are on disk. If f returns an error nothing is written.
//
// If ctx or the disk timeout ends, update may return before f has run: f must not use what the caller of the store may
// then change, and what f assigns may be read only after a nil error.
func (s *Store) update(ctx context.Context, f func(*tx) error) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.leave()
	_, err := s.do(ctx, &request{run: f, done: make(chan struct{}, 1)})
	return err
}

func update[T any](ctx context.Context, s *Store, f func(*tx) (T, error)) (T, error) {
	var v, none T
	err := s.update(ctx, func(t *tx) (err error) {
		v, err = f(t)
		return err
	})
	if err != nil { // v may still change
		return none, err
	}
	return v, nil
}

// errStale: the record changed after an operation was prepared from it.
var errStale = errors.New("prepared from an older state")

// modify replaces a record with what change makes of it; check refuses, and also runs in the same operation. change and
// check run on the caller's goroutine, which the committer must not wait for, and again if the record changed meanwhile.
func modify[T any](ctx context.Context, s *Store, w row[T], change func(*T) error, check func(before, after *T) error,
	also func(t *tx, before, after *T) error) error {
	for {
		stored, err := view(ctx, s, func(r pebble.Reader) ([]byte, error) {
			value, ok, err := read(r, w.key, clone)
			if err == nil && !ok {
				err = noSuch(w)
			}
			return value, err
		})
		if err != nil {
			return err
		}
		before, err := w.decode(stored)
		if err != nil {
			return damaged(w.key, err)
		}
		after, _ := w.decode(stored) // shares nothing with before
		if err := change(&after); err != nil {
			return err
		}
		if err := check(&before, &after); err != nil {
			return err
		}
		value := w.over(stored, &after)
		err = s.update(ctx, func(t *tx) error {
			now, _, err := read(t, w.key, clone)
			if err != nil {
				return err
			}
			if !bytes.Equal(now, stored) {
				return errStale
			}
			t.set(w.key, value)
			return also(t, &before, &after)
		})
		if err != errStale {
			return err
		}
	}
}

func clone(value []byte) ([]byte, error) { return bytes.Clone(value), nil }

// group is what one sync makes durable: one batch of likes, or any number of batches applied in sequence, where each
// operation sees the effects of those before it.
type group struct {
	number   uint64        // of the last batch applied by then
	batch    *pebble.Batch // being filled
	applied  []*pebble.Batch
	requests []*request
	lastSeq  liked.Seq
	logged   uint32 // bit p: the like log's partition p has new entries
}

const (
	maxRequests = 1024 // in a group, to keep it well within a memtable
	maxInFlight = 2    // groups with the syncer: one is being synced, one waits for the disk, the next grows
)

// committer builds and applies groups. Its fields belong to its goroutine.
type committer struct {
	s       *Store
	group   *group
	applied uint64 // number of the last batch
	spare   []*request
	toSync  chan *group

	lastSeq  liked.Seq
	horizon  liked.Seq // the like log was pruned below it
	imported liked.Seq // highest position of an imported like
	newestAt int64     // newest time of a like, in milliseconds

	changes []change // not yet in the group's batch
	counts  countCache
	totals  store.Totals // what the group adds to them
	key     []byte       // scratch
	value   []byte       // scratch
}

type change struct {
	liked.LikeEvent
	had liked.Seq // position of the like that is taken back
}

func (c *committer) init(s *Store, last, horizon, imported liked.Seq, newestAt int64) {
	*c = committer{s: s, lastSeq: last, horizon: horizon, imported: imported, newestAt: newestAt, toSync: make(chan *group, maxInFlight-1),
		group: new(group)}
}

// run is the committer's goroutine, which starts the syncer's.
func (s *Store) run() {
	synced := make(chan struct{})
	go s.sync(synced)
	defer func() {
		if p := recover(); p != nil {
			s.fail(fmt.Errorf("committer: %v", p))
		}
		// If pebble ended this goroutine, no call may wait for it.
		select {
		case <-s.stop:
		default:
			s.fail(errors.New("committer: ended by pebble"))
		}
		close(s.committer.toSync)
		<-synced
		close(s.stopped)
	}()
	c := &s.committer
	for {
		select {
		case <-s.queue.wake:
			c.drain()
		case <-s.stop:
			c.flush(true)
			return
		}
	}
}

func (c *committer) drain() {
	taken := c.s.queue.take(c.spare)
	for _, r := range taken {
		if r.run != nil {
			c.apply()
			c.run(r)
		} else {
			c.like(r)
		}
		if len(c.group.requests) >= maxRequests {
			c.flush(false)
		}
	}
	c.flush(c.s.limits.due.Swap(false))
	clear(taken)
	c.spare = taken[:0]
}

// flush ends the group. Rate windows and nonces are written with anything else, with force even alone.
func (c *committer) flush(force bool) {
	if force && c.s.limits.waiting() {
		c.batch()
	}
	c.apply()
	c.handOver()
}

// apply makes the group's writes readable.
func (c *committer) apply() {
	if len(c.changes) > 0 {
		c.writeChanges(c.batch())
	}
	b := c.group.batch
	if b == nil {
		return
	}
	c.s.limits.drain(b)
	c.counts.write(c)
	c.applied++
	c.s.applied.Store(c.applied)
	var err error
	if c.s.inMemory {
		err = c.s.db.Apply(b, pebble.NoSync)
	} else {
		err = c.s.db.ApplyNoSyncWait(b, pebble.Sync)
	}
	if err != nil {
		c.s.fail(err)
	}
	c.group.batch = nil
	c.group.applied = append(c.group.applied, b)
	c.s.recent.publish(c.applied, &c.s.filter)
	c.s.totals.add(&c.totals)
	c.s.visible.Store(c.applied)
	if c.s.filter.crowded() {
		c.s.growFilter()
	}
}

func (c *committer) handOver() {
	g := c.group
	if len(g.applied) == 0 && len(g.requests) == 0 {
		return
	}
	g.number, g.lastSeq = c.applied, c.lastSeq
	c.group = groups.Get().(*group)
	c.toSync <- g
}

var groups = sync.Pool{New: func() any { return new(group) }}

func (c *committer) batch() *pebble.Batch {
	if c.group.batch == nil {
		c.group.batch = c.s.db.NewBatch()
	}
	return c.group.batch
}

// sync is the syncer's goroutine: it waits for groups in order of application, and answers their requests, including
// those that wrote nothing: what they read may have been written just before.
func (s *Store) sync(ended chan<- struct{}) {
	defer close(ended)
	for g := range s.committer.toSync {
		for _, b := range g.applied { // one log file: durable together
			if !s.inMemory {
				if err := b.SyncWait(); err != nil {
					s.fail(err)
				}
			}
			if err := b.Close(); err != nil {
				s.fail(err)
			}
		}
		failure := s.failure.Load()
		if failure == nil {
			s.synced.Store(g.number)
			s.syncedSeq.Store(uint64(g.lastSeq))
			s.onSync.tell()
			s.resumed()
			for p := range liked.Partitions {
				if g.logged&(1<<p) != 0 {
					s.onLog[p].tell()
				}
			}
		}
		for _, r := range g.requests {
			if failure != nil {
				r.err = failure
			}
			r.done <- struct{}{}
		}
		clear(g.requests)
		clear(g.applied)
		*g = group{requests: g.requests[:0], applied: g.applied[:0]}
		groups.Put(g)
	}
}

// tx is one operation: it reads the state before it, and its writes are atomic. All likes wait for it, so its work must
// not grow with the data: it looks up known keys, and its scans are bounded. Larger sets are found on a snapshot
// beforehand and processed in steps (inSteps).
type tx struct {
	c        *committer
	rows     int          // read and written so far
	inStep   bool         // reads also see the operation's own writes
	hooks    bool         // webhooks or subscriptions change
	about    liked.UserID // user of a changed subscription
	aboutAll bool         // subscriptions about any user change
	owner    liked.UserID // who owns one more app
	made     []uint64     // marks of changed parts of cached principals

	rules bool // who may like what changes
}

func (t *tx) source() pebble.Reader {
	if t.inStep {
		return t.c.group.batch
	}
	return t.c.s.db
}

// Get, NewIter, NewIterWithContext and Close make tx a pebble.Reader that counts reads.
func (t *tx) Get(key []byte) ([]byte, io.Closer, error) {
	t.rows++
	return t.source().Get(key)
}

func (t *tx) NewIter(o *pebble.IterOptions) (*pebble.Iterator, error) {
	t.rows++
	return t.source().NewIter(o)
}

func (t *tx) NewIterWithContext(_ context.Context, o *pebble.IterOptions) (*pebble.Iterator, error) {
	return t.NewIter(o)
}

func (t *tx) Close() error { return nil }

func (t *tx) set(key, value []byte) {
	t.rows++
	t.mark(key)
	must(t.c.batch().Set(key, value, nil))
}

func (t *tx) delete(key []byte) {
	t.rows++
	t.mark(key)
	must(t.c.batch().Delete(key, nil))
}

// deleteRange costs one delete.
func (t *tx) deleteRange(from, to []byte) {
	t.rows++
	must(t.c.batch().DeleteRange(from, to, nil))
}

const stepRows = 64

// inSteps calls f with the keys that find passes to take, stepRows at a time. find runs beside other calls; each call
// of f is an operation, and must recheck what may have changed since.
func (s *Store) inSteps(ctx context.Context, find func(take func(key []byte) error) error, f func(t *tx, keys [][]byte) error) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.leave()
	var keys [][]byte
	step := func() error {
		taken := keys
		keys = nil
		return s.update(ctx, func(t *tx) error { return f(t, taken) })
	}
	err := find(func(key []byte) error {
		if keys = append(keys, bytes.Clone(key)); len(keys) < stepRows {
			return nil
		}
		return step()
	})
	if err == nil && len(keys) > 0 {
		err = step()
	}
	return err
}

// must panics on errors of filling a batch, which pebble never returns.
func must(err error) {
	if err != nil {
		panic(err)
	}
}

// run runs an operation as its own batch.
func (c *committer) run(r *request) {
	t := tx{c: c}
	if r.err = r.run(&t); r.err == nil && c.s.readOnly && c.group.batch != nil {
		r.err = errReadOnly
	}
	if r.err != nil {
		c.discard()
	}
	if c.s.onStep != nil {
		c.s.onStep(t.rows)
	}
	c.group.requests = append(c.group.requests, r)
	rules := r.err == nil && t.rules
	if rules {
		c.s.epoch.Add(1)
	}
	c.apply()
	if rules {
		c.s.epochGroup.Store(c.applied)
		c.s.epoch.Add(1)
	}
	if r.err == nil {
		c.s.generations.count(&t)
	}
}

func (c *committer) discard() {
	if b := c.group.batch; b != nil {
		c.group.batch = nil
		must(b.Close())
	}
	c.counts.discard()
	c.s.recent.discard()
	c.totals = store.Totals{}
}

func (c *committer) like(r *request) {
	c.group.requests = append(c.group.requests, r)
	if r.on && r.epoch != c.s.epoch.Load() {
		var v likeTarget
		if v, r.err = c.s.applyLikeRules(r.user, r.post); r.err == nil {
			r.err = v.err
		}
		if r.err != nil {
			return
		}
		r.target, r.author = v.target, v.author
	}
	had, known := c.s.recent.latest(r.user, r.target)
	switch {
	case known:
	case r.visible >= c.s.recent.since:
		had = r.had
	default:
		if had, r.err = c.s.likeSeq(r.user, r.target); r.err != nil {
			return
		}
	}
	if (had != 0) == r.on {
		return
	}
	var userN, postN *counts
	if userN, r.err = c.counts.of(c, tagUserN, uint64(r.user)); r.err != nil {
		return
	}
	if postN, r.err = c.counts.of(c, tagPostN, uint64(r.target)); r.err != nil {
		return
	}
	r.changed = true
	c.newestAt = max(c.newestAt, r.at)
	c.lastSeq = max(c.lastSeq+1, liked.Seq(max(r.at, 0))<<20)
	c.changes = append(c.changes, change{liked.LikeEvent{Seq: c.lastSeq, On: r.on, User: r.user, Post: r.target, Author: r.author,
		At: time.UnixMilli(r.at)}, had})
	delta, seq := int64(1), c.lastSeq
	if !r.on {
		delta, seq = -1, 0
	}
	userN[userLikes] += delta
	postN[postLikes] += delta
	c.totals.Likes += delta
	c.s.recent.put(r.user, r.target, seq)
	c.group.logged |= 1 << liked.PartitionOf(r.user)
}

// writeChanges adds the rows of all changes to the batch, by kind and nearly in key order: a memtable inserts faster
// near its last row. Changes of one key keep their order.
func (c *committer) writeChanges(b *pebble.Batch) {
	slices.SortFunc(c.changes, func(a, b change) int { return cmp.Or(cmp.Compare(a.User, b.User), cmp.Compare(a.Seq, b.Seq)) })
	for i := range c.changes {
		e := &c.changes[i]
		c.row(b, e, likeKey(c.key[:0], e.User, e.Post), uint64(e.Seq))
	}
	for i := range c.changes {
		e := &c.changes[i]
		c.row(b, e, likedKey(c.key[:0], e.User, e.listed()), uint64(e.Post))
	}
	slices.SortFunc(c.changes, func(a, b change) int { return cmp.Or(cmp.Compare(a.Post, b.Post), cmp.Compare(a.Seq, b.Seq)) })
	for i := range c.changes {
		e := &c.changes[i]
		c.row(b, e, likersKey(c.key[:0], e.Post, e.listed()), uint64(e.User))
	}
	slices.SortFunc(c.changes, func(a, b change) int {
		return cmp.Or(cmp.Compare(liked.PartitionOf(a.User), liked.PartitionOf(b.User)), cmp.Compare(a.Seq, b.Seq))
	})
	for i := range c.changes {
		e := &c.changes[i]
		c.key = logKey(c.key[:0], liked.PartitionOf(e.User), e.Seq)
		c.value = appendEvent(c.value[:0], &e.LikeEvent)
		must(b.Set(c.key, c.value, nil))
	}
	c.changes = c.changes[:0]
}

// listed is the like's position in its two lists.
func (e *change) listed() liked.Seq {
	if e.On {
		return e.Seq
	}
	return e.had
}

func (c *committer) row(b *pebble.Batch, e *change, key []byte, value uint64) {
	c.key = key
	if e.On {
		must(b.Set(key, c.number(value), nil))
	} else {
		must(b.Delete(key, nil))
	}
}

// number encodes n into scratch space.
func (c *committer) number(n uint64) []byte {
	c.value = binary.BigEndian.AppendUint64(c.value[:0], n)
	return c.value
}

func (t *tx) add(tag byte, id uint64, which int, delta int64) error {
	n, err := t.c.counts.of(t.c, tag, id)
	if err != nil {
		return err
	}
	n[which] += delta
	t.c.batch() // so that the counts are written
	return nil
}
