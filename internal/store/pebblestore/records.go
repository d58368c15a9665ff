package pebblestore

import (
	"encoding/binary"
	"errors"
	"time"

	"liked"
	"liked/internal/store"
)

// A value begins with the version of its layout, so that layouts can change without a rewrite of the store. Times are
// Unix microseconds; the zero time survives.
const recordVersion = 1

var errRecord = errors.New("record is damaged")

func bit(b bool, mask byte) byte {
	if b {
		return mask
	}
	return 0
}

// reader takes fields off a value. After a missing field all fields read as zero, and done returns an error.
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

// record visits a value's fields in stored order, and writes or reads them: one function is the layout.
type record struct {
	reader         // unless it writes
	written []byte // nil: it reads
}

// encode writes a record; decode reads one into v, which has the key's fields.
func encode[T any](v *T, fields func(*record, *T)) []byte {
	r := record{written: append(make([]byte, 0, 128), recordVersion)}
	fields(&r, v)
	return r.written
}

func decode[T any](value []byte, v T, fields func(*record, *T)) (T, error) {
	r := record{reader: *newReader(value)}
	fields(&r, &v)
	return v, r.done()
}

// reading is decode as a function of the value.
func reading[T any](v T, fields func(*record, *T)) func([]byte) (T, error) {
	return func(value []byte) (T, error) { return decode(value, v, fields) }
}

func number[N ~int | ~int64 | ~uint64 | ~uint32](r *record, p *N) {
	if r.written != nil {
		r.written = binary.AppendUvarint(r.written, uint64(*p))
	} else {
		*p = N(r.uint())
	}
}

func fixed[N ~int64 | ~uint64](r *record, p *N) {
	if r.written != nil {
		r.written = binary.BigEndian.AppendUint64(r.written, uint64(*p))
	} else {
		*p = N(r.reader.fixed())
	}
}

func small[N ~uint8](r *record, p *N) {
	if r.written != nil {
		r.written = append(r.written, byte(*p))
	} else {
		*p = N(r.byte())
	}
}

func (r *record) bool(p *bool) {
	b := bit(*p, 1)
	small(r, &b)
	if r.written == nil {
		*p = b != 0
	}
}

func (r *record) time(p *time.Time) {
	if r.written != nil {
		r.written = binary.AppendVarint(r.written, p.UnixMicro())
	} else {
		*p = r.reader.time()
	}
}

func (r *record) strings(all ...*string) {
	for _, p := range all {
		if r.written != nil {
			r.written = append(binary.AppendUvarint(r.written, uint64(len(*p))), *p...)
		} else {
			*p = r.reader.string()
		}
	}
}

func (r *record) bytes(p *[]byte) {
	if r.written != nil {
		r.written = append(binary.AppendUvarint(r.written, uint64(len(*p))), *p...)
	} else {
		*p = r.reader.bytes()
	}
}

// raw is exactly len(p) bytes.
func (r *record) raw(p []byte) {
	if r.written != nil {
		r.written = append(r.written, p...)
	} else {
		copy(p, r.take(uint64(len(p))))
	}
}

// The flags of users and posts, their second byte, are part of the head.
const (
	flagStateMask   = 0x03
	flagProtected   = 0x04
	flagVerified    = 0x08
	flagPostDeleted = 0x01
)

func userFields(r *record, u *liked.User) {
	flags := byte(u.State)&flagStateMask | bit(u.Protected, flagProtected) | bit(u.Verified, flagVerified)
	small(r, &flags)
	if r.written == nil {
		u.State, u.Protected, u.Verified = liked.AccountState(flags&flagStateMask), flags&flagProtected != 0, flags&flagVerified != 0
	}
	r.time(&u.CreatedAt)
	number(r, &u.PinnedPost)
	r.strings(&u.Username, &u.Name, &u.Description, &u.Location, &u.URL, &u.ProfileImageURL)
}

// decodeUserHead reads only what decides who sees the user's posts.
func decodeUserHead(value []byte) (h userHead, err error) {
	r := newReader(value)
	flags := r.byte()
	if r.bad {
		return h, errRecord
	}
	return userHead{state: liked.AccountState(flags & flagStateMask), protected: flags&flagProtected != 0}, nil
}

// postHead is what the like rules read of a post, and all that a tombstone has.
type postHead struct {
	author   liked.UserID
	repostOf liked.PostID
	deleted  bool
}

