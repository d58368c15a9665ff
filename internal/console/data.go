package console

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"liked"
	"liked/internal/admin"
)

const dataPath = "/console/data"

var dataRoutes = []route{
	{pattern: "GET /console/data", serve: func(c *call) (answer, error) { return c.posts(form{}) }},
	{pattern: "POST /console/data/posts", serve: (*call).addPost},
	{pattern: "GET /console/data/posts/{post}", serve: (*call).post},
	{pattern: "POST /console/data/posts/{post}/like", serve: (*call).like},
	{pattern: "POST /console/data/posts/{post}/delete", serve: (*call).deletePost},
	{pattern: "POST /console/undo/delete", serve: (*call).undoDelete},
	{pattern: "GET /console/data/users", serve: func(c *call) (answer, error) { return c.users(form{}) }},
	{pattern: "POST /console/data/users", serve: (*call).addUser},
	{pattern: "GET /console/data/users/{user}", serve: func(c *call) (answer, error) { return c.user(form{}) }},
	{pattern: "POST /console/data/users/{user}", serve: (*call).changeUser},
	{pattern: "POST /console/data/users/{user}/relation", serve: (*call).relate},
	{pattern: "GET /console/data/apps", serve: func(c *call) (answer, error) { return c.apps(form{}) }},
	{pattern: "POST /console/data/apps", serve: (*call).addApp},
	{pattern: "GET /console/data/apps/{app}", serve: func(c *call) (answer, error) { return c.app(form{}) }},
	{pattern: "POST /console/data/apps/{app}", serve: (*call).changeApp},
	{pattern: "POST /console/data/apps/{app}/secret", serve: (*call).renewSecret},
	{pattern: "POST /console/data/apps/{app}/delete", serve: (*call).deleteApp},
}

// perList is how many rows a list of users, posts or likes shows.
const perList = 25

// form is a form's fields and why what was typed into it was refused, if it was.
type form struct {
	url.Values
	Error string
}

// refused returns the form as it was typed, if err is a refusal that says what to change.
func (c *call) refused(err error) (f form, ok bool) {
	refused, ok := errors.AsType[*admin.Refusal](err)
	if !ok || refused.Status >= 500 {
		return f, false
	}
	c.Why = refused.Reason
	return form{c.PostForm, sentence(refused.Reason)}, true
}

// unfit answers with a page that has the form again, and keeps what was typed.
func unfit(a answer, err error) (answer, error) {
	a.status = http.StatusUnprocessableEntity
	return a, err
}

// typed returns a field of the posted form, nil if it is empty.
func (c *call) typed(name string) *string {
	if text := strings.TrimSpace(c.PostForm.Get(name)); text != "" {
		return &text
	}
	return nil
}

// posted returns a field of the posted form.
func (c *call) posted(name string) *string {
	text := c.PostForm.Get(name)
	return &text
}

// get asks the operator's side.
func get[T any](c *call, path string, query url.Values) (v T, err error) {
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	err = c.admin.Call(c.Context(), http.MethodGet, path, nil, &v)
	return v, err
}

// change asks the operator's side for a change.
func (c *call) change(method, path string, in, out any) error {
	return c.admin.Call(c.Context(), method, path, in, out)
}

// beforeDelete is the snapshot by which what was deleted is brought back.
const beforeDelete = "before-delete"

// remove deletes what is at a path of the operator's side.
func (c *call) remove(path, to, what string) (answer, error) {
	n := Notice{Text: what + " is deleted.", Undo: "/console/undo/delete"}
	if err := c.admin.Snapshot(c.Context(), beforeDelete); err != nil {
		n.Undo = ""
	}
	if err := c.change(http.MethodDelete, path, nil, nil); err != nil {
		return answer{}, err
	}
	return c.back(to, n)
}

func (c *call) undoDelete() (answer, error) {
	if err := c.admin.Restore(c.Context(), beforeDelete); err != nil {
		return answer{}, err
	}
	return c.back(c.from(), Notice{Text: "All is as it was before that was deleted, but for the list of requests."})
}

// on returns the address with its query changed: a pair of a name and "" removes a parameter.
func on(address string, pairs ...string) string {
	u, err := url.Parse(address)
	if err != nil {
		return address
	}
	query := u.Query()
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] == "" {
			query.Del(pairs[i])
		} else {
			query.Set(pairs[i], pairs[i+1])
		}
	}
	u.RawQuery, u.Fragment = query.Encode(), ""
	return u.String()
}

