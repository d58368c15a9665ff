// Package pgtest runs PostgreSQL for tests: Debian's binaries, in directories of their own, which end with the test.
package pgtest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Environment names a server in use instead of one of the test's own: a connection string whose user may create schemas.
const Environment = "LIKED_TEST_POSTGRES"

// shared is the server of a test binary, which ends with it.
var shared struct {
	once   sync.Once
	dsn    string
	err    error
	server *Server
	n      atomic.Int64
}

// Main runs the tests of a package, and then stops the server that they shared, if one was started.
func Main(m *testing.M) {
	code := m.Run()
	Stop()
	os.Exit(code)
}

// Stop stops the server that tests shared, if one was started, and ends what is left of others. No test may run any more.
func Stop() {
	if shared.server != nil {
		shared.server.Kill()
		_ = os.RemoveAll(shared.server.dir)
	}
	if templateDir != "" {
		_ = os.RemoveAll(templateDir)
	}
	close(starting.programs)
}

// Schema returns the connection string of a new, empty schema, which is dropped at the end of the test. All are on one server.
func Schema(t testing.TB) string {
	t.Helper()
	shared.once.Do(func() {
		if shared.dsn = os.Getenv(Environment); shared.dsn != "" {
			return
		}
		if shared.server, shared.err = start(); shared.err == nil {
			shared.dsn = shared.server.DSN()
		}
	})
	if shared.err != nil {
		Missing(t, shared.err)
	}
	return schema(t, shared.dsn, fmt.Sprintf("liked_test_%d_%d", os.Getpid(), shared.n.Add(1)))
}

// Citus names a coordinator in use: a connection string whose user may create schemas. No registry has Citus, so nothing starts
// one.
const Citus = "LIKED_TEST_CITUS"

// Distributed is Schema on the coordinator that Citus names. The test is skipped, loudly, if none is: nothing requires it.
func Distributed(t testing.TB) string {
	t.Helper()
	dsn := os.Getenv(Citus)
	if dsn == "" {
		t.Skipf("%s names no coordinator of Citus", Citus)
	}
	dsn = With(dsn, "citus.shard_count", "8") // 32 would take long to make
	return schema(t, dsn, fmt.Sprintf("liked_test_%d_%d", os.Getpid(), shared.n.Add(1)))
}

// Missing skips the test, loudly, for want of PostgreSQL, or fails it where LIKED_REQUIRE says that it must run.
func Missing(t testing.TB, err error) {
	t.Helper()
	if required() {
		t.Fatal(err)
	}
	t.Skipf("%v; install PostgreSQL 15 or later (Debian: postgresql), or name a server in %s", err, Environment)
}

// Long skips a test that takes minutes, unless LIKED_REQUIRE says that it must run.
func Long(t testing.TB) {
	t.Helper()
	if !required() {
		t.Skip("it takes minutes: make postgres runs it, or LIKED_REQUIRE=postgres")
	}
}

func required() bool {
	names := strings.Split(os.Getenv("LIKED_REQUIRE"), ",")
	return slices.Contains(names, "all") || slices.Contains(names, "postgres")
}

func schema(t testing.TB, dsn, name string) string {
	t.Helper()
	do := func(sql string) {
		t.Helper()
		ctx := context.Background()
		conn, err := pgx.Connect(ctx, dsn)
		if err != nil {
			t.Errorf("PostgreSQL for tests: %v", err)
			return
		}
		defer conn.Close(ctx)
		for {
			_, err := conn.Exec(ctx, sql)
			if e, ok := errors.AsType[*pgconn.PgError](err); ok && e.Code == "40P01" {
				continue // on Citus, where other tests drop their schemas from all nodes
			}
			if err != nil {
				t.Errorf("PostgreSQL for tests: %v", err)
			}
			return
		}
	}
	do("CREATE SCHEMA " + name)
	t.Cleanup(func() { do("DROP SCHEMA " + name + " CASCADE") })
	// A busy machine may take longer to connect than a server waits for one host.
	return With(With(dsn, "search_path", name), "connect_timeout", "30")
}

