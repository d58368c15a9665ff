package api

import (
	"encoding/json"
	"flag"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"liked"
)

var published = flag.String("openapi", "", "X's published OpenAPI document, from which testdata/x-openapi-2.167.json is made anew")

// TestTrimDocument makes testdata/x-openapi-2.167.json: X's published OpenAPI document 2.167, of August 2026, without
// its prose, the paths that are no endpoints of ours and what these alone refer to. What is left is as X published it.
//
//	go test ./internal/api -run TestTrimDocument -openapi x-openapi-2.167.json
func TestTrimDocument(t *testing.T) {
	if *published == "" {
		return
	}
	text, err := os.ReadFile(*published)
	if err != nil {
		t.Fatal(err)
	}
	var doc map[string]any
	if err := json.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	paths := map[string]map[string]any{}
	for _, rt := range routes {
		if paths[rt.address()] == nil {
			paths[rt.address()] = map[string]any{}
		}
		method := strings.ToLower(rt.method())
		paths[rt.address()][method] = doc["paths"].(map[string]any)[rt.address()].(map[string]any)[method]
	}
	components := doc["components"].(map[string]any)
	kept := map[string]map[string]any{"securitySchemes": components["securitySchemes"].(map[string]any)}
	var keep func(v any)
	keep = func(v any) {
		switch v := v.(type) {
		case string:
			name, ok := strings.CutPrefix(v, "#/components/")
			if !ok {
				return
			}
			kind, name, _ := strings.Cut(name, "/")
			if kept[kind] == nil {
				kept[kind] = map[string]any{}
			}
			if _, there := kept[kind][name]; !there {
				kept[kind][name] = components[kind].(map[string]any)[name]
				keep(kept[kind][name])
			}
		case []any:
			for _, v := range v {
				keep(v)
			}
		case map[string]any:
			for _, v := range v {
				keep(v)
			}
		case map[string]map[string]any:
			for _, v := range v {
				keep(v)
			}
		}
	}
	for _, path := range paths {
		keep(path)
	}
	delete(doc, "tags")
	doc["paths"], doc["components"] = paths, kept
	withoutProse(doc)
	text, err = json.MarshalIndent(doc, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("testdata/x-openapi-2.167.json", append(text, '\n'), 0o644); err != nil {
		t.Fatal(err)
	}
}

// withoutProse leaves of a document what can be held to: names, types, bounds and references, but none of its texts. A
// response must have a description, so that it stays as an empty one.
func withoutProse(v any) {
	switch v := v.(type) {
	case []any:
		for _, v := range v {
			withoutProse(v)
		}
	case map[string]map[string]any:
		for _, v := range v {
			withoutProse(v)
		}
	case map[string]any:
		for name, value := range v {
			_, text := value.(string)
			switch {
			case name == "description" && text:
				v[name] = ""
			case name == "summary" && text, name == "example", name == "externalDocs":
				delete(v, name)
			default:
				withoutProse(value)
			}
		}
	}
}

// TestRoutesAreX compares the table of routes, as it is in 2026, with X's published document: paths, methods, scopes,
// kinds of credential, parameters with their values and bounds, and bodies.
func TestRoutesAreX(t *testing.T) {
	doc, err := openapi3.NewLoader().LoadFromFile("testdata/x-openapi-2.167.json")
	if err != nil {
		t.Fatal(err)
	}
	facts := Profile2026.facts()
	documented := 0
	for _, item := range doc.Paths.Map() {
		documented += len(item.Operations())
	}
	if documented != len(routes) {
		t.Errorf("the document has %d operations, the table %d", documented, len(routes))
	}
	for i := range routes {
		rt := &routes[i]
		t.Run(rt.id, func(t *testing.T) {
			var op *openapi3.Operation
			if item := doc.Paths.Value(rt.address()); item != nil {
				op = item.GetOperation(rt.method())
			}
			if op == nil {
				t.Fatalf("%s is not in the document", rt.pattern)
			}
			var scopes liked.Scope
			var allow liked.Credential
			var security openapi3.SecurityRequirements // none of the operation's own is none at all
			if op.Security != nil {
				security = *op.Security
			}
			for _, requirement := range security {
				for scheme, names := range requirement {
					switch scheme {
					case "OAuth2UserToken":
						allow |= liked.OAuth2User
						if scopes, err = liked.ParseScope(strings.Join(names, " ")); err != nil {
							t.Error(err)
						}
					case "UserToken":
						allow |= liked.OAuth1User
					case "BearerToken":
						allow |= liked.AppOnly
					default:
						t.Errorf("unknown security scheme %s", scheme)
					}
				}
			}
			ours := rt.allow
			if rt.is(listOfLikes) {
				ours &^= liked.AppOnly // likes are private in 2026
			}
			if scopes != rt.scopes || allow != ours {
				t.Errorf("got scopes %v and credentials %03b, want %v and %03b", rt.scopes, ours, scopes, allow)
			}
			params := queryParams(rt.query, facts.paramWords())
			var names []string
			for _, p := range rt.pathParams() {
				names = append(names, p.name)
			}
			for _, p := range params {
				// The older word for post.fields, which X goes on taking. Streams have no newer one.
				if p.name != "tweet.fields" || rt.is(streaming) {
					names = append(names, p.name)
				}
			}
			var want []string
			for _, ref := range op.Parameters {
				p := ref.Value
				want = append(want, p.Name)
				i := slices.IndexFunc(params, func(ours param) bool { return ours.name == p.Name })
				if i < 0 {
					continue // in the path, or reported below
				}
				compareParam(t, params[i], p)
			}
			slices.Sort(names)
			slices.Sort(want)
			if !slices.Equal(names, want) {
				t.Errorf("got parameters %v, want %v", names, want)
			}
			if (rt.body != nil) != (op.RequestBody != nil) {
				t.Fatalf("takes a body: %v, in the document %v", rt.body != nil, op.RequestBody != nil)
			}
			if rt.body != nil {
				compareBody(t, "$", rt.body, op.RequestBody.Value.Content["application/json"].Schema.Value)
			}
		})
	}
}

func compareParam(t *testing.T, ours param, p *openapi3.Parameter) {
	s := p.Schema.Value
	if p.Required != ours.required {
		t.Errorf("%s is required: %v, want %v", p.Name, ours.required, p.Required)
	}
	switch {
	case s.Type.Is("integer"):
		if ours.form != integer || float64(ours.min) != *s.Min || float64(ours.max) != *s.Max ||
			(s.Default != nil && s.Default != float64(ours.preset)) {
			t.Errorf("%s: got %+v, want %v to %v, default %v", p.Name, ours, *s.Min, *s.Max, s.Default)
		}
	case s.Format == "date-time":
		if ours.form != dateTime {
			t.Errorf("%s: got %+v, want a time", p.Name, ours)
		}
	case s.Enum != nil:
		if ours.form != word || !slices.EqualFunc(ours.enum, s.Enum, func(a string, b any) bool { return a == b }) {
			t.Errorf("%s: got %+v, want one of %v", p.Name, ours, s.Enum)
		}
	case s.Type.Is("string"):
		if ours.form != text || !slices.Contains([]uint64{0, 1, 16}, s.MinLength) { // a pagination token is longer than either
			t.Errorf("%s: got %+v, want a text", p.Name, ours)
		}
	case len(s.Items.Value.Enum) > 0:
		for _, v := range s.Items.Value.Enum {
			if !slices.Contains(ours.enum, v.(string)) {
				t.Errorf("%s does not take %v", p.Name, v)
			}
		}
	default:
		if !ours.required || *s.MaxItems != maxListed || s.MinItems != 1 {
			t.Errorf("%s: got %+v, want %d to %d values", p.Name, ours, s.MinItems, *s.MaxItems)
		}
	}
}

// compareBody reports what the document has and the schema has not, and the other way round, but for requirements: X
// says of a text that it is required unless there is media, of which there is none here.
func compareBody(t *testing.T, place string, ours *schema, s *openapi3.Schema) {
	if len(ours.properties) != len(s.Properties) {
		t.Errorf("%s has %d properties, want %d", place, len(ours.properties), len(s.Properties))
	}
	for name, ref := range s.Properties {
		at := place + "." + name
		p, ok := ours.property(name)
		if !ok {
			t.Errorf("%s is not known", at)
			continue
		}
		if !ref.Value.Type.Is(p.typ) {
			t.Errorf("%s: got type %s, want %v", at, p.typ, ref.Value.Type)
		}
		if p.required != slices.Contains(s.Required, name) && at != "$.text" {
			t.Errorf("%s is required: %v", at, p.required)
		}
		if p.pattern != nil && p.pattern.String() != ref.Value.Pattern && at != "$.text" {
			t.Errorf("%s: got pattern %v, want %s", at, p.pattern, ref.Value.Pattern)
		}
		var enum []string
		for _, v := range ref.Value.Enum {
			enum = append(enum, v.(string))
		}
		if !slices.Equal(p.enum, enum) {
			t.Errorf("%s: got %v, want %v", at, p.enum, enum)
		}
		if p.object != nil {
			compareBody(t, at, p.object, ref.Value)
		}
	}
	if closed := s.AdditionalProperties.Has != nil && !*s.AdditionalProperties.Has; closed != ours.closed(Profile2026.facts()) {
		t.Errorf("%s is closed: %v, want %v", place, !closed, closed)
	}
}
