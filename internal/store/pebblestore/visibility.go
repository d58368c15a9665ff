package pebblestore

import (
	"cmp"

	"github.com/cockroachdb/pebble/v2"

	"liked"
	"liked/internal/store"
	"liked/internal/store/sight"
)

// visibility decides what one viewer sees of one state.
type visibility struct {
	r      *state
	viewer liked.UserID // zero: a caller without a user; or store.Operator

	// Users who blocked the viewer, read when a second user is looked at, and kept if they are few.
	blocked  tristate // whether there are any
	looks    int
	blockers map[liked.UserID]struct{} // nil: not known
}

func newVisibility(r pebble.Reader, viewer liked.UserID) *visibility {
	return &visibility{r: stateOf(r), viewer: viewer}
}

// author returns how the viewer sees the author's posts.
func (e *visibility) author(id liked.UserID) (sight.Author, error) {
	k, ok, err := e.r.user(id)
	if err != nil || !ok {
		return sight.Hidden, err
	}
	return e.see(id, k)
}

// see is author with the record known.
func (e *visibility) see(id liked.UserID, k cached) (sight.Author, error) {
	if e.viewer == store.Operator {
		return sight.Visible, nil
	}
	h, err := decodeUserHead(k.value)
	if err != nil {
		return 0, damaged(userKey(id), err)
	}
	switch {
	case h.state.Hidden():
		return sight.Hidden, nil
	case id == e.viewer:
		return sight.Visible, nil
	}
	if blocked, err := e.blockedBy(id); err != nil || blocked {
		return sight.Blocks, err
	}
	if h.protected {
		if follows, err := e.r.has(pair(tagFollow, e.viewer, id)); err != nil || !follows {
			return sight.Protected, err
		}
	}
	return sight.Visible, nil
}

// fewBlockers is how many of a viewer's blockers can be read for about the cost of looking up two.
const fewBlockers = 64

func (e *visibility) blockedBy(id liked.UserID) (blocked bool, err error) {
	if e.viewer == 0 || e.blocked == no {
		return false, nil
	}
	if e.blocked == unknown {
		e.blocked = yes
		if blocked, err := e.r.isBlocked(e.viewer); err != nil || !blocked {
			e.blocked = no
			return false, err
		}
	}
	if e.looks++; e.looks == 2 {
		from, err := e.r.reader()
		if err != nil {
			return false, err
		}
		blockers := make(map[liked.UserID]struct{})
		err = scan(from, num(nil, tagBlockedBy, uint64(e.viewer)), nil, func(key, _ []byte) (bool, error) {
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
	return e.r.has(pair(tagBlock, id, e.viewer))
}

// lists returns nil if the viewer may see the user's likes.
func (e *visibility) lists(id liked.UserID) error {
	seen, err := e.author(id)
	if err != nil {
		return err
	}
	return seen.Refusal(e.viewer, id, "")
}

// likers appends those of the users whom the viewer may see.
func (e *visibility) likers(users []liked.User, ids []liked.UserID, metrics store.Metrics) ([]liked.User, error) {
	records, err := recordsOf(e.r, tagUser, ids)
	if err != nil {
		return nil, err
	}
	first := len(users)
	for i, k := range records {
		if k.value == nil {
			continue
		}
		seen, err := e.see(ids[i], k)
		if err != nil {
			return nil, err
		}
		if seen == sight.Visible {
			users = append(users, liked.User{})
			if err := k.user(ids[i], &users[len(users)-1]); err != nil {
				return nil, err
			}
		}
	}
	if metrics {
		err = e.r.countUsers(users[first:])
	}
	return users, err
}

func (e *visibility) post(id liked.PostID) (liked.Post, error) {
	posts, err := e.posts([]liked.PostID{id}, store.WithMetrics)
	if err != nil {
		return liked.Post{}, err
	}
	return posts[0].Post, posts[0].Err
}

// liked appends those of the posts that the viewer may see.
func (e *visibility) liked(posts []liked.Post, ids []liked.PostID, metrics store.Metrics) ([]liked.Post, error) {
	first := len(posts)
	err := e.judge(ids, func(i int, k cached, author liked.UserID, how sight.Author) error {
		if k.value == nil || how != sight.Visible {
			return nil
		}
		posts = append(posts, liked.Post{})
		return k.post(ids[i], &posts[len(posts)-1])
	})
	if err == nil && metrics {
		err = e.r.countPosts(posts[first:])
	}
	return posts, err
}

// posts returns the posts; those that the viewer may not see have an error.
func (e *visibility) posts(ids []liked.PostID, metrics store.Metrics) ([]store.Seen, error) {
	seen := make([]store.Seen, len(ids))
	err := e.judge(ids, func(i int, k cached, author liked.UserID, how sight.Author) (err error) {
		if seen[i].Err = e.refusal(ids[i], k, author, how); seen[i].Err != nil {
			return nil
		}
		if err = k.post(ids[i], &seen[i].Post); err == nil && metrics {
			seen[i].Post.Metrics, err = e.r.postMetrics(ids[i])
		}
		return err
	})
	return seen, err
}

// original returns the post, or that of which it is a repost. The viewer sees both.
func (e *visibility) original(id liked.PostID) (original liked.PostID, err error) {
	for original = id; err == nil; id = original {
		err = e.judge([]liked.PostID{id}, func(_ int, k cached, author liked.UserID, how sight.Author) error {
			if err := e.refusal(id, k, author, how); err != nil {
				return err
			}
			h, err := decodePostHead(k.value)
			original = cmp.Or(h.repostOf, id)
			return err
		})
		if original == id {
			break
		}
	}
	return original, err
}

// refusal is the error for a post that the viewer does not see, or nil.
func (e *visibility) refusal(id liked.PostID, k cached, author liked.UserID, how sight.Author) error {
	switch {
	case k.value == nil:
		return noSuch("post", id)
	case how != sight.Visible:
		return how.Refusal(e.viewer, author, ", the author of post "+id.String()+",")
	}
	return nil
}

// judge calls f with the record of each post and how the viewer sees its author. value is nil for a post that is not there.
func (e *visibility) judge(ids []liked.PostID, f func(i int, k cached, author liked.UserID, how sight.Author) error) error {
	records, err := recordsOf(e.r, tagPost, ids)
	if err != nil {
		return err
	}
	authors := make([]liked.UserID, len(ids)) // zero: the post is not there
	for i, k := range records {
		if k.value == nil {
			continue
		}
		h, err := decodePostHead(k.value)
		if err != nil {
			return damaged(postKey(ids[i]), err)
		}
		if h.deleted {
			records[i].value = nil
			continue
		}
		authors[i] = h.author
	}
	people, err := recordsOf(e.r, tagUser, authors)
	if err != nil {
		return err
	}
	for i, k := range records {
		how := sight.Hidden
		if k.value != nil && people[i].value != nil {
			if how, err = e.see(authors[i], people[i]); err != nil {
				return err
			}
		}
		if err := f(i, k, authors[i], how); err != nil {
			return err
		}
	}
	return nil
}
