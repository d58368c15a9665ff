package server_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"liked/internal/seed"
	"liked/internal/server"
	"liked/internal/store/pgstore/pgtest"
)

// operator calls /admin/ and returns status and body.
func operator(t *testing.T, srv *server.Server, method, path, body string) (int, string) {
	t.Helper()
	resp, text := send(t, client(t, nil), method, srv.AdminURL()+path, srv.AdminToken, body)
	return resp.StatusCode, text
}

// likesOf returns how many likes the first post has.
func likesOf(t *testing.T, srv *server.Server, k seed.Credentials) int {
	t.Helper()
	_, text := operator(t, srv, "GET", "/admin/posts/"+k.Posts[0].ID.String(), "")
	var post struct{ Likes int }
	if err := json.Unmarshal([]byte(text), &post); err != nil {
		t.Fatal(err)
	}
	return post.Likes
}

// A directory goes back to what it was at its start or at a snapshot, and is so after a restart. The snapshots end with the
// server, and commands find the server that they found before.
func TestDirectoryGoesBack(t *testing.T) {
	t.Parallel()
	c := server.Config{Seed: world(), Dev: true, Data: filepath.Join(t.TempDir(), "data"), AllowReset: true}
	srv, stop := start(t, c)
	k, cl := srv.Credentials(), client(t, nil)
	done := func(method, path, body string) {
		t.Helper()
		if status, text := operator(t, srv, method, path, body); status != 200 {
			t.Fatalf("%s %s: %d %s", method, path, status, text)
		}
	}
	done("PUT", "/admin/clock", `{"frozen":true}`)
	done("PUT", "/admin/snapshots/empty", "")
	like(t, cl, k)
	done("POST", "/admin/clock/advance", `{"by":"20m"}`)
	done("PUT", "/admin/snapshots/liked", "")
	for _, step := range []struct {
		path  string
		likes int
	}{
		{"/admin/snapshots/empty/restore", 0}, {"/admin/snapshots/liked/restore", 1}, {"/admin/reset", 0},
		{"/admin/snapshots/liked/restore", 1},
	} {
		done("POST", step.path, "")
		if n := likesOf(t, srv, k); n != step.likes {
			t.Errorf("%s: %d likes, want %d", step.path, n, step.likes)
		}
		like(t, cl, k) // its tokens are good, and it takes likes
		if _, text := operator(t, srv, "GET", "/admin/clock", ""); strings.Contains(text, `"moved":true`) != (step.path != "/admin/reset") {
			t.Errorf("%s: the clock is %s", step.path, text)
		}
	}
	if status, _ := operator(t, srv, "GET", "/admin/snapshots", ""); status != 200 {
		t.Errorf("the operator's side answers %d", status)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(c.Data, "store", "snapshots", "snapshot1")); err == nil {
		t.Error("a snapshot is left behind")
	}
	srv, _ = start(t, c)
	if n := likesOf(t, srv, k); n != 1 {
		t.Errorf("%d likes after a restart, want 1", n)
	}
	if status, text := operator(t, srv, "POST", "/admin/snapshots/liked/restore", ""); status != 404 {
		t.Errorf("a snapshot of the process before: %d %s", status, text)
	}
}

// Without leave nothing that a directory keeps is lost; snapshots need none, since somebody took them.
func TestDirectoryIsResetOnlyWithLeave(t *testing.T) {
	t.Parallel()
	srv, _ := start(t, server.Config{Seed: world(), Dev: true, Data: filepath.Join(t.TempDir(), "data")})
	k := srv.Credentials()
	like(t, client(t, nil), k)
	if status, text := operator(t, srv, "POST", "/admin/reset", ""); status != 409 || !strings.Contains(text, "--allow-reset") {
		t.Errorf("%d %s", status, text)
	}
	if n := likesOf(t, srv, k); n != 1 {
		t.Errorf("%d likes, want 1", n)
	}
	if status, text := operator(t, srv, "PUT", "/admin/snapshots/mine", ""); status != 200 {
		t.Errorf("%d %s", status, text)
	}
}

// Calls that come while a directory becomes another world wait for it; a stream does not keep it.
func TestDirectoryGoesBackUnderLoad(t *testing.T) {
	t.Parallel()
	srv, _ := start(t, server.Config{Seed: world(), Dev: true, Data: filepath.Join(t.TempDir(), "data"), AllowReset: true, RateLimits: "off"})
	k := srv.Credentials()
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for cl := client(t, nil); ; {
			select {
			case <-done:
				return
			default:
				like(t, cl, k)
			}
		}
	}()
	for range 5 {
		time.Sleep(time.Millisecond)
		if status, text := operator(t, srv, "POST", "/admin/reset", ""); status != 200 {
			t.Errorf("%d %s", status, text)
		}
	}
	close(done)
	<-ended
}

// A database has no snapshots, and says so.
func TestDatabaseHasNoSnapshots(t *testing.T) {
	t.Parallel()
	dsn := pgtest.Schema(t)
	srv, _ := start(t, server.Config{Dev: true, Postgres: dsn, SealKey: filepath.Join(t.TempDir(), "seal.key")})
	for _, call := range []string{"POST /admin/reset", "PUT /admin/snapshots/a"} {
		method, path, _ := strings.Cut(call, " ")
		if status, text := operator(t, srv, method, path, ""); status != 400 || !strings.Contains(text, "PostgreSQL") {
			t.Errorf("%s: %d %s", call, status, text)
		}
	}
}
