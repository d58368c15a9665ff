package pgstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"liked"
	"liked/internal/store"
	"liked/internal/store/valid"
)

// What identifies an app in a request: kinds of rows of app_keys.
const (
	clientID = iota
	apiKey
	bearer
)

const appColumns = "app, owner, name, public, state, tier, access, redirect_uris, created_at, client_id, api_key, secret_hash, " +
	"sealed_secret, bearer_hash, sealed_bearer"

// appFields are the values of appColumns.
func appFields(a *store.App) []any {
	return []any{a.ID, a.Owner, a.Name, a.Public, a.State, a.Tier, a.Access, append([]string{}, a.RedirectURIs...), micros(a.CreatedAt),
		a.ClientID, a.APIKey, a.ClientSecretHash[:], notNil(a.SealedAPISecret), a.BearerHash[:], notNil(a.SealedBearer)}
}

// notNil is b as a column takes it that has no null.
func notNil(b []byte) []byte { return append([]byte{}, b...) }

// orNil is what notNil was given: nil for nothing.
func orNil(b []byte) []byte {
	if len(b) == 0 {
		return nil
	}
	return b
}

// fixed scans bytes of a known length into it.
type fixed []byte

func (f fixed) ScanBytes(b []byte) error {
	if len(b) != len(f) {
		return fmt.Errorf("%d bytes where %d must be", len(b), len(f))
	}
	copy(f, b)
	return nil
}

// scanApp scans appColumns, and what comes before them into also.
func scanApp(r pgx.CollectableRow, also ...any) (a store.App, err error) {
	var created int64
	err = r.Scan(append(also, &a.ID, &a.Owner, &a.Name, &a.Public, &a.State, &a.Tier, &a.Access, &a.RedirectURIs, &created, &a.ClientID,
		&a.APIKey, fixed(a.ClientSecretHash[:]), &a.SealedAPISecret, fixed(a.BearerHash[:]), &a.SealedBearer)...)
	a.CreatedAt = timeOf(created)
	a.SealedAPISecret, a.SealedBearer = orNil(a.SealedAPISecret), orNil(a.SealedBearer)
	if len(a.RedirectURIs) == 0 {
		a.RedirectURIs = nil
	}
	return a, err
}

func anApp(r pgx.CollectableRow) (store.App, error) { return scanApp(r) }

// cloneApp returns an app that shares nothing with the caller's.
func cloneApp(a *store.App) store.App {
	c := *a
	c.RedirectURIs = slices.Clone(a.RedirectURIs)
	c.SealedAPISecret, c.SealedBearer = bytes.Clone(a.SealedAPISecret), bytes.Clone(a.SealedBearer)
	return c
}

// keys returns the app's rows of app_keys, as two columns.
func keys(a *store.App) (kinds []int16, all [][]byte) {
	kinds, all = []int16{clientID, apiKey}, [][]byte{[]byte(a.ClientID), []byte(a.APIKey)}
	if a.BearerHash != (store.Hash{}) {
		kinds, all = append(kinds, bearer), append(all, a.BearerHash[:])
	}
	return kinds, all
}

func (t *tx) addKeys(a *store.App) {
	kinds, all := keys(a)
	t.exec("INSERT INTO app_keys (kind, key, app) SELECT kind, key, $3 FROM unnest($1::smallint[], $2::bytea[]) r(kind, key)",
		kinds, all, a.ID)
}

func (t *tx) dropKeys(a *store.App) {
	kinds, all := keys(a)
	t.exec(`DELETE FROM app_keys k USING unnest($1::smallint[], $2::bytea[]) r(kind, key)
		WHERE k.kind = r.kind AND k.key = r.key AND k.app = $3`, kinds, all, a.ID)
}

// keyTaken is err, or the error that tells that another app has one of the credentials.
func keyTaken(err error, id liked.AppID) error {
	if violates(err, "app_keys_pkey") {
		return liked.Errorf(liked.Conflict, "a credential of app %v belongs to another app", id)
	}
	return err
}

