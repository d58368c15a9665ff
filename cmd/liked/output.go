package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// writeTo has write write to what path names; "-" is standard output. A file appears once it is whole: a new one that only
// its owner can read, or one in place of the file that was there, with its mode. What is no regular file, such as a device
// or a pipe, is written into, and so is a file that cannot be replaced: one that is mounted, or whose directory may not be
// written.
func (e *env) writeTo(path string, write func(io.Writer) error) error {
	switch path {
	case "":
		return errors.New("the name of the file is empty; - is standard output")
	case "-":
		return write(e.stdout)
	}
	path, file, err := resolve(path)
	if err != nil {
		return err
	}
	if file == nil {
		return writeInto(path, 0, write)
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		if file.exists && errors.Is(err, fs.ErrPermission) {
			return writeInto(path, os.O_TRUNC, write)
		}
		if wrapped, ok := errors.AsType[*fs.PathError](err); ok { // of a name that nobody gave
			err = wrapped.Err
		}
		return fmt.Errorf("%s cannot be made: %w", path, err)
	}
	defer os.Remove(f.Name()) // fails after the rename
	defer f.Close()
	if err := errors.Join(write(f), f.Chmod(file.mode), f.Sync()); err != nil {
		return fmt.Errorf("%s was not written: %w", path, err)
	}
	err = os.Rename(f.Name(), path)
	if errors.Is(err, syscall.EBUSY) { // it is mounted
		err = writeInto(path, os.O_TRUNC, func(w io.Writer) error {
			_, err := io.Copy(w, io.NewSectionReader(f, 0, math.MaxInt64))
			return err
		})
	}
	return err
}

func writeInto(path string, flag int, write func(io.Writer) error) error {
	f, err := os.OpenFile(path, os.O_WRONLY|flag, 0)
	if err != nil {
		return err
	}
	return errors.Join(write(f), f.Close())
}

// regular is a regular file, or a place for one.
type regular struct {
	exists bool
	mode   fs.FileMode
}

// resolve follows links, which stay, to what is written. file is nil if that is no regular file, or one that this process
// has open.
func resolve(path string) (target string, file *regular, err error) {
	file = &regular{mode: 0o600}
	info, err := os.Stat(path)
	switch {
	case err == nil && !info.Mode().IsRegular():
		return path, nil, nil
	case err == nil:
		file = &regular{true, info.Mode().Perm()}
	case !errors.Is(err, fs.ErrNotExist):
		return path, nil, err
	}
	for {
		if strings.HasPrefix(path, "/dev/fd/") || strings.HasPrefix(path, "/dev/std") ||
			strings.HasPrefix(path, "/proc/") && filepath.Base(filepath.Dir(path)) == "fd" {
			return path, nil, nil
		}
		link, err := os.Readlink(path)
		if err != nil {
			return path, file, nil
		}
		if !filepath.IsAbs(link) {
			link = filepath.Join(filepath.Dir(path), link)
		}
		path = link
	}
}

// lockFile opens and locks the regular file that path leads to, if there is one that may be written. The lock lasts until
// f is closed. free: no other process has it.
func lockFile(path string) (f *os.File, free bool) {
	target, file, err := resolve(path)
	if err != nil || file == nil || !file.exists {
		return nil, true
	}
	if f, err = os.OpenFile(target, os.O_RDWR, 0); err != nil {
		return nil, true
	}
	return f, lock(f) == nil
}

// removeFile removes the regular file that path leads to, if there is one and only is nil or that file. One that cannot be
// removed, because it is mounted, is emptied.
func removeFile(path string, only fs.FileInfo) error {
	target, file, err := resolve(path)
	if err != nil || file == nil || !file.exists {
		return err
	}
	if now, err := os.Stat(target); only != nil && (err != nil || !os.SameFile(only, now)) {
		return nil
	}
	if err = os.Remove(target); err != nil && os.Truncate(target, 0) == nil {
		return nil
	}
	return err
}
