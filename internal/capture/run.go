package capture

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"syscall"
)

// Command is a program that takes a front for X.
type Command struct {
	Args []string

	// Environ is what it gets beside what makes it find X. api is where the front answers as the server does, admin where the
	// operator's side is reached, "" where it is.
	Environ func(api, admin string) []string

	Stdin          io.Reader
	Stdout, Stderr io.Writer

	// Signals are passed on.
	Signals <-chan os.Signal

	// Told is called with what a person should know, before the program starts.
	Told func(string)

	// Via is how the program finds X: "namespace", "proxy", or "" for the first of them that works.
	Via string

	// Offline leaves the program nothing but X, and the operator's side at the URL Admin. It needs a namespace.
	Offline bool
	Admin   string
}

// Result is how a program ended.
type Result struct {
	Via    string
	Status int // as in shells: 128 and the number of the signal that ended it
}

// NotStarted is that there is no such program. Status is what shells then answer.
type NotStarted struct {
	Status int
	error
}

func (e NotStarted) Unwrap() error { return e.error }

// Run runs the command until it ends, and removes all that it was given.
func (f *Front) Run(c Command) (r Result, err error) {
	path, err := exec.LookPath(c.Args[0])
	switch {
	case err != nil && !errors.Is(err, exec.ErrNotFound) && !errors.Is(err, os.ErrNotExist):
		return r, NotStarted{126, err}
	case err != nil:
		return r, NotStarted{127, err}
	}
	dir, err := os.MkdirTemp("", "liked-run-")
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err := os.Chmod(dir, 0o755); err != nil { // the program may be another user's by then
		return r, err
	}
	var cmd *exec.Cmd
	if r.Via = "namespace"; c.Via != "proxy" {
		cmd, err = f.inNamespace(c, path, dir)
	}
	why, impossible := errors.AsType[cannot](err)
	switch {
	case impossible && (c.Via == "namespace" || c.Offline):
		return r, fmt.Errorf("no namespace: %w; %s", why.error, remedy)
	case impossible:
		c.Told(fmt.Sprintf("by a proxy, which a program can pass by, since there is no namespace: %v; %s", why.error, remedy))
		if err := errors.Join(os.RemoveAll(dir), os.Mkdir(dir, 0o755)); err != nil {
			return r, err
		}
	case err != nil:
		return r, err
	}
	if cmd == nil {
		r.Via = "proxy"
		if cmd, err = f.throughProxy(c, path, dir); err != nil {
			return r, err
		}
	}
	r.Status, err = await(cmd, c.Signals)
	return r, err
}

// remedy is what would allow namespaces.
const remedy = "it takes Linux, and root or the right to make user namespaces; without root also port 443, as with " +
	"sysctl net.ipv4.ip_unprivileged_port_start=443, or --offline"

// throughProxy starts the command with this front as its proxy.
func (f *Front) throughProxy(c Command, path, dir string) (*exec.Cmd, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	v, err := f.Proxy(l, dir)
	if err != nil {
		return nil, err
	}
	cmd := &exec.Cmd{Path: path, Args: c.Args, Stdin: c.Stdin, Stdout: c.Stdout, Stderr: c.Stderr,
		Env: v.over(append(os.Environ(), c.Environ("http://"+l.Addr().String(), "")...))}
	if err := cmd.Start(); err != nil {
		return nil, NotStarted{126, err}
	}
	return cmd, nil
}

// Proxy is a proxy on l, until Close, and returns what makes programs on this machine use it. Files that the variables name
// are made in dir.
func (f *Front) Proxy(l net.Listener, dir string) (Variables, error) {
	f.ServePlain(l)
	secure, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	f.ServeTLS(secure)
	e := environment{parseEnviron(os.Environ()), Variables{}}
	t, err := f.authority.writeTrust(dir, e.had)
	if err != nil {
		return nil, err
	}
	at := l.Addr().(*net.TCPAddr)
	host := at.IP.String()
	if at.IP.IsUnspecified() {
		host = "127.0.0.1"
	}
	p, err := writePreloads(dir, secure.Addr().(*net.TCPAddr).Port, host, at.Port)
	if err != nil {
		return nil, err
	}
	e.trust(t)
	e.proxy(p, host, strconv.Itoa(at.Port))
	e.direct("http://" + net.JoinHostPort(host, strconv.Itoa(at.Port)))
	return e.sets, nil
}

// await passes signals on until the command has ended.
func await(cmd *exec.Cmd, signals <-chan os.Signal) (status int, err error) {
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for {
		select {
		case s := <-signals:
			_ = cmd.Process.Signal(s) // it may just have ended
		case err := <-ended:
			if _, ok := errors.AsType[*exec.ExitError](err); err != nil && !ok {
				return 1, fmt.Errorf("wait for the command: %w", err)
			}
			return exitStatus(cmd.ProcessState), nil
		}
	}
}

// exitStatus is the status that a shell gives.
func exitStatus(s *os.ProcessState) int {
	if w, ok := s.Sys().(syscall.WaitStatus); ok && w.Signaled() {
		return 128 + int(w.Signal())
	}
	return s.ExitCode()
}
