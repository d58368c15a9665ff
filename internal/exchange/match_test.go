package exchange_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"liked"
	"liked/internal/exchange"
	"liked/internal/strictjson"
)

var names = exchange.Names{
	Operation: func(name string) error {
		return exchange.CheckOperation(name, []string{"oauth2Token", "usersIdLike", "usersIdUnlike"})
	},
	App: func(name string) (liked.AppID, error) {
		if name != "demo" && name != "7" {
			return 0, liked.Errorf(liked.NotFound, "no app %q", name)
		}
		return 7, nil
	},
	User: func(name string) (liked.UserID, error) {
		if name != "alice" && name != "12" {
			return 0, liked.Errorf(liked.NotFound, "no user %q", name)
		}
		return 12, nil
	},
}

func matcher(t *testing.T, text string) (*exchange.Matcher, error) {
	t.Helper()
	var m exchange.Match
	if err := strictjson.Unmarshal([]byte(text), &m); err != nil {
		return nil, err
	}
	return m.Matcher(names)
}

// One exchange, against matches of each member that are right, and with what differs where they are wrong.
func TestMatch(t *testing.T) {
	like := exchange.Traits{Operation: "usersIdLike", Method: "POST", Path: "/2/users/12/likes", App: 7, User: 12, Status: 200,
		Header: http.Header{"User-Agent": {"tweepy/4.14"}, "Accept": {"text/plain", "application/json"}},
		Body:   []byte(`{"tweet_id":"20","n":9007199254740993,"of":{"a":[1,{"b":null}],"c":true}}`)}
	token := exchange.Traits{Operation: "oauth2Token", Method: "POST", Path: "/2/oauth2/token",
		Header: http.Header{"Content-Type": {"application/x-www-form-urlencoded;charset=UTF-8"}},
		Body:   []byte("grant_type=refresh_token&refresh_token=a%20b&twice=1&twice=2")}
	for _, c := range []struct {
		x           exchange.Traits
		match, want string
	}{
		{like, `{}`, ""},
		{like, `{"operation":"usersIdLike","method":"POST","path":"/2/users/12/likes","app":"demo","user":"alice","status":200}`, ""},
		{like, `{"app":"7","user":"12"}`, ""},
		{like, `{"operation":"usersIdUnlike"}`, `operation: wanted "usersIdUnlike", got "usersIdLike"`},
		{like, `{"method":"PUT","status":429}`, `method: wanted "PUT", got "POST"; status: wanted 429, got 200`},
		{token, `{"status":429,"app":"demo","user":"12"}`,
			`app: wanted "demo", got null; user: wanted "12", got null; status: wanted 429, got null`},
		{exchange.Traits{App: 8, User: 13}, `{"app":"demo","user":"alice"}`, `app: wanted "demo", got "8"; user: wanted "alice", got "13"`},

		{like, `{"path":"*"}`, ""},
		{like, `{"path":"/2/users/*/likes"}`, ""},
		{like, `{"path":"/2/*/12/*"}`, ""},
		{like, `{"path":"/2/users/12/likes*"}`, ""},
		{like, `{"path":"*likes"}`, ""},
		{like, `{"path":"/2/users/*/likes/*"}`, `path: wanted "/2/users/*/likes/*", got "/2/users/12/likes"`},
		{like, `{"path":"/2/users/*/like"}`, `path: wanted "/2/users/*/like", got "/2/users/12/likes"`},
		{like, `{"path":"*12/likes/likes"}`, `path: wanted "*12/likes/likes", got "/2/users/12/likes"`},
		{like, `{"path":"/2/users/12/likes*likes"}`, `path: wanted "/2/users/12/likes*likes", got "/2/users/12/likes"`},
		{like, `{"path":"/2/users"}`, `path: wanted "/2/users", got "/2/users/12/likes"`},

		{like, `{"header":{"user-agent":"tweepy/*","Accept":"application/json"}}`, ""},
		{like, `{"header":{"user-agent":"axios/*","X-Mine":"*"}}`,
			`header.User-Agent: wanted "axios/*", got "tweepy/4.14"; header.X-Mine: wanted "*", got null`},
		{like, `{"header":{"accept":"text/html"}}`, `header.Accept: wanted "text/html", got "text/plain, application/json"`},

		{like, `{"body":{"tweet_id":"20"}}`, ""},
		{like, `{"body":{}}`, ""},
		{like, `{"body":{"of":{"c":true}}}`, ""},
		{like, `{"body":{"of":{"a":[1.0,{"b":null}]}}}`, ""},
		{like, `{"body":{"tweet_id":"21","of":{"a":[1],"c":false,"d":1}}}`, `body.of.a: wanted [1], got [1,{"b":null}]; ` +
			`body.of.c: wanted false, got true; body.of.d: wanted 1, got null; body.tweet_id: wanted "21", got "20"`},
		{like, `{"body":{"n":9007199254740992}}`, `body.n: wanted 9007199254740992, got 9007199254740993`},
		{like, `{"body":{"tweet_id":20}}`, `body.tweet_id: wanted 20, got "20"`},
		{like, `{"body":{"tweet_id":{"x":1}}}`, `body.tweet_id: wanted {"x":1}, got "20"`},
		{like, `{"body":{"of":"x"}}`, `body.of: wanted "x", got {"a":[1,{"b":null}],"c":true}`},
		{like, `{"body":{"of":{"a":"x"}}}`, `body.of.a: wanted "x", got [1,{"b":null}]`},
		{token, `{"body":{"grant_type":"refresh_token","refresh_token":"a b","twice":"1, 2"}}`, ""},
		{token, `{"body":{"grant_type":"x","code":"c"}}`, `body.code: wanted "c", got null; body.grant_type: wanted "x", got "refresh_token"`},
		{exchange.Traits{}, `{"body":{"a":1}}`, `body: wanted {"a":1}, got null`},
		{exchange.Traits{Body: []byte("plain text")}, `{"body":"plain text"}`, ""},
		{exchange.Traits{Body: []byte("plain")}, `{"body":["plain"]}`, `body: wanted ["plain"], got "plain"`},
	} {
		m, err := matcher(t, c.match)
		if err != nil {
			t.Errorf("%s: %v", c.match, err)
			continue
		}
		var got []string
		for _, d := range m.Differences(c.x) {
			wanted, _ := json.Marshal(d.Wanted)
			theirs, _ := json.Marshal(d.Got)
			got = append(got, d.Field+": wanted "+string(wanted)+", got "+string(theirs))
		}
		if got := strings.Join(got, "; "); got != c.want {
			t.Errorf("%s differs in %q, want %q", c.match, got, c.want)
		}
		if m.Matches(c.x) != (c.want == "") {
			t.Errorf("%s: Matches is %t", c.match, m.Matches(c.x))
		}
	}
}

// A match that can never hold is refused, with what to write instead.
func TestMatchRefuses(t *testing.T) {
	for text, want := range map[string]string{
		`{"operationId":"x"}`:                     `unknown member "operationId"`,
		`{"status":"200"}`:                        `member "status" cannot be a string`,
		`{"status":99}`:                           "99 is no status",
		`{"status":600}`:                          "600 is no status",
		`{"method":"post"}`:                       "a method is in upper case, as POST",
		`{"path":"https://api.x.com/2/users/me"}`: "has no host",
		`{"path":"/2/users?ids=1"}`:               "has a query",
		`{"app":"nobody's"}`:                      `no app "nobody's"`,
		`{"user":"nobody"}`:                       `no user "nobody"`,
		`{"header":{"accept":"a","Accept":"b"}}`:  "the header Accept stands twice",
		`{"body":null}`:                           "a JSON value other than null",
	} {
		if _, err := matcher(t, text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got error %v, want %q", text, err, want)
		}
	}
}
