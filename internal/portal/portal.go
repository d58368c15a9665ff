// Package portal shows users their apps, with credentials and webhooks. Start with [New]; [Portal.Find] returns a
// request's handler. Its pages use the sessions and forms of package oauth.
package portal

import (
	"net/http"
	"slices"
	"strings"

	"liked"
	"liked/internal/auth"
	"liked/internal/oauth"
	"liked/internal/store"
	"liked/internal/web"
	"liked/internal/webhook"
)

// Options configures New. Every field is required.
type Options struct {
	Sessions *oauth.Server
	Auth     *auth.Auth
	Store    Store
	Hooks    *webhook.Hooks
}

// Store keeps apps, and counts webhook challenges.
type Store interface {
	store.Apps
	store.Limits
}

// Portal serves the pages. It is safe for concurrent use.
type Portal struct {
	Options
	apps, app oauth.Route
}

// New returns a Portal.
func New(o Options) *Portal {
	p := &Portal{Options: o}
	p.apps = oauth.Route{Operation: operations[0], Get: p.with((*call).developer), Post: p.with((*call).createApp)}
	p.app = oauth.Route{Operation: operations[1], Get: p.with((*call).developerApp), Post: p.with((*call).changeApp)}
	return p
}

var operations = []string{"developer", "developerApp"}

// Operations lists the operations of Exchanges.
func Operations() []string { return operations }

const (
	appsPath = "/developer"
	appPath  = "/developer/apps/" // + app ID
)

// Find returns the request's handler, nil if the path is not the portal's.
func (p *Portal) Find(r *http.Request) http.Handler {
	path := r.URL.EscapedPath()
	if path == appsPath {
		return p.Sessions.Handler(&p.apps)
	}
	if id, ok := strings.CutPrefix(path, appPath); ok {
		if _, err := liked.ParseID[liked.AppID](id); err == nil {
			return p.Sessions.Handler(&p.app)
		}
	}
	return nil
}

type call struct {
	*Portal
	*oauth.Call
}

func (p *Portal) with(run func(*call) (*oauth.Answer, error)) func(*oauth.Call) (*oauth.Answer, error) {
	return func(c *oauth.Call) (*oauth.Answer, error) { return run(&call{p, c}) }
}

func (c *call) developer() (*oauth.Answer, error) {
	return c.page(http.StatusOK, web.AppForm{Type: "confidential", Access: liked.ReadWrite.String()})
}

func (c *call) page(status int, form web.AppForm) (*oauth.Answer, error) {
	u, err := c.SignedIn()
	if err != nil {
		return nil, err
	}
	apps, err := c.ownApps(u)
	if err != nil {
		return nil, err
	}
	return oauth.Page(status, web.Developer{Frame: c.Frame(), Apps: apps, New: form})
}

func (c *call) ownApps(u liked.User) ([]liked.App, error) {
	apps, err := c.Store.Apps(c.Context)
	return slices.DeleteFunc(apps, func(a liked.App) bool { return a.Owner != u.ID }), err
}

func typeOf(app liked.App) string {
	if app.Public {
		return "public"
	}
	return "confidential"
}

// fill copies a form into the app, and returns it with its mistakes as Error.
func (c *call) fill(form oauth.Form, app *liked.App) (f web.AppForm, ok bool) {
	f = web.AppForm{Name: form.First("name"), Type: form.First("type"), Access: form.First("access"),
		RedirectURIs: form.First("redirect_uris")}
	app.Name = strings.TrimSpace(f.Name)
	app.RedirectURIs = strings.Fields(f.RedirectURIs) // no URI holds a space
	var wrong []string
	if err := app.Access.UnmarshalText([]byte(f.Access)); err != nil {
		wrong = append(wrong, "Choose a permission.")
	}
	if err := c.Auth.CheckApp(*app); err != nil {
		wrong = append(wrong, strings.Split(strings.TrimPrefix(err.Error(), "the app is not valid: "), "; ")...)
	}
	f.Error = strings.Join(wrong, "\n")
	return f, len(wrong) == 0
}

