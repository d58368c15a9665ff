package oauth_test

import (
	"encoding/base64"
	"encoding/json"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"liked"
	"liked/internal/oauth"
	"liked/internal/store"
)

type tokenBody struct {
	AccessToken  string `json:"access_token"`
	RefreshToken string `json:"refresh_token"`
	Scope        string `json:"scope"`
	ExpiresIn    int    `json:"expires_in"`
}

// tokens reads a success of the token endpoint.
func (s *site) tokens(t testing.TB, r reply) (b tokenBody) {
	t.Helper()
	if r.Status != 200 {
		t.Fatalf("%d %s: %s", r.Status, r.Body, s.last().Why)
	}
	check(t, json.Unmarshal([]byte(r.Body), &b))
	s.secret(b.AccessToken)
	if b.RefreshToken != "" {
		s.secret(b.RefreshToken)
	}
	return b
}

func (s *site) redeem(t testing.TB, app liked.App, code string, members ...string) reply {
	t.Helper()
	return s.app(t, app, "/2/oauth2/token", append([]string{"grant_type", "authorization_code", "code", code, "redirect_uri", callback,
		"code_verifier", verifier}, members...)...)
}

func (s *site) refresh(t testing.TB, app liked.App, token string) reply {
	t.Helper()
	return s.app(t, app, "/2/oauth2/token", "grant_type", "refresh_token", "refresh_token", token)
}

func TestTokenAnswer(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	b := s.browser()
	b.signIn(t, "ada")
	for _, app := range []liked.App{s.conf, s.public} {
		r := s.redeem(t, app, b.code(t, app))
		got := s.tokens(t, r)
		want := `{"token_type":"bearer","expires_in":7200,"access_token":"` + got.AccessToken +
			`","scope":"tweet.read users.read offline.access like.write","refresh_token":"` + got.RefreshToken + `"}`
		if r.Body != want || r.Header.Get("Content-Type") != "application/json;charset=utf-8" {
			t.Errorf("got %s %s, want %s", r.Header.Get("Content-Type"), r.Body, want)
		}
		if len(got.AccessToken) != 91 || len(got.RefreshToken) != 91 {
			t.Errorf("tokens have %d and %d characters, want 91", len(got.AccessToken), len(got.RefreshToken))
		}
		if x := s.last(); x.App != app.ID || x.User != s.ada.ID || x.Operation != "oauth2Token" {
			t.Errorf("the log line has app %d, user %d, operation %s", x.App, x.User, x.Operation)
		}
	}
	got := s.tokens(t, s.redeem(t, s.conf, b.code(t, s.conf, "scope", "users.read like.read users.read")))
	if got.RefreshToken != "" || got.Scope != "users.read like.read" {
		t.Errorf("without offline.access, a scope twice: %+v", got)
	}
	s.clock.Add(2*time.Hour - time.Millisecond)
	if !s.works(got.AccessToken) {
		t.Error("the access token ended before its time")
	}
	if s.clock.Add(time.Millisecond); s.works(got.AccessToken) {
		t.Error("the access token outlived its time")
	}
}

func TestTokenLifetime(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(o *oauth.Options) { o.Lifetime = time.Minute })
	b := s.browser()
	b.signIn(t, "ada")
	first := s.tokens(t, s.redeem(t, s.conf, b.code(t, s.conf)))
	second := s.tokens(t, s.refresh(t, s.conf, first.RefreshToken))
	if first.ExpiresIn != 60 || second.ExpiresIn != 60 {
		t.Errorf("expires_in is %d and %d, want 60", first.ExpiresIn, second.ExpiresIn)
	}
}

