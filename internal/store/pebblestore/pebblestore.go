// Package pebblestore keeps everything in a local directory, or in memory, on cockroachdb/pebble, for a server of one
// process. Begin with Open.
//
// One goroutine, the committer, makes all writes (committer.go). Calls queue for it and are synced in groups: a batch
// of likes, or a batch for each other operation. While one group is synced the next is built. So a write knows the
// exact state it changes without locks, and a hot post costs no more than a cold one. Reads never queue; what they
// return is on disk already.
package pebblestore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/vfs"

	"liked"
	"liked/internal/cache"
	"liked/internal/clock"
	"liked/internal/store"
)

// pebbleFormat is the version of pebble's files that Open raises a store to, for good. It does not follow the library,
// so that after an update the previous release can still open the store. Raise it in a release of its own, after one
// whose library reads the new version.
const pebbleFormat = pebble.FormatValueSeparation

// Options says where the store is and how much memory it may take.
type Options struct {
	Dir          string        // on disk; with FS nil and Dir "" the store is in memory
	FS           vfs.FS        // for tests; nil is the real file system
	LogKeep      time.Duration // how long like log entries are kept; 0 means 24 h
	CacheBytes   int64         // of cached blocks; 0 means 320 MiB, or 64 MiB in memory
	RowBytes     int           // of records, lists and counts that are kept ready; 0 means 128 MiB, or 16 MiB in memory
	FilterBytes  int           // at most, for the filter of likes, which needs a third of a byte for each; 0 means 64 MiB
	MaxOpenFiles int           // open table files, about; 0 means 4096
	Logger       *slog.Logger  // nil: nothing is logged
	Release      string        // of this program, which a store names to earlier ones
	ReadOnly     bool          // the directory is not written, and only reads are answered

	// After makes all new likes later than this time in the like log and the lists, for a restored store, whose readers
	// may know what it has lost.
	After time.Time

	// Now, if not nil, is the clock by which the like log's entries are kept; otherwise their time passes with new likes.
	// Sleep waits by it; nil is real time.
	Now   func() time.Time
	Sleep func(context.Context, time.Duration)

	// DiskTimeout is how long a call waits for the disk before it is refused, to within a twentieth; 0 means 20 s,
	// which leaves time to answer within a connection's 35 s.
	DiskTimeout time.Duration

	family *family // nil: of its own
	from   string  // directory of a snapshot that a store in memory begins as; "" for an empty one

	plan *Upgrade // set by Plan: Open raises nothing, and closes the store

	keepFrom     int64          // for tests: likes from which on the filter is kept; 0 means 1,048,576
	upgradeBatch int            // for tests: rows that an upgrade reads between two writes; 0 means 4096
	memTable     uint64         // bytes; for tests
	pruneEvery   time.Duration  // for tests; 0 means a minute
	onStep       func(rows int) // for tests: called by the committer with an operation's rows, read and written
}

// Store is a store.Store.
type Store struct {
	db       *pebble.DB
	cache    *pebble.Cache // valid while the database is open
	fs       vfs.FS        // without failStopFS
	dir      string
	options  Options // of the store, and of those made of its snapshots
	log      *slog.Logger
	logKeep  time.Duration
	onStep   func(rows int)
	inMemory bool
	readOnly bool
	release  string

	upgradeBatch int
	keepFrom     int64

	// Calls under way; Close adds math.MinInt64.
	calls     atomic.Int64
	idle      chan struct{} // gets a token when the last call has ended after Close
	closing   chan struct{} // closed first by Close: waiting readers of the log return
	closeOnce sync.Once
	closeErr  error

	// The first write failure, after which calls are refused: what is in memory may not be on disk.
	failure  atomic.Pointer[liked.Error]
	failOnce sync.Once
	failed   chan struct{} // closed once failure is set
	timeouts diskTimeouts
	throttle throttle

	queue     queue
	stop      chan struct{} // closed when no call is left, for the committer
	stopped   chan struct{} // closed when committer and syncer have ended
	committer committer     // used by the committer's goroutine alone

	// Batches are numbered from 1. A batch's number is stored in applied before any of it can be read, in visible when
	// all can, and in synced when it is on disk; so synced <= visible <= applied.
	applied, visible, synced atomic.Uint64
	syncedSeq                atomic.Uint64 // newest entry of the like log that is on disk
	onSync                   signal
	onLog                    [liked.Partitions]signal

	// epoch is odd while an operation is applied that may change who sees whose posts, then another even number:
	// look-ups during one even number show one state. epochGroup is the last such operation's batch.
	epoch, epochGroup atomic.Uint64 // of visibility
	records           *cache.Cache[thing, cached]
	counts            *cache.Cache[thing, cachedCounts]
	lists             *cache.Cache[thing, newestLikes] // by the thing that counts them
	heads, changes    *marks                           // of records, and of counts
	recent            recentLikes
	filter            likeFilter

	generations generations
	ids         liked.Snowflakes
	limits      limits
	totals      totals
	copies      copies
}

