package pebblestore

import (
	"cmp"
	"context"
	"math"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"liked"
	"liked/internal/store"
	"liked/internal/store/valid"
)

// Import runs as one operation, which reads through its own batch. Its likes are marked as never having been in the
// log.
func (s *Store) Import(ctx context.Context, records []store.Record, keepGoing bool) (store.Imported, error) {
	var done store.Imported // the committer's until update returns without an error
	records = slices.Clone(records)
	err := s.update(ctx, func(t *tx) error {
		t.inStep = true
		t.c.group.batch = t.c.s.db.NewIndexedBatch()
		i := importer{tx: t, users: make(map[liked.UserID]*listSeen), posts: make(map[liked.PostID]*postSeen), mine: make(map[likeID]bool),
			taken: make(map[likerID]bool)}
		for n, rec := range records {
			added, err := i.add(rec)
			switch {
			case err == nil && added:
				done.Added++
			case err == nil:
				done.Kept++
			case refusal(err):
				done.Refused = append(done.Refused, store.Refused{Index: n, Err: err})
			default:
				return err
			}
			if err != nil && !keepGoing {
				break
			}
		}
		if done.Added == 0 {
			t.c.discard() // no writes to sync
			return nil
		}
		i.end()
		return nil
	})
	if err != nil {
		return store.Imported{}, err
	}
	return done, nil
}

// refusal reports whether the error is about one record and not about the store.
func refusal(err error) bool {
	switch liked.KindOf(err) {
	case liked.Invalid, liked.NotFound, liked.Conflict:
		return true
	}
	return false
}

// importer adds records in one step. It remembers lists of likes, to spare look-ups: most lists of a large import are
// new, and most likes newer than those before them.
type importer struct {
	*tx
	users  map[liked.UserID]*listSeen
	posts  map[liked.PostID]*postSeen
	mine   map[likeID]bool  // likes of this step
	taken  map[likerID]bool // this step's positions in lists of posts that had no likes
	likes  []addedLike
	newest liked.Seq
}

// listSeen is an existing user.
type listSeen struct {
	fresh  bool      // no likes before this step
	newest liked.Seq // like; only of this step until looked is set
	looked bool
}

// postSeen is a post that exists or was deleted.
type postSeen struct {
	original liked.PostID // of a repost, else its own id
	fresh    bool         // the original had no likes before this step
}

type likerID struct {
	post liked.PostID
	seq  liked.Seq
}

type addedLike struct {
	likeID
	seq liked.Seq
}

func (i *importer) add(rec store.Record) (added bool, err error) {
	switch {
	case rec.User != nil:
		return i.addUser(*rec.User)
	case rec.Post != nil:
		return i.addPost(*rec.Post)
	case rec.Block != nil:
		return i.relate(rec.Block.From, rec.Block.To, true, (*tx).block)
	case rec.Follow != nil:
		return i.relate(rec.Follow.From, rec.Follow.To, true, (*tx).follow)
	case rec.Like != nil:
		return i.addLike(*rec.Like)
	}
	return false, liked.Errorf(liked.Invalid, "the record is empty")
}

func (i *importer) addUser(u liked.User) (bool, error) {
	if err := cmp.Or(valid.User(&u), valid.Name(&u)); err != nil {
		return false, err
	}
	if there, err := exists(i.tx, userKey(u.ID)); err != nil || there {
		return false, err
	}
	if err := i.takeName(&u); err != nil {
		return false, err
	}
	i.putUser(&u)
	return true, nil
}

func (i *importer) addPost(rec store.Post) (bool, error) {
	p := rec.Post
	if err := valid.Post(&p); err != nil {
		return false, err
	}
	if rec.By != nil && (rec.By.ID != p.Author || p.RepostOf|p.InReplyTo|p.Quotes != 0) {
		return false, liked.Errorf(liked.Invalid, "post %v comes with an author who is another, or refers to a post", p.ID)
	}
	if there, err := exists(i.tx, postKey(p.ID)); err != nil || there {
		return false, err
	}
	if rec.By != nil {
		if _, err := i.addUser(*rec.By); err != nil {
			return false, err
		}
	}
	if err := i.resolve(&p, true); err != nil {
		return false, err
	}
	if rec.Deleted {
		postRow(p.ID).set(i.tx, &store.Post{Post: p, Deleted: true})
		return true, nil
	}
	return true, i.putPost(&p)
}

