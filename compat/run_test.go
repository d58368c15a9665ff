package compat

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// TestRunClients runs clients that know nothing of this server, by `liked run`: each likes a post at https://api.x.com, which
// the run has to have answered, and nothing else. In a namespace all come here; by a proxy those that ask for one, Node and
// Python.
func TestRunClients(t *testing.T) {
	if !required("run") {
		t.Skip("the clients are downloaded: set LIKED_REQUIRE=run to run them, with cargo, php (and its curl), ruby, a JDK and Node")
	}
	const npm = "test -d typescript/node_modules/undici || npm ci --no-audit --no-fund --prefix typescript"
	temp := t.TempDir()
	bin := build(t, false)
	for _, client := range []struct {
		name    string
		likes   int
		ways    string
		setup   []string
		command string
	}{
		{"curl", 2, "namespace proxy", nil, "sh run/likes.sh"},
		{"go", 2, "namespace proxy", []string{"go build -C go -o $TEMP/likes ./run"}, "$TEMP/likes"},
		{"node", 4, "namespace proxy", []string{npm}, "node run/likes.mjs"},
		{"python", 3, "namespace proxy", []string{
			"python3 -m venv $TEMP/venv",
			"$TEMP/venv/bin/pip install --quiet --disable-pip-version-check --no-deps --only-binary :all: --requirement run/requirements.txt",
		}, "$TEMP/venv/bin/python run/likes.py"},
		{"java", 2, "namespace proxy", nil, "java run/Likes.java"},
		{"ruby", 1, "namespace proxy", nil, "ruby run/likes.rb"},
		{"php", 1, "namespace proxy", nil, "php run/likes.php"},
		{"rust", 1, "namespace", []string{"cargo build --quiet --locked --manifest-path run/hyper/Cargo.toml --target-dir $TEMP/hyper"},
			"$TEMP/hyper/debug/likes"},
	} {
		t.Run(client.name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := beforeTimeout(t)
			defer cancel()
			run := func(line string) (stderr []byte) {
				cmd := exec.CommandContext(ctx, "sh", "-c", line)
				cmd.Env = append(os.Environ(), "TEMP="+temp, "LIKED="+bin)
				cmd.WaitDelay = 10 * time.Second
				var out, errs bytes.Buffer
				cmd.Stdout, cmd.Stderr = &out, &errs
				if err := cmd.Run(); err != nil {
					t.Fatalf("%s: %v\n%s%s", line, err, tail(out.Bytes()), tail(errs.Bytes()))
				}
				return errs.Bytes()
			}
			for _, line := range client.setup {
				run(line)
			}
			for way := range strings.FieldsSeq(client.ways) {
				errs := bytes.TrimSpace(run("$LIKED run --via " + way + " --json -- " + client.command))
				var got struct {
					Via          string
					Calls, Likes int
					Errors       []struct{ Host, Why string }
				}
				last := errs[bytes.LastIndexByte(errs, '\n')+1:]
				if err := json.Unmarshal(last, &got); err != nil {
					t.Fatalf("%v\n%s", err, errs)
				}
				if got.Via != way || got.Calls != client.likes || got.Likes != client.likes || len(got.Errors) > 0 {
					t.Errorf("by %s: %+v, want %d likes and nothing else", way, got, client.likes)
				}
			}
		})
	}
}
