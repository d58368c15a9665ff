// Package pgstore keeps everything in PostgreSQL 15 or later, for any number of servers on one database. Begin with Open.
//
// What a user's likes depend on is in one of liked.Partitions lanes. A write locks, always in this order: lanes, rows of
// user_counts, post_heads, on Citus user_likes, then all else, and last tallies and meta; each table's rows ascending, on Citus
// shard by shard. So writes wait for each other and never in a circle, and a batch of likes sees the rules of the moment at
// which it is committed (likes.go).
//
// No caller's context reaches a write: cancelling a commit that waits for its standby would show what a failover loses.
// A commit without an answer is resolved by asking the database (tx.go). Nothing is kept in memory but what never changes:
// the author of a post, that a user exists.
package pgstore

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"liked"
	"liked/internal/cache"
	"liked/internal/store"
)

// Options says where the database is.
type Options struct {
	// DSN is a connection string or URL as libpq takes it. Several hosts are tried in turn for the one that takes writes.
	// What it leaves out is taken from PG* variables and the password file. The tables are in the first schema of
	// search_path.
	DSN      string
	After    time.Time     // all new likes are later than this in the log and the lists: for a restored database
	Migrate  bool          // a schema of an earlier release is raised; an empty one always is
	Existing bool          // an empty schema is refused instead
	LogKeep  time.Duration // how long like log entries are kept; 0 means 24 h
	Readers  int           // connections for all but batches of likes, limits and polls; 0 means 6
	Writers  int           // connections for batches of likes; 0 means 4
	Patience time.Duration // how long a call waits for the database; 0 means 20 s
	Logger   *slog.Logger  // nil: nothing is logged

	Tracer pgx.QueryTracer // sees what the database is asked, to measure it; nil: nobody does

	pollEvery  time.Duration        // for tests; 0 means 100 ms
	pruneEvery time.Duration        // for tests; 0 means a minute
	blindAfter time.Duration        // for tests; 0 means 1.5 s
	quiet      bool                 // for tests: after the first poll there is none while nobody waits for the log
	notice     pgconn.NoticeHandler // for tests
}

// Store is a store.Store.
type Store struct {
	log      *slog.Logger
	logKeep  time.Duration
	patience time.Duration

	calls *pgxpool.Pool // for reads, and for writes but likes
	work  *pgxpool.Pool // for goroutines of the store that each use one connection at a time: they never wait for callers'

	shards *shards // on Citus

	running   atomic.Int64  // calls under way; Close adds math.MinInt64
	idle      chan struct{} // gets a token when the last call has ended after Close
	closing   chan struct{} // closed first by Close: waiting readers of the log return
	closeOnce sync.Once
	stop      context.CancelFunc // of the store's goroutines
	stopped   sync.WaitGroup

	writers     []*likeWriter
	targets     *cache.Cache[liked.PostID, likeTarget] // of posts that exist or were deleted: for good
	known       *cache.Cache[liked.UserID, struct{}]   // users who exist: for good
	generations generations
	holder      [16]byte // names this server where it holds something
	numbered    numbered
	limits      limits
	meters      meters
	pollers     atomic.Int64 // calls that wait for the log
	onLog       [liked.Partitions]signal
}

// Open connects, and makes the schema if it is empty. Invalid says what to change first: the server's version, a setting
// that breaks promises, rights, a schema of another release.
func Open(o Options) (*Store, error) {
	o.LogKeep = cmp.Or(o.LogKeep, 24*time.Hour)
	o.Readers, o.Writers = cmp.Or(o.Readers, 6), cmp.Or(o.Writers, 4)
	o.Patience = cmp.Or(o.Patience, 20*time.Second)
	o.Logger = cmp.Or(o.Logger, slog.New(slog.DiscardHandler))
	o.pollEvery = cmp.Or(o.pollEvery, 100*time.Millisecond)
	o.pruneEvery = cmp.Or(o.pruneEvery, time.Minute)
	s := &Store{
		log:      o.Logger,
		logKeep:  o.LogKeep,
		patience: o.Patience,
		idle:     make(chan struct{}, 1),
		closing:  make(chan struct{}),
		targets:  newKept[liked.PostID, likeTarget](),
		known:    newKept[liked.UserID, struct{}](),
	}
	s.generations.begun, s.generations.blindAfter = time.Now(), cmp.Or(o.blindAfter, blindAfter)
	_, _ = rand.Read(s.holder[:]) // never fails
	s.limits.init(s)
	ctx, stop := context.WithCancel(context.Background())
	s.stop = stop
	if err := s.open(ctx, &o); err != nil {
		s.disconnect()
		return nil, unopened(err)
	}
	return s, nil
}

// unopened is what Open returns for an error.
func unopened(err error) error {
	failed := failure(err)
	if e, ok := errors.AsType[*liked.Error](failed); ok && refuses(err) {
		e.Kind = liked.Invalid
	}
	return failed
}

func (s *Store) open(ctx context.Context, o *Options) (err error) {
	if s.calls, err = connect(o, o.Readers); err != nil {
		return err
	}
	if s.work, err = connect(o, o.Writers+helpers); err != nil {
		return err
	}
	first, cancel := context.WithTimeout(ctx, o.Patience)
	defer cancel()
	if err := s.prepare(first, o); err != nil {
		return err
	}
	if err := s.raise(o.After); err != nil {
		return err
	}
	if err := s.renew(); err != nil {
		return err
	}
	for _, run := range []func(context.Context){s.keepNumber, s.limits.run, s.forgetLimits} {
		s.stopped.Go(func() { run(ctx) })
	}
	for range o.Writers {
		w := &likeWriter{s: s, wake: make(chan struct{}, 1)}
		s.writers = append(s.writers, w)
		s.stopped.Go(func() { w.run(ctx) })
	}
	s.stopped.Go(func() { s.poll(ctx, o.pollEvery, o.quiet) })
	s.stopped.Go(func() { s.prune(ctx, o.pruneEvery) })
	return nil
}

// helpers is how many goroutines use the work pool beside the writers of likes: limits and their pruning, the number, polls,
// pruning of the log.
const helpers = 5

// Close implements store.Store.
func (s *Store) Close() error {
	s.closeOnce.Do(func() {
		close(s.closing)
		if s.running.Add(math.MinInt64) != math.MinInt64 {
			<-s.idle
		}
		s.resign()
		s.disconnect()
	})
	return nil
}

func (s *Store) disconnect() {
	s.stop()
	s.stopped.Wait()
	for _, p := range []*pgxpool.Pool{s.calls, s.work} {
		if p != nil {
			p.Close()
		}
	}
}

var errClosed = liked.Errorf(liked.Unavailable, "the store is closed")

// enter begins a call; unless it returns an error, leave must follow.
func (s *Store) enter(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if s.running.Add(1) < 0 {
		s.leave()
		return errClosed
	}
	return nil
}

func (s *Store) leave() {
	if s.running.Add(-1) == math.MinInt64 {
		select {
		case s.idle <- struct{}{}:
		default:
		}
	}
}

var _ store.Store = (*Store)(nil)
