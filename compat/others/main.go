// Command others measures this server beside what a team would write instead: one HTTP handler on PostgreSQL, on Redis or on SQLite,
// real ones, in directories of their own, each as durable. It measures calls of these stores alone, too.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"liked/internal/bench"
)

const zipf = 1.1

func main() {
	log.SetFlags(0)
	if len(os.Args) == 2 && os.Args[1] == "-serve" {
		signal.Ignore(os.Interrupt) // it ends with the input
		if err := serve(context.Background(), os.Stdin, os.Stdout); err != nil {
			log.Fatal("others: ", err)
		}
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		stop()
		log.Fatal("others: ", err)
	}
}

// served is what the process of a front is told.
type served struct {
	Name        string
	Dir         string
	Credentials string
	Likes       int // that are there at the beginning
}

// serve is the process of a front: a store and the handler on it.
func serve(ctx context.Context, stdin io.Reader, stdout io.Writer) error {
	var what served
	rest, err := bench.Input(stdin, &what)
	if err != nil {
		return err
	}
	w, err := readWorld(what.Credentials, what.Likes)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(others, func(o other) bool { return o.name == what.Name })
	c, err := others[i].start(ctx, what.Dir, w)
	if err != nil {
		return fmt.Errorf("%s: %w", what.Name, err)
	}
	err = bench.ServeProcess(newFront(w, c), false, rest, stdout)
	return errors.Join(err, c.stop())
}

// report is what is printed: the store calls alone, and beside them the fronts and the goals.
type report struct {
	bench.Run
	Fronts []bench.Run  `json:"fronts"`
	Goals  []bench.Goal `json:"goals"`
}

// measuring is what a run has.
type measuring struct {
	program string
	dir     string
	plan    bench.Plan
	users   int // and as many posts
	likes   int // at the beginning
	others  []other
}

func run(ctx context.Context) (err error) {
	m := measuring{users: 20_000, likes: 2_000_000}
	flag.StringVar(&m.program, "liked", "", "the built program")
	turns := flag.Int("turns", 15, "turns of a second each")
	short := flag.Bool("short", false, "a world and turns so small that the figures mean little")
	html := flag.String("html", "", "write a report with plots, of likes by 32 clients, to this file")
	asJSON := flag.Bool("json", false, "print one JSON object")
	flag.Parse()
	if m.program == "" || *turns < 1 {
		return errors.New("name the program with -liked, and at least one turn")
	}
	m.plan = bench.Plan{Duration: time.Second, WarmUp: 2 * time.Second, Turns: *turns, Progress: os.Stderr}
	if *short {
		m.users, m.likes = 1000, 100_000
		m.plan.Duration, m.plan.WarmUp, m.plan.Turns = 200*time.Millisecond, 100*time.Millisecond, 2
	}
	for _, o := range others {
		if err := o.missing(); err == nil {
			m.others = append(m.others, o)
		} else if required() {
			return err
		} else {
			fmt.Fprintf(os.Stderr, "\nSKIPPED: %v\n\n", err)
		}
	}
	if m.dir, err = os.MkdirTemp("", "liked-others-*"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(m.dir)) }()
	if err := os.Chmod(m.dir, 0o755); err != nil { // PostgreSQL runs as another user
		return err
	}
	var r report
	if r.Fronts, r.Goals, err = m.fronts(ctx); err != nil {
		return err
	}
	if r.Run, err = m.alone(ctx); err != nil {
		return err
	}
	if *html != "" {
		f, err := os.Create(*html)
		if err != nil {
			return err
		}
		if err := errors.Join(r.Fronts[1].WriteHTML(f), f.Close()); err != nil {
			return err
		}
	}
	if *asJSON {
		err = json.NewEncoder(os.Stdout).Encode(r)
	} else {
		for _, f := range append(r.Fronts, r.Run) {
			f.Print(os.Stdout)
			fmt.Println()
		}
		bench.Goals{Goals: r.Goals}.Print(os.Stdout)
	}
	for _, f := range append(r.Fronts, r.Run) {
		err = errors.Join(err, f.Failures())
	}
	return err
}

