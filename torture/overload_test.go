package torture

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"liked/internal/livetest"
)

// health asks the operator's side, all the time, whether the server is well, until it is told to stop. It returns the
// longest time that an answer took.
func health(m *machine) (stop func() time.Duration) {
	ctx, cancel := context.WithCancel(context.Background())
	var slowest time.Duration
	done := make(chan struct{})
	c := client(m.t)
	base := m.AdminURL
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			for _, path := range []string{"/livez", "/readyz"} {
				start := time.Now()
				if a, err := send(c, base, get(path, "")); err != nil || a.status != 200 {
					m.t.Errorf("%s under load: %d %s %v", path, a.status, a.body, err)
				}
				slowest = max(slowest, time.Since(start))
			}
			time.Sleep(50 * time.Millisecond)
		}
	}()
	return func() time.Duration { cancel(); <-done; return slowest.Round(time.Millisecond) }
}

// memory returns the most memory that the process has ever had, in MiB.
func (m *machine) memory() int {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", m.cmd.Process.Pid))
	if err != nil {
		m.t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		var kib int
		if n, _ := fmt.Sscanf(line, "VmHWM: %d kB", &kib); n == 1 {
			return kib >> 10
		}
	}
	m.t.Fatal("the process does not say how much memory it has")
	return 0
}

// most is how much memory a server may ever take with so many connections, in MiB: the caches and memtables of its store,
// and for each connection its buffers, its goroutine and the largest request. The race detector takes several times that.
func most(connections int) int {
	mib := 300 + connections*160>>10
	if livetest.Raced() {
		mib *= 8
	}
	return mib
}

// TestOverload asks for ten times what the server can do.
func TestOverload(t *testing.T) {
	m := boot(t, "--users", "2000", "--posts", "1000", "--rate-limits", "off", "--max-connections", fmt.Sprint(*connections*9/10))
	f := newFlood(m)
	var sustainable float64
	var offered int64
	var slowest time.Duration
	var peak int
	outcome(t, "ten times the load is refused cleanly, and hurts no like", func() string {
		return fmt.Sprintf("%.0f likes/s sustained; %d offered over up to %d connections (%d allowed): ",
			sustainable, offered, *connections, *connections*9/10) +
			fmt.Sprintf("%d accepted, %d refused, %d cut, %d unasked; answers p50 %v, p99 %v; ",
				f.accepted.Load(), f.refused.Load(), f.cut.Load(), f.unasked.Load(), f.quantile(.5), f.quantile(.99)) +
			fmt.Sprintf("health at most %v; memory %d MiB of %d", slowest, peak, most(*connections))
	})
	sustainable = f.closed(64, 2*time.Second)
	if sustainable == 0 {
		t.Fatalf("no like at all: %s", f.strange)
	}
	f.waits = nil
	stop := health(m)
	// The figure for what is sustainable may be of a bad moment.
	for rate := 10 * sustainable; f.refused.Load() == 0 && offered < 1_000_000; rate *= 4 {
		offered += f.open(*connections, rate, *overload)
	}
	slowest = stop()
	f.ready("the overload")
	if f.refused.Load() == 0 {
		t.Error("nothing was refused: that was no overload")
	}
	if got, want := m.memory(), most(*connections); got > want {
		t.Errorf("the server took %d MiB, want at most %d", got, want)
	}
	f.prove()
	peak = m.memory()
	m.kill() // what was acknowledged in the worst moment is safe, too
	m.start()
	f.prove()
}

