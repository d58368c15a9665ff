package oauth_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"liked"
	"liked/internal/oauth"
	"liked/internal/store"
)

// Whatever is wrong with an authorize link, the answer is a page and never leads to the redirect URI.
func TestAuthorizeFaults(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	dev := newSite(t, func(o *oauth.Options) { o.Explain = true })
	b, owner := s.browser(), s.browser()
	b.signIn(t, "ada")
	owner.signIn(t, "bob")
	for _, tt := range []struct {
		name   string
		change []string
		why    string
		owner  bool // sees the reason: it is known whose app it is
	}{
		{"no client", []string{"client_id", ""}, "client_id is missing", false},
		{"unknown client", []string{"client_id", "nobody"}, "no app has this client_id", false},
		{"API key", []string{"client_id", "\x00key"}, "it is an API key", false},
		{"no redirect", []string{"redirect_uri", ""}, "redirect_uri is missing", true},
		{"no code", []string{"response_type", "token"}, "response_type is not", true},
		{"no state", []string{"state", ""}, "state is missing", true},
		{"long state", []string{"state", strings.Repeat("é", 501)}, "state has 501 characters; X takes at most 500", true},
		{"no scope", []string{"scope", ""}, "scope is missing", true},
		{"long scope", []string{"scope", strings.Repeat("like.read ", 205)}, "2050 bytes", true},
		{"unknown scope", []string{"scope", "tweet.read like.everything"}, "like.everything", true},
		{"no challenge", []string{"code_challenge", ""}, "code_challenge is missing", true},
		{"long challenge", []string{"code_challenge", strings.Repeat("x", 513)}, "513 bytes", true},
		{"challenge with a NUL", []string{"code_challenge", "x\x00"}, "2 bytes", true},
		{"challenge that is not UTF-8", []string{"code_challenge", "\xff"}, "1 bytes", true},
		{"odd method", []string{"code_challenge_method", "S512"}, "neither S256 nor plain", true},
		{"other port", []string{"redirect_uri", "http://127.0.0.1:3001/callback?own=1"}, "redirect_uri is not registered", true},
		{"slash", []string{"redirect_uri", "http://localhost:3000/callback/"}, "redirect_uri is not registered", true},
		{"query", []string{"redirect_uri", "http://localhost:3000/callback?x=1"}, "redirect_uri is not registered", true},
		{"prefix", []string{"redirect_uri", "http://localhost:3000"}, "redirect_uri is not registered", true},
		{"case", []string{"redirect_uri", "http://LOCALHOST:3000/callback"}, "redirect_uri is not registered", true},
		{"user", []string{"redirect_uri", "http://localhost:3000@evil.example/callback"}, "redirect_uri is not registered", true},
		{"elsewhere", []string{"redirect_uri", "https://evil.example/"}, "redirect_uri is not registered", true},
		{"script", []string{"redirect_uri", "javascript:alert(1)"}, "redirect_uri is not registered", true},
	} {
		for _, path := range []string{authorizePath, "/2/oauth2/authorize"} {
			link := func(s *site) string {
				v := s.ask(s.conf, tt.change...)
				if v.Get("client_id") == "\x00key" {
					v.Set("client_id", s.conf.APIKey)
				}
				return path + "?" + v.Encode()
			}
			for _, r := range []reply{b.get(t, link(s)), s.browser().get(t, link(s)), owner.get(t, link(s)), dev.browser().get(t, link(dev))} {
				if r.status != 400 || r.location != "" || !strings.Contains(r.body, "Something went wrong") ||
					!strings.Contains(r.body, "Go back and try logging in again.") {
					t.Errorf("%s: %d, to %q", tt.name, r.status, r.location)
				}
			}
			if r := b.get(t, link(s)); strings.Contains(r.body, tt.why) || strings.Contains(r.body, "localhost:3000") && tt.name != "prefix" {
				t.Errorf("%s: a stranger sees why", tt.name)
			}
			if r := owner.get(t, link(s)); strings.Contains(r.body, tt.why) != tt.owner {
				t.Errorf("%s: the owner sees why: %v, want %v", tt.name, !tt.owner, tt.owner)
			}
			if r := dev.browser().get(t, link(dev)); !strings.Contains(r.body, tt.why) {
				t.Errorf("%s: a developer does not see why", tt.name)
			}
		}
	}
	twice := s.ask(s.conf)
	twice.Add("redirect_uri", "com.example.app:/back")
	for name, query := range map[string]string{"parameter twice": twice.Encode(), "broken": "client_id=%zz", "none": ""} {
		if r := b.get(t, authorizePath+"?"+query); r.status != 400 || r.location != "" {
			t.Errorf("%s: %d, to %q", name, r.status, r.location)
		}
	}
	other := dev.ask(dev.conf, "redirect_uri", "com.example.app:/other")
	if r := dev.browser().get(t, authorizePath+"?"+other.Encode()); !strings.Contains(r.body, "com.example.app:/back") {
		t.Error("a developer does not see what is registered")
	}
	check(t, s.store.UpdateApp(t.Context(), s.conf.ID, func(a *store.App) error { a.State = liked.AppSuspended; return nil }))
	if r := b.get(t, authorizePath+"?"+s.ask(s.conf).Encode()); r.status != 400 || r.location != "" {
		t.Errorf("suspended app: %d, to %q", r.status, r.location)
	}
}

