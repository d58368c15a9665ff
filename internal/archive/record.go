// Package archive reads and writes likes as files. [Append] and [Parse] use the server's own format, one JSON object
// per line; [Read] takes files as people have them: these records, and the archives of X, Mastodon and Bluesky.
package archive

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"liked"
	"liked/internal/store"
	"liked/internal/strictjson"
)

// Record is the content of a line.
type Record = store.Record

// MaxLine is the maximum length of a line, in bytes.
const MaxLine = 1 << 20

const timeFormat = "2006-01-02T15:04:05.000Z"

// kinds are the types of lines.
var kinds = []string{"user", "post", "block", "follow", "like"}

type stamp time.Time

func (t stamp) MarshalText() ([]byte, error) {
	return time.Time(t).UTC().AppendFormat(nil, timeFormat), nil
}

func (t *stamp) UnmarshalText(text []byte) error {
	parsed, err := time.Parse(time.RFC3339, string(text))
	if err != nil {
		return fmt.Errorf("%q is not a time such as 2024-05-01T12:00:00.000Z", text)
	}
	*t = stamp(parsed.UTC())
	return nil
}

// record returns an error if a member without a default is missing.
type line interface{ record() (store.Record, error) }

type userLine struct {
	Type            string             `json:"type,omitempty"`
	ID              liked.UserID       `json:"id"`
	Username        string             `json:"username"`
	Name            string             `json:"name"`
	CreatedAt       *stamp             `json:"created_at"`
	State           liked.AccountState `json:"state"`
	Protected       bool               `json:"protected,omitempty"`
	Verified        bool               `json:"verified,omitempty"`
	Description     string             `json:"description,omitempty"`
	Location        string             `json:"location,omitempty"`
	URL             string             `json:"url,omitempty"`
	ProfileImageURL string             `json:"profile_image_url,omitempty"`
	PinnedPost      liked.PostID       `json:"pinned_post_id,omitempty"`
}

type postLine struct {
	Type      string       `json:"type,omitempty"`
	ID        liked.PostID `json:"id"`
	Author    liked.UserID `json:"author_id"`
	Deleted   bool         `json:"deleted,omitempty"`
	Text      string       `json:"text,omitempty"`
	CreatedAt *stamp       `json:"created_at,omitempty"`
	RepostOf  liked.PostID `json:"repost_of,omitempty"`
	InReplyTo liked.PostID `json:"in_reply_to,omitempty"`
	Quotes    liked.PostID `json:"quotes,omitempty"`
	Thread    liked.PostID `json:"conversation_id,omitempty"`
	Answered  liked.UserID `json:"in_reply_to_user_id,omitempty"`
	By        *userLine    `json:"author,omitempty"`
}

type relationLine struct {
	Type string       `json:"type"`
	From liked.UserID `json:"user_id"`
	To   liked.UserID `json:"target_id"`
}

type likeLine struct {
	Type string       `json:"type"`
	User liked.UserID `json:"user_id"`
	Post liked.PostID `json:"post_id"`
	At   *stamp       `json:"at"`
	N    uint64       `json:"n,omitempty"`
	With *postLine    `json:"post,omitempty"`
}

// Append appends the record as a line with its newline. Times are cut to milliseconds.
func Append(dst []byte, r store.Record) ([]byte, error) {
	switch {
	case r.User != nil:
		u := lineOf(r.User)
		u.Type = "user"
		return appendJSON(dst, u)
	case r.Post != nil:
		l := postLineOf(r.Post)
		l.Type = "post"
		return appendJSON(dst, l)
	case r.Block != nil:
		return appendJSON(dst, relationLine{"block", r.Block.From, r.Block.To})
	case r.Follow != nil:
		return appendJSON(dst, relationLine{"follow", r.Follow.From, r.Follow.To})
	case r.Like != nil && r.Like.With != nil:
		at := stamp(time.UnixMilli(int64(r.Like.Seq >> 20)))
		return appendJSON(dst, likeLine{"like", r.Like.User, r.Like.Post, &at, uint64(r.Like.Seq & (1<<20 - 1)), postLineOf(r.Like.With)})
	case r.Like != nil:
		dst = append(dst, likeStart...)
		dst = strconv.AppendInt(dst, int64(r.Like.User), 10)
		dst = append(dst, likePost...)
		dst = strconv.AppendInt(dst, int64(r.Like.Post), 10)
		dst = append(dst, likeAt...)
		dst = time.UnixMilli(int64(r.Like.Seq>>20)).UTC().AppendFormat(dst, timeFormat)
		dst = append(dst, '"')
		if n := r.Like.Seq & (1<<20 - 1); n > 0 {
			dst = strconv.AppendUint(append(dst, likeN...), uint64(n), 10)
		}
		return append(dst, "}\n"...), nil
	}
	return dst, liked.Errorf(liked.Invalid, "the record is empty")
}

