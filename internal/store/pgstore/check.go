package pgstore

import (
	"context"
	"time"

	"liked/internal/store"
)

func (*Store) Check(ctx context.Context) (store.Report, error) { return store.Report{}, nil }

func (*Store) Sweep(ctx context.Context, now time.Time) error { panic("not built") }

func (*Store) Totals(ctx context.Context) (store.Totals, error) { return store.Totals{}, nil }
