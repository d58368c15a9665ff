package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"iter"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	_ "github.com/mattn/go-sqlite3"
	"github.com/redis/go-redis/v9"

	"liked/internal/bench"
)

// other is a store beside which ours is measured.
type other struct {
	name    string
	missing func() error // what this machine lacks for it
	start   func(ctx context.Context, dir string, w world) (client, error)
}

var others = []other{
	{"PostgreSQL", func() error {
		if found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/postgres"); len(found) == 0 {
			return errors.New("there is no PostgreSQL here; apt-get install postgresql")
		}
		return nil
	}, startPostgres},
	{"Redis", func() error {
		if _, err := exec.LookPath("redis-server"); err != nil {
			return errors.New("there is no Redis here; apt-get install redis-server")
		}
		return nil
	}, startRedis},
	{"SQLite", func() error { return nil }, startSQLite},
} // never changes

// client calls a running store, which keeps who likes what, both lists and the counts; any number of goroutines may use it.
type client struct {
	like   func(ctx context.Context, user, post int64) error // which is on the disk before it returns
	likers func(post int64, max int) ([]any, error)          // as JSON has them
	liked  func(user int64, max int) ([]any, error)
	count  func(post int64) (counted, error)
	stop   func() error
}

// pool is how many connections a client has: about the rate of PostgreSQL's and of Redis's likes no longer rises with more.
const pool = 64

// at is when the i-th of the likes at the beginning was set, in microseconds.
func at(i int) int64 { return time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC).UnixMicro() + int64(i) }

// startPostgres starts a PostgreSQL of its own, as it is delivered but for the number of connections.
func startPostgres(ctx context.Context, dir string, w world) (c client, err error) {
	url, stop, err := bench.StartPostgres(ctx, dir, "max_connections="+strconv.Itoa(pool+10))
	if err != nil {
		return c, err
	}
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return c, errors.Join(err, stop())
	}
	config.MaxConns = pool
	db, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return c, errors.Join(err, stop())
	}
	c.stop = func() error { db.Close(); return stop() }
	if err := fillPostgres(ctx, db, w); err != nil {
		return c, errors.Join(err, c.stop())
	}
	c.like = func(ctx context.Context, user, post int64) error {
		_, err := db.Exec(ctx, `with new as (insert into likes (user_id, post_id) values ($1, $2) on conflict do nothing returning post_id)
			update posts set likes = likes + 1 from new where id = post_id`, user, post)
		return err
	}
	list := func(statement string, id int64, max int, scan func(row) (any, error)) ([]any, error) {
		rows, err := db.Query(ctx, statement, id, max)
		if err != nil {
			return nil, err
		}
		return pgx.CollectRows(rows, func(r pgx.CollectableRow) (any, error) { return scan(r) })
	}
	c.likers = func(post int64, max int) ([]any, error) {
		return list(`select u.id, u.name, u.username from likes l join users u on u.id = l.user_id
			where l.post_id = $1 order by l.at desc limit $2`, post, max, scanUser)
	}
	c.liked = func(user int64, max int) ([]any, error) {
		return list(`select p.id, p.text from likes l join posts p on p.id = l.post_id
			where l.user_id = $1 order by l.at desc limit $2`, user, max, scanPost)
	}
	c.count = func(post int64) (counted, error) {
		return scanCounted(db.QueryRow(ctx, `select text, likes from posts where id = $1`, post), post)
	}
	return c, nil
}

