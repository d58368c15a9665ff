package journal

import (
	"strconv"
	"time"
)

// maxIntervals is how many intervals are counted. When they are full, each two become one that is twice as long.
const maxIntervals = 120

// Counts is what happened since the server started, or since the journal was cleared. They count on when rows are forgotten.
type Counts struct {
	Since    time.Time      `json:"since"`    // by the real clock, as the intervals are
	Statuses map[string]int `json:"statuses"` // calls that were answered, by status; "0": without an answer
	Seconds  int            `json:"seconds"`  // of an interval
	Likes    []int          `json:"likes"`    // that were set in each interval since, the last of which goes on
}

// tally is what a journal counts under its lock.
type tally struct {
	since    time.Time
	statuses map[int]int
	each     int // seconds
	likes    []int
}

func newTally() tally { return tally{since: time.Now(), statuses: make(map[int]int)} }

// liked counts likes that were set just now.
func (t *tally) liked(n int64, now time.Time) {
	t.reach(int(now.Sub(t.since) / time.Second))
	t.likes[len(t.likes)-1] += int(n)
}

// reach adds the intervals up to this moment.
func (t *tally) reach(seconds int) {
	t.each = max(t.each, 1)
	for seconds/t.each >= maxIntervals {
		half := make([]int, (len(t.likes)+1)/2)
		for i, n := range t.likes {
			half[i/2] += n
		}
		t.likes, t.each = half, 2*t.each
	}
	for len(t.likes) <= seconds/t.each {
		t.likes = append(t.likes, 0)
	}
}

// Liked counts a like that was set. The interval is that of the next exchange that ends, which is most often the like's.
func (j *Journal) Liked() {
	if j != nil {
		j.liked.Add(1)
	}
}

// Counts returns what was counted.
func (j *Journal) Counts() Counts {
	j.mu.Lock()
	defer j.mu.Unlock()
	t := &j.tally
	t.liked(j.liked.Swap(0), time.Now())
	c := Counts{Since: t.since.UTC(), Statuses: make(map[string]int), Seconds: t.each, Likes: append([]int(nil), t.likes...)}
	for status, n := range t.statuses {
		c.Statuses[strconv.Itoa(status)] = n
	}
	return c
}
