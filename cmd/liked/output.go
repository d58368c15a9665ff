package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// writeTo has write write to what path names; "-" is standard output. A file appears once it is whole: a new one that only
// its owner can read, or one in place of the file that was there, with its mode. What is no regular file, such as a device
// or a pipe, is written into.
func (e *env) writeTo(path string, write func(io.Writer) error) error {
	if path == "-" {
		return write(e.stdout)
	}
	into := false
	mode := fs.FileMode(0o600)
	info, err := os.Stat(path)
	switch {
	case err == nil:
		into, mode = !info.Mode().IsRegular(), info.Mode().Perm()
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	for !into { // a link stays, and leads to what is written; an open file of this process stays, too
		into = strings.HasPrefix(path, "/dev/fd/") || strings.HasPrefix(path, "/dev/std") || strings.HasPrefix(path, "/proc/")
		target, err := os.Readlink(path)
		if err != nil || into {
			break
		}
		if !filepath.IsAbs(target) {
			target = filepath.Join(filepath.Dir(path), target)
		}
		path = target
	}
	var f *os.File
	if into {
		f, err = os.OpenFile(path, os.O_WRONLY, 0)
	} else {
		f, err = os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	}
	if err != nil {
		return err
	}
	if into {
		return errors.Join(write(f), f.Close())
	}
	defer os.Remove(f.Name()) // fails after the rename
	if err := errors.Join(write(f), f.Chmod(mode), f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("%s was not written: %w", path, err)
	}
	return os.Rename(f.Name(), path)
}
