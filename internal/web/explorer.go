package web

import "strings"

// Explorer is the page for trying every endpoint of /2/openapi.json.
type Explorer struct {
	Frame
	ClientID  string   // of the app that the page signs in with; empty: it says how to have one
	Origins   []string // "scheme://host[:port]" of each page address that is a redirect URI of the app
	UserID    string   // to start with, as UserName and PostID; empty: a form starts empty
	UserName  string   // username of that user; Username is the signed-in one's
	PostID    string
	Partition int // of the firehose, with that user's likes; zero: unknown
	Groups    []ExplorerGroup
	Choices   map[string][]string // the lists of words to tick, which many endpoints share
}

// ExplorerGroup is endpoints under one heading.
type ExplorerGroup struct {
	Name       string
	Operations []ExplorerOperation
}

// ExplorerOperation is an endpoint and the form that calls it.
type ExplorerOperation struct {
	ID, Method, Path, Summary string
	Open                      bool // at first
	Stream                    bool // its answer has no end
	Takes                     []ExplorerCredential
	Required, Optional        []ExplorerField
	Body                      ExplorerValue    // JSON
	Members                   []ExplorerMember // what the body may have; none: it has no body
}

// ExplorerCredential is a kind of credential, by its name in OpenAPI, and the scopes that it needs.
type ExplorerCredential struct {
	Kind   string
	Scopes []string
}

// Words names the kind to people.
func (c ExplorerCredential) Words() string {
	return map[string]string{"OAuth2UserToken": "a user’s OAuth 2.0 token", "UserToken": "OAuth 1.0a",
		"BearerToken": "an app’s bearer token"}[c.Kind]
}

// ExplorerValue is what a control starts with, and, in AsCaller, what it is once somebody calls: with "{user}" for the
// caller's ID and "{username}" for the name.
type ExplorerValue struct{ Value, AsCaller string }

// Follows reports whether the value depends on who calls.
func (v ExplorerValue) Follows() bool {
	return strings.Contains(v.AsCaller, "{user}") || strings.Contains(v.AsCaller, "{username}")
}

// ExplorerField is a parameter.
type ExplorerField struct {
	ID       string // on the page
	Name, In string // In is "path" or "query"
	Required bool
	List     bool
	Choices  string   // the name in Explorer.Choices of what a list is made from; empty: anything
	Words    []string // one of which it is; none: anything
	Min, Max *int     // of a number
	About    string
	ExplorerValue
}

// ExplorerMember is a member of a JSON object.
type ExplorerMember struct {
	Name, Type string
	Required   bool
	Words      []string
	Members    []ExplorerMember
}

// Steps are the parts of the path, each with its slash.
func (o ExplorerOperation) Steps() (all []string) {
	for step := range strings.SplitSeq(o.Path[1:], "/") {
		all = append(all, "/"+step)
	}
	return all
}

// Accepts lists the kinds of credential, by their names in OpenAPI.
func (o ExplorerOperation) Accepts() string {
	var kinds []string
	for _, c := range o.Takes {
		kinds = append(kinds, c.Kind)
	}
	return strings.Join(kinds, " ")
}

func (p Explorer) about() about {
	return about{template: "explorer", title: "API explorer", here: "/explorer", scripts: true}
}
