package torture

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
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
	// An error of writing is followed by one of reading, or by the answer to a connection that was refused.
	fmt.Fprintf(v, "POST /2/users/%s/likes HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %s\r\n"+
		"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", u.ID, u.AccessToken, len(body), body)
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
	var ids []string
	for _, p := range f.m.Posts {
		ids = append(ids, p.ID)
	}
	got := 0
	for _, n := range f.m.likeCounts(client(t), ids) {
		got += n
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

// ready fails the test unless a like succeeds within a minute.
func (f *flood) ready(after string) {
	f.m.t.Helper()
	start := time.Now()
	for before := f.accepted.Load(); f.accepted.Load() == before; time.Sleep(10 * time.Millisecond) {
		if v, err := f.dial(); err == nil {
			f.like(v)
			v.Close()
		}
		if time.Since(start) > time.Minute {
			f.m.t.Errorf("after %s: no like succeeds within a minute", after)
			return
		}
	}
}
