package pgstore

import (
	"errors"
	"sync"
	"testing"

	"liked/internal/store/pgstore/pgtest"
)

// Servers that start at once on an empty schema all find it made.
func TestMigrateAtOnce(t *testing.T) {
	t.Parallel()
	for range 3 {
		dsn := pgtest.Schema(t)
		var all sync.WaitGroup
		errs := make([]error, 4)
		for i := range errs {
			all.Go(func() {
				s, err := Open(Options{DSN: dsn, Readers: 1, Writers: 1})
				if err == nil {
					err = s.Close()
				}
				errs[i] = err
			})
		}
		all.Wait()
		if err := errors.Join(errs...); err != nil {
			t.Error(err)
		}
	}
}
