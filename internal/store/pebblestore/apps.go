package pebblestore

import (
	"cmp"
	"context"
	"math"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"liked"
	"liked/internal/store"
	"liked/internal/store/valid"
)

func appIndex(a *store.App) [][]byte {
	keys := [][]byte{clientKey(a.ClientID), apiKeyKey(a.APIKey)}
	if a.BearerHash != (store.Hash{}) {
		keys = append(keys, bearerKey(a.BearerHash))
	}
	return keys
}

// index maps the app's keys to it; Conflict if another app has one.
func (t *tx) index(a *store.App) error {
	for _, key := range appIndex(a) {
		owner, err := claim(t, key, a.ID)
		if err == nil && owner != 0 {
			err = liked.Errorf(liked.Conflict, "a credential of app %v belongs to app %v", a.ID, owner)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) AddApp(ctx context.Context, a store.App) error {
	if err := valid.App(&a); err != nil {
		return err
	}
	value := encode(&a, appFields)
	for {
		owned, err := s.mayOwn(ctx, a.Owner)
		if err != nil {
			return err
		}
		err = s.update(ctx, func(t *tx) error {
			if err := appRow(a.ID).free(t); err != nil {
				return err
			}
			if err := (row[struct{}]{key: goneKey(a.ID), what: "a deleted app", id: int64(a.ID)}).free(t); err != nil {
				return err
			}
			if err := t.own(a.Owner, owned); err != nil {
				return err
			}
			t.set(appKey(a.ID), value)
			return t.index(&a)
		})
		if err != errStale {
			return err
		}
	}
}

// mayOwn returns Forbidden if the user may own no more apps, else what tx.own needs to know that this is still so: apps
// are counted on the caller's goroutine, which the committer does not wait for.
func (s *Store) mayOwn(ctx context.Context, owner liked.UserID) (generation uint32, err error) {
	if owner == 0 {
		return 0, nil
	}
	generation = s.generations.of(ownerMark(owner)).Load()
	apps, err := s.Apps(ctx)
	apps = slices.DeleteFunc(apps, func(a liked.App) bool { return a.Owner != owner })
	if err == nil && len(apps) >= store.MaxOwnedApps {
		err = liked.Errorf(liked.Forbidden, "user %v owns %d apps, as many as one may", owner, len(apps))
	}
	return generation, err
}

// own gives the user one more app; errStale if it is not known that they may own it.
func (t *tx) own(owner liked.UserID, generation uint32) error {
	if owner == 0 {
		return nil
	}
	t.owner = owner
	if t.c.s.generations.of(ownerMark(owner)).Load() != generation {
		return errStale
	}
	return nil
}

func ownerMark(owner liked.UserID) uint64 { return mark(tagClient, uint64(owner)) }

func (s *Store) UpdateApp(ctx context.Context, id liked.AppID, change func(*store.App) error) error {
	var owned uint32
	return modify(ctx, s, appRow(id), change, func(old, a *store.App) (err error) {
		if a.ID != id {
			return liked.Errorf(liked.Invalid, "the id of app %v cannot change", id)
		}
		if a.Owner != old.Owner {
			a.BearerHash, a.SealedBearer = store.Hash{}, nil
			owned, err = s.mayOwn(ctx, a.Owner)
		}
		return cmp.Or(err, valid.App(a))
	}, func(t *tx, old, a *store.App) error {
		if a.Owner != old.Owner {
			if err := t.own(a.Owner, owned); err != nil {
				return err
			}
			handed, err := count(t, handedKey(id))
			if err != nil {
				return err
			}
			t.set(handedKey(id), encodeID(handed+1))
			if err := t.endApp(id); err != nil {
				return err
			}
		}
		if a.State == liked.AppSuspended && old.State != a.State {
			if _, err := t.takeBack(0, id); err != nil {
				return err
			}
		}
		for _, key := range appIndex(old) {
			t.delete(key)
		}
		t.made = append(t.made, mark(tagApp, uint64(id)))
		return t.index(a)
	})
}

func (s *Store) DeleteApp(ctx context.Context, id liked.AppID) error {
	return s.update(ctx, func(t *tx) error {
		a, err := appRow(id).find(t)
		if err != nil {
			return err
		}
		for _, key := range append(appIndex(&a), appKey(id)) {
			t.delete(key)
		}
		t.set(goneKey(id), nil)
		t.made = append(t.made, mark(tagApp, uint64(id)))
		return t.endApp(id)
	})
}

// endApp ends codes, approved request tokens, webhooks and subscriptions of an app whose grants have ended.
func (t *tx) endApp(id liked.AppID) error {
	hooks, err := webhooks(t, id) // few: an app has a limit of them
	if err != nil {
		return err
	}
	n, err := t.takeBack(0, id)
	if err != nil {
		return err
	}
	for i := range hooks {
		t.deleteWebhook(&hooks[i])
	}
	t.delete(subscribedNKey(id))
	for _, tag := range []byte{tagSubscribed, tagSubscribes, tagMade, tagMadeN} {
		all := num(nil, tag, uint64(id))
		t.deleteRange(all, after(all))
	}
	t.set(unsweptKey(0, id), encodeID(n))
	t.hooks, t.aboutAll = true, true
	return nil
}

func (s *Store) App(ctx context.Context, id liked.AppID) (store.App, error) {
	return appRow(id).get(ctx, s)
}

func (s *Store) AppByClientID(ctx context.Context, clientID string) (store.App, error) {
	return s.appBy(ctx, clientKey(clientID), "app with this client id")
}

func (s *Store) AppByAPIKey(ctx context.Context, key string) (store.App, error) {
	return s.appBy(ctx, apiKeyKey(key), "app with this API key")
}

func (s *Store) AppByBearer(ctx context.Context, bearer store.Hash) (store.App, error) {
	return s.appBy(ctx, bearerKey(bearer), "app with this bearer token")
}

func (s *Store) appBy(ctx context.Context, key []byte, what string) (store.App, error) {
	return view(ctx, s, func(r pebble.Reader) (store.App, error) {
		id, ok, err := read(r, key, decodeID)
		if err == nil && !ok {
			err = noSuch(what)
		}
		if err != nil {
			return store.App{}, err
		}
		return appRow(liked.AppID(id)).find(r)
	})
}

// Apps lists them in order of id.
func (s *Store) Apps(ctx context.Context) ([]liked.App, error) {
	return page(ctx, s, []byte{tagApp}, nil, math.MaxInt, func(_ pebble.Reader, key, value []byte) (liked.App, error) {
		a, err := appRow(liked.AppID(field(key, 0))).decode(value)
		return a.App, err
	})
}
