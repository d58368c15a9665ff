package pebblestore

import (
	"sync"

	"github.com/cockroachdb/pebble/v2"

	"liked"
)

// verdict is whether a user may like a post, and what the like is of.
type verdict struct {
	target liked.PostID // the original, if the post is a repost
	author liked.UserID // of target
	kind   liked.Kind   // NotFound or Forbidden; 0: allowed
	msg    string
}

func (v *verdict) refuse(kind liked.Kind, msg string) { v.kind, v.msg = kind, msg }

// refusal is nil if the like is allowed.
func (v *verdict) refusal() error {
	if v.kind == 0 {
		return nil
	}
	return &liked.Error{Kind: v.kind, Msg: v.msg}
}

// userHead is what a like must know of a user. There is one only for users who exist.
type userHead struct {
	state     liked.AccountState
	protected bool
	blocks    bool // at least one other
}

// judge decides from what is known in memory, and from the database where that does not reach. The verdict is of one
// moment if Store.rules was the same even number before and after.
func (s *Store) judge(user liked.UserID, post liked.PostID) (v verdict, err error) {
	if _, ok, err := s.userHead(user); err != nil {
		return v, err
	} else if !ok {
		v.refuse(liked.NotFound, "no such user "+user.String())
		return v, nil
	}
	h, ok, err := s.postHead(post)
	if err != nil {
		return v, err
	}
	if !ok || h.deleted {
		v.refuse(liked.NotFound, "no such post "+post.String())
		return v, nil
	}
	v.target, v.author = post, h.author
	if h.repostOf != 0 {
		v.target = h.repostOf
		original, ok, err := s.postHead(h.repostOf)
		if err != nil {
			return v, err
		}
		if !ok || original.deleted {
			v.refuse(liked.NotFound, "the original of repost "+post.String()+" is gone")
			return v, nil
		}
		v.author = original.author
		if h.author != original.author {
			if err := s.judgeAuthor(&v, user, h.author); err != nil {
				return v, err
			}
		}
	}
	if v.kind != liked.NotFound {
		err = s.judgeAuthor(&v, user, v.author)
	}
	return v, err
}

// judgeAuthor refuses if the author is gone or hidden, or else keeps a refusal, or refuses if the user may not see the
// author's posts.
func (s *Store) judgeAuthor(v *verdict, user, author liked.UserID) error {
	a, ok, err := s.userHead(author)
	switch {
	case err != nil:
		return err
	case !ok || a.state.Hidden():
		v.refuse(liked.NotFound, "the author "+author.String()+" is hidden")
		return nil
	case author == user || v.kind != 0:
		return nil
	}
	if a.blocks {
		blocked, err := exists(s.db, pair(tagBlock, author, user))
		if err != nil {
			return err
		}
		if blocked {
			v.refuse(liked.Forbidden, "the author "+author.String()+" blocked user "+user.String())
			return nil
		}
	}
	if a.protected {
		follows, err := exists(s.db, pair(tagFollow, user, author))
		if err != nil {
			return err
		}
		if !follows {
			v.refuse(liked.Forbidden, "the author "+author.String()+" is protected and user "+user.String()+" does not follow")
		}
	}
	return nil
}

func (s *Store) userHead(id liked.UserID) (h userHead, ok bool, err error) {
	if h, ok := s.users.get(id); ok {
		return h, true, nil
	}
	rules := s.rules.Load()
	h, ok, err = read(s.db, userKey(id), func(value []byte) (h userHead, err error) {
		h.state, h.protected, err = decodeUserFlags(value)
		return h, err
	})
	if err != nil || !ok {
		return h, false, err
	}
	err = scan(s.db, num(nil, tagBlock, uint64(id)), nil, func([]byte, []byte) (bool, error) {
		h.blocks = true
		return false, nil
	})
	if err != nil {
		return h, false, err
	}
	s.users.put(id, h, s, rules)
	return h, true, nil
}

func (s *Store) postHead(id liked.PostID) (h postHead, ok bool, err error) {
	if h, ok := s.posts.get(id); ok {
		return h, true, nil
	}
	rules := s.rules.Load()
	if h, ok, err = read(s.db, postKey(id), decodePostHead); err == nil && ok {
		s.posts.put(id, h, s, rules)
	}
	return h, ok, err
}

// headCache is a bounded cache of what exists. The committer drops what it changes while Store.rules is odd, and a value
// that was read before or meanwhile is not put back.
type headCache[K ~int64, V any] struct {
	shards [64]struct {
		sync.Mutex
		m map[K]V
	}
}

const headsPerShard = 4096

func (c *headCache[K, V]) get(k K) (V, bool) {
	sh := &c.shards[mix(uint64(k))%uint64(len(c.shards))]
	sh.Lock()
	v, ok := sh.m[k]
	sh.Unlock()
	return v, ok
}

// put adds what was read after rules was loaded from s.
func (c *headCache[K, V]) put(k K, v V, s *Store, rules uint64) {
	sh := &c.shards[mix(uint64(k))%uint64(len(c.shards))]
	sh.Lock()
	defer sh.Unlock()
	if rules&1 != 0 || s.rules.Load() != rules {
		return
	}
	if sh.m == nil {
		sh.m = make(map[K]V)
	}
	if len(sh.m) >= headsPerShard {
		for old := range sh.m {
			delete(sh.m, old)
			break
		}
	}
	sh.m[k] = v
}

func (c *headCache[K, V]) drop(k K) {
	sh := &c.shards[mix(uint64(k))%uint64(len(c.shards))]
	sh.Lock()
	delete(sh.m, k)
	sh.Unlock()
}

