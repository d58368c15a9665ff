package admin_test

import (
	"encoding/json"
	"maps"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// Whatever stands in a field, it is taken or refused by a client's error: a fault of the server is for what the server does wrong.
func TestNoFieldIsAFault(t *testing.T) {
	t.Parallel()
	srv := newServer(t)
	bob, app := srv.Users["bob"].ID.String(), srv.Apps[0].ClientID // which no request changes
	bad := []any{
		nil, true, 1, -1, 1.5, 1e300, []any{}, []any{nil}, []any{""}, map[string]any{}, map[string]any{"a": 1},
		"", " ", "\x00", "a\x00b", "\u0001", "\ufeff", "\ufffd", "a\u202eb", strings.Repeat("x", 2000), strings.Repeat("é", 60_000),
		"0", "-1", "00", "9223372036854775807", "9223372036854775808", "18446744073709551615", strings.Repeat("9", 400), "1e3", "0x10", "@", "@@",
		"0000-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "2024-02-30T00:00:00Z", "1677-01-01T00:00:00Z", "2024-01-01T00:00:00+99:99",
		"javascript:x", "http://[::1", "https://\x00/", []any{"a:\x00"}, []any{strings.Repeat("a:", 1100)},
		json.RawMessage("\"\xff\xfe\""), json.RawMessage(`"\ud800"`), json.RawMessage(strings.Repeat("9", 400)),
	}
	requests := 0
	try := func(method, path, body string) {
		t.Helper()
		requests++
		if status, text := call(t, srv, method, path, body); status >= 500 {
			t.Errorf("%s %.80q %.120q: got %d %.200s", method, path, body, status, text)
		}
	}
	for _, endpoint := range []struct {
		method, path string
		body         map[string]any // that could be right
		fields       string         // others
	}{
		{"POST", "/admin/users", map[string]any{"username": "u"}, `id name created_at password state protected verified description location
			url profile_image_url`},
		{"PATCH", "/admin/users/" + bob, nil, `username name pinned_post_id password state protected verified description location url
			profile_image_url`},
		{"POST", "/admin/posts", map[string]any{"author": bob, "text": "x"}, "id created_at repost_of in_reply_to quotes"},
		{"POST", "/admin/apps", map[string]any{"name": "a"}, "type state tier access redirect_uris"},
		{"PATCH", "/admin/apps/" + app, nil, "name state tier access redirect_uris"},
		{"POST", "/admin/apps/" + app + "/secrets", map[string]any{"what": "client_secret"}, ""},
		{"POST", "/admin/tokens", map[string]any{"kind": "user", "app": app, "user": bob}, "scopes lifetime_seconds access"},
		{"POST", "/admin/tokens", map[string]any{"kind": "oauth1", "app": app, "user": bob}, "access"},
		{"POST", "/admin/tokens/revoke", map[string]any{"token": "x"}, ""},
		{"POST", "/admin/webhooks", map[string]any{"app": app, "url": "https://127.0.0.1/"}, ""},
		{"POST", "/admin/webhooks/1/replay", nil, "from to"},
		{"POST", "/admin/webhooks/1/test", nil, "user post"},
		{"POST", "/admin/webhooks/1/redeliver", map[string]any{"event": "1", "subscription": "1"}, ""},
		{"POST", "/admin/apps/" + app + "/subscriptions", map[string]any{"user": bob}, "direction webhook tag"},
		{"POST", "/admin/backup", nil, "have"},
	} {
		names := append(slices.Collect(maps.Keys(endpoint.body)), strings.Fields(endpoint.fields)...)
		for _, name := range names {
			for _, value := range bad {
				body := map[string]any{}
				maps.Copy(body, endpoint.body)
				body[name] = value
				text, err := json.Marshal(body)
				if raw, ok := value.(json.RawMessage); ok { // not all of which Marshal lets through
					delete(body, name)
					text, err = json.Marshal(body)
					text = []byte(strings.TrimSuffix(string(text), "}") + `,"` + name + `":` + string(raw) + "}")
					text = []byte(strings.Replace(string(text), "{,", "{", 1))
				}
				if err != nil {
					t.Fatal(err)
				}
				try(endpoint.method, endpoint.path, string(text))
			}
		}
	}
	for _, record := range []string{
		`{"type":"user","id":"7","username":"u7","name":"u","created_at":"2020-01-01T00:00:00.000Z"}`,
		`{"type":"post","id":"8","author_id":"` + bob + `","text":"t","created_at":"2020-01-01T00:00:00.000Z","in_reply_to":"1"}`,
		`{"type":"like","user_id":"` + bob + `","post_id":"1","at":"2024-01-01T00:00:00.000Z"}`,
		`{"type":"follow","user_id":"` + bob + `","target_id":"1"}`,
	} {
		var fields map[string]any
		if err := json.Unmarshal([]byte(record), &fields); err != nil {
			t.Fatal(err)
		}
		for name := range fields {
			for _, value := range bad {
				body := maps.Clone(fields)
				body[name] = value
				text, err := json.Marshal(body)
				if err != nil {
					continue // above
				}
				try("POST", "/admin/import?skip_bad=true", string(text))
			}
		}
	}
	// What a path and a query may hold.
	for _, value := range bad {
		text, ok := value.(string)
		if !ok || len(text) == 0 || len(text) > 3000 {
			continue
		}
		for _, text := range []string{url.PathEscape(text), url.PathEscape(text + "\xff")} {
			for _, path := range []string{"GET /admin/users/X", "PATCH /admin/users/X", "PUT /admin/users/alice/following/X",
				"DELETE /admin/users/X/blocking/alice", "GET /admin/posts/X", "DELETE /admin/posts/X", "GET /admin/apps/X", "PATCH /admin/apps/X",
				"POST /admin/apps/X/secrets", "DELETE /admin/webhooks/X", "POST /admin/webhooks/X/validate", "POST /admin/webhooks/X/replay",
				"GET /admin/webhooks/X/dead", "GET /admin/users?after=X", "GET /admin/users?max=X", "GET /admin/webhooks/1/dead?after=X",
				"POST /admin/import?skip_bad=X", "GET /admin/users?X=X"} {
				method, path, _ := strings.Cut(strings.ReplaceAll(path, "X", text), " ")
				try(method, path, "{}")
			}
		}
	}
	if requests < 1000 {
		t.Errorf("got %d requests", requests)
	}
}
