package journal

import (
	"slices"
	"testing"
)

// However long the server runs, all likes are in intervals of one length, each where it was.
func TestIntervals(t *testing.T) {
	t.Parallel()
	var y tally
	const seconds = 1000
	for s := range seconds {
		y.reach(s)
		y.likes[len(y.likes)-1]++
	}
	want := slices.Repeat([]int{y.each}, seconds/y.each)
	if y.each != 16 || len(y.likes) > maxIntervals || !slices.Equal(y.likes[:len(want)], want) || y.likes[len(want)] != seconds%y.each {
		t.Errorf("intervals of %d s: %v", y.each, y.likes)
	}
}