var _ interface {
	store.Store
	store.Backup
	store.Snapshots
} = (*Store)(nil)

// Open opens the store, and creates it if there is none.
func Open(o Options) (*Store, error) {
	o.LogKeep = cmp.Or(o.LogKeep, 24*time.Hour)
	o.MaxOpenFiles = cmp.Or(o.MaxOpenFiles, 4096)
	o.Logger = cmp.Or(o.Logger, slog.New(slog.DiscardHandler))
	o.DiskTimeout = cmp.Or(o.DiskTimeout, 20*time.Second)
	o.pruneEvery = cmp.Or(o.pruneEvery, time.Minute)
	o.FilterBytes = cmp.Or(o.FilterBytes, 64<<20)
	if o.Sleep == nil {
		o.Sleep = clock.Sleep
	}
	if o.family == nil {
		o.family = new(family)
		if o.FS == nil && o.Dir == "" {
			o.family.memory = vfs.NewMem()
		}
	}
	s := &Store{
		heads:    new(marks),
		changes:  new(marks),
		log:      o.Logger,
		logKeep:  o.LogKeep,
		onStep:   o.onStep,
		inMemory: o.family.memory != nil,
		options:  o,
		readOnly: o.ReadOnly,
		release:  o.Release,

		upgradeBatch: cmp.Or(o.upgradeBatch, 4096),
		keepFrom:     cmp.Or(o.keepFrom, 1<<20),
		idle:         make(chan struct{}, 1),
		closing:      make(chan struct{}),
		failed:       make(chan struct{}),
		stop:         make(chan struct{}),
		stopped:      make(chan struct{}),
		queue:        queue{wake: make(chan struct{}, 1)},
		totals:       totals{counting: make(chan struct{}, 1)},
	}
	memTable := uint64(16 << 20) // larger ones exceed the processor's caches, a net loss
	switch {
	case s.inMemory:
		o.FS, o.Dir = o.family.memory, o.family.next("store")
		o.CacheBytes = cmp.Or(o.CacheBytes, 64<<20)
		o.RowBytes = cmp.Or(o.RowBytes, 16<<20)
		memTable = 4 << 20
	case o.FS == nil && s.readOnly:
		o.FS = sharedFS{vfs.Default}
	case o.FS == nil:
		o.FS = privateFS{vfs.Default}
	}
	o.CacheBytes = cmp.Or(o.CacheBytes, 320<<20)
	o.RowBytes = cmp.Or(o.RowBytes, 128<<20)
	s.records = cache.New(o.RowBytes/8*5, thing.hash, cached.size)
	s.lists = cache.New(o.RowBytes/4, thing.hash, newestLikes.size)
	s.counts = cache.New(o.RowBytes/8, thing.hash, cachedCounts.size)
	o.memTable = cmp.Or(o.memTable, memTable)
	o.Dir = o.FS.PathJoin(o.Dir) // as pebble names its files
	s.fs, s.dir = o.FS, o.Dir
	failStop := &failStopFS{FS: o.FS, dir: o.Dir, fail: s.fail}
	if !s.inMemory { // in memory no new log shows that a memtable is full
		failStop.throttle = &s.throttle
	}
	s.throttle.opening.Store(true)
	err := s.apart(func() error {
		opts := s.pebbleOptions(&o, failStop)
		defer opts.Cache.Unref() // the database keeps its own reference
		if err := s.begin(&o, opts); err != nil {
			return err
		}
		if opts.Lock != nil {
			defer opts.Lock.Close() // likewise
		}
		return s.open(&o, opts)
	})
	if err != nil {
		if _, told := err.(*liked.Error); !told {
			msg := "cannot open the store in " + o.Dir
			if pebble.IsCorruptionError(err) {
				msg += ": " + isDamaged
			}
			err = &liked.Error{Kind: liked.Unavailable, Msg: msg, Err: err}
		}
		return nil, err
	}
	if o.plan != nil {
		return nil, s.closeDB()
	}
	s.throttle.opening.Store(false)
	s.watch(o.DiskTimeout)
	go s.run()
	if !s.readOnly {
		go s.prune(&o)
		s.beginFilter()
	}
	return s, nil
}

