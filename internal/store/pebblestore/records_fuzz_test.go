package pebblestore

import (
	"errors"
	"os"
	"reflect"
	"testing"

	"liked"
	"liked/internal/store"
)

// FuzzRecords reads any bytes as a record of every kind. They are refused as damaged, or are a record that is written so
// that it reads the same again; nothing panics, and no length in them makes the reader take memory that they do not have.
func FuzzRecords(f *testing.F) {
	if seeds, err := os.ReadDir("testdata/fuzz/FuzzRecords"); err != nil || len(seeds) == 0 {
		f.Fatalf("no seeds in testdata: %v", err)
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		var h store.Hash
		again(t, userRow(1), value)
		again(t, postRow(1), value)
		bothWays(t, "counts", value, decodeCounts, func(c *counts) []byte { return c.append(nil) })
		bothWays(t, "event", value, func(b []byte) (liked.LikeEvent, error) { return decodeEvent(1<<40, b) },
			func(e *liked.LikeEvent) []byte { return appendEvent(nil, e) })
		bothWays(t, "id", value, decodeID, func(n *uint64) []byte { return encodeID(*n) })
		again(t, appRow(1), value)
		again(t, grantRow(store.GrantID{}), value)
		again(t, tokenRow(kindAccess, h), value)
		again(t, codeRow(h), value)
		again(t, requestTokenRow(h), value)
		again(t, sessionRow(h), value)
		again(t, webhookRow(1), value)
		again(t, subscriptionRow(1, 2), value)
		again(t, progressRow(1), value)
		again(t, letterRow(1, 1<<40, 2), value)

		// Of these the values are written elsewhere, beside what they belong to.
		_, errUser := userRow(1).decode(value)
		if _, err := decodeUserHead(value); err != nil && errUser == nil {
			t.Errorf("the flags of a user that can be read: %v", err)
		}
		_, _ = decodeLike(value)
		_, _ = decodeWindows(value)
		_, _ = decodeNonces(appendNonceKey(nil, keptNonce{}), value)
	})
}

func again[R any](t *testing.T, w row[R], value []byte) {
	t.Helper()
	bothWays(t, w.what, value, w.decode, w.encode)
}

// bothWays holds a record that can be read to what is written of it.
func bothWays[R any](t *testing.T, name string, value []byte, decode func([]byte) (R, error), encode func(*R) []byte) {
	t.Helper()
	first, err := decode(value)
	if err != nil {
		if !errors.Is(err, errRecord) {
			t.Errorf("%s: got error %v, want %v", name, err, errRecord)
		}
		return
	}
	second, err := decode(encode(&first))
	if err != nil || !reflect.DeepEqual(first, second) {
		t.Errorf("%s %x: read as %+v, written and read as %+v, %v", name, value, first, second, err)
	}
}
