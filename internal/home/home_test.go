package home_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"liked"
	"liked/internal/enginetest"
	"liked/internal/exchange"
	"liked/internal/home"
	"liked/internal/likelog"
	"liked/internal/store"
	"liked/internal/web"
)

func TestMain(m *testing.M) { enginetest.Main(m) }

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// site is a page over a store with ten users, of whom the first wrote ten posts.
type site struct {
	*testing.T
	store store.Store
	likes atomic.Int64
	seen  chan exchange.Exchange
	url   string
	stop  func()
}

func newSite(t *testing.T, patience time.Duration, listen func() net.Listener) *site {
	t.Helper()
	st := enginetest.Open(t)
	s := &site{T: t, store: st, seen: make(chan exchange.Exchange, 1000)}
	for n := 1; n <= 10; n++ {
		s.ok(st.AddUser(t.Context(), liked.User{ID: liked.UserID(n), Username: "user" + strconv.Itoa(n), Name: "User", CreatedAt: start}))
		s.ok(st.AddPost(t.Context(), liked.Post{ID: liked.PostID(n), Author: 1, Text: fmt.Sprintf("post %d", n), CreatedAt: start}))
	}
	h := home.New(home.Options{Store: st, Log: likelog.New(st), Likes: s.likes.Load, Patience: patience, First: 3,
		Page:        web.Home{API: "X’s API"},
		Collection:  func() []byte { return []byte(`{"info":{}}`) },
		Environment: func() []byte { return []byte(`{"values":[]}`) },
		Observe:     func(_ *http.Request, x exchange.Exchange) { s.seen <- x }})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		h.Run(ctx)
	}()
	server := httptest.NewUnstartedServer(found(h))
	if listen != nil {
		_ = server.Listener.Close()
		server.Listener = listen()
	}
	server.Start()
	s.url = server.URL
	s.stop = func() {
		cancel()
		<-ended
	}
	t.Cleanup(func() {
		s.stop()
		server.Close() // waits for viewers
		s.ok(st.Close())
	})
	return s
}

// found answers what the room does, and 404 otherwise.
func found(h *home.Home) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if found := h.Find(r); found != nil {
			found.ServeHTTP(w, r)
		} else {
			http.NotFound(w, r)
		}
	})
}