// own returns Forbidden if the user may own no app more. Until the transaction ends, nothing else gives the user one.
func (t *tx) own(owner liked.UserID) error {
	if owner == 0 {
		return nil
	}
	t.exec("INSERT INTO owners (user_id) VALUES ($1) ON CONFLICT DO NOTHING", owner)
	t.queue("SELECT FROM owners WHERE user_id = $1 FOR UPDATE", owner)
	n, _, err := row(t, pgx.RowTo[int], "SELECT count(*) FROM apps WHERE owner = $1 AND NOT deleted", owner)
	if err == nil && n >= store.MaxOwnedApps {
		err = liked.Errorf(liked.Forbidden, "user %v owns %d apps, as many as one may", owner, n)
	}
	return err
}

func (s *Store) AddApp(ctx context.Context, app store.App) error {
	if err := valid.App(&app); err != nil {
		return err
	}
	app = cloneApp(&app)
	err := s.update(ctx, func(t *tx) error {
		if err := t.own(app.Owner); err != nil {
			return err
		}
		t.exec("INSERT INTO apps ("+appColumns+") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)",
			appFields(&app)...)
		t.addKeys(&app)
		return nil
	})
	if violates(err, "apps_pkey") {
		return taken("app", app.ID)
	}
	return keyTaken(err, app.ID)
}

// storedApp is an app, and the version of its row.
type storedApp struct {
	store.App
	version int64
}

func aStoredApp(r pgx.CollectableRow) (a storedApp, err error) {
	a.App, err = scanApp(r, &a.version)
	return a, err
}

const storedAppByID = "SELECT version, " + appColumns + " FROM apps WHERE app = $1 AND NOT deleted"

// UpdateApp calls change on the caller's goroutine, outside the transaction, which compares the version.
func (s *Store) UpdateApp(ctx context.Context, id liked.AppID, change func(*store.App) error) error {
	for {
		old, err := first(ctx, s, noSuch("app", id), aStoredApp, storedAppByID, id)
		if err != nil {
			return err
		}
		app := cloneApp(&old.App)
		if err := change(&app); err != nil {
			return err
		}
		app = cloneApp(&app)
		if app.ID != id {
			return liked.Errorf(liked.Invalid, "the id of app %v cannot change", id)
		}
		if app.Owner != old.Owner {
			app.BearerHash, app.SealedBearer = store.Hash{}, nil
		}
		if err := valid.App(&app); err != nil {
			return err
		}
		err = s.update(ctx, func(t *tx) error { return t.replaceApp(s, &old, &app) })
		if !errors.Is(err, errStale) {
			return keyTaken(err, id)
		}
	}
}

// setApp has appColumns, the version that is replaced, and whether the app is deleted by that.
const setApp = `UPDATE apps SET version = version + 1, owner = $2, name = $3, public = $4, state = $5, tier = $6, access = $7,
	redirect_uris = $8, created_at = $9, client_id = $10, api_key = $11, secret_hash = $12, sealed_secret = $13, bearer_hash = $14,
	sealed_bearer = $15, deleted = $17 WHERE app = $1 AND version = $16 AND NOT deleted`

func (t *tx) replaceApp(s *Store, old *storedApp, app *store.App) error {
	if app.Owner != old.Owner {
		if err := t.own(app.Owner); err != nil {
			return err
		}
		t.queue("SELECT FROM apps WHERE app = $1 FOR UPDATE", app.ID) // waits for grants that are being made
	}
	current := false
	t.exec(setApp, append(appFields(app), old.version, false)...).Exec(changed(&current))
	if err := t.send(); err != nil {
		return err
	}
	if !current {
		return asIs{errStale}
	}
	t.dropKeys(&old.App)
	t.addKeys(app)
	switch {
	case app.Owner != old.Owner:
		if err := t.endApp(s, app.ID); err != nil {
			return err
		}
	case app.State == liked.AppSuspended && old.State != app.State:
		t.takeBack(0, app.ID)
	}
	t.principals(s, app.ID, 0, store.GrantID{})
	return nil
}

