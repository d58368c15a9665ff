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
	"slices"
)

// Suite measures everything that has a goal, with servers of its own.
type Suite struct {
	Liked string // the program
	Dir   string // an empty directory, on the disk that is to be measured
	Plan  Plan
	Users int // of the world, each with tokens of their own
	Posts int
	Small int    // likes in the smaller of two stores
	Large int    // likes in the larger
	Kept  string // a directory in which the larger store stays, or is found; "": it is made in Dir
	Floor func(ctx context.Context, credentials string, world World, w Workload, more ...string) (*Process, error)
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
	const row = "%-88s %-28s %s %-8g %s\n"
	fmt.Fprintf(w, "%-88s %-28s %s\n", "", "figure (least to most)", "goal")
	for _, goal := range g.Goals {
		bound, verdict := "≥", "missed"
		if goal.AtMost {
			bound = "≤"
		}
		if goal.Met {
			verdict = "met"
		}
		fmt.Fprintf(w, row, goal.Name, goal.Figure, bound, goal.Want, verdict)
	}
}

// AtLeast adds a goal: the figure is to be so much or more.
func (g *Goals) AtLeast(want float64, figure Spread, format string, a ...any) {
	g.Goals = append(g.Goals, Goal{fmt.Sprintf(format, a...), figure, false, want, figure.Median >= want})
}

// AtMost adds a goal: the figure is to be so much or less.
func (g *Goals) AtMost(want float64, figure Spread, format string, a ...any) {
	g.Goals = append(g.Goals, Goal{fmt.Sprintf(format, a...), figure, true, want, figure.Median <= want})
}

// either says that of the last two goals one is enough.
func (g *Goals) either() {
	two := g.Goals[len(g.Goals)-2:]
	met := two[0].Met || two[1].Met
	two[0].Met, two[1].Met = met, met
}

// connections is how many the fewer are, and many how many the more.
const (
	connections = 32
	many        = 128
)

// zipf is the exponent by which posts, and what is read, are drawn wherever nothing else is said.
const zipf = 1.1

// Run measures. Goals that are missed are no error; calls that failed are, beside what was found.
func (s Suite) Run(ctx context.Context) (Goals, error) {
	var g Goals
	for _, part := range []func(context.Context, *Goals) error{s.empty, s.pages, s.size} {
		if err := part(ctx, &g); err != nil {
			return g, err
		}
	}
	var errs []error
	for i := range g.Runs {
		errs = append(errs, g.Runs[i].Failures())
	}
	return g, errors.Join(errs...)
}

// row is a subject of a suite: a name, what is called, and by how many.
type row struct {
	name    string
	w       Workload
	callers int
}

// besides returns each row as two subjects, the server's and its floor's, which is called "floor of" it.
func (s Suite) besides(ctx context.Context, srv *Server, rows ...row) (subjects []Subject, stop func() error, err error) {
	floors := make(map[Workload]*Process)
	stop = func() (err error) {
		for _, f := range floors {
			err = errors.Join(err, f.Close())
		}
		return err
	}
	for _, r := range rows {
		floor, ok := floors[r.w]
		if !ok {
			if floor, err = s.Floor(ctx, srv.Credentials, srv.World, r.w); err != nil {
				return nil, nil, errors.Join(err, stop())
			}
			floors[r.w] = floor
		}
		below, err := floor.Subject("floor of "+r.name, srv.World, r.w, r.callers)
		if err != nil {
			return nil, nil, errors.Join(err, stop())
		}
		above, err := srv.subject(r)
		if err != nil {
			return nil, nil, errors.Join(err, stop())
		}
		above.Floor = below.Name
		subjects = append(subjects, below, above)
	}
	return subjects, stop, nil
}

func (s *Server) subject(r row) (Subject, error) {
	return HTTP(r.name, s.URL, s.AdminURL, s.World, r.w, r.callers)
}