// self is the address of the page, without the call that it shows.
func (c *call) self() string {
	if c.Exchange.Method == http.MethodPost {
		return on(c.from(), "called", "", "at", "")
	}
	return on(c.URL.RequestURI(), "called", "", "at", "")
}

// shownPost is a post with what a page says of it.
type shownPost struct {
	admin.Post
	Name, Username string // of the author
	As             Identity
	Likes          bool   // whether As likes it
	Return         string // where its like button leads back to
	Call           *shownCall
}

// shownCall is a call that a button made, and its answer.
type shownCall struct {
	listed
	Sent, Answered string
}

// shown adds to posts what a page says of them, and to one of them the call that a button has just made.
func (c *call) shown(posts []admin.Post) ([]shownPost, error) {
	rows := make([]shownPost, len(posts))
	if len(posts) == 0 {
		return rows, nil
	}
	var ids, authors []string
	as, seen := c.Identity(c.Request), make(map[liked.UserID]bool)
	for _, p := range posts {
		ids = append(ids, p.ID.String())
		if !seen[p.Author] {
			seen[p.Author] = true
			authors = append(authors, p.Author.String())
		}
	}
	page, err := get[admin.UserPage](c, "/admin/users", url.Values{"ids": {strings.Join(authors, ",")}})
	if err != nil {
		return nil, err
	}
	by := make(map[liked.UserID]admin.User)
	for _, u := range page.Users {
		by[u.ID] = u
	}
	var likes admin.LikeList
	if as.User != "" {
		likes, err = get[admin.LikeList](c, "/admin/likes", url.Values{"user": {as.User}, "post": {strings.Join(ids, ",")}})
		if err != nil {
			return nil, err
		}
	}
	made := c.made()
	for i, p := range posts {
		author := by[p.Author]
		rows[i] = shownPost{Post: p, Name: author.Name, Username: author.Username, As: as, Return: c.self()}
		if likes.Likes != nil {
			rows[i].Likes = likes.Likes[i].Liked
		}
		if c.URL.Query().Get("at") == ids[i] {
			rows[i].Call = made
		}
	}
	return rows, nil
}

// made is the call that the address names, nil for none or one that the journal does not have.
func (c *call) made() *shownCall {
	id := c.URL.Query().Get("called")
	if id == "" {
		return nil
	}
	d, err := c.admin.Request(c.Context(), id)
	if err != nil {
		return nil
	}
	d.Row.Why = sentence(d.Row.Why)
	return &shownCall{c.newNames().listed(c.Context(), d.Row), indented(d.Request.Body), indented(d.Response.Body)}
}

// postsPage is the data of data_posts.html.
type postsPage struct {
	Text, Author  string // by which posts are looked for
	Found         []shownPost
	Older, Newest string
	Trouble       string // why nothing is listed
	New           form
}

// posts lists posts, the newest first, or those that are looked for.
func (c *call) posts(f form) (answer, error) {
	asked := c.URL.Query()
	p := postsPage{Text: strings.TrimSpace(asked.Get("text")), Author: strings.TrimSpace(asked.Get("author")), New: f}
	query := url.Values{"max": {strconv.Itoa(perList)}}
	for name, value := range map[string]string{"contains": p.Text, "author": p.Author, "before": asked.Get("before")} {
		if value != "" {
			query.Set(name, value)
		}
	}
	list, err := get[admin.PostPage](c, "/admin/posts", query)
	if refused, ok := errors.AsType[*admin.Refusal](err); ok && refused.Status == http.StatusBadRequest {
		p.Trouble, err = sentence(refused.Reason), nil
		if p.Author != "" {
			p.Trouble = "There is no user " + p.Author + "."
		}
	}
	if err != nil {
		return answer{}, err
	}
	if id, err := liked.ParseID[liked.PostID](p.Text); err == nil && id != 0 && asked.Get("before") == "" { // a post by its id
		if post, err := get[admin.Post](c, "/admin/posts/"+id.String(), nil); err == nil {
			list.Posts = append([]admin.Post{post}, list.Posts...)
		}
	}
	if p.Found, err = c.shown(list.Posts); err != nil {
		return answer{}, err
	}
	self := on(c.self(), "before", "")
	if c.Exchange.Method == http.MethodPost {
		self = dataPath
	}
	if list.Next != 0 {
		p.Older = on(self, "before", list.Next.String())
	}
	if asked.Get("before") != "" {
		p.Newest = self
	}
	return page("data_posts", "Posts", p)
}

