//go:build unix

package main

import (
	"io"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// lock fails while another process has locked the file.
func lock(f *os.File) error {
	return syscall.FcntlFlock(f.Fd(), syscall.F_SETLK, &syscall.Flock_t{Type: syscall.F_WRLCK, Whence: io.SeekStart})
}

// ownFiles lets this process use the files that it makes, whatever the umask.
func ownFiles() { syscall.Umask(syscall.Umask(0) &^ 0o700) }

// typed are the signals that a terminal sends to all that run in its foreground, untyped those that a program may await
// beside.
var (
	typed   = []os.Signal{syscall.SIGINT, syscall.SIGQUIT}
	untyped = []os.Signal{syscall.SIGTERM, syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGUSR2}
)

// isForeground reports whether this process is in the foreground of the terminal.
func isForeground(f *os.File) bool {
	group, err := unix.IoctlGetInt(int(f.Fd()), unix.TIOCGPGRP)
	return err == nil && group == unix.Getpgrp()
}
