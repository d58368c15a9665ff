package oauth_test

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"

	"liked"
	"liked/internal/store"
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
	page := ada.Get(t, path)
	if n := strings.Count(page.Body, "Shop"); page.Status != 200 || n == 0 || !strings.Contains(page.Body, "Phone") ||
		strings.Contains(page.Body, "Other") {
		t.Fatalf("%d: %s", page.Status, page.Body)
	}
	form := page.Form()
	if r := bob.Post(t, path, with(bob.Get(t, path).Form(), "app", s.public.ID.String())); r.Status != 303 || !s.works(phone.AccessToken) {
		t.Errorf("bob revoked what ada gave: %d", r.Status)
	}
	if r := bob.Post(t, path, with(form, "app", s.conf.ID.String())); r.Status != 403 || !s.works(one.AccessToken) {
		t.Errorf("with ada's form: %d", r.Status)
	}
	if r := ada.Post(t, path, with(form, "app", "x")); r.Status != 400 {
		t.Errorf("no id: %d", r.Status)
	}
	ask := ada.Get(t, path+"?revoke="+s.conf.ID.String())
	if !strings.Contains(ask.Body, "Take back all access of Shop?") || !s.works(one.AccessToken) {
		t.Errorf("asked: %d", ask.Status)
	}
	for _, other := range []string{"x", "999", "-1"} { // of an app that has no access there is nothing to ask
		if r := ada.Get(t, path+"?revoke="+other); r.Status != 200 || strings.Contains(r.Body, "Take back") {
			t.Errorf("%s: asked: %d", other, r.Status)
		}
	}
	if r := ada.Post(t, path, ask.Form()); r.Status != 303 || r.Location != path {
		t.Errorf("revoked: %d %q", r.Status, r.Location)
	}
	r := ada.Get(t, path)
	if r.Status != 200 || !strings.Contains(r.Body, "no longer has access") || strings.Contains(r.Body, "Shop") {
		t.Errorf("revoked: %d", r.Status)
	}
	if s.works(one.AccessToken) || s.works(two.AccessToken) || s.refresh(t, s.conf, one.RefreshToken).Status == 200 {
		t.Error("an OAuth 2.0 token outlived it")
	}
	if _, err := s.auth.Authenticate(s.signed(s.conf, v.Get("oauth_token"), v.Get("oauth_token_secret")).Request(t, "GET",
		s.url+"/2/users/me")); err == nil {
		t.Error("the OAuth 1.0a token outlived it")
	}
	if !s.works(phone.AccessToken) || !s.works(bobs.AccessToken) {
		t.Error("it ended what it should not")
	}
}

// Consent that was given and not yet used ends with the access that it would have given; what is given afterwards works.
func TestRemovedAccessStaysRemoved(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	ada := s.browser()
	ada.signIn(t, "ada")
	const path = "/settings/connected_apps"
	for name, end := range map[string]func(){
		"access removed": func() {
			if r := ada.Post(t, path, with(ada.Get(t, path).Form(), "app", s.conf.ID.String())); r.Status != 303 {
				t.Fatalf("got status %d", r.Status)
			}
		},
		"app suspended for a while": func() {
			for _, state := range []liked.AppState{liked.AppSuspended, liked.Enrolled} {
				check(t, s.store.UpdateApp(t.Context(), s.conf.ID, func(a *store.App) error { a.State = state; return nil }))
			}
		},
		"new password": func() {
			hash, err := s.store.Password(t.Context(), s.ada.ID)
			check(t, err)
			check(t, s.store.SetPassword(t.Context(), s.ada.ID, hash)) // the same one, so that ada stays signed in
		},
	} {
		token, secret := s.begin(t, s.conf, callback)
		allowed := ada.consent(t, "/oauth/authorize?oauth_token="+token, "allow")
		code := ada.code(t, s.conf)
		end()
		if r := s.finish(t, s.conf, token, secret, verifierOf(t, allowed, token)); r.Status != 401 ||
			!strings.Contains(r.Body, "Reverse auth credentials are invalid") {
			t.Errorf("%s: the request token: got %d %s, want 401", name, r.Status, r.Body)
		}
		if r := s.redeem(t, s.conf, code); r.Status != 400 || !strings.Contains(r.Body, "invalid_request") {
			t.Errorf("%s: the code: got %d %s, want 400", name, r.Status, r.Body)
		}
		if !s.works(s.tokens(t, s.redeem(t, s.conf, ada.code(t, s.conf))).AccessToken) {
			t.Errorf("%s: consent that was given anew does not work", name)
		}
		s.threeLegs(t, ada, s.conf)
	}
}

// An app made on the portal works, with the secrets that were shown.
func TestPortalAppWorks(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	b := s.browser()
	b.signIn(t, "ada")
	page := b.Get(t, "/developer")
	made := b.Post(t, "/developer", with(page.Form(), "name", "My phone", "type", "public", "access", "read-write", "redirect_uris", callback))
	apps, err := s.store.Apps(t.Context())
	check(t, err)
	for _, app := range apps {
		if app.Owner != s.ada.ID {
			continue
		}
		if !app.Public || made.Status != 303 || made.Location != "/developer/apps/"+app.ID.String() {
			t.Fatalf("%d, %+v", made.Status, app)
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
	check(t, s.store.UpdateApp(t.Context(), s.conf.ID, func(a *store.App) error { a.Name = evil; return nil }))
	check(t, s.store.UpdateUser(t.Context(), s.bob.ID, func(u *liked.User) error { u.Name = evil; return nil }))
	b := s.browser()
	link := authorizePath + "?" + s.ask(s.conf).Encode()
	pages := []reply{b.Get(t, link)}
	b.signIn(t, "bob")
	s.redeem(t, s.conf, b.code(t, s.conf))
	token, _ := s.begin(t, s.conf, callback)
	pages = append(pages, b.Get(t, link), b.Get(t, "/developer"), b.Get(t, "/developer/apps/1"), b.Get(t, "/settings/connected_apps"),
		b.Get(t, "/oauth/authorize?oauth_token="+token), b.consent(t, "/oauth/authorize?oauth_token="+token, "deny"))
	for i, r := range pages {
		if strings.Contains(r.Body, "<img src=x") || r.Status != 200 {
			t.Errorf("page %d: %d, or a name is markup", i, r.Status)
		}
	}
	var m map[string]any
	if r := b.Get(t, authorizePath+"?"+s.ask(s.conf, "scope", `"><script>`).Encode()); strings.Contains(r.Body, "<script>") ||
		json.Unmarshal([]byte(r.Body), &m) == nil {
		t.Error("a scope is markup")
	}
}
