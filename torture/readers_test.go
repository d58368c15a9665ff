package torture

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"liked"
)

// change is what a client did to a post.
type change struct {
	post string
	on   bool
}

// event is a change as a stream tells it.
type event struct {
	id   string // compliance has none: all that is said, and how often in this connection, stand for it
	user string // "" in the firehose, which does not say who
	change
	at time.Time
}

// tape is what one partition of the like log has been heard to say, through all lives of the server.
type tape struct {
	heard  []event
	known  map[string]int // id -> place in heard
	next   int            // place of what this connection tells next; -1 if it has told nothing
	judged int            // how much of heard has been held to what was acknowledged
}

// hear takes down what a connection tells next. A connection tells a stretch of the log without a hole: if anything was
// heard before, it begins with some of that, repeats the rest, and goes on behind it.
func (t *tape) hear(e event) error {
	place, known := t.known[e.id]
	if t.next < 0 {
		if !known && len(t.heard) > 0 {
			return fmt.Errorf("there may be a hole: a connection begins with %v, which was not heard before", e)
		}
		t.next = place
	}
	switch {
	case t.next < len(t.heard) && (!known || place != t.next):
		return fmt.Errorf("told %v, where it was %v before", e, t.heard[t.next])
	case t.next == len(t.heard) && known:
		return fmt.Errorf("told %v twice", e)
	case t.next == len(t.heard):
		t.known[e.id] = t.next
		t.heard = append(t.heard, e)
	}
	t.next++
	return nil
}

// judge holds what was heard and not judged yet to what clients did; whose says which of them an event is of. late says
// that there is more to come.
func (t *tape) judge(did map[int][]change, whose func(event) int) (late bool, err error) {
	told := make(map[int]int)
	for _, e := range t.heard[t.judged:] {
		who := whose(e)
		if n := told[who]; n >= len(did[who]) || did[who][n] != e.change {
			return false, fmt.Errorf("told %v as number %d of what client %d did, which is %v", e, n, who, did[who])
		}
		told[who]++
	}
	for who, want := range did {
		late = late || told[who] < len(want)
	}
	return late, nil
}

// readers read the firehose, a partition each, and the unlikes.
type readers struct {
	*load
	c           *http.Client
	all         []*reader
	home        map[string]int // number of the partition that a user's changes are in
	connections int
}

// reader reads one stream, through one connection after the other.
type reader struct {
	path  string
	tapes [liked.Partitions + 1]tape // by the number of the partition; those who read one use the first

	reading sync.WaitGroup
	mu      sync.Mutex
	ended   bool    // the connection, or there has been none
	told    []event // and not taken down yet
	wrong   error   // with what was told
	// Unlikes are told with the second alone. What was said about a second is the same for every connection that has
	// heard all of it, so that of the connection now they count from this second on.
	from   time.Time
	unlike map[string]int // how often each was told
}

func newReaders(l *load) *readers {
	s := &readers{load: l, c: &http.Client{Transport: &http.Transport{}}, home: make(map[string]int)}
	for n := range liked.Partitions {
		s.all = append(s.all, &reader{path: fmt.Sprintf("/2/likes/firehose/stream?partition=%d", n+1), ended: true})
	}
	s.all = append(s.all, &reader{path: "/2/likes/compliance/stream?", ended: true})
	for _, r := range s.all {
		for i := range r.tapes {
			r.tapes[i].known = make(map[string]int)
		}
	}
	l.m.t.Cleanup(s.wait) // the test's context, and with it every connection, has ended by then
	return s
}

// wait returns when all connections have ended, as they do with the server.
func (s *readers) wait() {
	for _, r := range s.all {
		r.reading.Wait()
	}
	s.c.CloseIdleConnections()
}

// settle finds out in which partition each client is, and gives posts to the clients of a partition so that no two have
// the same: the firehose does not say who likes.
func (s *readers) settle(rng *rand.Rand) {
	do := func(c *liker, post string, on bool) {
		s.m.must(s.load.c, like(s.m.Users[c.user].ID, post, bearer(s.m.Users[c.user].AccessToken), on), nil)
	}
	unlikes := s.all[liked.Partitions]
	for some := range slices.Chunk(s.likers, len(s.m.Posts)) {
		for i, c := range some {
			s.connect(rng, 0)
			do(c, s.m.Posts[i].ID, true)
		}
		s.until("the likes of everybody", func() bool {
			found := 0
			for n, r := range s.all[:liked.Partitions] {
				t := &r.tapes[0]
				for _, e := range t.heard[t.judged:] {
					i := slices.IndexFunc(s.m.Posts, func(p struct{ ID string }) bool { return p.ID == e.post })
					some[i].home, s.home[s.m.Users[some[i].user].ID] = n+1, n+1
					found++
				}
			}
			return found == len(some)
		})
		for i, c := range some {
			do(c, s.m.Posts[i].ID, false)
		}
		s.until("the unlikes of everybody", func() bool {
			found := 0
			for i := range unlikes.tapes {
				found += len(unlikes.tapes[i].heard) - unlikes.tapes[i].judged
			}
			return found == len(some)
		})
		s.judged()
	}
	for n := range liked.Partitions {
		at := slices.DeleteFunc(slices.Clone(s.likers), func(c *liker) bool { return c.home != n+1 })
		for i, p := range s.m.Posts {
			if len(at) > 0 {
				c := at[i%len(at)]
				c.posts = append(c.posts, p.ID)
			}
		}
	}
}

