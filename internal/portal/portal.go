// Package portal shows users their apps, with credentials and webhooks. Start with [New]; [Portal.Find] returns a
// request's handler. Its pages use the sessions and forms of package oauth.
package portal

import (
	"fmt"
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

// Store keeps apps and their owners, and counts webhook challenges.
type Store interface {
	store.Apps
	store.Users
	store.Limits
}

// Portal serves the pages. It is safe for concurrent use.
type Portal struct {
	Options
	apps, app, offer oauth.Route
}

// New returns a Portal.
func New(o Options) *Portal {
	p := &Portal{Options: o}
	p.apps = oauth.Route{Operation: operations[0], Get: p.with((*call).developer), Post: p.with((*call).createApp)}
	p.app = oauth.Route{Operation: operations[1], Get: p.with((*call).developerApp), Post: p.with((*call).changeApp)}
	p.offer = oauth.Route{Operation: operations[2], Get: p.with((*call).showOffer), Post: p.with((*call).acceptOffer)}
	return p
}

var operations = []string{"developer", "developerApp", "developerOffer"}

// Operations lists the operations of Exchanges.
func Operations() []string { return operations }

const (
	appsPath  = "/developer"
	appPath   = "/developer/apps/" // + app ID
	offerPath = "/developer/offer"
)

// Find returns the request's handler, nil if the path is not the portal's.
func (p *Portal) Find(r *http.Request) http.Handler {
	path := r.URL.EscapedPath()
	switch path {
	case appsPath:
		return p.Sessions.Handler(&p.apps)
	case offerPath:
		return p.Sessions.Handler(&p.offer)
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

// pathOf is where an app's page is.
func pathOf(app liked.App) string { return appPath + app.ID.String() }

func (c *call) developer() (*oauth.Answer, error) {
	u, err := c.SignedIn()
	if err != nil {
		return nil, err
	}
	return c.list(http.StatusOK, u, web.Developer{Outcome: c.Outcome(), Search: strings.TrimSpace(c.Request.URL.Query().Get("q")),
		New: web.AppForm{Type: "confidential", Access: liked.ReadWrite.String()}})
}

// list completes the page of the user's apps.
func (c *call) list(status int, u liked.User, p web.Developer) (*oauth.Answer, error) {
	apps, err := c.Store.Apps(c.Context)
	if err != nil {
		return nil, err
	}
	apps = slices.DeleteFunc(apps, func(a liked.App) bool { return a.Owner != u.ID })
	p.Frame, p.Own, p.Max = c.Frame(), len(apps), store.MaxOwnedApps
	p.Apps = slices.DeleteFunc(apps, func(a liked.App) bool { return !found(a, p.Search) })
	return oauth.Page(status, p)
}

// found reports whether the name or an id of the app has the text, in any case.
func found(a liked.App, text string) bool {
	text = strings.ToLower(text)
	return slices.ContainsFunc([]string{a.Name, a.ID.String(), a.ClientID, a.APIKey}, func(s string) bool {
		return strings.Contains(strings.ToLower(s), text)
	})
}

func typeOf(app liked.App) string {
	if app.Public {
		return "public"
	}
	return "confidential"
}

// fill copies a form into the app, and returns it with its mistakes.
func (c *call) fill(form oauth.Form, app *liked.App) (f web.AppForm, wrong web.Problems) {
	f = web.AppForm{Name: form.First("name"), Type: form.First("type"), Access: form.First("access"),
		RedirectURIs: form.First("redirect_uris")}
	app.Name = strings.TrimSpace(f.Name)
	app.RedirectURIs = web.Lines(f.RedirectURIs)
	mistakes := c.Auth.Mistakes(*app)
	for _, m := range mistakes {
		if m.Callback == 0 {
			wrong = append(wrong, web.Problem{Field: "name", Text: web.Sentence(m.Text)})
		}
	}
	if err := app.Access.UnmarshalText([]byte(f.Access)); err != nil {
		wrong = append(wrong, web.Problem{Field: "access", Text: "Choose a permission"})
	}
	for _, m := range mistakes {
		if m.Callback > 0 {
			wrong = append(wrong, web.Problem{Field: "redirect_uris", Text: web.Sentence(m.Text)})
		}
	}
	return f, wrong
}

// because tells the operator of the mistakes in a form.
func (c *call) because(wrong web.Problems) {
	var texts []string
	for _, p := range wrong {
		texts = append(texts, p.Text)
	}
	c.Why = strings.Join(texts, "; ")
}

// createApp registers the user's app. The page that follows shows its secrets, once.
func (c *call) createApp() (*oauth.Answer, error) {
	form, u, err := c.Form()
	if err != nil {
		return nil, err
	}
	app := liked.App{Owner: u.ID, Public: form.First("type") == "public"}
	f, wrong := c.fill(form, &app)
	if f.Type != "public" && f.Type != "confidential" {
		wrong = append(wrong, web.Problem{Field: "type", Text: "Choose a type"})
	}
	var secrets auth.AppSecrets
	if len(wrong) == 0 {
		app, secrets, err = c.Auth.NewApp(c.Context, app)
		switch {
		case err != nil && liked.KindOf(err) == liked.Forbidden:
			wrong = append(wrong, web.Problem{Field: "create", Text: tooMany})
		case err != nil:
			return nil, err
		}
	}
	if len(wrong) > 0 {
		c.because(wrong)
		return c.list(http.StatusUnprocessableEntity, u, web.Developer{New: f, Problems: wrong})
	}
	c.App = app.ID
	return c.Done(pathOf(app), web.Outcome{Secrets: shown(app, secrets),
		Notice: "The app is registered. Next: a token for yourself, below, or people’s, with the client ID."})
}

var tooMany = fmt.Sprintf("You have %d apps, as many as one person may have: delete one, or give it away, to make room", store.MaxOwnedApps)

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

// appPage is the page of an app as it is now.
func (c *call) appPage(app liked.App) web.DeveloperPage {
	return web.DeveloperPage{Frame: c.Frame(), App: app, Webhooks: c.webhooksOf(app), Scopes: firstScopes, Lifetime: c.Lifetime,
		Form: web.AppForm{Name: app.Name, Type: typeOf(app), Access: app.Access.String(), RedirectURIs: strings.Join(app.RedirectURIs, "\n")}}
}

// refuse shows the page with the mistakes in one of its forms; typed puts what was typed into it again.
func (c *call) refuse(app liked.App, typed func(*web.DeveloperPage), wrong ...web.Problem) (*oauth.Answer, error) {
	c.because(wrong)
	p := c.appPage(app)
	p.Problems = wrong
	typed(&p)
	return oauth.Page(http.StatusUnprocessableEntity, p)
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
	if what := c.Request.URL.Query().Get("confirm"); what != "" {
		return c.confirm(app, what)
	}
	p := c.appPage(app)
	p.Outcome = c.Outcome()
	return oauth.Page(http.StatusOK, p)
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
	var done web.Outcome
	switch form.First("action") {
	case "save":
		changed := app
		f, wrong := c.fill(form, &changed)
		if len(wrong) > 0 {
			f.Type = typeOf(app)
			return c.refuse(app, func(p *web.DeveloperPage) { p.Form = f }, wrong...)
		}
		err = c.Store.UpdateApp(c.Context, app.ID, func(stored *store.App) error {
			if stored.Owner != u.ID {
				return errNoApp
			}
			stored.Name, stored.RedirectURIs, stored.Access = changed.Name, changed.RedirectURIs, changed.Access
			return nil
		})
		done.Notice = "Saved. A changed permission holds for tokens made from now on."
	case "regenerate":
		var s auth.AppSecrets
		app, s, done.Undo, err = c.Auth.Regenerate(c.Context, u.ID, app.ID, form.First("what"))
		done.Notice, done.Secrets = "The old "+called[form.First("what")]+" no longer works.", shown(app, s)
	case "undo":
		err = c.Auth.Undo(c.Context, u.ID, app.ID, form.First("undo"))
		done.Notice = "The old one is back, and works again. The new one no longer does."
		if liked.KindOf(err) == liked.Conflict {
			return c.refuse(app, func(*web.DeveloperPage) {}, web.Problem{Text: "It is too late to undo this: " + err.Error()})
		}
	case "delete":
		if err = c.Store.DeleteApp(c.Context, app.ID); err == nil {
			return c.Done(appsPath, web.Outcome{Notice: "The app " + app.Name + " is deleted."})
		}
	case "offer":
		return c.makeOffer(app, u, form)
	case "webhook":
		return c.changeWebhook(app, form)
	case "token":
		return c.ownToken(app, u, form)
	default:
		err = oauth.ErrForm.Because("the field action is unknown")
	}
	switch {
	case liked.KindOf(err) == liked.Invalid:
		return nil, oauth.ErrForm.Because("%v", err)
	case err != nil:
		return nil, err
	}
	return c.Done(pathOf(app), done)
}

// called is what credentials are to people.
var called = map[string]string{auth.ClientSecret: "client secret", auth.APIKeys: "API key and secret", auth.BearerToken: "bearer token"}

// firstScopes are those that a token of the owner's has unless others are chosen: for likes, and for staying.
const firstScopes = liked.TweetRead | liked.UsersRead | liked.LikeRead | liked.LikeWrite | liked.OfflineAccess

// ownToken makes a token of the app's owner.
func (c *call) ownToken(app liked.App, u liked.User, form oauth.Form) (*oauth.Answer, error) {
	switch form.First("kind") {
	case "oauth2":
		var scopes liked.Scope
		for name := range strings.FieldsSeq(liked.AllScopes.String()) {
			if form.First("scope:"+name) != "" {
				scope, _ := liked.ParseScope(name)
				scopes |= scope
			}
		}
		if scopes&^liked.OfflineAccess == 0 {
			return c.refuse(app, func(p *web.DeveloperPage) { p.Scopes = scopes },
				web.Problem{Field: "scopes", Text: "Choose what the token may do"})
		}
		t, err := c.Auth.IssueTokens(c.Context, app.ID, u.ID, scopes, c.Lifetime)
		if err != nil {
			return nil, err
		}
		secrets := []web.Secret{{Label: "Access token", Value: t.AccessToken}}
		if t.RefreshToken != "" {
			secrets = append(secrets, web.Secret{Label: "Refresh token", Value: t.RefreshToken})
		}
		return c.Done(pathOf(app), web.Outcome{Secrets: secrets,
			Notice: "The app can act for you with this, for " + web.Lasts(c.Lifetime) + ". Its scopes: " + scopes.String() + "."})
	case "oauth1":
		token, secret, err := c.Auth.IssueOAuth1Token(c.Context, app.ID, u.ID, app.Access)
		if err != nil {
			return nil, err
		}
		return c.Done(pathOf(app), web.Outcome{Notice: "The app can act for you with this, until you revoke it in Connected apps.",
			Secrets: []web.Secret{{Label: "Access token", Value: token}, {Label: "Access token secret", Value: secret}}})
	}
	return nil, oauth.ErrForm.Because("the field kind is unknown")
}
