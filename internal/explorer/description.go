package explorer

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"

	"liked/internal/web"
)

// document is what the page shows of /2/openapi.json.
type document struct {
	Tags       []struct{ Name string }
	Paths      map[string]map[string]operation
	Components struct{ Schemas map[string]*schema }
}

type operation struct {
	OperationID, Summary string
	Tags                 []string
	Parameters           []parameter
	RequestBody          struct {
		Content map[string]struct {
			Example json.RawMessage
			Schema  *schema
		}
	}
	Security []map[string][]string
	Stream   bool                `json:"x-twitter-streaming"`
	Run      struct{ Order int } `json:"x-liked-run"`
}

type parameter struct {
	Name, In, Description string
	Required              bool
	Schema                *schema
	Example               any
}

type schema struct {
	Ref              string `json:"$ref"`
	Type, Example    string
	Enum             []string
	Minimum, Maximum *int
	Items            *schema
	Properties       map[string]*schema
	Required         []string
}

// fill adds the operations of a description to the page: by tag, in the order of the table of routes. Their forms start with
// what the page starts with.
func fill(start *web.Explorer, description []byte) error {
	var d document
	if err := json.Unmarshal(description, &d); err != nil {
		return err
	}
	start.Choices = map[string][]string{}
	values := d.values(*start)
	found := map[string]map[int]web.ExplorerOperation{} // by tag and order
	for path, methods := range d.Paths {
		for method, op := range methods {
			of := web.ExplorerOperation{ID: op.OperationID, Method: strings.ToUpper(method), Path: path, Summary: op.Summary, Stream: op.Stream}
			of.Takes = takes(op.Security)
			for _, p := range op.Parameters {
				field := d.field(p, values)
				field.ID = op.OperationID + "." + p.Name
				if field.List && field.Words != nil {
					field.Choices, field.Words = choices(start.Choices, p.Name, field.Words), nil
				}
				if op.OperationID == "streamLikesFirehose" && p.Name == "partition" && start.Partition > 0 {
					field.Value = strconv.Itoa(start.Partition)
				}
				if p.Required {
					of.Required = append(of.Required, field)
				} else {
					of.Optional = append(of.Optional, field)
				}
			}
			if body, ok := op.RequestBody.Content["application/json"]; ok {
				var text bytes.Buffer
				if err := json.Indent(&text, body.Example, "", "  "); err != nil {
					return err
				}
				of.Body, of.Members = values(text.String()), d.members(body.Schema)
			}
			for _, tag := range op.Tags {
				if found[tag] == nil {
					found[tag] = map[int]web.ExplorerOperation{}
				}
				found[tag][op.Run.Order] = of
			}
		}
	}
	for _, tag := range d.Tags {
		group := web.ExplorerGroup{Name: tag.Name}
		for _, order := range slices.Sorted(maps.Keys(found[tag.Name])) {
			group.Operations = append(group.Operations, found[tag.Name][order])
		}
		start.Groups = append(start.Groups, group)
	}
	start.Groups[0].Operations[0].Open = true
	return nil
}

// choices returns the name of a list of words among all, to which it is added if it is new.
func choices(all map[string][]string, name string, words []string) string {
	for n := 1; ; n++ {
		id := name + "-" + strconv.Itoa(n)
		if all[id] == nil {
			all[id] = words
		}
		if slices.Equal(all[id], words) {
			return id
		}
	}
}

// values returns a function from an example to what a form starts with.
func (d *document) values(start web.Explorer) func(example string) web.ExplorerValue {
	var known, asCaller []string
	for _, v := range []struct{ schema, known, asCaller string }{
		{"UserID", start.UserID, "{user}"}, {"Username", start.UserName, "{username}"}, {"PostID", start.PostID, start.PostID},
	} {
		example := d.Components.Schemas[v.schema].Example
		known, asCaller = append(known, example, v.known), append(asCaller, example, v.asCaller)
	}
	now, later := strings.NewReplacer(known...), strings.NewReplacer(asCaller...)
	return func(example string) web.ExplorerValue {
		return web.ExplorerValue{Value: now.Replace(example), AsCaller: later.Replace(example)}
	}
}

// resolve follows a reference.
func (d *document) resolve(s *schema) *schema {
	if name, ok := strings.CutPrefix(s.Ref, "#/components/schemas/"); ok {
		return d.Components.Schemas[name]
	}
	return s
}

func (d *document) field(p parameter, values func(string) web.ExplorerValue) web.ExplorerField {
	s := d.resolve(p.Schema)
	f := web.ExplorerField{Name: p.Name, In: p.In, Required: p.Required,
		List: s.Type == "array", Words: s.Enum, Min: s.Minimum, Max: s.Maximum}
	f.About = strings.ReplaceAll(p.Description, "`", "") // which is Markdown
	start := s.Example
	if f.List {
		items := d.resolve(s.Items)
		f.Words, start = items.Enum, items.Example
	}
	if !p.Required {
		return f // what is not sent has its default
	}
	switch example := p.Example.(type) {
	case string:
		start = example
	case float64:
		start = strconv.Itoa(int(example))
	}
	f.ExplorerValue = values(start)
	return f
}

// members describes the JSON object of a body: first what it must have.
func (d *document) members(s *schema) (all []web.ExplorerMember) {
	s = d.resolve(s)
	optional := maps.Clone(s.Properties)
	for _, name := range s.Required {
		delete(optional, name)
	}
	for _, name := range slices.Concat(s.Required, slices.Sorted(maps.Keys(optional))) {
		of := d.resolve(s.Properties[name])
		m := web.ExplorerMember{Name: name, Type: of.Type, Required: slices.Contains(s.Required, name), Words: of.Enum,
			Members: d.members(of)}
		if of.Type == "array" {
			m.Type = "list"
		}
		all = append(all, m)
	}
	return all
}

// takes returns the credentials that will do, none if none is needed.
func takes(security []map[string][]string) (all []web.ExplorerCredential) {
	for _, kind := range security {
		for name, scopes := range kind {
			all = append(all, web.ExplorerCredential{Kind: name, Scopes: scopes})
		}
	}
	return all
}
