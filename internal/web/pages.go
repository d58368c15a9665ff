package web

import (
	"cmp"
	"net/url"
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
	Resume   string       // opaque: a form that waits for this user, whose session ended
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

// Resume lets the user go on with a form of a session that ended. Its form posts Fields to Action.
type Resume struct {
	Frame
	Action string // a path of ours, whose page has the form
	Fields url.Values
}

// Do is what the form's button says.
func (p Resume) Do() string { return cmp.Or(p.Fields.Get("does"), "Go on") }

func (p Resume) about() about { return about{template: "resume", title: "Go on"} }

// Confirm asks before something that ends what others rely on. Its form posts Fields to Action.
type Confirm struct {
	Frame
	Here     string // as about.here
	Question string
	Do       string   // what the button says
	Danger   bool     // whether it destroys something
	Ends     []string // what will stop working
	Stays    []string
	Undo     string // how to take it back; empty: it cannot be
	Resets   bool   // a development server, whose world can be reset
	Action   string
	Back     string
	Fields   []Field
}

// Field is a hidden field of a form.
type Field struct{ Name, Value string }

func (p Confirm) about() about { return about{template: "confirm", title: p.Question, here: p.Here} }

// Outcome is what a form did, shown once by the page that follows.
type Outcome struct {
	Notice  string
	Secrets []Secret
	Undo    string // opaque: takes back what made Secrets
}

// Problem is a mistake in a form. Field is the id of what is to be corrected, if there is one.
type Problem struct{ Field, Text string }

// Problems are all mistakes in a form, in the order of its fields.
type Problems []Problem

// Of returns those of one field.
func (p Problems) Of(field string) (of []Problem) {
	for _, problem := range p {
		if problem.Field == field {
			of = append(of, problem)
		}
	}
	return of
}

// titled says in a title that a form has mistakes, which is what a screen reader reads first.
func (p Problems) titled(title string) string {
	if len(p) > 0 {
		return "Error: " + title
	}
	return title
}

// Pin shows the verifier for an OAuth 1.0a app without a callback.
type Pin struct {
	Frame
	AppName string
	Pin     string
}

func (p Pin) about() about { return about{template: "pin", title: "Your PIN", copies: true} }

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

// ConnectedApps lists the apps that the user gave access to. "Revoke access" leads to a Confirm.
type ConnectedApps struct {
	Frame
	Outcome
	Apps []ConnectedApp
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
	Outcome
	Search   string // only apps with this in their name or ids are listed
	Apps     []liked.App
	Own, Max int // how many there are without Search, and may be
	New      AppForm
	Problems Problems // of New
}

func (p Developer) about() about {
	return about{template: "developer", title: p.Problems.titled("Your apps"), here: "/developer"}
}

// Full reports whether the user may own no more apps.
func (p Developer) Full() bool { return p.Own >= p.Max }

// AppForm is the fields "name", "type", "access" and "redirect_uris" as typed. Their ids are their names.
type AppForm struct {
	Name         string
	Type         string // "confidential" or "public"
	Access       string // as in Consent
	RedirectURIs string // one per line
}

// DeveloperPage shows an app to its owner. Its forms post "action" to /developer/apps/<ID>:
//
//	save     with the fields of AppForm but "type"
//	token    with "kind": oauth1, or oauth2 and "scope:<name>" for each scope, for a token of the owner's
//	webhook  with "do": add and "url", or validate or replay and "webhook"
//	offer    with "username", to whom the app is to go
//	undo     with "undo" of the Outcome
//
// What ends something is asked for first, by links to it with the query "confirm": client_secret, api_keys, bearer_token,
// delete, or webhook and "webhook".
type DeveloperPage struct {
	Frame
	Outcome
	App      liked.App
	Form     AppForm // the settings, or rejected input
	Problems Problems

	Scopes   liked.Scope   // chosen for a token of the owner's
	Lifetime time.Duration // of such a token

	Webhooks   []Webhook
	WebhookURL string // rejected input; its field is "webhook-url"
	Heir       string // rejected input; its field is "heir"
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
	return about{template: "app", title: p.Problems.titled(p.App.Name), here: "/developer", copies: true}
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

// Likes reports whether posts have buttons with which the console likes them for the user.
func (p Home) Likes() bool { return p.Console && p.Dev != nil && p.Dev.Secrets != nil }

// HomeRow is a post as it is shown.
type HomeRow struct {
	HomePost
	Button bool // that likes it
}

// Row is a row of the page's list.
func (p Home) Row(post HomePost) HomeRow { return HomeRow{post, p.Likes()} }

// Blank is the template of further rows.
func (Home) Blank() HomePost { return HomePost{} }