// until takes down what is told until there is enough.
func (s *readers) until(what string, enough func() bool) {
	s.m.t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(2 * time.Millisecond) {
		if err := s.take(); err != nil {
			s.m.t.Fatal(err)
		}
		if enough() {
			return
		}
		if time.Now().After(deadline) {
			s.m.t.Fatalf("the streams do not tell %s within a minute", what)
		}
	}
}

// verify waits until the streams have told what clients did, and holds each client's changes to what was told of them, in
// their order and once.
func (s *readers) verify(rng *rand.Rand) {
	s.m.t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(2 * time.Millisecond) {
		s.connect(rng, 0)
		late, err := s.judge()
		switch {
		case err != nil:
			s.m.t.Errorf("the streams: %v", err)
			return
		case late == "":
			s.judged()
			return
		case time.Now().After(deadline):
			s.m.t.Errorf("the streams: %s has not told everything within a minute", late)
			return
		}
	}
}

// judge takes down what was told and holds it to what clients did since it was last judged. late names a stream that has
// more to tell.
func (s *readers) judge() (late string, err error) {
	if err := s.take(); err != nil {
		return "", err
	}
	for n, r := range s.all {
		for i := range r.tapes {
			firehose, partition := n < liked.Partitions, i
			if firehose {
				if i > 0 {
					break
				}
				partition = n + 1
			}
			did := make(map[int][]change)
			for _, c := range s.likers {
				for _, x := range c.changes {
					if c.home == partition && x.on == firehose {
						did[c.user] = append(did[c.user], x)
					}
				}
			}
			more, err := r.tapes[i].judge(did, func(e event) int {
				return slices.IndexFunc(s.likers, func(c *liker) bool {
					return c.home == partition && (s.m.Users[c.user].ID == e.user || firehose && slices.Contains(c.posts, e.post))
				})
			})
			if err != nil {
				return "", fmt.Errorf("%s: %w", r.path, err)
			}
			if more {
				late = r.path
			}
		}
	}
	return late, nil
}

// judged notes that what was heard, and done, needs no further look.
func (s *readers) judged() {
	for _, r := range s.all {
		for i := range r.tapes {
			r.tapes[i].judged = len(r.tapes[i].heard)
		}
	}
	for _, c := range s.likers {
		c.changes = nil
	}
}

// heard returns how many changes the streams have told.
func (s *readers) heard() (n int) {
	for _, r := range s.all {
		for i := range r.tapes {
			n += len(r.tapes[i].heard)
		}
	}
	return n
}

// connect has everybody who has no connection make one, after up to the time given. When it returns, those who need not
// wait are connected.
func (s *readers) connect(rng *rand.Rand, within time.Duration) {
	var connecting sync.WaitGroup
	for n, r := range s.all {
		r.mu.Lock()
		ended := r.ended
		r.ended = false
		r.mu.Unlock()
		if !ended {
			continue
		}
		r.reading.Wait()
		s.takeFrom(r)
		target := s.m.URL + r.path + r.resume(rng)
		delay := time.Duration(rng.Int64N(int64(within) + 1))
		connected := make(chan struct{})
		s.connections++
		r.reading.Go(func() {
			time.Sleep(delay)
			r.read(s.m.t.Context(), s.c, target, bearer(s.m.Apps[0].BearerToken), n%2 == 0, connected)
		})
		if within == 0 {
			connecting.Go(func() { <-connected })
		}
	}
	connecting.Wait()
}

// resume returns how a new connection asks for what this reader may have missed: by minutes, or by the time of the
// last event that it has heard.
func (r *reader) resume(rng *rand.Rand) string {
	var from time.Time
	for i := range r.tapes {
		t := &r.tapes[i]
		t.next = -1
		if n := len(t.heard); n > 0 && (from.IsZero() || t.heard[n-1].at.Before(from)) {
			from = t.heard[n-1].at
		}
	}
	r.from, r.unlike = from.Truncate(time.Second), make(map[string]int)
	switch {
	case from.IsZero():
		return ""
	case time.Since(from) < 3*time.Minute && rng.IntN(2) == 0:
		r.from = time.Now().Add(-4 * time.Minute).Truncate(time.Second)
		return "&backfill_minutes=5"
	}
	return "&start_time=" + url.QueryEscape(r.from.UTC().Format(time.RFC3339))
}

