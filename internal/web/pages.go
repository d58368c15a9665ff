package web

import "time"

// Frame is what stands around every page.
type Frame struct {
	Username  string // who is signed in, empty for nobody; with it the page has navigation and a button to sign out
	Name      string // display name
	FormToken string // the hidden field "form_token" of every form
}

// SignIn asks for username and password. Its form posts to Action "username", "password" and "return".
type SignIn struct {
	Frame
	Action   string
	Return   string // opaque
	Username string // filled in already
	AppName  string // the app that one is on the way to; empty for none
	Error    string // one sentence, which does not say which part was wrong; empty for none
	DevUsers []DevUser
}

// DevUser is somebody whom a developer may try things with. Only `liked dev` names them.
type DevUser struct{ Username, Name string }

func (p SignIn) about() about { return about{template: "signin", title: "Sign in", leaves: true} }

// Consent asks whether an app may act for the user. Its form posts to Action "request" and "decision", which is "allow"
// or "deny". The button "Not you?" posts "return" to /logout.
type Consent struct {
	Frame
	Action     string
	Request    string // opaque
	Return     string // opaque: where one goes after signing in as somebody else
	AppName    string
	AppOwner   string   // username; empty: the operator
	Scopes     []string // OAuth 2.0: names of scopes
	Access     string   // OAuth 1.0a: "read", "read-write" or "read-write-directmessages"; empty for OAuth 2.0
	RedirectTo string   // where one is sent: host, or scheme with its colon; empty for a PIN
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
	Back    string // URL with any scheme; empty for none. No link is made of one that would run a script.
}

func (p Denied) about() about {
	return about{template: "denied", title: "No access given", leaves: true}
}

// Fault says that an app's request for access cannot be answered. It leads nowhere: the app may be a stranger's.
type Fault struct {
	Frame
	Why        string   // what to mend, only for those who may know; empty hides this whole part
	Sent       string   // the value that was sent; empty for none
	Registered []string // what would have been right
}

func (p Fault) about() about { return about{template: "fault", title: "Something went wrong"} }

// Trouble is every other failure of a page.
type Trouble struct {
	Frame
	Title string
	Text  string
	Back  string // path of ours to go on to; empty for none
}

func (p Trouble) about() about { return about{template: "trouble", title: p.Title} }

// ConnectedApps lists the apps that the user gave access to. The form of each posts "app" to
// /settings/connected_apps.
type ConnectedApps struct {
	Frame
	Notice string // of what has just been done; empty for nothing
	Apps   []ConnectedApp
}

// ConnectedApp is an app with access.
type ConnectedApp struct {
	ID     string
	Name   string
	Owner  string   // username; empty: the operator
	Scopes []string // OAuth 2.0
	OAuth1 bool     // has OAuth 1.0a access, too
	Since  time.Time
}

func (p ConnectedApps) about() about {
	return about{template: "connected", title: "Connected apps", here: "/settings/connected_apps"}
}

// Developer lists the user's own apps. Its form posts the fields of AppForm to /developer.
type Developer struct {
	Frame
	Apps []DeveloperApp
	New  AppForm
}

func (p Developer) about() about {
	return about{template: "developer", title: "Your apps", here: "/developer"}
}

// DeveloperApp is an app as its owner sees it.
type DeveloperApp struct {
	ID           string
	Name         string
	Type         string // "confidential" or "public"
	Access       string
	State        string // "enrolled", "not-enrolled" or "suspended"
	ClientID     string
	APIKey       string
	RedirectURIs []string
	CreatedAt    time.Time
}

// AppForm is what somebody typed about an app: the fields "name", "type", "access" and "redirect_uris".
type AppForm struct {
	Name         string
	Type         string // "confidential" or "public"
	Access       string // "read", "read-write" or "read-write-directmessages"
	RedirectURIs string // one a line
	Error        string // what is wrong with it, a mistake a line; empty for nothing
}

// DeveloperPage shows one app to its owner. Its forms post "action" to /developer/apps/<ID>:
//
//	save        with the fields of AppForm but "type"
//	regenerate  with "what": client_secret, api_keys or bearer_token
//	token       with "kind": oauth2 or oauth1, for a token of one's own
//	webhook     with "do": add and "url", or validate, replay or remove and "webhook"
type DeveloperPage struct {
	Frame
	Notice  string   // of what has just been done; empty for nothing
	Secrets []Secret // shown this once, in the answer to the form that made them
	App     DeveloperApp
	Form    AppForm // the settings, or what was posted and refused

	Webhooks     []Webhook
	WebhookURL   string // what was typed and refused
	WebhookError string // why, a mistake a line; empty for nothing
}

// Webhook is one of an app's webhooks as its owner sees it.
type Webhook struct {
	ID        string
	URL       string
	Valid     bool
	Why       string // it last failed; empty for nothing
	Dead      int    // likes that it did not take
	Replaying bool
	Lost      time.Time // likes before it were forgotten before they could be delivered; zero for none
	CreatedAt time.Time
}

// Secret is a credential with its name.
type Secret struct{ Label, Value string }

func (p DeveloperPage) about() about {
	return about{template: "app", title: p.App.Name, here: "/developer"}
}

// Home is what one finds at /. Its script moves Numbers and Posts, as the server-sent events of /home/live say.
type Home struct {
	Frame
	API     string // what of X is spoken, as in "X's API of 2024"
	Trouble bool   // the store cannot be read, so that there is nothing to show
	Numbers Numbers
	Posts   []HomePost
	Dev     *HomeDev // nil on a server that people work with
}

// Numbers is how much there is of everything.
type Numbers struct {
	Known     bool   `json:"known"` // false while it is being counted
	Users     int64  `json:"users"`
	Posts     int64  `json:"posts"`
	Likes     int64  `json:"likes"`
	PerSecond string `json:"rate"` // likes
}

// HomePost is a post that everybody may see.
type HomePost struct {
	ID       string `json:"id"`
	Text     string `json:"text"`
	Name     string `json:"name"` // of the author
	Username string `json:"username"`
	Likes    int64  `json:"likes"`
}

// HomeDev is how one starts on a development server.
type HomeDev struct {
	Username string   // of the user to whom it all belongs
	Curl     string   // a command that likes a post; empty where its token would be a secret
	Secrets  []Secret // which everybody may know; empty where they may not
}

func (p Home) about() about { return about{template: "home", title: "Home", here: "/", scripts: true} }

// Blank is what the page makes rows of that it has not yet.
func (Home) Blank() HomePost { return HomePost{} }
