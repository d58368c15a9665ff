package main

import (
	"context"
	"errors"
	"os"
	"time"

	"liked"
	"liked/internal/bench"
	"liked/internal/store"
	"liked/internal/store/pgstore"
)

type benchPostgresCmd struct {
	Postgres string `placeholder:"DSN" help:"Database with an empty schema, on this machine; without it a PostgreSQL is started and ended."`
	Dir      string `type:"existingdir" placeholder:"DIR"`
	Likes    int    `default:"1000000" help:"Likes that are imported, and among which pages are read."`
	Turns    int    `default:"7" help:"Turns of a second each."`
	Short    bool   `help:"A world and turns so small that the figures mean little: to see that everything can be measured."`
	Costs    string `placeholder:"FILE" help:"Write what a like costs, for internal/scale."`
	JSON     bool   `name:"json" help:"Print one JSON object, with every run."`
}

func (c *benchPostgresCmd) check() error {
	if c.Likes < 1 || c.Turns < 1 {
		return errors.New("bench postgres: --likes and --turns start at 1")
	}
	return nil
}

func (c *benchPostgresCmd) Run(e *env) (err error) {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp(c.Dir, "liked-postgres-*")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err := os.Chmod(dir, 0o755); err != nil { // PostgreSQL runs as another user
		return err
	}
	s := bench.PostgresSuite{Liked: self, Dir: dir, DSN: c.Postgres, Users: 5_000, Posts: 5_000, Likes: c.Likes,
		Open: openMeasured, Floor: startFloor, Progress: e.stderr,
		Plan: bench.Plan{Duration: time.Second, WarmUp: 2 * time.Second, Turns: c.Turns, Progress: e.stderr}}
	if c.Short {
		s.Users, s.Posts, s.Likes = 1000, 500, 50_000
		s.Plan.Duration, s.Plan.WarmUp, s.Plan.Turns = 300*time.Millisecond, 200*time.Millisecond, 2
	}
	goals, err := s.Run(e.ctx)
	if err == nil && c.Costs != "" {
		err = e.writeTo(c.Costs, goals.WriteCosts)
	}
	return errors.Join(err, printGoals(e, c.JSON, goals))
}

// measured is a store that is measured without a server.
type measured struct{ *pgstore.Store }

func openMeasured(dsn string, writers int, trips *bench.Trips) (bench.Store, error) {
	s, err := pgstore.Open(pgstore.Options{DSN: dsn, Writers: writers, Tracer: trips})
	if err != nil {
		return nil, err
	}
	return measured{s}, nil
}

func (m measured) SetLike(ctx context.Context, user, post int64) error {
	_, err := m.Store.SetLike(ctx, liked.UserID(user), liked.PostID(post), true, time.Now())
	return err
}

// As many windows as X's own limits have, which nobody reaches here.
var measuredRules = []liked.RateRule{{Window: 15 * time.Minute, Max: 1 << 30}, {Window: 24 * time.Hour, Max: 1 << 30}}

func (m measured) Take(ctx context.Context, user int64) error {
	_, _, err := m.Store.Take(ctx, time.Now(), "bench", 1, liked.UserID(user), measuredRules, nil)
	return err
}

func (m measured) Likers(ctx context.Context, post int64, max int) (int, error) {
	page, err := m.Store.LikingUsers(ctx, 0, liked.PostID(post), store.Cursor{}, max, store.WithMetrics, nil)
	return len(page.Items), err
}
