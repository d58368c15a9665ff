package server_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"liked"
	"liked/internal/admin"
	"liked/internal/backup"
	"liked/internal/server"
)

// A store remembers that a known seed made its secrets. Random ones are served.
func TestKnownSeedIsRemembered(t *testing.T) {
	t.Parallel()
	for _, known := range []bool{true, false} {
		dir := filepath.Join(t.TempDir(), "data")
		options := world()
		if !known {
			options.Seed = 0
		}
		_, stop := start(t, server.Config{Data: dir, Seed: options})
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		served := server.Config{Data: dir}
		if known {
			if _, err := server.New(served); !says(err, "a known seed", "--known-seed") {
				t.Errorf("without leave: %v, want a refusal that says what allows it", err)
			}
			served.KnownSeed = true
		}
		srv, err := server.New(served)
		if err != nil {
			t.Fatalf("known: %v: %v", known, err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := srv.Run(ctx); err != nil {
			t.Error(err)
		}
	}
}

func TestDataDirectory(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	config := server.Config{Data: dir, Seed: world()}
	config.Seed.Seed = 0
	srv, stop := start(t, config)
	k := srv.Credentials()
	c := client(t, nil)
	like(t, c, k)
	var access struct {
		URL, Token string
		PID        int
	}
	text, err := os.ReadFile(filepath.Join(dir, "admin.json"))
	if err != nil || json.Unmarshal(text, &access) != nil || access.URL != srv.AdminURL() || access.Token != k.AdminToken ||
		access.PID != os.Getpid() {
		t.Errorf("admin.json: %s, %v", text, err)
	}
	for name, size := range map[string]int64{"seal.key": 32, "admin.json": -1, "credentials.json": -1} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 || size >= 0 && info.Size() != size {
			t.Errorf("%s: mode %v, %d bytes", name, info.Mode(), info.Size())
		}
	}
	if _, err := server.New(config); !says(err, "is in use", fmt.Sprint("process ", os.Getpid())) {
		t.Errorf("a second server: error %v, want that the directory is in use", err)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "admin.json")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("admin.json after a clean stop: %v", err)
	}

	// The next start finds the world, and the rate windows with it.
	srv, stop = start(t, config)
	again := srv.Credentials()
	if fmt.Sprint(again.Users, again.Posts, again.Apps) != fmt.Sprint(k.Users, k.Posts, k.Apps) {
		t.Errorf("the second start has other credentials:\n%+v\n%+v", again, k)
	}
	like(t, c, again)
	u := again.Users[len(again.Users)-1]
	resp, _ := send(t, c, "DELETE", srv.URL()+"/2/users/"+u.ID.String()+"/likes/"+again.Posts[0].ID.String(), u.AccessToken, "")
	if remaining := resp.Header.Get("X-Rate-Limit-Remaining"); remaining != "49" {
		t.Errorf("unlike: %s remaining, want 49", remaining)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}

	// Once the tokens have expired, there are new ones; what else there is stays.
	config.Now = func() time.Time { return time.Now().Add(2 * time.Hour) }
	srv, stop = start(t, config)
	renewed := srv.Credentials()
	if renewed.Users[0].AccessToken == k.Users[0].AccessToken || renewed.Users[0].OAuth1Token != k.Users[0].OAuth1Token {
		t.Error("after their lifetime the access token is not new, or more than it is")
	}
	like(t, c, renewed)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
}

