package pgstore

import (
	"sync"
	"testing"

	"liked/internal/store"
	"liked/internal/store/pgstore/pgtest"
	"liked/internal/store/storetest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// schemas remembers where each store is.
type schemas struct{ m sync.Map }

func (d *schemas) open(t testing.TB, dsn string) store.Store {
	t.Helper()
	s, err := Open(Options{DSN: dsn, Readers: 4, Writers: 2})
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	d.m.Store(s, dsn)
	return s
}

func (d *schemas) of(s store.Store) string {
	dsn, _ := d.m.Load(s)
	return dsn.(string)
}

func TestStore(t *testing.T) {
	d := new(schemas)
	storetest.Run(t, storetest.Harness{
		Open: func(t testing.TB) store.Store { return d.open(t, pgtest.Schema(t)) },
		Reopen: func(t testing.TB, s store.Store) store.Store {
			if err := s.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
			return d.open(t, d.of(s))
		},
	})
}
