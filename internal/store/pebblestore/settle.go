package pebblestore

import (
	"context"
)

const (
	// unsettled is how many bytes in tables above the last level make a store worth settling.
	unsettled = 64 << 20
	// partOfTables is how many tables of the last level are merged with all that lies above them at once.
	partOfTables = 16
)

// Settle merges a large store's tables into the last level, so that a read looks into one and not into one of each level.
func (s *Store) Settle(ctx context.Context) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.leave()
	if s.readOnly {
		return errReadOnly
	}
	if bytes, err := s.aboveLast(); err != nil || bytes < unsettled {
		return err
	}
	return s.merge(ctx, partOfTables)
}

func (s *Store) aboveLast() (bytes uint64, err error) {
	m, err := s.metrics()
	if err != nil {
		return 0, err
	}
	for _, level := range m.Levels[:len(m.Levels)-1] {
		bytes += uint64(level.TablesSize)
	}
	return bytes, nil
}

// merge goes through the keys in parts of so many tables, so that it needs little room, and ends soon if it is to.
func (s *Store) merge(ctx context.Context, partOf int) error {
	levels, err := s.db.SSTables()
	if err != nil {
		return unavailable(err)
	}
	s.throttle.hurry.Store(true) // somebody waits for it
	from, last := []byte{0}, levels[len(levels)-1]
	for whole := false; !whole; {
		to, size := []byte{0xff}, uint64(0) // above all tags
		if whole = len(last) <= partOf; !whole {
			to = last[partOf].Smallest.UserKey
		}
		part := min(len(last), partOf)
		for _, table := range last[:part] {
			size += table.Size
		}
		last = last[part:]
		above, err := s.aboveLast()
		if err != nil {
			return err
		}
		if err := s.roomFor("merging its tables", 2*size+above); err != nil {
			return err
		}
		if s.isClosing() {
			return errClosed
		}
		if err := s.apart(func() error { return s.db.Compact(ctx, from, to, false) }); err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return unavailable(err)
		}
		from = to
	}
	return nil
}
