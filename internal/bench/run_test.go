package bench

import (
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

var update = flag.Bool("update", false, "rewrite testdata/run.json")

func empty(t *testing.T, dir string) {
	t.Helper()
	if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
		t.Errorf("%s has %v, %v", dir, entries, err)
	}
}

// every is a subject whose calls take so long, and which notes the turns in which it was driven.
func every(name string, d time.Duration, turns *[]string) Subject {
	return Subject{Name: name, Callers: 2, Kinds: []string{"call"}, Connect: func(_ context.Context, turn int) (Call, error) {
		*turns = append(*turns, fmt.Sprint(name, turn))
		return Func(func() error { time.Sleep(d); return nil }), nil
	}}
}

// measured is a run of two subjects, one of which is four times as fast.
func measured(t *testing.T, slow time.Duration) (r Run, order []string) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		var err error
		r, err = Measure(t.Context(), Plan{time.Second, time.Second, 3, io.Discard}, "a test",
			every("floor", 5*time.Millisecond, &order), every("server", slow, &order))
		if err != nil {
			t.Error(err)
		}
	})
	return r, order
}

func TestMeasure(t *testing.T) {
	r, order := measured(t, 20*time.Millisecond)
	// Two callers each. The warm-up is turn 0; every other turn goes backwards.
	if want := "server0 floor0 floor1 server1 server2 floor2 floor3 server3"; strings.Join(slices.Compact(order), " ") != want {
		t.Errorf("the order was %v, want %s", slices.Compact(order), want)
	}
	if len(r.Turns) != 3 {
		t.Fatalf("%d turns", len(r.Turns))
	}
	s := r.Summary["server"]
	if s.PerSecond != (Spread{100, 100, 100}) || s.Ratio != (Spread{.25, .25, .25}) || !about(int64(s.P50.Median), 20*time.Millisecond) {
		t.Errorf("server: %+v", s)
	}
	if got := r.Summary["floor"].Ratio; got != (Spread{1, 1, 1}) {
		t.Errorf("the first subject over itself: %+v", got)
	}
	if err := r.Failures(); err != nil {
		t.Error(err)
	}
	var none []string
	if _, err := Measure(t.Context(), Plan{Turns: 1}, "", every("a", 1, &none), every("a", 1, &none)); err == nil {
		t.Error("two subjects of one name")
	}
	broken := Subject{Name: "gone", Callers: 1, Connect: func(context.Context, int) (Call, error) { return nil, errors.New("no answer") }}
	if _, err := Measure(t.Context(), Plan{Duration: 1, Turns: 1}, "", broken); err == nil || err.Error() != "gone: no answer" {
		t.Errorf("%v", err)
	}
}

func TestMedianAndRange(t *testing.T) {
	for _, row := range []struct {
		figures []float64
		want    Spread
	}{
		{[]float64{3}, Spread{3, 3, 3}},
		{[]float64{5, 1, 2}, Spread{2, 1, 5}},
		{[]float64{4, 1, 3, 2}, Spread{2.5, 1, 4}},
	} {
		if got := NewSpread(row.figures...); got != row.want {
			t.Errorf("%v: %+v, want %+v", row.figures, got, row.want)
		}
	}
	if got := (Spread{0.51234, 98765.4, 99.96}).String(); got != "0.512 (98765 to 100)" {
		t.Errorf("%s", got)
	}
}

func TestCompare(t *testing.T) {
	before := Run{Subjects: []string{"floor", "server", "old"}, Summary: map[string]Summary{
		"floor":  {PerSecond: Spread{100, 90, 110}, P50: Spread{10, 10, 10}, P99: Spread{0, 0, 0}},
		"server": {PerSecond: Spread{50, 40, 60}, Ratio: Spread{.5, .45, .55}, P50: Spread{20, 10, 40}, P99: Spread{100, 80, 200}}}}
	after := Run{Subjects: []string{"floor", "server", "new"}, Summary: map[string]Summary{
		"floor":  {PerSecond: Spread{100, 90, 110}, P50: Spread{10, 10, 10}, P99: Spread{5, 5, 5}},
		"server": {PerSecond: Spread{80, 70, 90}, Ratio: Spread{.8, .75, .85}, P50: Spread{15, 10, 20}, P99: Spread{50, 40, 60}}}}
	changes, err := Compare(before, after)
	if err != nil {
		t.Fatal(err)
	}
	got := make(map[string]Change)
	for _, c := range changes {
		got[c.Subject+" "+c.Figure] = c
	}
	for _, row := range []struct {
		of    string
		times Spread
		clear bool
	}{
		{"floor per second", Spread{1, 90. / 110, 110. / 90}, false},
		{"server per second", Spread{1.6, 70. / 60, 90. / 40}, true},
		{"server of floor", Spread{.8 / .5, .75 / .55, .85 / .45}, true},
		{"server p50 µs", Spread{.75, .25, 2}, false},
		{"server p99 µs", Spread{.5, .2, .75}, true},
		{"floor p99 µs", Spread{0, 0, 0}, true}, // what there was none of before is no number of times as much
	} {
		if c := got[row.of]; c.Times != row.times || c.Clear != row.clear {
			t.Errorf("%s: %+v, want %+v, %v", row.of, c.Times, row.times, row.clear)
		}
	}
	if len(changes) != 7 {
		t.Errorf("%d changes: %+v", len(changes), changes)
	}
	var out strings.Builder
	PrintChanges(&out, changes)
	if strings.Count(out.String(), "within the noise") != 3 {
		t.Errorf("\n%s", out.String())
	}
	if _, err := Compare(Run{Subjects: []string{"a"}}, after); err == nil {
		t.Error("two runs without a common subject can be compared")
	}
}

