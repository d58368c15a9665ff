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
			for _, r := range []reply{b.Get(t, link(s)), s.browser().Get(t, link(s)), owner.Get(t, link(s)), dev.browser().Get(t, link(dev))} {
				if r.Status != 400 || r.Location != "" || !strings.Contains(r.Body, "Something went wrong") ||
					!strings.Contains(r.Body, "Go back and try logging in again.") {
					t.Errorf("%s: %d, to %q", tt.name, r.Status, r.Location)
				}
			}
			if r := b.Get(t, link(s)); strings.Contains(r.Body, tt.why) || strings.Contains(r.Body, "localhost:3000") && tt.name != "prefix" {
				t.Errorf("%s: a stranger sees why", tt.name)
			}
			if r := owner.Get(t, link(s)); strings.Contains(r.Body, tt.why) != tt.owner {
				t.Errorf("%s: the owner sees why: %v, want %v", tt.name, !tt.owner, tt.owner)
			}
			if r := dev.browser().Get(t, link(dev)); !strings.Contains(r.Body, tt.why) {
				t.Errorf("%s: a developer does not see why", tt.name)
			}
		}
	}
	twice := s.ask(s.conf)
	twice.Add("redirect_uri", "com.example.app:/back")
	for name, query := range map[string]string{"parameter twice": twice.Encode(), "broken": "client_id=%zz", "none": ""} {
		if r := b.Get(t, authorizePath+"?"+query); r.Status != 400 || r.Location != "" {
			t.Errorf("%s: %d, to %q", name, r.Status, r.Location)
		}
	}
	other := dev.ask(dev.conf, "redirect_uri", "com.example.app:/other")
	if r := dev.browser().Get(t, authorizePath+"?"+other.Encode()); !strings.Contains(r.Body, "com.example.app:/back") {
		t.Error("a developer does not see what is registered")
	}
	check(t, s.store.UpdateApp(t.Context(), s.conf.ID, func(a *store.App) error { a.State = liked.AppSuspended; return nil }))
	if r := b.Get(t, authorizePath+"?"+s.ask(s.conf).Encode()); r.Status != 400 || r.Location != "" {
		t.Errorf("suspended app: %d, to %q", r.Status, r.Location)
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
			rest, ok := strings.CutPrefix(r.Location, start+"state=")
			sent, code, ok2 := strings.Cut(rest, "&code=")
			if got, err := url.PathUnescape(sent); r.Status != 302 || !ok || !ok2 || err != nil || got != state || strings.Contains(sent, "+") ||
				len(code) != 91 {
				t.Errorf("%q to %s: %d %q", state, uri, r.Status, r.Location)
			}
			r = b.consent(t, link, "deny")
			sent, ok = strings.CutPrefix(r.Location, start+"error=access_denied&state=")
			if got, err := url.PathUnescape(sent); r.Status != 302 || !ok || err != nil || got != state {
				t.Errorf("%q to %s, cancelled: %d %q", state, uri, r.Status, r.Location)
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
	page := b.Get(t, link)
	if page.Status != 200 || page.Location != "" || !strings.Contains(page.Body, "Phone") {
		t.Fatalf("%d %q", page.Status, page.Location)
	}
	wrong := b.Post(t, "/login", with(page.Form(), "username", "ada", "password", "x"))
	if wrong.Status != 401 {
		t.Fatalf("wrong password: %d", wrong.Status)
	}
	r := b.Post(t, "/login", with(wrong.Form(), "username", "@ADA", "password", password))
	if r.Status != 303 || r.Location != link {
		t.Fatalf("got %d %q, want %q", r.Status, r.Location, link)
	}
	if r := b.consent(t, r.Location, "allow"); !strings.HasPrefix(r.Location, callback+"&state=a%2B%2F%3D%FF&code=") {
		t.Errorf("got %q", r.Location)
	}
	// Not you?
	page = b.Get(t, link)
	out := b.Post(t, "/logout", page.Form())
	if out.Status != 303 || out.Location != link {
		t.Errorf("sign out: %d %q", out.Status, out.Location)
	}
	if again := b.Get(t, out.Location); again.Form().Get("request") != "" || again.Form().Get("return") == "" {
		t.Error("somebody is still signed in")
	}
}

// A place to go to after signing in is one that the server itself named.
func TestNoOpenRedirect(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	signIn := func(place, query string) reply {
		b := s.browser()
		return b.Post(t, "/login", with(b.Get(t, "/login"+query).Form(), "username", "ada", "password", password, "return", place))
	}
	for _, place := range []string{"https://evil.example/", "//evil.example", "/\\evil.example", "/login", "", "AAAA"} {
		if r := signIn(place, "?return="+url.QueryEscape(place)); r.Status != 303 || r.Location != "/settings/connected_apps" {
			t.Errorf("%q: %d %q", place, r.Status, r.Location)
		}
	}
	// A blob that was made for something else is none.
	b := s.browser()
	b.signIn(t, "ada")
	page := b.Get(t, authorizePath+"?"+s.ask(s.conf).Encode())
	for _, name := range []string{"request", "form_token"} {
		if r := signIn(page.Form().Get(name), ""); r.Location != "/settings/connected_apps" {
			t.Errorf("the %s of a consent page leads to %q", name, r.Location)
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
	page := func(b *browser) url.Values { return with(b.Get(t, link).Form(), "decision", "allow") }
	changed := func(form url.Values, members ...string) url.Values { return with(form, members...) }
	for name, r := range map[string]reply{
		"form of somebody else":         bob.Post(t, authorizePath, page(ada)),
		"form of another session":       ada2.Post(t, authorizePath, page(ada)),
		"request of somebody else":      bob.Post(t, authorizePath, changed(page(bob), "request", page(ada).Get("request"))),
		"request of another session":    ada2.Post(t, authorizePath, changed(page(ada2), "request", page(ada).Get("request"))),
		"no request":                    ada.Post(t, authorizePath, changed(page(ada), "request", "")),
		"no form token":                 ada.Post(t, authorizePath, changed(page(ada), "form_token", "")),
		"parameters instead of request": ada.Post(t, authorizePath+"?"+s.ask(s.conf).Encode(), url.Values{"decision": {"allow"}}),
		"another page's path":           ada.Post(t, "/oauth/authorize", page(ada)),
		"nobody":                        s.browser().Post(t, authorizePath, page(ada)),
	} {
		anew := r.Status == 303 && r.Location == link // asked again, on a page of ours
		if (r.Status != 403 || r.Location != "") && !anew || strings.Contains(r.Body, "code=") {
			t.Errorf("%s: %d %q", name, r.Status, r.Location)
		}
	}
	if r := ada.Post(t, authorizePath, changed(page(ada), "decision", "")); r.Status != 400 {
		t.Errorf("no decision: %d", r.Status)
	}
	for name, header := range map[string]http.Header{
		"cross-site":           {"Sec-Fetch-Site": {"cross-site"}},
		"same-site":            {"Sec-Fetch-Site": {"same-site"}},
		"old browser, foreign": {"Sec-Fetch-Site": nil, "Origin": {"https://evil.example"}},
		"old browser, null":    {"Sec-Fetch-Site": nil, "Origin": {"null"}},
	} {
		form := page(ada)
		ada.Header = header
		if r := ada.Post(t, authorizePath, form); r.Status != 403 {
			t.Errorf("%s: %d", name, r.Status)
		}
		ada.Header = http.Header{"Sec-Fetch-Site": {"same-origin"}}
	}
	form := page(ada)
	ada.Header = http.Header{"Origin": {s.url}}
	if r := ada.Post(t, authorizePath, form); r.Status != 302 {
		t.Errorf("old browser, our own form: %d: %s", r.Status, s.last().Why)
	}
	form = page(ada)
	s.clock.Add(time.Hour)
	if r := ada.Post(t, authorizePath, form); r.Status != 303 || r.Location != link {
		t.Errorf("an hour later: %d %q, want to be asked again", r.Status, r.Location)
	}
	form = page(ada)
	form.Set("return", "https://evil.example/")
	s.clock.Add(time.Hour)
	if r := ada.Post(t, authorizePath, form); r.Status != 403 || r.Location != "" {
		t.Errorf("with a place of somebody else's: %d %q", r.Status, r.Location)
	}
	// Whoever has been signed out meanwhile signs in, and is asked again.
	form = page(ada)
	ada.Post(t, "/logout", form)
	again := ada.Post(t, authorizePath, form)
	if again.Status != 403 {
		t.Errorf("signed out: %d", again.Status)
	}
	in := ada.Post(t, "/login", with(again.Form(), "username", "ada", "password", password))
	if in.Status != 303 || in.Location != link {
		t.Errorf("signed in again: %d %q, want %q", in.Status, in.Location, link)
	}

	// What was shown is what is decided on, but an app that changed meanwhile is judged anew.
	form = page(ada)
	check(t, s.store.UpdateApp(t.Context(), s.conf.ID, func(a *store.App) error {
		a.RedirectURIs = slices.DeleteFunc(a.RedirectURIs, func(u string) bool { return u == callback })
		return nil
	}))
	if r := ada.Post(t, authorizePath, form); r.Status != 400 || r.Location != "" {
		t.Errorf("redirect URI gone: %d %q", r.Status, r.Location)
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
		if r := s.redeem(t, s.public, code, "code_verifier", verifier, "code_challenge_method", "plain"); r.Body != tellBadVerifier {
			t.Errorf("verifier %q: %s", verifier, r.Body)
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
	if r := s.redeem(t, s.conf, code); r.Body != tellBadCode {
		t.Errorf("another client: %s", r.Body)
	}
	// Same client, but the attacker's code in the victim's flow: the victim's verifier is another one.
	if r := s.redeem(t, s.public, code, "code_verifier", strings.Repeat("v", 43)); r.Body != tellBadVerifier {
		t.Errorf("another flow: %s", r.Body)
	}
	if r := s.redeem(t, s.public, code, "redirect_uri", "com.example.app:/back"); r.Body != tellBadRedirect {
		t.Errorf("another redirect: %s", r.Body)
	}
	s.tokens(t, s.redeem(t, s.public, code))
}

func TestAutoConsent(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(o *oauth.Options) { o.AutoConsent = "ada" })
	r := s.browser().Get(t, authorizePath+"?"+s.ask(s.public).Encode())
	u, err := url.Parse(r.Location)
	if err != nil || r.Status != 302 || u.Query().Get("state") != "st" {
		t.Fatalf("%d %q", r.Status, r.Location)
	}
	s.tokens(t, s.redeem(t, s.public, u.Query().Get("code")))
	if s.last().User != s.ada.ID {
		t.Errorf("the token is of user %d", s.last().User)
	}
	if r := s.browser().Get(t, authorizePath+"?"+s.ask(s.public, "redirect_uri", "https://evil.example/").Encode()); r.Status != 400 ||
		r.Location != "" {
		t.Errorf("a fault: %d %q", r.Status, r.Location)
	}
}
