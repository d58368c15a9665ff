//go:build unix

package server

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"syscall"
)

// openFiles returns the limit of open files. Go has raised the soft limit to the hard one.
func openFiles() uint64 {
	var r syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &r); err != nil {
		return math.MaxUint64
	}
	return uint64(r.Cur)
}

// mayWrite reports whether files can be made in a directory, as far as its rights and its file system say.
func mayWrite(dir string) bool {
	const write = 2
	err := syscall.Access(dir, write)
	return err == nil || !denied(err)
}

// identity tells a directory from its copies, under whatever path.
func identity(dir string) string {
	info, err := os.Stat(dir)
	if err != nil {
		return ""
	}
	st := info.Sys().(*syscall.Stat_t)
	return fmt.Sprint(st.Dev, " ", st.Ino)
}

// closeToOthers takes the rights of others away from the data directory and what a server keeps in it, and returns how
// many files and directories had some. The directory itself is left as it is if something else is in it, and the key: one
// that others may have read is refused.
func closeToOthers(dir string) (mended int, err error) {
	if dir, err = filepath.EvalSymlinks(dir); err != nil {
		return 0, err
	}
	kept, err := held(dir)
	if err != nil {
		return 0, err
	}
	ours := []string{sealFile, adminFile, credentialsFile, storeSubdir, restoringSubdir}
	if !slices.ContainsFunc(kept, func(e fs.DirEntry) bool { return !slices.Contains(ours, e.Name()) }) {
		mended, err = closeOne(dir)
	}
	for _, name := range []string{adminFile, credentialsFile, storeSubdir} {
		err = errors.Join(err, filepath.WalkDir(filepath.Join(dir, name), func(path string, _ fs.DirEntry, err error) error {
			n := 0
			if err == nil {
				n, err = closeOne(path)
			}
			if mended += n; errors.Is(err, fs.ErrNotExist) { // not there yet, or not any longer
				return nil
			}
			return err
		}))
	}
	return mended, err
}

func closeOne(path string) (mended int, err error) {
	info, err := os.Lstat(path)
	if err != nil || info.Mode().Perm()&0o077 == 0 || !info.IsDir() && !info.Mode().IsRegular() {
		return 0, err
	}
	return 1, os.Chmod(path, info.Mode().Perm()&0o700)
}
