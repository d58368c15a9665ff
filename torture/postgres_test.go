package torture

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"liked/internal/store/pgstore/pgtest"
)

// shared is a database and two servers on it.
type shared struct {
	t       *testing.T
	db      *pgtest.Server
	dsn     string // by which servers reach it
	servers []*machine
	next    []int        // faults that have their turn
	kills   int          // of servers
	crashes atomic.Int64 // of the database, counted before and after
}

func newShared(t *testing.T, program string, users, posts int, flags ...string) *shared {
	t.Helper()
	db := pgtest.Start(t)
	return share(t, db, db.DSN(), program, users, posts, flags...)
}

func share(t *testing.T, db *pgtest.Server, dsn, program string, users, posts int, flags ...string) *shared {
	t.Helper()
	s := &shared{t: t, db: db, dsn: dsn}
	key := filepath.Join(t.TempDir(), "seal.key")
	w := s.seed(key, users, posts)
	for i := range 2 {
		m := newMachine(t, append([]string{"--seal-key", key}, flags...)...)
		m.bin, m.postgres, m.world = program, pgtest.With(s.dsn, "application_name", fmt.Sprint("server_", i)), w
		m.start()
		s.servers = append(s.servers, m)
	}
	return s
}

// seed has a server make the world, and end.
func (s *shared) seed(key string, users, posts int) (w world) {
	s.t.Helper()
	file := filepath.Join(s.t.TempDir(), "credentials.json")
	dev := exec.Command(bin, "dev", "--postgres", s.dsn, "--seal-key", key, "--credentials", file, "--listen", "127.0.0.1:0",
		"--admin-listen", "127.0.0.1:0", "--users", fmt.Sprint(users), "--posts", fmt.Sprint(posts))
	logs := new(log)
	dev.Stderr = logs
	if err := dev.Start(); err != nil {
		s.t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- dev.Wait() }()
	for !readWorld(file, &w) {
		select {
		case err := <-ended:
			s.t.Fatalf("liked dev ended before the world was made: %v: %s", err, logs)
		case <-time.After(5 * time.Millisecond):
		}
	}
	if err := dev.Process.Signal(os.Interrupt); err != nil {
		s.t.Error(err)
	}
	if err := <-ended; err != nil {
		s.t.Fatalf("liked dev: %v: %s", err, logs)
	}
	return w
}

var listening = regexp.MustCompile(`"listening","url":"([^"]+)","admin_url":"([^"]+)"`)

// listens reports where the process that has written admin.json listens, if it does.
func (m *machine) listens(w *world) bool {
	var admin struct{ URL, Token string }
	text, err := os.ReadFile(filepath.Join(m.dir, "admin.json"))
	if err != nil || json.Unmarshal(text, &admin) != nil {
		return false
	}
	for _, line := range listening.FindAllStringSubmatch(m.logs.String(), -1) {
		if line[2] == admin.URL {
			w.URL, w.AdminURL, w.AdminToken = line[1], admin.URL, admin.Token
		}
	}
	return w.AdminURL == admin.URL
}

// The faults, each of which has its turn before any has it again.
const (
	oneServer = iota
	bothServers
	database
	databaseAndOne
	all
	faults
)

// fail kills a server, or both, or the database, or both kinds, and returns how to start the servers that are gone. The database
// is back then, and nothing that a killed server asked of it is still under way.
func (s *shared) fail(rng *rand.Rand) (start func()) {
	if len(s.next) == 0 {
		s.next = rng.Perm(faults)
	}
	kind := s.next[0]
	s.next = s.next[1:]
	var gone []*machine
	switch kind {
	case oneServer, databaseAndOne:
		gone = s.servers[rng.IntN(2):][:1]
	case bothServers, all:
		gone = s.servers
	}
	steps := []func(){func() {
		for _, m := range gone {
			m.kill()
			s.kills++
		}
	}}
	if kind >= database {
		steps = append(steps, func() {
			s.crashes.Add(1)
			s.db.Kill()
			s.crashes.Add(1)
		})
	}
	for _, i := range rng.Perm(len(steps)) {
		steps[i]()
	}
	if kind >= database {
		time.Sleep(time.Duration(rng.IntN(300)) * time.Millisecond)
		if err := s.db.Restart(); err != nil {
			s.t.Fatal(err)
		}
	}
	for _, m := range gone {
		s.ended(m)
	}
	return func() {
		for _, m := range gone {
			for rng.IntN(4) == 0 { // a start can be cut short, too
				m.launch()
				time.Sleep(time.Duration(rng.IntN(200)) * time.Millisecond)
				m.kill()
				s.kills++
				s.ended(m)
			}
			m.start()
		}
	}
}

// ended waits until the database has ended what a server that was killed had it do: a commit that was sent still happens.
func (s *shared) ended(m *machine) {
	s.t.Helper()
	name := fmt.Sprint("server_", 0)
	if m == s.servers[1] {
		name = fmt.Sprint("server_", 1)
	}
	ctx := s.t.Context()
	conn, err := pgx.Connect(ctx, s.db.DSN())
	if err != nil {
		s.t.Fatal(err)
	}
	defer conn.Close(ctx)
	for n := 1; n > 0; time.Sleep(time.Millisecond) {
		if err := conn.QueryRow(ctx, "SELECT count(*) FROM pg_stat_activity WHERE application_name = $1", name).Scan(&n); err != nil {
			s.t.Fatal(err)
		}
	}
}

