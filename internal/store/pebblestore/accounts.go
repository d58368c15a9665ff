package pebblestore

import (
	"cmp"
	"context"
	"strconv"
	"strings"

	"github.com/cockroachdb/pebble/v2"

	"liked"
	"liked/internal/store"
	"liked/internal/store/valid"
)

func (s *Store) AddUser(ctx context.Context, u liked.User) error {
	if err := cmp.Or(valid.User(&u), valid.Name(&u)); err != nil {
		return err
	}
	return s.update(ctx, func(t *tx) error {
		if err := userRow(u.ID).free(t); err != nil {
			return err
		}
		if err := t.takeName(&u); err != nil {
			return err
		}
		t.putUser(&u)
		return nil
	})
}

func (t *tx) putUser(u *liked.User) {
	userRow(u.ID).set(t, u)
	t.c.totals.Users++
}

// claim maps a unique key to an id, and returns the other id that has the key, if one does.
func claim[ID ~int64](t *tx, key []byte, id ID) (owner ID, err error) {
	n, taken, err := read(t, key, decodeID)
	if err == nil && taken && ID(n) != id {
		return ID(n), nil
	}
	t.set(key, encodeID(id))
	return 0, err
}

// takeName maps the username to u; Conflict if another user has it.
func (t *tx) takeName(u *liked.User) error {
	owner, err := claim(t, nameKey(u.Username), u.ID)
	if err == nil && owner != 0 {
		err = liked.Errorf(liked.Conflict, "the username %s is taken", u.Username)
	}
	return err
}

func (s *Store) UpdateUser(ctx context.Context, id liked.UserID, change func(*liked.User) error) error {
	return modify(ctx, s, userRow(id), change, func(old, u *liked.User) error {
		switch {
		case u.ID != id:
			return liked.Errorf(liked.Invalid, "the id of user %v cannot change", id)
		case u.Name != old.Name:
			return cmp.Or(valid.User(u), valid.Name(u))
		}
		return valid.User(u)
	}, func(t *tx, old, u *liked.User) error {
		if !strings.EqualFold(old.Username, u.Username) {
			if err := t.takeName(u); err != nil {
				return err
			}
			t.delete(nameKey(old.Username))
		}
		t.rules = true
		if old.State != u.State {
			t.made = append(t.made, mark(tagUser, uint64(id)))
		}
		if u.State.Hidden() && !old.State.Hidden() {
			_, err := t.takeBack(id, 0)
			return err
		}
		return nil
	})
}

func user(r pebble.Reader, id liked.UserID, metrics store.Metrics) (u liked.User, ok bool, err error) {
	st := stateOf(r)
	k, ok, err := st.user(id)
	if err != nil || !ok {
		return u, false, err
	}
	if err = k.user(id, &u); err == nil && metrics {
		u.Metrics, err = st.userMetrics(id)
	}
	return u, true, err
}

// userNamed is user by username.
func userNamed(r pebble.Reader, username string, metrics store.Metrics) (liked.User, bool, error) {
	id, ok, err := read(r, nameKey(username), decodeID)
	if err != nil || !ok {
		return liked.User{}, false, err
	}
	return user(r, liked.UserID(id), metrics)
}

func (s *Store) User(ctx context.Context, id liked.UserID) (liked.User, error) {
	return look(ctx, s, func(r *state) (liked.User, error) {
		u, ok, err := user(r, id, store.WithMetrics)
		if err == nil && !ok {
			err = noSuch("user", id)
		}
		return u, err
	})
}

func (s *Store) UserByUsername(ctx context.Context, username string) (liked.User, error) {
	return view(ctx, s, func(r pebble.Reader) (liked.User, error) {
		u, ok, err := userNamed(r, username, store.WithMetrics)
		if err == nil && !ok {
			err = noSuch("user", strconv.Quote(username))
		}
		return u, err
	})
}

func (s *Store) UsersByID(ctx context.Context, ids []liked.UserID, metrics store.Metrics) ([]liked.User, error) {
	return look(ctx, s, func(r *state) ([]liked.User, error) {
		records, err := recordsOf(r, tagUser, ids)
		if err != nil {
			return nil, err
		}
		users := make([]liked.User, 0, len(ids))
		for i, k := range records {
			if k.value == nil {
				continue
			}
			users = append(users, liked.User{})
			if err := k.user(ids[i], &users[len(users)-1]); err != nil {
				return nil, err
			}
		}
		if metrics {
			err = r.countUsers(users)
		}
		return users, err
	})
}

func (s *Store) UsersByUsername(ctx context.Context, usernames []string, metrics store.Metrics) ([]liked.User, error) {
	return each(ctx, s, usernames, func(r pebble.Reader, name string) (liked.User, bool, error) { return userNamed(r, name, metrics) })
}

