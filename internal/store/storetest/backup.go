package storetest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"time"

	"liked"
	"liked/internal/store"
)

var backupTests = []test{
	{"a copy taken under load is one moment", backupUnderLoad},
	{"a backup does not wait for another", twoBackups},
	{"what is fixed stays", fixedFiles},
}

// backup is how the store is backed up.
func (t *T) backup(s store.Store) func(context.Context, func([]store.File) error) error {
	return s.(store.Backup).Backup
}

// copy backs up the store, having called begun once the copy is made.
func (t *T) copy(s store.Store, begun func([]store.File)) (map[string][]byte, error) {
	copied := make(map[string][]byte)
	err := t.backup(s)(t.ctx, func(files []store.File) error {
		if begun != nil {
			begun(files)
		}
		for _, file := range files {
			f, err := file.Open()
			if err != nil {
				return err
			}
			content, err := io.ReadAll(f)
			if err = errors.Join(err, f.Close()); err != nil {
				return &liked.Error{Kind: liked.Unavailable, Msg: file.Name, Err: err}
			}
			if int64(len(content)) != file.Size {
				t.Errorf("%s: got %d bytes, want %d", file.Name, len(content), file.Size)
			}
			copied[file.Name] = content
		}
		return nil
	})
	return copied, err
}

// backupUnderLoad holds a copy to what it may and must have: all that was acknowledged before the call, and of what came
// later only what had begun when the copy was there, each thing whole.
func backupUnderLoad(t *T) {
	s := t.open()
	var l load
	l.prepare(t, s)
	l.run(t, s, t.rng)
	for range repeat(8) {
		time.Sleep(time.Duration(t.rng.IntN(20_000)) * time.Microsecond)
		least := l.certain()
		var most map[*tracked]int64
		files, err := t.copy(s, func([]store.File) { most = l.begun() })
		t.ok(err)
		restored := t.restore(t, files)
		l.verify(t, restored, least, most)
		t.like(restored, 12, 1, true, true) // it goes on
		t.check(restored)
		t.ok(restored.Close())
	}
	l.halt()
	if n := l.fans.acknowledged.Load(); n == 0 {
		t.Error("the load did nothing")
	}
	// A copy of a copy is as good.
	files, err := t.copy(s, nil)
	t.ok(err)
	restored := t.restore(t, files)
	t.end(restored)
	files, err = t.copy(restored, nil)
	t.ok(err)
	again := t.restore(t, files)
	t.end(again)
	l.verify(t, again, l.certain(), l.begun())
}

func twoBackups(t *T) {
	s := t.open()
	t.people(s, 1)
	enough := errors.New("enough")
	err := t.backup(s)(t.ctx, func(first []store.File) error {
		t.ok(s.AddUser(t.ctx, newUser(2))) // others go on
		second, err := t.copy(s, nil)
		t.ok(err)
		restored := t.restore(t, second)
		_, err = restored.User(t.ctx, uid(2))
		t.ok(err)
		t.end(restored)
		for _, file := range first { // it lasts longer than the second
			f, err := file.Open()
			t.ok(err)
			t.ok(f.Close())
		}
		return enough
	})
	same(t, "error of use", err, enough)
	if _, err := t.copy(s, nil); err != nil {
		t.Errorf("the next backup: got error %v", err)
	}
	ended, end := context.WithCancel(t.ctx)
	end()
	same(t, "error after ctx", t.backup(s)(ended, func([]store.File) error { return nil }), context.Canceled)
	t.ok(s.Close())
	t.fails(t.backup(s)(t.ctx, func([]store.File) error { return nil }), liked.Unavailable)
}

// fixedFiles compares the fixed files of one backup after the other, with much being written in between, until there were
// some: an engine may put off to write them.
func fixedFiles(t *T) {
	s := t.open()
	seen := make(map[string][]byte)
	again := 0
	for round := 0; round < repeat(8) || again == 0 && round < 100; round++ {
		var records []store.Record
		for n := range 1000 {
			u := newUser(round*1000 + n + 1)
			u.Description = strings.Repeat("x", 160)
			records = append(records, store.Record{User: &u})
		}
		_, err := s.Import(t.ctx, records, false)
		t.ok(err)
		for range 2 {
			fixed := make(map[string]bool)
			files, err := t.copy(s, func(f []store.File) {
				for _, f := range f {
					fixed[f.Name] = f.Fixed
				}
			})
			t.ok(err)
			for name, content := range files {
				if !fixed[name] {
					continue
				}
				before, ok := seen[name]
				if ok {
					again++
				}
				if ok && !bytes.Equal(before, content) {
					t.Errorf("%s has changed", name)
				}
				seen[name] = content
			}
		}
	}
	if again == 0 {
		t.Error("no fixed file was in two backups")
	}
}
