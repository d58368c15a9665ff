package likedtest_test

import (
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"liked/internal/authtest"
	"liked/likedtest"
)

// Whatever way a secret comes here or is given out, the journal shows four characters of it at most.
func TestRequestsHoldNoSecret(t *testing.T) {
	t.Parallel()
	srv := likedtest.New(t, likedtest.AutoConsent("bob"), likedtest.RateLimits("off"))
	alice, app, public := srv.Users["alice"], srv.Apps[0], srv.Apps[1]
	secrets := map[string]string{"access token": alice.AccessToken, "refresh token": alice.RefreshToken, "oauth_token": alice.OAuth1Token,
		"oauth_token_secret": alice.OAuth1TokenSecret, "client secret": app.ClientSecret, "API secret": app.APISecret, "API key": app.APIKey,
		"bearer": app.BearerToken, "password": alice.Password, "made up": "sEcReT-of-mine-4711", "admin token": srv.AdminToken}
	sent := 0
	do := func(r *http.Request) (*http.Response, string) {
		t.Helper()
		sent++
		return read(t, r)
	}
	call := func(method, path, auth, kind, body string) (*http.Response, string) {
		t.Helper()
		r, err := http.NewRequest(method, srv.URL+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		if auth != "" {
			r.Header.Set("Authorization", auth)
		}
		if kind != "" {
			r.Header.Set("Content-Type", kind)
		}
		return do(r)
	}
	const form, jsonKind = "application/x-www-form-urlencoded", "application/json"
	basic := func(user, password string) string {
		return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
	}

	// Every secret in every place where one may come.
	for _, secret := range secrets {
		for _, path := range []string{"/2/users/me", "/2/oauth2/token", "/oauth/access_token", "/login"} {
			for _, method := range []string{"GET", "POST"} {
				for _, auth := range []string{"Bearer " + secret, basic("me", secret), basic(secret, ""), secret, "Token " + secret,
					`OAuth oauth_consumer_key="` + app.APIKey + `", oauth_token="` + secret + `", oauth_signature_method="HMAC-SHA1", ` +
						`oauth_timestamp="1", oauth_nonce="` + secret + `", oauth_version="1.0", oauth_signature="` + secret + `"`,
					"OAuth " + secret, "Bearer  " + secret} {
					call(method, path, auth, "", "")
				}
				for _, name := range []string{"access_token", "refresh_token", "client_secret", "code", "code_verifier", "password",
					"oauth_verifier", "token", "oauth_signature", "oauth_token"} {
					pair := url.Values{name: {secret}}.Encode()
					call(method, path+"?"+pair, "", "", "")
					if method == "GET" {
						continue
					}
					call(method, path, "", form, pair+"&x=1")
					call(method, path, "", jsonKind, `{"x":1, "`+name+`": "`+secret+`"}`)
					call(method, path, "", jsonKind, `{"x":{"`+name+`":["`+secret+`",{"y":"`+secret+`"}]}}`)
					call(method, path, "", jsonKind, `{"`+name+`":"`+secret) // cut off
					call(method, path, "", jsonKind, `{`+name+`: '`+secret+`'}`)
					call(method, path, "", "text/plain", secret)
				}
			}
			for name, value := range map[string]string{"Cookie": "session=" + secret + "; other=" + secret, "X-Api-Key": secret,
				"X-Csrf-Token": secret, "Referer": srv.URL + "/callback?state=1&code=" + secret, "Proxy-Authorization": "Bearer " + secret} {
				r := request(t, "GET", srv.URL+path)
				r.Header.Set(name, value)
				r.Header.Set("Accept", "text/html")
				do(r)
			}
		}
		call("POST", "/login", "", form, url.Values{"username": {"alice"}, "password": {secret}}.Encode())
		call("GET", "/2/users/"+secret, "Bearer "+secret, "", "")
		call("POST", "/2/users/"+alice.ID.String()+"/likes", "Bearer "+alice.AccessToken, jsonKind,
			`{"tweet_id":"`+secret+`","token":"`+secret+`"}`)
	}

	// What the server gives out: tokens of all kinds, codes, cookies.
	keep := func(name, secret string) {
		t.Helper()
		if len(secret) < 6 {
			t.Fatalf("no %s: %q", name, secret)
		}
		secrets[name] = secret
	}
	const verifier = "verifier-of-mine-0123456789-0123456789-0123456789"
	keep("verifier", verifier)
	resp, _ := call("GET", "/i/oauth2/authorize?"+url.Values{"response_type": {"code"}, "client_id": {public.ClientID},
		"redirect_uri": {public.RedirectURIs[0]}, "scope": {"users.read tweet.read offline.access"}, "state": {"s"}, "code_challenge": {verifier},
		"code_challenge_method": {"plain"}}.Encode(), "", "", "")
	to, err := resp.Location()
	if err != nil {
		t.Fatal(err)
	}
	keep("code", to.Query().Get("code"))
	grant := url.Values{"grant_type": {"authorization_code"}, "client_id": {public.ClientID}, "redirect_uri": {public.RedirectURIs[0]},
		"code": {secrets["code"]}, "code_verifier": {verifier}}
	_, text := call("POST", "/2/oauth2/token", "", form, grant.Encode())
	tokens := decode[map[string]any](t, text)
	keep("new access token", fmt.Sprint(tokens["access_token"]))
	keep("new refresh token", fmt.Sprint(tokens["refresh_token"]))
	call("POST", "/2/oauth2/revoke", "", form, url.Values{"client_id": {public.ClientID}, "token": {secrets["new access token"]}}.Encode())
	call("POST", "/oauth2/token", basic(app.APIKey, app.APISecret), form, "grant_type=client_credentials")

	c := signer(srv, "alice")
	c.Token, c.TokenSecret, c.Extra = "", "", [][2]string{{"oauth_callback", "oob"}}
	r := request(t, "POST", srv.URL+"/oauth/request_token")
	r.Header.Set("Authorization", c.Header(t, "POST", srv.URL+"/oauth/request_token", ""))
	_, text = do(r)
	values, err := url.ParseQuery(text)
	if err != nil {
		t.Fatal(err)
	}
	keep("request token", values.Get("oauth_token"))
	keep("request token secret", values.Get("oauth_token_secret"))
	_, page := call("GET", "/oauth/authorize?oauth_token="+url.QueryEscape(values.Get("oauth_token")), "", "", "")
	pin := between(between(page, `id="pin"`, `>`), `value="`, `"`)
	keep("PIN", pin)
	c = signer(srv, "alice")
	c.Token, c.TokenSecret, c.Extra = values.Get("oauth_token"), values.Get("oauth_token_secret"), [][2]string{{"oauth_verifier", pin}}
	r = request(t, "POST", srv.URL+"/oauth/access_token")
	r.Header.Set("Authorization", c.Header(t, "POST", srv.URL+"/oauth/access_token", ""))
	_, text = do(r)
	if values, err = url.ParseQuery(text); err != nil {
		t.Fatal(err)
	}
	keep("new OAuth 1.0a token", values.Get("oauth_token"))
	keep("its secret", values.Get("oauth_token_secret"))

	signing := signer(srv, "alice")
	keep("nonce", signing.Nonce)
	do(signing.Request(t, "GET", srv.URL+"/2/users/me"))
	target := srv.URL + "/2/users/me"
	signing = signer(srv, "alice")
	inQuery := url.Values{}
	for _, p := range signing.Params() {
		inQuery.Set(p[0], p[1])
	}
	signature := signing.Sign(authtest.BaseString("GET", target, signing.Params()))
	keep("signature", signature)
	inQuery.Set("oauth_signature", signature)
	if resp, text := do(request(t, "GET", target+"?"+inQuery.Encode())); resp.StatusCode != 200 {
		t.Fatalf("a signature in the query: %s", text)
	}
	// Mistakes that are found show what was signed.
	const hidden = "sEcReT-of-mine-4711"
	for name, m := range map[string]struct {
		query, body string // as sent
		target      string // as signed, behind the path
		extra       [][2]string
	}{
		"the URL with its query": {query: "?token=" + hidden, target: "?token=" + hidden, extra: [][2]string{{"token", hidden}}},
		"a URL in a parameter, no URL": {query: "?to=https://a.example/?token=" + hidden, target: "/",
			extra: [][2]string{{"to", "https://a.example/?token=" + hidden}}},
		"the body": {body: `{"client_secret":"` + hidden + `"}`,
			extra: [][2]string{{`{"client_secret":"` + hidden + `"}`, ""}}},
		"the members of the body": {body: `{"a":{"client_secret":"` + hidden + `"}}`,
			extra: [][2]string{{"a", `{"client_secret":"` + hidden + `"}`}}},
	} {
		c := signer(srv, "alice")
		path := "/2/users/" + alice.ID.String() + "/likes"
		signature := c.Sign(authtest.BaseString("POST", srv.URL+path+m.target, append(c.Params(), m.extra...)))
		resp, _ := call("POST", path+m.query, c.HeaderWith(signature), jsonKind, m.body)
		d := srv.Request(t, resp.Header.Get("X-Transaction-Id"))
		if d.Signature == nil || d.Signature.Verified || !strings.HasPrefix(d.Signature.Difference, "the client signed") {
			t.Errorf("%s: %+v", name, d.Signature)
		}
	}
	for _, path := range []string{"/", "/postman/environment.json", "/developer", "/explorer", "/settings/connected_apps"} {
		r := request(t, "GET", srv.URL+path)
		r.Header.Set("Accept", "text/html")
		do(r)
	}

	all := srv.Requests(t, "")
	if len(all) != min(sent, 1000) {
		t.Fatalf("%d rows of %d requests", len(all), sent)
	}
	var told strings.Builder
	next := "/admin/requests?limit=1000"
	for next != "" {
		raw := admin(t, srv, next)
		told.WriteString(raw)
		page := decode[struct {
			Data []likedtest.Request
			Next string
		}](t, raw)
		for _, row := range page.Data {
			told.WriteString(admin(t, srv, "/admin/requests/"+row.TransactionID))
		}
		next = ""
		if page.Next != "" {
			next = "/admin/requests?limit=1000&after=" + page.Next
		}
	}
	shown := told.String()
	for name, secret := range secrets {
		for _, form := range []string{secret, url.QueryEscape(secret), url.QueryEscape(url.QueryEscape(secret)),
			strings.ReplaceAll(secret, "/", `\/`)} {
			i := strings.Index(shown, form)
			if name == "PIN" { // so short that digits of a time or of an id have it by chance
				i = -1
				if at := regexp.MustCompile(`(?:^|[^0-9a-f])` + form + `(?:[^0-9a-f]|$)`).FindStringIndex(shown); at != nil {
					i = at[0]
				}
			}
			if i >= 0 {
				t.Errorf("the %s is shown: %s", name, shown[max(0, i-300):min(len(shown), i+200)])
				break
			}
		}
	}
	for _, want := range []string{"Bearer " + alice.AccessToken[:4] + "…", "code=" + secrets["code"][:4] + "…"} {
		if !strings.Contains(shown, want) {
			t.Errorf("%s is not shown", want)
		}
	}
}

func between(text, from, to string) string {
	_, rest, _ := strings.Cut(text, from)
	found, _, _ := strings.Cut(rest, to)
	return found
}

// admin returns an answer of the operator's side as it is.
func admin(t *testing.T, srv *likedtest.Server, path string) string {
	t.Helper()
	r := request(t, "GET", srv.AdminURL+path)
	r.Header.Set("Authorization", "Bearer "+srv.AdminToken)
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != 200 {
		t.Fatalf("%s: %s %v", path, resp.Status, err)
	}
	return string(text)
}
