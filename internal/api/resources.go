package api

import (
	"encoding/json"
	"time"

	"liked"
)

// document is the envelope of an answer: data, or the errors that stand in its place, with status 200.
type document struct {
	Data   any               `json:"data,omitempty"`
	Errors []json.RawMessage `json:"errors,omitempty"`
}

// userObject and postObject are X's words for a user and a post. Members without a value are left out.
type userObject struct {
	ID              liked.UserID `json:"id"`
	Name            string       `json:"name"`
	Username        string       `json:"username"`
	CreatedAt       string       `json:"created_at,omitempty"`
	Description     *string      `json:"description,omitempty"`
	Location        string       `json:"location,omitempty"`
	PinnedTweetID   liked.PostID `json:"pinned_tweet_id,omitempty"`
	ProfileImageURL string       `json:"profile_image_url,omitempty"`
	Protected       *bool        `json:"protected,omitempty"`
	PublicMetrics   *userMetrics `json:"public_metrics,omitempty"`
	URL             *string      `json:"url,omitempty"`
	Verified        *bool        `json:"verified,omitempty"`
}

type userMetrics struct {
	Followers int64 `json:"followers_count"`
	Following int64 `json:"following_count"`
	Tweets    int64 `json:"tweet_count"`
	Listed    int64 `json:"listed_count"`
	Likes     int64 `json:"like_count"`
}

type postObject struct {
	EditHistory   []liked.PostID `json:"edit_history_tweet_ids"`
	ID            liked.PostID   `json:"id"`
	Text          string         `json:"text"`
	AuthorID      liked.UserID   `json:"author_id,omitempty"`
	CreatedAt     string         `json:"created_at,omitempty"`
	PublicMetrics *postMetrics   `json:"public_metrics,omitempty"`
}

type postMetrics struct {
	Retweets    int64 `json:"retweet_count"`
	Replies     int64 `json:"reply_count"`
	Likes       int64 `json:"like_count"`
	Quotes      int64 `json:"quote_count"`
	Bookmarks   int64 `json:"bookmark_count"`
	Impressions int64 `json:"impression_count"`
}

// newUser returns the user with the default fields and those that user.fields asks for.
func newUser(u liked.User, q query) *userObject {
	o := &userObject{ID: u.ID, Name: u.Name, Username: u.Username}
	for _, field := range q["user.fields"] {
		switch field {
		case "created_at":
			o.CreatedAt = timestamp(u.CreatedAt)
		case "description":
			o.Description = &u.Description
		case "location":
			o.Location = u.Location
		case "pinned_tweet_id":
			o.PinnedTweetID = u.PinnedPost
		case "profile_image_url":
			o.ProfileImageURL = u.ProfileImageURL
		case "protected":
			o.Protected = &u.Protected
		case "public_metrics":
			m := u.Metrics
			o.PublicMetrics = &userMetrics{m.Followers, m.Following, m.Posts, 0, m.Likes}
		case "url":
			o.URL = &u.URL
		case "verified":
			o.Verified = &u.Verified
		}
	}
	return o
}

// newPost returns the post with the default fields and those that tweet.fields asks for. An expansion brings the id
// that it expands.
func newPost(p liked.Post, q query) *postObject {
	o := &postObject{EditHistory: []liked.PostID{p.ID}, ID: p.ID, Text: p.Text}
	if q.has("tweet.fields", "author_id") || q.has("expansions", "author_id") {
		o.AuthorID = p.Author
	}
	if q.has("tweet.fields", "created_at") {
		o.CreatedAt = timestamp(p.CreatedAt)
	}
	if q.has("tweet.fields", "public_metrics") {
		m := p.Metrics
		o.PublicMetrics = &postMetrics{m.Reposts, m.Replies, m.Likes, m.Quotes, 0, 0}
	}
	return o
}

// timestamp writes a time as X does: UTC, and milliseconds that are always zero.
func timestamp(t time.Time) string {
	return t.UTC().Truncate(time.Second).Format("2006-01-02T15:04:05.000Z")
}

// missing is the partial error for a resource ("user" or "tweet") that does not exist.
func (a *API) missing(resource, id string) document {
	return partial("value", id, "detail", "Could not find "+resource+" with id: ["+id+"].", "title", "Not Found Error",
		"resource_type", resource, "parameter", "id", "resource_id", id, "type", a.problems+"resource-not-found")
}

// suspended is the partial error for a user who is suspended.
func (a *API) suspended(id string) document {
	return partial("parameter", "id", "resource_id", id, "value", id, "detail", "User has been suspended: ["+id+"].",
		"title", "Forbidden", "resource_type", "user", "type", a.problems+"resource-not-found")
}

// notAuthorized is the partial error for a post that the caller may not see.
func (a *API) notAuthorized(id string) document {
	return partial("resource_id", id, "parameter", "id", "resource_type", "tweet", "section", "data",
		"title", "Authorization Error", "value", id, "detail", "Sorry, you are not authorized to see the Tweet with id: ["+id+"].",
		"type", a.problems+"not-authorized-for-resource")
}

func partial(members ...string) document {
	return document{Errors: []json.RawMessage{object(false, members...)}}
}
