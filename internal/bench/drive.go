// Package bench measures a server, the floors below it and whatever else can be called, in turns of one run. A [Subject] is
// what is measured, [Measure] drives subjects in turns and returns a [Run], and [Compare] holds two runs against each other.
package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Subject is something that is measured.
type Subject struct {
	Name string

	// Floor names the subject that this one cannot be faster than, if there is one.
	Floor string

	// Callers is how many callers there are, each with one call under way at most; at least 1.
	Callers int

	// Rate is how many calls are due in a second, whatever becomes of those before: an open loop, whose latencies count
	// from when a call was due. Zero is a closed loop: each caller calls again once it has been answered.
	Rate float64

	// Kinds names the kinds of calls; at least one.
	Kinds []string

	// Connect readies a caller before the clock starts, in turn 0 for the warm-up and from 1 for those that count. The
	// call returns its kind, as an index of Kinds, and a nil error for a success. A *Refused is an answer; any other
	// error is none. It ends early when ctx does.
	Connect func(ctx context.Context, turn int) (Call, error)

	// Usage reads what the subject's process has used so far, beside this one. Nil if it is not known.
	Usage func(ctx context.Context) (Usage, error)

	// BuildCost is what the making of one call costs the client, and SignCost the part of it that is its signature. Zero if it is
	// not known, or if there is none.
	BuildCost, SignCost time.Duration
}

// Call is one caller. It is used by one goroutine at a time.
type Call interface {
	Do() (kind int, err error)
	Close()
}

// Refused is an answer other than a success.
type Refused struct {
	Status string // as in "429 Too Many Requests"
	Body   string // the beginning of it
}

func (e *Refused) Error() string { return e.Status + ": " + e.Body }

// Usage is what a process has used since it started.
type Usage struct {
	CPU     time.Duration
	Changes int64 // likes that were set or taken back, repeats not among them
	RSS     int64 // bytes, now
	Trips   int64 // to a database
	WAL     int64 // bytes that a database has written to its log
}

// Result is one turn of one subject. Latencies are in microseconds, of successes, and of what was never answered: that
// stands with the time that it had waited.
type Result struct {
	Seconds    float64 `json:"seconds"`  // from the first call to the last answer
	Answered   int64   `json:"answered"` // successes
	PerSecond  float64 `json:"per_second"`
	Offered    int64   `json:"offered,omitempty"` // calls that were due, in an open loop
	Unanswered int64   `json:"unanswered"`        // calls that were due and not answered when the turn was cut off

	Latency Latency            `json:"latency_us"`
	Kinds   map[string]Latency `json:"kinds_us,omitempty"` // by kind, where there is more than one
	Errors  map[string]Failure `json:"errors,omitempty"`   // by status, or by what went wrong
	Over    []int64            `json:"answered_over_time"` // successes in each hundredth of the turn, then what came later
	HDR     string             `json:"hdr"`                // all latencies as an HdrHistogram, version 2, base64
	Client  ClientCost         `json:"client"`
	CPU     float64            `json:"server_cpu_us,omitempty"`    // processor time that the subject spent for each success
	Changed float64            `json:"server_changed,omitempty"`   // likes set or taken back, as a share of the successes
	RSS     int64              `json:"server_rss_bytes,omitempty"` // of the subject's process, after the turn
	Trips   float64            `json:"trips,omitempty"`            // to a database, for each success
	WAL     float64            `json:"wal_bytes,omitempty"`        // likewise
	Others  float64            `json:"others,omitempty"`           // share of all processors that went to neither client nor subject
}

// Latency is in microseconds.
type Latency struct {
	Count int64   `json:"count"`
	Mean  float64 `json:"mean"`
	P50   int64   `json:"p50"`
	P90   int64   `json:"p90"`
	P99   int64   `json:"p99"`
	P999  int64   `json:"p999"`
	Max   int64   `json:"max"`
}

// Failure is how often something went wrong, and what was said the first time.
type Failure struct {
	Count   int64  `json:"count"`
	Example string `json:"example"`
}

// ClientCost is what the measuring itself took, from the same processors.
type ClientCost struct {
	CPU   float64 `json:"cpu_us"`             // processor time of this process for each call
	Build float64 `json:"build_us,omitempty"` // of which making it, signature included
	Sign  float64 `json:"sign_us,omitempty"`  // of which the signature alone
	Late  int64   `json:"late_us_p99"`        // how long after it was due a call was sent that a caller had waited for
}

const (
	lowest, highest, digits = 1, 100_000_000, 3 // of the histograms, in microseconds

	hundredths = 100
	// cutOff is how long after the end of a turn answers are waited for.
	cutOff = 10 * time.Second
	// maxErrors bounds the kinds of failures that are told apart.
	maxErrors = 20
)

