package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"sync"
)

type Client struct {
	URL       string // of the admin listener, without a trailing slash
	Token     string
	Transport http.RoundTripper
}

type Refusal struct {
	Status int
	Reason string
	Body   []byte
}

func (r *Refusal) Error() string { return r.Reason }

// Call sends in as JSON, or unchanged if it is []byte (nil: no body), and decodes the response into out (nil:
// ignored). An unsuccessful response is a *Refusal error.
func (c *Client) Call(ctx context.Context, method, path string, in, out any) error {
	body, ready := in.([]byte)
	if in != nil && !ready {
		var err error
		if body, err = json.Marshal(in); err != nil {
			return err
		}
	}
	resp, err := c.Send(ctx, method, path, body)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err == nil && out != nil {
		err = json.Unmarshal(text, out)
	}
	return c.failed(err)
}

// failed says where an error happened.
func (c *Client) failed(err error) error {
	if err != nil {
		err = fmt.Errorf("server at %s: %w", c.URL, err)
	}
	return err
}

// Send sends a body (nil: none) and returns the response, whose body must be closed. An unsuccessful response is a
// *Refusal error, and so is one that no Handler made: what another program answers is no success, whatever its status.
func (c *Client) Send(ctx context.Context, method, path string, body []byte) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, method, c.URL+path, nil)
	if err != nil {
		return nil, err
	}
	if body != nil {
		r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	}
	r.Header.Set("Authorization", "Bearer "+c.Token)
	r.Header.Set("Content-Type", "application/json")
	resp, err := c.Transport.RoundTrip(r)
	if err != nil {
		return nil, c.failed(err)
	}
	made := resp.Header.Get(madeHere) != ""
	if made && resp.StatusCode < 300 {
		return resp, nil
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxBody))
	if err != nil {
		return nil, c.failed(err)
	}
	var f Failure
	if json.Unmarshal(text, &f) != nil || f.Error == "" || resp.StatusCode < 300 {
		f.Error = fmt.Sprintf("server at %s: %s, from another program or an earlier release: is this the admin listener?", c.URL, resp.Status)
	}
	return nil, &Refusal{resp.StatusCode, f.Error, text}
}

// InProcess is a transport to a handler in this process.
type InProcess struct{ Handler http.Handler }

// RoundTrip returns once the handler begins its response, as over a network.
func (p InProcess) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body == nil {
		r.Body = http.NoBody
	}
	reader, writer := io.Pipe()
	started := make(chan struct{})
	w := &answer{header: make(http.Header), status: http.StatusOK, body: writer}
	var header http.Header // the handler may use what is in its own again, once the response has begun
	w.start = sync.OnceFunc(func() {
		header = w.header.Clone()
		close(started)
	})
	go func() {
		err := io.ErrUnexpectedEOF // if the handler panics
		defer func() {
			if p := recover(); p != nil && p != http.ErrAbortHandler {
				panic(p)
			}
			w.start()
			_ = writer.CloseWithError(err)
		}()
		p.Handler.ServeHTTP(w, r)
		err = nil
	}()
	<-started
	return &http.Response{StatusCode: w.status, Status: http.StatusText(w.status), Header: header, Body: reader, Request: r}, nil
}

type answer struct {
	header http.Header
	status int
	body   io.Writer
	start  func() // called once header and status are final
}

func (a *answer) Header() http.Header { return a.header }

func (a *answer) WriteHeader(status int) {
	a.status = status
	a.start()
}

func (a *answer) Write(b []byte) (int, error) {
	a.start()
	return a.body.Write(b)
}
