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
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
)

// The floors are what a server cannot be faster than, each as bare as it can be.

// The floor of a server is one of net/http, in a process of its own as the measured one is, that decodes the same requests, looks
// the bearer token up in a map and answers the same bytes over the same transport, headers included, ready in memory: nothing is
// stored or read, but for a database in which each like can be one statement.

// samples is how many answers of each kind a floor has, which it gives in turn: lists differ in length.
const samples = 64

// answer is what a floor repeats.
type answer struct {
	Header http.Header `json:"header"`
	Body   string      `json:"body"`
}

// floorInput is what a floor is told.
type floorInput struct {
	Answers [kinds][]answer `json:"answers"`
	TLS     bool            `json:"tls"`
}

// StartFloor starts the floor of a server: the command must call [ServeFloor] for the same world. It asks the server for
// the answers to calls of each kind in the workload, to repeat them: what is read must be there.
func StartFloor(ctx context.Context, world World, w Workload, command ...string) (*Process, error) {
	w.OAuth1 = false
	r, err := newRequests(world, world.URL, w)
	if err != nil {
		return nil, err
	}
	q := r.newRequester(0, rand.New(rand.NewPCG(1, 3)))
	input := floorInput{TLS: r.tls != nil}
	for kind, share := range w.Mix {
		n := samples
		switch {
		case share == 0:
			n = 0
		case kind == like || kind == unlike:
			n = 1 // all are the same
		}
		for range n {
			a, err := ask(ctx, q, kind)
			if err != nil {
				return nil, fmt.Errorf("%s: %s: %w", world.URL, kindNames[kind], err)
			}
			input.Answers[kind] = append(input.Answers[kind], a)
		}
	}
	return StartProcess(ctx, input, command...)
}

// ask sends a request of a kind and returns its answer, which must be a 200.
func ask(ctx context.Context, q *requester, kind int) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, cutOff)
	defer cancel()
	conn, err := q.dial(ctx)
	if err != nil {
		return answer{}, err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(cutOff)); err != nil {
		return answer{}, err
	}
	if _, err := conn.Write(q.request(kind)); err != nil {
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

// ServeFloor is the process of a floor. With a database it likes there, with the bare statement through so many connections.
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
	var input floorInput
	rest, err := Input(stdin, &input)
	if err != nil {
		return err
	}
	return ServeProcess(floorHandler(world, input.Answers, store), input.TLS, rest, stdout)
}

func floorHandler(world World, answers [kinds][]answer, store func(ctx context.Context, user, post int64) error) http.Handler {
	callers := make(map[[32]byte]string)
	for _, u := range world.Users {
		callers[sha256.Sum256([]byte(u.AccessToken))] = u.ID
	}
	mux := http.NewServeMux()
	for kind, pattern := range patterns {
		var next atomic.Uint64
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
			user, known := callers[sha256.Sum256([]byte(token))]
			writes := kind == like || kind == unlike
			if !known || writes && user != r.PathValue("id") {
				http.Error(w, "unauthorized", http.StatusUnauthorized)
				return
			}
			if len(answers[kind]) == 0 {
				http.NotFound(w, r)
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
			a := &answers[kind][next.Add(1)%uint64(len(answers[kind]))]
			for name, values := range a.Header {
				w.Header()[name] = values
			}
			_, _ = io.WriteString(w, a.Body)
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
