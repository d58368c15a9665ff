package oauth_test

import (
	"fmt"
	"liked/internal/authtest"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"liked"
	"liked/internal/auth"
	"liked/internal/store"
)

// signed returns a client that signs for the app, with a nonce and a timestamp of its own.
func (s *site) signed(app liked.App, token, tokenSecret string, extra ...[2]string) authtest.Client {
	secret := map[liked.AppID]string{s.conf.ID: s.confKeys.APISecret, s.other.ID: s.otherKeys.APISecret,
		s.public.ID: s.noSecret.APISecret}[app.ID]
	return authtest.Client{Key: app.APIKey, Secret: secret, Token: token, TokenSecret: tokenSecret, Nonce: fmt.Sprint("n", s.nonces.Add(1)),
		Timestamp: fmt.Sprint(s.clock.Now().Unix()), Version: "1.0", Extra: extra}
}

// call sends a signed request.
func (s *site) call(t testing.TB, c authtest.Client, method, target, form string) reply {
	t.Helper()
	r := newRequest(t, method, s.url+target, form)
	if form != "" {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	r.Header.Set("Authorization", c.Header(t, method, s.url+target, form))
	return s.send(t, r)
}

// values reads a form-encoded success.
func (s *site) values(t testing.TB, r reply) url.Values {
	t.Helper()
	v, err := url.ParseQuery(r.Body)
	if err != nil || r.Status != 200 || r.Header.Get("Content-Type") != "text/html;charset=utf-8" {
		t.Fatalf("%d %s %s: %s", r.Status, r.Header.Get("Content-Type"), r.Body, s.last().Why)
	}
	s.secret(v.Get("oauth_token_secret"))
	return v
}

// begin returns a request token.
func (s *site) begin(t testing.TB, app liked.App, callback string, extra ...[2]string) (token, secret string) {
	t.Helper()
	v := s.values(t, s.call(t, s.signed(app, "", "", append(extra, [2]string{"oauth_callback", callback})...), "POST",
		"/oauth/request_token", ""))
	return v.Get("oauth_token"), v.Get("oauth_token_secret")
}

// finish exchanges a request token.
func (s *site) finish(t testing.TB, app liked.App, token, secret, verifier string) reply {
	t.Helper()
	return s.call(t, s.signed(app, token, secret, [2]string{"oauth_verifier", verifier}), "POST", "/oauth/access_token", "")
}

func verifierOf(t testing.TB, r reply, token string) string {
	t.Helper()
	u, err := url.Parse(r.Location)
	if err != nil || r.Status != 302 || u.Query().Get("oauth_token") != token || u.Query().Get("oauth_verifier") == "" {
		t.Fatalf("no verifier: %d %q", r.Status, r.Location)
	}
	return u.Query().Get("oauth_verifier")
}

func TestThreeLegs(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	b := s.browser()
	first := s.call(t, s.signed(s.conf, "", "", [2]string{"oauth_callback", callback}), "POST", "/oauth/request_token", "")
	shape := regexp.MustCompile(`^oauth_token=[A-Za-z0-9_-]{27}&oauth_token_secret=[A-Za-z0-9]{32}&oauth_callback_confirmed=true$`)
	if !shape.MatchString(first.Body) {
		t.Errorf("got %s", first.Body)
	}
	v := s.values(t, first)
	token, secret := v.Get("oauth_token"), v.Get("oauth_token_secret")
	page := b.Get(t, "/oauth/authorize?oauth_token="+token)
	if page.Status != 200 || page.Form().Get("return") == "" {
		t.Fatalf("%d", page.Status)
	}
	in := b.Post(t, "/login", with(page.Form(), "username", "ada", "password", password))
	if in.Location != "/oauth/authorize?oauth_token="+token {
		t.Fatalf("after signing in: %q", in.Location)
	}
	r := b.consent(t, in.Location, "allow")
	if !strings.HasPrefix(r.Location, callback+"&oauth_token="+token+"&oauth_verifier=") {
		t.Errorf("got %q", r.Location)
	}
	last := s.finish(t, s.conf, token, secret, s.secret(verifierOf(t, r, token)))
	shape = regexp.MustCompile(`^oauth_token=11-[A-Za-z0-9]{40}&oauth_token_secret=[A-Za-z0-9]{45}&user_id=11&screen_name=ada$`)
	if !shape.MatchString(last.Body) {
		t.Errorf("got %s", last.Body)
	}
	v = s.values(t, last)
	s.secret(v.Get("oauth_token"))
	p := s.who(t, v)
	if p.User != s.ada.ID || p.App != s.conf.ID || p.Access != liked.ReadWrite {
		t.Errorf("the token is that of %+v", p)
	}
	if r := s.finish(t, s.conf, token, secret, verifierOf(t, r, token)); r.Status != 401 || r.Body != "Reverse auth credentials are invalid" {
		t.Errorf("a second time: %d %s", r.Status, r.Body)
	}

	for _, suffix := range []string{"", ".json"} {
		if suffix != "" {
			v = s.threeLegs(t, b, s.conf)
		}
		c := s.signed(s.conf, v.Get("oauth_token"), v.Get("oauth_token_secret"))
		if r := s.call(t, c, "POST", "/1.1/oauth/invalidate_token"+suffix, ""); r.Status != 200 ||
			r.Body != `{"access_token":"`+v.Get("oauth_token")+`"}` {
			t.Errorf("invalidate: %d %s", r.Status, r.Body)
		}
		c = s.signed(s.conf, v.Get("oauth_token"), v.Get("oauth_token_secret"))
		if r := s.call(t, c, "POST", "/1.1/oauth/invalidate_token"+suffix, ""); r.Status != 401 ||
			!strings.Contains(r.Body, `<error code="89">Invalid or expired token.</error>`) {
			t.Errorf("invalidate again: %d %s", r.Status, r.Body)
		}
	}
}

// threeLegs goes all the way for ada, who is signed in.
func (s *site) threeLegs(t testing.TB, b *browser, app liked.App, extra ...[2]string) url.Values {
	t.Helper()
	token, secret := s.begin(t, app, callback, extra...)
	r := b.consent(t, "/oauth/authorize?oauth_token="+token, "allow")
	return s.values(t, s.finish(t, app, token, secret, verifierOf(t, r, token)))
}

// who says whose access token it is.
func (s *site) who(t testing.TB, v url.Values) liked.Principal {
	t.Helper()
	c := s.signed(s.conf, v.Get("oauth_token"), v.Get("oauth_token_secret"))
	if s.other.APIKey == v.Get("consumer") {
		c = s.signed(s.other, v.Get("oauth_token"), v.Get("oauth_token_secret"))
	}
	r := c.Request(t, "GET", s.url+"/2/users/me")
	p, err := s.auth.Authenticate(r)
	check(t, err)
	return p
}

// The callback, the verifier and the rest may stand in the header, the query or the body, or in two of these; the answer
// is the same for GET.
func TestThreeLegsPlaces(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	b := s.browser()
	b.signIn(t, "ada")
	for _, place := range []string{"header", "query", "body", "header and body", "GET"} {
		send := func(token, secret, path string, members ...string) reply {
			var extra [][2]string
			values := url.Values{}
			for i := 0; i < len(members); i += 2 {
				if place == "header" || place == "header and body" {
					extra = append(extra, [2]string{members[i], members[i+1]})
				}
				if place != "header" {
					values.Set(members[i], members[i+1])
				}
			}
			if place == "header and body" && token != "" {
				values.Set("oauth_token", token)
			}
			c := s.signed(s.conf, token, secret, extra...)
			switch place {
			case "query":
				return s.call(t, c, "POST", path+"?"+values.Encode(), "")
			case "GET":
				return s.call(t, c, "GET", path+"?"+values.Encode(), "")
			}
			return s.call(t, c, "POST", path, values.Encode())
		}
		v := s.values(t, send("", "", "/oauth/request_token", "oauth_callback", callback, "x_auth_access_type", "read"))
		token := v.Get("oauth_token")
		r := b.consent(t, "/oauth/authorize?oauth_token="+token, "allow")
		v = s.values(t, send(token, v.Get("oauth_token_secret"), "/oauth/access_token", "oauth_verifier", verifierOf(t, r, token)))
		if p := s.who(t, v); p.User != s.ada.ID || p.Access != liked.ReadOnly {
			t.Errorf("%s: got %+v", place, p)
		}
	}
}

// A token may do what was asked for, and never more than the app may.
func TestThreeLegsAccess(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	b := s.browser()
	b.signIn(t, "ada")
	ask := func(level string) [2]string { return [2]string{"x_auth_access_type", level} }
	if p := s.who(t, s.threeLegs(t, b, s.conf, ask("write"))); p.Access != liked.ReadWrite {
		t.Errorf("write: %s", p.Access)
	}
	if p := s.who(t, s.threeLegs(t, b, s.conf, ask("nonsense"))); p.Access != liked.ReadWrite {
		t.Errorf("nonsense: %s", p.Access)
	}
	check(t, s.store.UpdateApp(t.Context(), s.conf.ID, func(a *store.App) error { a.Access = liked.ReadWriteDirectMessages; return nil }))
	if p := s.who(t, s.threeLegs(t, b, s.conf, ask("write"))); p.Access != liked.ReadWrite {
		t.Errorf("write of an app with direct messages: %s", p.Access)
	}
	if p := s.who(t, s.threeLegs(t, b, s.conf)); p.Access != liked.ReadWriteDirectMessages {
		t.Errorf("all of an app with direct messages: %s", p.Access)
	}
	token, secret := s.begin(t, s.conf, callback)
	r := b.consent(t, "/oauth/authorize?oauth_token="+token, "allow")
	check(t, s.store.UpdateApp(t.Context(), s.conf.ID, func(a *store.App) error { a.Access = liked.ReadOnly; return nil }))
	if p := s.who(t, s.values(t, s.finish(t, s.conf, token, secret, verifierOf(t, r, token)))); p.Access != liked.ReadOnly {
		t.Errorf("of an app that lost its permission meanwhile: %s", p.Access)
	}
	if p := s.who(t, s.threeLegs(t, b, s.conf, ask("write"))); p.Access != liked.ReadOnly {
		t.Errorf("write of an app that may read: %s", p.Access)
	}
}

func TestPIN(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	b := s.browser()
	b.signIn(t, "ada")
	token, secret := s.begin(t, s.conf, "oob")
	ask := b.Get(t, "/oauth/authorize?oauth_token="+token)
	if regexp.MustCompile(`\b[0-9]{7}\b`).MatchString(ask.Body) {
		t.Error("the page that asks shows a PIN")
	}
	other := b.Get(t, "/oauth/authorize?oauth_token="+token) // in another tab
	r := b.Post(t, "/oauth/authorize", with(ask.Form(), "decision", "allow"))
	pin := regexp.MustCompile(`\b[0-9]{7}\b`).FindString(r.Body)
	if r.Status != 200 || r.Location != "" || pin == "" {
		t.Fatalf("%d %q %s", r.Status, r.Location, r.Body)
	}
	s.secret(pin)
	// The page can be loaded anew; the decision stays what it was.
	again := b.Post(t, "/oauth/authorize", with(ask.Form(), "decision", "allow"))
	if again.Status != 200 || !strings.Contains(again.Body, pin) {
		t.Errorf("loaded anew: %d, without the PIN", again.Status)
	}
	for decision, form := range map[string]url.Values{"deny": ask.Form(), "allow": other.Form()} {
		if r := b.Post(t, "/oauth/authorize", with(form, "decision", decision)); r.Status != 400 {
			t.Errorf("%s afterwards: %d", decision, r.Status)
		}
	}
	for range 9 {
		if r := s.finish(t, s.conf, token, secret, "0000000"); r.Status != 401 ||
			r.Body != "Error processing your OAuth request: Invalid oauth_verifier parameter" ||
			r.Header.Get("Content-Type") != "text/plain;charset=utf-8" {
			t.Fatalf("a wrong PIN: %d %s", r.Status, r.Body)
		}
	}
	s.values(t, s.finish(t, s.conf, token, secret, pin))
	if again := b.Post(t, "/oauth/authorize", with(ask.Form(), "decision", "allow")); again.Status != 400 {
		t.Errorf("loaded anew when the PIN is used: %d", again.Status)
	}

	token, secret = s.begin(t, s.conf, "oob")
	r = b.consent(t, "/oauth/authorize?oauth_token="+token, "allow")
	pin = s.secret(regexp.MustCompile(`\b[0-9]{7}\b`).FindString(r.Body))
	for range 10 {
		s.finish(t, s.conf, token, secret, "0000000")
	}
	if r := s.finish(t, s.conf, token, secret, pin); r.Status != 401 {
		t.Errorf("the right PIN after ten wrong ones: %d", r.Status)
	}
}

func TestThreeLegsRefused(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	b := s.browser()
	b.signIn(t, "ada")
	token, secret := s.begin(t, s.conf, callback)
	early := s.finish(t, s.conf, token, secret, "x")
	if early.Status != 401 || early.Body != "Error processing your OAuth request: Invalid oauth_verifier parameter" {
		t.Errorf("before the consent: %d %s", early.Status, early.Body)
	}
	r := b.consent(t, "/oauth/authorize?oauth_token="+token, "deny")
	if r.Status != 200 || r.Location != "" || !strings.Contains(r.Body,
		`href="`+strings.ReplaceAll(callback, "&", "&amp;")+`&amp;denied=`+token+`"`) {
		t.Errorf("cancelled: %d %q", r.Status, r.Location)
	}
	for name, r := range map[string]reply{"cancelled, authorize": b.Get(t, "/oauth/authorize?oauth_token="+token),
		"unknown": b.Get(t, "/oauth/authorize?oauth_token=x"),
		"none":    b.Get(t, "/oauth/authenticate"), "two": b.Get(t, "/oauth/authorize?oauth_token=x&oauth_token=y")} {
		if r.Status != 400 || r.Location != "" || !strings.Contains(r.Body, "Something went wrong") {
			t.Errorf("%s: %d %q", name, r.Status, r.Location)
		}
	}
	if r := s.finish(t, s.conf, token, secret, ""); r.Status != 401 {
		t.Errorf("cancelled, access token: %d", r.Status)
	}
	token, _ = s.begin(t, s.conf, "oob")
	if r := b.consent(t, "/oauth/authorize?oauth_token="+token, "deny"); r.Status != 200 || strings.Contains(r.Body, "denied=") {
		t.Errorf("cancelled, no callback: %d", r.Status)
	}

	token, secret = s.begin(t, s.conf, callback)
	page := b.Get(t, "/oauth/authorize?oauth_token="+token)
	r = b.Post(t, "/oauth/authorize", with(page.Form(), "decision", "allow"))
	if again := b.Post(t, "/oauth/authorize", with(page.Form(), "decision", "allow")); again.Status != 400 || again.Location != "" {
		t.Errorf("consented twice: %d %q", again.Status, again.Location)
	}
	verifier := verifierOf(t, r, token)
	if r := s.finish(t, s.other, token, secret, verifier); r.Status != 401 || r.Body != "Reverse auth credentials are invalid" {
		t.Errorf("by another app: %d %s", r.Status, r.Body)
	}
	unknown := s.signed(s.conf, token, secret, [2]string{"oauth_verifier", verifier})
	unknown.Key = "nobody's"
	if r := s.call(t, unknown, "POST", "/oauth/access_token", ""); r.Status != 401 || !strings.Contains(r.Body, `code="32"`) {
		t.Errorf("by an unknown app: %d %s", r.Status, r.Body)
	}
	if r := s.finish(t, s.conf, "", "", verifier); r.Status != 401 || r.Body != "Request token missing" {
		t.Errorf("without a request token: %d %s", r.Status, r.Body)
	}
	s.clock.Add(15 * time.Minute)
	if r := s.finish(t, s.conf, token, secret, verifier); r.Status != 401 || r.Body != "Reverse auth credentials are invalid" {
		t.Errorf("too late: %d %s", r.Status, r.Body)
	}
	token, _ = s.begin(t, s.conf, callback)
	s.clock.Add(15 * time.Minute)
	r = b.Get(t, "/oauth/authorize?oauth_token="+token)
	if why := s.last().Why; r.Status != 400 || why != "the request token is older than 15 minutes" {
		t.Errorf("an old request token: %d, %s", r.Status, why)
	}
}

// A callback may bring parameters beside what is registered, and gets them back.
func TestCallbackWithMore(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	b := s.browser()
	b.signIn(t, "ada")
	for sent, before := range map[string]string{
		"http://localhost:3000/callback?redirect_state=abc": "http://localhost:3000/callback?redirect_state=abc&oauth_token=",
		callback + "&redirect_state=a%20b&state=x":          callback + "&redirect_state=a%20b&state=x&oauth_token=",
	} {
		token, _ := s.begin(t, s.conf, sent)
		if r := b.consent(t, "/oauth/authorize?oauth_token="+token, "allow"); !strings.HasPrefix(r.Location, before+token+"&oauth_verifier=") {
			t.Errorf("%s: to %d %q", sent, r.Status, r.Location)
		}
	}
}

// As X documents it, the request token and its verifier are enough, however they are sent, signed or not.
func TestAccessTokenUnsigned(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	b := s.browser()
	b.signIn(t, "ada")
	for name, exchange := range map[string]func(token, secret, verifier string) reply{
		"query": func(token, _, verifier string) reply {
			return s.send(t, newRequest(t, "POST", s.url+"/oauth/access_token?oauth_token="+token+"&oauth_verifier="+verifier, ""))
		},
		"GET": func(token, _, verifier string) reply {
			return s.send(t, newRequest(t, "GET", s.url+"/oauth/access_token?oauth_token="+token+"&oauth_verifier="+verifier, ""))
		},
		"form, with the consumer key": func(token, _, verifier string) reply {
			r := newRequest(t, "POST", s.url+"/oauth/access_token", "oauth_consumer_key="+s.conf.APIKey+"&oauth_token="+token+
				"&oauth_verifier="+verifier)
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			return s.send(t, r)
		},
		"signed without the token": func(token, _, verifier string) reply {
			return s.call(t, s.signed(s.conf, "", ""), "POST", "/oauth/access_token", "oauth_token="+token+"&oauth_verifier="+verifier)
		},
		"signed without the token's secret": func(token, _, verifier string) reply { return s.finish(t, s.conf, token, "", verifier) },
		"signed": func(token, secret, verifier string) reply {
			return s.finish(t, s.conf, token, secret, verifier)
		},
	} {
		token, secret := s.begin(t, s.conf, callback)
		verifier := verifierOf(t, b.consent(t, "/oauth/authorize?oauth_token="+token, "allow"), token)
		if r := exchange(token, secret, "wrong"); r.Status != 401 || r.Body != "Error processing your OAuth request: "+
			"Invalid oauth_verifier parameter" {
			t.Errorf("%s, wrong verifier: %d %s", name, r.Status, r.Body)
		}
		if v := s.values(t, exchange(token, secret, verifier)); s.who(t, v).User != s.ada.ID {
			t.Errorf("%s: the token is another's", name)
		}
		if r := exchange(token, secret, verifier); r.Status != 401 || r.Body != "Reverse auth credentials are invalid" {
			t.Errorf("%s, again: %d %s", name, r.Status, r.Body)
		}
	}
}

// A request token may be asked for with an access token of the developer, whose secret then signs, too.
func TestRequestTokenByDeveloper(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	token, secret, err := s.auth.IssueOAuth1Token(t.Context(), s.conf.ID, s.bob.ID, liked.ReadWrite)
	check(t, err)
	more := [2]string{"oauth_callback", callback}
	s.values(t, s.call(t, s.signed(s.conf, token, s.secret(secret), more), "POST", "/oauth/request_token", ""))
	if r := s.call(t, s.signed(s.conf, token, "", more), "POST", "/oauth/request_token", ""); r.Status != 401 ||
		!strings.Contains(r.Body, `code="32"`) {
		t.Errorf("without its secret: %d %s", r.Status, r.Body)
	}
}

// Of many exchanges of one request token at once one succeeds.
func TestParallelExchanges(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	b := s.browser()
	b.signIn(t, "ada")
	token, secret := s.begin(t, s.conf, callback)
	verifier := verifierOf(t, b.consent(t, "/oauth/authorize?oauth_token="+token, "allow"), token)
	var mu sync.Mutex
	won := 0
	parallel(10, func() {
		if r := s.finish(t, s.conf, token, secret, verifier); r.Status == 200 {
			mu.Lock()
			won++
			mu.Unlock()
		}
	})
	if won != 1 {
		t.Errorf("%d exchanges succeeded, want 1", won)
	}
}

func TestAuthenticate(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	b := s.browser()
	b.signIn(t, "ada")
	link := func(extra ...[2]string) string {
		token, _ := s.begin(t, s.conf, callback, extra...)
		return "/oauth/authenticate?oauth_token=" + token
	}
	read := [2]string{"x_auth_access_type", "read"}
	if r := b.Get(t, link(read)); r.Status != 200 || r.Form().Get("request") == "" {
		t.Fatalf("the first time: %d", r.Status)
	}
	s.threeLegs(t, b, s.conf, read)
	if r := b.Get(t, link(read)); r.Status != 302 || !strings.HasPrefix(r.Location, callback) {
		t.Errorf("the second time: %d %q", r.Status, r.Location)
	}
	if r := b.Get(t, link()); r.Status != 200 {
		t.Errorf("more than before is given unasked: %d", r.Status)
	}
	s.threeLegs(t, b, s.conf)
	if r := b.Get(t, link()); r.Status != 302 {
		t.Errorf("as much as before: %d", r.Status)
	}
	if r := b.Get(t, strings.Replace(link(), "authenticate", "authorize", 1)); r.Status != 200 {
		t.Errorf("authorize always asks: %d", r.Status)
	}
	forced := b.Get(t, link()+"&force_login=true&screen_name=bob")
	if forced.Status != 200 || forced.Form().Get("return") == "" || !strings.Contains(forced.Body, `value="bob"`) {
		t.Errorf("force_login: %d", forced.Status)
	}
	if r := b.Post(t, "/login", with(forced.Form(), "username", "bob", "password", password)); !strings.HasPrefix(r.Location,
		"/oauth/authenticate?oauth_token=") || strings.Contains(r.Location, "force") {
		t.Errorf("after force_login: %q", r.Location)
	}
	if r := b.Get(t, link()); r.Status != 200 || r.Form().Get("request") == "" {
		t.Errorf("bob is not asked: %d", r.Status)
	}
	b.signIn2(t, "ada")
	grants, err := s.store.GrantsOf(t.Context(), s.ada.ID)
	check(t, err)
	for _, g := range grants {
		check(t, s.store.RevokeGrant(t.Context(), g.ID))
	}
	if r := b.Get(t, link()); r.Status != 200 {
		t.Errorf("after revoking: %d", r.Status)
	}
	// OAuth 2.0 consent is another one.
	s.tokens(t, s.redeem(t, s.conf, b.code(t, s.conf)))
	if r := b.Get(t, link(read)); r.Status != 200 {
		t.Errorf("OAuth 2.0 consent counts for 1.0a: %d", r.Status)
	}
}

// signIn2 signs in as somebody else.
func (b *browser) signIn2(t testing.TB, username string) {
	t.Helper()
	b.Post(t, "/logout", b.Get(t, "/settings/connected_apps").Form())
	b.signIn(t, username)
}

func TestOAuth1Errors(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	ask := func(change func(*authtest.Client)) func() *http.Request {
		return func() *http.Request {
			c := s.signed(s.conf, "", "", [2]string{"oauth_callback", callback})
			if change != nil {
				change(&c)
			}
			return c.Request(t, "POST", s.url+"/oauth/request_token")
		}
	}
	set := func(name, value string) func(*authtest.Client) {
		return func(c *authtest.Client) { c.Extra = [][2]string{{name, value}} }
	}
	plain := func(authorization ...string) func() *http.Request {
		return func() *http.Request {
			r := newRequest(t, "POST", s.url+"/oauth/request_token", "")
			r.Header["Authorization"] = authorization
			return r
		}
	}
	desktop, _, err := s.auth.NewApp(t.Context(), liked.App{ID: 9, Name: "Desktop"})
	check(t, err)
	used := func() *http.Request {
		r := ask(nil)()
		s.send(t, r.Clone(t.Context()))
		return r
	}
	check(t, s.store.UpdateApp(t.Context(), s.other.ID, func(a *store.App) error { a.State = liked.AppSuspended; return nil }))
	for _, tt := range []struct {
		name   string
		make   func() *http.Request
		status int
		code   string
		text   string
	}{
		{"no header", plain(), 400, "215", "Bad Authentication data."},
		{"two headers", plain("OAuth x", "OAuth y"), 400, "215", "Bad Authentication data."},
		{"Basic", plain("Basic eDp5"), 400, "215", "Bad Authentication data."},
		{"no callback", ask(func(c *authtest.Client) { c.Extra = nil }), 400, "215", "Bad Authentication data."},
		{"no nonce", ask(func(c *authtest.Client) { c.Nonce = "" }), 400, "215", "Bad Authentication data."},
		{"unknown key", ask(func(c *authtest.Client) { c.Key = "x" }), 401, "32", "Could not authenticate you."},
		{"client id as key", ask(func(c *authtest.Client) { c.Key = s.conf.ClientID }), 401, "32", "Could not authenticate you."},
		{"wrong secret", ask(func(c *authtest.Client) { c.Secret = "x" }), 401, "32", "Could not authenticate you."},
		{"nonce used", used, 401, "32", "Could not authenticate you."},
		{"old timestamp", ask(func(c *authtest.Client) { c.Timestamp = fmt.Sprint(s.clock.Now().Unix() - 301) }), 401, "135",
			"Timestamp out of bounds."},
		{"future timestamp", ask(func(c *authtest.Client) { c.Timestamp = fmt.Sprint(s.clock.Now().Unix() + 301) }), 401, "135",
			"Timestamp out of bounds."},
		{"no timestamp", ask(func(c *authtest.Client) { c.Timestamp = "soon" }), 401, "135", "Timestamp out of bounds."},
		{"other callback", ask(set("oauth_callback", "https://evil.example/")), 403, "415",
			"Callback URL not approved for this client application. Approved callback URLs can be adjusted in your application settings"},
		{"callback with a longer path", ask(set("oauth_callback", "http://localhost:3000/callback/x?y=1")), 403, "415",
			"Callback URL not approved for this client application. Approved callback URLs can be adjusted in your application settings"},
		{"callback with a longer value", ask(set("oauth_callback", callback+"1")), 403, "415",
			"Callback URL not approved for this client application. Approved callback URLs can be adjusted in your application settings"},
		{"callback with another query", ask(set("oauth_callback", "http://127.0.0.1:3000/callback?x=1")), 403, "415",
			"Callback URL not approved for this client application. Approved callback URLs can be adjusted in your application settings"},
		{"callback with a verifier", ask(set("oauth_callback", callback+"&OAuth_verifier=1")), 403, "415",
			"Callback URL not approved for this client application. Approved callback URLs can be adjusted in your application settings"},
		{"callback with a fragment", ask(set("oauth_callback", callback+"&x=1#y")), 403, "415",
			"Callback URL not approved for this client application. Approved callback URLs can be adjusted in your application settings"},
		{"revoked token of the developer", ask(func(c *authtest.Client) { c.Token = "11-x" }), 401, "89", "Invalid or expired token."},
		{"suspended app", ask(func(c *authtest.Client) { c.Key, c.Secret = s.other.APIKey, s.otherKeys.APISecret }), 403, "416",
			"Invalid / suspended application"},
	} {
		for _, accept := range []string{"", "application/json, text/plain, */*", "*/*"} {
			r := tt.make()
			if accept != "" {
				r.Header.Set("Accept", accept)
			}
			want, contentType := `<?xml version='1.0' encoding='UTF-8'?><errors><error code="`+tt.code+`">`+tt.text+`</error></errors>`,
				"application/xml;charset=utf-8"
			if strings.Contains(accept, "json") {
				want, contentType = `{"errors":[{"code":`+tt.code+`,"message":"`+tt.text+`"}]}`, "application/json; charset=utf-8"
			}
			got := s.send(t, r)
			if got.Status != tt.status || got.Body != want || got.Header.Get("Content-Type") != contentType {
				t.Errorf("%s: got %d %s %s, want %d %s", tt.name, got.Status, got.Header.Get("Content-Type"), got.Body, tt.status, want)
			}
		}
	}
	secrets := authtest.Client{Nonce: "n", Timestamp: fmt.Sprint(s.clock.Now().Unix()), Extra: [][2]string{{"oauth_callback", callback}}}
	_, keys, _, err := s.auth.Regenerate(t.Context(), 0, desktop.ID, auth.APIKeys)
	check(t, err)
	app, err := s.store.App(t.Context(), desktop.ID)
	check(t, err)
	secrets.Key, secrets.Secret = app.APIKey, s.secret(keys.APISecret)
	if r := s.call(t, secrets, "POST", "/oauth/request_token", ""); r.Status != 401 ||
		!strings.Contains(r.Body, `<error code="417">Desktop applications only support the oauth_callback value 'oob'</error>`) {
		t.Errorf("no callback registered: %d %s", r.Status, r.Body)
	}
	secrets.Nonce, secrets.Extra[0][1] = "n2", "oob"
	s.values(t, s.call(t, secrets, "POST", "/oauth/request_token", ""))
}

// How many request tokens of an app can be pending is bounded.
func TestRequestTokensAreBounded(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("thousands of requests")
	}
	s := newSite(t, nil)
	refused := 0
	for i := range 5001 {
		c := s.signed(s.conf, "", "", [2]string{"oauth_callback", "oob"})
		if r := s.call(t, c, "POST", "/oauth/request_token", ""); r.Status == 429 && strings.Contains(r.Body, `code="88"`) {
			refused++
		} else if r.Status != 200 {
			t.Fatalf("request %d: %d %s", i+1, r.Status, r.Body)
		}
	}
	if refused != 1 {
		t.Errorf("%d of 5001 were refused, want 1", refused)
	}
	s.begin(t, s.other, "oob")
	s.clock.Add(15 * time.Minute)
	s.begin(t, s.conf, "oob")
}