// TestHostileConnections has hostile clients hold connections and send rubbish while honest clients like posts.
func TestHostileConnections(t *testing.T) {
	m := boot(t, "--users", "2000", "--posts", "500", "--rate-limits", "off")
	f := newFlood(m)
	n := *connections / 4
	token := m.Users[0].AccessToken
	var churned atomic.Int64
	var slowest time.Duration
	outcome(t, "hostile connections stop no honest client", func() string {
		return fmt.Sprintf("%d each of slow headers, slow bodies, giant headers and idle connections; ", n) +
			fmt.Sprintf("%d opened and closed; ", churned.Load()) +
			fmt.Sprintf("meanwhile %d likes accepted, p99 %v; health at most %v; memory %d MiB of %d",
				f.accepted.Load(), f.quantile(.99), slowest, m.memory(), most(*connections))
	})
	stop := health(m)
	over := make(chan struct{})
	var hostile sync.WaitGroup
	drip := func(head string) {
		hostile.Go(func() {
			conn, err := net.Dial("tcp", f.address)
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close()
			io.WriteString(conn, head)
			tick := time.NewTicker(500 * time.Millisecond)
			defer tick.Stop()
			for {
				select {
				case <-over:
					return
				case <-tick.C:
					if _, err := io.WriteString(conn, "a"); err != nil {
						return // the server closed it
					}
				}
			}
		})
	}
	for range n {
		drip("POST / HTTP/1.1\r\nX-")
		drip("POST /2/users/" + m.Users[0].ID + "/likes HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer " + token +
			"\r\nContent-Type: application/json\r\nContent-Length: 60000\r\n\r\n{\"tweet_id\":\"")
		drip("")
	}
	giant := bytes.Repeat([]byte("X-Giant: "+strings.Repeat("g", 1000)+"\r\n"), 1000)
	for range 8 {
		hostile.Go(func() {
			for range n / 8 {
				conn, err := net.Dial("tcp", f.address)
				if err != nil {
					t.Error(err)
					return
				}
				io.WriteString(conn, "GET / HTTP/1.1\r\nHost: localhost\r\n")
				conn.Write(giant)
				status, _ := bufio.NewReader(conn).ReadString('\n')
				if status != "" && !strings.Contains(status, " 431 ") { // or it was reset before the answer was read
					t.Errorf("giant headers: got %q", status)
				}
				conn.Close()
			}
		})
	}
	for range 4 {
		hostile.Go(func() {
			for {
				select {
				case <-over:
					return
				default:
				}
				if conn, err := net.Dial("tcp", f.address); err == nil {
					churned.Add(1)
					if churned.Load()%3 == 0 {
						conn.(*net.TCPConn).SetLinger(0) // a reset
					}
					conn.Close()
				} else if !errors.Is(err, syscall.EADDRNOTAVAIL) { // all ports of this machine are in TIME_WAIT
					t.Error(err)
					return
				}
			}
		})
	}
	f.closed(16, *overload)
	close(over)
	hostile.Wait()
	slowest = stop()
	if f.refused.Load()+f.cut.Load() > 0 {
		t.Errorf("of the honest, %d were refused and %d cut", f.refused.Load(), f.cut.Load())
	}
	if got, want := m.memory(), most(*connections); got > want {
		t.Errorf("the server took %d MiB, want at most %d", got, want)
	}
	f.prove()
}

// TestSlowRequestsEnd waits until the server cuts a request that never ends: after 10 s for headers.
func TestSlowRequestsEnd(t *testing.T) {
	t.Parallel()
	m := boot(t)
	outcome(t, "a request that never ends is ended", func() string { return "headers that drip" })
	conn, err := net.Dial("tcp", strings.TrimPrefix(m.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	io.WriteString(conn, "GET / HTTP/1.1\r\nX-")
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		io.Copy(io.Discard, conn)
	}()
	for deadline := time.After(time.Minute); ; {
		select {
		case <-ended:
			return
		case <-deadline:
			t.Fatal("the connection is still there after a minute")
		case <-time.After(250 * time.Millisecond):
			io.WriteString(conn, "a")
		}
	}
}

// TestFewFiles lets the server have few files open, while clients open more connections than it can have.
func TestFewFiles(t *testing.T) {
	t.Parallel()
	const files = 256
	m := newMachine(t, "--users", "1000", "--posts", "500", "--rate-limits", "off")
	m.shell = fmt.Sprintf("ulimit -n %d", files)
	m.start()
	f := newFlood(m)
	refused := 0
	outcome(t, "a server that may open few files keeps going", func() string {
		return fmt.Sprintf("ulimit -n %d: %d likes accepted while 400 connections were tried, %d of them refused",
			files, f.accepted.Load(), refused)
	})
	honest := make([]*visitor, 8)
	for i := range honest {
		var err error
		if honest[i], err = f.dial(); err != nil {
			t.Fatal(err)
		}
		defer honest[i].Close()
		if !f.like(honest[i]) {
			t.Fatal("an honest client was refused from the start")
		}
	}
	stop := health(m)
	var idle []net.Conn
	for range 400 {
		conn, err := net.Dial("tcp", f.address)
		if err != nil {
			t.Fatal(err)
		}
		idle = append(idle, conn)
	}
	for _, conn := range idle[len(idle)-200:] {
		conn.SetReadDeadline(time.Now().Add(time.Minute))
		status, err := bufio.NewReader(conn).ReadString('\n')
		if strings.Contains(status, " 503 ") || err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			refused++
		}
	}
	if refused != 200 {
		t.Errorf("of the last 200 connections %d were refused, want all", refused)
	}
	// The store goes on, and may open the files that it needs.
	var clients sync.WaitGroup
	start := time.Now()
	for _, v := range honest {
		clients.Go(func() {
			for time.Since(start) < *overload {
				if !f.like(v) {
					t.Error("an honest client was cut off")
					return
				}
			}
		})
	}
	clients.Wait()
	stop()
	if !strings.Contains(m.logs.String(), "ulimit -n") {
		t.Error("the log does not say what to do")
	}
	for _, conn := range idle {
		conn.Close()
	}
	f.ready("the idle connections were closed")
	f.prove()

	few := newMachine(t)
	few.shell = "ulimit -n 100"
	few.launch()
	if err := <-few.ended; err == nil || !strings.Contains(few.logs.String(), "ulimit -n") {
		t.Errorf("ulimit -n 100: ended with %v, saying %q; want what to do", err, few.logs.String())
	}
	few.ended = nil
}
