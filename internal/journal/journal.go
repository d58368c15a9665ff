// Package journal keeps the last exchanges of a development server, to be looked at with the reasons for their answers.
// [New] makes a [Journal], whose Handler and Transport record; [Journal.List], [Journal.Find], [Journal.Read] and
// [Journal.Verify] tell. What they tell holds no secret. A nil Journal records nothing.
package journal

import (
	"bytes"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"liked"
	"liked/internal/exchange"
)

const (
	// DefaultMax is how many exchanges are kept without another number.
	DefaultMax = 10_000
	// maxBytes bounds the memory of all that is kept.
	maxBytes = 64 << 20
	// overhead is what a row takes beside its texts, at most: itself, and a short text, which stays in its block once it has
	// been shown without its secrets.
	overhead = 2 << 10

	// Rows and short texts are cut out of blocks in the order of rows: a block is let go with the last of those in it.
	blockRows = 16
	blockText = 8 << 10
	shortText = 1 << 10
)

// Journal is the last exchanges. It is safe for concurrent use.
type Journal struct {
	now func() time.Time
	max int

	mu      sync.Mutex
	rows    queue[*row] // by number; a row is not changed once it is here
	bytes   int
	events  queue[uint64] // numbers of rows that were entered or completed, in this order
	cleared uint64        // events before this one are gone because of Clear
	clears  atomic.Uint64 // how often it was called
	changed chan struct{} // closed with the next event; nil: nobody waits
	ended   bool

	tally tally
	liked atomic.Int64 // that tally has not counted yet

	spareRows []row
	spareText []byte
}

// New returns a journal of at most max exchanges, nil if max is 0.
func New(max int, now func() time.Time) *Journal {
	if max == 0 {
		return nil
	}
	return &Journal{now: now, max: max, tally: newTally()}
}

// row is an exchange that is kept.
type row struct {
	record
	bytes int // size, when it was entered

	show  sync.Once
	texts *shown // by show
}

// record is what a row is made of.
type record struct {
	seq         uint64
	clears      uint64 // of the journal when it began
	at          time.Time
	transaction string
	method      string
	path, query string
	operation   string
	user        liked.UserID
	app         liked.AppID
	credential  liked.Credential
	status      int
	why         string
	took        time.Duration
	open        bool // a stream goes on
	sent        bool // to a webhook

	limits    []liked.RateState
	counted   bool
	signature *exchange.Signature
	once      [32]byte
	before    *Spent
	delivery  exchange.Delivery

	text    []byte // head and body of the request, then of the answer, as they came: most are never looked at
	ends    [3]int // of the first three
	sizes   [2]int64
	omitted string // why the answer's body is not kept
}

func (w *record) size() int {
	n := overhead + len(w.text) + len(w.path) + len(w.query) + len(w.why)
	if s := w.signature; s != nil {
		n += len(s.BaseString) + len(s.Signed) + len(s.Difference)
	}
	return n
}

func (j *Journal) at(known time.Time) time.Time {
	if known.IsZero() {
		return j.now()
	}
	return known
}

// enter keeps a record as a row, and forgets the oldest ones that there is no more room for. What began before the journal was
// cleared is of what was cleared, and not entered. now is the moment by the real clock.
func (j *Journal) enter(r *record, now time.Time) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if r.clears != j.clears.Load() {
		return
	}
	r.seq = j.rows.next
	j.explainSpent(r)
	j.rows.add(j.keep(r))
	j.forget()
	j.tell(r.seq)
	if n := j.liked.Swap(0); n > 0 {
		j.tally.liked(n, now)
	}
	if !r.sent && r.isCall() {
		j.tally.statuses[r.status]++
	}
}

// complete replaces the row of a stream that has ended, if it was entered and is still kept.
func (j *Journal) complete(r *record) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if r.clears != j.clears.Load() || r.seq < j.rows.first {
		return
	}
	place := j.rows.at(r.seq)
	j.bytes -= (*place).bytes
	*place = j.keep(r)
	j.forget()
	j.tell(r.seq)
}