// The API key and secret can also be proven by a signature.
func TestInvalidateBySignature(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	b := s.browser()
	b.signIn(t, "ada")
	form := "access_token=" + url.QueryEscape(s.otherKeys.Bearer)
	if r := s.call(t, s.signed(s.conf, "", ""), "POST", "/oauth2/invalidate_token", form); r.Status != 403 || r.Body != tellUnverified ||
		!s.works(s.otherKeys.Bearer) {
		t.Errorf("the token of another app: %d %s", r.Status, r.Body)
	}
	wrong := s.signed(s.other, "", "")
	wrong.Secret = "x"
	if r := s.call(t, wrong, "POST", "/oauth2/invalidate_token", form); r.Status != 403 || r.Body != tellUnverified {
		t.Errorf("a wrong signature: %d %s", r.Status, r.Body)
	}
	if r := s.call(t, s.signed(s.other, "", ""), "POST", "/oauth2/invalidate_token", form); r.Status != 200 || s.works(s.otherKeys.Bearer) {
		t.Errorf("without a token: %d %s: %s", r.Status, r.Body, s.last().Why)
	}
	v := s.threeLegs(t, b, s.conf)
	form = "access_token=" + url.QueryEscape(s.confKeys.Bearer)
	if r := s.call(t, s.signed(s.conf, v.Get("oauth_token"), v.Get("oauth_token_secret")), "POST", "/oauth2/invalidate_token",
		form); r.Status != 200 || s.works(s.confKeys.Bearer) {
		t.Errorf("with a token: %d %s: %s", r.Status, r.Body, s.last().Why)
	}
}
