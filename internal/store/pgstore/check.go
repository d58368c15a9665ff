package pgstore

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"liked/internal/store"
)

func (*Store) Check(ctx context.Context) (store.Report, error) { return store.Report{}, nil }

func (*Store) Sweep(ctx context.Context, now time.Time) error { panic("not built") }

func (s *Store) Totals(ctx context.Context) (store.Totals, error) {
	return first(ctx, s, nil, pgx.RowToStructByPos[store.Totals], `SELECT coalesce(sum(t.users), 0)::bigint, coalesce(sum(t.posts), 0)::bigint,
		coalesce(sum(l.likes), 0)::bigint FROM lanes l JOIN tallies t USING (lane)`)
}
