package bench

import (
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// cpuTime is the processor time that this process has used.
func cpuTime() time.Duration {
	var u unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// syncData waits until what was written to the file is on the disk, without the times in its inode.
func syncData(f *os.File) error { return unix.Fdatasync(int(f.Fd())) }

// timer is an alarm that rings within some 50 µs. The runtime's own timers are a millisecond late where a process idles
// between them, because epoll counts in milliseconds; a descriptor that becomes readable wakes it at once.
type timer struct{ f *os.File }

func newAlarm() (alarm, error) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("timerfd_create", err)
	}
	return timer{os.NewFile(uintptr(fd), "timer")}, nil
}

func (t timer) until(at time.Time) {
	conn, err := t.f.SyscallConn()
	wait := time.Until(at)
	if err == nil && wait > 0 {
		spec := unix.ItimerSpec{Value: unix.NsecToTimespec(int64(wait))}
		var failed error
		if err = conn.Control(func(fd uintptr) { failed = unix.TimerfdSettime(int(fd), 0, &spec, nil) }); err == nil && failed == nil {
			var times [8]byte // how often it rang
			_, err = t.f.Read(times[:])
		}
	}
	time.Sleep(time.Until(at)) // nothing, unless the timer failed
}

func (t timer) close() { _ = t.f.Close() }
