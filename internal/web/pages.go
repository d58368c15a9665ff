package web

import (
	"time"

	"liked"
)

// Frame is common to all pages.
type Frame struct {
	Username  string // the signed-in user; if set, the page has navigation and a sign-out button
	Name      string
	FormToken string // hidden field "form_token" of every form
	Console   bool   // the server has one
}

// SignIn asks for username and password. Its form posts "username", "password" and "return" to /login.
type SignIn struct {
	Frame
	Return   string       // opaque
	Username string       // prefilled
	AppName  string       // the app that asks for consent, if any
	Error    string       // one sentence that does not say which part was wrong
	DevUsers []liked.User // to try things with; only of `liked dev`
	OneClick bool         // a button for each of DevUsers, which posts "as", signs in
}

func (p SignIn) about() about { return about{template: "signin", title: "Sign in", leaves: true} }

// Consent asks whether an app may act for the user. Its form posts "request" and "decision" ("allow" or "deny") to
// Action. The button "Not you?" posts "return" to /logout.
type Consent struct {
	Frame
	Action     string
	Request    string // opaque
	Return     string // opaque; for after signing in as another user
	AppName    string
	AppOwner   string      // username; empty: the operator
	Scopes     liked.Scope // OAuth 2.0
	Access     string      // OAuth 1.0a: "read", "read-write" or "read-write-directmessages"; empty for OAuth 2.0
	RedirectTo string      // host, or scheme with its colon; empty for a PIN
}

func (p Consent) about() about {
	return about{template: "consent", title: "Authorize " + p.AppName, leaves: true}
}

// Pin shows the verifier for an OAuth 1.0a app without a callback.
type Pin struct {
	Frame
	AppName string
	Pin     string
}

func (p Pin) about() about { return about{template: "pin", title: "Your PIN"} }

// Denied says that an OAuth 1.0a app got no access, and links back to it.
type Denied struct {
	Frame
	AppName string
	Back    string // any scheme; no link is made if it would run a script
}

func (p Denied) about() about {
	return about{template: "denied", title: "No access given", leaves: true}
}

// Fault says that an app's request for access cannot be answered. It has no link: nothing vouches for the app.
type Fault struct {
	Frame
	Why        string   // what to fix; empty hides the details from users
	Sent       string   // the value sent
	Registered []string // acceptable values
}

func (p Fault) about() about { return about{template: "fault", title: "Something went wrong"} }

// Trouble is any other error page. It leads on to Next.
type Trouble struct {
	Frame
	Title string
	Text  string
	Next  *Link // nil: the page at /; without a URL: nothing
}

// Link leads to a path of ours.
type Link struct{ Label, URL string }

func (p Trouble) about() about { return about{template: "trouble", title: p.Title} }

// ConnectedApps lists the apps that the user gave access to. Each one's form posts "app" to /settings/connected_apps.
type ConnectedApps struct {
	Frame
	Notice string // what was just done
	Apps   []ConnectedApp
}

// ConnectedApp is an app with access.
type ConnectedApp struct {
	ID     string
	Name   string
	Owner  string      // username; empty: the operator
	Scopes liked.Scope // OAuth 2.0
	OAuth1 bool
	Since  time.Time
}

func (p ConnectedApps) about() about {
	return about{template: "connected", title: "Connected apps", here: "/settings/connected_apps"}
}

// Developer lists the user's own apps. Its form posts the fields of AppForm to /developer.
type Developer struct {
	Frame
	Apps []liked.App
	New  AppForm
}

func (p Developer) about() about {
	return about{template: "developer", title: "Your apps", here: "/developer"}
}

// AppForm is the fields "name", "type", "access" and "redirect_uris" as typed.
type AppForm struct {
	Name         string
	Type         string // "confidential" or "public"
	Access       string // as in Consent
	RedirectURIs string // one per line
	Error        string // one mistake per line
}

// DeveloperPage shows an app to its owner. Its forms post "action" to /developer/apps/<ID>:
//
//	save        with the fields of AppForm but "type"
//	regenerate  with "what": client_secret, api_keys or bearer_token
//	token       with "kind": oauth2 or oauth1, for a token of the owner's
//	webhook     with "do": add and "url", or validate, replay or remove and "webhook"
type DeveloperPage struct {
	Frame
	Notice  string   // what was just done
	Secrets []Secret // shown once, in the answer to the form that made them
	App     liked.App
	Form    AppForm // the settings, or rejected input

	Webhooks     []Webhook
	WebhookURL   string // rejected input
	WebhookError string // why, one mistake per line
}

// Webhook is an app's webhook as its owner sees it.
type Webhook struct {
	liked.Webhook
	Dead int       // likes that it did not accept
	Lost time.Time // likes before it were dropped undelivered; zero: none
}

// Secret is a named credential.
type Secret struct{ Label, Value string }

func (p DeveloperPage) about() about {
	return about{template: "app", title: p.App.Name, here: "/developer", copies: true}
}

// Home is the page at /. Its script updates Numbers and Posts from the server-sent events of /home/live.
type Home struct {
	Frame
	API     string // as in "X's API of 2024"
	Trouble bool   // the store cannot be read; nothing to show
	Numbers Numbers
	Posts   []HomePost
	Dev     *HomeDev // only on a development server
}

// Numbers are the totals.
type Numbers struct {
	Known     bool   `json:"known"` // false while counting
	Users     int64  `json:"users"`
	Posts     int64  `json:"posts"`
	Likes     int64  `json:"likes"`
	PerSecond string `json:"rate"` // likes
}

// HomePost is a public post.
type HomePost struct {
	ID       string `json:"id"`
	Text     string `json:"text"`
	Name     string `json:"name"` // the author's
	Username string `json:"username"`
	Likes    int64  `json:"likes"`
}

// HomeDev is how to start on a development server. If its tokens are secret, the rest is empty.
type HomeDev struct {
	Username string // the user who owns it all
	Curl     string // a command that likes a post
	Secrets  []Secret
	Env      string // them all, as a file .env
}

func (p Home) about() about {
	return about{template: "home", title: "Home", here: "/", scripts: true, copies: true}
}

// Blank is the template of further rows.
func (Home) Blank() HomePost { return HomePost{} }
