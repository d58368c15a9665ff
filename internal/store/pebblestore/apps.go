package pebblestore

import (
	"context"
	"math"

	"github.com/cockroachdb/pebble/v2"

	"liked"
	"liked/internal/store"
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
	if err := validApp(&a); err != nil {
		return err
	}
	value := encode(&a, appFields)
	return s.update(ctx, func(t *tx) error {
		if err := appRow(a.ID).free(t); err != nil {
			return err
		}
		t.set(appKey(a.ID), value)
		return t.index(&a)
	})
}

func (s *Store) UpdateApp(ctx context.Context, id liked.AppID, change func(*store.App) error) error {
	return modify(ctx, s, appRow(id), change, func(_, a *store.App) error {
		if a.ID != id {
			return liked.Errorf(liked.Invalid, "the id of app %v cannot change", id)
		}
		return validApp(a)
	}, func(t *tx, old, a *store.App) error {
		for _, key := range appIndex(old) {
			t.delete(key)
		}
		t.made = append(t.made, mark(tagApp, uint64(id)))
		return t.index(a)
	})
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