// The state comes back byte for byte, before the code, and the redirect URI keeps its own query.
func TestRedirect(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	b := s.browser()
	b.signIn(t, "ada")
	for _, state := range []string{"st", "a+b/c==", "a b", "100%", "%41", "ü\xff\x01\n", `"><script>`, "a&code=x#y",
		strings.Repeat("s", 500), strings.Repeat("é", 500)} {
		for uri, start := range map[string]string{callback: callback + "&", "com.example.app:/back": "com.example.app:/back?",
			"http://localhost:3000/callback": "http://localhost:3000/callback?"} {
			link := authorizePath + "?" + s.ask(s.public, "state", state, "redirect_uri", uri).Encode()
			r := b.consent(t, link, "allow")
			rest, ok := strings.CutPrefix(r.location, start+"state=")
			sent, code, ok2 := strings.Cut(rest, "&code=")
			if got, err := url.PathUnescape(sent); r.status != 302 || !ok || !ok2 || err != nil || got != state || strings.Contains(sent, "+") ||
				len(code) != 91 {
				t.Errorf("%q to %s: %d %q", state, uri, r.status, r.location)
			}
			r = b.consent(t, link, "deny")
			sent, ok = strings.CutPrefix(r.location, start+"error=access_denied&state=")
			if got, err := url.PathUnescape(sent); r.status != 302 || !ok || err != nil || got != state {
				t.Errorf("%q to %s, cancelled: %d %q", state, uri, r.status, r.location)
			}
		}
	}
}

// Somebody who is not signed in is asked to, and then goes on with all parameters as they were.
func TestSignInOnTheWay(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	b := s.browser()
	link := "/2/oauth2/authorize?" + s.ask(s.public, "state", "a+/=\xff").Encode() + "&x=%7e&y"
	page := b.get(t, link)
	if page.status != 200 || page.location != "" || !strings.Contains(page.body, "Phone") {
		t.Fatalf("%d %q", page.status, page.location)
	}
	wrong := b.post(t, "/login", with(page.form(), "username", "ada", "password", "x"))
	if wrong.status != 401 {
		t.Fatalf("wrong password: %d", wrong.status)
	}
	r := b.post(t, "/login", with(wrong.form(), "username", "@ADA", "password", password))
	if r.status != 303 || r.location != link {
		t.Fatalf("got %d %q, want %q", r.status, r.location, link)
	}
	if r := b.consent(t, r.location, "allow"); !strings.HasPrefix(r.location, callback+"&state=a%2B%2F%3D%FF&code=") {
		t.Errorf("got %q", r.location)
	}
	// Not you?
	page = b.get(t, link)
	out := b.post(t, "/logout", page.form())
	if out.status != 303 || out.location != link {
		t.Errorf("sign out: %d %q", out.status, out.location)
	}
	if again := b.get(t, out.location); again.form().Get("request") != "" || again.form().Get("return") == "" {
		t.Error("somebody is still signed in")
	}
}

// A place to go to after signing in is one that the server itself named.
func TestNoOpenRedirect(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	signIn := func(place, query string) reply {
		b := s.browser()
		return b.post(t, "/login", with(b.get(t, "/login"+query).form(), "username", "ada", "password", password, "return", place))
	}
	for _, place := range []string{"https://evil.example/", "//evil.example", "/\\evil.example", "/login", "", "AAAA"} {
		if r := signIn(place, "?return="+url.QueryEscape(place)); r.status != 303 || r.location != "/settings/connected_apps" {
			t.Errorf("%q: %d %q", place, r.status, r.location)
		}
	}
	// A blob that was made for something else is none.
	b := s.browser()
	b.signIn(t, "ada")
	page := b.get(t, authorizePath+"?"+s.ask(s.conf).Encode())
	for _, name := range []string{"request", "form_token"} {
		if r := signIn(page.form().Get(name), ""); r.location != "/settings/connected_apps" {
			t.Errorf("the %s of a consent page leads to %q", name, r.location)
		}
	}
}

