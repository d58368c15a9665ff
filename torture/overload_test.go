package torture

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// flood sends likes, each of another user or another post, over raw connections: a client that costs little.
type flood struct {
	m       *machine
	address string
	next    atomic.Int64 // number of the like
	likes   sync.Map     // number -> struct{}{}, those that were acknowledged
	unknown sync.Map     // those that were not answered

	accepted, refused, cut, unasked atomic.Int64
	mu                              sync.Mutex
	waits                           []time.Duration // until an answer of any kind
	strange                         string          // an answer that should not be
}

func newFlood(m *machine) *flood {
	return &flood{m: m, address: strings.TrimPrefix(m.URL, "http://")}
}

// place says whose like of which post number n is. There must be fewer likes than users times posts.
func (f *flood) place(n int64) (u user, post string) {
	users := int64(len(f.m.Users))
	return f.m.Users[n%users], f.m.Posts[(n/users)%int64(len(f.m.Posts))].ID
}

// visitor is one connection of a flood.
type visitor struct {
	net.Conn
	r *bufio.Reader
}

func (f *flood) dial() (*visitor, error) {
	conn, err := net.DialTimeout("tcp", f.address, 30*time.Second)
	if err != nil {
		return nil, err
	}
	return &visitor{conn, bufio.NewReaderSize(conn, 2048)}, nil
}

// like sends the next like and waits for the answer. It reports whether the connection can be used again.
func (f *flood) like(v *visitor) bool {
	n := f.next.Add(1) - 1
	u, post := f.place(n)
	body := `{"tweet_id":"` + post + `"}`
	start := time.Now()
	v.SetDeadline(start.Add(time.Minute))
	fmt.Fprintf(v, "POST /2/users/%s/likes HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
		u.ID, u.AccessToken, len(body), body) // an error is followed by one of reading, or by an answer to who was refused
	resp, err := http.ReadResponse(v.r, nil)
	if err != nil {
		f.cut.Add(1)
		f.unknown.Store(n, struct{}{})
		return false
	}
	text, err := io.ReadAll(resp.Body)
	wait := time.Since(start)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.waits = append(f.waits, wait)
	switch {
	case err == nil && resp.StatusCode == 200 && string(text) == `{"data":{"liked":true}}`:
		f.accepted.Add(1)
		f.likes.Store(n, struct{}{})
	case err == nil && resp.StatusCode == 503 && resp.Header.Get("Retry-After") != "" &&
		string(text) == `{"title":"Service Unavailable","detail":"Service Unavailable","type":"about:blank","status":503}`:
		f.refused.Add(1)
	default:
		f.strange = fmt.Sprintf("%s %s %v", resp.Status, text, err)
		f.unknown.Store(n, struct{}{})
	}
	return err == nil && !resp.Close
}

// quantile returns how long the fraction q of answers took at most.
func (f *flood) quantile(q float64) time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.waits) == 0 {
		return 0
	}
	slices.Sort(f.waits)
	return f.waits[min(int(q*float64(len(f.waits))), len(f.waits)-1)].Round(100 * time.Microsecond)
}

// closed lets so many connections send one like after the other for a while, and returns likes per second.
func (f *flood) closed(connections int, d time.Duration) float64 {
	before, start := f.accepted.Load(), time.Now()
	var clients sync.WaitGroup
	for range connections {
		clients.Go(func() {
			v, err := f.dial()
			if err != nil {
				return
			}
			defer v.Close()
			for time.Since(start) < d && f.like(v) {
			}
		})
	}
	clients.Wait()
	return float64(f.accepted.Load()-before) / time.Since(start).Seconds()
}

// open sends likes at the rate for a while, whether earlier ones were answered or not: over a connection that is free, or
// a new one as long as there are not so many yet. A like for which there is neither stays unasked, as in a client whose
// pool is used up.
func (f *flood) open(connections int, rate float64, d time.Duration) (offered int64) {
	var clients sync.WaitGroup
	free := make(chan *visitor, connections)
	var made int
	start := time.Now()
	for {
		elapsed := time.Since(start)
		if elapsed >= d {
			break
		}
		for due := int64(elapsed.Seconds() * rate); offered < due; offered++ {
			var v *visitor
			select {
			case v = <-free:
			default:
				if made == connections {
					f.unasked.Add(due - offered)
					offered = due - 1
					continue
				}
				made++
			}
			clients.Go(func() {
				if v == nil {
					var err error
					if v, err = f.dial(); err != nil {
						f.cut.Add(1)
						return
					}
				}
				if !f.like(v) {
					v.Close()
					var err error
					if v, err = f.dial(); err != nil {
						f.cut.Add(1)
						return
					}
				}
				free <- v
			})
		}
		time.Sleep(time.Millisecond)
	}
	clients.Wait()
	close(free)
	for v := range free {
		v.Close()
	}
	return offered
}

