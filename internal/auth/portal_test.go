package auth_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"

	"liked"
)

func TestConnectedApps(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	ada, bob := s.browser(), s.browser()
	ada.signIn(t, "ada")
	bob.signIn(t, "bob")
	const path = "/settings/connected_apps"
	one := s.tokens(t, s.redeem(t, s.conf, ada.code(t, s.conf)))
	two := s.tokens(t, s.redeem(t, s.conf, ada.code(t, s.conf)))
	v := s.threeLegs(t, ada, s.conf)
	phone := s.tokens(t, s.redeem(t, s.public, ada.code(t, s.public)))
	bobs := s.tokens(t, s.redeem(t, s.conf, bob.code(t, s.conf)))
	page := ada.get(t, path)
	if n := strings.Count(page.body, "Shop"); page.status != 200 || n == 0 || !strings.Contains(page.body, "Phone") || strings.Contains(page.body, "Other") {
		t.Fatalf("%d: %s", page.status, page.body)
	}
	form := page.form()
	if r := bob.post(t, path, with(bob.get(t, path).form(), "app", s.public.ID.String())); r.status != 200 || !s.works(phone.AccessToken) {
		t.Errorf("bob revoked what ada gave: %d", r.status)
	}
	if r := bob.post(t, path, with(form, "app", s.conf.ID.String())); r.status != 403 || !s.works(one.AccessToken) {
		t.Errorf("with ada's form: %d", r.status)
	}
	if r := ada.post(t, path, with(form, "app", "x")); r.status != 400 {
		t.Errorf("no id: %d", r.status)
	}
	r := ada.post(t, path, with(form, "app", s.conf.ID.String()))
	if r.status != 200 || !strings.Contains(r.body, "no longer has access") || strings.Contains(r.body, "Shop") {
		t.Errorf("revoked: %d", r.status)
	}
	if s.works(one.AccessToken) || s.works(two.AccessToken) || s.refresh(t, s.conf, one.RefreshToken).status == 200 {
		t.Error("an OAuth 2.0 token outlived it")
	}
	if _, err := s.auth.Authenticate(s.signed(s.conf, v.Get("oauth_token"), v.Get("oauth_token_secret")).request(t, "GET", s.url+"/2/users/me")); err == nil {
		t.Error("the OAuth 1.0a token outlived it")
	}
	if !s.works(phone.AccessToken) || !s.works(bobs.AccessToken) {
		t.Error("it ended what it should not")
	}
}

var secretValues = regexp.MustCompile(`[A-Za-z0-9_%+=-]{40,}`)