func fillPostgres(ctx context.Context, db *pgxpool.Pool, w world) error {
	if _, err := db.Exec(ctx, `
		create table users (id bigint primary key, name text not null, username text not null);
		create table posts (id bigint primary key, text text not null, likes bigint not null default 0) with (fillfactor = 50);
		create table likes (user_id bigint, post_id bigint, at timestamptz not null default now())`); err != nil {
		return err
	}
	if _, err := db.CopyFrom(ctx, pgx.Identifier{"users"}, []string{"id", "name", "username"},
		pgx.CopyFromSlice(len(w.Users), func(i int) ([]any, error) {
			return []any{w.Users[i].number, w.Users[i].Name, w.Users[i].Username}, nil
		})); err != nil {
		return err
	}
	if _, err := db.CopyFrom(ctx, pgx.Identifier{"posts"}, []string{"id", "text"},
		pgx.CopyFromSlice(len(w.Posts), func(i int) ([]any, error) { return []any{w.Posts[i].number, w.Posts[i].Text}, nil })); err != nil {
		return err
	}
	next, stop := iter.Pull2(w.pairs)
	defer stop()
	i := 0
	if _, err := db.CopyFrom(ctx, pgx.Identifier{"likes"}, []string{"user_id", "post_id", "at"},
		pgx.CopyFromFunc(func() ([]any, error) {
			u, p, ok := next()
			if !ok {
				return nil, nil
			}
			i++
			return []any{w.Users[u].number, w.Posts[p].number, time.UnixMicro(at(i))}, nil
		})); err != nil {
		return err
	}
	_, err := db.Exec(ctx, `
		alter table likes add primary key (user_id, post_id);
		create index on likes (user_id, at desc);
		create index on likes (post_id, at desc);
		update posts set likes = n from (select post_id, count(*) n from likes group by post_id) l where id = post_id;
		analyze`)
	return err
}

// startRedis starts a Redis that syncs its log before it answers. Users and posts are there as the JSON of answers.
func startRedis(ctx context.Context, dir string, w world) (c client, err error) {
	port, err := freePort()
	if err := errors.Join(err, os.Mkdir(dir, 0o700)); err != nil {
		return c, err
	}
	stop, err := start(exec.Command("redis-server", "--bind", "127.0.0.1", "--port", port, "--dir", dir,
		"--save", "", "--appendonly", "yes", "--appendfsync", "always"))
	if err != nil {
		return c, err
	}
	db := redis.NewClient(&redis.Options{Addr: "127.0.0.1:" + port, PoolSize: pool})
	c.stop = func() error { return errors.Join(db.Close(), stop()) }
	like := redis.NewScript(`
		if redis.call('SADD', KEYS[1], ARGV[2]) == 0 then return 0 end
		local n = redis.call('INCR', 'seq')
		redis.call('ZADD', KEYS[2], n, ARGV[2])
		redis.call('ZADD', KEYS[3], n, ARGV[1])
		redis.call('INCR', KEYS[4])
		return 1`)
	page := redis.NewScript(`
		local keys = redis.call('ZREVRANGE', KEYS[1], 0, ARGV[2] - 1)
		if #keys == 0 then return {} end
		for i, id in ipairs(keys) do keys[i] = ARGV[1] .. id end
		return redis.call('MGET', unpack(keys))`)
	if err := eventually(ctx, func() error { return errors.Join(like.Load(ctx, db).Err(), page.Load(ctx, db).Err()) }); err != nil {
		return c, errors.Join(err, c.stop())
	}
	if err := fillRedis(ctx, db, w); err != nil {
		return c, errors.Join(err, c.stop())
	}
	c.like = func(ctx context.Context, user, post int64) error {
		u, p := strconv.FormatInt(user, 10), strconv.FormatInt(post, 10)
		return like.EvalSha(ctx, db, []string{"likes:" + u, "liked:" + u, "likers:" + p, "count:" + p}, u, p).Err()
	}
	list := func(key, of string, max int) ([]any, error) {
		found, err := page.EvalSha(ctx, db, []string{key}, of, max).StringSlice()
		rows := make([]any, len(found))
		for i, text := range found {
			rows[i] = json.RawMessage(text)
		}
		return rows, err
	}
	c.likers = func(post int64, max int) ([]any, error) {
		return list("likers:"+strconv.FormatInt(post, 10), "user:", max)
	}
	c.liked = func(user int64, max int) ([]any, error) {
		return list("liked:"+strconv.FormatInt(user, 10), "post:", max)
	}
	c.count = func(id int64) (c counted, err error) {
		key := strconv.FormatInt(id, 10)
		found, err := db.MGet(ctx, "post:"+key, "count:"+key).Result()
		if err != nil {
			return c, err
		}
		text, _ := found[0].(string)
		number, _ := found[1].(string)
		if err := json.Unmarshal([]byte(text), &c.post); err != nil {
			return c, err
		}
		c.Metrics.Likes, _ = strconv.ParseInt(number, 10, 64) // none yet
		return c, nil
	}
	return c, nil
}

