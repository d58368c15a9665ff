package pebblestore

import (
	"fmt"
	"runtime"
	"strings"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// failStopFS keeps a failing disk from ending the process or, worse, from being written to again.
//
// Pebble cannot go on after a failed write to its write-ahead log or manifest, or a failed sync of its directory.
// Depending on the place it panics in its own goroutine, panics while a mutex is unlocked that a deferred call unlocks
// again (which cannot be recovered), or calls Fatalf. So pebble never gets such a file system error: the store fails, which
// answers Open and all waiting calls, and the goroutine that met the error blocks for good. What it was writing is neither
// acknowledged nor written again.
//
// Errors of table files pass, since pebble retries flushes and compactions; so do those of files elsewhere (a backup's
// copy).
type failStopFS struct {
	vfs.FS
	dir      string
	fail     func(error)
	throttle *throttle // of table files; nil: not throttled
}

func (g *failStopFS) check(op, name string, err error) {
	if err == nil {
		return
	}
	g.fail(fmt.Errorf("%s %s: %w", op, name, err))
	select {}
}

// critical reports whether pebble needs the file to go on.
func (g *failStopFS) critical(name string) bool {
	base := g.PathBase(name)
	return g.PathDir(name) == g.dir &&
		(strings.HasSuffix(base, ".log") || strings.HasPrefix(base, "MANIFEST-") || strings.HasPrefix(base, "marker."))
}

func (g *failStopFS) Unwrap() vfs.FS { return g.FS }

func (g *failStopFS) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := g.FS.Create(name, category)
	return g.file("create", name, f, err)
}

func (g *failStopFS) ReuseForWrite(oldname, newname string, category vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := g.FS.ReuseForWrite(oldname, newname, category)
	return g.file("reuse", newname, f, err)
}

func (g *failStopFS) file(op, name string, f vfs.File, err error) (vfs.File, error) {
	if !g.critical(name) {
		if err == nil && g.throttle != nil && strings.HasSuffix(name, ".sst") {
			f = g.throttle.table(f)
		}
		return f, err
	}
	g.check(op, name, err)
	if err != nil {
		return nil, err
	}
	return &failStopFile{File: f, fs: g, name: name}, nil
}

func (g *failStopFS) OpenDir(name string) (vfs.File, error) {
	f, err := g.FS.OpenDir(name)
	if err != nil || name != g.dir {
		return f, err
	}
	return &failStopFile{File: f, fs: g, name: name}, nil
}

// failStopFile is the write-ahead log, the manifest, a marker, or the directory.
type failStopFile struct {
	vfs.File
	fs   *failStopFS
	name string
}

func (f *failStopFile) met(op string, err error) error {
	f.fs.check(op, f.name, err)
	return err
}

func (f *failStopFile) Write(p []byte) (int, error) {
	n, err := f.File.Write(p)
	return n, f.met("write", err)
}

func (f *failStopFile) WriteAt(p []byte, off int64) (int, error) {
	n, err := f.File.WriteAt(p, off)
	return n, f.met("write", err)
}

func (f *failStopFile) Stat() (vfs.FileInfo, error) {
	info, err := f.File.Stat()
	return info, f.met("stat", err)
}

func (f *failStopFile) SyncTo(length int64) (bool, error) {
	full, err := f.File.SyncTo(length)
	return full, f.met("sync", err)
}

func (f *failStopFile) Preallocate(offset, length int64) error {
	return f.met("preallocate", f.File.Preallocate(offset, length))
}

func (f *failStopFile) Sync() error     { return f.met("sync", f.File.Sync()) }
func (f *failStopFile) SyncData() error { return f.met("sync", f.File.SyncData()) }
func (f *failStopFile) Close() error    { return f.met("close", f.File.Close()) }

type pebbleLogger struct{ s *Store }

var _ pebble.Logger = pebbleLogger{}

func (pebbleLogger) Infof(string, ...any) {}

func (l pebbleLogger) Errorf(format string, args ...any) {
	l.s.log.Error("store: " + fmt.Sprintf(format, args...))
}

// Fatalf must not return. It fails the store and ends the goroutine, so that deferred calls release its locks; pebble's
// default ends the process.
func (l pebbleLogger) Fatalf(format string, args ...any) {
	l.s.fail(fmt.Errorf(format, args...))
	runtime.Goexit()
}
