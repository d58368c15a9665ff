package bench

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Suite measures everything that has a goal, with servers of its own.
type Suite struct {
	Liked    string // the program
	Dir      string // an empty directory, on the disk that is to be measured
	Plan     Plan
	Users    int // of the world, each with tokens of their own
	Posts    int
	Small    int    // likes in the smaller of two stores
	Large    int    // likes in the larger
	Kept     string // a directory in which the larger store stays, or is found; "": it is made in Dir
	Floor    func(ctx context.Context, credentials string, world World, w Workload, more ...string) (*Floor, error)
	Progress io.Writer
}

// Goals is what a suite found.
type Goals struct {
	Goals []Goal             `json:"goals"`
	Runs  []Run              `json:"runs"`
	Costs map[string]float64 `json:"costs,omitempty"` // by the names of internal/scale/costs.json
}

// Goal is a figure that is to be at least, or at most, so much.
type Goal struct {
	Name   string  `json:"name"`
	Figure Spread  `json:"figure"`
	AtMost bool    `json:"at_most"`
	Want   float64 `json:"want"`
	Met    bool    `json:"met"` // by the median
}

// Print writes the goals as a table.
func (g Goals) Print(w io.Writer) {
	fmt.Fprintf(w, "%-82s %-28s %-10s %s\n", "", "figure (least to most)", "goal", "")
	for _, goal := range g.Goals {
		bound, verdict := "≥", "missed"
		if goal.AtMost {
			bound = "≤"
		}
		if goal.Met {
			verdict = "met"
		}
		fmt.Fprintf(w, "%-82s %-28s %s %-8g %s\n", goal.Name, goal.Figure, bound, goal.Want, verdict)
	}
}

func (g *Goals) atLeast(want float64, figure Spread, format string, a ...any) {
	g.Goals = append(g.Goals, Goal{fmt.Sprintf(format, a...), figure, false, want, figure.Median >= want})
}

func (g *Goals) atMost(want float64, figure Spread, format string, a ...any) {
	g.Goals = append(g.Goals, Goal{fmt.Sprintf(format, a...), figure, true, want, figure.Median <= want})
}

// connections is how many the fewer are, and many how many the more.
const (
	connections = 32
	many        = 128
)

// zipf is the exponent by which posts are drawn wherever nothing else is said.
const zipf = 1.1

// Run measures. Goals that are missed are no error; calls that failed are, beside what was found.
func (s Suite) Run(ctx context.Context) (Goals, error) {
	var g Goals
	if err := s.speed(ctx, &g); err != nil {
		return g, err
	}
	if err := s.size(ctx, &g); err != nil {
		return g, err
	}
	var errs []error
	for i := range g.Runs {
		errs = append(errs, g.Runs[i].Failures())
	}
	return g, errors.Join(errs...)
}

