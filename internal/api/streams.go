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
	attempts     = 50 // connections to one partition of a stream per 15 minutes
	terminations = 25 // requests that end connections, of each kind
	replayable   = 24 * time.Hour
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
	return a.openStream(c, &in.spanQuery, feedKey{"likes_firehose_stream", in.Partition, in.viewKey()}, from)
}

// sample streams a partition of the tenth of all likes that their ids select.
func (a *API) sample(c *call) (any, error) {
	in := c.query.(*sampleQuery)
	from := a.byID(in.Partition)
	from.write = a.newLikeView(&in.likeQuery).write
	return a.openStream(c, &in.spanQuery, feedKey{"likes_sample10_stream", in.Partition, in.viewKey()}, from)
}

// compliance streams the unlikes.
func (a *API) compliance(c *call) (any, error) {
	return a.openStream(c, c.query.(*spanQuery), feedKey{name: "likes_compliance_stream"}, source{
		logs:  likelog.All(),
		takes: func(e *liked.LikeEvent) bool { return !e.On },
		write: a.writeUnlikes,
	})
}

// streams is the open connections and their feeds.
type streams struct {
	mu     sync.Mutex
	ending bool                 // there will be no other stream
	slots  map[slot]*connection // that have one
	began  liked.Seq            // how many connections did
	past   []connection         // the newest that ended
	lease  time.Duration        // how long a server keeps a slot without renewal
	asking chan struct{}        // closed when the renewal under way is done; nil: none is
	stop   context.CancelFunc   // ends renew; nil while there are no slots
	feeds  map[feedKey]*feed
}

// slot is what an app may have one connection to.
type slot struct {
	app       liked.AppID
	stream    string // as X names the endpoint
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
	for _, c := range s.slots {
		c.end(errEnding)
	}
}

// OpenStreams counts the streams that have a reader.
func (a *API) OpenStreams() int {
	a.streams.mu.Lock()
	defer a.streams.mu.Unlock()
	return len(a.streams.slots)
}

// acquire takes a slot on all servers, if free; finish must follow. The context ends with the request or the slot.
func (a *API) acquire(ctx context.Context, at slot) (context.Context, *connection, error) {
	s := &a.streams
	taken := a.tooManyReaders.because("the app has a connection to this partition of the stream already")
	s.mu.Lock()
	switch {
	case s.ending:
		s.mu.Unlock()
		return nil, nil, unavailable.because("the server is stopping")
	case s.slots[at] != nil:
		s.mu.Unlock()
		return nil, nil, taken
	}
	connected, end := context.WithCancelCause(ctx)
	s.began++
	c := &connection{slot: at, number: s.began, id: newUUID(), begun: a.Now(), end: end}
	s.slots[at] = c
	if s.stop == nil {
		var renewing context.Context
		renewing, s.stop = context.WithCancel(context.Background())
		go a.renew(renewing)
	}
	s.mu.Unlock()
	// Not under the request's context: a call that gives up may hold the slot later, after it was released.
	held, err := a.Store.Hold(context.WithoutCancel(ctx), []string{at.lease()}, s.lease)
	if err == nil && !held[0] {
		err = taken
	}
	if err != nil {
		a.finish("", nil, c)
		return nil, nil, err
	}
	return connected, c, nil
}

// renew renews all slots, in one call, until ctx ends. It ends streams whose slots are lost, or may be lost before it
// learns so.
func (a *API) renew(ctx context.Context) {
	s := &a.streams
	tick := time.NewTicker(s.lease / 3)
	defer tick.Stop()
	for last := time.Now(); ; {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		var open []*connection
		var names []string
		s.mu.Lock()
		for _, c := range s.slots {
			if c.ended.IsZero() {
				open, names = append(open, c), append(names, c.slot.lease())
			}
		}
		done := make(chan struct{})
		s.asking = done
		s.mu.Unlock()
		asked := time.Now()
		asking, cancel := context.WithTimeout(ctx, s.lease/5)
		held, err := a.Store.Hold(asking, names, s.lease)
		cancel()
		s.mu.Lock()
		if s.asking == done {
			s.asking = nil
		}
		s.mu.Unlock()
		close(done)
		if err == nil {
			last = asked
		}
		for i, c := range open {
			if err == nil && !held[i] || time.Since(last) > s.lease/2 {
				c.end(errLost)
			}
		}
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
	open  *connection
	ctx   context.Context
	from  liked.Positions
	feed  *feed               // nil if the stream ends
	until liked.Positions     // its end, if it has one
	leave func(reason string) // must be called
}

// openStream makes a stream over the request's span. The reader gets all that is appended to the log after it
// returns.
func (a *API) openStream(c *call, span *spanQuery, key feedKey, from source) (*stream, error) {
	begin, end, faults := span.between(a.Now())
	if len(faults) > 0 {
		return nil, a.invalid("", faults...)
	}
	at := slot{c.who.App, key.name, key.partition}
	ctx, open, err := a.acquire(c.ctx, at)
	if err != nil {
		return nil, err
	}
	now, err := a.Store.LogEnds(c.ctx)
	if err != nil {
		a.finish("", nil, open)
		return nil, err
	}
	from.log = a.Log
	s := &stream{source: from, open: open, ctx: ctx, from: now, until: now}
	s.leave = func(reason string) { a.finish(reason, nil, open) }
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
		s.leave = func(reason string) {
			a.streams.closeFeed(key, s.feed)
			a.finish(reason, nil, open)
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
