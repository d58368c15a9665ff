package console

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"liked"
	"liked/internal/admin"
)

// usersPage is the data of data_users.html.
type usersPage struct {
	Username    string // its beginning, by which users are looked for
	Found       []admin.User
	Next, First string
	New         form
}

// users lists accounts, in order of id, or of username if they are looked for. A text of digits is an id, too.
func (c *call) users(f form) (answer, error) {
	p := usersPage{Username: strings.TrimPrefix(strings.TrimSpace(c.URL.Query().Get("username")), "@"), New: f}
	query := url.Values{"max": {strconv.Itoa(perList)}}
	after := c.URL.Query().Get("after")
	for name, value := range map[string]string{"username": p.Username, "after": after} {
		if value != "" {
			query.Set(name, value)
		}
	}
	list, err := get[admin.UserPage](c, "/admin/users", query)
	if err != nil {
		return answer{}, err
	}
	if _, err := liked.ParseID[liked.UserID](p.Username); err == nil && after == "" {
		found, err := get[admin.UserPage](c, "/admin/users", url.Values{"ids": {p.Username}})
		if err != nil {
			return answer{}, err
		}
		list.Users = append(found.Users, list.Users...)
	}
	p.Found = list.Users
	p.Next, p.First = c.after(list.Next)
	return page("data_users", "Users", p)
}

// fields are the settings of an account as the form has them.
func (c *call) fields() (f admin.UserFields, err error) {
	f = admin.UserFields{Username: c.typed("username"), Name: c.typed("name")}
	if password := c.posted("password"); *password != "" {
		f.Password = password
	}
	protected, verified := c.PostForm.Get("protected") != "", c.PostForm.Get("verified") != ""
	f.Protected, f.Verified = &protected, &verified
	if text := c.typed("state"); text != nil {
		f.State = new(liked.AccountState)
		if err := f.State.UnmarshalText([]byte(*text)); err != nil {
			return f, &admin.Refusal{Status: http.StatusBadRequest, Reason: err.Error()}
		}
	}
	return f, nil
}

func (c *call) addUser() (answer, error) {
	in, err := c.fields()
	var made admin.User
	if err == nil {
		err = c.change(http.MethodPost, "/admin/users", admin.NewUser{UserFields: in}, &made)
	}
	if f, ok := c.refused(err); ok {
		return unfit(c.users(f))
	}
	if err != nil {
		return answer{}, err
	}
	return c.back(dataPath+"/users/"+made.ID.String(), Notice{Text: "The user @" + made.Username + " is there."})
}

// userPage is the data of data_user.html.
type userPage struct {
	admin.User
	Lists         []userList
	List          userList // that is shown
	Found         []shownPost
	People        []admin.User
	Older, Newest string
	Form          form
}

// userList is one of the lists of a user.
type userList struct {
	ID, Name string
	Path     string // of the page that shows it
	Count    int64  // -1: not kept
	Remove   string // what ends a relation that stands in it, "" if it is the other's
}

func (c *call) user(f form) (answer, error) {
	u, err := c.pathUser()
	if err != nil {
		return answer{}, err
	}
	p := userPage{User: u, Form: f, Lists: []userList{{"posts", "Posts", "", u.Posts, ""}, {"likes", "Likes", "", u.Likes, ""},
		{"following", "Following", "", u.Following, "Unfollow"}, {"followers", "Followers", "", u.Followers, ""},
		{"blocking", "Blocks", "", -1, "Unblock"}, {"blocked-by", "Blocked by", "", -1, ""}}}
	if f.Values == nil {
		p.Form.Values = url.Values{"username": {u.Username}, "name": {u.Name}, "state": {u.State.String()}}
		for name, on := range map[string]bool{"protected": u.Protected, "verified": u.Verified} {
			if on {
				p.Form.Set(name, "1")
			}
		}
	}
	p.List = p.Lists[0]
	for i := range p.Lists {
		l := &p.Lists[i]
		l.Path = dataPath + "/users/" + u.ID.String() + "?list=" + l.ID
		if i == 0 || c.URL.Query().Get("list") == l.ID {
			p.List = *l
		}
	}
	if err := c.list(&p); err != nil {
		return answer{}, err
	}
	return page("data_user", "@"+u.Username, p)
}

// list reads a part of the list that is shown.
func (c *call) list(p *userPage) (err error) {
	id := p.ID.String()
	var posts []admin.Post
	next := ""
	switch p.List.ID {
	case "posts":
		query := url.Values{"author": {id}, "max": {strconv.Itoa(perList)}}
		if after := c.URL.Query().Get("after"); after != "" {
			query.Set("before", after)
		}
		var list admin.PostPage
		list, err = get[admin.PostPage](c, "/admin/posts", query)
		if posts = list.Posts; list.Next != 0 {
			next = list.Next.String()
		}
	case "likes":
		var list admin.LikeList
		list, err = c.likes("user", id)
		posts, next = list.Posts, list.Next
	default:
		query := url.Values{"max": {strconv.Itoa(perList)}}
		if after := c.URL.Query().Get("after"); after != "" {
			query.Set("after", after)
		}
		var list admin.UserPage
		list, err = get[admin.UserPage](c, "/admin/users/"+id+"/"+p.List.ID, query)
		p.People, next = list.Users, list.Next
	}
	if err == nil {
		p.Found, err = c.shown(posts)
	}
	p.Older, p.Newest = c.after(next)
	return err
}

func (c *call) pathUser() (admin.User, error) {
	return get[admin.User](c, "/admin/users/"+url.PathEscape(c.PathValue("user")), nil)
}

func (c *call) changeUser() (answer, error) {
	in, err := c.fields()
	var u admin.User
	if err == nil {
		in := admin.UserChange{UserFields: in}
		err = c.change(http.MethodPatch, "/admin/users/"+url.PathEscape(c.PathValue("user")), in, &u)
	}
	if f, ok := c.refused(err); ok {
		return unfit(c.user(f))
	}
	if err != nil {
		return answer{}, err
	}
	return c.back(c.self(), Notice{Text: "@" + u.Username + " is changed."})
}

// relate sets a follow or a block, or ends it: the fields are kind (following or blocking), target and on.
func (c *call) relate() (answer, error) {
	u, err := c.pathUser()
	if err != nil {
		return answer{}, err
	}
	kind, method, said := c.PostForm.Get("kind"), http.MethodPut, map[string]string{"following": "follows", "blocking": "blocks"}
	if said[kind] == "" {
		return answer{}, liked.Errorf(liked.Invalid, "The form says neither following nor blocking.")
	}
	target := c.typed("target")
	if target == nil {
		return answer{}, liked.Errorf(liked.Invalid, "Enter the username of the other user.")
	}
	i, err := c.identify(c.Context(), Acting{User: *target})
	if err != nil {
		return answer{}, err
	}
	if i.User == u.ID.String() {
		return answer{}, liked.Errorf(liked.Invalid, "@%s is this user already: enter another one.", i.Username)
	}
	text := "@" + u.Username + " " + said[kind] + " @" + i.Username + "."
	if c.PostForm.Get("on") == "false" {
		method, text = http.MethodDelete, "@"+u.Username+" "+said[kind]+" @"+i.Username+" no more."
	}
	if err := c.change(method, "/admin/users/"+u.ID.String()+"/"+kind+"/"+i.User, nil, nil); err != nil {
		return answer{}, err
	}
	return c.back(c.self(), Notice{Text: text})
}
