package server_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"liked/internal/postman"
	"liked/internal/seed"
	"liked/internal/server"
)

var update = flag.Bool("update", false, "rewrite the recorded answers, and the collections in testdata")

// TestPostman sends the requests of the collection, and holds the answers that are saved with them to what a server says
// now. With -update it records them, and writes the whole collections to testdata, where a change of them can be seen.
//
//	go test ./internal/server -run TestPostman -update
func TestPostman(t *testing.T) {
	t.Parallel()
	for _, profile := range []string{"2024", "2026"} {
		t.Run(profile, func(t *testing.T) {
			noon := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
			w := &seed.Options{Users: 7, Posts: 8, Seed: 1, TokenLifetime: 24 * time.Hour}
			srv, _ := start(t, server.Config{Seed: w, Profile: profile, PrivateWebhooks: true, TokenLifetime: 2 * time.Hour, Now: func() time.Time { return noon }})
			p := newPostman(t, srv, noon)
			got := p.record()
			file := "../postman/answers/" + profile + ".json"
			if *update {
				if err := os.WriteFile(file, postman.Encode(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			golden(t, "testdata/postman-"+profile+".json", p.text)
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if want := postman.Encode(got); !bytes.Equal(text, want) {
				t.Errorf("%s is not what the server answers any more; -update rewrites it. It answers\n%s", file, want)
			}
		})
	}
}

// golden compares a collection with a file, but for the port of the server.
func golden(t *testing.T, file string, text []byte) {
	t.Helper()
	text = regexp.MustCompile(`127\.0\.0\.1:\d+`).ReplaceAll(text, []byte("127.0.0.1:8080"))
	want, err := os.ReadFile(file)
	if *update && !bytes.Equal(text, want) {
		err, want = os.WriteFile(file, text, 0o644), text
	}
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(text, want) {
		t.Errorf("%s is not the collection any more; go test ./internal/server -run TestPostman -update rewrites it, twice if answers change", file)
	}
}

// poster is as much of Postman as sends requests.
type poster struct {
	*testing.T
	text       []byte // of the collection
	collection struct {
		Item []struct {
			Item []struct {
				ID       string
				Response []struct {
					Name            string
					OriginalRequest savedRequest
				}
			}
		}
	}
	variables map[string]string
	narrow    string // a token for reading
	now       time.Time
	client    *http.Client
}

// savedRequest is a request as a collection has it. Its authorization is the one of its own.
type savedRequest struct {
	Method string
	URL    struct {
		Raw             string
		Query, Variable []postman.Variable
	}
	Header []postman.Header
	Body   *postman.Body
	Auth   map[string]json.RawMessage
}

func newPostman(t *testing.T, srv *server.Server, now time.Time) *poster {
	t.Helper()
	k := srv.Credentials()
	user, _ := k.First()
	p := &poster{T: t, variables: map[string]string{}, now: now, client: client(t, nil)}
	_, text := get(t, p.client, srv.URL()+"/postman/collection.json", "")
	p.text = []byte(text)
	if err := json.Unmarshal(p.text, &p.collection); err != nil {
		t.Fatal(err)
	}
	var environment struct{ Values []postman.Variable }
	_, text = get(t, p.client, srv.URL()+"/postman/environment.json", "")
	if err := json.Unmarshal([]byte(text), &environment); err != nil {
		t.Fatal(err)
	}
	for _, v := range environment.Values {
		p.variables[v.Key] = v.Value
	}
	p.narrow = p.issue(k, user.Username, "tweet.read users.read like.read")
	p.variables["tokenToRevoke"] = p.issue(k, user.Username, "")
	p.variables["webhookUrl"] = p.receive()
	p.variables["replayFrom"], p.variables["replayTo"] = now.Add(-time.Hour).Format(minute), now.Format(minute)
	return p
}

const minute = "200601021504"

// receive starts an endpoint for webhooks, which takes everything, and returns its URL.
func (p *poster) receive() string {
	key := []byte(p.variables["apiSecret"])
	endpoint := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(r.URL.Query().Get("crc_token")))
		fmt.Fprintf(w, `{"response_token":"sha256=%s"}`, base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	}))
	p.Cleanup(endpoint.Close)
	return endpoint.URL + "/likes"
}