// speed measures one store that begins empty.
func (s Suite) speed(ctx context.Context, g *Goals) (err error) {
	srv, err := Start(ctx, s.Liked, filepath.Join(s.Dir, "speed"), s.Users, s.Posts)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, srv.Stop()) }()
	likes := Workload{Mix: Likes, Zipf: zipf}
	floor, err := s.Floor(ctx, srv.Credentials, srv.World, likes)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, floor.Close()) }()
	disk, remove, err := Disk(s.Dir, connections)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, remove()) }()

	signed, spread, hot := likes, likes, likes
	signed.OAuth1, spread.Zipf, hot.Hot = true, 0, true
	var subjects []Subject
	for _, row := range []struct {
		name    string
		w       Workload
		callers int
	}{
		{"floor, 32", likes, connections},
		{"likes, 32", likes, connections},
		{"OAuth 1.0a, 32", signed, connections},
		{"spread, 32", spread, connections},
		{"hot, 32", hot, connections},
		{"floor, 128", likes, many},
		{"likes, 128", likes, many},
		{"one client", likes, 1},
	} {
		if strings.HasPrefix(row.name, "floor") {
			subject, err := floor.Subject(row.name, srv.World, row.w, row.callers)
			if err != nil {
				return err
			}
			subjects = append(subjects, subject)
			continue
		}
		subject, err := HTTP(row.name, srv.URL, srv.AdminURL, srv.World, row.w, row.callers)
		if err != nil {
			return err
		}
		subjects = append(subjects, subject)
	}
	subjects = append(subjects, disk...)
	r, err := Measure(ctx, s.Plan, fmt.Sprintf("a store that begins empty, %d users, %d posts", s.Users, s.Posts), subjects...)
	if err != nil {
		return err
	}
	g.Runs = append(g.Runs, r)
	rate := func(over, under string) Spread {
		return r.Over(func(t map[string]Result) float64 { return quotient(t[over].PerSecond, t[under].PerSecond) })
	}
	g.atLeast(0.66, rate("likes, 128", "floor, 128"), "likes/s over the bare net/http server's, 128 connections")
	g.atLeast(0.45, rate("likes, 32", "floor, 32"), "likes/s over the bare net/http server's, 32 connections")
	g.atLeast(0.85, rate("OAuth 1.0a, 32", "likes, 32"), "likes/s with OAuth 1.0a over those with OAuth 2.0")
	g.atLeast(0.95, rate("hot, 32", "spread, 32"), "likes/s of one hot post over those spread evenly")
	g.atMost(1.5, r.Over(func(t map[string]Result) float64 {
		return quotient(float64(t["one client"].Latency.P50), float64(t["fdatasync"].Latency.P50))
	}), "a lone client's latency over one fdatasync, medians")

	peak := max(r.Summary["likes, 32"].PerSecond.Median, r.Summary["likes, 128"].PerSecond.Median)
	open, err := HTTP("likes", srv.URL, srv.AdminURL, srv.World, likes, many)
	if err != nil {
		return err
	}
	open.Rate = 0.7 * peak
	r, err = Measure(ctx, s.Plan, fmt.Sprintf("open loop, %.0f likes due in a second", open.Rate), open)
	if err != nil {
		return err
	}
	g.Runs = append(g.Runs, r)
	g.atMost(4, r.Over(func(t map[string]Result) float64 {
		return quotient(float64(t["likes"].Latency.P99), float64(t["likes"].Latency.P50))
	}), "p99 over p50 at 70 %% of the peak rate, open loop")
	// Where calls pile up all of them wait for long, and p99 is close to p50.
	g.atLeast(0.98, r.Over(func(t map[string]Result) float64 {
		return quotient(t["likes"].PerSecond, open.Rate)
	}), "calls answered over those due, likewise")
	return nil
}

// size measures two stores that differ in the number of their likes alone.
func (s Suite) size(ctx context.Context, g *Goals) (err error) {
	users, posts := s.Users, max(s.Posts, 20*s.Large/s.Users) // 19 of 20 pairs of a user and a post are without a like
	page := min(100, s.Small/max(users, posts))               // which all lists fill
	if page < 5 {
		return fmt.Errorf("%d likes are too few for pages of 5 for %d users and %d posts", s.Small, users, posts)
	}
	var servers [2]*Server
	var bytesEach, startUp [2]float64
	names := [2]string{"small", "large"}
	dirs := [2]string{s.Dir, cmp.Or(s.Kept, s.Dir)}
	for i, likes := range [2]int{s.Small, s.Large} {
		if servers[i], bytesEach[i], startUp[i], err = s.filled(ctx, filepath.Join(dirs[i], names[i]), filling{users, posts, likes}); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, servers[i].Stop()) }()
	}
	var subjects []Subject
	for _, kind := range []struct {
		name string
		mix  Mix
	}{{"likes", Likes}, {"pages", Pages}} {
		for i, srv := range servers {
			subject, err := HTTP(kind.name+", "+names[i], srv.URL, srv.AdminURL, srv.World, Workload{Mix: kind.mix, Page: page}, connections)
			if err != nil {
				return err
			}
			subjects = append(subjects, subject)
		}
	}
	plan := s.Plan
	plan.WarmUp *= 10 // what is measured is a server that has been up for a while: its cache has to fill first
	r, err := Measure(ctx, plan, fmt.Sprintf("stores of %d and of %d likes, %d users, %d posts", s.Small, s.Large, users, posts), subjects...)
	if err != nil {
		return err
	}
	g.Runs = append(g.Runs, r)
	for _, kind := range []string{"likes", "pages"} {
		g.atLeast(0.77, r.Over(func(t map[string]Result) float64 {
			return quotient(t[kind+", large"].PerSecond, t[kind+", small"].PerSecond)
		}), "%s/s at %d likes over those at %d", kind, s.Large, s.Small)
	}
	g.atMost(56, NewSpread(bytesEach[1]), "bytes on the disk for each of %d likes", s.Large)
	g.atMost(2, NewSpread(startUp[1]), "seconds until a store of %d likes answers", s.Large)
	// Three times what the caches have unless --cache says otherwise, however many likes there are.
	g.atMost(1536, r.Over(func(t map[string]Result) float64 { return float64(t["pages, large"].RSS) / (1 << 20) }),
		"MiB of memory after all that, at %d likes", s.Large)
	return nil
}

