package bench

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"reflect"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func TestReadAnswer(t *testing.T) {
	long := strings.Repeat("x", 1000)
	for _, row := range []struct{ name, text, want string }{
		{"success", "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}", ""},
		{"refusal", "HTTP/1.1 429 Too Many Requests\r\nContent-Length: 5\r\n\r\nlater", "429 Too Many Requests: later"},
		{"long refusal", "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 1000\r\n\r\n" + long,
			"503 Service Unavailable: " + long[:maxExample]},
		{"other success", "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", "204 No Content: "},
	} {
		r := bufio.NewReader(strings.NewReader(row.text + "next"))
		got := ""
		if err := readAnswer(r); err != nil {
			refused, ok := errors.AsType[*Refused](err)
			if got = err.Error(); !ok || refused.Error() != got {
				t.Errorf("%s: %v is no refusal", row.name, err)
			}
		}
		if got != row.want {
			t.Errorf("%s: %q, want %q", row.name, got, row.want)
		}
		if rest, _ := io.ReadAll(r); string(rest) != "next" {
			t.Errorf("%s: leaves %q", row.name, rest)
		}
	}
	for _, text := range []string{
		"",
		"HTTP/1.1 200 OK\r\n",
		"HTTP/1.1 200 OK\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort",
		"HTTP/2 200\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 500 No\r\nContent-Length: 9\r\n\r\nshort",
	} {
		err := readAnswer(bufio.NewReader(strings.NewReader(text)))
		if _, refused := errors.AsType[*Refused](err); err == nil || refused {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// httpSubject is a subject for the handler, with the world it is called for.
func httpSubject(t *testing.T, h http.HandlerFunc, callers int) (Subject, World) {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	w := world(10, 10)
	w.URL = srv.URL
	s, err := HTTP("server", w.URL, "", w, Workload{Mix: Likes, Zipf: 1.1}, callers)
	if err != nil {
		t.Fatal(err)
	}
	return s, w
}

// Answers other than 200 and connections that break are counted, and a caller goes on after both.
func TestHTTPFailures(t *testing.T) {
	var n, limited, broken, fine atomic.Int64
	s, _ := httpSubject(t, func(w http.ResponseWriter, r *http.Request) {
		switch i := n.Add(1); {
		case i%10 == 1:
			limited.Add(1)
			http.Error(w, "slow down", http.StatusTooManyRequests)
		case i%10 == 2:
			broken.Add(1)
			panic(http.ErrAbortHandler)
		default:
			fine.Add(1)
			io.WriteString(w, "{}")
		}
	}, 4)
	r := someCalls(t, s, 300*time.Millisecond)
	refused := r.Errors["429 Too Many Requests"]
	closed := r.Errors["connection closed"].Count + r.Errors["connection reset by peer"].Count
	seen := limited.Load() + broken.Load() + fine.Load()
	if limited.Load() == 0 || broken.Load() == 0 || refused.Example != "slow down\n" || r.calls()+r.Unanswered != seen {
		t.Errorf("%d limited, %d broken, %d fine: %d answered, %d not, %+v",
			limited.Load(), broken.Load(), fine.Load(), r.Answered, r.Unanswered, r.Errors)
	}
	// A process that is stopped for long leaves calls unanswered, of any kind.
	for name, lost := range map[string]int64{
		"limited": limited.Load() - refused.Count,
		"broken":  broken.Load() - closed,
		"fine":    fine.Load() - r.Answered,
	} {
		if lost < 0 || lost > r.Unanswered {
			t.Errorf("%d calls that were %s are not counted", lost, name)
		}
	}
}

// Over real sockets, too, what waits behind a handler that stalls is charged for it.
func TestHTTPOpenLoopChargesAStall(t *testing.T) {
	const stalled = 200 * time.Millisecond
	var n atomic.Int64
	gate := make(chan struct{})
	s, _ := httpSubject(t, func(w http.ResponseWriter, r *http.Request) {
		switch i := n.Add(1); {
		case i == 20:
			time.AfterFunc(stalled, func() { close(gate) })
			<-gate
		case i > 20:
			<-gate
		}
		io.WriteString(w, "{}")
	}, 2)
	s.Rate = 400
	r, err := s.Drive(t.Context(), 1, 400*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	// 80 of 160 were due while it stalled, two of them were sent.
	if waited := time.Duration(r.Latency.P90) * time.Microsecond; r.Answered+r.Unanswered != 160 || waited < stalled/2 {
		t.Errorf("%d answered; a tenth waited %s or more, through a stall of %s", r.Answered, waited, stalled)
	}
}

func TestUsageOfAServer(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "# HELP process_cpu_seconds_total x\nprocess_cpu_seconds_total 1.5\nprocess_resident_memory_bytes 2.5e+06\n"+
			"liked_like_changes_total{change=\"like\"} 7\nliked_like_changes_total{change=\"unlike\"} 3\n")
	}))
	defer srv.Close()
	u, err := usage(t.Context(), srv.URL)
	if err != nil || u != (Usage{CPU: 1500 * time.Millisecond, Changes: 10, RSS: 2_500_000}) {
		t.Errorf("%+v, %v", u, err)
	}
	if _, err := usage(t.Context(), srv.URL+"/%zz"); err == nil {
		t.Error("a server that is not there has a usage")
	}
}

