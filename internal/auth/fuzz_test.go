package auth_test

import (
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
	f.Add(strings.TrimPrefix(docsClient().HeaderWith("hCtSmYh+iHYCEqBWrE7C7hYmtUk="), "OAuth "))
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