// keep makes a row of a record, whose text is copied.
func (j *Journal) keep(r *record) *row {
	if len(j.spareRows) == 0 {
		j.spareRows = make([]row, blockRows)
	}
	w := &j.spareRows[0]
	j.spareRows = j.spareRows[1:]
	w.record = *r
	if n := len(r.text); n > shortText {
		w.text = bytes.Clone(r.text)
	} else {
		if n > cap(j.spareText) {
			j.spareText = make([]byte, blockText)
		}
		w.text, j.spareText = j.spareText[:n:n], j.spareText[n:]
		copy(w.text, r.text)
	}
	w.bytes = w.size()
	j.bytes += w.bytes
	return w
}

func (j *Journal) forget() {
	for j.rows.len() > j.max || j.bytes > maxBytes {
		j.bytes -= j.rows.drop().bytes
	}
}

// tell adds an event, and forgets the oldest one that there is no more room for.
func (j *Journal) tell(seq uint64) {
	j.events.add(seq)
	if j.events.len() > j.max {
		j.events.drop()
	}
	if j.changed != nil {
		close(j.changed)
		j.changed = nil
	}
}

// explainSpent says who spent a code or a token before, if that is why the request was refused.
func (j *Journal) explainSpent(r *record) {
	if r.once == ([32]byte{}) || r.status < 400 {
		return
	}
	for n := j.rows.next; n > j.rows.first; n-- {
		if before := *j.rows.at(n - 1); before.once == r.once && before.status == 200 {
			r.before = &Spent{before.transaction, before.at}
			r.why += fmt.Sprintf("; it works once, and request %s spent it at %s: keep what that one was answered", before.transaction,
				before.at.UTC().Format(time.RFC3339Nano))
			return
		}
	}
}