// Drive calls the subject for that long and waits for the last answers. Failures of calls are in the result; an error says
// that nothing could be measured, or is that of ctx.
func (s Subject) Drive(ctx context.Context, turn int, d time.Duration) (Result, error) {
	return s.drive(ctx, turn, d, newAlarm)
}

func (s Subject) drive(ctx context.Context, turn int, d time.Duration, newAlarm func() (alarm, error)) (Result, error) {
	outer := ctx
	ctx, cancel := context.WithTimeout(ctx, d+cutOff)
	defer cancel()
	calls, err := s.connect(ctx, turn)
	defer func() {
		for _, c := range calls {
			c.Close()
		}
	}()
	if err != nil {
		return Result{}, errors.Join(outer.Err(), err)
	}
	var before Usage
	if s.Usage != nil {
		if before, err = s.Usage(ctx); err != nil {
			return Result{}, err
		}
	}
	spent, busy := cpuTime(), machineTime()
	a := arrivals{start: time.Now(), d: d}
	if s.Rate > 0 {
		a.due, a.interval = max(1, int64(s.Rate*d.Seconds())), time.Duration(float64(time.Second)/s.Rate)
	}
	rec := newRecorder(len(s.Kinds), d)
	var wg sync.WaitGroup
	alarms := make([]error, len(calls))
	for i, c := range calls {
		wg.Go(func() {
			if s.Rate == 0 {
				a.closed(ctx, c, rec)
				return
			}
			clock, err := newAlarm()
			if alarms[i] = err; err == nil {
				a.open(ctx, c, rec, clock)
				clock.close()
			}
		})
	}
	wg.Wait()
	elapsed := time.Since(a.start)
	spent, busy = cpuTime()-spent, machineTime()-busy
	if err := errors.Join(append(alarms, outer.Err())...); err != nil {
		return Result{}, err
	}
	r := rec.result(s.Kinds, elapsed)
	r.Offered = a.due
	if n := r.calls(); n > 0 {
		r.Client.CPU = micros(spent) / float64(n)
	}
	r.Client.Build, r.Client.Sign = micros(s.BuildCost), micros(s.SignCost)
	if s.Usage != nil {
		after, err := s.Usage(outer)
		if err != nil {
			return Result{}, err
		}
		r.Others = max(0, (busy-spent-(after.CPU-before.CPU)).Seconds()) / (elapsed.Seconds() * float64(runtime.NumCPU()))
		if r.Answered > 0 {
			r.CPU = micros(after.CPU-before.CPU) / float64(r.Answered)
			r.Changed = float64(after.Changes-before.Changes) / float64(r.Answered)
			r.Trips = float64(after.Trips-before.Trips) / float64(r.Answered)
			r.WAL = float64(after.WAL-before.WAL) / float64(r.Answered)
		}
		r.RSS = after.RSS
	}
	return r, nil
}

// connect returns the callers that are ready, all of them if there is no error.
func (s Subject) connect(ctx context.Context, turn int) ([]Call, error) {
	calls := make([]Call, 0, s.Callers)
	for range s.Callers {
		c, err := s.Connect(ctx, turn)
		if err != nil {
			return calls, err
		}
		calls = append(calls, c)
	}
	return calls, nil
}

// calls is how many calls got an answer of any kind.
func (r Result) calls() int64 {
	n := r.Answered
	for _, f := range r.Errors {
		n += f.Count
	}
	return n
}

func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

// arrivals says when calls are due.
type arrivals struct {
	start    time.Time
	d        time.Duration
	interval time.Duration // open loop
	due      int64         // calls in all, likewise
	taken    atomic.Int64  // of them
}

func (a *arrivals) closed(ctx context.Context, c Call, rec *recorder) {
	w := writer{to: rec}
	defer w.flush()
	for sent := time.Since(a.start); w.call(ctx, c, a.start, sent); { // once, however late this caller begins
		if sent = time.Since(a.start); sent >= a.d {
			return
		}
	}
}

// open takes one due call after the other. A call that no caller was free for when it was due is sent as soon as one is,
// and its latency still counts from when it was due: a server that stalls is charged for every call that it held up.
func (a *arrivals) open(ctx context.Context, c Call, rec *recorder, clock alarm) {
	w := writer{to: rec}
	defer w.flush()
	for {
		i := a.taken.Add(1) - 1
		if i >= a.due {
			return
		}
		due := time.Duration(i) * a.interval
		if ctx.Err() == nil && time.Since(a.start) < due {
			clock.until(a.start.Add(due))
			w.late(time.Since(a.start) - due)
		}
		if ctx.Err() != nil {
			w.unanswered(time.Since(a.start) - due)
			continue
		}
		w.call(ctx, c, a.start, due)
	}
}

