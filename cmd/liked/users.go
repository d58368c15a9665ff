package main

import (
	"fmt"
	"io"
	"net/url"
	"strconv"
	"strings"

	"liked/internal/admin"
)

// UserFields has the settings of a user.
type UserFields struct {
	Name            *string `json:"name,omitempty" help:"Display name, 1 to 50 characters."`
	State           *string `json:"state,omitempty" placeholder:"STATE" help:"active, locked, suspended or deactivated."`
	Protected       *bool   `json:"protected,omitempty" negatable:"" help:"Only followers see the posts."`
	Verified        *bool   `json:"verified,omitempty" negatable:"" help:"Has a badge."`
	Description     *string `json:"description,omitempty" placeholder:"TEXT" help:"What the profile says."`
	Location        *string `json:"location,omitempty" placeholder:"TEXT" help:"Where the profile says it is."`
	URL             *string `json:"url,omitempty" placeholder:"URL" help:"Link of the profile."`
	ProfileImageURL *string `json:"profile_image_url,omitempty" placeholder:"URL" help:"Picture of the profile."`
}

// Password comes from a file, because lists of processes show the command line.
type Password struct {
	PasswordFile string  `json:"-" placeholder:"FILE"`
	Text         *string `json:"password,omitempty" kong:"-"`
}

func (p *Password) read(e *env) error {
	if p.PasswordFile == "" {
		return nil
	}
	text, err := e.read(p.PasswordFile, maxSecret)
	if err != nil {
		return fmt.Errorf("password-file: %w", err)
	}
	password := strings.TrimSuffix(strings.TrimSuffix(string(text), "\n"), "\r")
	p.Text = &password
	return nil
}

type userAddCmd struct {
	Username string `arg:"" json:"username" help:"1 to 15 of A-Z a-z 0-9 _."`
	ID       string `json:"id,omitempty" help:"Its id; without it the server picks one."`
	UserFields
	Password
	Answer
}

func (c *userAddCmd) Run(e *env) error {
	if err := c.Password.read(e); err != nil {
		return err
	}
	return show(e, &c.Answer, request{method: "POST", path: at("users"), body: c, mayMake: true}, userLines)
}

func userLines(u admin.User) [][2]string {
	return [][2]string{
		{"id", u.ID.String()}, {"username", u.Username}, {"name", u.Name}, {"state", userState(u)}, {"created", when(u.CreatedAt)},
		{"description", u.Description}, {"location", u.Location}, {"url", u.URL}, {"profile image", u.ProfileImageURL},
		{"followers", fmt.Sprint(u.Followers)}, {"following", fmt.Sprint(u.Following)}, {"posts", fmt.Sprint(u.Posts)},
		{"likes", fmt.Sprint(u.Likes)},
	}
}

func userState(u admin.User) string {
	state := u.State.String()
	if u.Protected {
		state += ", protected"
	}
	if u.Verified {
		state += ", verified"
	}
	return state
}

type userListCmd struct {
	Username string `placeholder:"BEGINNING" help:"Only users whose usernames begin so, in order of username."`
	Answer
}

func (c *userListCmd) Run(e *env) error {
	return listUsers(e, &c.Answer, at("users")+"?username="+url.QueryEscape(c.Username)+"&")
}

// Side has the argument of the commands that list one side of a relation.
type Side struct {
	User string `arg:"" help:"Id or username; @ before a username that is all digits."`
	Answer
}

type (
	followingCmd struct{ Side }
	followersCmd struct{ Side }
	blockingCmd  struct{ Side }
	blockedByCmd struct{ Side }
)

func (c *followingCmd) Run(e *env) error { return c.list(e, "following") }
func (c *followersCmd) Run(e *env) error { return c.list(e, "followers") }
func (c *blockingCmd) Run(e *env) error  { return c.list(e, "blocking") }
func (c *blockedByCmd) Run(e *env) error { return c.list(e, "blocked-by") }

func (c *Side) list(e *env, side string) error {
	return listUsers(e, &c.Answer, at("users", c.User, side)+"?")
}

// listUsers lists all pages of a path, to which parameters can be appended.
func listUsers(e *env, a *Answer, path string) error {
	path += "max=1000"
	return list(e, a, path, "ID\tUSERNAME\tSTATE\tPOSTS\tLIKES\tNAME",
		func(page admin.UserPage) ([]admin.User, string) {
			return page.Users, nextPage(path, "after", page.Next)
		},
		func(u admin.User) []any { return []any{u.ID, u.Username, userState(u), u.Posts, u.Likes, u.Name} })
}

type userShowCmd struct {
	User string `arg:"" json:"-" help:"Id or username; @ before a username that is all digits."`
	Answer
}

