package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
)

// Store is a store in this process, on a database.
type Store interface {
	SetLike(ctx context.Context, user, post int64) error
	// Take counts a request of the user against limits that nobody reaches.
	Take(ctx context.Context, user int64) error
	// Likers reads the newest page of who likes the post, and returns how many are on it.
	Likers(ctx context.Context, post int64, max int) (int, error)
	Close() error
}

// writers is how many connections the store has for likes, and the bare statement has for all.
const writers = 4

// PostgresSuite measures everything that has a goal on PostgreSQL, on one database of this machine.
type PostgresSuite struct {
	Liked    string // the program
	Dir      string // an empty directory
	DSN      string // of an empty schema; "" starts a PostgreSQL in Dir
	Plan     Plan
	Users    int // of the world, each with tokens of their own
	Posts    int
	Likes    int // that are imported
	Open     func(dsn string, writers int, trips *Trips) (Store, error)
	Floor    func(ctx context.Context, credentials string, world World, w Workload, more ...string) (*Process, error)
	Progress io.Writer

	db    *database
	world World
	file  string // of the world
	place place
	users []int64 // ids
	posts []int64
	next  atomic.Int64 // like of the store
	goals Goals
}

// Run measures, as [Suite.Run] does. Costs are what `internal/scale` takes.
func (s *PostgresSuite) Run(ctx context.Context) (g Goals, err error) {
	if s.DSN == "" {
		// As operators are told to set it: else every page is written to the WAL again and again.
		dsn, stop, err := StartPostgres(ctx, filepath.Join(s.Dir, "postgres"), "checkpoint_timeout=60min", "max_wal_size=16GB",
			"max_connections=200")
		if err != nil {
			return g, err
		}
		defer func() { err = errors.Join(err, stop()) }()
		s.DSN = dsn
	}
	s.db = new(database)
	if s.db.conn, err = pgx.Connect(ctx, s.DSN); err != nil {
		return g, err
	}
	defer func() { err = errors.Join(err, s.db.conn.Close(context.WithoutCancel(ctx))) }()
	if err := s.makeWorld(ctx); err != nil {
		return g, err
	}
	for _, part := range []func(context.Context) error{s.store, s.http, s.imports} {
		if err := part(ctx); err != nil {
			return s.goals, err
		}
	}
	var errs []error
	for i := range s.goals.Runs {
		errs = append(errs, s.goals.Runs[i].Failures())
	}
	return s.goals, errors.Join(errs...)
}

// makeWorld has a server make users and posts, and makes the tables of the bare statement.
func (s *PostgresSuite) makeWorld(ctx context.Context) error {
	fmt.Fprintf(s.Progress, "making %d users and %d posts\n", s.Users, s.Posts)
	s.place = place{args: []string{"--postgres", s.DSN, "--seal-key", filepath.Join(s.Dir, "seal.key")}}
	made := filepath.Join(s.Dir, "made.json")
	dev, err := launch(ctx, s.Liked, made, append([]string{"dev", "--journal", "0", "--listen", "127.0.0.1:0", "--credentials", made,
		"--users", strconv.Itoa(s.Users), "--posts", strconv.Itoa(s.Posts)}, s.place.args...)...)
	if err != nil {
		return err
	}
	s.file = filepath.Join(s.Dir, "world.json")
	text, err := os.ReadFile(made)
	if err == nil {
		err = os.WriteFile(s.file, text, 0o600)
	}
	if err := errors.Join(err, dev.Stop()); err != nil { // which takes its file away
		return err
	}
	if s.world, err = ReadWorld(s.file); err != nil {
		return err
	}
	for _, u := range s.world.Users {
		id, _ := strconv.ParseInt(u.ID, 10, 64) // ReadWorld has looked
		s.users = append(s.users, id)
	}
	for _, p := range s.world.Posts {
		id, _ := strconv.ParseInt(p.ID, 10, 64)
		s.posts = append(s.posts, id)
	}
	if _, err := s.db.conn.Exec(ctx, bareTables); err != nil {
		return err
	}
	_, err = s.db.conn.Exec(ctx, "INSERT INTO bare_counters SELECT unnest($1::bigint[])", s.posts)
	return err
}

// server starts a server on the database.
func (s *PostgresSuite) server(ctx context.Context, name string) (*Server, error) {
	state := filepath.Join(s.Dir, name)
	at := place{state, append([]string{"--state", state}, s.place.args...)}
	srv, _, err := at.serve(ctx, s.Liked, s.world)
	return srv, err
}

