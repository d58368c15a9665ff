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
	"os"
	"path/filepath"

	"liked/internal/store"
)

// What stands in a data directory.
const (
	storeSubdir     = "store"
	sealFile        = "seal.key"         // 32 random bytes that seal the secrets in the store
	adminFile       = "admin.json"       // where the running server is administered; there only while it runs
	credentialsFile = "credentials.json" // what `liked dev` seeded the store with
	restoringSubdir = "restoring"        // what a restore has not finished
)

// AdminAccess is how to reach the operator's side of a running server. DIR/admin.json holds it while a server has the
// data directory open, or since one was killed.
type AdminAccess struct {
	URL   string `json:"url"`
	Token string `json:"token"`
	PID   int    `json:"pid"`
}

// ReadAdminAccess returns how to reach the server that has the directory open. The error is fs.ErrNotExist if there is
// no sign of one.
func ReadAdminAccess(dir string) (AdminAccess, error) {
	var a AdminAccess
	err := readJSON(filepath.Join(dir, adminFile), &a)
	return a, err
}

func readJSON(path string, into any) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, into); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// WriteSecret writes v as JSON to a file that only its owner can read. A reader sees the old file or the new one,
// never a part.
func WriteSecret(path string, v any) (err error) {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*") // mode 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = f.Close()
			_ = os.Remove(f.Name())
		}
	}()
	if _, err = f.Write(append(text, '\n')); err != nil {
		return err
	}
	if err = f.Sync(); err != nil {
		return err
	}
	if err = f.Close(); err != nil {
		return err
	}
	if err = os.Rename(f.Name(), path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// sealKey returns the key in the data directory, which it makes if the directory has no store yet. A key that is lost
// cannot be made again: everything that it sealed is lost with it, so that a store without its key is an error.
func sealKey(dir string, fresh bool) (key [32]byte, err error) {
	path := filepath.Join(dir, sealFile)
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		if !fresh {
			return key, fmt.Errorf("%s is missing, and the store beside it cannot be read without: restore it from a backup", path)
		}
		_, _ = rand.Read(key[:]) // never fails
		return key, writeSealKey(path, key)
	}
	if err != nil {
		return key, err
	}
	return readSealKey(path, info)
}

func readSealKey(path string, info fs.FileInfo) (key [32]byte, err error) {
	if mode := info.Mode(); !mode.IsRegular() || mode.Perm()&0o077 != 0 {
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
	copy(key[:], text)
	return key, nil
}

// writeSealKey keeps the key, unless another process just did. It is written elsewhere and linked into place, so that a
// crash leaves a whole key or none.
func writeSealKey(path string, key [32]byte) error {
	temp := path + ".new"
	_ = os.Remove(temp) // of a start that was cut short
	f, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer os.Remove(temp)
	_, err = f.Write(key[:])
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Link(temp, path); err != nil { // fails if path exists
		return err
	}
	return syncDir(filepath.Dir(path))
}

// keyName names the key without telling it.
func keyName(key [32]byte) (string, error) {
	name, err := hkdf.Key(sha256.New, key[:], nil, "liked name of the seal key", 8)
	return hex.EncodeToString(name), err
}

// wrongKey is the error of a key that did not seal the secrets in the store.
type wrongKey struct{ path, is, wanted string }

func (e *wrongKey) Error() string {
	return fmt.Sprintf("%s is damaged, or the key of another data directory: it is key %s, and the secrets in the store are "+
		"sealed with key %s; put the copy of the key back, or, if there is none, run `liked backup` on the directory and "+
		"`liked restore --new-key`", e.path, e.is, e.wanted)
}

// checkKey returns a *wrongKey unless the key is the one that seals the secrets in the store. For a new store it will be.
func checkKey(st store.Store, path string, key [32]byte) error {
	name, err := keyName(key)
	if err != nil {
		return err
	}
	wanted, err := st.SealKey(context.Background(), name)
	if err == nil && wanted != name {
		err = &wrongKey{path, name, wanted}
	}
	return err
}

// openDir makes the data directory if it is missing, and returns the place of its store and its key.
func openDir(dir string) (storeDir string, key [32]byte, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", key, fmt.Errorf("data directory: %w", err)
	}
	if _, err := os.Stat(filepath.Join(dir, restoringSubdir)); err == nil {
		return "", key, fmt.Errorf("%s is what a restore left that was cut short: remove it and restore again", dir)
	}
	storeDir = filepath.Join(dir, storeSubdir)
	_, err = os.Stat(storeDir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", key, fmt.Errorf("data directory: %w", err)
	}
	key, err = sealKey(dir, err != nil)
	return storeDir, key, err
}

// HasData reports whether the directory is one that a server made.
func HasData(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, sealFile))
	return err == nil
}
