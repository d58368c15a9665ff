package liked_test

import (
	"testing"
	"time"

	"liked"
)

// Workers of different numbers never make the same identifier, however many they make in a millisecond.
func TestSnowflakes(t *testing.T) {
	at := time.UnixMilli(1288834974657 + 5)
	seen := map[int64]int{}
	for _, worker := range []int{0, 1, 513, liked.Workers - 1} {
		var s liked.Snowflakes
		s.SetWorker(worker)
		var last int64
		for n := range 10_000 {
			id := s.Next(at)
			if other, ok := seen[id]; ok {
				t.Fatalf("workers %d and %d made %d", worker, other, id)
			}
			if id <= last || int(id>>12&(liked.Workers-1)) != worker || id>>22 != int64(5+n>>12) {
				t.Fatalf("worker %d made %x after %x", worker, id, last)
			}
			seen[id], last = worker, id
		}
		for _, other := range []int{worker, 2, 0} {
			if s.SetWorker(other); s.Next(at) <= last {
				t.Fatalf("worker %d, before %d, made an identifier that does not rise", other, worker)
			}
			last = s.Next(at)
		}
	}
}
