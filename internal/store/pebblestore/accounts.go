package pebblestore

import (
	"bytes"
	"context"
	"errors"
	"strings"

	"github.com/cockroachdb/pebble/v2"

	"liked"
	"liked/internal/store"
)

func (s *Store) AddUser(ctx context.Context, u liked.User) error {
	if err := validUser(&u); err != nil {
		return err
	}
	return s.update(ctx, func(t *tx) error {
		taken, err := exists(t.db(), userKey(u.ID))
		if err != nil {
			return err
		}
		if taken {
			return liked.Errorf(liked.Conflict, "user %v exists already", u.ID)
		}
		if err := t.takeName(&u); err != nil {
			return err
		}
		t.putUser(&u)
		return nil
	})
}

// putUser writes a new user.
func (t *tx) putUser(u *liked.User) {
	t.set(userKey(u.ID), encodeUser(u))
	t.c.totals.Users++
}

// takeName makes the username lead to the user.
func (t *tx) takeName(u *liked.User) error {
	owner, taken, err := read(t.db(), nameKey(u.Username), decodeID)
	if err != nil {
		return err
	}
	if taken && liked.UserID(owner) != u.ID {
		return liked.Errorf(liked.Conflict, "the username %s is taken", u.Username)
	}
	t.set(nameKey(u.Username), encodeID(u.ID))
	return nil
}

// errStale says that what an operation was prepared from has changed since.
var errStale = errors.New("prepared from an older state")

// UpdateUser runs change on the caller's goroutine, since the committer must not wait for it, and starts again if the
// user has changed in the meantime.
func (s *Store) UpdateUser(ctx context.Context, id liked.UserID, change func(*liked.User) error) error {
	for {
		var before []byte
		var old liked.User
		err := s.view(ctx, func(r pebble.Reader) (err error) {
			var ok bool
			if before, ok, err = read(r, userKey(id), clone); err == nil && !ok {
				return noSuchUser(id)
			}
			if err == nil {
				old, _, err = user(r, id)
			}
			return err
		})
		if err != nil {
			return err
		}
		u := old
		if err := change(&u); err != nil {
			return err
		}
		if u.ID != id {
			return liked.Errorf(liked.Invalid, "the id of user %v cannot change", id)
		}
		if err := validUser(&u); err != nil {
			return err
		}
		err = s.update(ctx, func(t *tx) error {
			now, ok, err := read(t.db(), userKey(id), clone)
			if err != nil {
				return err
			}
			if !ok || !bytes.Equal(now, before) {
				return errStale
			}
			if !strings.EqualFold(old.Username, u.Username) {
				if err := t.takeName(&u); err != nil {
					return err
				}
				t.delete(nameKey(old.Username))
			}
			t.set(userKey(id), encodeUser(&u))
			t.users = append(t.users, id)
			if old.State != u.State {
				t.made = append(t.made, mark(tagUser, uint64(id)))
			}
			return nil
		})
		if err != errStale {
			return err
		}
	}
}

func clone(value []byte) ([]byte, error) { return bytes.Clone(value), nil }

// user reads a user with the metrics.
func user(r pebble.Reader, id liked.UserID) (u liked.User, ok bool, err error) {
	if u, ok, err = readUser(r, id); err == nil && ok {
		err = countUser(r, &u)
	}
	return u, ok, err
}

func readUser(r pebble.Reader, id liked.UserID) (liked.User, bool, error) {
	return read(r, userKey(id), func(value []byte) (liked.User, error) { return decodeUser(id, value) })
}

// countUser fills in the metrics.
func countUser(r pebble.Reader, u *liked.User) error {
	n, _, err := read(r, num(nil, tagUserN, uint64(u.ID)), decodeCounts)
	u.Metrics = n.user()
	return err
}

func (s *Store) User(ctx context.Context, id liked.UserID) (u liked.User, err error) {
	err = s.view(ctx, func(r pebble.Reader) error {
		var ok bool
		if u, ok, err = user(r, id); err == nil && !ok {
			return noSuchUser(id)
		}
		return err
	})
	return u, err
}

func (s *Store) UserByUsername(ctx context.Context, username string) (u liked.User, err error) {
	err = s.view(ctx, func(r pebble.Reader) error {
		id, ok, err := read(r, nameKey(username), decodeID)
		if err == nil && ok {
			u, ok, err = user(r, liked.UserID(id))
		}
		if err == nil && !ok {
			return liked.Errorf(liked.NotFound, "no such user %q", username)
		}
		return err
	})
	return u, err
}

