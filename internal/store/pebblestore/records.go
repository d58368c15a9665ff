package pebblestore

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"
	"unsafe"

	"github.com/cockroachdb/pebble/v2"

	"liked"
	"liked/internal/store"
)

// A value begins with the version of its layout. A later version adds fields at the end (since), so that each release reads
// what earlier and later ones wrote, and keeps the fields that it does not know. Times are Unix microseconds; the zero
// time survives.
const firstVersion = 1

var errRecord = errors.New("record is damaged")

// row is where a record is kept and how: T with the fields that its key says, and the layout of the others. An error
// names it by what, and by id unless zero.
type row[T any] struct {
	key    []byte
	blank  T
	fields func(*record, *T)
	what   string
	id     int64
}

func (w row[T]) String() string {
	if w.id == 0 {
		return w.what
	}
	return fmt.Sprint(w.what, " ", w.id)
}

func (w row[T]) encode(v *T) []byte { return encode(v, w.fields) }

// over is encode with the fields of stored that are unknown.
func (w row[T]) over(stored []byte, v *T) []byte {
	value, old, blank := w.encode(v), reading(stored), w.blank
	if w.fields(&old, &blank); old.done() != nil || len(old.b) == 0 {
		return value
	}
	value[0] = old.version
	return append(value, old.b...)
}

// replace writes a record that exists.
func (w row[T]) replace(t *tx, v *T) error {
	stored, _, err := read(t, w.key, clone)
	if err == nil {
		t.set(w.key, w.over(stored, v))
	}
	return err
}

func (w row[T]) decode(value []byte) (T, error) { return decode(value, w.blank, w.fields) }

func (w row[T]) read(r pebble.Reader) (v T, ok bool, err error) { return read(r, w.key, w.decode) }

// find is read of a record that must exist.
func (w row[T]) find(r pebble.Reader) (T, error) {
	v, ok, err := w.read(r)
	if err == nil && !ok {
		err = noSuch(w)
	}
	return orNone(v, err)
}

// get is find as a call of its own.
func (w row[T]) get(ctx context.Context, s *Store) (T, error) { return view(ctx, s, w.find) }

func (w row[T]) set(t *tx, v *T) { t.set(w.key, w.encode(v)) }

// need returns NotFound unless the record exists, and free Conflict if it does.
func (w row[T]) need(t *tx) error {
	ok, err := exists(t, w.key)
	if err == nil && !ok {
		err = noSuch(w)
	}
	return err
}

func (w row[T]) free(t *tx) error {
	taken, err := exists(t, w.key)
	if err == nil && taken {
		err = liked.Errorf(liked.Conflict, "%v exists already", w)
	}
	return err
}

// record visits a value's fields in stored order, and writes or reads them: one function is the layout. From a missing
// field on nothing is read, and done returns an error.
type record struct {
	b       []byte // what is written, or left to read
	text    string // the whole value, if texts are to be parts of it and not copies
	writing bool
	bad     bool
	version byte // of the value that is read
	known   byte // highest that since was asked for
}

func encode[T any](v *T, fields func(*record, *T)) []byte {
	r := record{b: append(make([]byte, 0, 128), firstVersion), writing: true}
	fields(&r, v)
	r.b[0] = max(firstVersion, r.known)
	return r.b
}

// decode reads a record into v, which has the key's fields.
func decode[T any](value []byte, v T, fields func(*record, *T)) (T, error) {
	r := reading(value)
	fields(&r, &v)
	return v, r.done()
}

// reading begins to read a value that has a version.
func reading(value []byte) record {
	r := record{b: value}
	if small(&r, &r.version); r.version < firstVersion {
		r.bad = true
	}
	return r
}

// sharing is reading of a value that never changes.
func sharing(value []byte) record {
	r := reading(value)
	r.text = unsafe.String(unsafe.SliceData(value), len(value))
	return r
}

// since reports whether the record has the fields that a version added. It is asked in order of versions.
func (r *record) since(version byte) bool {
	r.known = version
	return r.writing || r.version >= version
}

func (r *record) done() error {
	if r.bad || len(r.b) > 0 && r.version <= max(firstVersion, r.known) {
		return errRecord
	}
	return nil
}

func (r *record) take(n uint64) []byte {
	if r.bad || n > uint64(len(r.b)) {
		r.bad, r.b = true, nil
		return nil
	}
	b := r.b[:n]
	r.b = r.b[n:]
	return b
}

