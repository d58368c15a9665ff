package api

import (
	"cmp"
	"strings"
	"time"

	"liked"
	"liked/internal/store"
)

// document is an answer with status 200: data, errors in its place, or both.
type document struct {
	Data     any           `json:"data,omitempty"`
	Includes *includes     `json:"includes,omitempty"`
	Errors   partialErrors `json:"errors,omitempty"`
	Meta     any           `json:"meta,omitempty"`
}

// includes are the objects that data refers to, once each, in order of first use.
type includes struct {
	Users  []*userObject `json:"users,omitempty"`
	Tweets []*postObject `json:"tweets,omitempty"`
	Posts  []*postObject `json:"posts,omitempty" openapi:"newer"` // Tweets in the newer words
}

// Tags "openapi" are for the description: members only of the newer words, and formats.

// userObject and postObject are X's. Empty members are left out; of an older and a newer word, one is set.
type userObject struct {
	ID               liked.UserID `json:"id"`
	Name             string       `json:"name"`
	Username         string       `json:"username"`
	ConnectionStatus []string     `json:"connection_status,omitempty"`
	CreatedAt        string       `json:"created_at,omitempty" openapi:"date-time"`
	Description      *string      `json:"description,omitempty"`
	Location         string       `json:"location,omitempty"`
	MostRecentTweet  liked.PostID `json:"most_recent_tweet_id,omitempty"`
	MostRecentPost   liked.PostID `json:"most_recent_post_id,omitempty" openapi:"newer"`
	PinnedTweet      liked.PostID `json:"pinned_tweet_id,omitempty"`
	PinnedPost       liked.PostID `json:"pinned_post_id,omitempty" openapi:"newer"`
	ProfileImageURL  string       `json:"profile_image_url,omitempty"`
	Protected        *bool        `json:"protected,omitempty"`
	PublicMetrics    *userMetrics `json:"public_metrics,omitempty"`
	URL              *string      `json:"url,omitempty"`
	Verified         *bool        `json:"verified,omitempty"`
}

type userMetrics struct {
	Followers int64 `json:"followers_count"`
	Following int64 `json:"following_count"`
	Tweets    int64 `json:"tweet_count"`
	Listed    int64 `json:"listed_count"`
	Likes     int64 `json:"like_count"`
}

type postObject struct {
	EditHistory      []liked.PostID `json:"edit_history_tweet_ids,omitempty"`
	EditHistoryPosts []liked.PostID `json:"edit_history_post_ids,omitempty" openapi:"newer"`
	ID               liked.PostID   `json:"id"`
	Text             string         `json:"text"`
	AuthorID         liked.UserID   `json:"author_id,omitempty"`
	ConversationID   liked.PostID   `json:"conversation_id,omitempty"`
	CreatedAt        string         `json:"created_at,omitempty" openapi:"date-time"`
	InReplyToUserID  liked.UserID   `json:"in_reply_to_user_id,omitempty"`
	Lang             string         `json:"lang,omitempty"`
	PublicMetrics    *postMetrics   `json:"public_metrics,omitempty"`
	ReferencedTweets []reference    `json:"referenced_tweets,omitempty"`
	ReferencedPosts  []reference    `json:"referenced_posts,omitempty" openapi:"newer"`
	ReplySettings    string         `json:"reply_settings,omitempty"`

	history [1]liked.PostID // of a post that was never edited
}

type postMetrics struct {
	Retweets    *int64 `json:"retweet_count,omitempty"`
	Reposts     *int64 `json:"repost_count,omitempty" openapi:"newer"`
	Replies     int64  `json:"reply_count"`
	Likes       int64  `json:"like_count"`
	Quotes      int64  `json:"quote_count"`
	Bookmarks   int64  `json:"bookmark_count"`
	Impressions int64  `json:"impression_count"`
}

type reference struct {
	Type string       `json:"type"`
	ID   liked.PostID `json:"id"`
}

// answerSpace is the memory of what an answer is made of. Calls have it one after the other.
type answerSpace[Stored, Object any] struct {
	stored  []Stored // of the store's page
	objects []Object
	each    []*Object // of objects
	used    int
}

// take returns n empty objects.
func (s *answerSpace[Stored, Object]) take(n int) []*Object {
	if s.used+n > len(s.objects) {
		s.objects, s.each, s.used = make([]Object, n), make([]*Object, n), 0
		for i := range s.objects {
			s.each[i] = &s.objects[i]
		}
	}
	from := s.used
	s.used += n
	return s.each[from:s.used:s.used]
}

