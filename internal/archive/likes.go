package archive

import (
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

// Likes is what one person liked elsewhere.
type Likes struct {
	Format Format
	Owner  *liked.User // whose likes they are, if the archive has enough to make an account of; else nil
	items  []item
	newest bool // the newest like comes first
}

// item is one like as a service writes it down.
type item struct {
	where string
	post  liked.Post
	by    liked.User // stands in for the author
	at    time.Time  // zero: not told
	err   error      // why it is none
}

// Len is the number of likes, those that cannot be read included.
func (l *Likes) Len() int { return len(l.items) }

// Item is one like as records, or why it is none. Where is its place for people to read.
type Item struct {
	Where   string
	Records []store.Record
	Err     error
}

// Items makes records of the likes, oldest first: each a post with a stand-in for its author, both for Import to add
// only where they are missing, and the like. The same archive makes the same records.
//
// A service that does not tell when a like was made tells their order. Such a like gets the earliest time that fits: not
// before its post, and not before the like that came before it.
func (l *Likes) Items(user liked.UserID) iter.Seq[Item] {
	return func(yield func(Item) bool) {
		last := liked.Seq(1<<20 - 1) // the millisecond after 1970 began
		for i := range l.items {
			it := &l.items[i]
			if l.newest {
				it = &l.items[len(l.items)-1-i]
			}
			if it.err != nil {
				if !yield(Item{Where: it.where, Err: it.err}) {
					return
				}
				continue
			}
			seq, known := seqOf(it.at, 0)
			switch {
			case it.at.IsZero():
				created, _ := seqOf(it.post.CreatedAt, 0)
				seq = max(created, last+1)
				last = seq
			case !known:
				if !yield(Item{Where: it.where, Err: liked.Errorf(liked.Invalid, "liked at %v, which cannot be", it.at)}) {
					return
				}
				continue
			}
			post, by := it.post, it.by
			if !yield(Item{Where: it.where, Records: []store.Record{
				{Post: &store.Post{Post: post, By: &by}},
				{Like: &store.Like{User: user, Post: post.ID, Seq: seq}},
			}}) {
				return
			}
		}
	}
}

func (l *Likes) refuse(where, format string, args ...any) {
	l.items = append(l.items, item{where: where, err: liked.Errorf(liked.Invalid, format, args...)})
}

// ForeignID is the identifier here of what has an address elsewhere: the first 63 bits of the SHA-256 of the address
// with the highest one set. X's own identifiers stay below that until 2045.
func ForeignID(address string) int64 {
	sum := sha256.Sum256([]byte(address))
	return int64(binary.BigEndian.Uint64(sum[:])>>1 | 1<<62)
}

// standIn is an account for an author of whom an archive tells no more than where to find them. Its username is the
// letter of the service and the identifier in base 32.
func standIn(service, address, name string) liked.User {
	id := ForeignID(address)
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], uint64(id)<<1) // 63 bits and two zeros are 13 letters
	return liked.User{
		ID:          liked.UserID(id),
		Username:    service + "_" + strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(b[:])),
		Name:        shorten(name, 50),
		CreatedAt:   time.Unix(0, 0).UTC(), // not told
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

func numbered(file string, i int) string { return file + " like " + strconv.Itoa(i+1) }
