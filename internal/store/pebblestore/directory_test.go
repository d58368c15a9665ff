package pebblestore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"liked"
	"liked/internal/store"
)

// What the store makes is its owner's alone: its directory, tables, logs, and the copy of a backup.
func TestFilesAreClosedToOthers(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "new", "store")
	s := open(t, Options{Dir: dir})
	fill(t, s)
	ok(t, s.db.Flush())
	files := 0
	closed := func() {
		ok(t, filepath.WalkDir(filepath.Dir(dir), func(path string, d fs.DirEntry, err error) error {
			ok(t, err)
			info, err := d.Info()
			ok(t, err)
			if files++; info.Mode().Perm()&0o077 != 0 {
				t.Errorf("%s has mode %v", path, info.Mode())
			}
			return nil
		}))
	}
	ok(t, s.Backup(context.Background(), func([]store.File) error { closed(); return nil }))
	ok(t, s.Close())
	closed()
	if files < 20 {
		t.Errorf("there are %d files, which is too few to have tested anything", files)
	}
}

// A directory that cannot be written is read: checked, exported, backed up. What would change it is refused.
func TestReadOnly(t *testing.T) {
	t.Parallel()
	ctx, disk := context.Background(), vfs.NewCrashableMem()
	s := open(t, testOptions(disk))
	fill(t, s)
	name, err := s.SealKey(ctx, "the key")
	ok(t, err)
	disk = disk.CrashClone(vfs.CrashCloneCfg{}) // as a kill leaves it
	ok(t, s.Close())
	o := testOptions(errorfs.Wrap(disk, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind.ReadOrWrite() == errorfs.OpIsWrite && op.Path != "data/LOCK" { // a lock without a file, here
			t.Errorf("%v %s", op.Kind, op.Path)
			return errorfs.ErrInjected
		}
		return nil
	})))
	o.ReadOnly = true
	s = open(t, o)
	if r := proven(t, s); r.Users != 4 || r.Likes != 2 {
		t.Errorf("Check: got %+v", r)
	}
	records := 0
	ok(t, s.Export(ctx, func(store.Record) error { records++; return nil }))
	if records != 11 {
		t.Errorf("Export: got %d records, want 11", records)
	}
	if kept, err := s.SealKey(ctx, "another"); err != nil || kept != name {
		t.Errorf("SealKey: got %q, %v", kept, err)
	}
	files, err := copied(t, s)
	ok(t, err)
	for name, change := range map[string]func() error{
		"SetLike":  func() error { _, err := s.SetLike(ctx, 3, 2, true, noon); return err },
		"AddUser":  func() error { return s.AddUser(ctx, liked.User{ID: 9, Username: "y", Name: "x"}) },
		"UseNonce": func() error { _, err := s.UseNonce(ctx, noon, 1, store.Hash{}, noon); return err },
		"Import": func() error {
			_, err := s.Import(ctx, []store.Record{{User: &liked.User{ID: 9, Username: "y", Name: "x"}}}, true)
			return err
		},
	} {
		if err := change(); !errors.Is(err, errReadOnly) {
			t.Errorf("%s: got error %v, want %v", name, err, errReadOnly)
		}
	}
	proven(t, s)
	ok(t, s.Close())

	s = open(t, testOptions(diskWith(t, files)))
	if r := proven(t, s); r.Users != 4 || r.Likes != 2 {
		t.Errorf("Check of the backup: got %+v", r)
	}
	ok(t, s.Close())
}

// One process reads a directory that another has open only if that one reads, too.
func TestReadOnlyIsShared(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ok(t, open(t, Options{Dir: dir}).Close())
	s := open(t, Options{Dir: dir, ReadOnly: true})
	ok(t, open(t, Options{Dir: dir, ReadOnly: true}).Close())
	ok(t, s.Close())
	ok(t, os.Remove(filepath.Join(dir, "LOCK"))) // a copy may lack it
	ok(t, open(t, Options{Dir: dir, ReadOnly: true}).Close())
	if entries, err := os.ReadDir(dir); err != nil || len(entries) < 4 {
		t.Errorf("got files %v, %v", fmt.Sprint(entries), err)
	}
}
