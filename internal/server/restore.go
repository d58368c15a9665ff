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

// ahead is how far positions of likes may be ahead of the clock, as an import allows.
const ahead = 5 * time.Minute

// Restore makes a data directory, which must be empty or missing, from a backup. keyFile is a copy of the backed-up
// directory's seal.key; if empty, a new key is made, which opens no secret in the store. No server opens the directory
// before its store has passed the check. progress gets the number of bytes copied. After an error the directory is as
// it was.
//
// A backup does not know which positions of the like log were given out after it. The restored store gives out none
// before now, so a reader that continues from its last position misses nothing.
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
	// While restoring exists, no server opens the directory.
	for _, name := range []string{sealFile, storeSubdir} {
		if err := os.Rename(filepath.Join(restoring, name), filepath.Join(dir, name)); err != nil {
			return report, err
		}
	}
	return report, errors.Join(syncDir(dir), os.Remove(restoring), syncDir(dir))
}

// restoredKey reads the key from keyFile, which must be the backup's, or makes a new one.
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

func emptyDir(dir string) (made bool, err error) {
	entries, err := held(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return true, os.MkdirAll(dir, 0o700)
	}
	if err == nil {
		err = notRestoring(dir)
	}
	if err == nil && len(entries) == 0 {
		_, _ = closeToOthers(dir) // a server says if it cannot
	}
	if err == nil && len(entries) > 0 {
		err = fmt.Errorf("%s is not empty, it holds %s: nothing is restored over something else; choose another directory",
			dir, entries[0].Name())
	}
	return false, err
}

// prove opens the store and checks it, and checks the name of its key, or sets a new one.
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
	return r, err
}