// Parameters may stand in a form, in JSON or in the query, or in two of these.
func TestTokenParameters(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	b := s.browser()
	b.signIn(t, "ada")
	values := func() url.Values {
		return url.Values{"grant_type": {"authorization_code"}, "code": {b.code(t, s.public)}, "redirect_uri": {callback},
			"code_verifier": {verifier}, "client_id": {s.public.ClientID}}
	}
	toJSON := func(v url.Values) string {
		m := map[string]any{"extra": 1, "more": []string{"x"}}
		for k := range v {
			m[k] = v.Get(k)
		}
		text, err := json.Marshal(m)
		check(t, err)
		return string(text)
	}
	for _, tt := range []struct {
		name string
		make func(url.Values) (query, contentType, body string)
	}{
		{"form", func(v url.Values) (string, string, string) {
			return "", "application/x-www-form-urlencoded", v.Encode()
		}},
		{"form, charset", func(v url.Values) (string, string, string) {
			return "", "application/x-www-form-urlencoded;charset=UTF-8", v.Encode()
		}},
		{"form without a type", func(v url.Values) (string, string, string) { return "", "", v.Encode() }},
		{"json", func(v url.Values) (string, string, string) {
			return "", "application/json; charset=utf-8", toJSON(v)
		}},
		{"query", func(v url.Values) (string, string, string) { return v.Encode(), "", "" }},
		{"query, type and no body", func(v url.Values) (string, string, string) { return v.Encode(), "application/json", "" }},
		{"query and form", func(v url.Values) (string, string, string) {
			code := v.Get("code")
			v.Del("code")
			return "code=" + code, "application/x-www-form-urlencoded", v.Encode()
		}},
		{"query and json", func(v url.Values) (string, string, string) {
			code := v.Get("code")
			v.Del("code")
			return "code=" + code, "application/json", toJSON(v)
		}},
	} {
		query, contentType, body := tt.make(values())
		r := newRequest(t, "POST", s.url+"/2/oauth2/token?"+query, body)
		if contentType != "" {
			r.Header.Set("Content-Type", contentType)
		}
		if got := s.send(t, r); got.Status != 200 {
			t.Errorf("%s: %d %s: %s", tt.name, got.Status, got.Body, s.last().Why)
		}
	}

	for _, tt := range []struct{ contentType, encoding, body, want string }{
		{"application/json", "", "\ufeff{}", "byte order mark"},
		{"application/x-www-form-urlencoded", "", "\ufeffgrant_type=x", "byte order mark"},
		{"application/json", "gzip", "\x1f\x8b\x08", "Content-Encoding gzip"},
		{"application/x-www-form-urlencoded", "gzip", "\x1f\x8b\x08", "Content-Encoding gzip"},
		{"application/x-www-form-urlencoded", "UTF-8", "grant_type=x", "Grant type should be"}, // a mistake that does no harm
	} {
		r := newRequest(t, "POST", s.url+"/2/oauth2/token", tt.body)
		r.Header.Set("Content-Type", tt.contentType)
		r.Header.Set("Content-Encoding", tt.encoding)
		if got := s.send(t, r); got.Status != 400 || !strings.Contains(s.last().Why+got.Body, tt.want) {
			t.Errorf("%+v: %d %s, because %q", tt, got.Status, got.Body, s.last().Why)
		}
	}

	for name, make := range map[string]func(v url.Values) (query, body string){
		"twice in the form": func(v url.Values) (string, string) { return "", v.Encode() + "&code=" + v.Get("code") },
		"query and form":    func(v url.Values) (string, string) { return "code=" + v.Get("code"), v.Encode() },
		"client id twice": func(v url.Values) (string, string) {
			return "client_id=" + v.Get("client_id"), v.Encode()
		},
	} {
		v := values()
		query, body := make(v)
		r := newRequest(t, "POST", s.url+"/2/oauth2/token?"+query, body)
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		if got := s.send(t, r); got.Status != 400 || !strings.Contains(got.Body,
			`"error":"invalid_request","error_description":"Duplicate parameter [c`) {
			t.Errorf("%s: %d %s", name, got.Status, got.Body)
		}
		if got := s.redeem(t, s.public, v.Get("code")); got.Status != 200 {
			t.Errorf("%s: the code was spent: %s", name, got.Body)
		}
	}
}

