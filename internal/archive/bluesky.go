package archive

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/fxamacker/cbor/v2"

	"liked"
)

// A like on Bluesky is a record of the lexicon app.bsky.feed.like: {"subject": {"uri", "cid"}, "createdAt"}. Tools
// write responses of com.atproto.repo.listRecords, {"records": [{"uri", "cid", "value": {…}}], "cursor"}, an array of
// such records or of their values, one of these per line, or a file each in a folder app.bsky.feed.like. The service
// itself gives a CAR file.
//
// The subject is at://DID/app.bsky.feed.post/RKEY; the key is mostly a timestamp (AT Protocol, TID).

const likeType = "app.bsky.feed.like"

// blueskyLike takes a record or its value. That it is a like, its type says, its address, or the folder of the file.
func (r *reader) blueskyLike(v value) (l like, err error) {
	types := []string{v.member("$type")}
	if v.has("value") {
		if _, at, ok := strings.Cut(v.member("uri"), "at://"); ok {
			_, at, _ = strings.Cut(at, "/")
			collection, _, _ := strings.Cut(at, "/")
			types = append(types, collection)
		}
		v = v.object("value")
		types = append(types, v.member("$type"))
	}
	if strings.Contains(r.where, likeType+"/") {
		types = append(types, likeType)
	}
	told := false
	for _, t := range types {
		if t != "" && t != likeType {
			return l, fmt.Errorf("it is a record of %s, not a like", t)
		}
		told = told || t != ""
	}
	if !told {
		return l, fmt.Errorf("it does not say that it is a like: it has no $type %q", likeType)
	}
	return r.blueskySubject(v.object("subject").member("uri"), v.member("createdAt"))
}

func (r *reader) blueskySubject(uri, created string) (l like, err error) {
	if uri == "" {
		return l, fmt.Errorf("it has no subject")
	}
	rest, ok := strings.CutPrefix(uri, "at://")
	segments := strings.Split(rest, "/")
	if !ok || len(segments) != 3 || !strings.HasPrefix(segments[0], "did:") || segments[2] == "" || strings.ContainsRune(rest, 0) {
		return l, fmt.Errorf("%q is not the address of a post", uri)
	}
	did, collection, key := segments[0], segments[1], segments[2]
	if collection != "app.bsky.feed.post" {
		return l, fmt.Errorf("it is a like of a record of %s, not of a post", collection)
	}
	profile := "https://bsky.app/profile/" + did
	l = like{Post: liked.PostID(ForeignID(uri)), Text: profile + "/post/" + key, Service: "b", Author: profile, Name: did}
	at, err := time.Parse(time.RFC3339, created)
	if at = r.told(at); err == nil {
		l.At, _ = seqOf(at, 0)
		l.Created = at
	}
	if made, ok := tid(key); ok && r.told(made).Unix() > 0 {
		l.Created = made
	}
	return l, nil
}

// A CAR file (Content Addressable aRchives, version 1) is a header and blocks, each behind its length. A block of a
// repository is DAG-CBOR: a commit, a node of the tree, or a record. The service gives only records that are there, so
// the tree need not be followed.

// maxBlock is what the protocol allows a block, and more.
const maxBlock = 2 << 20

func isCAR(start []byte) bool {
	size, n := binary.Uvarint(start)
	return n > 0 && size < 256 && len(start) > n && start[n]&0xe0 == 0xa0 && // a map
		bytes.Contains(start, []byte("eroots")) && bytes.Contains(start, []byte("gversion"))
}

// A block begins with its CID: version 1, DAG-CBOR (0x71) or raw bytes (0x55), SHA-256 (0x12) of 32 bytes (0x20).
const cidSize = 4 + sha256.Size

func (r *reader) car(in *bufio.Reader) error {
	cut := func() error {
		return fmt.Errorf("%s: the CAR file is damaged or cut off behind like %d: get it again", r.where, r.found)
	}
	for blocks := 0; ; blocks++ {
		size, err := binary.ReadUvarint(in)
		if err == io.EOF && blocks > 0 {
			return r.is(bluesky)
		}
		if err != nil || size > maxBlock {
			return cut()
		}
		if r.left -= int64(size); r.left < 0 {
			return fmt.Errorf("%s: %v", r.where, errLarge)
		}
		block := make([]byte, size)
		if _, err := io.ReadFull(in, block); err != nil {
			return cut()
		}
		if blocks == 0 {
			continue // the header
		}
		if len(block) < cidSize || block[0] != 1 || block[2] != 0x12 || block[3] != sha256.Size ||
			sha256.Sum256(block[cidSize:]) != [sha256.Size]byte(block[4:cidSize]) {
			return cut()
		}
		var record struct {
			Type    string `cbor:"$type"`
			Subject struct {
				URI string `cbor:"uri"`
			} `cbor:"subject"`
			CreatedAt string `cbor:"createdAt"`
		}
		// Other blocks have other members, and members of other types.
		if _ = cbor.Unmarshal(block[cidSize:], &record); record.Type != likeType {
			continue
		}
		err = r.add(bluesky, value{}, func(value) (like, error) { return r.blueskySubject(record.Subject.URI, record.CreatedAt) })
		if err != nil {
			return err
		}
	}
}

// tid reads the time in an AT Protocol TID: 13 base-32 letters for 53 bits of microseconds since 1970 and a 10-bit
// clock id.
func tid(key string) (time.Time, bool) {
	const letters = "234567abcdefghijklmnopqrstuvwxyz"
	if len(key) != 13 {
		return time.Time{}, false
	}
	var n uint64
	for i := range len(key) {
		v := strings.IndexByte(letters, key[i])
		if v < 0 || i == 0 && v > 7 {
			return time.Time{}, false
		}
		n = n<<5 | uint64(v)
	}
	return time.UnixMicro(int64(n >> 10)).UTC(), true
}