// emptied is for another call.
func (s answerSpace[Stored, Object]) emptied() answerSpace[Stored, Object] {
	clear(s.stored)
	clear(s.objects[:s.used])
	s.stored, s.used = s.stored[:0], 0
	return s
}

func references(p *liked.Post) (refs []reference) {
	for _, r := range []reference{{"retweeted", p.RepostOf}, {"quoted", p.Quotes}, {"replied_to", p.InReplyTo}} {
		if r.ID != 0 {
			refs = append(refs, r)
		}
	}
	return refs
}

// newPost encodes the default and the wanted fields. Fields without data are left out, as X does. The language is
// "und", BCP 47's undetermined; every user may reply.
func (w *wanted) newPost(p *liked.Post) *postObject {
	o := new(postObject)
	w.setPost(o, p)
	return o
}

func (w *wanted) setPost(o *postObject, p *liked.Post) {
	o.ID, o.Text = p.ID, p.Text
	o.history[0] = p.ID
	*worded(w, &o.EditHistory, &o.EditHistoryPosts) = o.history[:]
	if w.posts["referenced_tweets"] {
		*worded(w, &o.ReferencedTweets, &o.ReferencedPosts) = references(p)
	}
	if w.posts["author_id"] {
		o.AuthorID = p.Author
	}
	if w.posts["conversation_id"] {
		o.ConversationID = cmp.Or(p.Conversation, p.ID)
	}
	if w.posts["created_at"] {
		o.CreatedAt = timestamp(p.CreatedAt)
	}
	if w.posts["in_reply_to_user_id"] {
		o.InReplyToUserID = p.InReplyToUser
	}
	if w.posts["lang"] {
		o.Lang = "und"
	}
	if w.postMetrics() {
		m := &p.Metrics
		o.PublicMetrics = &postMetrics{Replies: m.Replies, Likes: m.Likes, Quotes: m.Quotes}
		*worded(w, &o.PublicMetrics.Retweets, &o.PublicMetrics.Reposts) = &m.Reposts
	}
	if w.posts["reply_settings"] {
		o.ReplySettings = "everyone"
	}
}

// setUser encodes the default and the wanted fields, except those that need the store.
func (w *wanted) setUser(o *userObject, u *liked.User) {
	o.ID, o.Name, o.Username = u.ID, u.Name, u.Username
	if w.users["created_at"] {
		o.CreatedAt = timestamp(u.CreatedAt)
	}
	if w.users["description"] {
		o.Description = &u.Description
	}
	if w.users["location"] {
		o.Location = u.Location
	}
	if w.users["pinned_tweet_id"] {
		*worded(w, &o.PinnedTweet, &o.PinnedPost) = u.PinnedPost
	}
	if w.users["profile_image_url"] {
		o.ProfileImageURL = picture(u)
	}
	if w.users["protected"] {
		o.Protected = &u.Protected
	}
	if w.userMetrics() {
		m := u.Metrics
		o.PublicMetrics = &userMetrics{m.Followers, m.Following, m.Posts, 0, m.Likes}
	}
	if w.users["url"] {
		o.URL = &u.URL
	}
	if w.users["verified"] {
		o.Verified = &u.Verified
	}
}

// picture is X's default for a user without one.
func picture(u *liked.User) string {
	return cmp.Or(u.ProfileImageURL, "https://abs.twimg.com/sticky/default_profile_images/default_profile_normal.png")
}

// timestamp formats as X does: UTC, milliseconds always zero.
func timestamp(t time.Time) string {
	return t.UTC().Truncate(time.Second).Format("2006-01-02T15:04:05.000Z")
}

