package cache_test

import (
	"testing"

	"liked/internal/cache"
)

func TestCache(t *testing.T) {
	for name, size := range map[string]func(string) int{
		"of values":  nil,
		"of lengths": func(v string) int { return len(v) * 3 },
	} {
		t.Run(name, func(t *testing.T) {
			max, other := 640, "yy"
			if size != nil {
				max *= size("x")
			}
			c := cache.New(max, func(k int) uint64 { return uint64(k) }, size)
			for k := range 6400 {
				c.Put(k, "x")
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
			c.Put(6399, "y") // makes no room
			if v, _ := c.Get(6399); v != "y" || held() != 640 {
				t.Errorf("got %q, and %d values are held", v, held())
			}
			want := 640
			if size != nil {
				want = 639 // a larger one is in the place of two
			}
			c.Put(6399, other)
			if v, _ := c.Get(6399); v != other || held() != want {
				t.Errorf("got %q, and %d values are held", v, held())
			}
		})
	}
}
