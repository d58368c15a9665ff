// Package compat tests the server from outside: the built binary, over TCP, with other people's clients (each in the
// directory of its language) and with input that no client would send.
package compat

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"liked/internal/enginetest"
	"liked/internal/livetest"
)

// required reports whether LIKED_REQUIRE, a list with commas, names what or says "all". A test that is required fails
// where it would be skipped for want of a tool.
func required(what string) bool {
	names := strings.Split(os.Getenv("LIKED_REQUIRE"), ",")
	return slices.Contains(names, what) || slices.Contains(names, "all")
}

// build builds the binary and returns its path. It is built with the race detector if the test is, or if race says so.
func build(t *testing.T, race bool) string {
	t.Helper()
	bin, err := livetest.Build(t.Context(), t.TempDir(), race || livetest.Raced())
	if err != nil {
		t.Fatal(err)
	}
	return bin
}

// credentials is what the tests read of the file that `liked dev --credentials` writes.
type credentials struct {
	URL        string
	AdminURL   string `json:"admin_url"`
	AdminToken string `json:"admin_token"`
	Apps       []struct {
		Name        string
		APIKey      string `json:"api_key"`
		APISecret   string `json:"api_secret"`
		BearerToken string `json:"bearer_token"`
	}
	Users []struct {
		ID          string
		Username    string
		AccessToken string `json:"access_token"`
		OAuth1Token string `json:"oauth1_token"`
	}
	Posts []struct{ ID string }
}

// read reports whether the file is there and whole: the server writes it once it answers.
func (c *credentials) read(file string) bool {
	text, err := os.ReadFile(file)
	return err == nil && json.Unmarshal(text, c) == nil
}

func TestMain(m *testing.M) { enginetest.Main(m) }

// place is where a server keeps everything: in a directory, or in a database, with a directory for what belongs to the server.
type place struct{ dir, dsn string }

// newPlace is empty, and on the engine that enginetest.Environment names.
func newPlace(t *testing.T) place {
	t.Helper()
	return place{filepath.Join(t.TempDir(), "data"), enginetest.Postgres(t)}
}

// dev is the command that serves the place on free ports. A race ends it.
func dev(bin string, p place, credentials string, flags ...string) *exec.Cmd {
	kept := []string{"--data", p.dir}
	if p.dsn != "" {
		kept = []string{"--postgres", p.dsn, "--seal-key", p.dir + ".key", "--state", p.dir}
	}
	cmd := exec.Command(bin, slices.Concat([]string{"dev", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0",
		"--credentials", credentials}, kept, flags)...)
	cmd.Env = append(os.Environ(), "GORACE=halt_on_error=1 exitcode=66")
	return cmd
}

// server is a running `liked dev`, which the end of the test stops. The test fails if the server does not end well,
// races, or leaves a store that contradicts itself.
type server struct {
	credentials
	file string // of the credentials
	bin  string
	at   place
	stop func() // before the end of the test
}

// start starts `liked dev` with the flags, on free ports and with a place of its own.
func start(t *testing.T, bin string, flags ...string) *server {
	t.Helper()
	return startOn(t, bin, newPlace(t), flags...)
}

// startOn is start with a place. If there is a world in it already, that is the server's.
func startOn(t *testing.T, bin string, at place, flags ...string) *server {
	t.Helper()
	s := &server{bin: bin, at: at, file: filepath.Join(t.TempDir(), "credentials.json")}
	cmd := dev(bin, at, s.file, flags...)
	var output bytes.Buffer // to be read when the process has ended
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan error, 1)
	go func() { exited <- cmd.Wait() }()
	stopped := false
	s.stop = func() {
		if !stopped {
			stopped = true
			s.end(t, cmd.Process, exited)
		}
	}
	t.Cleanup(func() {
		s.stop()
		if t.Failed() {
			t.Logf("the server's output:\n%s", tail(output.Bytes()))
		}
	})

	for deadline := time.Now().Add(3 * time.Minute); ; time.Sleep(20 * time.Millisecond) {
		if s.credentials.read(s.file) {
			return s
		}
		select {
		case err := <-exited:
			stopped = true
			t.Fatalf("the server ended before it answered: %v", err)
		default:
		}
		if time.Now().After(deadline) {
			t.Fatal("the server wrote no credentials within three minutes")
		}
	}
}

