package api

import "liked"

func (a *API) me(c *call) (any, error) { return a.lookUpUser(c, c.who.User) }

func (a *API) user(c *call) (any, error) { return a.lookUpUser(c, liked.UserID(c.ids[0])) }

func (a *API) lookUpUser(c *call, id liked.UserID) (any, error) {
	u, err := a.Store.User(c.ctx, id)
	switch {
	case err != nil && liked.KindOf(err) == liked.NotFound, err == nil && u.State == liked.Deactivated:
		return a.missing("user", id.String()), nil
	case err != nil:
		return nil, err
	case u.State == liked.Suspended:
		return a.suspended(id.String()), nil
	}
	return document{Data: newUser(u, c.query)}, nil
}