// apart calls pebble on another goroutine: after failures pebble may call Fatalf, which ends the goroutine, panic, or
// wait for ever for the disk. f may still run after an error.
func (s *Store) apart(f func() error) error {
	done := make(chan error, 1)
	go func() {
		err := errors.New("pebble gave up")
		defer func() {
			if p := recover(); p != nil {
				err = fmt.Errorf("%v", p)
			}
			done <- err
		}()
		err = f()
	}()
	select {
	case err := <-done:
		return err
	case <-s.failed:
		return s.failure.Load()
	}
}

func (s *Store) pebbleOptions(o *Options, fs vfs.FS) *pebble.Options {
	opts := &pebble.Options{
		FS:                          fs,
		FormatMajorVersion:          pebbleFormat,
		MemTableSize:                o.memTable,
		MemTableStopWritesThreshold: 4,
		L0CompactionThreshold:       4,
		L0StopWritesThreshold:       24,
		LBaseMaxBytes:               64 << 20,
		BytesPerSync:                1 << 20,
		MaxOpenFiles:                o.MaxOpenFiles,
		CompactionConcurrencyRange:  func() (int, int) { return 1, 2 },
		Logger:                      pebbleLogger{s},
		DisableWAL:                  s.inMemory,
		ReadOnly:                    s.readOnly,
		EventListener:               s.events(),
	}
	// Pebble takes the memory of memtables from the cache; a long import has three.
	s.cache = pebble.NewCache(o.CacheBytes + 3*int64(opts.MemTableSize))
	opts.Cache = s.cache
	for i := range opts.Levels {
		opts.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
	}
	opts.Levels[len(opts.Levels)-1].FilterPolicy = pebble.NoFilterPolicy // pebble does not use the last level's
	return opts
}

// backgroundErrors is how many flushes or compactions in a row may fail before the store fails.
const backgroundErrors = 16

// events logs errors. Pebble retries a failed flush or compaction at once and for ever; after backgroundErrors in a row
// the store fails, and the goroutine ends.
func (s *Store) events() *pebble.EventListener {
	var failed atomic.Int64
	ended := func(err error) {
		s.throttle.end()
		if err == nil {
			failed.Store(0)
		}
	}
	return &pebble.EventListener{
		BackgroundError: func(err error) {
			s.log.Error("store: background work failed", "err", err)
			if failed.Add(1) >= backgroundErrors {
				s.fail(err)
				runtime.Goexit()
			}
		},
		DataCorruption: func(i pebble.DataCorruptionInfo) { // readers get an error; pebble's default ends the process
			s.log.Error("store: "+isDamaged, "file", i.Path, "err", i.Details)
		},
		FlushBegin:      func(pebble.FlushInfo) { s.throttle.begin() },
		FlushEnd:        func(i pebble.FlushInfo) { ended(i.Err) },
		CompactionBegin: func(pebble.CompactionInfo) { s.throttle.begin() },
		CompactionEnd:   func(i pebble.CompactionInfo) { ended(i.Err) },
		WALCreated:      func(pebble.WALCreateInfo) { s.throttle.full() }, // as the last memtable is full
		WriteStallBegin: func(i pebble.WriteStallBeginInfo) { s.log.Warn("store: writes wait for the disk", "why", i.Reason) },
	}
}

