package pebblestore

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// filterFile has the filter of likes with which the store was closed, so that the next start need not read all likes.
//
// A filter that lacks a like would lose it, so the file proves nothing by itself: it may be old, torn or another store's. What
// counts is the row under filterKey, which names the file by its content. It is the last that is written before a store is
// closed and gone before anything else is written to it, so that a database, from wherever it was brought, has either the row
// and exactly the likes of that moment, or no row.
const filterFile = "likes.filter"

// keptFilter is the value of filterKey. Other ways of placing likes need another key.
type keptFilter struct {
	Words, Likes int64
	Sum          [sha256.Size]byte // of the file: words, the least byte first
}

// keepFilter leaves the filter to the next start, if that would take long without it. It is the last to write.
func (s *Store) keepFilter() {
	now := s.filter.now.Load()
	if s.inMemory || s.readOnly || now == nil || now.likes.Load() < s.keepFrom {
		return
	}
	path := s.fs.PathJoin(s.dir, filterFile)
	err := s.roomFor("the filter of likes", 8*uint64(len(now.words)))
	if err == nil {
		err = s.apart(func() error { return s.writeFilter(path, now) })
	}
	if err != nil {
		_ = s.fs.Remove(path) // without its row it is of no use, and does no harm
		s.log.Warn("store: cannot keep the filter of likes, so that the next start reads all of them", "err", err)
	}
}

func (s *Store) writeFilter(path string, b *likeBits) error {
	kept := keptFilter{Words: int64(len(b.words)), Likes: b.likes.Load()}
	err := writeFile(s.fs, path, func(w io.Writer) error {
		sum := sha256.New()
		buffer := bufio.NewWriterSize(io.MultiWriter(sum, w), 64<<10)
		for i := range b.words {
			// An error comes again from Flush.
			_, _ = buffer.Write(binary.LittleEndian.AppendUint64(buffer.AvailableBuffer(), b.words[i].Load()))
		}
		err := buffer.Flush()
		sum.Sum(kept.Sum[:0])
		return err
	})
	if err != nil {
		return err
	}
	row, err := binary.Append(nil, binary.BigEndian, &kept)
	must(err)
	return s.db.Set(filterKey, row, pebble.Sync)
}

// takeFilter begins with the filter that the store was closed with, if there is one. It is the first to write.
func (s *Store) takeFilter() error {
	if s.inMemory || s.readOnly {
		return nil
	}
	kept, ok, err := read(s.db, filterKey, decodeKeptFilter)
	if err != nil {
		return err
	}
	path := s.fs.PathJoin(s.dir, filterFile)
	if ok {
		if err := s.db.Delete(filterKey, pebble.Sync); err != nil {
			return unavailable(err)
		}
		b, err := s.readFilter(path, kept)
		if err != nil {
			s.log.Warn("store: the filter of likes is not as it was kept, so that all are read", "err", err)
		}
		s.filter.now.Store(b)
	}
	if err := s.fs.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.log.Warn("store: a file is no longer needed, and cannot be removed", "err", err)
	}
	return nil
}

func decodeKeptFilter(value []byte) (k keptFilter, err error) {
	n, err := binary.Decode(value, binary.BigEndian, &k)
	if err != nil || n != len(value) || k.Words < 1 {
		return k, errRecord
	}
	return k, nil
}

// readFilter returns no filter if its words are more than there is memory for.
func (s *Store) readFilter(path string, kept keptFilter) (*likeBits, error) {
	if kept.Words > int64(s.filter.limit) {
		return nil, nil
	}
	f, err := s.fs.Open(path, vfs.SequentialReadsOption)
	if err != nil {
		return nil, err
	}
	b := &likeBits{words: make([]atomic.Uint64, kept.Words)}
	b.likes.Store(kept.Likes)
	sum := sha256.New()
	r := bufio.NewReaderSize(io.TeeReader(f, sum), 64<<10)
	var word [8]byte
	for i := range b.words {
		if _, err = io.ReadFull(r, word[:]); err != nil {
			break
		}
		b.words[i].Store(binary.LittleEndian.Uint64(word[:]))
	}
	if err == nil && !bytes.Equal(sum.Sum(nil), kept.Sum[:]) {
		err = fmt.Errorf("%s has another checksum", path)
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	return b, nil
}