// fillRedis writes each list with one command.
func fillRedis(ctx context.Context, db *redis.Client, w world) error {
	likes, likers := make([][]redis.Z, len(w.Users)), make([][]redis.Z, len(w.Posts))
	i := 0
	for u, p := range w.pairs {
		i++
		likes[u] = append(likes[u], redis.Z{Score: float64(i), Member: w.Posts[p].ID})
		likers[p] = append(likers[p], redis.Z{Score: float64(i), Member: w.Users[u].ID})
	}
	pipe := db.Pipeline()
	flush := func(least int) error {
		if pipe.Len() < least {
			return nil
		}
		_, err := pipe.Exec(ctx)
		return err
	}
	pipe.Set(ctx, "seq", i, 0)
	for u, of := range w.Users {
		text, err := json.Marshal(of)
		if err != nil {
			return err
		}
		pipe.Set(ctx, "user:"+of.ID, text, 0)
		if len(likes[u]) > 0 {
			members := make([]any, len(likes[u]))
			for i, z := range likes[u] {
				members[i] = z.Member
			}
			pipe.SAdd(ctx, "likes:"+of.ID, members...)
			pipe.ZAdd(ctx, "liked:"+of.ID, likes[u]...)
		}
		if err := flush(100); err != nil {
			return err
		}
	}
	for p, of := range w.Posts {
		text, err := json.Marshal(of)
		if err != nil {
			return err
		}
		pipe.Set(ctx, "post:"+of.ID, text, 0)
		if len(likers[p]) > 0 {
			pipe.ZAdd(ctx, "likers:"+of.ID, likers[p]...)
			pipe.Set(ctx, "count:"+of.ID, len(likers[p]), 0)
		}
		if err := flush(100); err != nil {
			return err
		}
	}
	return flush(1)
}

// startSQLite opens a database in this process, with one writer that puts all likes that wait into one transaction: SQLite
// knows one writer at a time, and a transaction for each like would wait for a sync each. Readers have connections of their own.
func startSQLite(ctx context.Context, dir string, w world) (c client, err error) {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return c, err
	}
	file := "file:" + filepath.Join(dir, "likes.db") + "?_journal_mode=WAL&_synchronous=FULL&_busy_timeout=10000"
	db, err := sql.Open("sqlite3", file)
	if err != nil {
		return c, err
	}
	db.SetMaxOpenConns(1) // the writer's
	reads, err := sql.Open("sqlite3", file+"&mode=ro")
	if err != nil {
		return c, errors.Join(err, db.Close())
	}
	reads.SetMaxOpenConns(2 * runtime.NumCPU())
	reads.SetMaxIdleConns(2 * runtime.NumCPU())
	c.stop = func() error { return errors.Join(reads.Close(), db.Close()) }
	if err := fillSQLite(ctx, db, w); err != nil {
		return c, errors.Join(err, c.stop())
	}
	var failed error
	prepare := func(db *sql.DB, text string) *sql.Stmt {
		s, err := db.PrepareContext(ctx, text)
		failed = errors.Join(failed, err)
		return s
	}
	insert := prepare(db, `insert or ignore into likes values (?, ?, ?)`)
	add := prepare(db, `update posts set likes = likes + 1 where id = ?`)
	likers := prepare(reads, `select u.id, u.name, u.username from likes l join users u on u.id = l.user_id
		where l.post_id = ? order by l.at desc limit ?`)
	liked := prepare(reads, `select p.id, p.text from likes l join posts p on p.id = l.post_id where l.user_id = ? order by l.at desc limit ?`)
	count := prepare(reads, `select text, likes from posts where id = ?`)
	if failed != nil {
		return c, errors.Join(failed, c.stop())
	}
	c.like, c.stop = oneWriter(db, insert, add, c.stop)
	c.likers = func(post int64, max int) ([]any, error) { return collect(likers, post, max, scanUser) }
	c.liked = func(user int64, max int) ([]any, error) { return collect(liked, user, max, scanPost) }
	c.count = func(post int64) (counted, error) { return scanCounted(count.QueryRow(post), post) }
	return c, nil
}

