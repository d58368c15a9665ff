package api

import (
	"bytes"
	"net/http"
	"net/url"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"liked"
	"liked/internal/exchange"
)

// FuzzQuery holds the splitting of query strings to net/url, and every endpoint to its own list: what it does not find at
// fault has known names only, once each, with values of their form.
func FuzzQuery(f *testing.F) {
	corpus(f, "FuzzQuery")
	var all []*endpoint
	for _, p := range []Profile{Profile2024, Profile2026} {
		for i := range routes {
			rt := &endpoint{route: routes[i]}
			rt.path = rt.pathParams()
			rt.params = queryParams(rt.query, p.facts().paramWords())
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
			for name := range want {
				p, known := rt.param(name)
				if !known || len(want[name]) != 1 {
					t.Fatalf("%s: %q: %q is accepted", rt.id, raw, name)
				}
				field := reflect.ValueOf(values).Elem().FieldByIndex(p.field)
				got := []string{field.String()}
				switch v := field.Interface().(type) {
				case []string:
					got = v
				case int:
					if got[0] = want[name][0]; strconv.Itoa(v) != strings.TrimLeft(got[0], "0") && v != 0 {
						t.Fatalf("%s: %q: %q is %d", rt.id, raw, name, v)
					}
				case instant:
					got[0] = v.text
				}
				if strings.Join(got, ",") != want[name][0] {
					t.Fatalf("%s: %q: %q is %q", rt.id, raw, name, got)
				}
				for _, v := range got {
					if p.form == word && !slices.Contains(p.enum, v) || p.list && p.form != word && (v == "" || len(got) > maxListed) {
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
			if slices.ContainsFunc(l.WithoutDaily().apply(routes[i].id, routes[i].limits), func(r liked.RateRule) bool { return r.Window == day }) {
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
		for _, c := range exchange.HeaderText(value) {
			if c < ' ' || c > '~' {
				t.Errorf("%q becomes %q", value, exchange.HeaderText(value))
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

// FuzzSpan: times of a stream that are accepted are in the past, within what can be replayed and in order, and so are the
// places in the log that stand for them.
func FuzzSpan(f *testing.F) {
	for _, seed := range []string{
		"partition=1&backfill_minutes=5", "start_time=2024-05-01T11:00:00Z&end_time=2024-05-01T11:59:59Z", "end_time=2024-05-01T11:00:00Z",
		"start_time=0000-01-01T00:00:00Z", "start_time=9999-12-31T23:59:59Z",
		"start_time=2024-05-01T13:59:59.999999999%2B02:00&backfill_minutes=1",
		"start_time=2024-04-30T12:00:00Z&end_time=2024-04-30T12:00:00.000000001Z",
		"start_time=2024-05-01T11:00:00Z&end_time=2024-05-01T10:00:00-00:59",
	} {
		f.Add(seed)
	}
	now := time.Date(2024, 5, 1, 12, 0, 0, 0, time.UTC)
	stream := &endpoint{route: route{query: spanQuery{}}, params: queryParams(spanQuery{}, nil)}
	f.Fuzz(func(t *testing.T, raw string) {
		read, faults := stream.readQuery(nil, raw)
		if len(faults) > 0 {
			return
		}
		q := read.(*spanQuery)
		begin, end, faults := q.between(now)
		if len(faults) > 0 {
			return
		}
		if q.Backfill == 0 && begin.IsZero() != (q.Start.text == "") || end.IsZero() != (q.End.text == "") {
			t.Fatalf("%q: begins %v, ends %v", raw, begin, end)
		}
		if !begin.IsZero() && (!begin.Before(now) || begin.Before(now.Add(-replayable)) || liked.SeqAt(begin) >= liked.SeqAt(now)) {
			t.Errorf("%q: begins at %v", raw, begin)
		}
		if !end.IsZero() && (!begin.Before(end) || !end.Before(now) || liked.SeqAt(begin) > liked.SeqAt(end)) {
			t.Errorf("%q: lasts from %v to %v", raw, begin, end)
		}
	})
}

// FuzzBodies: the body of any endpoint is refused with a reason, or holds to its schema; a replay that is accepted is of
// minutes that can be replayed.
func FuzzBodies(f *testing.F) {
	for _, seed := range []string{
		`{"url":"https://example.com/in"}`, `{"webhook_id":"1","from_date":"202405011100","to_date":"202405011200"}`,
		`{"webhook_id":"9999999999999999999","from_date":"202405011100","to_date":"202405011100"}`,
		`{"webhook_id":"1","from_date":"202499999999","to_date":"000000000000"}`,
		`{"event_type":"like.create","filter":{"user_id":"1"},"webhook_id":"2","tag":"x"}`, `{"text":"x","reply":{"in_reply_to_tweet_id":"1"}}`,
	} {
		f.Add([]byte(seed))
	}
	now := time.Date(2024, 5, 1, 12, 0, 30, 0, time.UTC)
	c := newCatalogue(Profile2026.facts())
	f.Fuzz(func(t *testing.T, text []byte) {
		for i := range routes {
			s := routes[i].body
			if s == nil {
				continue
			}
			r, err := http.NewRequest("POST", "/", bytes.NewReader(text))
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Content-Type", "application/json")
			members, problem := c.readBody(nil, r, new(requestState), s)
			if problem != nil {
				continue
			}
			for _, p := range s.properties {
				value, there := members.find(p.name)
				if p.required && !there || there && (typeOf(value) != p.typ || p.pattern != nil && !p.pattern.MatchString(members.text(p.name))) {
					t.Fatalf("%s: %q is accepted with %q: %q", routes[i].id, text, p.name, value)
				}
			}
			if s != replayBody {
				continue
			}
			_, span, faults := readReplay(members, now)
			early, late := span.From.Before(now.Add(-replayable-time.Minute)), span.To.After(now.Add(time.Minute))
			if len(faults) == 0 && (early || late || !span.From.Before(span.To)) {
				t.Fatalf("%q: replays from %v to %v", text, span.From, span.To)
			}
		}
	})
}
