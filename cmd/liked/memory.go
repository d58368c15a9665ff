package main

import (
	"fmt"
	"log/slog"
	"os"
	"runtime/debug"

	"liked/internal/server"
)

// What --cache is where there is memory enough, in MiB: of a directory, and of a store in memory.
const (
	directoryCache = 512
	memoryCache    = 128
)

// fitMemory keeps the process within the memory of its container, if that has a limit, in bytes: the store's cache is a quarter of
// it at most, unless --cache says how large it is, and garbage is collected before the heap takes what is left, unless GOMEMLIMIT
// says when. A limit that changes later is not noticed.
func (s *Serving) fitMemory(log *slog.Logger, limit func() (uint64, error)) {
	container, err := limit()
	if err != nil || container == 0 { // there is no limit, or no container
		return
	}
	heap, mistake := fit(&s.config, int(min(container>>20, 1<<30)))
	if mistake != "" {
		log.Warn("memory: " + mistake)
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(int64(heap) << 20)
	}
}

// fit sets the cache of a server in a container of so many MiB, unless it is set, and returns the limit of its heap: a quarter of
// the container at least. If there is not so much left it says why.
func fit(c *server.Config, container int) (heap int, mistake string) {
	left := container - container/10
	if c.Postgres != "" { // which has the store, and the cache of it
		return max(1, left), ""
	}
	own := c.CacheMiB == 0
	if own {
		c.CacheMiB = memoryCache
		if c.Data != "" {
			c.CacheMiB = directoryCache
		}
		c.CacheMiB = min(c.CacheMiB, max(1, container/4))
	}
	const written = 48 // of the store, before it is in tables; outside the heap, like the blocks of the cache, which are 5/8 of it
	left -= written
	least := max(1, container/4)
	heap = left - c.CacheMiB*5/8
	most := (left - least) * 8 / 5 // of the cache
	switch {
	case heap >= least:
		return heap, ""
	case own || most < 1:
		mistake = fmt.Sprintf("the container may have %d MiB, which is too little: give it 128 at least", container)
	default:
		mistake = fmt.Sprintf("the container may have %d MiB, of which --cache %d leaves too little: make it %d at most",
			container, c.CacheMiB, most)
	}
	return least, mistake
}
