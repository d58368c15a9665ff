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
	w := v.wanted()
	found, err := a.Store.UsersByID(c.ctx, ids, w.userMetrics())
	if err != nil {
		return nil, err
	}
	return a.foundUsers(c, w, param, values, found, func(i int, u *liked.User) bool { return u.ID == ids[i] })
}

func (a *API) usersByUsername(c *call, v *userView, param string, values []string) (*document, error) {
	w := v.wanted()
	found, err := a.Store.UsersByUsername(c.ctx, values, w.userMetrics())
	if err != nil {
		return nil, err
	}
	return a.foundUsers(c, w, param, values, found, func(i int, u *liked.User) bool { return strings.EqualFold(u.Username, values[i]) })
}

// foundUsers answers in request order, each user once. The store found the users in this order, without those that
// there are not; is tells whether a user is the one that values[i] names.
func (a *API) foundUsers(
	c *call, w wanted, param string, values []string, found []liked.User, is func(i int, u *liked.User) bool,
) (*document, error) {
	var users []liked.User
	var errs partialErrors
	seen := make(map[liked.UserID]bool, len(values))
	for i, v := range values {
		var u liked.User // zero: there is none
		if len(found) > 0 && is(i, &found[0]) {
			u, found = found[0], found[1:]
		}
		switch {
		case seen[u.ID]:
		case u.ID == 0 || u.State.Hidden():
			errs.add(a.hiddenUser(param, v, u.State))
		default:
			seen[u.ID] = true
			users = append(users, u)
		}
	}
	return a.usersDocument(c, w, users, errs)
}
