package api

import (
	"cmp"

	"liked"
	"liked/internal/store"
)

// likedPosts lists the posts that a user likes, newest like first. Where likes are private, it is empty for others.
func (a *API) likedPosts(c *call) (any, error) {
	id := liked.UserID(c.ids[0])
	l := list{"liked_tweets", c.ids[0]}
	in := c.query.(*likedPostsQuery)
	w := in.wanted()
	from, max, err := a.page(l, in.MaxResults, in.Token)
	if err != nil {
		return nil, err
	}
	page, err := pageWithItems(from, max, func(from store.Cursor) (store.Page[liked.Post], error) {
		return a.Store.LikedPosts(c.ctx, c.who.User, id, from, max, w.postMetrics(), c.posts.stored)
	})
	c.posts.stored = page.Items
	switch {
	case err == nil:
	case liked.KindOf(err) == liked.NotFound:
		var state liked.AccountState
		users, err := a.Store.UsersByID(c.ctx, []liked.UserID{id}, store.WithoutMetrics)
		if err != nil {
			return nil, err
		}
		if len(users) > 0 {
			state = users[0].State
		}
		return document{Errors: partialErrors{a.hiddenUser("id", c.path[0].value, state)}}, nil
	case liked.KindOf(err) == liked.Forbidden:
		return document{Errors: partialErrors{a.notAuthorized("user", "id", c.path[0].value, "data")}}, nil
	default:
		return nil, err
	}
	if a.PrivateLikes && id != c.who.User {
		page = store.Page[liked.Post]{}
	}
	doc, err := a.postsDocument(c, w, page.Items, nil)
	return paged(a, doc, err, l, page)
}

// likingUsers lists a post's likers, newest like first. Where likes are private, only the author may see them.
func (a *API) likingUsers(c *call) (any, error) {
	id := liked.PostID(c.ids[0])
	l := list{"liking_users", c.ids[0]}
	in := c.query.(*likingUsersQuery)
	w := in.wanted()
	from, max, err := a.page(l, in.MaxResults, in.Token)
	if err != nil {
		return nil, err
	}
	page, err := pageWithItems(from, max, func(from store.Cursor) (store.Page[liked.User], error) {
		return a.Store.LikingUsers(c.ctx, c.who.User, id, from, max, w.userMetrics(), c.users.stored)
	})
	c.users.stored = page.Items
	if err != nil {
		return a.unseenPost(c, err)
	}
	if a.PrivateLikes {
		// An author never changes, so another moment does no harm.
		p, err := a.Store.Post(c.ctx, c.who.User, id)
		if err == nil && p.RepostOf != 0 {
			p, err = a.Store.Post(c.ctx, c.who.User, p.RepostOf)
		}
		if err != nil {
			return a.unseenPost(c, err)
		}
		if p.Author != c.who.User {
			return nil, a.forbidden.because("likes are private: only the author of a post sees who likes it; " +
				"with --no-private-likes every caller does")
		}
	}
	doc, err := a.usersDocument(c, w, page.Items, nil)
	return paged(a, doc, err, l, page)
}

// pageReach is how many items a request asks the store for before it gives a page without items.
const pageReach = 1000

// pageWithItems reads a page, and goes on in its direction while the caller may see nothing on it, since clients take a
// page without items for the last. After pageReach it is empty, and has the token of the next.
func pageWithItems[T any](from store.Cursor, max int, read func(store.Cursor) (store.Page[T], error)) (store.Page[T], error) {
	page, err := read(from)
	for looked := max; err == nil && len(page.Items) == 0 && looked < pageReach; looked += max {
		next, behind := &page.Older, &page.Newer
		if from.Newer {
			next, behind = behind, next
		}
		if *next == (store.Cursor{}) {
			break
		}
		before := *behind
		page, err = read(*next)
		*behind = before // there is nothing to go back to on what was looked past
	}
	return page, err
}

func (a *API) page(l list, results int, token string) (from store.Cursor, max int, err error) {
	if token != "" {
		var ok bool
		if from, ok = a.cursor(l, token); !ok {
			return from, 0, a.invalid("", badValue(pair{"pagination_token", token}, "is not valid"))
		}
	}
	return from, cmp.Or(results, defaultResults), nil
}

type meta struct {
	ResultCount   int    `json:"result_count"`
	NextToken     string `json:"next_token,omitempty"`
	PreviousToken string `json:"previous_token,omitempty"`
}

// paged adds the page's tokens to doc.
func paged[T any](a *API, doc *document, err error, l list, page store.Page[T]) (any, error) {
	if err != nil {
		return nil, err
	}
	doc.Meta = &meta{len(page.Items), a.token(l, page.Older), a.token(l, page.Newer)}
	return doc, nil
}