func (p *poster) issue(k seed.Credentials, user, scopes string) string {
	p.Helper()
	r, err := http.NewRequest("POST", k.AdminURL+"/admin/tokens",
		strings.NewReader(fmt.Sprintf(`{"kind":"user","app":%q,"user":%q,"scopes":%q}`, k.Apps[0].Name, user, scopes)))
	if err != nil {
		p.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+k.AdminToken)
	r.Header.Set("Content-Type", "application/json")
	resp, err := p.client.Do(r)
	if err != nil {
		p.Fatal(err)
	}
	defer resp.Body.Close()
	var made struct{ Token string }
	if err := json.NewDecoder(resp.Body).Decode(&made); err != nil || made.Token == "" {
		p.Fatalf("a token: %s %v", resp.Status, err)
	}
	return made.Token
}

// record sends every request with a saved answer, in the order of the collection, but the refusals of all of them after
// the successes: those that use up limits last.
func (p *poster) record() postman.Answers {
	answers := postman.Answers{}
	for _, round := range []func(name string) bool{
		func(name string) bool { return name == "Success" },
		func(name string) bool { return name != "Success" && name != "Too many requests" },
		func(name string) bool { return name == "Too many requests" },
	} {
		for _, folder := range p.collection.Item {
			for _, item := range folder.Item {
				for _, saved := range item.Response {
					if !round(saved.Name) {
						continue
					}
					if answers[item.ID] == nil {
						answers[item.ID] = map[string]postman.Answer{}
					}
					if _, twice := answers[item.ID][saved.Name]; twice {
						p.Fatalf("%s has two answers %q", item.ID, saved.Name)
					}
					token := p.variables["accessToken"]
					if saved.Name == "A token without the scopes" {
						p.variables["accessToken"] = p.narrow
					}
					a := p.send(saved.OriginalRequest)
					for n := 0; saved.Name == "Too many requests" && a.Code != 429; n++ {
						if n > 100 {
							p.Fatalf("%s has no limit", item.ID)
						}
						a = p.send(saved.OriginalRequest)
					}
					p.variables["accessToken"] = token
					if success := a.Code/100 == 2; success != (saved.Name == "Success") && !strings.HasPrefix(saved.Name, "Nothing of that") {
						p.Errorf("%s: %s: %d %s", item.ID, saved.Name, a.Code, a.Body)
					}
					if saved.Name == "Success" {
						p.keep(item.ID, a.Body)
					}
					answers[item.ID][saved.Name] = a
				}
			}
		}
	}
	if len(answers) < 20 {
		p.Fatalf("%d items have answers", len(answers))
	}
	return answers
}

// keep does what the tests of the request do: it sets the variable that names what was made.
func (p *poster) keep(item, body string) {
	p.Helper()
	var made struct {
		Data struct {
			ID           string
			Subscription struct {
				ID string `json:"subscription_id"`
			}
		}
	}
	name, id := "", &made.Data.ID
	switch item {
	case "createTweet":
		name = "newPostId"
	case "createWebhooks":
		name = "webhookId"
	case "createActivitySubscription":
		name, id = "subscriptionId", &made.Data.Subscription.ID
	default:
		return
	}
	if err := json.Unmarshal([]byte(body), &made); err != nil {
		p.Fatal(err)
	}
	p.variables[name] = *id
}

// kept are the headers that say something about a request, and not about the moment.
var kept = regexp.MustCompile(`^(Content-Type|Location|X-Access-Level|X-(Rate|User|App)-Limit.*)$`)

// secret is what an answer has that is another each time.
var secret = regexp.MustCompile(`("(?:access_token|refresh_token)":"|oauth_token(?:_secret)?=)[^"&]*`)

