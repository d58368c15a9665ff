package likedtest_test

import (
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"

	"liked/likedtest"
)

// failing is a test that may fail, so that what it fails with is seen.
type failing struct {
	testing.TB
	text string
}

func (f *failing) Helper() {}

func (f *failing) Logf(format string, args ...any) { f.text += fmt.Sprintf(format, args...) + "\n" }

func (f *failing) Fatalf(format string, args ...any) {
	f.Logf(format, args...)
	runtime.Goexit()
}

// failsWith returns what a test fails with.
func failsWith(t *testing.T, test func(testing.TB)) string {
	f := &failing{TB: t}
	var done sync.WaitGroup
	done.Go(func() { test(f) })
	done.Wait()
	return f.text
}

// A rule with a mistake is refused in the server's words, also where it is no JSON.
func TestFaultRefused(t *testing.T) {
	t.Parallel()
	srv := likedtest.New(t)
	for rule, want := range map[string]string{
		`{"match":{},"do":{"close":"never"}}`: `likedtest: do: close is "before" or "after"`,
		`{"match":{},"dos":{"status":503}}`:   `likedtest: body: unknown member "dos"`,
		`{"match":{},"do":{"status":503}`:     `likedtest: body: `,
		``:                                    `likedtest: body: `,
	} {
		if got := failsWith(t, func(t testing.TB) { srv.Fault(t, rule) }); !strings.HasPrefix(got, want) {
			t.Errorf("%s: failed with %q, want %q", rule, got, want)
		}
	}
}

func TestFaultAndLimits(t *testing.T) {
	t.Parallel()
	srv := likedtest.New(t, likedtest.RateLimits(`{"usersIdLike":{"user_15m":2,"user_24h":0}}`))
	srv.Fault(t, `{"match":{"operation":"usersIdLike","user":"alice"},"when":{"times":1},"do":{"status":503}}`)
	got := [5]int{}
	for i := range 3 {
		got[i], _, _ = like(t, srv, "alice", 0)
	}
	of := likedtest.Callers{User: "alice", Operation: "usersIdLike"}
	if w := srv.Limits(t, of); len(w) != 1 || w[0].Limit != 2 || w[0].Remaining != 0 || w[0].User != srv.Users["alice"].ID {
		t.Errorf("the windows are %+v", w)
	}
	srv.ResetLimits(t, of)
	got[3], _, _ = like(t, srv, "alice", 0)
	srv.Fault(t, `{"match":{},"do":{"status":500}}`)
	srv.ClearFaults(t)
	got[4], _, _ = like(t, srv, "alice", 0)
	if want := [5]int{503, 200, 429, 200, 200}; got != want {
		t.Errorf("got %v, want %v", got, want)
	}
}