func (s *shared) done() string {
	return fmt.Sprintf("%d kills of one of two servers, %d of the database", s.kills, s.crashes.Load()/2)
}

// TestKillPostgres is TestKill for two servers on one database: a server, or both, or the database, or all are killed under
// load. Calls that the other server has, or that wait for the database, are answered as if nothing had happened.
func TestKillPostgres(t *testing.T) {
	t.Parallel()
	rng := dice(t)
	s := newShared(t, bin, 40, 20, "--rate-limits", killLimits(t))
	l := newLoad(s.servers[0], rng)
	l.servers, l.crashes = s.servers, &s.crashes
	var done int
	outcome(t, "what was acknowledged survives kill -9 of servers on PostgreSQL, and of PostgreSQL", func() string {
		return fmt.Sprintf("%s, %d changes acknowledged, %d unanswered; %d likes and unlikes in the streams, over %d connections",
			s.done(), l.acknowledged.Load(), l.unanswered.Load(), l.readers.events(), l.readers.connections)
	})
	for rounds := max(faults, *kills/3); done < rounds && !t.Failed(); {
		var start func()
		l.run(rng, time.Duration(rng.IntN(500_000))*time.Microsecond, func() {
			start = s.fail(rng)
			time.Sleep(time.Duration(rng.IntN(500_000)) * time.Microsecond) // who is left goes on
		})
		done++
		start()
		l.m = s.servers[rng.IntN(2)]
		l.verify()
		if done == rounds || rng.IntN(8) == 0 { // a place in a stream is free 15 s after the death of its server
			l.readers.verify(rng)
		}
		l.m.check()
	}
	if l.acknowledged.Load() == 0 || l.unanswered.Load() == 0 {
		t.Errorf("%d acknowledged and %d unanswered calls test nothing", l.acknowledged.Load(), l.unanswered.Load())
	}
}

// TestFailover kills the primary under the load of TestKill, and promotes its standby, which is synchronous. Both servers go on by
// themselves, no call fails, and nothing is lost that was acknowledged or shown.
func TestFailover(t *testing.T) {
	t.Parallel()
	rng := dice(t)
	primary := pgtest.Start(t)
	standby := primary.Standby(t)
	dsn := pgtest.With(primary.DSN(), "host", primary.Host()+","+standby.Host())
	s := share(t, primary, pgtest.With(dsn, "port", "5432,5432"), bin, 40, 20, "--rate-limits", killLimits(t))
	l := newLoad(s.servers[0], rng)
	l.servers, l.crashes = s.servers, &s.crashes
	var took time.Duration
	outcome(t, "what was acknowledged survives a failover of PostgreSQL", func() string {
		return fmt.Sprintf("two servers went on %.1f s after the promotion, %d changes acknowledged, %d unanswered; "+
			"%d likes and unlikes in the streams", took.Seconds(), l.acknowledged.Load(), l.unanswered.Load(), l.readers.events())
	})
	c := client(t)
	l.run(rng, time.Duration(500+rng.IntN(500))*time.Millisecond, func() {
		s.crashes.Add(1)
		primary.Kill()
		s.crashes.Add(1)
		before := l.acknowledged.Load()
		standby.Promote(t)
		promoted := time.Now()
		for _, m := range s.servers {
			for ready := false; !ready; {
				a, err := send(c, m.AdminURL, get("/readyz", ""))
				ready = err == nil && a.status == http.StatusOK
			}
		}
		for l.acknowledged.Load() < before+200 && time.Since(promoted) < time.Minute {
			time.Sleep(time.Millisecond)
		}
		took = time.Since(promoted)
		time.Sleep(500 * time.Millisecond)
	})
	if took >= time.Minute { // 3 s on a machine that is not busy
		t.Errorf("the servers did not go on within %v after the promotion", took)
	}
	for _, m := range s.servers {
		l.m = m
		l.verify()
	}
	l.readers.verify(rng)
	l.m.check()
	if n := l.unanswered.Load(); n > 0 {
		t.Errorf("%d calls were not answered", n)
	}
}

// TestLinearizablePostgres is TestLinearizable for the clients of two servers on one database.
func TestLinearizablePostgres(t *testing.T) {
	t.Parallel()
	rng := dice(t)
	s, on := newSharedStage(t, rng, bin)
	s.hold(t, rng, max(1, *histories/3), "likes, lists, counts and deletions are linearizable over two servers on PostgreSQL", on.done)
}

// newSharedStage starts two servers that are the program on a database of their own.
func newSharedStage(t *testing.T, rng *rand.Rand, program string) (*stage, *shared) {
	on := newShared(t, program, historyUsers+1, 0, "--rate-limits", "off")
	s := onStage(t, on.servers[0])
	at := func() {
		s.bases = nil
		for _, m := range on.servers {
			s.bases = append(s.bases, m.URL)
		}
	}
	at()
	s.fail = func() func() {
		start := on.fail(rng)
		return func() {
			start()
			at()
		}
	}
	return s, on
}