func (s *site) ok(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

func (s *site) like(user, post int, on bool) {
	s.Helper()
	changed, err := s.store.SetLike(context.Background(), liked.UserID(user), liked.PostID(post), on, start)
	s.ok(err)
	if changed && on {
		s.likes.Add(1)
	}
}

// event is what a viewer is told.
type event struct {
	Known               bool
	Users, Posts, Likes int64
	Rate                string
	Board               []struct {
		ID, Text, Username string
		Likes              int64
	}
}

func (e event) likes(post string) int64 {
	for _, p := range e.Board {
		if p.ID == post {
			return p.Likes
		}
	}
	return -1
}

// watch returns a function that returns the first event from now on for which a condition holds.
func (s *site) watch() func(what string, holds func(event) bool) event {
	s.Helper()
	resp, err := http.Get(s.url + "/home/live")
	s.ok(err)
	s.Cleanup(func() { _ = resp.Body.Close() })
	if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "text/event-stream" || resp.Header.Get("X-Accel-Buffering") != "no" {
		s.Fatalf("got %d %v", resp.StatusCode, resp.Header)
	}
	lines := bufio.NewScanner(resp.Body)
	return func(what string, holds func(event) bool) event {
		s.Helper()
		defer time.AfterFunc(time.Minute, func() { _ = resp.Body.Close() }).Stop() // or it waits for ever for what does not come
		var e event
		for lines.Scan() {
			text, ok := strings.CutPrefix(lines.Text(), "data: ")
			if !ok {
				continue
			}
			e = event{}
			s.ok(json.Unmarshal([]byte(text), &e))
			if holds(e) {
				return e
			}
		}
		s.Fatalf("the events end before %s: %v; the last was %+v", what, lines.Err(), e)
		return e
	}
}

func TestLive(t *testing.T) {
	t.Parallel()
	s := newSite(t, 0, nil)
	s.like(2, 9, true)
	wait := s.watch()
	e := wait("everything is counted", func(e event) bool { return e.Known })
	if e.Users != 10 || e.Posts != 10 || e.Likes != 1 || len(e.Board) != 8 || e.Board[0].ID != "3" ||
		e.likes("9") != 1 || e.likes("10") != 0 || e.likes("1") != -1 {
		t.Errorf("got %+v", e)
	}
	s.like(3, 9, true)
	s.like(2, 10, true)
	rated := false // which may be seen before the likes are, and passes
	e = wait("two likes", func(e event) bool {
		rated = rated || e.Rate != "0"
		return e.likes("9") == 2 && e.likes("10") == 1
	})
	if e.Likes != 3 {
		t.Errorf("got %d likes, want 3", e.Likes)
	}
	if !rated {
		wait("a rate", func(e event) bool { return e.Rate != "0" })
	}
	s.like(3, 9, false)
	wait("a like that is taken back", func(e event) bool { return e.likes("9") == 1 && e.Likes == 2 })

	// A post that is liked comes to the board in place of one that nobody likes. Those that are liked stay.
	s.like(4, 1, true)
	e = wait("an older post", func(e event) bool { return e.likes("1") == 1 })
	if len(e.Board) != 8 || e.likes("9") != 1 || e.likes("10") != 1 {
		t.Errorf("got %+v", e)
	}

	// So does one that is new. The first stays.
	s.ok(s.store.AddPost(t.Context(), liked.Post{ID: 11, Author: 1, Text: "new", CreatedAt: start}))
	s.ok(s.store.AddPost(t.Context(), liked.Post{ID: 12, Author: 1, Text: "newer", CreatedAt: start}))
	e = wait("new posts", func(e event) bool { return e.likes("11") == 0 && e.likes("12") == 0 && e.Posts == 12 })
	if len(e.Board) != 8 || e.Board[0].ID != "3" || e.likes("1") != 1 {
		t.Errorf("got %+v", e)
	}

	// What not everybody may see leaves it, and is not there for newcomers.
	protect := func(on bool) {
		s.ok(s.store.UpdateUser(t.Context(), 1, func(u *liked.User) error { u.Protected = on; return nil }))
	}
	protect(true)
	wait("nothing to see", func(e event) bool { return len(e.Board) == 0 })
	s.like(1, 5, true) // by the author
	if e := s.watch()("the first event", func(event) bool { return true }); len(e.Board) != 0 {
		t.Errorf("got %+v of a protected author", e.Board)
	}
	protect(false)
	s.like(2, 5, true) // for the like before may have been seen when the post was not, and left no place to it
	wait("the posts again", func(e event) bool { return e.likes("5") == 2 })
	s.ok(s.store.DeletePost(t.Context(), 0, 5))
	wait("a deleted post gone", func(e event) bool { return e.likes("5") == -1 && e.Posts == 11 })
	s.ok(s.store.UpdateUser(t.Context(), 1, func(u *liked.User) error { u.State = liked.Suspended; return nil }))
	wait("nothing to see", func(e event) bool { return len(e.Board) == 0 })
}

func TestViewersAreBounded(t *testing.T) {
	t.Parallel()
	s := newSite(t, 0, nil)
	var first *http.Response
	var open int
	for {
		resp, err := http.Get(s.url + "/home/live")
		s.ok(err)
		t.Cleanup(func() { _ = resp.Body.Close() })
		if resp.StatusCode == 503 {
			break
		}
		if open++; open > 1000 {
			t.Fatal("a thousand viewers, and more may come")
		}
		if first == nil {
			first = resp
		}
	}
	s.ok(first.Body.Close())
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		resp, err := http.Get(s.url + "/home/live")
		s.ok(err)
		t.Cleanup(func() { _ = resp.Body.Close() })
		if resp.StatusCode == 200 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("one viewer left, and nobody may come")
		}
	}
	s.stop() // or the server would wait for them
}

