package server_test

import (
	"bufio"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"liked/internal/livetest"
	"liked/internal/server"
)

// provoked is a development server, with a client of its API.
type provoked struct {
	t   *testing.T
	srv *server.Server
	c   *http.Client
}

func newProvoked(t *testing.T, c server.Config, tls *tls.Config) *provoked {
	c.Seed, c.Dev = world(), true
	srv, _ := start(t, c)
	return &provoked{t, srv, client(t, tls)}
}

// reply is what one call got; Err if that was no answer.
type reply struct {
	Status int
	Header http.Header
	Body   string
	Err    error
	Took   time.Duration
}

func (p *provoked) ask(method, address, authorization, body string) (a reply) {
	p.t.Helper()
	r, err := http.NewRequest(method, address, strings.NewReader(body))
	if err != nil {
		p.t.Fatal(err)
	}
	r.Header.Set("Authorization", authorization)
	r.Header.Set("Content-Type", "application/json")
	if strings.HasPrefix(body, "grant_type") {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	began := time.Now()
	resp, err := p.c.Do(r)
	if err != nil {
		return reply{Err: err}
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return reply{resp.StatusCode, resp.Header, string(text), err, time.Since(began)}
}

func (p *provoked) admin(method, path, body string, status int) string {
	p.t.Helper()
	a := p.ask(method, p.srv.AdminURL()+path, "Bearer "+p.srv.AdminToken, body)
	if a.Status != status {
		p.t.Fatalf("%s %s %s: got %d %s %v, want %d", method, path, body, a.Status, a.Body, a.Err, status)
	}
	return a.Body
}

// rules replaces the rules.
func (p *provoked) rules(rules ...string) {
	p.t.Helper()
	p.admin("DELETE", "/admin/faults", "", 200)
	for _, rule := range rules {
		p.admin("POST", "/admin/faults", rule, 201)
	}
}

// like likes, or unlikes, the post as the user.
func (p *provoked) like(method string, user, post int) reply {
	p.t.Helper()
	k := p.srv.Credentials()
	address, body := p.srv.URL()+"/2/users/"+k.Users[user].ID.String()+"/likes", `{"tweet_id":"`+k.Posts[post].ID.String()+`"}`
	if method == "DELETE" {
		address, body = address+"/"+k.Posts[post].ID.String(), ""
	}
	return p.ask(method, address, "Bearer "+k.Users[user].AccessToken, body)
}

func (p *provoked) likes(post int) (n int) {
	p.t.Helper()
	var found struct{ Likes int }
	text := p.admin("GET", "/admin/posts/"+p.srv.Credentials().Posts[post].ID.String(), "", 200)
	if err := json.Unmarshal([]byte(text), &found); err != nil {
		p.t.Fatal(err)
	}
	return found.Likes
}

// Each way to provoke a fault does what it says, and nothing else, whichever protocol carries the call.
func TestFaults(t *testing.T) {
	t.Parallel()
	cert, key, pool := livetest.Certificate(t)
	for name, test := range map[string]struct {
		config server.Config
		tls    *tls.Config
	}{
		"HTTP/1.1": {server.Config{}, nil},
		"HTTP/2":   {server.Config{TLSCert: cert, TLSKey: key}, &tls.Config{RootCAs: pool}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newProvoked(t, test.config, test.tls)
			const likes = `"match":{"operation":"usersIdLike"}`

			// A refusal of X by name stands in for the handler, with X's body and headers, and the window counts.
			before := p.like("POST", 0, 0)
			p.like("DELETE", 0, 0)
			p.rules(`{` + likes + `,"do":{"problem":"serviceUnavailable"}}`)
			a := p.like("POST", 0, 0)
			if a.Status != 503 || !strings.Contains(a.Body, `"title":"Service Unavailable"`) || a.Header.Get("X-Transaction-Id") == "" ||
				!strings.Contains(a.Header.Get("X-Liked-Explain"), "of /admin/faults") || p.likes(0) != 0 {
				t.Errorf("got %+v with %d likes", a, p.likes(0))
			}
			one, _ := strconv.Atoi(before.Header.Get("X-Rate-Limit-Remaining"))
			other, _ := strconv.Atoi(a.Header.Get("X-Rate-Limit-Remaining"))
			if one-other != 1 {
				t.Errorf("the window went from %d to %d", one, other)
			}
			if a := p.like("DELETE", 0, 0); a.Status != 200 {
				t.Errorf("another operation got %+v", a)
			}

			// times and every: each third one, at most two.
			p.rules(`{` + likes + `,"when":{"times":2,"every":3},"do":{"status":500}}`)
			got := ""
			for range 10 {
				got += strconv.Itoa(p.like("POST", 0, 0).Status/100) + " "
			}
			if got != "2 2 5 2 2 5 2 2 2 2 " {
				t.Errorf("each third, at most two: got %s", got)
			}
			var list struct {
				Faults []struct {
					ID            string
					Matched, Done int
				}
			}
			if err := json.Unmarshal([]byte(p.admin("GET", "/admin/faults", "", 200)), &list); err != nil {
				t.Fatal(err)
			}
			if len(list.Faults) != 1 || list.Faults[0].Matched != 6 || list.Faults[0].Done != 2 {
				t.Errorf("the rules are %+v", list)
			}
			id := "/admin/faults/" + list.Faults[0].ID
			if text := p.admin("GET", id, "", 200); !strings.Contains(text, `"every":3`) {
				t.Errorf("the rule is %s", text)
			}
			p.admin("DELETE", id, "", 200)
			p.admin("DELETE", id, "", 404)
			p.admin("GET", id, "", 404)
			p.like("DELETE", 0, 0)

			// The first rule that matches wins; one that has done all it may leaves the next.
			p.rules(`{`+likes+`,"when":{"times":1},"do":{"status":502}}`, `{`+likes+`,"do":{"status":504}}`)
			if a, b := p.like("POST", 0, 0), p.like("POST", 0, 0); a.Status != 502 || b.Status != 504 {
				t.Errorf("got %d, then %d", a.Status, b.Status)
			}

			// A status with a body and headers, or X's own body.
			p.rules(`{` + likes + `,"when":{"times":1},"do":{"status":503,"body":{"mine":[1]},"headers":{"retry-after":"7"}}}`)
			if a := p.like("POST", 0, 0); a.Status != 503 || a.Body != `{"mine":[1]}` || a.Header.Get("Retry-After") != "7" ||
				!strings.HasPrefix(a.Header.Get("Content-Type"), "application/json") {
				t.Errorf("got %+v", a)
			}
			p.rules(`{` + likes + `,"do":{"status":502,"body":"<html>Bad Gateway","headers":{"content-type":"text/x","x-mine":"1"}}}`)
			if a := p.like("POST", 0, 0); a.Status != 502 || a.Body != `<html>Bad Gateway` || a.Header.Get("Content-Type") != "text/x" {
				t.Errorf("got %+v", a)
			}
			p.rules(`{` + likes + `,"do":{"status":401}}`)
			if a := p.like("POST", 0, 0); a.Status != 401 || !strings.Contains(a.Body, "Unauthorized") {
				t.Errorf("got %+v", a)
			}
			p.rules(`{` + likes + `,"do":{"status":204}}`)
			if a := p.like("POST", 0, 0); a.Status != 204 || a.Body != "" || a.Err != nil {
				t.Errorf("got %+v", a)
			}

			// reset_in: 429 until then, which the header says.
			p.rules(`{` + likes + `,"do":{"reset_in":"15m"}}`)
			a = p.like("POST", 0, 0)
			reset, _ := strconv.ParseInt(a.Header.Get("X-Rate-Limit-Reset"), 10, 64)
			if in := time.Until(time.Unix(reset, 0)); a.Status != 429 || a.Header.Get("X-Rate-Limit-Remaining") != "0" ||
				in < 14*time.Minute || in > 15*time.Minute+time.Second || !strings.Contains(a.Body, "Too Many Requests") {
				t.Errorf("got %+v, reset in %v", a, in)
			}
			p.rules(`{` + likes + `,"do":{"reset_in":"1ms"}}`)
			if time.Sleep(1100 * time.Millisecond); p.like("POST", 0, 1).Status != 200 {
				t.Error("there is still a 429 behind the reset")
			}
			p.like("DELETE", 0, 1)

			// close: before, nothing has happened; after, the like has.
			p.rules(`{` + likes + `,"when":{"times":1},"do":{"close":"before"}}`)
			if a := p.like("POST", 0, 0); a.Err == nil || p.likes(0) != 0 {
				t.Errorf("closed before: got %+v and %d likes", a, p.likes(0))
			}
			p.rules(`{` + likes + `,"when":{"times":1},"do":{"close":"after"}}`)
			if a := p.like("POST", 0, 0); a.Err == nil || p.likes(0) != 1 {
				t.Errorf("closed after: got %+v and %d likes", a, p.likes(0))
			}
			if a := p.like("DELETE", 0, 0); a.Status != 200 {
				t.Errorf("the next call got %+v", a)
			}

			// delay: alone, and beside another.
			p.rules(`{`+likes+`,"when":{"times":1},"do":{"delay":"60ms"}}`, `{`+likes+`,"do":{"status":503,"delay":{"min":"50ms","max":"70ms"}}}`)
			if a := p.like("POST", 0, 0); a.Status != 200 || a.Took < 60*time.Millisecond {
				t.Errorf("got %+v", a)
			}
			if a := p.like("POST", 0, 0); a.Status != 503 || a.Took < 50*time.Millisecond {
				t.Errorf("got %+v", a)
			}
			p.like("DELETE", 0, 0)

			// match.status: the call was made, and its answer replaced. A rule before others decides, although late.
			p.rules(`{"match":{"operation":"usersIdLike","status":200},"when":{"times":1},"do":{"status":500}}`, `{`+likes+`,"do":{"status":504}}`)
			if a := p.like("POST", 0, 0); a.Status != 500 || p.likes(0) != 1 {
				t.Errorf("got %+v and %d likes", a, p.likes(0))
			}
			if a := p.like("POST", 1, 0); a.Status != 504 || p.likes(0) != 1 {
				t.Errorf("got %+v and %d likes", a, p.likes(0))
			}
			p.rules(`{"match":{"status":401},"do":{"status":503}}`)
			if a := p.ask("GET", p.srv.URL()+"/2/users/me", "Bearer x", ""); a.Status != 503 {
				t.Errorf("got %+v", a)
			}
			p.rules(`{"match":{"status":200,"operation":"usersIdUnlike"},"do":{"close":"after"}}`)
			if a := p.like("DELETE", 0, 0); a.Err == nil || p.likes(0) != 0 {
				t.Errorf("got %+v and %d likes", a, p.likes(0))
			}

			// What a match may say.
			k := p.srv.Credentials()
			for match, want := range map[string][2]int{ // of the first user and the second
				`{}`:                                          {503, 503},
				`{"method":"POST"}`:                           {503, 503},
				`{"method":"PUT"}`:                            {200, 200},
				`{"path":"/2/users/*/likes"}`:                 {503, 503},
				`{"path":"/2/users/*"}`:                       {503, 503},
				`{"path":"/2/tweets/*"}`:                      {200, 200},
				`{"app":"demo"}`:                              {503, 503},
				`{"app":"demo-public"}`:                       {200, 200},
				`{"user":"` + k.Users[1].Username + `"}`:      {200, 503},
				`{"user":"` + k.Users[0].ID.String() + `"}`:   {503, 200},
				`{"header":{"content-type":"application/*"}}`: {503, 503},
				`{"header":{"user-agent":"nobody"}}`:          {200, 200},
				`{"header":{"host":"*:*"}}`:                   {503, 503},
				`{"header":{"host":"api.x.com"}}`:             {200, 200},
				`{"operation":"usersIdLike","user":"` + k.Users[1].Username + `"}`: {200, 503},
			} {
				p.rules(`{"match":` + match + `,"do":{"status":503}}`)
				if one, other := p.like("POST", 0, 0), p.like("POST", 1, 0); one.Status != want[0] || other.Status != want[1] {
					t.Errorf("%s: got %d and %d, want %v", match, one.Status, other.Status, want)
				}
			}
			// What is refused before is not provoked, and what is no endpoint can be.
			p.rules(`{"match":{},"do":{"status":418,"body":{"tea":true}}}`)
			if a := p.ask("GET", p.srv.URL()+"/2/users/me", "Bearer x", ""); a.Status != 401 {
				t.Errorf("an unknown caller got %+v", a)
			}
			if a := p.ask("GET", p.srv.URL()+"/2/lists/1", "Bearer x", ""); a.Status != 418 || a.Body != `{"tea":true}` {
				t.Errorf("what is no endpoint got %+v", a)
			}
			p.rules(`{"match":{"path":"/2/lists/a%2fb"},"do":{"status":418,"body":""}}`)
			if a := p.ask("GET", p.srv.URL()+"/2/lists/a%2fb", "Bearer x", ""); a.Status != 418 {
				t.Errorf("a path is not matched as it was sent: %+v", a)
			}
			p.rules(`{` + likes + `,"do":{"status":503}}`)
			if a := p.ask("GET", p.srv.URL()+"/2/lists/1", "Bearer x", ""); a.Status != 404 || a.Body != "" {
				t.Errorf("what is no endpoint got %+v", a)
			}
			p.rules()
		})
	}
}

// Each refusal of X can be had by its name, in the form of v2, of v1.1, of tokens and of pages.
func TestFaultsByName(t *testing.T) {
	t.Parallel()
	p := newProvoked(t, server.Config{RateLimits: "off"}, nil)
	k := p.srv.Credentials()
	bearer := "Bearer " + k.Apps[0].BearerToken
	description := p.admin("GET", "/admin/openapi.json", "", 200)
	a := p.ask("POST", p.srv.AdminURL()+"/admin/faults", "Bearer "+p.srv.AdminToken, `{"match":{},"do":{"problem":"?"}}`)
	_, names, ok := strings.Cut(a.Body, "there are ")
	if a.Status != 400 || !ok {
		t.Fatalf("got %+v", a)
	}
	all := strings.Split(strings.TrimSuffix(strings.TrimSpace(names), `"}`), ", ")
	if len(all) < 40 {
		t.Fatalf("there are only %q", all)
	}
	for _, name := range all {
		if !strings.Contains(description, name) {
			t.Errorf("%s is not in the description", name)
		}
		p.rules(`{"match":{},"do":{"problem":"` + name + `","headers":{"x-mine":"1"}}}`)
		for what, a := range map[string]reply{
			"v2":        p.ask("GET", p.srv.URL()+"/2/users/by/username/"+k.Users[0].Username, bearer, ""),
			"v1.1":      p.ask("GET", p.srv.URL()+"/1.1/favorites/list.json?screen_name="+k.Users[0].Username, bearer, ""),
			"OAuth 2.0": p.ask("POST", p.srv.URL()+"/2/oauth2/token", "", "grant_type=refresh_token"),
			"app-only":  p.ask("POST", p.srv.URL()+"/oauth2/token", "", "grant_type=client_credentials"),
			"OAuth 1.0": p.ask("POST", p.srv.URL()+"/oauth/request_token", "", ""),
			"page":      p.ask("GET", p.srv.URL()+"/login", "", ""),
		} {
			empty := a.Body == "" && a.Status != 404 // of v2 it has no body
			if a.Err != nil || a.Status < 400 || a.Header.Get("X-Mine") != "1" || empty || strings.Contains(a.Body, "null") {
				t.Errorf("%s of %s: got %d %q %v", name, what, a.Status, a.Body, a.Err)
			}
			isJSON := strings.Contains(a.Header.Get("Content-Type"), "json")
			if strings.HasPrefix(what, "v") && isJSON && a.Body != "" && !json.Valid([]byte(a.Body)) {
				t.Errorf("%s of %s: no JSON in %q", name, what, a.Body)
			}
		}
	}
	xml := func(code int, text string) string {
		return fmt.Sprintf("<?xml version='1.0' encoding='UTF-8'?><errors><error code=\"%d\">%s</error></errors>", code, text)
	}
	for rule, want := range map[string]string{ // of v1.1, then OAuth 2.0, then OAuth 1.0a
		`{"problem":"tooManyRequests"}`: `429 {"errors":[{"code":88,"message":"Rate limit exceeded"}]}` +
			`429 {"error":"too_many_requests","error_description":"Too Many Requests"}` +
			`429 ` + xml(88, "Rate limit exceeded"),
		`{"problem":"statusNotFound"}`: `404 {"errors":[{"code":144,"message":"No status found with that ID."}]}` +
			`404 {"error":"not_found","error_description":"Not Found"}` +
			`404 ` + xml(131, "Not Found"),
		`{"problem":"invalidGrantType"}`: `400 {"errors":[{"code":215,"message":"Bad Authentication data."}]}` +
			`400 {"error":"invalid_request","error_description":"Value passed for the grant type was invalid. ` +
			`Grant type should be one of [authorization_code, refresh_token]."}` +
			`400 ` + xml(215, "Bad Authentication data."),
		`{"status":503}`: `503 {"errors":[{"code":130,"message":"Over capacity"}]}` +
			`503 {"error":"temporarily_unavailable","error_description":"Over capacity"}` +
			`503 ` + xml(130, "Over capacity"),
		`{"status":502}`: `502 {"errors":[{"code":131,"message":"Internal error"}]}` +
			`502 {"error":"bad_gateway","error_description":"Bad Gateway"}` +
			`502 ` + xml(131, "Bad Gateway"),
		`{"status":503,"body":"x"}`: `503 x503 x503 x`,
	} {
		p.rules(`{"match":{},"do":` + rule + `}`)
		got := ""
		for _, a := range []reply{
			p.ask("GET", p.srv.URL()+"/1.1/favorites/list.json?screen_name="+k.Users[0].Username, bearer, ""),
			p.ask("POST", p.srv.URL()+"/2/oauth2/token", "", "grant_type=refresh_token"),
			p.ask("POST", p.srv.URL()+"/oauth/request_token", "", ""),
		} {
			got += fmt.Sprint(a.Status, " ", a.Body)
		}
		if got != want {
			t.Errorf("%s: got %s, want %s", rule, got, want)
		}
	}
	p.rules(`{"match":{"operation":"oauth2Token"},"do":{"reset_in":"1h"}}`)
	if a := p.ask("POST", p.srv.URL()+"/2/oauth2/token", "", "grant_type=refresh_token"); a.Header.Get("X-Rate-Limit-Remaining") != "0" {
		t.Errorf("got %+v", a)
	}
}

// At the endpoints for tokens a match knows the app and the user that the parameters name, and what was made counts.
func TestFaultsOfTokens(t *testing.T) {
	t.Parallel()
	p := newProvoked(t, server.Config{}, nil)
	k := p.srv.Credentials()
	app, user := k.Apps[0], k.Users[1]
	basic := "Basic " + base64.StdEncoding.EncodeToString([]byte(url.QueryEscape(app.ClientID)+":"+url.QueryEscape(app.ClientSecret)))
	refresh := func(token string) reply {
		t.Helper()
		return p.ask("POST", p.srv.URL()+"/2/oauth2/token", basic, "grant_type=refresh_token&refresh_token="+url.QueryEscape(token))
	}
	p.rules(`{"match":{"operation":"oauth2Token","app":"demo","user":"` + user.Username + `"},"when":{"times":2},"do":{"status":503}}`)
	if a, b, c := refresh(k.Users[0].RefreshToken), refresh(user.RefreshToken), refresh(user.RefreshToken); a.Status != 200 ||
		b.Status != 503 || c.Status != 503 {
		t.Errorf("got %+v, %+v and %+v", a, b, c)
	}
	p.rules(`{"match":{"operation":"oauth2Token","app":"demo-public"},"do":{"status":503}}`)
	if a := p.ask("POST", p.srv.URL()+"/2/oauth2/token", "", "grant_type=refresh_token&client_id="+k.Apps[1].ClientID); a.Status != 503 {
		t.Errorf("got %+v", a)
	}
	p.rules(`{"match":{"operation":"oauth2Token"},"do":{"close":"before"}}`)
	if a := refresh(user.RefreshToken); a.Err == nil {
		t.Errorf("got %+v", a)
	}
	// The answer is lost, and with it the new refresh token: the old one is spent.
	p.rules(`{"match":{"operation":"oauth2Token","status":200},"when":{"times":1},"do":{"close":"after"}}`)
	if a, b := refresh(user.RefreshToken), refresh(user.RefreshToken); a.Err == nil || b.Status != 400 {
		t.Errorf("got %+v, then %+v", a, b)
	}
}

// A stream ends with X's message of each type, whether it was open before the rule or not.
func TestFaultsOfStreams(t *testing.T) {
	t.Parallel()
	p := newProvoked(t, server.Config{RateLimits: "off"}, nil)
	bearer := "Bearer " + p.srv.Credentials().Apps[0].BearerToken
	const address = "/2/likes/firehose/stream?partition=1"
	open := func() (*http.Response, func() string) {
		t.Helper()
		r, err := http.NewRequest("GET", p.srv.URL()+address, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", bearer)
		resp, err := p.c.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { resp.Body.Close() })
		return resp, func() string {
			text, err := io.ReadAll(bufio.NewReader(resp.Body))
			if err != nil {
				t.Fatal(err)
			}
			return string(text)
		}
	}
	for kind, reason := range map[string]string{
		"OperationalDisconnect": "operator_disconnect", "UpstreamOperationalDisconnect": "upstream_disconnect",
		"ForceDisconnect": "operator_disconnect", "UpstreamUncleanDisconnect": "upstream_disconnect", "SlowReader": "slow_reader",
		"InternalError": "internal_error", "ClientApplicationStateDegraded": "client_application_state",
		"InvalidRules": "client_application_state",
	} {
		rule := `{"match":{"operation":"streamLikesFirehose"},"when":{"times":1},"do":{"disconnect":"` + kind + `"}}`
		p.rules()
		_, rest := open()
		p.rules(rule)
		if text := rest(); !strings.Contains(text, `"disconnect_type":"`+kind+`"`) {
			t.Errorf("a stream that was open ended with %q, want %s", text, kind)
		}
		p.rules(rule)
		resp, rest := open()
		if text := rest(); resp.StatusCode != 200 || !strings.Contains(text, `"disconnect_type":"`+kind+`"`) {
			t.Errorf("a new stream: %s, ended with %q, want %s", resp.Status, text, kind)
		}
		a := p.ask("GET", p.srv.URL()+"/2/connections?status=inactive&max_results=1", bearer, "")
		if !strings.Contains(a.Body, `"disconnect_reason":"`+reason+`"`) {
			t.Errorf("%s: the connections are %s", kind, a.Body)
		}
	}
	// A refusal stands in for the stream; one that replaces the answer of a stream leaves its place free.
	for _, match := range []string{`"operation":"streamLikesFirehose"`, `"operation":"streamLikesFirehose","status":200`} {
		p.rules(`{"match":{` + match + `},"when":{"times":2},"do":{"problem":"tooManyConnections"}}`)
		for range 2 {
			if a := p.ask("GET", p.srv.URL()+address, bearer, ""); a.Status != 429 || !strings.Contains(a.Body, "TooManyConnections") {
				t.Errorf("got %+v", a)
			}
		}
	}
	p.rules(`{"match":{"operation":"streamLikesFirehose"},"when":{"times":1},"do":{"disconnect":"ForceDisconnect","delay":"50ms"}}`)
	began := time.Now()
	if _, rest := open(); !strings.Contains(rest(), "ForceDisconnect") || time.Since(began) < 50*time.Millisecond {
		t.Errorf("it ended after %v", time.Since(began))
	}
}

// A delivery fails and is late as a rule says, and is tried again.
func TestFaultsOfDeliveries(t *testing.T) {
	t.Parallel()
	p := newProvoked(t, server.Config{PrivateWebhooks: true, Journal: 100}, nil)
	k := p.srv.Credentials()
	var arrived atomic.Int64
	endpoint := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			mac := hmac.New(sha256.New, []byte(k.Apps[0].APISecret))
			mac.Write([]byte(r.URL.Query().Get("crc_token")))
			fmt.Fprintf(w, `{"response_token":"sha256=%s"}`, base64.StdEncoding.EncodeToString(mac.Sum(nil)))
			return
		}
		arrived.Add(1)
	}))
	defer endpoint.Close()
	register := `{"app":"demo","url":"` + endpoint.URL + `/hook"}`
	p.rules(`{"match":{"operation":"webhookChallenge","path":"/hook"},"do":{"status":503}}`)
	p.admin("POST", "/admin/webhooks", register, 400)
	p.rules(`{"match":{"operation":"webhookChallenge","app":"demo-public"},"do":{"status":503}}`)
	var hook struct{ ID string }
	if err := json.Unmarshal([]byte(p.admin("POST", "/admin/webhooks", register, 201)), &hook); err != nil {
		t.Fatal(err)
	}
	alice := k.Users[0]
	if a := p.ask("POST", p.srv.URL()+"/2/activity/subscriptions", "Bearer "+alice.AccessToken,
		`{"event_type":"like.create","filter":{"user_id":"`+alice.ID.String()+`"},"webhook_id":"`+hook.ID+`"}`); a.Status != 200 {
		t.Fatalf("got %+v", a)
	}
	for _, c := range []struct {
		do, match     string
		arrives, done int64
		provoked      string // status in the journal; none for no answer
	}{
		{`{"status":503}`, ``, 1, 1, "503"},
		{`{"problem":"serviceUnavailable","delay":"20ms"}`, `,"user":"` + alice.Username + `"`, 1, 1, "503"},
		{`{"close":"before"}`, ``, 1, 1, "0"},
		{`{"close":"after"}`, ``, 2, 1, "0"}, // it was delivered, and is delivered again
		{`{"delay":"20ms"}`, ``, 1, 1, ""},
		{`{"status":500}`, `,"status":200`, 2, 1, "500"},
		{`{"status":500}`, `,"user":"` + k.Users[1].Username + `"`, 1, 0, ""},
	} {
		p.rules(`{"match":{"operation":"webhookDelivery","app":"demo"` + c.match + `},"when":{"times":1},"do":` + c.do + `}`)
		before := arrived.Load()
		p.admin("DELETE", "/admin/requests", "", 200)
		p.like("DELETE", 0, 0)
		if a := p.like("POST", 0, 0); a.Status != 200 {
			t.Fatalf("got %+v", a)
		}
		for deadline := time.Now().Add(20 * time.Second); arrived.Load()-before < c.arrives && time.Now().Before(deadline); {
			time.Sleep(10 * time.Millisecond)
		}
		text := p.admin("GET", "/admin/faults", "", 200)
		if n := arrived.Load() - before; n != c.arrives || !strings.Contains(text, fmt.Sprintf(`"done":%d`, c.done)) {
			t.Errorf("%s%s: it arrived %d times, want %d: %s", c.do, c.match, n, c.arrives, text)
		}
		// The row is in the journal before the next attempt, what was provoked with the rule that did it.
		provoked := ""
		var journal struct {
			Data []struct {
				Status int
				Why    string
			}
		}
		if err := json.Unmarshal([]byte(p.admin("GET", "/admin/requests?operation=webhookDelivery", "", 200)), &journal); err != nil {
			t.Fatal(err)
		}
		for _, row := range journal.Data {
			if strings.Contains(row.Why, "of /admin/faults provoked it") {
				provoked += strconv.Itoa(row.Status)
			}
		}
		if provoked != c.provoked {
			t.Errorf("%s%s: the journal says that %q was provoked, want %q: %+v", c.do, c.match, provoked, c.provoked, journal.Data)
		}
	}
}