const (
	tellBadCode     = `{"error":"invalid_request","error_description":"Value passed for the authorization code was invalid."}`
	tellBadVerifier = `{"error":"invalid_request","error_description":"Value passed for the code verifier did not match the code challenge."}`
	tellBadRedirect = `{"error":"invalid_request","error_description":` +
		`"Value passed for the redirect uri did not match the uri of the authorization code."}`
	tellBadToken = `{"error":"invalid_request","error_description":"Value passed for the token was invalid."}`
	tellBadGrant = `{"error":"invalid_request","error_description":"Value passed for the grant type was invalid. ` +
		`Grant type should be one of [authorization_code, refresh_token]."}`
	tellBadClient = `{"error":"invalid_client","error_description":"Value passed for the client id was invalid."}`
	tellNoClient  = `{"error":"unauthorized_client","error_description":"Missing valid authorization header"}`
)

func tellMissing(name string) string {
	return `{"error":"invalid_request","error_description":"Missing required parameter [` + name + `]."}`
}

// No refusal spends the code: after each one it still works.
func TestTokenRefusals(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	b := s.browser()
	b.signIn(t, "ada")
	basic := func(user, pass string) string {
		return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+pass))
	}
	right := basic(s.conf.ClientID, s.confKeys.ClientSecret)
	code := b.code(t, s.conf)
	publicCode := b.code(t, s.public)
	for _, tt := range []struct {
		name, authorization string
		change              []string // of the form
		status              int
		want                string
	}{
		{"no grant type", right, []string{"grant_type", ""}, 400, tellMissing("grant_type")},
		{"unknown grant type", right, []string{"grant_type", "client_credentials"}, 400, tellBadGrant},
		{"no client", "", nil, 400, tellMissing("client_id")},
		{"unknown client", "", []string{"client_id", "nobody"}, 401, tellBadClient},
		{"unknown client by Basic", basic("nobody", "x"), nil, 401, tellBadClient},
		{"API key as client", "", []string{"client_id", s.conf.APIKey}, 401, tellBadClient},
		{"confidential without Basic", "", []string{"client_id", s.conf.ClientID}, 401, tellNoClient},
		{"secret in the body alone", "", []string{"client_id", s.conf.ClientID, "client_secret", s.confKeys.ClientSecret}, 401, tellNoClient},
		{"wrong secret", basic(s.conf.ClientID, "x"), nil, 401, tellNoClient},
		{"empty secret", basic(s.conf.ClientID, ""), nil, 401, tellNoClient},
		{"secret of another", basic(s.conf.ClientID, s.otherKeys.ClientSecret), nil, 401, tellNoClient},
		{"no base64", "Basic %%", nil, 401, tellNoClient},
		{"no colon", "Basic " + base64.StdEncoding.EncodeToString([]byte("abc")), nil, 401, tellNoClient},
		{"Bearer", "Bearer x", nil, 401, tellNoClient},
		{"no code", right, []string{"code", ""}, 400, tellMissing("code")},
		{"no redirect uri", right, []string{"redirect_uri", ""}, 400, tellMissing("redirect_uri")},
		{"no verifier", right, []string{"code_verifier", ""}, 400, tellMissing("code_verifier")},
		{"unknown code", right, []string{"code", "x"}, 400, tellBadCode},
		{"code of another client", basic(s.other.ClientID, s.otherKeys.ClientSecret), nil, 400, tellBadCode},
		{"code of a public client", right, []string{"code", publicCode}, 400, tellBadCode},
		{"other redirect uri", right, []string{"redirect_uri", "com.example.app:/back"}, 400, tellBadRedirect},
		{"wrong verifier", right, []string{"code_verifier", verifier + "x"}, 400, tellBadVerifier},
		{"the challenge as verifier", right, []string{"code_verifier", challenge()}, 400, tellBadVerifier},
		{"no refresh token", right, []string{"grant_type", "refresh_token"}, 400, tellMissing("refresh_token")},
		{"unknown refresh token", right, []string{"grant_type", "refresh_token", "refresh_token", "x"}, 400, tellBadToken},
		{"broken query", right, []string{"\x00query", "%zz"}, 400,
			`{"error":"invalid_request","error_description":"The request could not be read."}`},
	} {
		form := with(url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {callback}, "code_verifier": {verifier}},
			tt.change...)
		query := form.Get("\x00query")
		form.Del("\x00query")
		for k, v := range form {
			if v[0] == "" {
				form.Del(k)
			}
		}
		r := newRequest(t, "POST", s.url+"/2/oauth2/token", form.Encode())
		r.URL.RawQuery = query
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		if tt.authorization != "" {
			r.Header.Set("Authorization", tt.authorization)
		}
		got := s.send(t, r)
		if got.Status != tt.status || got.Body != tt.want || got.Header.Get("Content-Type") != "application/json;charset=utf-8" {
			t.Errorf("%s: got %d %s %s, want %d %s", tt.name, got.Status, got.Header.Get("Content-Type"), got.Body, tt.status, tt.want)
		}
	}
	s.tokens(t, s.redeem(t, s.conf, code, "client_id", "ignored", "client_secret", "ignored")) // Basic is right: the rest does not matter
	s.tokens(t, s.redeem(t, s.public, publicCode))

	expired := b.code(t, s.conf)
	s.clock.Add(30*time.Second - time.Millisecond)
	young := b.code(t, s.conf)
	if s.clock.Add(time.Millisecond); s.redeem(t, s.conf, expired).Body != tellBadCode {
		t.Error("a code of 30 s is accepted")
	}
	s.clock.Add(29 * time.Second)
	s.tokens(t, s.redeem(t, s.conf, young))
}

