// Package postman makes files for Postman: a collection of requests with tests, format v2.1, from an API's
// description alone, and an environment. See [Collection].
package postman

import (
	_ "embed"
	"encoding/json"
	"slices"
	"strings"
)

type object = map[string]any

type folder struct {
	Name string `json:"name"`
	Item []item `json:"item"`
}

// item is one request with its checks.
type item struct {
	Name     string   `json:"name"`
	ID       string   `json:"id"` // the operation, with the credential in another credential's folder
	Request  request  `json:"request"`
	Event    []event  `json:"event"`
	Response []object `json:"response"` // always empty
}

type request struct {
	Method      string     `json:"method"`
	URL         address    `json:"url"`
	Header      []variable `json:"header"`
	Auth        object     `json:"auth,omitempty"` // nil: the collection's
	Body        object     `json:"body,omitempty"`
	Description string     `json:"description,omitempty"`
}

type address struct {
	Raw      string     `json:"raw"`
	Host     []string   `json:"host"`
	Path     []string   `json:"path"`
	Query    []variable `json:"query,omitempty"`
	Variable []variable `json:"variable,omitempty"` // of the path
}

// variable is a pair of a collection, a path, a query, a header or a form.
type variable struct {
	Key         string `json:"key"`
	Value       string `json:"value"`
	Description string `json:"description,omitempty"`
	Disabled    bool   `json:"disabled,omitempty"`
}

type event struct {
	Listen string `json:"listen"` // prerequest or test
	Script object `json:"script"`
}

func script(listen string, lines ...string) event {
	return event{listen, object{"type": "text/javascript", "exec": lines}}
}

// parts are the constant parts of a collection.
type parts struct {
	Collection object
	OAuth2     []attribute       // default authorization of requests
	Auths      map[string]object // by security scheme, also of tokens.json; "" for none
}

type attribute struct {
	Key   string `json:"key"`
	Value any    `json:"value"`
	Type  string `json:"type"`
}

//go:embed parts.json
var partsJSON []byte

// Collection returns every request of a described API, in folders by tag, and those of its token endpoints. The
// description is an OpenAPI document with the extensions x-liked-paths (of the older API), x-liked-value (a request's
// value there, with variables) and x-liked-run (see run). A run of all requests in order succeeds if the
// environment's user has not liked its post, and leaves it so.
func Collection(description []byte, baseURL string) []byte {
	d, tokens := parse[document](description), parse[document](tokensJSON)
	fixed := parse[parts](partsJSON)
	var folders []*folder
	add := func(name string, it item) {
		i := slices.IndexFunc(folders, func(f *folder) bool { return f.Name == name })
		if i < 0 {
			i, folders = len(folders), append(folders, &folder{Name: name})
		}
		folders[i].Item = append(folders[i].Item, it)
	}
	addAll := func(operations []operation) {
		for _, op := range operations {
			add(op.Tags[0], d.item(op, op.Run.As[0], fixed.Auths))
		}
	}
	operations := d.operations(d.Paths)
	addAll(operations)
	for _, other := range []struct{ scheme, folder string }{{"UserToken", "OAuth 1.0a"}, {"BearerToken", "App-only"}} {
		for _, op := range operations {
			if slices.Index(op.Run.As, other.scheme) > 0 {
				it := d.item(op, other.scheme, fixed.Auths)
				it.ID += " " + other.folder
				add(other.folder, it)
			}
		}
	}
	addAll(d.operations(d.Older))
	addAll(tokens.operations(tokens.Paths))
	flow := d.Components.SecuritySchemes.OAuth2.Flows.Code
	c := fixed.Collection
	c["item"], c["variable"] = folders, []variable{{Key: "baseUrl", Value: baseURL}}
	c["auth"] = object{"type": "oauth2", "oauth2": append(fixed.OAuth2,
		attribute{"authUrl", "{{baseUrl}}" + flow.AuthorizationURL, "string"},
		attribute{"accessTokenUrl", "{{baseUrl}}" + flow.TokenURL, "string"},
		attribute{"refreshTokenUrl", "{{baseUrl}}" + flow.TokenURL, "string"},
		attribute{"scope", strings.Join(sortedKeys(flow.Scopes), " "), "string"})}
	return encode(c)
}

// item is the operation's request with the scheme, one of auths.
func (d *document) item(op operation, scheme string, auths map[string]object) item {
	r := request{Method: strings.ToUpper(op.method), Auth: auths[scheme], Header: []variable{}, Description: d.words(op, scheme)}
	r.URL = address{Raw: "{{baseUrl}}", Host: []string{"{{baseUrl}}"}}
	for segment := range strings.SplitSeq(strings.TrimPrefix(op.path, "/"), "/") {
		if name, ok := strings.CutPrefix(segment, "{"); ok {
			segment = ":" + strings.TrimSuffix(name, "}")
		}
		r.URL.Path = append(r.URL.Path, segment)
		r.URL.Raw += "/" + segment
	}
	separator := "?"
	for _, p := range op.Parameters {
		v := p.variable()
		if p.In == "path" {
			r.URL.Variable = append(r.URL.Variable, v)
			continue
		}
		r.URL.Query = append(r.URL.Query, v)
		if !v.Disabled {
			r.URL.Raw += separator + v.Key + "=" + v.Value
			separator = "&"
		}
	}
	for media, body := range op.RequestBody.Content {
		if media == "application/json" {
			r.Header = append(r.Header, variable{Key: "Content-Type", Value: media})
			r.Body = object{"mode": "raw", "raw": strings.TrimSpace(string(encode(body.Value))),
				"options": object{"raw": object{"language": "json"}}}
		} else {
			form := []variable{}
			for _, name := range sortedKeys(body.Value) {
				form = append(form, variable{Key: name, Value: body.Value[name].(string)})
			}
			r.Body = object{"mode": "urlencoded", "urlencoded": form}
		}
	}
	it := item{Name: op.Summary, ID: op.ID, Request: r, Response: []object{}, Event: []event{script("test", d.tests(op, scheme)...)}}
	if op.Run.Needs != "" {
		it.Event = append(it.Event, script("prerequest", `if (!pm.variables.get("`+op.Run.Needs+`")) pm.execution.skipRequest();`))
	}
	return it
}

func encode(v any) []byte {
	text, err := json.MarshalIndent(v, "", "\t")
	if err != nil {
		panic(err) // it always has a JSON form
	}
	return append(text, '\n')
}
