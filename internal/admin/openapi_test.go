package admin_test

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/google/jsonschema-go/jsonschema"

	"liked/likedtest"
)

type description struct {
	Paths map[string]map[string]struct {
		Summary, OperationID string
		Responses            map[string]struct {
			Content map[string]struct {
				Schema struct {
					Ref string `json:"$ref"`
				}
			}
		}
	}
	Components struct {
		Schemas map[string]*jsonschema.Schema
	}
}

// described is the description, which is the same of every server here.
var (
	described description
	describe  sync.Once
)

// checkDescribed holds a successful answer to /admin/openapi.json.
func checkDescribed(t *testing.T, srv *likedtest.Server, method, path string, status int, body string) {
	t.Helper()
	if status >= 300 || path == "/admin/openapi.json" {
		return
	}
	describe.Do(func() {
		_, text := call(t, srv, "GET", "/admin/openapi.json", "")
		if err := json.Unmarshal([]byte(text), &described); err != nil {
			t.Error(err)
		}
	})
	d := &described
	mux := http.NewServeMux()
	for template, methods := range d.Paths {
		for name := range methods {
			mux.Handle(strings.ToUpper(name)+" "+template, http.NotFoundHandler())
		}
	}
	r, err := http.NewRequest(method, srv.AdminURL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	_, pattern := mux.Handler(r)
	name, template, _ := strings.Cut(pattern, " ")
	content := d.Paths[template][strings.ToLower(name)].Responses[strconv.Itoa(status)].Content
	if content["application/json"].Schema.Ref == "" {
		if len(content) == 0 {
			t.Errorf("%s %s: the description has no answer %d", method, path, status)
		}
		return
	}
	schema := d.Components.Schemas[strings.TrimPrefix(content["application/json"].Schema.Ref, "#/components/schemas/")]
	resolved, err := schema.Resolve(nil)
	if err != nil {
		t.Fatal(err)
	}
	var v any
	if err := json.Unmarshal([]byte(body), &v); err != nil {
		t.Fatalf("%s %s: %s: %v", method, path, body, err)
	}
	if err := resolved.Validate(v); err != nil {
		t.Errorf("%s %s: %s is not as described: %v", method, path, body, err)
	}
}

// What calls take is tried by sending it; here is that each says what it does, under a name of its own.
func TestDescription(t *testing.T) {
	t.Parallel()
	srv := newServer(t)
	_, text := call(t, srv, "GET", "/admin/openapi.json", "")
	var d description
	if err := json.Unmarshal([]byte(text), &d); err != nil {
		t.Fatal(err)
	}
	names := map[string]string{}
	for path, methods := range d.Paths {
		for method, operation := range methods {
			at := method + " " + path
			if other := names[operation.OperationID]; other != "" {
				t.Errorf("%s and %s are both called %s", at, other, operation.OperationID)
			}
			names[operation.OperationID] = at
			if !strings.HasSuffix(operation.Summary, ".") {
				t.Errorf("%s does %q, which is no sentence", at, operation.Summary)
			}
		}
	}
	for _, want := range []string{"postUsers", "deleteUsersUserFollowingTarget", "postTokens", "getExport"} {
		if names[want] == "" {
			t.Errorf("no operation %s among %d", want, len(names))
		}
	}
}
