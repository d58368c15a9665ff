package api_test

import (
	"errors"
	"syscall"
)

// smallBuffer makes the connection hold little that is not read.
func smallBuffer(_, _ string, c syscall.RawConn) (err error) {
	controlErr := c.Control(func(fd uintptr) {
		err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 4096)
	})
	return errors.Join(controlErr, err)
}
