package pebblestore

import (
	"cmp"
	"context"
	"errors"
	"io"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"

	"liked"
	"liked/internal/store"
)

// state is one state of the store, of which a part need not be looked up because it is in memory.
//
// Batches are numbered. Before one is applied, its number is stored as the mark of all that it changes. What is in memory
// holds the number at of a batch that it has seen, and all before. If the mark of a thing is not above at of what is in memory
// nor at of the state, then both have seen the same changes of the thing: those up to the mark, and no other. So what is read
// from memory alone is the state after batch at. If there is a snapshot, it is what is read, and marks are loaded after it
// was made.
type state struct {
	from   pebble.Reader // a snapshot, an operation, or the database for reads that need not be of one state; nil: not needed yet
	s      *Store        // nil: an operation, for which nothing is in memory
	at     uint64        // all batches up to this are seen
	newest uint64        // the highest mark of what was read
	space  *recordSpace  // for recordsOf; nil: not needed yet
}

// recordSpace is what recordsOf fills, by kind. It is used again by other states.
type recordSpace struct{ users, posts []cached }

var recordSpaces = sync.Pool{New: func() any { return new(recordSpace) }}

var _ pebble.Reader = (*state)(nil)

// errLate says that the snapshot was made too late to go with what was read from memory before.
var errLate = errors.New("the store has changed since the read began")

// has reports whether there is such a key.
func (r *state) has(key []byte) (bool, error) {
	from, err := r.reader()
	if err != nil {
		return false, err
	}
	return exists(from, key)
}

// reader returns what is read beside the memory. A state that is passed on as a pebble.Reader is an allocation, which a like
// has not got.
func (r *state) reader() (pebble.Reader, error) {
	if r.from == nil {
		snapshot, err := r.s.snapshot()
		if err != nil {
			return nil, err
		}
		r.from = snapshot
		if r.s.applied.Load() != r.at {
			return nil, errLate
		}
	}
	return r.from, nil
}

func (r *state) Get(key []byte) ([]byte, io.Closer, error) {
	from, err := r.reader()
	if err != nil {
		return nil, nil, err
	}
	return from.Get(key)
}

func (r *state) NewIter(o *pebble.IterOptions) (*pebble.Iterator, error) {
	return r.NewIterWithContext(context.Background(), o)
}

func (r *state) NewIterWithContext(ctx context.Context, o *pebble.IterOptions) (*pebble.Iterator, error) {
	from, err := r.reader()
	if err != nil {
		return nil, err
	}
	return from.NewIterWithContext(ctx, o)
}

// Close closes the snapshot, if one was made.
func (r *state) Close() error {
	if r.space != nil {
		recordSpaces.Put(r.space)
		r.space = nil
	}
	if r.from == nil {
		return nil
	}
	return unavailable(r.from.Close())
}

// stateOf is a state without anything in memory, unless r is one that has.
func stateOf(r pebble.Reader) *state {
	if st, ok := r.(*state); ok {
		return st
	}
	return &state{from: r}
}

// now is for reads that need not be of one state.
func (s *Store) now() state { return state{from: s.db, s: s, at: s.visible.Load()} }

// look is view for reads of marked things alone, which may run twice: it makes a snapshot only if something is not in memory,
// and waits only for the changes that it saw.
func (s *Store) look(ctx context.Context, f func(r *state) error) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.leave()
	r := state{s: s, at: s.visible.Load()}
	err := f(&r)
	if errors.Is(err, errLate) {
		if err = r.Close(); err == nil {
			err = s.readAll(&r, f)
		}
	}
	if closeErr := r.Close(); err == nil {
		err = closeErr
	}
	// A mark may be that of a batch which was given up.
	if syncErr := s.waitFor(ctx, min(r.newest, s.applied.Load())); syncErr != nil {
		return syncErr
	}
	return err
}

// readAll runs one read on a snapshot, which the caller closes by closing r.
func (s *Store) readAll(r *state, f func(r *state) error) error {
	*r = state{s: s, at: s.visible.Load()}
	snapshot, err := s.snapshot()
	if err != nil {
		return err
	}
	r.from = snapshot
	return f(r)
}

func look[T any](ctx context.Context, s *Store, f func(r *state) (T, error)) (v T, err error) {
	err = s.look(ctx, func(r *state) (err error) {
		v, err = f(r)
		return err
	})
	return orNone(v, err)
}