func (c *call) addPost() (answer, error) {
	in := admin.NewPost{Author: strings.TrimSpace(c.PostForm.Get("author")), Text: c.PostForm.Get("text")}
	var err error
	for name, id := range map[string]*liked.PostID{"in_reply_to": &in.InReplyTo, "quotes": &in.Quotes, "repost_of": &in.RepostOf} {
		if text := c.typed(name); text != nil && err == nil {
			if *id, err = liked.ParseID[liked.PostID](*text); err != nil {
				err = &admin.Refusal{Status: http.StatusBadRequest, Reason: fmt.Sprintf("%q is no id of a post, which has up to 19 digits", *text)}
			}
		}
	}
	var made admin.Post
	if err == nil {
		err = c.change(http.MethodPost, "/admin/posts", in, &made)
	}
	if f, ok := c.refused(err); ok {
		return unfit(c.posts(f))
	}
	if err != nil {
		return answer{}, err
	}
	return c.back(c.self(), Notice{Text: "The post is there.", Link: dataPath + "/posts/" + made.ID.String()})
}

// postPage is the data of data_post.html.
type postPage struct {
	Post          shownPost
	Likers        []admin.User
	Older, Newest string
}

// post shows a post and who likes it, the newest like first.
func (c *call) post() (answer, error) {
	post, err := get[admin.Post](c, "/admin/posts/"+url.PathEscape(c.PathValue("post")), nil)
	if err != nil {
		return answer{}, err
	}
	rows, err := c.shown([]admin.Post{post})
	if err != nil {
		return answer{}, err
	}
	p := postPage{Post: rows[0]}
	likes, err := c.likes("post", post.ID.String())
	if err != nil {
		return answer{}, err
	}
	p.Likers = likes.Users
	p.Older, p.Newest = c.after(likes.Next)
	return page("data_post", "Post "+post.ID.String(), p)
}

// likes is a page of the likes of a user or of a post.
func (c *call) likes(of, id string) (admin.LikeList, error) {
	query := url.Values{of: {id}, "max": {strconv.Itoa(perList)}}
	if after := c.URL.Query().Get("after"); after != "" {
		query.Set("after", after)
	}
	return get[admin.LikeList](c, "/admin/likes", query)
}

// after is where the next part of a list is, and its beginning if this is not it.
func (c *call) after(next string) (older, newest string) {
	self := on(c.self(), "after", "")
	if c.URL.Query().Get("after") != "" {
		newest = self
	}
	if next != "" {
		older = on(self, "after", next)
	}
	return older, newest
}

// like makes a user like the post, or take the like back, by a call to X's API as that user: the one that the form names, else
// the one as whom one calls.
func (c *call) like() (answer, error) {
	post, err := liked.ParseID[liked.PostID](c.PathValue("post"))
	if err != nil {
		return answer{}, liked.Errorf(liked.NotFound, "There is no such post.")
	}
	as := c.Identity(c.Request)
	if name := c.typed("user"); name != nil {
		app := as.App
		if app == "" {
			app = c.First.App
		}
		if as, err = c.identify(c.Context(), Acting{User: *name, App: app}); err != nil {
			return answer{}, err
		}
	}
	if as.User == "" {
		return answer{}, liked.Errorf(liked.Invalid, "You call as %s, and a like is a user's: enter who likes, or call as a user.", as)
	}
	liking, text := c.PostForm.Get("on") != "false", "@"+as.Username+" likes the post."
	method, path, body := http.MethodPost, "/2/users/"+as.User+"/likes", []byte(`{"tweet_id":"`+post.String()+`"}`)
	if !liking {
		method, path, body, text = http.MethodDelete, path+"/"+post.String(), nil, "@"+as.Username+" does not like the post any more."
	}
	done, err := c.send(as.Acting, method, path, body)
	if err != nil {
		return answer{}, err
	}
	switch done.Status {
	case http.StatusOK:
	case 0:
		text = "The answer to the call of @" + as.Username + " was lost."
	default:
		text = fmt.Sprintf("The like of @%s was refused with %d.", as.Username, done.Status)
	}
	n := Notice{Text: text}
	if d, err := c.admin.Request(c.Context(), done.Transaction); err == nil {
		n.Link = "/console/requests/" + done.Transaction
		if done.Status != http.StatusOK && d.Why != "" {
			n.Text += " " + sentence(d.Why)
		}
	}
	return c.back(besides(c.self(), done.Transaction, post.String()), n)
}

// besides is the address of a page that shows the call beside the post.
func besides(address, transaction, post string) string {
	return on(address, "called", transaction, "at", post) + "#post-" + post
}

func (c *call) deletePost() (answer, error) {
	id := c.PathValue("post")
	return c.remove("/admin/posts/"+url.PathEscape(id), dataPath, "Post "+id)
}
