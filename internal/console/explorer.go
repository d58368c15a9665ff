package console

import (
	"errors"
	"net/http"

	"liked"
	"liked/internal/admin"
	"liked/internal/web"
)

// explorerRoutes are what the API explorer asks for: as whom it calls, and with which tokens.
var explorerRoutes = []route{
	{pattern: "GET /console/identity", serve: (*call).showIdentity},
	{pattern: "POST /console/identity", serve: (*call).changeIdentity},
}

// identity is as whom the browser calls, for a script of ours.
type identity struct {
	User     *named      `json:"user"` // null: the app alone, or nobody
	App      *named      `json:"app"`  // null: nobody
	Token    string      `json:"token"`
	AppToken string      `json:"app_token"`
	Users    []string    `json:"users"` // usernames to choose from; there may be more
	Apps     []choosable `json:"apps"`  // likewise, the likeliest first
}

type named struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

type choosable struct {
	ID   liked.AppID `json:"id"`
	Name string      `json:"name"`
}

func (c *call) showIdentity() (answer, error) { return c.identity(c.Identity(c.Request)) }

// changeIdentity calls as another one from now on, with the fields of act. Without them the token was refused: another one is
// made.
func (c *call) changeIdentity() (answer, error) {
	if c.PostForm.Get("as") == "" {
		i := c.Identity(c.Request)
		c.mu.Lock()
		delete(c.tokens, i.Acting)
		c.mu.Unlock()
		return c.identity(i)
	}
	i, cookie, err := c.choose()
	if err != nil {
		return c.refuse(err)
	}
	a, err := c.identity(i)
	a.cookies = append(a.cookies, cookie)
	return a, err
}

func (c *call) identity(i Identity) (answer, error) {
	var out identity
	var err, failed error
	if i.User != "" {
		out.User = &named{i.User, i.Username}
	}
	if i.App != "" {
		out.App = &named{i.App, i.AppName}
	}
	out.Token, err = c.Token(c.Context(), i.Acting)
	out.AppToken, failed = c.Token(c.Context(), Acting{App: i.App})
	if err := errors.Join(err, failed); err != nil {
		return c.refuse(err)
	}
	var f frame
	c.fill(&f)
	for _, u := range f.Users {
		out.Users = append(out.Users, u.Username)
	}
	preferred := i
	if i.App == "" {
		preferred, _ = c.identify(c.Context(), c.First)
	}
	for _, a := range f.Apps {
		out.Apps = append(out.Apps, choosable{a.ID, a.Name})
		if a.ID.String() == preferred.App {
			last := len(out.Apps) - 1
			out.Apps[0], out.Apps[last] = out.Apps[last], out.Apps[0]
		}
	}
	return inJSON(http.StatusOK, out)
}

// refuse says why there is no such identity.
func (c *call) refuse(err error) (answer, error) {
	refused, ok := errors.AsType[*admin.Refusal](err)
	status := statuses[liked.KindOf(err)]
	switch {
	case ok:
		status = refused.Status
	case status == 0:
		return answer{}, err
	}
	return inJSON(status, struct {
		Error string `json:"error"`
	}{sentence(err.Error())})
}

func inJSON(status int, value any) (answer, error) {
	return answer{write: func(w http.ResponseWriter) (int, int) {
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Cross-Origin-Resource-Policy", "same-origin")
		web.SendJSON(w, status, value)
		return status, 0
	}}, nil
}
