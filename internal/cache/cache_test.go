package cache_test

import (
	"sync"
	"sync/atomic"
	"testing"

	"liked/internal/cache"
)

func TestCache(t *testing.T) {
	c := cache.New[int, string](640, func(k int) uint64 { return uint64(k) })
	yes := func() bool { return true }
	for k := range 6400 {
		c.Put(k, "x", yes)
		if v, ok := c.Get(k); !ok || v != "x" {
			t.Fatalf("%d is forgotten at once", k)
		}
	}
	held := func() (n int) {
		for k := range 6400 {
			if _, ok := c.Get(k); ok {
				n++
			}
		}
		return n
	}
	if n := held(); n != 640 {
		t.Errorf("%d values are held, want 640", n)
	}
	c.Put(6399, "y", yes) // makes no room
	if v, _ := c.Get(6399); v != "y" || held() != 640 {
		t.Errorf("got %q, and %d values are held", v, held())
	}
	c.Put(6399, "z", func() bool { return false })
	if v, _ := c.Get(6399); v != "y" {
		t.Errorf("got %q, which was out of date", v)
	}
	c.Drop(6399)
	if _, ok := c.Get(6399); ok || held() != 639 {
		t.Error("a dropped value is held")
	}
}

// A value that was read before a change is not remembered after it.
func TestCacheChange(t *testing.T) {
	c := cache.New[int, int64](64, func(k int) uint64 { return uint64(k) })
	var value, version atomic.Int64 // the version changes after the value does
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for range 4 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				before := version.Load()
				v := value.Load()
				c.Put(1, v, func() bool { return version.Load() == before })
			}
		})
	}
	for n := range int64(10_000) {
		value.Store(n)
		version.Add(1)
		c.Drop(1)
		if v, ok := c.Get(1); ok && v < n {
			t.Errorf("got %d after %d", v, n)
			break
		}
	}
	close(stop)
	wg.Wait()
}
