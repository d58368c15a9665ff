// Command others measures likes of this server side by side with what one would otherwise keep them in, each as durable:
// PostgreSQL, Redis and SQLite, real ones, in directories of their own. Theirs are calls of the store alone; ours are HTTP
// requests whose token, limits and body are checked.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"liked/internal/bench"
)

const (
	users = 50_000
	posts = 10_000
	zipf  = 1.1
)

func main() {
	log.SetFlags(0)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		stop()
		log.Fatal("others: ", err)
	}
}

func run(ctx context.Context) (err error) {
	program := flag.String("liked", "", "the built program")
	callers := flag.Int("connections", 32, "connections, or callers, of each")
	turns := flag.Int("turns", 15, "turns of a second each")
	short := flag.Bool("short", false, "turns so short that the figures mean little")
	html := flag.String("html", "", "write a report with plots to this file")
	asJSON := flag.Bool("json", false, "print one JSON object")
	flag.Parse()
	if *program == "" || *callers < 1 || *turns < 1 {
		return errors.New("name the program with -liked, and at least one connection and turn")
	}
	plan := bench.Plan{Duration: time.Second, WarmUp: 2 * time.Second, Turns: *turns, Progress: os.Stderr}
	if *short {
		plan.Duration, plan.WarmUp, plan.Turns = 300*time.Millisecond, 200*time.Millisecond, 2
	}
	dir, err := os.MkdirTemp("", "liked-others-*")
	if err != nil {
		return err
	}
	var stops []func() error
	defer func() {
		for _, stop := range slices.Backward(stops) {
			err = errors.Join(err, stop())
		}
		err = errors.Join(err, os.RemoveAll(dir))
	}()
	if err := os.Chmod(dir, 0o755); err != nil { // PostgreSQL runs as another user
		return err
	}

	srv, err := bench.Start(ctx, *program, filepath.Join(dir, "liked"), users, posts)
	if err != nil {
		return err
	}
	stops = append(stops, srv.Stop)
	ours, err := bench.HTTP("liked", srv.URL, srv.AdminURL, srv.World, bench.Workload{Mix: bench.Likes, Zipf: zipf}, *callers)
	if err != nil {
		return err
	}
	subjects := []bench.Subject{ours}
	for _, other := range []struct {
		name  string
		start func(ctx context.Context, dir string, callers int) (store, error)
	}{{"PostgreSQL", startPostgres}, {"Redis", startRedis}, {"SQLite", startSQLite}} {
		s, err := other.start(ctx, filepath.Join(dir, other.name), *callers)
		if missing, ok := errors.AsType[*missingError](err); ok && !required() {
			fmt.Fprintf(os.Stderr, "\nSKIPPED: %s: %v\n\n", other.name, missing)
			continue
		}
		if err != nil {
			return fmt.Errorf("%s: %w", other.name, err)
		}
		stops = append(stops, s.stop)
		subjects = append(subjects, subject(other.name, *callers, s))
	}
	about := fmt.Sprintf("likes, each on the disk before it is answered; %d users, %d posts by Zipf's law with %g", users, posts, zipf)
	r, err := bench.Measure(ctx, plan, about, subjects...)
	if err != nil {
		return err
	}
	if *html != "" {
		f, err := os.Create(*html)
		if err != nil {
			return err
		}
		if err := errors.Join(r.WriteHTML(f), f.Close()); err != nil {
			return err
		}
	}
	if *asJSON {
		err = json.NewEncoder(os.Stdout).Encode(r)
	} else {
		r.Print(os.Stdout)
	}
	return errors.Join(err, r.Failures())
}

// store is a running store, which keeps who likes what, both lists and the count.
type store struct {
	connect func(ctx context.Context) (client, error)
	stop    func() error
}

// client has a connection of its own. A like is durable before it returns.
type client struct {
	like  func(user, post int64) error
	close func()
}

// subject likes as often as the store lets it: users in turn, posts as those of ours are drawn.
func subject(name string, callers int, s store) bench.Subject {
	var next atomic.Int64
	return bench.Subject{Name: name, Callers: callers, Kinds: []string{"like"}, Connect: func(ctx context.Context, _ int) (bench.Call, error) {
		c, err := s.connect(ctx)
		if err != nil {
			return nil, err
		}
		random := rand.NewZipf(rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64())), zipf, 1, posts-1)
		return call{func() error {
			user := next.Add(1) * 7919 % users // prime: each user once, and neighbours far apart
			return c.like(user, int64(random.Uint64()))
		}, c.close}, nil
	}}
}

type call struct {
	do    func() error
	close func()
}

func (c call) Do() (int, error) { return 0, c.do() }
func (c call) Close()           { c.close() }

// missingError is a tool that this machine lacks.
type missingError struct{ what, install string }

func (e *missingError) Error() string {
	return fmt.Sprintf("there is no %s here; apt-get install %s", e.what, e.install)
}

// required reports whether LIKED_REQUIRE says that nothing may be skipped.
func required() bool {
	names := strings.Split(os.Getenv("LIKED_REQUIRE"), ",")
	return slices.Contains(names, "others") || slices.Contains(names, "all")
}
