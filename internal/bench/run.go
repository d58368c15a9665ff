package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"
)

// Plan is how subjects are measured.
type Plan struct {
	Duration time.Duration // of one subject in one turn
	WarmUp   time.Duration // of each subject, before the first turn
	Turns    int           // at least 1
	Progress io.Writer     // gets a line for each subject in each turn
}

// Run is what was measured. It is what `--json` prints.
type Run struct {
	At       time.Time           `json:"at"`
	Machine  string              `json:"machine"`
	About    string              `json:"about"` // the workload, in words
	Seconds  float64             `json:"seconds_per_turn"`
	Subjects []string            `json:"subjects"` // in order; ratios are to the first
	Callers  map[string]int      `json:"callers"`
	Floors   map[string]string   `json:"floors,omitempty"` // the floor of a subject
	Turns    []map[string]Result `json:"turns"`            // by subject
	Summary  map[string]Summary  `json:"summary"`
}

// Summary is a subject over all turns.
type Summary struct {
	PerSecond Spread `json:"per_second"`
	Ratio     Spread `json:"ratio"` // of that to the first subject in the same turn
	P50       Spread `json:"p50_us"`
	P99       Spread `json:"p99_us"`
}

// Spread is a figure over the turns.
type Spread struct {
	Median float64 `json:"median"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
}

// NewSpread returns the spread of figures, of which there is at least one. The median of an even number is the mean of the
// two in the middle.
func NewSpread(figures ...float64) Spread {
	n := len(figures)
	s := slices.Sorted(slices.Values(figures))
	return Spread{(s[(n-1)/2] + s[n/2]) / 2, s[0], s[n-1]}
}

// Measure drives the subjects in turns. Every other turn goes through them backwards, so that a machine that gets slower
// or faster meanwhile favours none. Failures of calls do not end it: see [Run.Failures].
func Measure(ctx context.Context, p Plan, about string, subjects ...Subject) (Run, error) {
	r := Run{
		At: time.Now().UTC().Truncate(time.Second), Machine: machine(),
		About: about, Seconds: p.Duration.Seconds(), Callers: make(map[string]int),
	}
	for _, s := range subjects {
		if slices.Contains(r.Subjects, s.Name) {
			return Run{}, fmt.Errorf("two subjects are called %q", s.Name)
		}
		r.Subjects = append(r.Subjects, s.Name)
		r.Callers[s.Name] = s.Callers
		if s.Floor != "" {
			if r.Floors == nil {
				r.Floors = make(map[string]string)
			}
			r.Floors[s.Name] = s.Floor
		}
	}
	for turn := range p.Turns + 1 {
		d := p.Duration
		if turn == 0 {
			if d = p.WarmUp; d <= 0 {
				continue
			}
		}
		results := make(map[string]Result)
		order := slices.Clone(subjects)
		if turn%2 == 0 {
			slices.Reverse(order)
		}
		for _, s := range order {
			res, err := s.Drive(ctx, turn, d)
			if err != nil {
				return Run{}, fmt.Errorf("%s: %w", s.Name, err)
			}
			if turn > 0 {
				fmt.Fprintf(p.Progress, "turn %d of %d: %-24s %9.0f /s\n", turn, p.Turns, s.Name, res.PerSecond)
			}
			results[s.Name] = res
		}
		if turn > 0 {
			r.Turns = append(r.Turns, results)
		}
	}
	r.summarize()
	return r, nil
}

func (r *Run) summarize() {
	r.Summary = make(map[string]Summary)
	for _, name := range r.Subjects {
		r.Summary[name] = Summary{
			PerSecond: r.Over(func(t map[string]Result) float64 { return t[name].PerSecond }),
			Ratio:     r.Rate(name, r.Subjects[0]),
			P50:       r.Over(func(t map[string]Result) float64 { return float64(t[name].Latency.P50) }),
			P99:       r.Over(func(t map[string]Result) float64 { return float64(t[name].Latency.P99) }),
		}
	}
}

// quotient is 0 where there is nothing to divide by, which JSON can hold.
func quotient(a, b float64) float64 {
	if b == 0 {
		return 0
	}
	return a / b
}

// Over returns the spread of a figure that is taken of each turn.
func (r *Run) Over(of func(map[string]Result) float64) Spread {
	figures := make([]float64, len(r.Turns))
	for i, t := range r.Turns {
		figures[i] = of(t)
	}
	return NewSpread(figures...)
}

// Rate returns the spread of one subject's successes in a second over those of another.
func (r *Run) Rate(over, under string) Spread {
	return r.Over(func(t map[string]Result) float64 { return quotient(t[over].PerSecond, t[under].PerSecond) })
}

// Failures says in one error which calls failed, and that a subject answered none; nil if all went well.
func (r *Run) Failures() error {
	var errs []error
	for _, name := range r.Subjects {
		total := make(map[string]Failure)
		var unanswered int64
		for _, t := range r.Turns {
			for what, f := range t[name].Errors {
				sum := total[what]
				if sum.Count == 0 {
					sum.Example = f.Example
				}
				sum.Count += f.Count
				total[what] = sum
			}
			unanswered += t[name].Unanswered
			if t[name].Answered == 0 {
				errs = append(errs, fmt.Errorf("%s: a turn without a success", name))
			}
		}
		for _, what := range slices.Sorted(maps.Keys(total)) {
			errs = append(errs, fmt.Errorf("%s: %d × %s %s", name, total[what].Count, what, strings.TrimSpace(total[what].Example)))
		}
		if unanswered > 0 {
			errs = append(errs, fmt.Errorf("%s: %d calls were not answered within %s of the end of their turn", name, unanswered, cutOff))
		}
	}
	return errors.Join(errs...)
}

// Print writes the run as a table.
func (r *Run) Print(w io.Writer) {
	fmt.Fprintf(w, "%s; %g s a turn, %d turns; %s\n\n", r.About, r.Seconds, len(r.Turns), r.Machine)
	width := 24
	for _, name := range r.Subjects {
		width = max(width, len(name))
	}
	const row = "%-*s %7s %9s %9s %9s %9s %9s %9s %9s %9s %8s %7s\n"
	fmt.Fprintf(w, row, width, "", "callers", "per s",
		"p50 µs", "p90 µs", "p99 µs", "p99.9 µs", "max µs",
		"client µs", "server µs", "changed", "others")
	for _, t := range r.Turns {
		for _, name := range r.Subjects {
			res := t[name]
			known := func(format string, v float64) string {
				if v == 0 {
					return "-"
				}
				return fmt.Sprintf(format, v)
			}
			n := func(v int64) string { return fmt.Sprint(v) }
			l := res.Latency
			fmt.Fprintf(w, row, width, name, n(int64(r.Callers[name])), fmt.Sprintf("%.0f", res.PerSecond),
				n(l.P50), n(l.P90), n(l.P99), n(l.P999), n(l.Max),
				known("%.1f", res.Client.CPU), known("%.1f", res.CPU), known("%.2f", res.Changed), known("%.2f", res.Others))
		}
	}
	first := r.Subjects[0]
	fmt.Fprintln(w)
	for _, name := range r.Subjects {
		s := r.Summary[name]
		fmt.Fprintf(w, "%-*s %9.0f /s", width, name, s.PerSecond.Median)
		switch floor := r.Floors[name]; {
		case floor != "":
			fmt.Fprintf(w, ", %s of its floor", r.Rate(name, floor))
		case len(r.Floors) == 0 && name != first:
			fmt.Fprintf(w, ", %s of %s", s.Ratio, first)
		}
		if sign := r.Turns[0][name].Client.Sign; sign > 0 {
			fmt.Fprintf(w, "; of the client's time for a call %.1f µs are the signature", sign)
		}
		fmt.Fprintln(w)
	}
}

// String has three digits of each figure that is below a hundred, and no fraction of any above.
func (s Spread) String() string {
	digits := func(v float64) string {
		if v >= 100 {
			return fmt.Sprintf("%.0f", v)
		}
		return fmt.Sprintf("%.3g", v)
	}
	return fmt.Sprintf("%s (%s to %s)", digits(s.Median), digits(s.Min), digits(s.Max))
}

// ReadRun reads what `--json` printed.
func ReadRun(path string) (Run, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return Run{}, err
	}
	var r Run
	if err := json.Unmarshal(text, &r); err != nil {
		return Run{}, fmt.Errorf("%s is not a run of liked bench: %w", path, err)
	}
	if len(r.Subjects) == 0 || len(r.Turns) == 0 {
		return Run{}, fmt.Errorf("%s is not a run of liked bench: it has no turns", path)
	}
	return r, nil
}

// Change is a figure of a run over that of another, the earlier one.
type Change struct {
	Subject string `json:"subject"`
	Figure  string `json:"figure"`
	Before  Spread `json:"before"`
	After   Spread `json:"after"`

	// Times is the median after over that before; its ends are the least and the most that the turns allow.
	Times Spread `json:"times"`
	// Clear says that the spreads of the two runs do not touch, so that noise alone would hardly do it.
	Clear bool `json:"clear"`
}

// Compare returns how a run differs from an earlier one, for the subjects that both have.
func Compare(before, after Run) ([]Change, error) {
	var changes []Change
	for _, name := range after.Subjects {
		b, ok := before.Summary[name]
		if !ok {
			continue
		}
		a := after.Summary[name]
		rows := []struct {
			figure        string
			before, after Spread
		}{{"per second", b.PerSecond, a.PerSecond}, {"p50 µs", b.P50, a.P50}, {"p99 µs", b.P99, a.P99}}
		if name != after.Subjects[0] && after.Subjects[0] == before.Subjects[0] {
			rows = append(rows, struct {
				figure        string
				before, after Spread
			}{"of " + after.Subjects[0], b.Ratio, a.Ratio})
		}
		for _, row := range rows {
			changes = append(changes, newChange(name, row.figure, row.before, row.after))
		}
	}
	if len(changes) == 0 {
		return nil, errors.New("the two runs have no subject in common")
	}
	return changes, nil
}

func newChange(subject, figure string, before, after Spread) Change {
	return Change{Subject: subject, Figure: figure, Before: before, After: after,
		Times: Spread{quotient(after.Median, before.Median), quotient(after.Min, before.Max), quotient(after.Max, before.Min)},
		Clear: after.Min > before.Max || after.Max < before.Min}
}

// PrintChanges writes changes as a table.
func PrintChanges(w io.Writer, changes []Change) {
	fmt.Fprintf(w, "%-24s %-14s %-30s %-30s %s\n", "", "", "before", "after", "times")
	for _, c := range changes {
		verdict := ""
		if !c.Clear {
			verdict = "  within the noise"
		}
		fmt.Fprintf(w, "%-24s %-14s %-30s %-30s %s%s\n", c.Subject, c.Figure, c.Before, c.After, c.Times, verdict)
	}
}

func machine() string {
	return fmt.Sprintf("%s/%s, %d processors, %s", runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), runtime.Version())
}
