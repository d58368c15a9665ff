package api

import (
	"net/url"
	"time"
	"unicode/utf8"

	"liked"
	"liked/internal/store"
)

// newV1User encodes an account ("User object", v1.1), with status unless nil.
func newV1User(u *liked.User, following, entities bool, status object) object {
	var link any
	if u.URL != "" {
		link = u.URL
	}
	m := u.Metrics
	o := object{"id", int64(u.ID), "id_str", u.ID, "name", u.Name, "screen_name", u.Username, "location", u.Location,
		"description", u.Description, "url", link}
	if entities {
		o = append(o, "entities", object{"description", object{"urls", none}})
	}
	o = append(o, "protected", u.Protected, "followers_count", m.Followers, "friends_count", m.Following, "listed_count", 0,
		"created_at", v1Time(u.CreatedAt), "favourites_count", m.Likes, "utc_offset", nil, "time_zone", nil, "geo_enabled", false,
		"verified", u.Verified, "statuses_count", m.Posts, "lang", nil)
	if status != nil {
		o = append(o, "status", status)
	}
	// The colours and the background are those of every new account: strict clients refuse a user without them.
	return append(o, "contributors_enabled", false, "is_translator", false, "profile_background_color", "F5F8FA",
		"profile_background_image_url", nil, "profile_background_image_url_https", nil, "profile_background_tile", false,
		"profile_image_url", picture(u), "profile_image_url_https", picture(u), "profile_link_color", "1DA1F2",
		"profile_sidebar_border_color", "C0DEED", "profile_sidebar_fill_color", "DDEEF6", "profile_text_color", "333333",
		"profile_use_background_image", true, "default_profile", true, "default_profile_image", u.ProfileImageURL == "",
		"following", following, "follow_request_sent", false, "notifications", false)
}

var none = []struct{}{}

// v1Pair appends an id as number and text; for zero null, if always is set.
func v1Pair[ID interface {
	~int64
	String() string
}](o object, name string, id ID, always bool) object {
	switch {
	case id != 0:
		return append(o, name, int64(id), name+"_str", id.String())
	case always:
		return append(o, name, nil, name+"_str", nil)
	}
	return o
}

// v1Time writes "Wed Oct 10 20:19:24 +0000 2018".
func v1Time(t time.Time) string { return t.UTC().Format("Mon Jan 02 15:04:05 -0700 2006") }

func wantsEntities(form url.Values) bool {
	v := form.Get("include_entities")
	return v != "false" && v != "f" && v != "0"
}

// v1Statuses encodes posts that the caller may see ("Tweet data dictionary", v1.1), with empty members, and with their
// authors if wanted.
func (a *API) v1Statuses(c *call, posts []liked.Post, authors bool) ([]object, error) {
	var people []liked.UserID
	ids := make([]liked.PostID, len(posts))
	for i, p := range posts {
		ids[i] = p.ID
		people = append(people, p.Author)
		if p.InReplyToUser != 0 {
			people = append(people, p.InReplyToUser)
		}
	}
	users, err := a.Store.UsersByID(c.ctx, people, store.Metrics(authors))
	if err != nil {
		return nil, err
	}
	byID := make(map[liked.UserID]*liked.User, len(users))
	for i := range users {
		byID[users[i].ID] = &users[i]
	}
	relations, err := a.Store.Relations(c.ctx, c.who.User, people)
	if err != nil {
		return nil, err
	}
	following := make(map[liked.UserID]bool, len(people))
	for i, id := range people {
		following[id] = relations[i].Follows
	}
	likes, err := a.Store.Liked(c.ctx, c.who.User, ids)
	if err != nil {
		return nil, err
	}
	entities := wantsEntities(c.form)
	statuses := make([]object, len(posts))
	for i, p := range posts {
		o := object{"created_at", v1Time(p.CreatedAt), "id", int64(p.ID), "id_str", p.ID}
		if c.form.Get("tweet_mode") == "extended" {
			o = append(o, "full_text", p.Text, "truncated", false, "display_text_range", []int{0, utf8.RuneCountInString(p.Text)})
		} else {
			o = append(o, "text", p.Text, "truncated", false)
		}
		if entities { // empty: texts are not parsed
			o = append(o, "entities", object{"hashtags", none, "symbols", none, "user_mentions", none, "urls", none})
		}
		o = append(o, "source", "")
		o = v1Pair(o, "in_reply_to_status_id", p.InReplyTo, true)
		o = v1Pair(o, "in_reply_to_user_id", p.InReplyToUser, true)
		var name any
		if answered := byID[p.InReplyToUser]; answered != nil && p.InReplyTo != 0 {
			name = answered.Username
		}
		o = append(o, "in_reply_to_screen_name", name)
		if author := byID[p.Author]; authors && author != nil {
			o = append(o, "user", newV1User(author, following[p.Author], entities, nil))
		}
		o = append(o, "geo", nil, "coordinates", nil, "place", nil, "contributors", nil, "is_quote_status", p.Quotes != 0)
		o = v1Pair(o, "quoted_status_id", p.Quotes, false)
		statuses[i] = append(o, "retweet_count", p.Metrics.Reposts, "favorite_count", p.Metrics.Likes, "favorited", likes[i],
			"retweeted", false, "lang", "und")
	}
	return statuses, nil
}