func (i *importer) addLike(l store.Like) (bool, error) {
	if err := valid.Like(&l); err != nil {
		return false, err
	}
	user, err := i.user(l.User)
	if err != nil {
		return false, err
	}
	if l.With != nil { // nothing refuses the like behind this
		if l.With.ID != l.Post {
			return false, liked.Errorf(liked.Invalid, "the like of post %v comes with post %v", l.Post, l.With.ID)
		}
		if _, err := i.addPost(*l.With); err != nil {
			return false, err
		}
	}
	post, err := i.post(l.Post)
	if err != nil {
		return false, err
	}
	l.Post = post.original
	id := likeID{l.User, l.Post}
	key := likeKey(i.c.key[:0], l.User, l.Post)
	if i.mine[id] {
		return false, nil
	}
	if !user.fresh && !i.c.s.filter.lacks(id) {
		if there, err := exists(i.tx, key); err != nil || there {
			return false, err
		}
	}
	if l.Seq, err = i.free(l, user, post); err != nil {
		return false, err
	}
	userN, err := i.c.counts.of(i.c, tagUserN, uint64(l.User))
	if err != nil {
		return false, err
	}
	postN, err := i.c.counts.of(i.c, tagPostN, uint64(l.Post))
	if err != nil {
		return false, err
	}
	userN[userLikes]++
	postN[postLikes]++
	i.c.totals.Likes++
	i.set(key, append(i.c.number(uint64(l.Seq)), likeUnlogged))
	key = likedKey(key[:0], l.User, l.Seq)
	i.set(key, i.c.number(uint64(l.Post)))
	key = likersKey(key[:0], l.Post, l.Seq)
	i.set(key, i.c.number(uint64(l.User)))
	i.c.key = key
	i.likes = append(i.likes, addedLike{id, l.Seq})
	i.newest = max(i.newest, l.Seq)
	user.newest = max(user.newest, l.Seq)
	i.mine[id] = true
	if post.fresh {
		i.taken[likerID{l.Post, l.Seq}] = true
	}
	return true, nil
}

func (i *importer) user(id liked.UserID) (*listSeen, error) {
	if u := i.users[id]; u != nil {
		return u, nil
	}
	ok, err := i.c.s.userExists(id)
	if err == nil && !ok {
		ok, err = exists(i.tx, userKey(id))
	}
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, noSuch("user", id)
	}
	n, err := i.c.counts.of(i.c, tagUserN, uint64(id))
	if err != nil {
		return nil, err
	}
	u := &listSeen{fresh: n[userLikes] == 0}
	i.users[id] = u
	return u, nil
}

// newestOf is the position of the user's newest like, 0 if there is none.
func (i *importer) newestOf(id liked.UserID, u *listSeen) (liked.Seq, error) {
	if u.fresh || u.looked {
		return u.newest, nil
	}
	u.looked = true
	list := num(nil, tagLiked, uint64(id))
	newest, err := firstKey(i.tx, list, after(list))
	if newest != nil {
		u.newest = listSeq(newest)
	}
	return u.newest, err
}

func (i *importer) post(id liked.PostID) (*postSeen, error) {
	if p := i.posts[id]; p != nil {
		return p, nil
	}
	h, ok, err := i.c.s.postHead(id)
	if err == nil && !ok {
		h, ok, err = read(i.tx, postKey(id), decodePostHead)
	}
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, noSuch("post", id)
	}
	p := &postSeen{original: id}
	if h.repostOf != 0 {
		if p, err = i.post(h.repostOf); err != nil {
			return nil, err
		}
	} else {
		n, err := i.c.counts.of(i.c, tagPostN, uint64(id))
		if err != nil {
			return nil, err
		}
		p.fresh = n[postLikes] == 0
	}
	i.posts[id] = p
	return p, nil
}

// free returns the wanted position, unless another like of the user or post has it: then one after all that the two
// have in that millisecond. If milliseconds are full it tries a few, then one after all that the two have.
func (i *importer) free(l store.Like, user *listSeen, post *postSeen) (liked.Seq, error) {
	if l.Seq > i.c.lastSeq && l.Seq > i.newest {
		return l.Seq, nil
	}
	newest, err := i.newestOf(l.User, user)
	if err != nil {
		return 0, err
	}
	seq := l.Seq
	for round := 0; ; round++ {
		taken := i.taken[likerID{l.Post, seq}]
		if !taken && !post.fresh {
			taken, err = exists(i.tx, likersKey(i.c.value[:0], l.Post, seq))
		}
		if !taken && err == nil && seq <= newest {
			taken, err = exists(i.tx, likedKey(i.c.value[:0], l.User, seq))
		}
		if err != nil || !taken {
			return seq, err
		}
		end := seq | (1<<20 - 1)
		if round == 8 {
			end = math.MaxInt64
		}
		for _, list := range [][]byte{likedKey(nil, l.User, end), likersKey(nil, l.Post, end)} {
			newest, err := firstKey(i.tx, list, after(list[:9]))
			if err != nil {
				return 0, err
			}
			if newest != nil {
				seq = max(seq, listSeq(newest)+1)
			}
		}
	}
}

