package pgstore

import (
	"cmp"
	"context"
	"crypto/rand"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"liked"
)

// tx is a transaction under way, of one goroutine. Statements wait until a result is needed; all that wait then go to the
// database in one trip, in order. A function that uses a tx may run again after an error, so it keeps nothing from an
// earlier run and has no effect but through the tx.
type tx struct {
	ctx     context.Context
	conn    *pgx.Conn
	shards  *shards
	waiting pgx.Batch
	wrote   bool     // there is something to commit
	then    []func() // called in order once all is committed, before the call returns
}

// queue adds a statement that only reads or locks. Its callback, if it gets one, runs in send; after the last send of a call
// that is the commit's, which an error of a callback does not undo.
func (t *tx) queue(sql string, args ...any) *pgx.QueuedQuery { return t.waiting.Queue(sql, args...) }

// exec adds a statement that writes.
func (t *tx) exec(sql string, args ...any) *pgx.QueuedQuery {
	t.wrote = true
	return t.waiting.Queue(sql, args...)
}

// send runs all that waits, and its callbacks.
func (t *tx) send() error {
	if t.waiting.Len() == 0 {
		return nil
	}
	b := t.waiting
	t.waiting = pgx.Batch{}
	return t.conn.SendBatch(t.ctx, &b).Close()
}

// onCommit has f called once the transaction is committed, before the call returns.
func (t *tx) onCommit(f func()) { t.then = append(t.then, f) }

// rows runs all that waits and then the statement, and returns its rows.
func rows[T any](t *tx, scan pgx.RowToFunc[T], sql string, args ...any) (all []T, err error) {
	t.queue(sql, args...).Query(into(&all, scan))
	return all, t.send()
}

// into keeps the rows of a statement that waits.
func into[T any](all *[]T, scan pgx.RowToFunc[T]) func(pgx.Rows) error {
	return func(r pgx.Rows) (err error) {
		*all, err = pgx.CollectRows(r, scan)
		return err
	}
}

// row is rows for a statement that returns at most one row.
func row[T any](t *tx, scan pgx.RowToFunc[T], sql string, args ...any) (v T, ok bool, err error) {
	all, err := rows(t, scan, sql, args...)
	if len(all) > 0 {
		v, ok = all[0], true
	}
	return v, ok, err
}

// list is a call that reads with one statement, which sees one moment.
func list[T any](ctx context.Context, s *Store, scan pgx.RowToFunc[T], sql string, args ...any) ([]T, error) {
	return read(ctx, s, func(ctx context.Context, conn *pgx.Conn) ([]T, error) {
		r, err := conn.Query(ctx, sql, args...)
		if err != nil {
			return nil, err
		}
		return pgx.CollectRows(r, scan)
	})
}

// first is list for a statement that returns at most one row. missing is the error if it returns none.
func first[T any](ctx context.Context, s *Store, missing error, scan pgx.RowToFunc[T], sql string, args ...any) (v T, err error) {
	all, err := list(ctx, s, scan, sql, args...)
	switch {
	case err != nil:
		return v, err
	case len(all) == 0:
		return v, missing
	}
	return all[0], nil
}