// The JSON is what people's scripts read: a change of it is one that is seen here.
func TestJSONIsStable(t *testing.T) {
	r, _ := measured(t, 20*time.Millisecond)
	r.At, r.Machine = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), "a machine"
	for _, turn := range r.Turns {
		for name, res := range turn {
			if h, err := hdrhistogram.Decode([]byte(res.HDR)); err != nil || h.TotalCount() != res.Answered {
				t.Errorf("%s: the histogram is not of %d, %v", name, res.Answered, err)
			}
			res.HDR = "compressed, which is not the same in every version of Go"
			res.Over = res.Over[:5]
			res.Client.CPU = 1.5 // the only figure that is not of the bubble's clock
			res.Offered, res.CPU, res.Changed, res.RSS = 7, 2.5, .5, 1024
			res.Errors = map[string]Failure{"429 Too Many Requests": {2, "later"}}
			turn[name] = res
		}
	}
	got, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join("testdata", "run.json")
	if *update {
		if err := os.WriteFile(file, append(got, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil || string(got)+"\n" != string(want) {
		t.Errorf("%s is not what is printed (%v); run with -update and look at the difference", file, err)
	}
	again, err := ReadRun(file)
	if err != nil {
		t.Fatal(err)
	}
	if text, err := json.MarshalIndent(again, "", " "); err != nil || string(text) != string(got) {
		t.Errorf("read and written again it differs (%v)", err)
	}
	for _, text := range []string{"", "{}", "[]", `{"subjects":["a"]}`} {
		bad := filepath.Join(t.TempDir(), "bad.json")
		if err := os.WriteFile(bad, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadRun(bad); err == nil {
			t.Errorf("%q is a run", text)
		}
	}
}

func TestReportNeedsNothingElse(t *testing.T) {
	r, _ := measured(t, 20*time.Millisecond)
	res := r.Turns[0]["server"]
	res.Errors = map[string]Failure{"400 <Bad>": {1, "<script>"}}
	r.Turns[0]["server"] = res
	var out strings.Builder
	if err := r.WriteHTML(&out); err != nil {
		t.Fatal(err)
	}
	page := out.String()
	if strings.Contains(page, "<script>") || !strings.Contains(page, "400 &lt;Bad&gt;") {
		t.Error("failures are not shown, or not escaped")
	}
	if strings.Contains(page, "http://") || strings.Contains(page, "https://") {
		t.Error("the page needs something else")
	}
	drawn := func(a xml.Attr) bool { // the points of a curve
		return a.Name.Local == "points" && len(strings.Fields(a.Value)) > 5 &&
			!strings.Contains(a.Value, "NaN") && !strings.Contains(a.Value, "Inf")
	}
	plots := 0
	for rest := page; ; plots++ {
		_, after, ok := strings.Cut(rest, "<svg ")
		if !ok {
			break
		}
		svg, after, _ := strings.Cut(after, "</svg>")
		d := xml.NewDecoder(strings.NewReader("<svg " + svg + "</svg>"))
		lines := 0
		for {
			token, err := d.Token()
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatalf("%v in %s", err, svg)
			}
			if e, ok := token.(xml.StartElement); ok && e.Name.Local == "polyline" && slices.ContainsFunc(e.Attr, drawn) {
				lines++
			}
		}
		if lines != 2 {
			t.Errorf("%d curves in a plot of two subjects", lines)
		}
		rest = after
	}
	if plots != 2 {
		t.Errorf("%d plots", plots)
	}
	// A run in which nothing was answered can be shown as well.
	for _, turn := range r.Turns {
		turn["server"] = Result{Over: make([]int64, hundredths+1), HDR: encode(newHistogram())}
	}
	r.summarize()
	if err := r.WriteHTML(io.Discard); err != nil {
		t.Error(err)
	}
	if _, err := json.Marshal(r); err != nil {
		t.Error(err)
	}
	r.Turns[0]["server"] = Result{HDR: "x"}
	if err := r.WriteHTML(io.Discard); err == nil {
		t.Error("a histogram that cannot be read is shown")
	}
}

func TestPrintedTables(t *testing.T) {
	r, _ := measured(t, 20*time.Millisecond)
	var out strings.Builder
	r.Print(&out)
	for _, want := range []string{"a test; 1 s a turn, 3 turns", "server                         100 /s, 0.25 (0.25 to 0.25) of floor"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
	var g Goals
	g.AtLeast(2, Spread{1.9, 1, 3}, "more")
	g.AtLeast(2, Spread{2, 1, 3}, "enough")
	g.AtMost(2, Spread{2.1, 1, 3}, "too much")
	g.AtMost(2, Spread{2, 1, 3}, "little")
	for i, want := range []bool{false, true, false, true} {
		if g.Goals[i].Met != want {
			t.Errorf("%+v", g.Goals[i])
		}
	}
	g.AtLeast(2, Spread{1, 1, 1}, "too few")
	g.AtMost(2, Spread{1, 1, 1}, "which will do as well")
	g.either()
	out.Reset()
	g.Print(&out)
	if strings.Count(out.String(), "missed") != 2 || strings.Count(out.String(), "met") != 4 {
		t.Errorf("\n%s", out.String())
	}
}
