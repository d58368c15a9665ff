package portal_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"html"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"

	"liked"
)

var secretValues = regexp.MustCompile(`[A-Za-z0-9_%+=-]{40,}`)

func TestDeveloperPortal(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	ada, bob := s.browser(), s.browser()
	ada.signIn(t, "ada")
	bob.signIn(t, "bob")
	fields := func(members ...string) url.Values {
		return with(with(ada.Get(t, "/developer").Form(), "name", "My bot", "type", "confidential", "access", "read-write",
			"redirect_uris", "http://127.0.0.1:9/cb\r\nmybot://back\r\n"), members...)
	}
	for name, tt := range map[string]struct{ change, want []string }{
		"no name":   {[]string{"name", " "}, []string{"Enter a name"}},
		"no type":   {[]string{"type", ""}, []string{"Choose a type"}},
		"no access": {[]string{"access", "all"}, []string{"Choose a permission"}},
		"forbidden scheme": {[]string{"redirect_uris", "javascript:alert(1)\r\nJavaScript:alert(2)\n\n data:x \nmailto:x"},
			[]string{"Callback 1, ", "scheme javascript", "Callback 2, ", "Callback 3, ", "scheme data", "Callback 4, ", "scheme mailto"}},
		"no URIs": {[]string{"redirect_uris", "/callback\nhttp://a/#b\nhttps://\nhttp://a@b/"},
			[]string{"begin with https:// or with your app's own scheme", "fragment", "name a host", "user name"}},
		"three words": {[]string{"redirect_uris", "https://a/b\nmybot://back\nnot a url"},
			[]string{`Callback 3, "not a url": begin with https:// or with your app's own scheme`}},
		"hosts with ports": {[]string{"redirect_uris", "localhost:3000/cb\n127.0.0.1:3000"},
			[]string{`Callback 1, "localhost:3000/cb": begin with http:// or https://`, `Callback 2, "127.0.0.1:3000": begin with http://`}},
		"too many": {[]string{"redirect_uris", strings.Repeat("a.b:c\n", 11)}, []string{"There are 11 callbacks"}},
	} {
		r := ada.Post(t, "/developer", fields(tt.change...))
		body := html.UnescapeString(r.Body)
		for _, want := range tt.want {
			if r.Status != 422 || !strings.Contains(body, want) {
				t.Errorf("%s: %d, without %q", name, r.Status, want)
			}
		}
		for _, line := range strings.Split(tt.change[1], "\n") { // nothing that was typed is lost, and each mistake is one
			if line = strings.TrimSpace(line); !strings.Contains(body, line) {
				t.Errorf("%s: %q is no longer in the form", name, line)
			}
		}
		problems := strings.Count(r.Body, `<li><a href="#`)
		if want := max(1, strings.Count(strings.Join(tt.want, " "), "Callback ")); name != "no URIs" && problems != want {
			t.Errorf("%s: %d mistakes, want %d", name, problems, want)
		}
	}
	made := ada.act(t, "/developer", fields())
	apps, err := s.store.Apps(t.Context())
	check(t, err)
	app := apps[len(apps)-1]
	for _, a := range apps {
		if a.Owner == s.ada.ID {
			app = a
		}
	}
	if made.Status != 200 || app.Name != "My bot" || app.Public || app.Access != liked.ReadWrite || len(app.RedirectURIs) != 2 ||
		app.RedirectURIs[1] != "mybot://back" {
		t.Fatalf("%d, app %+v", made.Status, app)
	}
	secrets := secretsOf(made.Body)
	if len(secrets) < 3 {
		t.Fatalf("secrets %q", secrets)
	}
	for _, secret := range secrets {
		s.secret(secret)
	}
	path := "/developer/apps/" + app.ID.String()
	hidden := func(when string) {
		t.Helper()
		for _, p := range []string{path, "/developer"} {
			r := ada.Get(t, p)
			for _, secret := range secrets {
				if r.Status != 200 || strings.Contains(r.Body, secret) {
					t.Errorf("%s: %s is %d, or shows a secret again", when, p, r.Status)
				}
			}
		}
	}
	hidden("later")

	// Somebody else's app is as good as none, whatever one tries.
	if r := bob.Get(t, path); r.Status != 404 {
		t.Errorf("bob sees it: %d", r.Status)
	}
	if r := ada.Get(t, "/developer/apps/999"); r.Status != 404 {
		t.Errorf("an app that there is not: %d", r.Status)
	}
	for _, what := range []string{"client_secret", "api_keys", "bearer_token", "delete", "webhook"} {
		if r := bob.Get(t, path+"?confirm="+what); r.Status != 404 {
			t.Errorf("bob is asked about %s: %d", what, r.Status)
		}
	}
	bobs := bob.Get(t, "/developer").Form()
	for _, action := range [][]string{{"action", "save", "name", "Stolen", "access", "read"},
		{"action", "regenerate", "what", "client_secret"}, {"action", "token", "kind", "oauth2", "scope:like.read", "on"}, {"action", "delete"},
		{"action", "offer", "username", "bob"}, {"action", "undo", "undo", "x"}} {
		if r := bob.Post(t, path, with(bobs, action...)); r.Status != 404 {
			t.Errorf("bob: %v: %d", action, r.Status)
		}
	}

	act := func(members ...string) reply {
		return ada.act(t, path, with(ada.Get(t, path).Form(), members...))
	}
	if r := act("action", "save", "name", "My other bot", "access", "read", "redirect_uris", "mybot://back"); r.Status != 200 ||
		!strings.Contains(r.Body, "My other bot") {
		t.Errorf("save: %d", r.Status)
	}
	if r := act("action", "save", "name", "x", "access", "read", "redirect_uris", "ftp://x"); r.Status != 422 ||
		!strings.Contains(r.Body, "scheme ftp") {
		t.Errorf("save what cannot be: %d", r.Status)
	}
	if r := act("action", "dance"); r.Status != 400 {
		t.Errorf("an unknown action: %d", r.Status)
	}
	if r := act("action", "regenerate", "what", "everything"); r.Status != 400 {
		t.Errorf("regenerate an unknown thing: %d", r.Status)
	}
	before, err := s.store.App(t.Context(), app.ID)
	check(t, err)
	if before.Name != "My other bot" || before.Access != liked.ReadOnly || len(before.RedirectURIs) != 1 {
		t.Errorf("saved %+v", before)
	}
	for _, what := range []string{"client_secret", "api_keys", "bearer_token"} {
		r := act("action", "regenerate", "what", what)
		fresh := secretsOf(r.Body)
		if r.Status != 200 || len(fresh) == 0 {
			t.Errorf("regenerate %s: %d, %q", what, r.Status, fresh)
		}
		for _, secret := range fresh {
			secrets = append(secrets, s.secret(secret))
		}
		after, err := s.store.App(t.Context(), app.ID)
		check(t, err)
		if (before.ClientSecretHash != after.ClientSecretHash) != (what == "client_secret") ||
			(before.APIKey != after.APIKey) != (what == "api_keys") ||
			(before.BearerHash != after.BearerHash) != (what == "bearer_token") || before.ClientID != after.ClientID {
			t.Errorf("regenerate %s changed the wrong thing", what)
		}
		before = after
	}
	for _, kind := range []string{"oauth2", "oauth1"} {
		r := act("action", "token", "kind", kind, "scope:like.read", "on", "scope:offline.access", "on")
		fresh := secretsOf(r.Body)
		if r.Status != 200 || len(fresh) < 2 {
			t.Fatalf("token %s: %d, %q", kind, r.Status, fresh)
		}
		for _, secret := range fresh {
			secrets = append(secrets, s.secret(secret))
		}
		works := false
		for _, secret := range fresh {
			works = works || s.works(secret) || strings.HasPrefix(secret, "11-")
		}
		if !works {
			t.Errorf("token %s: none of %q is one", kind, fresh)
		}
	}
	if r := act("action", "token", "kind", "oauth2", "scope:offline.access", "on"); r.Status != 422 ||
		!strings.Contains(r.Body, "Choose what the token may do") {
		t.Errorf("a token for nothing: %d", r.Status)
	}
	if r := act("action", "token", "kind", "x"); r.Status != 400 {
		t.Errorf("a token of an unknown kind: %d", r.Status)
	}
	hidden("after all that")
	for i := range 24 {
		if r := ada.Post(t, "/developer", fields("name", fmt.Sprint("bot ", i), "type", "public")); r.Status != 303 {
			t.Fatalf("app %d: %d", i+2, r.Status)
		}
	}
	if r := ada.Get(t, "/developer"); !strings.Contains(r.Body, "You have 25 apps") || strings.Contains(r.Body, `name="redirect_uris"`) {
		t.Error("the page does not say before that there can be no more apps")
	}
	if r := ada.Post(t, "/developer", fields()); r.Status != 422 || !strings.Contains(r.Body, "You have 25 apps, as many as") {
		t.Errorf("the 26th app: %d", r.Status)
	}
	found := func(q string) int {
		return strings.Count(ada.Get(t, "/developer?q="+url.QueryEscape(q)).Body, `<a href="/developer/apps/`)
	}
	for q, want := range map[string]int{"": 25, "BOT 7": 1, " bot 2 ": 5,
		before.ClientID: 1, app.ID.String(): 1, "Shop": 0, s.app.ClientID: 0} {
		if got := found(q); got != want {
			t.Errorf("search for %q: %d apps, want %d", q, got, want)
		}
	}
	if ask := ada.Get(t, path+"?confirm=delete"); !strings.Contains(ask.Body, "Delete My other bot?") ||
		strings.Contains(ask.Body, "<strong>Reset</strong>") {
		t.Errorf("asked: %d", ask.Status)
	} else if r := ada.act(t, path, ask.Form()); r.Status != 200 || !strings.Contains(r.Body, "My other bot is deleted") ||
		!strings.Contains(r.Body, "You have 24 of at most 25") {
		t.Errorf("deleted: %d", r.Status)
	}
	if r := ada.Get(t, path); r.Status != 404 {
		t.Errorf("the deleted app: %d", r.Status)
	}
}

