package pebblestore

import (
	"math/bits"
	"sync/atomic"

	"liked"
)

// likeFilter knows of most likes that are not there that they are not, which spares a new like a look into the database.
// It is a Bloom filter with all bits of a like in one word. What is put into it stays: a like that was taken back, or more
// of them than there is room for, may make it say less, but never wrong.
type likeFilter struct {
	words []atomic.Uint64
	whole atomic.Bool // all likes that can be read are in it
}

// likesPerWord is how many likes have room. One in six of those that are not there then seems to be, one in thirty at half
// as many.
const likesPerWord = 16

// largestRow is more bytes than the row of a like takes in a table of many.
const largestRow = 40

func (f *likeFilter) init(bytes int) { f.words = make([]atomic.Uint64, max(bytes/8, 1)) }

// place returns the word of a like and its four bits.
func (f *likeFilter) place(id likeID) (*atomic.Uint64, uint64) {
	h := id.hash()
	word, _ := bits.Mul64(h, uint64(len(f.words)))
	h = mix(h)
	return &f.words[word], 1<<(h&63) | 1<<(h>>6&63) | 1<<(h>>12&63) | 1<<(h>>18&63)
}

// add must come before anybody is told that the like can be read.
func (f *likeFilter) add(id likeID) {
	word, mask := f.place(id)
	if word.Load()&mask != mask {
		word.Or(mask)
	}
}

// lacks reports whether the like is sure not to be there.
func (f *likeFilter) lacks(id likeID) bool {
	if !f.whole.Load() {
		return false
	}
	word, mask := f.place(id)
	return word.Load()&mask != mask
}

// fillFilter adds the likes that were there when the store was opened; the committer adds those since. Where there are too
// many the filter stays out of use. It is a call of the store, which enter has begun.
func (s *Store) fillFilter() {
	defer s.leave()
	n, room := 0, likesPerWord*len(s.filter.words)
	// To read so many for nothing would take long.
	if size, err := s.db.EstimateDiskUsage([]byte{tagLike}, []byte{tagLike + 1}); err == nil && size > uint64(room)*largestRow {
		return
	}
	err := scan(s.db, []byte{tagLike}, nil, func(key, _ []byte) (bool, error) {
		if n++; n%1024 == 0 {
			select {
			case <-s.closing:
				n = room + 1
			default:
			}
		}
		s.filter.add(likeID{liked.UserID(field(key, 0)), liked.PostID(field(key, 1))})
		return n <= room, nil
	})
	if err != nil {
		s.log.Warn("store: cannot read all likes; new ones will take longer", "err", err)
		return
	}
	s.filter.whole.Store(n <= room)
}