// prove counts the likes of all posts: those that were acknowledged are there, and no others but of calls that were not
// answered.
func (f *flood) prove() {
	t := f.m.t
	c := client(t)
	got := 0
	var ids []string
	ask := func() {
		var found struct {
			Data []struct {
				Metrics struct {
					Likes int `json:"like_count"`
				} `json:"public_metrics"`
			}
		}
		f.m.must(c, request{method: "GET", path: "/2/tweets?tweet.fields=public_metrics&ids=" + strings.Join(ids, ","),
			authorization: bearer(f.m.Apps[0].BearerToken)}, &found)
		for _, p := range found.Data {
			got += p.Metrics.Likes
		}
		ids = ids[:0]
	}
	for i, p := range f.m.Posts {
		if ids = append(ids, p.ID); len(ids) == 100 || i == len(f.m.Posts)-1 {
			ask()
		}
	}
	least := int(f.accepted.Load())
	unknown := 0
	f.unknown.Range(func(any, any) bool { unknown++; return true })
	if got < least || got > least+unknown {
		t.Errorf("the posts have %d likes, want the %d acknowledged and at most %d more that were not answered", got, least, unknown)
	}
	if f.next.Load() > int64(len(f.m.Users)*len(f.m.Posts)) {
		t.Errorf("%d likes were more than there are users and posts for: some were repeats", f.next.Load())
	}
	if f.strange != "" {
		t.Errorf("a strange answer: %s", f.strange)
	}
}

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
				if a, err := send(c, base, request{method: "GET", path: path}); err != nil || a.status != 200 {
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
	if raced() {
		mib *= 8
	}
	return mib
}

// ready fails the test unless a like succeeds within 10 s.
func (f *flood) ready(after string) {
	f.m.t.Helper()
	start := time.Now()
	for before := f.accepted.Load(); f.accepted.Load() == before; time.Sleep(10 * time.Millisecond) {
		if v, err := f.dial(); err == nil {
			f.like(v)
			v.Close()
		}
		if time.Since(start) > 10*time.Second {
			f.m.t.Errorf("after %s: no like succeeds within 10 s", after)
			return
		}
	}
}

// TestOverload asks for ten times what the server can do.
func TestOverload(t *testing.T) {
	m := boot(t, "--users", "5000", "--posts", "1000", "--rate-limits", "off", "--max-connections", fmt.Sprint(*connections*9/10))
	f := newFlood(m)
	var sustainable float64
	var offered int64
	var slowest time.Duration
	outcome(t, "ten times the load is refused cleanly, and hurts no like", func() string {
		return fmt.Sprintf("%.0f likes/s sustained; %d offered over up to %d connections (%d allowed): %d accepted, %d refused, %d cut, %d unasked; answers p50 %v, p99 %v; health at most %v; memory %d MiB of %d",
			sustainable, offered, *connections, *connections*9/10, f.accepted.Load(), f.refused.Load(), f.cut.Load(), f.unasked.Load(), f.quantile(.5), f.quantile(.99), slowest, m.memory(), most(*connections))
	})
	sustainable = f.closed(64, 2*time.Second)
	if sustainable == 0 {
		t.Fatalf("no like at all: %s", f.strange)
	}
	f.waits = nil
	stop := health(m)
	offered = f.open(*connections, 10*sustainable, *overload)
	slowest = stop()
	f.ready("the overload")
	if f.refused.Load() == 0 {
		t.Error("nothing was refused: that was no overload")
	}
	if got, want := m.memory(), most(*connections); got > want {
		t.Errorf("the server took %d MiB, want at most %d", got, want)
	}
	f.prove()
}

// TestHostileConnections has others hold connections and send rubbish while honest clients like posts.
func TestHostileConnections(t *testing.T) {
	m := boot(t, "--users", "2000", "--posts", "500", "--rate-limits", "off")
	f := newFlood(m)
	n := *connections / 4
	token := m.Users[0].AccessToken
	var churned atomic.Int64
	var slowest time.Duration
	outcome(t, "hostile connections stop nobody", func() string {
		return fmt.Sprintf("%d slow headers, %d slow bodies, %d giant headers, %d idle, %d opened and closed; meanwhile %d likes accepted, p99 %v; health at most %v; memory %d MiB of %d",
			n, n, n, n, churned.Load(), f.accepted.Load(), f.quantile(.99), slowest, m.memory(), most(*connections))
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
						return // the server had enough
					}
				}
			}
		})
	}
	for range n {
		drip("POST / HTTP/1.1\r\nX-")
		drip("POST /2/users/" + m.Users[0].ID + "/likes HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + token +
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
				io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n")
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

// TestSlowRequestsEnd waits until the server has had enough of requests that never end: 10 s for headers.
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

// TestFewFiles lets the server have few files open, and others take all they can.
func TestFewFiles(t *testing.T) {
	t.Parallel()
	const files = 256
	m := newMachine(t, "--users", "1000", "--posts", "500", "--rate-limits", "off")
	m.shell = fmt.Sprintf("ulimit -n %d", files)
	m.start()
	f := newFlood(m)
	refused := 0
	outcome(t, "a server that may open few files keeps going", func() string {
		return fmt.Sprintf("ulimit -n %d: %d likes accepted while 400 connections were tried, %d of them refused", files, f.accepted.Load(), refused)
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
	var crowd []net.Conn
	for range 400 {
		conn, err := net.Dial("tcp", f.address)
		if err != nil {
			t.Fatal(err)
		}
		crowd = append(crowd, conn)
	}
	for _, conn := range crowd[len(crowd)-200:] {
		conn.SetReadDeadline(time.Now().Add(time.Minute))
		if status, err := bufio.NewReader(conn).ReadString('\n'); strings.Contains(status, " 503 ") || err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			refused++
		}
	}
	if refused != 200 {
		t.Errorf("of the last 200 connections %d were refused, want all", refused)
	}
	// The store works on all the while, and may open the files that it needs.
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
	for _, conn := range crowd {
		conn.Close()
	}
	f.ready("the crowd has left")
	f.prove()

	few := newMachine(t)
	few.shell = "ulimit -n 100"
	few.launch()
	if err := <-few.ended; err == nil || !strings.Contains(few.logs.String(), "ulimit -n") {
		t.Errorf("ulimit -n 100: ended with %v, saying %q; want what to do", err, few.logs.String())
	}
	few.ended = nil
}