// createApp registers the user's app; only this answer shows its secrets.
func (c *call) createApp() (*oauth.Answer, error) {
	form, u, err := c.Form()
	if err != nil {
		return nil, err
	}
	app := liked.App{Owner: u.ID, Public: form.First("type") == "public"}
	f, ok := c.fill(form, &app)
	if f.Type != "public" && f.Type != "confidential" {
		ok, f.Error = false, strings.TrimSpace(f.Error+"\nChoose a type.")
	}
	var secrets auth.AppSecrets
	if ok {
		app, secrets, err = c.Auth.NewApp(c.Context, app)
		switch {
		case err != nil && liked.KindOf(err) == liked.Forbidden:
			ok, f.Error = false, "You have as many apps as one person may have."
		case err != nil:
			return nil, err
		}
	}
	if !ok {
		c.Why = f.Error
		return c.page(http.StatusUnprocessableEntity, f)
	}
	c.App = app.ID
	return oauth.Page(http.StatusOK, c.appPage(app, "The app is registered.", shown(app, secrets)))
}

func shown(app liked.App, s auth.AppSecrets) (list []web.Secret) {
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
	return web.DeveloperPage{Frame: c.Frame(), App: app, Notice: notice, Secrets: secrets, Webhooks: c.webhooksOf(app),
		Form: web.AppForm{Name: app.Name, Type: typeOf(app), Access: app.Access.String(), RedirectURIs: strings.Join(app.RedirectURIs, "\n")}}
}

var errNoApp = &oauth.Refusal{Status: http.StatusNotFound, Code: "There is no such app", Text: "You have no app with this id."}

// ownApp returns the app that the path names. Another user's is not found.
func (c *call) ownApp(u liked.User) (liked.App, error) {
	id, err := liked.ParseID[liked.AppID](strings.TrimPrefix(c.Path, appPath))
	if err != nil {
		return liked.App{}, errNoApp
	}
	app, err := c.Store.App(c.Context, id)
	if liked.KindOf(err) == liked.NotFound || err == nil && app.Owner != u.ID {
		return liked.App{}, errNoApp
	}
	c.App = app.ID
	return app.App, err
}

func (c *call) developerApp() (*oauth.Answer, error) {
	u, err := c.SignedIn()
	if err != nil {
		return nil, err
	}
	app, err := c.ownApp(u)
	if err != nil {
		return nil, err
	}
	return oauth.Page(http.StatusOK, c.appPage(app, "", nil))
}

func (c *call) changeApp() (*oauth.Answer, error) {
	form, u, err := c.Form()
	if err != nil {
		return nil, err
	}
	app, err := c.ownApp(u)
	if err != nil {
		return nil, err
	}
	var notice string
	var secrets []web.Secret
	switch form.First("action") {
	case "save":
		changed := app
		f, ok := c.fill(form, &changed)
		if !ok {
			c.Why, f.Type = f.Error, typeOf(app)
			p := c.appPage(app, "", nil)
			p.Form = f
			return oauth.Page(http.StatusUnprocessableEntity, p)
		}
		err = c.Store.UpdateApp(c.Context, app.ID, func(stored *store.App) error {
			if stored.Owner != u.ID {
				return errNoApp
			}
			stored.Name, stored.RedirectURIs, stored.Access = changed.Name, changed.RedirectURIs, changed.Access
			app = stored.App
			return nil
		})
		notice = "Saved. A changed permission holds for tokens made from now on."
	case "regenerate":
		var s auth.AppSecrets
		app, s, err = c.Auth.Regenerate(c.Context, u.ID, app.ID, form.First("what"))
		notice, secrets = "The old one no longer works.", shown(app, s)
	case "webhook":
		return c.changeWebhook(app, form)
	case "token":
		notice = "The app can act for you with this."
		secrets, err = c.ownToken(app, u, form.First("kind"))
	default:
		err = oauth.ErrForm.Because("the field action is unknown")
	}
	switch {
	case liked.KindOf(err) == liked.Invalid:
		return nil, oauth.ErrForm.Because("%v", err)
	case err != nil:
		return nil, err
	}
	return oauth.Page(http.StatusOK, c.appPage(app, notice, secrets))
}

// ownToken makes a token of the app's owner with all that the app may do.
func (c *call) ownToken(app liked.App, u liked.User, kind string) ([]web.Secret, error) {
	switch kind {
	case "oauth2":
		t, err := c.Auth.IssueTokens(c.Context, app.ID, u.ID, liked.AllScopes, c.Lifetime)
		return []web.Secret{{Label: "Access token", Value: t.AccessToken}, {Label: "Refresh token", Value: t.RefreshToken}}, err
	case "oauth1":
		token, secret, err := c.Auth.IssueOAuth1Token(c.Context, app.ID, u.ID, app.Access)
		return []web.Secret{{Label: "Access token", Value: token}, {Label: "Access token secret", Value: secret}}, err
	}
	return nil, oauth.ErrForm.Because("the field kind is unknown")
}
