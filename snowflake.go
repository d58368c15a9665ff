package liked

import (
	"sync"
	"time"
)

const snowflakeEpoch = 1288834974657 // zero of X's ids, in milliseconds since 1970

// Snowflakes makes identifiers in X's layout: milliseconds since X's epoch above 22 bits, of which the upper 10 are the
// worker number and the lower 12 a counter. They rise from call to call, even if the clock goes back. Workers with the
// same number may make the same ones. The zero value is worker 0, safe for concurrent use.
type Snowflakes struct {
	mu     sync.Mutex
	last   int64 // milliseconds and counter
	worker int64
}

// Workers is the number of worker numbers.
const Workers = 1 << 10

// SetWorker sets the worker number (0 to Workers-1) of later identifiers.
func (s *Snowflakes) SetWorker(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.worker = int64(n)
	if s.last != 0 {
		s.last |= 1<<12 - 1 // a lower number's identifiers rise from the next millisecond on
	}
}

// Next returns an identifier for something made at the given time.
func (s *Snowflakes) Next(at time.Time) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last = max(s.last+1, max(at.UnixMilli()-snowflakeEpoch, 0)<<12)
	return s.last>>12<<22 | s.worker<<12 | s.last&(1<<12-1)
}
