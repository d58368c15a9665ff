package api

import (
	"cmp"
	"context"
	"sync"

	"liked"
	"liked/internal/exchange"
	"liked/internal/likelog"
)

// source is where a stream's events come from.
type source struct {
	log   *likelog.Log
	logs  []int // partitions of the like log
	takes func(*liked.LikeEvent) bool
	write func(context.Context, []liked.LikeEvent) (lines, error) // may leave some out
}

func (s *source) lines(ctx context.Context, entries []liked.LikeEvent) (none lines, err error) {
	var taken []liked.LikeEvent
	for i := range entries {
		if s.takes(&entries[i]) {
			taken = append(taken, entries[i])
		}
	}
	if len(taken) == 0 {
		return none, nil
	}
	return s.write(ctx, taken)
}

// replay calls tell with the lines between two log positions, also with none, so that tell can show progress. An
// error of tell ends it.
func (s *source) replay(ctx context.Context, from, to liked.Positions, tell func([]byte) error) error {
	return s.log.Between(ctx, s.logs, from, to, func(entries []liked.LikeEvent) error {
		found, err := s.lines(ctx, entries)
		if err != nil {
			return err
		}
		return tell(found.text)
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

// batch is lines of one log partition.
type batch struct {
	lines
	log    int
	packed func() []byte
}

// feedBytes bounds a feed's batches: some thousands of events without expansions.
const feedBytes = 1 << 20

// newFeed starts a feed after the positions.
func newFeed(s source, at liked.Positions) *feed {
	ctx, cancel := context.WithCancel(context.Background())
	f := &feed{source: s, cancel: cancel, at: at, more: make(chan struct{})}
	go func() {
		var err error
		defer func() { f.fail(cmp.Or(exchange.Panicked(recover()), err)) }()
		err = f.run(ctx, at)
	}()
	return f
}

func (f *feed) run(ctx context.Context, at liked.Positions) error {
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
		found, err := f.lines(ctx, entries)
		if err != nil {
			return err
		}
		f.append(partition, entries[len(entries)-1].Seq, found)
	}
}

func (f *feed) append(log int, at liked.Seq, found lines) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.at[log] = at
	if len(found.text) == 0 {
		return
	}
	f.recent = append(f.recent, &batch{found, log, sync.OnceValue(func() []byte { return deflate(found.text) })})
	for f.bytes += len(found.text); f.bytes > feedBytes && len(f.recent) > 1; f.number++ {
		f.bytes -= len(f.recent[0].text)
		f.recent[0] = nil
		f.recent = f.recent[1:]
	}
	f.wake()
}

func (f *feed) fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err = err
	f.wake()
}

// wake tells the readers of a change. f.mu must be held.
func (f *feed) wake() {
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

// after returns the lines of the events after at, and packed if these are the whole batch.
func (b *batch) after(at liked.Seq) (text []byte, packed func() []byte) {
	skip := 0
	for _, l := range b.ends {
		if l.seq > at {
			break
		}
		skip = l.end
	}
	if skip > 0 {
		return b.text[skip:], nil
	}
	return b.text, b.packed
}