func (s *Store) UsersByID(ctx context.Context, ids []liked.UserID) (users []liked.User, err error) {
	err = s.view(ctx, func(r pebble.Reader) error {
		users = make([]liked.User, 0, len(ids))
		for _, id := range ids {
			if err := addUser(&users, r, id); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return users, nil
}

func (s *Store) UsersByUsername(ctx context.Context, usernames []string) (users []liked.User, err error) {
	err = s.view(ctx, func(r pebble.Reader) error {
		users = make([]liked.User, 0, len(usernames))
		for _, username := range usernames {
			id, ok, err := read(r, nameKey(username), decodeID)
			if err == nil && ok {
				err = addUser(&users, r, liked.UserID(id))
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return users, nil
}

// addUser adds the user who has the id, if there is one.
func addUser(users *[]liked.User, r pebble.Reader, id liked.UserID) error {
	u, ok, err := user(r, id)
	if err == nil && ok {
		*users = append(*users, u)
	}
	return err
}

func (s *Store) Relations(ctx context.Context, viewer liked.UserID, users []liked.UserID) (relations []store.Relation, err error) {
	err = s.view(ctx, func(r pebble.Reader) error {
		relations = make([]store.Relation, len(users))
		for i, id := range users {
			rel := &relations[i]
			for _, side := range []struct {
				is  *bool
				key []byte
			}{
				{&rel.Follows, pair(tagFollow, viewer, id)},
				{&rel.FollowedBy, pair(tagFollow, id, viewer)},
				{&rel.Blocks, pair(tagBlock, viewer, id)},
			} {
				if *side.is, err = exists(r, side.key); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return relations, nil
}

func (s *Store) Users(ctx context.Context, from liked.UserID, max int) (users []liked.User, err error) {
	if max < 1 {
		return nil, liked.Errorf(liked.Invalid, "a page of %d users", max)
	}
	err = s.view(ctx, func(r pebble.Reader) error {
		return scan(r, []byte{tagUser}, after(userKey(from)), func(key, _ []byte) (bool, error) {
			u, _, err := user(r, liked.UserID(field(key, 0)))
			if err != nil {
				return false, err
			}
			users = append(users, u)
			return len(users) < max, nil
		})
	})
	if err != nil {
		return nil, err
	}
	return users, nil
}

func (s *Store) SetFollow(ctx context.Context, follower, followed liked.UserID, on bool) (bool, error) {
	return s.setRelation(ctx, follower, followed, on, (*tx).follow)
}

func (s *Store) SetBlock(ctx context.Context, blocker, blocked liked.UserID, on bool) (bool, error) {
	return s.setRelation(ctx, blocker, blocked, on, (*tx).block)
}

func (s *Store) setRelation(ctx context.Context, from, to liked.UserID, on bool, set func(t *tx, from, to liked.UserID, on bool) (bool, error)) (bool, error) {
	var changed bool // belongs to the committer until update returns without an error
	err := s.update(ctx, func(t *tx) (err error) {
		if err := t.relate(from, to); err != nil {
			return err
		}
		changed, err = set(t, from, to, on)
		return err
	})
	if err != nil {
		return false, err
	}
	return changed, nil
}

func (t *tx) block(blocker, blocked liked.UserID, on bool) (changed bool, err error) {
	is, err := exists(t.db(), pair(tagBlock, blocker, blocked))
	if err != nil || is == on {
		return false, err
	}
	if on {
		if _, err := t.follow(blocker, blocked, false); err != nil {
			return false, err
		}
		if _, err := t.follow(blocked, blocker, false); err != nil {
			return false, err
		}
		t.set(pair(tagBlock, blocker, blocked), nil)
		t.set(pair(tagBlockedBy, blocked, blocker), nil)
	} else {
		t.delete(pair(tagBlock, blocker, blocked))
		t.delete(pair(tagBlockedBy, blocked, blocker))
	}
	t.users = append(t.users, blocker)
	return true, nil
}

// relate checks the two sides of a relation.
func (t *tx) relate(a, b liked.UserID) error {
	if a == b {
		return liked.Errorf(liked.Invalid, "user %v cannot do that to themselves", a)
	}
	for _, id := range []liked.UserID{a, b} {
		if ok, err := exists(t.db(), userKey(id)); err != nil {
			return err
		} else if !ok {
			return noSuchUser(id)
		}
	}
	return nil
}

func (t *tx) follow(follower, followed liked.UserID, on bool) (changed bool, err error) {
	is, err := exists(t.db(), pair(tagFollow, follower, followed))
	if err != nil || is == on {
		return false, err
	}
	delta := int64(1)
	if on {
		t.set(pair(tagFollow, follower, followed), nil)
		t.set(pair(tagFollowed, followed, follower), nil)
	} else {
		t.delete(pair(tagFollow, follower, followed))
		t.delete(pair(tagFollowed, followed, follower))
		delta = -1
	}
	if err := t.add(tagUserN, uint64(follower), userFollowing, delta); err != nil {
		return false, err
	}
	t.users = append(t.users, followed)
	return true, t.add(tagUserN, uint64(followed), userFollowers, delta)
}
