package api

import (
	"context"
	"fmt"
	"sync"
	"time"

	"liked"
	"liked/internal/likelog"
)

// The likes streams follow the like log, which holds every change once. An accepted request goes to serveStream,
// which writes until the reader leaves.

const (
	attempts   = 50 // connections to one partition of a stream per 15 minutes
	replayable = 24 * time.Hour
)

// firehose streams one partition of the like log, so that the likes of one user come in order, on one connection. Where
// likes are private that would tell who likes: there, ids of likes select the partition.
func (a *API) firehose(c *call) (any, error) {
	in := c.query.(*firehoseQuery)
	from := source{logs: []int{in.Partition - 1}, takes: func(e *liked.LikeEvent) bool { return e.On }}
	if a.PrivateLikes {
		from = a.byID(in.Partition)
	}
	from.write = a.newLikeView(&in.likeQuery).write
	return a.openStream(c, &in.spanQuery, feedKey{"firehose", in.Partition, in.viewKey()}, from)
}

// sample streams a partition of the tenth of all likes that their ids select.
func (a *API) sample(c *call) (any, error) {
	in := c.query.(*sampleQuery)
	from := a.byID(in.Partition)
	from.write = a.newLikeView(&in.likeQuery).write
	return a.openStream(c, &in.spanQuery, feedKey{"sample10", in.Partition, in.viewKey()}, from)
}

// compliance streams the unlikes.
func (a *API) compliance(c *call) (any, error) {
	return a.openStream(c, c.query.(*spanQuery), feedKey{name: "compliance"}, source{
		logs:  likelog.All(),
		takes: func(e *liked.LikeEvent) bool { return !e.On },
		write: a.writeUnlikes,
	})
}

// streams is the open connections and their feeds.
type streams struct {
	mu     sync.Mutex
	ending bool                             // there will be no other stream
	slots  map[slot]context.CancelCauseFunc // ends the stream, for a reason
	stop   context.CancelFunc               // ends renew; nil while there are no slots
	feeds  map[feedKey]*feed
}

// slot is what an app may have one connection to.
type slot struct {
	app       liked.AppID
	stream    string
	partition int
}

// lease names the slot among all servers.
func (s slot) lease() string { return fmt.Sprintf("stream/%v/%s/%d", s.app, s.stream, s.partition) }

// feedKey differs between feeds with different events.
type feedKey struct {
	name      string
	partition int
	view      string
}

// EndStreams disconnects all readers and refuses new streams, because the server stops. It does not wait.
func (a *API) EndStreams() {
	s := &a.streams
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ending = true
	for _, end := range s.slots {
		end(errEnding)
	}
}

// OpenStreams counts the streams that have a reader.
func (a *API) OpenStreams() int {
	a.streams.mu.Lock()
	defer a.streams.mu.Unlock()
	return len(a.streams.slots)
}

// slotLease is how long a server keeps a slot without renewal.
const slotLease = 15 * time.Second

// acquire takes a slot on all servers, if free; release must follow. The context ends with the request or the slot.
func (a *API) acquire(ctx context.Context, at slot) (context.Context, error) {
	s := &a.streams
	taken := a.tooManyReaders.because("the app has a connection to this partition of the stream already")
	s.mu.Lock()
	switch {
	case s.ending:
		s.mu.Unlock()
		return nil, unavailable.because("the server is stopping")
	case s.slots[at] != nil:
		s.mu.Unlock()
		return nil, taken
	}
	connected, end := context.WithCancelCause(ctx)
	s.slots[at] = end
	if s.stop == nil {
		var renewing context.Context
		renewing, s.stop = context.WithCancel(context.Background())
		go a.renew(renewing)
	}
	s.mu.Unlock()
	held, err := a.Store.Hold(ctx, []string{at.lease()}, slotLease)
	if err == nil && !held[0] {
		err = taken
	}
	if err != nil {
		a.release(at)
		return nil, err
	}
	return connected, nil
}

func (a *API) release(at slot) {
	ctx, cancel := context.WithTimeout(context.Background(), slotLease)
	defer cancel()
	_ = a.Store.Release(ctx, []string{at.lease()}) // on failure it expires
	s := &a.streams
	s.mu.Lock()
	defer s.mu.Unlock()
	s.slots[at](nil)
	if delete(s.slots, at); len(s.slots) == 0 {
		s.stop()
		s.stop = nil
	}
}