// filling is what a store is filled with.
type filling struct{ Users, Posts, Likes int }

// filled starts a server on a store that is filled, and says how many bytes each like takes and how long the start was. A
// store that is there was filled by an earlier run, and must have been with the same.
func (s Suite) filled(ctx context.Context, data string, with filling) (srv *Server, bytesEach, startUp float64, err error) {
	var note struct {
		filling
		Empty int64 // bytes of the store before it was filled
	}
	text, err := os.ReadFile(data + ".filled")
	switch {
	case err == nil:
		if err := json.Unmarshal(text, &note); err != nil || note.filling != with {
			return nil, 0, 0, fmt.Errorf("%s.filled is of another store than this run wants: remove %s, or keep the stores elsewhere",
				data, filepath.Dir(data))
		}
		if srv, err = stopped(data); err != nil {
			return nil, 0, 0, err
		}
	case errors.Is(err, fs.ErrNotExist):
		if srv, note.Empty, err = s.fill(ctx, data, with); err != nil {
			return nil, 0, 0, err
		}
	default:
		return nil, 0, 0, err
	}
	if srv, startUp, err = srv.place.serve(ctx, s.Liked, srv.World); err != nil {
		return nil, 0, 0, err
	}
	after, err := srv.settled(ctx)
	if err == nil {
		note.filling = with
		if text, err = json.Marshal(note); err == nil {
			err = os.WriteFile(data+".filled", text, 0o600)
		}
	}
	if err != nil {
		return nil, 0, 0, errors.Join(err, srv.Stop())
	}
	return srv, float64(after-note.Empty) / float64(with.Likes), startUp, nil
}

// fill makes a store, and returns a server that has stopped on it, and what the store took before it was filled.
func (s Suite) fill(ctx context.Context, data string, with filling) (srv *Server, empty int64, err error) {
	if err := os.RemoveAll(data); err != nil { // what a run that was cut short has left
		return nil, 0, err
	}
	if srv, err = Start(ctx, s.Liked, data, with.Users, with.Posts); err != nil {
		return nil, 0, err
	}
	if err := srv.Stop(); err != nil {
		return nil, 0, err
	}
	if empty, err = sizeOf(data); err != nil {
		return nil, 0, err
	}
	fmt.Fprintf(s.Progress, "filling a store with %d likes\n", with.Likes)
	imports := exec.CommandContext(ctx, s.Liked, "import", "-", "--data", data)
	imports.Stderr = s.Progress
	in, err := imports.StdinPipe()
	if err != nil {
		return nil, 0, err
	}
	if err := imports.Start(); err != nil {
		return nil, 0, err
	}
	err = srv.Fill(ctx, in, with.Likes)
	if err := errors.Join(err, in.Close(), imports.Wait()); err != nil {
		return nil, 0, fmt.Errorf("filling a store: %w", err)
	}
	return srv, empty, nil
}