func headFields(r *record, h *postHead) {
	flags := bit(h.deleted, flagPostDeleted)
	small(r, &flags)
	fixed(r, &h.author)
	fixed(r, &h.repostOf)
	if r.written == nil {
		h.deleted = flags&flagPostDeleted != 0
	}
}

func decodePostHead(value []byte) (h postHead, err error) {
	r := record{reader: *newReader(value)}
	if headFields(&r, &h); r.bad {
		return h, errRecord
	}
	return h, nil
}

func encodeTombstone(author liked.UserID, repostOf liked.PostID) []byte {
	return encode(&postHead{author, repostOf, true}, headFields)
}

func postFields(r *record, p *liked.Post) {
	h := postHead{author: p.Author, repostOf: p.RepostOf}
	headFields(r, &h)
	if r.written == nil {
		p.Author, p.RepostOf = h.author, h.repostOf
	}
	r.time(&p.CreatedAt)
	number(r, &p.InReplyTo)
	number(r, &p.Quotes)
	number(r, &p.Conversation)
	number(r, &p.InReplyToUser)
	r.strings(&p.Text)
}

func decodePostRecord(id liked.PostID, value []byte) (p store.Post, err error) {
	h, err := decodePostHead(value)
	if err == nil && h.deleted {
		return store.Post{Post: liked.Post{ID: id, Author: h.author, RepostOf: h.repostOf}, Deleted: true}, nil
	}
	if err == nil {
		p.Post, err = decode(value, liked.Post{ID: id}, postFields)
	}
	return p, err
}

// counts are a user's or a post's metrics, stored only while one of them is not zero.
type counts [4]int64

// Indexes of counts.
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

// appendEvent encodes a log entry without its seq. The time is relative to that of the seq, from which it differs only
// if the clock went back.
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

// encodeID is a value of one number: an identifier or a position.
func encodeID[ID ~int64 | ~uint64](id ID) []byte {
	return binary.BigEndian.AppendUint64(nil, uint64(id))
}

func decodeID(value []byte) (uint64, error) {
	if len(value) != 8 {
		return 0, errRecord
	}
	return binary.BigEndian.Uint64(value), nil
}

// likeUnlogged follows the position of an imported like.
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

func appFields(r *record, a *store.App) {
	number(r, &a.Owner)
	r.strings(&a.Name)
	r.bool(&a.Public)
	small(r, &a.State)
	small(r, &a.Tier)
	small(r, &a.Access)
	n := len(a.RedirectURIs)
	number(r, &n)
	for i := 0; i < n && !r.bad; i++ {
		if r.written == nil {
			a.RedirectURIs = append(a.RedirectURIs, "")
		}
		r.strings(&a.RedirectURIs[i])
	}
	r.time(&a.CreatedAt)
	r.strings(&a.ClientID)
	r.raw(a.ClientSecretHash[:])
	r.strings(&a.APIKey)
	r.bytes(&a.SealedAPISecret)
	r.raw(a.BearerHash[:])
	r.bytes(&a.SealedBearer)
}

func grantFields(r *record, g *store.Grant) {
	number(r, &g.App)
	number(r, &g.User)
	number(r, &g.Scopes)
	r.time(&g.CreatedAt)
	r.bool(&g.OAuth1)
	small(r, &g.Access)
}

// token is a record of kindAccess, kindRefresh or kindOAuth1, which use different fields.
type token struct {
	grant  store.GrantID
	time   time.Time // access: expiry; refresh: when it was spent
	sealed []byte    // OAuth 1.0a
	access liked.Access
}

func tokenFields(r *record, t *token) {
	r.raw(t.grant[:])
	r.time(&t.time)
	small(r, &t.access)
	r.bytes(&t.sealed)
}

// code is an authorization code, and the grant that its first redemption made.
type code struct {
	store.Code
	grant store.GrantID
}

func codeFields(r *record, c *code) {
	number(r, &c.App)
	number(r, &c.User)
	number(r, &c.Scopes)
	r.strings(&c.RedirectURI, &c.Challenge, &c.ChallengeMethod)
	r.time(&c.Expires)
	r.bool(&c.Spent)
	r.raw(c.grant[:])
}

func requestTokenFields(r *record, t *store.RequestToken) {
	r.bytes(&t.SealedSecret)
	number(r, &t.App)
	small(r, &t.Access)
	r.strings(&t.Callback)
	r.time(&t.Expires)
	number(r, &t.User)
	r.raw(t.Verifier[:])
}

func sessionFields(r *record, s *store.Session) {
	number(r, &s.User)
	r.time(&s.Expires)
}
