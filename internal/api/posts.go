package api

import (
	"errors"
	"regexp"
	"strings"

	"liked"
)

// postBody is X's schema of a new post. createPost refuses what this server keeps no data for.
var postBody = &schema{
	properties: []property{
		{name: "text", typ: "string", pattern: regexp.MustCompile(`\S`), required: true,
			example: "Hello", value: "Hello from Postman, {{$guid}}"},
		{name: "reply", typ: "object", object: &schema{
			properties: []property{
				{name: "in_reply_to_tweet_id", typ: "string", pattern: idPattern, required: true},
				{name: "exclude_reply_user_ids", typ: "array"},
				{name: "auto_populate_reply_metadata", typ: "boolean"},
			},
		}},
		{name: "quote_tweet_id", typ: "string", pattern: idPattern},
		{name: "reply_settings", typ: "string", enum: []string{"following", "mentionedUsers", "subscribers", "verified"}},
		{name: "media", typ: "object"},
		{name: "poll", typ: "object"},
		{name: "geo", typ: "object"},
		{name: "community_id", typ: "string"},
		{name: "card_uri", typ: "string"},
		{name: "direct_message_deep_link", typ: "string"},
		{name: "for_super_followers_only", typ: "boolean"},
		{name: "nullcast", typ: "boolean"},
		{name: "edit_options", typ: "object", newer: true},
		{name: "made_with_ai", typ: "boolean", newer: true},
		{name: "paid_partnership", typ: "boolean", newer: true},
		{name: "share_with_followers", typ: "boolean", newer: true},
	},
}

func (a *API) post(c *call) (any, error) {
	return single(a.postsByID(c, c.query.(*postView), "id", []string{c.path[0].value}))
}

func (a *API) posts(c *call) (any, error) {
	in := c.query.(*postsQuery)
	return a.postsByID(c, &in.postView, "ids", in.IDs)
}

// postsByID answers with the posts in the parameter's order, each once, and an error for each hidden from the caller.
func (a *API) postsByID(c *call, v *postView, param string, values []string) (*document, error) {
	ids := make([]liked.PostID, len(values))
	for i, v := range values {
		ids[i], _ = liked.ParseID[liked.PostID](v) // checked by readQuery
	}
	w := v.wanted()
	found, err := a.Store.Posts(c.ctx, c.who.User, ids, w.postMetrics())
	if err != nil {
		return nil, err
	}
	var posts []liked.Post
	var errs partialErrors
	seen := make(map[liked.PostID]bool, len(ids))
	for i, id := range ids {
		switch f := found[i]; {
		case seen[id]:
			continue
		case f.Err != nil:
			errs.add(a.unseen(f.Err, param, values[i], "data"))
		default:
			posts = append(posts, f.Post)
		}
		seen[id] = true
	}
	return a.postsDocument(c, w, posts, errs)
}

func (a *API) unseenPost(c *call, err error) (any, error) {
	if kind := liked.KindOf(err); kind != liked.NotFound && kind != liked.Forbidden {
		return nil, err
	}
	return document{Errors: partialErrors{a.unseen(err, "id", c.path[0].value, "data")}}, nil
}

func (a *API) createPost(c *call) (any, error) {
	text := c.body.text("text")
	if weight(text) > maxWeight {
		return nil, notPermitted.because("the text is longer than 280 characters")
	}
	if p := a.withoutData(c.body); p != nil {
		return nil, p
	}
	now := a.Now()
	post := liked.Post{Author: c.who.User, Text: text, CreatedAt: now}
	var faults []fault
	id := func(name, text string) (id liked.PostID) {
		if text == "" {
			return 0
		}
		id, err := liked.ParseID[liked.PostID](text)
		if err != nil { // 19 digits may overflow int64
			faults = append(faults, badValue(pair{name, text}, "is not valid"))
		}
		return id
	}
	if reply, ok := c.body.find("reply"); ok {
		members, _ := splitObject(reply, nil) // checked by readBody
		post.InReplyTo = id("in_reply_to_tweet_id", members.text("in_reply_to_tweet_id"))
	}
	post.Quotes = id("quote_tweet_id", c.body.text("quote_tweet_id"))
	if len(faults) > 0 {
		return nil, a.invalid("", faults...)
	}
	for {
		post.ID = liked.PostID(a.Store.NewID(now))
		err := a.Store.Publish(c.ctx, post)
		if err == nil {
			return created{document{Data: new(wanted).newPost(&post)}, "/2/tweets/" + post.ID.String()}, nil
		}
		switch liked.KindOf(err) {
		case liked.Conflict: // another server took the id: the next one is higher
		case liked.Forbidden:
			return nil, duplicate.because(err.Error())
		case liked.NotFound:
			if e, _ := errors.AsType[*liked.Error](err); e.Post != 0 && e.Post == post.InReplyTo {
				return nil, replyUnseen.because(err.Error())
			}
			return nil, notPermitted.because(err.Error())
		default:
			return nil, err
		}
	}
}

// withoutData refuses members without data here, unless they are defaults.
func (c *catalogue) withoutData(b body) *problem {
	for _, m := range b {
		why := "liked keeps no such thing as " + m.name + " of a post"
		switch m.name {
		case "text", "reply", "quote_tweet_id":
		case "media":
			return c.invalid(why, fault{object{}, "Your media IDs are invalid."})
		default:
			if m.value != "false" {
				return notPermitted.because(why)
			}
		}
	}
	return nil
}

// deletePost removes a post of the caller's. A missing one counts as deleted.
func (a *API) deletePost(c *call) (any, error) {
	if err := a.Store.DeletePost(c.ctx, c.who.User, liked.PostID(c.ids[0])); err != nil {
		switch liked.KindOf(err) {
		case liked.NotFound:
		case liked.Forbidden:
			return nil, notYourPost.because(err.Error())
		default:
			return nil, err
		}
	}
	return deletedTrue, nil
}

type deletion struct {
	Deleted bool `json:"deleted"`
}

var deletedTrue = newEncoded(document{Data: deletion{true}})

// maxWeight bounds a post. Most non-Latin characters count as 2, a link of any length as 23.
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
