package bench

import (
	"fmt"
	"os"
	"strconv"
	"strings"
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

// ticks is how many a second the kernel counts processor time in, whatever it uses itself.
const ticks = 100

// machineTime is the processor time that all processes on this machine have used since it started; 0 if it does not say.
func machineTime() time.Duration {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0
	}
	line, _, _ := strings.Cut(string(text), "\n")
	var sum int64
	for i, field := range strings.Fields(line) {
		if n, err := strconv.ParseInt(field, 10, 64); err == nil && i <= 7 && i != 4 && i != 5 { // neither idle nor waiting for a disk
			sum += n
		}
	}
	return time.Duration(sum) * time.Second / ticks
}

// processTime is the processor time that a process has used; 0 if it is gone.
func processTime(pid int) time.Duration {
	_, used := process(pid)
	return used
}

func process(pid int) (parent int, used time.Duration) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, 0
	}
	end := strings.LastIndex(string(text), ") ") // of the name
	if end < 0 {
		return 0, 0
	}
	fields := strings.Fields(string(text[end+2:]))
	if len(fields) < 13 {
		return 0, 0
	}
	parent, _ = strconv.Atoi(fields[1])
	user, _ := strconv.ParseInt(fields[11], 10, 64)
	system, _ := strconv.ParseInt(fields[12], 10, 64)
	return parent, time.Duration(user+system) * time.Second / ticks
}

// treeTime is the processor time of a process and of what it has started, as far as that is still there.
func treeTime(root int) time.Duration {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return 0
	}
	parents, used := make(map[int]int), make(map[int]time.Duration)
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err == nil {
			parents[pid], used[pid] = process(pid)
		}
	}
	var sum time.Duration
	for pid := range used {
		for at := pid; at > 0; at = parents[at] {
			if at == root {
				sum += used[pid]
				break
			}
		}
	}
	return sum
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
			_, _ = t.f.Read(times[:])
		}
	}
	time.Sleep(time.Until(at)) // nothing, unless the timer failed
}

func (t timer) close() { _ = t.f.Close() }
