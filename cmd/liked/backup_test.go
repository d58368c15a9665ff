package main

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"liked/internal/backup"
)

// Two processes do not write one backup. The second is told so, and spoils nothing.
func TestBackupElsewhere(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	data, whole := filepath.Join(dir, "data"), filepath.Join(dir, "backup")
	run := func(args ...string) (string, error) {
		out, err := exec.Command("liked", args...).CombinedOutput()
		return string(out), err
	}
	if out, err := run("user", "add", "ada", "--name", "Ada", "--data", data); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	target, err := backup.Into(t.Context(), whole, func(int) {})
	if err != nil {
		t.Fatal(err)
	}
	if out, err := run("backup", whole, "--data", data); err == nil || !strings.Contains(out, "another backup into "+whole+" is under way") {
		t.Errorf("while this process has the directory: %v\n%s", err, out)
	}
	target.Abandon()
	if out, err := run("backup", whole, "--data", data); err != nil {
		t.Errorf("afterwards: %v\n%s", err, out)
	}
}
