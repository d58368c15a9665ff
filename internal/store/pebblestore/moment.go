package pebblestore

import (
	"context"
	"io"

	"github.com/cockroachdb/pebble/v2"
)

// moment reads the database as it was at one time. It is an iterator rather than one of pebble's snapshots: closing a
// snapshot may wait for whoever writes the manifest, and with it for the disk, for ever if that has failed. It is for one
// goroutine, and a value it returns is lent until the next Get.
type moment struct{ it *pebble.Iterator }

var _ pebble.Reader = moment{}

func (s *Store) now() (moment, error) {
	it, err := s.db.NewIter(&pebble.IterOptions{UseL6Filters: true})
	return moment{it}, unavailable(err)
}

func (m moment) Get(key []byte) ([]byte, io.Closer, error) {
	// The prefix of a key is the whole key, so that filters keep this from reading tables without it.
	if !m.it.SeekPrefixGE(key) {
		if err := m.it.Error(); err != nil {
			return nil, nil, err
		}
		return nil, nil, pebble.ErrNotFound
	}
	value, err := m.it.ValueAndErr()
	return value, lent{}, err
}

func (m moment) NewIter(o *pebble.IterOptions) (*pebble.Iterator, error) {
	return m.NewIterWithContext(context.Background(), o)
}

func (m moment) NewIterWithContext(ctx context.Context, o *pebble.IterOptions) (*pebble.Iterator, error) {
	return m.it.CloneWithContext(ctx, pebble.CloneOptions{IterOptions: o})
}

func (m moment) Close() error { return m.it.Close() }

// lent is the closer of a value that needs none.
type lent struct{}

func (lent) Close() error { return nil }