// With is the connection string with one more setting.
func With(dsn, name, value string) string {
	if !strings.Contains(dsn, "://") {
		return fmt.Sprintf("%s %s=%s", dsn, name, value)
	}
	sign := "?"
	if strings.Contains(dsn, "?") {
		sign = "&"
	}
	return dsn + sign + name + "=" + value
}

// Server is a PostgreSQL of a test's own, with the superuser "postgres", on a socket in its directory.
type Server struct {
	dir     string // has data/ and the socket
	port    int    // also of the name of the socket
	cmd     *exec.Cmd
	log     string
	copying sync.Mutex // all processes stand still
}

// Start starts a server that ends with the test. options are settings, like "max_connections=20".
func Start(t testing.TB, options ...string) *Server {
	t.Helper()
	s, err := start(options...)
	if err != nil {
		Missing(t, err)
	}
	t.Cleanup(func() {
		s.Kill()
		_ = os.RemoveAll(s.dir)
	})
	return s
}

// DSN connects to the server's database "postgres".
func (s *Server) DSN() string {
	return fmt.Sprintf("host=%s port=%d user=postgres dbname=postgres", s.dir, s.port)
}

// Host is what a connection string names for the server.
func (s *Server) Host() string { return s.dir }

// Standby starts a server that follows this one, whose commits wait for it from now on.
func (s *Server) Standby(t testing.TB) *Server {
	t.Helper()
	standby := s.Follower(t)
	// After the copy was made, or the standby would wait for itself once it is promoted.
	s.run(t, "ALTER SYSTEM SET synchronous_standby_names = '*'", "SELECT pg_reload_conf()")
	return standby
}

// Follower starts a server that follows this one, whose commits do not wait for it, and waits until it does.
func (s *Server) Follower(t testing.TB) *Server {
	t.Helper()
	dir, err := newDir()
	if err != nil {
		t.Fatal(err)
	}
	standby := &Server{dir: dir, port: s.port, log: filepath.Join(dir, "log")}
	before := s.followers(t)
	t.Cleanup(func() {
		standby.Kill()
		_ = os.RemoveAll(dir)
	})
	out, err := command("pg_basebackup", "-h", s.dir, "-p", strconv.Itoa(s.port), "-U", "postgres", "-D", filepath.Join(dir, "data"),
		"-R", "--checkpoint=fast", "--no-sync").CombinedOutput()
	if err != nil {
		t.Fatalf("pg_basebackup: %v: %s", err, out)
	}
	if err := standby.Restart(); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(time.Minute); s.followers(t) == before; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the standby does not follow its primary")
		}
	}
	return standby
}

// followers is how many servers get what this one writes, at this moment.
func (s *Server) followers(t testing.TB) (n int) {
	t.Helper()
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, s.DSN())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	if err := conn.QueryRow(ctx, "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'").Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// Promote makes a standby a primary.
func (s *Server) Promote(t testing.TB) {
	t.Helper()
	// Not by a statement: its snapshot would hold up the replay of what the primary had removed, and so the promotion.
	if out, err := command("pg_ctl", "promote", "-D", filepath.Join(s.dir, "data")).CombinedOutput(); err != nil {
		t.Fatalf("pg_ctl promote: %v: %s", err, out)
	}
}

func (s *Server) run(t testing.TB, statements ...string) {
	t.Helper()
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, s.DSN())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	for _, sql := range statements {
		if _, err := conn.Exec(ctx, sql); err != nil {
			t.Fatal(err)
		}
	}
}

// Socket is where the server listens.
func (s *Server) Socket() string { return filepath.Join(s.dir, fmt.Sprintf(".s.PGSQL.%d", s.port)) }

var templateDir string // what template made, for Main to remove

// template is an empty database directory, made once in a test binary.
var template = sync.OnceValues(func() (string, error) {
	dir, err := newDir()
	if err != nil {
		return "", err
	}
	templateDir = dir
	out, err := command("initdb", "-D", filepath.Join(dir, "data"), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C",
		"--no-sync").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("initdb: %w: %s", err, out)
	}
	return dir, nil
})

func start(options ...string) (*Server, error) {
	if _, err := binaries(); err != nil {
		return nil, err
	}
	from, err := template()
	if err != nil {
		return nil, err
	}
	s, err := copyOf(from)
	if err != nil {
		return nil, err
	}
	return s, s.Restart(options...)
}

