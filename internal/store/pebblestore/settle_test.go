package pebblestore

import (
	"context"
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"liked"
)

func TestMerge(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	s := open(t, testOptions(vfs.NewMem()))
	fill(t, s)
	rng := rand.New(rand.NewPCG(1, 2))
	likes := func() { // past the committer, with values so long that there are many tables
		for range 8 {
			b := s.db.NewBatch()
			for range 1000 {
				value := make([]byte, 1000)
				for i := range value {
					value[i] = byte(rng.Int())
				}
				must(b.Set(likeKey(nil, liked.UserID(rng.Int64()), liked.PostID(rng.Int64())), value, nil))
			}
			must(errors.Join(s.db.Apply(b, pebble.NoSync), b.Close()))
		}
		must(s.db.Flush())
	}
	aboveLast := func() uint64 {
		bytes, err := s.aboveLast()
		ok(t, err)
		return bytes
	}
	rows := func() (n int) {
		ok(t, scan(s.db, []byte{tagLike}, nil, func(_, _ []byte) (bool, error) { n++; return true, nil }))
		return n
	}
	for round := range 2 {
		above := uint64(0)
		for range 10 { // pebble compacts meanwhile, and may be faster
			likes()
			if above = aboveLast(); above > 0 {
				break
			}
		}
		want := rows()
		ok(t, s.merge(ctx, 1))
		levels, err := s.db.SSTables()
		ok(t, err)
		if parts := len(levels[len(levels)-1]); above == 0 || parts < 2 {
			t.Fatalf("round %d: got %d bytes above %d tables, which is too little to have tested anything", round, above, parts)
		}
		if left := aboveLast(); left > 0 {
			t.Errorf("round %d: of %d bytes above the last level %d are left", round, above, left)
		}
		if got := rows(); got != want {
			t.Errorf("round %d: got %d rows, want %d", round, got, want)
		}
	}
	likes()
	given, cancel := context.WithCancel(ctx)
	cancel()
	if err := s.merge(given, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("given up: got error %v", err)
	}
	ok(t, s.enter(ctx))
	closed := make(chan error)
	go func() { closed <- s.Close() }()
	<-s.closing
	if err := s.merge(ctx, 1); err != errClosed {
		t.Errorf("while the store closes: got error %v", err)
	}
	s.leave()
	ok(t, <-closed)

	s = open(t, testOptions(fullDisk{vfs.NewMem()}))
	if err := s.merge(ctx, 1); liked.KindOf(err) != liked.Unavailable {
		t.Errorf("on a disk that is all but full: got error %v", err)
	}
	ok(t, s.Close())
}
