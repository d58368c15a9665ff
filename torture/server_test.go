package torture

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// world is what the tests read of the file that `liked dev` keeps with its data.
type world struct {
	URL        string
	AdminURL   string `json:"admin_url"`
	AdminToken string `json:"admin_token"`
	Apps       []struct {
		Name         string
		ClientID     string `json:"client_id"`
		ClientSecret string `json:"client_secret"`
		APIKey       string `json:"api_key"`
		APISecret    string `json:"api_secret"`
		BearerToken  string `json:"bearer_token"`
	}
	Users []user
	Posts []struct{ ID string }
}

type user struct {
	ID                string
	Username          string
	AccessToken       string `json:"access_token"`
	RefreshToken      string `json:"refresh_token"`
	OAuth1Token       string `json:"oauth1_token"`
	OAuth1TokenSecret string `json:"oauth1_token_secret"`
}

// machine is a data directory, or its place at a database, and the processes that serve there, one after the other.
type machine struct {
	t        testing.TB
	bin      string
	dir      string // with a database it has admin.json alone
	postgres string // connection string of the database; "" for none
	flags    []string
	shell    string // run before the server, in the shell that becomes it; "" for none

	world // of the process that runs, with its addresses
	cmd   *exec.Cmd
	ended chan error // of the process; nil while there is none
	logs  log        // of all processes
}

// log keeps the end of what the server says.
type log struct {
	mu   sync.Mutex
	text []byte
}

func (l *log) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	const most = 64 << 10
	l.text = append(l.text, b...)
	l.text = l.text[max(0, len(l.text)-most):]
	return len(b), nil
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(l.text)
}

// boot makes a machine and starts its first server. The end of the test stops the last one, and proves the store.
func boot(t *testing.T, flags ...string) *machine {
	t.Helper()
	m := newMachine(t, flags...)
	m.start()
	return m
}

func newMachine(t *testing.T, flags ...string) *machine {
	m := &machine{t: t, bin: bin, dir: filepath.Join(t.TempDir(), "data"), flags: flags}
	t.Cleanup(func() {
		if m.ended != nil {
			m.stop()
		}
		if t.Failed() {
			text := m.logs.String()
			t.Logf("the server's last words:\n%s", text[max(0, len(text)-8<<10):])
		}
	})
	return m
}

// launch starts a process and does not wait until it answers.
func (m *machine) launch() {
	m.t.Helper()
	// What the last process wrote would be taken for this one's.
	if err := os.Remove(filepath.Join(m.dir, "admin.json")); err != nil && !errors.Is(err, os.ErrNotExist) {
		m.t.Fatal(err)
	}
	args := []string{"dev", "--data", m.dir, "--cache", "64", "--journal", "0", "--log-level", "warn"}
	if m.postgres != "" {
		args = []string{"serve", "--postgres", m.postgres, "--state", m.dir}
	}
	args = append(append(args, "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"), m.flags...)
	m.cmd = exec.Command(m.bin, args...)
	if m.shell != "" {
		m.cmd = exec.Command("sh", append([]string{"-c", m.shell + `; exec "$0" "$@"`, m.bin}, args...)...)
	}
	m.cmd.Env = append(os.Environ(), "GORACE=halt_on_error=1 exitcode=66")
	m.cmd.Stderr = &m.logs
	if err := m.cmd.Start(); err != nil {
		m.t.Fatal(err)
	}
	ended := make(chan error, 1)
	m.ended = ended
	go func(cmd *exec.Cmd) { ended <- cmd.Wait() }(m.cmd)
}

// start starts a process and waits until it answers.
func (m *machine) start() {
	m.t.Helper()
	m.launch()
	for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(5 * time.Millisecond) {
		if m.answers() {
			return
		}
		select {
		case err := <-m.ended:
			m.ended = nil
			m.t.Fatalf("the server ended before it answered: %v\n%s", err, m.logs.String())
		default:
		}
		if time.Now().After(deadline) {
			m.t.Fatal("the server did not answer within two minutes")
		}
	}
}

// answers reports whether the process is ready, and then knows its addresses.
func (m *machine) answers() bool {
	if _, err := os.Stat(filepath.Join(m.dir, "admin.json")); err != nil { // written last
		return false
	}
	var w world // clients may be at the one that the process before had
	if m.postgres != "" {
		if w = m.world; !m.listens(&w) {
			return false
		}
	} else if !readWorld(filepath.Join(m.dir, "credentials.json"), &w) {
		return false
	}
	resp, err := http.Get(w.AdminURL + "/readyz")
	if err != nil {
		return false
	}
	resp.Body.Close()
	m.world = w
	return resp.StatusCode == http.StatusOK
}

// readWorld reads what `liked dev` has written, if it has.
func readWorld(file string, w *world) bool {
	text, err := os.ReadFile(file)
	return err == nil && json.Unmarshal(text, w) == nil
}

// kill ends the process as kill -9 does, and returns once it is gone.
func (m *machine) kill() {
	m.t.Helper()
	if err := m.cmd.Process.Kill(); err != nil {
		m.t.Errorf("kill: %v", err)
	}
	if err := <-m.ended; m.cmd.ProcessState.ExitCode() != -1 {
		m.t.Errorf("the server ended by itself, with %v", err)
	}
	m.ended = nil
}

// stop asks the process to end, and proves what it leaves.
func (m *machine) stop() {
	m.t.Helper()
	if err := m.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		m.t.Errorf("SIGTERM: %v", err)
	}
	select {
	case err := <-m.ended:
		if err != nil { // status 66 is a race
			m.t.Errorf("the server ended with %v", err)
		}
	case <-time.After(time.Minute):
		m.t.Error("the server did not end within a minute of SIGTERM")
		m.cmd.Process.Kill()
		<-m.ended
	}
	m.ended = nil
	m.check()
}

