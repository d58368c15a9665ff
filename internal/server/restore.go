package server

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"liked/internal/admin"
	"liked/internal/backup"
)

// ahead is how far before the clock the positions of likes may be: an import may bring likes from so far in the future.
const ahead = 5 * time.Minute

// Restore makes a data directory, which must be empty or missing, of a backup. keyFile is a copy of the seal.key of the
// directory that was backed up; without one a new key is made, which opens none of the secrets in the store. No server takes
// the directory before its store has proven that it agrees with itself. progress is told how many bytes were copied. After an
// error the directory is as it was.
//
// The backup does not know which positions of the like log were given out after it. The restored store gives none before now,
// so that a reader that goes on from the last position that it knows misses nothing.
func Restore(
	ctx context.Context, from *backup.Backup, dir, keyFile string, now time.Time, progress func(n int),
) (report admin.Report, err error) {
	key, err := restoredKey(from, keyFile)
	if err != nil {
		return report, err
	}
	made, err := emptyDir(dir)
	if err != nil {
		return report, err
	}
	restoring := filepath.Join(dir, restoringSubdir)
	storeDir := filepath.Join(restoring, storeSubdir)
	defer func() {
		if err != nil {
			for _, name := range []string{sealFile, storeSubdir, restoringSubdir} { // nothing else was there
				_ = os.RemoveAll(filepath.Join(dir, name))
			}
			if made {
				_ = os.Remove(dir)
			}
		}
	}()
	if err := os.MkdirAll(storeDir, 0o700); err != nil {
		return report, err
	}
	if err := errors.Join(syncDir(restoring), syncDir(dir), syncDir(filepath.Dir(dir))); err != nil {
		return report, err
	}
	if err := from.CopyTo(ctx, storeDir, progress); err != nil {
		return report, err
	}
	if report, err = prove(ctx, storeDir, keyName(key), keyFile == "", now); err != nil {
		return report, err
	}
	if err := writeSealKey(filepath.Join(restoring, sealFile), key); err != nil {
		return report, err
	}
	// As long as restoring is there, no server takes the directory.
	for _, name := range []string{sealFile, storeSubdir} {
		if err := os.Rename(filepath.Join(restoring, name), filepath.Join(dir, name)); err != nil {
			return report, err
		}
	}
	return report, errors.Join(syncDir(dir), os.Remove(restoring), syncDir(dir))
}

// restoredKey returns the key of the restored directory.
func restoredKey(from *backup.Backup, keyFile string) (key [32]byte, err error) {
	if keyFile == "" {
		_, _ = rand.Read(key[:]) // never fails
		return key, nil
	}
	key, err = readSealKey(keyFile)
	if name := keyName(key); err == nil && name != from.Key {
		err = fmt.Errorf("%s is the key of another data directory (it is key %s, and the backup needs key %s)", keyFile, name, from.Key)
	}
	return key, err
}

// emptyDir makes the directory, or sees that nothing is in it.
func emptyDir(dir string) (made bool, err error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return true, os.MkdirAll(dir, 0o700)
	}
	if err == nil {
		err = notRestoring(dir)
	}
	if err == nil && len(entries) > 0 {
		err = fmt.Errorf("%s is not empty, it holds %s: nothing is restored over something else; choose another directory",
			dir, entries[0].Name())
	}
	return false, err
}

// prove opens the store and has it agree with itself, and with the name of its key unless that is new.
func prove(ctx context.Context, dir, key string, newKey bool, now time.Time) (admin.Report, error) {
	st, err := engine{dir: dir, after: now.Add(ahead)}.open()
	if err != nil {
		return admin.Report{}, fmt.Errorf("the backup does not open: %w; restore another", err)
	}
	wanted := key
	if newKey {
		err = st.SetSealKey(ctx, key)
	} else {
		wanted, err = st.SealKey(ctx, key)
	}
	if err == nil && wanted != key {
		err = fmt.Errorf("the backup disagrees with itself: it says key %s, and its secrets are sealed with key %s; restore another", key, wanted)
	}
	if err != nil {
		return admin.Report{}, errors.Join(err, st.Close())
	}
	r, err := st.Check(ctx)
	if err = errors.Join(err, st.Close()); err == nil && len(r.Problems) > 0 {
		err = fmt.Errorf("the backup disagrees with itself, restore another:\n%s", strings.Join(r.Problems, "\n"))
	}
	return admin.Report(r), err
}
