//go:build unix

package pebblestore

import (
	"io"
	"os"
	"syscall"
)

// lockShared fails with EAGAIN while a process has pebble's lock of the file.
func lockShared(f *os.File) error {
	return syscall.FcntlFlock(f.Fd(), syscall.F_SETLK, &syscall.Flock_t{Type: syscall.F_RDLCK, Whence: io.SeekStart})
}
