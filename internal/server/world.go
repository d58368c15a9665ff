package server

import (
	"context"
	cryptorand "crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"slices"
	"time"

	"liked"
	"liked/internal/admin"
	"liked/internal/auth"
)

// worldMade is the time at which the credentials of a seeded world are made. It is fixed, because tokens hold it.
var worldMade = time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)

// Credentials returns the seeded world as it was when the server started. There must be one: see Config.World.
func (s *Server) Credentials() admin.Credentials { return *s.credentials }

// seed makes the world in an empty store, or finds the one that a data directory was seeded with before.
func (s *Server) seed(ctx context.Context, seal [32]byte) error {
	var found admin.Credentials
	err := fs.ErrNotExist
	if s.Data != "" {
		found, err = readCredentials(s.Data)
	}
	switch {
	case err == nil:
		if err := found.Renew(ctx, s.store, s.auth, s.World.TokenLifetime, s.accepts); err != nil {
			return fmt.Errorf("renew tokens: %w", err)
		}
	case errors.Is(err, fs.ErrNotExist):
		if found, err = s.newWorld(ctx, seal); err != nil {
			return err
		}
	default:
		return err
	}
	found.URL, found.AdminURL, found.AdminToken = s.URL(), s.AdminURL(), s.AdminToken
	if s.publicURL != "" {
		found.URL = s.publicURL
	}
	s.credentials = &found
	if s.Data == "" {
		return nil
	}
	return WriteSecret(filepath.Join(s.Data, credentialsFile), found)
}

func (s *Server) newWorld(ctx context.Context, seal [32]byte) (admin.Credentials, error) {
	users, err := s.store.Users(ctx, 0, 1)
	if err != nil {
		return admin.Credentials{}, err
	}
	apps, err := s.store.Apps(ctx)
	if err != nil {
		return admin.Credentials{}, err
	}
	apps = slices.DeleteFunc(apps, func(a liked.App) bool { return a.ID == auth.ExplorerApp }) // any start makes it
	if len(users)+len(apps) > 0 {
		return admin.Credentials{}, fmt.Errorf("data directory %s holds users or apps but no %s: it was not made by `liked dev`, or the first start was cut short; "+
			"run it with `liked serve`, or remove it", s.Data, credentialsFile)
	}
	// A world is seeded by issuers of its own, whose streams of secrets end with it: the server must not go on making
	// secrets that can be foretold.
	var issuers [admin.Streams]*auth.Auth
	for i := range issuers {
		o := s.authOptions(seal)
		o.Rand = secrets(s.World.Seed, i)
		o.Now = func() time.Time { return worldMade }
		seeder, err := auth.New(o)
		if err != nil {
			return admin.Credentials{}, err
		}
		issuers[i] = seeder
	}
	start := time.Now()
	c, err := admin.Seed(ctx, s.store, issuers, admin.World{Users: s.World.Users, Posts: s.World.Posts,
		Lifetime: s.Now().Sub(worldMade) + s.World.TokenLifetime})
	if err != nil {
		return admin.Credentials{}, fmt.Errorf("seed: %w", err)
	}
	s.Logger.LogAttrs(ctx, slog.LevelDebug, "seeded", slog.Int("users", len(c.Users)), slog.Int("posts", len(c.Posts)),
		slog.Duration("duration", time.Since(start)))
	return c, nil
}

// secrets returns one of the streams of randomness that the seed determines. Zero is no seed: nothing determines them.
func secrets(seed uint64, stream int) io.Reader {
	if seed == 0 {
		return cryptorand.Reader
	}
	var key [32]byte
	copy(key[:], "liked: a seeded world")
	key[23] = byte(stream)
	binary.BigEndian.PutUint64(key[24:], seed)
	return rand.NewChaCha8(key)
}

// accepts reports whether the token is good for a request now.
func (s *Server) accepts(accessToken string) bool {
	r := http.Request{Method: http.MethodGet, Header: http.Header{"Authorization": {"Bearer " + accessToken}}}
	_, err := s.auth.Authenticate(&r)
	return err == nil
}
