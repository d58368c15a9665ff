package likedtest_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"liked/internal/authtest"
	"liked/likedtest"
)

var nonces atomic.Int64

func signer(srv *likedtest.Server, username string) authtest.Client {
	app, user := srv.Apps[0], srv.Users[username]
	return authtest.Client{Key: app.APIKey, Secret: app.APISecret, Token: user.OAuth1Token, TokenSecret: user.OAuth1TokenSecret,
		Timestamp: fmt.Sprint(time.Now().Unix()), Version: "1.0", Nonce: fmt.Sprintf("nonce-of-mine-%d", nonces.Add(1))}
}

// A signature that matches is shown with its base string, in which secrets are cut.
func TestSignatureVerified(t *testing.T) {
	t.Parallel()
	srv := likedtest.New(t)
	c := signer(srv, "alice")
	target := srv.URL + "/2/users/me?user.fields=verified"
	id := get(t, c.Request(t, "GET", target)).Header.Get("X-Transaction-Id")
	d := srv.Request(t, id)
	if d.Status != 200 || d.Credential != "oauth1" || d.Signature == nil {
		t.Fatalf("%+v", d)
	}
	cut := func(s string) string { return s[:4] + "…" }
	params := [][2]string{{"oauth_consumer_key", cut(c.Key)}, {"oauth_nonce", cut(c.Nonce)}, {"oauth_signature_method", "HMAC-SHA1"},
		{"oauth_timestamp", c.Timestamp}, {"oauth_token", cut(c.Token)}, {"oauth_version", "1.0"}, {"user.fields", "verified"}}
	want := strings.ReplaceAll(authtest.BaseString("GET", srv.URL+"/2/users/me", params), authtest.Encode(authtest.Encode("…")), "…")
	if s := d.Signature; !s.Verified || s.BaseString != want || s.Difference != "" || s.Method != "HMAC-SHA1" ||
		s.User != srv.Users["alice"].ID || len(s.Tried) == 0 || s.Tried[0] != srv.URL {
		t.Errorf("signature %+v, want the base string %s", s, want)
	}
	if !strings.Contains(d.Request.Headers["Authorization"], `oauth_signature_method="HMAC-SHA1"`) {
		t.Errorf("Authorization %s", d.Request.Headers["Authorization"])
	}
}

