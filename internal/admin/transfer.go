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

// stream is written as it is produced. An error before the first byte is answered like any other; a later one cuts the
// connection, so that no client takes a part for the whole.
type stream func(w *streamed) error

type streamed struct {
	w     http.ResponseWriter
	begun bool
}

// How long a client may read nothing of a stream, for which the store keeps a snapshot.
const stallTimeout = 5 * time.Minute

func (s *streamed) Write(b []byte) (int, error) {
	s.begun = true
	_ = http.NewResponseController(s.w).SetWriteDeadline(time.Now().Add(stallTimeout)) // fails in process: no deadlines
	return s.w.Write(b)
}

func (s *streamed) flush() error {
	err := http.NewResponseController(s.w).Flush()
	if errors.Is(err, http.ErrNotSupported) { // in process: nothing is held back
		return nil
	}
	return err
}

// The records, one per line, are of one snapshot.
func (h *Handler) export(r *http.Request) (stream, error) {
	if !r.ProtoAtLeast(1, 1) {
		return nil, liked.Errorf(liked.Invalid, "with HTTP/1.0 an export that was cut short looks whole: have the proxy speak HTTP/1.1")
	}
	return func(w *streamed) error {
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
	}, nil
}

type Imported struct {
	Added   int64     `json:"added"`   // records that were missing
	Kept    int64     `json:"kept"`    // records already present
	Refused int64     `json:"refused"` // lines left out
	Reasons []Refused `json:"reasons"` // of the first MaxReasons refused
}

type Refused struct {
	Line   int64  `json:"line"` // from 1
	Reason string `json:"reason"`
}

// MaxReasons is how many refused lines an import tells apart.
const MaxReasons = 1 << 14

// maxUnread is how much is read after the line that ends an import, or of one that is refused at once. A client that still
// writes when its connection is closed may never see the response; `liked import` sends 2 MiB and a line.
const maxUnread = 4 << 20

// importing adds the missing records of the body, one per line. Without skip_bad=true the first line that cannot be
// added ends it, with the lines before it added; settle=true is for the last of a large import. Line numbers count empty lines.
func (h *Handler) importing(r *http.Request) (Imported, error) {
	var skipBad, settle bool
	err := query(r, map[string]func(string) error{"skip_bad": flag(&skipBad), "settle": flag(&settle)})
	if err != nil {
		return Imported{}, err
	}
	i := importer{h: h, r: r, skipBad: skipBad, size: minStep, reading: new(step), done: Imported{Reasons: []Refused{}}}
	lines := bufio.NewReaderSize(r.Body, archive.MaxLine)
	for number := int64(1); ; number++ {
		line, err := lines.ReadSlice('\n')
		switch {
		case err == nil, err == io.EOF && len(line) > 0:
		case err == io.EOF:
			err := i.finish()
			if err == nil && settle {
				i.settle()
			}
			return i.done, err
		case errors.Is(err, bufio.ErrBufferFull):
			return Imported{}, errors.Join(i.finish(), liked.Errorf(liked.Invalid,
				"line %d is longer than %d bytes; what came before it was imported", number, archive.MaxLine))
		default:
			return Imported{}, errors.Join(i.finish(), &liked.Error{Kind: liked.Invalid, Msg: "the body ended early", Err: err})
		}
		if line = bytes.TrimSpace(line); len(line) == 0 {
			continue
		}
		rec, err := archive.Parse(line)
		if err == nil {
			err = archive.Ahead(rec, h.Now())
		}
		if err != nil {
			if finishErr := i.finish(); finishErr != nil {
				return Imported{}, finishErr
			}
			if !i.stopped {
				i.refuse(number, err)
			}
		} else {
			i.reading.records, i.reading.numbers = append(i.reading.records, rec), append(i.reading.numbers, number)
			i.reading.bytes += len(line)
			if len(i.reading.records) >= i.size || i.reading.bytes >= maxStepBytes {
				if err := i.flush(); err != nil {
					return Imported{}, err
				}
			}
		}
		if i.stopped {
			return i.done, nil
		}
	}
}

// importer reads a step while the store takes the one before.
type importer struct {
	h       *Handler
	r       *http.Request
	skipBad bool
	size    int           // of the next step
	base    time.Duration // the shortest step yet: mostly disk time
	reading *step
	taken   *step // by the store; nil: none
	stopped bool  // by a bad line
	done    Imported
}

type step struct {
	records []store.Record
	bytes   int     // of their lines
	numbers []int64 // of lines

	done chan struct{} // closed once the rest is set
	got  store.Imported
	took time.Duration
	err  error
}

// Likes wait for an import's step. While there are likes, a step takes about twice as long as the shortest, which is
// mostly disk time. Otherwise steps are longer, which is faster, but no longer than a like may wait that is the first
// for a while.
const (
	minStep, maxStep = 32, 4096 // records
	maxStepBytes     = 4 << 20  // and the line that reaches it
	alone            = 50 * time.Millisecond
)

// resize sets the next step's size from the time that n records took. A short step says little about a long one.
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
	i.size = max(minStep, min(maxStep, 16*n, int(int64(n)*int64(want)/int64(took))))
	return nil
}

// likeWatch detects likes being set or removed. Imports do not count: the like log does not have them.
type likeWatch struct {
	now func() time.Time // for durations: never stopped by a test

	mu            sync.Mutex
	ends          liked.Positions
	looked, moved time.Time // when the log was read, and had last grown
}

const (
	lookEvery = 20 * time.Millisecond
	quiet     = time.Second
)

// seen reports whether the log has grown within about the last second.
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
		if ends != w.ends { // also at the first look, which cannot tell
			w.ends, w.moved = ends, now
		}
	}
	return now.Sub(w.moved) < quiet, nil
}

// settle is about what was imported before, too. Without it reads are slower for a while.
func (i *importer) settle() {
	if err := i.h.Store.Settle(i.r.Context()); err != nil {
		i.h.Logger.Warn("admin: the store could not be put in order after an import", "err", err)
	}
}

func (i *importer) refuse(line int64, err error) {
	i.done.Refused++
	if len(i.done.Reasons) < MaxReasons {
		i.done.Reasons = append(i.done.Reasons, Refused{line, archive.Reason(err)})
	}
	i.stopped = !i.skipBad
}

// flush starts the step that was read, after the one before.
func (i *importer) flush() error {
	if err := i.wait(); err != nil || i.stopped || len(i.reading.records) == 0 {
		return err
	}
	s := i.reading
	s.done = make(chan struct{})
	i.taken, i.reading = s, new(step)
	go func() {
		defer close(s.done)
		begun := i.h.likes.now()
		s.got, s.err = i.h.Store.Import(i.r.Context(), s.records, i.skipBad)
		s.took = i.h.likes.now().Sub(begun)
	}()
	return nil
}

func (i *importer) wait() error {
	s := i.taken
	if s == nil {
		return nil
	}
	<-s.done
	i.taken = nil
	if s.err != nil {
		return fmt.Errorf("lines %d to %d: %w", s.numbers[0], s.numbers[len(s.numbers)-1], s.err)
	}
	i.done.Added += int64(s.got.Added)
	i.done.Kept += int64(s.got.Kept)
	for _, bad := range s.got.Refused {
		i.refuse(s.numbers[bad.Index], bad.Err)
	}
	return i.resize(len(s.numbers), s.took)
}

func (i *importer) finish() error {
	if err := i.flush(); err != nil {
		return err
	}
	return i.wait()
}
