package server_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"liked/internal/backup"
	"liked/internal/control"
	"liked/internal/server"
)

// backUp takes a backup of the server into a directory.
func backUp(t *testing.T, srv *server.Server, dir string) (backup.Received, error) {
	t.Helper()
	target, err := backup.Into(t.Context(), dir, func(int) {})
	if err != nil {
		return backup.Received{}, err
	}
	body, err := json.Marshal(control.BackupWish{Have: target.Have()})
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequest("POST", srv.AdminURL()+"/admin/backup", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+srv.AdminToken)
	resp, err := client(t, nil).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	return target.Receive(t.Context(), resp.Body, func(int64) {}, func(int) {})
}

func restore(t *testing.T, from, data, key string) (control.Report, error) {
	t.Helper()
	b, err := backup.Open(from)
	if err != nil {
		return control.Report{}, err
	}
	return server.Restore(t.Context(), b, data, key, time.Now(), func(int) {})
}

// entries returns the names of all files below a directory.
func entries(t *testing.T, dir string) (names []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			names = append(names, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func size(t *testing.T, path string) int64 {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

// A backup is restored as it is or not at all: whatever is done to any of its files, restoring it is refused, and leaves
// nothing behind.
func TestTamperedBackup(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	data := filepath.Join(dir, "data")
	config := server.Config{Data: data, World: world()}
	config.World.Seed = 0
	srv, stop := start(t, config)
	k := srv.Credentials()
	c := client(t, nil)
	if status, err := like(c, k); status != 200 || err != nil {
		t.Fatalf("like: %d, %v", status, err)
	}
	if err := stop(); err != nil { // what was written becomes tables when the directory is opened again
		t.Fatal(err)
	}
	srv, stop = start(t, config)
	whole := filepath.Join(dir, "backup")
	got, err := backUp(t, srv, whole)
	if err != nil {
		t.Fatal(err)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	kinds := make(map[string]bool)
	for _, f := range got.Files {
		kind, _, _ := strings.Cut(f.Name, "-")
		kinds[strings.Trim(kind, "0123456789")] = true
	}
	for _, kind := range []string{".sst", ".log", "MANIFEST", "OPTIONS"} {
		if !kinds[kind] {
			t.Errorf("the backup has no %s among %v", kind, kinds)
		}
	}
	key := filepath.Join(data, "seal.key")
	flip := func(at func(n int) int) func(string) error {
		return func(path string) error {
			content, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			content[at(len(content))] ^= 4
			return os.WriteFile(path, content, 0o600)
		}
	}
	tries := 0
	for name, spoil := range map[string]func(path string) error{
		"first byte": flip(func(int) int { return 0 }),
		"middle":     flip(func(n int) int { return n / 2 }),
		"last byte":  flip(func(n int) int { return n - 1 }),
		"cut short":  func(path string) error { info, _ := os.Stat(path); return os.Truncate(path, info.Size()-1) },
		"longer": func(path string) error {
			content, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			return os.WriteFile(path, append(content, 0), 0o600)
		},
		"missing": os.Remove,
	} {
		for i, original := range entries(t, whole) {
			if info, err := os.Stat(original); err == nil && info.Size() == 0 && name != "missing" && name != "longer" {
				continue
			}
			spoiled := filepath.Join(dir, fmt.Sprint(name, i))
			if err := os.CopyFS(spoiled, os.DirFS(whole)); err != nil {
				t.Fatal(err)
			}
			path := strings.Replace(original, whole, spoiled, 1)
			if err := spoil(path); err != nil {
				t.Fatal(err)
			}
			tries++
			into := filepath.Join(dir, "restored")
			if _, err := restore(t, spoiled, into, key); err == nil || !strings.Contains(err.Error(), "restore another") {
				t.Errorf("%s of %s: got error %v, want that another backup is to be restored", name, filepath.Base(original), err)
			}
			if _, err := os.Stat(into); err == nil {
				t.Fatalf("%s of %s: something is left of the restore", name, original)
			}
		}
	}
	if tries < 20 {
		t.Errorf("got %d tries", tries)
	}

	// The whole one is restored, with the key beside it or with a new one, and not with another.
	if _, err := restore(t, whole, filepath.Join(dir, "one"), key); err != nil {
		t.Error(err)
	}
	if _, err := restore(t, whole, filepath.Join(dir, "two"), ""); err != nil {
		t.Error(err)
	}
	other := filepath.Join(dir, "two", "seal.key")
	if _, err := restore(t, whole, filepath.Join(dir, "three"), other); err == nil || !strings.Contains(err.Error(), "key of another data directory") {
		t.Errorf("with another key: got error %v", err)
	}
	srv, _ = start(t, server.Config{Data: filepath.Join(dir, "one")})
	k.URL = srv.URL()
	if status, err := like(c, k); status != 200 || err != nil { // the token is still good
		t.Errorf("like after the restore: %d, %v", status, err)
	}
}

// The second backup brings what is new, removes what is not needed, and mends what was damaged. One that does not come to
// its end leaves the one before.
func TestBackupAgain(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	config := server.Config{Data: filepath.Join(dir, "data"), World: world()}
	config.World.Posts = 2000
	_, stop := start(t, config)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	srv, _ := start(t, config)
	k := srv.Credentials()
	whole := filepath.Join(dir, "backup")
	first, err := backUp(t, srv, whole)
	if err != nil {
		t.Fatal(err)
	}
	if status, err := like(client(t, nil), k); status != 200 || err != nil {
		t.Fatalf("like: %d, %v", status, err)
	}
	second, err := backUp(t, srv, whole)
	if err != nil {
		t.Fatal(err)
	}
	if first.NewBytes < 50_000 || second.NewBytes > 5_000 || second.NewBytes == 0 || second.Bytes < first.Bytes {
		t.Errorf("got %d bytes, then %d of %d, want much and then little", first.NewBytes, second.NewBytes, second.Bytes)
	}
	if got := len(entries(t, whole)); got > len(second.Files)+1 {
		t.Errorf("got %d files in the directory, want those of the backup alone, %d, and its manifest", got, len(second.Files))
	}

	// Cut short wherever it may be, the next one leaves all as it is.
	before := entries(t, whole)
	if status, err := like(client(t, nil), k); status != 200 || err != nil {
		t.Fatalf("like: %d, %v", status, err)
	}
	u := k.Users[0]
	k.Users = append(k.Users, u)
	if status, err := like(client(t, nil), k); status != 200 || err != nil {
		t.Fatalf("like: %d, %v", status, err)
	}
	var all bytes.Buffer
	target, err := backup.Into(t.Context(), whole, func(int) {})
	if err != nil {
		t.Fatal(err)
	}
	body, _ := json.Marshal(control.BackupWish{Have: target.Have()})
	r, _ := http.NewRequest("POST", srv.AdminURL()+"/admin/backup", bytes.NewReader(body))
	r.Header.Set("Authorization", "Bearer "+srv.AdminToken)
	resp, err := client(t, nil).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_, err = all.ReadFrom(resp.Body)
	resp.Body.Close()
	if err != nil {
		t.Fatal(err)
	}
	cuts := 0
	for n := 0; n < all.Len()-2048; n += 1 + all.Len()/100 { // the archive ends with zeros that nobody needs
		target, err := backup.Into(t.Context(), whole, func(int) {})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := target.Receive(t.Context(), bytes.NewReader(all.Bytes()[:n]), func(int64) {}, func(int) {}); err == nil || !strings.Contains(err.Error(), "cut short") && !strings.Contains(err.Error(), "EOF") {
			t.Errorf("after %d of %d bytes: got error %v, want that it was cut short", n, all.Len(), err)
		}
		if got := entries(t, whole); fmt.Sprint(got) != fmt.Sprint(before) {
			t.Fatalf("after %d of %d bytes: got files %v, want %v", n, all.Len(), got, before)
		}
		cuts++
	}
	if cuts < 50 {
		t.Errorf("got %d cuts", cuts)
	}
	report, err := restore(t, whole, filepath.Join(dir, "second"), "")
	if err != nil || report.Likes != 1 {
		t.Errorf("restored after backups that were cut short: got %d likes, %v, want 1", report.Likes, err)
	}

	// A file that the disk has damaged is copied again.
	largest := slices.MaxFunc(before, func(a, b string) int { return int(size(t, a) - size(t, b)) })
	if err := os.Truncate(largest, 1000); err != nil {
		t.Fatal(err)
	}
	if _, err := restore(t, whole, filepath.Join(dir, "damaged"), ""); err == nil {
		t.Error("a damaged backup was restored")
	}
	if third, err := backUp(t, srv, whole); err != nil || third.NewBytes < 50_000 {
		t.Errorf("the third backup: got %d new bytes, %v, want the damaged file again", third.NewBytes, err)
	}
	report, err = restore(t, whole, filepath.Join(dir, "third"), "")
	if err != nil || report.Likes != 2 {
		t.Errorf("restored after the third: got %d likes, %v, want 2", report.Likes, err)
	}
}

// A data directory whose restore was killed is refused until somebody has removed it.
func TestRestoreKilled(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	if err := os.MkdirAll(filepath.Join(dir, "restoring", "store"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := server.New(server.Config{Data: dir}); err == nil || !strings.Contains(err.Error(), "remove it and restore again") {
		t.Errorf("a server on it: got error %v", err)
	}
	whole := filepath.Join(t.TempDir(), "backup")
	srv, _ := start(t, server.Config{Data: filepath.Join(t.TempDir(), "other")})
	if _, err := backUp(t, srv, whole); err != nil {
		t.Fatal(err)
	}
	if _, err := restore(t, whole, dir, ""); err == nil || !strings.Contains(err.Error(), "remove it and restore again") {
		t.Errorf("a restore into it: got error %v", err)
	}
}
