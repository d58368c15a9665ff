package auth

import (
	"net/http"
	"slices"
	"strings"

	"liked"
	"liked/internal/web"
)

// connectedApps lists the apps that the user gave access to, newest grant first.
func (c *call) connectedApps() (answer, error) { return c.connected("") }

func (c *call) connected(notice string) (answer, error) {
	u, ans, ok, err := c.signedIn("")
	if !ok {
		return ans, err
	}
	grants, err := c.store.GrantsOf(c.ctx, u.ID)
	if err != nil {
		return answer{}, err
	}
	p := web.ConnectedApps{Frame: c.frame(), Notice: notice}
	scopes := make(map[liked.AppID]liked.Scope)
	for _, g := range slices.Backward(grants) {
		i := slices.IndexFunc(p.Apps, func(a web.ConnectedApp) bool { return a.ID == g.App.String() })
		if i < 0 {
			app, err := c.store.App(c.ctx, g.App)
			if err != nil {
				return answer{}, err
			}
			owner, err := c.ownerName(app)
			if err != nil {
				return answer{}, err
			}
			i = len(p.Apps)
			p.Apps = append(p.Apps, web.ConnectedApp{ID: g.App.String(), Name: app.Name, Owner: owner})
		}
		a := &p.Apps[i]
		a.Since = g.CreatedAt // in the end, of the oldest
		if g.OAuth1 {
			a.OAuth1 = true
		} else {
			scopes[g.App] |= g.Scopes
			a.Scopes = strings.Fields(scopes[g.App].String())
		}
	}
	return answer{status: http.StatusOK, page: p}, nil
}

// disconnect ends all that the user gave to an app.
func (c *call) disconnect() (answer, error) {
	form, u, err := c.formOf()
	if err != nil {
		return answer{}, err
	}
	id, err := liked.ParseID[liked.AppID](form.first("app"))
	if err != nil {
		return answer{}, errForm.because("the field app is no id")
	}
	c.App = id
	grants, err := c.store.GrantsOf(c.ctx, u.ID)
	if err != nil {
		return answer{}, err
	}
	for _, g := range grants {
		if g.App == id {
			if err := c.store.RevokeGrant(c.ctx, g.ID); err != nil {
				return answer{}, err
			}
		}
	}
	return c.connected("The app no longer has access to your account.")
}

// formOf is form of somebody who is signed in.
func (c *call) formOf() (params, liked.User, error) {
	form, err := c.form()
	if err == nil && c.session.user.ID == 0 {
		err = errOldForm.because("nobody is signed in")
	}
	return form, c.session.user, err
}

// maxOwnApps is how many apps a user may register.
const maxOwnApps = 25

func (c *call) developer() (answer, error) {
	return c.portal(http.StatusOK, web.AppForm{Type: "confidential", Access: liked.ReadWrite.String()})
}

func (c *call) portal(status int, form web.AppForm) (answer, error) {
	u, ans, ok, err := c.signedIn("")
	if !ok {
		return ans, err
	}
	apps, err := c.ownApps(u)
	if err != nil {
		return answer{}, err
	}
	p := web.Developer{Frame: c.frame(), New: form}
	for _, app := range apps {
		p.Apps = append(p.Apps, developerView(app))
	}
	return answer{status: status, page: p}, nil
}

func (c *call) ownApps(u liked.User) ([]liked.App, error) {
	apps, err := c.store.Apps(c.ctx)
	return slices.DeleteFunc(apps, func(a liked.App) bool { return a.Owner != u.ID }), err
}

func developerView(a liked.App) web.DeveloperApp {
	v := web.DeveloperApp{ID: a.ID.String(), Name: a.Name, Type: "confidential", Access: a.Access.String(), State: a.State.String(),
		ClientID: a.ClientID, APIKey: a.APIKey, RedirectURIs: a.RedirectURIs, CreatedAt: a.CreatedAt}
	if a.Public {
		v.Type = "public"
	}
	return v
}

func appForm(form params) web.AppForm {
	return web.AppForm{Name: form.first("name"), Type: form.first("type"), Access: form.first("access"), RedirectURIs: form.first("redirect_uris")}
}

// fill puts what was typed into the app, and says in the form what is wrong with it.
func fill(f *web.AppForm, app *liked.App) (ok bool) {
	app.Name = strings.TrimSpace(f.Name)
	app.RedirectURIs = strings.Fields(f.RedirectURIs) // no URI holds a space
	var wrong []string
	if err := app.Access.UnmarshalText([]byte(f.Access)); err != nil {
		wrong = append(wrong, "Choose a permission.")
	}
	if err := CheckApp(*app); err != nil {
		wrong = append(wrong, strings.Split(strings.TrimPrefix(err.Error(), "the app is not valid: "), "; ")...)
	}
	f.Error = strings.Join(wrong, "\n")
	return len(wrong) == 0
}

