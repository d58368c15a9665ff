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
	id   string // of an unlike, which has none: its line, and how often it came in this connection
	user string // "" in the firehose, which does not name the user
	change
	at time.Time
}

// transcript is what was received of one partition of the like log, over all connections and all processes of the server.
type transcript struct {
	events  []event
	index   map[string]int // id -> index of events
	next    int            // index of what this connection sends next; -1 if it has sent nothing
	checked int            // how many events were compared with what was acknowledged
}

// add adds an event that the connection sent. A connection sends a stretch of the log without a gap: if there are events
// already, it begins with one of them, repeats those that follow, and goes on after the last.
func (t *transcript) add(e event) error {
	at, known := t.index[e.id]
	if t.next < 0 {
		if !known && len(t.events) > 0 {
			return fmt.Errorf("there may be a gap: a connection begins with %v, which no earlier one sent", e)
		}
		t.next = at
	}
	switch {
	case t.next < len(t.events) && (!known || at != t.next):
		return fmt.Errorf("sent %v, where it was %v before", e, t.events[t.next])
	case t.next == len(t.events) && known:
		return fmt.Errorf("sent %v twice", e)
	case t.next == len(t.events):
		t.index[e.id] = t.next
		t.events = append(t.events, e)
	}
	t.next++
	return nil
}

// unchecked returns the events that were not compared yet.
func (t *transcript) unchecked() []event { return t.events[t.checked:] }

// check compares the events that were not compared yet with what clients did, in their order; by says which client an
// event is of. more reports that changes are missing, which may still come.
func (t *transcript) check(did map[int][]change, by func(event) int) (more bool, err error) {
	sent := make(map[int]int)
	for _, e := range t.unchecked() {
		client := by(e)
		if n := sent[client]; n >= len(did[client]) || did[client][n] != e.change {
			return false, fmt.Errorf("sent %v as number %d of what client %d did, which is %v", e, n, client, did[client])
		}
		sent[client]++
	}
	for client, want := range did {
		more = more || sent[client] < len(want)
	}
	return more, nil
}

// readers read the firehose, a partition each, and the unlikes.
type readers struct {
	*load
	c           *http.Client
	all         []*reader
	partition   map[string]int // that a user's changes are in, from 1
	connections int
}

// reader reads one stream, through one connection after the other.
type reader struct {
	path        string
	transcripts [liked.Partitions + 1]transcript // by partition; a reader of one partition uses the first

	reading  sync.WaitGroup
	mu       sync.Mutex
	ended    bool    // the connection, or there has been none
	received []event // that are in no transcript yet
	err      error   // about what was received
	// An unlike has the second of its time alone, and no id. A connection that has sent all of a second has sent the same
	// lines as any other, so that their repeats are counted from this second on.
	from    time.Time
	repeats map[string]int
}

func newReaders(l *load) *readers {
	s := &readers{load: l, c: &http.Client{Transport: &http.Transport{}}, partition: make(map[string]int)}
	for n := range liked.Partitions {
		s.all = append(s.all, &reader{path: fmt.Sprintf("/2/likes/firehose/stream?partition=%d", n+1), ended: true})
	}
	s.all = append(s.all, &reader{path: "/2/likes/compliance/stream?", ended: true})
	for _, r := range s.all {
		for i := range r.transcripts {
			r.transcripts[i].index = make(map[string]int)
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

// assign finds out in which partition each client is, and gives posts to the clients of a partition so that no two have
// the same: the firehose does not say who likes.
func (s *readers) assign(rng *rand.Rand) {
	do := func(c *liker, post string, on bool) {
		s.m.must(s.load.c, like(s.m.Users[c.user].ID, post, bearer(s.m.Users[c.user].AccessToken), on), nil)
	}
	unlikes := s.all[liked.Partitions]
	for some := range slices.Chunk(s.likers, len(s.m.Posts)) {
		for i, c := range some {
			s.connect(rng, 0)
			do(c, s.m.Posts[i].ID, true)
		}
		s.until("the like of every client", func() bool {
			found := 0
			for n, r := range s.all[:liked.Partitions] {
				for _, e := range r.transcripts[0].unchecked() {
					c := some[slices.IndexFunc(s.m.Posts, func(p struct{ ID string }) bool { return p.ID == e.post })]
					c.partition, s.partition[s.m.Users[c.user].ID] = n+1, n+1
					found++
				}
			}
			return found == len(some)
		})
		for i, c := range some {
			do(c, s.m.Posts[i].ID, false)
		}
		s.until("the unlike of every client", func() bool {
			found := 0
			for i := range unlikes.transcripts {
				found += len(unlikes.transcripts[i].unchecked())
			}
			return found == len(some)
		})
		s.allChecked()
	}
	for n := range liked.Partitions {
		at := slices.DeleteFunc(slices.Clone(s.likers), func(c *liker) bool { return c.partition != n+1 })
		for i, p := range s.m.Posts {
			if len(at) > 0 {
				c := at[i%len(at)]
				c.posts = append(c.posts, p.ID)
			}
		}
	}
}

// until waits until enough events were received.
func (s *readers) until(what string, enough func() bool) {
	s.m.t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(2 * time.Millisecond) {
		if err := s.record(); err != nil {
			s.m.t.Fatal(err)
		}
		if enough() {
			return
		}
		if time.Now().After(deadline) {
			s.m.t.Fatalf("the streams do not send %s within a minute", what)
		}
	}
}

// verify waits until the streams have sent what clients did: each client's changes, in their order and once.
func (s *readers) verify(rng *rand.Rand) {
	s.m.t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		s.connect(rng, 0)
		missing, err := s.check()
		switch {
		case err != nil:
			s.m.t.Errorf("the streams: %v", err)
			return
		case missing == "":
			s.allChecked()
			return
		case time.Now().After(deadline):
			s.m.t.Errorf("the streams: %s has not sent everything within a minute", missing)
			return
		}
	}
}

// check compares what was received with what clients did since they were last compared. missing names a stream that lacks
// changes.
func (s *readers) check() (missing string, err error) {
	if err := s.record(); err != nil {
		return "", err
	}
	for n, r := range s.all {
		for i := range r.transcripts {
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
					if c.partition == partition && x.on == firehose {
						did[c.user] = append(did[c.user], x)
					}
				}
			}
			more, err := r.transcripts[i].check(did, func(e event) int {
				return slices.IndexFunc(s.likers, func(c *liker) bool {
					return c.partition == partition && (s.m.Users[c.user].ID == e.user || firehose && slices.Contains(c.posts, e.post))
				})
			})
			if err != nil {
				return "", fmt.Errorf("%s: %w", r.path, err)
			}
			if more {
				missing = r.path
			}
		}
	}
	return missing, nil
}

