package api

import (
	"cmp"
	_ "embed"
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"

	"liked"
)

func (a *API) openAPI(*call) (any, error) { return a.table.Load().self(), nil }

// Description returns the answer to GET /2/openapi.json.
func (a *API) Description() []byte { return a.table.Load().self().body }

// members are a JSON object, sorted when encoded.
type members map[string]any

func (m members) at(names ...string) members {
	for _, name := range names {
		m = m[name].(map[string]any)
	}
	return m
}

// describe makes an OpenAPI 3.0.3 document from what is enforced: routes, the parameters and bodies that requests are
// checked against, and the types of answers. No answer, and no member of its objects, is missing from it.
func describe(f facts, endpoints, older []*endpoint) members {
	doc := members{}
	fixed := strings.NewReplacer("{version}", f.apiVersion, "{problems}", f.problems).Replace(fixedDescription)
	if err := json.Unmarshal([]byte(fixed), &doc); err != nil {
		panic(err) // it is compiled in
	}
	d := &description{facts: f, schemas: doc.at("components", "schemas"), refusals: doc.at("refusals"),
		scopes: map[string]string{liked.OfflineAccess.String(): "To get a refresh token"}}
	delete(doc, "refusals")
	paths := d.paths(endpoints)
	tags := []members{}
	for _, rt := range endpoints {
		tag := members{"name": f.tag(rt.tag)}
		if !slices.ContainsFunc(tags, func(t members) bool { return t["name"] == tag["name"] }) {
			tags = append(tags, tag)
		}
	}
	doc["tags"], doc["paths"] = tags, paths
	doc["x-liked-paths"] = d.paths(older) // v1.1, which X's OpenAPI documents leave out
	doc.at("components", "securitySchemes", "OAuth2UserToken", "flows", "authorizationCode")["scopes"] = d.scopes
	return doc
}

// fixedDescription is the part that follows from no endpoint, such as schemas of problems; its refusals go into each
// endpoint.
//
//go:embed openapi.json
var fixedDescription string

type description struct {
	facts
	schemas  members
	refusals members
	scopes   map[string]string // to the operations that need them
}

func (d *description) paths(endpoints []*endpoint) map[string]members {
	paths := map[string]members{}
	for i, rt := range endpoints {
		path := rt.address()
		if paths[path] == nil {
			paths[path] = members{}
		}
		paths[path][strings.ToLower(rt.method())] = d.operation(i, rt)
	}
	return paths
}

func (d *description) operation(order int, rt *endpoint) members {
	op := members{
		"operationId": rt.id,
		"summary":     rt.summary,
		"tags":        []string{d.tag(rt.tag)},
		"security":    d.security(rt),
		"responses":   d.responses(rt),
		"x-liked-run": rt.describeRun(order),
	}
	if rt.is(streaming) {
		op["x-twitter-streaming"] = true // X's name
	}
	var params []members
	for i, p := range slices.Concat(rt.path, rt.params) {
		in := members{"name": p.name, "in": "query", "required": p.required, "schema": p.schema()}
		if i < len(rt.path) {
			in["in"], in["required"] = "path", true
		}
		if p.list {
			in["style"], in["explode"] = "form", false
		}
		switch p.name {
		case "pagination_token":
			in["description"] = "From `meta` of another page"
		case "resources":
			in["description"] = "Families of limits with commas between them; all, if it is left out"
		}
		value := rt.postman.values[p.name]
		if in["required"] == true {
			value = cmp.Or(value, p.form.variable())
			switch { // what forms start with, in Swagger UI, too, which takes no list from the example of the items
			case p.list:
				in["example"] = []string{map[form]string{userID: exampleUser, postID: examplePost, username: exampleName}[p.form]}
			case p.form == integer:
				in["example"] = p.min
			case p.form == word:
				in["example"] = value
			}
		}
		if value != "" {
			in["x-liked-value"] = value
		}
		params = append(params, in)
	}
	if len(params) > 0 {
		op["parameters"] = params
	}
	if rt.body != nil {
		op["requestBody"] = members{"required": true, "content": members{"application/json": members{
			"schema":        rt.body.describe(d.facts),
			"example":       rt.body.example(false),
			"x-liked-value": rt.body.example(true),
		}}}
	}
	return op
}

func (f facts) tag(tag string) string {
	if tag == tagPosts {
		return f.tagPosts
	}
	return tag
}

// security lists the credentials, each sufficient.
func (d *description) security(rt *endpoint) []members {
	kinds := []members{}
	for _, scheme := range schemes(rt.allow) {
		scopes := []string{}
		if scheme == "OAuth2UserToken" {
			scopes = strings.Fields(rt.scopes.String())
			for _, s := range scopes {
				d.scopes[s] = strings.TrimPrefix(d.scopes[s]+", "+rt.id, ", ")
			}
		}
		kinds = append(kinds, members{scheme: scopes})
	}
	return kinds
}

