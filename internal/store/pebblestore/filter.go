package pebblestore

import (
	"context"
	"math/bits"
	"sync/atomic"
	"time"

	"liked"
)

// likeFilter knows of most likes that are not there that they are not, which spares a new like a look into the database.
// It grows with the likes up to a limit. Where there are too many for that it is out of use until the store is opened again.
type likeFilter struct {
	limit int                      // words, at most
	least int                      // words, at least
	now   atomic.Pointer[likeBits] // has all likes that can be read; nil: there is none that has
	next  atomic.Pointer[likeBits] // is being filled to take its place

	filling atomic.Bool // there is a next one, or will be at once
}

// likeBits is a Bloom filter with all bits of a like in one word. What is put into it stays: a like that was taken back, or
// more of them than there is room for, may make it say less, but never wrong.
type likeBits struct {
	words []atomic.Uint64
	likes atomic.Int64 // that changed a bit
}

const (
	// With so many likes for each word, one in six of those that are not there seems to be; with half of them one in thirty.
	likesPerWord = 16
	// What is filled may have so many for want of room, and is in use until it has twice likesPerWord: more than a third of
	// those that are not there seem to be, then more than half.
	likesPerWordFilled = 24

	leastWords  = 1 << 17
	growth      = 4  // times what there was
	smallestRow = 12 // bytes that the row of a like takes in a table of many, at least
	largestRow  = 40 // at most
)

func (f *likeFilter) init(bytes int) {
	f.limit = max(bytes/8, 1)
	f.least = min(leastWords, f.limit)
}

// place returns the word of a like and its four bits.
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

// add must come after the like can be read, and before its caller is told so.
func (f *likeFilter) add(id likeID) {
	next := f.next.Load() // first, since it becomes now
	if now := f.now.Load(); now != nil {
		now.add(id)
	}
	if next != nil {
		next.add(id)
	}
}

// lacks reports whether the like is sure not to be there.
func (f *likeFilter) lacks(id likeID) bool {
	now := f.now.Load()
	if now == nil {
		return false
	}
	word, mask := now.place(id)
	return word.Load()&mask != mask
}

// crowded reports whether the filter should be filled anew, larger if it may be. It is the committer's to ask.
func (f *likeFilter) crowded() bool {
	if f.filling.Load() { // first: now stays as it is while nothing is being filled
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

// beginFilter begins the first filling, of a size for the likes that are there.
func (s *Store) beginFilter() {
	size, err := s.db.EstimateDiskUsage([]byte{tagLike}, []byte{tagLike + 1})
	if err != nil {
		size = 0 // reading them all will show what is wrong
	}
	if size/largestRow > uint64(likesPerWordFilled*s.filter.limit) { // to read so many for nothing would take long
		return
	}
	s.fill(int(2 * size / smallestRow / likesPerWord))
}

// growFilter begins to fill another one for likes that have become many.
func (s *Store) growFilter() { s.fill(growth * len(s.filter.now.Load().words)) }

// fill begins to fill a filter of so many words, give or take, in a call of the store's own. One that is in use stays so
// meanwhile.
func (s *Store) fill(words int) {
	if s.enter(context.Background()) != nil {
		return
	}
	s.filter.filling.Store(true)
	go func() {
		defer s.leave()
		defer s.filter.filling.Store(false)
		next := s.filter.begin(words)
		whole, err := s.readInto(next)
		for err == nil && !whole && len(next.words) < s.filter.limit && !s.isClosing() {
			next = s.filter.begin(growth * len(next.words))
			whole, err = s.readInto(next)
		}
		if err != nil {
			s.log.Warn("store: cannot read all likes; new ones will take longer", "err", err)
		}
		if !whole {
			next = nil
		}
		s.filter.now.Store(next)
		s.filter.next.Store(nil)
	}()
}

// begin makes the filter that is to be filled next. Likes that can be read by now must be added to it, all later ones will be.
func (f *likeFilter) begin(words int) *likeBits {
	next := &likeBits{words: make([]atomic.Uint64, min(max(words, f.least), f.limit))}
	f.next.Store(next)
	return next
}

// readInto adds all likes that can be read. It reports whether they have room; whatever is set meanwhile the committer adds.
func (s *Store) readInto(b *likeBits) (whole bool, err error) {
	n, room := 0, b.room(likesPerWordFilled)
	since := time.Now()
	err = scan(s.db, []byte{tagLike}, nil, func(key, _ []byte) (bool, error) {
		if n++; n%1024 == 0 {
			if s.isClosing() {
				n = room + 1
			} else if s.filter.now.Load() != nil { // there is no hurry
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
