package oauth_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"liked/internal/auth"
	"liked/internal/oauth"
)

// FuzzTokenParameters holds the reading of parameters to net/url and encoding/json where these accept them.
func FuzzTokenParameters(f *testing.F) {
	for _, seed := range [][3]string{
		{"grant_type=refresh_token", "form", "refresh_token=x&client_id=a%2Bb+c"}, {"", "json", `{"code":"x","n":1,"code_verifier":"ü"}`},
		{"code=1&code=2", "form", ""}, {"a=%zz", "form", "&&=&a"}, {"", "json", `{"a":"1"}{}`}, {"", "json", `{"a":"1","a":"2"}`},
		{"", "text", "a=b"},
	} {
		f.Add(seed[0], seed[1], seed[2])
	}
	f.Fuzz(func(t *testing.T, query, kind, body string) {
		contentType := map[string]string{"form": "application/x-www-form-urlencoded", "json": "application/json"}[kind]
		got, err := oauth.ReadParams(query, contentType, body)
		if err != nil {
			return
		}
		want, err := url.ParseQuery(query)
		if err != nil { // net/url refuses semicolons, which are nothing special
			return
		}
		if kind == "json" && body != "" {
			var members map[string]any
			if err := json.Unmarshal([]byte(body), &members); err != nil {
				t.Fatalf("%q is accepted: %v", body, err)
			}
			for k, v := range members {
				if s, ok := v.(string); ok {
					want[k] = append(want[k], s)
				}
			}
		} else {
			form, err := url.ParseQuery(body)
			if err != nil {
				return
			}
			for k, v := range form {
				want[k] = append(want[k], v...)
			}
		}
		for k, v := range want {
			one, err := got(k)
			if len(v) == 1 && kind != "json" && (err != nil || one != v[0]) || len(v) > 1 && err == nil {
				t.Fatalf("%q is %q, %v; want %q", k, one, err, v)
			}
			if len(v) == 1 && kind == "json" && err == nil && one != v[0] {
				t.Fatalf("%q is %q, want %q", k, one, v)
			}
		}
	})
}

// FuzzBasic holds the reading of a Basic header to what was written, and to net/http.
func FuzzBasic(f *testing.F) {
	f.Add("id", "secret", "Basic aWQ6c2VjcmV0")
	f.Add("a:b", "c%d +", "basic  Og==")
	f.Add("", "", "Basic %%%")
	f.Fuzz(func(t *testing.T, user, password, header string) {
		sent := "Basic " + base64.StdEncoding.EncodeToString([]byte(url.QueryEscape(user)+":"+url.QueryEscape(password)))
		gotUser, gotPassword, ok := oauth.Basic(sent)
		if len(sent) <= 8<<10 && (!ok || gotUser != user || gotPassword != password) {
			t.Fatalf("%q is %q, %q, %v", sent, gotUser, gotPassword, ok)
		}
		if _, _, ok := oauth.Basic(header); ok {
			r := http.Request{Header: http.Header{"Authorization": {header}}}
			if _, _, std := r.BasicAuth(); !std && !strings.Contains(header, "  ") && !strings.HasSuffix(header, " ") {
				t.Fatalf("%q is accepted", header)
			}
		}
	})
}

// FuzzRedirectURI: what may be registered stands in a Location header as it is, and what is added to it is what a client
// reads there, beside the URI's own query.
func FuzzRedirectURI(f *testing.F) {
	for _, seed := range []string{"http://127.0.0.1:3000/callback", "com.example.app:/back?x", "https://a.example/?",
		"https://a.example/?a=b&", "javascript:alert(1)",
		"http://a/\r\nSet-Cookie: x", "HTTP://A/%0d%0a", "a:b#c", "http://a@b/", "http://[::1]:1/", "custom.scheme://x/y?z=%zz"} {
		f.Add(seed, "st&ate=+ %")
	}
	f.Fuzz(func(t *testing.T, uri, state string) {
		if auth.CheckRedirect(uri) != nil {
			return
		}
		for i := range len(uri) {
			if uri[i] <= ' ' || uri[i] > '~' {
				t.Fatalf("%q may be registered", uri)
			}
		}
		scheme, _, _ := strings.Cut(strings.ToLower(uri), ":")
		if scheme == "javascript" || scheme == "data" || scheme == "vbscript" || strings.Contains(uri, "#") {
			t.Fatalf("%q may be registered", uri)
		}
		to := oauth.WithQuery(uri, "state", state, "code", "c")
		own, _, _ := strings.Cut(uri, "?")
		u, err := url.Parse(to)
		if err != nil || !strings.HasPrefix(to, uri) || !strings.HasPrefix(to, own+"?") {
			t.Fatalf("%q becomes %q: %v", uri, to, err)
		}
		pairs := strings.Split(u.RawQuery, "&")
		if len(pairs) < 2 || pairs[len(pairs)-1] != "code=c" {
			t.Fatalf("%q becomes %q", uri, to)
		}
		sent, ok := strings.CutPrefix(pairs[len(pairs)-2], "state=")
		if got, err := url.PathUnescape(sent); !ok || err != nil || got != state {
			t.Fatalf("%q with state %q becomes %q", uri, state, to)
		}
	})
}
