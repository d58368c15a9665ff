package server

import (
	"context"
	"crypto/rand"
	"log/slog"
	"net/http"
	"time"

	"liked"
	"liked/internal/auth"
	"liked/internal/control"
	"liked/internal/webhook"
)

// Offline returns the handler of /admin/ for a data directory that no server has open; the directory is made if it is
// missing. It asks for no token: who can open the directory may do everything. close must be called.
func Offline(dir string) (admin http.Handler, close func() error, err error) {
	logger := slog.New(slog.DiscardHandler)
	share, err := shareOut(openFiles(), 0)
	if err != nil {
		return nil, nil, err
	}
	st, seal, err := openData(dir, share.files, logger)
	if err != nil {
		return nil, nil, err
	}
	a, err := auth.New(auth.Options{Store: st, Seal: seal, Now: time.Now, Rand: rand.Reader,
		BaseURL: func(*http.Request) string { return "" }}) // nobody signs anything here
	if err != nil {
		_ = st.Close()
		return nil, nil, err
	}
	key, err := keyName(seal)
	if err != nil {
		_ = st.Close()
		return nil, nil, err
	}
	hooks, err := webhook.New(context.Background(), webhook.Options{Store: st, Secret: a.APISecret, Now: time.Now, Logger: logger, Anywhere: true,
		Render: func(context.Context, liked.Subscription, liked.LikeEvent) ([]byte, error) { return nil, nil }}) // nothing is delivered here
	if err != nil {
		_ = st.Close()
		return nil, nil, err
	}
	return control.New(control.Options{Store: st, Issuer: issuer{a}, Hooks: hooks, Key: key, Now: time.Now, Logger: logger}), st.Close, nil
}
