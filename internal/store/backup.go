package store

import (
	"context"
	"io"
)

// Backup copies the store while it is in use, for engines with files of their own; a database server has its own tools.
type Backup interface {
	// Backup calls use with the files of a copy of the store at one moment, which has all that was acknowledged before
	// the call. In an empty directory they are a store that can be opened. They last until use returns, whose error is
	// returned. Other calls and backups go on meanwhile. Invalid if the store has no files.
	Backup(ctx context.Context, use func([]File) error) error
}

// File is a file of a copy, and does not change while the copy lasts.
type File struct {
	Name string // letters, digits, dots and hyphens; no leading dot
	Size int64
	// Fixed says that the store never has other content under this name.
	Fixed bool
	Open  func() (io.ReadCloser, error)
}
