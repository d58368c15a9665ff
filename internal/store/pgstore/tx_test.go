package pgstore

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"liked"
	"liked/internal/store/pgstore/pgtest"
)

// A transaction whose commit may still come is waited for, and one that has not written its outcome never commits.
func TestResolve(t *testing.T) {
	t.Parallel()
	dsn := pgtest.Schema(t)
	s := opened(t, dsn)
	connect := func() *tx {
		t.Helper()
		conn, err := pgx.Connect(t.Context(), dsn)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close(t.Context()) })
		return &tx{ctx: t.Context(), conn: conn}
	}
	ask := func(id []byte) bool {
		t.Helper()
		committed, err := resolve(t.Context(), s.calls, id)
		if err != nil {
			t.Fatal(err)
		}
		return committed
	}
	set := func(t *tx) error { t.exec("UPDATE meta SET horizon = horizon + 1"); return nil }

	id := newOutcome()
	if _, err := connect().attempt(id, set); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if !ask(id) {
			t.Error("what was committed is taken for lost")
		}
	}

	id = newOutcome()
	for range 2 {
		if ask(id) {
			t.Error("what never began is taken for committed")
		}
	}
	if asked, err := connect().attempt(id, set); !asked || !violates(err, "outcomes_pkey") {
		t.Errorf("got error %v of a commit that came after it was given up", err)
	}

	for _, ends := range []string{"COMMIT", "ROLLBACK"} {
		id = newOutcome()
		late := connect()
		late.queue("BEGIN")
		late.queue("INSERT INTO outcomes (id, committed, at) VALUES ($1, true, 1)", id)
		if err := late.send(); err != nil {
			t.Fatal(err)
		}
		answer := make(chan bool, 1)
		go func() {
			committed, err := resolve(t.Context(), s.calls, id)
			if err != nil {
				t.Error(err)
			}
			answer <- committed
		}()
		soon(t, "somebody who asks", func() bool {
			n, err := first(t.Context(), s, nil, pgx.RowTo[int], `SELECT count(*)::int FROM pg_locks WHERE NOT granted
				AND locktype = 'transactionid' AND transactionid IN (SELECT transactionid FROM pg_locks WHERE pid = $1)`, late.conn.PgConn().PID())
			return err == nil && n == 1
		})
		late.queue(ends)
		if err := late.send(); err != nil {
			t.Fatal(err)
		}
		if got := <-answer; got != (ends == "COMMIT") {
			t.Errorf("after %s: committed is %v", ends, got)
		}
	}
	if n, err := first(t.Context(), s, nil, pgx.RowTo[int], "SELECT horizon::int FROM meta"); err != nil || n != 1 {
		t.Errorf("%d transactions have been committed, want one (%v)", n, err)
	}
}

// What a connection loses, before the commit or after it, is done once, and the call does not show it.
func TestLostCommit(t *testing.T) {
	t.Parallel()
	dsn := pgtest.Schema(t)
	link := pgtest.NewLink(t, dsn)
	s, err := Open(Options{DSN: link.DSN, Readers: 2, Writers: 2})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	const calls = 60
	var runs atomic.Int64
	for n := range calls {
		link.Fail(n%12, false)
		err := s.update(t.Context(), func(t *tx) error {
			runs.Add(1)
			if _, err := rows(t, pgx.RowTo[int64], "SELECT horizon FROM meta FOR UPDATE"); err != nil {
				return err
			}
			t.exec("UPDATE meta SET horizon = horizon + 1")
			return nil
		})
		if err != nil {
			t.Errorf("call %d: got error %v", n, err)
		}
	}
	if got, err := first(t.Context(), s, nil, pgx.RowTo[int64], "SELECT horizon FROM meta"); err != nil || got != calls {
		t.Errorf("%d of %d calls have been committed (%v)", got, calls, err)
	}
	if runs.Load() <= calls {
		t.Error("no transaction ran again: no connection was lost at the right moment")
	}
}

