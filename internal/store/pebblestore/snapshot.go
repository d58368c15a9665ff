package pebblestore

import (
	"context"
	"io"

	"github.com/cockroachdb/pebble/v2"
)

// snapshot reads the database as it was at one time. It is an iterator rather than one of pebble's snapshots: closing one
// of those may wait for whatever writes the manifest, and so for the disk, for ever if that has failed. It is for one
// goroutine, and a value that it returns is lent until the next Get.
type snapshot struct{ it *pebble.Iterator }

var _ pebble.Reader = snapshot{}

func (s *Store) snapshot() (snapshot, error) {
	it, err := s.db.NewIter(&pebble.IterOptions{UseL6Filters: true})
	return snapshot{it}, unavailable(err)
}

func (s snapshot) Get(key []byte) ([]byte, io.Closer, error) {
	// The prefix of a key is the whole key, so that filters keep this from reading tables without it.
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

// lent is the closer of a value that needs none.
type lent struct{}

func (lent) Close() error { return nil }