// golang.org/x/oauth2 does not know whether a client is public and tries an empty secret first. The code survives that.
func TestProbingClient(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	b := s.browser()
	b.signIn(t, "ada")
	code := b.code(t, s.public)
	form := url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {callback}, "code_verifier": {verifier}}
	probe := func() reply {
		r := newRequest(t, "POST", s.url+"/2/oauth2/token", form.Encode())
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.SetBasicAuth(url.QueryEscape(s.public.ClientID), "")
		return s.send(t, r)
	}
	if got := probe(); got.Status != 401 || got.Body != tellNoClient {
		t.Errorf("empty secret: %d %s", got.Status, got.Body)
	}
	form.Set("client_id", s.public.ClientID)
	first := s.tokens(t, probe()) // it says who it is both ways
	form = url.Values{"grant_type": {"refresh_token"}, "refresh_token": {first.RefreshToken}}
	if got := probe(); got.Status != 401 {
		t.Errorf("refresh with an empty secret: %d %s", got.Status, got.Body)
	}
	s.tokens(t, s.refresh(t, s.public, first.RefreshToken))
}

func TestRefresh(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	b := s.browser()
	b.signIn(t, "ada")
	first := s.tokens(t, s.redeem(t, s.conf, b.code(t, s.conf)))
	if got := s.refresh(t, s.other, first.RefreshToken); got.Body != tellBadToken {
		t.Errorf("by another client: %s", got.Body)
	}
	second := s.tokens(t, s.refresh(t, s.conf, first.RefreshToken))
	if second.Scope != first.Scope || second.RefreshToken == first.RefreshToken || second.AccessToken == first.AccessToken {
		t.Errorf("got %+v after %+v", second, first)
	}
	if !s.works(first.AccessToken) || !s.works(second.AccessToken) {
		t.Error("an access token died with the refresh")
	}
	s.clock.Add(10 * time.Second)
	if got := s.refresh(t, s.conf, first.RefreshToken); got.Status != 400 || got.Body != tellBadToken {
		t.Errorf("a second use: %d %s", got.Status, got.Body)
	}
	if !s.works(second.AccessToken) {
		t.Error("an honest race ended the grant")
	}
	s.clock.Add(time.Millisecond)
	if got := s.refresh(t, s.conf, first.RefreshToken); got.Body != tellBadToken {
		t.Errorf("a replay: %s", got.Body)
	}
	if s.works(second.AccessToken) || s.refresh(t, s.conf, second.RefreshToken).Status == 200 {
		t.Error("the family outlived the replay of its refresh token")
	}
}

