package pebblestore

import (
	"context"
	"math/bits"
	"sync/atomic"
	"time"

	"liked"
)

// likeFilter knows most absent likes to be absent, which spares a new like a database read. It grows with the likes;
// with too many for its limit it is off until the store is reopened.
type likeFilter struct {
	limit int                      // most words
	least int                      // fewest words
	now   atomic.Pointer[likeBits] // has all readable likes; nil: no filter in use
	next  atomic.Pointer[likeBits] // being filled to replace now

	filling atomic.Bool // next is set, or is about to be
}

// likeBits is a Bloom filter with all bits of a like in one word. Bits are never cleared: likes taken back, or too many
// likes, make it less selective, never wrong.
type likeBits struct {
	words []atomic.Uint64
	likes atomic.Int64 // that changed a bit
}

const (
	// One in six absent likes passes at so many likes per word, one in thirty at half as many.
	likesPerWord = 16
	// A filter may be filled so far for lack of space, and is used until twice likesPerWord: over a third of absent
	// likes pass at first, over half in the end.
	likesPerWordFilled = 24

	leastWords  = 1 << 17
	growth      = 4  // factor
	smallestRow = 12 // bytes of a like's row in a large table, at least
	largestRow  = 40 // at most
)

func (f *likeFilter) init(bytes int) {
	f.limit = max(bytes/8, 1)
	f.least = min(leastWords, f.limit)
}

// place returns a like's word and its four bits.
func (b *likeBits) place(id likeID) (*atomic.Uint64, uint64) {
	h := id.hash()
	word, _ := bits.Mul64(h, uint64(len(b.words)))
	h = mix(h)
	return &b.words[word], 1<<(h&63) | 1<<(h>>6&63) | 1<<(h>>12&63) | 1<<(h>>18&63)
}

func (b *likeBits) add(id likeID) {
	word, mask := b.place(id)
	if word.Load()&mask != mask {
		word.Or(mask)
		b.likes.Add(1)
	}
}

func (b *likeBits) room(perWord int) int { return perWord * len(b.words) }

// add must be called after the like can be read and before its caller is answered.
func (f *likeFilter) add(id likeID) {
	next := f.next.Load() // before now, which it replaces
	if now := f.now.Load(); now != nil {
		now.add(id)
	}
	if next != nil {
		next.add(id)
	}
}

// lacks reports whether the like is certain not to exist.
func (f *likeFilter) lacks(id likeID) bool {
	now := f.now.Load()
	if now == nil {
		return false
	}
	word, mask := now.place(id)
	return word.Load()&mask != mask
}

// crowded reports whether to refill the filter. For the committer only.
func (f *likeFilter) crowded() bool {
	if f.filling.Load() { // first: now does not change while nothing is being filled
		return false
	}
	now := f.now.Load()
	if now == nil {
		return false
	}
	perWord := likesPerWord
	if len(now.words) == f.limit {
		perWord *= 2
	}
	return now.likes.Load() > int64(now.room(perWord))
}

// beginFilter fills the filter, unless the last process has left one.
func (s *Store) beginFilter() {
	if s.filter.now.Load() != nil {
		return
	}
	size, err := s.db.EstimateDiskUsage([]byte{tagLike}, []byte{tagLike + 1})
	if err != nil {
		size = 0 // reading them all will show the error
	}
	if size/largestRow > uint64(likesPerWordFilled*s.filter.limit) { // would take long, in vain
		return
	}
	s.fill(int(2 * size / smallestRow / likesPerWord))
}

func (s *Store) growFilter() { s.fill(growth * len(s.filter.now.Load().words)) }

// fill begins to refill, as a call that Close waits for.
func (s *Store) fill(words int) {
	if s.enter(context.Background()) != nil {
		return
	}
	s.filter.filling.Store(true)
	go func() {
		defer s.leave()
		defer s.filter.filling.Store(false)
		s.refill(words)
	}()
}

// refill replaces the filter by one of about so many words. The old one stays in use meanwhile, and if Close comes first.
func (s *Store) refill(words int) {
	defer s.filter.next.Store(nil)
	next := s.filter.begin(words)
	whole, err := s.readInto(next)
	for err == nil && !whole && len(next.words) < s.filter.limit && !s.isClosing() {
		next = s.filter.begin(growth * len(next.words))
		whole, err = s.readInto(next)
	}
	if err != nil {
		s.log.Warn("store: cannot read all likes; new ones will take longer", "err", err)
	}
	switch {
	case whole:
		s.filter.now.Store(next)
	case !s.isClosing():
		s.filter.now.Store(nil)
	}
}

// begin makes the next filter. The caller must add likes that can be read by now, the committer adds later ones.
func (f *likeFilter) begin(words int) *likeBits {
	next := &likeBits{words: make([]atomic.Uint64, min(max(words, f.least), f.limit))}
	f.next.Store(next)
	return next
}

// readInto adds all readable likes but those set meanwhile, and reports whether they had room.
func (s *Store) readInto(b *likeBits) (whole bool, err error) {
	n, room := 0, b.room(likesPerWordFilled)
	since := time.Now()
	err = scan(s.db, []byte{tagLike}, nil, func(key, _ []byte) (bool, error) {
		if n++; n%1024 == 0 {
			if s.isClosing() {
				n = room + 1
			} else if s.filter.now.Load() != nil { // no hurry
				time.Sleep(min(time.Since(since), longPiece))
				since = time.Now()
			}
		}
		b.add(likeID{liked.UserID(field(key, 0)), liked.PostID(field(key, 1))})
		return n <= room, nil
	})
	return err == nil && n <= room, err
}

func (s *Store) isClosing() bool {
	select {
	case <-s.closing:
		return true
	default:
		return false
	}
}