// check has `liked check` read the store, whether a server has it open or was killed.
func (m *machine) check() {
	m.t.Helper()
	if out, err := m.checks(m.bin); err != nil {
		m.t.Errorf("liked check: %v\n%s", err, out)
	}
}

func (m *machine) checks(program string) (out []byte, err error) {
	if m.postgres != "" {
		return exec.Command(program, "check", "--postgres", m.postgres).CombinedOutput()
	}
	return exec.Command(program, "check", "--data", m.dir).CombinedOutput()
}

// counter makes what must be unique.
var counter atomic.Int64

// request is one call; only method and path are needed.
type request struct {
	method, path  string
	authorization string
	contentType   string
	body          string
}

func get(path, authorization string) request {
	return request{method: "GET", path: path, authorization: authorization}
}

func del(path, authorization string) request {
	return request{method: "DELETE", path: path, authorization: authorization}
}

func bearer(token string) string { return "Bearer " + token }

// signedHost is the host that signed requests are for, so that a request is still the same one when the server has
// another port.
const signedHost = "api.x.com"

// oauth1 signs a request without query and form (RFC 5849, 3.4).
func (w *world) oauth1(u user, method, path string) string {
	target := "http://" + signedHost + path
	params := fmt.Sprintf("oauth_consumer_key=%s&oauth_nonce=n%d&oauth_signature_method=HMAC-SHA1&"+
		"oauth_timestamp=%d&oauth_token=%s&oauth_version=1.0",
		w.Apps[0].APIKey, counter.Add(1), time.Now().Unix(), u.OAuth1Token)
	mac := hmac.New(sha1.New, []byte(w.Apps[0].APISecret+"&"+u.OAuth1TokenSecret))
	fmt.Fprintf(mac, "%s&%s&%s", method, url.QueryEscape(target), url.QueryEscape(params))
	header := `OAuth oauth_signature="` + url.QueryEscape(base64.StdEncoding.EncodeToString(mac.Sum(nil))) + `"`
	for p := range strings.SplitSeq(params, "&") {
		name, value, _ := strings.Cut(p, "=")
		header += ", " + name + `="` + value + `"`
	}
	return header
}

// form is a call of an OAuth 2.0 endpoint by the first app.
func (w *world) form(path string, values url.Values) request {
	app := w.Apps[0]
	return request{"POST", path, "Basic " + base64.StdEncoding.EncodeToString([]byte(app.ClientID+":"+app.ClientSecret)),
		"application/x-www-form-urlencoded", values.Encode()}
}

func like(userID, postID, authorization string, on bool) request {
	if on {
		return request{"POST", "/2/users/" + userID + "/likes", authorization, "application/json", `{"tweet_id":"` + postID + `"}`}
	}
	return del("/2/users/"+userID+"/likes/"+postID, authorization)
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// send makes one call. An error says that it is not known what became of it.
func send(c *http.Client, base string, r request) (answer, error) {
	req, err := http.NewRequest(r.method, base+r.path, strings.NewReader(r.body))
	if err != nil {
		return answer{}, err
	}
	if r.authorization != "" {
		req.Header.Set("Authorization", r.authorization)
	}
	if strings.HasPrefix(r.authorization, "OAuth ") {
		req.Host = signedHost
	}
	if r.contentType != "" {
		req.Header.Set("Content-Type", r.contentType)
	}
	resp, err := c.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, resp.Header, body}, err
}

// must is send for what cannot fail.
func (m *machine) must(c *http.Client, r request, into any) {
	m.t.Helper()
	a, err := send(c, m.URL, r)
	if err != nil || a.status/100 != 2 {
		m.t.Fatalf("%s %s: %d %s %v", r.method, r.path, a.status, a.body, err)
	}
	if into != nil {
		if err := json.Unmarshal(a.body, into); err != nil {
			m.t.Fatalf("%s %s: %v: %s", r.method, r.path, err, a.body)
		}
	}
}

// likeCounts asks for the like counts of posts. Those that do not exist have none.
func (m *machine) likeCounts(c *http.Client, posts []string) map[string]int {
	m.t.Helper()
	counts := make(map[string]int)
	for ids := range slices.Chunk(posts, 100) {
		var found struct {
			Data []struct {
				ID      string
				Metrics struct {
					Likes int `json:"like_count"`
				} `json:"public_metrics"`
			}
		}
		path := "/2/tweets?tweet.fields=public_metrics&ids=" + strings.Join(ids, ",")
		m.must(c, get(path, bearer(m.Apps[0].BearerToken)), &found)
		for _, p := range found.Data {
			counts[p.ID] = p.Metrics.Likes
		}
	}
	return counts
}

// client returns an HTTP client that leaves no connections behind.
func client(t testing.TB) *http.Client {
	transport := &http.Transport{MaxIdleConnsPerHost: 64, Proxy: nil}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: time.Minute}
}

// metric reads one number from the operator's side.
func (m *machine) metric(c *http.Client, name string) float64 {
	m.t.Helper()
	a, err := send(c, m.AdminURL, get("/metrics", ""))
	if err != nil || a.status != 200 {
		m.t.Fatalf("/metrics: %d %v", a.status, err)
	}
	for line := range bytes.Lines(a.body) {
		if value, ok := bytes.CutPrefix(line, []byte(name+" ")); ok {
			n, err := strconv.ParseFloat(string(bytes.TrimSpace(value)), 64)
			if err != nil {
				m.t.Fatal(err)
			}
			return n
		}
	}
	m.t.Fatalf("there is no metric %s", name)
	return 0
}