// createApp registers an app of the user's own, and shows its secrets: in this answer, and never again.
func (c *call) createApp() (answer, error) {
	form, u, err := c.formOf()
	if err != nil {
		return answer{}, err
	}
	f := appForm(form)
	app := liked.App{Owner: u.ID, Public: f.Type == "public"}
	own, err := c.ownApps(u)
	if err != nil {
		return answer{}, err
	}
	ok := fill(&f, &app)
	switch {
	case f.Type != "public" && f.Type != "confidential":
		ok, f.Error = false, strings.TrimSpace(f.Error+"\nChoose a type.")
	case len(own) >= maxOwnApps:
		ok, f.Error = false, "You have as many apps as one person may have."
	}
	if !ok {
		c.Why = f.Error
		return c.portal(http.StatusUnprocessableEntity, f)
	}
	app, secrets, err := c.NewApp(c.ctx, app)
	if err != nil {
		return answer{}, err
	}
	c.App = app.ID
	return answer{status: http.StatusOK, page: c.appPage(app, "The app is registered.", shown(app, secrets))}, nil
}

// shown lists the secrets, with the names that go with them.
func shown(app liked.App, s AppSecrets) (list []web.Secret) {
	add := func(label, value string) {
		if value != "" {
			list = append(list, web.Secret{Label: label, Value: value})
		}
	}
	add("Client secret", s.ClientSecret)
	if s.APISecret != "" {
		add("API key", app.APIKey)
	}
	add("API key secret", s.APISecret)
	add("Bearer token", s.Bearer)
	return list
}

func (c *call) appPage(app liked.App, notice string, secrets []web.Secret) web.DeveloperPage {
	v := developerView(app)
	return web.DeveloperPage{Frame: c.frame(), App: v, Notice: notice, Secrets: secrets, Webhooks: c.webhooksOf(app),
		Form: web.AppForm{Name: app.Name, Type: v.Type, Access: v.Access, RedirectURIs: strings.Join(app.RedirectURIs, "\n")}}
}

var errNoApp = &refused{status: http.StatusNotFound, code: "There is no such app", text: "You have no app with this id.", why: "the user has no such app"}

// ownApp returns the user's app that the path names. Somebody else's app is as good as none.
func (c *call) ownApp(u liked.User) (liked.App, error) {
	id, err := liked.ParseID[liked.AppID](strings.TrimPrefix(c.path, developerApps))
	if err != nil {
		return liked.App{}, errNoApp
	}
	app, err := c.store.App(c.ctx, id)
	switch {
	case notFound(err) || err == nil && app.Owner != u.ID:
		return liked.App{}, errNoApp
	case err == nil:
		c.App = app.ID
	}
	return app, err
}

func (c *call) developerApp() (answer, error) {
	u, ans, ok, err := c.signedIn("")
	if !ok {
		return ans, err
	}
	app, err := c.ownApp(u)
	if err != nil {
		return answer{}, err
	}
	return answer{status: http.StatusOK, page: c.appPage(app, "", nil)}, nil
}

// changeApp saves an app's settings, replaces its credentials, or makes a token of the owner's own.
func (c *call) changeApp() (answer, error) {
	form, u, err := c.formOf()
	if err != nil {
		return answer{}, err
	}
	app, err := c.ownApp(u)
	if err != nil {
		return answer{}, err
	}
	var notice string
	var secrets []web.Secret
	switch form.first("action") {
	case "save":
		f := appForm(form)
		f.Type = developerView(app).Type
		changed := app
		if !fill(&f, &changed) {
			c.Why = f.Error
			p := c.appPage(app, "", nil)
			p.Form = f
			return answer{status: http.StatusUnprocessableEntity, page: p}, nil
		}
		err = c.store.UpdateApp(c.ctx, app.ID, func(stored *liked.App) error {
			if stored.Owner != u.ID {
				return errNoApp
			}
			stored.Name, stored.RedirectURIs, stored.Access = changed.Name, changed.RedirectURIs, changed.Access
			app = *stored
			return nil
		})
		notice = "Saved. A changed permission holds for tokens made from now on."
	case "regenerate":
		var s AppSecrets
		app, s, err = c.Regenerate(c.ctx, u.ID, app.ID, form.first("what"))
		notice, secrets = "The old one no longer works.", shown(app, s)
	case "webhook":
		return c.changeWebhook(app, form)
	case "token":
		notice = "The app can act for you with this."
		secrets, err = c.ownToken(app, u, form.first("kind"))
	default:
		err = errForm.because("the field action is unknown")
	}
	if err != nil {
		if k := liked.KindOf(err); k == liked.Invalid {
			err = errForm.because("%v", err)
		}
		return answer{}, err
	}
	return answer{status: http.StatusOK, page: c.appPage(app, notice, secrets)}, nil
}

// ownToken makes the app's owner consent to everything that the app may do.
func (c *call) ownToken(app liked.App, u liked.User, kind string) ([]web.Secret, error) {
	switch kind {
	case "oauth2":
		t, err := c.IssueTokens(c.ctx, app.ID, u.ID, liked.AllScopes, c.Lifetime)
		return []web.Secret{{Label: "Access token", Value: t.AccessToken}, {Label: "Refresh token", Value: t.RefreshToken}}, err
	case "oauth1":
		token, secret, err := c.IssueOAuth1Token(c.ctx, app.ID, u.ID, app.Access)
		return []web.Secret{{Label: "Access token", Value: token}, {Label: "Access token secret", Value: secret}}, err
	}
	return nil, errForm.because("the field kind is unknown")
}