func postLineOf(p *store.Post) *postLine {
	l := &postLine{ID: p.ID, Author: p.Author, Deleted: p.Deleted, Text: p.Text, RepostOf: p.RepostOf,
		InReplyTo: p.InReplyTo, Quotes: p.Quotes, Thread: p.Conversation, Answered: p.InReplyToUser}
	if !p.Deleted {
		l.CreatedAt = (*stamp)(&p.CreatedAt)
	}
	if p.By != nil {
		l.By = lineOf(p.By)
	}
	return l
}

func lineOf(u *liked.User) *userLine {
	return &userLine{ID: u.ID, Username: u.Username, Name: u.Name, CreatedAt: (*stamp)(&u.CreatedAt), State: u.State,
		Protected: u.Protected, Verified: u.Verified, Description: u.Description, Location: u.Location, URL: u.URL,
		ProfileImageURL: u.ProfileImageURL, PinnedPost: u.PinnedPost}
}

func appendJSON(dst []byte, v any) ([]byte, error) {
	b := bytes.NewBuffer(dst)
	e := json.NewEncoder(b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return b.Bytes(), err
}

// A like as Append writes it. Most lines are likes, so these have their own parser.
const (
	likeStart = `{"type":"like","user_id":"`
	likePost  = `","post_id":"`
	likeAt    = `","at":"`
	likeN     = `,"n":`
)

// Parse reads a line. An unknown member is an error, as is a missing one without a default. The store validates the
// record.
func Parse(text []byte) (store.Record, error) {
	if r, ok := parseLike(text); ok {
		return r, nil
	}
	var kind struct {
		Type string `json:"type"`
	}
	if err := strictjson.UnmarshalKnown(text, &kind); err != nil {
		return store.Record{}, &liked.Error{Kind: liked.Invalid, Msg: "the line is no JSON object", Err: err}
	}
	var l line
	switch kind.Type {
	case "user":
		l = new(userLine)
	case "post":
		l = new(postLine)
	case "block", "follow":
		l = new(relationLine)
	case "like":
		l = new(likeLine)
	default:
		return store.Record{}, liked.Errorf(liked.Invalid, "type %q is not one of %v", kind.Type, kinds)
	}
	if err := strictjson.Unmarshal(text, l); err != nil {
		return store.Record{}, &liked.Error{Kind: liked.Invalid, Msg: "the record cannot be read", Err: err}
	}
	return l.record()
}

func missing(what, member string) error {
	return liked.Errorf(liked.Invalid, "the %s has no %s", what, member)
}

func (l *userLine) record() (store.Record, error) {
	u, err := l.user()
	return store.Record{User: u}, err
}

func (l *userLine) user() (*liked.User, error) {
	if l.CreatedAt == nil {
		return nil, missing("user", "created_at")
	}
	return &liked.User{ID: l.ID, Username: l.Username, Name: l.Name, CreatedAt: time.Time(*l.CreatedAt), State: l.State,
		Protected: l.Protected, Verified: l.Verified, Description: l.Description, Location: l.Location, URL: l.URL,
		ProfileImageURL: l.ProfileImageURL, PinnedPost: l.PinnedPost}, nil
}

func (l *postLine) record() (store.Record, error) {
	p, err := l.post()
	return store.Record{Post: p}, err
}

func (l *postLine) post() (p *store.Post, err error) {
	p = &store.Post{Post: liked.Post{ID: l.ID, Author: l.Author, Text: l.Text, RepostOf: l.RepostOf, InReplyTo: l.InReplyTo,
		Quotes: l.Quotes, Conversation: l.Thread, InReplyToUser: l.Answered}, Deleted: l.Deleted}
	switch {
	case l.Deleted && *l != postLine{Type: l.Type, ID: l.ID, Author: l.Author, Deleted: true, RepostOf: l.RepostOf}:
		return nil, liked.Errorf(liked.Invalid, "a deleted post has nothing but id, author_id and repost_of")
	case l.Deleted:
	case l.CreatedAt == nil:
		return nil, missing("post", "created_at")
	default:
		p.CreatedAt = time.Time(*l.CreatedAt)
	}
	if l.By != nil {
		p.By, err = l.By.user()
	}
	return p, err
}

func (l *relationLine) record() (store.Record, error) {
	pair := &store.Pair{From: l.From, To: l.To}
	if l.Type == "block" {
		return store.Record{Block: pair}, nil
	}
	return store.Record{Follow: pair}, nil
}

func (l *likeLine) record() (r store.Record, err error) {
	if l.At == nil {
		return r, missing("like", "at")
	}
	seq, ok := seqOf(time.Time(*l.At), l.N)
	if !ok {
		return r, liked.Errorf(liked.Invalid, "a like lies after 1970 and before 2248, and n is less than %d", 1<<20)
	}
	like := &store.Like{User: l.User, Post: l.Post, Seq: seq}
	if l.With != nil {
		like.With, err = l.With.post()
	}
	return store.Record{Like: like}, err
}

// Reason is why something is refused. It may quote a line of any length, of which the beginning tells enough.
func Reason(err error) string {
	const most = 500
	text := err.Error()
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "…"
	}
	return text
}