// alarm lets a caller wait for a time.
type alarm interface {
	until(time.Time)
	close()
}

// recorder collects what all callers of a turn saw.
type recorder struct {
	d time.Duration

	mu         sync.Mutex
	all, lates *hdrhistogram.Histogram
	kinds      []*hdrhistogram.Histogram
	over       []int64
	errors     map[string]Failure
	unanswered int64
}

func newRecorder(kinds int, d time.Duration) *recorder {
	r := &recorder{d: d, all: newHistogram(), lates: newHistogram(), over: make([]int64, hundredths+1), errors: make(map[string]Failure)}
	for range kinds {
		r.kinds = append(r.kinds, newHistogram())
	}
	return r
}

func newHistogram() *hdrhistogram.Histogram { return hdrhistogram.New(lowest, highest, digits) }

// record keeps a duration in a histogram: one beyond its range as the end of the range.
func record(h *hdrhistogram.Histogram, d time.Duration) {
	if err := h.RecordValue(min(max(d.Microseconds(), lowest), highest)); err != nil {
		panic(err) // it is in the range
	}
}

// writer gathers what one caller saw, so that callers seldom meet at the recorder.
type writer struct {
	to      *recorder
	samples []sample
}

type sample struct {
	kind    int // or one of those below
	latency time.Duration
	at      time.Duration // since the turn began
}

const (
	lateKind = -1 - iota
	unansweredKind
)

// call makes a call that was due at a time since the start, and reports whether there may be another.
func (w *writer) call(ctx context.Context, c Call, start time.Time, due time.Duration) bool {
	kind, err := c.Do()
	at := time.Since(start)
	switch {
	case err == nil:
		w.add(sample{kind, at - due, at})
	case ctx.Err() != nil:
		w.unanswered(at - due)
		return false
	default:
		w.to.fail(err)
	}
	return true
}

func (w *writer) late(by time.Duration) { w.add(sample{kind: lateKind, latency: by}) }
func (w *writer) unanswered(waited time.Duration) {
	w.add(sample{kind: unansweredKind, latency: waited})
}

func (w *writer) add(s sample) {
	if w.samples = append(w.samples, s); len(w.samples) == 256 {
		w.flush()
	}
}

func (w *writer) flush() {
	w.to.mu.Lock()
	defer w.to.mu.Unlock()
	for _, s := range w.samples {
		switch s.kind {
		case lateKind:
			record(w.to.lates, s.latency)
		case unansweredKind:
			w.to.unanswered++
			record(w.to.all, s.latency)
		default:
			record(w.to.all, s.latency)
			record(w.to.kinds[s.kind], s.latency)
			w.to.over[min(int(s.at*hundredths/w.to.d), hundredths)]++
		}
	}
	w.samples = w.samples[:0]
}

// fail counts a call that was refused, or not answered because something went wrong.
func (r *recorder) fail(err error) {
	name, example := err.Error(), ""
	if refused, ok := errors.AsType[*Refused](err); ok {
		name, example = refused.Status, refused.Body
	} else if errno, ok := errors.AsType[syscall.Errno](err); ok {
		name, example = errno.Error(), err.Error() // without the addresses, of which there are many
	} else if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		name = "connection closed"
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	f, ok := r.errors[name]
	if !ok {
		if len(r.errors) >= maxErrors {
			name = "other failures"
			f = r.errors[name]
		}
		if f.Count == 0 {
			f.Example = example
		}
	}
	f.Count++
	r.errors[name] = f
}

func (r *recorder) result(kinds []string, elapsed time.Duration) Result {
	var answered int64
	for _, h := range r.kinds {
		answered += h.TotalCount()
	}
	res := Result{Seconds: elapsed.Seconds(), Answered: answered, PerSecond: float64(answered) / elapsed.Seconds(), Unanswered: r.unanswered,
		Latency: latency(r.all), Errors: r.errors, Over: r.over, HDR: encode(r.all)}
	res.Client.Late = r.lates.ValueAtQuantile(99)
	res.Kinds = make(map[string]Latency)
	for i, name := range kinds {
		if r.kinds[i].TotalCount() > 0 {
			res.Kinds[name] = latency(r.kinds[i])
		}
	}
	return res
}

func latency(h *hdrhistogram.Histogram) Latency {
	at := h.ValueAtQuantile
	return Latency{h.TotalCount(), h.Mean(), at(50), at(90), at(99), at(99.9), h.Max()}
}

func encode(h *hdrhistogram.Histogram) string {
	text, err := h.Encode(hdrhistogram.V2CompressedEncodingCookieBase)
	if err != nil {
		panic(fmt.Sprint("bench: a histogram of our own cannot be encoded: ", err))
	}
	return string(text)
}
