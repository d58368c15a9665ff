package pebblestore

import (
	"encoding/binary"
	"errors"
	"time"

	"liked"
	"liked/internal/store"
)

// A value begins with the version of its own layout, so that a layout can change without rewriting the store. Times
// are microseconds since 1970; the zero time survives.
const recordVersion = 1

var errRecord = errors.New("record is damaged")

// writer appends fields to a value.
type writer struct{ b []byte }

func newWriter() *writer { return &writer{append(make([]byte, 0, 128), recordVersion)} }

func (w *writer) byte(b byte)      { w.b = append(w.b, b) }
func (w *writer) uint(n uint64)    { w.b = binary.AppendUvarint(w.b, n) }
func (w *writer) int(n int64)      { w.b = binary.AppendVarint(w.b, n) }
func (w *writer) fixed(n uint64)   { w.b = binary.BigEndian.AppendUint64(w.b, n) }
func (w *writer) raw(b []byte)     { w.b = append(w.b, b...) }
func (w *writer) bytes(b []byte)   { w.uint(uint64(len(b))); w.b = append(w.b, b...) }
func (w *writer) string(s string)  { w.uint(uint64(len(s))); w.b = append(w.b, s...) }
func (w *writer) time(t time.Time) { w.int(t.UnixMicro()) }
func (w *writer) bool(b bool)      { w.byte(bit(b, 1)) }

func bit(b bool, mask byte) byte {
	if b {
		return mask
	}
	return 0
}

// reader takes fields off a value. After a field that is not there everything reads as zero, and done says so.
type reader struct {
	b   []byte
	bad bool
}

func newReader(value []byte) *reader {
	r := &reader{b: value}
	r.bad = r.byte() != recordVersion
	return r
}

func (r *reader) take(n uint64) []byte {
	if r.bad || n > uint64(len(r.b)) {
		r.bad, r.b = true, nil
		return nil
	}
	b := r.b[:n]
	r.b = r.b[n:]
	return b
}

func (r *reader) byte() byte {
	if b := r.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *reader) uint() uint64 {
	n, size := binary.Uvarint(r.b)
	if size <= 0 {
		size = len(r.b) + 1
	}
	r.take(uint64(size))
	return n
}

func (r *reader) int() int64 {
	n, size := binary.Varint(r.b)
	if size <= 0 {
		size = len(r.b) + 1
	}
	r.take(uint64(size))
	return n
}