func (s *Store) Relations(ctx context.Context, viewer liked.UserID, users []liked.UserID) ([]store.Relation, error) {
	return each(ctx, s, users, func(r pebble.Reader, id liked.UserID) (rel store.Relation, ok bool, err error) {
		rel.Follows, err = exists(r, pair(tagFollow, viewer, id))
		if err == nil {
			rel.FollowedBy, err = exists(r, pair(tagFollow, id, viewer))
		}
		if err == nil {
			rel.Blocks, err = exists(r, pair(tagBlock, viewer, id))
		}
		if err == nil {
			rel.BlockedBy, err = exists(r, pair(tagBlock, id, viewer))
		}
		return rel, true, err
	})
}

func (s *Store) Users(ctx context.Context, from liked.UserID, max int) ([]liked.User, error) {
	return page(ctx, s, []byte{tagUser}, after(userKey(from)), max, func(r pebble.Reader, key, _ []byte) (liked.User, error) {
		u, _, err := user(r, liked.UserID(field(key, 0)), store.WithMetrics)
		return u, err
	})
}

func (s *Store) UsersNamed(ctx context.Context, prefix, from string, max int) ([]liked.User, error) {
	lower := nameKey(prefix)
	if from != "" {
		lower = append(nameKey(from), 0)
	}
	return page(ctx, s, nameKey(prefix), lower, max, func(r pebble.Reader, _, value []byte) (u liked.User, err error) {
		id, err := decodeID(value)
		if err == nil {
			u, _, err = user(r, liked.UserID(id), store.WithMetrics)
		}
		return u, err
	})
}

var sides = map[store.Side]byte{store.Following: tagFollow, store.Followers: tagFollowed, store.Blocking: tagBlock,
	store.BlockedBy: tagBlockedBy}

func (s *Store) Related(ctx context.Context, of liked.UserID, side store.Side, from liked.UserID, max int) ([]liked.User, error) {
	if err := valid.Page(max); err != nil {
		return nil, err
	}
	return view(ctx, s, func(r pebble.Reader) (users []liked.User, err error) {
		if _, err := userRow(of).find(r); err != nil {
			return nil, err
		}
		err = scan(r, num(nil, sides[side], uint64(of)), pair(sides[side], of, from+1), func(key, _ []byte) (bool, error) {
			u, _, err := user(r, liked.UserID(field(key, 1)), store.WithMetrics)
			users = append(users, u)
			return len(users) < max, err
		})
		return users, err
	})
}

func (s *Store) SetFollow(ctx context.Context, follower, followed liked.UserID, on bool) (bool, error) {
	return update(ctx, s, func(t *tx) (bool, error) { return t.relate(follower, followed, on, (*tx).follow) })
}

func (s *Store) SetBlock(ctx context.Context, blocker, blocked liked.UserID, on bool) (bool, error) {
	return update(ctx, s, func(t *tx) (bool, error) { return t.relate(blocker, blocked, on, (*tx).block) })
}

// relate sets a relation of different existing users.
func (t *tx) relate(from, to liked.UserID, on bool, set func(t *tx, from, to liked.UserID, on bool) (bool, error)) (bool, error) {
	if from == to {
		return false, liked.Errorf(liked.Invalid, "user %v cannot do that to themselves", from)
	}
	if err := userRow(from).need(t); err != nil {
		return false, err
	}
	if err := userRow(to).need(t); err != nil {
		return false, err
	}
	return set(t, from, to, on)
}

func (t *tx) block(blocker, blocked liked.UserID, on bool) (changed bool, err error) {
	changed, err = t.setPair(tagBlock, tagBlockedBy, blocker, blocked, on)
	if err != nil || !changed {
		return false, err
	}
	t.rules = true
	if !on {
		return true, nil
	}
	if _, err := t.follow(blocker, blocked, false); err != nil {
		return false, err
	}
	_, err = t.follow(blocked, blocker, false)
	return true, err
}

// setPair sets a relation and its reverse.
func (t *tx) setPair(tag, reverse byte, from, to liked.UserID, on bool) (changed bool, err error) {
	there, back := pair(tag, from, to), pair(reverse, to, from)
	switch is, err := exists(t, there); {
	case err != nil || is == on:
		return false, err
	case on:
		t.set(there, nil)
		t.set(back, nil)
	default:
		t.delete(there)
		t.delete(back)
	}
	return true, nil
}

func (t *tx) follow(follower, followed liked.UserID, on bool) (changed bool, err error) {
	changed, err = t.setPair(tagFollow, tagFollowed, follower, followed, on)
	if err != nil || !changed {
		return false, err
	}
	delta := int64(1)
	if !on {
		delta = -1
	}
	if err := t.add(tagUserN, uint64(follower), userFollowing, delta); err != nil {
		return false, err
	}
	t.rules = true
	return true, t.add(tagUserN, uint64(followed), userFollowers, delta)
}
