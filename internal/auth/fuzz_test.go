package auth_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"liked"
	"liked/internal/auth"
)

// What parses, re-encoded, parses as the same.
func FuzzOAuth1Header(f *testing.F) {
	f.Add(strings.TrimPrefix(docsClient().headerWith("hCtSmYh+iHYCEqBWrE7C7hYmtUk="), "OAuth "))
	f.Fuzz(func(t *testing.T, text string) {
		params, signature, err := auth.ParseHeader(text)
		if err != nil {
			if liked.KindOf(err) != liked.Unauthorized {
				t.Fatalf("got %v, want unauthorized", err)
			}
			return
		}
		var list []string
		for _, p := range append(params, [2]string{"oauth_signature", signature}) {
			list = append(list, encode(p[0])+`="`+encode(p[1])+`"`)
		}
		again := strings.Join(list, ",")
		params2, signature2, err := auth.ParseHeader(again)
		if err != nil {
			t.Fatalf("%q parses, but re-encoded as %q it does not: %v", text, again, err)
		}
		if !reflect.DeepEqual(params2, params) || signature2 != signature {
			t.Fatalf("%q parses as %q, but re-encoded as %q as %q", text, params, again, params2)
		}
	})
}

// The base string is that of a plain implementation on net/url, and what one refuses the other does.
func FuzzBaseString(f *testing.F) {
	f.Add("POST", "/2/users/1/likes", `oauth_token="1-x"`, "a=b+c&a=%20", "d")
	f.Fuzz(func(t *testing.T, method, path, header, query, form string) {
		params, _, err := auth.ParseHeader(header)
		if err != nil || strings.Contains(query+form, ";") { // which net/url takes for a separator that went out of use
			return
		}
		got, err := auth.BaseString(method, "HTTP://API.example:80", path, header, query, form)
		want, ok := "", true
		for _, encoded := range []string{query, form} {
			values, err := url.ParseQuery(encoded)
			ok = ok && err == nil
			for name, list := range values {
				for _, value := range list {
					params = append(params, [2]string{name, value})
				}
			}
		}
		values := map[string]string{}
		for _, p := range params {
			if old, seen := values[p[0]]; seen && old != p[1] && strings.HasPrefix(p[0], "oauth_") {
				ok = false
			}
			values[p[0]] = p[1]
		}
		if _, found := values["oauth_signature"]; found || len(query)+len(form) > 500 {
			return // never part of a base string; bounds are tested elsewhere
		}
		if ok {
			want = plainBaseString(strings.ToUpper(method), "http://api.example"+path, params)
		}
		if got != want || (err == nil) != ok {
			t.Fatalf("got  %q, %v\nwant %q", got, err, want)
		}
	})
}

func TestFuzzCorporaAreThere(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"FuzzOAuth1Header", "FuzzBaseString"} {
		files, err := filepath.Glob(filepath.Join("testdata", "fuzz", name, "*"))
		if err != nil || len(files) < 5 {
			t.Errorf("got %d seeds for %s, %v; want at least 5", len(files), name, err)
		}
		for _, file := range files {
			if b, err := os.ReadFile(file); err != nil || !strings.HasPrefix(string(b), "go test fuzz v1\n") {
				t.Errorf("%s is no seed: %v", file, err)
			}
		}
	}
}

// FuzzTokenParameters holds the reading of parameters to net/url and encoding/json where these accept them.
func FuzzTokenParameters(f *testing.F) {
	for _, seed := range [][3]string{
		{"grant_type=refresh_token", "form", "refresh_token=x&client_id=a%2Bb+c"}, {"", "json", `{"code":"x","n":1,"code_verifier":"ü"}`},
		{"code=1&code=2", "form", ""}, {"a=%zz", "form", "&&=&a"}, {"", "json", `{"a":"1"}{}`}, {"", "json", `{"a":"1","a":"2"}`}, {"", "text", "a=b"},
	} {
		f.Add(seed[0], seed[1], seed[2])
	}
	f.Fuzz(func(t *testing.T, query, kind, body string) {
		contentType := map[string]string{"form": "application/x-www-form-urlencoded", "json": "application/json"}[kind]
		got, err := auth.ReadParams(query, contentType, body)
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
		gotUser, gotPassword, ok := auth.Basic(sent)
		if len(sent) <= auth.MaxHeader && (!ok || gotUser != user || gotPassword != password) {
			t.Fatalf("%q is %q, %q, %v", sent, gotUser, gotPassword, ok)
		}
		if _, _, ok := auth.Basic(header); ok {
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
	for _, seed := range []string{"http://127.0.0.1:3000/callback", "myapp:back?x", "https://a.example/?", "https://a.example/?a=b&", "javascript:alert(1)",
		"http://a/\r\nSet-Cookie: x", "HTTP://A/%0d%0a", "a:b#c", "http://a@b/", "http://[::1]:1/", "custom.scheme://x/y?z=%zz"} {
		f.Add(seed, "st&ate=+ %")
	}
	f.Fuzz(func(t *testing.T, uri, state string) {
		if auth.CheckApp(liked.App{Name: "x", RedirectURIs: []string{uri}}) != nil {
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
		to := auth.WithQuery(uri, "state", state, "code", "c")
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

// FuzzPassword: what is stored for a password is refused, or costs a bounded amount to compare and reads the same once it
// is written again.
func FuzzPassword(f *testing.F) {
	for _, seed := range []string{
		"$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
		"$argon2id$v=19$m=4294967295,t=2,p=1$AAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
		"$argon2id$v=19$m=8,t=100,p=255$$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "$argon2id$v=19$m=8,t=0,p=0$", "$2b$12$", "",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, encoded string) {
		again, memory, time, ok := auth.ParsePassword(encoded)
		if !ok {
			return
		}
		if memory > 1<<20 || time < 1 || time > 100 {
			t.Errorf("%q costs %d KiB and %d passes", encoded, memory, time)
		}
		if twice, _, _, ok := auth.ParsePassword(again); !ok || twice != again {
			t.Errorf("%q is written as %q, and that as %q, %v", encoded, again, twice, ok)
		}
	})
}
