package api_test

import "syscall"

// smallBuffer makes the connection hold little of what nobody reads.
func smallBuffer(_, _ string, c syscall.RawConn) (err error) {
	if controlErr := c.Control(func(fd uintptr) { err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 4096) }); controlErr != nil {
		return controlErr
	}
	return err
}
