package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"liked/internal/bench"
)

type benchCmds struct {
	Run     benchCmd        `cmd:"" default:"withargs" help:"Measure a running server, and what bounds it, in turns."`
	Compare benchCompareCmd `cmd:"" help:"Hold a run against an earlier one."`
	Goals   benchGoalsCmd   `cmd:"" help:"Measure everything that has a goal, with servers of its own."`

	Postgres benchPostgresCmd `cmd:"" help:"Measure everything that has a goal on PostgreSQL, with servers of its own."`

	Fill  benchFillCmd  `cmd:"" help:"Print likes by the million, for 'liked import'."`
	Floor benchFloorCmd `cmd:"" hidden:"" help:"Be the floor: answer what standard input says until it ends."`
}

// World is what commands know of the server that they measure.
type World struct {
	Credentials string `required:"" type:"existingfile" help:"The file that 'liked dev --credentials' wrote."`
}

func (w World) read() (bench.World, error) { return bench.ReadWorld(w.Credentials) }

// benchCmd measures a server and floors in turns of one run: on a noisy machine a ratio holds where a figure alone
// does not.
type benchCmd struct {
	World
	Connections int           `default:"128" help:"Clients, each with a connection of its own."`
	Rate        float64       `placeholder:"N"`
	Duration    time.Duration `default:"5s" help:"How long a turn takes."`
	WarmUp      time.Duration `default:"2s" help:"How long each is called before the first turn."`
	Turns       int           `default:"3" help:"Turns of each; medians over them are reported, with the least and the most."`
	Mix         string        `default:"like=100" help:"Percentages of like, unlike, liked_tweets, liking_users and count; or feed."`
	Page        int           `placeholder:"N"`
	Zipf        float64       `default:"1.1"`
	ReadZipf    float64       `default:"1.1"`
	Spread      bool          `help:"Each post and each user is as likely as any other."`
	Hot         bool          `help:"One post gets all calls, another one in each turn."`
	OAuth1      bool          `name:"oauth1" help:"Sign with OAuth 1.0a. The floor is called with bearer tokens all the same."`
	TLS         string        `name:"tls" type:"existingfile" placeholder:"FILE"`
	Floor       bool          `default:"true" negatable:""`
	Disk        string        `type:"existingdir" placeholder:"DIR"`
	HTML        string        `name:"html" placeholder:"FILE" help:"Write a report with plots."`
	JSON        bool          `name:"json" help:"Print one JSON object; latencies are in microseconds."`
}

func (c *benchCmd) check() error {
	var errs []error
	if c.Connections < 1 || c.Turns < 1 || c.Duration <= 0 || c.WarmUp < 0 || c.Rate < 0 {
		errs = append(errs, errors.New("bench: --connections and --turns start at 1, --duration is positive, "+
			"--warm-up and --rate are not negative"))
	}
	for name, exponent := range map[string]float64{"zipf": c.Zipf, "read-zipf": c.ReadZipf} {
		if exponent <= 1 {
			errs = append(errs, fmt.Errorf("%s: %g is not above 1; --spread makes all equal", name, exponent))
		}
	}
	if c.Page != 0 && (c.Page < 5 || c.Page > 100) {
		errs = append(errs, fmt.Errorf("page: %d is not from 5 to 100", c.Page))
	}
	if c.Hot && c.Spread {
		errs = append(errs, errors.New("hot: it is of no use with --spread"))
	}
	_, err := bench.ParseMix(c.Mix)
	return errors.Join(append(errs, err)...)
}

func (c *benchCmd) workload() (bench.Workload, error) {
	mix, err := bench.ParseMix(c.Mix)
	w := bench.Workload{Mix: mix, Zipf: c.Zipf, ReadZipf: c.ReadZipf, Hot: c.Hot, Page: c.Page, OAuth1: c.OAuth1}
	if mix == bench.Feed {
		w.Page = cmp.Or(c.Page, bench.FeedPage)
	}
	if c.Spread {
		w.Zipf, w.ReadZipf = 0, 0
	}
	return w, err
}

