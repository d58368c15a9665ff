package api_test

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"

	"liked"
	"liked/internal/api"
	"liked/internal/auth"
	"liked/internal/enginetest"
	"liked/internal/exchange"
	"liked/internal/store"
	"liked/internal/webhook"
)

var update = flag.Bool("update", false, "rewrite what the scripts in testdata expect")

// start is a moment in the middle of a second, so that rounding shows.
var start = time.Date(2024, 5, 1, 12, 0, 0, 250e6, time.UTC)

// A world is a server over TCP with an empty in-memory store and a clock of its own.
type world struct {
	t         *testing.T
	url       string
	api       *api.API
	store     store.Store
	auth      *auth.Auth
	app       liked.App
	tokens    map[string]string      // Authorization headers by name
	pages     []string               // pagination tokens in answers, which scripts call {page1} and so on
	apps      map[string]liked.AppID // those of app-only tokens, by name
	signers   map[string]oauth1      // those who sign each request
	nonces    int
	clock     atomic.Int64   // nanoseconds after start
	transport http.Transport // without the compression that nobody asked for
	seen      chan exchange.Exchange
	document  *openapi3.T // what the server says of itself
	hooks     *webhook.Hooks
	receiver  *httptest.Server // of events, which scripts call {receiver}
	rude      atomic.Bool      // it answers challenges wrong
}

// receive answers the challenges of the world's app.
func (w *world) receive(rw http.ResponseWriter, r *http.Request) {
	secret, err := w.auth.APISecret(r.Context(), w.app.ID)
	if err != nil || w.rude.Load() {
		secret = "a guess"
	}
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(r.URL.Query().Get("crc_token")))
	fmt.Fprintf(rw, `{"response_token":"sha256=%s"}`, base64.StdEncoding.EncodeToString(mac.Sum(nil)))
}

// newHooks makes what an API needs to have webhooks, which are not delivered to.
func newHooks(st store.Store, au *auth.Auth, o api.Options) *webhook.Hooks {
	return webhook.New(webhook.Options{Store: st, Secret: au.APISecret, Render: api.Activity(o),
		Now: o.Now, Logger: slog.New(slog.DiscardHandler), Anywhere: true})
}

func (w *world) now() time.Time { return start.Add(time.Duration(w.clock.Load())) }

func newWorld(t *testing.T, change func(*api.Options)) *world {
	t.Helper()
	return newWorldOn(t, enginetest.Open(t), change)
}

// newWorldOn is newWorld on a store, which may have been another world's.
func newWorldOn(t *testing.T, st store.Store, change func(*api.Options)) *world {
	t.Helper()
	w := &world{t: t, store: st, tokens: map[string]string{}, apps: map[string]liked.AppID{}, signers: map[string]oauth1{},
		seen: make(chan exchange.Exchange, 2000)}
	w.auth = auth.New(auth.Options{
		Store:   &apart{Store: st},
		BaseURL: func(r *http.Request) string { return "http://" + r.Host },
		Now:     w.now,
		Rand:    rand.Reader,
	})
	o := api.Options{Store: st, Auth: w.auth, Now: w.now, PageKey: [32]byte{1},
		Observe: func(_ *http.Request, x exchange.Exchange) { w.seen <- x }}
	if change != nil {
		change(&o)
	}
	w.receiver = httptest.NewServer(http.HandlerFunc(w.receive))
	t.Cleanup(w.receiver.Close)
	o.Hooks = newHooks(st, w.auth, o)
	w.hooks = o.Hooks
	a, err := api.New(o)
	if err != nil {
		t.Fatal(err)
	}
	w.api, w.document = a, describe(t, a)
	for len(w.seen) > 0 {
		<-w.seen
	}
	w.transport.DisableCompression = true
	srv := httptest.NewUnstartedServer(a)
	srv.Config.ConnContext = api.ConnContext
	srv.Start()
	w.url = srv.URL
	t.Cleanup(func() {
		w.transport.CloseIdleConnections()
		a.EndStreams()
		srv.Close()
		report, err := st.Check(context.Background())
		if err != nil || len(report.Problems) > 0 {
			t.Errorf("check: %v, %v", report.Problems, err)
		}
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	})
	w.app = w.newApp(liked.App{Name: "demo"})
	return w
}