// A viewer who takes nothing is cut. A pipe has no buffer that would take anything for them.
func TestSlowViewer(t *testing.T) {
	t.Parallel()
	pipes := newPipeListener()
	s := newSite(t, 50*time.Millisecond, func() net.Listener { return pipes })
	conn, theirs := net.Pipe()
	pipes.conns <- theirs
	defer conn.Close()
	if _, err := conn.Write([]byte("GET /home/live HTTP/1.1\r\nHost: x\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	select {
	case x := <-s.seen:
		if x.Operation != "homeLive" || x.Err != nil {
			t.Errorf("got %+v", x)
		}
	case <-time.After(30 * time.Second):
		t.Fatal("the server still waits for a viewer who takes nothing")
	}
}

type pipeListener struct {
	conns chan net.Conn
	close func()
}

func newPipeListener() pipeListener {
	conns := make(chan net.Conn)
	return pipeListener{conns, sync.OnceFunc(func() { close(conns) })}
}

func (l pipeListener) Accept() (net.Conn, error) {
	conn, ok := <-l.conns
	if !ok {
		return nil, net.ErrClosed
	}
	return conn, nil
}
func (l pipeListener) Close() error   { l.close(); return nil }
func (l pipeListener) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1} }

// X has nothing at /: only who asks for HTML is somebody else than X's clients.
func TestWhoGetsThePage(t *testing.T) {
	t.Parallel()
	s := newSite(t, 0, nil)
	for _, tt := range []struct {
		method, path, accept string
		want                 int
	}{
		{"GET", "/", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", 200},
		{"HEAD", "/", "text/html", 200},
		{"GET", "/?utm=1", "Text/HTML; q=0.1", 200},
		{"GET", "/", "*/*", 404},
		{"GET", "/", "", 404},
		{"GET", "/", "application/json", 404},
		{"GET", "/", "text/html;q=0, */*", 404},
		{"GET", "/", "text/htmlx", 404},
		{"POST", "/", "text/html", 404},
		{"OPTIONS", "/", "text/html", 404},
		{"GET", "//", "text/html", 404},
		{"GET", "/home", "text/html", 404},
		{"GET", "/home", "*/*", 404},
		{"GET", "/home/", "text/html", 404},
		{"GET", "/home/other.js", "*/*", 404},
		{"GET", "/home/home.js", "*/*", 200},
		{"HEAD", "/home/live", "*/*", 404},
		{"POST", "/postman/collection.json", "*/*", 404},
		{"GET", "/postman/collection.json", "*/*", 200},
		{"HEAD", "/postman/environment.json", "*/*", 200},
	} {
		r, err := http.NewRequest(tt.method, s.url+tt.path, nil)
		s.ok(err)
		if tt.accept != "" {
			r.Header.Set("Accept", tt.accept)
		}
		resp, err := http.DefaultTransport.RoundTrip(r)
		s.ok(err)
		_ = resp.Body.Close()
		if resp.StatusCode != tt.want {
			t.Errorf("%s %s, which accepts %q: got %d, want %d", tt.method, tt.path, tt.accept, resp.StatusCode, tt.want)
		}
	}
}

// Without a store there is a page, which says so.
func TestTrouble(t *testing.T) {
	t.Parallel()
	st := enginetest.Open(t)
	h := home.New(home.Options{Store: st, Log: likelog.New(st), Likes: func() int64 { return 0 }})
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("Accept", "text/html")
	rec := httptest.NewRecorder()
	found(h).ServeHTTP(rec, r)
	if rec.Code != 503 || !strings.Contains(rec.Body.String(), "cannot be read") {
		t.Errorf("got %d %s", rec.Code, rec.Body)
	}
}
