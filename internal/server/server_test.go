package server_test

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"liked/internal/enginetest"
	"liked/internal/livetest"
	"liked/internal/seed"
	"liked/internal/server"
)

func TestMain(m *testing.M) {
	if data := os.Getenv(faultyEnv); data != "" {
		if err := serveFaulty(data); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(livetest.Run(m, enginetest.Stop))
}

// start runs a server until the end of the test, or until stop is called, which returns what Run did. One that keeps everything
// in memory gets a database, where tests run on one.
func start(t *testing.T, c server.Config) (srv *server.Server, stop func() error) {
	t.Helper()
	if c.Data == "" && c.Postgres == "" {
		if c.Postgres = enginetest.Postgres(t); c.Postgres != "" {
			c.SealKey = filepath.Join(t.TempDir(), "seal.key")
		}
	}
	return startHere(t, c)
}

// startHere is start with the engine that the configuration names. The server is ready.
func startHere(t *testing.T, c server.Config) (srv *server.Server, stop func() error) {
	t.Helper()
	c.KnownSeed = true // most worlds here have one
	srv, err := server.New(c)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- srv.Run(ctx) }()
	select {
	case <-srv.Ready():
	case err := <-ended:
		cancel()
		t.Fatal(err)
	}
	stopped := false
	stop = func() error {
		if stopped {
			return nil
		}
		stopped = true
		prove(t, srv)
		cancel()
		return <-ended
	}
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
	return srv, stop
}

// world returns a small world. Its clients can start at once.
func world() *seed.Options {
	return &seed.Options{Users: 3, Posts: 2, Seed: 1, TokenLifetime: time.Hour}
}

// prove has the server show that its store agrees with itself.
func prove(t *testing.T, srv *server.Server) {
	t.Helper()
	r, err := http.NewRequest("POST", srv.AdminURL()+"/admin/check", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+srv.AdminToken)
	resp, err := client(t, nil).Do(r)
	if err != nil {
		t.Errorf("check: %v", err)
		return
	}
	defer resp.Body.Close()
	var report struct{ Problems []string }
	if err := json.NewDecoder(resp.Body).Decode(&report); err != nil || resp.StatusCode != http.StatusOK || len(report.Problems) > 0 {
		t.Errorf("check: %s %q %v", resp.Status, report.Problems, err)
	}
}

// client returns a client that leaves no connection behind.
func client(t *testing.T, config *tls.Config) *http.Client {
	transport := &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: true}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// get returns status and body.
func get(t *testing.T, c *http.Client, url, token string) (int, string) {
	t.Helper()
	resp, body := send(t, c, "GET", url, token, "")
	return resp.StatusCode, body
}

// send sends a request, with a bearer token and a body of JSON unless they are "", and returns the answer with its body.
func send(t *testing.T, c *http.Client, method, url, token, body string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	return do(t, c, r)
}

// do sends the request and returns the answer with its body.
func do(t *testing.T, c *http.Client, r *http.Request) (*http.Response, string) {
	t.Helper()
	resp, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(text)
}

// says reports whether there is an error that names all of these.
func says(err error, texts ...string) bool {
	return err != nil && !slices.ContainsFunc(texts, func(text string) bool { return !strings.Contains(err.Error(), text) })
}

// like has the last user like the first post, which must succeed.
func like(t *testing.T, c *http.Client, k seed.Credentials) {
	t.Helper()
	u := k.Users[len(k.Users)-1]
	resp, body := send(t, c, "POST", k.URL+"/2/users/"+u.ID.String()+"/likes", u.AccessToken, `{"tweet_id":"`+k.Posts[0].ID.String()+`"}`)
	if resp.StatusCode != http.StatusOK {
		t.Errorf("like: %s %s", resp.Status, body)
	}
}

