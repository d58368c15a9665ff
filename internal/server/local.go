package server

import (
	"crypto/rand"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strings"
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
	if bad == nil {
		return localHandler(st, seal, keyName(seal)), st.Close, nil
	}
	return keyless(localHandler(st, seal, bad.wanted), bad), st.Close, nil
}

// localHandler answers /admin/ on a store that this process has open and serves nobody from. Nothing is delivered.
func localHandler(st store.Store, seal [32]byte, key string) http.Handler {
	logger := slog.New(slog.DiscardHandler)
	a := auth.NewIssuer(st, seal, time.Now, rand.Reader)
	hooks := webhook.New(webhook.Options{Store: st, Secret: a.APISecret, Now: time.Now, Logger: logger, Anywhere: true})
	return adminHandler(st, a, hooks, key, time.Now, logger)
}

// DatabaseAdmin returns a client of /admin/ in this process for a database, beside its servers. Without a key file what seals
// or opens a secret is refused. mayMake: an empty schema becomes a store. close must be called.
func DatabaseAdmin(dsn, keyFile string, mayMake bool, logger *slog.Logger) (c *admin.Client, close func() error, err error) {
	d := database{dsn: dsn, existing: !mayMake, logger: logger}
	var st store.Store
	var seal [32]byte
	if keyFile != "" {
		st, seal, err = openDatabase(d, keyFile)
	} else {
		st, err = d.open()
	}
	if err != nil {
		return nil, nil, err
	}
	h := localHandler(st, seal, keyName(seal))
	if keyFile == "" {
		h = sealless(h)
	}
	return &admin.Client{URL: "http://local", Transport: admin.InProcess{Handler: h}}, st.Close, nil
}

// sealless refuses requests that seal or open secrets.
func sealless(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch path := strings.TrimPrefix(r.URL.Path, "/admin/"); {
		case r.Method != "POST":
		case slices.Contains([]string{"users", "posts", "tokens/expire", "tokens/revoke", "check", "import", "backup"}, path):
		default:
			admin.Refuse(w, liked.Errorf(liked.Invalid, "this seals or opens secrets: give --seal-key, the file that the servers have"))
			return
		}
		next.ServeHTTP(w, r)
	})
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