// The floor answers what the server answered, to those who have a token, and asks as much of a request.
func TestFloor(t *testing.T) {
	w := world(2, 2)
	var input floorInput
	input.Answers[like] = []answer{{http.Header{"X-Test": {"1"}, "Content-Length": {"2"}}, "{}"}}
	input.Answers[likingUsers] = []answer{{http.Header{"Content-Length": {"4"}}, "full"}, {http.Header{"Content-Length": {"5"}}, "empty"}}
	for _, input.TLS = range []bool{false, true} {
		in, toFloor := io.Pipe()
		fromFloor, out := io.Pipe()
		ended := make(chan error, 1)
		go func() {
			err := ServeFloor(t.Context(), w, "", 0, in, out)
			out.CloseWithError(err)
			ended <- err
		}()
		if err := json.NewEncoder(toFloor).Encode(input); err != nil {
			t.Fatal(err)
		}
		var at served
		if err := json.NewDecoder(fromFloor).Decode(&at); err != nil {
			t.Fatal(err)
		}
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM([]byte(at.Certificate))
		client := http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}}
		for _, row := range []struct {
			name, method, path, token, body string
			status                          int
			want                            string
		}{
			{"like", "POST", "/2/users/1000/likes", "token0", `{"tweet_id":"1"}`, 200, "{}"},
			{"the token of another user", "POST", "/2/users/1000/likes", "token1", `{"tweet_id":"1"}`, 401, "unauthorized\n"},
			{"an unknown token", "GET", "/2/tweets/5/liking_users", "x", "", 401, "unauthorized\n"},
			{"no body", "POST", "/2/users/1000/likes", "token0", "", 400, "bad request\n"},
			{"what the server was not asked", "GET", "/2/tweets/5", "token0", "", 404, "404 page not found\n"},
			{"a page", "GET", "/2/tweets/5/liking_users?max_results=100", "token1", "", 200, "empty"},
			{"the next page", "GET", "/2/tweets/5/liking_users?max_results=100", "token1", "", 200, "full"},
		} {
			r, err := http.NewRequestWithContext(t.Context(), row.method, at.URL+row.path, strings.NewReader(row.body))
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Authorization", "Bearer "+row.token)
			resp, err := client.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			if resp.StatusCode != row.status || string(body) != row.want || err != nil {
				t.Errorf("%s: %d %q, %v", row.name, resp.StatusCode, body, err)
			}
			if row.name == "like" && resp.Header.Get("X-Test") != "1" {
				t.Errorf("%v", resp.Header)
			}
			if (resp.TLS != nil) != input.TLS {
				t.Errorf("%s: over TLS: %t", row.name, resp.TLS != nil)
			}
		}
		client.CloseIdleConnections()
		toFloor.Close()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