// calls is a subject whose callers call a function, with a random post, or all with the same one, which is another in each turn.
func (s *PostgresSuite) calls(name string, callers int, hot bool, like func(ctx context.Context, user, post int64) error) Subject {
	return Subject{Name: name, Callers: callers, Kinds: []string{"call"}, Usage: s.db.usage,
		Connect: func(ctx context.Context, turn int) (Call, error) {
			random := rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))
			return Func(func() error {
				i := s.next.Add(1)
				post := random.IntN(len(s.posts))
				if hot { // until all users like it; users take turns
					post = (turn + int(i)/len(s.users)) % len(s.posts)
				}
				return like(ctx, s.users[int(i)%len(s.users)], s.posts[post])
			}), nil
		}}
}

// store measures the store in this process.
func (s *PostgresSuite) store(ctx context.Context) error {
	const callers = 256
	likes, err := s.Open(s.DSN, writers, &s.db.trips)
	if err != nil {
		return err
	}
	defer func() { _ = likes.Close() }()
	plain, closePlain, err := bare(ctx, s.DSN, writers)
	if err != nil {
		return err
	}
	defer closePlain()
	take := func(ctx context.Context, user, _ int64) error { return likes.Take(ctx, user) }
	about := fmt.Sprintf("the store in this process, %d connections for likes, %d users, %d posts", writers, s.Users, s.Posts)
	r, err := s.goals.measure(ctx, s.Plan, about,
		s.calls("bare statement", writers, false, plain),
		s.calls("one by one", writers, false, likes.SetLike),
		s.calls("spread", callers, false, likes.SetLike),
		s.calls("hot", callers, true, likes.SetLike),
		s.calls("rate limits", callers, false, take))
	if err != nil {
		return err
	}
	if r.Turns[0]["spread"].CPU == 0 {
		return errors.New("the processor time of the database is not to be seen: name one that runs on this machine")
	}
	g := &s.goals
	of := func(name string, figure func(Result) float64) Spread {
		return r.Over(func(t map[string]Result) float64 { return figure(t[name]) })
	}
	cpu, wal := func(r Result) float64 { return r.CPU }, func(r Result) float64 { return r.WAL }
	g.AtLeast(3.5, r.Rate("spread", "bare statement"),
		"likes/s over the bare statement's, %d callers, the same %d connections", callers, writers)
	g.AtLeast(6, r.Rate("spread", "one by one"), "likes/s over those one by one")
	g.AtMost(60, of("spread", cpu), "µs of the database's processors for a like")
	g.AtMost(900, of("spread", wal), "bytes of WAL for a like")
	g.AtMost(0.1, of("spread", func(r Result) float64 { return r.Trips }), "round trips for a like")
	g.AtLeast(0.9, r.Rate("hot", "spread"), "likes/s of one hot post over those spread evenly")
	g.cost("database_us_per_like", of("spread", cpu))
	g.cost("wal_bytes_per_like", of("spread", wal))
	g.cost("store_us_per_like", of("spread", func(r Result) float64 { return r.Client.CPU }))
	g.cost("database_us_per_request", of("rate limits", cpu))
	g.cost("wal_bytes_per_request", of("rate limits", wal))
	return nil
}

// http measures servers beside handlers that do without a store.
func (s *PostgresSuite) http(ctx context.Context) (err error) {
	w := Workload{Mix: Likes, Zipf: zipf}
	var two [2]Subject
	for i, name := range []string{"one", "two"} {
		srv, err := s.server(ctx, name)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, srv.Stop()) }()
		s.world.URL, s.world.AdminURL = srv.URL, srv.AdminURL
		if two[i], err = HTTP("likes", srv.URL, srv.AdminURL, s.world, w, many); err != nil {
			return err
		}
		// What a server remembers of a token it has read from the database when it was first sent. Users take turns.
		for answered := int64(0); answered < int64(s.Users); {
			r, err := two[i].Drive(ctx, 0, time.Second)
			if err != nil || r.Answered == 0 {
				return errors.Join(err, errors.New("a server answers no like"))
			}
			answered += r.Answered
		}
	}
	subjects := []Subject{two[0], both("likes, two servers", two)}
	pools := []int{writers, 16, 64}
	handler := func(pool int) string { return fmt.Sprintf("bare handler, %d", pool) }
	for _, pool := range pools {
		floor, err := s.Floor(ctx, s.file, s.world, w, "--bare", s.DSN, "--pool", strconv.Itoa(pool))
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, floor.Close()) }()
		subject, err := floor.Subject(handler(pool), s.world, w, many)
		if err != nil {
			return err
		}
		subjects = append(subjects, subject)
	}
	r, err := s.goals.measure(ctx, s.Plan, fmt.Sprintf("servers on one database, %d connections, %s", many, w), subjects...)
	if err != nil {
		return err
	}
	g := &s.goals
	best := writers
	for _, pool := range pools {
		if r.Summary[handler(pool)].PerSecond.Median > r.Summary[handler(best)].PerSecond.Median {
			best = pool
		}
	}
	g.AtLeast(2, r.Rate("likes", handler(writers)), "HTTP: likes/s over a bare handler's, %d connections (best, with %d: %.2g)", writers, best,
		r.Rate("likes", handler(best)).Median)
	g.AtLeast(0.9, r.Rate("likes, two servers", "likes"), "likes/s of two servers on one database over those of one")
	return nil
}