// A consent form counts once it was shown to this very session, from our own site, and not too long ago.
func TestConsentForm(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	ada, bob, ada2 := s.browser(), s.browser(), s.browser()
	ada.signIn(t, "ada")
	ada2.signIn(t, "ada")
	bob.signIn(t, "bob")
	link := authorizePath + "?" + s.ask(s.conf).Encode()
	page := func(b *browser) url.Values { return with(b.get(t, link).form(), "decision", "allow") }
	changed := func(form url.Values, members ...string) url.Values { return with(form, members...) }
	for name, r := range map[string]reply{
		"form of somebody else":         bob.post(t, authorizePath, page(ada)),
		"form of another session":       ada2.post(t, authorizePath, page(ada)),
		"request of somebody else":      bob.post(t, authorizePath, changed(page(bob), "request", page(ada).Get("request"))),
		"request of another session":    ada2.post(t, authorizePath, changed(page(ada2), "request", page(ada).Get("request"))),
		"no request":                    ada.post(t, authorizePath, changed(page(ada), "request", "")),
		"no form token":                 ada.post(t, authorizePath, changed(page(ada), "form_token", "")),
		"parameters instead of request": ada.post(t, authorizePath+"?"+s.ask(s.conf).Encode(), url.Values{"decision": {"allow"}}),
		"another page's path":           ada.post(t, "/oauth/authorize", page(ada)),
		"nobody":                        s.browser().post(t, authorizePath, page(ada)),
	} {
		if r.status != 403 || r.location != "" || strings.Contains(r.body, "code=") {
			t.Errorf("%s: %d %q", name, r.status, r.location)
		}
	}
	if r := ada.post(t, authorizePath, changed(page(ada), "decision", "")); r.status != 400 {
		t.Errorf("no decision: %d", r.status)
	}
	for name, header := range map[string]http.Header{
		"cross-site":           {"Sec-Fetch-Site": {"cross-site"}},
		"same-site":            {"Sec-Fetch-Site": {"same-site"}},
		"old browser, foreign": {"Sec-Fetch-Site": nil, "Origin": {"https://evil.example"}},
		"old browser, null":    {"Sec-Fetch-Site": nil, "Origin": {"null"}},
	} {
		form := page(ada)
		ada.header = header
		if r := ada.post(t, authorizePath, form); r.status != 403 {
			t.Errorf("%s: %d", name, r.status)
		}
		ada.header = http.Header{"Sec-Fetch-Site": {"same-origin"}}
	}
	form := page(ada)
	ada.header = http.Header{"Origin": {s.url}}
	if r := ada.post(t, authorizePath, form); r.status != 302 {
		t.Errorf("old browser, our own form: %d: %s", r.status, s.last().Why)
	}
	form = page(ada)
	s.clock.Add(time.Hour)
	if r := ada.post(t, authorizePath, form); r.status != 403 {
		t.Errorf("an hour later: %d", r.status)
	}

	// What was shown is what is decided on, but an app that changed meanwhile is judged anew.
	form = page(ada)
	check(t, s.store.UpdateApp(t.Context(), s.conf.ID, func(a *store.App) error {
		a.RedirectURIs = slices.DeleteFunc(a.RedirectURIs, func(u string) bool { return u == callback })
		return nil
	}))
	if r := ada.post(t, authorizePath, form); r.status != 400 || r.location != "" {
		t.Errorf("redirect URI gone: %d %q", r.status, r.location)
	}
}

// RFC 9700, 4.8.2: a code that was asked for with a challenge cannot be redeemed without its verifier, nor can the method
// be talked down.
func TestNoDowngrade(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	b := s.browser()
	b.signIn(t, "ada")
	code := b.code(t, s.public)
	for _, verifier := range []string{challenge(), "x", " ", verifier + "\x00"} {
		if r := s.redeem(t, s.public, code, "code_verifier", verifier, "code_challenge_method", "plain"); r.body != tellBadVerifier {
			t.Errorf("verifier %q: %s", verifier, r.body)
		}
	}
	s.tokens(t, s.redeem(t, s.public, code))
}

// RFC 9700, 4.4 and 4.5: a code that was led to another client, by a mix-up or by injection, is worth nothing there.
func TestCodeOfAnother(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	b := s.browser()
	b.signIn(t, "ada")
	code := b.code(t, s.public)
	if r := s.redeem(t, s.conf, code); r.body != tellBadCode {
		t.Errorf("another client: %s", r.body)
	}
	// Same client, but the attacker's code in the victim's flow: the victim's verifier is another one.
	if r := s.redeem(t, s.public, code, "code_verifier", strings.Repeat("v", 43)); r.body != tellBadVerifier {
		t.Errorf("another flow: %s", r.body)
	}
	if r := s.redeem(t, s.public, code, "redirect_uri", "com.example.app:/back"); r.body != tellBadRedirect {
		t.Errorf("another redirect: %s", r.body)
	}
	s.tokens(t, s.redeem(t, s.public, code))
}

func TestAutoConsent(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(o *oauth.Options) { o.AutoConsent = "ada" })
	r := s.browser().get(t, authorizePath+"?"+s.ask(s.public).Encode())
	u, err := url.Parse(r.location)
	if err != nil || r.status != 302 || u.Query().Get("state") != "st" {
		t.Fatalf("%d %q", r.status, r.location)
	}
	s.tokens(t, s.redeem(t, s.public, u.Query().Get("code")))
	if s.last().User != s.ada.ID {
		t.Errorf("the token is of user %d", s.last().User)
	}
	if r := s.browser().get(t, authorizePath+"?"+s.ask(s.public, "redirect_uri", "https://evil.example/").Encode()); r.status != 400 ||
		r.location != "" {
		t.Errorf("a fault: %d %q", r.status, r.location)
	}
}