// marks has the number of the batch that changed a thing last, or another with the same hash. A user's mark is also of who
// follows and blocks the user, and of whom the user blocks; a mark of counts is also of the list of likes that they count.
type marks [1 << 15]atomic.Uint64

func (m *marks) of(id thing) *atomic.Uint64 { return &m[id.hash()%uint64(len(m))] }

// newestLikes are the first rows of a list of likes.
type newestLikes struct {
	rows []listed
	more bool // the list goes on
	at   uint64
}

// listed is a row: a like's position, and the id of the user or the post.
type listed struct {
	seq liked.Seq
	id  int64
}

func (l newestLikes) size() int { return 16*len(l.rows) + 96 }

// newestLikes returns the first rows of the list that the counts are of, if max of them, or all, are in memory.
func (r *state) newestLikes(of thing, max int) (rows []listed, more, ok bool) {
	l, ok := r.s.lists.Get(of)
	if !r.sees(r.s.changes.of(of), l.at) || !ok || len(l.rows) < max && l.more {
		return nil, false, false
	}
	n := min(max, len(l.rows))
	return l.rows[:n], l.more || n < len(l.rows), true
}

// likes reads the list that the counts are of. Its changes are waited for, wherever in the list they are.
func (r *state) likes(of thing, o *pebble.IterOptions) (*pebble.Iterator, error) {
	it, err := r.NewIter(o)
	r.sees(r.s.changes.of(of), r.at)
	return it, err
}

func (r *state) keepNewest(of thing, rows []listed, more bool) {
	if r.sees(r.s.changes.of(of), r.at) {
		r.s.lists.Put(of, newestLikes{rows, more, r.at})
	}
}

// thing is a user or a post, or counts of one, named by the tag of its row.
type thing struct {
	tag byte
	id  uint64
}

func (t thing) hash() uint64 { return mix(t.id ^ uint64(t.tag)<<56) }

// mark says that an operation writes a row.
func (t *tx) mark(key []byte) {
	changed := thing{tagUser, 0}
	switch key[0] {
	case tagUser, tagBlock, tagBlockedBy, tagFollowed:
	case tagPost:
		changed.tag = tagPost
	default:
		return
	}
	changed.id = field(key, 0)
	t.c.s.heads.of(changed).Store(t.c.applied + 1)
}

// cached is the record of a user or a post.
type cached struct {
	value   []byte // never changes
	at      uint64
	blocked tristate // whether anybody blocks the user
}

type tristate uint8

const (
	unknown tristate = iota
	no
	yes
)

// size is how much memory the record takes, about.
func (k cached) size() int { return len(k.value) + 128 }

// sees reports whether what is in memory, as of at, holds in this state.
func (r *state) sees(mark *atomic.Uint64, at uint64) bool {
	changed := mark.Load()
	r.newest = max(r.newest, changed)
	return changed <= min(at, r.at)
}

// inMemory returns the record if it is there.
func (r *state) inMemory(id thing) (cached, bool) {
	if r.s == nil {
		return cached{}, false
	}
	k, ok := r.s.records.Get(id)
	return k, r.sees(r.s.heads.of(id), k.at) && ok
}

func (r *state) keep(id thing, k cached) {
	if r.s != nil && r.sees(r.s.heads.of(id), k.at) {
		r.s.records.Put(id, k)
	}
}

// record returns the row of a user or a post. ok is false if there is none.
func (r *state) record(id thing) (k cached, ok bool, err error) {
	if k, ok := r.inMemory(id); ok {
		return k, true, nil
	}
	from, err := r.reader()
	if err != nil {
		return k, false, err
	}
	k.at = r.at
	if k.value, ok, err = read(from, num(nil, id.tag, id.id), clone); ok && err == nil {
		r.keep(id, k)
	}
	return k, ok, err
}

// recordsOf returns the rows of users or posts; value is nil where there is none. What must be read is read in key order,
// which spares pebble reopening tables. They hold until the next call with the tag, or Close.
func recordsOf[ID ~int64](r *state, tag byte, ids []ID) ([]cached, error) {
	if r.space == nil {
		r.space = recordSpaces.Get().(*recordSpace)
	}
	space := &r.space.users
	if tag == tagPost {
		space = &r.space.posts
	}
	*space = slices.Grow((*space)[:0], len(ids))
	all := (*space)[:len(ids)]
	var missing []int
	for i, id := range ids {
		var ok bool
		if all[i], ok = r.inMemory(thing{tag, uint64(id)}); !ok {
			missing = append(missing, i)
		}
	}
	slices.SortFunc(missing, func(a, b int) int { return cmp.Compare(ids[a], ids[b]) })
	for _, i := range missing {
		var err error
		if all[i], _, err = r.record(thing{tag, uint64(ids[i])}); err != nil {
			return nil, err
		}
	}
	return all, nil
}

