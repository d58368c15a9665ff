package torture

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/anishathalye/porcupine"

	"liked/internal/livetest"
	"liked/internal/store/pgstore/pgtest"
)

// TestBrokenServersAreCaught proves that the checker can fail: it calls a server that says what is not so.
func TestBrokenServersAreCaught(t *testing.T) {
	t.Parallel()
	rng := dice(t)
	s := newStage(t, bin)
	target, err := url.Parse(s.m.URL)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(target)
	proxy.ErrorHandler = func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) } // an answer that did not come
	var n atomic.Int64
	say := func(w http.ResponseWriter, body string) {
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		fmt.Fprint(w, body)
	}
	var caught []string
	outcome(t, "a server that says what is not so is caught", func() string { return strings.Join(caught, ", ") })
	for name, broken := range map[string]http.HandlerFunc{
		"a like is acknowledged and lost": func(w http.ResponseWriter, r *http.Request) {
			if r.Method == "POST" && n.Add(1)%20 == 0 {
				say(w, `{"data":{"liked":true}}`)
				return
			}
			proxy.ServeHTTP(w, r)
		},
		"an unlike is acknowledged and lost": func(w http.ResponseWriter, r *http.Request) {
			if r.Method == "DELETE" && strings.Contains(r.URL.Path, "/likes/") && n.Add(1)%20 == 0 {
				say(w, `{"data":{"liked":false}}`)
				return
			}
			proxy.ServeHTTP(w, r)
		},
		"a deletion is acknowledged and lost": func(w http.ResponseWriter, r *http.Request) {
			if r.Method == "DELETE" && strings.HasPrefix(r.URL.Path, "/2/tweets/") {
				say(w, `{"data":{"deleted":true}}`)
				return
			}
			proxy.ServeHTTP(w, r)
		},
		"counts lag behind": stale(proxy, "public_metrics"),
		"lists lag behind":  stale(proxy, "liking_users"),
	} {
		srv := httptest.NewServer(broken)
		s.bases = []string{srv.URL}
		found := false
		for range 20 { // one history may miss it
			if check(s.record(t, rng, nil)) == porcupine.Illegal {
				found = true
				caught = append(caught, name)
				break
			}
		}
		srv.Close()
		if !found {
			t.Errorf("%s: got only histories that are in order", name)
		}
	}
	s.bases = []string{s.m.URL}
	if got := check(s.record(t, rng, nil)); got != porcupine.Ok {
		t.Errorf("the server itself: got %v, want Ok", got)
	}
}

// stale answers what the same question was answered before.
func stale(next http.Handler, about string) http.HandlerFunc {
	var last sync.Map
	return func(w http.ResponseWriter, r *http.Request) {
		if !strings.Contains(r.URL.String(), about) {
			next.ServeHTTP(w, r)
			return
		}
		r.Header.Set("Accept-Encoding", "identity")
		rec := httptest.NewRecorder()
		next.ServeHTTP(rec, r)
		if old, there := last.Swap(r.URL.String(), rec); there {
			rec = old.(*httptest.ResponseRecorder)
		}
		maps.Copy(w.Header(), rec.Header())
		w.WriteHeader(rec.Code)
		w.Write(rec.Body.Bytes())
	}
}

// skipped is a step of a store that a build leaves out.
type skipped struct {
	what          string
	file          string // in ../internal/store
	text, becomes string
	found         bool // by liked check, too
}

// TestBrokenBuildsAreCaught proves it with builds of the server that each skip one step of the store.
func TestBrokenBuildsAreCaught(t *testing.T) {
	t.Parallel()
	const committer = "pebblestore/committer.go"
	for _, step := range []skipped{
		{"likes do not wait for the log",
			committer, "err = c.s.db.ApplyNoSyncWait(b, pebble.Sync)",
			"if c.group.logged != 0 { err = c.s.db.Apply(b, pebble.NoSync) } else { err = c.s.db.ApplyNoSyncWait(b, pebble.Sync) }", false},
		{"who takes a like back stays in the list",
			committer, "c.row(b, e, likersKey(c.key[:0], e.Post, e.listed()), uint64(e.User))",
			"if e.On { c.row(b, e, likersKey(c.key[:0], e.Post, e.listed()), uint64(e.User)) }", true},
		{"a like taken back is counted on", committer, "postN[postLikes] += delta", "postN[postLikes] += max(delta, 0)", true},
		{"a commit without an answer is taken for one that was made", "pgstore/tx.go", "if committed {", "if committed || true {", false},
	} {
		t.Run(step.what, func(t *testing.T) {
			rng := dice(t)
			var s *stage
			onPostgres := strings.HasPrefix(step.file, "pgstore/")
			if onPostgres {
				pgtest.Long(t)
			}
			if program := step.build(t); onPostgres {
				s, _ = newSharedStage(t, rng, program)
			} else {
				s = newStage(t, program)
				s.behindNetwork(t)
			}
			n := 0
			outcome(t, "a build that skips a step is caught: "+step.what, func() string { return fmt.Sprintf("%d histories", n) })
			got := porcupine.Ok
			for ; got != porcupine.Illegal && n < 20; n++ { // one may have too many orders to try
				got = check(s.underFaults(t, rng))
			}
			if got != porcupine.Illegal {
				t.Errorf("the last of %d histories is %v, want Illegal", n, got)
			}
			s.m.kill() // what it leaves is not to be proven
			out, err := s.m.checks(bin)
			if found := err != nil; found != step.found {
				t.Errorf("liked check: got %v, want an error: %v\n%s", err, step.found, out)
			}
		})
	}
}

