package main

import (
	"fmt"
	"log/slog"
	"os"
	"runtime/debug"

	"github.com/KimMachineGun/automemlimit/memlimit"
)

// defaultCache is --cache of a directory, in MiB, where there is memory enough.
const defaultCache = 512

// fitMemory keeps the process within the memory of its container, if that has a limit: the store's cache is a quarter of it at
// most, unless --cache says how large it is, and garbage is collected before the heap takes what is left, unless GOMEMLIMIT says
// when.
func (s *Serving) fitMemory(log *slog.Logger) {
	container, err := memlimit.FromCgroup()
	if err != nil || container == 0 { // there is no limit, or no container
		return
	}
	mib := int(min(container>>20, 1<<30))
	if s.config.Data != "" && s.config.CacheMiB == 0 {
		s.config.CacheMiB = min(defaultCache, max(1, mib/4))
	}
	heap, fits := heapWithin(mib, s.config.CacheMiB)
	if !fits {
		log.Warn(fmt.Sprintf("memory: the container may have %d MiB, of which --cache %d leaves too little: make it %d at most", mib,
			s.config.CacheMiB, max(1, mib/4)))
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(int64(heap) << 20)
	}
}

// heapWithin is the limit of the heap in a container, of MiB, with a cache of so many. It is a quarter of the container at
// least; fits is false if there is not so much left.
func heapWithin(container, cache int) (heap int, fits bool) {
	const written = 48 // of the store, before it is in tables; outside the heap, like the blocks of the cache
	blocks := cache * 5 / 8
	heap = container - container/10 - blocks - written
	return max(heap, container/4, 1), heap >= container/4
}
