package journal

import (
	"strconv"
	"sync"
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

type tally struct {
	mu       sync.Mutex
	since    time.Time
	statuses map[int]int
	each     int // seconds
	likes    []int
}

func (t *tally) clear() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.since, t.statuses, t.each, t.likes = time.Now(), nil, 0, nil
}

func (t *tally) answered(status int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.statuses == nil {
		t.statuses = make(map[int]int)
	}
	t.statuses[status]++
}

// reach adds the intervals up to this moment. t.mu must be held.
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

// Liked counts a like that was set.
func (j *Journal) Liked() {
	if j == nil {
		return
	}
	t := &j.tally
	t.mu.Lock()
	defer t.mu.Unlock()
	t.reach(int(time.Since(t.since) / time.Second))
	t.likes[len(t.likes)-1]++
}

// Counts returns what was counted.
func (j *Journal) Counts() Counts {
	t := &j.tally
	t.mu.Lock()
	defer t.mu.Unlock()
	t.reach(int(time.Since(t.since) / time.Second))
	c := Counts{Since: t.since.UTC(), Statuses: make(map[string]int), Seconds: t.each, Likes: append([]int(nil), t.likes...)}
	for status, n := range t.statuses {
		c.Statuses[strconv.Itoa(status)] = n
	}
	return c
}
