package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"liked/internal/admin"
)

// The fields of these commands that have a JSON name are the body of the request, so that what a flag may say is
// judged in one place, the server.

// Output is how a command answers.
type Output struct {
	JSON bool `json:"-" help:"Answer with one JSON object a line."`
}

// print writes v as JSON, or as lines of name and value.
func (o Output) print(w io.Writer, v any, lines [][2]string) error {
	if o.JSON {
		return json.NewEncoder(w).Encode(v)
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, l := range lines {
		if l[1] != "" {
			fmt.Fprintf(t, "%s\t%s\n", l[0], l[1])
		}
	}
	return t.Flush()
}

// UserFields is what can be said about a user, new or old.
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

// Password is how a password is given: never on the command line, where lists of processes show it.
type Password struct {
	PasswordFile string  `json:"-" placeholder:"FILE" help:"File with the password to sign in with; - is standard input. One newline at its end is not part of it."`
	Text         *string `json:"password,omitempty" kong:"-"`
}

// read reads the file, if one is given.
func (p *Password) read(stdin io.Reader) error {
	if p.PasswordFile == "" {
		return nil
	}
	in := stdin
	if p.PasswordFile != "-" {
		f, err := os.Open(p.PasswordFile)
		if err != nil {
			return fmt.Errorf("password-file: %w", err)
		}
		defer f.Close()
		in = f
	}
	text, err := io.ReadAll(io.LimitReader(in, 4096)) // more than the longest password
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
	Output
	Operator
}

func (*userAddCmd) Help() string {
	return `Examples:

  liked user add ada --data DIR
  liked user add ada --id 12 --name "Ada Lovelace" --protected --data DIR
  pwgen 20 1 | liked user add ada --password-file - --data DIR`
}

func (c *userAddCmd) Run(e *env) error {
	if err := c.Password.read(e.stdin); err != nil {
		return err
	}
	return c.with(e, true, func(a *operator) error {
		var u admin.User
		if err := a.call(http.MethodPost, "/admin/users", c, &u); err != nil {
			return err
		}
		return c.print(e.stdout, u, userLines(u))
	})
}

func userLines(u admin.User) [][2]string {
	state := u.State.String()
	if u.Protected {
		state += ", protected"
	}
	if u.Verified {
		state += ", verified"
	}
	return [][2]string{
		{"id", u.ID.String()}, {"username", u.Username}, {"name", u.Name}, {"state", state},
		{"created", u.CreatedAt.UTC().Format(time.RFC3339)}, {"description", u.Description}, {"location", u.Location},
		{"url", u.URL}, {"profile image", u.ProfileImageURL},
		{"followers", fmt.Sprint(u.Followers)}, {"following", fmt.Sprint(u.Following)}, {"posts", fmt.Sprint(u.Posts)},
		{"likes", fmt.Sprint(u.Likes)},
	}
}

type userListCmd struct {
	Output
	Operator
}

func (*userListCmd) Help() string {
	return "Examples:\n\n  liked user list --data DIR\n  liked user list --data DIR --json | jq -r .username"
}

func (c *userListCmd) Run(e *env) error {
	return c.with(e, false, func(a *operator) error {
		t := tabwriter.NewWriter(e.stdout, 0, 0, 2, ' ', 0)
		if !c.JSON {
			fmt.Fprintln(t, "ID\tUSERNAME\tSTATE\tPOSTS\tLIKES\tNAME")
		}
		for path := "/admin/users?max=1000"; ; {
			var page admin.UserPage
			if err := a.call(http.MethodGet, path, nil, &page); err != nil {
				return err
			}
			for _, u := range page.Users {
				if c.JSON {
					if err := json.NewEncoder(e.stdout).Encode(u); err != nil {
						return err
					}
					continue
				}
				fmt.Fprintf(t, "%d\t%s\t%s\t%d\t%d\t%s\n", u.ID, u.Username, userLines(u)[3][1], u.Posts, u.Likes, u.Name)
			}
			if err := t.Flush(); err != nil || page.Next == 0 {
				return err
			}
			path = "/admin/users?max=1000&after=" + page.Next.String()
		}
	})
}

type userShowCmd struct {
	User string `arg:"" json:"-" help:"Id or username; @ before a username that is all digits."`
	Output
	Operator
}

func (*userShowCmd) Help() string { return "Example:\n\n  liked user show alice --data DIR" }

func (c *userShowCmd) Run(e *env) error {
	return c.with(e, false, func(a *operator) error {
		var u admin.User
		if err := a.call(http.MethodGet, "/admin/users/"+url.PathEscape(c.User), nil, &u); err != nil {
			return err
		}
		return c.print(e.stdout, u, userLines(u))
	})
}

type userSetCmd struct {
	User     string  `arg:"" json:"-" help:"Id or username; @ before a username that is all digits."`
	Username *string `json:"username,omitempty" help:"New username."`
	UserFields
	Password
	Output
	Operator
}

func (*userSetCmd) Help() string {
	return `Examples:

  liked user set alice --state locked --data DIR
  liked user set alice --no-protected --data DIR
  liked user set alice --password-file - --data DIR

A new password ends all sessions of the user.`
}

func (c *userSetCmd) Run(e *env) error {
	if err := c.Password.read(e.stdin); err != nil {
		return err
	}
	return c.with(e, false, func(a *operator) error {
		var u admin.User
		if err := a.call(http.MethodPatch, "/admin/users/"+url.PathEscape(c.User), c, &u); err != nil {
			return err
		}
		return c.print(e.stdout, u, userLines(u))
	})
}

// Relation is what follow, unfollow, block and unblock have in common.
type Relation struct {
	User   string `arg:"" help:"Id or username of the one who acts."`
	Target string `arg:"" help:"Id or username of the other."`
	Output
	Operator
}

type (
	followCmd   struct{ Relation }
	unfollowCmd struct{ Relation }
	blockCmd    struct{ Relation }
	unblockCmd  struct{ Relation }
)

func (*followCmd) Help() string   { return "Example:\n\n  liked user follow alice bob --data DIR" }
func (*unfollowCmd) Help() string { return "Example:\n\n  liked user unfollow alice bob --data DIR" }
func (*blockCmd) Help() string {
	return "Example:\n\n  liked user block bob alice --data DIR\n\nA block ends follows between the two, both ways. Alice can like Bob's posts no longer."
}
func (*unblockCmd) Help() string { return "Example:\n\n  liked user unblock bob alice --data DIR" }

func (c *followCmd) Run(e *env) error { return c.set(e, http.MethodPut, "following", "follows") }
func (c *unfollowCmd) Run(e *env) error {
	return c.set(e, http.MethodDelete, "following", "does not follow")
}
func (c *blockCmd) Run(e *env) error { return c.set(e, http.MethodPut, "blocking", "blocks") }
func (c *unblockCmd) Run(e *env) error {
	return c.set(e, http.MethodDelete, "blocking", "does not block")
}

func (c *Relation) set(e *env, method, relation, verb string) error {
	return c.with(e, false, func(a *operator) error {
		var out admin.Changed
		if err := a.call(method, "/admin/users/"+url.PathEscape(c.User)+"/"+relation+"/"+url.PathEscape(c.Target), nil, &out); err != nil {
			return err
		}
		if c.JSON {
			return json.NewEncoder(e.stdout).Encode(out)
		}
		already := ""
		if !out.Changed {
			already = ", as before"
		}
		_, err := fmt.Fprintf(e.stdout, "%s %s %s%s\n", c.User, verb, c.Target, already)
		return err
	})
}

type postAddCmd struct {
	Text      string `arg:"" optional:"" json:"text,omitempty" help:"What it says; not needed for a repost."`
	Author    string `json:"author" placeholder:"USER" help:"Id or username. Required."`
	ID        string `json:"id,omitempty" help:"Its id; without it the server picks one."`
	RepostOf  string `json:"repost_of,omitempty" placeholder:"POST" help:"Id of the post that it repeats: likes of it go there."`
	InReplyTo string `json:"in_reply_to,omitempty" placeholder:"POST" help:"Id of the post that it answers."`
	Quotes    string `json:"quotes,omitempty" placeholder:"POST" help:"Id of the post that it quotes."`
	Output
	Operator
}

func (*postAddCmd) Help() string {
	return `Examples:

  liked post add "Hello" --author alice --data DIR
  liked post add --author bob --repost-of 1228393702244134912 --data DIR`
}

func (c *postAddCmd) check() error {
	var err error
	if c.Author == "" {
		err = errors.New("author: missing; give the id or username of who writes it")
	}
	return errors.Join(err, c.Operator.check())
}

func (c *postAddCmd) Run(e *env) error {
	return c.with(e, false, func(a *operator) error {
		var p admin.Post
		if err := a.call(http.MethodPost, "/admin/posts", c, &p); err != nil {
			return err
		}
		return c.print(e.stdout, p, postLines(p))
	})
}

func postLines(p admin.Post) [][2]string {
	id := func(n fmt.Stringer) string { return strings.TrimPrefix(n.String(), "0") } // no id is zero but one that is missing
	return [][2]string{
		{"id", p.ID.String()}, {"author", p.Author.String()}, {"text", p.Text}, {"created", p.CreatedAt.UTC().Format(time.RFC3339)},
		{"repost of", id(p.RepostOf)}, {"in reply to", id(p.InReplyTo)}, {"quotes", id(p.Quotes)},
		{"likes", fmt.Sprint(p.Likes)}, {"reposts", fmt.Sprint(p.Reposts)}, {"replies", fmt.Sprint(p.Replies)}, {"quoted", fmt.Sprint(p.Quoted)},
	}
}

type postShowCmd struct {
	ID string `arg:"" help:"Id of the post."`
	Output
	Operator
}

func (*postShowCmd) Help() string {
	return "Example:\n\n  liked post show 1228393702244134912 --data DIR"
}

func (c *postShowCmd) Run(e *env) error {
	return c.with(e, false, func(a *operator) error {
		var p admin.Post
		if err := a.call(http.MethodGet, "/admin/posts/"+url.PathEscape(c.ID), nil, &p); err != nil {
			return err
		}
		return c.print(e.stdout, p, postLines(p))
	})
}

type postDeleteCmd struct {
	ID string `arg:"" help:"Id of the post."`
	Operator
}

func (*postDeleteCmd) Help() string {
	return "Example:\n\n  liked post delete 1228393702244134912 --data DIR"
}

func (c *postDeleteCmd) Run(e *env) error {
	return c.with(e, false, func(a *operator) error {
		return a.call(http.MethodDelete, "/admin/posts/"+url.PathEscape(c.ID), nil, nil)
	})
}

// AppFields is what can be said about an app, new or old.
type AppFields struct {
	State        *string  `json:"state,omitempty" placeholder:"STATE" help:"enrolled, not-enrolled or suspended."`
	Tier         *string  `json:"tier,omitempty" placeholder:"TIER" help:"enterprise, which has likes, or self-serve, which on X has them no longer."`
	Access       *string  `json:"access,omitempty" placeholder:"LEVEL" help:"What OAuth 1.0a tokens may do from now on: read, read-write or read-write-directmessages."`
	RedirectURIs []string `json:"redirect_uris,omitempty" name:"redirect-uri" placeholder:"URI" sep:"none" help:"Where users are sent back to; may be repeated, up to 10 times."`
}

type appAddCmd struct {
	Name string `arg:"" json:"name" help:"Its name."`
	Type string `json:"type,omitempty" placeholder:"TYPE" help:"confidential (with a client secret, the default) or public."`
	AppFields
	Output
	Operator
}

func (*appAddCmd) Help() string {
	return `Examples:

  liked app add shop --redirect-uri http://127.0.0.1:3000/callback --data DIR
  liked app add phone --type public --json --data DIR`
}

func (c *appAddCmd) Run(e *env) error {
	return c.with(e, true, func(a *operator) error {
		var m admin.MadeApp
		if err := a.call(http.MethodPost, "/admin/apps", c, &m); err != nil {
			return err
		}
		return c.print(e.stdout, m, append(appLines(m.App), [2]string{"client secret", m.ClientSecret},
			[2]string{"api secret", m.APISecret}, [2]string{"bearer token", m.BearerToken}))
	})
}

func appLines(a admin.App) [][2]string {
	return [][2]string{{"id", a.ID.String()}, {"name", a.Name}, {"type", a.Type}, {"state", a.State.String()}, {"tier", a.Tier.String()},
		{"access", a.Access.String()}, {"redirect uris", strings.Join(a.RedirectURIs, " ")},
		{"created", a.CreatedAt.UTC().Format(time.RFC3339)}, {"client id", a.ClientID}, {"api key", a.APIKey}}
}

type appListCmd struct {
	Output
	Operator
}

func (*appListCmd) Help() string { return "Example:\n\n  liked app list --data DIR" }

func (c *appListCmd) Run(e *env) error {
	return c.with(e, false, func(a *operator) error {
		var list admin.AppList
		if err := a.call(http.MethodGet, "/admin/apps", nil, &list); err != nil {
			return err
		}
		t := tabwriter.NewWriter(e.stdout, 0, 0, 2, ' ', 0)
		if !c.JSON {
			fmt.Fprintln(t, "ID\tNAME\tTYPE\tSTATE\tTIER\tACCESS\tCLIENT ID")
		}
		for _, app := range list.Apps {
			if c.JSON {
				if err := json.NewEncoder(e.stdout).Encode(app); err != nil {
					return err
				}
				continue
			}
			fmt.Fprintf(t, "%d\t%s\t%s\t%s\t%s\t%s\t%s\n", app.ID, app.Name, app.Type, app.State, app.Tier, app.Access, app.ClientID)
		}
		return t.Flush()
	})
}

type appSetCmd struct {
	App  string  `arg:"" json:"-" help:"Id, client id or name."`
	Name *string `json:"name,omitempty" help:"New name."`
	AppFields
	Output
	Operator
}

func (*appSetCmd) Help() string {
	return "Examples:\n\n  liked app set demo --tier self-serve --data DIR\n  liked app set demo --state suspended --data DIR"
}

func (c *appSetCmd) Run(e *env) error {
	return c.with(e, false, func(a *operator) error {
		var app admin.App
		if err := a.call(http.MethodPatch, "/admin/apps/"+url.PathEscape(c.App), c, &app); err != nil {
			return err
		}
		return c.print(e.stdout, app, appLines(app))
	})
}

type tokenIssueCmd struct {
	Kind     string        `json:"kind" default:"user" placeholder:"KIND" help:"user (OAuth 2.0), app (app-only bearer) or oauth1 (OAuth 1.0a)."`
	App      string        `json:"app" help:"Id, client id or name. Required."`
	User     string        `json:"user,omitempty" help:"Id or username; for kinds user and oauth1."`
	Scopes   string        `json:"scopes,omitempty" placeholder:"LIST" help:"Scopes with spaces between; for kind user. Default: all."`
	Lifetime time.Duration `json:"-" help:"Of the access token; for kind user. Default: 2h."`
	Seconds  int64         `json:"lifetime_seconds,omitempty" kong:"-"` // Lifetime, for the wire
	Access   *string       `json:"access,omitempty" placeholder:"LEVEL" help:"For kind oauth1: read, read-write or read-write-directmessages. Default: the app's."`
	Output
	Operator
}

func (*tokenIssueCmd) Help() string {
	return `Examples:

  liked token issue --app shop --user ada --scopes "tweet.read users.read like.write" --data DIR
  liked token issue --kind oauth1 --app shop --user ada --json --data DIR`
}

func (c *tokenIssueCmd) check() error {
	var errs []error
	if c.App == "" {
		errs = append(errs, errors.New("app: missing; give the id, client id or name of the app that calls"))
	}
	if c.User == "" && c.Kind != "app" {
		errs = append(errs, errors.New("user: missing; give the id or username that the app calls for"))
	}
	if c.Lifetime < 0 || c.Lifetime%time.Second != 0 {
		errs = append(errs, fmt.Errorf("lifetime: %s is not a number of whole seconds", c.Lifetime))
	}
	return errors.Join(append(errs, c.Operator.check())...)
}

func (c *tokenIssueCmd) Run(e *env) error {
	c.Seconds = int64(c.Lifetime / time.Second)
	return c.with(e, false, func(a *operator) error {
		var t admin.Token
		if err := a.call(http.MethodPost, "/admin/tokens", c, &t); err != nil {
			return err
		}
		expires := ""
		if t.ExpiresIn > 0 {
			expires = (time.Duration(t.ExpiresIn) * time.Second).String()
		}
		return c.print(e.stdout, t, [][2]string{{"token", t.Token}, {"token secret", t.TokenSecret}, {"refresh token", t.RefreshToken},
			{"scope", t.Scope}, {"expires in", expires}})
	})
}

type tokenRevokeCmd struct {
	Token string `arg:"" json:"token" help:"The token; - reads it from standard input, where no list of processes shows it."`
	Operator
}

func (*tokenRevokeCmd) Help() string {
	return "Example:\n\n  echo \"$X_ACCESS_TOKEN\" | liked token revoke - --data DIR\n\nAn access token takes its refresh token with it, and the other way round."
}

func (c *tokenRevokeCmd) Run(e *env) error {
	if c.Token == "-" {
		text, err := io.ReadAll(io.LimitReader(e.stdin, 4096))
		if err != nil {
			return err
		}
		c.Token = strings.TrimSpace(string(text))
	}
	return c.with(e, false, func(a *operator) error { return a.call(http.MethodPost, "/admin/tokens/revoke", c, nil) })
}

type checkCmd struct {
	Output
	Operator
}

func (*checkCmd) Help() string {
	return "Example:\n\n  liked check --data DIR\n\nIt reads everything, on a running server too. The status is 1 if something disagrees."
}

func (c *checkCmd) Run(e *env) error {
	return c.with(e, false, func(a *operator) error {
		var r admin.Report
		if err := a.call(http.MethodPost, "/admin/check", nil, &r); err != nil {
			return err
		}
		if c.JSON {
			if err := json.NewEncoder(e.stdout).Encode(r); err != nil {
				return err
			}
		} else {
			fmt.Fprintf(e.stdout, "%d users, %d posts, %d likes, %d log entries, %d problems\n", r.Users, r.Posts, r.Likes, r.LogEntries, len(r.Problems))
			for _, p := range r.Problems {
				fmt.Fprintln(e.stdout, " ", p)
			}
		}
		if len(r.Problems) > 0 {
			return errors.New("the data disagrees with itself")
		}
		return nil
	})
}
