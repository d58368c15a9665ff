//go:build !race

package api_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// The race detector makes pools forget, so that allocations can be counted only without it.

// A like takes at most 40 allocations of ours, those of the store's goroutines included.
func TestLikeAllocations(t *testing.T) {
	const limit = 40
	h, tokens := benchServer(t, 1)
	post := 0
	w := &discard{header: http.Header{}}
	ours := testing.AllocsPerRun(200, func() {
		post++
		r := newLike(tokens[0], post)
		clear(w.header)
		h.ServeHTTP(w, r)
		if w.status != 200 {
			t.Fatalf("status %d", w.status)
		}
	})
	theirs := testing.AllocsPerRun(200, func() { newLike(tokens[0], post) })
	if ours-theirs > limit {
		t.Errorf("%v allocations a like, want at most %v", ours-theirs, limit)
	}
}

func newLike(token string, post int) *http.Request {
	r := httptest.NewRequest("POST", "/2/users/1/likes", strings.NewReader(fmt.Sprintf(`{"tweet_id":"%d"}`, post)))
	r.Header.Set("Authorization", token)
	r.Header.Set("Content-Type", "application/json")
	return r
}
