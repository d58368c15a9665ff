package bench

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// ErrNoPostgres says that PostgreSQL is not installed here.
var ErrNoPostgres = errors.New("PostgreSQL is not installed in /usr/lib/postgresql")

// StartPostgres starts a PostgreSQL in a new directory, as it is delivered but for the settings that are named, like
// "max_connections=100". Its user is "liked".
func StartPostgres(ctx context.Context, dir string, settings ...string) (dsn string, stop func() error, err error) {
	binaries, _ := filepath.Glob("/usr/lib/postgresql/*/bin")
	if len(binaries) == 0 {
		return "", nil, ErrNoPostgres
	}
	bin := binaries[len(binaries)-1]
	as, err := unprivileged(dir)
	if err != nil {
		return "", nil, err
	}
	initdb := exec.CommandContext(ctx, filepath.Join(bin, "initdb"),
		"--auth=trust", "--username=liked", "--encoding=UTF8", "--locale=C", "--pgdata", dir)
	initdb.SysProcAttr, initdb.Dir = as, dir
	if out, err := initdb.CombinedOutput(); err != nil {
		return "", nil, fmt.Errorf("initdb: %w\n%s", err, out)
	}
	address, err := freeAddress()
	if err != nil {
		return "", nil, err
	}
	host, port, _ := net.SplitHostPort(address)
	args := []string{"-D", dir, "-h", host, "-p", port, "-k", dir}
	for _, s := range settings {
		args = append(args, "-c", s)
	}
	server := exec.Command(filepath.Join(bin, "postgres"), args...)
	server.SysProcAttr, server.Dir = as, dir
	if err := server.Start(); err != nil {
		return "", nil, err
	}
	stop = func() error { return errors.Join(server.Process.Signal(os.Interrupt), server.Wait()) }
	dsn = "postgres://liked@" + address + "/postgres?sslmode=disable"
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		conn, err := pgx.Connect(ctx, dsn)
		if err == nil {
			return dsn, stop, conn.Close(ctx)
		}
		if ctx.Err() != nil || time.Now().After(deadline) {
			return "", nil, errors.Join(err, stop())
		}
	}
}

// freeAddress is one of this machine's that nobody listens on: no other process is likely to take it meanwhile.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// Trips counts how often the database is asked, by connections whose tracer it is.
type Trips struct{ n atomic.Int64 }

func (t *Trips) one(ctx context.Context) context.Context {
	t.n.Add(1)
	return ctx
}

// TraceQueryStart implements pgx.QueryTracer, as the others do.
func (t *Trips) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	return t.one(ctx)
}

// TraceBatchStart implements pgx.BatchTracer: a batch is one trip.
func (t *Trips) TraceBatchStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceBatchStartData) context.Context {
	return t.one(ctx)
}

func (t *Trips) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData)     {}
func (t *Trips) TraceBatchQuery(context.Context, *pgx.Conn, pgx.TraceBatchQueryData) {}
func (t *Trips) TraceBatchEnd(context.Context, *pgx.Conn, pgx.TraceBatchEndData)     {}

// database reads what a database on this machine has used.
type database struct {
	conn  *pgx.Conn
	trips Trips // of the store that is measured
}

func (d *database) usage(ctx context.Context) (u Usage, err error) {
	u.Trips = d.trips.n.Load()
	rows, err := d.conn.Query(ctx, "SELECT pid FROM pg_stat_activity "+
		"WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()")
	if err != nil {
		return u, err
	}
	pids, err := pgx.CollectRows(rows, pgx.RowTo[int])
	if err != nil {
		return u, err
	}
	for _, pid := range pids {
		u.CPU += processTime(pid)
	}
	return u, d.conn.QueryRow(ctx, "SELECT (pg_current_wal_insert_lsn() - '0/0')::bigint").Scan(&u.WAL)
}

// size is how many bytes the database has on the disk.
func (d *database) size(ctx context.Context) (bytes int64, err error) {
	return bytes, d.conn.QueryRow(ctx, "SELECT pg_database_size(current_database())").Scan(&bytes)
}

// bareTables are what bare writes to.
const bareTables = `CREATE TABLE bare_likes (user_id bigint, post_id bigint, PRIMARY KEY (user_id, post_id));
	CREATE TABLE bare_counters (post_id bigint PRIMARY KEY, n bigint NOT NULL DEFAULT 0) WITH (fillfactor = 60)`

// bareLike is what one would write without a store.
const bareLike = `WITH new AS (INSERT INTO bare_likes VALUES ($1, $2) ON CONFLICT DO NOTHING RETURNING post_id)
	UPDATE bare_counters SET n = n + 1 WHERE post_id = (SELECT post_id FROM new)`

// bare returns a function that likes with a statement of its own, in a transaction of its own, through so many connections.
func bare(ctx context.Context, dsn string, connections int) (like func(ctx context.Context, user, post int64) error,
	close func(), err error) {
	c, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		return nil, nil, err
	}
	c.MaxConns, c.MinConns = int32(connections), int32(connections)
	pool, err := pgxpool.NewWithConfig(ctx, c)
	if err != nil {
		return nil, nil, err
	}
	return func(ctx context.Context, user, post int64) error {
		_, err := pool.Exec(ctx, bareLike, user, post)
		return err
	}, pool.Close, nil
}
