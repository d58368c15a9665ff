package server

import (
	"context"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"

	"liked/internal/backup"
	"liked/internal/store"
)

// Names in a data directory.
const (
	storeSubdir     = "store"
	sealFile        = "seal.key"         // 32 random bytes that seal the secrets in the store
	adminFile       = "admin.json"       // access to the running server; only while it runs
	credentialsFile = "credentials.json" // what `liked dev` seeded the store with
	restoringSubdir = "restoring"        // an unfinished restore
)

// WriteSecret writes v as JSON to a file that only its owner can read, replacing an existing one.
func WriteSecret(path string, v any) error {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	return writeFile(path, append(text, '\n'), os.Rename)
}

// writeFile writes a file that only its owner can read. Neither a reader nor a crash sees a part of it. place is
// os.Rename, or os.Link, which fails if the file exists.
func writeFile(path string, text []byte, place func(from, to string) error) error {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, "."+filepath.Base(path)+"-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // unless it has been renamed
	_, err = f.Write(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := place(f.Name(), path); err != nil {
		return err
	}
	return syncDir(dir)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// sealKey returns the directory's key, created if there is no store yet. Without its key a store is useless.
func sealKey(dir string, fresh bool) (key [32]byte, err error) {
	path := filepath.Join(dir, sealFile)
	if key, err = readSealKey(path); !errors.Is(err, fs.ErrNotExist) {
		return key, err
	}
	if !fresh {
		return key, fmt.Errorf("%s is missing, and the store beside it cannot be read without: restore it from a backup", path)
	}
	_, _ = rand.Read(key[:]) // never fails
	return key, writeSealKey(path, key)
}

func readSealKey(path string) (key [32]byte, err error) {
	info, err := os.Stat(path)
	if err != nil {
		return key, err
	}
	switch mode := info.Mode(); {
	case !mode.IsRegular():
		return key, fmt.Errorf("%s is not a file", path)
	case mode.Perm()&0o077 != 0:
		return key, fmt.Errorf("%s has mode %v and may have been read by others: "+
			"chmod 600 it, and replace the apps' secrets if they were", path, mode)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return key, err
	}
	if len(text) != len(key) {
		return key, fmt.Errorf("%s has %d bytes, not %d: restore it from a backup", path, len(text), len(key))
	}
	return [32]byte(text), nil
}

// writeSealKey fails if another process has just made a key.
func writeSealKey(path string, key [32]byte) error { return writeFile(path, key[:], os.Link) }

// keyName identifies the key without revealing it.
func keyName(key [32]byte) string {
	return hex.EncodeToString(derive(key, "liked name of the seal key", 8))
}

// derive returns a secret of size bytes, at most a few hundred, for the purpose that info names.
func derive(key [32]byte, info string, size int) []byte {
	secret, err := hkdf.Key(sha256.New, key[:], nil, info, size)
	if err != nil { // larger sizes only
		panic(err)
	}
	return secret
}

type wrongKey struct{ path, is, wanted string }

func (e *wrongKey) Error() string {
	return fmt.Sprintf("%s is damaged, or the key of another data directory: it is key %s, and key %s sealed the secrets in the store; "+
		"put the copy of the key back, or, if there is none, run `liked backup` on the directory and `liked restore --new-key`",
		e.path, e.is, e.wanted)
}

// checkKey returns a *wrongKey unless the key sealed the store's secrets, or will, in a new store.
func checkKey(st store.Store, path string, key [32]byte) error {
	name := keyName(key)
	wanted, err := st.SealKey(context.Background(), name)
	if err == nil && wanted != name {
		err = &wrongKey{path, name, wanted}
	}
	return err
}

// openDir creates the data directory if missing, and closes it to others. It returns its store's directory and its key.
func openDir(dir string, logger *slog.Logger) (storeDir string, key [32]byte, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", key, fmt.Errorf("data directory: %w", err)
	}
	if err := notRestoring(dir); err != nil {
		return "", key, err
	}
	if mended, err := closeToOthers(dir); err != nil {
		logger.Warn("the data directory is open to others, and cannot be closed to them", "dir", dir, "err", err)
	} else if mended > 0 {
		logger.Warn("the data directory was open to others, and is closed to them now", "dir", dir, "files", mended)
	}
	storeDir = filepath.Join(dir, storeSubdir)
	kept, err := held(storeDir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", key, fmt.Errorf("data directory: %w", err)
	}
	key, err = sealKey(dir, len(kept) == 0)
	return storeDir, key, err
}

// held returns what is in a directory, but for what a new file system has.
func held(dir string) ([]fs.DirEntry, error) {
	entries, err := os.ReadDir(dir)
	return slices.DeleteFunc(entries, func(e fs.DirEntry) bool { return e.Name() == backup.LostAndFound }), err
}

// notRestoring returns an error if a restore into the directory was interrupted.
func notRestoring(dir string) error {
	if _, err := os.Stat(filepath.Join(dir, restoringSubdir)); err == nil {
		return fmt.Errorf("%s is what a restore left that was cut short: remove it and restore again", dir)
	}
	return nil
}

// HasData reports whether a server made the directory.
func HasData(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, sealFile))
	return err == nil
}
