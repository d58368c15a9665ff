package archive

import (
	"cmp"
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"iter"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"liked"
	"liked/internal/store"
)

// Likes are a user's likes on another service.
type Likes struct {
	Format Format
	Owner  *liked.User // nil: the archive has too little to make an account
	items  []item      // oldest first

	file  string // being read
	first int    // items before it
}

// item is a like as in an archive.
type item struct {
	where string
	post  liked.Post
	by    liked.User // stands in for the author
	seq   liked.Seq  // zero: unknown time
	err   error      // why it is not a like
}

func (l *Likes) add(it item, err error) {
	it.where = l.file + " like " + strconv.Itoa(len(l.items)-l.first+1)
	it.post.Author, it.err = it.by.ID, err
	l.items = append(l.items, it)
}

// own sets the account whose likes these are.
func (l *Likes) own(id liked.UserID, username, name string, created time.Time, url string) {
	l.Owner = &liked.User{ID: id, Username: username, Name: shorten(cmp.Or(name, username), 50), CreatedAt: created.UTC(), URL: url}
}

// Len counts the likes, unreadable ones included.
func (l *Likes) Len() int { return len(l.items) }

// Item is a like as records, or why it is not one. Where is its place, for people.
type Item struct {
	Where   string
	Records []store.Record
	Err     error
}

// Items makes records of the likes, oldest first: each a post with a stand-in for its author, which Import adds only
// if missing, and the like. The same archive makes the same records.
//
// A like without a time gets the earliest that is neither before its post nor before the previous like.
func (l *Likes) Items(user liked.UserID) iter.Seq[Item] {
	return func(yield func(Item) bool) {
		last := liked.Seq(1<<20 - 1) // last+1 is millisecond 1 of 1970
		for _, it := range l.items {
			made := Item{Where: it.where, Err: it.err}
			if it.err == nil {
				seq := it.seq
				if seq == 0 {
					created, _ := seqOf(it.post.CreatedAt, 0)
					seq = max(created, last+1)
					last = seq
				}
				made.Records = []store.Record{
					{Post: &store.Post{Post: it.post, By: &it.by}},
					{Like: &store.Like{User: user, Post: it.post.ID, Seq: seq}},
				}
			}
			if !yield(made) {
				return
			}
		}
	}
}

// ForeignID is the id here of an address elsewhere: the first 63 bits of its SHA-256, with the highest set. X's ids
// stay below that until 2045.
func ForeignID(address string) int64 {
	sum := sha256.Sum256([]byte(address))
	return int64(binary.BigEndian.Uint64(sum[:])>>1 | 1<<62)
}

// standIn is an account for an author known only by address. Its username is the service's letter and the id in base
// 32.
func standIn(service, address, name string) liked.User {
	id := ForeignID(address)
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], uint64(id)<<1) // 63 bits and two zeros are 13 letters
	return liked.User{
		ID:          liked.UserID(id),
		Username:    service + "_" + strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(b[:])),
		Name:        shorten(name, 50),
		CreatedAt:   time.Unix(0, 0).UTC(), // unknown
		Description: "Stands in for an author elsewhere; made by an import.",
		URL:         address,
	}
}

func shorten(s string, characters int) string {
	if utf8.RuneCountInString(s) <= characters {
		return s
	}
	return string([]rune(s)[:characters-1]) + "…"
}