// liked starts ours, with limits that nobody reaches, on a store that is filled.
func (m measuring) liked(ctx context.Context) (*bench.Server, error) {
	rules := filepath.Join(m.dir, "limits.json")
	quarter, both := map[string]int{"user_15m": limit}, map[string]int{"user_15m": limit, "user_24h": limit}
	text, err := json.Marshal(map[string]map[string]int{
		"usersIdLike": both, "usersIdLikedTweets": quarter, "tweetsIdLikingUsers": quarter, "findTweetById": quarter})
	if err == nil {
		err = os.WriteFile(rules, text, 0o600)
	}
	if err != nil {
		return nil, err
	}
	return bench.StartFilled(ctx, m.program, filepath.Join(m.dir, "liked"), m.users, m.users, m.likes, "--rate-limits", rules)
}

// fronts measures each server for each load, in turns.
func (m measuring) fronts(ctx context.Context) (runs []bench.Run, goals []bench.Goal, err error) {
	srv, err := m.liked(ctx)
	if err != nil {
		return nil, nil, err
	}
	defer func() { err = errors.Join(err, srv.Stop()) }()
	self, err := os.Executable()
	if err != nil {
		return nil, nil, err
	}
	processes := make(map[string]*bench.Process)
	for _, o := range m.others {
		fmt.Fprintf(os.Stderr, "starting the front on %s\n", o.name)
		p, err := bench.StartProcess(ctx, served{o.name, filepath.Join(m.dir, "front-"+o.name), srv.Credentials, m.likes}, self, "-serve")
		if err != nil {
			return nil, nil, err
		}
		defer func() { err = errors.Join(err, p.Close()) }()
		if err := same(ctx, srv.World, p.URL); err != nil {
			return nil, nil, fmt.Errorf("%s: %w", o.name, err)
		}
		processes[o.name] = p
	}
	var g bench.Goals
	for _, load := range []struct {
		what    string
		mix     bench.Mix
		callers int
		want    map[string]float64 // of ours over theirs
	}{
		{"likes", bench.Likes, 128, map[string]float64{"PostgreSQL": 4, "Redis": 1.5, "SQLite": 2.2}},
		{"likes", bench.Likes, 32, map[string]float64{"PostgreSQL": 3.5, "Redis": 1.3, "SQLite": 2}},
		{"pages of 100", bench.Pages, 32, map[string]float64{"PostgreSQL": 3, "Redis": 1, "SQLite": 2}},
		{"posts with their counts", bench.Counts, 32, nil},
	} {
		w := bench.Workload{Mix: load.mix, Zipf: zipf, ReadZipf: zipf}
		ours, err := bench.HTTP("liked", srv.URL, srv.AdminURL, srv.World, w, load.callers)
		if err != nil {
			return nil, nil, err
		}
		subjects := []bench.Subject{ours}
		for _, o := range m.others {
			s, err := processes[o.name].Subject("net/http + "+o.name, srv.World, w, load.callers)
			if err != nil {
				return nil, nil, err
			}
			subjects = append(subjects, s)
		}
		r, err := bench.Measure(ctx, m.plan, fmt.Sprintf("%s over HTTP, %d users, %d posts, %d likes; %s",
			load.what, m.users, m.users, m.likes, w), subjects...)
		if err != nil {
			return nil, nil, err
		}
		runs = append(runs, r)
		for _, o := range m.others {
			if load.want != nil {
				g.AtLeast(load.want[o.name], r.Rate("liked", "net/http + "+o.name), "%s/s over those of net/http + %s, %d connections",
					load.what, o.name, load.callers)
			}
		}
	}
	return runs, g.Goals, nil
}