// varint skips a number of so many bytes, of which binary says zero or less if there is none.
func (r *record) varint(size int) {
	if size <= 0 {
		size = len(r.b) + 1
	}
	r.take(uint64(size))
}

func number[N ~int | ~int64 | ~uint64 | ~uint32](r *record, p *N) {
	if r.writing {
		r.b = binary.AppendUvarint(r.b, uint64(*p))
		return
	}
	n, size := binary.Uvarint(r.b)
	r.varint(size)
	*p = N(n)
}

func signed[N ~int | ~int64](r *record, p *N) {
	if r.writing {
		r.b = binary.AppendVarint(r.b, int64(*p))
		return
	}
	n, size := binary.Varint(r.b)
	r.varint(size)
	*p = N(n)
}

func fixed[N ~int64 | ~uint64](r *record, p *N) {
	if r.writing {
		r.b = binary.BigEndian.AppendUint64(r.b, uint64(*p))
	} else if b := r.take(8); b != nil {
		*p = N(binary.BigEndian.Uint64(b))
	}
}

func small[N ~uint8](r *record, p *N) {
	if r.writing {
		r.b = append(r.b, byte(*p))
	} else if b := r.take(1); b != nil {
		*p = N(b[0])
	}
}

func (r *record) bool(p *bool) {
	b := bit(*p, 1)
	if small(r, &b); !r.writing {
		*p = b != 0
	}
}

func bit(b bool, mask byte) byte {
	if b {
		return mask
	}
	return 0
}

func (r *record) time(p *time.Time) {
	micro := p.UnixMicro()
	if signed(r, &micro); !r.writing {
		*p = time.UnixMicro(micro).UTC()
	}
}

func (r *record) strings(all ...*string) {
	for _, p := range all {
		n := len(*p)
		if number(r, &n); r.writing {
			r.b = append(r.b, *p...)
		} else if text := r.take(uint64(n)); r.text != "" {
			end := len(r.text) - len(r.b)
			*p = r.text[end-len(text) : end]
		} else {
			*p = string(text)
		}
	}
}

func (r *record) bytes(p *[]byte) {
	n := len(*p)
	if number(r, &n); r.writing {
		r.b = append(r.b, *p...)
	} else {
		*p = append([]byte(nil), r.take(uint64(n))...)
	}
}

