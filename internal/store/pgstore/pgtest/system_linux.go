package pgtest

import (
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// mountMemory makes the directory a disk of that many bytes.
func mountMemory(dir string, bytes int) error {
	return unix.Mount("liked", dir, "tmpfs", 0, fmt.Sprintf("size=%d", bytes))
}

func unmount(dir string) error { return unix.Unmount(dir, 0) }

// enterNetwork has the thread work in the network namespace from now on.
func enterNetwork(namespace *os.File) error {
	return unix.Setns(int(namespace.Fd()), unix.CLONE_NEWNET)
}

// endWithThread has a program end with the thread that starts it.
func endWithThread(a *syscall.SysProcAttr) { a.Pdeathsig = syscall.SIGQUIT }