// The mistake of a client whose signature does not match is found, and said in words.
func TestSignatureMistakes(t *testing.T) {
	t.Parallel()
	srv := likedtest.New(t)
	port := srv.URL[strings.LastIndexByte(srv.URL, ':'):]
	path := "/2/users/" + srv.Users["alice"].ID.String() + "/likes"
	list := "/2/users/" + srv.Users["alice"].ID.String() + "/liked_tweets"
	body := `{"tweet_id":"` + srv.Posts[0].ID.String() + `"}`
	query := [2]string{"max_results", "5"}
	type sent struct {
		method, target, kind, body string
	}
	get, post := sent{"GET", srv.URL + list + "?max_results=5", "", ""}, sent{"POST", srv.URL + path, "application/json", body}
	sign := func(r sent, base string, change ...func(*[][2]string)) func(c *authtest.Client) string {
		return func(c *authtest.Client) string {
			params := c.Params()
			if strings.Contains(r.target, "?") {
				params = append(params, query)
			}
			for _, f := range change {
				f(&params)
			}
			return authtest.BaseString(r.method, base, params)
		}
	}
	drop := func(name string) func(*[][2]string) {
		return func(params *[][2]string) {
			kept := [][2]string{}
			for _, p := range *params {
				if p[0] != name {
					kept = append(kept, p)
				}
			}
			*params = kept
		}
	}
	var requestSecret string
	{
		c := signer(srv, "alice")
		c.Token, c.TokenSecret = "", ""
		c.Extra = [][2]string{{"oauth_callback", "oob"}}
		r := request(t, "POST", srv.URL+"/oauth/request_token")
		r.Header.Set("Authorization", c.Header(t, "POST", srv.URL+"/oauth/request_token", ""))
		_, text := read(t, r)
		values, err := url.ParseQuery(text)
		if requestSecret = values.Get("oauth_token_secret"); err != nil || requestSecret == "" {
			t.Fatalf("no request token: %s", text)
		}
	}
	for _, tt := range []struct {
		name   string
		r      sent
		base   func(*authtest.Client) string // nil: the right one
		change func(*authtest.Client)        // of the key; after the header's parameters are made
		want   string
		at     string // where the base strings begin to differ
	}{
		{"scheme", post, sign(post, strings.Replace(srv.URL, "http:", "ftp:", 1)+path), nil, "no mistake that is known", ""},
		{"http and x.com", post, sign(post, "http://api.x.com"+path), nil, "the client signed http://api.x.com, which is https", `"api.x.com`},
		{"port", post, sign(post, "http://127.0.0.1:80"+path), nil, "the port 80", ""},
		{"localhost", post, sign(post, "http://localhost"+port+path), nil, "the host localhost", "localhost"},
		{"slash", post, sign(post, srv.URL+path+"/"), nil, "with a slash at its end", ""},
		{"query in URL", get, sign(get, get.target), nil, "the URL with its query", ""},
		{"query unsigned", get, sign(get, srv.URL+list, drop("max_results")), nil, "did not sign the parameters of the query", ""},
		{"no version", post, sign(post, srv.URL+path, drop("oauth_version")), nil, "did not sign oauth_version", ""},
		{"no nonce", post, sign(post, srv.URL+path, drop("oauth_nonce")), nil, "did not sign oauth_nonce", ""},
		{"JSON signed", post, sign(post, srv.URL+path, func(p *[][2]string) {
			*p = append(*p, [2]string{"tweet_id", srv.Posts[0].ID.String()})
		}), nil, "members of the JSON body", "tweet_id"},
		{"unsorted", get, func(c *authtest.Client) string {
			var pairs []string
			for _, p := range append(c.Params(), query) {
				pairs = append(pairs, authtest.Encode(p[0])+"="+authtest.Encode(p[1]))
			}
			return "GET&" + authtest.Encode(srv.URL+list) + "&" + authtest.Encode(strings.Join(pairs, "&"))
		}, nil, "did not sort", ""},
		{"request token's secret", post, nil, func(c *authtest.Client) { c.TokenSecret = requestSecret },
			"with the secret of the request token", ""},
		{"no token secret", post, nil, func(c *authtest.Client) { c.TokenSecret = "" }, "without the token's secret", ""},
		{"secrets swapped", post, nil, func(c *authtest.Client) { c.Secret, c.TokenSecret = c.TokenSecret, c.Secret }, "wrong order", ""},
		{"key as secret", post, nil, func(c *authtest.Client) { c.Secret = c.Key }, "API key in place of the API secret", ""},
		{"two", get, sign(get, srv.URL+list, drop("max_results")), func(c *authtest.Client) { c.TokenSecret = "" },
			"did not sign the parameters of the query, and the client signed without the token's secret", ""},
		{"wrong secret", post, nil, func(c *authtest.Client) { c.Secret = "something-else" }, "no mistake that is known", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := signer(srv, "alice")
			base := sign(tt.r, strings.TrimSuffix(tt.r.target, "?max_results=5"))
			if tt.base != nil {
				base = tt.base
			}
			text, header := base(&c), c
			if tt.change != nil {
				tt.change(&c)
			}
			r := request(t, tt.r.method, tt.r.target)
			if tt.r.body != "" {
				r.Body, r.ContentLength = http.NoBody, 0
				r, _ = http.NewRequest(tt.r.method, tt.r.target, strings.NewReader(tt.r.body))
				r.Header.Set("Content-Type", tt.r.kind)
			}
			r.Header.Set("Authorization", header.HeaderWith(c.Sign(text)))
			resp, _ := read(t, r)
			d := srv.Request(t, resp.Header.Get("X-Transaction-Id"))
			if d.Status != 401 || d.Signature == nil {
				t.Fatalf("status %d, %+v", d.Status, d)
			}
			if s := d.Signature; s.Verified || !strings.Contains(s.Difference, tt.want) || !strings.Contains(s.Difference, tt.at) ||
				!strings.Contains(d.Why, tt.want) || s.BaseString == "" {
				t.Errorf("difference %q, want %q and %q; why %q", s.Difference, tt.want, tt.at, d.Why)
			}
			if d.User != srv.Users["alice"].ID.String() || d.App != appID(t, srv) || d.Request.Body != tt.r.body {
				t.Errorf("user %q, app %q, body %q", d.User, d.App, d.Request.Body)
			}
			for _, secret := range []string{c.Token, c.TokenSecret, c.Secret, header.Key, header.TokenSecret, requestSecret} {
				if shown := fmt.Sprintf("%+v %+v", d, *d.Signature); secret != "" && strings.Contains(shown, secret) {
					t.Errorf("%s is shown: %s", secret, shown)
				}
			}
		})
	}
}
