package pebblestore

import (
	"context"
	"io"

	"github.com/cockroachdb/pebble/v2"
)

// snapshot reads one state of the database. It is an iterator and not a snapshot of pebble's, whose Close may wait for
// writes of the manifest, for ever if the disk has failed. It is for one goroutine; a value is valid until the next
// Get.
type snapshot struct{ it *pebble.Iterator }

var _ pebble.Reader = snapshot{}

func (s *Store) snapshot() (snapshot, error) {
	it, err := s.db.NewIter(&pebble.IterOptions{UseL6Filters: true})
	return snapshot{it}, unavailable(err)
}

func (s snapshot) Get(key []byte) ([]byte, io.Closer, error) {
	// The prefix of a key is the whole key, so that filters spare reads of tables without it.
	if !s.it.SeekPrefixGE(key) {
		if err := s.it.Error(); err != nil {
			return nil, nil, err
		}
		return nil, nil, pebble.ErrNotFound
	}
	value, err := s.it.ValueAndErr()
	return value, lent{}, err
}

func (s snapshot) NewIter(o *pebble.IterOptions) (*pebble.Iterator, error) {
	return s.NewIterWithContext(context.Background(), o)
}

func (s snapshot) NewIterWithContext(ctx context.Context, o *pebble.IterOptions) (*pebble.Iterator, error) {
	return s.it.CloneWithContext(ctx, pebble.CloneOptions{IterOptions: o})
}

func (s snapshot) Close() error { return s.it.Close() }

type lent struct{}

func (lent) Close() error { return nil }
