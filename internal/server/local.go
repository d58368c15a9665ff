package server

import (
	"crypto/rand"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"liked"
	"liked/internal/admin"
	"liked/internal/auth"
	"liked/internal/store"
	"liked/internal/webhook"
)

// localAdmin returns the handler of /admin/, without a token, for a data directory that no server has open, created if
// missing. With a key that did not seal the store's secrets it answers only what needs none: backup, export and check.
// close must be called.
func localAdmin(dir string, opening *slog.Logger) (h http.Handler, close func() error, err error) {
	logger := slog.New(slog.DiscardHandler)
	files, err := newFileBudget(openFiles(), 0)
	if err != nil {
		return nil, nil, err
	}
	st, seal, err := openData(dir, engine{files: files.store, logger: opening, reads: true})
	bad, _ := errors.AsType[*wrongKey](err)
	if err != nil && bad == nil {
		return nil, nil, err
	}
	defer func() {
		if err != nil {
			_ = st.Close()
		}
	}()
	a := auth.NewIssuer(st, seal, time.Now, rand.Reader)
	// Nothing is delivered here.
	hooks := webhook.New(webhook.Options{Store: st, Secret: a.APISecret, Now: time.Now, Logger: logger, Anywhere: true})
	if bad == nil {
		return adminHandler(st, a, hooks, keyName(seal), time.Now, logger), st.Close, nil
	}
	return keyless(adminHandler(st, a, hooks, bad.wanted, time.Now, logger), bad), st.Close, nil
}

// adminHandler answers /admin/ without a token. Only a store with files of its own can be backed up.
func adminHandler(
	st store.Store, a *auth.Issuer, hooks *webhook.Hooks, key string, now func() time.Time, logger *slog.Logger,
) http.Handler {
	files, _ := st.(store.Backup)
	return admin.New(admin.Options{Store: st, Backup: files, Auth: a, Hooks: hooks, Key: key, Now: now, Logger: logger})
}

// keyless refuses requests that make or show secrets.
func keyless(next http.Handler, why error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.Method + " " + r.URL.Path {
		case "POST /admin/backup", "GET /admin/export", "POST /admin/check":
			next.ServeHTTP(w, r)
		default:
			admin.Refuse(w, liked.Errorf(liked.Invalid, "%v", why))
		}
	})
}
