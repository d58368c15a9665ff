package pgstore

import (
	"context"
	"embed"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"

	"liked"
)

// The schema's migrations, numbered from 1. Each is released once and never changed afterwards; a release after it may use
// what it added, and only the next may drop what no release uses any more, so that a binary runs with its own version and
// the next one.
//
//go:embed migrations/*.sql
var migrations embed.FS

// Version is the version of the schema that this program makes.
const Version = 1

// connect makes a pool that connects when it is used.
func connect(o *Options, size int) (*pgxpool.Pool, error) {
	c, err := pgxpool.ParseConfig(o.DSN)
	if err != nil {
		return nil, &liked.Error{Kind: liked.Invalid, Msg: "the connection string of the database is not one", Err: hidden{err}}
	}
	c.MaxConns, c.MinConns, c.ConnConfig.Tracer = int32(size), 0, o.tracer
	c.AfterConnect = func(ctx context.Context, conn *pgx.Conn) error {
		_, err := conn.PgConn().Exec(ctx, byKeys).ReadAll()
		return err
	}
	return pgxpool.NewWithConfig(context.Background(), c)
}

// byKeys has statements find rows by their keys. The planner would rather read a whole table that it has seen small, go on
// doing so while it grows, and read all likes of a user of whom its statistics say nothing..
const byKeys = "SET enable_seqscan = off; SET enable_bitmapscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off; " +
	"SET jit = off"

// wholeTables has the transaction's statements join whole tables instead.
func (t *tx) wholeTables() {
	t.queue("SELECT set_config('enable_' || what, 'on', true) FROM unnest('{seqscan,bitmapscan,hashjoin,mergejoin}'::text[]) what")
}

// hidden keeps an error's text, which may quote a password, out of logs.
type hidden struct{ error }

func (h hidden) Error() string { return "its text is not shown, since it may hold a password" }

// prepare checks the database, and migrates the schema if it is empty, or if it is older and that was asked for.
func (s *Store) prepare(ctx context.Context, raise bool) error {
	conn, err := s.calls.Acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	return migrate(ctx, conn.Conn(), raise)
}

func migrate(ctx context.Context, conn *pgx.Conn, raise bool) error {
	tx, err := conn.Begin(ctx)
	if err != nil {
		return err
	}
	defer tx.Rollback(context.Background())
	// Servers that start at once wait for the one that migrates. The lock ends with the transaction, through a pooler, too.
	_, err = tx.Exec(ctx, "SELECT pg_advisory_xact_lock(hashtextextended('liked migrates ' || current_schema(), 0))")
	if err != nil {
		return err
	}
	var there pgtype.Text
	if err := tx.QueryRow(ctx, "SELECT to_regclass('meta')::text").Scan(&there); err != nil {
		return err
	}
	version, least := 0, 0
	if there.Valid {
		if err := tx.QueryRow(ctx, "SELECT version, least FROM meta").Scan(&version, &least); err != nil {
			return err
		}
	}
	switch {
	case version == Version || version > Version && least <= Version:
		return nil
	case version > Version:
		return liked.Errorf(liked.Invalid, "the schema has version %d, which this release, of version %d, is too old for: update it",
			version, Version)
	case version > 0 && !raise:
		return liked.Errorf(liked.Invalid, "the schema has version %d, this release needs %d: run liked migrate, or one server "+
			"with --migrate", version, Version)
	}
	for v := version + 1; v <= Version; v++ {
		sql, err := migrations.ReadFile(fmt.Sprintf("migrations/%03d.sql", v))
		if err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, string(sql)); err != nil {
			return fmt.Errorf("migration %d: %w", v, err)
		}
	}
	return tx.Commit(ctx)
}