func TestDeveloperPortal(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	ada, bob := s.browser(), s.browser()
	ada.signIn(t, "ada")
	bob.signIn(t, "bob")
	fields := func(members ...string) url.Values {
		return with(with(ada.get(t, "/developer").form(), "name", "My bot", "type", "confidential", "access", "read-write",
			"redirect_uris", "http://127.0.0.1:9/cb\r\nmybot:back\r\n"), members...)
	}
	for name, tt := range map[string]struct{ change, want []string }{
		"no name":          {[]string{"name", " "}, []string{"the name has 0 characters"}},
		"no type":          {[]string{"type", ""}, []string{"Choose a type."}},
		"no access":        {[]string{"access", "all"}, []string{"Choose a permission."}},
		"forbidden scheme": {[]string{"redirect_uris", "javascript:alert(1)\nJavaScript:alert(2) data:x\nmailto:x"}, []string{"scheme javascript", "scheme data", "scheme mailto"}},
		"no URIs":          {[]string{"redirect_uris", "/callback http://a/#b https:// http://a@b/"}, []string{"no scheme", "fragment", "no host", "user name"}},
		"too many":         {[]string{"redirect_uris", strings.Repeat("a:b ", 11)}, []string{"11 redirect URIs"}},
	} {
		r := ada.post(t, "/developer", fields(tt.change...))
		for _, want := range tt.want {
			if r.status != 422 || !strings.Contains(r.body, want) {
				t.Errorf("%s: %d, without %q", name, r.status, want)
			}
		}
	}
	made := ada.post(t, "/developer", fields())
	apps, err := s.store.Apps(t.Context())
	check(t, err)
	app := apps[len(apps)-1]
	for _, a := range apps {
		if a.Owner == s.ada.ID {
			app = a
		}
	}
	if made.status != 200 || app.Name != "My bot" || app.Public || app.Access != liked.ReadWrite || len(app.RedirectURIs) != 2 || app.RedirectURIs[1] != "mybot:back" {
		t.Fatalf("%d, app %+v", made.status, app)
	}
	secrets := secretsOf(made.body)
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
			r := ada.get(t, p)
			for _, secret := range secrets {
				if r.status != 200 || strings.Contains(r.body, secret) {
					t.Errorf("%s: %s is %d, or shows a secret again", when, p, r.status)
				}
			}
		}
	}
	hidden("later")

	// Somebody else's app is as good as none, whatever one tries.
	if r := bob.get(t, path); r.status != 404 {
		t.Errorf("bob sees it: %d", r.status)
	}
	if r := ada.get(t, "/developer/apps/999"); r.status != 404 {
		t.Errorf("an app that there is not: %d", r.status)
	}
	bobs := bob.get(t, "/developer").form()
	for _, action := range [][]string{{"action", "save", "name", "Stolen", "access", "read"}, {"action", "regenerate", "what", "client_secret"}, {"action", "token", "kind", "oauth2"}} {
		if r := bob.post(t, path, with(bobs, action...)); r.status != 404 {
			t.Errorf("bob: %v: %d", action, r.status)
		}
	}

	act := func(members ...string) reply { return ada.post(t, path, with(ada.get(t, path).form(), members...)) }
	if r := act("action", "save", "name", "My other bot", "access", "read", "redirect_uris", "mybot:back"); r.status != 200 || !strings.Contains(r.body, "My other bot") {
		t.Errorf("save: %d", r.status)
	}
	if r := act("action", "save", "name", "x", "access", "read", "redirect_uris", "ftp://x"); r.status != 422 || !strings.Contains(r.body, "scheme ftp") {
		t.Errorf("save what cannot be: %d", r.status)
	}
	if r := act("action", "dance"); r.status != 400 {
		t.Errorf("an unknown action: %d", r.status)
	}
	if r := act("action", "regenerate", "what", "everything"); r.status != 400 {
		t.Errorf("regenerate an unknown thing: %d", r.status)
	}
	before, err := s.store.App(t.Context(), app.ID)
	check(t, err)
	if before.Name != "My other bot" || before.Access != liked.ReadOnly || len(before.RedirectURIs) != 1 {
		t.Errorf("saved %+v", before)
	}
	for _, what := range []string{"client_secret", "api_keys", "bearer_token"} {
		r := act("action", "regenerate", "what", what)
		fresh := secretsOf(r.body)
		if r.status != 200 || len(fresh) == 0 {
			t.Errorf("regenerate %s: %d, %q", what, r.status, fresh)
		}
		for _, secret := range fresh {
			secrets = append(secrets, s.secret(secret))
		}
		after, err := s.store.App(t.Context(), app.ID)
		check(t, err)
		if (before.ClientSecretHash != after.ClientSecretHash) != (what == "client_secret") || (before.APIKey != after.APIKey) != (what == "api_keys") ||
			(before.BearerHash != after.BearerHash) != (what == "bearer_token") || before.ClientID != after.ClientID {
			t.Errorf("regenerate %s changed the wrong thing", what)
		}
		before = after
	}
	for _, kind := range []string{"oauth2", "oauth1"} {
		r := act("action", "token", "kind", kind)
		fresh := secretsOf(r.body)
		if r.status != 200 || len(fresh) < 2 {
			t.Fatalf("token %s: %d, %q", kind, r.status, fresh)
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
	if r := act("action", "token", "kind", "x"); r.status != 400 {
		t.Errorf("a token of an unknown kind: %d", r.status)
	}
	hidden("after all that")
	for i := range 24 {
		if r := ada.post(t, "/developer", fields("name", fmt.Sprint("bot ", i), "type", "public")); r.status != 200 {
			t.Fatalf("app %d: %d", i+2, r.status)
		}
	}
	if r := ada.post(t, "/developer", fields()); r.status != 422 {
		t.Errorf("the 26th app: %d", r.status)
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

// An app made on the portal works, with the secrets that were shown.
func TestPortalAppWorks(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	b := s.browser()
	b.signIn(t, "ada")
	page := b.get(t, "/developer")
	made := b.post(t, "/developer", with(page.form(), "name", "My phone", "type", "public", "access", "read-write", "redirect_uris", callback))
	apps, err := s.store.Apps(t.Context())
	check(t, err)
	for _, app := range apps {
		if app.Owner != s.ada.ID {
			continue
		}
		if !app.Public || made.status != 200 {
			t.Fatalf("%d, %+v", made.status, app)
		}
		r := newRequest(t, "POST", s.url+"/2/oauth2/token", url.Values{"grant_type": {"authorization_code"}, "client_id": {app.ClientID},
			"code": {b.code(t, app)}, "redirect_uri": {callback}, "code_verifier": {verifier}}.Encode())
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		got := s.tokens(t, s.send(t, r))
		if !s.works(got.AccessToken) {
			t.Error("its token does not work")
		}
		return
	}
	t.Fatal("there is no app")
}

// What people and apps call themselves is text on every page.
func TestNamesAreText(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	const evil = `<img src=x onerror=alert(1)>"'&`
	check(t, s.store.UpdateApp(t.Context(), s.conf.ID, func(a *liked.App) error { a.Name = evil; return nil }))
	check(t, s.store.UpdateUser(t.Context(), s.bob.ID, func(u *liked.User) error { u.Name = evil; return nil }))
	b := s.browser()
	link := authorizePath + "?" + s.ask(s.conf).Encode()
	pages := []reply{b.get(t, link)}
	b.signIn(t, "bob")
	s.redeem(t, s.conf, b.code(t, s.conf))
	token, _ := s.begin(t, s.conf, callback)
	pages = append(pages, b.get(t, link), b.get(t, "/developer"), b.get(t, "/developer/apps/1"), b.get(t, "/settings/connected_apps"),
		b.get(t, "/oauth/authorize?oauth_token="+token), b.consent(t, "/oauth/authorize?oauth_token="+token, "deny"))
	for i, r := range pages {
		if strings.Contains(r.body, "<img src=x") || r.status != 200 {
			t.Errorf("page %d: %d, or a name is markup", i, r.status)
		}
	}
	var m map[string]any
	if r := b.get(t, authorizePath+"?"+s.ask(s.conf, "scope", `"><script>`).Encode()); strings.Contains(r.body, "<script>") || json.Unmarshal([]byte(r.body), &m) == nil {
		t.Error("a scope is markup")
	}
}

// TestPortalWebhooks goes through what an owner can do about webhooks, with an endpoint that answers as X's guide shows.
func TestPortalWebhooks(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	secret := s.confKeys.APISecret
	var wrong atomic.Bool
	endpoint := newServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write([]byte(r.URL.Query().Get("crc_token")))
		if wrong.Load() {
			mac.Write([]byte("x"))
		}
		fmt.Fprintf(w, `{"response_token":"sha256=%s"}`, base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	}))
	b := s.browser()
	b.signIn(t, "bob")
	path := "/developer/apps/" + s.conf.ID.String()
	do := func(status int, want string, pairs ...string) {
		t.Helper()
		form := b.get(t, path).form()
		r := b.post(t, path, with(form, append([]string{"action", "webhook"}, pairs...)...))
		if r.status != status || !strings.Contains(html.UnescapeString(r.body), want) {
			t.Errorf("%v: got %d, want %d and %q in\n%s", pairs, r.status, status, want, r.body)
		}
		if strings.Contains(r.body, secret) {
			t.Errorf("%v: the page shows the API secret", pairs)
		}
	}
	do(422, "must be absolute", "do", "add", "url", "nowhere")
	wrong.Store(true)
	do(422, "Invalid `response_token`", "do", "add", "url", endpoint+"/in")
	wrong.Store(false)
	do(200, "The webhook is registered.", "do", "add", "url", endpoint+"/in")
	do(422, "has a webhook with this URL", "do", "add", "url", endpoint+"/in")
	id := regexp.MustCompile(`name="webhook" value="(\d+)"`).FindStringSubmatch(b.get(t, path).body)[1]
	wrong.Store(true)
	do(422, "Not valid: it gets nothing until it is validated", "do", "validate", "webhook", id)
	do(422, "failed its challenge", "do", "replay", "webhook", id)
	wrong.Store(false)
	do(200, "The webhook is valid.", "do", "validate", "webhook", id)
	do(200, "is delivered again", "do", "replay", "webhook", id)
	do(422, "no such webhook", "do", "remove", "webhook", "7")
	do(400, "", "do", "remove", "webhook", "x")
	do(400, "", "do", "nothing", "webhook", id)
	do(200, "The webhook is removed.", "do", "remove", "webhook", id)
	if body := b.get(t, path).body; !strings.Contains(body, "There are none yet.") {
		t.Errorf("the webhook is still there:\n%s", body)
	}
}
