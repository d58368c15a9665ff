package main

import "testing"

func TestHeapWithin(t *testing.T) {
	for _, test := range []struct {
		container, cache int
		heap             int
		fits             bool
	}{
		{256, 64, 143, true}, // these four are in docs/operate.md
		{512, 128, 333, true},
		{1024, 256, 714, true},
		{2048, 512, 1476, true},
		{512, 512, 128, false},
		{128, 32, 48, true},
		{64, 16, 16, false},
		{3, 1, 1, false},
	} {
		heap, fits := heapWithin(test.container, test.cache)
		if heap != test.heap || fits != test.fits {
			t.Errorf("%d MiB with a cache of %d: got %d, %v, want %d, %v", test.container, test.cache, heap, fits, test.heap, test.fits)
		}
		if blocks := test.cache * 5 / 8; fits && heap+blocks > test.container {
			t.Errorf("%d MiB with a cache of %d: heap and cache take %d", test.container, test.cache, heap+blocks)
		}
	}
}
