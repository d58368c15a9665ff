package pgstore

import (
	"slices"
	"time"

	"liked"
)

// lock locks the lanes of users, whose likes and the rules for them then stand still until the transaction ends. Statements
// after it see what was committed before.
func (t *tx) lock(users ...liked.UserID) {
	lanes := make([]int, len(users))
	for i, u := range users {
		lanes[i] = liked.PartitionOf(u)
	}
	slices.Sort(lanes)
	t.queue("SELECT FROM lanes WHERE lane = ANY($1) ORDER BY lane FOR NO KEY UPDATE", slices.Compact(lanes))
}

// lockAll locks every lane: what concerns the likes of all users changes.
func (t *tx) lockAll() { t.queue("SELECT FROM lanes ORDER BY lane FOR NO KEY UPDATE") }

// raise has likes get positions after the time only, unless it is zero.
func (s *Store) raise(after time.Time) error {
	if after.IsZero() {
		return nil
	}
	return s.commit(s.calls, func(t *tx) error {
		t.lockAll()
		t.exec("UPDATE lanes SET last = greatest(last, $1)", after.UnixMilli()<<20)
		return nil
	})
}
