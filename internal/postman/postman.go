// Package postman is collections and environments of Postman, as plain data that have the JSON form of its format v2.1.
// Make requests with [New], put them into a [Collection], and let [Answers] fill in what the server says to them.
package postman

import (
	"encoding/json"
	"slices"
	"strings"
)

// Collection is requests that belong together. Folders that say nothing of authorization have the collection's.
type Collection struct {
	Info     Info       `json:"info"`
	Item     []Folder   `json:"item"`
	Auth     *Auth      `json:"auth"`
	Variable []Variable `json:"variable"`
}

type Info struct {
	Name        string `json:"name"`
	Description string `json:"description"`
	Schema      string `json:"schema"` // Schema
}

// Schema is the address of the format that this package writes.
const Schema = "https://schema.getpostman.com/json/collection/v2.1.0/collection.json"

type Folder struct {
	Name        string `json:"name"`
	Description string `json:"description,omitempty"`
	Auth        *Auth  `json:"auth,omitempty"`
	Item        []Item `json:"item"`
}

// Item is one request, with what is checked of its answer.
type Item struct {
	Name     string     `json:"name"`
	ID       string     `json:"id"` // the operation, and in a folder with an authorization of its own that, too
	Request  Request    `json:"request"`
	Event    []Event    `json:"event,omitempty"`
	Response []Response `json:"response"`
}

type Request struct {
	Method      string   `json:"method"`
	URL         URL      `json:"url"`
	Header      []Header `json:"header"`
	Auth        *Auth    `json:"auth,omitempty"` // nil: the folder's or the collection's
	Body        *Body    `json:"body,omitempty"`
	Description string   `json:"description,omitempty"`
}

type URL struct {
	Raw      string     `json:"raw"`
	Host     []string   `json:"host"`
	Path     []string   `json:"path"`
	Query    []Variable `json:"query,omitempty"`
	Variable []Variable `json:"variable,omitempty"` // of the path
}

// Variable is a name and a value of any kind that Postman has: of a collection, a path, a query or a form.
type Variable struct {
	Key         string `json:"key"`
	Value       string `json:"value"`
	Description string `json:"description,omitempty"`
	Disabled    bool   `json:"disabled,omitempty"`
}

type Header struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

// Body is JSON text, or a form.
type Body struct {
	Mode       string     `json:"mode"` // raw or urlencoded
	Raw        string     `json:"raw,omitempty"`
	URLEncoded []Variable `json:"urlencoded,omitempty"`
	Options    any        `json:"options,omitempty"`
}

type Event struct {
	Listen string `json:"listen"` // prerequest or test
	Script Script `json:"script"`
}

type Script struct {
	Type string   `json:"type"`
	Exec []string `json:"exec"` // lines
}

// Response is an answer that was recorded. Its request is whole: it takes nothing from folder or collection.
type Response struct {
	Name            string   `json:"name"`
	OriginalRequest Request  `json:"originalRequest"`
	Status          string   `json:"status,omitempty"`
	Code            int      `json:"code,omitempty"` // 0: not recorded
	PreviewLanguage string   `json:"_postman_previewlanguage"`
	Header          []Header `json:"header"`
	Body            string   `json:"body"`
}

// New returns a request for a path in which names in braces are variables. Their values are those that path gives them.
func New(method, path string, values func(name string) string, query []Variable) Request {
	u := URL{Host: []string{"{{baseUrl}}"}, Query: query}
	for segment := range strings.SplitSeq(strings.TrimPrefix(path, "/"), "/") {
		if name, ok := strings.CutPrefix(segment, "{"); ok {
			name = strings.TrimSuffix(name, "}")
			u.Variable = append(u.Variable, Variable{Key: name, Value: values(name)})
			segment = ":" + name
		}
		u.Path = append(u.Path, segment)
	}
	r := Request{Method: method, Header: []Header{}, URL: u}
	r.URL.setRaw()
	return r
}

// setRaw writes the address in one piece, with those parameters that are sent.
func (u *URL) setRaw() {
	u.Raw = "{{baseUrl}}/" + strings.Join(u.Path, "/")
	separator := "?"
	for _, q := range u.Query {
		if !q.Disabled {
			u.Raw += separator + q.Key + "=" + q.Value
			separator = "&"
		}
	}
}

// JSON makes the request carry JSON text.
func (r *Request) JSON(text string) {
	r.Header = append(r.Header, Header{"Content-Type", "application/json"})
	r.Body = &Body{Mode: "raw", Raw: text, Options: map[string]any{"raw": map[string]string{"language": "json"}}}
}

// Form makes the request carry a form.
func (r *Request) Form(fields ...Variable) { r.Body = &Body{Mode: "urlencoded", URLEncoded: fields} }

// With returns a copy of the request that can be changed, as it is sent: with the authorization that it really has, and
// without what is switched off.
func (r Request) With(auth *Auth) Request {
	r.Auth = auth
	r.URL.Query = slices.DeleteFunc(slices.Clone(r.URL.Query), func(q Variable) bool { return q.Disabled })
	r.URL.Variable = slices.Clone(r.URL.Variable)
	r.Header = slices.Clone(r.Header)
	r.Description = ""
	return r
}

// Test returns the script that is run after the answer.
func Test(lines ...string) Event { return Event{"test", Script{"text/javascript", lines}} }

// Before returns the script that is run before the request.
func Before(lines ...string) Event { return Event{"prerequest", Script{"text/javascript", lines}} }

// OnlyWith returns a script that leaves a request out of a run while the variable has no value, and else goes on with the
// lines.
func OnlyWith(variable string, lines ...string) Event {
	return Before(append([]string{`if (!pm.variables.get("` + variable + `")) pm.execution.skipRequest();`}, lines...)...)
}

// Encode writes a collection or an environment.
func Encode(v any) []byte {
	text, err := json.MarshalIndent(v, "", "\t")
	if err != nil {
		panic(err) // all of it has a JSON form
	}
	return append(text, '\n')
}