// schemes returns X's names of credentials.
func schemes(kinds liked.Credential) []string {
	names := []string{}
	for _, k := range []struct {
		kind liked.Credential
		name string
	}{{liked.OAuth2User, "OAuth2UserToken"}, {liked.OAuth1User, "UserToken"}, {liked.AppOnly, "BearerToken"}} {
		if kinds&k.kind != 0 {
			names = append(names, k.name)
		}
	}
	return names
}

func (rt *endpoint) describeRun(order int) members {
	as := cmp.Or(rt.postman.as&rt.allow, rt.allow&liked.OAuth2User, rt.allow&liked.AppOnly, rt.allow)
	limits := func(rules []liked.RateRule) map[string]int {
		max := map[string]int{}
		for _, r := range rules {
			name := limitHeaders(&liked.RateState{RateRule: r})[0]
			max[strings.ToLower(strings.TrimSuffix(name, "-Limit"))] = r.Max
		}
		return max
	}
	of := members{"order": order, "as": schemes(as), "limits": members{"user": limits(rt.userRules), "app": limits(rt.appRules)}}
	// Requests are left out while this variable is empty.
	if rt.is(streaming) {
		of["needs"] = "streams" // answers do not end
	} else if rt.tag == tagWebhooks {
		of["needs"] = "webhookUrl"
	}
	if rt.postman.expects != nil {
		of["expects"] = rt.postman.expects
	}
	if rt.postman.sets != nil {
		of["sets"] = rt.postman.sets
	}
	return of
}

// responses lists every status and its content. Only answers of the API itself, not of the gateway in front of it,
// have rate-limit headers.
func (d *description) responses(rt *endpoint) members {
	success := members{"description": "Done.", "content": members{"application/json": members{"schema": d.answer(rt)}}}
	if rt.tag == tagOlder {
		return members{"200": success} // its refusals differ
	}
	all, headers := members{}, members{}
	header := func(name string) { headers[name] = members{"$ref": "#/components/headers/" + name} }
	if rt.allow != 0 {
		header("x-access-level")
	}
	for _, r := range slices.Concat(rt.userRules, rt.appRules) { // all limits of any caller
		for _, name := range limitHeaders(&liked.RateState{RateRule: r}) {
			header(strings.ToLower(name))
		}
	}
	add := func(status string, response, headers members) {
		response = maps.Clone(response)
		if len(headers) > 0 {
			response["headers"] = headers
		}
		all[status] = response
	}
	refuse := func(headers members, statuses ...string) {
		for _, status := range statuses {
			add(status[:3], d.refusals.at(status), headers)
		}
	}
	refuse(headers, "400", "500", "503")
	if rt.allow != 0 {
		refuse(nil, "401")
		refuse(headers, "403")
	}
	if len(rt.path) > 0 {
		refuse(nil, "404")
	}
	if rt.body != nil {
		refuse(headers, "408", "413")
	}
	switch {
	case rt.is(streaming):
		success["description"] = "Lines that end with CRLF, and go on. Each is such an object, or empty: a sign of life."
		refuse(headers, "429 streaming")
	case len(rt.userRules)+len(rt.appRules) > 0:
		refuse(headers, "429")
	}
	status := "200"
	if rt.is(creates) {
		status, headers = "201", maps.Clone(headers)
		headers["location"] = members{"schema": members{"type": "string", "format": "uri"}}
	}
	add(status, success, headers)
	return all
}

// answer is a success's schema: a document with the members that parameters can select.
func (d *description) answer(rt *endpoint) members {
	if schema, ok := rt.answer.(members); ok {
		return schema
	}
	properties := members{"data": d.schemaOf(reflect.TypeOf(rt.answer))}
	_, expands := rt.param("expansions")
	if expands {
		properties["includes"] = d.schemaOf(reflect.TypeFor[includes]())
	}
	switch {
	case rt.meta != nil:
		properties["meta"] = d.schemaOf(reflect.TypeOf(rt.meta))
		return closed(properties, "data", "meta")
	case rt.is(streaming):
		properties["errors"] = members{"type": "array", "minItems": 1, "items": ref("Disconnect")}
		return closed(properties)
	case !expands:
		return closed(properties, "data")
	}
	properties["errors"] = d.schemaOf(reflect.TypeFor[partialErrors]())
	if _, ok := rt.param("pagination_token"); ok {
		properties["meta"] = d.schemaOf(reflect.TypeFor[meta]())
	}
	return closed(properties)
}

