package server

import (
	"bufio"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"liked/internal/admin"
	"liked/internal/store"
	"liked/internal/strictjson"
)

// access is how commands reach the operator's side of the server that has a data directory open: admin.json.
type access struct {
	URL   string `json:"url"`
	Token string `json:"token"`
	PID   int    `json:"pid"`
	Proof string `json:"proof"` // the key with which this server proves that it wrote the file
}

func readAccess(dir string) (a access, err error) {
	path := filepath.Join(dir, adminFile)
	text, err := os.ReadFile(path)
	if err == nil {
		err = strictjson.UnmarshalKnown(text, &a)
	}
	if err == nil && a.Proof == "" {
		err = errors.New("it is of an earlier version of the server, which cannot prove that it has the directory: restart it")
	}
	if err != nil {
		return a, fmt.Errorf("%s: %w", path, err)
	}
	return a, nil
}

// Admin returns a client of /admin/ for a data directory, created if missing: in this process if no server has the
// directory open, otherwise of that server. The logger gets what opening it changes. close must be called.
func Admin(dir string, logger *slog.Logger) (c *admin.Client, close func() error, err error) {
	handler, close, err := localAdmin(dir, logger)
	if err == nil {
		return &admin.Client{URL: "http://local", Transport: admin.InProcess{Handler: handler}}, close, nil
	}
	if !errors.Is(err, store.ErrInUse) {
		return nil, nil, err
	}
	c, close, readErr := RunningAdmin(dir)
	if readErr != nil {
		err = fmt.Errorf("%w\nhow to reach a server that has it open: %w; if none runs, a command is at work: try again", err, readErr)
		return nil, nil, err
	}
	return c, close, nil
}

// RunningAdmin returns a client of /admin/ of the server that has the data directory open. close must be called.
func RunningAdmin(dir string) (c *admin.Client, close func() error, err error) {
	a, err := readAccess(dir)
	if err != nil {
		return nil, nil, err
	}
	transport := &http.Transport{DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		conn, err := a.dial(ctx, network, dir)
		if err != nil {
			err = fmt.Errorf("%s is in use, and no server that has it open answers there, so nothing was sent: %w; "+
				"it starts or stops, or does not respond (process %d)", dir, err, a.PID)
		}
		return conn, err
	}}
	close = func() error { transport.CloseIdleConnections(); return nil }
	return &admin.Client{URL: a.URL, Token: a.Token, Transport: transport}, close, nil
}

// proofTime bounds how long a server may take to prove itself.
const proofTime = 5 * time.Second

// dial returns a connection to the server that wrote the file, and did so in dir, which it has proved: another program may
// listen there by now, and must not get the token, and dir may be a copy.
func (a access) dial(ctx context.Context, network, dir string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, proofTime)
	defer cancel()
	host := strings.TrimPrefix(a.URL, "http://")
	conn, err := new(net.Dialer).DialContext(ctx, network, host)
	if err != nil {
		return nil, err
	}
	_ = conn.SetDeadline(time.Now().Add(proofTime))
	challenge := rand.Text()
	fmt.Fprintf(conn, "GET /proof?of=%s HTTP/1.1\r\nHost: %s\r\n\r\n", challenge, host)
	resp, err := http.ReadResponse(bufio.NewReader(io.LimitReader(conn, 4096)), nil) // nothing follows it unasked
	var answer []byte
	if err == nil {
		answer, err = io.ReadAll(resp.Body)
	}
	if err == nil && (resp.Close || !hmac.Equal(answer, []byte(a.prove(dir, challenge)))) {
		err = errors.New("another program answers, or the server of another directory, of which this is a copy")
	}
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	return conn, conn.SetDeadline(time.Time{})
}

// prove answers a challenge for the data directory.
func (a access) prove(dir, challenge string) string {
	mac := hmac.New(sha256.New, []byte(a.Proof))
	_, _ = io.WriteString(mac, challenge+" "+identity(filepath.Join(dir, storeSubdir)))
	return hex.EncodeToString(mac.Sum(nil))
}
