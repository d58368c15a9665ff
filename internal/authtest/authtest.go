// Package authtest has what tests share that sign requests or sign in: a clock, a store, a client that signs ([Client]) and a
// person's browser ([Browser]).
package authtest

import (
	"context"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"liked"
	"liked/internal/auth"
	"liked/internal/enginetest"
	"liked/internal/store"
)

// NewClock returns a clock that stands at the time.
func NewClock(at time.Time) *Clock { return &Clock{now: at} }

// Clock is a clock that a test moves.
type Clock struct {
	mu  sync.Mutex
	now time.Time
}

// Now is the time.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Set sets the time.
func (c *Clock) Set(at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = at
}

// Add lets time pass.
func (c *Clock) Add(d time.Duration) { c.Set(c.Now().Add(d)) }

// NewStore opens a store, which is closed at the end of the test, once it has shown that it agrees with itself.
func NewStore(t testing.TB) store.Store {
	t.Helper()
	s := enginetest.Open(t)
	t.Cleanup(func() { prove(t, s) })
	return s
}

// prove closes the store, unless the test has done that, once it has shown that it agrees with itself.
func prove(t testing.TB, s store.Store) {
	t.Helper()
	switch report, err := s.Check(context.Background()); {
	case err != nil && liked.KindOf(err) == liked.Unavailable: // the test closed it
	case err != nil || len(report.Problems) > 0:
		t.Errorf("check: %q, %v", report.Problems, err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// NewAuth returns an Auth that is the same in each run of the test, and believes the Host of requests.
func NewAuth(t testing.TB, s store.Store, c *Clock) *auth.Auth {
	t.Helper()
	a := auth.New(auth.Options{
		Store:   s,
		Seal:    [32]byte{1, 2, 3},
		BaseURL: func(r *http.Request) string { return "http://" + r.Host },
		Now:     c.Now,
		Rand:    Seeded(t.Name()),
	})
	return a
}

// NewRequest returns a request of the test.
func NewRequest(t testing.TB, method, url, body string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// Check ends the test if there is an error.
func Check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Seeded returns random bytes that depend on the seed alone.
func Seeded(seed string) io.Reader {
	return rand.NewChaCha8([32]byte([]byte(seed + strings.Repeat(".", 32))[:32]))
}
