//go:build !unix

package pebblestore

import "os"

func lockShared(*os.File) error { return nil }
