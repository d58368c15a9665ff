package bench

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"time"
)

// Process is a server in a process of its own, which is called in place of the measured one.
type Process struct {
	served
	pid  int
	stop func() error
}

// served is what the process says of itself.
type served struct {
	URL         string `json:"url"`
	Certificate string `json:"certificate,omitempty"` // PEM
}

// StartProcess runs a command that calls [ServeProcess], with the input on the first line of its standard input.
func StartProcess(ctx context.Context, input any, command ...string) (*Process, error) {
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Cancel, cmd.WaitDelay = func() error { return nil }, time.Minute // it ends with its input, and with it what it has started
	stdin, err := cmd.StdinPipe()                                        // which ends with this process, even if it is killed
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &Process{pid: cmd.Process.Pid, stop: func() error { return errors.Join(stdin.Close(), cmd.Wait()) }}
	err = json.NewEncoder(stdin).Encode(input)
	if err == nil {
		err = json.NewDecoder(out).Decode(&p.served)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("starting %s: %w", cmd, err), p.stop())
	}
	return p, nil
}

// Subject returns the process as a subject, which is called as [HTTP] calls a server.
func (p *Process) Subject(name string, world World, w Workload, callers int) (Subject, error) {
	w.OAuth1 = false // which it does not know
	world.Roots = nil
	if p.Certificate != "" {
		world.Roots = x509.NewCertPool()
		world.Roots.AppendCertsFromPEM([]byte(p.Certificate))
	}
	s, err := HTTP(name, p.URL, "", world, w, callers)
	s.Usage = func(context.Context) (Usage, error) { return Usage{CPU: treeTime(p.pid)}, nil }
	return s, err
}

// Close ends the process.
func (p *Process) Close() error { return p.stop() }

// Input reads what [StartProcess] sent. What is left of standard input is for [ServeProcess].
func Input(stdin io.Reader, into any) (rest *bufio.Reader, err error) {
	rest = bufio.NewReader(stdin)
	text, err := rest.ReadBytes('\n')
	if err != nil {
		return rest, err
	}
	return rest, json.Unmarshal(text, into)
}

// ServeProcess prints where it serves, and serves until standard input ends: over TLS if it is asked to, with a certificate of
// its own.
func ServeProcess(h http.Handler, overTLS bool, stdin io.Reader, stdout io.Writer) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	srv := &http.Server{Handler: h, ReadHeaderTimeout: cutOff}
	at, serve := served{URL: "http://" + l.Addr().String()}, func() error { return srv.Serve(l) }
	if overTLS {
		certificate, key, err := selfSigned()
		if err != nil {
			return err
		}
		pair, err := tls.X509KeyPair(certificate, key)
		if err != nil {
			return err
		}
		srv.TLSConfig = &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
		at = served{"https://" + l.Addr().String(), string(certificate)}
		serve = func() error { return srv.ServeTLS(l, "", "") }
	}
	if err := json.NewEncoder(stdout).Encode(at); err != nil {
		return err
	}
	go func() {
		_, _ = io.Copy(io.Discard, stdin)
		_ = srv.Close()
	}()
	if err := serve(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// selfSigned makes a certificate of 127.0.0.1 and its key, as PEM.
func selfSigned() (certificate, key []byte, err error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	now := time.Now()
	t := &x509.Certificate{SerialNumber: big.NewInt(now.UnixNano()), NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(1, 0, 0),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, t, t, private.Public(), private)
	if err != nil {
		return nil, nil, err
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return nil, nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}), nil
}

// ReadRoots reads the certificate (PEM) that a server is known by, or one that vouches for it.
func ReadRoots(path string) (*x509.CertPool, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s is no certificate in PEM", path)
	}
	return roots, nil
}