// secretsOf returns what a page shows that is as long as a secret, but for its hidden fields and its style.
func secretsOf(body string) (list []string) {
	_, body, _ = strings.Cut(body, "</head>")
	var hidden []string
	for _, tag := range inputs.FindAllString(body, -1) {
		if strings.Contains(tag, `type="hidden"`) {
			hidden = append(hidden, tag)
		}
	}
	for _, tag := range hidden {
		body = strings.ReplaceAll(body, tag, "")
	}
	return append(list, secretValues.FindAllString(strings.ReplaceAll(body, "&#43;", "+"), -1)...)
}

// TestPortalWebhooks goes through what an owner can do about webhooks, with an endpoint that answers as X's guide shows.
func TestPortalWebhooks(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	secret := s.keys.APISecret
	var wrong atomic.Bool
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write([]byte(r.URL.Query().Get("crc_token")))
		if wrong.Load() {
			mac.Write([]byte("x"))
		}
		fmt.Fprintf(w, `{"response_token":"sha256=%s"}`, base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	}))
	t.Cleanup(server.Close)
	endpoint := server.URL
	b := s.browser()
	b.signIn(t, "bob")
	path := "/developer/apps/" + s.app.ID.String()
	do := func(status int, want string, pairs ...string) {
		t.Helper()
		form := b.Get(t, path).Form()
		r := b.act(t, path, with(form, append([]string{"action", "webhook"}, pairs...)...))
		if r.Status != status || !strings.Contains(html.UnescapeString(r.Body), want) {
			t.Errorf("%v: got %d, want %d and %q in\n%s", pairs, r.Status, status, want, r.Body)
		}
		if strings.Contains(r.Body, secret) {
			t.Errorf("%v: the page shows the API secret", pairs)
		}
	}
	do(422, "must begin with https:// or http:// and a host", "do", "add", "url", "nowhere")
	closed := httptest.NewServer(nil)
	closed.Close()
	do(422, "Nothing answers at "+strings.TrimPrefix(closed.URL, "http://")+". Is your receiver running?",
		"do", "add", "url", closed.URL+"/in")
	wrong.Store(true)
	do(422, "Invalid `response_token`", "do", "add", "url", endpoint+"/in")
	wrong.Store(false)
	do(200, "The webhook is registered.", "do", "add", "url", endpoint+"/in")
	do(422, "This app has that webhook already", "do", "add", "url", endpoint+"/in")
	id := regexp.MustCompile(`name="webhook" value="(\d+)"`).FindStringSubmatch(b.Get(t, path).Body)[1]
	wrong.Store(true)
	do(422, "Not valid: it gets nothing until it is validated", "do", "validate", "webhook", id)
	do(422, "failed its challenge", "do", "replay", "webhook", id)
	wrong.Store(false)
	do(200, "The webhook is valid.", "do", "validate", "webhook", id)
	do(200, "is delivered again", "do", "replay", "webhook", id)
	do(422, "no such webhook", "do", "remove", "webhook", "7")
	for query, want := range map[string]string{"webhook&webhook=" + id: "Remove the webhook " + endpoint + "/in?",
		"webhook&webhook=7": "no such webhook", "api_keys": endpoint + "/in", "delete": "Its webhook and all subscriptions are gone"} {
		if r := b.Get(t, path+"?confirm="+query); !strings.Contains(r.Body, want) {
			t.Errorf("confirm=%s: %d, without %q", query, r.Status, want)
		}
	}
	do(400, "", "do", "remove", "webhook", "x")
	do(400, "", "do", "nothing", "webhook", id)
	do(200, "The webhook is removed.", "do", "remove", "webhook", id)
	if body := b.Get(t, path).Body; !strings.Contains(body, "There are none yet.") {
		t.Errorf("the webhook is still there:\n%s", body)
	}
}
