package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"liked/internal/admin"
	"liked/internal/authtest"
	"liked/internal/seed"
)

// The scripts run the test binary under the names liked, call, signed, load and hang.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"liked": main, "call": call, "signed": signed, "load": likeAll, "hang": hang})
}

func TestScripts(t *testing.T) {
	t.Parallel()
	scripts, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(scripts) == 0 {
		t.Fatalf("no scripts in testdata: %v", err)
	}
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"await":     await,
			"terminate": terminate,
			"export":    export,
			"likes":     likes,
		},
		Setup: func(e *testscript.Env) error {
			formats, err := filepath.Abs("../../internal/store/pebblestore/testdata/formats")
			e.Setenv("FORMATS", formats)
			return err
		},
		// namespace: this machine lets a program have namespaces, or they are required.
		Condition: func(name string) (bool, error) {
			if name != "namespace" {
				return false, fmt.Errorf("no condition %s", name)
			}
			required := strings.Split(os.Getenv("LIKED_REQUIRE"), ",")
			return slices.Contains(required, "all") || slices.Contains(required, name) || syscall.Geteuid() == 0, nil
		},
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
	})
}

// await FILE: waits until the file is there.
func await(ts *testscript.TestScript, neg bool, args []string) {
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if _, err := os.Stat(ts.MkAbs(args[0])); err == nil {
			return
		}
	}
	ts.Fatalf("%s does not appear", args[0])
}

// terminate SIGNAL PIDFILE [again]: sends SIGTERM, SIGINT, SIGHUP or SIGKILL to the process in "pid" of the JSON file, once or
// until there is no such process.
func terminate(ts *testscript.TestScript, neg bool, args []string) {
	var access struct{ PID int }
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[1])), &access))
	sig, ok := map[string]syscall.Signal{"SIGTERM": syscall.SIGTERM, "SIGINT": syscall.SIGINT, "SIGHUP": syscall.SIGHUP,
		"SIGKILL": syscall.SIGKILL}[args[0]]
	if !ok || access.PID <= 1 {
		ts.Fatalf("signal %s to process %d", args[0], access.PID)
	}
	ts.Check(syscall.Kill(access.PID, sig))
	if len(args) == 2 {
		return
	}
	for range 300 { // two signals that wait for a busy process are one
		time.Sleep(200 * time.Millisecond)
		if err := syscall.Kill(access.PID, sig); err == syscall.ESRCH {
			return
		}
	}
	ts.Fatalf("process %d goes on", access.PID)
}

// export FILE: sets the variables of what `liked env` wrote.
func export(ts *testscript.TestScript, neg bool, args []string) {
	for line := range strings.Lines(ts.ReadFile(args[0])) {
		name, value, ok := strings.Cut(strings.TrimPrefix(strings.TrimSpace(line), "export "), "=")
		if !ok {
			ts.Fatalf("no export: %s", line)
		}
		ts.Setenv(name, strings.Trim(value, "'"))
	}
}

// call METHOD URL TOKEN [BODY] is a small curl: it prints the status, the headers about limits and the body.
func call() {
	body := ""
	if len(os.Args) > 4 {
		body = os.Args[4]
	}
	printAnswer(os.Args[1], os.Args[2], "Bearer "+os.Args[3], body)
}

// signed METHOD URL APIKEY APISECRET TOKEN TOKENSECRET is call with a signature of OAuth 1.0a.
func signed() {
	c := authtest.Client{Key: os.Args[3], Secret: os.Args[4], Token: os.Args[5], TokenSecret: os.Args[6],
		Timestamp: strconv.FormatInt(time.Now().Unix(), 10), Nonce: rand.Text()}
	signature := c.Sign(authtest.BaseString(os.Args[1], os.Args[2], c.Params()))
	printAnswer(os.Args[1], os.Args[2], c.HeaderWith(signature), "")
}

func printAnswer(method, target, authorization, body string) {
	r, err := http.NewRequest(method, target, strings.NewReader(body))
	check(err)
	r.Header.Set("Authorization", authorization)
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	resp, err := http.DefaultClient.Do(r)
	check(err)
	text, err := io.ReadAll(resp.Body)
	check(err)
	fmt.Println(resp.StatusCode)
	for _, name := range []string{"X-Rate-Limit-Limit", "X-Rate-Limit-Remaining", "X-Liked-Explain", "Api-Version"} {
		if v := resp.Header.Get(name); v != "" {
			fmt.Printf("%s: %s\n", strings.ToLower(name), v)
		}
	}
	fmt.Printf("%s\n", text)
}

