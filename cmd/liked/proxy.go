package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"slices"

	"liked/internal/server"
)

type proxyCmd struct {
	Captured
	Listen string `default:"127.0.0.1:8182" placeholder:"HOST:PORT" help:"Where programs find the proxy."`
	Env    string `placeholder:"FILE" help:"Write the variables that programs need, as shell exports; - is standard output."`
}

func (c *proxyCmd) check() error {
	// The secrets of a seed, which everybody knows, are not for others than this machine.
	exposed := !server.Loopback(c.Listen)
	if exposed && c.Captured.Credentials == "" && c.Seed == nil && !c.KnownSeed {
		c.Seed = new(uint64)
	}
	err := c.Captured.check()
	if exposed && c.Seed != nil && *c.Seed != 0 && !c.KnownSeed {
		err = errors.Join(err, errors.New("seed: others can reach this proxy, and everybody can make the secrets of a seed: "+
			"leave the seed out for random ones, or allow it with --known-seed"))
	}
	return err
}

func (c *proxyCmd) Run(e *env) error {
	return c.with(e, func(x captured) error {
		l, err := net.Listen("tcp", c.Listen)
		if err != nil {
			return fmt.Errorf("listen: %w", err)
		}
		x.OnlyX = !server.Loopback(l.Addr().String())
		dir, err := os.MkdirTemp("", "liked-proxy-")
		if err != nil {
			_ = l.Close()
			return err
		}
		return errors.Join(c.serve(e, x, l, dir), os.RemoveAll(dir))
	})
}

func (c *proxyCmd) serve(e *env, x captured, l net.Listener, dir string) error {
	found, err := x.Proxy(l, dir)
	if err != nil {
		return err
	}
	out := e.stdout
	if c.Env != "" {
		variables := x.variables(found["API_BASE_URL"], "")
		for _, name := range slices.Sorted(maps.Keys(found)) {
			variables = append(variables, [2]string{name, found[name]})
		}
		if err := e.writeTo(c.Env, func(w io.Writer) error { return writeExports(w, variables) }); err != nil {
			return fmt.Errorf("env: %w", err)
		}
		if c.Env == "-" {
			out = e.stderr
		}
	}
	fmt.Fprintf(out, "liked is X to those who use the proxy http://%s and trust http://%[1]s/ca.pem\nStop with Ctrl-C.\n", l.Addr())
	<-e.ctx.Done()
	return summary{Via: "proxy", Summary: x.Log.Summary()}.write(e.stderr, false)
}