// view is a call that reads with several statements, which all see one moment.
func view[T any](ctx context.Context, s *Store, f func(t *tx) (T, error)) (T, error) {
	return read(ctx, s, func(ctx context.Context, conn *pgx.Conn) (T, error) {
		t := &tx{ctx: ctx, conn: conn, shards: s.shards}
		t.queue("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
		return f(t)
	})
}

// read runs f, again if the connection is lost, until the store's patience or ctx ends. f may leave a transaction open, which it
// only read in.
func read[T any](ctx context.Context, s *Store, f func(ctx context.Context, conn *pgx.Conn) (T, error)) (v T, err error) {
	if err := s.enter(ctx); err != nil {
		return v, err
	}
	defer s.leave()
	within, cancel := context.WithTimeout(ctx, s.patience)
	defer cancel()
	err = s.again(within, func() error {
		conn, err := s.calls.Acquire(within)
		if err != nil {
			return err
		}
		defer s.release(conn)
		mayCancel(conn.Conn(), true)
		v, err = f(within, conn.Conn())
		return err
	})
	if err != nil {
		var none T
		return none, cause(ctx, err)
	}
	return v, nil
}

// release gives a connection back. A transaction that is still open ends first, for which the call does not wait.
func (s *Store) release(conn *pgxpool.Conn) {
	if conn.Conn().IsClosed() || conn.Conn().PgConn().TxStatus() == 'I' {
		conn.Release()
		return
	}
	go func() {
		defer conn.Release()
		ctx, cancel := context.WithTimeout(context.Background(), s.patience)
		defer cancel()
		t := &tx{ctx: ctx, conn: conn.Conn()}
		_ = t.rollback(nil) // an error: the connection is closed, or is not idle, and the pool drops it
	}()
}

// write is a call that writes: f in a transaction of its own, which is committed unless f returns an error. If ctx or the
// store's patience ends first, the call ends, and the transaction goes on.
func write[T any](ctx context.Context, s *Store, f func(t *tx) (T, error)) (v T, err error) {
	if err := s.enter(ctx); err != nil {
		return v, err
	}
	type result struct {
		v   T
		err error
	}
	done := make(chan result, 1)
	go func() {
		defer s.leave()
		var r result
		r.err = s.commit(s.calls, func(t *tx) (err error) {
			r.v, err = f(t)
			return err
		})
		done <- r
	}()
	patience := time.NewTimer(s.patience)
	defer patience.Stop()
	select {
	case r := <-done:
		if r.err != nil {
			return v, failure(r.err)
		}
		return r.v, nil
	case <-ctx.Done():
		return v, ctx.Err()
	case <-patience.C:
		return v, errPatience
	}
}

// update is write without a result.
func (s *Store) update(ctx context.Context, f func(t *tx) error) error {
	_, err := write(ctx, s, func(t *tx) (struct{}, error) { return struct{}{}, f(t) })
	return err
}

// commit runs f in a transaction on a connection of the pool, once as far as anybody can see: what the database refuses for
// reasons of its own runs again, and of a commit without an answer the outcome is asked. It gives up after the store's
// patience; then f may have been committed or not.
func (s *Store) commit(pool *pgxpool.Pool, f func(t *tx) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), s.patience)
	defer cancel()
	return s.again(ctx, func() error {
		conn, err := pool.Acquire(ctx)
		if err != nil {
			return err
		}
		mayCancel(conn.Conn(), false)
		t := &tx{ctx: ctx, conn: conn.Conn(), shards: s.shards}
		id := newOutcome()
		asked, err := t.attempt(id, f)
		conn.Release()
		if asked && err != nil && lost(err) {
			committed := false
			unknown := s.again(ctx, func() (err error) {
				committed, err = resolve(ctx, pool, id)
				return err
			})
			if unknown != nil {
				return unknown
			}
			if committed {
				err = nil
			}
		}
		if err == nil {
			for _, f := range t.then {
				f()
			}
		}
		return err
	})
}

// attempt runs f and commits. asked reports whether the commit was sent.
func (t *tx) attempt(id []byte, f func(t *tx) error) (asked bool, err error) {
	t.queue("BEGIN")
	t.keepShards()
	err = f(t)
	if err == nil && t.wrote {
		t.queue("INSERT INTO outcomes (id, committed, at) VALUES ($1, true, $2)", id, time.Now().UnixMilli())
		t.queue("COMMIT")
		return true, t.rollback(t.send())
	}
	return false, t.rollback(err)
}

// rollback ends a transaction that is still open, and returns err, or its own error if that is nil.
func (t *tx) rollback(err error) error {
	t.waiting = pgx.Batch{}
	if t.conn.IsClosed() || t.conn.PgConn().TxStatus() == 'I' {
		return err
	}
	t.queue("ROLLBACK")
	return cmp.Or(err, t.send())
}

func newOutcome() []byte {
	id := make([]byte, 16)
	_, _ = rand.Read(id) // never fails
	return id
}

// resolve reports whether the transaction with that outcome, whose commit got no answer, was committed. If it was not, it
// never will be: to write the same outcome waits for a transaction that has written it, and keeps one from doing so later. It
// is written in any case, so that the answer waits for the standby, which then has that transaction, too.
func resolve(ctx context.Context, pool *pgxpool.Pool, id []byte) (committed bool, err error) {
	conn, err := pool.Acquire(ctx)
	if err != nil {
		return false, err
	}
	defer conn.Release()
	mayCancel(conn.Conn(), false)
	err = conn.QueryRow(ctx, "INSERT INTO outcomes AS o (id, committed, at) VALUES ($1, false, $2) "+
		"ON CONFLICT (id) DO UPDATE SET at = excluded.at RETURNING o.committed", id, time.Now().UnixMilli()).Scan(&committed)
	return committed, err
}

// again runs f until it returns nothing that passes, or ctx ends.
func (s *Store) again(ctx context.Context, f func() error) error {
	for first := true; ; first = false {
		err := f()
		if err == nil || ctx.Err() != nil || !passes(err) {
			return err
		}
		if lost(err) {
			s.calls.Reset() // so are the others, and what is left of a pool is tried one by one otherwise
			s.work.Reset()
		}
		s.meters.retries.Add(1)
		if first {
			s.log.Warn("store: the database is asked again until it answers", "err", err)
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(retryEvery):
		}
	}
}

const retryEvery = 50 * time.Millisecond

// cause is what a call returns for an error: that of its own context if this ended.
func cause(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return failure(err)
}

var errPatience = liked.Errorf(liked.Unavailable, "the database has not answered in time")

// micros is a time as the tables have it, and timeOf the time that it was, in UTC. The zero time survives.
func micros(t time.Time) int64     { return t.UnixMicro() }
func timeOf(micro int64) time.Time { return time.UnixMicro(micro).UTC() }
