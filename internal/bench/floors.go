package bench

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
)

// The floors are what a server cannot be faster than, each as bare as it can be.

// Floor is a server of net/http, in a process of its own as the measured one is, that decodes the same requests, looks
// the bearer token up in a map and answers the same bytes, headers included, without storing anything, or with one statement
// for each like.
type Floor struct {
	URL  string
	pid  int
	stop func() error
}

// Subject returns the floor as a subject, which is called as [HTTP] calls a server.
func (f *Floor) Subject(name string, world World, w Workload, callers int) (Subject, error) {
	w.OAuth1 = false // which it does not know
	s, err := HTTP(name, f.URL, "", world, w, callers)
	s.Usage = func(context.Context) (Usage, error) { return Usage{CPU: processTime(f.pid)}, nil }
	return s, err
}

// Close ends the process.
func (f *Floor) Close() error { return f.stop() }

// answer is what a floor repeats.
type answer struct {
	Header http.Header `json:"header"`
	Body   string      `json:"body"`
}

// StartFloor starts the floor of a server: the command must call [ServeFloor] for the same world. It asks the server for
// the answer to each kind of call in the workload, to repeat it.
func StartFloor(ctx context.Context, world World, w Workload, command ...string) (*Floor, error) {
	w.OAuth1 = false
	r, err := newRequests(world, world.URL, w)
	if err != nil {
		return nil, err
	}
	q := r.newRequester(0, rand.New(rand.NewPCG(1, 3)))
	var answers [kinds]answer
	for kind, share := range w.Mix {
		if share > 0 {
			if answers[kind], err = ask(ctx, r.host, q.request(kind, 0, world.Posts[q.posts()].ID)); err != nil {
				return nil, fmt.Errorf("%s: %s: %w", world.URL, kindNames[kind], err)
			}
		}
	}
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	stdin, err := cmd.StdinPipe() // which ends with this process, even if it is killed
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	stop := func() error { return errors.Join(stdin.Close(), cmd.Wait()) }
	err = json.NewEncoder(stdin).Encode(answers)
	line := ""
	if err == nil {
		line, err = bufio.NewReader(out).ReadString('\n')
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("starting the floor: %w", err), stop())
	}
	return &Floor{strings.TrimSpace(line), cmd.Process.Pid, stop}, nil
}

// ask sends a request and returns its answer, which must be a 200.
func ask(ctx context.Context, host string, request []byte) (answer, error) {
	conn, err := (&net.Dialer{Timeout: cutOff}).DialContext(ctx, "tcp", host)
	if err != nil {
		return answer{}, err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(cutOff)); err != nil {
		return answer{}, err
	}
	if _, err := conn.Write(request); err != nil {
		return answer{}, err
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = &Refused{resp.Status, string(body[:min(len(body), maxExample)])}
	}
	return answer{resp.Header, string(body)}, err
}

// ServeFloor is the process of a floor: it reads what to answer from stdin, prints its URL and serves until stdin ends. With a
// database it likes there, with the bare statement through so many connections.
func ServeFloor(ctx context.Context, world World, database string, connections int, stdin io.Reader, stdout io.Writer) error {
	store := func(context.Context, int64, int64) error { return nil }
	if database != "" {
		like, closeAll, err := bare(ctx, database, connections)
		if err != nil {
			return err
		}
		defer closeAll()
		store = like
	}
	input := bufio.NewReader(stdin)
	text, err := input.ReadBytes('\n')
	if err != nil {
		return err
	}
	var answers [kinds]answer
	if err := json.Unmarshal(text, &answers); err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "http://%s\n", l.Addr())
	srv := &http.Server{Handler: floorHandler(world, answers, store), ReadHeaderTimeout: cutOff}
	go func() {
		_, _ = io.Copy(io.Discard, input)
		_ = srv.Close()
	}()
	if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func floorHandler(world World, answers [kinds]answer, store func(ctx context.Context, user, post int64) error) http.Handler {
	callers := make(map[[32]byte]string)
	for _, u := range world.Users {
		callers[sha256.Sum256([]byte(u.AccessToken))] = u.ID
	}
	mux := http.NewServeMux()
	for kind, pattern := range [kinds]string{"POST /2/users/{id}/likes", "DELETE /2/users/{id}/likes/{post}",
		"GET /2/users/{id}/liked_tweets", "GET /2/tweets/{id}/liking_users"} {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
			user, known := callers[sha256.Sum256([]byte(token))]
			if !known || kind != likingUsers && user != r.PathValue("id") {
				http.Error(w, "unauthorized", http.StatusUnauthorized)
				return
			}
			if kind == like {
				text, err := io.ReadAll(r.Body)
				var body struct {
					TweetID string `json:"tweet_id"`
				}
				if err != nil || json.Unmarshal(text, &body) != nil || body.TweetID == "" {
					http.Error(w, "bad request", http.StatusBadRequest)
					return
				}
				by, _ := strconv.ParseInt(user, 10, 64)
				post, _ := strconv.ParseInt(body.TweetID, 10, 64)
				if err := store(r.Context(), by, post); err != nil {
					http.Error(w, err.Error(), http.StatusServiceUnavailable)
					return
				}
			}
			for name, values := range answers[kind].Header {
				w.Header()[name] = values
			}
			_, _ = io.WriteString(w, answers[kind].Body)
		})
	}
	return mux
}

