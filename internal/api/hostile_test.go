package api_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"liked/internal/api"
	"liked/internal/exchange"
)

// hostile are strings that something behind the API might not take.
var hostile = []string{
	"", " ", "\x00", "a\x00b", "\xff\xfe", "a\xc3", "\ud7ff\ufffe", "\u202e\u0301", "\U0001f941", "\r\n", `"\`, "%00", "{}", "null", "../..",
	"-1", "0", "+1", "00001", "1e3", "9223372036854775807", "9223372036854775808", strings.Repeat("9", 19), strings.Repeat("9", 40),
	strings.Repeat("x", 5000), strings.Repeat("\u597d", 300),
}

// hostileJSON are strings that Go cannot hold, as JSON text.
var hostileJSON = []string{`"\u0000"`, `"a\ud800"`, `"\udc00\ud800b"`, `"\ud83e\u0000"`, `"` + "\xff" + `"`}

// TestHostileStrings: no string, wherever a request may have one, is answered as if the server were at fault. What requests
// have comes from the description, which is made from the table of routes.
func TestHostileStrings(t *testing.T) {
	t.Parallel()
	for _, profile := range []api.Profile{api.Profile2024, api.Profile2026} {
		w := newWorld(t, func(o *api.Options) {
			o.Profile, o.Limits, o.Observe = profile, api.NoLimits(), func(*http.Request, exchange.Exchange) {}
		})
		for _, line := range []string{"user 11 alice", "user 12 bob", "post 101 11 one", "bearer app", "oauth1 signer 11 read-write"} {
			w.do(line)
		}
		sent := 0
		send := func(credential, method, target, body string) {
			t.Helper()
			var lines []string
			if body != "" {
				lines = []string{body}
			}
			sent++
			if resp, answer := w.request(credential, method, target, lines); resp.StatusCode >= 500 {
				t.Errorf("%v: %s %s %.200q: %d %s", profile, method, target, body, resp.StatusCode, answer)
			}
		}
		for pattern, item := range w.document.Paths.Map() {
			for method, op := range item.Operations() {
				credential := "alice"
				if security := *op.Security; len(security) == 1 && security[0]["BearerToken"] != nil {
					credential = "app"
				}
				// fill returns the target with the value in place of one parameter, and plain ones for those that must be there.
				fill := func(hostile *openapi3.Parameter, value string) string {
					path, query := pattern, url.Values{}
					for _, ref := range op.Parameters {
						p := ref.Value
						v := "11"
						switch {
						case p == hostile:
							v = value
						case !p.Required:
							continue
						case strings.HasPrefix(p.Name, "username"):
							v = "alice"
						case p.Name == "partition":
							v = "1"
						}
						if p.In == "path" {
							path = strings.Replace(path, "{"+p.Name+"}", url.PathEscape(v), 1)
						} else {
							query.Set(p.Name, v)
						}
					}
					return path + "?" + query.Encode()
				}
				streams := strings.HasSuffix(pattern, "/stream")
				for _, ref := range op.Parameters {
					for _, v := range hostile {
						if n, err := strconv.Atoi(v); !streams || err != nil || n > 5 || n < 0 { // else it is right, and a stream does not end
							send(credential, method, fill(ref.Value, v), "")
						}
					}
				}
				if op.RequestBody == nil {
					continue
				}
				media := op.RequestBody.Value.Content["application/json"]
				for _, body := range hostileBodies(t, media.Schema.Value, media.Example) {
					send(credential, method, fill(nil, ""), body)
				}
			}
		}
		for _, name := range []string{
			"id", "user_id", "screen_name", "count", "since_id", "max_id", "tweet_mode", "include_entities", "skip_status",
		} {
			for _, v := range hostile {
				query := "?" + url.Values{name: {v}}.Encode()
				send("signer", "GET", "/1.1/favorites/list.json"+query, "")
				send("signer", "GET", "/1.1/account/verify_credentials.json"+query, "")
				send("signer", "POST", "/1.1/favorites/create.json"+query, "")
				send("signer", "POST", "/1.1/favorites/destroy.json"+query, "")
			}
		}
		if sent < 2000 {
			t.Errorf("%v: only %d requests", profile, sent)
		}
	}
}

// hostileBodies returns the example with each hostile string in place of each member, at any depth.
func hostileBodies(t *testing.T, schema *openapi3.Schema, example any) (bodies []string) {
	t.Helper()
	text := func(v any) string {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	members, _ := example.(map[string]any)
	for _, name := range slices.Sorted(maps.Keys(schema.Properties)) {
		changed := maps.Clone(members)
		if changed == nil {
			changed = map[string]any{}
		}
		with := func(value string) {
			changed[name] = json.RawMessage(`"?"`)
			bodies = append(bodies, strings.Replace(text(changed), `"?"`, value, 1))
		}
		property := schema.Properties[name].Value
		if property.Type.Is("object") {
			for _, inner := range hostileBodies(t, property, members[name]) {
				with(inner)
			}
			continue
		}
		for _, v := range hostile {
			with(text(v))
		}
		for _, v := range hostileJSON {
			with(v)
		}
	}
	return bodies
}