func (w *world) newApp(spec liked.App) liked.App {
	w.t.Helper()
	app, _, err := w.auth.NewApp(context.Background(), spec)
	w.must(err)
	return app
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// do runs an operator's line of a script.
func (w *world) do(line string) {
	w.t.Helper()
	ctx := context.Background()
	word := strings.Fields(line)
	id := func(i int) liked.UserID {
		n, err := liked.ParseID[liked.UserID](word[i])
		w.must(err)
		return n
	}
	user := func(change func(*liked.User)) {
		w.t.Helper()
		w.must(w.store.UpdateUser(ctx, id(1), func(u *liked.User) error { change(u); return nil }))
	}
	switch word[0] {
	case "user": // user ID USERNAME
		w.must(w.store.AddUser(ctx, liked.User{ID: id(1), Username: word[2], Name: strings.ToUpper(word[2][:1]) + word[2][1:], CreatedAt: start}))
		t, err := w.auth.IssueTokens(ctx, w.app.ID, id(1), liked.AllScopes, 0)
		w.must(err)
		w.tokens[word[2]] = "Bearer " + t.AccessToken
	case "post": // post ID AUTHOR TEXT, or post ID AUTHOR repost-of|answers|quotes ID TEXT
		p := liked.Post{ID: liked.PostID(id(1)), Author: id(2), Text: strings.Join(word[3:], " "), CreatedAt: start}
		if ref := map[string]*liked.PostID{"repost-of": &p.RepostOf, "answers": &p.InReplyTo, "quotes": &p.Quotes}[word[3]]; ref != nil {
			*ref, p.Text = liked.PostID(id(4)), strings.Join(word[5:], " ")
		}
		w.must(w.store.AddPost(ctx, p))
	case "like", "unlike": // like USER POST
		_, err := w.store.SetLike(ctx, id(1), liked.PostID(id(2)), word[0] == "like", w.now())
		w.must(err)
	case "pin": // pin USER POST
		user(func(u *liked.User) { u.PinnedPost = liked.PostID(id(2)) })
	case "profile": // profile USER: everything that a user can say of themselves
		user(func(u *liked.User) {
			u.Description, u.Location, u.Verified = "Likes what it reads", "Amsterdam", true
			u.URL, u.ProfileImageURL = "https://example.com/", "https://example.com/a.png"
		})
	case "token": // token NAME USER SCOPE…
		s, err := liked.ParseScope(strings.Join(word[3:], " "))
		w.must(err)
		t, err := w.auth.IssueTokens(ctx, w.app.ID, id(2), s, 0)
		w.must(err)
		w.tokens[word[1]] = "Bearer " + t.AccessToken
	case "app": // app NAME USER TIER STATE: another app, with tokens of its own
		app := liked.App{Name: word[1]}
		w.must(app.Tier.UnmarshalText([]byte(word[3])))
		w.must(app.State.UnmarshalText([]byte(word[4])))
		app.ClientID = "" // made up by auth
		app = w.newApp(app)
		t, err := w.auth.IssueTokens(ctx, app.ID, id(2), liked.AllScopes, 0)
		w.must(err)
		w.tokens[word[1]] = "Bearer " + t.AccessToken
	case "app-only": // app-only NAME [TIER STATE]
		app := liked.App{Name: word[1]}
		if len(word) > 2 {
			w.must(app.Tier.UnmarshalText([]byte(word[2])))
			w.must(app.State.UnmarshalText([]byte(word[3])))
		}
		app, secrets, err := w.auth.NewApp(ctx, app)
		w.must(err)
		w.apps[word[1]] = app.ID
		w.tokens[word[1]] = "Bearer " + secrets.Bearer
	case "bearer": // bearer NAME: the app-only token of the app that users' tokens are of
		token, err := w.auth.Bearer(ctx, w.app.ID)
		w.must(err)
		w.tokens[word[1]] = "Bearer " + token
	case "receiver": // receiver right|wrong: how it answers challenges
		w.rude.Store(word[1] == "wrong")
	case "revoke": // revoke NAME
		w.must(w.auth.Revoke(ctx, strings.TrimPrefix(w.tokens[word[1]], "Bearer ")))
	case "state": // state USER STATE
		var s liked.AccountState
		w.must(s.UnmarshalText([]byte(word[2])))
		user(func(u *liked.User) { u.State = s })
	case "protect", "unprotect": // protect USER
		user(func(u *liked.User) { u.Protected = word[0] == "protect" })
	case "follow", "unfollow": // follow FOLLOWER FOLLOWED
		_, err := w.store.SetFollow(ctx, id(1), id(2), word[0] == "follow")
		w.must(err)
	case "block", "unblock": // block BLOCKER BLOCKED
		_, err := w.store.SetBlock(ctx, id(1), id(2), word[0] == "block")
		w.must(err)
	case "delete": // delete POST
		w.must(w.store.DeletePost(ctx, 0, liked.PostID(id(1))))
	case "sleep": // sleep DURATION
		d, err := time.ParseDuration(word[1])
		w.must(err)
		w.clock.Add(int64(d))
	case "oauth1": // oauth1 NAME USER ACCESS: signs with OAuth 1.0a
		var access liked.Access
		w.must(access.UnmarshalText([]byte(word[3])))
		w.signers[word[1]] = w.newOAuth1(id(2), access)
	case "oauth1-wrong": // oauth1-wrong NAME OTHER secret|token: as OTHER, with one thing wrong
		o := w.signers[word[2]]
		if word[3] == "token" {
			o.token += "x"
		} else {
			o.secret += "x"
		}
		w.signers[word[1]] = o
	default:
		w.t.Fatalf("unknown line %q", line)
	}
}

// request sends a request with the named credential, or "-" for none. The lines are headers, then the body.
func (w *world) request(credential, method, target string, lines []string) (*http.Response, string) {
	w.t.Helper()
	header := http.Header{}
	for len(lines) > 0 {
		k, v, ok := strings.Cut(lines[0], ": ")
		if !ok || strings.ContainsAny(k, `{[" `) {
			break
		}
		header.Set(k, v)
		lines = lines[1:]
	}
	var body io.Reader
	if len(lines) > 0 {
		body = strings.NewReader(strings.Join(lines, "\n"))
		if header.Get("Content-Type") == "" {
			header.Set("Content-Type", "application/json")
		}
	}
	r, err := http.NewRequest(method, w.url+target, body)
	w.must(err)
	r.Header = header
	if signer, ok := w.signers[credential]; ok {
		signer.sign(w, r, strings.Join(lines, "\n"))
	} else if credential != "-" {
		token, ok := w.tokens[credential]
		if !ok {
			w.t.Fatalf("no credential %q", credential)
		}
		header.Set("Authorization", token)
	}
	resp, err := w.transport.RoundTrip(r)
	w.must(err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	w.must(err)
	if !strings.HasPrefix(target, "/1.1/") { // of which there are no such documents
		agrees(w.t, method, target, resp, string(text))
		w.keepsWord(method, target, resp, string(text))
	}
	return resp, string(text)
}

// TestConversations runs the scripts in testdata. Steps are separated by empty lines. A step is lines "! …" for the
// operator, or a request: a line of credential, method and target, then headers and body, then "---", then what is
// expected: a line with the status and the content type, headers ("-name" for one that must be absent), the body. In it a
// pagination token is {page1}, the next one {page2}, and so on: what is in them is the engine's.
func TestConversations(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no scripts in testdata")
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			profile := api.Profile2024
			if strings.Contains(file, "2026") {
				profile = api.Profile2026
			}
			w := newWorld(t, func(o *api.Options) { o.Profile, o.PrivateLikes = profile, profile.PrivateLikes() })
			var rewritten []string
			for step := range strings.SplitSeq(strings.TrimRight(string(text), "\n"), "\n\n") {
				rewritten = append(rewritten, w.step(step))
			}
			if got := strings.Join(rewritten, "\n\n") + "\n"; *update && got != string(text) {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

var pageToken = regexp.MustCompile(`_token":"(7140dib[0-9a-z]{38})"`)

func pageName(i int) string { return fmt.Sprintf("{page%d}", i+1) }

// step runs a step and returns it as it would be written after what happened.
func (w *world) step(step string) string {
	w.t.Helper()
	var comments []string
	lines := strings.Split(step, "\n")
	for len(lines) > 0 && (strings.HasPrefix(lines[0], "#") || strings.HasPrefix(lines[0], "! ")) {
		if op, ok := strings.CutPrefix(lines[0], "! "); ok {
			w.do(op)
		}
		comments, lines = append(comments, lines[0]), lines[1:]
	}
	if len(lines) == 0 {
		return step
	}
	dashes := slices.Index(lines, "---")
	if dashes < 0 {
		w.t.Fatalf("step has no ---:\n%s", step)
	}
	word := strings.Fields(lines[0])
	if len(word) != 3 {
		w.t.Fatalf("want CREDENTIAL METHOD TARGET, got %q", lines[0])
	}
	sent := slices.Clone(lines[1:dashes])
	for i := range sent {
		sent[i] = strings.ReplaceAll(sent[i], "{receiver}", w.receiver.URL)
	}
	target := word[2]
	for i, token := range w.pages {
		target = strings.ReplaceAll(target, pageName(i), token)
	}
	resp, body := w.request(word[0], word[1], target, sent)
	body = strings.ReplaceAll(body, w.receiver.URL, "{receiver}")
	for _, found := range pageToken.FindAllStringSubmatch(body, -1) {
		if !slices.Contains(w.pages, found[1]) {
			w.pages = append(w.pages, found[1])
		}
	}
	for i, token := range w.pages {
		body = strings.ReplaceAll(body, token, pageName(i))
	}

	got := []string{strings.TrimSpace(fmt.Sprint(resp.StatusCode, " ", resp.Header.Get("Content-Type")))}
	for _, line := range lines[min(dashes+2, len(lines)):] {
		if name, ok := strings.CutPrefix(line, "-"); ok {
			if v, there := resp.Header[http.CanonicalHeaderKey(name)]; there {
				line = name + ": " + strings.Join(v, " | ")
			}
		} else if name, _, ok := strings.Cut(line, ": "); ok && !strings.ContainsAny(name, `{"`) {
			line = name + ": " + resp.Header.Get(name)
		} else {
			break
		}
		got = append(got, line)
	}
	if body != "" {
		got = append(got, body)
	}
	if want := strings.Join(lines[dashes+1:], "\n"); strings.Join(got, "\n") != want && !*update {
		w.t.Errorf("%s\ngot:\n%s\nwant:\n%s", lines[0], strings.Join(got, "\n"), want)
	}
	return strings.Join(slices.Concat(comments, lines[:dashes+1], got), "\n")
}

// apart is the store with identifiers of its own, so that those in a script do not depend on how many apps there are.
type apart struct {
	store.Store
	ids liked.Snowflakes
}

func (s *apart) NewID(at time.Time) int64 { return s.ids.Next(at) }
