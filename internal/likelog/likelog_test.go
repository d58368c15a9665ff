package likelog_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"liked"
	"liked/internal/enginetest"
	"liked/internal/likelog"
	"liked/internal/store"
)

func TestMain(m *testing.M) { enginetest.Main(m) }

// log is a store with users who like, whose reads are counted.
type log struct {
	store.Store
	t     *testing.T
	reads atomic.Int64
	fail  atomic.Bool
}

const users = 40

func newLog(t *testing.T) *log {
	st := enginetest.Open(t)
	l := &log{Store: st, t: t}
	t.Cleanup(func() { l.must(st.Close()) })
	for id := liked.UserID(1); id <= users; id++ {
		l.must(st.AddUser(t.Context(), liked.User{ID: id, Username: "u" + id.String(), Name: "U", CreatedAt: time.Now()}))
	}
	l.must(st.AddPost(t.Context(), liked.Post{ID: 1, Author: 1, Text: "x", CreatedAt: time.Now()}))
	return l
}

func (l *log) LikeLog(ctx context.Context, partition int, after liked.Seq, max int) ([]liked.LikeEvent, error) {
	l.reads.Add(1)
	entries, err := l.Store.LikeLog(ctx, partition, after, max)
	if l.fail.Load() {
		return nil, errors.New("a bad disk")
	}
	return entries, err
}

func (l *log) must(err error) {
	l.t.Helper()
	if err != nil {
		l.t.Fatal(err)
	}
}

// change makes n changes of each user's like, and returns how many there were.
func (l *log) change(n int) int {
	var changes sync.WaitGroup
	for id := liked.UserID(1); id <= users; id++ {
		changes.Go(func() {
			for range n {
				on, err := l.Liked(context.Background(), id, []liked.PostID{1})
				if err == nil {
					_, err = l.SetLike(context.Background(), id, 1, !on[0], time.Now())
				}
				if err != nil {
					l.t.Error(err)
				}
			}
		})
	}
	changes.Wait()
	return n * users
}

func all() (partitions []int) {
	for p := range liked.Partitions {
		partitions = append(partitions, p)
	}
	return partitions
}

// expect reads n entries, each of which must be the next of its partition.
func (l *log) expect(r *likelog.Reader, at liked.Positions, n int, pause func()) {
	l.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	for seen := 0; seen < n; {
		p, entries, err := r.Next(ctx)
		if err != nil || len(entries) == 0 || len(entries) > likelog.Page {
			l.t.Errorf("after %d of %d entries: got %d, %v", seen, n, len(entries), err)
			return
		}
		want, err := l.Store.LikeLog(ctx, p, at[p], len(entries))
		if err != nil || len(want) != len(entries) {
			l.t.Errorf("the log has %d entries, %v; the reader got %d", len(want), err, len(entries))
			return
		}
		for i, e := range entries {
			if e != want[i] {
				l.t.Errorf("partition %d: got entry %d, want %d", p, e.Seq, want[i].Seq)
				return
			}
		}
		at[p] = entries[len(entries)-1].Seq
		seen += len(entries)
		pause()
	}
}

// Readers that come and go at any time, from the beginning or the end, fast or slow, get each entry once and in order.
func TestReaders(t *testing.T) {
	t.Parallel()
	l := newLog(t)
	f := likelog.New(l)
	f.Keep(20) // so that readers fall behind
	before, n := l.change(10), 100
	start, err := l.LogEnds(t.Context())
	l.must(err)
	var reading sync.WaitGroup
	for i := range 12 {
		at, expected := liked.Positions{}, before+n*users
		if i%2 == 0 {
			at, expected = start, n*users
		}
		reading.Go(func() {
			rng := rand.New(rand.NewPCG(1, uint64(i)))
			time.Sleep(time.Duration(rng.IntN(50)) * time.Millisecond)
			r, err := f.Read(t.Context(), all(), at)
			if err != nil {
				t.Error(err)
				return
			}
			defer r.Close()
			l.expect(r, at, expected, func() {
				if i%3 == 0 {
					time.Sleep(time.Duration(rng.IntN(3)) * time.Millisecond)
				}
			})
		})
	}
	l.change(n)
	reading.Wait()
}

// A partition is read once, however many readers it has, and not at all when there is none.
func TestReadsOnce(t *testing.T) {
	t.Parallel()
	l := newLog(t)
	f := likelog.New(l)
	l.change(1)
	ends, err := l.LogEnds(t.Context())
	l.must(err)
	var readers []*likelog.Reader
	for range 50 {
		r, err := f.Read(t.Context(), all(), ends)
		l.must(err)
		readers = append(readers, r)
	}
	n := l.change(1)
	for _, r := range readers {
		l.expect(r, ends, n, func() {})
	}
	// One read for each entry at most, and one that waits in each partition.
	if reads := l.reads.Load(); reads > int64(n+liked.Partitions) {
		t.Errorf("%d entries for %d readers took %d reads of the log", n, len(readers), reads)
	}
	for _, r := range readers {
		r.Close()
	}
	reads := l.reads.Load()
	l.change(3)
	if got := l.reads.Load(); got > reads+liked.Partitions { // which were under way
		t.Errorf("%d reads of the log without a reader", got-reads)
	}
}

// A failure reaches each reader; the next one is served again, from where it was.
func TestFailure(t *testing.T) {
	t.Parallel()
	l := newLog(t)
	f := likelog.New(l)
	r, err := f.Read(t.Context(), all(), liked.Positions{})
	l.must(err)
	defer r.Close()
	l.fail.Store(true)
	_, err = l.SetLike(t.Context(), 1, 1, true, time.Now()) // one partition fails, and no other one a moment later
	l.must(err)
	if _, _, err := r.Next(t.Context()); err == nil || err.Error() != "a bad disk" {
		t.Errorf("got error %v", err)
	}
	l.fail.Store(false)
	again, err := f.Read(t.Context(), all(), liked.Positions{})
	l.must(err)
	defer again.Close()
	n := l.change(1)
	l.expect(again, liked.Positions{}, 1+n, func() {})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := again.Next(ctx); err != context.Canceled {
		t.Errorf("got error %v, want that of ctx", err)
	}
}
