package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"mime"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"liked"
	"liked/internal/api"
)

// TestOpenAPI compares what the server says of itself with testdata/openapi-*.json, which -update rewrites. Those files
// are what changes for clients when a change here changes anything for them.
func TestOpenAPI(t *testing.T) {
	t.Parallel()
	for _, profile := range []api.Profile{api.Profile2024, api.Profile2026} {
		w := newWorld(t, func(o *api.Options) { o.Profile, o.PrivateLikes = profile, profile.PrivateLikes() })
		resp, body := w.request("-", "GET", "/2/openapi.json", nil)
		if h := resp.Header; resp.StatusCode != 200 || h.Get("Content-Type") != "application/json; charset=utf-8" ||
			h.Get("X-Rate-Limit-Limit") != "" {
			t.Errorf("got %d %v", resp.StatusCode, resp.Header)
		}
		doc, err := openapi3.NewLoader().LoadFromData([]byte(body))
		if err != nil {
			t.Fatal(err)
		}
		if err := doc.Validate(context.Background()); err != nil {
			t.Errorf("%v: %v", profile, err)
		}
		published, err := document()
		if err != nil {
			t.Fatal(err)
		}
		for path, item := range published.Paths.Map() {
			for method := range item.Operations() {
				if doc.Paths.Value(path) == nil || doc.Paths.Value(path).GetOperation(method) == nil {
					t.Errorf("%v: %s %s is not described", profile, method, path)
				}
			}
		}
		var got bytes.Buffer
		if err := json.Indent(&got, []byte(body), "", " "); err != nil {
			t.Fatal(err)
		}
		got.WriteByte('\n')
		file := "testdata/openapi-" + profile.String() + ".json"
		want, err := os.ReadFile(file)
		if *update && !bytes.Equal(got.Bytes(), want) {
			err = os.WriteFile(file, got.Bytes(), 0o644)
			want = got.Bytes()
		}
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got.Bytes(), want) {
			t.Errorf("%s is not what the server says of itself any more; go test ./internal/api -run TestOpenAPI -update rewrites it", file)
		}
	}
}

// TestOpenAPIFollowsOptions proves that a server describes itself and not servers in general.
func TestOpenAPIFollowsOptions(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change          func(*api.Options)
		limits, appOnly bool
	}{
		"as X had it":   {func(*api.Options) {}, true, true},
		"no limits":     {func(o *api.Options) { o.Limits = api.NoLimits() }, false, true},
		"private likes": {func(o *api.Options) { o.PrivateLikes = true }, true, false},
	} {
		w := newWorld(t, test.change)
		op := operation(w.document, "GET", "/2/users/11/liked_tweets")
		if limits := op.Responses.Status(429) != nil; limits != test.limits {
			t.Errorf("%s: has limits: %v", name, limits)
		}
		appOnly := false
		for _, requirement := range *op.Security {
			appOnly = appOnly || requirement["BearerToken"] != nil
		}
		if appOnly != test.appOnly {
			t.Errorf("%s: takes app-only tokens: %v", name, appOnly)
		}
	}
}

var documents sync.Map // from the text of a document to the document

