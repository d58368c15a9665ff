// Command liked is the Likes half of the X API as a server that you run yourself. Start with `liked dev`.
//
// What a command answers goes to standard output, everything else to standard error, with "liked: " before a mistake.
// The exit status is 0 for success, 1 for a failure, 2 for a mistake on the command line or in the environment.
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
)

func main() {
	oneArena()
	if os.Getenv("GOGC") == "" {
		// What lives long is bounded and small (a filter, caches; pebble's are not the collector's), so that a third of
		// the collections costs some hundred megabytes at most and saves one part in twenty of what a like takes.
		debug.SetGCPercent(300)
	}
	ctx, stop := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	go func() {
		<-signals
		stop() // the first asks to end in order
		if <-signals == syscall.SIGINT {
			os.Exit(130) // 128 + SIGINT, as shells have it
		}
		os.Exit(1)
	}()
	os.Exit(run(ctx, os.Args[1:], os.Environ(), os.Stdin, os.Stdout, os.Stderr))
}

// run is the whole program but for its process: it runs one command, until ctx ends if it is a server, and returns the
// exit status.
func run(ctx context.Context, args, environ []string, stdin io.Reader, stdout, stderr io.Writer) int {
	cmd, err := parse(args, environ, stdout)
	if err == nil && cmd != nil { // nil: help was asked for, and given
		err = cmd.Run(&env{ctx, stdin, stdout, stderr})
	}
	if err == nil {
		return 0
	}
	for _, line := range strings.Split(err.Error(), "\n") {
		fmt.Fprintln(stderr, "liked:", line)
	}
	if _, ok := errors.AsType[*usageError](err); ok {
		return 2
	}
	return 1
}

// command is one of the commands, filled in from the command line and the environment.
type command interface {
	Run(*env) error
}

// env is the world around a command.
type env struct {
	ctx            context.Context
	stdin          io.Reader
	stdout, stderr io.Writer
}

// usageError is every mistake on the command line and in the environment, one a line.
type usageError struct{ error }
