package store

import (
	"context"
	"io"
)

// Backup copies the store while it is used. It is what engines with files of their own can do besides; a database server
// has tools for that.
type Backup interface {
	// Backup calls use with the files of a copy of the store at one moment, which has all that was acknowledged before
	// the call. Put into an empty directory they are a store that can be opened. They last until use returns, whose error is
	// returned. Other calls go on meanwhile, other backups too. Invalid if the store has no files.
	Backup(ctx context.Context, use func([]File) error) error
}

// File is one of the files of a copy. It does not change while the copy lasts.
type File struct {
	Name string // letters, digits, dots and hyphens, no dot first
	Size int64
	// Fixed says that the store never has another content under this name, now or later.
	Fixed bool
	Open  func() (io.ReadCloser, error)
}
