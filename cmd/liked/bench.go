package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// benchCmd measures a running server against a floor: a bare net/http server, in a process of its own, that decodes the
// same body, looks the same token up in a map and answers the same bytes, headers included, without storing anything.
// Both are driven by the same clients in turns of one run, because the ratio of the two holds on a noisy machine where a
// figure alone does not.
type benchCmd struct {
	Credentials string        `required:"" type:"existingfile" help:"The file that 'liked dev --credentials' wrote."`
	Connections int           `default:"128" help:"Clients, each with a connection of its own, that send a like as soon as the last one was answered."`
	Duration    time.Duration `default:"5s" help:"How long a turn takes."`
	Turns       int           `default:"3" help:"Turns of the floor and of the server; the median of the ratios is reported."`
	Zipf        float64       `default:"1.1" help:"How unequal the posts are: exponent of the Zipf distribution from which they are drawn, above 1."`
	JSON        bool          `help:"Print one JSON object; latencies are in microseconds."`
	Floor       bool          `hidden:"" help:"Be the floor: answer what standard input says until it ends."`
}

func (benchCmd) Help() string {
	return `The server must let through what it is sent, and keep it on a disk to be measured whole:

  liked dev --data /tmp/bench --users 1000 --posts 10000 --rate-limits off --credentials /tmp/bench.json
  liked bench --credentials /tmp/bench.json --connections 32`
}

// benchWorld is what a credentials file says that a benchmark needs.
type benchWorld struct {
	URL   string `json:"url"`
	Users []struct {
		ID          string `json:"id"`
		AccessToken string `json:"access_token"`
	} `json:"users"`
	Posts []struct {
		ID string `json:"id"`
	} `json:"posts"`
}

func (c *benchCmd) check() error {
	if c.Connections < 1 || c.Turns < 1 || c.Duration <= 0 || c.Zipf <= 1 {
		return errors.New("bench: --connections and --turns start at 1, --duration is positive, --zipf is above 1")
	}
	return nil
}

func (c *benchCmd) Run(e *env) error {
	ctx := e.ctx
	text, err := os.ReadFile(c.Credentials)
	if err != nil {
		return err
	}
	var world benchWorld
	if err := json.Unmarshal(text, &world); err != nil {
		return fmt.Errorf("%s is not a credentials file: %w", c.Credentials, err)
	}
	if len(world.Users) == 0 || len(world.Posts) == 0 {
		return fmt.Errorf("%s names no users or no posts", c.Credentials)
	}
	if c.Floor {
		return serveFloor(world, e.stdin, e.stdout)
	}

	server, err := newLoad(world, world.URL, c.Zipf)
	if err != nil {
		return err
	}
	sample, err := server.sample(ctx)
	if err != nil {
		return fmt.Errorf("%s: %w", world.URL, err)
	}
	floorURL, stop, err := c.startFloor(ctx, sample)
	if err != nil {
		return fmt.Errorf("starting the floor: %w", err)
	}
	defer stop()
	floor, err := newLoad(world, floorURL, c.Zipf)
	if err != nil {
		return err
	}

	report := benchReport{Connections: c.Connections, Users: len(world.Users), Posts: len(world.Posts), Zipf: c.Zipf, Seconds: c.Duration.Seconds()}
	for turn := range c.Turns + 1 {
		f, err := floor.drive(ctx, c.Connections, c.Duration)
		if err != nil {
			return fmt.Errorf("floor: %w", err)
		}
		s, err := server.drive(ctx, c.Connections, c.Duration)
		if err != nil {
			return fmt.Errorf("%s: %w", world.URL, err)
		}
		if turn > 0 { // the first turn warms up
			report.Turns = append(report.Turns, benchTurn{f, s, s.PerSecond / f.PerSecond})
		}
	}
	ratios := make([]float64, len(report.Turns))
	for i, t := range report.Turns {
		ratios[i] = t.Ratio
	}
	slices.Sort(ratios)
	report.Ratio = ratios[len(ratios)/2]
	if c.JSON {
		return json.NewEncoder(e.stdout).Encode(report)
	}
	report.print(e.stdout)
	return nil
}

