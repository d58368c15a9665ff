package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

type readyCmd struct {
	Timeout time.Duration `default:"10s" placeholder:"TIME" help:"How long to wait."`
	Operator
}

func (c *readyCmd) check() error {
	if c.Postgres != "" {
		return errors.New("postgres: it names no server; give the server's --admin-url, --data or --credentials")
	}
	return c.Operator.check()
}

// askEvery is how often a server is asked that is not there yet.
const askEvery = 50 * time.Millisecond

func (c *readyCmd) Run(e *env) error {
	ctx, cancel := context.WithTimeout(e.ctx, c.Timeout)
	defer cancel()
	if c.Credentials == "-" {
		return errors.New("credentials: what stands in a file is awaited, not standard input")
	}
	var last error
	for {
		err := c.ask(ctx, e)
		if err == nil {
			return nil
		}
		if ctx.Err() == nil || last == nil { // the end of the time is no reason
			last = err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("not ready after %s: %w", c.Timeout, last)
		case <-time.After(askEvery):
		}
	}
}

// ask returns nil if a server answers out of its store.
func (c *readyCmd) ask(ctx context.Context, e *env) error {
	a, close, err := c.running(e)
	if err != nil {
		return err
	}
	return errors.Join(a.Call(ctx, "GET", "/admin/users?max=1", nil, nil), close())
}
