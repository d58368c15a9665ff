package console

import (
	"cmp"
	"crypto/rand"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"liked"
	"liked/internal/admin"
	"liked/internal/web"
)

// appsPage is the data of data_apps.html.
type appsPage struct {
	Name  string // a part of it, or a client id or an id, by which apps are looked for
	Found []shownApp
	More  int // that were found, too
	New   form
}

// shownApp is an app with the username of its owner.
type shownApp struct {
	admin.App
	OwnerName string
}

const mostApps = 100

func (c *call) apps(f form) (answer, error) {
	p := appsPage{Name: strings.TrimSpace(c.URL.Query().Get("name")), New: f}
	list, err := get[admin.AppList](c, "/admin/apps", nil)
	if err != nil {
		return answer{}, err
	}
	words := strings.ToLower(p.Name)
	found := slices.DeleteFunc(list.Apps, func(a admin.App) bool {
		return !strings.Contains(strings.ToLower(a.Name), words) && a.ID.String() != p.Name && a.ClientID != p.Name
	})
	p.More = max(len(found)-mostApps, 0)
	names := c.newNames()
	for _, a := range found[:len(found)-p.More] {
		p.Found = append(p.Found, names.owned(c, a))
	}
	return page("data_apps", "Apps", p)
}

func (n *names) owned(c *call, a admin.App) shownApp {
	if a.Owner == 0 {
		return shownApp{App: a}
	}
	return shownApp{a, n.user(c.Context(), a.Owner.String())}
}

// callbacks are those of an app as the form has them; none is a change, too.
func (c *call) callbacks() []string {
	return append([]string{}, web.Lines(c.PostForm.Get("redirect_uris"))...)
}

// appFields are the settings of an app as the form has them.
func (c *call) appFields() (f admin.AppFields, err error) {
	uris := c.callbacks()
	f = admin.AppFields{Name: c.posted("name"), RedirectURIs: &uris}
	owner := strings.TrimSpace(c.PostForm.Get("owner"))
	f.Owner = &owner
	f.Access, f.State, f.Tier = new(liked.Access), new(liked.AppState), new(liked.Tier)
	for name, into := range map[string]interface{ UnmarshalText([]byte) error }{"access": f.Access, "state": f.State, "tier": f.Tier} {
		if failed := into.UnmarshalText([]byte(c.PostForm.Get(name))); failed != nil {
			err = cmp.Or(err, error(&admin.Refusal{Status: http.StatusBadRequest, Reason: failed.Error()}))
		}
	}
	return f, err
}

func (c *call) addApp() (answer, error) {
	name, owner := c.posted("name"), c.posted("owner")
	in := admin.NewApp{Type: c.PostForm.Get("type"), AppFields: admin.AppFields{Name: name, Owner: owner}}
	uris := c.callbacks()
	in.RedirectURIs = &uris
	var made admin.MadeApp
	err := c.change(http.MethodPost, "/admin/apps", in, &made)
	if f, ok := c.refused(err); ok {
		return unfit(c.apps(f))
	}
	if err != nil {
		return answer{}, err
	}
	return c.reveal(made, "The app "+made.Name+" is there.")
}

// appPage is the data of data_app.html.
type appPage struct {
	shownApp
	Secrets []secret
	Form    form
}

type secret struct{ ID, Label, Value string }

func (c *call) app(f form) (answer, error) {
	a, err := get[admin.App](c, "/admin/apps/"+url.PathEscape(c.PathValue("app")), nil)
	if err != nil {
		return answer{}, err
	}
	p := appPage{shownApp: c.newNames().owned(c, a), Form: f}
	if f.Values == nil {
		p.Form.Values = url.Values{"name": {a.Name}, "owner": {p.OwnerName}, "access": {a.Access.String()}, "state": {a.State.String()},
			"tier": {a.Tier.String()}, "redirect_uris": {strings.Join(a.RedirectURIs, "\n")}}
	}
	if cookie, err := c.Cookie(cookieName(revealCookie, c.Request)); err == nil {
		p.Secrets = c.secrets.take(cookie.Value, a.ID)
	}
	return page("data_app", a.Name, p)
}

func (c *call) changeApp() (answer, error) {
	in, err := c.appFields()
	var a admin.App
	if err == nil {
		err = c.change(http.MethodPatch, "/admin/apps/"+url.PathEscape(c.PathValue("app")), in, &a)
	}
	if f, ok := c.refused(err); ok {
		return unfit(c.app(f))
	}
	if err != nil {
		return answer{}, err
	}
	return c.back(dataPath+"/apps/"+a.ID.String(), Notice{Text: "The app " + a.Name + " is changed."})
}

func (c *call) renewSecret() (answer, error) {
	var made admin.MadeApp
	in := admin.NewSecret{What: c.PostForm.Get("what")}
	if err := c.change(http.MethodPost, "/admin/apps/"+url.PathEscape(c.PathValue("app"))+"/secrets", in, &made); err != nil {
		return answer{}, err
	}
	return c.reveal(made, "It is replaced: the old one does not work any more.")
}

func (c *call) deleteApp() (answer, error) {
	a, err := get[admin.App](c, "/admin/apps/"+url.PathEscape(c.PathValue("app")), nil)
	if err != nil {
		return answer{}, err
	}
	return c.remove("/admin/apps/"+a.ID.String(), dataPath+"/apps", "The app "+a.Name)
}

// reveals keeps secrets of apps until the page after a form has shown them, once.
type reveals struct {
	mu   sync.Mutex
	kept map[string]revealed
}

type revealed struct {
	of      liked.AppID
	secrets []secret
	until   time.Time
}

const (
	revealCookie = "liked_reveal"
	revealLife   = time.Minute
	maxReveals   = 100
)

// reveal answers with the app's page, which shows its new secrets once.
func (c *call) reveal(made admin.MadeApp, text string) (answer, error) {
	var list []secret
	for _, s := range []secret{{"client-secret", "Client secret", made.ClientSecret}, {"api-secret", "API key secret", made.APISecret},
		{"bearer-token", "Bearer token", made.BearerToken}} {
		if s.Value != "" {
			list = append(list, s)
		}
	}
	a, err := c.back(dataPath+"/apps/"+made.ID.String(), Notice{Text: text})
	a.cookies = append(a.cookies, c.cookie(revealCookie, c.secrets.keep(made.ID, list), dataPath, revealLife))
	return a, err
}

// keep returns a key by which take has the secrets.
func (r *reveals) keep(of liked.AppID, secrets []secret) (key string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	for key, kept := range r.kept {
		if now.After(kept.until) || len(r.kept) >= maxReveals {
			delete(r.kept, key)
		}
	}
	if r.kept == nil {
		r.kept = make(map[string]revealed)
	}
	key = rand.Text()
	r.kept[key] = revealed{of, secrets, now.Add(revealLife)}
	return key
}

// take returns the secrets of an app once.
func (r *reveals) take(key string, of liked.AppID) []secret {
	r.mu.Lock()
	defer r.mu.Unlock()
	kept, ok := r.kept[key]
	if !ok || kept.of != of {
		return nil
	}
	delete(r.kept, key)
	if time.Now().After(kept.until) {
		return nil
	}
	return kept.secrets
}
