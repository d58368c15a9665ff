//go:build !unix

package bench

import "syscall"

func unprivileged(string) (*syscall.SysProcAttr, error) { return nil, ErrNoPostgres }
