package api_test

import (
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"liked"
	"liked/internal/api"
)

const likeBody = `{"tweet_id":"101"}`

// likeWorld is a world in which alice, 11, may like post 101.
func likeWorld(t *testing.T, change func(*api.Options)) *world {
	w := newWorld(t, change)
	w.do("user 11 alice")
	w.do("post 101 11 hello")
	return w
}

func (w *world) like(lines ...string) (*http.Response, string) {
	w.t.Helper()
	return w.request("alice", "POST", "/2/users/11/likes", append(lines, likeBody))
}

func TestRateLimit(t *testing.T) {
	t.Parallel()
	w := likeWorld(t, nil)
	reset := strconv.FormatInt(start.Unix()+900, 10)
	for i := range 50 {
		resp, body := w.like()
		if resp.StatusCode != 200 || resp.Header.Get("X-Rate-Limit-Remaining") != strconv.Itoa(49-i) {
			t.Fatalf("request %d: %d, remaining %s, %s", i+1, resp.StatusCode, resp.Header.Get("X-Rate-Limit-Remaining"), body)
		}
		w.do("sleep 10s")
	}
	resp, body := w.like()
	want := `{"title":"Too Many Requests","detail":"Too Many Requests","type":"about:blank","status":429}`
	if resp.StatusCode != 429 || body != want {
		t.Errorf("51st request: %d %s, want 429 %s", resp.StatusCode, body, want)
	}
	for name, want := range map[string]string{
		"Content-Type": "application/json; charset=utf-8", "X-Rate-Limit-Limit": "50", "X-Rate-Limit-Remaining": "0",
		"X-Rate-Limit-Reset": reset, "X-User-Limit-24hour-Remaining": "950", "Retry-After": "",
	} {
		if got := resp.Header.Get(name); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	// The refusal came before the body was looked at, and other endpoints have windows of their own.
	if resp, _ := w.request("alice", "DELETE", "/2/users/11/likes/101", nil); resp.StatusCode != 200 {
		t.Errorf("unlike: %d", resp.StatusCode)
	}
	w.do("sleep 400s")
	if resp, _ := w.like(); resp.StatusCode != 200 || resp.Header.Get("X-Rate-Limit-Remaining") != "49" {
		t.Errorf("after the reset: %d, remaining %s", resp.StatusCode, resp.Header.Get("X-Rate-Limit-Remaining"))
	}
}

func TestDailyLimit(t *testing.T) {
	t.Parallel()
	limits, err := api.ParseLimits([]byte(`{"usersIdLike":{"user_24h":3,"user_15m":2}}`))
	if err != nil {
		t.Fatal(err)
	}
	w := likeWorld(t, func(o *api.Options) { o.Limits = limits })
	for _, want := range []int{200, 200, 429} {
		if resp, _ := w.like(); resp.StatusCode != want {
			t.Fatalf("got %d, want %d", resp.StatusCode, want)
		}
	}
	w.do("sleep 15m")
	w.like()
	resp, _ := w.like()
	got := []string{strconv.Itoa(resp.StatusCode), resp.Header.Get("X-User-Limit-24hour-Remaining"), resp.Header.Get("X-Rate-Limit-Remaining")}
	if strings.Join(got, " ") != "429 0 1" {
		t.Errorf("got %v, want 429 with nothing left of the day and one of the window", got)
	}
}

// What is used up is said as people say it, with names to developers alone.
func TestUsedUp(t *testing.T) {
	t.Parallel()
	limits, err := api.ParseLimits([]byte(`{"usersIdLike":{"user_24h":3,"user_15m":2},"findMyUser":{"app_24h":1}}`))
	if err != nil {
		t.Fatal(err)
	}
	for _, explain := range []bool{true, false} {
		w := likeWorld(t, func(o *api.Options) { o.Limits, o.Explain = limits, explain })
		said := func(method, path string, body ...string) string {
			resp, _ := w.request("alice", method, path, body)
			x := <-w.seen
			if told := resp.Header.Get("X-Liked-Explain"); explain && told != x.Why || !explain && told != "" {
				t.Errorf("%s %s: the client is told %q, and the operator %q", method, path, told, x.Why)
			}
			return x.Why
		}
		whose, app := "user 11", "app 1"
		if explain {
			whose, app = "@alice", "app demo"
		}
		const end = "`--rate-limits off` lifts them"
		for i, want := range []string{"", "", whose + " has used 2 of 2 likes in 15 minutes; they come back at 12:15 UTC. " + end} {
			if got := said("POST", "/2/users/11/likes", likeBody); got != want {
				t.Errorf("like %d: got %q, want %q", i+1, got, want)
			}
		}
		said("GET", "/2/users/me")
		got := said("GET", "/2/users/me")
		want := " has used 1 of 1 requests of findMyUser in 24 hours; they come back at 12:00 UTC on 2 May. " + end
		if !strings.HasPrefix(got, app) || !strings.HasSuffix(got, want) {
			t.Errorf("got %q, want %s…%q", got, app, want)
		}
	}
}

func TestLimitsOff(t *testing.T) {
	t.Parallel()
	for name, limits := range map[string]api.Limits{"off": api.NoLimits(), "without daily": api.Limits{}.WithoutDaily()} {
		w := likeWorld(t, func(o *api.Options) { o.Limits = limits })
		resp, _ := w.like()
		if resp.Header.Get("X-User-Limit-24hour-Limit") != "" || (resp.Header.Get("X-Rate-Limit-Limit") == "") != (name == "off") {
			t.Errorf("%s: %v", name, resp.Header)
		}
	}
}

func TestParseLimitsReportsEveryMistake(t *testing.T) {
	_, err := api.ParseLimits([]byte(`{"usersIdLike":{"user_15m":-1},"nope":{}}`))
	if err == nil || !strings.Contains(err.Error(), "-1 is negative") || !strings.Contains(err.Error(), `"nope" is not an operation`) {
		t.Errorf("got %v", err)
	}
	for _, text := range []string{"", "[]", `{"usersIdLike":{"user15m":1}}`, `{} {}`, `{"usersIdLike":{"user_15m":"1"}}`,
		`null`, `{"usersIdLike":null}`, `{"usersIdLike":{"user_15m":null}}`,
		`{"usersIdLike":{"User_15m":1}}`, `{"usersIdLike":{"user_15m":1,"user_15m":2}}`, `{"usersIdLike":{},"usersIdLike":{}}`} {
		if _, err := api.ParseLimits([]byte(text)); liked.KindOf(errOr(err)) != liked.Invalid {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func errOr(err error) error {
	if err == nil {
		return errors.New("no error")
	}
	return err
}

func TestOAuth1ReadOnly(t *testing.T) {
	t.Parallel()
	w := likeWorld(t, func(o *api.Options) {
		o.Auth = fakeCaller{liked.Principal{Credential: liked.OAuth1User, App: 1, User: 11, Access: liked.ReadOnly}}
	})
	resp, body := w.request("-", "POST", "/2/users/11/likes", []string{likeBody})
	want := `{"title":"Forbidden","status":403,` +
		`"detail":"Your client app is not configured with the appropriate oauth1 app permissions for this endpoint.",` +
		`"type":"https://api.twitter.com/2/problems/oauth1-permissions"}`
	level, remaining := resp.Header.Get("X-Access-Level"), resp.Header.Get("X-Rate-Limit-Remaining")
	if resp.StatusCode != 403 || body != want || level != "read" || remaining != "49" {
		t.Errorf("got %d %s %v", resp.StatusCode, body, resp.Header)
	}
	if resp, _ := w.request("-", "GET", "/2/users/me", nil); resp.StatusCode != 200 {
		t.Errorf("a read: %d", resp.StatusCode)
	}
}

func TestNotEnrolled(t *testing.T) {
	t.Parallel()
	w := likeWorld(t, func(o *api.Options) {
		o.Auth = fakeCaller{liked.Principal{Credential: liked.OAuth2User, App: 1, ClientID: "27283493",
			AppState: liked.NotEnrolled, User: 11, Scopes: liked.AllScopes}}
	})
	resp, body := w.request("-", "POST", "/2/users/11/likes", []string{likeBody})
	want := `{"client_id":"27283493","detail":"When authenticating requests to the Twitter API v2 endpoints, ` +
		`you must use keys and tokens from a Twitter developer App that is attached to a Project. ` +
		`You can create a project via the developer portal.",` +
		`"registration_url":"https://developer.twitter.com/en/docs/projects/overview",` +
		`"title":"Client Forbidden","required_enrollment":"Appropriate Level of API Access",` +
		`"reason":"client-not-enrolled","type":"https://api.twitter.com/2/problems/client-forbidden"}`
	if resp.StatusCode != 403 || body != want || resp.Header.Get("X-Rate-Limit-Remaining") != "49" {
		t.Errorf("got %d %s %v", resp.StatusCode, body, resp.Header)
	}
}

// fakeCaller is a caller that is taken for granted, for states that no credential of this package's tests can have.
type fakeCaller struct{ liked.Principal }

func (f fakeCaller) Authenticate(*http.Request) (liked.Principal, error) { return f.Principal, nil }

// brokenStore fails every like the way a store can.
type brokenStore struct {
	api.Store
	err error
}

func (s brokenStore) SetLike(context.Context, liked.UserID, liked.PostID, bool, time.Time) (bool, error) {
	if s.err == nil {
		panic("boom")
	}
	return false, s.err
}

func TestServerFaults(t *testing.T) {
	t.Parallel()
	const internal = `{"title":"Internal Server Error",` +
		`"detail":"Something is broken. This is usually a temporary error, ` +
		`for example in a high load situation or if an endpoint is temporarily having issues. ` +
		`Check in the developer forums in case others are having similar issues, ` +
		`or try again later. ","type":"about:blank","status":500}`
	for name, test := range map[string]struct {
		err    error
		status int
		body   string
		logged string
	}{
		"unknown error": {errors.New("secret detail"), 500, internal, "secret detail"},
		"panic":         {nil, 500, internal, "boom"},
		"unavailable": {&liked.Error{Kind: liked.Unavailable, Msg: "disk full"}, 503,
			`{"title":"Service Unavailable","detail":"Service Unavailable","type":"about:blank","status":503}`, "disk full"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := likeWorld(t, func(o *api.Options) { o.Store = brokenStore{o.Store, test.err} })
			resp, body := w.like()
			if resp.StatusCode != test.status || body != test.body {
				t.Errorf("got %d %s", resp.StatusCode, body)
			}
			if x := <-w.seen; x.Err == nil || !strings.Contains(x.Err.Error(), test.logged) || x.Status != test.status {
				t.Errorf("the operator sees %+v", x)
			}
		})
	}
}

// What comes back in a moment says so, in both versions of the API, and is nobody's fault.
func TestOverloaded(t *testing.T) {
	t.Parallel()
	w := likeWorld(t, func(o *api.Options) {
		o.Store = brokenStore{o.Store, liked.Errorf(liked.Overloaded, "4 likes are waiting")}
	})
	w.do("oauth1 Alice 11 read-write")
	resp, body := w.like()
	if resp.StatusCode != 503 || body != `{"title":"Service Unavailable","detail":"Service Unavailable","type":"about:blank","status":503}` ||
		resp.Header.Get("Retry-After") != "1" {
		t.Errorf("got %s %v %s", resp.Status, resp.Header, body)
	}
	if x := <-w.seen; x.Err != nil || x.Why != "4 likes are waiting" {
		t.Errorf("the operator sees %+v", x)
	}
	resp, body = w.request("Alice", "POST", "/1.1/favorites/create.json?id=1001", nil)
	if resp.StatusCode != 503 || body != `{"errors":[{"code":130,"message":"Over capacity"}]}` || resp.Header.Get("Retry-After") != "1" {
		t.Errorf("v1.1: got %s %v %s", resp.Status, resp.Header, body)
	}
}

func TestExplain(t *testing.T) {
	t.Parallel()
	w := likeWorld(t, func(o *api.Options) { o.Explain = true })
	w.do("token narrow 11 tweet.read")
	resp, _ := w.request("narrow", "POST", "/2/users/11/likes", []string{likeBody})
	want := "the token lacks the scopes users.read like.write: ask for them when the user consents"
	if got := resp.Header.Get("X-Liked-Explain"); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if x := <-w.seen; x.Why != resp.Header.Get("X-Liked-Explain") || x.TransactionID != resp.Header.Get("X-Transaction-Id") {
		t.Errorf("the operator sees %+v, the client %v", x, resp.Header)
	}
	resp, _ = w.request("alice", "POST", "/2/users/%E2%82%AC%0Ax/likes", []string{likeBody})
	if got, want := resp.Header.Get("X-Liked-Explain"), "The `id` query parameter value [??x] is not valid"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if resp, _ = w.like(); resp.Header.Get("X-Liked-Explain") != "" {
		t.Error("a success is explained")
	}
	for _, test := range []struct{ name, body, header, want string }{
		{"byte order mark", "\ufeff" + likeBody, "A: b", "the body begins with a byte order mark (EF BB BF)"},
		{"UTF-16", "\xff\xfe{\x00}\x00", "A: b", "the body is UTF-16 or UTF-32"},
		{"UTF-16 without a mark", "\x00{\x00}", "A: b", "the body is UTF-16 or UTF-32"},
		{"UTF-16 the other way", "\xfe\xff\x00{\x00}", "A: b", "the body is UTF-16 or UTF-32"},
		{"gzip", "\x1f\x8b\x08\x00\x00", "Content-Encoding: gzip", "the body has the Content-Encoding gzip, which this server does not decode"},
		{"identity", "{", "Content-Encoding: Identity", "the body is not valid JSON"},
	} {
		resp, body := w.request("alice", "POST", "/2/users/11/likes", []string{test.header, test.body})
		if got := resp.Header.Get("X-Liked-Explain"); !strings.HasPrefix(got, test.want) || resp.StatusCode != 400 ||
			!strings.Contains(body, "Request body is not valid JSON.") {
			t.Errorf("%s: got %d %s, %q; want %q", test.name, resp.StatusCode, body, got, test.want)
		}
	}
	w.do("oauth1 Alice 11 read-write")
	resp, _ = w.request("Alice", "POST", "/1.1/favorites/create.json", []string{
		"Content-Type: application/x-www-form-urlencoded", "Content-Encoding: gzip", "\x1f\x8b\x08\x00"})
	got, want := resp.Header.Get("X-Liked-Explain"), `the form body has the Content-Encoding "gzip"`
	if resp.StatusCode != 401 || !strings.HasPrefix(got, want) {
		t.Errorf("a form with gzip: got %d, %q; want %q", resp.StatusCode, got, want)
	}
}

func TestObserve(t *testing.T) {
	t.Parallel()
	w := likeWorld(t, nil)
	resp, body := w.like()
	x := <-w.seen
	if x.Operation != "usersIdLike" || x.Method != "POST" || x.Status != 200 || x.App != w.app.ID || x.User != 11 ||
		x.Why != "" || x.Bytes != len(body) || x.Duration <= 0 || x.TransactionID != resp.Header.Get("X-Transaction-Id") {
		t.Errorf("got %+v", x)
	}
	w.request("-", "GET", "/nowhere", nil)
	if x := <-w.seen; x.Operation != "" || x.Status != 404 {
		t.Errorf("got %+v", x)
	}
}

func TestHeaderShapes(t *testing.T) {
	t.Parallel()
	w := likeWorld(t, nil)
	first, _ := w.like()
	second, _ := w.like()
	for name, shape := range map[string]string{
		"X-Transaction-Id": `^[0-9a-f]{16}$`, "X-Connection-Hash": `^[0-9a-f]{64}$`, "X-Response-Time": `^[0-9]+$`, "Date": ` GMT$`,
	} {
		if got := first.Header.Get(name); !regexp.MustCompile(shape).MatchString(got) {
			t.Errorf("%s: %q does not match %s", name, got, shape)
		}
	}
	if first.Header.Get("X-Transaction-Id") == second.Header.Get("X-Transaction-Id") {
		t.Error("two requests have one transaction id")
	}
	if first.Header.Get("X-Connection-Hash") != second.Header.Get("X-Connection-Hash") {
		t.Error("one connection has two hashes")
	}
}

func TestGzip(t *testing.T) {
	t.Parallel()
	w := likeWorld(t, nil)
	for _, accept := range []string{"gzip", "br;q=1.0, gzip;q=0.8, deflate;q=0.5, *;q=0.1", "GZIP", "*"} {
		for _, target := range []string{"/2/users/me", "/2/users/abc"} {
			resp, body := w.request("alice", "GET", target, []string{"Accept-Encoding: " + accept})
			z, err := gzip.NewReader(strings.NewReader(body))
			if err != nil || resp.Header.Get("Content-Encoding") != "gzip" {
				t.Fatalf("%s: %v %v", accept, err, resp.Header)
			}
			if text, err := io.ReadAll(z); err != nil || !json.Valid(text) {
				t.Errorf("%s: %v %s", accept, err, text)
			}
		}
		if resp, body := w.like("Accept-Encoding: " + accept); len(body) < 23 || resp.Header.Get("Content-Encoding") != "gzip" {
			t.Errorf("like: %v", resp.Header)
		}
	}
	for _, accept := range []string{"", "br", "identity", "gzip;q=0", "gzip;q=0.000, *;q=1", "*;q=0"} {
		if resp, body := w.like("Accept-Encoding: " + accept); body != `{"data":{"liked":true}}` || resp.Header.Get("Content-Encoding") != "" {
			t.Errorf("%q: %v %q", accept, resp.Header, body)
		}
	}
}

func TestLargeBody(t *testing.T) {
	t.Parallel()
	w := likeWorld(t, nil)
	resp, _ := w.like("X-Pad: 1")
	if resp.StatusCode != 200 {
		t.Fatal(resp.StatusCode)
	}
	for _, size := range []int{64<<10 - 1, 64 << 10, 64<<10 + 1, 2 << 20} {
		body := `{"tweet_id":"101","pad":"` + strings.Repeat("x", size-27) + `"}`
		resp, text := w.request("alice", "POST", "/2/users/11/likes", []string{body})
		want := 200
		if size > 64<<10 {
			want = 413
		}
		if resp.StatusCode != want {
			t.Errorf("%d bytes: %d %s, want %d", len(body), resp.StatusCode, text, want)
		}
	}
}

func TestPostLength(t *testing.T) {
	t.Parallel()
	w := likeWorld(t, nil)
	for text, want := range map[string]int{
		strings.Repeat("x", 280):                               201,
		strings.Repeat("x", 281):                               403,
		strings.Repeat("好", 140):                               201,
		strings.Repeat("好", 141):                               403,
		"https://example.com/" + strings.Repeat("x", 1000):     201,
		strings.Repeat("x", 260) + " https://example.com/long": 403,
		"  ": 400,
	} {
		if resp, body := w.request("alice", "POST", "/2/tweets", []string{`{"text":"` + text + `"}`}); resp.StatusCode != want {
			t.Errorf("%.30s… (%d): got %d %s, want %d", text, len(text), resp.StatusCode, body, want)
		}
	}
}
