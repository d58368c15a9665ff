package server_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"liked/internal/seed"
	"liked/internal/server"
	"liked/internal/store/pebblestore"
)

// A server gives up a disk that has failed, and with it goroutines and the lock of the directory, until its process ends.
// So it has a process of its own here: the binary of these tests, which is told by faultyEnv what to serve, and on its
// standard input which accesses to its disk fail from now on.
const faultyEnv = "LIKED_TEST_FAULTY_DATA"

func serveFaulty(data string) error {
	var failing atomic.Value // "", "writes", "syncs" or "reads"
	failing.Store("")
	disk := errorfs.Wrap(vfs.Default, errorfs.InjectorFunc(func(op errorfs.Op) error {
		kind := ""
		switch op.Kind {
		case errorfs.OpFileWrite, errorfs.OpFileWriteAt, errorfs.OpCreate, errorfs.OpReuseForWrite:
			kind = "writes"
		case errorfs.OpFileSync, errorfs.OpFileSyncData, errorfs.OpFileSyncTo:
			kind = "syncs"
		case errorfs.OpFileRead, errorfs.OpFileReadAt:
			kind = "reads"
		}
		if kind != "" && kind == failing.Load() {
			return &fs.PathError{Op: "access", Path: op.Path, Err: syscall.EIO}
		}
		return nil
	}))
	c := server.Config{Data: data, KnownSeed: true, Logger: slog.New(slog.NewTextHandler(os.Stderr, nil))}
	c.SetDisk(func(o *pebblestore.Options) { o.FS, o.CacheBytes, o.RowBytes = disk, 1, 1 })
	srv, err := server.New(c)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	go func() {
		in := bufio.NewScanner(os.Stdin)
		for in.Scan() {
			failing.Store(in.Text())
			fmt.Println("so be it")
		}
		stop() // the test that started this process has ended
	}()
	if err := json.NewEncoder(os.Stdout).Encode(seed.Credentials{URL: srv.URL(), AdminURL: srv.AdminURL()}); err != nil {
		return err
	}
	return srv.Run(ctx)
}

// faulty is a server in a process of its own.
type faulty struct {
	seed.Credentials
	cmd *exec.Cmd
	in  io.Writer
	out *bufio.Scanner
	log *os.File
}

func startFaulty(t *testing.T, data string, k seed.Credentials) *faulty {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	f := &faulty{Credentials: k, cmd: exec.Command(exe)}
	f.cmd.Env = append(os.Environ(), faultyEnv+"="+data)
	if f.log, err = os.Create(filepath.Join(t.TempDir(), "log")); err != nil {
		t.Fatal(err)
	}
	f.cmd.Stderr = f.log
	in, err := f.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := f.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	f.in, f.out = in, bufio.NewScanner(out)
	if err := f.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = f.cmd.Process.Kill() // unless it has ended
		_ = f.cmd.Wait()
		if t.Failed() {
			t.Log(f.logged())
		}
		_ = f.log.Close()
	})
	if !f.out.Scan() || json.Unmarshal(f.out.Bytes(), &f.Credentials) != nil {
		t.Fatalf("the server does not start: %q", f.out.Text())
	}
	f.Users, f.Posts = k.Users, k.Posts
	return f
}

// fail has accesses of a kind fail from now on, "" none.
func (f *faulty) fail(t *testing.T, kind string) {
	t.Helper()
	if _, err := fmt.Fprintln(f.in, kind); err != nil || !f.out.Scan() {
		t.Fatalf("the server does not listen: %v, %v", err, f.out.Err())
	}
}

func (f *faulty) logged() string {
	text, _ := os.ReadFile(f.log.Name())
	return string(text)
}

// stop has the server end as an operator does, and returns how it did.
func (f *faulty) stop(t *testing.T) error {
	t.Helper()
	if err := f.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	return f.cmd.Wait()
}

// unavailable is X's body of a 503.
const unavailable = `{"title":"Service Unavailable","detail":"Service Unavailable","type":"about:blank","status":503}`