func userThing(id liked.UserID) thing { return thing{tagUser, uint64(id)} }
func postThing(id liked.PostID) thing { return thing{tagPost, uint64(id)} }

func (r *state) user(id liked.UserID) (cached, bool, error) { return r.record(userThing(id)) }
func (r *state) post(id liked.PostID) (cached, bool, error) { return r.record(postThing(id)) }

// isBlocked reports whether anybody blocks the user.
func (r *state) isBlocked(id liked.UserID) (bool, error) {
	k, ok, err := r.user(id)
	if err != nil || !ok {
		return false, err
	}
	if k.blocked == unknown {
		from, err := r.reader()
		if err != nil {
			return false, err
		}
		all := num(nil, tagBlockedBy, uint64(id))
		one, err := firstKey(from, all, after(all))
		if err != nil {
			return false, err
		}
		if k.blocked = no; one != nil {
			k.blocked = yes
		}
		k.at = r.at
		r.keep(userThing(id), k)
	}
	return k.blocked == yes, nil
}

// user decodes the record into u, and post into p. Their texts share its memory.
func (k cached) user(id liked.UserID, u *liked.User) error {
	r := sharing(k.value)
	u.ID = id
	if userFields(&r, u); r.done() != nil {
		return damaged(userKey(id), errRecord)
	}
	return nil
}

func (k cached) post(id liked.PostID, p *liked.Post) error {
	r := sharing(k.value)
	stored := store.Post{Post: liked.Post{ID: id}}
	if postFields(&r, &stored); r.done() != nil {
		return damaged(postKey(id), errRecord)
	}
	*p = stored.Post
	return nil
}

// cachedCounts are counts in memory.
type cachedCounts struct {
	counts
	at uint64
}

func (cachedCounts) size() int { return 160 }

func (r *state) countsInMemory(of thing) (counts, bool) {
	if r.s == nil {
		return counts{}, false
	}
	k, ok := r.s.counts.Get(of)
	return k.counts, r.sees(r.s.changes.of(of), k.at) && ok
}

func (r *state) count(of thing) (counts, error) {
	n, ok := r.countsInMemory(of)
	if ok {
		return n, nil
	}
	n, _, err := read(r, num(nil, of.tag, of.id), decodeCounts)
	if err == nil && r.s != nil && r.sees(r.s.changes.of(of), r.at) {
		r.s.counts.Put(of, cachedCounts{n, r.at})
	}
	return n, err
}

func (r *state) userMetrics(id liked.UserID) (liked.UserMetrics, error) {
	n, err := r.count(thing{tagUserN, uint64(id)})
	return n.user(), err
}

func (r *state) postMetrics(id liked.PostID) (liked.PostMetrics, error) {
	n, err := r.count(thing{tagPostN, uint64(id)})
	return n.post(), err
}

func (r *state) countUsers(users []liked.User) error {
	return countEach(r, tagUserN, users, func(u *liked.User) uint64 { return uint64(u.ID) },
		func(u *liked.User, n counts) { u.Metrics = n.user() })
}

func (r *state) countPosts(posts []liked.Post) error {
	return countEach(r, tagPostN, posts, func(p *liked.Post) uint64 { return uint64(p.ID) },
		func(p *liked.Post, n counts) { p.Metrics = n.post() })
}

// countEach reads in order what is not in memory, as recordsOf does.
func countEach[T any](r *state, tag byte, all []T, id func(*T) uint64, set func(*T, counts)) error {
	var missing []int
	for i := range all {
		n, ok := r.countsInMemory(thing{tag, id(&all[i])})
		if set(&all[i], n); !ok {
			missing = append(missing, i)
		}
	}
	slices.SortFunc(missing, func(a, b int) int { return cmp.Compare(id(&all[a]), id(&all[b])) })
	for _, i := range missing {
		n, err := r.count(thing{tag, id(&all[i])})
		if err != nil {
			return err
		}
		set(&all[i], n)
	}
	return nil
}