// TestBrokenEnginesAreCaught proves that the suite of what servers on one store promise each other can fail, with builds of an
// engine that each skip one step of it.
func TestBrokenEnginesAreCaught(t *testing.T) {
	t.Parallel()
	pgtest.Long(t)
	const likes = "pgstore/likes.go"
	const earlier = `b.queueRefused(askCall, askUser, askAuthor)
	askCall = nil
	`
	var caught []string
	outcome(t, "an engine that skips a step is caught", func() string { return strings.Join(caught, ", ") })
	for _, step := range []struct {
		skipped
		test string // of the suite
	}{
		{skipped{what: "heads of posts are not locked", file: "pgstore/posts.go",
			text:    "WHERE post_id = ANY($1) ORDER BY post_id FOR NO KEY UPDATE",
			becomes: "WHERE post_id = ANY($1)"}, "a post's list grows at the top only"},
		{skipped{what: "lanes are not locked", file: likes, text: "FROM lanes WHERE lane = ANY($1) ORDER BY lane FOR NO KEY UPDATE",
			becomes: "FROM lanes WHERE lane = ANY($1)"}, "a user's list grows at the top only"},
		{skipped{what: "rules are read before the lane is locked", file: likes, text: `b.queue("SELECT lane, last`,
			becomes: earlier + `b.queue("SELECT lane, last`}, "rules"},
		{skipped{what: "what others change is believed when nothing can be asked", file: "pgstore/generations.go",
			text: "> g.blindAfter", becomes: "> time.Hour+g.blindAfter"}, "a server that cannot ask"},
		{skipped{what: "the log says nothing of subscriptions", file: "pgstore/log.go", text: "s.generations.saw(store.Webhooks, p.changes)",
			becomes: "_ = store.Webhooks"}, "subscriptions"},
		{skipped{what: "a lease is taken from its holder", file: "pgstore/leases.go",
			text: "WHERE leases.holder = excluded.holder OR", becomes: "WHERE true OR"}, "leases"},
		{skipped{what: "all servers have one number", file: "pgstore/leases.go", text: "n.ids.SetWorker(number)", becomes: "n.ids.SetWorker(7)"},
			"identifiers"},
		{skipped{what: "servers do not wait for the one that migrates", file: "pgstore/migrate.go",
			text: "SELECT pg_advisory_xact_lock(hashtextextended('liked migrates ' || current_schema(), 0))", becomes: "SELECT 1"},
			"all make the store at once"},
	} {
		// Several times if need be: a machine that is busy hides what the step is for.
		suite := exec.CommandContext(t.Context(), "go", "test", "-short", "-count", "5", "-failfast", "-overlay", step.overlay(t), "-run",
			"^TestSuiteShared$/^Shared$/^"+strings.ReplaceAll(step.test, " ", "_")+"$", "liked/internal/store/pgstore")
		out, err := suite.CombinedOutput()
		if err == nil || !strings.Contains(string(out), "--- FAIL: TestSuiteShared") {
			t.Errorf("%s: the suite says %v\n%s", step.what, err, out)
			continue
		}
		caught = append(caught, step.what)
	}
}

// build returns the program without the step.
func (step skipped) build(t *testing.T) string {
	program, err := livetest.Build(t.Context(), t.TempDir(), false, "-overlay", step.overlay(t))
	if err != nil {
		t.Fatal(err)
	}
	return program
}

// overlay returns the file that has go build leave out the step.
func (step skipped) overlay(t *testing.T) string {
	source, err := filepath.Abs(filepath.Join("../internal/store", step.file))
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(source)
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(text), step.text); n != 1 {
		t.Fatalf("%s has %q %d times, want once", source, step.text, n)
	}
	changed := strings.Replace(string(text), step.text, step.becomes, 1)
	dir := t.TempDir()
	copied, overlay := filepath.Join(dir, filepath.Base(source)), filepath.Join(dir, "overlay.json")
	list, err := json.Marshal(map[string]map[string]string{"Replace": {source: copied}})
	if err != nil {
		t.Fatal(err)
	}
	for path, text := range map[string][]byte{copied: []byte(changed), overlay: list} {
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return overlay
}