func (p *poster) send(in savedRequest) postman.Answer {
	p.Helper()
	address := p.fill(in.URL.Raw)
	for _, v := range in.URL.Variable {
		address = strings.Replace(address, ":"+v.Key, p.fill(v.Value), 1)
	}
	var body string
	header := http.Header{}
	switch {
	case in.Body == nil:
	case in.Body.Mode == "raw":
		body = p.fill(in.Body.Raw)
	default:
		form := url.Values{}
		for _, f := range in.Body.URLEncoded {
			form.Set(f.Key, p.fill(f.Value))
		}
		body = form.Encode()
		header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for _, h := range in.Header {
		header.Set(h.Key, h.Value)
	}
	r, err := http.NewRequest(in.Method, address, strings.NewReader(body))
	if err != nil {
		p.Fatal(err)
	}
	r.Header = header
	p.authorize(r, in.Auth)
	resp, err := p.client.Do(r)
	if err != nil {
		p.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		p.Fatal(err)
	}
	told := strings.ReplaceAll(string(text), p.variables["webhookUrl"], "http://127.0.0.1:3009/likes")
	a := postman.Answer{Code: resp.StatusCode, Header: []postman.Header{}, Body: secret.ReplaceAllString(told, "${1}…")}
	for _, name := range slices.Sorted(maps.Keys(resp.Header)) {
		if kept.MatchString(name) {
			a.Header = append(a.Header, postman.Header{Key: strings.ToLower(name), Value: resp.Header.Get(name)})
		}
	}
	return a
}

// fill puts the values of variables in place of their names.
func (p *poster) fill(text string) string {
	return regexp.MustCompile(`\{\{[^}]+\}\}`).ReplaceAllStringFunc(text, func(name string) string {
		name = strings.Trim(name, "{}")
		if name == "$guid" {
			return "0"
		}
		value := p.variables[name]
		if value == "" {
			p.Errorf("the variable %s has no value", name)
		}
		return value
	})
}

func (p *poster) authorize(r *http.Request, auth map[string]json.RawMessage) {
	p.Helper()
	var kind string
	if err := json.Unmarshal(auth["type"], &kind); err != nil {
		p.Fatalf("the request says nothing of authorization: %v", err)
	}
	values := map[string]string{}
	if kind != "noauth" {
		var list []struct {
			Key   string
			Value any
		}
		if err := json.Unmarshal(auth[kind], &list); err != nil {
			p.Fatal(err)
		}
		for _, v := range list {
			values[v.Key] = p.fill(fmt.Sprint(v.Value))
		}
	}
	switch kind {
	case "noauth":
	case "bearer":
		r.Header.Set("Authorization", "Bearer "+values["token"])
	case "basic":
		r.SetBasicAuth(values["username"], values["password"])
	case "oauth1":
		p.sign(r, values)
	default:
		p.Fatalf("unknown authorization %s", kind)
	}
}

// sign signs a request without a form (RFC 5849, 3.4).
func (p *poster) sign(r *http.Request, values map[string]string) {
	escape := func(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }
	oauth := map[string]string{"oauth_consumer_key": values["consumerKey"], "oauth_nonce": strconv.Itoa(len(p.variables)) + r.Method + r.URL.Path,
		"oauth_signature_method": values["signatureMethod"], "oauth_timestamp": strconv.FormatInt(p.now.Unix(), 10), "oauth_version": values["version"]}
	if values["token"] != "" {
		oauth["oauth_token"] = values["token"]
	}
	if values["callback"] != "" {
		oauth["oauth_callback"] = values["callback"]
	}
	all := maps.Clone(oauth)
	for name, value := range r.URL.Query() {
		all[name] = value[0]
	}
	var params []string
	for _, name := range slices.Sorted(maps.Keys(all)) {
		params = append(params, escape(name)+"="+escape(all[name]))
	}
	base := "http://" + r.URL.Host + r.URL.Path
	mac := hmac.New(sha1.New, []byte(escape(values["consumerSecret"])+"&"+escape(values["tokenSecret"])))
	fmt.Fprintf(mac, "%s&%s&%s", r.Method, escape(base), escape(strings.Join(params, "&")))
	oauth["oauth_signature"] = base64.StdEncoding.EncodeToString(mac.Sum(nil))
	var header []string
	for _, name := range slices.Sorted(maps.Keys(oauth)) {
		header = append(header, name+`="`+escape(oauth[name])+`"`)
	}
	r.Header.Set("Authorization", "OAuth "+strings.Join(header, ", "))
}
