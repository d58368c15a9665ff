// Package likelog follows the like log for all its readers in this process. [New] makes a [Log], [Log.Read] a reader.
//
// One goroutine reads each partition that has readers, and keeps its newest entries in memory. A reader at an older
// position, or that falls behind, reads from the store until it catches up. It gets each entry once, in partition
// order. A waiting reader costs nothing, and setting a like does not involve this package.
package likelog

import (
	"cmp"
	"context"
	"fmt"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"liked"
)

// Store is the part of a store that a Log reads.
type Store interface {
	LikeLog(ctx context.Context, partition int, after liked.Seq, max int) ([]liked.LikeEvent, error)
	LogEnds(ctx context.Context) (liked.Positions, error)
}

const (
	// Page is the most entries read or returned at once.
	Page = 256
	// kept is how many entries of a partition stay in memory, at 64 bytes each.
	kept = 4096
	// gather is the pause after reading less than a page, so that many likes share a read.
	gather = 20 * time.Millisecond
)

// All returns the numbers of all partitions.
func All() []int {
	all := make([]int, liked.Partitions)
	for p := range all {
		all[p] = p
	}
	return all
}

// Log is safe for concurrent use.
type Log struct {
	store Store
	kept  int

	mu      sync.Mutex
	windows [liked.Partitions]*window // nil where there is no reader
}

// New returns a Log, which reads nothing without readers.
func New(s Store) *Log { return &Log{store: s, kept: kept} }

// window is the newest entries of a partition: all after begin, up to end.
type window struct {
	partition int
	kept      int
	stop      context.CancelFunc

	mu         sync.Mutex
	readers    []*Reader
	entries    []liked.LikeEvent // never overwritten: readers share them
	begin, end liked.Seq
	err        error // why it ended
}

// Reader has a position in each of its partitions. It is for one goroutine.
type Reader struct {
	log     *Log
	windows []*window
	at      liked.Positions
	turn    int
	wake    chan struct{}
}

// Read returns a reader of the entries after the positions. Close must be called.
func (l *Log) Read(ctx context.Context, partitions []int, after liked.Positions) (*Reader, error) {
	ends, err := l.store.LogEnds(ctx)
	if err != nil {
		return nil, err
	}
	r := &Reader{log: l, at: after, wake: make(chan struct{}, 1)}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, p := range partitions {
		w := l.windows[p]
		if w == nil || !w.join(r) {
			ctx, cancel := context.WithCancel(context.Background())
			w = &window{partition: p, kept: l.kept, stop: cancel, begin: ends[p], end: ends[p], readers: []*Reader{r}}
			l.windows[p] = w
			go w.follow(ctx, l.store)
		}
		r.windows = append(r.windows, w)
	}
	return r, nil
}

// Close ends the reading of partitions without other readers.
func (r *Reader) Close() {
	r.log.mu.Lock()
	defer r.log.mu.Unlock()
	for _, w := range r.windows {
		w.mu.Lock()
		w.readers = slices.DeleteFunc(w.readers, func(other *Reader) bool { return other == r })
		last := len(w.readers) == 0
		w.mu.Unlock()
		if last {
			w.stop()
			if r.log.windows[w.partition] == w {
				r.log.windows[w.partition] = nil
			}
		}
	}
	r.windows = nil
}

// Next waits for entries after the position in any partition, returns up to Page of one partition, and moves past them.
// They must not be changed. After an error a new reader may succeed.
func (r *Reader) Next(ctx context.Context) (partition int, entries []liked.LikeEvent, err error) {
	for {
		if partition, entries, err = r.Poll(ctx); err != nil || len(entries) > 0 {
			return partition, entries, err
		}
		select {
		case <-r.wake:
		case <-ctx.Done():
			return 0, nil, ctx.Err()
		}
	}
}

// Poll is Next without the wait: it returns no entries if there are none yet.
func (r *Reader) Poll(ctx context.Context) (partition int, entries []liked.LikeEvent, err error) {
	for range r.windows {
		w := r.windows[r.turn]
		r.turn = (r.turn + 1) % len(r.windows)
		at := &r.at[w.partition]
		entries, behind, err := w.after(*at)
		if behind { // the store has entries, so this does not wait
			entries, err = r.log.store.LikeLog(ctx, w.partition, *at, Page)
		}
		if err != nil {
			return 0, nil, err
		}
		if len(entries) > 0 {
			*at = entries[len(entries)-1].Seq
			return w.partition, entries, nil
		}
	}
	return 0, nil, nil
}

// join adds a reader, unless the window has ended.
func (w *window) join(r *Reader) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err == nil {
		w.readers = append(w.readers, r)
	}
	return w.err == nil
}

// after returns entries after at; behind means that the window begins later.
func (w *window) after(at liked.Seq) (entries []liked.LikeEvent, behind bool, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case at < w.begin:
		return nil, true, nil
	case at >= w.end:
		return nil, false, w.err
	}
	first, _ := slices.BinarySearchFunc(w.entries, at+1, func(e liked.LikeEvent, seq liked.Seq) int { return cmp.Compare(e.Seq, seq) })
	return w.entries[first:min(first+Page, len(w.entries))], false, nil
}

func (w *window) follow(ctx context.Context, s Store) {
	var err error
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("panic: %v\n%s", v, debug.Stack())
		}
		w.add(nil, err)
	}()
	pause := time.NewTimer(0)
	defer pause.Stop()
	for {
		var entries []liked.LikeEvent
		if entries, err = s.LikeLog(ctx, w.partition, w.end, Page); err != nil {
			return
		}
		w.add(entries, nil)
		if len(entries) == Page {
			continue
		}
		pause.Reset(gather)
		select {
		case <-pause.C:
		case <-ctx.Done():
			err = ctx.Err()
			return
		}
	}
}

// add appends entries, or sets the error, and wakes the readers.
func (w *window) add(entries []liked.LikeEvent, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.err = err
	if len(entries) > 0 {
		w.entries = append(w.entries, entries...)
		w.end = entries[len(entries)-1].Seq
		if over := len(w.entries) - w.kept; over > 0 {
			w.begin = w.entries[over-1].Seq
			w.entries = w.entries[over:]
		}
	}
	for _, r := range w.readers {
		select {
		case r.wake <- struct{}{}:
		default: // a wake-up is pending
		}
	}
}

// Between calls f with the entries after from, up to to, which must not be past the end of the log, in order of position
// and up to Page at a time; the last call may have none. An error of f ends it. The entries are only valid in the call.
func (l *Log) Between(ctx context.Context, partitions []int, from, to liked.Positions, f func([]liked.LikeEvent) error) error {
	var pages [liked.Partitions][]liked.LikeEvent
	batch := make([]liked.LikeEvent, 0, Page)
	for {
		oldest := -1
		for _, p := range partitions {
			if len(pages[p]) == 0 && from[p] < to[p] {
				var err error
				if pages[p], err = l.store.LikeLog(ctx, p, from[p], Page); err != nil {
					return err
				}
			}
			if len(pages[p]) > 0 && pages[p][0].Seq <= to[p] && (oldest < 0 || pages[p][0].Seq < pages[oldest][0].Seq) {
				oldest = p
			}
		}
		if oldest >= 0 {
			batch = append(batch, pages[oldest][0])
			from[oldest] = pages[oldest][0].Seq
			pages[oldest] = pages[oldest][1:]
		}
		if len(batch) == Page || oldest < 0 {
			if err := f(batch); err != nil {
				return err
			}
			batch = batch[:0]
		}
		if oldest < 0 {
			return nil
		}
	}
}
