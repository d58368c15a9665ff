package pebblestore

import (
	"bytes"
	"context"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"liked"
	"liked/internal/store"
)

// appIndex lists the keys that lead to an app.
func appIndex(a *liked.App) [][]byte {
	keys := [][]byte{clientKey(a.ClientID), apiKeyKey(a.APIKey)}
	if a.BearerHash != (store.Hash{}) {
		keys = append(keys, bearerKey(a.BearerHash))
	}
	return keys
}

// index makes the app's keys lead to it; they must lead nowhere or to the app already.
func (t *tx) index(a *liked.App) error {
	for _, key := range appIndex(a) {
		owner, taken, err := read(t.db(), key, decodeID)
		if err != nil {
			return err
		}
		if taken && liked.AppID(owner) != a.ID {
			return liked.Errorf(liked.Conflict, "a credential of app %v belongs to app %d", a.ID, owner)
		}
		t.set(key, encodeID(a.ID))
	}
	return nil
}

func (s *Store) AddApp(ctx context.Context, a liked.App) error {
	if err := validApp(&a); err != nil {
		return err
	}
	value := encodeApp(&a)
	return s.update(ctx, func(t *tx) error {
		if taken, err := exists(t.db(), appKey(a.ID)); err != nil {
			return err
		} else if taken {
			return liked.Errorf(liked.Conflict, "app %v exists already", a.ID)
		}
		if err := t.index(&a); err != nil {
			return err
		}
		t.set(appKey(a.ID), value)
		return nil
	})
}

// UpdateApp works as UpdateUser does.
func (s *Store) UpdateApp(ctx context.Context, id liked.AppID, change func(*liked.App) error) error {
	for {
		before, err := get(s, ctx, appKey(id), clone, "app "+id.String())
		if err != nil {
			return err
		}
		old, err := decodeApp(id, before)
		if err != nil {
			return damaged(appKey(id), err)
		}
		a, err := decodeApp(id, before) // old must not share slices with what change gets
		if err != nil {
			return damaged(appKey(id), err)
		}
		if err := change(&a); err != nil {
			return err
		}
		if a.ID != id {
			return liked.Errorf(liked.Invalid, "the id of app %v cannot change", id)
		}
		if err := validApp(&a); err != nil {
			return err
		}
		value := encodeApp(&a)
		err = s.update(ctx, func(t *tx) error {
			now, ok, err := read(t.db(), appKey(id), clone)
			if err != nil {
				return err
			}
			if !ok || !bytes.Equal(now, before) {
				return errStale
			}
			keep := appIndex(&a)
			for _, key := range appIndex(&old) {
				if !slices.ContainsFunc(keep, func(k []byte) bool { return bytes.Equal(k, key) }) {
					t.delete(key)
				}
			}
			if err := t.index(&a); err != nil {
				return err
			}
			t.set(appKey(id), value)
			t.made = append(t.made, mark(tagApp, uint64(id)))
			return nil
		})
		if err != errStale {
			return err
		}
	}
}

func (s *Store) App(ctx context.Context, id liked.AppID) (liked.App, error) {
	return get(s, ctx, appKey(id), decoding(id, decodeApp), "app "+id.String())
}

func (s *Store) AppByClientID(ctx context.Context, clientID string) (liked.App, error) {
	return s.appBy(ctx, clientKey(clientID), "app with this client id")
}

func (s *Store) AppByAPIKey(ctx context.Context, key string) (liked.App, error) {
	return s.appBy(ctx, apiKeyKey(key), "app with this API key")
}

func (s *Store) AppByBearer(ctx context.Context, bearer store.Hash) (liked.App, error) {
	return s.appBy(ctx, bearerKey(bearer), "app with this bearer token")
}

func (s *Store) appBy(ctx context.Context, key []byte, what string) (a liked.App, err error) {
	err = s.view(ctx, func(r pebble.Reader) error {
		id, ok, err := read(r, key, decodeID)
		if err == nil && ok {
			a, ok, err = read(r, appKey(liked.AppID(id)), decoding(liked.AppID(id), decodeApp))
		}
		if err == nil && !ok {
			return liked.Errorf(liked.NotFound, "no such %s", what)
		}
		return err
	})
	if err != nil {
		return liked.App{}, err
	}
	return a, nil
}

// Apps lists them in order of id.
func (s *Store) Apps(ctx context.Context) (apps []liked.App, err error) {
	err = s.view(ctx, func(r pebble.Reader) error {
		return scan(r, []byte{tagApp}, nil, func(key, value []byte) (bool, error) {
			a, err := decodeApp(liked.AppID(field(key, 0)), value)
			if err != nil {
				return false, damaged(key, err)
			}
			apps = append(apps, a)
			return true, nil
		})
	})
	if err != nil {
		return nil, err
	}
	return apps, nil
}
