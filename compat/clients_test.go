package compat

import (
	"context"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// TestClients runs other people's clients, unmodified, against the binary with the race detector. Each gets a server to
// itself, so that one does not use up the rate limits of another. Clients that have X's hosts written into them reach it
// through a proxy.
//
// The clients and what they need come from npm, PyPI, Maven and the Go module proxy. That is why they run only where
// LIKED_REQUIRE names them ("typescript,python,java,go,browser", or "all").
func TestClients(t *testing.T) {
	clients := []struct {
		name     string
		consent  bool     // to whatever is asked of alice, unasked
		commands []string // run one after the other in the directory of the client's name, with $NAME for the driver's variables
	}{
		{"typescript", true, []string{
			"npm ci --no-audit --no-fund",
			"env HTTPS_PROXY=http://127.0.0.1:$LIKED_PROXY_PORT NODE_EXTRA_CA_CERTS=$LIKED_CA npm test",
		}},
		{"python", false, []string{
			"python3 -m venv $LIKED_TEMP/venv", // needs Debian's python3-venv
			"$LIKED_TEMP/venv/bin/pip install --quiet --disable-pip-version-check --no-deps --only-binary :all: --requirement requirements.txt",
			"env HTTPS_PROXY=http://127.0.0.1:$LIKED_PROXY_PORT REQUESTS_CA_BUNDLE=$LIKED_CA PYTHONDONTWRITEBYTECODE=1 $LIKED_TEMP/venv/bin/python -m unittest --verbose",
		}},
		{"java", true, []string{
			"keytool -importcert -noprompt -alias liked -file $LIKED_CA -keystore $LIKED_TEMP/truststore -storepass changeit",
			"mvn --batch-mode --no-transfer-progress test",
		}},
		{"go", false, []string{"go test -count=1 -v ./..."}},
		{"browser", false, []string{"npm ci --no-audit --no-fund", "npm test"}}, // needs Chromium
	}
	var wanted bool
	for _, c := range clients {
		wanted = wanted || required(c.name)
	}
	if !wanted {
		t.Skip("the clients are downloaded: set LIKED_REQUIRE=typescript,python,java,go,browser to run them")
	}
	ctx, cancel := beforeTimeout(t)
	defer cancel()
	bin := build(t, true)
	for _, c := range clients {
		t.Run(c.name, func(t *testing.T) {
			if !required(c.name) {
				t.Skipf("set LIKED_REQUIRE=%s to run it", c.name)
			}
			flags := []string{"--trusted-proxy", "127.0.0.1"}
			if c.consent {
				flags = append(flags, "--auto-consent", "alice")
			}
			s := start(t, bin, flags...)
			p := startProxy(t, s.URL)
			expired := s.issue(t, map[string]any{"kind": "user", "lifetime_seconds": 1}).Token
			narrow := s.issue(t, map[string]any{"kind": "user", "scopes": "tweet.read users.read like.read"}).Token
			readOnly := s.issue(t, map[string]any{"kind": "oauth1", "access": "read"})
			s.awaitExpiry(t, expired)
			variables := map[string]string{
				"LIKED_CREDENTIALS":  s.file,
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
		})
	}
}

// awaitExpiry waits until the server refuses the token.
func (s *server) awaitExpiry(t *testing.T, token string) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		if status, _ := s.get(t, token, "/2/users/me"); status == http.StatusUnauthorized {
			return
		}
	}
	t.Fatal("a token for one second is still good after ten")
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
