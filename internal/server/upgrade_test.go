package server_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"liked/internal/seed"
	"liked/internal/server"
)

// unpack writes the files of a .tar.gz into a new directory, from which it is open to others.
func unpack(t *testing.T, path string) (dir string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "data")
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	unzipped, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	for r := tar.NewReader(unzipped); ; {
		h, err := r.Next()
		if err == io.EOF {
			return dir
		}
		if err != nil {
			t.Fatal(err)
		}
		to, mode := filepath.Join(dir, h.Name), fs.FileMode(0o644)
		if h.Name == "seal.key" {
			mode = 0o600
		}
		content, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(to, content, mode); err != nil {
			t.Fatal(err)
		}
	}
}

func credentialsIn(t *testing.T, dir string) (k seed.Credentials) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "credentials.json"))
	if err == nil {
		err = json.Unmarshal(text, &k)
	}
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// openToOthers returns the files and directories in a data directory that others may use, and how many there are.
func openToOthers(t *testing.T, dir string) (open []string, all int) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			open = append(open, path)
		}
		all++
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return open, all
}

// worksAsBefore has the users of an earlier release's server use their tokens, and see their likes.
func worksAsBefore(t *testing.T, config server.Config, k seed.Credentials) {
	t.Helper()
	srv, stop := start(t, config)
	c := client(t, nil)
	for _, u := range k.Users {
		if status, body := get(t, c, srv.URL()+"/2/users/me", u.AccessToken); status != 200 || !strings.Contains(body, u.ID.String()) {
			t.Errorf("%s: %d %s", u.Username, status, body)
		}
		if u.Username != "alice" {
			continue
		}
		liked, body := get(t, c, srv.URL()+"/2/users/"+u.ID.String()+"/liked_tweets", u.AccessToken)
		if liked != 200 || strings.Count(body, `"id":`) != 1 || !strings.Contains(body, k.Posts[0].ID.String()) {
			t.Errorf("alice likes: %d %s", liked, body)
		}
	}
	if status, body := get(t, c, srv.URL()+"/2/users/by/username/alice", k.Apps[0].BearerToken); status != 200 {
		t.Errorf("the app: %d %s", status, body)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}

// A data directory of an earlier release, of every format, serves as before, and is closed to others, which the log says.
func TestOldDataDirectories(t *testing.T) {
	t.Parallel()
	fixtures, err := filepath.Glob("../store/pebblestore/testdata/formats/*.tar.gz")
	if err != nil || len(fixtures) < 3 {
		t.Fatalf("found %v, %v", fixtures, err)
	}
	for _, path := range fixtures {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".tar.gz"), func(t *testing.T) {
			t.Parallel()
			dir := unpack(t, path)
			before := entries(t, dir)
			u, err := server.Upgrade(dir, true, slog.New(slog.DiscardHandler))
			if err != nil || u.From >= u.To || len(u.Steps) != u.To-u.From {
				t.Errorf("what is to be done: %+v, %v", u, err)
			}
			if after := entries(t, dir); len(before) != len(after) {
				t.Errorf("saying what is to be done has made files: %q, before %q", after, before)
			}
			for _, path := range append(before, dir, filepath.Join(dir, "store")) {
				if filepath.Base(path) != "seal.key" {
					if err := os.Chmod(path, 0o777); err != nil {
						t.Fatal(err)
					}
				}
			}
			var log bytes.Buffer
			worksAsBefore(t, server.Config{Data: dir, Logger: slog.New(slog.NewTextHandler(&log, nil))}, credentialsIn(t, dir))
			if open, all := openToOthers(t, dir); len(open) > 0 || all < 8 {
				t.Errorf("of %d files and directories, others may use %q", all, open)
			}
			for _, line := range []string{"was open to others, and is closed to them now", "store: upgraded"} {
				if n := strings.Count(log.String(), line); n != 1 {
					t.Errorf("the log says %q %d times, want once", line, n)
				}
			}
			u, err = server.Upgrade(dir, false, slog.New(slog.DiscardHandler))
			if err != nil || u.From != u.To || u.Release != server.ThisRelease().String() {
				t.Errorf("once it is raised: %+v, %v", u, err)
			}
		})
	}
}

// A backup that an earlier release took is restored, also over a disk's lost+found, and serves as before.
func TestOldBackup(t *testing.T) {
	t.Parallel()
	dir := unpack(t, "testdata/backup-2.tar.gz")
	data := filepath.Join(t.TempDir(), "restored")
	if err := os.MkdirAll(filepath.Join(data, "lost+found"), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := restore(t, filepath.Join(dir, "backup"), data, filepath.Join(dir, "seal.key")); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(data); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("what was restored has mode %v, %v", info.Mode(), err)
	}
	worksAsBefore(t, server.Config{Data: data}, credentialsIn(t, dir))
	if err := os.Mkdir(filepath.Join(dir, "backup", "lost+found"), 0o700); err != nil {
		t.Fatal(err)
	}
	srv, _ := start(t, server.Config{Data: data})
	if _, err := backUp(t, srv, filepath.Join(dir, "backup")); err != nil {
		t.Errorf("a backup beside lost+found: %v", err)
	}
}

// A new data directory, or the store's in it, may be a disk of its own.
func TestNewDisk(t *testing.T) {
	t.Parallel()
	for _, at := range []string{"lost+found", "store/lost+found"} {
		dir := t.TempDir()
		if err := os.MkdirAll(filepath.Join(dir, at), 0o700); err != nil {
			t.Fatal(err)
		}
		srv, stop := start(t, server.Config{Data: dir, Seed: world()})
		like(t, client(t, nil), srv.Credentials())
		if err := stop(); err != nil {
			t.Errorf("%s: %v", at, err)
		}
	}
}

// A directory that holds other things than a server's is not closed, but what the server makes in it is.
func TestDirectoryOfOthersIsLeftOpen(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	other := filepath.Join(dir, "other")
	if err := os.WriteFile(other, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		_, stop := start(t, server.Config{Data: dir, Seed: world()})
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		if open, all := openToOthers(t, dir); len(open) != 2 || open[0] != dir || open[1] != other || all < 8 {
			t.Errorf("of %d files and directories, others may use %q, want the directory and what was there", all, open)
		}
	}
}
