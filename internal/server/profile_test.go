package server_test

import (
	"context"
	"errors"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"liked/internal/server"
)

// Contention is sampled while a profile of it is taken and not otherwise, and by one request at a time.
func TestContentionProfiles(t *testing.T) {
	const token = "a-token-of-the-test"
	srv, _ := start(t, server.Config{Seed: world(), AdminToken: token})
	c := client(t, nil)
	if status, _ := get(t, c, srv.AdminURL()+"/debug/pprof/mutex?seconds=1", ""); status != 401 {
		t.Errorf("without a token: %d", status)
	}
	rate := func() int { return runtime.SetMutexProfileFraction(-1) }
	if rate() != 0 {
		t.Fatal("mutexes are sampled before a profile is taken")
	}
	becomes := func(want int, or string) {
		t.Helper()
		for deadline := time.Now().Add(time.Minute); rate() != want; time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal(or)
			}
		}
	}
	ctx, giveUp := context.WithCancel(t.Context())
	defer giveUp()
	long, err := http.NewRequestWithContext(ctx, "GET", srv.AdminURL()+"/debug/pprof/mutex?seconds=30", nil)
	if err != nil {
		t.Fatal(err)
	}
	long.Header.Set("Authorization", "Bearer "+token)
	first := make(chan error, 1)
	go func() {
		resp, err := c.Do(long)
		if err == nil {
			resp.Body.Close()
		}
		first <- err
	}()
	becomes(1, "mutexes are not sampled while a profile is taken")
	if status, body := get(t, c, srv.AdminURL()+"/debug/pprof/block?seconds=1", token); status != 409 {
		t.Errorf("a second one meanwhile: %d %s", status, body)
	}
	giveUp()
	if err := <-first; !errors.Is(err, context.Canceled) {
		t.Errorf("a profile that was given up: %v", err)
	}
	becomes(0, "mutexes are sampled after a profile that was given up")
	if status, body := get(t, c, srv.AdminURL()+"/debug/pprof/mutex?seconds=1", token); status != 200 || !strings.HasPrefix(body, "\x1f\x8b") {
		t.Errorf("%d %.60q", status, body)
	}
	if rate() != 0 {
		t.Error("mutexes are sampled after the profile")
	}
	for _, path := range []string{"/debug/pprof/block?seconds=1", "/debug/pprof/mutex?debug=1"} {
		if status, body := get(t, c, srv.AdminURL()+path, token); status != 200 {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
}