// reset_in is by the server's clock, in the header and in what it does.
func TestFaultsFollowTheClock(t *testing.T) {
	t.Parallel()
	p := newProvoked(t, server.Config{}, nil)
	p.admin("PUT", "/admin/clock", `{"frozen":true}`, 200)
	p.rules(`{"match":{"operation":"usersIdLike"},"do":{"reset_in":"15m"}}`)
	a := p.like("POST", 0, 0)
	var clock struct{ Now time.Time }
	if err := json.Unmarshal([]byte(p.admin("GET", "/admin/clock", "", 200)), &clock); err != nil {
		t.Fatal(err)
	}
	reset, _ := strconv.ParseInt(a.Header.Get("X-Rate-Limit-Reset"), 10, 64)
	if in := time.Unix(reset, 0).Sub(clock.Now); a.Status != 429 || in <= 15*time.Minute-time.Second || in > 15*time.Minute {
		t.Errorf("got %d, reset in %v", a.Status, in)
	}
	p.admin("POST", "/admin/clock/advance", `{"by":"14m"}`, 200)
	b := p.like("POST", 0, 0)
	p.admin("POST", "/admin/clock/advance", `{"by":"1m"}`, 200) // just as long as the rule says
	if c := p.like("POST", 0, 0); b.Status != 429 || b.Header.Get("X-Rate-Limit-Reset") != fmt.Sprint(reset) || c.Status != 200 {
		t.Errorf("got %+v after 14 minutes, %d after the reset", b, c.Status)
	}
}