// both is one subject of two, each of which has half of the callers.
func both(name string, two [2]Subject) Subject {
	s, n := two[0], 0
	s.Name = name
	s.Connect = func(ctx context.Context, turn int) (Call, error) {
		n++
		return two[n%2].Connect(ctx, turn)
	}
	s.Usage = func(ctx context.Context) (sum Usage, err error) {
		for i := range two {
			u, err := two[i].Usage(ctx)
			if err != nil {
				return sum, err
			}
			sum.CPU, sum.Changes, sum.RSS = sum.CPU+u.CPU, sum.Changes+u.Changes, sum.RSS+u.RSS
		}
		return sum, nil
	}
	return s
}

// imports measures an import beside a client that likes, and then pages.
func (s *PostgresSuite) imports(ctx context.Context) (err error) {
	srv, err := s.server(ctx, "importing")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, srv.Stop()) }()
	client, err := HTTP("a lone client", srv.URL, srv.AdminURL, s.world, Workload{Mix: Likes}, 1)
	if err != nil {
		return err
	}
	while := min(5*time.Second, time.Duration(float64(s.Likes)/60_000*float64(time.Second)))
	alone, err := client.Drive(ctx, 0, while)
	if err != nil {
		return err
	}
	before, err := s.db.size(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintf(s.Progress, "importing %d likes\n", s.Likes)
	imports := exec.CommandContext(ctx, s.Liked, "import", "-", "--postgres", s.DSN)
	imports.Stderr = s.Progress
	in, err := imports.StdinPipe()
	if err != nil {
		return err
	}
	start := time.Now()
	if err := imports.Start(); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() {
		err := s.world.Fill(ctx, in, s.Likes)
		ended <- errors.Join(err, in.Close(), imports.Wait())
	}()
	beside, err := client.Drive(ctx, 0, while)
	if err := errors.Join(err, <-ended); err != nil {
		return fmt.Errorf("importing: %w", err)
	}
	seconds := time.Since(start).Seconds()
	after, err := s.db.size(ctx)
	if err != nil {
		return err
	}
	likes, err := s.Open(s.DSN, writers, &s.db.trips)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, likes.Close()) }()
	const page = 100
	pages := s.calls("pages of likers", 1, false, func(ctx context.Context, _, post int64) error {
		_, err := likes.Likers(ctx, post, page)
		return err
	})
	r, err := s.goals.measure(ctx, s.Plan, fmt.Sprintf("pages of %d of who likes a post, at %d likes", page, s.Likes), pages)
	if err != nil {
		return err
	}
	g := &s.goals
	g.AtMost(1, r.Over(func(t map[string]Result) float64 { return float64(t[pages.Name].Latency.P50) / 1000 }),
		"ms for a page of likers at %d likes, median", s.Likes)
	g.AtLeast(20_000, NewSpread(float64(s.Likes)/seconds), "imported likes/s")
	g.AtMost(10, NewSpread(quotient(float64(beside.Latency.P50), float64(alone.Latency.P50))),
		"a lone client's latency during an import over that before, medians")
	g.cost("bytes_per_like", NewSpread(float64(after-before)/float64(s.Likes)))
	return nil
}

func (g *Goals) cost(name string, figure Spread) {
	if g.Costs == nil {
		g.Costs = make(map[string]float64)
	}
	g.Costs[name] = figure.Median
}

// WriteCosts writes what was measured of `internal/scale`'s costs.
func (g Goals) WriteCosts(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(g.Costs)
}
