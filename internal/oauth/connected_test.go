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
	page := ada.get(t, path)
	if n := strings.Count(page.body, "Shop"); page.status != 200 || n == 0 || !strings.Contains(page.body, "Phone") ||
		strings.Contains(page.body, "Other") {
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
	if _, err := s.auth.Authenticate(s.signed(s.conf, v.Get("oauth_token"), v.Get("oauth_token_secret")).request(t, "GET",
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
			if r := ada.post(t, path, with(ada.get(t, path).form(), "app", s.conf.ID.String())); r.status != 200 {
				t.Fatalf("got status %d", r.status)
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
		if r := s.finish(t, s.conf, token, secret, verifierOf(t, allowed, token)); r.status != 401 ||
			!strings.Contains(r.body, "Reverse auth credentials are invalid") {
			t.Errorf("%s: the request token: got %d %s, want 401", name, r.status, r.body)
		}
		if r := s.redeem(t, s.conf, code); r.status != 400 || !strings.Contains(r.body, "invalid_request") {
			t.Errorf("%s: the code: got %d %s, want 400", name, r.status, r.body)
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
	check(t, s.store.UpdateApp(t.Context(), s.conf.ID, func(a *store.App) error { a.Name = evil; return nil }))
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
	if r := b.get(t, authorizePath+"?"+s.ask(s.conf, "scope", `"><script>`).Encode()); strings.Contains(r.body, "<script>") ||
		json.Unmarshal([]byte(r.body), &m) == nil {
		t.Error("a scope is markup")
	}
}