// maxAhead is how far a like may be ahead of the clock, which is not the exporting machine's. One further ahead would
// drag all later likes along.
const maxAhead = 5 * time.Minute

// Ahead returns an error for a like that lies in the future.
func Ahead(r store.Record, now time.Time) error {
	if r.Like != nil {
		if at := time.UnixMilli(int64(r.Like.Seq >> 20)); at.After(now.Add(maxAhead)) {
			return liked.Errorf(liked.Invalid, "the like lies in the future, at %s", at.UTC().Format(time.RFC3339))
		}
	}
	return nil
}

// seqOf is the position of like n of a millisecond.
func seqOf(at time.Time, n uint64) (liked.Seq, bool) {
	ms := at.UnixMilli()
	if ms < 1 || ms >= 1<<43 || n >= 1<<20 {
		return 0, false
	}
	return liked.Seq(ms)<<20 | liked.Seq(n), true
}

// parseLike reads likes as Append writes them, and nothing else.
func parseLike(text []byte) (r store.Record, ok bool) {
	user, rest, ok1 := number(text, likeStart)
	post, rest, ok2 := number(rest, likePost)
	rest, ok3 := bytes.CutPrefix(rest, []byte(likeAt))
	if !ok1 || !ok2 || !ok3 || len(rest) < len(timeFormat)+2 || rest[len(timeFormat)] != '"' {
		return r, false
	}
	at, err := time.Parse(timeFormat, string(rest[:len(timeFormat)]))
	if err != nil {
		return r, false
	}
	rest = rest[len(timeFormat)+1:]
	n, after, ok := number(rest, likeN)
	if ok && n > 0 {
		rest = after
	}
	seq, ok := seqOf(at, n)
	if !ok || string(rest) != "}" {
		return r, false
	}
	return store.Record{Like: &store.Like{User: liked.UserID(user), Post: liked.PostID(post), Seq: seq}}, true
}

// number cuts the prefix and 1 to 19 digits, a number below 2^63, off the text.
func number(text []byte, prefix string) (n uint64, rest []byte, ok bool) {
	rest, ok = bytes.CutPrefix(text, []byte(prefix))
	i := 0
	for ; i < len(rest) && i < 19 && rest[i] >= '0' && rest[i] <= '9'; i++ {
		n = n*10 + uint64(rest[i]-'0')
	}
	return n, rest[i:], ok && i > 0 && n <= 1<<63-1
}
