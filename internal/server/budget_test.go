package server

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"liked"
	"liked/internal/store"
)

func TestFilesAreBudgeted(t *testing.T) {
	for _, test := range []struct {
		limit  uint64
		wanted int
		want   fileBudget
	}{
		{256, 10_000, fileBudget{connections: 108, admin: 32, rejected: 16, store: 36}},
		{1024, 10_000, fileBudget{connections: 576, admin: 128, rejected: 64, store: 192}},
		{1024, 10, fileBudget{connections: 10, admin: 128, rejected: 64, store: 192}},
		{20_000, 10_000, fileBudget{connections: 10_000, admin: 256, rejected: 256, store: 4096}},
		{1 << 63, 10_000, fileBudget{connections: 10_000, admin: 256, rejected: 256, store: 4096}},
	} {
		got, err := newFileBudget(test.limit, test.wanted)
		if err != nil || got != test.want {
			t.Errorf("%d files, %d connections: got %+v, %v; want %+v", test.limit, test.wanted, got, err, test.want)
		}
		if used := got.connections + got.admin + got.rejected + got.store + ownFiles; uint64(used) > test.limit {
			t.Errorf("%d files, %d connections: %d are given away", test.limit, test.wanted, used)
		}
	}
	if _, err := newFileBudget(255, 1); err == nil || !strings.Contains(err.Error(), "ulimit -n") {
		t.Errorf("255 store: got %v, want what to do", err)
	}
}

// stalled is a store whose disk takes its time.
type stalled struct {
	store.Store
	entered atomic.Int64
	release chan struct{}
}

func (s *stalled) SetLike(context.Context, liked.UserID, liked.PostID, bool, time.Time) (bool, error) {
	s.entered.Add(1)
	<-s.release
	return false, nil
}

func TestWaitingLikesAreBounded(t *testing.T) {
	disk := &stalled{release: make(chan struct{})}
	s := countedStore{disk, newObserver(slog.New(slog.DiscardHandler), prometheus.NewRegistry(), nil), nil}
	like := func() error {
		_, err := s.SetLike(t.Context(), 1, 1, true, time.Time{})
		return err
	}
	var waiting sync.WaitGroup
	for range maxWaiting {
		waiting.Go(func() {
			if err := like(); err != nil {
				t.Errorf("a like that there is room for: %v", err)
			}
		})
	}
	for deadline := time.Now().Add(time.Minute); disk.entered.Load() < maxWaiting; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d likes wait, want %d", disk.entered.Load(), maxWaiting)
		}
	}
	for range 3 {
		if err := like(); !errors.Is(err, errTooMany) || liked.KindOf(err) != liked.Overloaded {
			t.Errorf("one like too many: got %v", err)
		}
	}
	close(disk.release)
	waiting.Wait()
	if err := like(); err != nil {
		t.Errorf("once there is room again: %v", err)
	}
}
