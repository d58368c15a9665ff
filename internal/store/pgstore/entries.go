package pgstore

import (
	"encoding/binary"
	"errors"
	"time"

	"liked"
)

// packEntries packs entries of one lane, in order: of each how far it is from the one before, by a lane's step, with the
// direction in the lowest bit; how far its time is from its position's; and three ids of 8 bytes.
func packEntries(entries []liked.LikeEvent) []byte {
	b := make([]byte, 0, 32*len(entries))
	before := entries[0].Seq
	for _, e := range entries {
		step := uint64(e.Seq-before) / laneStep << 1
		if e.On {
			step |= 1
		}
		before = e.Seq
		b = binary.AppendUvarint(b, step)
		b = binary.AppendVarint(b, e.At.UnixMilli()-int64(e.Seq>>20))
		b = binary.BigEndian.AppendUint64(b, uint64(e.User))
		b = binary.BigEndian.AppendUint64(b, uint64(e.Post))
		b = binary.BigEndian.AppendUint64(b, uint64(e.Author))
	}
	return b
}

var errEntries = errors.New("a row of the like log is damaged")

// unpackEntries appends what packEntries packed; first is the position of the first.
func unpackEntries(entries []liked.LikeEvent, first liked.Seq, b []byte) ([]liked.LikeEvent, error) {
	seq := first
	for len(b) > 0 {
		step, n := binary.Uvarint(b)
		if n <= 0 {
			return entries, errEntries
		}
		b = b[n:]
		late, n := binary.Varint(b)
		if n <= 0 || len(b) < n+24 {
			return entries, errEntries
		}
		b = b[n:]
		seq += liked.Seq(step >> 1 * laneStep)
		entries = append(entries, liked.LikeEvent{
			Seq: seq, On: step&1 == 1, At: time.UnixMilli(int64(seq>>20) + late).UTC(),
			User:   liked.UserID(binary.BigEndian.Uint64(b)),
			Post:   liked.PostID(binary.BigEndian.Uint64(b[8:])),
			Author: liked.UserID(binary.BigEndian.Uint64(b[16:])),
		})
		b = b[24:]
	}
	return entries, nil
}
