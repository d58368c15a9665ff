package compat

import (
	"context"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestClients runs other people's clients, unmodified, against the binary, on the embedded store with the race detector. Each gets
// a server to itself, so that one does not use up the rate limits of another. Clients that have X's hosts written into them reach it
// through a proxy. They run in two lanes, since what they need is downloaded, and much of the rest waits.
//
// The clients and what they need come from npm, PyPI, Maven and the Go module proxy. That is why they run only where
// LIKED_REQUIRE names them ("typescript,control,python,java,schemathesis,go,postman,browser", or "all").
func TestClients(t *testing.T) {
	const (
		venv     = "python3 -m venv $LIKED_TEMP/venv" // needs Debian's python3-venv
		pip      = "$LIKED_TEMP/venv/bin/pip install --quiet --disable-pip-version-check --no-deps --only-binary :all: --requirement "
		npm      = "npm ci --no-audit --no-fund"
		mvn      = "mvn --batch-mode --no-transfer-progress "
		viaProxy = "env HTTPS_PROXY=http://127.0.0.1:$LIKED_PROXY_PORT "
	)
	consent := []string{"--auto-consent", "alice"}
	type client struct {
		name     string
		flags    []string // of the server
		lists    bool     // the world is that of manyLikes
		commands []string // run one after the other in the directory of the client's name, with $NAME for the driver's variables
	}
	lanes := [][]client{{
		{"typescript", consent, true, []string{
			npm,
			viaProxy + "NODE_EXTRA_CA_CERTS=$LIKED_CA npm test",
		}},
		{"control", nil, false, []string{ // of docs/control.md: languages without a client
			npm + " --prefix ../typescript",
			"../typescript/node_modules/.bin/tsc --outDir $LIKED_TEMP --target es2022 --module nodenext --strict --skipLibCheck " +
				"--types node --typeRoots ../typescript/node_modules/@types control.ts",
			"node --test $LIKED_TEMP/control.js",
			"python3 -B control.py",
			"java Control.java",
		}},
		{"java", consent, true, []string{
			"keytool -importcert -noprompt -alias liked -file $LIKED_CA -keystore $LIKED_TEMP/truststore -storepass changeit",
			mvn + "test",
		}},
		{"browser", []string{"--allow-host", "liked.test"}, false, []string{
			npm, // needs Chromium, and what the other lane's Python and the clients above need, for the explorer's code to run
			npm + " --prefix ../typescript",
			venv,
			pip + "../python/requirements.txt",
			mvn + "--file ../java/pom.xml --projects sdk " +
				"org.apache.maven.plugins:maven-dependency-plugin:3.9.0:build-classpath -Dmdep.outputFile=$LIKED_TEMP/classpath",
			"npm test",
		}},
	}, {
		{"python", nil, true, []string{
			venv,
			pip + "requirements.txt",
			viaProxy + "REQUESTS_CA_BUNDLE=$LIKED_CA PYTHONDONTWRITEBYTECODE=1 $LIKED_TEMP/venv/bin/python -m unittest --verbose",
		}},
		{"schemathesis", []string{"--rate-limits", "off"}, false, []string{
			venv,
			pip + "requirements.txt",
			"$LIKED_TEMP/venv/bin/schemathesis run $LIKED_URL/2/openapi.json",
		}},
		{"go", nil, false, []string{"go test -count=1 -v ./..."}},
		{"postman", nil, false, []string{npm, "npm test"}},
	}}
	var wanted, lists bool
	for _, c := range slices.Concat(lanes...) {
		wanted = wanted || required(c.name)
		lists = lists || c.lists && required(c.name)
	}
	if !wanted {
		t.Skip("the clients are downloaded: set LIKED_REQUIRE=typescript,control,python,java,schemathesis,go,postman,browser to run them")
	}
	ctx, cancel := beforeTimeout(t)
	defer cancel()
	many := newPlace(t)
	bin := build(t, many.dsn == "") // on PostgreSQL as the test is, for what is above the store is proven without
	if lists && many.dsn == "" {
		manyLikes(t, bin, many)
	}
	run := func(t *testing.T, c client) {
		if !required(c.name) {
			t.Skipf("set LIKED_REQUIRE=%s to run it", c.name)
		}
		flags := slices.Concat(c.flags, []string{"--trusted-proxy", "127.0.0.1", "--private-webhooks"})
		at := newPlace(t)
		switch {
		case !c.lists:
		case at.dsn != "":
			manyLikes(t, bin, at)
		default:
			// os.CopyFS makes files that every user may read, which the server refuses.
			if out, err := exec.CommandContext(ctx, "cp", "-R", "-p", many.dir, at.dir).CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
		}
		s := startOn(t, bin, at, flags...)
		p := startProxy(t, s.URL)
		expired := s.issue(t, map[string]any{"kind": "user", "lifetime_seconds": 1}).Token
		narrow := s.issue(t, map[string]any{"kind": "user", "scopes": "tweet.read users.read like.read"}).Token
		readOnly := s.issue(t, map[string]any{"kind": "oauth1", "access": "read"})
		s.awaitExpiry(t, expired)
		alice := s.Users[s.user(t, "alice")]
		variables := map[string]string{
			"LIKED_CREDENTIALS": s.file, "LIKED_URL": s.URL, "LIKED_BIN": bin,
			"LIKED_USER_ID": alice.ID, "LIKED_TOKEN": alice.AccessToken,
			"LIKED_NARROW_TOKEN": narrow, "LIKED_EXPIRED_TOKEN": expired,
			"LIKED_READONLY_TOKEN": readOnly.Token, "LIKED_READONLY_SECRET": readOnly.TokenSecret,
			"LIKED_PROXY_PORT": p.port, "LIKED_CA": p.ca, "LIKED_TEMP": t.TempDir(),
		}
		env := os.Environ()
		for name, value := range variables {
			env = append(env, name+"="+value)
		}
		for _, command := range c.commands {
			words := strings.Fields(os.Expand(command, func(name string) string { return variables[name] }))
			cmd := exec.CommandContext(ctx, words[0], words[1:]...)
			cmd.Dir = c.name
			cmd.WaitDelay = 10 * time.Second
			cmd.Env = env
			out, err := cmd.CombinedOutput()
			t.Logf("%s\n%s", command, out)
			if err != nil {
				t.Fatalf("%s: %v", command, err)
			}
		}
		checkTable(t, filepath.Join(variables["LIKED_TEMP"], "clients.jsonl"))
	}
	var running sync.WaitGroup
	for _, lane := range lanes {
		running.Go(func() {
			for _, c := range lane {
				t.Run(c.name, func(t *testing.T) { run(t, c) })
			}
		})
	}
	running.Wait()
}

// manyLikes makes a world at the place, beside the named one, with long lists: the last user likes 1,000 posts, which are all but the
// last of those without a name, and 1,000 users, which are all but the last of those without a name, like the last post.
// Likes were made in the order of the credentials.
func manyLikes(t *testing.T, bin string, at place) {
	t.Helper()
	const users, posts = 7 + 1000 + 1, 8 + 1000 + 1
	s := startOn(t, bin, at, "--users", strconv.Itoa(users), "--posts", strconv.Itoa(posts), "--rate-limits", "off")
	like := func(user, post int) bool {
		u := s.Users[user]
		status, answer := do(t, "POST", s.URL+"/2/users/"+u.ID+"/likes", u.AccessToken, []byte(`{"tweet_id":"`+s.Posts[post].ID+`"}`))
		if status != http.StatusOK {
			t.Errorf("%s likes post %d: %d %s", u.Username, post, status, answer)
		}
		return status == http.StatusOK
	}
	var lists sync.WaitGroup
	lists.Go(func() {
		for post := 8; post < posts-1 && like(users-1, post); post++ {
		}
	})
	lists.Go(func() {
		for user := 7; user < users-1 && like(user, posts-1); user++ {
		}
	})
	lists.Wait()
	s.stop()
	if t.Failed() {
		t.FailNow()
	}
}

// awaitExpiry waits until the server refuses the token.
func (s *server) awaitExpiry(t *testing.T, token string) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		if status, _ := s.get(t, token, "/2/users/me"); status == http.StatusUnauthorized {
			return
		}
	}
	t.Fatal("a token for one second is still good after a minute")
}

// beforeTimeout returns a context that ends well before go test's -timeout kills this process, so that there is time to
// stop what it started.
func beforeTimeout(t *testing.T) (context.Context, context.CancelFunc) {
	end, ok := t.Deadline()
	if !ok {
		return context.WithCancel(t.Context())
	}
	return context.WithDeadline(t.Context(), end.Add(-time.Minute))
}
