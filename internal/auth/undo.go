package auth

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"time"

	"liked"
	"liked/internal/store"
)

const (
	undoLife = 10 * time.Minute // pages name it, too

	sealUndo = "credentials that were regenerated, of app " // + id
)

// kept is an app's credentials as the store has them: hashes and sealed secrets.
type kept struct {
	Secret       store.Hash
	APIKey       string
	SealedAPI    []byte
	Bearer       store.Hash
	SealedBearer []byte
}

func credentialsOf(app *store.App) kept {
	return kept{app.ClientSecretHash, app.APIKey, app.SealedAPISecret, app.BearerHash, app.SealedBearer}
}

// mark tells whether credentials are the same; their seals differ each time.
func (k kept) mark() store.Hash { return HashOf(string(k.Secret[:]), k.APIKey, string(k.Bearer[:])) }

// undoable is what Undo needs.
type undoable struct {
	Until  time.Time
	Owner  liked.UserID
	Before kept
	After  store.Hash // mark of the new ones
}

func (a *Issuer) sealUndo(app *store.App, before kept) (string, error) {
	text, err := json.Marshal(undoable{a.now().Add(undoLife), app.Owner, before, credentialsOf(app).mark()})
	return base64.RawURLEncoding.EncodeToString(a.Seal(sealUndo, app.ID.String(), string(text))), err
}

// Undo brings back the credentials that Regenerate replaced; the new ones end. Conflict if it was too long ago or they were
// replaced since, NotFound if owner has no such app.
func (a *Issuer) Undo(ctx context.Context, owner liked.UserID, id liked.AppID, undo string) error {
	errLate := liked.Errorf(liked.Conflict, "it was more than ten minutes ago, or they were replaced again")
	sealed, err := base64.RawURLEncoding.DecodeString(undo)
	if err != nil {
		return errLate
	}
	text, err := a.Unseal(sealUndo, id.String(), sealed)
	var u undoable
	if err != nil || json.Unmarshal([]byte(text), &u) != nil || u.Owner != owner || !a.now().Before(u.Until) {
		return errLate
	}
	return a.store.UpdateApp(ctx, id, func(app *store.App) error {
		if app.Owner != owner {
			return liked.Errorf(liked.NotFound, "no such app %d", id)
		}
		if credentialsOf(app).mark() != u.After {
			return errLate
		}
		b := u.Before
		app.ClientSecretHash = b.Secret
		app.APIKey, app.SealedAPISecret = b.APIKey, b.SealedAPI
		app.BearerHash, app.SealedBearer = b.Bearer, b.SealedBearer
		return nil
	})
}
