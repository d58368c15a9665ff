package pgstore

import (
	"cmp"
	"context"
	"errors"
	"net"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"liked"
)

const (
	connectTimeout = 2 * time.Second // of one host, unless the connection string has connect_timeout
	deadAfter      = 5 * time.Second // a host that vanished sends no reset
)

// connect makes a pool that connects when it is used, to the first of the hosts that takes writes.
func connect(o *Options, size int) (*pgxpool.Pool, error) {
	c, err := pgxpool.ParseConfig(o.DSN)
	if err != nil {
		return nil, &liked.Error{Kind: liked.Invalid, Msg: "the connection string of the database cannot be read: " + mistake(err)}
	}
	c.MaxConns, c.MinConns, c.ConnConfig.Tracer = int32(size), 0, o.Tracer
	c.AfterConnect = func(ctx context.Context, conn *pgx.Conn) error {
		_, err := conn.PgConn().Exec(ctx, byKeys+"; "+plannedOnce+"; "+forShards).ReadAll()
		return err
	}
	to := c.ConnConfig
	to.OnNotice = o.notice
	to.ConnectTimeout = cmp.Or(to.ConnectTimeout, connectTimeout)
	to.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsReadWrite
	dialer := &net.Dialer{
		Timeout: to.ConnectTimeout,
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: deadAfter - 3*time.Second, Interval: time.Second,
			Count: 3},
		Control: endUnheard,
	}
	to.DialFunc = dialer.DialContext
	c.BeforeConnect = func(_ context.Context, c *pgx.ConnConfig) error {
		cancels := new(atomic.Bool)
		cancels.Store(true) // for the connection itself
		dial := c.DialFunc
		c.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
			if !cancels.Load() {
				return nil, errNoCancel
			}
			return dial(ctx, network, address)
		}
		c.AfterConnect = func(_ context.Context, conn *pgconn.PgConn) error {
			cancels.Store(false)
			conn.CustomData()[cancelsKey] = cancels
			return nil
		}
		return nil
	}
	return pgxpool.NewWithConfig(context.Background(), c)
}

// byKeys has statements find rows by their keys. The planner would rather read a whole table that it has seen small, go on
// doing so while it grows, and read all likes of a user of whom its statistics say nothing.
const byKeys = "SET enable_seqscan = off; SET enable_bitmapscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off; " +
	"SET jit = off"

// plannedOnce has a connection plan each statement once, for all values: values change nothing about a look-up by a key, and the
// planner, left to itself, plans a statement about an array of one anew for each call, which takes longer than to run it. On Citus
// it must know the values, from which the shards follow.
const plannedOnce = "SELECT set_config('plan_cache_mode', 'force_generic_plan', false) " +
	"WHERE current_setting('plan_cache_mode') = 'auto' AND NOT (" + hasCitus + ")"

// wholeTables has the transaction's statements join whole tables instead.
func (t *tx) wholeTables() {
	t.queue("SELECT set_config('enable_' || what, 'on', true) FROM unnest('{seqscan,bitmapscan,hashjoin,mergejoin}'::text[]) what")
}

// cancelsKey has an *atomic.Bool of a connection: whether pgx, which asks the server to cancel what a connection does when it
// gives that up, may do so. Of a commit it must not: one that waits for its standby would be shown, and a failover would lose
// it. So it may not but while the connection reads.
const cancelsKey = "liked: cancelling"

var errNoCancel = errors.New("what is written is not cancelled")

// mayCancel says whether what the connection does from now on may be cancelled.
func mayCancel(conn *pgx.Conn, may bool) {
	if c, ok := conn.PgConn().CustomData()[cancelsKey].(*atomic.Bool); ok {
		c.Store(may)
	}
}

// mistake says what is wrong with a connection string, and quotes nothing of it: a password may be anywhere in one that cannot
// be read.
func mistake(err error) string {
	const unnamed = "it is neither a URL (postgres://…) nor keywords with values"
	e, ok := errors.AsType[*pgconn.ParseConfigError](err)
	if !ok {
		return unnamed
	}
	bare := *e
	bare.ConnString = ""
	words := strings.TrimPrefix(bare.Error(), "cannot parse ``: ")
	switch inner := errors.Unwrap(e); {
	case strings.HasPrefix(words, "failed to parse as keyword"):
		return unnamed
	case strings.HasPrefix(words, "failed to configure TLS") && inner != nil:
		words = inner.Error()
	}
	words, _, _ = strings.Cut(words, ":") // a value may follow
	words, _, _ = strings.Cut(words, " (")
	return words
}
