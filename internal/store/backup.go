package store

import (
	"context"
	"io"
)

// Backup copies a store in use, for engines with files of their own; a database server has its own tools.
type Backup interface {
	// Backup calls use with the files of a copy of the store at one moment, with all that was acknowledged before the
	// call, and returns the error of use. In an empty directory they are a store that can be opened; they last until
	// use returns. Other calls and backups go on meanwhile. Invalid if the store has no files.
	Backup(ctx context.Context, use func([]File) error) error
}

// File is a file of a copy, which does not change.
type File struct {
	Name string // letters, digits, dots and hyphens; no leading dot
	Size int64
	// Fixed says that this name never gets other content.
	Fixed bool
	Open  func() (io.ReadCloser, error)
}
