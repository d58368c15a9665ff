package main

import (
	"context"
	"database/sql"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	_ "github.com/mattn/go-sqlite3"
	"github.com/redis/go-redis/v9"

	"liked/internal/bench"
)

// startPostgres starts a PostgreSQL of its own, as it is delivered but for the number of connections.
func startPostgres(ctx context.Context, dir string, callers int) (store, error) {
	url, stop, err := bench.StartPostgres(ctx, dir, "max_connections="+strconv.Itoa(callers+10))
	if errors.Is(err, bench.ErrNoPostgres) {
		return store{}, &missingError{"PostgreSQL", "postgresql"}
	}
	if err != nil {
		return store{}, err
	}
	conn, err := pgx.Connect(ctx, url)
	if err == nil {
		_, err = conn.Exec(ctx, `
			create table likes (user_id bigint, post_id bigint, at timestamptz not null default now(), primary key (user_id, post_id));
			create index on likes (user_id, at desc);
			create index on likes (post_id, at desc);
			create table posts (id bigint primary key, likes bigint not null default 0) with (fillfactor = 50);
			insert into posts select generate_series(0, `+strconv.Itoa(posts-1)+`);`)
		err = errors.Join(err, conn.Close(ctx))
	}
	if err != nil {
		return store{}, errors.Join(err, stop())
	}
	connect := func(ctx context.Context) (client, error) {
		conn, err := pgx.Connect(ctx, url)
		if err != nil {
			return client{}, err
		}
		const statement = `with new as (insert into likes (user_id, post_id) values ($1, $2) on conflict do nothing returning post_id)
			update posts set likes = likes + 1 from new where id = post_id`
		return client{
			like: func(user, post int64) error {
				_, err := conn.Exec(ctx, statement, user, post)
				return err
			},
			close: func() { _ = conn.Close(context.WithoutCancel(ctx)) },
		}, nil
	}
	return store{connect, stop}, nil
}

// startRedis starts a Redis that syncs its log before it answers.
func startRedis(ctx context.Context, dir string, callers int) (store, error) {
	program, err := exec.LookPath("redis-server")
	if err != nil {
		return store{}, &missingError{"Redis", "redis-server"}
	}
	port, err := freePort()
	if err := errors.Join(err, os.Mkdir(dir, 0o700)); err != nil {
		return store{}, err
	}
	stop, err := start(exec.Command(program, "--bind", "127.0.0.1", "--port", port, "--dir", dir,
		"--save", "", "--appendonly", "yes", "--appendfsync", "always"))
	if err != nil {
		return store{}, err
	}
	pool := redis.NewClient(&redis.Options{Addr: "127.0.0.1:" + port, PoolSize: callers})
	like := redis.NewScript(`
		if redis.call('SADD', KEYS[1], ARGV[2]) == 0 then return 0 end
		local n = redis.call('INCR', 'seq')
		redis.call('ZADD', KEYS[2], n, ARGV[2])
		redis.call('ZADD', KEYS[3], n, ARGV[1])
		redis.call('INCR', KEYS[4])
		return 1`)
	if err := eventually(ctx, func() error { return like.Load(ctx, pool).Err() }); err != nil {
		return store{}, errors.Join(err, pool.Close(), stop())
	}
	connect := func(ctx context.Context) (client, error) {
		return client{like: func(user, post int64) error {
			u, p := strconv.FormatInt(user, 10), strconv.FormatInt(post, 10)
			return like.EvalSha(ctx, pool, []string{"likes:" + u, "liked:" + u, "likers:" + p, "count:" + p}, u, p).Err()
		}, close: func() {}}, nil
	}
	return store{connect, func() error { return errors.Join(pool.Close(), stop()) }}, nil
}

// startSQLite opens a database in this process, with one writer that puts all likes that wait into one transaction: SQLite
// knows one writer at a time, and a transaction for each like would wait for a sync each.
func startSQLite(ctx context.Context, dir string, callers int) (store, error) {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return store{}, err
	}
	db, err := sql.Open("sqlite3", "file:"+filepath.Join(dir, "likes.db")+"?_journal_mode=WAL&_synchronous=FULL")
	if err != nil {
		return store{}, err
	}
	if _, err := db.ExecContext(ctx, `
		create table likes (user_id integer, post_id integer, at integer not null, primary key (user_id, post_id)) without rowid;
		create index likes_of on likes (user_id, at);
		create index likers_of on likes (post_id, at);
		create table posts (id integer primary key, likes integer not null)`); err != nil {
		return store{}, errors.Join(err, db.Close())
	}
	type request struct {
		user, post int64
		done       chan error
	}
	requests := make(chan request, callers)
	ended := make(chan struct{})
	group := func(first request) {
		waiting := []request{first}
		for len(requests) > 0 {
			waiting = append(waiting, <-requests)
		}
		err := func() error {
			tx, err := db.Begin()
			if err != nil {
				return err
			}
			for _, r := range waiting {
				res, err := tx.Exec(`insert or ignore into likes values (?, ?, ?)`, r.user, r.post, time.Now().UnixMicro())
				if err != nil {
					return errors.Join(err, tx.Rollback())
				}
				n, err := res.RowsAffected()
				if err != nil {
					return errors.Join(err, tx.Rollback())
				}
				if n == 0 {
					continue
				}
				if _, err := tx.Exec(`insert into posts values (?, 1) on conflict (id) do update set likes = likes + 1`, r.post); err != nil {
					return errors.Join(err, tx.Rollback())
				}
			}
			return tx.Commit()
		}()
		for _, r := range waiting {
			r.done <- err
		}
	}
	go func() {
		defer close(ended)
		for r := range requests {
			group(r)
		}
	}()
	connect := func(context.Context) (client, error) {
		done := make(chan error, 1)
		return client{like: func(user, post int64) error {
			requests <- request{user, post, done}
			return <-done
		}, close: func() {}}, nil
	}
	return store{connect, func() error { close(requests); <-ended; return db.Close() }}, nil
}

// start starts a server and returns how to end it.
func start(cmd *exec.Cmd) (stop func() error, err error) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid = true // Ctrl-C is for us: they end when we say so
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return func() error {
		return errors.Join(cmd.Process.Signal(syscall.SIGINT), cmd.Wait())
	}, nil
}

// eventually tries until it works, for a minute.
func eventually(ctx context.Context, try func() error) error {
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		err := try()
		if err == nil || ctx.Err() != nil || time.Now().After(deadline) {
			return err
		}
	}
}

func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	_, port, err := net.SplitHostPort(l.Addr().String())
	return port, errors.Join(err, l.Close())
}