// The operator learns what a token that is none was taken for.
func TestNoRefreshToken(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	b := s.browser()
	b.signIn(t, "ada")
	code := b.code(t, s.conf)
	tokens := s.tokens(t, s.redeem(t, s.conf, code))
	for token, want := range map[string]string{
		"x":                "the refresh token is unknown, has expired or was revoked",
		tokens.AccessToken: "revoked; it looks like an access token",
		code:               "revoked; it looks like an authorization code",
		s.conf.ClientID:    "revoked; it looks like a client id",
		base64.RawURLEncoding.EncodeToString([]byte("another:rt:1")): "revoked",
	} {
		if got := s.refresh(t, s.conf, token); got.Body != tellBadToken || !strings.HasSuffix(s.last().Why, want) {
			t.Errorf("%s: %q, want one that ends with %q", got.Body, s.last().Why, want)
		}
	}
}

// RFC 6749, 4.1.2: what a code gave dies when it is used again. But only by somebody who knows all that goes with it.
func TestCodeUsedTwice(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	b := s.browser()
	b.signIn(t, "ada")
	code := b.code(t, s.conf)
	got := s.tokens(t, s.redeem(t, s.conf, code))
	if r := s.redeem(t, s.conf, code, "code_verifier", "wrong"); r.Body != tellBadCode || !s.works(got.AccessToken) {
		t.Errorf("again with a wrong verifier: %s, token works %v", r.Body, s.works(got.AccessToken))
	}
	if r := s.redeem(t, s.other, code); r.Body != tellBadCode || !s.works(got.AccessToken) {
		t.Errorf("again by another client: %s, token works %v", r.Body, s.works(got.AccessToken))
	}
	if r := s.redeem(t, s.conf, code); r.Status != 400 || r.Body != tellBadCode {
		t.Errorf("again: %d %s", r.Status, r.Body)
	}
	if s.works(got.AccessToken) || s.refresh(t, s.conf, got.RefreshToken).Status == 200 {
		t.Error("the tokens outlived a second use of the code")
	}
}

func TestPlainChallenge(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	b := s.browser()
	b.signIn(t, "ada")
	for _, method := range []string{"plain", "PLAIN", ""} {
		code := b.code(t, s.public, "code_challenge", "challenge", "code_challenge_method", method)
		if r := s.redeem(t, s.public, code); r.Body != tellBadVerifier {
			t.Errorf("%q: wrong verifier: %s", method, r.Body)
		}
		s.tokens(t, s.redeem(t, s.public, code, "code_verifier", "challenge"))
	}
	s.tokens(t, s.redeem(t, s.public, b.code(t, s.public, "code_challenge_method", "s256")))
}

func parallel(n int, do func()) {
	var wg sync.WaitGroup
	for range n {
		wg.Go(do)
	}
	wg.Wait()
}

// Of many redemptions at once one succeeds; the others, being second uses, end what it gave.
func TestParallelRedemptions(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	b := s.browser()
	b.signIn(t, "ada")
	code := b.code(t, s.conf)
	var mu sync.Mutex
	var won, lost int
	parallel(50, func() {
		r := s.redeem(t, s.conf, code)
		mu.Lock()
		defer mu.Unlock()
		switch {
		case r.Status == 200:
			won++
		case r.Status == 400 && r.Body == tellBadCode:
			lost++
		}
	})
	if won != 1 || lost != 49 {
		t.Errorf("%d redemptions succeeded and %d failed as they should, want 1 and 49", won, lost)
	}
}

func TestParallelRefreshes(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	b := s.browser()
	b.signIn(t, "ada")
	first := s.tokens(t, s.redeem(t, s.public, b.code(t, s.public)))
	var mu sync.Mutex
	var won []reply
	var lost int
	parallel(100, func() {
		r := s.refresh(t, s.public, first.RefreshToken)
		mu.Lock()
		defer mu.Unlock()
		switch {
		case r.Status == 200:
			won = append(won, r)
		case r.Status == 400 && r.Body == tellBadToken:
			lost++
		}
	})
	if len(won) != 1 || lost != 99 {
		t.Fatalf("%d refreshes succeeded and %d failed as they should, want 1 and 99", len(won), lost)
	}
	got := s.tokens(t, won[0])
	if !s.works(got.AccessToken) {
		t.Error("the access token of the one that succeeded does not work")
	}
	s.tokens(t, s.refresh(t, s.public, got.RefreshToken))
}

