package admin

import (
	"cmp"
	"net/http"
	"strconv"
	"strings"
	"time"

	"liked"
	"liked/internal/store"
)

// UserState is an account as it is to be; members left out stay, and are as in NewUser of a new one.
type UserState struct {
	CreatedAt *time.Time `json:"created_at,omitempty"`
	UserChange
}

// setUser makes an account what is said. Without such an account it makes one, of that id or that username.
func (h *Handler) setUser(r *http.Request, in UserState) (User, error) {
	u, err := h.pathUser(r)
	if err != nil && liked.KindOf(err) == liked.NotFound {
		name, at := strings.CutPrefix(r.PathValue("user"), "@")
		var id liked.UserID
		if !at {
			id, _ = liked.ParseID[liked.UserID](name) // zero for a name
		}
		if id == 0 && in.Username == nil {
			in.Username = &name
		}
		made, err := h.addUser(r, NewUser{ID: id, CreatedAt: in.CreatedAt, UserFields: in.UserFields})
		if err != nil || in.PinnedPost == nil {
			return made, err
		}
		return h.updateUser(r.Context(), made.ID, UserChange{PinnedPost: in.PinnedPost}, nil)
	}
	if err != nil {
		return User{}, err
	}
	return h.updateUser(r.Context(), u.ID, in.UserChange, in.CreatedAt)
}

// setPost makes the post be there. A post never changes: Conflict if it is there and another one.
func (h *Handler) setPost(r *http.Request, in NewPost) (Post, error) {
	id, err := pathPost(r)
	if err != nil {
		return Post{}, err
	}
	if in.ID != 0 && in.ID != id {
		return Post{}, liked.Errorf(liked.Invalid, "the id %v is not that of the path", in.ID)
	}
	in.ID = id
	p, err := h.Store.Post(r.Context(), store.Operator, id)
	switch {
	case liked.KindOf(err) == liked.NotFound:
		return h.addPost(r, in)
	case err != nil:
		return Post{}, err
	}
	author, err := h.user(r.Context(), cmp.Or(in.Author, p.Author.String()))
	if err != nil {
		return Post{}, err
	}
	if author.ID != p.Author || in.CreatedAt != nil && !h.created(in.CreatedAt).Equal(p.CreatedAt) || in.Text != "" && in.Text != p.Text ||
		in.RepostOf != p.RepostOf || in.InReplyTo != p.InReplyTo || in.Quotes != p.Quotes {
		return Post{}, liked.Errorf(liked.Conflict, "post %v is there, and another one; a post never changes: delete it first", id)
	}
	return postOf(p), nil
}

// Like says whether a user likes a post.
type Like struct {
	User  liked.UserID `json:"user"`
	Post  liked.PostID `json:"post"`
	Liked bool         `json:"liked"`
}

// LikeList is a page of likes, the newest first, with the posts of one user's likes, or the users of one post's, in their
// order. Next is what to continue after, "" at the end.
type LikeList struct {
	Likes []Like `json:"likes"`
	Posts []Post `json:"posts,omitempty"`
	Users []User `json:"users,omitempty"`
	Next  string `json:"next,omitempty"`
}

func likeNext(older store.Cursor) string {
	if older.Seq == 0 {
		return ""
	}
	return strconv.FormatUint(uint64(older.Seq), 10)
}

func (h *Handler) stateRoutes() []route {
	return []route{
		{pattern: "PUT /admin/likes/{user}/{post}", endpoint: h.setLike(true), does: "Makes a user like a post, as by the API."},
		{pattern: "DELETE /admin/likes/{user}/{post}", endpoint: h.setLike(false), does: "Takes a like back."},
		{pattern: "GET /admin/likes", endpoint: gives(h.listLikes), query: "user post max after",
			does: "Lists what a user likes, or who likes a post, the newest like first; with both, whether the user likes each of the posts."},
	}
}

func (h *Handler) setLike(on bool) endpoint {
	return of(h.pathUser, func(r *http.Request, u liked.User) (Changed, error) {
		post, err := pathPost(r)
		if err != nil {
			return Changed{}, err
		}
		changed, err := h.Store.SetLike(r.Context(), u.ID, post, on, h.Now())
		return Changed{changed}, err
	})
}

func (h *Handler) listLikes(r *http.Request) (LikeList, error) {
	var user liked.User
	var posts []liked.PostID
	var after uint64
	var most int
	err := query(r, map[string]func(string) error{"max": upTo(&most), "after": place(&after), "post": listInto(&posts),
		"user": func(name string) (err error) {
			user, err = h.user(r.Context(), name)
			return err
		}})
	from := store.Cursor{Seq: liked.Seq(after)}
	switch {
	case err != nil:
		return LikeList{}, err
	case user.ID == 0 && len(posts) != 1:
		return LikeList{}, liked.Errorf(liked.Invalid, "give a user, one post, or a user and posts")
	case posts == nil:
		page, err := h.Store.LikedPosts(r.Context(), store.Operator, user.ID, from, most, store.WithMetrics, nil)
		return LikeList{Likes: each(page.Items, func(p liked.Post) Like { return Like{user.ID, p.ID, true} }),
			Posts: each(page.Items, postOf), Next: likeNext(page.Older)}, err
	case user.ID == 0:
		page, err := h.Store.LikingUsers(r.Context(), store.Operator, posts[0], from, most, store.WithMetrics, nil)
		return LikeList{Likes: each(page.Items, func(u liked.User) Like { return Like{u.ID, posts[0], true} }),
			Users: each(page.Items, userOf), Next: likeNext(page.Older)}, err
	}
	likes, err := h.Store.Liked(r.Context(), user.ID, posts)
	list := LikeList{Likes: make([]Like, len(likes))}
	for i, on := range likes {
		list.Likes[i] = Like{user.ID, posts[i], on}
	}
	return list, err
}