// allChecked notes that all events so far, and all changes, were compared.
func (s *readers) allChecked() {
	for _, r := range s.all {
		for i := range r.transcripts {
			r.transcripts[i].checked = len(r.transcripts[i].events)
		}
	}
	for _, c := range s.likers {
		c.changes = nil
	}
}

// events returns how many changes the streams have sent.
func (s *readers) events() (n int) {
	for _, r := range s.all {
		for i := range r.transcripts {
			n += len(r.transcripts[i].events)
		}
	}
	return n
}

// connect gives each reader without a connection a new one, after a random part of the time given. If that is none, they
// are connected when it returns.
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
		s.recordFrom(r)
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

// resume returns how a new connection asks for what this reader may have missed: by minutes, or by the time of the last
// event that it has received.
func (r *reader) resume(rng *rand.Rand) string {
	var from time.Time
	for i := range r.transcripts {
		t := &r.transcripts[i]
		t.next = -1
		if n := len(t.events); n > 0 && (from.IsZero() || t.events[n-1].at.Before(from)) {
			from = t.events[n-1].at
		}
	}
	r.from, r.repeats = from.Truncate(time.Second), make(map[string]int)
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
		return // no server is running
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		text, err := io.ReadAll(resp.Body)
		if err == nil && resp.StatusCode != 429 && resp.StatusCode != 503 { // the connection before may not be gone yet
			r.fail(fmt.Errorf("%s: %d %s", target, resp.StatusCode, text))
		}
		time.Sleep(50 * time.Millisecond)
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
		if errors.Is(err, errEnd) {
			return
		}
		if err != nil {
			r.fail(fmt.Errorf("%s: %w: %s", target, err, line))
			return
		}
		r.mu.Lock()
		r.received = append(r.received, e)
		r.mu.Unlock()
	}
}

func (r *reader) fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.err = err
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

// errEnd says that the server ends the stream, which it says in a line.
var errEnd = errors.New("the stream ends")

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
		return e, errEnd
	case d.ID != "" && d.Post != "" && d.At != 0:
		return event{id: d.ID, change: change{d.Post, true}, at: time.UnixMilli(d.At)}, nil
	case unlike.Favorite.ID != "" && unlike.Favorite.User != "" && !unlike.At.IsZero():
		return event{id: line, user: unlike.Favorite.User, change: change{unlike.Favorite.ID, false}, at: unlike.At}, nil
	}
	return e, errors.New("this is no event")
}

// record adds what was received to the transcripts, and returns what is wrong with it.
func (s *readers) record() error {
	var all error
	for _, r := range s.all {
		all = errors.Join(all, s.recordFrom(r))
	}
	return all
}

func (s *readers) recordFrom(r *reader) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.received {
		if !e.on {
			if e.at.Before(r.from) {
				continue
			}
			r.repeats[e.id]++
			e.id += fmt.Sprint(" #", r.repeats[e.id])
		}
		if err := r.transcripts[s.partition[e.user]].add(e); err != nil && r.err == nil { // the firehose names no user: 0
			r.err = fmt.Errorf("%s: %w", r.path, err)
		}
	}
	r.received = nil
	return r.err
}

// The comparison of the streams with what clients did must be able to fail.
func TestReadersNotice(t *testing.T) {
	const did = "abacad" // likes and unlikes of these posts
	sent := func(ids string) (events []event) {
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
		{"lost at the end", "12345", "missing"},
		{"lost over a cut", "123 56", "a gap"},
		{"lost in a replay", "1234 2456", "where it was"},
		{"lost behind a replay", "123 236", "as number 3"},
		{"doubled", "1233456", "twice"},
		{"doubled in a replay", "123 223456", "where it was"},
		{"doubled under another id", "1237456", "as number 3"},
		{"doubled at the end under another id", "1234567", "as number 6"},
		{"out of order", "132456", "as number 1"},
		{"out of order in a replay", "1234 13256", "where it was"},
	} {
		got, received := "", transcript{index: make(map[string]int)}
		for connection := range strings.SplitSeq(test.connections, " ") {
			received.next = -1
			for _, e := range sent(connection) {
				if err := received.add(e); err != nil {
					got += err.Error()
				}
			}
		}
		var want []change
		for _, e := range sent("123456") {
			want = append(want, e.change)
		}
		more, err := received.check(map[int][]change{0: want}, func(event) int { return 0 })
		if err != nil {
			got += err.Error()
		} else if more {
			got += "missing"
		}
		if got != test.want && (test.want == "" || !strings.Contains(got, test.want)) {
			t.Errorf("%s: got %q, want %q", test.name, got, test.want)
		}
	}
}
