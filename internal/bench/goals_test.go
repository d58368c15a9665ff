package bench

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Each goal is a row, of the subjects that it is about.
func TestGoalsAreRows(t *testing.T) {
	run := func(turn map[string]Result) *Run {
		r := &Run{Callers: make(map[string]int), Floors: make(map[string]string), Turns: []map[string]Result{turn}}
		for name, result := range maps.Clone(turn) {
			r.Callers[name], r.Floors[name] = len(name), "floor of "+name
			turn["floor of "+name] = Result{PerSecond: 1000 * result.PerSecond}
		}
		return r
	}
	const mib = 1 << 20
	var g Goals
	g.ofLikes(run(map[string]Result{
		"likes, 128": {PerSecond: 2}, "likes, 32": {PerSecond: 3, CPU: 5}, "likes over TLS, 128": {PerSecond: 5},
		"OAuth 1.0a, 32": {PerSecond: 7, CPU: 11}, "hot, 32": {PerSecond: 13}, "spread, 32": {PerSecond: 17},
		"one client": {Latency: Latency{P50: 19}}, "fdatasync": {Latency: Latency{P50: 23}},
	}))
	g.ofOpenLoop(run(map[string]Result{"likes": {PerSecond: 29, Latency: Latency{P50: 31, P99: 37}}}), "likes", 41)
	g.ofPages(run(map[string]Result{
		"1 % pages, 128": {PerSecond: 2}, "1 % pages, 32": {PerSecond: 3}, "likers, 32": {PerSecond: 5}, "liked, 32": {PerSecond: 7},
		"feed, 32": {PerSecond: 11},
	}))
	sizes := run(map[string]Result{
		"likes, small": {PerSecond: 2}, "likes, large": {PerSecond: 3, RSS: 5 * mib},
		"pages, small": {PerSecond: 7}, "pages, large": {PerSecond: 11, RSS: 13 * mib},
	})
	g.ofSizes(sizes, 100, 200)
	g.ofStart(&full{bytesEach: 17, startUp: 19, busy: 23}, 200)
	g.ofMemory(400, sizes, "MiB")
	over := func(a, b float64) string { return Spread{Median: a / b, Min: a / b, Max: a / b}.String() }
	const floor = "0.001 (0.001 to 0.001)" // each subject has a thousandth of its own
	var got []string
	for _, goal := range g.Goals {
		bound := ">"
		if goal.AtMost {
			bound = "<"
		}
		got = append(got, fmt.Sprintf("%s %g %s: %s", bound, goal.Want, goal.Name, goal.Figure))
	}
	want := []string{
		"> 0.85 likes/s over the floor's, 10 connections: " + floor,
		"> 0.7 likes/s over the floor's, 9 connections: " + floor,
		"> 0.85 likes/s with TLS over the floor's, 19 connections: " + floor,
		"> 0.9 likes/s with OAuth 1.0a over those with OAuth 2.0; or the next: " + over(7, 3),
		"< 1.12 the server's processor time likewise; or the one before: " + over(11, 5),
		"> 0.95 likes/s of one hot post over those spread evenly: " + over(13, 17),
		"< 1.4 a lone client's latency over one fdatasync, medians: " + over(19, 23),
		"< 4 likes: p99 over p50 at 70 % of the peak rate, open loop: " + over(37, 31),
		"> 0.98 likes: calls answered over those due, likewise: " + over(29, 41),
		"> 0.75 likes/s with 1 % pages of 100 on the same connections over the floor's, 14 connections: " + floor,
		"> 0.6 likes/s with 1 % pages of 100 on the same connections over the floor's, 13 connections: " + floor,
		"> 0.35 pages/s of 100 who like a post over the floor's, 10 connections: " + floor,
		"> 0.3 pages/s of 100 posts that a user likes over the floor's, 9 connections: " + floor,
		"> 0.4 calls/s, 50 reads of 20 to a like over the floor's, 8 connections: " + floor,
		"> 0.9 likes/s at 200 likes over those at 100: " + over(3, 2),
		"> 0.9 pages/s at 200 likes over those at 100: " + over(11, 7),
		"< 52 bytes on the disk for each of 200 likes: " + over(17, 1),
		"< 2 seconds until a store of 200 likes answers: " + over(19, 1),
		"< 10 processor seconds of such a start until it has nothing left to do: " + over(23, 1),
		"< 400 MiB: " + over(13, 1),
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// A store that an earlier run has filled with something else is refused, and stays as it is.
func TestKeptStoreOfAnotherRun(t *testing.T) {
	data := filepath.Join(t.TempDir(), "large")
	const note = `{"Users":10,"Posts":20,"Likes":30,"Empty":1}`
	if err := os.WriteFile(data+".filled", []byte(note), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := (Suite{}).filled(t.Context(), data, filling{Users: 10, Posts: 20, Likes: 31})
	if err == nil || !strings.Contains(err.Error(), "another store") {
		t.Errorf("filled: %v, want a refusal", err)
	}
	if text, err := os.ReadFile(data + ".filled"); err != nil || string(text) != note {
		t.Errorf("the note of the earlier run is now %q, %v", text, err)
	}
}