// A pagination token is good after a restart: its key comes from the one in the directory.
func TestPaginationTokens(t *testing.T) {
	t.Parallel()
	config := server.Config{Data: filepath.Join(t.TempDir(), "data"), Seed: world()}
	config.Seed.Seed = 0
	srv, stop := start(t, config)
	k := srv.Credentials()
	c := client(t, nil)
	for i := range k.Users {
		liker := k
		liker.Users = k.Users[:i+1]
		like(t, c, liker)
	}
	path := "/2/tweets/" + k.Posts[0].ID.String() + "/liking_users"
	var page struct {
		Data []struct{ ID liked.UserID }
		Meta struct {
			Next string `json:"next_token"`
		}
	}
	status, text := get(t, c, srv.URL()+path+"?max_results=1", k.Users[0].AccessToken)
	if err := json.Unmarshal([]byte(text), &page); err != nil || status != 200 || page.Meta.Next == "" {
		t.Fatalf("first page: %d %s", status, text)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	srv, _ = start(t, config)
	status, text = get(t, c, srv.URL()+path+"?pagination_token="+page.Meta.Next, k.Users[0].AccessToken)
	if err := json.Unmarshal([]byte(text), &page); err != nil || status != 200 || len(page.Data) != 2 || page.Data[1].ID != k.Users[0].ID {
		t.Errorf("second page after a restart: %d %s", status, text)
	}
	other, _ := start(t, server.Config{Seed: world()})
	status, text = get(t, c, other.URL()+path+"?pagination_token="+page.Meta.Next, other.Credentials().Users[0].AccessToken)
	if status != 400 {
		t.Errorf("a token of another server: %d %s", status, text)
	}
}

func TestPrivateLikes(t *testing.T) {
	t.Parallel()
	on, off := true, false
	for _, tt := range []struct {
		profile string
		private *bool
		want    int
	}{{"", nil, 200}, {"2024", nil, 200}, {"2024", &on, 403}, {"2026", nil, 403}, {"2026", &off, 200}} {
		srv, _ := start(t, server.Config{Seed: world(), Profile: tt.profile, PrivateLikes: tt.private})
		k := srv.Credentials()
		url := srv.URL() + "/2/users/" + k.Users[0].ID.String() + "/liked_tweets"
		if status, text := get(t, client(t, nil), url, k.Apps[0].BearerToken); status != tt.want {
			t.Errorf("profile %q, private likes %v, an app without a user: %d %s, want %d", tt.profile, tt.private, status, text, tt.want)
		}
	}
}

func TestSealKey(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		spoil func(dir string) error
		want  string
	}{
		{"readable by others", func(dir string) error { return os.Chmod(filepath.Join(dir, "seal.key"), 0o644) }, "chmod 600"},
		{"cut short", func(dir string) error { return os.Truncate(filepath.Join(dir, "seal.key"), 31) }, "31 bytes"},
		{"missing", func(dir string) error { return os.Remove(filepath.Join(dir, "seal.key")) }, "is missing"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			_, stop := start(t, server.Config{Data: dir})
			if err := errors.Join(stop(), tt.spoil(dir)); err != nil {
				t.Fatal(err)
			}
			if _, err := server.New(server.Config{Data: dir}); !says(err, tt.want) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
}

// A server does not start with a key of which a bit has flipped, and no backup names that key. What can be saved without
// the key is saved, and everything works again with the right one.
func TestSealKeyFlipped(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	data, path := filepath.Join(dir, "data"), filepath.Join(dir, "data", "seal.key")
	config := server.Config{Data: data, Seed: world(), KnownSeed: true}
	srv, stop := start(t, config)
	k := srv.Credentials()
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	key, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	flip := func(bit int) {
		spoiled := bytes.Clone(key)
		spoiled[bit/8] ^= 1 << (bit % 8)
		if err := os.WriteFile(path, spoiled, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for bit := 0; bit < 8*len(key); bit += 85 {
		flip(bit)
		if _, err := server.New(config); !says(err, path+" is damaged", "put the copy of the key back") {
			t.Errorf("bit %d: got error %v, want what to do", bit, err)
		}
	}

	local, done, err := server.Admin(data, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ask := func(method, path, body string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		local.Transport.(admin.InProcess).Handler.ServeHTTP(w, httptest.NewRequest(method, path, strings.NewReader(body)))
		return w
	}
	if w := ask("POST", "/admin/apps", `{"name":"x","type":"public"}`); w.Code != 400 || !strings.Contains(w.Body.String(), "is damaged") {
		t.Errorf("a new app: got %d %s, want 400 and why", w.Code, w.Body)
	}
	if w := ask("POST", "/admin/check", ""); w.Code != 200 {
		t.Errorf("check: got %d %s", w.Code, w.Body)
	}
	whole := filepath.Join(dir, "backup")
	target, err := backup.Into(t.Context(), whole, func(int) {})
	if err != nil {
		t.Fatal(err)
	}
	_, err = target.Receive(t.Context(), ask("POST", "/admin/backup", "{}").Body, func(int64) {}, func(int) {})
	if err := errors.Join(err, done()); err != nil {
		t.Fatalf("backup: %v", err)
	}

	if err := os.WriteFile(path, key, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := restore(t, whole, filepath.Join(dir, "restored"), path); err != nil {
		t.Errorf("restore with the right key: %v", err)
	}
	for _, config.Data = range []string{data, filepath.Join(dir, "restored")} {
		srv, _ := start(t, server.Config{Data: config.Data})
		k.URL = srv.URL()
		t.Log(config.Data)
		like(t, client(t, nil), k)
	}
}

func TestSameSeedSameCredentials(t *testing.T) {
	t.Parallel()
	made := make(map[string]int) // by what was made, to the seed
	for i, seed := range []uint64{1, 1, 2, 0, 0} {
		config := server.Config{Seed: world()}
		config.Seed.Seed = seed
		srv, stop := start(t, config)
		k := srv.Credentials()
		text, err := json.Marshal([]any{k.Apps, k.Users, k.Posts})
		if err != nil {
			t.Fatal(err)
		}
		if _, again := made[string(text)]; again != (i == 1) {
			t.Errorf("start %d with seed %d: made before is %t", i, seed, again)
		}
		made[string(text)] = i
		if err := stop(); err != nil {
			t.Fatal(err)
		}
	}
}

// A clock that jumps, forward or back, over a restart or not, refuses no like and loses nothing: start checks the store at
// each stop.
func TestClockJumps(t *testing.T) {
	t.Parallel()
	var now atomic.Int64 // seconds from the start
	begun := time.Now()
	config := server.Config{Data: filepath.Join(t.TempDir(), "data"), Seed: world(),
		Now: func() time.Time { return begun.Add(time.Duration(now.Load()) * time.Second) }}
	config.Seed.Seed, config.Seed.TokenLifetime = 0, 365*24*time.Hour
	c := client(t, nil)
	for i, day := range []int64{0, 30, -30, 29, 1, -1} {
		now.Store(day * 24 * 60 * 60)
		srv, stop := start(t, config)
		k := srv.Credentials()
		for n, jump := range []int64{0, 3600, -7200, 3600} {
			now.Add(jump)
			t.Logf("start %d, jump %d", i, n)
			like(t, c, k)
			u := k.Users[len(k.Users)-1]
			resp, _ := send(t, c, "DELETE", srv.URL()+"/2/users/"+u.ID.String()+"/likes/"+k.Posts[0].ID.String(), u.AccessToken, "")
			if resp.StatusCode != 200 {
				t.Errorf("unlike: %d", resp.StatusCode)
			}
			reset, _ := strconv.ParseInt(resp.Header.Get("X-Rate-Limit-Reset"), 10, 64)
			if left := reset - config.Now().Unix(); left > 15*60+1 {
				t.Errorf("the window ends %d s from now, want at most 15 minutes", left)
			}
		}
		if err := stop(); err != nil {
			t.Fatal(err)
		}
	}
}
