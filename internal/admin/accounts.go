package admin

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"liked"
	"liked/internal/store"
)

type User struct {
	ID              liked.UserID       `json:"id"`
	Username        string             `json:"username"`
	Name            string             `json:"name"`
	State           liked.AccountState `json:"state"`
	Protected       bool               `json:"protected"`
	Verified        bool               `json:"verified"`
	CreatedAt       time.Time          `json:"created_at"`
	Description     string             `json:"description,omitempty"`
	Location        string             `json:"location,omitempty"`
	URL             string             `json:"url,omitempty"`
	ProfileImageURL string             `json:"profile_image_url,omitempty"`
	PinnedPost      liked.PostID       `json:"pinned_post_id,omitempty"`
	Followers       int64              `json:"followers"`
	Following       int64              `json:"following"`
	Posts           int64              `json:"posts"`
	Likes           int64              `json:"likes"`
}

func userOf(u liked.User) User {
	return User{ID: u.ID, Username: u.Username, Name: u.Name, State: u.State, Protected: u.Protected, Verified: u.Verified,
		CreatedAt: u.CreatedAt, Description: u.Description, Location: u.Location, URL: u.URL, ProfileImageURL: u.ProfileImageURL,
		PinnedPost: u.PinnedPost, Followers: u.Metrics.Followers, Following: u.Metrics.Following, Posts: u.Metrics.Posts,
		Likes: u.Metrics.Likes}
}

// NewUser creates an account. Only Username is required.
type NewUser struct {
	ID        liked.UserID `json:"id,omitempty"`         // zero: the server picks one
	CreatedAt *time.Time   `json:"created_at,omitempty"` // nil: now
	UserFields
}

// UserFields are the settings of an account; nil leaves one as it is.
type UserFields struct {
	Username        *string             `json:"username,omitempty"` // 1 to 15 of A-Z a-z 0-9 _
	Name            *string             `json:"name,omitempty"`     // of a new account, nil or empty: the username
	Password        *string             `json:"password,omitempty"` // a new one ends the user's sessions; without any the user cannot sign in
	State           *liked.AccountState `json:"state,omitempty"`
	Protected       *bool               `json:"protected,omitempty"`
	Verified        *bool               `json:"verified,omitempty"`
	Description     *string             `json:"description,omitempty"`
	Location        *string             `json:"location,omitempty"`
	URL             *string             `json:"url,omitempty"`
	ProfileImageURL *string             `json:"profile_image_url,omitempty"`
}

func (f UserFields) apply(u *liked.User) {
	set(&u.Username, f.Username)
	set(&u.Name, f.Name)
	set(&u.State, f.State)
	set(&u.Protected, f.Protected)
	set(&u.Verified, f.Verified)
	set(&u.Description, f.Description)
	set(&u.Location, f.Location)
	set(&u.URL, f.URL)
	set(&u.ProfileImageURL, f.ProfileImageURL)
}

func set[T any](field, value *T) {
	if value != nil {
		*field = *value
	}
}

// UserChange changes an account; nil leaves a field as it is.
type UserChange struct {
	PinnedPost *liked.PostID `json:"pinned_post_id,omitempty"` // zero: none
	UserFields
}

// UserPage is a page of users in order of id, or of username if they were asked for by its beginning. Next is what to
// continue after, "" at the end.
type UserPage struct {
	Users []User `json:"users"`
	Next  string `json:"next,omitempty"`
}

func userPage(users []liked.User, most int, key func(liked.User) string) UserPage {
	page := UserPage{Users: each(users, userOf)}
	if len(users) == most {
		page.Next = key(users[most-1])
	}
	return page
}

func userID(u liked.User) string { return u.ID.String() }

type Changed struct {
	Changed bool `json:"changed"`
}

// created is when something was created, nil for now, as exactly as stores keep it: an answer is the same the next time.
func (h *Handler) created(at *time.Time) time.Time {
	if at == nil {
		now := h.Now()
		at = &now
	}
	return at.UTC().Truncate(time.Microsecond)
}

func (h *Handler) addUser(r *http.Request, in NewUser) (User, error) {
	u := liked.User{ID: in.ID, CreatedAt: h.created(in.CreatedAt)}
	in.apply(&u)
	u.Name = cmp.Or(u.Name, u.Username)
	password, err := h.hash(r.Context(), in.Password)
	if err != nil {
		return User{}, err
	}
	err = add(h, &u.ID, func() error { return h.Store.AddUser(r.Context(), u) })
	if err == nil && password != "" {
		err = h.Store.SetPassword(r.Context(), u.ID, password)
	}
	return userOf(u), err
}

