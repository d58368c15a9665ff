package oauth_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"liked/internal/authtest"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"liked"
	"liked/internal/oauth"
	"liked/internal/store"
)

// hostile is text that no field of a form is meant to hold.
var hostile = map[string]string{
	"NUL": "a\x00b", "no UTF-8": "a\xff\xfeb", "surrogate": "\xed\xa0\x80", "overlong": strings.Repeat("x", 40_000), "newlines": "a\r\nb: c",
	"control":           "\x1b[2J\x7f",
	"id beyond 64 bits": "18446744073709551616", "id beyond 63 bits": "9223372036854775808", "negative id": "-1", "percent": "%00%ff",
	"emoji": "💥",
}

// Whatever stands in any field of any form, of a query or of a header, is answered with success or a refusal, never with a
// fault of the server: an error of the store has a status of its own.
func TestHostileInput(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	const form = "application/x-www-form-urlencoded"
	basicAuth := func(user, password string) string {
		return "Basic " + base64.StdEncoding.EncodeToString([]byte(url.QueryEscape(user)+":"+url.QueryEscape(password)))
	}
	conf := basicAuth(s.conf.ClientID, s.confKeys.ClientSecret)
	keys := basicAuth(s.conf.APIKey, s.confKeys.APISecret)
	b := s.browser()
	page := func(path string) url.Values { return b.Get(t, path).Form() }
	b.signIn(t, "bob")
	request := func() string {
		token, _ := s.begin(t, s.conf, callback)
		return token
	}
	app := "/developer/apps/" + s.conf.ID.String()
	for _, tt := range []struct {
		name, method, path, authorization string
		fields                            func() url.Values
	}{
		{"code", "POST", "/2/oauth2/token", conf, func() url.Values {
			return url.Values{"grant_type": {"authorization_code"}, "code": {"x"}, "redirect_uri": {callback}, "code_verifier": {verifier}}
		}},
		{"good code", "POST", "/2/oauth2/token", conf, func() url.Values {
			return url.Values{"grant_type": {"authorization_code"}, "code": {b.code(t, s.conf)}, "redirect_uri": {callback},
				"code_verifier": {verifier}}
		}},
		{"refresh", "POST", "/2/oauth2/token", "", func() url.Values {
			return url.Values{"grant_type": {"refresh_token"}, "refresh_token": {"x"}, "client_id": {s.public.ClientID}}
		}},
		{"revoke", "POST", "/2/oauth2/revoke", "", func() url.Values {
			return url.Values{"token": {"x"}, "token_type_hint": {"x"}, "client_id": {s.public.ClientID}}
		}},
		{"app token", "POST", "/oauth2/token", keys, func() url.Values { return url.Values{"grant_type": {"client_credentials"}} }},
		{"invalidate app token", "POST", "/oauth2/invalidate_token", keys, func() url.Values { return url.Values{"access_token": {"x"}} }},
		{"authorize", "GET", "/i/oauth2/authorize", "", func() url.Values { return s.ask(s.conf) }},
		{"consent", "POST", "/i/oauth2/authorize", "", func() url.Values {
			return with(page("/i/oauth2/authorize?"+s.ask(s.conf).Encode()), "decision", "allow")
		}},
		{"authorize 1.0a", "GET", "/oauth/authorize", "", func() url.Values {
			return url.Values{"oauth_token": {request()}, "force_login": {"true"}, "screen_name": {"ada"}}
		}},
		{"consent 1.0a", "POST", "/oauth/authenticate", "", func() url.Values {
			return with(page("/oauth/authenticate?oauth_token="+request()), "decision", "deny")
		}},
		{"sign in", "POST", "/login", "", func() url.Values {
			return with(page("/developer"), "username", "ada", "password", password, "return", "x")
		}},
		{"sign out", "POST", "/logout", "", func() url.Values { return with(page("/developer"), "return", "x", "form_token", "x") }},
		{"disconnect", "POST", "/settings/connected_apps", "", func() url.Values { return with(page("/settings/connected_apps"), "app", "1") }},
		{"new app", "POST", "/developer", "", func() url.Values {
			return with(page("/developer"), "name", "n", "type", "public", "access", "read", "redirect_uris", callback)
		}},
		{"change app", "POST", app, "", func() url.Values {
			return with(page(app), "action", "save", "name", "n", "access", "read", "redirect_uris", callback)
		}},
		{"regenerate", "POST", app, "", func() url.Values { return with(page(app), "action", "regenerate", "what", "bearer_token") }},
		{"own token", "POST", app, "", func() url.Values { return with(page(app), "action", "token", "kind", "oauth2") }},
		{"new webhook", "POST", app, "", func() url.Values { return with(page(app), "action", "webhook", "do", "add", "url", "x") }},
		{"webhook", "POST", app, "", func() url.Values {
			return with(page(app), "action", "webhook", "do", "validate", "webhook", "7")
		}},
	} {
		for field := range tt.fields() {
			for name, text := range hostile {
				f := tt.fields()
				f.Set(field, text)
				target, body := s.url+tt.path, f.Encode()
				if tt.method == "GET" {
					target, body = target+"?"+body, ""
				}
				r := newRequest(t, tt.method, target, body)
				r.Header.Set("Content-Type", form)
				if tt.authorization != "" {
					r.Header.Set("Authorization", tt.authorization)
				}
				if got := b.Send(t, r); got.Status >= 500 {
					t.Errorf("%s: %s in %s: %d: %s", tt.name, name, field, got.Status, s.last().Why)
				}
				if tt.path == "/login" || tt.path == "/logout" { // which may have worked, or used up the attempts
					s.clock.Add(time.Hour)
					b = s.browser()
					b.signIn(t, "bob")
				}
			}
		}
	}
	for name, text := range hostile {
		for _, authorization := range []string{basicAuth(text, "x"), basicAuth(s.conf.ClientID, text), basicAuth(s.conf.APIKey, text),
			"Basic " + base64.StdEncoding.EncodeToString([]byte(text+":"+text)), "Bearer " + url.QueryEscape(text)} {
			if len(authorization) > 20_000 {
				authorization = authorization[:8000]
			}
			for _, target := range []string{"/2/oauth2/token", "/2/oauth2/revoke", "/oauth2/token", "/oauth2/invalidate_token",
				"/oauth/request_token"} {
				r := newRequest(t, "POST", s.url+target, "grant_type=client_credentials")
				r.Header.Set("Content-Type", form)
				r.Header.Set("Authorization", authorization)
				if got := s.send(t, r); got.Status >= 500 {
					t.Errorf("%s: %s: %d: %s", target, name, got.Status, s.last().Why)
				}
			}
		}
		if len(text) > 1000 {
			text = text[:1000]
		}
		for _, c := range []authtest.Client{s.signed(liked.App{APIKey: text}, "", ""), s.signed(s.conf, text, ""),
			s.signed(s.conf, "", "", [2]string{"oauth_callback", text}),
			s.signed(s.conf, "", "", [2]string{"oauth_verifier", text}), s.signed(s.conf, "", "", [2]string{text, text}),
			s.signed(s.conf, "", "", [2]string{"x_auth_access_type", text}, [2]string{"oauth_callback", "oob"})} {
			for _, target := range []string{"/oauth/request_token", "/oauth/access_token", "/1.1/oauth/invalidate_token",
				"/oauth2/invalidate_token"} {
				if got := s.call(t, c, "POST", target, ""); got.Status >= 500 {
					t.Errorf("%s: %s in a signature: %d: %s", target, name, got.Status, s.last().Why)
				}
			}
		}
		for _, target := range []string{"/developer/apps/" + url.PathEscape(text), "/developer/apps/9223372036854775807"} {
			if got := b.Get(t, target); got.Status >= 500 {
				t.Errorf("%s: %d", target, got.Status)
			}
		}
		r := newRequest(t, "GET", s.url+"/settings/connected_apps", "")
		r.Header.Set("Cookie", fmt.Sprintf("liked_session=11-%s; liked_device=%s", url.QueryEscape(text), url.QueryEscape(text)))
		if got, err := http.DefaultTransport.RoundTrip(r); err != nil || got.StatusCode >= 500 {
			t.Errorf("cookie %s: %v, %v", name, got, err)
		} else {
			got.Body.Close()
		}
	}
}