// copyOf is a server that is not started on a copy of what is in a server's directory.
func copyOf(from string) (*Server, error) {
	dir, err := newDir()
	if err != nil {
		return nil, err
	}
	if out, err := exec.Command("cp", "-a", filepath.Join(from, "data"), dir).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("cp: %w: %s", err, out)
	}
	_ = os.Remove(filepath.Join(dir, "data", "postmaster.pid"))
	return &Server{dir: dir, port: 5432, log: filepath.Join(dir, "log")}, nil
}

// Restart starts a server that was killed.
func (s *Server) Restart(options ...string) error {
	args := []string{"-D", filepath.Join(s.dir, "data"), "-k", s.dir, "-p", strconv.Itoa(s.port), "-c", "listen_addresses=",
		"-c", "max_connections=200", "-c", "shared_buffers=32MB",
		// Small to copy: dropped tables and old WAL go with a checkpoint.
		"-c", "checkpoint_timeout=30s", "-c", "checkpoint_completion_target=0.1", "-c", "max_wal_size=48MB", "-c", "min_wal_size=32MB"}
	for _, o := range options {
		args = append(args, "-c", o)
	}
	s.cmd = command("postgres", args...)
	log, err := os.OpenFile(s.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	s.cmd.Stdout, s.cmd.Stderr = log, log
	if err := startTied(s.cmd); err != nil {
		return err
	}
	for end := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		ctx := context.Background()
		conn, err := pgx.Connect(ctx, s.DSN())
		if err == nil {
			return conn.Close(ctx)
		}
		if time.Now().After(end) {
			words, _ := os.ReadFile(s.log)
			return fmt.Errorf("PostgreSQL for tests does not start: %w: %s", err, words)
		}
	}
}

// Kill ends all of the server's processes at once, as the end of the machine would, and returns when all are gone.
func (s *Server) Kill() {
	if s.cmd == nil {
		return
	}
	// The children are in groups of their own: they end by themselves when the postmaster is gone, but not at once.
	pids := s.stop()
	for _, pid := range pids {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	_ = s.cmd.Wait()
	for _, pid := range pids[1:] {
		for syscall.Kill(pid, 0) == nil && !in(pid, "Z") {
			time.Sleep(time.Millisecond)
		}
	}
	s.cmd = nil
	_ = os.Remove(filepath.Join(s.dir, "data", "postmaster.pid"))
	_ = os.Remove(s.Socket())
	_ = os.Remove(s.Socket() + ".lock")
}

// in reports whether the process is in one of the states, or gone.
func in(pid int, states ...string) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err != nil || slices.ContainsFunc(states, func(state string) bool { return strings.Contains(string(stat), ") "+state+" ") })
}

// Left starts another server on a copy of what would be left if this one were killed now: all of its processes stand still while
// the files are copied, and then go on.
func (s *Server) Left(t testing.TB, options ...string) *Server {
	t.Helper()
	s.copying.Lock() // of two at once, the first to end would set the processes going under the other
	pids := s.stop()
	c, err := copyOf(s.dir)
	for _, pid := range pids {
		_ = syscall.Kill(pid, syscall.SIGCONT)
	}
	s.copying.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Kill()
		_ = os.RemoveAll(c.dir)
	})
	if err := c.Restart(options...); err != nil {
		t.Fatal(err)
	}
	return c
}

// stop makes the postmaster and its children stand still, and returns them. The system lists all children only while none of
// them ends, so it is asked until those that it lists stand still already.
func (s *Server) stop() []int {
	postmaster := s.cmd.Process.Pid
	for pids, still := []int{postmaster}, false; ; {
		still = true
		for _, pid := range pids {
			if in(pid, "T", "Z") {
				continue
			}
			still = false
			_ = syscall.Kill(pid, syscall.SIGSTOP)
			for !in(pid, "T", "Z") {
				time.Sleep(time.Millisecond)
			}
		}
		children, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", postmaster))
		now := []int{postmaster}
		for _, child := range strings.Fields(string(children)) {
			pid, _ := strconv.Atoi(child)
			now = append(now, pid)
		}
		if still && slices.Equal(now, pids) {
			return pids
		}
		pids = now
	}
}

