// Command liked is the Likes half of the X API as a server that you run yourself. Start with `liked dev`.
//
// Results go to standard output, everything else to standard error, where mistakes begin with "liked: ". The exit
// status is 0 for success, 1 for a failure, 2 for a mistake on the command line or in the environment.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"

	"liked/internal/capture"
)

func main() {
	capture.Inside()
	oneArena()
	ownFiles()
	if os.Getenv("GOGC") == "" {
		// The long-lived heap is bounded and small (a filter, caches; pebble's are outside), so a third of the
		// collections costs some hundred megabytes at most and saves 5 % of a like's time.
		debug.SetGCPercent(300)
	}
	ctx, stop := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	go func() {
		<-signals
		stop() // the first signal: shut down in order
		if <-signals == syscall.SIGINT {
			os.Exit(130) // 128 + SIGINT, as in shells
		}
		os.Exit(1)
	}()
	os.Exit(run(ctx, os.Args[1:], os.Environ(), os.Stdin, os.Stdout, os.Stderr))
}

// run runs one command, a server until ctx ends, and returns the exit status.
func run(ctx context.Context, args, environ []string, stdin io.Reader, stdout, stderr io.Writer) int {
	cmd, warnings, err := parse(args, environ, stdout)
	for _, w := range warnings {
		fmt.Fprintln(stderr, "liked: warning:", w)
	}
	if err == nil && cmd != nil { // nil: help was printed
		err = cmd.Run(&env{ctx, stdin, stdout, stderr})
	} else if dev, ok := cmd.(*devCmd); ok {
		err = errors.Join(err, dev.forget())
	}
	if err == nil {
		return 0
	}
	if status, ok := errors.AsType[exitStatus](err); ok {
		return int(status)
	}
	for _, line := range strings.Split(err.Error(), "\n") {
		fmt.Fprintln(stderr, "liked:", printableLines(line))
	}
	if _, ok := errors.AsType[*usageError](err); ok {
		return 2
	}
	return 1
}

type command interface {
	Run(*env) error
}

type env struct {
	ctx            context.Context
	stdin          io.Reader
	stdout, stderr io.Writer
}

// read returns what is in the file, or on standard input for "-", at most that many bytes.
func (e *env) read(path string, most int64) ([]byte, error) {
	if path == "-" {
		return readAll(e.stdin, path, most)
	}
	return readFile(path, most)
}

func readFile(path string, most int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return readAll(f, path, most)
}

func readAll(in io.Reader, path string, most int64) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(in, most+1))
	if err == nil && int64(len(text)) > most {
		err = fmt.Errorf("%s is longer than %d bytes", path, most)
	}
	return text, err
}

func (e *env) readToken(path string) (string, error) {
	text, err := e.read(path, maxSecret)
	token := strings.TrimSpace(string(text))
	if err == nil && token == "" {
		err = fmt.Errorf("%s is empty", path)
	}
	if err != nil {
		return "", fmt.Errorf("admin-token-file: %w", err)
	}
	return token, nil
}

// maxSecret is above the longest password and token in bytes.
const maxSecret = 4096

// usageError is every mistake in arguments and environment, one per line.
type usageError struct{ error }
