// Package livetest builds the server for tests that run it as a process.
package livetest

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"

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