// Schema is a new, empty schema of the server, as the function Schema returns.
func (s *Server) Schema(t testing.TB) string {
	t.Helper()
	return schema(t, s.DSN(), fmt.Sprintf("liked_test_%d_%d", os.Getpid(), shared.n.Add(1)))
}

// newDir makes a directory that the user of the server owns, with a name short enough for a socket.
func newDir() (string, error) {
	dir, err := os.MkdirTemp("/tmp", "lpg")
	if err == nil && os.Getuid() == 0 {
		var c *syscall.Credential
		if c, err = postgres(); err == nil {
			err = os.Chown(dir, int(c.Uid), int(c.Gid))
		}
	}
	return dir, err
}

var binaries = sync.OnceValues(func() (string, error) {
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if len(found) == 0 {
		return "", errors.New("PostgreSQL is not installed")
	}
	return filepath.Dir(found[len(found)-1]), nil
})

// command is a program of PostgreSQL, which root cannot run: then its user does.
func command(name string, args ...string) *exec.Cmd {
	bin, _ := binaries()
	c := exec.Command(filepath.Join(bin, name), args...)
	c.Dir = "/"
	c.Env = append(os.Environ(), "LC_ALL=C")
	c.SysProcAttr = &syscall.SysProcAttr{}
	if os.Getuid() == 0 {
		if credential, err := postgres(); err == nil {
			c.SysProcAttr.Credential = credential
		}
	}
	return c
}

// startTied starts a program that ends with this process: a test binary that is killed leaves no server. The system sends the
// signal when the thread ends that started the program, so this is one that stays: others end with a goroutine that locked them.
func startTied(c *exec.Cmd) error {
	endWithThread(c.SysProcAttr)
	starting.once.Do(func() {
		go func() {
			runtime.LockOSThread()
			for c := range starting.programs {
				starting.started <- c.Start()
			}
		}()
	})
	starting.mu.Lock()
	defer starting.mu.Unlock()
	starting.programs <- c
	return <-starting.started
}

var starting = struct {
	once     sync.Once
	mu       sync.Mutex // one program at a time
	programs chan *exec.Cmd
	started  chan error
}{programs: make(chan *exec.Cmd), started: make(chan error)}

var postgres = sync.OnceValues(func() (*syscall.Credential, error) {
	u, err := user.Lookup("postgres")
	if err != nil {
		return nil, err
	}
	uid, _ := strconv.ParseUint(u.Uid, 10, 32)
	gid, _ := strconv.ParseUint(u.Gid, 10, 32)
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
})

// Log is what the server has logged.
func (s *Server) Log() (string, error) {
	words, err := os.ReadFile(s.log)
	return string(words), err
}

// Pooler starts PgBouncer before the server, which gives a connection to each transaction, and returns how to connect to it.
func (s *Server) Pooler(t testing.TB) string {
	t.Helper()
	const program = "/usr/sbin/pgbouncer"
	if _, err := os.Stat(program); err != nil {
		Missing(t, errors.New("PgBouncer is not installed"))
	}
	dir, err := newDir()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "ini")
	settings := fmt.Sprintf("[databases]\npostgres = host=%s port=%d dbname=postgres user=postgres\n[pgbouncer]\npool_mode = transaction\n"+
		"listen_addr =\nlisten_port = 5432\nunix_socket_dir = %s\nauth_type = any\ndefault_pool_size = 10\n", s.dir, s.port, dir)
	if err := os.WriteFile(file, []byte(settings), 0o644); err != nil {
		t.Fatal(err)
	}
	c := command("postgres", "-q", file)
	c.Path = program
	if err := startTied(c); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = c.Process.Kill()
		_ = c.Wait()
		_ = os.RemoveAll(dir)
	})
	for end := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		// The socket is there a moment before somebody listens at it.
		if c, err := net.Dial("unix", filepath.Join(dir, ".s.PGSQL.5432")); err == nil {
			_ = c.Close()
			return fmt.Sprintf("host=%s port=5432 user=postgres dbname=postgres", dir)
		}
		if time.Now().After(end) {
			t.Fatal("PgBouncer does not start")
		}
	}
}