// eyes decide what one viewer sees at the moment of one snapshot.
type eyes struct {
	r       pebble.Reader
	viewer  liked.UserID // zero: a caller without a user
	authors map[liked.UserID]authorSeen

	// Who blocked the viewer, read at the first look at a second user and kept if they are few.
	looks    int
	blockers map[liked.UserID]struct{} // nil: not known
}

type authorSeen uint8

const (
	authorVisible authorSeen = iota
	authorHidden
	authorBlocks
	authorProtected
)

func newEyes(r pebble.Reader, viewer liked.UserID) *eyes {
	return &eyes{r: r, viewer: viewer, authors: make(map[liked.UserID]authorSeen)}
}

// author says how the viewer sees posts of the author.
func (e *eyes) author(id liked.UserID) (seen authorSeen, err error) {
	if seen, ok := e.authors[id]; ok {
		return seen, nil
	}
	h, ok, err := read(e.r, userKey(id), func(value []byte) (h userHead, err error) {
		h.state, h.protected, err = decodeUserFlags(value)
		return h, err
	})
	if err != nil {
		return 0, err
	}
	if !ok {
		seen = authorHidden
	} else if seen, err = e.see(id, h.state, h.protected); err != nil {
		return 0, err
	}
	e.authors[id] = seen
	return seen, nil
}

// see is author for a user of whom the record is at hand.
func (e *eyes) see(id liked.UserID, state liked.AccountState, protected bool) (authorSeen, error) {
	switch {
	case state.Hidden():
		return authorHidden, nil
	case id == e.viewer:
		return authorVisible, nil
	case e.viewer == 0 && protected:
		return authorProtected, nil
	case e.viewer == 0:
		return authorVisible, nil
	}
	blocked, err := e.blockedBy(id)
	if err != nil || blocked {
		return authorBlocks, err
	}
	if !protected {
		return authorVisible, nil
	}
	follows, err := exists(e.r, pair(tagFollow, e.viewer, id))
	if err != nil || !follows {
		return authorProtected, err
	}
	return authorVisible, nil
}

// fewBlockers is how many of those who blocked a viewer are worth reading at once, which costs about as much as asking
// for two of them.
const fewBlockers = 64

func (e *eyes) blockedBy(id liked.UserID) (blocked bool, err error) {
	if e.looks++; e.looks == 2 {
		blockers := make(map[liked.UserID]struct{})
		err := scan(e.r, num(nil, tagBlockedBy, uint64(e.viewer)), nil, func(key, _ []byte) (bool, error) {
			blockers[liked.UserID(field(key, 1))] = struct{}{}
			return len(blockers) <= fewBlockers, nil
		})
		if err != nil {
			return false, err
		}
		if len(blockers) <= fewBlockers {
			e.blockers = blockers
		}
	}
	if e.blockers != nil {
		_, blocked = e.blockers[id]
		return blocked, nil
	}
	return exists(e.r, pair(tagBlock, id, e.viewer))
}

// lists returns nil if the viewer may see what the user likes.
func (e *eyes) lists(id liked.UserID) error {
	seen, err := e.author(id)
	if err != nil {
		return err
	}
	return e.unseen(seen, id, "")
}

// liker returns a user who likes something, with the metrics, if the viewer may see them among others who do.
func (e *eyes) liker(id liked.UserID) (liked.User, error) {
	u, ok, err := readUser(e.r, id)
	if err != nil {
		return liked.User{}, err
	}
	if !ok {
		return liked.User{}, noSuchUser(id)
	}
	seen, err := e.see(id, u.State, u.Protected)
	if err == nil {
		err = e.unseen(seen, id, "")
	}
	if err == nil {
		err = countUser(e.r, &u)
	}
	return u, err
}

// unseen is the error of a viewer who sees an author, or what is described by of, like that. It is nil for one who does.
func (e *eyes) unseen(seen authorSeen, author liked.UserID, of string) error {
	switch seen {
	case authorVisible:
		return nil
	case authorBlocks:
		return liked.Errorf(liked.Forbidden, "user %v%s blocked user %v", author, of, e.viewer)
	case authorProtected:
		return liked.Errorf(liked.Forbidden, "user %v%s is protected and not followed by user %v", author, of, e.viewer)
	}
	return liked.Errorf(liked.NotFound, "user %v%s is gone or hidden", author, of)
}

// post returns the post with its metrics, NotFound or Forbidden.
func (e *eyes) post(id liked.PostID) (p liked.Post, err error) {
	type record struct {
		head postHead
		post liked.Post
	}
	rec, ok, err := read(e.r, postKey(id), func(value []byte) (rec record, err error) {
		if rec.head, err = decodePostHead(value); err == nil && !rec.head.deleted {
			rec.post, err = decodePost(id, value)
		}
		return rec, err
	})
	if err != nil {
		return p, err
	}
	if !ok || rec.head.deleted {
		return p, noSuchPost(id)
	}
	seen, err := e.author(rec.head.author)
	if err != nil {
		return p, err
	}
	if seen != authorVisible {
		return p, e.unseen(seen, rec.head.author, ", the author of post "+id.String()+",")
	}
	n, _, err := read(e.r, num(nil, tagPostN, uint64(id)), decodeCounts)
	rec.post.Metrics = n.post()
	return rec.post, err
}

func noSuchPost(id liked.PostID) error { return liked.Errorf(liked.NotFound, "no such post %v", id) }

func noSuchUser(id liked.UserID) error { return liked.Errorf(liked.NotFound, "no such user %v", id) }
