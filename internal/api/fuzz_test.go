package api

import (
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"

	"liked/internal/limit"
)

// FuzzQuery holds the splitting of query strings to net/url, and every endpoint to its own list: what it does not find at
// fault has known names only, once each, with values of their form.
func FuzzQuery(f *testing.F) {
	corpus(f, "FuzzQuery")
	var all []*endpoint
	for _, p := range []Profile{Profile2024, Profile2026} {
		for i := range routes {
			rt := &endpoint{route: &routes[i]}
			rt.ids = rt.pathParams()
			if rt.query != nil {
				rt.params = rt.query(p.facts())
			}
			all = append(all, rt)
		}
	}
	f.Fuzz(func(t *testing.T, raw string) {
		pairs, ok := splitQuery(raw)
		want, err := url.ParseQuery(raw)
		if ok != (err == nil) {
			t.Fatalf("%q: splits %v, net/url says %v", raw, ok, err)
		}
		if ok {
			n := 0
			for name, values := range want {
				n += len(values)
				if got := valuesOf(name, pairs); !slices.Equal(got, values) {
					t.Fatalf("%q: %q has %q, want %q", raw, name, got, values)
				}
			}
			if n != len(pairs) {
				t.Fatalf("%q: %d pairs, want %d", raw, len(pairs), n)
			}
		}
		for _, rt := range all {
			values, faults := rt.readQuery(nil, raw)
			if len(faults) > 0 {
				continue
			}
			for name, got := range values {
				p, known := rt.param(name)
				if !known || len(want[name]) != 1 || strings.Join(got, ",") != want[name][0] {
					t.Fatalf("%s: %q: %q is %q", rt.id, raw, name, got)
				}
				for _, v := range got {
					if p.form == oneOf && !slices.Contains(p.enum, v) || (p.form == ids || p.form == usernames) && (v == "" || len(got) > maxListed) {
						t.Fatalf("%s: %q: %q is accepted for %q", rt.id, raw, v, name)
					}
				}
			}
		}
	})
}

// FuzzLimits: limits that are accepted never make a rule that nothing passes, nor more rules than a request can be held to.
func FuzzLimits(f *testing.F) {
	corpus(f, "FuzzLimits")
	f.Fuzz(func(t *testing.T, text []byte) {
		l, err := ParseLimits(text)
		if err != nil {
			return
		}
		for i := range routes {
			rules := l.apply(routes[i].id, routes[i].limits)
			for _, appOnly := range []bool{false, true} {
				held := applicable(rules, appOnly)
				for _, r := range held {
					if r.Max <= 0 {
						t.Fatalf("%s: %s has the rule %+v", text, routes[i].id, r)
					}
				}
				if len(held) > 3 {
					t.Fatalf("%s: %s has %d rules, more than there is room for", text, routes[i].id, len(held))
				}
			}
			if slices.ContainsFunc(l.WithoutDaily().apply(routes[i].id, routes[i].limits), func(r limit.Rule) bool { return r.Window == day }) {
				t.Fatalf("%s: %s has a daily rule that was taken away", text, routes[i].id)
			}
		}
	})
}

// FuzzHeaders: whatever the headers are, reading them does not panic, and says of what is plainly so that it is.
func FuzzHeaders(f *testing.F) {
	corpus(f, "FuzzHeaders")
	f.Fuzz(func(t *testing.T, value string) {
		if isJSON(value) && !strings.Contains(strings.ToLower(value), "application/json") {
			t.Errorf("%q is taken for JSON", value)
		}
		if acceptsGzip(value) && !strings.Contains(strings.ToLower(value), "gzip") && !strings.Contains(value, "*") {
			t.Errorf("%q is taken to accept gzip", value)
		}
		for _, c := range headerText(value) {
			if c < ' ' || c > '~' {
				t.Errorf("%q becomes %q", value, headerText(value))
			}
		}
	})
}

// corpus fails the target if its seeds are gone.
func corpus(f *testing.F, name string) {
	f.Helper()
	if seeds, err := os.ReadDir("testdata/fuzz/" + name); err != nil || len(seeds) == 0 {
		f.Fatalf("no seeds in testdata/fuzz/%s: %v", name, err)
	}
}
