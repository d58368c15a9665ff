package server_test

import (
	"bytes"
	"errors"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"liked/internal/livetest"
	"liked/internal/seed"
	"liked/internal/server"
	"liked/internal/store/pgstore/pgtest"
)

// The key file is made with the first server of a database, and needed by every other.
func TestDatabaseKey(t *testing.T) {
	t.Parallel()
	dsn, key := pgtest.Schema(t), filepath.Join(t.TempDir(), "seal.key")
	config := server.Config{Postgres: dsn, SealKey: key}
	if _, _, err := server.DatabaseAdmin(dsn, "", false, slog.New(slog.DiscardHandler)); !says(err, "the schema is empty") {
		t.Errorf("a command on an empty schema: %v", err)
	}
	start(t, config)
	info, err := os.Stat(key)
	if err != nil || info.Mode() != 0o600 || info.Size() != 32 {
		t.Fatalf("key file: %v, %v", info, err)
	}
	second, _ := start(t, config) // beside the first
	if err := second.Reload("", ""); err != nil {
		t.Error(err)
	}

	config.SealKey = filepath.Join(t.TempDir(), "missing.key")
	if _, err := server.New(config); !says(err, "seal-key: ", "is missing", "copy the file") {
		t.Errorf("a missing key: %v", err)
	}
	if _, err := os.Stat(config.SealKey); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a useless key was left: %v", err)
	}
	if err := os.WriteFile(config.SealKey, bytes.Repeat([]byte{7}, 32), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := server.New(config); !says(err, "seal-key: ", "sealed the secrets in the database") {
		t.Errorf("a wrong key: %v", err)
	}

	ctx, discard := t.Context(), slog.New(slog.DiscardHandler)
	admin, close, err := server.DatabaseAdmin(dsn, "", false, discard)
	if err != nil {
		t.Fatal(err)
	}
	if err := admin.Call(ctx, "POST", "/admin/users", map[string]string{"username": "ada"}, nil); err != nil {
		t.Errorf("without a key: %v", err)
	}
	if err := admin.Call(ctx, "POST", "/admin/apps", map[string]string{"name": "shop"}, nil); !says(err, "give --seal-key") {
		t.Errorf("an app without a key: %v", err)
	}
	if err := errors.Join(close()); err != nil {
		t.Error(err)
	}
	if admin, close, err = server.DatabaseAdmin(dsn, key, false, discard); err != nil {
		t.Fatal(err)
	}
	if err := admin.Call(ctx, "POST", "/admin/apps", map[string]string{"name": "shop"}, nil); err != nil {
		t.Errorf("an app with the key: %v", err)
	}
	if err := close(); err != nil {
		t.Error(err)
	}
	if _, _, err := server.Migrate(dsn, true, time.Now(), discard); err != nil {
		t.Error(err)
	}
}

// Two servers on one database are one: a like at the one is seen at the other, which needs no directory.
func TestTwoServers(t *testing.T) {
	t.Parallel()
	state := filepath.Join(t.TempDir(), "state")
	config := server.Config{Postgres: pgtest.Schema(t), SealKey: filepath.Join(t.TempDir(), "seal.key"), State: state}
	config.Seed = world()
	one, _ := start(t, config)
	if info, err := os.Stat(filepath.Join(state, "admin.json")); err != nil || info.Mode() != 0o600 {
		t.Errorf("admin.json: %v, %v", info, err)
	}
	config.Seed, config.State = nil, ""
	two, _ := start(t, config)
	if page := explorerOf(t, one); page["token"] != "" || page["client"] == "" {
		t.Errorf("the explorer of a world that is kept: %v", page)
	}
	c, k := client(t, nil), one.Credentials()
	like(t, c, k)
	likers := "/2/tweets/" + k.Posts[0].ID.String() + "/liking_users"
	if status, body := get(t, c, two.URL()+likers, k.Users[0].AccessToken); status != 200 ||
		!strings.Contains(body, k.Users[len(k.Users)-1].ID.String()) {
		t.Errorf("the other server: %d %s", status, body)
	}
	if status, body := get(t, c, two.URL()+"/explorer", ""); status != 200 || !strings.Contains(body, `data-client=""`) {
		t.Errorf("the explorer has a sign-in that leads to one of the servers: %d %s", status, body)
	}
	if status, body := get(t, c, two.AdminURL()+"/metrics", ""); status != 200 ||
		!strings.Contains(body, "\nliked_store_connections_in_use ") || !strings.Contains(body, "\nliked_store_batches_total ") {
		t.Errorf("metrics: %d %s", status, body)
	}
}

// While the database is away the server lives and is not ready, and it goes on by itself.
func TestReadyWithDatabase(t *testing.T) {
	t.Parallel()
	db := pgtest.Start(t)
	const secret = "a-password-that-nobody-sees"
	logs := new(livetest.Log)
	config := server.Config{Postgres: db.DSN() + " password=" + secret, SealKey: filepath.Join(t.TempDir(), "seal.key"),
		Logger: slog.New(slog.NewTextHandler(logs, nil)), Seed: &seed.Options{Users: 3, Posts: 2, TokenLifetime: time.Hour}}
	srv, _ := start(t, config)
	c := client(t, nil)
	probe := func(path string) int { status, _ := get(t, c, srv.AdminURL()+path, ""); return status }
	if ready, live := probe("/readyz"), probe("/livez"); ready != 200 || live != 200 {
		t.Errorf("readyz %d, livez %d", ready, live)
	}
	db.Kill()
	status, body := get(t, c, srv.AdminURL()+"/readyz", "")
	if live := probe("/livez"); status != http.StatusServiceUnavailable || live != 200 {
		t.Errorf("without the database: readyz %d %s, livez %d", status, body, live)
	}
	if err := db.Restart(); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(time.Minute); probe("/readyz") != 200; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the server did not come back with its database")
		}
	}
	like(t, c, srv.Credentials())
	if text := logs.String() + body; strings.Contains(text, secret) {
		t.Errorf("the password is shown: %s", text)
	}
	config.Postgres = "host=/nowhere password=" + secret + " user='"
	if _, err := server.New(config); err == nil || strings.Contains(err.Error(), secret) {
		t.Errorf("a bad connection string: %v", err)
	}
}
