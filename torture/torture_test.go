// Package torture tests what the server promises when everything goes wrong: it runs the built binary under load, over
// TCP, kills it, cuts its connections, floods it and wears it down, and holds what it then says to what it had
// acknowledged. docs/reliability.md lists the promises. The flags are for the long form, which `make torture` runs.
package torture

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"liked/internal/livetest"
	"liked/internal/store/pgstore/pgtest"
)

var (
	kills       = flag.Int("kills", 12, "how often the server is killed under load")
	histories   = flag.Int("histories", 3, "histories that are checked for linearizability")
	overload    = flag.Duration("overload", 3*time.Second, "how long each overload lasts")
	connections = flag.Int("connections", 1000, "connections of an overload")
	soak        = flag.Duration("soak", 10*time.Second, "how long the soak lasts")
	seed        = flag.Uint64("seed", 0, "makes the same random choices again; 0 picks one, which is logged")
	report      = flag.String("report", "", "file to which a line for each promise is appended")
)

// bin is the server's binary, built with the race detector if the tests are. TestMain sets it before any test.
var bin string

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "liked-torture-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	if bin, err = livetest.Build(context.Background(), dir, livetest.Raced()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer pgtest.Stop()
	return m.Run()
}

// dice returns a source of random choices that follow from one number, which is logged.
func dice(t *testing.T) *rand.Rand {
	n := *seed
	if n == 0 {
		n = rand.Uint64()
	}
	t.Logf("-seed %d", n)
	return rand.New(rand.NewPCG(n, 0))
}

func split(rng *rand.Rand) *rand.Rand { return rand.New(rand.NewPCG(rng.Uint64(), rng.Uint64())) }

var reports sync.Mutex

// outcome notes at the end of the test what was done for a promise and what came of it.
func outcome(t *testing.T, promise string, done func() string) {
	start := time.Now()
	t.Cleanup(func() {
		result := "held"
		if t.Failed() {
			result = "BROKEN"
		}
		line := fmt.Sprintf("%s\t%s, %.0f s\t%s\n", promise, done(), time.Since(start).Seconds(), result)
		t.Log(strings.TrimSpace(line))
		if *report == "" {
			return
		}
		reports.Lock()
		defer reports.Unlock()
		f, err := os.OpenFile(*report, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
		if err != nil {
			t.Error(err)
			return
		}
		defer f.Close()
		if _, err := f.WriteString(line); err != nil {
			t.Error(err)
		}
	})
}
