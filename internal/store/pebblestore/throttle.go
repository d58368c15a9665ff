package pebblestore

import (
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// throttle spreads pebble's background work over time. A flush and its compactions take most of a second of work per
// memtable: at once, beside a load that leaves less than one processor free, they delay all calls more and more until
// they end. So they rest between pieces of writing, unless they hold up the next memtable, or a start: Open waits for the
// flushes of what the last process left in the write-ahead log.
type throttle struct {
	opening atomic.Bool
	running atomic.Int64 // flushes and compactions
	hurry   atomic.Bool
	last    atomic.Int64 // when a memtable was full, in nanoseconds
}

const (
	piece     = time.Millisecond      // of work, about, between rests
	longPiece = 10 * time.Millisecond // longer ones count as this: the process was held up
	fast      = 2 * time.Second       // a load of likes takes longer to fill a memtable
	restFor   = 3                     // times as long as the work
)

func (p *throttle) begin() { p.running.Add(1) }

func (p *throttle) end() { p.running.Add(-1) }

// full says that a memtable is full, or that the store closes. Until the next one there is no rest if something still
// runs, and so holds it up, or if the last was full a moment ago, as in an import, where latency does not matter.
func (p *throttle) full() {
	now := time.Now().UnixNano()
	soon := now-p.last.Swap(now) < int64(fast)
	p.hurry.Store(soon || p.running.Load() > 0)
}

func (p *throttle) table(f vfs.File) vfs.File {
	return &throttledFile{File: f, throttle: p, since: time.Now()}
}

// throttledFile is written by one goroutine at a time.
type throttledFile struct {
	vfs.File
	throttle *throttle
	since    time.Time // start of the current piece
}

func (f *throttledFile) Write(b []byte) (int, error) {
	n, err := f.File.Write(b)
	if took := time.Since(f.since); took >= piece {
		if !f.throttle.opening.Load() && !f.throttle.hurry.Load() {
			time.Sleep(restFor * min(took, longPiece))
		}
		f.since = time.Now()
	}
	return n, err
}