// caller asks a server for things.
type caller struct {
	*http.Client
	seed.Credentials
}

// like returns the answer to a like, or to one taken back.
func (c caller) like(t *testing.T, user, post int, on bool) (int, string) {
	t.Helper()
	url := c.URL + "/2/users/" + c.Users[user].ID.String() + "/likes"
	if on {
		return c.ask(t, "POST", url, user, `{"tweet_id":"`+c.Posts[post].ID.String()+`"}`)
	}
	return c.ask(t, "DELETE", url+"/"+c.Posts[post].ID.String(), user, "")
}

// likers returns the answer of who likes a post.
func (c caller) likers(t *testing.T, post int) (int, string) {
	t.Helper()
	return c.ask(t, "GET", c.URL+"/2/tweets/"+c.Posts[post].ID.String()+"/liking_users", 0, "")
}

func (c caller) ask(t *testing.T, method, url string, user int, body string) (int, string) {
	t.Helper()
	resp, text := send(t, c.Client, method, url, c.Users[user].AccessToken, body)
	return resp.StatusCode, text
}

// allRefused expects that nothing works, and that the probes say why.
func (c caller) allRefused(t *testing.T, why string) {
	t.Helper()
	c.callsRefused(t)
	for _, probe := range []string{"/livez", "/readyz"} {
		if status, body := c.ask(t, "GET", c.AdminURL+probe, 0, ""); status != 503 || !strings.Contains(body, why) {
			t.Errorf("%s: got %d %s, want 503 and %q", probe, status, body, why)
		}
	}
}

func (c caller) callsRefused(t *testing.T) {
	t.Helper()
	for _, on := range []bool{true, false} {
		if status, body := c.like(t, 0, 0, on); status != 503 || body != unavailable {
			t.Errorf("a like set %t: got %d %s, want 503 %s", on, status, body, unavailable)
		}
	}
	if status, body := c.likers(t, 0); status != 503 || body != unavailable {
		t.Errorf("who likes a post: got %d %s, want 503 %s", status, body, unavailable)
	}
}

// seeded makes a data directory with a world of some users.
func seeded(t *testing.T, users int) (data string, k seed.Credentials) {
	t.Helper()
	data = filepath.Join(t.TempDir(), "data")
	w := world()
	w.Users = users
	srv, stop := start(t, server.Config{Data: data, Seed: w})
	k = srv.Credentials()
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	return data, k
}

// Once a write or a sync has failed nothing is acknowledged, and nothing that is not on the disk is shown; the probes and the
// log say what to do. After a restart on a disk that is well, all that was acknowledged is there, and all agrees.
func TestDiskFails(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"writes", "syncs"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			data, k := seeded(t, 3)
			f := startFaulty(t, data, k)
			c := caller{client(t, nil), f.Credentials}
			for user := range 2 {
				if status, body := c.like(t, user, user, true); status != 200 {
					t.Fatalf("like: %d %s", status, body)
				}
			}
			f.fail(t, kind)
			if status, body := c.like(t, 2, 0, true); status != 503 || body != unavailable {
				t.Errorf("the like that meets the fault: got %d %s, want 503 %s", status, body, unavailable)
			}
			const wanted = "the disk refused a write; restart the server once it is well"
			c.allRefused(t, wanted)
			f.fail(t, "") // too late: what is in memory may not be on the disk
			c.allRefused(t, wanted)
			if err := f.stop(t); err == nil {
				t.Error("the server ended as if nothing had been wrong")
			}
			log := f.logged()
			if strings.Count(log, "refusing all calls from now on: "+wanted) != 1 || !strings.Contains(log, "input/output error") {
				t.Error("the log does not say, or not once, what is wrong and what to do")
			}

			srv, _ := start(t, server.Config{Data: data})
			c.URL, c.AdminURL = srv.URL(), srv.AdminURL()
			for user := range 2 {
				status, body := c.likers(t, user)
				if status != 200 || !strings.Contains(body, `"`+c.Users[user].ID.String()+`"`) {
					t.Errorf("after the restart: got %d %s, want the like of user %d", status, body, user)
				}
			}
			for _, on := range []bool{false, true} { // whether the like in doubt is there or not, it can be said again
				if status, body := c.like(t, 2, 0, on); status != 200 {
					t.Errorf("after the restart, a like set %t: %d %s", on, status, body)
				}
			}
		})
	}
}

