package torture

import (
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// network is a proxy that makes connections slow, and cuts some of them.
type network struct {
	url  string
	cuts atomic.Int64

	mu     sync.Mutex
	target string     // host and port of the server
	rng    *rand.Rand // nil while the network is calm
}

func newNetwork(t *testing.T) *network {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	n := &network{url: "http://" + l.Addr().String()}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { n.carry(conn) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		serving.Wait()
	})
	return n
}

// to says where the server is now, by its base URL.
func (n *network) to(base string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.target = strings.TrimPrefix(base, "http://")
}

// dial connects to the server. Nil if there is none.
func (n *network) dial() net.Conn {
	n.mu.Lock()
	target := n.target
	n.mu.Unlock()
	conn, err := net.Dial("tcp", target)
	if err != nil {
		return nil
	}
	return conn
}

func (n *network) calm()                { n.mu.Lock(); defer n.mu.Unlock(); n.rng = nil }
func (n *network) storm(rng *rand.Rand) { n.mu.Lock(); defer n.mu.Unlock(); n.rng = rng }

// fate is what happens to one connection.
type fate struct {
	delay time.Duration // of each piece of data
	cut   [2]int64      // bytes after which it is cut, in each direction
}

const never = 1 << 40

func (n *network) fate() fate {
	n.mu.Lock()
	defer n.mu.Unlock()
	f := fate{cut: [2]int64{never, never}}
	if n.rng == nil {
		return f
	}
	if n.rng.IntN(3) == 0 {
		f.delay = time.Duration(n.rng.IntN(15)) * time.Millisecond
	}
	if n.rng.IntN(8) == 0 {
		f.cut[n.rng.IntN(2)] = n.rng.Int64N(500)
	}
	return f
}

func (n *network) carry(client net.Conn) {
	defer client.Close()
	server := n.dial()
	if server == nil {
		return
	}
	defer server.Close()
	f := n.fate()
	var both sync.WaitGroup
	pipe := func(from, to net.Conn, cut int64) {
		// If either end is gone, or cut, both directions end: half a connection is of no use.
		defer client.Close()
		defer server.Close()
		buf := make([]byte, 4096)
		for {
			k, err := from.Read(buf)
			if k > 0 {
				time.Sleep(f.delay)
				if int64(k) > cut {
					to.Write(buf[:cut])
					n.cuts.Add(1)
					return
				}
				cut -= int64(k)
				if _, err := to.Write(buf[:k]); err != nil {
					return
				}
			}
			if err != nil {
				return
			}
		}
	}
	both.Go(func() { pipe(client, server, f.cut[0]) })
	both.Go(func() { pipe(server, client, f.cut[1]) })
	both.Wait()
}