// A connection breaks while a commit waits for its standby: nobody asks the server to end the wait, which would show the commit.
func TestCommitIsNotCancelled(t *testing.T) {
	t.Parallel()
	server := pgtest.Start(t)
	link := pgtest.NewLink(t, server.DSN())
	s, err := Open(Options{DSN: link.DSN, Readers: 4, Writers: 2, Patience: 5 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	watcher := opened(t, server.DSN())
	do := func(sql string) {
		t.Helper()
		watcher.sql(t, sql)
	}
	do("ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
	do("SELECT pg_reload_conf()")
	time.Sleep(time.Second) // the checkpointer, which says whether commits wait, reads the setting a moment later
	waiting := func() bool {
		n, err := first(t.Context(), watcher, nil, pgx.RowTo[int], "SELECT count(*)::int FROM pg_stat_activity WHERE wait_event = 'SyncRep'")
		return err == nil && n > 0
	}
	horizon := func() int {
		n, err := first(t.Context(), watcher, nil, pgx.RowTo[int], "SELECT horizon::int FROM meta")
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	done := make(chan error, 1)
	go func() {
		done <- s.update(t.Context(), func(t *tx) error { t.exec("UPDATE meta SET horizon = 7"); return nil })
	}()
	soon(t, "a commit that waits for its standby", waiting)
	link.Cut()
	link.Open() // the server can be asked
	if err := <-done; liked.KindOf(err) != liked.Unavailable {
		t.Errorf("got error %v, want one of kind %v", err, liked.Unavailable)
	}
	if n := horizon(); n != 0 || !waiting() {
		t.Errorf("the commit is shown before its standby has it")
	}
	do("ALTER SYSTEM RESET synchronous_standby_names")
	do("SELECT pg_reload_conf()")
	soon(t, "the commit", func() bool { return horizon() == 7 })
}

// A database that does not keep its promises, or cannot be used, is refused in words that say what to do.
func TestRefusals(t *testing.T) {
	t.Parallel()
	server := pgtest.Start(t, "max_connections=20")
	dsn := server.DSN()
	open := func(dsn string) error {
		s, err := Open(Options{DSN: dsn, Patience: 10 * time.Second})
		if err == nil {
			_ = s.Close()
		}
		return err
	}
	refused := func(err error, kind liked.Kind, words string) {
		t.Helper()
		e, ok := errors.AsType[*liked.Error](err)
		if !ok || e.Kind != kind || !strings.Contains(e.Msg, words) {
			t.Errorf("got error %v, want one of kind %v with %q", err, kind, words)
		}
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("the password is shown: %v", err)
		}
	}
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	do := func(sql string) {
		t.Helper()
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	with := func(name, value string) string { return pgtest.With(dsn, name, value) }
	for bad, words := range map[string]string{
		"postgres://u:hunter2@host:port/":                        "invalid port",
		"postgres://u:hunter2@%zz/":                              "failed to parse as URL",
		"mysql://u:hunter2@host/":                                "it is neither a URL",
		"password='hunter2":                                      "it is neither a URL",
		"password=hunter2 connect_timeout=hunter2":               "invalid connect_timeout",
		"host=h password=hunter2 sslmode=hunter2":                "sslmode is invalid",
		"host=h sslrootcert='/hunter2 password=x' sslmode=allow": "unable to read CA file",
		"target_session_attrs=hunter2":                           "unknown target_session_attrs value",
		"pool_max_conns=hunter2":                                 "cannot parse pool_max_conns",
	} {
		refused(open(bad), liked.Invalid, "connection string of the database cannot be read: "+words)
	}
	refused(open(with("no_such_setting", "1")), liked.Invalid, "setting of the connection string")
	refused(open(with("work_mem", "much")), liked.Invalid, "setting of the connection string")
	refused(open(with("dbname", "none")), liked.Invalid, "database name")
	refused(open(with("user", "nobody")), liked.Invalid, "user")
	refused(open(with("password", "hunter2 host=/nowhere")), liked.Unavailable, "check that it runs")
	refused(open(with("search_path", "none")), liked.Invalid, "search_path")
	refused(open(with("default_transaction_isolation", "serializable")), liked.Invalid, "default_transaction_isolation")
	refused(open(with("synchronous_commit", "off")), liked.Invalid, "synchronous_commit")
	refused(open(with("default_transaction_read_only", "on")), liked.Unavailable, "default_transaction_read_only")
	do("CREATE ROLE guest LOGIN")
	refused(open(with("user", "guest")), liked.Invalid, "lacks a right")
	leaves(t, with("user", "leaver"), do, refused)
	do("CREATE DATABASE old ENCODING 'LATIN1' TEMPLATE template0")
	refused(open(with("dbname", "old")), liked.Invalid, "UTF8")
	if err := open(dsn); err != nil {
		t.Fatal(err)
	}
	do("UPDATE meta SET version = version + 1, least = version + 1")
	refused(open(dsn), liked.Invalid, "update it")
	do("UPDATE meta SET version = 0, least = 0")
	refused(open(dsn), liked.Invalid, "liked migrate")
	for _, setting := range []string{"fsync", "full_page_writes"} {
		do("ALTER SYSTEM SET " + setting + " = off")
		do("SELECT pg_reload_conf()")
		soon(t, setting, func() bool { err := open(dsn); return err != nil && strings.Contains(err.Error(), setting+" is off") })
		do("ALTER SYSTEM RESET " + setting)
	}
}

// leaves has a user of the database lose what a store was opened with. That is no mistake of who calls then.
func leaves(t *testing.T, dsn string, do func(string), refused func(error, liked.Kind, string)) {
	t.Helper()
	do("CREATE ROLE leaver LOGIN")
	do("CREATE SCHEMA AUTHORIZATION leaver")
	s := opened(t, dsn)
	do("REVOKE SELECT ON leaver.users FROM leaver")
	refused(second(s.User(t.Context(), 1)), liked.Unavailable, "lacks a right")
	do("ALTER ROLE leaver NOLOGIN")
	do("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'leaver'")
	refused(second(s.User(t.Context(), 1)), liked.Unavailable, "refuses this user")
}

// A transaction that the database ends, since it was idle for too long, runs again.
func TestIdleTooLong(t *testing.T) {
	t.Parallel()
	s := opened(t, pgtest.With(pgtest.Schema(t), "idle_in_transaction_session_timeout", "1000"))
	runs := 0
	err := s.update(t.Context(), func(t *tx) error {
		t.exec("UPDATE meta SET horizon = 7")
		if err := t.send(); err != nil {
			return err
		}
		if runs++; runs == 1 {
			time.Sleep(1500 * time.Millisecond)
		}
		return nil
	})
	if err != nil || runs < 2 { // or more, on a machine so busy that another was idle for too long
		t.Errorf("got %v after %d runs, want none after 2", err, runs)
	}
	if why := (&pgconn.PgError{Severity: "FATAL", Code: "25P03"}); !passes(why) { // as it is heard over TCP
		t.Errorf("%v is not tried again", why)
	}
}
