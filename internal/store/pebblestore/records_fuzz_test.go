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
		fields(t, "user", value, liked.User{ID: 1}, userFields)
		fields(t, "post", value, liked.Post{ID: 1}, postFields)
		again(t, "tombstone", value, decodePostHead, func(h *postHead) []byte {
			if h.deleted {
				return encodeTombstone(h.author, h.repostOf)
			}
			return value
		})
		again(t, "counts", value, decodeCounts, func(c *counts) []byte { return c.append(nil) })
		again(t, "event", value, func(b []byte) (liked.LikeEvent, error) { return decodeEvent(1<<40, b) },
			func(e *liked.LikeEvent) []byte { return appendEvent(nil, e) })
		again(t, "id", value, decodeID, func(n *uint64) []byte { return encodeID(*n) })
		fields(t, "app", value, store.App{App: liked.App{ID: 1}}, appFields)
		fields(t, "grant", value, store.Grant{}, grantFields)
		fields(t, "token", value, token{}, tokenFields)
		fields(t, "code", value, code{Code: store.Code{Code: h}}, codeFields)
		fields(t, "request token", value, store.RequestToken{Token: h}, requestTokenFields)
		fields(t, "session", value, store.Session{ID: h}, sessionFields)
		again(t, "webhook", value, func(b []byte) (liked.Webhook, error) { return decodeWebhook(1, b) }, encodeWebhook)
		again(t, "subscription", value, func(b []byte) (liked.Subscription, error) { return decodeSubscription(1, 2, b) }, encodeSubscription)
		again(t, "progress", value, decodeProgress, encodeProgress)
		again(t, "dead letter", value, func(b []byte) (store.DeadLetter, error) { return decodeDeadLetter(1, 1<<40, 2, b) }, encodeDeadLetter)

		// Of these the values are written elsewhere, beside what they belong to.
		_, errUser := decode(value, liked.User{ID: 1}, userFields)
		if _, err := decodeUserHead(value); err != nil && errUser == nil {
			t.Errorf("the flags of a user that can be read: %v", err)
		}
		_, _ = decodeLike(value)
		_, _ = decodeWindows(value)
		_, _ = decodeNonces(appendNonceKey(nil, keptNonce{}), value)
	})
}

func fields[R any](t *testing.T, name string, value []byte, v R, f func(*record, *R)) {
	t.Helper()
	again(t, name, value, reading(v, f), func(v *R) []byte { return encode(v, f) })
}

// again holds a record that can be read to what is written of it.
func again[R any](t *testing.T, name string, value []byte, decode func([]byte) (R, error), encode func(*R) []byte) {
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
