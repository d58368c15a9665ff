package pebblestore

import (
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// throttle spreads what pebble does in the background over the time that there is for it. A flush and the compactions after
// it are most of a second of work for each memtable: done at once beside a load that leaves less than one processor free,
// they make all calls wait for longer and longer until they are done. So they rest between the pieces that they write,
// unless they are in the way of the next memtable.
type throttle struct {
	running atomic.Int64 // flushes and compactions
	hurry   atomic.Bool
	last    atomic.Int64 // when a memtable was full, in nanoseconds
}

const (
	piece     = time.Millisecond      // of work, about, between two rests
	longPiece = 10 * time.Millisecond // counts as no longer: the process was held up
	fast      = 2 * time.Second       // in which a load of likes does not fill a memtable
	restFor   = 3                     // times as long as the work took
)

func (p *throttle) begin() { p.running.Add(1) }

func (p *throttle) end() { p.running.Add(-1) }

// full says that a memtable is full, or that the store closes. Until the next one is there is no rest if something still
// runs, which is then in the way, or if the last one was full a moment ago, as in an import, where no latency counts.
func (p *throttle) full() {
	now := time.Now().UnixNano()
	soon := now-p.last.Swap(now) < int64(fast)
	p.hurry.Store(soon || p.running.Load() > 0)
}

// table is a file that a flush or a compaction writes.
func (p *throttle) table(f vfs.File) vfs.File {
	return &throttledFile{File: f, throttle: p, since: time.Now()}
}

// throttledFile is written by one goroutine at a time.
type throttledFile struct {
	vfs.File
	throttle *throttle
	since    time.Time // when the piece of work began
}

func (f *throttledFile) Write(b []byte) (int, error) {
	n, err := f.File.Write(b)
	if took := time.Since(f.since); took >= piece {
		if !f.throttle.hurry.Load() {
			time.Sleep(restFor * min(took, longPiece))
		}
		f.since = time.Now()
	}
	return n, err
}
