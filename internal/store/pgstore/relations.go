package pgstore

import (
	"context"

	"github.com/jackc/pgx/v5"

	"liked"
	"liked/internal/store"
	"liked/internal/store/valid"
)

// Each sub-query reads one row by its whole key: a join could be planned to read all whom the viewer follows.
const relationsOf = `SELECT (SELECT true FROM follows WHERE follower = $1 AND followed = r.id) IS NOT NULL,
	(SELECT true FROM follows WHERE follower = r.id AND followed = $1) IS NOT NULL,
	(SELECT true FROM blocks WHERE blocker = $1 AND blocked = r.id) IS NOT NULL,
	(SELECT true FROM blocked_by WHERE blocked = $1 AND blocker = r.id) IS NOT NULL
	FROM unnest($2::bigint[]) WITH ORDINALITY r(id, i) ORDER BY r.i`

func aRelation(r pgx.CollectableRow) (rel store.Relation, err error) {
	err = r.Scan(&rel.Follows, &rel.FollowedBy, &rel.Blocks, &rel.BlockedBy)
	return rel, err
}

func (s *Store) Relations(ctx context.Context, viewer liked.UserID, users []liked.UserID) ([]store.Relation, error) {
	if s.shards != nil {
		return view(ctx, s, func(t *tx) ([]store.Relation, error) { return t.relations(viewer, users) })
	}
	return list(ctx, s, aRelation, relationsOf, viewer, users)
}

func (t *tx) relations(viewer liked.UserID, users []liked.UserID) ([]store.Relation, error) {
	if t.shards != nil {
		return t.relationsApart(viewer, users)
	}
	return rows(t, aRelation, relationsOf, viewer, users)
}

// sides say who is on each side of a user.
var sides = map[store.Side]string{
	store.Following: "SELECT followed FROM follows WHERE follower = $1 AND followed > $2 ORDER BY followed LIMIT $3",
	store.Followers: "SELECT follower FROM followed_by WHERE followed = $1 AND follower > $2 ORDER BY follower LIMIT $3",
	store.Blocking:  "SELECT blocked FROM blocks WHERE blocker = $1 AND blocked > $2 ORDER BY blocked LIMIT $3",
	store.BlockedBy: "SELECT blocker FROM blocked_by WHERE blocked = $1 AND blocker > $2 ORDER BY blocker LIMIT $3",
}

// Related reads ids first: where many are on a side, a join could be planned as a merge that reads all users.
func (s *Store) Related(ctx context.Context, of liked.UserID, side store.Side, after liked.UserID, max int) ([]liked.User, error) {
	if err := valid.Page(max); err != nil {
		return nil, err
	}
	return view(ctx, s, func(t *tx) ([]liked.User, error) {
		there := false
		t.queue("SELECT FROM user_likes WHERE user_id = $1", of).Exec(changed(&there))
		ids, err := rows(t, pgx.RowTo[liked.UserID], sides[side], of, after, max)
		switch {
		case err != nil:
			return nil, err
		case !there:
			return nil, noSuch("user", of)
		}
		return t.usersByID(ids)
	})
}

// SetFollow holds the follower's lane: what the follower may like depends on it.
func (s *Store) SetFollow(ctx context.Context, follower, followed liked.UserID, on bool) (changed bool, err error) {
	return write(ctx, s, func(t *tx) (bool, error) {
		is, err := t.relate(follower, followed, follower)
		if err != nil || is.Follows == on {
			return false, err
		}
		t.follow(follower, followed, on)
		return true, nil
	})
}

// SetBlock holds both users' lanes, since it ends what each follows.
func (s *Store) SetBlock(ctx context.Context, blocker, blocked liked.UserID, on bool) (changed bool, err error) {
	return write(ctx, s, func(t *tx) (bool, error) {
		is, err := t.relate(blocker, blocked, blocker, blocked)
		switch {
		case err != nil || is.Blocks == on:
			return false, err
		case on:
			if is.Follows {
				t.follow(blocker, blocked, false)
			}
			if is.FollowedBy {
				t.follow(blocked, blocker, false)
			}
			t.exec("INSERT INTO special (user_id, blocks) VALUES ($1, 1) ON CONFLICT (user_id) DO UPDATE "+
				"SET blocks = special.blocks + 1", blocker)
		default:
			t.exec("UPDATE special SET blocks = blocks - 1 WHERE user_id = $1", blocker)
			t.notSpecial(blocker)
		}
		t.set(blocks, blocker, blocked, on)
		return true, nil
	})
}

// relate locks lanes, and the counts of two different users, and reads how they are related.
func (t *tx) relate(from, to liked.UserID, lanes ...liked.UserID) (is store.Relation, err error) {
	if from == to {
		return is, liked.Errorf(liked.Invalid, "user %v cannot do that to themselves", from)
	}
	var there []liked.UserID
	t.lock(lanes...)
	t.lockCounts([]int64{int64(min(from, to)), int64(max(from, to))}, &there)
	relations, err := t.relations(from, []liked.UserID{to})
	if err != nil {
		return is, err
	}
	is = relations[0]
	if len(there) < 2 {
		missing := from
		if len(there) == 1 && there[0] == from {
			missing = to
		}
		err = noSuch("user", missing)
	}
	return is, err
}

// lockCounts locks the counts of users, whose ids ascend, and keeps the ids of those who exist once all that waits was sent.
func (t *tx) lockCounts(ids []int64, there *[]liked.UserID) {
	for _, some := range t.shards.split(ids) {
		t.queue("SELECT user_id FROM user_counts WHERE user_id = ANY($1) ORDER BY user_id FOR NO KEY UPDATE", some).
			Query(func(r pgx.Rows) error {
				more, err := pgx.CollectRows(r, pgx.RowTo[liked.UserID])
				*there = append(*there, more...)
				return err
			})
	}
}

// follow sets or ends a follow, which changes.
func (t *tx) follow(follower, followed liked.UserID, on bool) {
	delta := 1
	if !on {
		delta = -1
	}
	t.exec(`UPDATE user_counts SET following = following + $3 * (user_id = $1)::int, followers = followers + $3 * (user_id = $2)::int
		WHERE user_id IN ($1, $2)`, follower, followed, delta)
	t.set(follows, follower, followed, on)
}

// relation is what two tables have, one for each direction, in columns of the same names.
type relation struct{ table, reverse, from, to string }

var (
	follows = relation{"follows", "followed_by", "follower", "followed"}
	blocks  = relation{"blocks", "blocked_by", "blocker", "blocked"}
)

// set sets or ends a relation, which changes.
func (t *tx) set(r relation, from, to liked.UserID, on bool) {
	for _, table := range []string{r.table, r.reverse} {
		if on {
			t.exec("INSERT INTO "+table+" ("+r.from+", "+r.to+") VALUES ($1, $2)", from, to)
		} else {
			t.exec("DELETE FROM "+table+" WHERE "+r.from+" = $1 AND "+r.to+" = $2", from, to)
		}
	}
}