type benchReport struct {
	Connections int         `json:"connections"`
	Users       int         `json:"users"`
	Posts       int         `json:"posts"`
	Zipf        float64     `json:"zipf"`
	Seconds     float64     `json:"seconds_per_turn"`
	Turns       []benchTurn `json:"turns"`
	Ratio       float64     `json:"ratio"` // median over the turns of likes per second, server to floor
}

type benchTurn struct {
	Floor  benchResult `json:"floor"`
	Server benchResult `json:"server"`
	Ratio  float64     `json:"ratio"`
}

// benchResult is one turn of one server. Latencies are in microseconds, from the first byte sent to the last received.
type benchResult struct {
	Likes     int     `json:"likes"`
	PerSecond float64 `json:"likes_per_second"`
	P50       int64   `json:"p50_us"`
	P90       int64   `json:"p90_us"`
	P99       int64   `json:"p99_us"`
	P999      int64   `json:"p999_us"`
	Max       int64   `json:"max_us"`
}

func (r benchReport) print(w io.Writer) {
	fmt.Fprintf(w, "%d connections, %d users, %d posts drawn by Zipf's law with %g, %g s a turn\n\n", r.Connections, r.Users, r.Posts, r.Zipf, r.Seconds)
	fmt.Fprintf(w, "%-8s %10s %9s %9s %9s %9s %9s\n", "", "likes/s", "p50 µs", "p90 µs", "p99 µs", "p99.9 µs", "max µs")
	for _, t := range r.Turns {
		for _, row := range []struct {
			name string
			benchResult
		}{{"floor", t.Floor}, {"server", t.Server}} {
			fmt.Fprintf(w, "%-8s %10.0f %9d %9d %9d %9d %9d\n", row.name, row.PerSecond, row.P50, row.P90, row.P99, row.P999, row.Max)
		}
	}
	fmt.Fprintf(w, "\nThe server reaches %.2f of the floor (median of %d turns).\n", r.Ratio, len(r.Turns))
}

// load is the requests that a server is sent, ready but for the choice of a user and a post.
type load struct {
	address string
	heads   [][]byte // by user: everything up to the length of the body
	tails   [][]byte // by post: the length and the body
	zipf    float64
}

func newLoad(world benchWorld, base string, zipf float64) (*load, error) {
	u, err := url.Parse(base)
	if err != nil || u.Scheme != "http" || u.Port() == "" {
		return nil, fmt.Errorf("%q is not http://host:port; the benchmark speaks plain HTTP", base)
	}
	l := &load{address: u.Host, zipf: zipf}
	for _, user := range world.Users {
		l.heads = append(l.heads, fmt.Appendf(nil, "POST /2/users/%s/likes HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\n",
			user.ID, u.Host, user.AccessToken))
	}
	for _, post := range world.Posts {
		body := fmt.Sprintf(`{"tweet_id":"%s"}`, post.ID)
		l.tails = append(l.tails, fmt.Appendf(nil, "Content-Length: %d\r\n\r\n%s", len(body), body))
	}
	return l, nil
}

// drive sends likes over that many connections for a while. It fails at the first answer that is not a 200.
func (l *load) drive(ctx context.Context, connections int, d time.Duration) (benchResult, error) {
	ctx, cancel := context.WithTimeout(ctx, d+10*time.Second) // for a server that stops answering
	defer cancel()
	latencies := make([][]int64, connections)
	failures := make([]error, connections)
	var wg sync.WaitGroup
	start := time.Now()
	for i := range connections {
		wg.Go(func() {
			if latencies[i], failures[i] = l.client(ctx, start.Add(d)); failures[i] != nil {
				cancel()
			}
		})
	}
	wg.Wait()
	elapsed := time.Since(start)
	for _, err := range failures {
		if err != nil && !errors.Is(err, context.Canceled) {
			return benchResult{}, err
		}
	}
	all := slices.Concat(latencies...)
	if len(all) == 0 {
		return benchResult{}, errors.New("no like was answered")
	}
	slices.Sort(all)
	at := func(q float64) int64 { return all[min(int(q*float64(len(all))), len(all)-1)] }
	return benchResult{len(all), float64(len(all)) / elapsed.Seconds(), at(.5), at(.9), at(.99), at(.999), all[len(all)-1]}, nil
}

