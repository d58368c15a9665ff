package server

import (
	"crypto/rand"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"liked/internal/admin"
	"liked/internal/auth"
	"liked/internal/store"
	"liked/internal/webhook"
)

// localAdmin returns the handler of /admin/, without a token, for a data directory that no server has open, created if
// missing. With a key that did not seal the store's secrets it refuses what makes or shows some.
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
		return localHandler(st, seal, keyName(seal), nil), st.Close, nil
	}
	return localHandler(st, seal, bad.wanted, bad), st.Close, nil
}

// localHandler answers /admin/ on a store that this process has open and serves nobody from. Nothing is delivered.
func localHandler(st store.Store, seal [32]byte, key string, noKey error) http.Handler {
	logger := slog.New(slog.DiscardHandler)
	a := auth.NewIssuer(st, seal, time.Now, rand.Reader)
	hooks := webhook.New(webhook.Options{Store: st, Secret: a.APISecret, Now: time.Now, Logger: logger, Anywhere: true})
	return adminHandler(st, admin.Options{Auth: a, Hooks: hooks, Key: key, NoKey: noKey, Now: time.Now, Logger: logger})
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
	var noKey error
	if keyFile == "" {
		noKey = errors.New("give --seal-key, the file that the servers have")
	}
	h := localHandler(st, seal, keyName(seal), noKey)
	return &admin.Client{URL: "http://local", Transport: admin.InProcess{Handler: h}}, st.Close, nil
}

// adminHandler answers /admin/ without a token. Only a store with files of its own can be backed up.
func adminHandler(st store.Store, o admin.Options) http.Handler {
	o.Store = st
	o.Backup, _ = st.(store.Backup)
	return admin.New(o)
}
