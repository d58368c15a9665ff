package pebblestore

import (
	"liked"
	"liked/internal/cache"
	"liked/internal/store/sight"
)

// likeTarget is what a like is of, and whether the rules allow it.
type likeTarget struct {
	target liked.PostID // the original, if the post is a repost
	author liked.UserID // of target
	err    error        // NotFound or Forbidden; nil: allowed
}

// userHead is what the like rules read of a user who exists.
type userHead struct {
	state     liked.AccountState
	protected bool
	blocks    bool // at least one other user
}

// applyLikeRules reads the caches, then the database. Its result holds for one state of the store if Store.epoch was
// the same even number before and after.
func (s *Store) applyLikeRules(user liked.UserID, post liked.PostID) (v likeTarget, err error) {
	if _, ok, err := s.userHead(user); err != nil || !ok {
		v.err = noSuch("user", user)
		return v, err
	}
	h, ok, err := s.postHead(post)
	if err != nil || !ok || h.deleted {
		v.err = noSuch("post", post)
		return v, err
	}
	v.target, v.author = post, h.author
	if h.repostOf != 0 {
		v.target = h.repostOf
		original, ok, err := s.postHead(h.repostOf)
		if err != nil || !ok || original.deleted {
			v.err = noSuch("post", h.repostOf, "of which post", post, "is a repost")
			return v, err
		}
		v.author = original.author
		if h.author != original.author {
			if err := s.applyAuthorRules(&v, user, h.author); err != nil {
				return v, err
			}
		}
	}
	if v.err == nil || liked.KindOf(v.err) == liked.Forbidden { // NotFound for the original's author takes precedence
		err = s.applyAuthorRules(&v, user, v.author)
	}
	return v, err
}

// applyAuthorRules sets v.err if the user may not see the author's posts. NotFound replaces an earlier Forbidden.
func (s *Store) applyAuthorRules(v *likeTarget, user, author liked.UserID) error {
	seen := sight.Hidden
	a, ok, err := s.userHead(author)
	if err == nil && ok {
		seen, err = seenBy(s.db, user, author, a)
	}
	if err == nil && (v.err == nil || seen == sight.Hidden) {
		v.err = seen.Refusal(user, author, "")
	}
	return err
}

func (s *Store) userHead(id liked.UserID) (h userHead, ok bool, err error) {
	if h, ok := s.users.Get(id); ok {
		return h, true, nil
	}
	epoch := s.epoch.Load()
	h, ok, err = read(s.db, userKey(id), decodeUserHead)
	if err != nil || !ok {
		return h, false, err
	}
	blocks := num(nil, tagBlock, uint64(id))
	block, err := firstKey(s.db, blocks, after(blocks))
	if err != nil {
		return h, false, err
	}
	h.blocks = block != nil
	s.users.Put(id, h, func() bool { return s.steady(epoch) })
	return h, true, nil
}

func (s *Store) postHead(id liked.PostID) (h postHead, ok bool, err error) {
	if h, ok := s.posts.Get(id); ok {
		return h, true, nil
	}
	epoch := s.epoch.Load()
	if h, ok, err = read(s.db, postKey(id), decodePostHead); err == nil && ok {
		s.posts.Put(id, h, func() bool { return s.steady(epoch) })
	}
	return h, ok, err
}

// headsKept is how many heads of users, and of posts, are cached. The committer drops changed ones while Store.epoch is
// odd.
const headsKept = 1 << 18

func newHeads[K ~int64, V any]() *cache.Cache[K, V] {
	return cache.New[K, V](headsKept, func(k K) uint64 { return mix(uint64(k)) })
}

// steady reports whether reads since epoch was loaded show one state that still holds.
func (s *Store) steady(epoch uint64) bool { return epoch&1 == 0 && s.epoch.Load() == epoch }
