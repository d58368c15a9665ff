package postman

import (
	"cmp"
	_ "embed"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// tokensJSON describes the token endpoints, which X's document lacks, with the same extensions.
//
//go:embed tokens.json
var tokensJSON []byte

// document is the part of OpenAPI that collections need.
type document struct {
	Paths      paths
	Older      paths `json:"x-liked-paths"`
	Components struct {
		Schemas         map[string]any
		Headers         map[string]struct{ Description string }
		SecuritySchemes struct {
			OAuth2 struct {
				Flows struct {
					Code struct {
						AuthorizationURL, TokenURL string
						Scopes                     object
					} `json:"authorizationCode"`
				}
			} `json:"OAuth2UserToken"`
		}
	}
}

// paths are operations by path and method.
type paths map[string]map[string]operation

type operation struct {
	method, path string

	ID          string `json:"operationId"`
	Summary     string
	Description string
	Tags        []string
	Security    []map[string][]string
	Parameters  []parameter
	RequestBody struct {
		Content map[string]struct {
			Value object `json:"x-liked-value"`
		}
	}
	Responses map[string]struct {
		Content map[string]struct{ Schema object }
	}
	Run run `json:"x-liked-run"`
}

// run is what OpenAPI cannot say of a request.
type run struct {
	Order   int                       // position in the document
	As      []string                  // security schemes to send it with, each in its own request; "": none
	Needs   string                    // left out of a run while this variable is empty
	Limits  map[string]map[string]int // of users and apps: requests per window, by prefix of the header's name
	Expects object                    // members of the answer, to what is expected
	Sets    map[string]string         // environment variables, to members of the answer
}

type parameter struct {
	Name, In    string
	Description string
	Required    bool
	Value       string `json:"x-liked-value"`
	Schema      schema
}

type schema struct {
	Type, Format               string
	Enum                       []string
	Minimum, Maximum, MaxItems int
	Items                      *schema
}

func parse[T any](text []byte) *T {
	d := new(T)
	if err := json.Unmarshal(text, d); err != nil {
		panic(err) // the server's own texts
	}
	return d
}

func (d *document) operations(of paths) (all []operation) {
	for path, methods := range of {
		for method, op := range methods {
			op.method, op.path = method, path
			if len(op.Run.As) == 0 {
				op.Run.As = []string{""}
			}
			all = append(all, op)
		}
	}
	slices.SortFunc(all, func(a, b operation) int { return cmp.Compare(a.Run.Order, b.Run.Order) })
	return all
}

func (op *operation) limits(scheme string) map[string]int {
	if scheme == "BearerToken" {
		return op.Run.Limits["app"]
	}
	return op.Run.Limits["user"]
}

// variable has the parameter's value in a run, or is disabled with an allowed value.
func (p parameter) variable() variable {
	v := variable{Key: p.Name, Value: p.Value, Description: p.Description, Disabled: !p.Required && p.Value == ""}
	s, example := p.Schema, ""
	switch {
	case s.Type == "integer":
		example, v.Description = strconv.Itoa(s.Maximum), fmt.Sprintf("%d to %d", s.Minimum, s.Maximum)
	case s.Format == "date-time":
		example, v.Description = "{{$isoTimestamp}}", "RFC 3339"
	case s.Type == "array" && s.Items.Enum != nil:
		example, v.Description = s.Items.Enum[0], "Any of "+strings.Join(s.Items.Enum, ", ")
	case s.Type == "array":
		v.Description = "1 to " + strconv.Itoa(s.MaxItems) + ", with commas between them"
	}
	v.Value = cmp.Or(v.Value, example)
	return v
}

// words describes the request to people.
func (d *document) words(op operation, scheme string) string {
	var lines []string
	for _, security := range op.Security {
		if scopes := security["OAuth2UserToken"]; len(scopes) > 0 {
			lines = append(lines, "Scopes: `"+strings.Join(scopes, "` `")+"`")
		}
	}
	limits := op.limits(scheme)
	for _, header := range sortedKeys(limits) {
		lines = append(lines, d.Components.Headers[header+"-limit"].Description+": "+strconv.Itoa(limits[header]))
	}
	if op.Description != "" {
		lines = append(lines, op.Description)
	}
	return strings.Join(lines, "\n\n")
}

// tests is the script that checks status, content type, limits and schema of an answer, and what the run expects.
func (d *document) tests(op operation, scheme string) []string {
	var lines []string
	test := func(name, check string) { lines = append(lines, "pm.test("+quote(name)+", () => "+check+");") }
	test("no cache keeps it", `pm.expect(pm.response.headers.get("Cache-Control")).to.include("no-store")`)
	for status, response := range op.Responses {
		if !strings.HasPrefix(status, "2") {
			continue
		}
		test("the status is "+status, "pm.response.to.have.status("+status+")")
		for media, content := range response.Content {
			test("it is "+media, `pm.expect(pm.response.headers.get("Content-Type").split(";")[0]).to.eql(`+quote(media)+")")
			if pattern := content.Schema["pattern"]; pattern != nil {
				test("it has the form that it must have", "pm.expect(pm.response.text()).to.match(new RegExp("+quote(pattern)+"))")
			} else {
				lines = append(lines, "const schema = "+quote(d.inline(content.Schema))+";")
				test("it has the shape that it must have", "pm.response.to.have.jsonSchema(schema)")
			}
		}
	}
	limits := op.limits(scheme)
	for _, header := range sortedKeys(limits) {
		number := func(of string) string { return `Number(pm.response.headers.get("` + header + of + `"))` }
		test(fmt.Sprintf("%s-limit is %d", header, limits[header]), fmt.Sprintf("pm.expect(%s).to.eql(%d)", number("-limit"), limits[header]))
		test(header+"-remaining counts", fmt.Sprintf("pm.expect(%s).to.be.within(0, %d)", number("-remaining"), limits[header]-1))
		test(header+"-reset is a time", fmt.Sprintf("pm.expect(%s).to.be.above(0)", number("-reset")))
	}
	if len(op.Run.Expects)+len(op.Run.Sets) > 0 {
		lines = append(lines, "const answer = pm.response.json();")
	}
	for _, member := range sortedKeys(op.Run.Expects) {
		value := quote(op.Run.Expects[member])
		name := member + " is " + value
		if strings.Contains(value, "{{") {
			value = "pm.variables.replaceIn(" + value + ")"
		}
		test(name, "pm.expect(answer."+member+").to.eql("+value+")")
	}
	for _, name := range sortedKeys(op.Run.Sets) {
		lines = append(lines, "pm.environment.set("+quote(name)+", answer."+op.Run.Sets[name]+");")
	}
	return lines
}

// inline resolves references in a schema and drops parts for people.
func (d *document) inline(v any) any {
	switch v := v.(type) {
	case object:
		if name, ok := v["$ref"].(string); ok {
			return d.inline(d.Components.Schemas[strings.TrimPrefix(name, "#/components/schemas/")])
		}
		all := object{}
		for key, value := range v {
			if key != "example" {
				all[key] = d.inline(value)
			}
		}
		return all
	case []any:
		all := make([]any, len(v))
		for i := range v {
			all[i] = d.inline(v[i])
		}
		return all
	}
	return v
}

func quote(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err) // it came from JSON
	}
	return string(text)
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