func TestConfigIsValidated(t *testing.T) {
	t.Parallel()
	good := world()
	for _, tt := range []struct {
		name   string
		config server.Config
		want   []string // each in a line of the error, in order; none is no error
	}{
		{"zero", server.Config{}, nil},
		{"everything", server.Config{Data: "d", Listen: ":8080", AdminListen: "[::1]:0", AdminToken: "0123456789abcdef",
			TLSCert: "c", TLSKey: "k", PublicURL: "https://Example.com:8443", TrustedProxies: []string{"10.0.0.1", "fd00::/8"},
			Profile: "2026", RateLimits: `{"usersIdLike":{"user_15m":0}}`,
			Seed: good, KnownSeed: true, Grace: time.Minute}, nil},
		{"known seed that is kept", server.Config{Data: "d", Seed: good}, []string{"seed: "}},
		{"known seed beyond this machine", server.Config{Listen: ":0", Seed: good}, []string{"seed: "}},
		{"known seed at a public url", server.Config{PublicURL: "https://example.com", Seed: good}, []string{"seed: "}},
		{"known seed behind a proxy", server.Config{TrustedProxies: []string{"127.0.0.1"}, Seed: good}, []string{"seed: "}},
		{"known seed on this machine", server.Config{Listen: "localhost:0", Seed: good}, nil},
		{"random seed that is kept", server.Config{Data: "d", Listen: ":0", Seed: &seed.Options{Users: 1, TokenLifetime: time.Hour}}, nil},
		{"listen without port", server.Config{Listen: "localhost"}, []string{"listen: "}},
		{"listen with name of port", server.Config{Listen: "localhost:http"}, []string{"listen: "}},
		{"listen beyond the last port", server.Config{Listen: "localhost:65536"}, []string{"listen: "}},
		{"listen with odd port", server.Config{Listen: "localhost:080"}, []string{"write the port as 80"}},
		{"one address for both", server.Config{Listen: "127.0.0.1:80", AdminListen: "127.0.0.1:80"}, []string{"admin-listen: "}},
		{"free ports for both", server.Config{Listen: "127.0.0.1:0", AdminListen: "127.0.0.1:0"}, nil},
		{"short token", server.Config{AdminToken: "0123456789abcde"}, []string{"admin-token: 15 characters"}},
		{"token with space", server.Config{AdminToken: "0123456789 abcdef"}, []string{"admin-token: "}},
		{"certificate alone", server.Config{TLSCert: "c"}, []string{"tls-key: missing"}},
		{"key alone", server.Config{TLSKey: "k"}, []string{"tls-cert: missing"}},
		{"public url without scheme", server.Config{PublicURL: "example.com"}, []string{"public-url: "}},
		{"public url of another scheme", server.Config{PublicURL: "ftp://example.com"}, []string{"public-url: "}},
		{"public url with path", server.Config{PublicURL: "https://example.com/2"}, []string{"public-url: "}},
		{"public url with slash", server.Config{PublicURL: "https://example.com/"}, nil},
		{"public url with query", server.Config{PublicURL: "https://example.com?"}, []string{"public-url: "}},
		{"public url with user", server.Config{PublicURL: "https://me@example.com"}, []string{"public-url: "}},
		{"proxies", server.Config{TrustedProxies: []string{"10.0.0.0/33", "example.com", "::1"}}, []string{`"10.0.0.0/33"`, `"example.com"`}},
		{"profile", server.Config{Profile: "2025"}, []string{"profile "}},
		{"limits that are no JSON", server.Config{RateLimits: "on"}, []string{"rate limits: "}},
		{"limits of an unknown operation", server.Config{RateLimits: `{"like":{"user_15m":1}}`}, []string{"rate limits: "}},
		{"world", server.Config{Seed: &seed.Options{Users: 0, Posts: -1}}, []string{"users: ", "posts: ", "token-lifetime: "}},
		{"grace", server.Config{Grace: -1}, []string{"grace: "}},
		{"many", server.Config{Listen: "x", AdminListen: "y", TLSKey: "k", Profile: "1"},
			[]string{"listen: ", "admin-listen: ", "tls-cert: ", "profile "}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var got []string
			if err := tt.config.Validate(); err != nil {
				got = strings.Split(err.Error(), "\n")
			}
			if len(got) != len(tt.want) {
				t.Fatalf("mistakes %q, want %d", got, len(tt.want))
			}
			for i, want := range tt.want {
				if !strings.Contains(got[i], want) {
					t.Errorf("mistake %q, want %q", got[i], want)
				}
			}
		})
	}
}