// A second consent of a user to an app ends the refresh token of the first, as on X; tokens of the operator stay.
func TestSecondConsent(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	b := s.browser()
	b.signIn(t, "ada")
	issued, err := s.auth.IssueTokens(t.Context(), s.conf.ID, s.ada.ID, liked.AllScopes, 0)
	check(t, err)
	first := s.tokens(t, s.redeem(t, s.conf, b.code(t, s.conf)))
	elsewhere := s.tokens(t, s.redeem(t, s.public, b.code(t, s.public)))
	second := s.tokens(t, s.redeem(t, s.conf, b.code(t, s.conf)))
	if r := s.refresh(t, s.conf, first.RefreshToken); r.Status != 400 || r.Body != tellBadToken {
		t.Errorf("the first refresh token: %d %s", r.Status, r.Body)
	}
	if !s.works(first.AccessToken) || !s.works(second.AccessToken) {
		t.Error("an access token ended")
	}
	for name, r := range map[string]reply{"second": s.refresh(t, s.conf, second.RefreshToken),
		"operator's": s.refresh(t, s.conf, issued.RefreshToken), "other app's": s.refresh(t, s.public, elsewhere.RefreshToken)} {
		if r.Status != 200 {
			t.Errorf("the %s refresh token: %d %s", name, r.Status, r.Body)
		}
	}
}

// X demands the hint since 2025.
func TestRevokeNeedsHint(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(o *oauth.Options) { o.NeedHint = true })
	b := s.browser()
	b.signIn(t, "ada")
	got := s.tokens(t, s.redeem(t, s.conf, b.code(t, s.conf)))
	if r := s.app(t, s.conf, "/2/oauth2/revoke", "token", got.AccessToken); r.Status != 400 || r.Body != tellMissing("token_type_hint") ||
		!s.works(got.AccessToken) {
		t.Errorf("without a hint: %d %s", r.Status, r.Body)
	}
	if r := s.app(t, s.conf, "/2/oauth2/revoke", "token", got.AccessToken, "token_type_hint", "access_token"); r.Status != 200 ||
		s.works(got.AccessToken) {
		t.Errorf("with a hint: %d %s", r.Status, r.Body)
	}
}

func TestRevokeEndpoint(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	b := s.browser()
	b.signIn(t, "ada")
	for _, which := range []string{"access_token", "refresh_token"} {
		got := s.tokens(t, s.redeem(t, s.conf, b.code(t, s.conf)))
		token := map[string]string{"access_token": got.AccessToken, "refresh_token": got.RefreshToken}[which]
		if r := s.app(t, s.other, "/2/oauth2/revoke", "token", token); r.Status != 400 || r.Body != tellBadToken || !s.works(got.AccessToken) {
			t.Errorf("%s, by another client: %d %s", which, r.Status, r.Body)
		}
		r := s.app(t, s.conf, "/2/oauth2/revoke", "token", token, "token_type_hint", "nonsense")
		if r.Status != 200 || r.Body != `{"revoked":true}` || r.Header.Get("Content-Type") != "application/json;charset=utf-8" {
			t.Errorf("%s: %d %s", which, r.Status, r.Body)
		}
		if s.works(got.AccessToken) || s.refresh(t, s.conf, got.RefreshToken).Status == 200 {
			t.Errorf("%s: a token of the pair outlived it", which)
		}
		for _, token := range []string{got.AccessToken, got.RefreshToken} { // RFC 7009, 2.2
			if r := s.app(t, s.conf, "/2/oauth2/revoke", "token", token); r.Status != 200 || r.Body != `{"revoked":true}` {
				t.Errorf("%s, then the pair: %d %s", which, r.Status, r.Body)
			}
		}
	}
	for _, token := range []string{"nonsense", s.confKeys.Bearer, s.conf.ClientID} {
		if r := s.app(t, s.conf, "/2/oauth2/revoke", "token", token); r.Status != 400 || r.Body != tellBadToken {
			t.Errorf("%s: %d %s", token, r.Status, r.Body)
		}
	}
	if r := s.app(t, s.conf, "/2/oauth2/revoke"); r.Status != 400 || r.Body != tellMissing("token") {
		t.Errorf("no token: %d %s", r.Status, r.Body)
	}
	r := newRequest(t, "POST", s.url+"/2/oauth2/revoke?token=x", "")
	if got := s.send(t, r); got.Status != 400 || got.Body != tellMissing("client_id") {
		t.Errorf("no client: %d %s", got.Status, got.Body)
	}
	got := s.tokens(t, s.redeem(t, s.public, b.code(t, s.public)))
	r = newRequest(t, "POST", s.url+"/2/oauth2/revoke?"+url.Values{"token": {got.AccessToken}, "client_id": {s.public.ClientID}}.Encode(), "")
	if got := s.send(t, r); got.Status != 200 {
		t.Errorf("in the query, by a public client: %d %s", got.Status, got.Body)
	}
}

