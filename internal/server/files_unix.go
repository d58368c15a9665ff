//go:build unix

package server

import (
	"math"
	"syscall"
)

// openFiles returns the limit of open files. Go has raised the soft limit to the hard one.
func openFiles() uint64 {
	var r syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &r); err != nil {
		return math.MaxUint64
	}
	return uint64(r.Cur)
}