// A floor of its own process repeats what the server says, over TLS if the server speaks it; who vouches for neither is not called.
func TestFloorOfAServer(t *testing.T) {
	if os.Getenv("BENCH_FLOOR") != "" {
		w := world(4, 4)
		if err := ServeFloor(t.Context(), w, "", 0, os.Stdin, os.Stdout); err != nil {
			t.Fatal(err)
		}
		os.Exit(0) // before the test says something on the same output
	}
	t.Setenv("BENCH_FLOOR", "yes")
	var asked atomic.Int64
	page := func(n int64) answer {
		body := fmt.Sprintf(`{"page":%d}`, n)
		return answer{http.Header{"Content-Length": {strconv.Itoa(len(body))}, "Content-Type": {"application/json"},
			"Date": {"Mon, 01 Jan 2024 00:00:00 GMT"}, "X-Page": {strconv.FormatInt(n, 10)}}, body}
	}
	srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a := page(asked.Add(1))
		maps.Copy(w.Header(), a.Header)
		io.WriteString(w, a.Body)
	}))
	defer srv.Close()
	w := world(4, 4)
	w.URL, w.Roots = srv.URL, x509.NewCertPool()
	if _, err := HTTP("server", w.URL, "", world(4, 4), Workload{Mix: Likes}, 1); err == nil {
		t.Error("TLS without anybody who vouches is accepted")
	}
	if _, err := StartFloor(t.Context(), w, Workload{Mix: Feed}, os.Args[0], "-test.run=^TestFloorOfAServer$"); err == nil {
		t.Error("a server is called that nobody vouches for")
	}
	w.Roots.AddCert(srv.Certificate())
	floor, err := StartFloor(t.Context(), w, Workload{Mix: Feed}, os.Args[0], "-test.run=^TestFloorOfAServer$")
	if err != nil {
		t.Fatal(err)
	}
	if n := asked.Load(); n != 1+2*samples { // the like, and as many pages of both lists
		t.Errorf("the server was asked %d times", n)
	}
	// Every answer is one of the server's, to the byte, and each of these is given in turn.
	below := world(4, 4)
	below.Roots = x509.NewCertPool()
	below.Roots.AppendCertsFromPEM([]byte(floor.Certificate))
	requests, err := newRequests(below, floor.URL, Workload{Mix: Feed})
	if err != nil {
		t.Fatal(err)
	}
	q := requests.newRequester(0, rand.New(rand.NewPCG(1, 2)))
	repeated := make(map[int64]bool)
	for kind, times := range map[int]int{like: 1, likedTweets: samples, likingUsers: samples} {
		for range times {
			a, err := ask(t.Context(), q, kind)
			n, _ := strconv.ParseInt(a.Header.Get("X-Page"), 10, 64)
			if repeated[n] = true; err != nil || !reflect.DeepEqual(a, page(n)) {
				t.Fatalf("%s: %v, %v, want %v", kindNames[kind], a, err, page(n))
			}
		}
	}
	if len(repeated) != 1+2*samples {
		t.Errorf("the floor has %d answers", len(repeated))
	}
	s, err := floor.Subject("floor", w, Workload{Mix: Feed}, 2)
	if err != nil {
		t.Fatal(err)
	}
	r := someCalls(t, s, 100*time.Millisecond)
	if r.Answered == 0 || len(r.Errors) > 0 || asked.Load() != 1+2*samples {
		t.Errorf("%d answered, %v; the server was asked %d times", r.Answered, r.Errors, asked.Load())
	}
	if err := floor.Close(); err != nil {
		t.Error(err)
	}
}

// The floors of the disk can be called, and leave nothing behind.
func TestDiskFloors(t *testing.T) {
	dir := t.TempDir()
	floors, remove, err := Disk(dir, 4)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range floors {
		if r := someCalls(t, s, 50*time.Millisecond); r.Answered == 0 || len(r.Errors) > 0 {
			t.Errorf("%s: %d answered, %v", s.Name, r.Answered, r.Errors)
		}
	}
	if err := remove(); err != nil {
		t.Error(err)
	}
	empty(t, dir)
}