// read makes a connection and reads it to its end. connected is closed when it is there, or cannot be made.
func (r *reader) read(ctx context.Context, c *http.Client, target, authorization string, compressed bool, connected chan<- struct{}) {
	defer func() {
		r.mu.Lock()
		r.ended = true
		r.mu.Unlock()
	}()
	resp, err := open(ctx, c, target, authorization, compressed)
	close(connected)
	if err != nil {
		return // nobody is there
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		text, err := io.ReadAll(resp.Body)
		if err == nil && resp.StatusCode != 429 && resp.StatusCode != 503 { // the connection before may not be gone yet
			r.fail(fmt.Errorf("%s: %d %s", target, resp.StatusCode, text))
		}
		return
	}
	for lines := bufio.NewReader(resp.Body); ; {
		line, err := lines.ReadString('\n')
		if err != nil {
			return // a line that was cut is none
		}
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		e, err := parse(line)
		if errors.Is(err, errGoodbye) {
			return
		}
		if err != nil {
			r.fail(fmt.Errorf("%s: %w: %s", target, err, line))
			return
		}
		r.mu.Lock()
		r.told = append(r.told, e)
		r.mu.Unlock()
	}
}

func (r *reader) fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.wrong = err
}

func open(ctx context.Context, c *http.Client, target, authorization string, compressed bool) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, "GET", target, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", authorization)
	if !compressed {
		req.Header.Set("Accept-Encoding", "identity")
	}
	return c.Do(req)
}

// errGoodbye says that the server ends the stream, which it says in a line.
var errGoodbye = errors.New("the stream ends")

// parse reads a line of a stream.
func parse(line string) (e event, err error) {
	var v struct {
		Data struct {
			ID     string
			Post   string `json:"liked_tweet_id"`
			At     int64  `json:"timestamp_ms"`
			Delete struct {
				Favorite struct {
					ID   string
					User string `json:"user_id"`
				}
				At time.Time `json:"event_at"`
			}
		}
		Errors []json.RawMessage
	}
	if err := json.Unmarshal([]byte(line), &v); err != nil {
		return e, err
	}
	d, unlike := v.Data, v.Data.Delete
	switch {
	case len(v.Errors) > 0:
		return e, errGoodbye
	case d.ID != "" && d.Post != "" && d.At != 0:
		return event{id: d.ID, change: change{d.Post, true}, at: time.UnixMilli(d.At)}, nil
	case unlike.Favorite.ID != "" && unlike.Favorite.User != "" && !unlike.At.IsZero():
		return event{id: line, user: unlike.Favorite.User, change: change{unlike.Favorite.ID, false}, at: unlike.At}, nil
	}
	return e, errors.New("this is no event")
}

// take takes down what was told, and returns what is wrong with it.
func (s *readers) take() error {
	var all error
	for _, r := range s.all {
		all = errors.Join(all, s.takeFrom(r))
	}
	return all
}

func (s *readers) takeFrom(r *reader) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.told {
		if !e.on {
			if e.at.Before(r.from) {
				continue
			}
			r.unlike[e.id]++
			e.id += fmt.Sprint(" #", r.unlike[e.id])
		}
		if err := r.tapes[s.home[e.user]].hear(e); err != nil && r.wrong == nil { // the firehose names no user: 0
			r.wrong = fmt.Errorf("%s: %w", r.path, err)
		}
	}
	r.told = nil
	return r.wrong
}

// The judge of the streams must be able to fail.
func TestReadersNotice(t *testing.T) {
	const did = "abacad" // likes and unlikes of these posts
	told := func(ids string) (events []event) {
		for _, id := range ids {
			n := strings.IndexRune("123456", id)
			post := "x"
			if n >= 0 {
				post = did[n : n+1]
			}
			events = append(events, event{id: string(id), change: change{post, true}})
		}
		return events
	}
	for _, test := range []struct{ name, connections, want string }{
		{"all", "123456", ""},
		{"all, with a replay", "123 23456", ""},
		{"all, cut while replaying", "1234 2 3456", ""},
		{"all, and nothing", "123456 56  6", ""},
		{"lost", "12456", "as number 2"},
		{"lost at the end", "12345", "late"},
		{"lost over a cut", "123 56", "a hole"},
		{"lost in a replay", "1234 2456", "where it was"},
		{"lost behind a replay", "123 236", "as number 3"},
		{"doubled", "1233456", "twice"},
		{"doubled in a replay", "123 223456", "where it was"},
		{"doubled under another id", "1237456", "as number 3"},
		{"doubled at the end under another id", "1234567", "as number 6"},
		{"out of order", "132456", "as number 1"},
		{"out of order in a replay", "1234 13256", "where it was"},
	} {
		tape, got := tape{known: make(map[string]int)}, ""
		for connection := range strings.SplitSeq(test.connections, " ") {
			tape.next = -1
			for _, e := range told(connection) {
				if err := tape.hear(e); err != nil {
					got += err.Error()
				}
			}
		}
		var want []change
		for _, e := range told("123456") {
			want = append(want, e.change)
		}
		if late, err := tape.judge(map[int][]change{0: want}, func(event) int { return 0 }); err != nil {
			got += err.Error()
		} else if late {
			got += "late"
		}
		if got != test.want && (test.want == "" || !strings.Contains(got, test.want)) {
			t.Errorf("%s: got %q, want %q", test.name, got, test.want)
		}
	}
}