// renew renews all slots, in one call, until ctx ends. It ends streams whose slots are lost, or may be lost before it
// learns so.
func (a *API) renew(ctx context.Context) {
	tick := time.NewTicker(slotLease / 3)
	defer tick.Stop()
	for last := time.Now(); ; {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		var slots []slot
		var names []string
		a.streams.mu.Lock()
		for at := range a.streams.slots {
			slots, names = append(slots, at), append(names, at.lease())
		}
		a.streams.mu.Unlock()
		asked := time.Now()
		asking, cancel := context.WithTimeout(ctx, slotLease/5)
		held, err := a.Store.Hold(asking, names, slotLease)
		cancel()
		if err == nil {
			last = asked
		}
		a.streams.mu.Lock()
		for i, at := range slots {
			if end := a.streams.slots[at]; end != nil && (err == nil && !held[i] || time.Since(last) > slotLease/2) {
				end(errLost)
			}
		}
		a.streams.mu.Unlock()
	}
}

// openFeed returns the feed for one more reader; a new one begins at the positions.
func (s *streams) openFeed(key feedKey, from source, at liked.Positions) *feed {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.feeds[key]
	if f == nil {
		f = newFeed(from, at)
		s.feeds[key] = f
	}
	f.readers++
	return f
}

// closeFeed ends the feed after its last reader.
func (s *streams) closeFeed(key feedKey, f *feed) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f.readers--; f.readers == 0 {
		delete(s.feeds, key)
		f.cancel()
	}
}

// stream is what one reader gets.
type stream struct {
	source
	ctx   context.Context
	from  liked.Positions
	feed  *feed           // nil if the stream ends
	until liked.Positions // its end, if it has one
	leave func()          // must be called
}

// openStream makes a stream over the request's span. The reader gets all that is appended to the log after it
// returns.
func (a *API) openStream(c *call, span *spanQuery, key feedKey, from source) (*stream, error) {
	begin, end, faults := span.between(a.Now())
	if len(faults) > 0 {
		return nil, a.invalid("", faults...)
	}
	at := slot{c.who.App, key.name, key.partition}
	ctx, err := a.acquire(c.ctx, at)
	if err != nil {
		return nil, err
	}
	now, err := a.Store.LogEnds(c.ctx)
	if err != nil {
		a.release(at)
		return nil, err
	}
	from.log = a.Log
	s := &stream{source: from, ctx: ctx, from: now, until: now, leave: func() { a.release(at) }}
	for _, p := range from.logs {
		if !begin.IsZero() {
			s.from[p] = min(now[p], liked.SeqAt(begin)-1)
		}
		if !end.IsZero() {
			s.until[p] = min(now[p], liked.SeqAt(end)-1)
		}
	}
	if end.IsZero() {
		s.feed = a.streams.openFeed(key, from, now)
		s.leave = func() {
			a.streams.closeFeed(key, s.feed)
			a.release(at)
		}
	}
	return s, nil
}

// between returns begin and end, zero for now and for never.
func (q *spanQuery) between(now time.Time) (begin, end time.Time, faults []fault) {
	begin, end = q.Start.Time, q.End.Time // may be zero although sent
	begins, ends := q.Start.text != "", q.End.text != ""
	wrong := func(name string, at instant, what string) {
		faults = append(faults, badValue(pair{name, at.text}, what))
	}
	switch {
	case !begins && ends:
		faults = append(faults, empty("start_time"))
	case !begins:
	case !begin.Before(now):
		wrong("start_time", q.Start, "is not in the past")
	case begin.Before(now.Add(-replayable)):
		wrong("start_time", q.Start, "is not within the last 24 hours")
	case ends && !begin.Before(end):
		wrong("start_time", q.Start, "is not before the `end_time`")
	}
	if ends && !end.Before(now) {
		wrong("end_time", q.End, "is not in the past")
	}
	if n := q.Backfill; n > 0 && !begins {
		begin = now.Add(-time.Duration(n) * time.Minute)
	}
	return begin, end, faults
}
