package main

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/alecthomas/kong"
)

// No command takes what another program answers for a success.
func TestAnotherProgramAnswers(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	records := filepath.Join(dir, "records.jsonl")
	line := `{"type":"user","id":"12","username":"ada","name":"Ada","created_at":"2020-01-01T00:00:00.000Z"}` + "\n"
	if err := os.WriteFile(records, []byte(line), 0o600); err != nil {
		t.Fatal(err)
	}
	arguments := map[string][]string{"add": {"x"}, "user show": {"ada"}, "user set": {"ada", "--name=Ada"}, "follow": {"ada", "eve"},
		"post add": {"x", "--author=ada"}, "id": {"7"}, "app set": {"shop", "--name=Shop"}, "app renew": {"shop", "api_keys"},
		"token issue": {"--app=shop", "--user=ada"}, "token revoke": {"x"}, "webhook add": {"https://a.example/", "--app=shop"},
		"import": {records}, "export": {"-"}, "backup": {filepath.Join(dir, "backup")}, "list": {}, "check": {}, "ready": {"--timeout=1m"},
		"clock set": {"--frozen"}, "fault": {`{"do":{"status":503}}`}, "clock advance": {"15m"}}
	for name, like := range map[string]string{"user add": "add", "app add": "add", "user unfollow": "follow", "user follow": "follow",
		"user block": "follow", "user unblock": "follow", "post show": "id", "post delete": "id", "webhook remove": "id",
		"webhook validate": "id", "webhook dead": "id", "webhook replay": "id", "user list": "list", "app list": "list",
		"webhook list": "list", "user following": "user show", "user followers": "user show", "user blocking": "user show",
		"user blocked-by": "user show", "post list": "list", "app delete": "id", "token expire": "token revoke",
		"clock show": "list", "reset": "list", "snapshot list": "list", "snapshot take": "id", "snapshot restore": "id",
		"snapshot delete": "id", "requests": "list", "verify": "list", "fault add": "fault", "fault list": "list",
		"fault delete": "id", "fault clear": "list", "limits show": "list", "limits reset": "list"} {
		arguments[name] = arguments[like]
	}
	parser, err := kong.New(new(grammar), kong.Name("liked"))
	if err != nil {
		t.Fatal(err)
	}
	for _, answer := range []struct {
		status int
		body   string
	}{{200, `{}`}, {201, `{"id":"12","username":"ada","added":1,"revoked":true}`}, {204, ``}} {
		var asks atomic.Int64
		var giveUp atomic.Pointer[context.CancelFunc]
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if asks.Add(1) == 2 { // by what asks again until its time is over, which then ends
				(*giveUp.Load())()
			}
			_, _ = io.Copy(io.Discard, r.Body)
			w.WriteHeader(answer.status)
			_, _ = io.WriteString(w, answer.body)
		}))
		defer server.Close()
		asked := 0
		for _, leaf := range parser.Model.Leaves(false) {
			name := strings.TrimPrefix(leaf.FullPath(), "liked ")
			if !slices.ContainsFunc(leaf.Flags, func(f *kong.Flag) bool { return f.Name == "admin-url" }) {
				continue
			}
			more, ok := arguments[name]
			if !ok {
				t.Errorf("no arguments for `liked %s`: add a row", name)
				continue
			}
			asked++
			args := append(strings.Fields(name), "--admin-url="+server.URL)
			var stdout, stderr bytes.Buffer
			ctx, cancel := context.WithCancel(t.Context())
			asks.Store(0)
			giveUp.Store(&cancel)
			status := run(ctx, append(args, more...), []string{"LIKED_ADMIN_TOKEN=a-token-of-the-test"}, strings.NewReader(""),
				&stdout, &stderr)
			cancel()
			if status != 1 || !strings.Contains(stderr.String(), "from another program") {
				t.Errorf("`liked %s` at a program that answers %d %s: status %d, %s%s", name, answer.status, answer.body, status,
					&stdout, &stderr)
			}
		}
		if asked == 0 {
			t.Error("no command has --admin-url")
		}
	}
}