// failing is a store that answers with an error where endpoints of each dialect ask it.
type failing struct {
	oauth.Store
	kind liked.Kind
}

func (f failing) err() error { return liked.Errorf(f.kind, "the store says so") }

func (f failing) AppByClientID(context.Context, string) (store.App, error) {
	return store.App{}, f.err()
}

func (f failing) RequestToken(context.Context, store.Hash) (store.RequestToken, error) {
	return store.RequestToken{}, f.err()
}

// Each kind of error that a store returns has a status, and 500 is for faults of the server alone.
func TestKindsOfErrors(t *testing.T) {
	t.Parallel()
	for kind, want := range map[liked.Kind]int{liked.Internal: 500, liked.Invalid: 400, liked.Unauthorized: 401, liked.Forbidden: 403,
		liked.Conflict: 409, liked.Unavailable: 503, liked.Overloaded: 503} {
		s := newSite(t, func(o *oauth.Options) { o.Store = failing{o.Store, kind} })
		page := s.browser().Get(t, "/oauth/authorize?oauth_token=x")
		if page.Status != want || page.Header.Get("Content-Type") != "text/html; charset=utf-8" {
			t.Errorf("%s: the page is %d", kind, page.Status)
		}
		r := s.app(t, s.conf, "/2/oauth2/token", "grant_type", "refresh_token", "refresh_token", "x")
		var body struct {
			Error string
			Text  string `json:"error_description"`
		}
		if err := json.Unmarshal([]byte(r.Body), &body); err != nil || r.Status != want || body.Error == "" || body.Text == "" {
			t.Errorf("%s: OAuth 2.0 answers %d %s", kind, r.Status, r.Body)
		}
		if x := s.last(); (x.Err != nil) != (want >= 500) || !strings.Contains(x.Why, "the store says so") {
			t.Errorf("%s: observed as %+v", kind, x)
		}
		c := s.signed(s.conf, "token", "secret")
		if r := s.call(t, c, "POST", "/oauth/access_token", ""); r.Status != want && kind != liked.Unauthorized || r.Body == "" {
			t.Errorf("%s: OAuth 1.0a answers %d %s", kind, r.Status, r.Body)
		}
	}
}