// client sends one like after the other until the deadline, and returns how long each took.
func (l *load) client(ctx context.Context, deadline time.Time) (latencies []int64, err error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", l.address)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.SetDeadline(time.Now()) })()
	random := rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))
	posts := rand.NewZipf(random, l.zipf, 1, uint64(len(l.tails)-1))
	answers := bufio.NewReader(conn)
	var request []byte
	for {
		request = append(append(request[:0], l.heads[random.IntN(len(l.heads))]...), l.tails[posts.Uint64()]...)
		sent := time.Now()
		if sent.After(deadline) {
			return latencies, nil
		}
		if _, err := conn.Write(request); err != nil {
			return nil, errors.Join(ctx.Err(), err)
		}
		if err := readAnswer(answers); err != nil {
			return nil, errors.Join(ctx.Err(), err)
		}
		latencies = append(latencies, time.Since(sent).Microseconds())
	}
}

// readAnswer reads an HTTP/1.1 answer with a Content-Length. It does as little as it can, to leave the machine to the
// server.
func readAnswer(r *bufio.Reader) error {
	status, err := r.ReadSlice('\n')
	if err != nil {
		return err
	}
	ok := bytes.HasPrefix(status, []byte("HTTP/1.1 200 "))
	first := string(bytes.TrimSpace(status[:min(len(status), 64)]))
	length := -1
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return err
		}
		if len(line) <= 2 {
			break
		}
		if name, value, _ := bytes.Cut(line, []byte(": ")); bytes.EqualFold(name, []byte("Content-Length")) {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(value))); err != nil {
				return err
			}
		}
	}
	if length < 0 {
		return fmt.Errorf("%s without a content-length", first)
	}
	if !ok {
		body, _ := io.ReadAll(io.LimitReader(r, int64(length)))
		return fmt.Errorf("%s: %s", first, body)
	}
	_, err = r.Discard(length)
	return err
}

// sample is an answer for the floor to repeat.
type sample struct {
	Header http.Header `json:"header"`
	Body   string      `json:"body"`
}

// sample sends the first like and returns its answer.
func (l *load) sample(ctx context.Context) (sample, error) {
	conn, err := (&net.Dialer{Timeout: 10 * time.Second}).DialContext(ctx, "tcp", l.address)
	if err != nil {
		return sample{}, err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := conn.Write(slices.Concat(l.heads[0], l.tails[0])); err != nil {
		return sample{}, err
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return sample{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", resp.Status, body)
	}
	return sample{resp.Header, string(body)}, err
}

// startFloor starts the floor as a process of its own, as the server is one. It is told on its standard input what to
// answer, and ends with that input, even if this process is killed.
func (c *benchCmd) startFloor(ctx context.Context, answer sample) (url string, stop func(), err error) {
	self, err := os.Executable()
	if err != nil {
		return "", nil, err
	}
	cmd := exec.CommandContext(ctx, self, "bench", "--floor", "--credentials", c.Credentials)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return "", nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return "", nil, err
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return "", nil, err
	}
	stop = func() { stdin.Close(); cmd.Wait() }
	if err := json.NewEncoder(stdin).Encode(answer); err != nil {
		stop()
		return "", nil, err
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		stop()
		return "", nil, err
	}
	return strings.TrimSpace(line), stop, nil
}

// serveFloor prints its URL and serves until stdin ends.
func serveFloor(world benchWorld, stdin io.Reader, stdout io.Writer) error {
	var answer sample
	if err := json.NewDecoder(stdin).Decode(&answer); err != nil {
		return err
	}
	callers := make(map[[32]byte]string)
	for _, u := range world.Users {
		callers[sha256.Sum256([]byte(u.AccessToken))] = u.ID
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /2/users/{id}/likes", func(w http.ResponseWriter, r *http.Request) {
		token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		if callers[sha256.Sum256([]byte(token))] != r.PathValue("id") {
			http.Error(w, "unauthorized", http.StatusUnauthorized)
			return
		}
		text, err := io.ReadAll(r.Body)
		var body struct {
			TweetID string `json:"tweet_id"`
		}
		if err != nil || json.Unmarshal(text, &body) != nil || body.TweetID == "" {
			http.Error(w, "bad request", http.StatusBadRequest)
			return
		}
		for name, values := range answer.Header {
			w.Header()[name] = values
		}
		io.WriteString(w, answer.Body)
	})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "http://%s\n", l.Addr())
	srv := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	go func() {
		io.Copy(io.Discard, stdin)
		srv.Close()
	}()
	if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
