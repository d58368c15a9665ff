//go:build !linux

package bench

import (
	"os"
	"time"
)

// What processes have used is not known here.
func cpuTime() time.Duration { return 0 }

func machineTime() time.Duration { return 0 }

func processTime(int) time.Duration { return 0 }

func treeTime(int) time.Duration { return 0 }

func syncData(f *os.File) error { return f.Sync() }

type timer struct{}

func newAlarm() (alarm, error) { return timer{}, nil }

func (timer) until(at time.Time) { time.Sleep(time.Until(at)) }

func (timer) close() {}
