package server

import (
	"errors"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// endVanished makes a listener whose connections end once their client has acknowledged nothing for d, neither data nor
// keep-alives, or has had no room for data. Connections inherit the option.
func endVanished(d time.Duration) func(network, address string, socket syscall.RawConn) error {
	return func(_, _ string, socket syscall.RawConn) (err error) {
		controlErr := socket.Control(func(fd uintptr) {
			err = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(d.Milliseconds()))
		})
		return errors.Join(controlErr, err)
	}
}