// empty measures likes in stores that begin empty, one of them behind TLS.
func (s Suite) empty(ctx context.Context, g *Goals) (err error) {
	srv, err := Start(ctx, s.Liked, filepath.Join(s.Dir, "empty"), s.Users, s.Posts)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, srv.Stop()) }()
	secure, err := s.secure(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, secure.Stop()) }()
	likes := Workload{Mix: Likes, Zipf: zipf}
	signed, spread, hot := likes, likes, likes
	signed.OAuth1, spread.Zipf, hot.Hot = true, 0, true
	beside, stop, err := s.besides(ctx, srv, row{"likes, 32", likes, connections}, row{"likes, 128", likes, many})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	overTLS, stopTLS, err := s.besides(ctx, secure, row{"likes over TLS, 128", likes, many})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stopTLS()) }()
	var alone []Subject
	for _, r := range []row{
		{"OAuth 1.0a, 32", signed, connections},
		{"spread, 32", spread, connections},
		{"hot, 32", hot, connections},
		{"one client", likes, 1},
	} {
		subject, err := srv.subject(r)
		if err != nil {
			return err
		}
		alone = append(alone, subject)
	}
	// What is held against each other is measured one after the other: OAuth 1.0a and likes of 32, one client and the disk.
	subjects := slices.Concat(overTLS, beside[2:], beside[:2], alone)
	disk, remove, err := Disk(s.Dir, connections)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, remove()) }()
	r, err := g.measure(ctx, s.Plan, fmt.Sprintf("likes in a store that begins empty, %d users, %d posts", s.Users, s.Posts),
		append(subjects, disk...)...)
	if err != nil {
		return err
	}
	g.ofLikes(r)
	peak := max(r.Summary["likes, 32"].PerSecond.Median, r.Summary["likes, 128"].PerSecond.Median)
	return s.open(ctx, g, srv, row{"likes", likes, many}, peak)
}

// measure adds a run.
func (g *Goals) measure(ctx context.Context, p Plan, about string, subjects ...Subject) (*Run, error) {
	r, err := Measure(ctx, p, about, subjects...)
	if err != nil {
		return nil, err
	}
	g.Runs = append(g.Runs, r)
	return &r, nil
}

// bounded is a goal of a subject beside its floor.
type bounded struct {
	what string
	want float64
	name string // of the subject
}

func (g *Goals) overFloors(r *Run, rows ...bounded) {
	for _, row := range rows {
		g.AtLeast(row.want, r.Rate(row.name, r.Floors[row.name]), "%s over the floor's, %d connections", row.what, r.Callers[row.name])
	}
}

func (g *Goals) ofLikes(r *Run) {
	g.overFloors(r,
		bounded{"likes/s", 0.85, "likes, 128"},
		bounded{"likes/s", 0.7, "likes, 32"},
		bounded{"likes/s with TLS", 0.85, "likes over TLS, 128"})
	g.AtLeast(0.9, r.Rate("OAuth 1.0a, 32", "likes, 32"), "likes/s with OAuth 1.0a over those with OAuth 2.0; or the next")
	g.AtMost(1.12, r.Over(func(t map[string]Result) float64 { return quotient(t["OAuth 1.0a, 32"].CPU, t["likes, 32"].CPU) }),
		"the server's processor time likewise; or the one before")
	g.either()
	g.AtLeast(0.95, r.Rate("hot, 32", "spread, 32"), "likes/s of one hot post over those spread evenly")
	g.AtMost(1.4, r.Over(func(t map[string]Result) float64 {
		return quotient(float64(t["one client"].Latency.P50), float64(t["fdatasync"].Latency.P50))
	}), "a lone client's latency over one fdatasync, medians")
}

// secure starts a server behind TLS, with a store of its own.
func (s Suite) secure(ctx context.Context) (*Server, error) {
	certificate, key, err := selfSigned()
	if err != nil {
		return nil, err
	}
	certFile, keyFile := filepath.Join(s.Dir, "cert.pem"), filepath.Join(s.Dir, "key.pem")
	if err := errors.Join(os.WriteFile(certFile, certificate, 0o600), os.WriteFile(keyFile, key, 0o600)); err != nil {
		return nil, err
	}
	srv, err := Start(ctx, s.Liked, filepath.Join(s.Dir, "secure"), s.Users, s.Posts, "--tls-cert", certFile, "--tls-key", keyFile)
	if err != nil {
		return nil, err
	}
	if srv.Roots, err = ReadRoots(certFile); err != nil {
		return nil, errors.Join(err, srv.Stop())
	}
	return srv, nil
}

// open measures a row in an open loop at 70 % of its peak.
func (s Suite) open(ctx context.Context, g *Goals, srv *Server, what row, peak float64) error {
	subject, err := srv.subject(what)
	if err != nil {
		return err
	}
	subject.Rate = 0.7 * peak
	r, err := g.measure(ctx, s.Plan, fmt.Sprintf("open loop, %.0f calls due in a second, %s", subject.Rate, what.w), subject)
	if err != nil {
		return err
	}
	g.ofOpenLoop(r, what.name, subject.Rate)
	return nil
}

func (g *Goals) ofOpenLoop(r *Run, name string, due float64) {
	g.AtMost(4, r.Over(func(t map[string]Result) float64 {
		return quotient(float64(t[name].Latency.P99), float64(t[name].Latency.P50))
	}), "%s: p99 over p50 at 70 %% of the peak rate, open loop", name)
	// Where calls pile up all of them wait for long, and p99 is close to p50.
	g.AtLeast(0.98, r.Over(func(t map[string]Result) float64 { return quotient(t[name].PerSecond, due) }),
		"%s: calls answered over those due, likewise", name)
}

