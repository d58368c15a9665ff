package pgtest

import (
	"os"
	"runtime"
	"syscall"
	"testing"
	"time"
)

// A server stays when the thread of the test that started it ends.
func TestServersOutliveThreads(t *testing.T) {
	t.Cleanup(Stop)
	var s *Server
	var err error
	onThreadThatEnds(func() { s, err = start() })
	if err != nil {
		Missing(t, err)
	}
	t.Cleanup(func() {
		s.Kill()
		_ = os.RemoveAll(s.dir)
	})
	for range 20 { // a signal takes effect within milliseconds
		time.Sleep(10 * time.Millisecond)
		s.run(t, "SELECT 1")
	}
}

// onThreadThatEnds runs f on a thread that ends before it returns.
func onThreadThatEnds(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // and never unlocks it: the thread ends with the goroutine
		if syscall.Gettid() == os.Getpid() {
			onThreadThatEnds(f) // the first thread, which is held here meanwhile, ends with the process
			return
		}
		f()
	}()
	<-done
}
