package main

import (
	"bytes"
	"log/slog"
	"math"
	"runtime/debug"
	"strings"
	"testing"

	"liked/internal/server"
)

func TestFit(t *testing.T) {
	t.Parallel()
	const small = "which is too little: give it 128 at least"
	directory := func(cache int) server.Config { return server.Config{Data: "d", CacheMiB: cache} }
	for _, test := range []struct {
		container int
		config    server.Config
		cache     int
		heap      int
		mistake   string
	}{
		{256, directory(0), 64, 143, ""}, // these four are in docs/operate.md
		{512, directory(0), 128, 333, ""},
		{1024, directory(0), 256, 714, ""},
		{2048, directory(0), 512, 1476, ""},
		{8192, directory(0), 512, 7005, ""},
		{8192, directory(64), 64, 7285, ""},
		{512, directory(512), 512, 128, "--cache 512 leaves too little: make it 456 at most"},
		{512, directory(456), 456, 128, ""},
		{512, directory(457), 457, 128, ""}, // the same blocks
		{512, directory(459), 459, 128, "--cache 459 leaves too little: make it 456 at most"},
		{128, directory(0), 32, 48, ""},
		{64, directory(0), 16, 16, small},
		{64, directory(64), 64, 16, small},
		{0, directory(0), 1, 1, small},
		{2048, server.Config{}, 128, 1716, ""}, // in memory
		{256, server.Config{}, 64, 143, ""},
		{256, server.Config{CacheMiB: 16}, 16, 173, ""},
		{256, server.Config{Postgres: "dbname=x"}, 0, 231, ""},
		{16, server.Config{Postgres: "dbname=x"}, 0, 15, ""},
	} {
		c := test.config
		heap, mistake := fit(&c, test.container)
		if heap != test.heap || c.CacheMiB != test.cache || (mistake == "") != (test.mistake == "") || !strings.HasSuffix(mistake, test.mistake) {
			t.Errorf("%d MiB, %+v: got a cache of %d, a heap of %d, %q, want %d, %d, %q", test.container, test.config,
				c.CacheMiB, heap, mistake, test.cache, test.heap, test.mistake)
		}
		if taken := heap + c.CacheMiB*5/8; mistake == "" && taken > test.container {
			t.Errorf("%d MiB, %+v: heap and cache take %d", test.container, test.config, taken)
		}
	}
}

// GOMEMLIMIT is whoever starts the server's, and so is a machine without a limit; a container's is kept.
func TestHeapOfAContainer(t *testing.T) {
	before := debug.SetMemoryLimit(math.MaxInt64)
	defer debug.SetMemoryLimit(before)
	const container = 1 << 40
	for _, test := range []struct {
		variable string
		limit    uint64
		want     int64
	}{
		{"", container, 943351 << 20},
		{"1GiB", container, math.MaxInt64}, // the runtime has read it
		{"off", container, math.MaxInt64},
		{"", 0, math.MaxInt64},
	} {
		t.Setenv("GOMEMLIMIT", test.variable)
		debug.SetMemoryLimit(math.MaxInt64)
		var text bytes.Buffer
		s := new(Serving)
		s.config.Data = "d"
		s.fitMemory(slog.New(slog.NewTextHandler(&text, nil)), func() (uint64, error) { return test.limit, nil })
		if got := debug.SetMemoryLimit(-1); got != test.want || text.Len() > 0 {
			t.Errorf("GOMEMLIMIT=%s, a container of %d bytes: the limit is %d, want %d; log: %s", test.variable, test.limit, got, test.want, &text)
		}
	}
}
