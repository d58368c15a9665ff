package api

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"path"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"liked"
	"liked/internal/store"
)

// A stream watches the app of its reader, and neither a user nor a grant.
func TestStreamsAreForApps(t *testing.T) {
	for i := range routes {
		if rt := &routes[i]; rt.flags&streaming != 0 && rt.allow != liked.AppOnly {
			t.Errorf("%s is open to users", rt.pattern)
		}
	}
}

func TestEncode(t *testing.T) {
	for _, test := range []struct{ name, in, want string }{
		{"plain", "hello", `"hello"`},
		{"not for HTML", "a<b>&c/d", `"a<b>&c/d"`},
		{"basic plane", "é好€", `"é好€"`},
		{"astral", "🥁!𝄞", `"\uD83E\uDD41!\uD834\uDD1E"`},
		{"quotes and controls", "\"\\\n\x01", `"\"\\\n\u0001"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := encode(test.in)
			if err != nil || string(got) != test.want {
				t.Errorf("got %s, %v; want %s", got, err, test.want)
			}
			var back string
			if err := json.Unmarshal(got, &back); err != nil || back != test.in {
				t.Errorf("reads back as %q, %v", back, err)
			}
		})
	}
}

// FuzzBody holds the splitting of objects to encoding/json: what is valid splits into the same members.
func FuzzBody(f *testing.F) {
	for _, seed := range []string{
		`{"tweet_id":"1"}`, `{}`, ` { "a" : { "b" : [ 1 , "}" ] } , "c":null} `, `{"a":"\\\"","b":1e9,"\u0061":2}`, `[]`, `{"a":tru}`,
		`{"a":"` + "\xff" + `"}`, `{"a":{"a":{"a":{}}}}`,
	} {
		f.Add([]byte(seed))
	}
	facts := Profile2026.facts()
	f.Fuzz(func(t *testing.T, text []byte) {
		r, _ := http.NewRequest("POST", "/", bytes.NewReader(text))
		r.Header.Set("Content-Type", "application/json")
		newCatalogue(facts).readBody(nil, r, new(requestState), postBody) // must not panic, whatever the body

		var want map[string]json.RawMessage
		if !utf8.Valid(text) || json.Unmarshal(text, &want) != nil || want == nil {
			return
		}
		got, ok := splitObject(string(text), nil)
		if !ok {
			if names := strings.Count(string(text), ":"); names == len(want) && names <= maxMembers {
				t.Fatalf("refused, although it has %d different names", names)
			}
			return
		}
		if len(got) != len(want) {
			t.Fatalf("%d members, %d names", len(got), len(want))
		}
		for _, m := range got {
			if m.value != string(want[m.name]) {
				t.Fatalf("%q is %s, want %s", m.name, m.value, want[m.name])
			}
			if typ := typeOf(m.value); (typ == "string") != (json.Unmarshal([]byte(m.value), new(string)) == nil && m.value != "null") {
				t.Fatalf("%s is taken for a %s", m.value, typ)
			}
		}
	})
}

// FuzzRoutes holds the matching of paths to a plain second reading of the table: segment by segment, no redirects.
func FuzzRoutes(f *testing.F) {
	for _, seed := range []string{
		"/2/users/1/likes", "/2/users/1/likes/2", "/2/users/me", "/2/tweets", "/2//tweets", "/2/tweets/", "/2/tweets/%2F", "/2/users/../users/me",
		"/2/users/%6de", "/", "", "/2/users/me/likes", "/2/tweets/a%20b", "/2/users/1/./likes",
	} {
		f.Add("GET", seed)
		f.Add("POST", seed)
		f.Add("HEAD", seed)
	}
	mux := http.NewServeMux()
	var matched *route
	for i := range routes {
		mux.HandleFunc(routes[i].pattern, func(http.ResponseWriter, *http.Request) { matched = &routes[i] })
	}
	f.Fuzz(func(t *testing.T, method, target string) {
		u, err := url.ParseRequestURI(target)
		if err != nil || u.Host != "" || !strings.HasPrefix(target, "/") {
			return
		}
		escaped := u.EscapedPath()
		r := &http.Request{Method: method, URL: u, Host: "x"}
		matched = nil
		if path.Clean(escaped) == escaped && method != "HEAD" {
			if h, pattern := mux.Handler(r); pattern != "" {
				h.ServeHTTP(nil, r)
			}
		}
		var want *route
		for i := range routes {
			address := routes[i].address()
			if routes[i].method() == method && matches(address, escaped) && (want == nil || !strings.Contains(address, "{")) {
				want = &routes[i]
			}
		}
		if matched != want {
			t.Fatalf("%s %s: matched %v, want %v", method, target, matched, want)
		}
	})
}

// matches reads the pattern as the mux does, to which "%2F" alone is an empty last segment.
func matches(pattern, escaped string) bool {
	p, s := strings.Split(pattern, "/"), strings.Split(escaped, "/")
	if len(p) != len(s) {
		return false
	}
	for i := range p {
		text, err := url.PathUnescape(s[i])
		if err != nil || (p[i] != text && !(strings.HasPrefix(p[i], "{") && s[i] != "" && text != "/")) {
			return false
		}
	}
	return true
}

func TestFuzzSeedsMatch(t *testing.T) {
	for _, rt := range routes {
		if !matches(rt.address(), strings.NewReplacer("{id}", "1", "{tweet_id}", "2").Replace(rt.address())) {
			t.Errorf("%s does not match itself", rt.pattern)
		}
	}
}

// FuzzToken: whatever the place, its token has X's shape and opens for its list alone; whatever the text, it opens or is
// refused, and what opens is what was sealed.
func FuzzToken(f *testing.F) {
	a := &API{Options: Options{PageKey: [32]byte{1, 2, 3}}}
	other := &API{Options: Options{PageKey: [32]byte{1, 2, 4}}}
	l := list{"liked_tweets", 11}
	shape := regexp.MustCompile(`^7140dib[0-9a-z]{38}$`)
	f.Add(uint64(1), true, "zzz")
	f.Add(uint64(1)<<63, false, a.token(l, store.Cursor{Seq: 5}))
	f.Add(uint64(0), true, a.token(list{"liked_tweets", 12}, store.Cursor{Seq: 5}))
	f.Add(uint64(1785640310404022272), false, tokenPrefix+strings.Repeat("z", tokenDigits))
	f.Add(uint64(7), false, tokenPrefix+strings.Repeat("0", tokenDigits))
	f.Fuzz(func(t *testing.T, seq uint64, newer bool, text string) {
		c := store.Cursor{Seq: liked.Seq(seq), Newer: newer}
		if c != (store.Cursor{}) {
			token := a.token(l, c)
			if !shape.MatchString(token) {
				t.Errorf("%v: token %q", c, token)
			}
			if got, ok := a.cursor(l, token); !ok || got != c {
				t.Errorf("%v: opens as %v, %v", c, got, ok)
			}
			for _, wrong := range []list{{"liking_users", 11}, {"liked_tweets", 12}, {"liked_tweets", 11 << 8}} {
				if got, ok := a.cursor(wrong, token); ok {
					t.Errorf("%v: opens for %v as %v", c, wrong, got)
				}
			}
			if got, ok := other.cursor(l, token); ok {
				t.Errorf("%v: opens under another key as %v", c, got)
			}
			at := int(seq % uint64(len(token)))
			changed := []byte(token)
			if changed[at]++; changed[at] > 'z' {
				changed[at] = '0'
			}
			if got, ok := a.cursor(l, string(changed)); ok {
				t.Errorf("%v: opens with character %d changed, as %v", c, at, got)
			}
			if got, ok := a.cursor(l, strings.ToUpper(token)); ok {
				t.Errorf("%v: opens in upper case, as %v", c, got)
			}
		}
		if got, ok := a.cursor(l, text); ok && a.token(l, got) != text {
			t.Errorf("%q opens as %v, whose token is %q", text, got, a.token(l, got))
		}
	})
}

func BenchmarkReadBody(b *testing.B) {
	c := newCatalogue(Profile2024.facts())
	text := []byte(`{"tweet_id":"1346889436626259968"}`)
	reader := bytes.NewReader(text)
	r, err := http.NewRequest("POST", "/", nil)
	if err != nil {
		b.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	b.ReportAllocs()
	for b.Loop() {
		reader.Reset(text)
		r.Body, r.ContentLength = io.NopCloser(reader), int64(len(text))
		if _, p := c.readBody(nil, r, new(requestState), likeBody); p != nil {
			b.Fatal(p)
		}
	}
}

// Digits match as the regular expression does that they say they are.
func TestDigits(t *testing.T) {
	for _, d := range []*digits{idPattern, minutePattern, {0, 2}} {
		re := regexp.MustCompile(d.String())
		for _, s := range []string{
			"", "0", "12", "123", "-1", "+1", "1 ", " 1", "1\n", "a", "1a2", "/", ":", "٣", "\xff",
			"20240501110", "202405011100", "2024050111000",
			strings.Repeat("9", 19), strings.Repeat("9", 20), strings.Repeat("9", 18) + "x",
		} {
			if got, want := d.MatchString(s), re.MatchString(s); got != want {
				t.Errorf("%s: %q matches: %v, want %v", d, s, got, want)
			}
		}
	}
}

// What is beside a stream does not answer at once, nor does what is not the API's.
func TestAnswersAtOnce(t *testing.T) {
	streams := 0
	for _, table := range [][]route{routes, v1Routes} {
		for i := range table {
			rt := &table[i]
			endless := strings.HasSuffix(rt.address(), "/stream")
			if AnswersAtOnce(rt.address()) == endless || rt.is(streaming) != endless {
				t.Errorf("%s: at once: %v", rt.pattern, AnswersAtOnce(rt.address()))
			}
			if endless {
				streams++
			}
		}
	}
	if streams != 3 {
		t.Errorf("%d streams", streams)
	}
	for _, path := range []string{"/2/users/1/likes", "/2/users", "/2/users/", "/2/openapi.json", "/1.1/favorites/x"} {
		if !AnswersAtOnce(path) {
			t.Errorf("%q does not answer at once", path)
		}
	}
	for _, path := range []string{
		"", "/", "/2", "//2/users", "/2//users", "2/users/1", "/2/oauth2/token", "/home/live", "/2/likes/firehose/strea",
		"/1.1/oauth/invalidate_token", "/login",
	} {
		if AnswersAtOnce(path) {
			t.Errorf("%q answers at once", path)
		}
	}
}

// What is no fault of ours is answered as none, in both versions, whatever the store calls it.
func TestProblemOfKinds(t *testing.T) {
	c := newCatalogue(Profile2024.facts())
	r, _ := http.NewRequest("GET", "/1.1/x", nil)
	for kind, ours := range map[liked.Kind]bool{
		liked.Internal: true, liked.Unavailable: true, liked.Overloaded: true,
		liked.Invalid: false, liked.Unauthorized: false, liked.Forbidden: false, liked.NotFound: false, liked.Conflict: false,
	} {
		err := &liked.Error{Kind: kind, Msg: "no such thing", Err: io.ErrUnexpectedEOF}
		for _, p := range []*problem{c.problemOf(err), c.v1Problem(r, err)} {
			if p.status >= 500 != ours || p.why == "" || strings.Contains(string(p.body), "EOF") {
				t.Errorf("%v: %d %s, because %q", kind, p.status, p.body, p.why)
			}
		}
	}
}

// SetLease sets how long a slot of a stream is held without renewal.
func (a *API) SetLease(d time.Duration) { a.streams.lease = d }

// Pages without items are looked past up to a bound, and a list that ends there has no token.
func TestPageWithItems(t *testing.T) {
	for _, newer := range []bool{false, true} {
		for _, test := range []struct {
			max, hidden, end int // pages without items before the first with one; the page that is the last
			reads            int
			found, next      bool
		}{
			{100, 0, 5, 1, true, true}, {100, 3, 5, 4, true, true}, {100, 5, 5, 6, true, false}, {100, 9, 50, 10, true, true},
			{100, 10, 50, 10, false, true}, {1, 999, 5000, 1000, true, true}, {1, 1000, 5000, 1000, false, true}, {100, 9, 3, 4, false, false},
		} {
			reads := 0
			page, err := pageWithItems(store.Cursor{Seq: 7, Newer: newer}, test.max, func(from store.Cursor) (p store.Page[int], err error) {
				if from.Newer != newer || from.Seq != liked.Seq(7+reads) {
					t.Fatalf("read %d is from %v", reads, from)
				}
				ahead, behind := store.Cursor{Seq: liked.Seq(8 + reads), Newer: newer}, store.Cursor{Seq: liked.Seq(7 + reads), Newer: !newer}
				if reads == test.end {
					ahead = store.Cursor{}
				}
				if reads == test.hidden {
					p.Items = []int{reads}
				}
				p.Older, p.Newer = ahead, behind
				if newer {
					p.Older, p.Newer = behind, ahead
				}
				reads++
				return p, nil
			})
			ahead, behind := page.Older, page.Newer
			if newer {
				ahead, behind = behind, ahead
			}
			if err != nil || reads != test.reads || len(page.Items) > 0 != test.found || (ahead != store.Cursor{}) != test.next ||
				behind != (store.Cursor{Seq: 7, Newer: !newer}) {
				t.Errorf("newer %v, %+v: got %d reads, %+v, %v", newer, test, reads, page, err)
			}
		}
	}
}