func (h *Handler) hash(ctx context.Context, password *string) (string, error) {
	if password == nil {
		return "", nil
	}
	return h.Auth.HashPassword(ctx, *password)
}

// add sets a zero id to a new one, made from the clock, before it calls add. If that is taken, it tries up to three.
func add[ID ~int64](h *Handler, id *ID, add func() error) (err error) {
	given := *id != 0
	for range 3 {
		if !given {
			*id = ID(h.Store.NewID(h.Now()))
		}
		if err = add(); err == nil || given || liked.KindOf(err) != liked.Conflict {
			break
		}
	}
	return err
}

func (h *Handler) users(r *http.Request) (UserPage, error) {
	var after liked.UserID
	var most int
	var ids []liked.UserID
	prefix := r.URL.Query().Get("username")
	parsers := map[string]func(string) error{"max": upTo(&most), "after": into(&after), "ids": listInto(&ids)}
	if prefix != "" { // the users are in order of username, and after is one
		delete(parsers, "after")
	}
	err := query(r, parsers)
	switch {
	case err != nil:
		return UserPage{}, err
	case ids != nil:
		users, err := h.Store.UsersByID(r.Context(), ids, store.WithMetrics)
		return UserPage{Users: each(users, userOf)}, err
	case prefix != "":
		users, err := h.Store.UsersNamed(r.Context(), prefix, r.URL.Query().Get("after"), most)
		return userPage(users, most, func(u liked.User) string { return u.Username }), err
	}
	users, err := h.Store.Users(r.Context(), after, most)
	return userPage(users, most, userID), err
}

func (h *Handler) related(side store.Side) endpoint {
	return of(h.pathUser, func(r *http.Request, u liked.User) (UserPage, error) {
		var after liked.UserID
		var most int
		if err := query(r, map[string]func(string) error{"max": upTo(&most), "after": into(&after)}); err != nil {
			return UserPage{}, err
		}
		users, err := h.Store.Related(r.Context(), u.ID, side, after, most)
		return userPage(users, most, userID), err
	})
}

// user finds an account by id, username, or @username, which a username of only digits needs.
func (h *Handler) user(ctx context.Context, name string) (liked.User, error) {
	username, at := strings.CutPrefix(name, "@")
	if id, err := liked.ParseID[liked.UserID](name); err == nil && !at {
		return h.Store.User(ctx, id)
	}
	return h.Store.UserByUsername(ctx, username)
}

func (h *Handler) pathUser(r *http.Request) (liked.User, error) {
	return h.user(r.Context(), r.PathValue("user"))
}

func (h *Handler) getUser(_ *http.Request, u liked.User) (User, error) { return userOf(u), nil }

func (h *Handler) changeUser(r *http.Request, in UserChange) (User, error) {
	u, err := h.pathUser(r)
	if err != nil {
		return User{}, err
	}
	return h.updateUser(r.Context(), u.ID, in, nil)
}

// updateUser changes an account; at is when it was created, nil leaves that as it is.
func (h *Handler) updateUser(ctx context.Context, id liked.UserID, in UserChange, at *time.Time) (User, error) {
	password, err := h.hash(ctx, in.Password)
	if err != nil {
		return User{}, err
	}
	err = h.Store.UpdateUser(ctx, id, func(u *liked.User) error {
		if at != nil {
			u.CreatedAt = h.created(at)
		}
		set(&u.PinnedPost, in.PinnedPost)
		in.apply(u)
		return nil
	})
	if err == nil && password != "" {
		err = h.Store.SetPassword(ctx, id, password)
	}
	if err != nil {
		return User{}, err
	}
	u, err := h.Store.User(ctx, id)
	return userOf(u), err
}

type relation func(s store.Relations, ctx context.Context, from, to liked.UserID, on bool) (bool, error)

func (h *Handler) relate(change relation, on bool) endpoint {
	return of(h.pathUser, func(r *http.Request, from liked.User) (Changed, error) {
		to, err := h.user(r.Context(), r.PathValue("target"))
		if err != nil {
			return Changed{}, err
		}
		changed, err := change(h.Store, r.Context(), from.ID, to.ID, on)
		return Changed{changed}, err
	})
}

