package api_test

import (
	"encoding/json"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
)

// X's answers are not what X's published document says in a few places, each of which somebody has captured. Before an
// answer is held to the document, it is put into the document's words; what is not in these tables must agree, and no
// member of an answer may be one that the document does not have.
var (
	// The document has the newer words alone. Answers have the older ones unless the request spells them anew, and
	// tweet_count of a user has never changed.
	documentWords = map[string]string{
		"edit_history_tweet_ids": "edit_history_post_ids",
		"referenced_tweets":      "referenced_posts",
		"retweet_count":          "repost_count",
		"tweet_count":            "post_count",
		"tweets":                 "posts",
		"pinned_tweet_id":        "pinned_post_id",
		"most_recent_tweet_id":   "most_recent_post_id",
	}
	// Problems that the document does not list, although X sends them: what a gateway, a limit or a rule of X's refuses.
	undocumentedProblems = []string{"about:blank", "client-forbidden", "oauth1-permissions", "unsupported-authentication",
		"streaming-connection", "operational-disconnect"}
	// Members of problems that the document does not have.
	undocumentedMembers = map[string][]string{
		"invalid-request":             {"errors"}, // each fault with its parameter: what clients read
		"not-authorized-for-field":    nil,
		"not-authorized-for-resource": nil,
		"resource-not-found":          nil,
	}
	// Answers that X's guides show with a meta, which the document does not have.
	undocumentedMeta = "/2/activity/subscriptions"
	// Until the summer of 2026 problem types were on another host.
	problemHosts = []string{"https://api.twitter.com/2/problems/", "https://api.x.com/2/problems/"}
)

// The document says that refusals are `{"code":…,"message":…}` if they are application/json, which X has never sent:
// they are problems (RFC 9457), whatever their content type.

var document = sync.OnceValues(func() (*openapi3.T, error) {
	text, err := os.ReadFile("testdata/x-openapi-2.167.json")
	if err != nil {
		return nil, err
	}
	doc, err := openapi3.NewLoader().LoadFromData(text)
	if err != nil {
		return nil, err
	}
	closed := false
	for _, ref := range doc.Components.Schemas {
		closeSchema(ref.Value, &closed, map[*openapi3.Schema]bool{})
	}
	return doc, nil
})

// closeSchema makes objects that list their members have no others.
func closeSchema(s *openapi3.Schema, closed *bool, seen map[*openapi3.Schema]bool) {
	if s == nil || seen[s] {
		return
	}
	seen[s] = true
	if len(s.Properties) > 0 {
		s.AdditionalProperties.Has = closed
	}
	for _, ref := range s.Properties {
		closeSchema(ref.Value, closed, seen)
	}
	if s.Items != nil {
		closeSchema(s.Items.Value, closed, seen)
	}
}

// agrees holds an answer to X's published document.
func agrees(t *testing.T, method, target string, resp *http.Response, body string) {
	t.Helper()
	if err := disagreement(method, target, resp, body); err != "" {
		t.Errorf("%s %s: %d %s\nis not what X's document says: %s", method, target, resp.StatusCode, body, err)
	}
}

func disagreement(method, target string, resp *http.Response, body string) string {
	doc, err := document()
	if err != nil {
		return err.Error()
	}
	path, _, _ := strings.Cut(target, "?")
	op := operation(doc, method, path)
	if body == "" { // an unknown path, or HEAD
		if op != nil {
			return "no body"
		}
		return ""
	}
	if resp.Header.Get("Content-Encoding") != "" {
		return ""
	}
	var v any
	if err := json.Unmarshal([]byte(body), &v); err != nil {
		return err.Error()
	}
	if resp.StatusCode >= 400 {
		members, ok := v.(map[string]any)
		if !ok {
			return "not a problem"
		}
		return problemDisagrees(doc, members)
	}
	if op == nil {
		return "a path or a method that the document does not have"
	}
	answer := op.Responses.Status(resp.StatusCode)
	if answer == nil {
		return "a status that the document does not have"
	}
	members, ok := inDocumentWords(v).(map[string]any)
	if !ok {
		return "not an object"
	}
	errors, _ := members["errors"].([]any)
	if strings.HasPrefix(path, undocumentedMeta) {
		delete(members, "meta")
	}
	delete(members, "errors") // the document's discriminator does not know which host the types are on
	for _, e := range errors {
		problem, ok := e.(map[string]any)
		if !ok {
			return "errors are not objects"
		}
		if d := problemDisagrees(doc, problem); d != "" {
			return d
		}
	}
	if err := answer.Value.Content["application/json"].Schema.Value.VisitJSON(members, openapi3.MultiErrors()); err != nil {
		return err.Error()
	}
	return ""
}