func (c *userShowCmd) Run(e *env) error {
	return show(e, &c.Answer, request{method: "GET", path: at("users", c.User)}, userLines)
}

type userSetCmd struct {
	User     string  `arg:"" json:"-" help:"Id or username; @ before a username that is all digits."`
	Username *string `json:"username,omitempty" help:"New username."`
	UserFields
	Password
	Answer
}

func (c *userSetCmd) Run(e *env) error {
	if err := c.Password.read(e); err != nil {
		return err
	}
	return show(e, &c.Answer, request{method: "PATCH", path: at("users", c.User), body: c}, userLines)
}

// Relation has the arguments of follow, unfollow, block and unblock.
type Relation struct {
	User   string `arg:"" help:"Id or username of the one who acts."`
	Target string `arg:"" help:"Id or username of the other."`
	Answer
}

type (
	followCmd   struct{ Relation }
	unfollowCmd struct{ Relation }
	blockCmd    struct{ Relation }
	unblockCmd  struct{ Relation }
)

func (c *followCmd) Run(e *env) error   { return c.set(e, "PUT", "following", "follows") }
func (c *unfollowCmd) Run(e *env) error { return c.set(e, "DELETE", "following", "does not follow") }
func (c *blockCmd) Run(e *env) error    { return c.set(e, "PUT", "blocking", "blocks") }
func (c *unblockCmd) Run(e *env) error  { return c.set(e, "DELETE", "blocking", "does not block") }

func (c *Relation) set(e *env, method, relation, verb string) error {
	return c.with(e, false, func(a *admin.Client) error {
		var out admin.Changed
		if err := a.Call(e.ctx, method, at("users", c.User, relation, c.Target), nil, &out); err != nil {
			return err
		}
		already := ""
		if !out.Changed {
			already = ", as before"
		}
		return c.print(e, out, func(w io.Writer) { fmt.Fprintf(w, "%s %s %s%s\n", c.User, verb, c.Target, already) })
	})
}

type postAddCmd struct {
	Text      string `arg:"" optional:"" json:"text,omitempty" help:"What it says; not needed for a repost."`
	Author    string `json:"author" placeholder:"USER" need:"the id or username of who writes it" help:"Id or username."`
	ID        string `json:"id,omitempty" help:"Its id; without it the server picks one."`
	RepostOf  string `json:"repost_of,omitempty" placeholder:"POST" help:"Id of the post that it repeats: likes of it go there."`
	InReplyTo string `json:"in_reply_to,omitempty" placeholder:"POST" help:"Id of the post that it answers."`
	Quotes    string `json:"quotes,omitempty" placeholder:"POST" help:"Id of the post that it quotes."`
	Answer
}

func (c *postAddCmd) Run(e *env) error {
	return show(e, &c.Answer, request{method: "POST", path: at("posts"), body: c}, postLines)
}

func postLines(p admin.Post) [][2]string {
	return [][2]string{
		{"id", p.ID.String()}, {"author", p.Author.String()}, {"text", p.Text}, {"created", when(p.CreatedAt)},
		{"repost of", noZero(p.RepostOf)}, {"in reply to", noZero(p.InReplyTo)}, {"quotes", noZero(p.Quotes)}, {"likes", fmt.Sprint(p.Likes)},
		{"reposts", fmt.Sprint(p.Reposts)}, {"replies", fmt.Sprint(p.Replies)}, {"quoted", fmt.Sprint(p.Quoted)},
	}
}

// noZero is an id, "" for zero, which is none.
func noZero(id fmt.Stringer) string { return strings.TrimPrefix(id.String(), "0") }

type postListCmd struct {
	Author string `placeholder:"USER" help:"Only posts of this user: an id or a username."`
	Answer
}

func (c *postListCmd) Run(e *env) error {
	path := at("posts") + "?max=1000"
	if c.Author != "" {
		path += "&author=" + url.QueryEscape(c.Author)
	}
	return list(e, &c.Answer, path, "ID\tAUTHOR\tCREATED\tLIKES\tTEXT",
		func(page admin.PostPage) ([]admin.Post, string) {
			return page.Posts, nextPage(path, "before", page.Next.String())
		},
		func(p admin.Post) []any {
			return []any{p.ID, p.Author, when(p.CreatedAt), p.Likes, strconv.Quote(p.Text)}
		})
}

type postShowCmd struct {
	ID string `arg:"" help:"Id of the post."`
	Answer
}

func (c *postShowCmd) Run(e *env) error {
	return show(e, &c.Answer, request{method: "GET", path: at("posts", c.ID)}, postLines)
}

type postDeleteCmd struct {
	ID string `arg:"" help:"Id of the post."`
	Operator
}

func (c *postDeleteCmd) Run(e *env) error {
	return c.do(e, request{method: "DELETE", path: at("posts", c.ID)})
}