// Clear forgets all exchanges.
func (j *Journal) Clear() {
	if j == nil {
		return
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.rows.clear()
	j.events.clear()
	j.bytes, j.cleared = 0, j.events.next
	j.spareRows, j.spareText = nil, nil
	j.clears.Add(1)
	j.tally = newTally()
	j.liked.Store(0)
	if j.changed != nil {
		close(j.changed)
		j.changed = nil
	}
}

// End ends all Readers, for good.
func (j *Journal) End() {
	if j == nil {
		return
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.ended = true
	if j.changed != nil {
		close(j.changed)
		j.changed = nil
	}
}

// Filter selects exchanges: those that have all that is set.
type Filter struct {
	Operation string
	User      liked.UserID
	App       liked.AppID
	Status    int    // or, below 10, its first digit
	Text      string // anywhere in a row, its headers and its bodies, in any case
	Calls     bool   // no pages and files that were shown
}

func (f *Filter) takes(w *row) bool {
	return (f.Operation == "" || f.Operation == w.operation) &&
		(f.User == 0 || f.User == w.user) &&
		(f.App == 0 || f.App == w.app) &&
		(f.Status == 0 || f.Status == w.status || f.Status == w.status/100) &&
		(!f.Calls || w.isCall()) &&
		(f.Text == "" || w.has(strings.ToLower(f.Text)))
}

// isCall reports whether the request is a call of an API, a step on the way to a token or a request to a webhook, or failed:
// all but pages and files that a browser was shown.
func (w *record) isCall() bool {
	return w.sent || w.method != http.MethodGet && w.method != http.MethodHead || w.status >= 400 || w.status == 0 ||
		isAPI(w.path) || strings.HasPrefix(w.path, "/i/")
}

func (w *row) has(text string) bool {
	t := w.shown()
	for _, part := range [...]string{t.path, t.query, w.operation, t.why, w.transaction} {
		if strings.Contains(strings.ToLower(part), text) {
			return true
		}
	}
	return slices.ContainsFunc(t.sides[:], func(s side) bool {
		return bytes.Contains(bytes.ToLower(s.head), []byte(text)) || bytes.Contains(bytes.ToLower(s.body), []byte(text))
	})
}

// List returns exchanges that f selects, at most limit, newest first: those before the one that before names, zero for the
// newest. next continues, and is zero at the end; exchanges that are recorded meanwhile change nothing.
func (j *Journal) List(f Filter, before uint64, limit int) (list []Row, next uint64) {
	list = []Row{}
	rows, first := j.snapshot()
	at := len(rows)
	if before > 0 {
		at = int(min(max(before, first)-first, uint64(at)))
	}
	for at > 0 {
		at--
		if !f.takes(rows[at]) {
			continue
		}
		if len(list) == limit {
			return list, first + uint64(at) + 1
		}
		list = append(list, rows[at].Row())
	}
	return list, 0
}

// snapshot returns the rows of this moment, and the number of the first.
func (j *Journal) snapshot() (rows []*row, first uint64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.rows.all(), j.rows.first
}

// Find returns the exchange with the transaction id.
func (j *Journal) Find(transaction string) (Detail, error) {
	rows, _ := j.snapshot()
	for i := len(rows) - 1; i >= 0; i-- {
		if rows[i].transaction == transaction {
			return rows[i].Detail(), nil
		}
	}
	return Detail{}, liked.Errorf(liked.NotFound, "the journal has no request %s: it keeps the last %d, and none from before it was cleared",
		transaction, j.max)
}

// Reader reads exchanges as they are recorded: twice those that go on for a while, at their beginning and their end.
type Reader struct {
	j      *Journal
	next   uint64 // event
	clears uint64 // as many as it was told of
}

// Read returns a reader of what happens from now on.
func (j *Journal) Read() *Reader {
	j.mu.Lock()
	defer j.mu.Unlock()
	return &Reader{j, j.events.next, j.clears.Load()}
}

// maxRead is how many exchanges Next looks at, at most, before it lets requests go on.
const maxRead = 100

// News is what a Reader has not seen yet.
type News struct {
	Rows    []Row
	Lost    uint64 // so many before Rows are no longer kept: the reader was too slow
	Cleared bool   // the journal was cleared before Rows
}

// Next returns what f selects of what is new. Without anything, changed is closed once there is; nil: there will be nothing.
func (r *Reader) Next(f Filter) (n News, changed <-chan struct{}) {
	for {
		rows, more := r.read(&n)
		for _, w := range rows { // without the lock, for which all requests wait
			if f.takes(w) {
				n.Rows = append(n.Rows, w.Row())
			}
		}
		if len(n.Rows) > 0 || n.Lost > 0 || n.Cleared || len(rows) == 0 {
			return n, more
		}
	}
}

// read returns what is new, at most maxRead rows, and notes in n what else there is to tell. Without rows, changed is what Next
// says.
func (r *Reader) read(n *News) (rows []*row, changed <-chan struct{}) {
	j := r.j
	j.mu.Lock()
	defer j.mu.Unlock()
	if clears := j.clears.Load(); r.clears < clears {
		r.next, r.clears, n.Cleared = max(r.next, j.cleared), clears, true
	}
	if oldest := j.events.first; r.next < oldest {
		n.Lost, r.next = oldest-r.next, oldest
	}
	for ; r.next < j.events.next && len(rows) < maxRead; r.next++ {
		if seq := *j.events.at(r.next); seq < j.rows.first {
			n.Lost++
		} else {
			rows = append(rows, *j.rows.at(seq))
		}
	}
	if len(rows) > 0 || n.Lost > 0 || n.Cleared {
		return rows, nil
	}
	return nil, j.wait()
}

// wait returns what the next event closes; nil if there will be none.
func (j *Journal) wait() <-chan struct{} {
	if j.ended {
		return nil
	}
	if j.changed == nil {
		j.changed = make(chan struct{})
	}
	return j.changed
}
