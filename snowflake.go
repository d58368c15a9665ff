package liked

import (
	"sync"
	"time"
)

const snowflakeEpoch = 1288834974657 // milliseconds since 1970, the zero of X's ids

// Snowflakes makes identifiers in X's layout: milliseconds since the epoch of X's ids above 22 bits, of which the upper 10
// are the number of the worker and the lower 12 a counter. They rise from call to call, even if the clock goes back; two
// workers with one number may make the same. The zero value is worker 0, safe for concurrent use.
type Snowflakes struct {
	mu     sync.Mutex
	last   int64 // milliseconds and counter
	worker int64
}

// Workers is how many numbers of workers there are.
const Workers = 1 << 10

// SetWorker gives the identifiers from now on another number, from 0 to Workers-1.
func (s *Snowflakes) SetWorker(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.worker = int64(n)
}

// Next returns an identifier for something that was made at the time given.
func (s *Snowflakes) Next(at time.Time) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last = max(s.last+1, max(at.UnixMilli()-snowflakeEpoch, 0)<<12)
	return s.last>>12<<22 | s.worker<<12 | s.last&(1<<12-1)
}
