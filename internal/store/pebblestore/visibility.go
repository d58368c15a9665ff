package pebblestore

import (
	"cmp"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"liked"
	"liked/internal/store"
	"liked/internal/store/sight"
)

// visibility decides what one viewer sees, on one snapshot.
type visibility struct {
	r       pebble.Reader
	viewer  liked.UserID // zero: a caller without a user; or store.Operator
	authors map[liked.UserID]sight.Author

	// Users who blocked the viewer, read when a second user is looked at, and kept if they are few.
	looks    int
	blockers map[liked.UserID]struct{} // nil: not known
}

func newVisibility(r pebble.Reader, viewer liked.UserID) *visibility {
	return &visibility{r: r, viewer: viewer, authors: make(map[liked.UserID]sight.Author)}
}

func (e *visibility) author(id liked.UserID) (seen sight.Author, err error) {
	if seen, ok := e.authors[id]; ok {
		return seen, nil
	}
	h, ok, err := read(e.r, userKey(id), decodeUserHead)
	if err != nil {
		return 0, err
	}
	seen = sight.Hidden
	if ok {
		if seen, err = e.see(id, h); err != nil {
			return 0, err
		}
	}
	e.authors[id] = seen
	return seen, nil
}

// see is author with the head known.
func (e *visibility) see(id liked.UserID, h userHead) (sight.Author, error) {
	if e.viewer == store.Operator {
		return sight.Visible, nil
	}
	if id != e.viewer && e.viewer != 0 && !h.state.Hidden() {
		if blocked, err := e.blockedBy(id); err != nil || blocked {
			return sight.Blocks, err
		}
	}
	h.blocks = false // the viewer is not blocked
	return seenBy(e.r, e.viewer, id, h)
}

// seenBy returns how the viewer sees the author's posts.
func seenBy(r pebble.Reader, viewer, author liked.UserID, h userHead) (sight.Author, error) {
	switch {
	case h.state.Hidden():
		return sight.Hidden, nil
	case author == viewer:
		return sight.Visible, nil
	}
	if h.blocks {
		if blocked, err := exists(r, pair(tagBlock, author, viewer)); err != nil || blocked {
			return sight.Blocks, err
		}
	}
	if h.protected {
		if follows, err := exists(r, pair(tagFollow, viewer, author)); err != nil || !follows {
			return sight.Protected, err
		}
	}
	return sight.Visible, nil
}

// fewBlockers is how many of a viewer's blockers can be read for about the cost of looking up two.
const fewBlockers = 64

func (e *visibility) blockedBy(id liked.UserID) (blocked bool, err error) {
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

// lists returns nil if the viewer may see the user's likes.
func (e *visibility) lists(id liked.UserID) error {
	seen, err := e.author(id)
	if err != nil {
		return err
	}
	return seen.Refusal(e.viewer, id, "")
}

// likers returns users with metrics. Those that the viewer may not see have an error.
func (e *visibility) likers(ids []liked.UserID) ([]shown[liked.User], error) {
	users, order := make([]shown[liked.User], len(ids)), inOrder(ids)
	for _, i := range order {
		u, ok, err := userRow(ids[i]).read(e.r)
		switch {
		case err != nil:
			return nil, err
		case !ok:
			users[i].err = noSuch("user", ids[i])
		}
		users[i].item = u
	}
	for _, i := range order {
		u := &users[i]
		if u.err != nil {
			continue
		}
		seen, err := e.see(ids[i], userHead{state: u.item.State, protected: u.item.Protected})
		if err != nil {
			return nil, err
		}
		u.err = seen.Refusal(e.viewer, ids[i], "")
	}
	for _, i := range order {
		if users[i].err == nil {
			if err := countUser(e.r, &users[i].item); err != nil {
				return nil, err
			}
		}
	}
	return users, nil
}

func (e *visibility) post(id liked.PostID) (liked.Post, error) {
	posts, err := e.posts([]liked.PostID{id})
	if err != nil {
		return liked.Post{}, err
	}
	return posts[0].item, posts[0].err
}

// posts returns posts with metrics. Those that the viewer may not see have an error.
func (e *visibility) posts(ids []liked.PostID) ([]shown[liked.Post], error) {
	posts, order := make([]shown[liked.Post], len(ids)), inOrder(ids)
	authors := make([]liked.UserID, len(ids)) // also of deleted posts
	for _, i := range order {
		p, ok, err := postRow(ids[i]).read(e.r)
		switch {
		case err != nil:
			return nil, err
		case !ok || p.Deleted:
			posts[i].err = noSuch("post", ids[i])
		}
		posts[i].item, authors[i] = p.Post, p.Author
	}
	for _, i := range inOrder(authors) {
		if posts[i].err != nil {
			continue
		}
		seen, err := e.author(authors[i])
		if err != nil {
			return nil, err
		}
		if seen != sight.Visible {
			posts[i] = shown[liked.Post]{err: seen.Refusal(e.viewer, authors[i], ", the author of post "+ids[i].String()+",")}
		}
	}
	for _, i := range order {
		if posts[i].err != nil {
			continue
		}
		if err := readPostCounts(e.r, &posts[i].item); err != nil {
			return nil, err
		}
	}
	return posts, nil
}

func readPostCounts(r pebble.Reader, p *liked.Post) error {
	n, _, err := read(r, num(nil, tagPostN, uint64(p.ID)), decodeCounts)
	p.Metrics = n.post()
	return err
}

// shown is an item as a viewer sees it, or the error that says why not.
type shown[T any] struct {
	item T
	err  error
}

// inOrder returns the indexes of ids in key order. Reading one kind of key after the other, each in order, spares
// pebble reopening tables.
func inOrder[T ~int64](ids []T) []int {
	order := make([]int, len(ids))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(ids[a], ids[b]) })
	return order
}
