package oauth

import (
	"net/http"
	"slices"

	"liked"
	"liked/internal/web"
)

// connectedApps lists the apps that the user granted access, newest grant first.
func (c *Call) connectedApps() (*Answer, error) { return c.connected("") }

func (c *Call) connected(notice string) (*Answer, error) {
	u, err := c.SignedIn()
	if err != nil {
		return nil, err
	}
	grants, err := c.Store.GrantsOf(c.Context, u.ID)
	if err != nil {
		return nil, err
	}
	p := web.ConnectedApps{Frame: c.Frame(), Notice: notice}
	for _, g := range slices.Backward(grants) {
		i := slices.IndexFunc(p.Apps, func(a web.ConnectedApp) bool { return a.ID == g.App.String() })
		if i < 0 {
			app, err := c.Store.App(c.Context, g.App)
			if err != nil {
				return nil, err
			}
			owner, err := c.ownerName(app.App)
			if err != nil {
				return nil, err
			}
			i = len(p.Apps)
			p.Apps = append(p.Apps, web.ConnectedApp{ID: g.App.String(), Name: app.Name, Owner: owner})
		}
		a := &p.Apps[i]
		a.Since = g.CreatedAt // of the oldest grant, in the end
		a.OAuth1 = a.OAuth1 || g.OAuth1
		a.Scopes |= g.Scopes // none of OAuth 1.0a
	}
	return Page(http.StatusOK, p)
}

// disconnect takes back all that the user granted an app, also what is still to become a token.
func (c *Call) disconnect() (*Answer, error) {
	form, u, err := c.Form()
	if err != nil {
		return nil, err
	}
	id, err := liked.ParseID[liked.AppID](form.First("app"))
	if err != nil {
		return nil, ErrForm.Because("the field app is no id")
	}
	c.App = id
	if err := c.Store.Withdraw(c.Context, u.ID, id); err != nil {
		return nil, err
	}
	return c.connected("The app no longer has access to your account.")
}