// end makes the rest of the store agree with likes that may be older than existing ones.
func (i *importer) end() {
	i.rules = true
	for _, l := range i.likes {
		i.c.s.recent.put(l.user, l.post, l.seq)
	}
	if i.newest > i.c.imported {
		i.c.imported = i.newest
		i.set(importedKey, encodeID(i.newest))
	}
	i.c.lastSeq = max(i.c.lastSeq, i.newest) // later likes are newer
}

// Export reads one snapshot. What it passes to each is on disk.
func (s *Store) Export(ctx context.Context, each func(store.Record) error) (err error) {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.leave()
	now, err := s.snapshot()
	if err != nil {
		return err
	}
	defer closeInto(&err, now)
	if err := s.waitSynced(ctx); err != nil {
		return err
	}
	e := exporter{reader{ctx, now}, each}
	blocks, follows := func() error { return e.relations(tagBlock) }, func() error { return e.relations(tagFollow) }
	for _, step := range []func() error{e.users, e.posts, blocks, follows, e.likes} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

type exporter struct {
	reader
	each func(store.Record) error
}

func (e *exporter) users() error {
	return e.scan(tagUser, func(key, value []byte) error {
		u, err := userRow(liked.UserID(field(key, 0))).decode(value)
		if err != nil {
			return err
		}
		return e.each(store.Record{User: &u})
	})
}

// posts goes in order of id, but first passes posts with higher ids that the next one refers to.
func (e *exporter) posts() error {
	early := make(map[liked.PostID]bool)
	return e.scan(tagPost, func(key, value []byte) error {
		p, err := postRow(liked.PostID(field(key, 0))).decode(value)
		if err != nil {
			return err
		}
		if early[p.ID] {
			delete(early, p.ID)
			return nil
		}
		for pending := []*store.Post{&p}; len(pending) > 0; {
			last := pending[len(pending)-1]
			next := liked.PostID(0)
			for _, ref := range []liked.PostID{last.RepostOf, last.InReplyTo, last.Quotes} {
				if ref > p.ID && !early[ref] {
					next = ref
				}
			}
			if next == 0 {
				if err := e.each(store.Record{Post: last}); err != nil {
					return err
				}
				early[last.ID] = last.ID > p.ID
				pending = pending[:len(pending)-1]
				continue
			}
			first, ok, err := postRow(next).read(e.r)
			if err != nil {
				return err
			}
			if !ok || len(pending) > maxReferences {
				return liked.Errorf(liked.Internal, "post %v refers to post %v, which never was", last.ID, next)
			}
			pending = append(pending, &first)
		}
		delete(early, p.ID)
		return nil
	})
}

// maxReferences ends a walk in a cycle, which only damage makes: posts refer to older posts.
const maxReferences = 1 << 20

func (e *exporter) relations(tag byte) error {
	return e.scan(tag, func(key, _ []byte) error {
		p := &store.Pair{From: liked.UserID(field(key, 0)), To: liked.UserID(field(key, 1))}
		if tag == tagBlock {
			return e.each(store.Record{Block: p})
		}
		return e.each(store.Record{Follow: p})
	})
}

// likes walks each user's list, oldest like first.
func (e *exporter) likes() (err error) {
	it, err := e.r.NewIter(&pebble.IterOptions{LowerBound: []byte{tagLiked}, UpperBound: []byte{tagLiked + 1}})
	if err != nil {
		return unavailable(err)
	}
	defer closeInto(&err, it)
	for ok := it.First(); ok; {
		user := liked.UserID(field(it.Key(), 0))
		end := after(num(nil, tagLiked, uint64(user)))
		for ok := it.SeekLT(end); ok && liked.UserID(field(it.Key(), 0)) == user; ok = it.Prev() {
			if err := e.ctx.Err(); err != nil {
				return err
			}
			post, err := decodeID(it.Value())
			if err != nil {
				return damaged(it.Key(), err)
			}
			if err := e.each(store.Record{Like: &store.Like{User: user, Post: liked.PostID(post), Seq: listSeq(it.Key())}}); err != nil {
				return err
			}
		}
		if err := it.Error(); err != nil {
			return unavailable(err)
		}
		ok = it.SeekGE(end)
	}
	return unavailable(it.Error())
}