// likeAll is load CREDENTIALS FILE: it likes one post after the other, as all users at once, until the server is gone. Then it prints
// how many likes of each user were answered. It makes FILE.started when there is load, and FILE at the end.
func likeAll() {
	var k seed.Credentials
	text, err := os.ReadFile(os.Args[1])
	check(err)
	check(json.Unmarshal(text, &k))
	var done atomic.Int64
	var all sync.WaitGroup
	answered := make([]string, len(k.Users))
	for i, u := range k.Users {
		all.Go(func() {
			for n := 0; ; n++ {
				post := k.Posts[n%len(k.Posts)].ID.String()
				r, err := http.NewRequest("POST", k.URL+"/2/users/"+u.ID.String()+"/likes", strings.NewReader(`{"tweet_id":"`+post+`"}`))
				check(err)
				r.Header.Set("Authorization", "Bearer "+u.AccessToken)
				r.Header.Set("Content-Type", "application/json")
				resp, err := http.DefaultClient.Do(r)
				if err != nil {
					return // the server stopped
				}
				body, err := io.ReadAll(resp.Body)
				resp.Body.Close()
				if err != nil || resp.StatusCode != 200 {
					answered[i] = fmt.Sprintf("%d %s %v", resp.StatusCode, body, err)
					return
				}
				if n+1 <= len(k.Posts) {
					answered[i] = strconv.Itoa(n + 1)
				}
				if done.Add(1) == 200 {
					check(os.WriteFile(os.Args[2]+".started", nil, 0o600))
				}
			}
		})
	}
	all.Wait()
	for i, u := range k.Users {
		fmt.Println(u.Username, answered[i])
	}
	check(os.WriteFile(os.Args[2], nil, 0o600))
}

// hang CREDENTIALS FILE starts a request that it does not end, makes FILE, and waits for the connection to be cut.
func hang() {
	var k seed.Credentials
	text, err := os.ReadFile(os.Args[1])
	check(err)
	check(json.Unmarshal(text, &k))
	conn, err := net.Dial("tcp", strings.TrimPrefix(k.URL, "http://"))
	check(err)
	fmt.Fprintf(conn, "POST /2/users/%s/likes HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %s\r\n"+
		"Content-Type: application/json\r\nContent-Length: 100\r\nExpect: 100-continue\r\n\r\n",
		k.Users[0].ID, k.Users[0].AccessToken)
	_, err = conn.Read(make([]byte, 1)) // the server asks for the body: it is under way
	check(err)
	check(os.WriteFile(os.Args[2], nil, 0o600))
	_, _ = io.Copy(io.Discard, conn)
}

// likes ANSWERED USERS: proves that each user has the likes that were answered, and at most the one that was not.
func likes(ts *testscript.TestScript, neg bool, args []string) {
	answered := make(map[string]int)
	total := 0
	for line := range strings.Lines(ts.ReadFile(args[0])) {
		var name string
		var n int
		if _, err := fmt.Sscanf(line, "%s %d\n", &name, &n); err != nil {
			ts.Fatalf("%q: %v", line, err)
		}
		answered[name] = n
		total += n
	}
	if total < 100 {
		ts.Fatalf("%d likes are not much of a load", total)
	}
	for line := range strings.Lines(ts.ReadFile(args[1])) {
		var u admin.User
		ts.Check(json.Unmarshal([]byte(line), &u))
		if n, ok := answered[u.Username]; !ok || int(u.Likes) < n || int(u.Likes) > n+1 {
			ts.Fatalf("%s likes %d posts; %d likes were answered", u.Username, u.Likes, n)
		}
	}
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// The help of each command shows an example of it.
func TestHelpTeaches(t *testing.T) {
	t.Parallel()
	var help strings.Builder
	if status := run(context.Background(), []string{"--help"}, nil, nil, &help, &help); status != 0 {
		t.Fatalf("liked --help: %d", status)
	}
	commands := 0
	_, list, _ := strings.Cut(help.String(), "Commands:\n")
	for line := range strings.Lines(list) {
		name, _, ok := strings.Cut(strings.TrimSpace(line), "  ")
		if !ok || !strings.HasPrefix(line, "  ") || strings.HasPrefix(line, "   ") {
			continue
		}
		commands++
		var out strings.Builder
		if status := run(context.Background(), append(strings.Fields(name), "--help"), nil, nil, &out, &out); status != 0 {
			t.Errorf("liked %s --help: %d", name, status)
		}
		if strings.Count(out.String(), "liked "+name) < 2 { // the usage and an example
			t.Errorf("liked %s --help has no example:\n%s", name, out.String())
		}
	}
	if commands < 20 {
		t.Errorf("%d commands in the help, want at least 20:\n%s", commands, help.String())
	}
}

func TestDistance(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"", "abc", 3}, {"LISTN", "LISTEN", 1}, {"kitten", "sitting", 3}, {"abc", "cba", 2}} {
		if got := distance(tt.a, tt.b); got != tt.want {
			t.Errorf("distance(%q, %q) = %d, want %d", tt.a, tt.b, got, tt.want)
		}
		if got := distance(tt.b, tt.a); got != tt.want {
			t.Errorf("distance(%q, %q) = %d, want %d", tt.b, tt.a, got, tt.want)
		}
	}
}

// What env prints is read back by a shell as it was.
func TestQuoted(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{"a b": `'a b'`, "it's": `'it'\''s'`, "$(x)": `'$(x)'`} {
		if got := quoted(text); got != want {
			t.Errorf("quoted(%q) = %s, want %s", text, got, want)
		}
	}
}
