package archive

import (
	"bytes"
	"encoding/json"
	"io"
	"strings"
	"time"

	"liked"
)

// A like on Bluesky is a record of the lexicon app.bsky.feed.like: {"subject": {"uri", "cid"}, "createdAt"}. Tools
// write responses of com.atproto.repo.listRecords, {"records": [{"uri", "cid", "value": {…}}], "cursor"}, an array of
// such records or of their values, one of these per line, or a file each in a folder app.bsky.feed.like. The service's
// CAR file is not read.
//
// The subject is at://DID/app.bsky.feed.post/RKEY; the key is mostly a timestamp (AT Protocol, TID).

type blueskyRecord struct {
	// One of these is set.
	Records []json.RawMessage `json:"records"`
	Value   *blueskyLike      `json:"value"`
	blueskyLike
}

type blueskyLike struct {
	Subject *struct {
		URI string `json:"uri"`
	} `json:"subject"`
	CreatedAt string `json:"createdAt"`
}

func (l *Likes) bluesky(text []byte) error {
	for d := json.NewDecoder(bytes.NewReader(text)); ; {
		var raw json.RawMessage
		if err := d.Decode(&raw); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		if err := l.blueskyValue(raw, 0); err != nil {
			return err
		}
	}
}

func (l *Likes) blueskyValue(raw json.RawMessage, depth int) error {
	var list []json.RawMessage
	if json.Unmarshal(raw, &list) != nil {
		var r blueskyRecord
		if err := json.Unmarshal(raw, &r); err != nil {
			return liked.Errorf(liked.Invalid, "neither records of likes nor an archive: %v", err)
		}
		if list = r.Records; list == nil {
			like := r.blueskyLike
			if r.Value != nil {
				like = *r.Value
			}
			if like.Subject == nil && len(l.items) == 0 && depth == 0 {
				return liked.Errorf(liked.Invalid, "it starts with no record of a like")
			}
			l.add(like.item())
			return nil
		}
	}
	if depth > 1 {
		return liked.Errorf(liked.Invalid, "lists of lists of lists")
	}
	for _, r := range list {
		if err := l.blueskyValue(r, depth+1); err != nil {
			return err
		}
	}
	return nil
}

func (l *blueskyLike) item() (it item, err error) {
	if l.Subject == nil {
		return it, liked.Errorf(liked.Invalid, "it has no subject")
	}
	at, err := time.Parse(time.RFC3339, l.CreatedAt)
	if err != nil {
		return it, liked.Errorf(liked.Invalid, "createdAt %q is no time", l.CreatedAt)
	}
	rest, ok := strings.CutPrefix(l.Subject.URI, "at://")
	segments := strings.Split(rest, "/")
	if !ok || len(segments) != 3 || !strings.HasPrefix(segments[0], "did:") || segments[2] == "" || strings.ContainsRune(rest, 0) {
		return it, liked.Errorf(liked.Invalid, "%q is not the address of a post", l.Subject.URI)
	}
	did, collection, key := segments[0], segments[1], segments[2]
	if collection != "app.bsky.feed.post" {
		return it, liked.Errorf(liked.Invalid, "it is a like of a record of %s, not of a post", collection)
	}
	if it.seq, ok = seqOf(at, 0); !ok {
		return it, liked.Errorf(liked.Invalid, "liked at %v, which cannot be", at)
	}
	profile := "https://bsky.app/profile/" + did
	it.post = liked.Post{ID: liked.PostID(ForeignID(l.Subject.URI)), Text: profile + "/post/" + key, CreatedAt: at.UTC()}
	if created, ok := tid(key); ok {
		it.post.CreatedAt = created
	}
	it.by = standIn("b", profile, did)
	return it, nil
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