// postsDocument answers with posts and what the request expands. Includes are read later; one that is gone by then is
// an error in the answer, like other missing resources.
func (a *API) postsDocument(c *call, w wanted, posts []liked.Post, errs partialErrors) (*document, error) {
	doc := &document{Errors: errs}
	if len(posts) == 0 {
		return doc, nil
	}
	data := c.posts.take(len(posts))
	for i := range posts {
		w.setPost(data[i], &posts[i])
		doc.Errors.add(a.privateMetrics(&w, &posts[i], c.who.User)...)
	}
	doc.Data = data
	if len(w.expansions) == 0 {
		return doc, nil
	}

	var refs toInclude[liked.PostID]
	for i := range posts {
		if w.expands("edit_history_tweet_ids") {
			refs.add(posts[i].ID, "edit_history_tweet_ids")
		}
		for _, r := range references(&posts[i]) {
			if w.expands("referenced_tweets.id") {
				refs.add(r.ID, "referenced_tweets.id")
			} else if w.expands(authorsOfReferenced) {
				refs.add(r.ID, authorsOfReferenced)
			}
		}
	}
	seen, err := a.seePosts(c, &w, refs.ids)
	if err != nil {
		return nil, err
	}

	var people toInclude[liked.UserID]
	for i := range posts {
		if w.expands("author_id") {
			people.add(posts[i].Author, "author_id")
		}
		if w.expands("in_reply_to_user_id") && posts[i].InReplyToUser != 0 {
			people.add(posts[i].InReplyToUser, "in_reply_to_user_id")
		}
		if w.expands(authorsOfReferenced) {
			for _, r := range references(&posts[i]) {
				if s := seen[r.ID]; s.Err == nil {
					people.add(s.Post.Author, authorsOfReferenced)
				}
			}
		}
	}
	if err := a.includeUsers(c, &w, doc, &people); err != nil {
		return nil, err
	}
	a.includePosts(&w, doc, &refs, seen)
	return doc, nil
}

// authorsOfReferenced expands to users, without including the posts between.
const authorsOfReferenced = "referenced_tweets.id.author_id"

// usersDocument answers with users and the posts that the request expands.
func (a *API) usersDocument(c *call, w wanted, users []liked.User, errs partialErrors) (*document, error) {
	doc := &document{Errors: errs}
	if len(users) == 0 {
		return doc, nil
	}
	data, err := a.userObjects(c, &w, users)
	if err != nil {
		return nil, err
	}
	doc.Data = data
	var refs toInclude[liked.PostID]
	for i, u := range users {
		if newest := *worded(&w, &data[i].MostRecentTweet, &data[i].MostRecentPost); newest != 0 && w.expands("most_recent_tweet_id") {
			refs.add(newest, "most_recent_tweet_id")
		}
		if u.PinnedPost != 0 && w.expands("pinned_tweet_id") {
			refs.add(u.PinnedPost, "pinned_tweet_id")
		}
	}
	seen, err := a.seePosts(c, &w, refs.ids)
	if err != nil {
		return nil, err
	}
	a.includePosts(&w, doc, &refs, seen)
	return doc, nil
}

// toInclude are ids to include, once each, with the first expansion that wanted it.
type toInclude[ID comparable] struct {
	ids []ID
	by  map[ID]string
}

func (l *toInclude[ID]) add(id ID, expansion string) {
	if l.by == nil {
		l.by = make(map[ID]string)
	}
	if l.by[id] == "" {
		l.by[id] = expansion
		l.ids = append(l.ids, id)
	}
}

func (a *API) seePosts(c *call, w *wanted, ids []liked.PostID) (map[liked.PostID]store.Seen, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	posts, err := a.Store.Posts(c.ctx, c.who.User, ids, w.postMetrics())
	if err != nil {
		return nil, err
	}
	seen := make(map[liked.PostID]store.Seen, len(ids))
	for i, id := range ids {
		seen[id] = posts[i]
	}
	return seen, nil
}

func (a *API) includePosts(w *wanted, doc *document, refs *toInclude[liked.PostID], seen map[liked.PostID]store.Seen) {
	for _, id := range refs.ids {
		s := seen[id]
		if s.Err != nil {
			doc.Errors.add(a.unseen(s.Err, w.expansions[refs.by[id]], id.String(), "includes"))
			continue
		}
		if refs.by[id] == authorsOfReferenced {
			continue
		}
		in := doc.including()
		posts := worded(w, &in.Tweets, &in.Posts)
		*posts = append(*posts, w.newPost(&s.Post))
	}
}

func (a *API) includeUsers(c *call, w *wanted, doc *document, people *toInclude[liked.UserID]) error {
	if len(people.ids) == 0 {
		return nil
	}
	found, err := a.Store.UsersByID(c.ctx, people.ids, w.userMetrics())
	if err != nil {
		return err
	}
	visible := found[:0]
	for _, u := range found {
		if u.State.Hidden() {
			doc.Errors.add(a.hiddenUser(w.expansions[people.by[u.ID]], u.ID.String(), u.State))
			continue
		}
		visible = append(visible, u)
	}
	if len(visible) > 0 {
		doc.including().Users, err = a.userObjects(c, w, visible)
	}
	return err
}

