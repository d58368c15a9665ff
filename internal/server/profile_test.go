package server_test

import (
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
	type answer struct {
		status int
		body   string
	}
	first := make(chan answer, 1)
	go func() {
		status, body := get(t, c, srv.AdminURL()+"/debug/pprof/mutex?seconds=2", token)
		first <- answer{status, body}
	}()
	for deadline := time.Now().Add(time.Minute); rate() != 1; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("mutexes are not sampled while a profile is taken")
		}
	}
	if status, body := get(t, c, srv.AdminURL()+"/debug/pprof/block?seconds=1", token); status != 409 {
		t.Errorf("a second one meanwhile: %d %s", status, body)
	}
	if a := <-first; a.status != 200 || !strings.HasPrefix(a.body, "\x1f\x8b") {
		t.Errorf("%d %.60q", a.status, a.body)
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