// same reports in an error how a front's answers differ from ours, which they must not but for the token of the next page and
// the values of headers.
func same(ctx context.Context, w bench.World, base string) error {
	ask := func(base, token, method, path, body string) (answer map[string]any, err error) {
		req, err := http.NewRequestWithContext(ctx, method, base+path, strings.NewReader(body))
		if err != nil {
			return nil, err
		}
		req.Header.Set("Authorization", "Bearer "+token)
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Accept-Encoding", "identity") // as those do who are measured
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return nil, err
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return nil, fmt.Errorf("%s: %s", path, resp.Status)
		}
		err = json.NewDecoder(resp.Body).Decode(&answer)
		if meta, ok := answer["meta"].(map[string]any); ok {
			_, more := meta["next_token"]
			meta["next_token"] = more
		}
		answer["headers"] = slices.Sorted(maps.Keys(resp.Header))
		return answer, err
	}
	for i := range 10 {
		user, post, token := w.Users[i].ID, w.Posts[i].ID, w.Users[i].AccessToken
		for _, call := range [][3]string{
			{"POST", "/2/users/" + user + "/likes", `{"tweet_id":"` + post + `"}`},
			{"GET", "/2/users/" + user + "/liked_tweets?max_results=50"},
			{"GET", "/2/tweets/" + post + "/liking_users?max_results=50"},
			{"GET", "/2/tweets/" + post + "?tweet.fields=public_metrics"},
		} {
			ours, err := ask(w.URL, token, call[0], call[1], call[2])
			if err != nil {
				return err
			}
			theirs, err := ask(base, token, call[0], call[1], call[2])
			if err != nil {
				return err
			}
			if !reflect.DeepEqual(ours, theirs) {
				return fmt.Errorf("%s is answered otherwise than ours:\n%v\n%v", call[1], theirs, ours)
			}
		}
	}
	return nil
}

// alone measures the calls of the stores without HTTP beside ours over HTTP, in stores that begin empty.
func (m measuring) alone(ctx context.Context) (r bench.Run, err error) {
	const callers = 32
	srv, err := bench.Start(ctx, m.program, filepath.Join(m.dir, "empty"), m.users, m.users)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, srv.Stop()) }()
	ours, err := bench.HTTP("liked", srv.URL, srv.AdminURL, srv.World, bench.Workload{Mix: bench.Likes, Zipf: zipf}, callers)
	if err != nil {
		return r, err
	}
	w, err := readWorld(srv.Credentials, 0)
	if err != nil {
		return r, err
	}
	subjects := []bench.Subject{ours}
	for _, o := range m.others {
		c, err := o.start(ctx, filepath.Join(m.dir, o.name), w)
		if err != nil {
			return r, fmt.Errorf("%s: %w", o.name, err)
		}
		defer func() { err = errors.Join(err, c.stop()) }()
		subjects = append(subjects, calls(o.name, callers, w, c.like))
	}
	about := "likes, each on the disk before it is answered: ours over HTTP, the others as calls of the store"
	return bench.Measure(ctx, m.plan, fmt.Sprintf("%s; %d users, %d posts by Zipf's law with %g", about, m.users, m.users, zipf), subjects...)
}

// calls likes as often as the store lets it: users in turn, posts as those of ours are drawn.
func calls(name string, callers int, w world, like func(ctx context.Context, user, post int64) error) bench.Subject {
	var next atomic.Int64
	connect := func(ctx context.Context, _ int) (bench.Call, error) {
		random := rand.NewZipf(rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64())), zipf, 1, uint64(len(w.Posts)-1))
		return bench.Func(func() error {
			user := next.Add(1) * 7919 % int64(len(w.Users)) // prime: each user once, and neighbours far apart
			return like(ctx, w.Users[user].number, w.Posts[random.Uint64()].number)
		}), nil
	}
	return bench.Subject{Name: name, Callers: callers, Kinds: []string{"like"}, Connect: connect}
}

// required reports whether LIKED_REQUIRE says that nothing may be skipped.
func required() bool {
	names := strings.Split(os.Getenv("LIKED_REQUIRE"), ",")
	return slices.Contains(names, "others") || slices.Contains(names, "all")
}
