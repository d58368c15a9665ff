//go:build unix

package main

import (
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// A directory that cannot be written is checked, exported and backed up. What would change it is refused, and so is a
// store that must be raised first.
func TestReadOnlyDirectory(t *testing.T) {
	t.Parallel()
	top := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	liked, data, old := filepath.Join(top, "liked"), filepath.Join(top, "data"), filepath.Join(top, "old")
	if err := copyFile(self, liked); err != nil {
		t.Fatal(err)
	}
	as := &syscall.SysProcAttr{}
	run := func(args ...string) (out string, err error) {
		cmd := exec.Command(liked, args...)
		cmd.SysProcAttr, cmd.Dir = as, top
		text, err := cmd.CombinedOutput()
		return string(text), err
	}
	for _, args := range [][]string{
		{"user", "add", "ada", "--name", "Ada", "--data", data},
		{"post", "add", "x", "--author", "ada", "--data", data},
	} {
		if out, err := run(args...); err != nil {
			t.Fatalf("%v: %s %v", args, out, err)
		}
	}
	if err := os.Mkdir(old, 0o700); err != nil {
		t.Fatal(err)
	}
	fixture := "../../internal/store/pebblestore/testdata/formats/3.tar.gz"
	if out, err := exec.Command("tar", "-xzf", fixture, "-C", old).CombinedOutput(); err != nil {
		t.Fatalf("tar: %s %v", out, err)
	}

	lock, err := os.OpenFile(filepath.Join(data, "store", "LOCK"), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()

	const nobody = 65534
	root := os.Getuid() == 0 // who may write anything
	for _, dir := range []string{data, old} {
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err == nil && root {
				err = os.Chown(path, nobody, nobody)
			}
			if err == nil && d.IsDir() {
				t.Cleanup(func() { _ = os.Chmod(path, 0o700) })
				return os.Chmod(path, 0o500)
			}
			if err == nil {
				err = os.Chmod(path, 0o400)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if root {
		as.Credential = &syscall.Credential{Uid: nobody, Gid: nobody}
		for dir := top; dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
			if err := os.Chmod(dir, 0o777); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, c := range []struct{ args, want string }{
		{"check --data data", "1 users, 1 posts, 0 likes"},
		{"export --data data", `"username":"ada"`},
		{"backup backup --data data", "seal.key is not in it"},
		{"restore backup --data restored --key-file data/seal.key", "1 users, 1 posts, 0 likes"},
		{"upgrade --check --data old", "format 3, to be raised to 4"},
	} {
		if out, err := run(strings.Fields(c.args)...); err != nil || !strings.Contains(out, c.want) {
			t.Errorf("liked %s: got %q, %v, want %q", c.args, out, err, c.want)
		}
	}
	for _, c := range []struct{ args, want string }{
		{"user add bob --name Bob --data data", "cannot be written, so nothing can be changed"},
		{"check --data old", "has store format 3, which this program must raise to 4"},
		{"serve --listen 127.0.0.1:0 --admin-listen 127.0.0.1:0 --data data", "permission denied"},
	} {
		if out, err := run(strings.Fields(c.args)...); err == nil || !strings.Contains(out, c.want) {
			t.Errorf("liked %s: got %q, %v, want %q", c.args, out, err, c.want)
		}
	}
	// Files that can be written change nothing: it is the directories that cannot.
	files, err := filepath.Glob(filepath.Join(top, "*", "store", "*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no files: %v", err)
	}
	for _, file := range files {
		if err := os.Chmod(file, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := run("check", "--data", "data"); err != nil || out != "1 users, 1 posts, 0 likes, 0 log entries, 0 problems\n" {
		t.Errorf("with files that can be written: got %q, %v", out, err)
	}
	if out, err := run("check", "--data", "old"); err == nil || !strings.Contains(out, "which this program must raise to 4") {
		t.Errorf("an old store, with files that can be written: got %q, %v", out, err)
	}

	// As a server does that may write the directory.
	if err := syscall.FcntlFlock(lock.Fd(), syscall.F_SETLK, &syscall.Flock_t{Type: syscall.F_WRLCK, Whence: io.SeekStart}); err != nil {
		t.Fatal(err)
	}
	if out, err := run("check", "--data", "data"); err == nil || !strings.Contains(out, "is in use by another process") {
		t.Errorf("beside a process that writes: got %q, %v", out, err)
	}
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY, 0o755)
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, in); err != nil {
		return err
	}
	return out.Close()
}