func (r *reader) fixed() uint64 {
	if b := r.take(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

func (r *reader) bytes() []byte {
	if b := r.take(r.uint()); len(b) > 0 {
		return append([]byte(nil), b...)
	}
	return nil
}

func (r *reader) hash() (h [32]byte) { copy(h[:], r.take(32)); return h }
func (r *reader) string() string     { return string(r.take(r.uint())) }
func (r *reader) time() time.Time    { return time.UnixMicro(r.int()).UTC() }
func (r *reader) bool() bool         { return r.byte() != 0 }

func (r *reader) done() error {
	if r.bad || len(r.b) > 0 {
		return errRecord
	}
	return nil
}

// The second byte of a user and of a post is what a like must know of it.
const (
	flagStateMask   = 0x03
	flagProtected   = 0x04
	flagVerified    = 0x08
	flagPostDeleted = 0x01
)

func encodeUser(u *liked.User) []byte {
	w := newWriter()
	w.byte(byte(u.State)&flagStateMask | bit(u.Protected, flagProtected) | bit(u.Verified, flagVerified))
	w.time(u.CreatedAt)
	w.uint(uint64(u.PinnedPost))
	for _, s := range []string{u.Username, u.Name, u.Description, u.Location, u.URL, u.ProfileImageURL} {
		w.string(s)
	}
	return w.b
}

// decodeUser leaves the metrics zero.
func decodeUser(id liked.UserID, value []byte) (liked.User, error) {
	r := newReader(value)
	flags := r.byte()
	u := liked.User{ID: id, State: liked.AccountState(flags & flagStateMask), Protected: flags&flagProtected != 0,
		Verified: flags&flagVerified != 0, CreatedAt: r.time(), PinnedPost: liked.PostID(r.uint())}
	for _, s := range []*string{&u.Username, &u.Name, &u.Description, &u.Location, &u.URL, &u.ProfileImageURL} {
		*s = r.string()
	}
	return u, r.done()
}

// decodeUserFlags reads only what decides who sees the user's posts.
func decodeUserFlags(value []byte) (state liked.AccountState, protected bool, err error) {
	r := newReader(value)
	flags := r.byte()
	if r.bad {
		return 0, false, errRecord
	}
	return liked.AccountState(flags & flagStateMask), flags&flagProtected != 0, nil
}

// postHead is what a like must know of a post. A tombstone is a head and nothing else.
type postHead struct {
	author   liked.UserID
	repostOf liked.PostID
	deleted  bool
}

func (w *writer) head(h postHead) {
	w.byte(bit(h.deleted, flagPostDeleted))
	w.fixed(uint64(h.author))
	w.fixed(uint64(h.repostOf))
}

func (r *reader) head() postHead {
	return postHead{deleted: r.byte()&flagPostDeleted != 0, author: liked.UserID(r.fixed()), repostOf: liked.PostID(r.fixed())}
}

func decodePostHead(value []byte) (postHead, error) {
	r := newReader(value)
	h := r.head()
	if r.bad {
		return h, errRecord
	}
	return h, nil
}

func encodeTombstone(h postHead) []byte {
	h.deleted = true
	w := newWriter()
	w.head(h)
	return w.b
}

func encodePost(p *liked.Post) []byte {
	w := newWriter()
	w.head(postHead{author: p.Author, repostOf: p.RepostOf})
	w.time(p.CreatedAt)
	w.uint(uint64(p.InReplyTo))
	w.uint(uint64(p.Quotes))
	w.uint(uint64(p.Conversation))
	w.uint(uint64(p.InReplyToUser))
	w.string(p.Text)
	return w.b
}

// decodePost leaves the metrics zero. It must not be asked of a tombstone.
func decodePost(id liked.PostID, value []byte) (liked.Post, error) {
	r := newReader(value)
	h := r.head()
	p := liked.Post{ID: id, Author: h.author, RepostOf: h.repostOf, CreatedAt: r.time(), InReplyTo: liked.PostID(r.uint()),
		Quotes: liked.PostID(r.uint()), Conversation: liked.PostID(r.uint()), InReplyToUser: liked.UserID(r.uint()), Text: r.string()}
	return p, r.done()
}

// counts are the metrics of a user or of a post. The key is there only while one of them is not zero.
type counts [4]int64

// What the places in counts stand for.
const (
	userLikes, userPosts, userFollowers, userFollowing = 0, 1, 2, 3
	postLikes, postReposts, postReplies, postQuotes    = 0, 1, 2, 3
)

func (c counts) append(dst []byte) []byte {
	for _, n := range c {
		dst = binary.AppendVarint(dst, n)
	}
	return dst
}

func decodeCounts(value []byte) (counts, error) {
	r := reader{b: value}
	var c counts
	for i := range c {
		c[i] = r.int()
	}
	return c, r.done()
}

func (c counts) user() liked.UserMetrics {
	return liked.UserMetrics{Followers: c[userFollowers], Following: c[userFollowing], Posts: c[userPosts], Likes: c[userLikes]}
}

func (c counts) post() liked.PostMetrics {
	return liked.PostMetrics{Reposts: c[postReposts], Replies: c[postReplies], Likes: c[postLikes], Quotes: c[postQuotes]}
}

// appendEvent encodes a log entry; its seq is in the key. The time is kept relative to that of the seq, from which it
// differs only if the clock went back.
func appendEvent(dst []byte, e *liked.LikeEvent) []byte {
	dst = append(dst, bit(e.On, 1))
	for _, n := range [...]uint64{uint64(e.User), uint64(e.Post), uint64(e.Author)} {
		dst = binary.BigEndian.AppendUint64(dst, n)
	}
	return binary.AppendVarint(dst, e.At.UnixMilli()-int64(e.Seq>>20))
}

func decodeEvent(seq liked.Seq, value []byte) (liked.LikeEvent, error) {
	r := reader{b: value}
	e := liked.LikeEvent{Seq: seq, On: r.bool(), User: liked.UserID(r.fixed()), Post: liked.PostID(r.fixed()),
		Author: liked.UserID(r.fixed()), At: time.UnixMilli(r.int() + int64(seq>>20)).UTC()}
	return e, r.done()
}

// encodeID is a value that is nothing but a number: an identifier or a position.
func encodeID[ID ~int64 | ~uint64](id ID) []byte {
	return binary.BigEndian.AppendUint64(nil, uint64(id))
}

func decodeID(value []byte) (uint64, error) {
	if len(value) != 8 {
		return 0, errRecord
	}
	return binary.BigEndian.Uint64(value), nil
}

// likeUnlogged follows the position of a like that was imported.
const likeUnlogged = 1

func decodeLike(value []byte) (like struct {
	seq      liked.Seq
	unlogged bool
}, err error) {
	if len(value) == 9 && value[8] == likeUnlogged {
		like.unlogged, value = true, value[:8]
	}
	n, err := decodeID(value)
	like.seq = liked.Seq(n)
	return like, err
}

func encodeApp(a *liked.App) []byte {
	w := newWriter()
	w.uint(uint64(a.Owner))
	w.string(a.Name)
	w.bool(a.Public)
	w.byte(byte(a.State))
	w.byte(byte(a.Tier))
	w.byte(byte(a.Access))
	w.uint(uint64(len(a.RedirectURIs)))
	for _, uri := range a.RedirectURIs {
		w.string(uri)
	}
	w.time(a.CreatedAt)
	w.string(a.ClientID)
	w.raw(a.ClientSecretHash[:])
	w.string(a.APIKey)
	w.bytes(a.SealedAPISecret)
	w.raw(a.BearerHash[:])
	w.bytes(a.SealedBearer)
	return w.b
}

func decodeApp(id liked.AppID, value []byte) (liked.App, error) {
	r := newReader(value)
	a := liked.App{ID: id, Owner: liked.UserID(r.uint()), Name: r.string(), Public: r.bool(), State: liked.AppState(r.byte()),
		Tier: liked.Tier(r.byte()), Access: liked.Access(r.byte())}
	for n := r.uint(); n > 0 && !r.bad; n-- {
		a.RedirectURIs = append(a.RedirectURIs, r.string())
	}
	a.CreatedAt = r.time()
	a.ClientID, a.ClientSecretHash = r.string(), r.hash()
	a.APIKey, a.SealedAPISecret = r.string(), r.bytes()
	a.BearerHash, a.SealedBearer = r.hash(), r.bytes()
	return a, r.done()
}

func encodeGrant(g *store.Grant) []byte {
	w := newWriter()
	w.uint(uint64(g.App))
	w.uint(uint64(g.User))
	w.uint(uint64(g.Scopes))
	w.time(g.CreatedAt)
	w.byte(bit(g.OAuth1, 1))
	w.byte(byte(g.Access))
	return w.b
}

func decodeGrant(id store.GrantID, value []byte) (store.Grant, error) {
	r := newReader(value)
	g := store.Grant{ID: id, App: liked.AppID(r.uint()), User: liked.UserID(r.uint()), Scopes: liked.Scope(r.uint()), CreatedAt: r.time(),
		OAuth1: r.byte() != 0, Access: liked.Access(r.byte())}
	return g, r.done()
}

// token is a record of kindAccess, kindRefresh or kindOAuth1: what it holds besides its grant depends on the kind.
type token struct {
	grant  store.GrantID
	time   time.Time // expiry of an access token; when a refresh token was spent
	sealed []byte    // OAuth 1.0a
	access liked.Access
}

func encodeToken(t *token) []byte {
	w := newWriter()
	w.raw(t.grant[:])
	w.time(t.time)
	w.byte(byte(t.access))
	w.bytes(t.sealed)
	return w.b
}

func decodeToken(value []byte) (token, error) {
	r := newReader(value)
	var t token
	copy(t.grant[:], r.take(16))
	t.time, t.access, t.sealed = r.time(), liked.Access(r.byte()), r.bytes()
	return t, r.done()
}

// code is an authorization code, and the grant that its first redemption made.
type code struct {
	store.Code
	grant store.GrantID
}

func encodeCode(c *code) []byte {
	w := newWriter()
	w.uint(uint64(c.App))
	w.uint(uint64(c.User))
	w.uint(uint64(c.Scopes))
	w.string(c.RedirectURI)
	w.string(c.Challenge)
	w.string(c.ChallengeMethod)
	w.time(c.Expires)
	w.bool(c.Spent)
	w.raw(c.grant[:])
	return w.b
}

func decodeCode(h store.Hash, value []byte) (code, error) {
	r := newReader(value)
	c := code{Code: store.Code{Code: h, App: liked.AppID(r.uint()), User: liked.UserID(r.uint()), Scopes: liked.Scope(r.uint()),
		RedirectURI: r.string(), Challenge: r.string(), ChallengeMethod: r.string(), Expires: r.time(), Spent: r.bool()}}
	copy(c.grant[:], r.take(16))
	return c, r.done()
}

func encodeRequestToken(t *store.RequestToken) []byte {
	w := newWriter()
	w.bytes(t.SealedSecret)
	w.uint(uint64(t.App))
	w.byte(byte(t.Access))
	w.string(t.Callback)
	w.time(t.Expires)
	w.uint(uint64(t.User))
	w.raw(t.Verifier[:])
	return w.b
}

func decodeRequestToken(h store.Hash, value []byte) (store.RequestToken, error) {
	r := newReader(value)
	t := store.RequestToken{Token: h, SealedSecret: r.bytes(), App: liked.AppID(r.uint()), Access: liked.Access(r.byte()),
		Callback: r.string(), Expires: r.time(), User: liked.UserID(r.uint()), Verifier: r.hash()}
	return t, r.done()
}

func encodeSession(s *store.Session) []byte {
	w := newWriter()
	w.uint(uint64(s.User))
	w.time(s.Expires)
	return w.b
}

func decodeSession(h store.Hash, value []byte) (store.Session, error) {
	r := newReader(value)
	s := store.Session{ID: h, User: liked.UserID(r.uint()), Expires: r.time()}
	return s, r.done()
}