// end asks the server to end, kills it if it does not, and then proves the store.
func (s *server) end(t *testing.T, p *os.Process, exited <-chan error) {
	if err := p.Signal(syscall.SIGTERM); err != nil {
		t.Errorf("SIGTERM: %v", err)
	}
	select {
	case err := <-exited:
		if err != nil { // status 66 is a race
			t.Errorf("the server ended with %v", err)
			return
		}
	case <-time.After(2 * time.Minute):
		t.Error("the server did not end within two minutes of SIGTERM")
		if err := p.Kill(); err != nil {
			t.Error(err)
		}
		<-exited
		return
	}
	kept := []string{"--data", s.at.dir}
	if s.at.dsn != "" {
		kept = []string{"--postgres", s.at.dsn}
	}
	if out, err := exec.Command(s.bin, append([]string{"check"}, kept...)...).CombinedOutput(); err != nil {
		t.Errorf("liked check: %v\n%s", err, out)
	}
}

// user returns the position of the user with the name.
func (s *server) user(t *testing.T, name string) int {
	t.Helper()
	for i, u := range s.Users {
		if u.Username == name {
			return i
		}
	}
	t.Fatalf("no user %s among %d", name, len(s.Users))
	return 0
}

// token is what the operator's side answers to a wish for a token.
type token struct {
	Token       string
	TokenSecret string `json:"token_secret"`
}

// issue makes a token of the first app for alice.
func (s *server) issue(t *testing.T, wish map[string]any) token {
	t.Helper()
	wish["app"], wish["user"] = s.Apps[0].Name, "alice"
	body, err := json.Marshal(wish)
	if err != nil {
		t.Fatal(err)
	}
	var made token
	s.admin(t, "POST", "/admin/tokens", body, &made)
	return made
}

// admin asks the operator's side, which must agree.
func (s *server) admin(t *testing.T, method, path string, body []byte, answer any) {
	t.Helper()
	status, text := do(t, method, s.AdminURL+path, s.AdminToken, body)
	if status/100 != 2 {
		t.Fatalf("%s %s %s: %d %s", method, path, body, status, text)
	}
	if err := json.Unmarshal(text, answer); err != nil {
		t.Fatalf("%s %s: %v\n%s", method, path, err, text)
	}
}

// get asks the API with a token.
func (s *server) get(t *testing.T, token, path string) (status int, body []byte) {
	t.Helper()
	return do(t, "GET", s.URL+path, token, nil)
}

func do(t *testing.T, method, url, token string, body []byte) (status int, answer []byte) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if answer, err = io.ReadAll(resp.Body); err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, answer
}

// likeCount asks for the post's like_count, as alice.
func (s *server) likeCount(t *testing.T, post string) int {
	t.Helper()
	status, body := s.get(t, s.Users[s.user(t, "alice")].AccessToken, "/2/tweets/"+post+"?tweet.fields=public_metrics")
	var found struct {
		Data struct {
			Metrics struct {
				Likes *int `json:"like_count"`
			} `json:"public_metrics"`
		}
	}
	if err := json.Unmarshal(body, &found); err != nil || found.Data.Metrics.Likes == nil {
		t.Fatalf("GET /2/tweets/%s: %d %s, which has no like_count", post, status, body)
	}
	return *found.Data.Metrics.Likes
}

// tail returns the end of a long text.
func tail(text []byte) []byte {
	const most = 16 << 10
	return text[max(0, len(text)-most):]
}