// begin makes the directory what a snapshot is, if it is to be.
func (s *Store) begin(o *Options, opts *pebble.Options) (err error) {
	if s.inMemory {
		if o.from == "" {
			return nil
		}
		if err := s.fs.MkdirAll(s.dir, 0o700); err != nil {
			return err
		}
		return linkAll(s.fs, o.from, s.dir)
	}
	opts.Lock, err = s.bringBack()
	return s.inUse(err)
}

// inUse says of an error that it means that another process has the directory open.
func (s *Store) inUse(err error) error {
	if err == nil || !errors.Is(err, syscall.EAGAIN) && !strings.Contains(err.Error(), "lock held by current process") {
		return err
	}
	return &liked.Error{Kind: liked.Unavailable, Err: fmt.Errorf("%w: %w", store.ErrInUse, err),
		Msg: s.dir + " is in use by another process; ask the running server through its admin listener or stop it"}
}

func (s *Store) open(o *Options, opts *pebble.Options) (err error) {
	dir := o.Dir
	if err := checkLogs(s.fs, dir); err != nil {
		return err
	}
	s.db, err = pebble.Open(dir, opts)
	switch {
	case err == nil:
		if err = s.load(o); err != nil {
			_ = s.closeDB() // the first error is the one that helps
		}
		return err
	case strings.Contains(err.Error(), "format major version"):
		return &liked.Error{Kind: liked.Invalid, Err: err,
			Msg: dir + " was written by a later release, in files that this program cannot read; run that release or a later one"}
	}
	return s.inUse(err)
}

// load raises the store, or makes one, and finds where the last process stopped.
func (s *Store) load(o *Options) error {
	dir := o.Dir
	used, err := firstKey(s.db, nil, nil)
	if err == nil && used == nil && !s.readOnly {
		err = unavailable(s.db.Set(formatKey, []byte{Format}, s.writeOptions()))
	}
	if err != nil {
		return err
	}
	u, err := s.upgrade(!s.readOnly)
	if o.plan != nil {
		*o.plan = u
		return err
	}
	switch {
	case err != nil:
	case s.readOnly && u.From != Format:
		err = liked.Errorf(liked.Invalid, "%s has store format %d, which this program must raise to %d before it reads it, "+
			"and cannot be written: copy it to where it can", dir, u.From, Format)
	case !s.readOnly && u.Release != s.release:
		err = unavailable(s.db.Set(releaseKey, []byte(s.release), s.writeOptions()))
	}
	if err != nil {
		return err
	}
	horizon, err := count(s.db, horizonKey)
	if err != nil {
		return err
	}
	imported, err := count(s.db, importedKey)
	if err != nil {
		return err
	}
	// The log's newest entry is never pruned, so its position needs no key.
	last := liked.Seq(max(horizon, imported))
	for p := range liked.Partitions {
		seq, err := s.lastInLog(p, math.MaxUint64)
		if err != nil {
			return err
		}
		last = max(last, seq)
	}
	// The rest of an interrupted backup keeps tables from being removed.
	if !s.readOnly {
		rests := []string{copyDir}
		if o.family.made.Load() == 0 {
			rests = append(rests, keptDir) // of an earlier process
		}
		for _, rest := range rests {
			if err := s.fs.RemoveAll(s.fs.PathJoin(dir, rest)); err != nil {
				return unavailable(err)
			}
		}
	}
	newestAt := int64(last >> 20)
	if last, err = s.raise(last, o.After); err != nil {
		return err
	}
	s.committer.init(s, last, liked.Seq(horizon), liked.Seq(imported), newestAt)
	s.syncedSeq.Store(uint64(last))
	s.recent.init()
	s.filter.init(o.FilterBytes)
	if err := s.takeFilter(); err != nil { // the last that may fail
		return err
	}
	s.limits.init(s)
	return nil
}