// pages measures what is read, alone and beside likes, in a store whose lists all fill a page.
func (s Suite) pages(ctx context.Context, g *Goals) (err error) {
	srv, err := StartFilled(ctx, s.Liked, filepath.Join(s.Dir, "pages"), s.Users, s.Posts, 100*max(s.Users, s.Posts))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, srv.Stop()) }()
	some := Workload{Mix: somePages, Zipf: zipf, ReadZipf: zipf}
	likers, liked, feed := some, some, some
	likers.Mix, liked.Mix, feed.Mix, feed.Page = Likers, Liked, Feed, FeedPage
	subjects, stop, err := s.besides(ctx, srv,
		row{"1 % pages, 128", some, many},
		row{"1 % pages, 32", some, connections},
		row{"likers, 32", likers, connections},
		row{"liked, 32", liked, connections},
		row{"feed, 32", feed, connections})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	plan := s.Plan
	plan.WarmUp *= 2 // the cache has to fill
	r, err := g.measure(ctx, plan, fmt.Sprintf("a store whose lists have 100 likes and more, %d users, %d posts", s.Users, s.Posts),
		subjects...)
	if err != nil {
		return err
	}
	g.ofPages(r)
	return s.open(ctx, g, srv, row{"50 reads to a like", feed, connections}, r.Summary["feed, 32"].PerSecond.Median)
}

func (g *Goals) ofPages(r *Run) {
	g.overFloors(r,
		bounded{"likes/s with 1 % pages of 100 on the same connections", 0.75, "1 % pages, 128"},
		bounded{"likes/s with 1 % pages of 100 on the same connections", 0.6, "1 % pages, 32"},
		bounded{"pages/s of 100 who like a post", 0.35, "likers, 32"},
		bounded{"pages/s of 100 posts that a user likes", 0.3, "liked, 32"},
		bounded{"calls/s, 50 reads of 20 to a like", 0.4, "feed, 32"})
}

// size measures two stores that differ in the number of their likes alone.
func (s Suite) size(ctx context.Context, g *Goals) (err error) {
	users, posts := s.Users, max(s.Posts, 20*s.Large/s.Users) // 19 of 20 pairs of a user and a post are without a like
	page := min(100, s.Small/max(users, posts))               // which all lists fill
	if page < 5 {
		return fmt.Errorf("%d likes are too few for pages of 5 for %d users and %d posts", s.Small, users, posts)
	}
	var servers [2]*full
	names := [2]string{"small", "large"}
	dirs := [2]string{s.Dir, cmp.Or(s.Kept, s.Dir)}
	for i, likes := range [2]int{s.Small, s.Large} {
		if servers[i], err = s.filled(ctx, filepath.Join(dirs[i], names[i]), filling{users, posts, likes}); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, servers[i].Stop()) }()
	}
	large := servers[1]
	kinds := []row{{"likes", Workload{Mix: Likes}, connections}, {"pages", Workload{Mix: Pages, Page: page}, connections}}
	var subjects []Subject
	for _, kind := range kinds {
		for i, srv := range servers {
			subject, err := srv.subject(row{kind.name + ", " + names[i], kind.w, kind.callers})
			if err != nil {
				return err
			}
			subjects = append(subjects, subject)
		}
	}
	plan := s.Plan
	plan.WarmUp *= 10 // what is measured is a server that has been up for a while: its cache has to fill first
	r, err := g.measure(ctx, plan, fmt.Sprintf("stores of %d and of %d likes, %d users, %d posts", s.Small, s.Large, users, posts),
		subjects...)
	if err != nil {
		return err
	}
	g.ofSizes(r, s.Small, s.Large)
	g.ofStart(large, s.Large)
	// Three times what the caches have unless --cache says otherwise, however many likes there are.
	g.ofMemory(1536, r, "MiB of memory after all that, at %d likes", s.Large)
	return s.frugal(ctx, g, large, kinds)
}

// ofSizes holds the larger store against the smaller one.
func (g *Goals) ofSizes(r *Run, small, large int) {
	for _, kind := range []string{"likes", "pages"} {
		g.AtLeast(0.9, r.Rate(kind+", large", kind+", small"), "%s/s at %d likes over those at %d", kind, large, small)
	}
}

func (g *Goals) ofStart(f *full, likes int) {
	g.AtMost(52, NewSpread(f.bytesEach), "bytes on the disk for each of %d likes", likes)
	g.AtMost(2, NewSpread(f.startUp), "seconds until a store of %d likes answers", likes)
	g.AtMost(10, NewSpread(f.busy), "processor seconds of such a start until it has nothing left to do")
}

// ofMemory takes the most that the larger store has had at the end of a turn.
func (g *Goals) ofMemory(want float64, r *Run, format string, a ...any) {
	g.AtMost(want, r.Over(func(t map[string]Result) float64 {
		return float64(max(t["likes, large"].RSS, t["pages, large"].RSS)) / (1 << 20)
	}), format, a...)
}