// A read that the disk refuses fails the calls that need it, and nothing else. The probes stay well, since no restart would
// help, and once the disk can be read all is as before.
func TestReadsFail(t *testing.T) {
	t.Parallel()
	data, k := seeded(t, 300) // in more blocks of tables than a start reads
	f := startFaulty(t, data, k)
	c := caller{client(t, nil), f.Credentials}
	f.fail(t, "reads")
	c.callsRefused(t)
	for _, probe := range []string{"/livez", "/readyz"} {
		if status, body := c.ask(t, "GET", c.AdminURL+probe, 0, ""); status != 200 {
			t.Errorf("%s: got %d %s", probe, status, body)
		}
	}
	f.fail(t, "")
	if status, body := c.like(t, 0, 0, true); status != 200 {
		t.Errorf("a like when the disk can be read again: %d %s", status, body)
	}
	if status, body := c.likers(t, 0); status != 200 || !strings.Contains(body, c.Users[0].ID.String()) {
		t.Errorf("who likes the post: got %d %s", status, body)
	}
	if err := f.stop(t); err != nil {
		t.Errorf("the server: %v", err)
	}
	for _, want := range []string{"the disk refuses to be read or written; the log of the system says why", "input/output error"} {
		if !strings.Contains(f.logged(), want) {
			t.Errorf("the log lacks %q", want)
		}
	}
	start(t, server.Config{Data: data}) // proves itself
}

// Requests that wait for a disk that does not answer get X's 503 before their connection is cut, and later ones get it at
// once. When the disk answers again the server goes on without a restart; what was refused has happened or not.
func TestDiskDoesNotAnswer(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var goOn chan struct{} // nil: the disk answers
	data, k := seeded(t, 3)
	config := server.Config{Data: data}
	config.SetDisk(func(o *pebblestore.Options) {
		o.DiskTimeout = 5 * time.Second // a busy disk takes two, now and then
		o.FS = errorfs.Wrap(vfs.Default, errorfs.InjectorFunc(func(op errorfs.Op) error {
			switch op.Kind {
			case errorfs.OpFileSync, errorfs.OpFileSyncData, errorfs.OpFileSyncTo:
				mu.Lock()
				wait := goOn
				mu.Unlock()
				if wait != nil {
					<-wait
				}
			}
			return nil
		}))
	})
	srv, _ := start(t, config)
	k.URL, k.AdminURL = srv.URL(), srv.AdminURL()
	c := caller{client(t, nil), k}
	if status, body := c.like(t, 0, 0, true); status != 200 {
		t.Fatalf("like: %d %s", status, body)
	}
	set := func(ch chan struct{}) {
		mu.Lock()
		defer mu.Unlock()
		goOn = ch
	}
	standing := make(chan struct{})
	release := sync.OnceFunc(func() { set(nil); close(standing) })
	defer release() // before the server is stopped
	set(standing)
	if status, body := c.like(t, 1, 0, true); status != 503 || body != unavailable {
		t.Errorf("a like that the disk keeps: got %d %s, want 503 %s", status, body, unavailable)
	}
	c.allRefused(t, "the disk has not answered")
	release()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		status, body := c.like(t, 1, 0, true)
		if status == 200 {
			break
		}
		if status != 503 || time.Now().After(deadline) {
			t.Fatalf("the like, given again: got %d %s, want 200", status, body)
		}
	}
	if status, body := c.likers(t, 0); status != 200 || strings.Count(body, `"username"`) != 2 {
		t.Errorf("who likes the post: got %d %s, want two", status, body)
	}
}
