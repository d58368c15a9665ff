package api

import "liked"

type likeState struct {
	Liked bool `json:"liked"`
}

var (
	likedTrue  = newEncoded(document{Data: likeState{true}})
	likedFalse = newEncoded(document{Data: likeState{false}})
)

// like is idempotent: liking again is no error.
func (a *API) like(c *call) (any, error) {
	text := c.body.text("tweet_id")
	post, err := liked.ParseID[liked.PostID](text)
	if err != nil { // 19 digits may overflow int64
		return nil, a.invalid("", badValue(pair{"tweet_id", text}, "is not valid"))
	}
	if _, err := a.Store.SetLike(c.ctx, c.who.User, post, true, a.Now()); err != nil {
		switch liked.KindOf(err) {
		case liked.NotFound:
			return nil, a.postCannotFound.because(err.Error())
		case liked.Forbidden:
			return nil, notPermitted.because(err.Error())
		}
		return nil, err
	}
	return likedTrue, nil
}

// unlike succeeds even if there is no such like or post.
func (a *API) unlike(c *call) (any, error) {
	if _, err := a.Store.SetLike(c.ctx, c.who.User, liked.PostID(c.ids[1]), false, a.Now()); err != nil {
		return nil, err
	}
	return likedFalse, nil
}
