package admin

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"liked"
	"liked/internal/archive"
	"liked/internal/store"
)

// stream is an answer that is written as it arises. If it fails before anything is written, that is answered like any
// other failure; later the connection is cut, so that no client takes a part for the whole.
type stream struct {
	contentType string
	write       func(w io.Writer) error
}

// streamed is where a stream goes.
type streamed struct {
	w     http.ResponseWriter
	begun bool
}

// stallTimeout is how long a client may read nothing of a stream. The store keeps a snapshot for it.
const stallTimeout = 5 * time.Minute

func (s *streamed) Write(b []byte) (int, error) {
	s.begun = true
	_ = http.NewResponseController(s.w).SetWriteDeadline(time.Now().Add(stallTimeout)) // in process there is no deadline
	return s.w.Write(b)
}

// export answers with every record of one moment, a line each.
func (h *Handler) export(r *http.Request) (any, error) {
	return stream{"application/x-ndjson", func(w io.Writer) error {
		b := bufio.NewWriterSize(w, 64<<10)
		var line []byte
		err := h.Store.Export(r.Context(), func(rec store.Record) (err error) {
			if line, err = archive.Append(line[:0], rec); err == nil {
				_, err = b.Write(line)
			}
			return err
		})
		if err != nil {
			return err
		}
		return b.Flush()
	}}, nil
}

// Imported is what an import did.
type Imported struct {
	Added   int64     `json:"added"`   // records that were missing
	Kept    int64     `json:"kept"`    // records that were there
	Refused int64     `json:"refused"` // lines that were left out
	Reasons []Refused `json:"reasons"` // of the first 1,000 of them
}

// Refused says why a line was left out.
type Refused struct {
	Line   int64  `json:"line"` // from 1
	Reason string `json:"reason"`
}

const (
	maxReasons = 1000
	// A like may be this far ahead of the clock, which is not that of the machine that it was exported from. Further ahead it
	// would drag all later likes along.
	maxAhead = 5 * time.Minute
	// So much is read of what comes after the line that ends an import, or of one whose query is refused. A client that still
	// writes when its connection is closed may never see the answer; `liked import` sends 2 MiB and a line.
	maxUnread = 4 << 20
)

// importing reads records, a line each, and adds what is missing. The first line that cannot be added ends it, with what
// came before it added, unless the query says skip_bad=true. Lines are numbered as they stand, empty ones included.
func (h *Handler) importing(r *http.Request) (any, error) {
	defer io.CopyN(io.Discard, r.Body, maxUnread)
	skipBad := false
	for name, values := range r.URL.Query() {
		if name != "skip_bad" || values[0] != "true" && values[0] != "false" {
			return nil, liked.Errorf(liked.Invalid, "%s=%q: the one parameter is skip_bad, true or false", name, values[0])
		}
		skipBad = values[0] == "true"
	}
	i := importer{h: h, r: r, skipBad: skipBad, size: minStep, reading: new(step), spare: new(step), done: Imported{Reasons: []Refused{}}}
	lines := bufio.NewReaderSize(r.Body, archive.MaxLine)
	for number := int64(1); ; number++ {
		line, err := lines.ReadSlice('\n')
		switch {
		case err == nil, err == io.EOF && len(line) > 0:
		case err == io.EOF:
			err := i.finish()
			return i.done, err
		case errors.Is(err, bufio.ErrBufferFull):
			return nil, errors.Join(i.finish(), liked.Errorf(liked.Invalid,
				"line %d is longer than %d bytes; what came before it was imported", number, archive.MaxLine))
		default:
			return nil, errors.Join(i.finish(), &liked.Error{Kind: liked.Invalid, Msg: "the body ended early", Err: err})
		}
		if line = bytes.TrimSpace(line); len(line) == 0 {
			continue
		}
		rec, err := archive.Parse(line)
		if err == nil && rec.Like != nil {
			if at := time.UnixMilli(int64(rec.Like.Seq >> 20)); at.After(h.Now().Add(maxAhead)) {
				err = liked.Errorf(liked.Invalid, "the like lies in the future, at %s", at.UTC().Format(time.RFC3339))
			}
		}
		if err != nil {
			if finishErr := i.finish(); finishErr != nil {
				return nil, finishErr
			}
			if !i.stopped {
				i.refuse(number, err)
			}
		} else {
			i.reading.records, i.reading.numbers = append(i.reading.records, rec), append(i.reading.numbers, number)
			if len(i.reading.records) >= i.size {
				if err := i.flush(); err != nil {
					return nil, err
				}
			}
		}
		if i.stopped {
			return i.done, nil
		}
	}
}

