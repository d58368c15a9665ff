//go:build unix

package main

import (
	"io"
	"os"
	"syscall"
)

// lock fails while another process has locked the file.
func lock(f *os.File) error {
	return syscall.FcntlFlock(f.Fd(), syscall.F_SETLK, &syscall.Flock_t{Type: syscall.F_WRLCK, Whence: io.SeekStart})
}

// ownFiles lets this process use the files that it makes, whatever the umask.
func ownFiles() { syscall.Umask(syscall.Umask(0) &^ 0o700) }
