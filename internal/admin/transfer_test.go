package admin

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"liked"
	"liked/internal/enginetest"
	"liked/internal/store"
)

// slowStore is a store for which a clock stands in that only moves while it imports: a millisecond for a step, and ten
// microseconds for each record.
type slowStore struct {
	store.Store
	clock *atomic.Int64
	steps []int
	like  bool // set a like during each step
}

func (s *slowStore) Import(ctx context.Context, records []store.Record, keepGoing bool) (store.Imported, error) {
	s.steps = append(s.steps, len(records))
	s.clock.Add(int64(time.Millisecond) + int64(len(records))*int64(10*time.Microsecond))
	if s.like {
		if _, err := s.SetLike(ctx, 1, 1, len(s.steps)%2 == 1, time.Now()); err != nil {
			return store.Imported{}, err
		}
	}
	return s.Store.Import(ctx, records, keepGoing)
}

// Long lines make short steps: how much of an import is in memory does not depend on its lines.
func TestImportStepsAreBoundedInBytes(t *testing.T) {
	t.Parallel()
	st := enginetest.Open(t)
	defer st.Close()
	s := &slowStore{Store: st, clock: new(atomic.Int64)}
	h := New(Options{Store: s, Now: time.Now, Logger: slog.New(slog.DiscardHandler)})
	line := `{"type":"post","id":"1","author_id":"1","created_at":"2020-01-01T00:00:00.000Z","text":"` +
		strings.Repeat("x", 1_000_000) + "\"}\n"
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/admin/import?skip_bad=true", strings.NewReader(strings.Repeat(line, 12))))
	if w.Code != 200 || !strings.Contains(w.Body.String(), `"refused":12,`) {
		t.Fatalf("got %d %s", w.Code, w.Body)
	}
	if want := []int{5, 5, 2}; !slices.Equal(s.steps, want) {
		t.Errorf("records by step: %v, want %v, no more than 4 MiB and a line", s.steps, want)
	}
}

// An import takes short steps while others like, for a like waits for one, and long ones otherwise.
func TestImportStepsFollowLikes(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name            string
		like            bool
		atLeast, atMost time.Duration // of the longest step but the first ones
	}{
		{"others like", true, 0, 5 * time.Millisecond},
		{"alone", false, 30 * time.Millisecond, 42 * time.Millisecond},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			st := enginetest.Open(t)
			defer st.Close()
			at := time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)
			if err := st.AddUser(t.Context(), liked.User{ID: 1, Username: "a", Name: "a", CreatedAt: at}); err != nil {
				t.Fatal(err)
			}
			if err := st.AddPost(t.Context(), liked.Post{ID: 1, Author: 1, Text: "a", CreatedAt: at}); err != nil {
				t.Fatal(err)
			}
			clock := new(atomic.Int64)
			clock.Store(at.UnixNano())
			slow := &slowStore{Store: st, clock: clock, like: test.like}
			h := New(Options{Store: slow, Now: time.Now, Logger: slog.New(slog.DiscardHandler)})
			h.likes.now = func() time.Time { return time.Unix(0, clock.Load()) }
			var body strings.Builder
			const lines = 30_000
			for n := range lines {
				fmt.Fprintf(&body, `{"type":"user","id":"%d","username":"u%d","name":"u","created_at":"2020-01-01T00:00:00.000Z"}`+"\n",
					5_000_000_000+n, n)
			}
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/admin/import", strings.NewReader(body.String())))
			if want := fmt.Sprintf(`{"added":%d,`, lines); w.Code != 200 || !strings.HasPrefix(w.Body.String(), want) {
				t.Fatalf("got %d %s", w.Code, w.Body)
			}
			longest := 0
			for _, n := range slow.steps[3:] {
				longest = max(longest, n)
			}
			took := time.Millisecond + time.Duration(longest)*10*time.Microsecond
			if took < test.atLeast || took > test.atMost {
				t.Errorf("the longest step takes %s, want %s to %s; records by step: %v", took, test.atLeast, test.atMost, slow.steps)
			}
		})
	}
}

// settling counts how often the store is put in order.
type settling struct {
	store.Store
	times int
}

func (s *settling) Settle(ctx context.Context) error {
	s.times++
	return s.Store.Settle(ctx)
}

// An import puts the store in order if it is told to, and only then: one that comes in pieces does so once.
func TestImportSettles(t *testing.T) {
	t.Parallel()
	st := &settling{Store: enginetest.Open(t)}
	defer st.Close()
	h := New(Options{Store: st, Now: time.Now, Logger: slog.New(slog.DiscardHandler)})
	for query, want := range map[string]int{"": 0, "?settle=false": 0, "?settle=true": 1} {
		st.times = 0
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/admin/import"+query, strings.NewReader("")))
		if w.Code != 200 || st.times != want {
			t.Errorf("%q: %d %s, the store was put in order %d times, want %d", query, w.Code, w.Body, st.times, want)
		}
	}
}

// Without the chunks of HTTP/1.1 a client cannot tell an export that was cut short from a whole one.
func TestExportNeedsChunks(t *testing.T) {
	t.Parallel()
	st := enginetest.Open(t)
	defer st.Close()
	h := New(Options{Store: st, Now: time.Now, Logger: slog.New(slog.DiscardHandler)})
	for minor, want := range []int{400, 200} {
		r := httptest.NewRequest(http.MethodGet, "/admin/export", nil)
		r.ProtoMinor = minor
		w := httptest.NewRecorder()
		if h.ServeHTTP(w, r); w.Code != want || want == 400 && !strings.Contains(w.Body.String(), "HTTP/1.1") {
			t.Errorf("over HTTP/1.%d: %d %s, want %d", minor, w.Code, w.Body, want)
		}
	}
}
