package pgstore

import (
	"context"

	"liked/internal/store"
)

func (*Store) Export(ctx context.Context, each func(store.Record) error) error { panic("not built") }

func (*Store) Import(ctx context.Context, records []store.Record, keepGoing bool) (store.Imported, error) {
	panic("not built")
}
