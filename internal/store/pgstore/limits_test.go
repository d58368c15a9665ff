package pgstore

import (
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"liked"
	"liked/internal/store"
	"liked/internal/store/pgstore/pgtest"
)

// A commit without an answer runs again: a request is counted twice then, but a nonce stays fresh for the call that used it.
func TestLimitsAgain(t *testing.T) {
	t.Parallel()
	s := opened(t, pgtest.Schema(t))
	now := time.Now()
	rules := []liked.RateRule{{Window: time.Hour, Max: 10}, {App: true, Window: time.Hour, Max: 10}}
	calls := []*limitCall{
		{kind: takes, now: now, key: windowsKey{"a", 1, 2}, rules: rules},
		{kind: usesNonce, now: now, key: windowsKey{App: 1}, nonce: store.Hash{1}, until: now.Unix() + 60, use: 7},
		{kind: usesNonce, now: now, key: windowsKey{App: 1}, nonce: store.Hash{1}, until: now.Unix() + 60, use: 8},
	}
	for range 2 {
		if err := s.limits.attempt(t.Context(), calls); err != nil {
			t.Fatal(err)
		}
		if !calls[0].ok || !calls[1].ok || calls[2].ok {
			t.Errorf("got %v, %v and %v, want the first two", calls[0].ok, calls[1].ok, calls[2].ok)
		}
	}
	if left := calls[0].states[0].Remaining; left != 8 {
		t.Errorf("%d of 10 are left after two", left)
	}
	if fresh, err := s.UseNonce(t.Context(), now, 1, store.Hash{1}, now.Add(time.Minute)); err != nil || fresh {
		t.Errorf("another call: %v, %v", fresh, err)
	}
}

// forgetAll deletes all that is over.
func (s *Store) forgetAll(t testing.TB) {
	t.Helper()
	for from, more := (windowsKey{}), true; more; more = from != (windowsKey{}) {
		var err error
		if from, err = s.forget(t.Context(), from); err != nil {
			t.Fatal(err)
		}
	}
}

// What is over goes, whatever the clock of the database says; what may still count stays.
func TestForget(t *testing.T) {
	t.Parallel()
	s := opened(t, pgtest.Schema(t))
	start := time.Date(2024, 5, 1, 12, 0, 0, 0, time.UTC)
	request := func(at time.Time, user liked.UserID) {
		t.Helper()
		rules := []liked.RateRule{{Window: time.Hour, Max: 10}}
		if _, _, err := s.Take(t.Context(), at, "a", 1, user, rules, nil); err != nil {
			t.Fatal(err)
		}
		if fresh, err := s.UseNonce(t.Context(), at, 1, store.Hash{byte(user)}, at.Add(time.Hour)); err != nil || !fresh {
			t.Fatal(fresh, err)
		}
	}
	left := func(want int) {
		t.Helper()
		s.forgetAll(t)
		for _, table := range []string{"windows", "nonces", "nonce_counts"} {
			rows, err := s.calls.Query(t.Context(), "SELECT count(*) FROM "+table)
			if err != nil {
				t.Fatal(err)
			}
			if n, err := pgx.CollectExactlyOneRow(rows, pgx.RowTo[int]); err != nil || n != want {
				t.Errorf("%s: %d are left, want %d (%v)", table, n, want, err)
			}
		}
	}
	request(start, 1)
	request(start.Add(30*time.Minute), 2)
	left(2)
	request(start.Add(61*time.Minute), 3)
	left(3)
	request(start.Add(63*time.Minute), 4)
	left(3)
	request(start.Add(1000*time.Hour), 5)
	left(1)
}

// An app may have as many nonces as there is room left.
func TestNonceRoom(t *testing.T) {
	t.Parallel()
	s := opened(t, pgtest.Schema(t))
	now := time.Now()
	use := func(app liked.AppID, n byte) error {
		_, err := s.UseNonce(t.Context(), now, app, store.Hash{n}, now.Add(time.Minute))
		return err
	}
	s.sql(t, "INSERT INTO nonce_counts (app, minute, n) VALUES (1, $1, $2)", now.Unix()/60, maxNonces/2)
	if err := use(1, 1); err != nil { // which counts what others have used
		t.Error(err)
	}
	if err := use(1, 2); liked.KindOf(err) != liked.Unavailable {
		t.Errorf("got %v for a nonce of the app that has half of the room", err)
	}
	if err := use(2, 3); err != nil {
		t.Errorf("another app: %v", err)
	}
}