// Func is a call of one kind that is a function.
type Func func() error

// Do calls the function.
func (f Func) Do() (int, error) { return 0, f() }

// Close does nothing.
func (Func) Close() {}

// fdatasync is one caller that appends as many bytes as a like has in a log to a file in the directory, and waits until
// they are on the disk.
func fdatasync(name, dir string) (s Subject, stop func() error, err error) {
	f, err := os.CreateTemp(dir, "fdatasync-*")
	if err != nil {
		return Subject{}, nil, err
	}
	record := make([]byte, 256)
	return Subject{Name: name, Callers: 1, Kinds: []string{"append"}, Usage: ownProcess, Connect: func(context.Context, int) (Call, error) {
		return Func(func() error {
			if _, err := f.Write(record); err != nil {
				return err
			}
			return syncData(f)
		}), nil
	}}, f.Close, nil
}

// pebbleCommit is callers that each commit batches of the four keys of a like to a store of pebble's in the directory, one
// synced batch a like: only pebble itself groups writes.
func pebbleCommit(name, dir string, callers int) (s Subject, stop func() error, err error) {
	dir = filepath.Join(dir, name)
	db, err := pebble.Open(dir, &pebble.Options{Logger: quiet{}})
	if err != nil {
		return Subject{}, nil, err
	}
	var n atomic.Uint64
	connect := func(context.Context, int) (Call, error) {
		random := rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))
		return Func(func() error {
			user, post, seq := random.Uint64N(50_000)<<22, random.Uint64N(10_000)<<22, n.Add(1)
			b := db.NewBatch()
			for tag, key := range [][2]uint64{{user, post}, {user, ^seq}, {post, ^seq}, {user % 20, seq}} {
				var k [17]byte
				k[0] = byte(tag)
				binary.BigEndian.PutUint64(k[1:], key[0])
				binary.BigEndian.PutUint64(k[9:], key[1])
				if err := b.Set(k[:], k[9:], nil); err != nil {
					return err
				}
			}
			return errors.Join(b.Commit(pebble.Sync), b.Close())
		}), nil
	}
	return Subject{Name: name, Callers: callers, Kinds: []string{"commit"}, Usage: ownProcess, Connect: connect}, db.Close, nil
}

// ownProcess is the usage of what runs in this process: nothing beside it.
func ownProcess(context.Context) (Usage, error) { return Usage{}, nil }

// quiet is a logger for pebble that drops what is no failure.
type quiet struct{}

func (quiet) Infof(string, ...any)           {}
func (quiet) Errorf(format string, a ...any) { fmt.Fprintf(os.Stderr, format+"\n", a...) }
func (quiet) Fatalf(format string, a ...any) { panic(fmt.Sprintf(format, a...)) }

// Disk returns both floors of the disk that a directory is on, with files of their own in it that remove takes away.
func Disk(dir string, callers int) (floors []Subject, remove func() error, err error) {
	if dir, err = os.MkdirTemp(dir, "bench-*"); err != nil {
		return nil, nil, err
	}
	sync, closeFile, err := fdatasync("fdatasync", dir)
	if err != nil {
		return nil, nil, errors.Join(err, os.RemoveAll(dir))
	}
	commit, closeStore, err := pebbleCommit("pebble", dir, callers)
	if err != nil {
		return nil, nil, errors.Join(err, closeFile(), os.RemoveAll(dir))
	}
	return []Subject{sync, commit}, func() error { return errors.Join(closeFile(), closeStore(), os.RemoveAll(dir)) }, nil
}