func collect(s *sql.Stmt, id int64, max int, scan func(row) (any, error)) (found []any, err error) {
	rows, err := s.Query(id, max)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		one, err := scan(rows)
		if err != nil {
			return nil, err
		}
		found = append(found, one)
	}
	return found, rows.Err()
}

// oneWriter puts likes that wait into one transaction. Stopped, it ends what it was given, and then stops the rest.
func oneWriter(db *sql.DB, insert, add *sql.Stmt, stopRest func() error) (
	like func(ctx context.Context, user, post int64) error, stop func() error,
) {
	type request struct {
		user, post int64
		done       chan error
	}
	requests := make(chan request, 1024)
	ended := make(chan struct{})
	transaction := func(group []request) error {
		tx, err := db.Begin()
		if err != nil {
			return err
		}
		insert, add := tx.Stmt(insert), tx.Stmt(add)
		for _, r := range group {
			res, err := insert.Exec(r.user, r.post, time.Now().UnixMicro())
			if err != nil {
				return errors.Join(err, tx.Rollback())
			}
			n, err := res.RowsAffected()
			if err == nil && n > 0 {
				_, err = add.Exec(r.post)
			}
			if err != nil {
				return errors.Join(err, tx.Rollback())
			}
		}
		return tx.Commit()
	}
	go func() {
		defer close(ended)
		for r := range requests {
			group := []request{r}
			for len(requests) > 0 {
				group = append(group, <-requests)
			}
			err := transaction(group)
			for _, r := range group {
				r.done <- err
			}
		}
	}()
	return func(_ context.Context, user, post int64) error {
			done := make(chan error, 1)
			requests <- request{user, post, done}
			return <-done
		}, func() error {
			close(requests)
			<-ended
			return stopRest()
		}
}

func fillSQLite(ctx context.Context, db *sql.DB, w world) error {
	if _, err := db.ExecContext(ctx, `
		create table users (id integer primary key, name text not null, username text not null);
		create table posts (id integer primary key, text text not null, likes integer not null default 0);
		create table likes (user_id integer, post_id integer, at integer not null, primary key (user_id, post_id)) without rowid`,
	); err != nil {
		return err
	}
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	err = func() error {
		for _, u := range w.Users {
			if _, err := tx.Exec(`insert into users values (?, ?, ?)`, u.number, u.Name, u.Username); err != nil {
				return err
			}
		}
		for _, p := range w.Posts {
			if _, err := tx.Exec(`insert into posts (id, text) values (?, ?)`, p.number, p.Text); err != nil {
				return err
			}
		}
		like, err := tx.Prepare(`insert into likes values (?, ?, ?)`)
		if err != nil {
			return err
		}
		i := 0
		for u, p := range w.pairs {
			i++
			if _, err := like.Exec(w.Users[u].number, w.Posts[p].number, at(i)); err != nil {
				return err
			}
		}
		_, err = tx.Exec(`
			create index likes_of on likes (user_id, at);
			create index likers_of on likes (post_id, at);
			update posts set likes = (select count(*) from likes where post_id = id);
			analyze`)
		return err
	}()
	if err != nil {
		return errors.Join(err, tx.Rollback())
	}
	return tx.Commit()
}

// start starts a server and returns how to end it.
func start(cmd *exec.Cmd) (stop func() error, err error) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C is for us: they end when we say so
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return func() error { return errors.Join(cmd.Process.Signal(syscall.SIGINT), cmd.Wait()) }, nil
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