// importer reads one step while the store takes the one before.
type importer struct {
	h       *Handler
	r       *http.Request
	skipBad bool
	size    int           // of the next step
	base    time.Duration // the least that a step has taken: mostly what the disk takes
	reading *step
	spare   *step         // what the store takes, once taken is set
	taken   chan stepDone // gets one value; nil: the store takes nothing
	stopped bool          // by a bad line
	done    Imported
}

// step is what the store takes in one piece.
type step struct {
	records []store.Record
	numbers []int64 // of their lines
}

type stepDone struct {
	store.Imported
	took time.Duration
	err  error
}

// Likes wait for a step of an import. While others like, it takes about twice as long as the smallest step, most of which is for
// the disk. Otherwise it is longer, which is faster, but no longer than a like may wait that is the first for a while.
const (
	minStep, maxStep = 32, 4096 // records
	alone            = 50 * time.Millisecond
)

// resize picks the size of the next step from what one of n records has taken.
func (i *importer) resize(n int, took time.Duration) error {
	others, err := i.h.likes.seen(i.r.Context(), i.h.Store)
	if err != nil {
		return err
	}
	took = max(took, time.Microsecond)
	if i.base == 0 || took < i.base {
		i.base = took
	}
	want := alone
	if others {
		want = min(2*i.base, alone)
	}
	// What a short step took says little about a long one.
	i.size = max(minStep, min(maxStep, 16*n, int(int64(n)*int64(want)/int64(took))))
	return nil
}

// likeWatch knows whether likes are set or taken back. Imports do not count, since the like log does not have them.
type likeWatch struct {
	now func() time.Time // of durations: never one that a test has stopped

	mu            sync.Mutex
	ends          liked.Positions
	looked, moved time.Time // when the log was looked at, and when it had last grown
}

const (
	lookEvery = 20 * time.Millisecond
	quiet     = time.Second
)

// seen reports whether the log has grown within the last second or so.
func (w *likeWatch) seen(ctx context.Context, s store.Log) (bool, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := w.now()
	if now.Sub(w.looked) >= lookEvery {
		ends, err := s.LogEnds(ctx)
		if err != nil {
			return false, err
		}
		w.looked = now
		if ends != w.ends { // at the first look, too, which cannot tell
			w.ends, w.moved = ends, now
		}
	}
	return now.Sub(w.moved) < quiet, nil
}

func (i *importer) refuse(line int64, err error) {
	i.done.Refused++
	if len(i.done.Reasons) < maxReasons {
		i.done.Reasons = append(i.done.Reasons, Refused{line, err.Error()})
	}
	i.stopped = !i.skipBad
}

// flush has the store begin to take what was read, once it has taken what came before.
func (i *importer) flush() error {
	if err := i.wait(); err != nil || i.stopped || len(i.reading.records) == 0 {
		return err
	}
	i.reading, i.spare = i.spare, i.reading
	i.reading.records, i.reading.numbers = i.reading.records[:0], i.reading.numbers[:0]
	i.taken = make(chan stepDone, 1)
	go func(s *step) {
		begun := i.h.likes.now()
		got, err := i.h.Store.Import(i.r.Context(), s.records, i.skipBad)
		i.taken <- stepDone{got, i.h.likes.now().Sub(begun), err}
	}(i.spare)
	return nil
}

// wait returns when the store has taken what it has begun to take.
func (i *importer) wait() error {
	if i.taken == nil {
		return nil
	}
	got := <-i.taken
	i.taken = nil
	numbers := i.spare.numbers
	if got.err != nil {
		return fmt.Errorf("lines %d to %d: %w", numbers[0], numbers[len(numbers)-1], got.err)
	}
	i.done.Added += int64(got.Added)
	i.done.Kept += int64(got.Kept)
	for _, bad := range got.Refused {
		i.refuse(numbers[bad.Index], bad.Err)
	}
	return i.resize(len(numbers), got.took)
}

// finish returns when the store has taken all that was read.
func (i *importer) finish() error {
	if err := i.flush(); err != nil {
		return err
	}
	return i.wait()
}
