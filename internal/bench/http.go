package bench

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// HTTP returns a subject that sends a workload's requests to the server at base ("http://host:port", or "https://host:port"
// where the world has roots), each caller over a connection of its own. Its usage is read at adminURL, if that is not empty.
func HTTP(name, base, adminURL string, world World, w Workload, callers int) (Subject, error) {
	r, err := newRequests(world, base, w)
	if err != nil {
		return Subject{}, err
	}
	s := Subject{Name: name, Callers: callers, Kinds: kindNames[:],
		Connect: func(ctx context.Context, turn int) (Call, error) {
			c := &caller{ctx: ctx, requester: r.newRequester(turn, rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64())))}
			return c, c.dial()
		}}
	s.BuildCost, s.SignCost = r.costs()
	if adminURL != "" {
		s.Usage = func(ctx context.Context) (Usage, error) { return usage(ctx, adminURL) }
	}
	return s, nil
}

// caller is a client with a connection. It does as little as it can, to leave the machine to the server.
type caller struct {
	ctx context.Context // of the turn
	*requester
	conn    net.Conn
	release func() bool
	answers *bufio.Reader
}

func (c *caller) dial() error {
	conn, err := c.requests.dial(c.ctx)
	if err != nil {
		return err
	}
	c.conn = conn
	c.release = context.AfterFunc(c.ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	c.answers = bufio.NewReader(conn)
	return nil
}

// dial connects with the server, TLS's handshake included.
func (r *requests) dial(ctx context.Context) (net.Conn, error) {
	if r.tls != nil {
		return (&tls.Dialer{Config: r.tls}).DialContext(ctx, "tcp", r.host)
	}
	return (&net.Dialer{}).DialContext(ctx, "tcp", r.host)
}

func (c *caller) Close() {
	if c.conn != nil {
		c.release()
		c.conn.Close()
		c.conn = nil
	}
}

// Do sends a request and reads its answer. A connection that failed is made anew by the call after.
func (c *caller) Do() (kind int, err error) {
	if c.conn == nil {
		if err := c.dial(); err != nil {
			time.Sleep(10 * time.Millisecond) // a server that is gone is no reason to spin
			return 0, err
		}
	}
	kind, text := c.make()
	if _, err = c.conn.Write(text); err == nil {
		err = readAnswer(c.answers)
	}
	if _, refused := errors.AsType[*Refused](err); err != nil && !refused {
		c.Close()
	}
	return kind, err
}

// maxExample is how much is kept of a refusal's body.
const maxExample = 300

// readAnswer reads an HTTP/1.1 answer with a Content-Length. The error is a *Refused if its status is not 200.
func readAnswer(r *bufio.Reader) error {
	status, err := r.ReadSlice('\n')
	if err != nil {
		return err
	}
	status = bytes.TrimSpace(status)
	version, words, _ := bytes.Cut(status, []byte(" "))
	if !bytes.Equal(version, []byte("HTTP/1.1")) {
		return fmt.Errorf("not an answer of HTTP/1.1: %.60q", status)
	}
	refusal := ""
	if !bytes.HasPrefix(words, []byte("200 ")) {
		refusal = string(words)
	}
	length := -1
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return err
		}
		if len(line) <= 2 {
			break
		}
		if name, value, _ := bytes.Cut(line, []byte(": ")); bytes.EqualFold(name, []byte("Content-Length")) {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(value))); err != nil {
				return err
			}
		}
	}
	if length < 0 {
		return errors.New("an answer without a content-length: " + string(words))
	}
	if refusal == "" {
		_, err = r.Discard(length)
		return err
	}
	body := make([]byte, min(length, maxExample))
	if _, err := io.ReadFull(r, body); err != nil {
		return err
	}
	if _, err := r.Discard(length - len(body)); err != nil {
		return err
	}
	return &Refused{refusal, string(body)}
}

// usage reads what a server of ours says of itself at /metrics.
func usage(ctx context.Context, adminURL string) (Usage, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, adminURL+"/metrics", nil)
	if err != nil {
		return Usage{}, err
	}
	client := http.Client{Transport: &http.Transport{Proxy: nil, DisableKeepAlives: true}, Timeout: 10 * time.Second}
	resp, err := client.Do(req)
	if err != nil {
		return Usage{}, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return Usage{}, fmt.Errorf("%s/metrics: %s", adminURL, resp.Status)
	}
	var u Usage
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		name, text, _ := strings.Cut(lines.Text(), " ")
		value, err := strconv.ParseFloat(text, 64)
		if err != nil {
			continue // a comment
		}
		switch {
		case name == "process_cpu_seconds_total":
			u.CPU = time.Duration(value * float64(time.Second))
		case name == "process_resident_memory_bytes":
			u.RSS = int64(value)
		case strings.HasPrefix(name, "liked_like_changes_total{"):
			u.Changes += int64(value)
		}
	}
	return u, lines.Err()
}
