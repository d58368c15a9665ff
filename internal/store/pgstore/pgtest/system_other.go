//go:build !linux

package pgtest

import (
	"os"
	"syscall"
)

func mountMemory(string, int) error { return syscall.EPERM }

func unmount(string) error { return nil }

func enterNetwork(*os.File) error { return syscall.EPERM }

// endWithThread leaves a program running that a test binary has started, if that is killed.
func endWithThread(*syscall.SysProcAttr) {}