// An app or an account that is suspended gets nothing.
func TestSuspended(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	b := s.browser()
	b.signIn(t, "ada")
	code := b.code(t, s.conf)
	got := s.tokens(t, s.redeem(t, s.conf, b.code(t, s.conf)))
	state := func(to liked.AccountState) {
		check(t, s.store.UpdateUser(t.Context(), s.ada.ID, func(u *liked.User) error { u.State = to; return nil }))
	}
	state(liked.Suspended)
	if r := s.redeem(t, s.conf, code); r.Body != tellBadCode {
		t.Errorf("code of a suspended account: %s", r.Body)
	}
	if r := s.refresh(t, s.conf, got.RefreshToken); r.Body != tellBadToken {
		t.Errorf("refresh token of a suspended account: %s", r.Body)
	}
	state(liked.Active)
	check(t, s.store.UpdateApp(t.Context(), s.conf.ID, func(a *store.App) error { a.State = liked.AppSuspended; return nil }))
	if r := s.refresh(t, s.conf, got.RefreshToken); r.Status != 401 || r.Body != tellBadClient {
		t.Errorf("suspended app: %d %s", r.Status, r.Body)
	}
}

const tellUnverified = `{"errors":[{"code":99,"label":"authenticity_token_error","message":"Unable to verify your credentials"}]}`

