package pgstore

import (
	"strings"
	"syscall"
)

// endUnheard ends a connection whose other side does not confirm what was sent. Keepalives do so only where nothing was.
func endUnheard(network, _ string, conn syscall.RawConn) (err error) {
	if !strings.HasPrefix(network, "tcp") {
		return nil
	}
	const userTimeout = 18 // TCP_USER_TIMEOUT, which package syscall does not name
	controlled := conn.Control(func(fd uintptr) {
		err = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, userTimeout, int(deadAfter.Milliseconds()))
	})
	if controlled != nil {
		return controlled
	}
	return err
}