// schemaOf describes a type's JSON. Structs become shared schemas of the type's name.
func (d *description) schemaOf(t reflect.Type) members {
	switch t {
	case reflect.TypeFor[liked.PostID]():
		return ref("PostID")
	case reflect.TypeFor[liked.UserID]():
		return ref("UserID")
	case reflect.TypeFor[liked.WebhookID](), reflect.TypeFor[liked.SubscriptionID]():
		return members{"type": "string", "pattern": hookPattern.String()}
	case reflect.TypeFor[object](): // of partialErrors
		return ref("PartialProblem")
	}
	switch t.Kind() {
	case reflect.Pointer:
		return d.schemaOf(t.Elem())
	case reflect.Slice:
		return members{"type": "array", "items": d.schemaOf(t.Elem())}
	case reflect.String:
		return members{"type": "string"}
	case reflect.Bool:
		return members{"type": "boolean"}
	case reflect.Int, reflect.Int64:
		return members{"type": "integer"}
	case reflect.Struct:
	default:
		panic("no JSON schema for " + t.String())
	}
	name := strings.TrimSuffix(strings.ToUpper(t.Name()[:1])+t.Name()[1:], "Object")
	if _, done := d.schemas[name]; done {
		return ref(name)
	}
	properties, required := members{}, []string(nil)
	for i := range t.NumField() {
		f := t.Field(i)
		note := f.Tag.Get("openapi")
		if !f.IsExported() || note == "newer" && !d.newerWords {
			continue
		}
		member, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		schema := d.schemaOf(f.Type)
		if note == "date-time" {
			schema["format"] = note
		}
		properties[member] = schema
		if options == "" {
			required = append(required, member)
		}
	}
	d.schemas[name] = closed(properties, required...)
	return ref(name)
}

// X's documented examples, which the seed data of liked dev has.
const (
	exampleUser    = "2244994945"
	examplePost    = "1228393702244134912"
	exampleName    = "XDevelopers"
	exampleWebhook = "1146654567674912769"
)

func ref(schema string) members { return members{"$ref": "#/components/schemas/" + schema} }

func oneOfWords(words []string) members { return members{"type": "string", "enum": words} }

// closed is an object without other properties.
func closed(properties members, required ...string) members {
	s := members{"type": "object", "properties": properties, "additionalProperties": false}
	if len(required) > 0 {
		s["required"] = required
	}
	return s
}

func (p param) schema() members {
	if p.list {
		one := p
		one.list = false
		list := members{"type": "array", "minItems": 1, "items": one.schema()}
		if p.form != word {
			list["maxItems"] = maxListed
		}
		return list
	}
	switch p.form {
	case integer:
		schema := members{"type": "integer", "minimum": p.min, "maximum": p.max}
		if p.preset != 0 {
			schema["default"] = p.preset
		}
		return schema
	case text:
		return members{"type": "string", "minLength": 1}
	case dateTime:
		return members{"type": "string", "format": "date-time"}
	case userID:
		return ref("UserID")
	case postID:
		return ref("PostID")
	case username:
		return ref("Username")
	case webhookID, subscriptionID:
		return members{"type": "string", "pattern": hookPattern.String()}
	}
	return oneOfWords(p.enum)
}

func (s *schema) describe(f facts) members {
	properties, required := members{}, []string(nil)
	for _, p := range s.properties {
		if p.newer && !f.newerWords {
			continue
		}
		one := members{"type": p.typ}
		switch {
		case p.object != nil:
			one = p.object.describe(f)
		case p.pattern == idPattern:
			one = ref("PostID")
		case p.typ == "array":
			one["items"] = members{}
		case p.pattern != nil:
			one["pattern"] = p.pattern.String()
		case p.enum != nil:
			one["enum"] = p.enum
		}
		properties[p.name] = one
		if p.required {
			required = append(required, p.name)
		}
	}
	all := closed(properties, required...)
	if !s.closed(f) {
		delete(all, "additionalProperties")
	}
	return all
}

// example is a body that succeeds if what it names exists, for the Postman collection with variables.
func (s *schema) example(variables bool) members {
	all := members{}
	for _, p := range s.properties {
		switch {
		case p.required && p.object != nil:
			all[p.name] = p.object.example(variables)
		case p.typ == "array" && p.example != "":
			all[p.name] = []string{p.example}
		case variables && p.value != "":
			all[p.name] = p.value
		case p.example != "":
			all[p.name] = p.example
		}
	}
	return all
}

// variable is the Postman variable of the form, or "".
func (f form) variable() string {
	return map[form]string{userID: "{{userId}}", postID: "{{postId}}", username: "{{username}}", webhookID: "{{webhookId}}",
		subscriptionID: "{{subscriptionId}}"}[f]
}
