package server

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"liked/internal/clock"
	"liked/internal/store"
	"liked/internal/store/pebblestore"
	"liked/internal/store/pgstore"
)

// engine holds the options of a store. Only this file names the engine.
type engine struct {
	dir      string    // empty: in memory
	files    int       // limit of open ones; zero: as many as the engine takes
	cacheMiB int       // zero: the engine's own
	after    time.Time // the store gives out later positions only
	logger   *slog.Logger
	disk     diskOption
	clock    *clock.Clock // by which the log is kept; nil: it cannot be moved
	reads    bool         // a directory that cannot be written is opened for reading
}

const storeFormat = pebblestore.Format

// diskOption makes the store's disk fail, for tests. Nil: it does not.
type diskOption func(*pebblestore.Options)

func (e engine) options() pebblestore.Options {
	o := pebblestore.Options{Dir: e.dir, MaxOpenFiles: e.files, After: e.after, Logger: e.logger, Release: ThisRelease().String()}
	if e.cacheMiB != 0 {
		o.FilterBytes = e.cacheMiB << 17
		o.RowBytes = e.cacheMiB << 18
		o.CacheBytes = int64(e.cacheMiB)<<20 - int64(o.FilterBytes+o.RowBytes)
	}
	if e.clock != nil {
		o.Now, o.Sleep = e.clock.Now, e.clock.Sleep
	}
	if e.disk != nil {
		e.disk(&o)
	}
	return o
}

func (e engine) open() (store.Store, error) {
	o := e.options()
	o.ReadOnly = e.reads && e.dir != "" && !mayWrite(e.dir) // its files may be writable nonetheless
	st, err := pebblestore.Open(o)
	if e.reads && !o.ReadOnly && err != nil && denied(err) {
		o.ReadOnly = true
		st, err = pebblestore.Open(o)
	}
	if err != nil {
		return nil, err // not a nil *pebblestore.Store in a non-nil interface
	}
	return st, nil
}

func denied(err error) bool { return errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS) }

// Upgrade raises the store in a data directory that no server has open to this program's format, or with check only says
// what that takes.
func Upgrade(dir string, check bool, logger *slog.Logger) (u pebblestore.Upgrade, err error) {
	if err := notRestoring(dir); err != nil {
		return u, err
	}
	if !HasData(dir) {
		return u, fmt.Errorf("there is no data in %s: check the path", dir)
	}
	e := engine{dir: filepath.Join(dir, storeSubdir), logger: logger}
	if u, err = pebblestore.Plan(e.options()); err != nil || check {
		return u, err
	}
	st, err := e.open()
	if err != nil {
		return u, err
	}
	return u, st.Close()
}

// database is where a store in PostgreSQL is.
type database struct {
	dsn      string
	migrate  bool
	existing bool // an empty schema is refused
	logger   *slog.Logger
}

func (d database) open() (store.Store, error) {
	st, err := pgstore.Open(pgstore.Options{DSN: d.dsn, Migrate: d.migrate, Existing: d.existing, Logger: d.logger})
	if err != nil {
		return nil, fmt.Errorf("postgres: %w", err) // not a nil *pgstore.Store in a non-nil interface
	}
	return st, nil
}

// openDatabase opens a store in PostgreSQL, of which an empty schema becomes one, with the key of its secrets.
func openDatabase(d database, keyFile string) (store.Store, [32]byte, error) {
	st, err := d.open()
	if err != nil {
		return nil, [32]byte{}, err
	}
	key, err := databaseKey(st, keyFile)
	if err != nil {
		_ = st.Close() // the first error matters
		return nil, key, fmt.Errorf("seal-key: %w", err)
	}
	return st, key, nil
}

// databaseKey reads the key of a store's secrets, or makes one if the store has none. The file is there before the store
// knows its key: a server that ends in between leaves no secret that nobody can open.
func databaseKey(st store.Store, file string) (key [32]byte, err error) {
	made := false
	if key, err = readSealKey(file); errors.Is(err, fs.ErrNotExist) {
		_, _ = rand.Read(key[:]) // never fails
		err = writeSealKey(file, key)
		if made = err == nil; errors.Is(err, fs.ErrExist) { // another server has just made it
			key, err = readSealKey(file)
		}
	}
	if err != nil {
		return key, err
	}
	name := keyName(key)
	wanted, err := st.SealKey(context.Background(), name)
	if err != nil || wanted == name {
		return key, err
	}
	if made {
		_ = os.Remove(file) // it opens nothing
		return key, fmt.Errorf("%s is missing, and key %s sealed the secrets in the database: copy the file from another of its servers, "+
			"or from where it is kept", file, wanted)
	}
	return key, fmt.Errorf("%s is key %s, and key %s sealed the secrets in the database: copy the file from another of its servers, "+
		"or from where it is kept", file, name, wanted)
}

// Migrate raises the schema in a database to this release. restored says that the database was put back to an earlier
// moment: no position that readers of the like log may know is given out again. It returns the schema's version, and over how
// many shards Citus distributes it, if it does.
func Migrate(dsn string, restored bool, now time.Time, logger *slog.Logger) (version, shards int, err error) {
	o := pgstore.Options{DSN: dsn, Migrate: true, Logger: logger}
	if restored {
		o.After = now.Add(ahead)
	}
	st, err := pgstore.Open(o)
	if err != nil {
		return 0, 0, fmt.Errorf("postgres: %w", err)
	}
	return pgstore.Version, st.Shards(), st.Close()
}

// openData opens a data directory, created if missing. After a *wrongKey the store is open nonetheless.
func openData(dir string, e engine) (store.Store, [32]byte, error) {
	var seal [32]byte
	var err error
	if e.dir, seal, err = openDir(dir, e.logger); err != nil {
		return nil, seal, err
	}
	st, err := e.open()
	if err != nil {
		err = fmt.Errorf("data directory: %w", err)
		if a, readErr := readAccess(dir); readErr == nil {
			err = fmt.Errorf("%w (by %s, process %d has it open)", err, adminFile, a.PID)
		}
		return nil, seal, err
	}
	// Left by a server that was killed, or copied from one that runs. If it stays, nobody believes it.
	_ = os.Remove(filepath.Join(dir, adminFile))
	if err = checkKey(st, filepath.Join(dir, sealFile), seal); err != nil {
		if _, ok := errors.AsType[*wrongKey](err); !ok {
			_ = st.Close() // the first error matters
			st = nil
		}
	}
	return st, seal, err
}
