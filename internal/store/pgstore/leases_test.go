package pgstore

import (
	"context"
	"testing"
	"time"

	"liked"
	"liked/internal/store/pgstore/pgtest"
)

// opened opens a store that the end of the test closes.
func opened(t testing.TB, dsn string) *Store {
	t.Helper()
	s, err := Open(Options{DSN: dsn, Readers: 4, Writers: 2})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func (s *Store) sql(t *testing.T, sql string, args ...any) {
	t.Helper()
	if _, err := s.calls.Exec(t.Context(), sql, args...); err != nil {
		t.Fatal(err)
	}
}

// No two servers make the same identifier, also when one cannot renew its number, or has lost it.
func TestNumbers(t *testing.T) {
	t.Parallel()
	dsn := pgtest.Schema(t)
	a, b := opened(t, dsn), opened(t, dsn)
	at, seen := time.Now(), map[int64]bool{}
	var last int64
	next := func(s *Store, at time.Time) int64 {
		t.Helper()
		id := s.NewID(at)
		if seen[id] || s == a && id <= last {
			t.Fatalf("%d comes after %d, or twice", id, last)
		}
		if seen[id] = true; s == a {
			last = id
		}
		return id >> 22
	}
	next(a, at)
	next(b, at)
	a.numbered.mu.Lock()
	a.numbered.renewed = a.numbered.renewed.Add(-serverLease)
	cutOff := a.numbered.renewed
	a.numbered.mu.Unlock()
	before := next(a, at)
	for range 5000 {
		if ms := next(a, at.Add(time.Hour)); ms > before+2 {
			t.Fatalf("a server that was cut off at %v makes an identifier of millisecond %d after %d", cutOff, ms, before)
		}
	}
	if err := a.renew(); err != nil {
		t.Fatal(err)
	}
	if ms := next(a, at.Add(time.Second)); ms < before+900 {
		t.Errorf("a server that is back makes an identifier of millisecond %d, a second after %d", ms, before)
	}

	number := a.numbered.number
	b.sql(t, "UPDATE servers SET holder = '' WHERE number = $1", number)
	if err := a.renew(); err != nil || a.numbered.number == number || a.numbered.number == b.numbered.number {
		t.Errorf("got number %d after %d, with %d in use (%v)", a.numbered.number, number, b.numbered.number, err)
	}
	next(a, at)

	number = a.numbered.number
	if err := a.Close(); err != nil {
		t.Error(err)
	}
	if c := opened(t, dsn); c.numbered.number == number || c.numbered.number == b.numbered.number {
		t.Errorf("got number %d at once after %d was given up", c.numbered.number, number)
	}
	b.sql(t, "UPDATE servers SET until = clock_timestamp()")
	if _, err := Open(Options{DSN: dsn, Patience: time.Second}); liked.KindOf(err) != liked.Unavailable {
		t.Errorf("got %v of one server too many", err)
	}
	b.sql(t, "UPDATE servers SET until = clock_timestamp() - $1::interval", serverRest+time.Second)
	opened(t, dsn)
	if _, err := b.Hold(context.Background(), []string{"x"}, time.Second); err != nil {
		t.Error(err)
	}
}