func TestProbesMetricsAndProfiles(t *testing.T) {
	t.Parallel()
	srv, _ := startHere(t, server.Config{Seed: world(), AdminToken: "a-token-of-the-test"})
	c := client(t, nil)
	like(t, c, srv.Credentials())
	for _, tt := range []struct {
		path, token string
		status      int
	}{
		{"/livez", "", 200},
		{"/readyz", "", 200},
		{"/metrics", "", 200},
		{"/debug/pprof/", "", 401},
		{"/debug/pprof/heap", "", 401},
		{"/debug/pprof/cmdline", "another-token-here", 401},
		{"/debug/pprof/", "a-token-of-the-test", 200},
		{"/debug/pprof/heap?debug=1", "a-token-of-the-test", 200},
		{"/admin/users", "", 401},
		{"/admin/users", "a-token-of-the-test ", 200}, // net/http trims the header
		{"/admin/users", "a-token-of-the-tesT", 401},
		{"/admin/nothing", "a-token-of-the-test", 404},
		{"/2/users/me", "a-token-of-the-test", 404},
	} {
		if status, body := get(t, c, srv.AdminURL()+tt.path, tt.token); status != tt.status {
			t.Errorf("%s with token %q: %d %s, want %d", tt.path, tt.token, status, body, tt.status)
		}
	}
	for _, path := range []string{"/livez", "/metrics", "/admin/users", "/debug/pprof/"} {
		if status, _ := get(t, c, srv.URL()+path, "a-token-of-the-test"); status != 404 {
			t.Errorf("%s on the API's listener: %d, want 404", path, status)
		}
	}
	_, metrics := get(t, c, srv.AdminURL()+"/metrics", "")
	for _, want := range []string{
		`liked_requests_total{code="200",operation="usersIdLike"} 1`,
		`liked_requests_total{code="404",operation="none"} 4`,
		`liked_request_duration_seconds_bucket{operation="usersIdLike",le="0.0001"}`,
		`liked_request_duration_seconds_count{operation="usersIdLike"} 1`,
		`liked_like_changes_total{change="like"} 1`,
		`liked_requests_in_flight 0`,
		`liked_store_block_reads_total{from="cache"}`,
		`liked_store_block_reads_total{from="disk"}`,
		`go_goroutines`,
		`process_open_fds`,
	} {
		if !strings.Contains(metrics, want) {
			t.Errorf("metrics lack %s", want)
		}
	}
}

func TestServesTLS(t *testing.T) {
	t.Parallel()
	cert, key, pool := livetest.Certificate(t)
	srv, _ := start(t, server.Config{Seed: world(), TLSCert: cert, TLSKey: key})
	if !strings.HasPrefix(srv.URL(), "https://127.0.0.1:") || !strings.HasPrefix(srv.AdminURL(), "http://127.0.0.1:") {
		t.Errorf("URLs %s and %s, want https and http", srv.URL(), srv.AdminURL())
	}
	c := client(t, &tls.Config{RootCAs: pool})
	like(t, c, srv.Credentials())
	resp, err := c.Get(srv.URL())
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.ProtoMajor != 2 {
		t.Errorf("protocol %s, want HTTP/2", resp.Proto)
	}
	if _, err := server.New(server.Config{TLSCert: cert, TLSKey: cert}); !says(err, "tls-key") {
		t.Errorf("a certificate for a key: error %v", err)
	}
}