func (s *Store) DeleteApp(ctx context.Context, id liked.AppID) error {
	return s.update(ctx, func(t *tx) error {
		app, there, err := row(t, aStoredApp, storedAppByID+" FOR UPDATE", id)
		switch {
		case err != nil:
			return err
		case !there:
			return noSuch("app", id)
		}
		t.exec(setApp, append(appFields(&store.App{App: liked.App{ID: id}}), app.version, true)...)
		t.dropKeys(&app.App)
		if err := t.endApp(s, id); err != nil {
			return err
		}
		t.principals(s, id, 0, store.GrantID{})
		return nil
	})
}

// endApp has the transaction, which has locked the app for update, end all that was made for it: grants, codes, approved
// request tokens, webhooks and subscriptions.
func (t *tx) endApp(s *Store, id liked.AppID) error {
	t.exec("UPDATE apps SET era = era + 1, unswept = true WHERE app = $1", id)
	t.takeBack(0, id)
	return t.endHooks(s, id)
}

const appByID = "SELECT " + appColumns + " FROM apps WHERE app = $1 AND NOT deleted"

func (s *Store) App(ctx context.Context, id liked.AppID) (store.App, error) {
	return first(ctx, s, noSuch("app", id), anApp, appByID, id)
}

func (s *Store) AppByClientID(ctx context.Context, id string) (store.App, error) {
	return s.appBy(ctx, "client id", clientID, []byte(id))
}

func (s *Store) AppByAPIKey(ctx context.Context, key string) (store.App, error) {
	return s.appBy(ctx, "API key", apiKey, []byte(key))
}

func (s *Store) AppByBearer(ctx context.Context, hash store.Hash) (store.App, error) {
	return s.appBy(ctx, "bearer token", bearer, hash[:])
}

func (s *Store) appBy(ctx context.Context, what string, kind int, key []byte) (store.App, error) {
	missing := liked.Errorf(liked.NotFound, "no such app with this %s", what)
	return first(ctx, s, missing, anApp, appByKey, kind, notNil(key))
}

const appByKey = "SELECT " + appColumns + " FROM apps WHERE app = (SELECT app FROM app_keys WHERE kind = $1 AND key = $2) AND NOT deleted"

func (s *Store) Apps(ctx context.Context) ([]liked.App, error) {
	return list(ctx, s, func(r pgx.CollectableRow) (liked.App, error) {
		a, err := anApp(r)
		return a.App, err
	}, "SELECT "+appColumns+" FROM apps WHERE NOT deleted ORDER BY app")
}

// SealKey writes only if no name is kept.
func (s *Store) SealKey(ctx context.Context, name string) (kept string, err error) {
	if err := valid.Texts("the name of", "the seal key", name); err != nil {
		return "", err
	}
	return write(ctx, s, func(t *tx) (string, error) {
		read := "SELECT seal_key FROM meta WHERE seal_key IS NOT NULL"
		kept, ok, err := row(t, pgx.RowTo[string], read+"")
		if err != nil || ok {
			return kept, err
		}
		t.exec("UPDATE meta SET seal_key = coalesce(seal_key, $1)", name)
		kept, _, err = row(t, pgx.RowTo[string], read)
		return kept, err
	})
}

func (s *Store) SetSealKey(ctx context.Context, name string) error {
	if err := valid.Texts("the name of", "the seal key", name); err != nil {
		return err
	}
	return s.update(ctx, func(t *tx) error {
		t.exec("UPDATE meta SET seal_key = $1", name)
		return nil
	})
}

func (s *Store) SetKnownSeed(ctx context.Context) error {
	return s.update(ctx, func(t *tx) error {
		t.exec("UPDATE meta SET known_seed = true WHERE NOT known_seed")
		return nil
	})
}

func (s *Store) KnownSeed(ctx context.Context) (bool, error) {
	return first(ctx, s, nil, pgx.RowTo[bool], "SELECT known_seed FROM meta")
}
