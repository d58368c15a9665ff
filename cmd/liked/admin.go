package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"syscall"

	"liked/internal/admin"
	"liked/internal/server"
)

// Operator is how a command reaches what it works on.
type Operator struct {
	Data       string `json:"-" placeholder:"DIR" help:"Data directory of the server, which may be running or not."`
	AdminURL   string `json:"-" placeholder:"URL" help:"Where a running server is administered, instead of --data."`
	AdminToken string `json:"-" placeholder:"TOKEN" help:"Its admin token."`
}

func (o *Operator) check() error {
	var errs []error
	switch {
	case o.Data == "" && o.AdminURL == "":
		errs = append(errs, errors.New("data: missing; give the server's data directory, or --admin-url and --admin-token"))
	case o.AdminURL != "":
		u, err := url.Parse(o.AdminURL)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
			errs = append(errs, fmt.Errorf("admin-url: %q is not a URL such as http://127.0.0.1:8081", o.AdminURL))
		}
		if o.AdminToken == "" {
			errs = append(errs, errors.New("admin-token: missing; the server prints it, and keeps it in admin.json of its data directory"))
		}
		if o.Data != "" {
			errs = append(errs, errors.New("data: give either this or --admin-url"))
		}
	}
	return errors.Join(errs...)
}

// operator is the operator's side of a server, or of a data directory that no server has open.
type operator struct {
	ctx   context.Context
	base  string
	token string
	http.RoundTripper
	close func() error
}

// connect finds the server. A data directory that is missing is made if the command can start with an empty one.
func (o *Operator) connect(ctx context.Context, mayMake bool) (*operator, error) {
	if o.AdminURL != "" {
		return newOperator(ctx, strings.TrimSuffix(o.AdminURL, "/"), o.AdminToken), nil
	}
	access, err := server.ReadAdminAccess(o.Data)
	switch {
	case err == nil:
		a := newOperator(ctx, access.URL, access.Token)
		err := a.call(http.MethodGet, "/admin/users?max=1", nil, nil)
		if err == nil {
			return a, nil
		}
		_ = a.close()
		// A server that was killed leaves the file behind, and its port may by now be somebody else's.
		if _, answered := errors.AsType[*refusal](err); !answered && !unreachable(err) {
			return nil, err
		}
	case !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	if !mayMake && !server.HasData(o.Data) {
		return nil, fmt.Errorf("there is no data in %s: check the path, or start `liked serve --data %s` once", o.Data, o.Data)
	}
	handler, closeStore, err := server.Offline(o.Data)
	if err != nil {
		return nil, err
	}
	return &operator{ctx: ctx, base: "http://offline", RoundTripper: inProcess{handler}, close: closeStore}, nil
}

func newOperator(ctx context.Context, base, token string) *operator {
	t := &http.Transport{Proxy: http.ProxyFromEnvironment}
	return &operator{ctx: ctx, base: base, token: token, RoundTripper: t, close: func() error { t.CloseIdleConnections(); return nil }}
}

func unreachable(err error) bool {
	_, dial := errors.AsType[*net.OpError](err)
	return dial && (errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.EADDRNOTAVAIL)) ||
		errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET)
}

// refusal is an answer that is no success.
type refusal struct {
	status int
	msg    string
}

func (r *refusal) Error() string { return r.msg }

// call sends in as JSON (nil: no body) and reads the answer into out (nil: it is of no interest).
func (a *operator) call(method, path string, in, out any) error {
	var body []byte
	if in != nil {
		var err error
		if body, err = json.Marshal(in); err != nil {
			return err
		}
	}
	resp, err := a.send(method, path, body)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return fmt.Errorf("server at %s: %w", a.base, err)
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(text, out); err != nil {
		return fmt.Errorf("server at %s: %w", a.base, err)
	}
	return nil
}

// send sends a body (nil: none) and returns the answer, if it is a success. The body of the answer must be closed.
func (a *operator) send(method, path string, body []byte) (*http.Response, error) {
	r, err := http.NewRequestWithContext(a.ctx, method, a.base+path, nil)
	if err != nil {
		return nil, err
	}
	if body != nil {
		r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	}
	r.Header.Set("Authorization", "Bearer "+a.token)
	r.Header.Set("Content-Type", "application/json")
	resp, err := a.RoundTrip(r)
	if err != nil {
		return nil, fmt.Errorf("server at %s: %w", a.base, err)
	}
	if resp.StatusCode < 300 {
		return resp, nil
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, fmt.Errorf("server at %s: %w", a.base, err)
	}
	var f admin.Failure
	if json.Unmarshal(text, &f) != nil || f.Error == "" {
		return nil, &refusal{resp.StatusCode, fmt.Sprintf("server at %s: %s: is this the admin listener?", a.base, resp.Status)}
	}
	return nil, &refusal{resp.StatusCode, f.Error}
}

// inProcess is a connection to a handler in the same process.
type inProcess struct{ handler http.Handler }

func (p inProcess) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body == nil {
		r.Body = http.NoBody
	}
	reader, writer := io.Pipe()
	w := &answer{header: make(http.Header), status: http.StatusOK, body: writer, started: make(chan struct{})}
	go func() {
		err := io.ErrUnexpectedEOF // of a handler that panics, as over a network
		defer func() {
			if p := recover(); p != nil && p != http.ErrAbortHandler {
				panic(p)
			}
			w.start()
			_ = writer.CloseWithError(err)
		}()
		p.handler.ServeHTTP(w, r)
		err = nil
	}()
	<-w.started
	return &http.Response{StatusCode: w.status, Status: http.StatusText(w.status), Header: w.header, Body: reader, Request: r}, nil
}

// answer passes the body on as it is written.
type answer struct {
	header  http.Header
	status  int
	body    io.Writer
	started chan struct{} // closed once header and status are final
	once    sync.Once
}

func (a *answer) start()              { a.once.Do(func() { close(a.started) }) }
func (a *answer) Header() http.Header { return a.header }

func (a *answer) WriteHeader(status int) {
	a.status = status
	a.start()
}

func (a *answer) Write(b []byte) (int, error) {
	a.start()
	return a.body.Write(b)
}

// with connects, does, and lets go.
func (o *Operator) with(e *env, mayMake bool, do func(*operator) error) error {
	a, err := o.connect(e.ctx, mayMake)
	if err != nil {
		return err
	}
	return errors.Join(do(a), a.close())
}
