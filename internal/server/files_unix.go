//go:build unix

package server

import (
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"
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

// closeToOthers takes the rights of others away from the data directory and what a server keeps in it, and returns how
// many files and directories had some. The key is left as it is: one that others may have read is refused.
func closeToOthers(dir string) (mended int, err error) {
	mend := func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil || info.Mode().Perm()&0o077 == 0 || !info.IsDir() && !info.Mode().IsRegular() {
			return err
		}
		mended++
		return os.Chmod(path, info.Mode().Perm()&0o700)
	}
	if dir, err = filepath.EvalSymlinks(dir); err != nil {
		return 0, err
	}
	for _, name := range []string{"", adminFile, credentialsFile, storeSubdir} {
		walked := filepath.WalkDir(filepath.Join(dir, name), func(path string, d fs.DirEntry, walked error) error {
			if errors.Is(walked, fs.ErrNotExist) { // removed meanwhile, or not there yet
				return nil
			}
			if walked = mend(path, d, walked); walked == nil && name == "" {
				return fs.SkipAll
			}
			return walked
		})
		err = errors.Join(err, walked)
	}
	return mended, err
}
