package api

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"math/big"
	"strings"

	"liked"
	"liked/internal/store"
)

// A pagination token is a sealed store.Cursor in X's shape: lower-case base 36, 45 characters, the first 7 constant.
// It is complete, so it is good on any server with the key, for any page size, at any age, but only for its list.
//
// Sealing is deterministic (a synthetic IV as in RFC 5297, both times with HMAC-SHA-256): the tag is the MAC of list
// and place, the place is masked by the MAC of the tag. A client can neither forge a token nor read when a user liked
// a post.
const (
	tokenPrefix = "7140dib"
	tokenDigits = 38 // of base 36, enough for tokenSize
	tokenSize   = tagSize + placeSize
	tagSize     = 15
	placeSize   = 9 // the direction, then the position
)

// list is a paged list: its kind, and its owner.
type list struct {
	name  string
	owner int64
}

func (a *API) token(l list, c store.Cursor) string {
	if c == (store.Cursor{}) {
		return ""
	}
	var b [tokenSize]byte
	if c.Newer {
		b[tagSize] = 1
	}
	binary.BigEndian.PutUint64(b[tagSize+1:], uint64(c.Seq))
	copy(b[:tagSize], a.tag(l, b[tagSize:]))
	a.mask(&b)
	digits := new(big.Int).SetBytes(b[:]).Text(36)
	return tokenPrefix + strings.Repeat("0", tokenDigits-len(digits)) + digits
}

func (a *API) cursor(l list, token string) (c store.Cursor, ok bool) {
	digits, ok := strings.CutPrefix(token, tokenPrefix)
	if !ok || len(digits) != tokenDigits || strings.Trim(digits, "0123456789abcdefghijklmnopqrstuvwxyz") != "" {
		return c, false
	}
	n, ok := new(big.Int).SetString(digits, 36)
	if !ok || n.BitLen() > 8*tokenSize {
		return c, false
	}
	var b [tokenSize]byte
	n.FillBytes(b[:])
	a.mask(&b)
	if !hmac.Equal(b[:tagSize], a.tag(l, b[tagSize:])) {
		return c, false
	}
	return store.Cursor{Seq: liked.Seq(binary.BigEndian.Uint64(b[tagSize+1:])), Newer: b[tagSize] == 1}, true
}

func (a *API) tag(l list, place []byte) []byte {
	text := binary.BigEndian.AppendUint64([]byte(l.name+"\x00"), uint64(l.owner))
	return a.mac("tag", append(text, place...))[:tagSize]
}

func (a *API) mask(b *[tokenSize]byte) {
	for i, m := range a.mac("mask", b[:tagSize])[:placeSize] {
		b[tagSize+i] ^= m
	}
}

func (o *Options) mac(use string, text []byte) []byte {
	h := hmac.New(sha256.New, o.PageKey[:])
	h.Write([]byte(use + "\x00")) // never fails
	h.Write(text)
	return h.Sum(nil)
}
