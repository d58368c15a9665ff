package pebblestore

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// slowFile takes a time for each write.
type slowFile struct {
	vfs.File
	takes time.Duration
}

func (f slowFile) Write(b []byte) (int, error) {
	time.Sleep(f.takes)
	return len(b), nil
}

// What is written in the background rests, unless it is late, and does so again from the next memtable on.
func TestCompactionsRestUnlessLate(t *testing.T) {
	const pieces = 10
	for _, row := range []struct {
		name  string
		takes time.Duration
		do    func(*throttle)
		want  time.Duration
	}{
		{"in time", piece, func(p *throttle) { p.begin() }, pieces * (1 + restFor) * piece},
		{"smaller than a piece", piece / 2, func(p *throttle) { p.begin() }, pieces * (1 + restFor) * piece / 2},
		{"held up", time.Minute, func(p *throttle) { p.begin() }, pieces * (time.Minute + restFor*longPiece)},
		{"late", piece, func(p *throttle) { p.begin(); p.full() }, pieces * piece},
		{"late with one of two", piece, func(p *throttle) { p.begin(); p.begin(); p.full(); p.end() }, pieces * piece},
		{"a memtable after all was done", piece, func(p *throttle) { p.begin(); p.end(); p.full(); p.begin() }, pieces * (1 + restFor) * piece},
		{"a memtable after those that were late", piece, func(p *throttle) { p.begin(); p.full(); p.end(); time.Sleep(fast); p.full() },
			pieces * (1 + restFor) * piece},
		{"memtables one upon the other", piece, func(p *throttle) { p.full(); time.Sleep(fast - 1); p.full() }, pieces * piece},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var p throttle
				row.do(&p)
				start := time.Now()
				f := p.table(slowFile{takes: row.takes})
				for range pieces {
					if n, err := f.Write(make([]byte, 3)); n != 3 || err != nil {
						t.Errorf("wrote %d, %v", n, err)
					}
				}
				if took := time.Since(start); took != row.want {
					t.Errorf("%d writes took %s, want %s", pieces, took, row.want)
				}
			})
		})
	}
}