// A rule that can do nothing is refused, with what there is.
func TestFaultsRefused(t *testing.T) {
	t.Parallel()
	p := newProvoked(t, server.Config{}, nil)
	for rule, want := range map[string]string{
		`{}`:                                "it says nothing",
		`{"match":{},"do":{}}`:              "it says nothing",
		`{"match":{},"do":{"problem":"x"}}`: "there are accessLevel",
		`{"match":{"operation":"x"},"do":{"status":500}}`:                             "there are accountVerifyCredentials",
		`{"match":{"operationId":"x"},"do":{"status":500}}`:                           `unknown member \"operationId\"`,
		`{"match":{"body":{}},"do":{"status":500}}`:                                   "/admin/verify alone",
		`{"match":{"user":"nobody"},"do":{"status":500}}`:                             "nobody",
		`{"match":{},"do":{"status":500,"close":"before"}}`:                           "close and status exclude each other",
		`{"match":{},"do":{"status":99}}`:                                             "from 200 to 599",
		`{"match":{},"do":{"status":200}}`:                                            "give a body",
		`{"match":{},"do":{"status":204,"body":"x"}}`:                                 "has no body",
		`{"match":{},"do":{"body":"x","problem":"notFound"}}`:                         "a body goes with a status",
		`{"match":{},"do":{"close":"never"}}`:                                         `\"before\" or \"after\"`,
		`{"match":{"status":200},"do":{"close":"before"}}`:                            `close is \"after\"`,
		`{"match":{},"do":{"disconnect":"x"}}`:                                        "there are ClientApplicationStateDegraded",
		`{"match":{"operation":"usersIdLike"},"do":{"disconnect":"ForceDisconnect"}}`: "streamLikesFirehose",
		`{"match":{},"do":{"delay":"x"}}`:                                             "no duration",
		`{"match":{},"do":{"delay":"26s"}}`:                                           "at most 25s",
		`{"match":{},"do":{"delay":{"min":"2s","max":"1s"}}}`:                         "from min to max",
		`{"match":{},"do":{"delay":{"min":"2s","most":"1s"}}}`:                        "unknown member",
		`{"match":{},"do":{"delay":"-1s"}}`:                                           "above 0s",
		`{"match":{},"do":{"delay":{"min":"-2s","max":"1s"}}}`:                        "above 0s",
		`{"match":{},"do":{"reset_in":"-1s"}}`:                                        "above 0s",
		`{"match":{},"do":{"status":500,"headers":{"content-length":"1"}}}`:           "cannot be set",
		`{"match":{},"do":{"status":500,"headers":{"a b":"1"}}}`:                      "cannot be set",
		`{"match":{},"do":{"status":500,"headers":{"a":"1\r\nb: 2"}}}`:                "cannot be set",
		`{"match":{},"do":{"close":"before","headers":{"a":"1"}}}`:                    "headers go with",
		`{"match":{},"when":{"times":-1},"do":{"status":500}}`:                        "1 or more",
		`{"match":{},"when":{"times":0},"do":{"status":500}}`:                         "1 or more",
		`{"match":{},"when":{"times":1,"every":0},"do":{"status":500}}`:               "1 or more",
		`{"match":{},"when":{"time":1},"do":{"status":500}}`:                          `unknown member \"time\"`,
		`{"match":{},"do":{"status":500,"headers":{"X-A":"1","x-a":"2"}}}`:            "X-A stands twice",
		`{"match":{"header":{"x a":"*"}},"do":{"status":500}}`:                        "no name of a header",
	} {
		a := p.ask("POST", p.srv.AdminURL()+"/admin/faults", "Bearer "+p.srv.AdminToken, rule)
		if a.Status != 400 && a.Status != 404 || !strings.Contains(a.Body, want) {
			t.Errorf("%s: got %d %s, want %q", rule, a.Status, a.Body, want)
		}
	}
	if text := p.admin("GET", "/admin/faults", "", 200); !strings.Contains(text, `"faults":[]`) {
		t.Errorf("there are rules: %s", text)
	}
}