// raise returns the position that new likes must be above: last, or the highest of Options.After so far.
func (s *Store) raise(last liked.Seq, after time.Time) (liked.Seq, error) {
	floor, err := count(s.db, floorKey)
	if err != nil {
		return 0, err
	}
	if wanted := uint64(max(after.UnixMilli(), 0)) << 20; wanted > floor {
		floor = wanted
		if err := s.db.Set(floorKey, encodeID(floor), s.writeOptions()); err != nil {
			return 0, unavailable(err)
		}
	}
	return max(last, liked.Seq(floor)), nil
}

// lastInLog returns the partition's newest position up to and including to, 0 if there is none.
func (s *Store) lastInLog(partition int, to liked.Seq) (seq liked.Seq, err error) {
	key, err := lastKey(s.db, logKey(nil, partition, 0), after(logKey(nil, partition, to)))
	if key != nil {
		_, seq = splitLogKey(key)
	}
	return seq, err
}

// writeOptions are for writes that must be on disk when they return.
func (s *Store) writeOptions() *pebble.WriteOptions {
	if s.inMemory {
		return pebble.NoSync
	}
	return pebble.Sync
}

// Close implements store.Store. After a failed write pebble cannot be closed: the directory stays locked until the
// process ends.
func (s *Store) Close() error {
	s.closeOnce.Do(func() {
		close(s.closing)
		if s.calls.Add(math.MinInt64) != math.MinInt64 {
			<-s.idle
		}
		close(s.stop)
		select {
		case <-s.stopped:
		case <-s.failed:
			s.closeErr = s.failure.Load()
			return
		}
		s.keepFilter()
		s.closeErr = s.closeDB()
	})
	return s.closeErr
}

// closeDB closes the database, or returns the failure of the store.
func (s *Store) closeDB() error {
	s.throttle.full()
	err := s.apart(s.db.Close)
	if failure := s.failure.Load(); failure != nil {
		return failure
	}
	if err == nil && s.inMemory {
		err = s.fs.RemoveAll(s.dir)
	}
	return unavailable(err)
}

var errReadOnly = liked.Errorf(liked.Unavailable, "the directory of the store cannot be written, so nothing can be changed")

var errClosed = liked.Errorf(liked.Unavailable, "the store is closed")

// enter begins a call; unless it returns an error, leave must follow.
func (s *Store) enter(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.calls.Add(1)
	err := s.refuses()
	if err != nil {
		s.leave()
	}
	return err
}

// refuses returns why calls are refused, or nil.
func (s *Store) refuses() error {
	if s.calls.Load() < 0 {
		return errClosed
	}
	if err := s.failure.Load(); err != nil {
		return err
	}
	if s.timeouts.stalled.Load() {
		return errStalled
	}
	return nil
}

func (s *Store) leave() {
	if s.calls.Add(-1) == math.MinInt64 {
		select {
		case s.idle <- struct{}{}:
		default:
		}
	}
}

// fail refuses all calls from now on, and those that wait.
func (s *Store) fail(err error) {
	s.failOnce.Do(func() {
		failure := &liked.Error{Kind: liked.Unavailable, Msg: "the disk refused a write; restart the server once it is well", Err: err}
		if pebble.IsCorruptionError(err) {
			failure.Msg = isDamaged
		}
		s.failure.Store(failure)
		s.log.Error("store: refusing all calls from now on: "+failure.Msg, "err", err)
		close(s.failed)
	})
}

// BlockReads returns how many database blocks were found in memory and read from disk since Open. ok is false if the
// store is closed, or its disk fails or does not answer.
func (s *Store) BlockReads() (cached, disk int64, ok bool) {
	if s.enter(context.Background()) != nil {
		return 0, 0, false
	}
	defer s.leave()
	m := s.cache.Metrics()
	return m.Hits, m.Misses, true
}