// raw is exactly len(p) bytes.
func (r *record) raw(p []byte) {
	if r.writing {
		r.b = append(r.b, p...)
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

func userRow(id liked.UserID) row[liked.User] {
	return row[liked.User]{userKey(id), liked.User{ID: id}, userFields, "user", int64(id)}
}

func userFields(r *record, u *liked.User) {
	flags := byte(u.State)&flagStateMask | bit(u.Protected, flagProtected) | bit(u.Verified, flagVerified)
	small(r, &flags)
	if !r.writing {
		u.State, u.Protected, u.Verified = liked.AccountState(flags&flagStateMask), flags&flagProtected != 0, flags&flagVerified != 0
	}
	r.time(&u.CreatedAt)
	number(r, &u.PinnedPost)
	r.strings(&u.Username, &u.Name, &u.Description, &u.Location, &u.URL, &u.ProfileImageURL)
}

// decodeUserHead reads only what decides who sees the user's posts.
func decodeUserHead(value []byte) (h userHead, err error) {
	r := reading(value)
	var flags byte
	if small(&r, &flags); r.bad {
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
	if !r.writing {
		h.deleted = flags&flagPostDeleted != 0
	}
}

func decodePostHead(value []byte) (h postHead, err error) {
	r := reading(value)
	if headFields(&r, &h); r.bad {
		return h, errRecord
	}
	return h, nil
}

func postRow(id liked.PostID) row[store.Post] {
	return row[store.Post]{postKey(id), store.Post{Post: liked.Post{ID: id}}, postFields, "post", int64(id)}
}

// postFields ends with the head for a deleted post.
func postFields(r *record, p *store.Post) {
	h := postHead{p.Author, p.RepostOf, p.Deleted}
	headFields(r, &h)
	if !r.writing {
		p.Author, p.RepostOf, p.Deleted = h.author, h.repostOf, h.deleted
	}
	if h.deleted {
		return
	}
	r.time(&p.CreatedAt)
	number(r, &p.InReplyTo)
	number(r, &p.Quotes)
	number(r, &p.Conversation)
	number(r, &p.InReplyToUser)
	r.strings(&p.Text)
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
	r := record{b: value}
	var c counts
	for i := range c {
		signed(&r, &c[i])
	}
	return c, r.done()
}

func (c counts) user() liked.UserMetrics {
	return liked.UserMetrics{Followers: c[userFollowers], Following: c[userFollowing], Posts: c[userPosts], Likes: c[userLikes]}
}

func (c counts) post() liked.PostMetrics {
	return liked.PostMetrics{Reposts: c[postReposts], Replies: c[postReplies], Likes: c[postLikes], Quotes: c[postQuotes]}
}

// eventFields omits the position. The time is relative to that of the position, from which it differs only if the clock
// went back.
func eventFields(r *record, e *liked.LikeEvent) {
	r.bool(&e.On)
	fixed(r, &e.User)
	fixed(r, &e.Post)
	fixed(r, &e.Author)
	milli := e.At.UnixMilli() - int64(e.Seq>>20)
	if signed(r, &milli); !r.writing {
		e.At = time.UnixMilli(milli + int64(e.Seq>>20)).UTC()
	}
}

// appendEvent encodes a log entry without its position.
func appendEvent(dst []byte, e *liked.LikeEvent) []byte {
	r := record{b: dst, writing: true}
	eventFields(&r, e)
	return r.b
}

func decodeEvent(seq liked.Seq, value []byte) (liked.LikeEvent, error) {
	r := record{b: value}
	e := liked.LikeEvent{Seq: seq}
	eventFields(&r, &e)
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

func appRow(id liked.AppID) row[store.App] {
	return row[store.App]{appKey(id), store.App{App: liked.App{ID: id}}, appFields, "app", int64(id)}
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
		if !r.writing {
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

// grant is a grant, and how often the user had taken back what the app was granted when it was made.
type grant struct {
	store.Grant
	taken uint64
}

func grantRow(id store.GrantID) row[grant] {
	return row[grant]{grantKey(id), grant{Grant: store.Grant{ID: id}}, grantFields, "grant", 0}
}

func grantFields(r *record, g *grant) {
	number(r, &g.App)
	number(r, &g.User)
	number(r, &g.Scopes)
	r.time(&g.CreatedAt)
	r.bool(&g.OAuth1)
	small(r, &g.Access)
	if r.since(2) {
		number(r, &g.taken)
	}
}

// token is a record of kindAccess, kindRefresh or kindOAuth1, which use different fields.
type token struct {
	grant  store.GrantID
	time   time.Time // access: expiry; refresh: when it was spent
	sealed []byte    // OAuth 1.0a
	access liked.Access
}

func tokenRow(k kind, h store.Hash) row[token] { return byHash(k, h, token{}, tokenFields) }

func byHash[T any](k kind, h store.Hash, blank T, fields func(*record, *T)) row[T] {
	return row[T]{hashKey(k, h), blank, fields, kindNames[k], 0}
}

func tokenFields(r *record, t *token) {
	r.raw(t.grant[:])
	r.time(&t.time)
	small(r, &t.access)
	r.bytes(&t.sealed)
}

// code is an authorization code, the grant that its first redemption made, and tx.taken when it was made.
type code struct {
	store.Code
	grant store.GrantID
	taken uint64
}

func codeRow(h store.Hash) row[code] {
	return byHash(kindCode, h, code{Code: store.Code{Code: h}}, codeFields)
}

func codeFields(r *record, c *code) {
	number(r, &c.App)
	number(r, &c.User)
	number(r, &c.Scopes)
	r.strings(&c.RedirectURI, &c.Challenge, &c.ChallengeMethod)
	r.time(&c.Expires)
	r.bool(&c.Spent)
	r.raw(c.grant[:])
	if r.since(2) {
		number(r, &c.taken)
	}
}

// requestToken is a request token, and tx.taken when it was approved.
type requestToken struct {
	store.RequestToken
	taken uint64
}

func requestTokenRow(h store.Hash) row[requestToken] {
	return byHash(kindRequest, h, requestToken{RequestToken: store.RequestToken{Token: h}}, requestTokenFields)
}

func requestTokenFields(r *record, t *requestToken) {
	r.bytes(&t.SealedSecret)
	number(r, &t.App)
	small(r, &t.Access)
	r.strings(&t.Callback)
	r.time(&t.Expires)
	number(r, &t.User)
	r.raw(t.Verifier[:])
	if r.since(2) {
		number(r, &t.taken)
	}
}

func sessionRow(h store.Hash) row[store.Session] {
	return byHash(kindSession, h, store.Session{ID: h}, sessionFields)
}

func sessionFields(r *record, s *store.Session) {
	number(r, &s.User)
	r.time(&s.Expires)
}
