// Package livetest has what tests share that run the server: building it as a program, its log, and that it leaves no
// goroutine behind.
package livetest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	// Nearly all that the binary is made of. `go test` would otherwise take the results of an older server from its cache.
	_ "liked/internal/bench"
	_ "liked/internal/server"
)

// Raced reports whether the test was built with the race detector.
func Raced() bool {
	info, ok := debug.ReadBuildInfo()
	return ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"})
}

// Build builds the binary in the directory, with the race detector if race says so and more flags of go build, and returns
// its path.
func Build(ctx context.Context, dir string, race bool, flags ...string) (bin string, err error) {
	bin = filepath.Join(dir, "liked")
	args := append([]string{"build", "-buildvcs=false", "-o", bin}, flags...)
	if race {
		args = append(args, "-race")
	}
	if out, err := exec.CommandContext(ctx, "go", append(args, "liked/cmd/liked")...).CombinedOutput(); err != nil {
		return "", fmt.Errorf("go %s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return bin, nil
}

// Run runs the tests of a package, then stops what they shared, and returns the exit code: 1, too, if goroutines are left that
// are neither the caller's nor the runtime's.
func Run(m *testing.M, stop func()) int {
	code := m.Run()
	stop()
	buf := make([]byte, 1<<20)
	for wait := time.Millisecond; ; wait *= 2 {
		left := strings.Split(string(buf[:runtime.Stack(buf, true)]), "\n\n")[1:]
		left = slices.DeleteFunc(left, func(stack string) bool { return strings.Contains(stack, "os/signal.") })
		if len(left) == 0 {
			return code
		}
		if wait > 16*time.Second {
			fmt.Fprintf(os.Stderr, "goroutines are left after the tests:\n%s\n", strings.Join(left, "\n\n"))
			return 1
		}
		time.Sleep(wait)
	}
}

// Log is a log that can be read while it is written.
type Log struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *Log) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}