// A server that stops says so, lets a request under way end, and takes no more.
func TestStopLetsRequestsEnd(t *testing.T) {
	t.Parallel()
	srv, stop := start(t, server.Config{Seed: world(), Grace: 2 * time.Minute})
	k := srv.Credentials()
	conn, err := net.Dial("tcp", strings.TrimPrefix(srv.URL(), "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	u := k.Users[0]
	body := `{"tweet_id":"` + k.Posts[1].ID.String() + `"}`
	fmt.Fprintf(conn, "POST /2/users/%s/likes HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n"+
		"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n", u.ID, u.AccessToken, len(body))
	c := client(t, nil)
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) { // until the handler waits for the body
		if _, metrics := get(t, c, srv.AdminURL()+"/metrics", ""); strings.Contains(metrics, "liked_requests_in_flight 1") {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the request did not arrive")
		}
	}
	stopped := make(chan error, 1)
	go func() { stopped <- stop() }()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		if status, _ := get(t, c, srv.AdminURL()+"/readyz", ""); status == 503 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("readyz does not say that the server stops")
		}
	}
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		if refused, err := net.Dial("tcp", strings.TrimPrefix(srv.URL(), "http://")); err != nil {
			break
		} else {
			refused.Close()
		}
		if time.Now().After(deadline) {
			t.Fatal("connections are still accepted")
		}
	}
	select {
	case err := <-stopped:
		t.Fatalf("Run ended (%v) with a request under way", err)
	default:
	}
	io.WriteString(conn, body)
	conn.SetReadDeadline(time.Now().Add(time.Minute))
	answer, err := io.ReadAll(conn)
	if err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 200 OK") || !strings.HasSuffix(string(answer), `{"data":{"liked":true}}`) {
		t.Errorf("answer %q, %v", answer, err)
	}
	if err := <-stopped; err != nil {
		t.Errorf("Run: %v", err)
	}
}

// A client that never ends its request holds a stop up for the grace time, and no longer.
func TestStopWaitsForTheGraceTime(t *testing.T) {
	t.Parallel()
	srv, stop := start(t, server.Config{Seed: world(), Grace: 50 * time.Millisecond})
	conn, err := net.Dial("tcp", strings.TrimPrefix(srv.URL(), "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	io.WriteString(conn, "POST /2/users/1/likes HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n")
	time.Sleep(20 * time.Millisecond)
	begun := time.Now()
	if err := stop(); err != nil {
		t.Errorf("Run: %v", err)
	}
	if took := time.Since(begun); took > 20*time.Second { // an unfinished request is cut after 30 s in any case
		t.Errorf("stopping took %s", took)
	}
}

func TestAddressInUse(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, c := range []server.Config{{Listen: l.Addr().String()}, {AdminListen: l.Addr().String()}} {
		if _, err := server.New(c); !says(err, "in use: stop what listens there") {
			t.Errorf("error %v", err)
		}
	}
}

func TestLogIsWrittenSoon(t *testing.T) {
	t.Parallel()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	logger, closeLog, err := server.NewLogger(w, "json", slog.LevelInfo)
	if err != nil {
		t.Fatal(err)
	}
	lines := make(chan string, 10)
	go func() {
		defer close(lines)
		d := json.NewDecoder(r)
		for {
			var line struct{ Msg string }
			if d.Decode(&line) != nil {
				return
			}
			lines <- line.Msg
		}
	}()
	read := func() string {
		select {
		case line := <-lines:
			return line
		case <-time.After(time.Minute):
			return "nothing"
		}
	}
	logger.Debug("no")
	logger.With("a", 1).Info("gathered")
	if got := read(); got != "gathered" {
		t.Errorf("read %s after a while, want gathered", got)
	}
	logger.WithGroup("g").Warn("urgent")
	if got := read(); got != "urgent" {
		t.Errorf("read %s, want urgent", got)
	}
	logger.Info("last")
	closeLog()
	w.Close()
	if got := read(); got != "last" {
		t.Errorf("read %s after close, want last", got)
	}
	if _, _, err := server.NewLogger(io.Discard, "xml", 0); err == nil {
		t.Error("format xml is no mistake")
	}
}

// Only liked dev explains a refusal to the client.
func TestServeDoesNotExplain(t *testing.T) {
	for _, explain := range []bool{false, true} {
		srv, _ := start(t, server.Config{Dev: explain})
		for _, target := range []string{"/2/users/1/likes", "/nowhere", "/2/oauth2/token"} {
			resp, err := client(t, nil).Post(srv.URL()+target, "application/json", strings.NewReader("{}"))
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if got := resp.Header.Get("X-Liked-Explain"); (got != "") != explain {
				t.Errorf("explain %v: %s explained as %q", explain, target, got)
			}
		}
	}
}
