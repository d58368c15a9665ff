package pgstore

import (
	"context"
	"embed"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

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

// prepare checks the database, and migrates the schema if it is empty, or if it is older and that was asked for.
func (s *Store) prepare(ctx context.Context, o *Options) error {
	conn, err := s.calls.Acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	if err := s.inspect(ctx, conn.Conn()); err != nil {
		return err
	}
	if err := migrate(ctx, conn.Conn(), o); err != nil {
		return err
	}
	if s.shards, err = s.findShards(ctx, conn.Conn()); err != nil || s.shards == nil {
		return err
	}
	return s.inspectNodes(ctx, conn.Conn(), o.Readers+o.Writers)
}

// inspect refuses a database that does not keep what it is told, or that the statements do not fit.
func (s *Store) inspect(ctx context.Context, conn *pgx.Conn) error {
	var version, standbys int
	var schema pgtype.Text
	var encoding, isolation, fsync, pages, commit, synchronous string
	err := conn.QueryRow(ctx, `SELECT current_setting('server_version_num')::int, current_schema()::text,
		current_setting('server_encoding'), current_setting('default_transaction_isolation'), current_setting('fsync'),
		current_setting('full_page_writes'), current_setting('synchronous_commit'), current_setting('synchronous_standby_names'),
		(SELECT count(*)::int FROM pg_stat_replication)`).
		Scan(&version, &schema, &encoding, &isolation, &fsync, &pages, &commit, &synchronous, &standbys)
	if err != nil {
		return err
	}
	refuse := func(format string, args ...any) error { return liked.Errorf(liked.Invalid, format, args...) }
	switch {
	case version < leastServer*10_000:
		return refuse("the database is PostgreSQL %d, and %d or later is needed: update it", version/10_000, leastServer)
	case !schema.Valid:
		return refuse("no schema of search_path exists, or the database user may not use it: create one that the user owns")
	case encoding != "UTF8":
		return refuse("the database has the encoding %s: create one with the encoding UTF8", encoding)
	case isolation != "read committed":
		return refuse("default_transaction_isolation is %s: set it to \"read committed\" for this user", isolation)
	case fsync != "on":
		return refuse("fsync is %s, so a crash loses everything: turn it on", fsync)
	case pages != "on":
		return refuse("full_page_writes is %s, so a crash may damage the database: turn it on", pages)
	case commit == "off":
		return refuse("synchronous_commit is off, so a crash loses what was acknowledged: turn it on for this user")
	}
	if standbys > 0 && (synchronous == "" || commit == "local") {
		s.log.Warn("store: no standby is synchronous, so a failover loses what was acknowledged in the last moments; " +
			"set synchronous_standby_names, and synchronous_commit to on")
	}
	return nil
}

// leastServer is the oldest release of PostgreSQL that the statements are for.
const leastServer = 15

func migrate(ctx context.Context, conn *pgx.Conn, o *Options) error {
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
	version, err := versionOf(ctx, tx, o.Migrate)
	switch {
	case err != nil || version >= Version:
		return err
	case version == 0 && o.Existing:
		return liked.Errorf(liked.Invalid, "the schema is empty: check the connection string and its search_path, or start a server on it once")
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
	if version == 0 {
		if err := distribute(ctx, tx); err != nil {
			return err
		}
	}
	return tx.Commit(ctx)
}

// versionOf returns the version of the schema, 0 if it is empty, if this program can use or raise it.
func versionOf(ctx context.Context, tx pgx.Tx, raise bool) (version int, err error) {
	var there bool
	err = tx.QueryRow(ctx, "SELECT to_regclass(quote_ident(current_schema()) || '.meta') IS NOT NULL").Scan(&there)
	if err != nil || !there {
		return 0, err
	}
	least := 0
	if err := tx.QueryRow(ctx, "SELECT version, least FROM meta").Scan(&version, &least); err != nil {
		return 0, err
	}
	switch {
	case version > Version && least > Version:
		return 0, liked.Errorf(liked.Invalid, "the schema has version %d, which this release, of version %d, is too old for: update it",
			version, Version)
	case version < Version && !raise:
		return 0, liked.Errorf(liked.Invalid, "the schema has version %d, this release needs %d: run liked migrate, or one server "+
			"with --migrate", version, Version)
	}
	return version, nil
}
