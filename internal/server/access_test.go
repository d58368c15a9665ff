package server_test

import (
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"liked/internal/server"
	"liked/internal/store/pebblestore"
)

// Commands on a data directory talk to the server that has it open, or open it themselves; no other program gets the token.
func TestAdminOfADirectory(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	_, stop := start(t, server.Config{Data: dir})
	var asked, sent atomic.Int64
	impostor := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		if r.Header.Get("Authorization") != "" {
			sent.Add(1)
		}
		_, _ = io.WriteString(w, "{}")
	}))
	defer impostor.Close()
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()

	// add adds a user to a directory and returns the URL of the server that did, which is not one for this process.
	add := func(dir, username string) (url string, err error) {
		c, done, err := server.Admin(dir, slog.New(slog.DiscardHandler))
		if err != nil {
			return "", err
		}
		defer func() {
			if err := done(); err != nil {
				t.Error(err)
			}
		}()
		return c.URL, c.Call(t.Context(), "POST", "/admin/users", map[string]string{"username": username}, nil)
	}
	file := filepath.Join(dir, "admin.json")
	original, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	pointTo := func(url string) {
		var access map[string]any
		if err := json.Unmarshal(original, &access); err != nil {
			t.Fatal(err)
		}
		access["url"] = url
		if err := server.WriteSecret(file, access); err != nil {
			t.Fatal(err)
		}
	}
	if url, err := add(dir, "ada"); err != nil || url == "http://local" {
		t.Errorf("with its server: %s, %v", url, err)
	}

	// A copy of the directory is one of its own, though it names the server of the original.
	copied := filepath.Join(t.TempDir(), "copy")
	if err := os.CopyFS(copied, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(copied, "seal.key"), 0o600); err != nil {
		t.Fatal(err)
	}
	if url, err := add(copied, "bob"); err != nil || url != "http://local" {
		t.Errorf("a copy of a live directory: %s, %v, want that it is opened", url, err)
	}

	// So is one that another command has open.
	if err := os.WriteFile(filepath.Join(copied, "admin.json"), original, 0o600); err != nil {
		t.Fatal(err)
	}
	st, err := pebblestore.Open(pebblestore.Options{Dir: filepath.Join(copied, "store")})
	if err != nil {
		t.Fatal(err)
	}
	if url, err := add(copied, "carol"); !says(err, "nothing was sent", "of which this is a copy") {
		t.Errorf("a copy that is in use: %s, %v, want that nothing reaches the server of the original", url, err)
	}
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}

	// Two readers could take such a file for that of two servers.
	if err := os.WriteFile(file, append(original[:len(original)-2:len(original)-2], `,"url":"http://x"}`...), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := add(dir, "carol"); !says(err, `member "url" stands twice`) {
		t.Errorf("admin.json with two addresses: %v", err)
	}

	// What listens at the address instead of the server gets no token and is not believed.
	pointTo(impostor.URL)
	if _, err := add(dir, "carol"); !says(err, "is in use", "nothing was sent", "another program answers") {
		t.Errorf("another program at the address: %v", err)
	}
	if asked.Load() == 0 || sent.Load() != 0 {
		t.Errorf("another program was asked %d times and got %d tokens, want some and none", asked.Load(), sent.Load())
	}
	if !testing.Short() {
		pointTo("http://" + silent.Addr().String())
		began := time.Now()
		if _, err := add(dir, "carol"); !says(err, "nothing was sent", "timeout") || time.Since(began) > 30*time.Second {
			t.Errorf("a program that is silent: %v after %s", err, time.Since(began))
		}
	}
	var unproven map[string]any
	if err := json.Unmarshal(original, &unproven); err != nil {
		t.Fatal(err)
	}
	delete(unproven, "proof")
	if err := server.WriteSecret(file, unproven); err != nil {
		t.Fatal(err)
	}
	if _, err := add(dir, "carol"); !says(err, "an earlier version") {
		t.Errorf("without a key for the proof: %v", err)
	}
	if err := os.WriteFile(file, original, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := add(dir, "carol"); err != nil {
		t.Errorf("with its server again: %v", err)
	}

	// A server that was killed leaves the file behind.
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	pointTo(impostor.URL)
	if url, err := add(dir, "dave"); err != nil || url != "http://local" || sent.Load() != 0 {
		t.Errorf("after a kill: %s, %v, %d tokens sent, want that the directory is opened", url, err, sent.Load())
	}
	if _, err := os.Stat(file); err == nil {
		t.Error("the file of a server that is gone is still there")
	}
}