func TestAppOnly(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	call := func(path, user, pass, body string) reply {
		t.Helper()
		r := newRequest(t, "POST", s.url+path, body)
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded;charset=UTF-8")
		if user != "" {
			r.SetBasicAuth(user, pass)
		}
		return s.send(t, r)
	}
	key, secret := s.conf.APIKey, s.confKeys.APISecret
	const grant = "grant_type=client_credentials"
	want := `{"token_type":"bearer","access_token":"` + s.confKeys.Bearer + `"}`
	for range 2 {
		r := call("/oauth2/token", key, secret, grant)
		if r.Status != 200 || r.Body != want || r.Header.Get("Content-Type") != "application/json; charset=utf-8" {
			t.Fatalf("got %d %s, want %s", r.Status, r.Body, want)
		}
	}
	if r := call("/oauth2/token", strings.ReplaceAll(key, key[:1], "%"+hexOf(key[0])), secret, grant); r.Status != 200 {
		t.Errorf("an encoded key: %d %s: %s", r.Status, r.Body, s.last().Why)
	}
	for name, r := range map[string]reply{
		"wrong secret":            call("/oauth2/token", key, "x", grant),
		"empty secret":            call("/oauth2/token", key, "", grant),
		"unknown key":             call("/oauth2/token", "x", secret, grant),
		"client id and secret":    call("/oauth2/token", s.conf.ClientID, s.confKeys.ClientSecret, grant),
		"no Basic":                call("/oauth2/token", "", "", grant),
		"no grant type":           call("/oauth2/token", key, secret, ""),
		"other grant type":        call("/oauth2/token", key, secret, "grant_type=password"),
		"invalidate the unknown":  call("/oauth2/invalidate_token", key, secret, "access_token=AAAAAAAAAAAAAAAAAAAAAx"),
		"invalidate nothing":      call("/oauth2/invalidate_token", key, secret, ""),
		"invalidate another's":    call("/oauth2/invalidate_token", key, secret, "access_token="+url.QueryEscape(s.otherKeys.Bearer)),
		"invalidate as a nobody":  call("/oauth2/invalidate_token", "", "", "access_token="+url.QueryEscape(s.confKeys.Bearer)),
		"invalidate, wrong Basic": call("/oauth2/invalidate_token", key, "x", "access_token="+url.QueryEscape(s.confKeys.Bearer)),
	} {
		if r.Status != 403 || r.Body != tellUnverified || r.Header.Get("Content-Type") != "application/json; charset=utf-8" {
			t.Errorf("%s: %d %s %s", name, r.Status, r.Header.Get("Content-Type"), r.Body)
		}
	}
	if !s.works(s.confKeys.Bearer) || !s.works(s.otherKeys.Bearer) {
		t.Fatal("a refused call ended a token")
	}
	// As it stands in the answer, without an encoding of the form's own.
	r := call("/oauth2/invalidate_token", key, secret, "access_token="+s.confKeys.Bearer)
	if r.Status != 200 || r.Body != `{"access_token":"`+s.confKeys.Bearer+`"}` || s.works(s.confKeys.Bearer) {
		t.Errorf("invalidate: %d %s, works %v", r.Status, r.Body, s.works(s.confKeys.Bearer))
	}
	r = call("/oauth2/token", key, secret, grant)
	var again struct {
		Token string `json:"access_token"`
	}
	check(t, json.Unmarshal([]byte(r.Body), &again))
	s.secret(again.Token)
	if again.Token == s.confKeys.Bearer || !s.works(again.Token) {
		t.Errorf("after that: %s", r.Body)
	}
	r = call("/oauth2/invalidate_token", key, secret, "access_token="+url.QueryEscape(again.Token))
	if r.Body != `{"access_token":"`+again.Token+`"}` {
		t.Errorf("invalidate, encoded twice: %d %s", r.Status, r.Body)
	}
	check(t, s.store.UpdateApp(t.Context(), s.conf.ID, func(a *store.App) error { a.State = liked.AppSuspended; return nil }))
	if r := call("/oauth2/token", key, secret, grant); r.Body != tellUnverified {
		t.Errorf("suspended app: %s", r.Body)
	}
}

func hexOf(c byte) string { return string("0123456789ABCDEF"[c>>4]) + string("0123456789ABCDEF"[c&15]) }

// Paths are a room's own or left alone, and an own path with another method says which it has.
func TestPathsAndMethods(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	for _, tt := range []struct {
		method, path string
		status       int
		allow        string
	}{
		{"GET", "/", 418, ""}, {"POST", "/2/oauth2/token/", 418, ""}, {"POST", "/2/oauth2//token", 418, ""}, {"GET", "/2/users/me", 418, ""},
		{"GET", "/Login", 418, ""}, {"GET", "/developer/apps/", 418, ""}, {"GET", "/developer/apps/x", 418, ""}, {"GET", "/oauth2", 418, ""},
		{"POST", "/2/%6fauth2/token", 418, ""},
		{"GET", "/2/oauth2/token", 405, "POST"}, {"OPTIONS", "/2/oauth2/token", 405, "POST"}, {"GET", "/logout", 405, "POST"},
		{"DELETE", "/login", 405, "GET, HEAD, POST"}, {"PUT", "/oauth/request_token", 405, "GET, HEAD, POST"},
	} {
		got := s.send(t, newRequest(t, tt.method, s.url+tt.path, ""))
		if got.Status != tt.status || got.Header.Get("Allow") != tt.allow {
			t.Errorf("%s %s: %d, allow %q; want %d, %q", tt.method, tt.path, got.Status, got.Header.Get("Allow"), tt.status, tt.allow)
		}
	}
}