type Post struct {
	ID        liked.PostID `json:"id"`
	Author    liked.UserID `json:"author_id"`
	Text      string       `json:"text"`
	CreatedAt time.Time    `json:"created_at"`
	RepostOf  liked.PostID `json:"repost_of,omitempty"`
	InReplyTo liked.PostID `json:"in_reply_to,omitempty"`
	Quotes    liked.PostID `json:"quotes,omitempty"`
	Likes     int64        `json:"likes"`
	Reposts   int64        `json:"reposts"`
	Replies   int64        `json:"replies"`
	Quoted    int64        `json:"quoted"`
}

func postOf(p liked.Post) Post {
	return Post{ID: p.ID, Author: p.Author, Text: p.Text, CreatedAt: p.CreatedAt, RepostOf: p.RepostOf, InReplyTo: p.InReplyTo,
		Quotes: p.Quotes, Likes: p.Metrics.Likes, Reposts: p.Metrics.Reposts, Replies: p.Metrics.Replies, Quoted: p.Metrics.Quotes}
}

// NewPost creates a post. Author (an id or a username) is required, and Text unless it is a repost.
type NewPost struct {
	ID        liked.PostID `json:"id,omitempty"` // zero: the server picks one
	Author    string       `json:"author"`
	Text      string       `json:"text,omitempty"`
	CreatedAt *time.Time   `json:"created_at,omitempty"` // nil: now
	RepostOf  liked.PostID `json:"repost_of,omitempty"`
	InReplyTo liked.PostID `json:"in_reply_to,omitempty"`
	Quotes    liked.PostID `json:"quotes,omitempty"`
}

func (h *Handler) addPost(r *http.Request, in NewPost) (Post, error) {
	if in.Text == "" && in.RepostOf == 0 {
		return Post{}, liked.Errorf(liked.Invalid, "a post needs a text")
	}
	author, err := h.user(r.Context(), in.Author)
	if err != nil {
		return Post{}, err
	}
	p := liked.Post{ID: in.ID, Author: author.ID, Text: in.Text, CreatedAt: h.created(in.CreatedAt), RepostOf: in.RepostOf,
		InReplyTo: in.InReplyTo, Quotes: in.Quotes}
	err = add(h, &p.ID, func() error { return h.Store.AddPost(r.Context(), p) })
	return postOf(p), err
}

// PostPage is a page of posts, the highest id first. Next is the id to continue before, zero at the end.
type PostPage struct {
	Posts []Post       `json:"posts"`
	Next  liked.PostID `json:"next,omitempty"`
}

// searched is how many posts are looked at for one page.
const searched = 1000

func (h *Handler) posts(r *http.Request) (PostPage, error) {
	var author liked.User
	var before liked.PostID
	var most int
	err := query(r, map[string]func(string) error{"max": upTo(&most), "before": into(&before), "author": func(name string) (err error) {
		author, err = h.user(r.Context(), name)
		return err
	}})
	if err != nil {
		return PostPage{}, err
	}
	words, rows := strings.ToLower(r.URL.Query().Get("contains")), most
	if words != "" {
		rows = searched
	}
	posts, err := h.Store.PostsBy(r.Context(), author.ID, before, rows)
	page := PostPage{Posts: []Post{}}
	for i, p := range posts {
		if strings.Contains(strings.ToLower(p.Text), words) {
			page.Posts = append(page.Posts, postOf(p))
		}
		if len(page.Posts) == most || i == rows-1 {
			page.Next = p.ID
			break
		}
	}
	return page, err
}

func pathPost(r *http.Request) (liked.PostID, error) {
	id, err := liked.ParseID[liked.PostID](r.PathValue("post"))
	if err != nil {
		return 0, &liked.Error{Kind: liked.Invalid, Msg: fmt.Sprintf("post %q", r.PathValue("post")), Err: err}
	}
	return id, nil
}

func (h *Handler) getPost(r *http.Request, id liked.PostID) (Post, error) {
	p, err := h.Store.Post(r.Context(), store.Operator, id)
	return postOf(p), err
}

func (h *Handler) deletePost(r *http.Request, id liked.PostID) (Changed, error) {
	return Changed{true}, h.Store.DeletePost(r.Context(), 0, id)
}
