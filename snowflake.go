package liked

import (
	"sync"
	"time"
)

const snowflakeEpoch = 1288834974657 // milliseconds since 1970, the zero of X's ids

// Snowflakes makes identifiers in X's layout: milliseconds since the epoch of X's ids above 22 bits, of which the
// lower 12 are a counter. They rise from call to call, even if the clock goes back. The zero value is ready; it
// is safe for concurrent use. Two generators may give the same id, so that the store has the last word.
type Snowflakes struct {
	mu   sync.Mutex
	last int64
}

// Next returns an identifier for something that was made at the time given.
func (s *Snowflakes) Next(at time.Time) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last = max(s.last+1, max(at.UnixMilli()-snowflakeEpoch, 0)<<22)
	return s.last
}
