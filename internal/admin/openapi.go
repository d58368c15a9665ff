package admin

import (
	"encoding/json"
	"fmt"
	"reflect"
	"regexp"
	"strings"
	"time"

	"github.com/google/jsonschema-go/jsonschema"

	"liked"
	"liked/internal/clock"
	"liked/internal/faults"
)

// parameters explains what stands in paths and queries, the same everywhere.
var parameters = map[string]string{
	"user":     "The id or the username of a user, or the username after @.",
	"target":   "The id or the username of the other user.",
	"post":     "The id of a post; of likes of a user, up to 1000 ids with commas between them.",
	"app":      "The id, the client id or the name of an app.",
	"webhook":  "The id of a webhook.",
	"snapshot": "The name of a snapshot: 1 to 64 of a-z, 0-9 and -.",
	"username": "The beginning of a username.",
	"ids":      "Up to 1000 ids of users, with commas between them; those that exist are in the answer.",
	"contains": "What stands in the text of a post, in upper or lower case.",
	"author":   "The id or the username of who wrote the posts.",
	"max":      "How many items a page has at most, 1 to 1000; 100 without.",
	"after":    "What next was in the page before.",

	"transaction_id": "The x-transaction-id of an answer.",
	"operation":      "An operation, as usersIdLike or oauth2Token.",
	"status":         "A status, as 429, or a class of them, as 4xx.",
	"text":           "What stands somewhere in the request or its answer, in upper or lower case.",
	"calls":          "true: no pages and files that a browser was shown.",
	"limit":          "How many requests a page has at most, 1 to 1000; 100 without.",
	"before":         "What next was in the page before.",
	"fault":          "The id of a rule.",
	"subscription":   "The id of a subscription.",
	"settle":         "true: at the end a large store is put in order for reads, which may take minutes.",
	"skip_bad":       "true: lines that cannot be added are left out, and counted; without, the first one ends the import.",
}

// words are the types that are written as text.
var words = map[reflect.Type]*jsonschema.Schema{
	reflect.TypeFor[liked.UserID]():         id(),
	reflect.TypeFor[liked.PostID]():         id(),
	reflect.TypeFor[liked.AppID]():          id(),
	reflect.TypeFor[liked.WebhookID]():      id(),
	reflect.TypeFor[liked.SubscriptionID](): id(),
	reflect.TypeFor[liked.AccountState]():   oneOf(liked.Active, liked.Locked, liked.Suspended, liked.Deactivated),
	reflect.TypeFor[liked.AppState]():       oneOf(liked.Enrolled, liked.NotEnrolled, liked.AppSuspended),
	reflect.TypeFor[liked.Access]():         oneOf(liked.ReadOnly, liked.ReadWrite, liked.ReadWriteDirectMessages),
	reflect.TypeFor[liked.Tier]():           oneOf(liked.Enterprise, liked.SelfServe),
	reflect.TypeFor[time.Time]():            {Type: "string", Format: "date-time"},
	reflect.TypeFor[clock.Duration]():       duration(),
	reflect.TypeFor[faults.Delay](): {OneOf: []*jsonschema.Schema{duration(), {Type: "object", Required: []string{"min", "max"},
		Properties: map[string]*jsonschema.Schema{"min": duration(), "max": duration()}}}},
	reflect.TypeFor[json.RawMessage](): {},
}

func id() *jsonschema.Schema { return &jsonschema.Schema{Type: "string", Pattern: "^[0-9]{1,19}$"} }

func duration() *jsonschema.Schema {
	return &jsonschema.Schema{Type: "string", Examples: []any{"15m"}}
}

var pathParameter = regexp.MustCompile(`{(\w+)}`)

func oneOf[E fmt.Stringer](values ...E) *jsonschema.Schema {
	s := &jsonschema.Schema{Type: "string"}
	for _, v := range values {
		s.Enum = append(s.Enum, v.String())
	}
	return s
}

// describe writes the description of the endpoints (OpenAPI 3.1).
func describe(rows []route) json.RawMessage {
	type object = map[string]any
	schemas, paths := object{}, object{}
	schema := func(t reflect.Type) object {
		name := t.Name()
		if schemas[name] == nil {
			s, err := jsonschema.ForType(t, &jsonschema.ForOptions{TypeSchemas: words})
			if err != nil {
				panic(fmt.Sprintf("the schema of %s: %v", t, err)) // a test makes the description
			}
			schemas[name] = s
		}
		return object{"$ref": "#/components/schemas/" + name}
	}
	content := func(mediaType string, schema any) object { return object{mediaType: object{"schema": schema}} }
	failure := object{"description": "Refused: the reason in words.",
		"content": content("application/json", schema(reflect.TypeFor[Failure]()))}
	for _, rt := range rows {
		method, path, _ := strings.Cut(rt.pattern, " ")
		var given []object
		parameter := func(in, name string) {
			explained, ok := parameters[name]
			if !ok {
				panic("the parameter " + name + " is not explained") // likewise
			}
			given = append(given, object{"name": name, "in": in, "required": in == "path", "description": explained,
				"schema": object{"type": "string"}})
		}
		for _, found := range pathParameter.FindAllStringSubmatch(path, -1) {
			parameter("path", found[1])
		}
		for _, name := range strings.Fields(rt.query) {
			parameter("query", name)
		}
		success := object{"description": "Done."}
		switch {
		case rt.content != "":
			success["content"] = content(rt.content, object{})
		default:
			success["content"] = content("application/json", schema(rt.out))
		}
		operation := object{"summary": rt.does, "operationId": operationID(method, path), "responses": object{
			fmt.Sprint(max(rt.status, 200)): success, "default": failure}}
		if given != nil {
			operation["parameters"] = given
		}
		switch {
		case rt.reads != "":
			operation["requestBody"] = object{"required": true, "content": content(rt.reads, object{})}
		case rt.in != nil:
			operation["requestBody"] = object{"required": true, "content": content("application/json", schema(rt.in))}
		}
		if paths[path] == nil {
			paths[path] = object{}
		}
		paths[path].(object)[strings.ToLower(method)] = operation
	}
	text, err := json.Marshal(object{"openapi": "3.1.0",
		"info": object{"title": "The operator's side of liked", "version": "1",
			"description": "Served on the admin listener. Times are RFC 3339, durations Go's (15m). " +
				"A member or a parameter that is not described is an error."},
		"security": []object{{"token": []string{}}}, "paths": paths,
		"components": object{"schemas": schemas, "securitySchemes": object{"token": object{"type": "http", "scheme": "bearer",
			"description": "The admin token, which liked dev prints and admin.json of a data directory holds."}}}})
	if err != nil {
		panic(err)
	}
	return text
}

// operationID is the method and the words of the path: getAdminUsersUser.
func operationID(method, path string) string {
	id := strings.ToLower(method)
	for _, word := range strings.FieldsFunc(path, func(r rune) bool { return strings.ContainsRune("/{}-_.", r) })[1:] {
		id += strings.ToUpper(word[:1]) + word[1:]
	}
	return id
}