// frugal restarts the larger store with a small cache, and calls it for each row.
func (s Suite) frugal(ctx context.Context, g *Goals, large *full, rows []row) error {
	if err := large.Stop(); err != nil {
		return err
	}
	again, _, err := large.place.serve(ctx, s.Liked, large.World, "--cache", "64")
	if err != nil {
		return err
	}
	large.Server = again // which the caller stops
	var subjects []Subject
	for _, kind := range rows {
		subject, err := again.subject(row{kind.name + ", large", kind.w, kind.callers})
		if err != nil {
			return err
		}
		subjects = append(subjects, subject)
	}
	plan := Plan{Duration: 10 * s.Plan.WarmUp, Turns: 1, Progress: s.Plan.Progress}
	r, err := g.measure(ctx, plan, fmt.Sprintf("a store of %d likes with --cache 64", s.Large), subjects...)
	if err != nil {
		return err
	}
	g.ofMemory(400, r, "MiB of memory with --cache 64, at %d likes", s.Large)
	return nil
}

// filling is what a store is filled with.
type filling struct{ Users, Posts, Likes int }

// StartFilled runs `liked serve` with more arguments on a store that `liked dev` has made and `liked import` has filled, once it has
// nothing left to do.
func StartFilled(ctx context.Context, program, data string, users, posts, likes int, more ...string) (*Server, error) {
	srv, _, err := fill(ctx, program, data, filling{users, posts, likes})
	if err != nil {
		return nil, err
	}
	if srv, _, err = srv.place.serve(ctx, program, srv.World, more...); err != nil {
		return nil, err
	}
	if _, _, err := srv.settled(ctx); err != nil {
		return nil, errors.Join(err, srv.Stop())
	}
	return srv, nil
}

// full is a server on a store that was filled.
type full struct {
	*Server
	bytesEach float64 // on the disk, of a like
	startUp   float64 // seconds until it listened
	busy      float64 // processor seconds until it had nothing left to do
}

// filled starts a server on a store that is filled. A store that is there was filled by an earlier run, and must have been with
// the same.
func (s Suite) filled(ctx context.Context, data string, with filling) (*full, error) {
	var srv *Server
	var note struct {
		filling
		Empty int64 // bytes of the store before it was filled
	}
	text, err := os.ReadFile(data + ".filled")
	switch {
	case err == nil:
		if err := json.Unmarshal(text, &note); err != nil || note.filling != with {
			return nil, fmt.Errorf("%s.filled is of another store than this run wants: remove %s, or keep the stores elsewhere",
				data, filepath.Dir(data))
		}
		if srv, err = stopped(data); err != nil {
			return nil, err
		}
	case errors.Is(err, fs.ErrNotExist):
		if srv, note.Empty, err = fill(ctx, s.Liked, data, with); err != nil {
			return nil, err
		}
	default:
		return nil, err
	}
	// The start after a crash, or after a server with too small a cache for it, reads all likes into the filter of likes, which the
	// next ones find: frugal leaves the larger store so.
	f := new(full)
	if f.Server, _, err = srv.place.serve(ctx, s.Liked, srv.World); err != nil {
		return nil, err
	}
	if _, _, err = f.settled(ctx); err != nil {
		return nil, errors.Join(err, f.Stop())
	}
	if err := f.Stop(); err != nil {
		return nil, err
	}
	if f.Server, f.startUp, err = srv.place.serve(ctx, s.Liked, srv.World); err != nil {
		return nil, err
	}
	after, busy, err := f.settled(ctx)
	f.bytesEach, f.busy = float64(after-note.Empty)/float64(with.Likes), busy.Seconds()
	if err == nil {
		note.filling = with
		if text, err = json.Marshal(note); err == nil {
			err = os.WriteFile(data+".filled", text, 0o600)
		}
	}
	if err != nil {
		return nil, errors.Join(err, f.Stop())
	}
	return f, nil
}

// fill makes a store, and returns a server that has stopped on it, and what the store took before it was filled.
func fill(ctx context.Context, program, data string, with filling) (srv *Server, empty int64, err error) {
	if err := os.RemoveAll(data); err != nil { // what a run that was cut short has left
		return nil, 0, err
	}
	if srv, err = Start(ctx, program, data, with.Users, with.Posts); err != nil {
		return nil, 0, err
	}
	if err := srv.Stop(); err != nil {
		return nil, 0, err
	}
	if empty, err = sizeOf(data); err != nil {
		return nil, 0, err
	}
	fmt.Fprintf(os.Stderr, "filling a store with %d likes\n", with.Likes)
	imports := exec.CommandContext(ctx, program, "import", "-", "--data", data)
	imports.Stderr = os.Stderr
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