func problemDisagrees(doc *openapi3.T, members map[string]any) string {
	for _, name := range []string{"type", "title", "detail"} {
		if s, _ := members[name].(string); s == "" {
			return "a problem without " + name
		}
	}
	kind := members["type"].(string)
	for _, host := range problemHosts {
		kind = strings.TrimPrefix(kind, host)
	}
	if slices.Contains(undocumentedProblems, kind) {
		return ""
	}
	extra, ok := undocumentedMembers[kind]
	ref, documented := doc.Components.Schemas["Problem"].Value.Discriminator.Mapping["https://api.x.com/2/problems/"+kind]
	if !ok || !documented {
		return "unknown problem " + kind
	}
	members["type"] = "https://api.x.com/2/problems/" + kind
	for _, name := range extra {
		delete(members, name)
	}
	problem := doc.Components.Schemas[strings.TrimPrefix(ref.Ref, "#/components/schemas/")].Value
	if err := problem.VisitJSON(members, openapi3.MultiErrors()); err != nil {
		return err.Error()
	}
	return ""
}

// inDocumentWords renames members everywhere.
func inDocumentWords(v any) any {
	switch v := v.(type) {
	case []any:
		for i := range v {
			v[i] = inDocumentWords(v[i])
		}
	case map[string]any:
		for older, newer := range documentWords {
			if value, ok := v[older]; ok {
				delete(v, older)
				v[newer] = value
			}
		}
		for name := range v {
			v[name] = inDocumentWords(v[name])
		}
	}
	return v
}

// operation finds what the path and the method are in the document; a literal segment goes before a wildcard.
func operation(doc *openapi3.T, method, path string) (found *openapi3.Operation) {
	segments := strings.Split(path, "/")
	for pattern, item := range doc.Paths.Map() {
		op := item.Operations()[method]
		p := strings.Split(pattern, "/")
		if op == nil || !slices.EqualFunc(p, segments, func(p, s string) bool { return p == s || strings.HasPrefix(p, "{") && s != "" }) {
			continue
		}
		if found == nil || !strings.Contains(pattern, "{") {
			found = op
		}
	}
	return found
}

// TestDocumentRefuses proves that answers can disagree.
func TestDocumentRefuses(t *testing.T) {
	for _, test := range []struct {
		name, target string
		status       int
		body         string
	}{
		{"unknown member of a post", "/2/tweets/1", 200, `{"data":{"id":"1","text":"x","favourites":1}}`},
		{"a number for an id", "/2/tweets/1", 200, `{"data":{"id":1,"text":"x"}}`},
		{"metrics without one", "/2/tweets/1", 200, `{"data":{"id":"1","text":"x","public_metrics":{"like_count":1}}}`},
		{"unknown member of the envelope", "/2/tweets/1", 200, `{"data":{"id":"1","text":"x"},"status":200}`},
		{"meta where there is none", "/2/users?ids=1", 200, `{"meta":{"result_count":0}}`},
		{"an object for a list", "/2/users/1/liked_tweets", 200, `{"data":{"id":"1","text":"x"}}`},
		{"a partial error without a title", "/2/tweets/1", 200,
			`{"errors":[{"type":"https://api.x.com/2/problems/resource-not-found","detail":"x","resource_type":"tweet"}]}`},
		{"a partial error without a resource type", "/2/tweets/1", 200,
			`{"errors":[{"type":"https://api.x.com/2/problems/resource-not-found","detail":"x","title":"x"}]}`},
		{"an unknown problem", "/2/tweets/1", 400, `{"title":"x","detail":"x","type":"https://api.x.com/2/problems/nope"}`},
		{"a problem of another host", "/2/tweets/1", 400, `{"title":"x","detail":"x","type":"https://example.com/invalid-request"}`},
		{"X's documented error, which X does not send", "/2/tweets/1", 400, `{"code":1,"message":"x"}`},
		{"an unknown path", "/2/nope", 200, `{}`},
		{"an unknown status", "/2/tweets/1", 201, `{}`},
	} {
		resp := &http.Response{StatusCode: test.status, Header: http.Header{}}
		if disagreement("GET", test.target, resp, test.body) == "" {
			t.Errorf("%s: %s passes for an answer to %s", test.name, test.body, test.target)
		}
	}
}
