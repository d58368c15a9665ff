package pgstore

import (
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"liked/internal/store"
	"liked/internal/store/pgstore/pgtest"
	"liked/internal/store/storetest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// schemas remembers where each store is.
type schemas struct {
	m, servers sync.Map
	pair       bool // a store is two instances
}

func (d *schemas) open(t testing.TB, dsn string) store.Store {
	t.Helper()
	open := func() *Store {
		// What the suite says of generations is of a change's own server: of two the other one learns of it at some time, which
		// would be taken for a later change. And it is not about a machine that is too busy to ask.
		s, err := Open(Options{DSN: dsn, Readers: 4, Writers: 2, blindAfter: time.Hour, quiet: true})
		if err != nil {
			t.Fatalf("Open: %v", err)
		}
		return s
	}
	var s store.Store = open()
	if d.pair {
		s = &pair{s.(*Store), open()}
	}
	d.m.Store(s, dsn)
	return s
}

func (d *schemas) forget(t testing.TB, s store.Store) {
	t.Helper()
	if both, is := s.(*pair); is {
		both.a.forgetAll(t)
		both.b.forgetAll(t)
		return
	}
	s.(*Store).forgetAll(t)
}

func (d *schemas) of(s store.Store) string {
	dsn, _ := d.m.Load(s)
	return dsn.(string)
}

func TestSuite(t *testing.T) { suite(t, new(schemas)) }

// Two servers on one database are as good as one, whichever of them a call goes to.
func TestSuiteOnTwo(t *testing.T) { suite(t, &schemas{pair: true}) }

// What servers on one database promise each other.
func TestSuiteShared(t *testing.T) {
	t.Parallel()
	storetest.RunShared(t, func(t testing.TB) storetest.Place {
		dsn := pgtest.Schema(t)
		return storetest.Place{
			Open: func() (store.Store, error) { return Open(Options{DSN: dsn, Readers: 4, Writers: 2}) },
			OpenFar: func() (store.Store, storetest.Link, error) {
				link := pgtest.NewLink(t, dsn)
				s, err := Open(Options{DSN: link.DSN, Readers: 2, Writers: 2, Patience: 5 * time.Second})
				return s, link, err
			},
			Raise: func(usable bool) {
				conn, err := pgx.Connect(t.Context(), dsn)
				ok(t, err)
				defer conn.Close(t.Context())
				_, err = conn.Exec(t.Context(), "UPDATE meta SET version = $1 + 1, least = $1 + CASE WHEN $2 THEN 0 ELSE 1 END", Version, usable)
				ok(t, err)
			},
		}
	})
}

func suite(t *testing.T, d *schemas) {
	pgtest.Long(t)
	t.Parallel()
	server := pgtest.Start(t)
	storetest.Run(t, storetest.Harness{
		Open: func(t testing.TB) store.Store { return d.open(t, server.Schema(t)) },
		Reopen: func(t testing.TB, s store.Store) store.Store {
			if err := s.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
			return d.open(t, d.of(s))
		},
		Kill: func(t testing.TB, s store.Store) func() store.Store {
			c, err := pgx.ParseConfig(d.of(s))
			if err != nil {
				t.Fatal(err)
			}
			left := server
			for killed := range d.servers.Range { // s may be what an earlier kill has left
				if killed.(*pgtest.Server).Socket() == filepath.Join(c.Host, fmt.Sprintf(".s.PGSQL.%d", c.Port)) {
					left = killed.(*pgtest.Server)
				}
			}
			left = left.Left(t)
			d.servers.Store(left, nil)
			return func() store.Store {
				dsn := pgtest.With(left.DSN(), "connect_timeout", "30") // a busy machine is not the suite's concern
				return d.open(t, pgtest.With(dsn, "search_path", c.RuntimeParams["search_path"]))
			}
		},
		Forget: d.forget,
	})
}
