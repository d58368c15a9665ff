// Package enginetest opens the stores of tests that are not about an engine: in memory, or on PostgreSQL where the environment
// says so. The same tests then prove that nothing above the store depends on which it is.
package enginetest

import (
	"os"
	"testing"

	"liked/internal/store"
	"liked/internal/store/pebblestore"
	"liked/internal/store/pgstore"
	"liked/internal/store/pgstore/pgtest"
)

// Environment chooses the engine: empty for the embedded one, "postgres" for PostgreSQL.
const Environment = "LIKED_TEST_ENGINE"

// Main runs the tests of a package whose stores are opened here.
func Main(m *testing.M) { pgtest.Main(m) }

// Stop is the end of Main, for packages that have more to do.
func Stop() { pgtest.Stop() }

// Postgres is the connection string of a new, empty schema if the engine is PostgreSQL, otherwise "".
func Postgres(t testing.TB) string {
	t.Helper()
	switch engine := os.Getenv(Environment); engine {
	case "":
		return ""
	case "postgres":
		return pgtest.Schema(t)
	default:
		t.Fatalf("%s: there is no engine %q", Environment, engine)
		return ""
	}
}

// Open opens an empty store, which the caller closes.
func Open(t testing.TB) store.Store {
	t.Helper()
	if dsn := Postgres(t); dsn != "" {
		s, err := pgstore.Open(pgstore.Options{DSN: dsn, Readers: 4, Writers: 2})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	s, err := pebblestore.Open(pebblestore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}
