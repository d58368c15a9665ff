package likedtest_test

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"liked/likedtest"
)

// failing is a test that may fail, so that what it prints then is seen.
type failing struct {
	testing.TB
	failed   bool
	text     string
	cleanups []func()
}

func (f *failing) Helper() {}

func (f *failing) Failed() bool { return f.failed }

func (f *failing) Cleanup(do func()) { f.cleanups = append(f.cleanups, do) }

func (f *failing) Logf(format string, args ...any) { f.text += fmt.Sprintf(format, args...) + "\n" }

func (f *failing) Errorf(format string, args ...any) {
	f.failed = true
	f.Logf(format, args...)
}

func (f *failing) Fatalf(format string, args ...any) {
	f.Errorf(format, args...)
	runtime.Goexit()
}

// printed returns what a test prints until it has ended.
func printed(t *testing.T, test func(testing.TB)) string {
	f := &failing{TB: t}
	var done sync.WaitGroup
	done.Go(func() { test(f) })
	done.Wait()
	for _, do := range slices.Backward(f.cleanups) {
		do()
	}
	return f.text
}

// A test that fails prints the requests that were refused, in their order, also while the clock stands.
func TestRefusalsArePrinted(t *testing.T) {
	t.Parallel()
	text := printed(t, func(failing testing.TB) {
		srv := likedtest.New(failing)
		srv.Clock.Freeze(t)
		srv.Fault(t, `{"match":{"operation":"usersIdLike","user":"bob"},"do":{"status":503}}`)
		for range 30 {
			like(t, srv, "alice", 0)
			send(t, "GET", srv.URL+"/2/users/me", "nothing", "", "")
			like(t, srv, "bob", 0)
		}
		failing.Errorf("over")
	})
	lines := strings.Split(text, "\n")
	if len(lines) != 53 || lines[0] != "over" || !strings.Contains(lines[51], "and 10 refused before these") {
		t.Fatalf("printed %d lines: %s", len(lines), text)
	}
	for i, line := range lines[1:51] {
		if want := []string{"GET /2/users/me 401 ", "/likes 503 "}[i%2]; !strings.Contains(line, want) {
			t.Errorf("line %d is %s, want %s", i+1, line, want)
		}
	}
}
