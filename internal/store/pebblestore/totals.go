package pebblestore

import (
	"context"
	"sync"

	"liked/internal/store"
)

// totals is in memory only: the first call counts users and their counts on a snapshot, and the committer adds later
// changes.
type totals struct {
	counting chan struct{} // holds a token while a call counts

	mu    sync.Mutex
	since store.Totals // readable changes since the store was opened
	first store.Totals // counts at that time, once known is set
	known bool
}

// add adds a group's changes, and clears them.
func (t *totals) add(changed *store.Totals) {
	if *changed == (store.Totals{}) {
		return
	}
	t.mu.Lock()
	t.since = plus(t.since, *changed, 1)
	t.mu.Unlock()
	*changed = store.Totals{}
}

func plus(a, b store.Totals, sign int64) store.Totals {
	return store.Totals{Users: a.Users + sign*b.Users, Posts: a.Posts + sign*b.Posts, Likes: a.Likes + sign*b.Likes}
}

func (t *totals) now() (sum store.Totals, known bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return plus(t.first, t.since, 1), t.known
}

func (s *Store) Totals(ctx context.Context) (store.Totals, error) {
	if err := s.enter(ctx); err != nil {
		return store.Totals{}, err
	}
	defer s.leave()
	sum, known := s.totals.now()
	if !known {
		if err := s.count(ctx); err != nil {
			return store.Totals{}, err
		}
		sum, _ = s.totals.now()
	}
	if err := s.waitSynced(ctx); err != nil {
		return store.Totals{}, err
	}
	return sum, nil
}

// count counts what the store had when it was opened, unless another call has.
func (s *Store) count(ctx context.Context) error {
	t := &s.totals
	select {
	case t.counting <- struct{}{}:
		defer func() { <-t.counting }()
	case <-ctx.Done():
		return ctx.Err()
	case <-s.closing:
		return errClosed
	}
	if _, known := t.now(); known {
		return nil
	}
	// On the committer's goroutine nothing changes between since and the snapshot. If update gives up on the disk, the
	// committer may still come to it.
	var mu sync.Mutex
	var since store.Totals
	var at snapshot
	gaveUp := false
	err := s.update(ctx, func(*tx) (err error) {
		mu.Lock()
		defer mu.Unlock()
		if !gaveUp {
			since = t.since // only the committer writes it
			at, err = s.snapshot()
		}
		return err
	})
	if err != nil {
		mu.Lock()
		defer mu.Unlock()
		gaveUp = true
		if at.it != nil {
			closeInto(&err, at)
		}
		return err
	}
	var there store.Totals
	rows := 0
	for _, tag := range []byte{tagUser, tagUserN} {
		err := scan(at, []byte{tag}, nil, func(_, value []byte) (bool, error) {
			if tag == tagUser {
				there.Users++
			} else if n, err := decodeCounts(value); err != nil {
				return false, err
			} else {
				there.Posts += n[userPosts]
				there.Likes += n[userLikes]
			}
			if rows++; rows%1024 != 0 {
				return true, nil
			}
			if s.isClosing() {
				return false, errClosed
			}
			return true, ctx.Err()
		})
		if err != nil {
			_ = at.Close() // the first error is the one that helps
			return err
		}
	}
	if err := at.Close(); err != nil {
		return unavailable(err)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.first, t.known = plus(there, since, -1), true
	return nil
}
