// Package enginetest opens the stores of tests that are not about an engine: in memory, or on PostgreSQL where the environment
// says so. The same tests then prove that nothing above the store depends on which it is.
package enginetest

import (
	"os"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

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
	s, err := Place(t)()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Place returns what opens a store, which is empty at first, and as it was left when it is opened again.
func Place(t testing.TB) (open func() (store.Store, error)) {
	t.Helper()
	if dsn := Postgres(t); dsn != "" {
		return func() (store.Store, error) { return pgstore.Open(pgstore.Options{DSN: dsn, Readers: 4, Writers: 2}) }
	}
	disk := vfs.NewMem()
	return func() (store.Store, error) { return pebblestore.Open(pebblestore.Options{FS: disk, Dir: "data"}) }
}