func (d *document) including() *includes {
	if d.Includes == nil {
		d.Includes = new(includes)
	}
	return d.Includes
}

// userObjects asks the store for what a User lacks, once for all users.
func (a *API) userObjects(c *call, w *wanted, users []liked.User) ([]*userObject, error) {
	objects := c.users.take(len(users))
	for i := range users {
		w.setUser(objects[i], &users[i])
	}
	related := w.users["connection_status"] && c.who.User != 0
	if !w.users["most_recent_tweet_id"] && !related {
		return objects, nil
	}
	ids := make([]liked.UserID, len(users))
	for i := range users {
		ids[i] = users[i].ID
	}
	if w.users["most_recent_tweet_id"] {
		newest, err := a.Store.NewestPosts(c.ctx, c.who.User, ids)
		if err != nil {
			return nil, err
		}
		for i, id := range newest {
			*worded(w, &objects[i].MostRecentTweet, &objects[i].MostRecentPost) = id
		}
	}
	if related {
		relations, err := a.Store.Relations(c.ctx, c.who.User, ids)
		if err != nil {
			return nil, err
		}
		for i, r := range relations {
			status := &objects[i].ConnectionStatus
			if r.Blocks {
				*status = append(*status, "blocking")
			}
			if r.FollowedBy {
				*status = append(*status, "followed_by")
			}
			if r.Follows {
				*status = append(*status, "following")
			}
		}
	}
	return objects, nil
}

// single turns a lookup of several into one of one.
func single(doc *document, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	switch data := doc.Data.(type) {
	case []*userObject:
		doc.Data = data[0]
	case []*postObject:
		doc.Data = data[0]
	}
	return doc, nil
}

// partialErrors are errors about parts of a successful answer.
type partialErrors []object

func (p *partialErrors) add(entries ...object) { *p = append(*p, entries...) }

// missing is the error for a missing "user" or "tweet".
func (a *API) missing(resource, param, value string) object {
	return object{"value", value, "detail", "Could not find " + resource + " with " + param + ": [" + value + "].", "title", "Not Found Error",
		"resource_type", resource, "parameter", param, "resource_id", value, "type", a.problems + "resource-not-found"}
}

// hiddenUser is the error for a missing or hidden user.
func (a *API) hiddenUser(param, value string, state liked.AccountState) object {
	if state != liked.Suspended {
		return a.missing("user", param, value)
	}
	return object{"parameter", param, "resource_id", value, "value", value, "detail", "User has been suspended: [" + value + "].",
		"title", "Forbidden", "resource_type", "user", "type", a.problems + "resource-not-found"}
}

// notAuthorized is the error for a "user" or "Tweet" hidden from the caller.
func (a *API) notAuthorized(resource, param, value, section string) object {
	return object{"resource_id", value, "parameter", param, "resource_type", strings.ToLower(resource), "section", section,
		"title", "Authorization Error", "value", value,
		"detail", "Sorry, you are not authorized to see the " + resource + " with " + param + ": [" + value + "].",
		"type", a.problems + "not-authorized-for-resource"}
}

// unseen is the error for a post that the store refuses the caller.
func (a *API) unseen(err error, param, value, section string) object {
	if liked.KindOf(err) == liked.Forbidden {
		return a.notAuthorized("Tweet", param, value, section)
	}
	return a.missing("tweet", param, value)
}

// privateMetrics has an error for each requested kind of metrics that only the author may see.
func (a *API) privateMetrics(w *wanted, p *liked.Post, viewer liked.UserID) (errs []object) {
	if p.Author == viewer {
		return nil
	}
	for _, field := range []string{"non_public_metrics", "organic_metrics", "promoted_metrics"} {
		if w.posts[field] {
			field, id := field+".impression_count", p.ID.String()
			errs = append(errs, object{"section", "data", "field", field, "parameter", "ids", "value", id, "resource_type", "tweet",
				"resource_id", id, "title", "Field Authorization Error",
				"detail", "Sorry, you are not authorized to access '" + field + "' on the Tweet with ids : [" + id + "].",
				"type", a.problems + "not-authorized-for-field"})
		}
	}
	return errs
}
