package pebblestore

import (
	"liked"
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
}

// applyLikeRules reads what is in memory, then the database. Its result holds for one state of the store if Store.epoch was
// the same even number before and after.
func (s *Store) applyLikeRules(user liked.UserID, post liked.PostID) (v likeTarget, err error) {
	if ok, err := s.userExists(user); err != nil || !ok {
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
	now := s.now()
	e := visibility{r: &now, viewer: user}
	seen, err := e.author(author)
	if err == nil && (v.err == nil || seen == sight.Hidden) {
		v.err = seen.Refusal(user, author, "")
	}
	return err
}

func (s *Store) userExists(id liked.UserID) (bool, error) {
	now := s.now()
	_, ok, err := now.user(id)
	return ok, err
}

func (s *Store) postHead(id liked.PostID) (h postHead, ok bool, err error) {
	now := s.now()
	k, ok, err := now.post(id)
	if err != nil || !ok {
		return h, false, err
	}
	if h, err = decodePostHead(k.value); err != nil {
		return h, true, damaged(postKey(id), err)
	}
	return h, true, nil
}

// steady reports whether reads since epoch was loaded show one state that still holds.
func (s *Store) steady(epoch uint64) bool { return epoch&1 == 0 && s.epoch.Load() == epoch }