func (c *benchCmd) Run(e *env) error {
	world, err := c.read()
	if err != nil {
		return err
	}
	w, err := c.workload()
	if err != nil {
		return err
	}
	if c.TLS != "" {
		if world.Roots, err = bench.ReadRoots(c.TLS); err != nil {
			return err
		}
	}
	var subjects []bench.Subject
	if c.Floor {
		floor, err := startFloor(e.ctx, c.Credentials, world, w)
		if err != nil {
			return err
		}
		defer floor.Close()
		below, err := floor.Subject("floor", world, w, c.Connections)
		if err != nil {
			return err
		}
		below.Rate = c.Rate
		subjects = append(subjects, below)
	}
	server, err := bench.HTTP("server", world.URL, world.AdminURL, world, w, c.Connections)
	if err != nil {
		return err
	}
	server.Rate = c.Rate
	if c.Floor {
		server.Floor = "floor"
	}
	subjects = append(subjects, server)
	if c.Disk != "" {
		disk, remove, err := bench.Disk(c.Disk, c.Connections)
		if err != nil {
			return err
		}
		defer remove()
		subjects = append(subjects, disk...)
	}
	about := fmt.Sprintf("%d connections, %d users, %d posts, %s", c.Connections, len(world.Users), len(world.Posts), w)
	if c.Rate > 0 {
		about += fmt.Sprintf(", %g calls due in a second", c.Rate)
	}
	r, err := bench.Measure(e.ctx, bench.Plan{Duration: c.Duration, WarmUp: c.WarmUp, Turns: c.Turns, Progress: e.stderr}, about, subjects...)
	if err != nil {
		return err
	}
	return errors.Join(c.report(e, &r), r.Failures())
}

func (c *benchCmd) report(e *env, r *bench.Run) error {
	if c.HTML != "" {
		if err := e.writeTo(c.HTML, r.WriteHTML); err != nil {
			return err
		}
	}
	return Output{c.JSON}.print(e, r, r.Print)
}

func startFloor(ctx context.Context, credentials string, world bench.World, w bench.Workload, more ...string) (*bench.Process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return bench.StartFloor(ctx, world, w, append([]string{self, "bench", "floor", "--credentials", credentials}, more...)...)
}

type benchFloorCmd struct {
	World
	Bare string `help:"Database in which each like is the bare statement."`
	Pool int    `default:"4" help:"Through how many connections."`
}

func (c *benchFloorCmd) Run(e *env) error {
	world, err := c.read()
	if err != nil {
		return err
	}
	return bench.ServeFloor(e.ctx, world, c.Bare, c.Pool, e.stdin, e.stdout)
}

type benchCompareCmd struct {
	Before string `arg:"" type:"existingfile" help:"What 'liked bench --json' printed."`
	After  string `arg:"" type:"existingfile" help:"What it printed later."`
	JSON   bool   `name:"json" help:"Print one JSON array."`
}

func (c *benchCompareCmd) Run(e *env) error {
	before, err := bench.ReadRun(c.Before)
	if err != nil {
		return err
	}
	after, err := bench.ReadRun(c.After)
	if err != nil {
		return err
	}
	changes, err := bench.Compare(before, after)
	if err != nil {
		return err
	}
	return Output{c.JSON}.print(e, changes, func(w io.Writer) { bench.PrintChanges(w, changes) })
}

type benchFillCmd struct {
	World
	Likes int `default:"1000000" help:"How many likes, at most one for each user and post."`
}

func (c *benchFillCmd) Run(e *env) error {
	world, err := c.read()
	if err != nil {
		return err
	}
	return world.Fill(e.ctx, e.stdout, c.Likes)
}

type benchGoalsCmd struct {
	Dir   string `type:"existingdir" placeholder:"DIR"`
	Likes int    `default:"10000000" help:"Likes in the larger store; the smaller has 1,000,000."`
	Keep  string `type:"existingdir" placeholder:"DIR" help:"Where the larger store stays, for other runs, which do not fill it again."`
	Turns int    `default:"15" help:"Turns of a second each."`
	Short bool   `help:"A world and turns so small that the figures mean little: to see that everything can be measured."`
	JSON  bool   `name:"json" help:"Print one JSON object, with every run."`
}

func (c *benchGoalsCmd) check() error {
	if c.Likes < 1 || c.Turns < 1 {
		return errors.New("bench goals: --likes and --turns start at 1")
	}
	return nil
}

func (c *benchGoalsCmd) Run(e *env) (err error) {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp(c.Dir, "liked-goals-*")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	s := bench.Suite{Liked: self, Dir: dir, Users: 10_000, Posts: 10_000, Small: 1_000_000, Large: c.Likes, Kept: c.Keep,
		Floor: startFloor,
		Plan:  bench.Plan{Duration: time.Second, WarmUp: 2 * time.Second, Turns: c.Turns, Progress: e.stderr}}
	if c.Short {
		s.Users, s.Posts, s.Small, s.Large = 2000, 1000, 20_000, 100_000
		s.Plan.Duration, s.Plan.WarmUp, s.Plan.Turns = 200*time.Millisecond, 100*time.Millisecond, 2
	}
	goals, err := s.Run(e.ctx)
	return errors.Join(err, printGoals(e, c.JSON, goals))
}

func printGoals(e *env, asJSON bool, goals bench.Goals) error {
	return Output{asJSON}.print(e, goals, func(w io.Writer) {
		for i := range goals.Runs {
			goals.Runs[i].Print(w)
			fmt.Fprintln(w)
		}
		goals.Print(w)
	})
}
