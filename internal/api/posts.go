package api

import (
	"regexp"
	"strings"

	"liked"
)

var postBody = &schema{
	properties: []property{{name: "text", typ: "string", pattern: regexp.MustCompile(`\S`), required: true}},
	closed:     func(facts) bool { return true },
}

func (a *API) post(c *call) (any, error) {
	id := liked.PostID(c.ids[0])
	p, err := a.Store.Post(c.ctx, c.who.User, id)
	if err != nil {
		switch liked.KindOf(err) {
		case liked.NotFound:
			return a.missing("tweet", id.String()), nil
		case liked.Forbidden:
			return a.notAuthorized(id.String()), nil
		}
		return nil, err
	}
	return document{Data: newPost(p, c.query)}, nil
}

func (a *API) createPost(c *call) (any, error) {
	text := c.body.text("text")
	if weight(text) > maxWeight {
		return nil, a.notPermitted.because("the text is longer than 280 characters")
	}
	for {
		now := a.Now()
		p := liked.Post{ID: liked.PostID(a.posts.Next(now)), Author: c.who.User, Text: text, CreatedAt: now}
		err := a.Store.AddPost(c.ctx, p)
		if err == nil {
			return created{document{Data: newPost(p, nil)}, "/2/tweets/" + p.ID.String()}, nil
		}
		if liked.KindOf(err) != liked.Conflict { // with another server's id: the next one is higher
			return nil, err
		}
	}
}

// deletePost removes a post of the caller's. A post that is not there is as good as deleted.
func (a *API) deletePost(c *call) (any, error) {
	if err := a.Store.DeletePost(c.ctx, c.who.User, liked.PostID(c.ids[0])); err != nil {
		switch liked.KindOf(err) {
		case liked.NotFound:
		case liked.Forbidden:
			return nil, a.notYourPost.because(err.Error())
		default:
			return nil, err
		}
	}
	return deletedTrue, nil
}

var deletedTrue = newFixed(`{"data":{"deleted":true}}`)

// maxWeight is the length of the longest post. Most characters outside the Latin scripts count twice, and a link
// counts as 23, however long it is.
const maxWeight = 280

var link = regexp.MustCompile(`https?://\S+`)

func weight(text string) (n int) {
	text = link.ReplaceAllLiteralString(text, strings.Repeat("x", 23))
	for _, r := range text {
		switch {
		case r <= 4351, 8192 <= r && r <= 8205, 8208 <= r && r <= 8223, 8242 <= r && r <= 8247:
			n++
		default:
			n += 2
		}
	}
	return n
}
