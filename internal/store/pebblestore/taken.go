package pebblestore

import (
	"context"

	"github.com/cockroachdb/pebble/v2"

	"liked"
	"liked/internal/store"
)

// What is taken back at once may be many records, so none of them is touched: a number says how often a user took back
// what an app was granted, and a record that was made under another number has ended. Sweep removes the records.

// takenBack returns that number for grants, which also end when the app goes to another owner. gone: it was deleted.
func takenBack(r pebble.Reader, user liked.UserID, app liked.AppID) (n uint64, gone bool, err error) {
	if gone, err = exists(r, goneKey(app)); err != nil {
		return 0, false, err
	}
	n, err = count(r, takenKey(user, app))
	if err != nil {
		return 0, false, err
	}
	handed, err := count(r, handedKey(app))
	return n + handed, gone, err
}

func (g *grant) alive(r pebble.Reader) (bool, error) {
	n, gone, err := takenBack(r, g.User, g.App)
	return err == nil && !gone && n == g.taken, err
}

// taken returns the number for codes and approvals, which also end with all of the user's or of the app's.
func (t *tx) taken(user liked.UserID, app liked.AppID) (sum uint64, err error) {
	for _, key := range [][]byte{takenKey(user, app), takenKey(user, 0), takenKey(0, app)} {
		n, err := count(t, key)
		if err != nil {
			return 0, err
		}
		sum += n // none ever falls
	}
	return sum, nil
}

// stands returns NotFound if a code or approval that was made under the number has ended.
func (t *tx) stands(what string, since uint64, user liked.UserID, app liked.AppID) error {
	now, err := t.taken(user, app)
	if err == nil && now != since {
		err = liked.Errorf(liked.NotFound, "the consent behind the %s was taken back", what)
	}
	return err
}

// takeBack ends codes and approved request tokens, and grants if neither is zero. It returns the new number.
func (t *tx) takeBack(user liked.UserID, app liked.AppID) (n uint64, err error) {
	if n, err = count(t, takenKey(user, app)); err == nil {
		n++
		t.set(takenKey(user, app), encodeID(n))
	}
	return n, err
}

func (s *Store) Withdraw(ctx context.Context, user liked.UserID, app liked.AppID) error {
	return s.update(ctx, func(t *tx) error {
		n, err := t.takeBack(user, app)
		if err == nil {
			t.set(unsweptKey(user, app), encodeID(n))
			t.made = append(t.made, mark(tagUser, uint64(user)))
		}
		return err
	})
}

// sweepTaken ends one by one the grants that were taken back together, and what else is left of apps that were deleted or
// handed over.
func (s *Store) sweepTaken(ctx context.Context) error {
	left := make(map[string]uint64)
	err := s.view(ctx, func(r pebble.Reader) error {
		return scan(r, []byte{tagUnswept}, nil, func(key, value []byte) (bool, error) {
			n, err := decodeID(value)
			left[string(key)] = n
			return true, err
		})
	})
	if err != nil {
		return err
	}
	for key, n := range left {
		user, app := liked.UserID(field([]byte(key), 0)), liked.AppID(field([]byte(key), 1))
		err := s.inSteps(ctx, func(take func([]byte) error) error { return s.taken(user, app, take) }, (*tx).sweepTaken)
		if err == nil {
			err = s.update(ctx, func(t *tx) error {
				now, err := count(t, []byte(key))
				if err == nil && now == n { // else it happened again
					t.delete([]byte(key))
				}
				return err
			})
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// taken finds keys of grantKey and aboutKey for tx.sweepTaken.
func (s *Store) taken(user liked.UserID, app liked.AppID, take func([]byte) error) error {
	if user != 0 {
		return scan(s.db, num(nil, tagGrantOf, uint64(user)), nil, func(key, _ []byte) (bool, error) {
			_, id := splitGrantOfKey(key)
			return true, take(grantKey(id))
		})
	}
	err := scan(s.db, []byte{tagGrant}, nil, func(key, value []byte) (bool, error) {
		g, err := grantRow(store.GrantID(key[1:])).decode(value)
		if err == nil && g.App == app {
			err = take(key)
		}
		return true, err
	})
	if err != nil {
		return err
	}
	return scan(s.db, []byte{tagAbout}, nil, func(key, _ []byte) (bool, error) {
		if field(key, 1) != uint64(app) {
			return true, nil
		}
		return true, take(key)
	})
}

func (t *tx) sweepTaken(keys [][]byte) error {
	for _, key := range keys {
		if key[0] == tagAbout {
			there, err := exists(t, subscriptionKey(liked.AppID(field(key, 1)), liked.SubscriptionID(field(key, 2))))
			if err != nil {
				return err
			}
			if !there {
				t.delete(key)
			}
			continue
		}
		id := store.GrantID(key[1:])
		g, ok, err := grantRow(id).read(t)
		alive := true
		if err == nil && ok {
			alive, err = g.alive(t)
		}
		if err == nil && !alive {
			err = t.revoke(id)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
