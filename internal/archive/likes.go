package archive

import (
	"bufio"
	"cmp"
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"liked"
	"liked/internal/store"
)

// like is a like as another service tells it.
type like struct {
	Post    liked.PostID
	Text    string
	Created time.Time // of the post; 1970: not told
	At      liked.Seq // 0: not told
	Service string    // its letter
	Author  string    // the address
	Name    string    // of the author
	Where   string
	Refused string // why it is no like
}

// told returns the time if it can be. One that cannot be counts as not told.
func (r *reader) told(t time.Time) time.Time {
	if _, ok := seqOf(t, 0); !ok || t.After(r.Now.Add(maxAhead)) {
		return time.Unix(0, 0).UTC()
	}
	return t.UTC()
}

// own sets the account whose likes these are.
func (r *reader) own(id liked.UserID, username, name, created, url string) {
	at, _ := time.Parse(time.RFC3339, created)
	r.owner = &liked.User{ID: id, Username: username, Name: cmp.Or(shorten(name, 50), username), CreatedAt: r.told(at), URL: url}
}

// add keeps the like of v, or why it is none.
func (r *reader) add(format string, v value, likeOf func(value) (like, error)) error {
	if err := r.is(format); err != nil {
		return err
	}
	l, err := likeOf(v)
	if err != nil {
		l = like{Refused: Reason(err)}
		if r.bad++; r.bad > maxBad {
			return fmt.Errorf("%s: more than %d entries are no likes, the last because: %s", r.where, maxBad, l.Refused)
		}
	}
	r.found++
	l.Where, l.Created = fmt.Sprintf("%s: like %d", r.where, r.found), r.told(l.Created)
	return r.keep(r.where, l)
}

// spool keeps likes in a temporary file: they must come in the order of their times, and none before all could be read.
type spool struct {
	f     *temp
	w     *bufio.Writer
	ends  []int64 // of the entries in f
	files []span
}

// span is the entries of one file of an archive.
type span struct {
	part     int // in like-part1.js
	name     string
	from, to int
}

var part = regexp.MustCompile(`like-part(\d{1,6})\.js`)

func (s *spool) keep(file string, l like) (err error) {
	if s.f == nil {
		if s.f, err = tempFile(); err != nil {
			return err
		}
		s.w = bufio.NewWriterSize(s.f, 64<<10)
		s.ends = []int64{0}
	}
	n := len(s.ends)
	if n > maxLikes {
		return fmt.Errorf("%s: more than %d likes", file, maxLikes)
	}
	if last := len(s.files) - 1; last < 0 || s.files[last].name != file {
		number := 0
		if m := part.FindStringSubmatch(path.Base(file)); m != nil {
			number, _ = strconv.Atoi(m[1])
		}
		s.files = append(s.files, span{number, file, n, n})
	}
	s.files[len(s.files)-1].to = n + 1
	text, err := json.Marshal(l)
	if err == nil {
		_, err = s.w.Write(text)
	}
	s.ends = append(s.ends, s.ends[n-1]+int64(len(text)))
	return err
}

// each goes through the likes, oldest first: X has the newest first.
func (s *spool) each(newestFirst bool, f func(like) error) error {
	slices.SortStableFunc(s.files, func(a, b span) int { return cmp.Or(a.part-b.part, strings.Compare(a.name, b.name)) })
	if newestFirst {
		slices.Reverse(s.files)
	}
	err := s.w.Flush()
	for _, file := range s.files {
		for n := file.from; err == nil && n < file.to; n++ {
			i := n
			if newestFirst {
				i = file.from + file.to - 1 - n
			}
			var l like
			text := make([]byte, s.ends[i]-s.ends[i-1])
			if _, err = s.f.ReadAt(text, s.ends[i-1]); err == nil {
				err = json.Unmarshal(text, &l)
			}
			if err == nil {
				err = f(l)
			}
		}
	}
	return err
}

// emit hands on the likes that were kept: each a record with its post, and a stand-in for the author of that. The store
// adds what of it is missing.
//
// A like without a time gets the earliest that is neither before its post nor before the previous such like.
func (r *reader) emit() error {
	switch {
	case r.format == ours || r.format == "" && r.empty:
		return nil
	case r.f == nil:
		return fmt.Errorf("%s: no likes in it; %s", r.name, known)
	case r.User == 0 && r.owner == nil:
		return fmt.Errorf("%s does not tell whose likes these are: give --user, or the whole archive", r.name)
	case r.User == 0:
		r.User = r.owner.ID
		line, err := Append(nil, store.Record{User: r.owner})
		if err == nil {
			err = r.Each(Item{Where: r.name + ": its owner", Line: line, Owner: true})
		}
		if err != nil {
			return err
		}
	}
	last := liked.Seq(1<<20 - 1) // last+1 is millisecond 1 of 1970
	of := int64(len(r.ends) - 1)
	var line []byte
	var done, good int64
	err := r.each(r.format == ofX, func(l like) (err error) {
		done++
		item := Item{Where: l.Where, Done: done, Of: of}
		if l.Refused != "" {
			item.Err = errors.New(l.Refused)
			return r.Each(item)
		}
		good++
		seq := l.At
		if seq == 0 {
			created, _ := seqOf(l.Created, 0)
			seq = max(created, last+1)
			last = seq
		}
		by := standIn(l.Service, l.Author, l.Name)
		post := &store.Post{Post: liked.Post{ID: l.Post, Author: by.ID, Text: l.Text, CreatedAt: l.Created}, By: &by}
		line, err = Append(line[:0], store.Record{Like: &store.Like{User: r.User, Post: l.Post, Seq: seq, With: post}})
		if err != nil {
			return err
		}
		item.Line = line
		return r.Each(item)
	})
	if err == nil && good == 0 {
		err = fmt.Errorf("%s: no likes in it: none of its %d entries is one", r.name, of)
	}
	return err
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

// shorten also drops what no name may have here.
func shorten(s string, characters int) string {
	s, _ = liked.Seen(s)
	s = strings.TrimSpace(s)
	if utf8.RuneCountInString(s) <= characters {
		return s
	}
	return string([]rune(s)[:characters-1]) + "…"
}

// temp is a file that ends with what needs it.
type temp struct{ *os.File }

func tempFile() (*temp, error) {
	f, err := os.CreateTemp("", "liked-import-*")
	if err != nil {
		return nil, fmt.Errorf("an import needs room for a temporary file: %w", err)
	}
	return &temp{f}, nil
}

func (t *temp) discard() {
	if t != nil {
		_ = errors.Join(t.Close(), os.Remove(t.Name()))
	}
}
