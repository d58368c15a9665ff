package api

import (
	"strings"

	"liked"
)

// user answers with the path's user, else the caller.
func (a *API) user(c *call) (any, error) {
	id := c.who.User.String()
	if len(c.path) > 0 {
		id = c.path[0].value
	}
	return single(a.usersByID(c, c.query.(*userView), "id", []string{id}))
}

func (a *API) users(c *call) (any, error) {
	in := c.query.(*usersQuery)
	return a.usersByID(c, &in.userView, "ids", in.IDs)
}

func (a *API) userByUsername(c *call) (any, error) {
	return single(a.usersByUsername(c, c.query.(*userView), "username", []string{c.path[0].value}))
}

func (a *API) usersByNames(c *call) (any, error) {
	in := c.query.(*usernamesQuery)
	return a.usersByUsername(c, &in.userView, "usernames", in.Usernames)
}

func (a *API) usersByID(c *call, v *userView, param string, values []string) (*document, error) {
	ids := make([]liked.UserID, len(values))
	for i, v := range values {
		ids[i], _ = liked.ParseID[liked.UserID](v) // checked by readQuery
	}
	found, err := a.Store.UsersByID(c.ctx, ids)
	if err != nil {
		return nil, err
	}
	byID := make(map[liked.UserID]liked.User, len(found))
	for _, u := range found {
		byID[u.ID] = u
	}
	return a.foundUsers(c, v, param, values, func(i int) liked.User { return byID[ids[i]] })
}

func (a *API) usersByUsername(c *call, v *userView, param string, values []string) (*document, error) {
	found, err := a.Store.UsersByUsername(c.ctx, values)
	if err != nil {
		return nil, err
	}
	byName := make(map[string]liked.User, len(found))
	for _, u := range found {
		byName[strings.ToLower(u.Username)] = u
	}
	return a.foundUsers(c, v, param, values, func(i int) liked.User { return byName[strings.ToLower(values[i])] })
}

// foundUsers answers in request order, each user once. user(i) is the zero User if there is none.
func (a *API) foundUsers(c *call, view *userView, param string, values []string, user func(i int) liked.User) (*document, error) {
	var users []liked.User
	var errs partialErrors
	seen := make(map[liked.UserID]bool, len(values))
	for i, v := range values {
		u := user(i)
		switch {
		case seen[u.ID]:
		case u.ID == 0 || u.State.Hidden():
			errs.add(a.hiddenUser(param, v, u.State))
		default:
			seen[u.ID] = true
			users = append(users, u)
		}
	}
	return a.usersDocument(c, view.wanted(), users, errs)
}
