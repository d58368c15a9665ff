package web

import (
	"time"

	"liked"
)

// Frame is what stands around every page.
type Frame struct {
	Username  string // of the user who is signed in; with one, the page has navigation and a button to sign out
	Name      string
	FormToken string // the hidden field "form_token" of every form
}

// SignIn asks for username and password. Its form posts to Action "username", "password" and "return".
type SignIn struct {
	Frame
	Action   string
	Return   string // opaque
	Username string // filled in already
	AppName  string // the app that asks for consent; empty for none
	Error    string // one sentence, which does not say which part was wrong
	DevUsers []DevUser
}

// DevUser is a user to try things with. Only `liked dev` names them.
type DevUser struct{ Username, Name string }

func (p SignIn) about() about { return about{template: "signin", title: "Sign in", leaves: true} }

// Consent asks whether an app may act for the user. Its form posts to Action "request" and "decision", which is "allow"
// or "deny". The button "Not you?" posts "return" to /logout.
type Consent struct {
	Frame
	Action     string
	Request    string // opaque
	Return     string // opaque: where to go on after signing in as another user
	AppName    string
	AppOwner   string   // username; empty: the operator
	Scopes     []string // OAuth 2.0
	Access     string   // OAuth 1.0a: "read", "read-write" or "read-write-directmessages"; empty for OAuth 2.0
	RedirectTo string   // host, or scheme with its colon; empty for a PIN
}

func (p Consent) about() about {
	return about{template: "consent", title: "Authorize " + p.AppName, leaves: true}
}

// Pin shows the verifier for an OAuth 1.0a app that has no callback.
type Pin struct {
	Frame
	AppName string
	Pin     string
}

func (p Pin) about() about { return about{template: "pin", title: "Your PIN"} }

// Denied says that an OAuth 1.0a app was given no access, and leads back to it.
type Denied struct {
	Frame
	AppName string
	Back    string // URL with any scheme. No link is made of one that would run a script.
}

func (p Denied) about() about {
	return about{template: "denied", title: "No access given", leaves: true}
}

// Fault says that an app's request for access cannot be answered. It leads nowhere: nothing vouches for the app.
type Fault struct {
	Frame
	Why        string   // what to mend; empty, for people who may not know, hides the rest
	Sent       string   // the value that was sent
	Registered []string // what would have been right
}

func (p Fault) about() about { return about{template: "fault", title: "Something went wrong"} }

// Trouble is every other failure of a page.
type Trouble struct {
	Frame
	Title string
	Text  string
	Back  string // path of ours to go on to
}

func (p Trouble) about() about { return about{template: "trouble", title: p.Title} }

// ConnectedApps lists the apps that the user gave access to. The form of each posts "app" to
// /settings/connected_apps.
type ConnectedApps struct {
	Frame
	Notice string // what has just been done
	Apps   []ConnectedApp
}

// ConnectedApp is an app with access.
type ConnectedApp struct {
	ID     string
	Name   string
	Owner  string   // username; empty: the operator
	Scopes []string // OAuth 2.0
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

// AppForm is what was typed about an app: the fields "name", "type", "access" and "redirect_uris".
type AppForm struct {
	Name         string
	Type         string // "confidential" or "public"
	Access       string // as in Consent
	RedirectURIs string // one a line
	Error        string // a mistake a line
}

// DeveloperPage shows one app to its owner. Its forms post "action" to /developer/apps/<ID>:
//
//	save        with the fields of AppForm but "type"
//	regenerate  with "what": client_secret, api_keys or bearer_token
//	token       with "kind": oauth2 or oauth1, for a token of one's own
//	webhook     with "do": add and "url", or validate, replay or remove and "webhook"
type DeveloperPage struct {
	Frame
	Notice  string   // what has just been done
	Secrets []Secret // shown this once, in the answer to the form that made them
	App     liked.App
	Form    AppForm // the settings, or what was posted and refused

	Webhooks     []Webhook
	WebhookURL   string // what was typed and refused
	WebhookError string // why, a mistake a line
}

// Webhook is one of an app's webhooks as its owner sees it.
type Webhook struct {
	ID        string
	URL       string
	Valid     bool
	Why       string // it last failed
	Dead      int    // likes that it did not take
	Replaying bool
	Lost      time.Time // likes before it were forgotten undelivered; zero for none
	CreatedAt time.Time
}

// Secret is a credential with its name.
type Secret struct{ Label, Value string }

func (p DeveloperPage) about() about {
	return about{template: "app", title: p.App.Name, here: "/developer"}
}

// Home is the page at /. Its script moves Numbers and Posts, as the server-sent events of /home/live say.
type Home struct {
	Frame
	API     string // as in "X's API of 2024"
	Trouble bool   // the store cannot be read, so that there is nothing to show
	Numbers Numbers
	Posts   []HomePost
	Dev     *HomeDev // of a development server alone
}

// Numbers is how much there is of everything.
type Numbers struct {
	Known     bool   `json:"known"` // false while it is being counted
	Users     int64  `json:"users"`
	Posts     int64  `json:"posts"`
	Likes     int64  `json:"likes"`
	PerSecond string `json:"rate"` // likes
}

// HomePost is a public post.
type HomePost struct {
	ID       string `json:"id"`
	Text     string `json:"text"`
	Name     string `json:"name"` // of the author
	Username string `json:"username"`
	Likes    int64  `json:"likes"`
}

// HomeDev is how to start on a development server. Where its tokens are secret, Curl and Secrets are empty.
type HomeDev struct {
	Username string // of the user to whom it all belongs
	Curl     string // a command that likes a post
	Secrets  []Secret
}

func (p Home) about() about { return about{template: "home", title: "Home", here: "/", scripts: true} }

// Blank is what the page makes further rows of.
func (Home) Blank() HomePost { return HomePost{} }
