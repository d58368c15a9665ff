package api

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync"

	"liked"
	"liked/internal/likelog"
)

// source is where a stream's events come from.
type source struct {
	log   *likelog.Log
	logs  []int // partitions of the like log
	takes func(*liked.LikeEvent) bool
	write func(context.Context, []liked.LikeEvent) ([]event, error) // may leave some out
}

func (s *source) events(ctx context.Context, entries []liked.LikeEvent) ([]event, error) {
	var taken []liked.LikeEvent
	for i := range entries {
		if s.takes(&entries[i]) {
			taken = append(taken, entries[i])
		}
	}
	if len(taken) == 0 {
		return nil, nil
	}
	return s.write(ctx, taken)
}

// replay calls tell with the events between two log positions, also with none, so that tell can show progress. An
// error of tell ends it.
func (s *source) replay(ctx context.Context, from, to liked.Positions, tell func([]event) error) error {
	return s.log.Between(ctx, s.logs, from, to, func(entries []liked.LikeEvent) error {
		events, err := s.events(ctx, entries)
		if err != nil {
			return err
		}
		return tell(events)
	})
}

// A feed is the live end of a stream for all readers with the same fields: it follows the log and writes each event
// once. It keeps the newest batches; a reader that falls behind them is disconnected.
type feed struct {
	source
	cancel  context.CancelFunc
	readers int // guarded by streams.mu

	mu     sync.Mutex
	recent []*batch
	number uint64 // of recent[0], counted from the feed's first
	bytes  int    // text bytes of recent
	at     liked.Positions
	more   chan struct{} // closed at the next batch, or when err is set
	err    error
}

// batch is events of one log partition, in order.
type batch struct {
	log    int
	events []event
	text   []byte // their lines
	packed func() []byte
}

// feedBytes bounds a feed's batches: some thousands of events without expansions.
const feedBytes = 1 << 20

// newFeed starts a feed after the positions.
func newFeed(s source, at liked.Positions) *feed {
	ctx, cancel := context.WithCancel(context.Background())
	f := &feed{source: s, cancel: cancel, at: at, more: make(chan struct{})}
	go func() { f.fail(f.run(ctx, at)) }()
	return f
}

func (f *feed) run(ctx context.Context, at liked.Positions) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("panic: %v\n%s", v, debug.Stack())
		}
	}()
	r, err := f.log.Read(ctx, f.logs, at)
	if err != nil {
		return err
	}
	defer r.Close()
	for {
		partition, entries, err := r.Next(ctx)
		if err != nil {
			return err
		}
		events, err := f.events(ctx, entries)
		if err != nil {
			return err
		}
		f.append(partition, entries[len(entries)-1].Seq, events)
	}
}

func (f *feed) append(log int, at liked.Seq, events []event) {
	b := &batch{log: log, events: events, text: lines(events)}
	rest := b.text
	for i, e := range events { // so that memory holds each line once
		b.events[i].line, rest = rest[:len(e.line)], rest[len(e.line):]
	}
	b.packed = sync.OnceValue(func() []byte { return deflate(b.text) })
	f.mu.Lock()
	defer f.mu.Unlock()
	f.at[log] = at
	if len(events) == 0 {
		return
	}
	f.recent = append(f.recent, b)
	for f.bytes += len(b.text); f.bytes > feedBytes && len(f.recent) > 1; f.number++ {
		f.bytes -= len(f.recent[0].text)
		f.recent[0] = nil
		f.recent = f.recent[1:]
	}
	close(f.more)
	f.more = make(chan struct{})
}

func (f *feed) fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err = err
	close(f.more)
	f.more = make(chan struct{})
}

// end returns the next batch's number, and the positions reached.
func (f *feed) end() (next uint64, at liked.Positions) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.number + uint64(len(f.recent)), f.at
}

// next returns a batch by number. If it is still to come, more is closed at the next change; if it is no longer kept,
// lost is set.
func (f *feed) next(number uint64) (b *batch, more <-chan struct{}, lost bool, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case number < f.number:
		return nil, nil, true, nil
	case number < f.number+uint64(len(f.recent)):
		return f.recent[number-f.number], nil, false, nil
	}
	return nil, f.more, false, f.err
}

func lines(events []event) []byte {
	size := 0
	for _, e := range events {
		size += len(e.line)
	}
	text := make([]byte, 0, size)
	for _, e := range events {
		text = append(text, e.line...)
	}
	return text
}

// after returns the lines of the events after at, and packed if these are the whole batch.
func (b *batch) after(at liked.Seq) (text []byte, packed func() []byte) {
	skip := 0
	for _, e := range b.events {
		if e.seq > at {
			break
		}
		skip += len(e.line)
	}
	if skip > 0 {
		return b.text[skip:], nil
	}
	return b.text, b.packed
}
