package oauth

import (
	"net/http"
	"slices"

	"liked"
	"liked/internal/web"
)

const connectedPath = "/settings/connected_apps"

// connectedApps lists the apps that the user granted access, newest grant first. With the query "revoke=ID" it asks whether to
// take that back.
func (c *Call) connectedApps() (*Answer, error) {
	u, err := c.SignedIn()
	if err != nil {
		return nil, err
	}
	grants, err := c.Store.GrantsOf(c.Context, u.ID)
	if err != nil {
		return nil, err
	}
	revoke := c.Request.URL.Query().Get("revoke")
	p := web.ConnectedApps{Frame: c.Frame()}
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
	if i := slices.IndexFunc(p.Apps, func(a web.ConnectedApp) bool { return a.ID == revoke }); i >= 0 {
		return c.askDisconnect(p.Apps[i])
	}
	p.Outcome = c.Outcome()
	return Page(http.StatusOK, p)
}

func (c *Call) askDisconnect(app web.ConnectedApp) (*Answer, error) {
	p := web.Confirm{Frame: c.Frame(), Here: connectedPath, Question: "Take back all access of " + app.Name + "?", Do: "Revoke access",
		Danger: true, Action: connectedPath, Back: connectedPath, Fields: []web.Field{{Name: "app", Value: app.ID}}, Resets: c.Resets,
		Ends: []string{"Every token that the app has for your account is refused from then on, wherever it is used.",
			"What you agreed to and the app has not used yet cannot be used any more."},
		Stays: []string{"What the app did for you stays: likes, posts.", "The app can ask you again."}}
	if c.Explain {
		p.Ends = append(p.Ends, "If tokens of yours for this app were printed where the server was started, they are among them.")
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
	return c.Done(connectedPath, web.Outcome{Notice: "The app no longer has access to your account."})
}
