package pebblestore

import (
	"encoding/binary"
	"slices"
	"testing"
)

// chunks writes records as pebble does, each of them when those before it were on the disk, and returns where each begins.
func chunks(log uint32, header int, records [][]byte) (file []byte, starts []int) {
	for _, record := range records {
		if left := chunkBlock - len(file)%chunkBlock; left < header {
			file = append(file, make([]byte, left)...)
		}
		starts = append(starts, len(file))
		record = record[:min(len(record), chunkBlock-len(file)%chunkBlock-header)]
		b := make([]byte, header, header+len(record))
		binary.LittleEndian.PutUint16(b[4:], uint16(len(record)))
		b[6] = 1
		if header == walHeader {
			b[6] = 9
			binary.LittleEndian.PutUint32(b[7:], log)
			binary.LittleEndian.PutUint64(b[11:], uint64(len(file)))
		}
		b = append(b, record...)
		binary.LittleEndian.PutUint32(b, masked(b[6:]))
		file = append(file, b...)
	}
	return file, starts
}

// FuzzWALCheck: whatever a file holds, looking at it ends within it. One that was cut short anywhere is no damage, and one
// with a flipped bit before its last two chunks always is.
func FuzzWALCheck(f *testing.F) {
	f.Add([]byte("one two three four five"), []byte{3, 4, 6, 5, 5}, uint16(9), false)
	f.Add(slices.Repeat([]byte{1}, 33<<10), slices.Repeat([]byte{255}, 10), uint16(33000), true) // over the end of a block
	f.Add([]byte{0, 0, 0, 0, 0, 0, 1}, []byte{0, 0, 0}, uint16(0), true)
	f.Fuzz(func(t *testing.T, text, sizes []byte, place uint16, wal bool) {
		header, log := manifestHeader, uint32(7)
		if wal {
			header = walHeader
		}
		if at := broken(text, log, header); at < -1 || at > len(text) {
			t.Fatalf("%x breaks at %d", text, at)
		}
		var records [][]byte
		for _, size := range sizes[:min(len(sizes), 40)] {
			n := min(len(text), int(size)*16)
			records, text = append(records, text[:n]), text[n:]
		}
		file, starts := chunks(log, header, records)
		if at := broken(file, log, header); at != -1 {
			t.Fatalf("a whole file breaks at %d of %d: %x", at, len(file), file)
		}
		if len(starts) < 3 {
			return
		}
		cut := int(place) % len(file)
		if at := broken(file[:cut], log, header); at != -1 {
			t.Fatalf("cut at %d it breaks at %d: %x", cut, at, file)
		}
		flipped := slices.Clone(file)
		bit := int(place) % (starts[len(starts)-2] * 8)
		flipped[bit/8] ^= 1 << (bit % 8)
		first := slices.IndexFunc(starts, func(start int) bool { return start > bit/8 })
		if at := broken(flipped, log, header); at != starts[first-1] && !padding(file, starts, bit/8, header) {
			t.Fatalf("with bit %d flipped it breaks at %d, want %d: %x", bit, at, starts[first-1], file)
		}
	})
}

// padding reports whether the place is behind a chunk, at the end of a block, where nothing reads it.
func padding(file []byte, starts []int, place, header int) bool {
	for _, start := range slices.Backward(starts) {
		if start <= place {
			return place >= start+header+int(binary.LittleEndian.Uint16(file[start+4:]))
		}
	}
	return false
}
