package pgstore

import (
	"slices"

	"liked"
)

// laneOf is the lane of a user, and the partition of the like log that the user's changes are in: the same on every engine.
func laneOf(user liked.UserID) int {
	return int(mix(uint64(user)) % liked.Partitions)
}

// lock locks the lanes of users, whose likes and the rules for them then stand still until the transaction ends. Statements
// after it see what was committed before.
func (t *tx) lock(users ...liked.UserID) {
	lanes := make([]int, len(users))
	for i, u := range users {
		lanes[i] = laneOf(u)
	}
	slices.Sort(lanes)
	t.queue("SELECT FROM lanes WHERE lane = ANY($1) ORDER BY lane FOR NO KEY UPDATE", slices.Compact(lanes))
}

// lockAll locks every lane: what concerns the likes of all users changes.
func (t *tx) lockAll() { t.queue("SELECT FROM lanes ORDER BY lane FOR NO KEY UPDATE") }