// describe asks a handler what it says of itself.
func describe(t *testing.T, a *api.API) *openapi3.T {
	t.Helper()
	rec := httptest.NewRecorder()
	a.ServeHTTP(rec, httptest.NewRequest("GET", "/2/openapi.json", nil))
	text := rec.Body.String()
	if known, ok := documents.Load(text); ok {
		return known.(*openapi3.T)
	}
	doc, err := openapi3.NewLoader().LoadFromData([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	documents.Store(text, doc)
	return doc
}

// keepsWord holds an answer to what the server says of itself: the status, the content type, the body.
func (w *world) keepsWord(method, target string, resp *http.Response, body string) {
	w.t.Helper()
	if broken := brokenWord(w.document, method, target, resp, body); broken != "" {
		w.t.Errorf("%s %s: %d %s\nis not what /2/openapi.json says: %s", method, target, resp.StatusCode, body, broken)
	}
}

func brokenWord(doc *openapi3.T, method, target string, resp *http.Response, body string) string {
	path, _, _ := strings.Cut(target, "?")
	op := operation(doc, method, path)
	if op == nil {
		if resp.StatusCode != 404 && resp.StatusCode != 405 {
			return "no such operation"
		}
		return ""
	}
	answer := op.Responses.Status(resp.StatusCode)
	if answer == nil {
		return "no such status"
	}
	if body == "" || resp.Header.Get("Content-Encoding") != "" {
		return ""
	}
	contentType, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if err != nil {
		return err.Error()
	}
	media := answer.Value.Content[contentType]
	if media == nil {
		return "no such content type"
	}
	var v any
	if err := json.Unmarshal([]byte(body), &v); err != nil {
		return err.Error()
	}
	if err := media.Schema.Value.VisitJSON(v, openapi3.MultiErrors()); err != nil {
		return err.Error()
	}
	return ""
}

// TestOpenAPIRefuses proves that an answer can break the server's word.
func TestOpenAPIRefuses(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	for _, test := range []struct {
		name, target string
		status       int
		contentType  string
		body         string
	}{
		{"unknown member of a post", "/2/tweets/1", 200, "application/json", `{"data":{"id":"1","text":"x","favourites":1}}`},
		{"a newer word", "/2/tweets/1", 200, "application/json", `{"data":{"id":"1","text":"x","edit_history_post_ids":["1"]}}`},
		{"a number for an id", "/2/tweets/1", 200, "application/json", `{"data":{"id":1,"text":"x"}}`},
		{"meta where there is none", "/2/users?ids=1", 200, "application/json", `{"meta":{"result_count":0}}`},
		{"unknown status", "/2/tweets/1", 201, "application/json", `{}`},
		{"another content type", "/2/tweets/1", 401, "application/json",
			`{"title":"Unauthorized","type":"about:blank","status":401,"detail":"Unauthorized"}`},
		{"an unknown problem", "/2/tweets/1", 403, "application/json",
			`{"title":"x","detail":"x","type":"https://api.twitter.com/2/problems/nope"}`},
		{"an invalid request without faults", "/2/tweets/1", 400, "application/json", `{"title":"x","detail":"x","type":"x","errors":[]}`},
		{"unknown path", "/2/nope", 200, "application/json", `{}`},
	} {
		resp := &http.Response{StatusCode: test.status, Header: http.Header{"Content-Type": {test.contentType}}}
		if brokenWord(w.document, "GET", test.target, resp, test.body) == "" {
			t.Errorf("%s: %s passes for an answer to %s", test.name, test.body, test.target)
		}
	}
}

// TestOpenAPIScopes proves that the scopes which an operation lists are enough to call it.
func TestOpenAPIScopes(t *testing.T) {
	t.Parallel()
	w := likeWorld(t, nil)
	for pattern, item := range w.document.Paths.Map() {
		for method, op := range item.Operations() {
			for _, requirement := range *op.Security {
				scopes, ok := requirement["OAuth2UserToken"]
				if !ok || method == "POST" && pattern == "/2/activity/subscriptions" { // X lists none: they depend on the type of event
					continue
				}
				if _, err := liked.ParseScope(strings.Join(scopes, " ")); err != nil || len(scopes) == 0 {
					t.Errorf("%s %s: scopes %v: %v", method, pattern, scopes, err)
					continue
				}
				w.do("token narrow 11 " + strings.Join(scopes, " "))
				target := strings.NewReplacer("{id}", "11", "{tweet_id}", "101", "{username}", "alice").Replace(pattern)
				resp, body := w.request("narrow", method, target, nil)
				if resp.StatusCode == 401 || resp.StatusCode == 403 && !strings.Contains(body, "not authorized") {
					t.Errorf("%s %s with %v: %d %s", method, target, scopes, resp.StatusCode, body)
				}
			}
		}
	}
}