// The rules are part of a snapshot, with what they have done, and a reset leaves none.
func TestFaultsGoBack(t *testing.T) {
	t.Parallel()
	p := newProvoked(t, server.Config{Data: filepath.Join(t.TempDir(), "data"), AllowReset: true}, nil) // a database has no snapshots
	p.rules(`{"match":{"operation":"usersIdLike"},"when":{"times":2},"do":{"status":503}}`)
	p.like("POST", 0, 0)
	p.admin("PUT", "/admin/snapshots/one-left", "", 200)
	for range 2 {
		if a, b := p.like("POST", 0, 0), p.like("POST", 0, 0); a.Status != 503 || b.Status != 200 {
			t.Errorf("got %d, then %d", a.Status, b.Status)
		}
		p.rules()
		p.admin("POST", "/admin/snapshots/one-left/restore", "", 200)
	}
	p.admin("POST", "/admin/reset", "", 200)
	if text := p.admin("GET", "/admin/faults", "", 200); !strings.Contains(text, `"faults":[]`) || p.like("POST", 0, 0).Status != 200 {
		t.Errorf("after a reset there are rules: %s", text)
	}
	if id := p.admin("POST", "/admin/faults", `{"match":{},"do":{"status":503}}`, 201); !strings.Contains(id, `"id":"1"`) {
		t.Errorf("the first rule after a reset is %s", id)
	}
}
