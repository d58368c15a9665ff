//go:build !race

package api_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"
)

// The race detector makes pools forget, so that allocations can be counted only without it.

// A like takes at most 6 allocations of ours, those of the store's goroutines included, while 32 callers share groups.
func TestLikeAllocations(t *testing.T) {
	const callers, likes, limit = 32, 300, 6
	h, tokens := benchServer(t, callers)
	bodies := make([]string, likes)
	for i := range bodies {
		bodies[i] = fmt.Sprintf(`{"tweet_id":"%d"}`, i+1)
	}
	allocations := func(serve func(http.ResponseWriter, *http.Request)) float64 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		var wg sync.WaitGroup
		for i := range callers {
			wg.Go(func() {
				body := strings.NewReader("")
				r := httptest.NewRequest("POST", fmt.Sprintf("/2/users/%d/likes", i+1), body)
				r.Header.Set("Authorization", tokens[i])
				r.Header.Set("Content-Type", "application/json")
				w := &discard{header: http.Header{}}
				for n := range likes {
					body.Reset(bodies[n])
					r.Body, r.ContentLength = io.NopCloser(body), int64(body.Len())
					clear(w.header)
					if serve(w, r); w.status != 0 && w.status != 200 {
						t.Errorf("status %d", w.status)
						return
					}
				}
			})
		}
		wg.Wait()
		runtime.ReadMemStats(&after)
		return float64(after.Mallocs-before.Mallocs) / (callers * likes)
	}
	theirs := allocations(func(http.ResponseWriter, *http.Request) {})
	ours := allocations(h.ServeHTTP) - theirs
	t.Logf("%.1f allocations a like", ours)
	if ours > limit {
		t.Errorf("%.1f allocations a like, want at most %d", ours, limit)
	}
}
