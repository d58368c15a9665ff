package api_test

import (
	"bufio"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"liked"
	"liked/internal/api"
	"liked/internal/store"
	"liked/internal/store/pebblestore"
)

// patience is how long a test waits for what must come.
const patience = time.Minute

// reader is the client's end of some streams.
type reader struct {
	w       *world
	lines   chan string // without their ends; closed when all streams have ended
	leave   func()
	broken  atomic.Bool // a stream ended in the middle
	checked atomic.Int64
}

// connect opens a stream, which the end of the test leaves.
func (w *world) connect(credential, target string, header ...string) (*http.Response, func()) {
	w.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r, err := http.NewRequestWithContext(ctx, "GET", w.url+target, nil)
	w.must(err)
	r.Header.Set("Authorization", w.tokens[credential])
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := w.transport.RoundTrip(r)
	w.must(err)
	leave := func() { cancel(); resp.Body.Close() }
	w.t.Cleanup(leave)
	return resp, leave
}

// read opens streams, each of which must be there, and reads them all.
func (w *world) read(credential string, targets ...string) *reader {
	w.t.Helper()
	r := &reader{w: w, lines: make(chan string, 100_000)}
	var left []func()
	var reading sync.WaitGroup
	for _, target := range targets {
		resp, leave := w.connect(credential, target)
		if resp.StatusCode != 200 {
			text, _ := io.ReadAll(resp.Body)
			w.t.Fatalf("%s: %d %s", target, resp.StatusCode, text)
		}
		left = append(left, leave)
		reading.Go(func() {
			body := bufio.NewReader(resp.Body)
			for {
				line, err := body.ReadString('\n')
				if err != nil {
					if err != io.EOF || line != "" {
						r.broken.Store(true)
					}
					return
				}
				text, ok := strings.CutSuffix(line, "\r\n")
				if !ok {
					w.t.Errorf("%s: the line %q does not end with CRLF", target, line)
				}
				if text != "" && r.checked.Add(1) <= 100 { // which takes long
					if d := lineDisagrees(w, target, resp, text); d != "" {
						w.t.Errorf("%s: %s\n%s", target, text, d)
					}
				}
				r.lines <- text
			}
		})
	}
	r.leave = func() {
		for _, leave := range left {
			leave()
		}
	}
	go func() { reading.Wait(); close(r.lines) }()
	return r
}

// lineDisagrees holds a line to what the server says of itself, and to X's document. In that, the time in milliseconds
// has 32 bits, the name by which a field is asked for is no name of a member, and an unlike always tells of whom it is.
func lineDisagrees(w *world, target string, resp *http.Response, line string) string {
	if d := brokenWord(w.document, "GET", target, resp, line); d != "" {
		return "is not what /2/openapi.json says: " + d
	}
	var doc map[string]any
	if err := json.Unmarshal([]byte(line), &doc); err != nil {
		return err.Error()
	}
	if _, ok := doc["errors"]; ok {
		entries, _ := doc["errors"].([]any)
		entry, _ := entries[0].(map[string]any)
		published, err := document()
		if err != nil {
			return err.Error()
		}
		return problemDisagrees(published, entry)
	}
	if data, ok := doc["data"].(map[string]any); ok && data["timestamp_ms"] != nil {
		delete(data, "liked_tweet_author_id")
		data["timestamp_ms"] = 0
	} else if unlike, ok := data["delete"].(map[string]any); ok {
		favorite, _ := unlike["favorite"].(map[string]any)
		favorite["user_id"] = "1"
	}
	text, err := json.Marshal(doc)
	if err != nil {
		return err.Error()
	}
	if d := disagreement("GET", target, resp, string(text)); d != "" {
		return "is not what X's document says: " + d
	}
	return ""
}

// next returns the next line, false at the end of the streams.
func (r *reader) next() (string, bool) {
	r.w.t.Helper()
	select {
	case line, ok := <-r.lines:
		return line, ok
	case <-time.After(patience):
		r.w.t.Fatal("nothing comes")
		return "", false
	}
}

// event returns the next line that is no sign of life.
func (r *reader) event() string {
	r.w.t.Helper()
	for {
		line, ok := r.next()
		if !ok {
			r.w.t.Fatal("the stream has ended")
		}
		if line != "" {
			return line
		}
	}
}

// rest returns all events to the end of the streams.
func (r *reader) rest() (events []string) {
	r.w.t.Helper()
	for {
		line, ok := r.next()
		if !ok {
			return events
		}
		if line != "" {
			events = append(events, line)
		}
	}
}

// firehose names all partitions of it.
func firehose(query string) (targets []string) {
	for n := range liked.Partitions {
		targets = append(targets, fmt.Sprintf("/2/likes/firehose/stream?partition=%d%s", n+1, query))
	}
	return targets
}

// hangs is a reader of large events that reads none of them.
func (w *world) hangs(credential string) (target string, conn net.Conn) {
	w.t.Helper()
	w.do("post 200 12 " + strings.Repeat("x", 200_000))
	w.do("like 11 200")
	w.do("unlike 11 200")
	target = w.home("&expansions=liked_tweet_id")
	conn, err := (&net.Dialer{Control: smallBuffer}).Dial("tcp", strings.TrimPrefix(w.url, "http://"))
	w.must(err)
	w.t.Cleanup(func() { _ = conn.Close() })
	_, err = fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: x\r\nAuthorization: %s\r\n\r\n", target, w.tokens[credential])
	w.must(err)
	w.await(func() bool { return w.api.OpenStreams() == 1 })
	return target, conn
}

// home is the partition of the firehose that has all the likes so far, which are one user's.
func (w *world) home(query string) (target string) {
	w.t.Helper()
	ends, err := w.store.LogEnds(w.t.Context())
	w.must(err)
	for n, end := range ends {
		if end != 0 {
			target = firehose(query)[n]
		}
	}
	return target
}

func sample(query string) []string {
	return []string{"/2/likes/sample10/stream?partition=1" + query, "/2/likes/sample10/stream?partition=2" + query}
}

const compliance = "/2/likes/compliance/stream"

// withoutID replaces the id of a like, which says nothing.
func withoutID(event string) string {
	const before = `{"data":{"id":"`
	if !strings.HasPrefix(event, before) || len(event) < len(before)+32 || event[len(before)+32] != '"' {
		return event
	}
	return before + event[len(before)+32:]
}

// postOf returns which post an event is about, with a minus in front if it is an unlike.
func postOf(t *testing.T, event string) string {
	t.Helper()
	var e struct {
		Data struct {
			Post   string `json:"liked_tweet_id"`
			Delete struct{ Favorite struct{ ID string } }
		}
	}
	if err := json.Unmarshal([]byte(event), &e); err != nil {
		t.Fatalf("%s: %v", event, err)
	}
	if e.Data.Post == "" {
		return "-" + e.Data.Delete.Favorite.ID
	}
	return e.Data.Post
}

func postsOf(t *testing.T, events []string) (posts []string) {
	t.Helper()
	for _, e := range events {
		posts = append(posts, postOf(t, e))
	}
	slices.Sort(posts)
	return posts
}

// streamWorld has an app and people, of whom alice, bob and carol are 11, 12 and 13, and posts of bob's, 101 to 109.
func streamWorld(t *testing.T, change func(*api.Options)) *world {
	t.Helper()
	w := newWorld(t, change)
	w.populate()
	return w
}

func (w *world) populate() {
	w.t.Helper()
	for _, line := range []string{"user 11 alice", "user 12 bob", "user 13 carol", "app-only machine"} {
		w.do(line)
	}
	for n := 101; n < 110; n++ {
		w.do(fmt.Sprintf("post %d 12 post %d", n, n))
	}
}

// One change is one event, in the stream that it belongs to, and what changes nothing is none.
func TestStreams(t *testing.T) {
	t.Parallel()
	w := streamWorld(t, nil)
	w.do("like 13 109") // before anybody reads
	all, deletions := w.read("machine", firehose("")...), w.read("machine", compliance)
	w.do("sleep 1500ms")
	for range 2 {
		if resp, body := w.like(); resp.StatusCode != 200 {
			t.Fatal(body)
		}
	}
	want := `{"data":{"id":"","liked_tweet_id":"101","tweet_author_id":"12",` +
		`"created_at":"2024-05-01T12:00:01.000Z","timestamp_ms":1714564801750}}`
	if got := withoutID(all.event()); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	w.do("sleep 1s")
	for range 2 {
		w.do("unlike 11 101")
	}
	want = `{"data":{"delete":{"favorite":{"id":"101","user_id":"11"},"event_at":"2024-05-01T12:00:02.000Z"}}}`
	if got := deletions.event(); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	w.do("like 11 101")
	w.do("like 13 102")
	w.do("unlike 13 102")
	w.do("like 12 103")
	w.do("unlike 11 105")
	// Whoever was written about last has been written about all.
	var likes, unlikes []string
	for range 3 {
		likes = append(likes, all.event())
	}
	unlikes = append(unlikes, deletions.event())
	w.api.EndStreams()
	likes, unlikes = append(likes, all.rest()...), append(unlikes, deletions.rest()...)
	goodbye := disconnected("UpstreamOperationalDisconnect", "This stream has been disconnected upstream for operational reasons.")
	isGoodbye := func(e string) bool { return e == goodbye }
	if likes = slices.DeleteFunc(likes, isGoodbye); fmt.Sprint(postsOf(t, likes)) != "[101 102 103]" {
		t.Errorf("likes: %v", likes)
	}
	if unlikes = slices.DeleteFunc(unlikes, isGoodbye); fmt.Sprint(postsOf(t, unlikes)) != "[-102]" {
		t.Errorf("unlikes: %v", unlikes)
	}
	if resp, _ := w.connect("machine", compliance); resp.StatusCode != 503 {
		t.Errorf("a stream of a server that stops: %d", resp.StatusCode)
	}
}

func TestStreamFields(t *testing.T) {
	t.Parallel()
	w := streamWorld(t, nil)
	w.do("profile 12")
	w.do("like 11 101")
	w.do("sleep 1s")
	const span = "&start_time=2024-05-01T12:00:00Z&end_time=2024-05-01T12:00:01Z"
	const data = `{"data":{"id":"","liked_tweet_id":"101","tweet_author_id":"12",`
	const times = `"created_at":"2024-05-01T12:00:00.000Z","timestamp_ms":1714564800250}`
	for query, want := range map[string]string{
		"": data + times + `}`,
		"&like_with_tweet_author.fields=liked_tweet_author_id,id": data + `"liked_tweet_author_id":"12",` + times + `}`,
		"&like_with_tweet_author.fields=attachments_media_keys":   data + times + `}`,
		"&expansions=attachments.media_keys&media.fields=url":     data + times + `}`,
		"&expansions=liked_tweet_id": data + times + `,"includes":{"tweets":[` +
			`{"edit_history_tweet_ids":["101"],"id":"101","text":"post 101"}]}}`,
		"&expansions=liked_tweet_author_id": data + times + `,"includes":{"users":[{"id":"12","name":"Bob","username":"bob"}]}}`,
		"&expansions=liked_tweet_author_id,liked_tweet_id&tweet.fields=author_id,created_at": data + times +
			`,"includes":{"users":[{"id":"12","name":"Bob","username":"bob"}],"tweets":[` +
			`{"edit_history_tweet_ids":["101"],"id":"101","text":"post 101","author_id":"12","created_at":"2024-05-01T12:00:00.000Z"}]}}`,
		"&expansions=liked_tweet_author_id&user.fields=location,most_recent_tweet_id": data + times + `,"includes":{"users":[` +
			`{"id":"12","name":"Bob","username":"bob","location":"Amsterdam","most_recent_tweet_id":"109"}]}}`,
		"&tweet.fields=public_metrics": data + times + `}`,
	} {
		got := w.read("machine", firehose(query+span)...).rest()
		if len(got) != 1 || withoutID(got[0]) != want {
			t.Errorf("%s\ngot  %s\nwant %s", query, got, want)
		}
	}
}

// The streams tell of what everybody may see at the time.
func TestStreamVisibility(t *testing.T) {
	t.Parallel()
	w := streamWorld(t, nil)
	for _, line := range []string{"user 14 dave", "post 201 13 hers", "post 202 14 his",
		"like 11 101", "like 11 102", "like 11 201", "like 11 202", "like 13 103", "like 14 104", "like 12 105", "sleep 1s"} {
		w.do(line)
	}
	const span = "start_time=2024-05-01T12:00:00Z&end_time=2024-05-01T12:00:01Z"
	expect := func(stream, want string) {
		t.Helper()
		targets := firehose("&expansions=liked_tweet_id,liked_tweet_author_id&" + span)
		if stream == compliance {
			targets = []string{compliance + "?backfill_minutes=5"}
		}
		var got []string
		if r := w.read("machine", targets...); stream == compliance {
			for range len(strings.Fields(want)) {
				got = append(got, r.event())
			}
			r.leave()
		} else {
			got = r.rest()
		}
		if fmt.Sprint(postsOf(t, got)) != "["+want+"]" {
			t.Errorf("got %v, want %s", got, want)
		}
	}
	expect("firehose", "101 102 103 104 105 201 202")
	w.do("delete 101")
	expect("firehose", "102 103 104 105 201 202")
	w.do("protect 13") // the likes of hers, and hers
	expect("firehose", "102 104 105 202")
	w.do("state 14 suspended")
	expect("firehose", "102 105")
	w.do("state 12 deactivated")
	expect("firehose", "")
	// Whoever was told of a like must forget it, though the post or the person is gone; but the likes of who is protected,
	// and of theirs, are not public.
	for _, line := range []string{"unlike 11 101", "unlike 11 102", "unlike 11 201", "unlike 11 202", "unlike 13 103", "unlike 14 104"} {
		w.do(line)
	}
	expect(compliance, "-101 -102 -104 -202")
}

func TestStreamHeaders(t *testing.T) {
	t.Parallel()
	w := streamWorld(t, nil)
	resp, leave := w.connect("machine", "/2/likes/firehose/stream?partition=7")
	for name, want := range map[string]string{
		"Content-Type": "application/json; charset=utf-8", "X-Rate-Limit-Limit": "1000", "X-Rate-Limit-Remaining": "999",
		"X-Rate-Limit-Reset": strconv.FormatInt(start.Unix()+900, 10), "X-Access-Level": "read", "Content-Encoding": "", "Content-Length": "",
		"Cache-Control": "no-cache, no-store, max-age=0", "X-Accel-Buffering": "no",
	} {
		if got := resp.Header.Get(name); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	if resp.StatusCode != 200 || fmt.Sprint(resp.TransferEncoding) != "[chunked]" {
		t.Errorf("got %d, transfer encoding %v", resp.StatusCode, resp.TransferEncoding)
	}
	leave()
	x := <-w.seen
	if x.Operation != "streamLikesFirehose" || x.Status != 200 || x.Why != "" || x.Err != nil {
		t.Errorf("the operator sees %+v", x)
	}
	if n := w.api.OpenStreams(); n != 0 {
		t.Errorf("%d streams are open", n)
	}
}

// Everything is held to the byte: headers at once, then empty lines for signs of life.
func TestStreamKeepAlive(t *testing.T) {
	t.Parallel()
	w := streamWorld(t, func(o *api.Options) { o.KeepAlive = 10 * time.Millisecond })
	conn, err := net.Dial("tcp", strings.TrimPrefix(w.url, "http://"))
	w.must(err)
	defer conn.Close()
	w.must(conn.SetDeadline(time.Now().Add(patience)))
	_, err = fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: x\r\nAuthorization: %s\r\n\r\n", compliance, w.tokens["machine"])
	w.must(err)
	body := bufio.NewReader(conn)
	for line := ""; line != "\r\n"; {
		line, err = body.ReadString('\n')
		w.must(err)
	}
	want := strings.Repeat("2\r\n\r\n\r\n", 3)
	got := make([]byte, len(want))
	_, err = io.ReadFull(body, got)
	if err != nil || string(got) != want {
		t.Errorf("got %q, %v; want %q", got, err, want)
	}
}

func TestStreamGzip(t *testing.T) {
	t.Parallel()
	w := streamWorld(t, nil)
	w.do("like 11 101")
	w.do("like 11 102")
	w.do("sleep 1s")
	resp, _ := w.connect("machine", w.home("&backfill_minutes=5"), "Accept-Encoding", "gzip, deflate")
	if got := resp.Header.Get("Content-Encoding"); got != "gzip" {
		t.Fatalf("content-encoding %q", got)
	}
	z, err := gzip.NewReader(resp.Body)
	w.must(err)
	lines := make(chan string, 10)
	ended := make(chan error, 1)
	go func() {
		body := bufio.NewReader(z)
		for {
			line, err := body.ReadString('\n')
			if err != nil {
				ended <- err
				return
			}
			lines <- line
		}
	}()
	expect := func(post string) {
		t.Helper()
		select {
		case line := <-lines:
			if !strings.HasSuffix(line, "\r\n") || postOf(t, line) != post {
				t.Errorf("got %q, want post %s", line, post)
			}
		case <-time.After(patience):
			t.Fatalf("post %s does not come", post)
		}
	}
	expect("101")
	expect("102")
	for n := 103; n < 107; n++ {
		w.do(fmt.Sprint("like 11 ", n))
		expect(strconv.Itoa(n))
	}
	w.api.EndStreams()
	if err := <-ended; err != io.EOF { // which gzip says only if length and checksum are right
		t.Errorf("the end: %v", err)
	}
}

func TestStreamConnections(t *testing.T) {
	t.Parallel()
	w := streamWorld(t, nil)
	w.do("app-only other")
	w.do("app-only unattached enterprise not-enrolled")
	if resp, _ := w.connect("unattached", compliance); resp.StatusCode != 403 {
		t.Errorf("an app that is not enrolled: %d", resp.StatusCode)
	}
	const target = "/2/likes/firehose/stream?partition=1"
	_, leave := w.connect("machine", target)
	resp, body := w.request("machine", "GET", target, nil)
	want := `{"title":"ConnectionException","detail":"This stream is currently at the maximum allowed connection limit.",` +
		`"connection_issue":"TooManyConnections","type":"https://api.twitter.com/2/problems/streaming-connection"}`
	if resp.StatusCode != 429 || body != want || resp.Header.Get("X-Rate-Limit-Remaining") != "998" {
		t.Errorf("got %d %s %v", resp.StatusCode, body, resp.Header)
	}
	// Fields make no other stream, a partition, an app or another endpoint do.
	if resp, _ := w.request("machine", "GET", target+"&expansions=liked_tweet_id", nil); resp.StatusCode != 429 {
		t.Errorf("with other fields: %d", resp.StatusCode)
	}
	for credential, target := range map[string]string{"other": target, "machine": "/2/likes/firehose/stream?partition=2"} {
		if resp, _ := w.connect(credential, target); resp.StatusCode != 200 {
			t.Errorf("%s, %s: %d", credential, target, resp.StatusCode)
		}
	}
	if resp, _ := w.connect("machine", sample("")[0]); resp.StatusCode != 200 {
		t.Errorf("the sample: %d", resp.StatusCode)
	}
	if n := w.api.OpenStreams(); n != 4 {
		t.Errorf("%d streams are open, want 4", n)
	}
	leave()
	w.await(func() bool { resp, _ := w.connect("machine", target); return resp.StatusCode == 200 })
}

// await waits until something holds.
func (w *world) await(holds func() bool) {
	w.t.Helper()
	for deadline := time.Now().Add(patience); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			w.t.Fatal("what must come to hold does not")
		}
	}
}

// Whoever may no longer read hears so, and gets nothing from that moment on.
func TestStreamsEndWithTheirApp(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*store.App){
		"suspended":    func(a *store.App) { a.State = liked.AppSuspended },
		"not enrolled": func(a *store.App) { a.State = liked.NotEnrolled },
		"self-serve":   func(a *store.App) { a.Tier = liked.SelfServe },
		"new token":    func(a *store.App) { a.BearerHash = [32]byte{1} },
		"deleted":      nil,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := streamWorld(t, func(o *api.Options) { o.KeepAlive = 50 * time.Millisecond })
			w.do("app-only other")
			all, others := w.read("machine", firehose("")...), w.read("other", firehose("")...)
			w.do("like 11 101")
			all.event()
			others.event()
			if change == nil {
				w.must(w.store.DeleteApp(t.Context(), w.apps["machine"]))
			} else {
				w.must(w.store.UpdateApp(t.Context(), w.apps["machine"], func(a *store.App) error { change(a); return nil }))
			}
			w.do("like 11 102")
			w.do("like 13 102")
			goodbye := disconnected("ClientApplicationStateDegraded", "This stream has been disconnected for operational reasons.")
			got := all.rest()
			if len(got) != liked.Partitions || slices.ContainsFunc(got, func(e string) bool { return e != goodbye }) {
				t.Errorf("got %q", got)
			}
			if got := postsOf(t, []string{others.event(), others.event()}); fmt.Sprint(got) != "[102 102]" {
				t.Errorf("the other app got %v", got)
			}
		})
	}
}

// countedAuth counts how often somebody is asked who they are.
type countedAuth struct {
	api.Authenticator
	n *atomic.Int64
}

func (a countedAuth) Authenticate(r *http.Request) (liked.Principal, error) {
	a.n.Add(1)
	return a.Authenticator.Authenticate(r)
}

// A reader is looked at again when something that they were made of has changed, and not when others change.
func TestStreamsAreLookedAtAgain(t *testing.T) {
	t.Parallel()
	var looks atomic.Int64
	w := streamWorld(t, func(o *api.Options) {
		o.KeepAlive, o.Auth = 50*time.Millisecond, countedAuth{o.Auth, &looks}
	})
	w.do("app-only other")
	all := w.read("machine", firehose("")...)
	event := func(line string) int64 { // the looks that one event takes
		t.Helper()
		before := looks.Load()
		w.do(line)
		all.event()
		return looks.Load() - before
	}
	event("like 11 101")
	w.await(func() bool { return looks.Load() == 2*liked.Partitions }) // when they came, and before the first that each was told
	w.do("state 13 locked")
	w.must(w.store.UpdateApp(t.Context(), w.apps["other"], func(*store.App) error { return nil }))
	if n := event("like 11 102"); n != 0 {
		t.Errorf("%d looks after others had changed", n)
	}
	w.must(w.store.UpdateApp(t.Context(), w.apps["machine"], func(*store.App) error { return nil }))
	if n := event("like 11 103"); n == 0 {
		t.Error("no look after the reader's app had changed")
	}
}

func TestStreamSample(t *testing.T) {
	t.Parallel()
	const users = 1000
	w := streamWorld(t, nil)
	for n := range users {
		w.must(w.store.AddUser(t.Context(), liked.User{ID: liked.UserID(1000 + n), Username: fmt.Sprint("user", n), Name: "x", CreatedAt: start}))
	}
	sampled, all := w.read("machine", sample("")...), w.read("machine", firehose("")...)
	for n := range users {
		w.do(fmt.Sprintf("like %d 101", 1000+n))
	}
	var everything []string
	for range users {
		everything = append(everything, all.event())
	}
	w.do("sleep 2s")
	w.do("app-only other")
	part := w.read("other", sample("&start_time=2024-05-01T12:00:00Z&end_time=2024-05-01T12:00:01Z")...).rest()
	var live []string
	for range part {
		live = append(live, sampled.event())
	}
	w.api.EndStreams()
	if late := slices.DeleteFunc(sampled.rest(), func(e string) bool { return strings.HasPrefix(e, `{"errors"`) }); len(late) > 0 {
		t.Errorf("the live sample has more than the one that is replayed: %q", late)
	}
	if slices.Sort(live); !slices.Equal(live, slices.Sorted(slices.Values(part))) {
		t.Error("the live sample is another than the one that is replayed")
	}
	if len(part) < users/20 || len(part) > users/5 {
		t.Errorf("%d of %d likes are in the sample", len(part), users)
	}
	slices.Sort(everything)
	if slices.Sort(part); len(slices.Compact(slices.Clone(part))) != len(part) || len(slices.Compact(slices.Clone(everything))) != users {
		t.Error("an event came twice")
	}
	for _, e := range part {
		if !slices.Contains(everything, e) {
			t.Errorf("%s is in the sample alone", e)
		}
	}
}

// A thousand streams are open on one server, and each tells each like of its partition once, while one more app reads
// nothing of what it is sent.
func TestThousandStreams(t *testing.T) {
	t.Parallel()
	const apps, likes = 50, 200
	w := streamWorld(t, nil)
	for n := range likes {
		w.must(w.store.AddUser(t.Context(), liked.User{ID: liked.UserID(1000 + n), Username: fmt.Sprint("user", n), Name: "x", CreatedAt: start}))
	}
	readers := make([]*reader, apps)
	for n := range readers {
		w.do(fmt.Sprint("app-only app", n))
		readers[n] = w.read(fmt.Sprint("app", n), firehose("")...)
	}
	for _, target := range firehose("") {
		w.connect("machine", target)
	}
	if got, want := w.api.OpenStreams(), (apps+1)*liked.Partitions; got != want {
		t.Fatalf("%d streams are open, want %d", got, want)
	}
	for n := range likes {
		changed, err := w.store.SetLike(t.Context(), liked.UserID(1000+n), liked.PostID(101+n%9), true, start.Add(time.Duration(n)*time.Second))
		if err != nil || !changed {
			t.Fatalf("like %d: %v, %v", n, changed, err)
		}
	}
	var first []string
	for n, r := range readers {
		var events []string
		for range likes {
			events = append(events, r.event())
		}
		slices.Sort(events)
		if n == 0 {
			first = events
		}
		if distinct := len(slices.Compact(slices.Clone(events))); distinct != likes || !slices.Equal(events, first) {
			t.Errorf("app %d got %d different events, of %d, which are those of the first app: %v", n, distinct, likes, slices.Equal(events, first))
		}
	}
}

// However the log and its readers run, each reader gets each like once, from the moment that it names: one who joins in
// the middle changes from the log to the feed without a gap.
func TestStreamHandOver(t *testing.T) {
	t.Parallel()
	const apps, likes = 6, 1200
	w := streamWorld(t, nil)
	for n := range apps {
		w.do(fmt.Sprint("app-only app", n))
	}
	for n := range 40 {
		w.must(w.store.AddUser(t.Context(), liked.User{ID: liked.UserID(1000 + n), Username: fmt.Sprint("user", n), Name: "x", CreatedAt: start}))
	}
	var writing sync.WaitGroup
	for part := range 4 {
		writing.Go(func() {
			for n := range likes / 4 {
				user := liked.UserID(1000 + part*10 + n%10)
				at := start.Add(time.Duration(n) * time.Second) // so that no two events are the same
				if changed, err := w.store.SetLike(context.Background(), user, liked.PostID(101+n/10%9), n/90%2 == 0, at); err != nil || !changed {
					t.Errorf("like %d: %v, %v", n, changed, err)
				}
			}
		})
	}
	var reading sync.WaitGroup
	counts := make([]atomic.Int64, apps)
	for n := range apps {
		reading.Go(func() {
			time.Sleep(time.Duration(n) * 5 * time.Millisecond) // spread over what is being written
			target := firehose("&backfill_minutes=5")
			if n%2 == 0 {
				target = firehose("&backfill_minutes=5&expansions=liked_tweet_id")
			}
			r := w.read(fmt.Sprint("app", n), append(target, compliance+"?backfill_minutes=5")...)
			seen := make(map[string]int)
			for counts[n].Load() < likes {
				e, ok := <-r.lines
				if !ok {
					t.Error("the stream has ended")
					return
				}
				if e == "" {
					continue
				}
				counts[n].Add(1)
				if seen[e]++; seen[e] > 1 {
					t.Errorf("app %d got %s twice", n, e)
				}
			}
			r.leave()
		})
	}
	done := make(chan struct{})
	go func() { writing.Wait(); reading.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(2 * patience):
		for n := range counts {
			t.Errorf("of %d events app %d got %d", likes, n, counts[n].Load())
		}
	}
}

// countedStore counts what streams ask of it.
type countedStore struct {
	api.Store
	posts, pages *atomic.Int64
}

func (s countedStore) Posts(ctx context.Context, viewer liked.UserID, ids []liked.PostID, m store.Metrics) ([]store.Seen, error) {
	s.posts.Add(1)
	return s.Store.Posts(ctx, viewer, ids, m)
}

func (s countedStore) LikeLog(ctx context.Context, partition int, after liked.Seq, max int) ([]liked.LikeEvent, error) {
	s.pages.Add(1)
	return s.Store.LikeLog(ctx, partition, after, max)
}

// Many readers cost the log and the store what one costs.
func TestStreamsShare(t *testing.T) {
	t.Parallel()
	const apps, likes = 10, 40
	var posts, pages atomic.Int64
	w := streamWorld(t, func(o *api.Options) { o.Store = countedStore{o.Store, &posts, &pages} })
	var readers []*reader
	for n := range apps {
		w.do(fmt.Sprint("app-only app", n))
		query := "&tweet.fields=id,text&expansions=liked_tweet_id"
		if n%2 == 0 {
			query = "&expansions=liked_tweet_id&tweet.fields=text,id,text" // the same wish
		}
		readers = append(readers, w.read(fmt.Sprint("app", n), firehose(query)...))
	}
	if n := w.api.OpenStreams(); n != apps*liked.Partitions {
		t.Fatalf("%d streams are open", n)
	}
	for n := range likes {
		w.must(w.store.AddUser(t.Context(), liked.User{ID: liked.UserID(1000 + n), Username: fmt.Sprint("user", n), Name: "x", CreatedAt: start}))
		w.do(fmt.Sprintf("like %d 101", 1000+n))
	}
	for n, r := range readers {
		ids := map[string]bool{}
		for range likes {
			ids[r.event()] = true
		}
		if len(ids) != likes {
			t.Errorf("app %d got %d events, want %d", n, len(ids), likes)
		}
	}
	if posts.Load() > likes || pages.Load() > likes+2*liked.Partitions {
		t.Errorf("%d likes for %d readers took %d look-ups and %d pages of the log", likes, apps, posts.Load(), pages.Load())
	}
	for _, r := range readers {
		r.leave()
	}
	w.await(func() bool { return w.api.OpenStreams() == 0 })
}

// A reader who takes nothing is cut, and keeps nobody waiting.
func TestStreamSlowReader(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		stall time.Duration
		wakes bool // the reader reads on, but has missed too much
	}{
		"stuck":  {2 * time.Second, false},
		"behind": {time.Hour, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := streamWorld(t, func(o *api.Options) { o.Stall = test.stall })
			w.do("app-only stuck")
			target, conn := w.hangs("stuck")
			for len(w.seen) > 0 {
				<-w.seen
			}
			fast := w.read("machine", target)
			const most = 500 // of 200 kB: no buffers are as large
			ended := false
			for n := 0; n < most && !ended; n++ {
				w.do("like 11 200")
				w.do("unlike 11 200")
				if postOf(t, fast.event()) != "200" {
					t.Fatal("another post")
				}
				if ended = len(w.seen) > 0; test.wakes && n == 100 {
					go io.Copy(io.Discard, conn)
				}
			}
			select {
			case x := <-w.seen:
				if x.Why != "the reader is too slow" || x.Status != 200 || x.Err != nil {
					t.Errorf("the operator sees %+v", x)
				}
			case <-time.After(patience):
				t.Fatal("a reader who takes nothing is not cut")
			}
			w.await(func() bool { return w.api.OpenStreams() == 1 })
			w.do("like 11 200")
			fast.event()
		})
	}
}

// failingStore fails to read the log from some moment on, or panics.
type failingStore struct {
	api.Store
	fail   *atomic.Bool
	panics bool
}

func (s failingStore) LikeLog(ctx context.Context, partition int, after liked.Seq, max int) ([]liked.LikeEvent, error) {
	events, err := s.Store.LikeLog(ctx, partition, after, max)
	if s.fail.Load() && s.panics {
		panic("boom")
	}
	if s.fail.Load() {
		return nil, errors.New("a bad disk")
	}
	return events, err
}

func TestStreamFaults(t *testing.T) {
	t.Parallel()
	for _, panics := range []bool{false, true} {
		var fail atomic.Bool
		w := streamWorld(t, func(o *api.Options) { o.Store = failingStore{o.Store, &fail, panics} })
		r := w.read("machine", compliance)
		w.do("like 11 101")
		fail.Store(true)
		w.do("unlike 11 101")
		goodbye := disconnected("InternalError", "This stream has been disconnected for operational reasons.")
		if got := r.rest(); len(got) == 0 || got[len(got)-1] != goodbye {
			t.Errorf("got %q", got)
		}
		if x := <-w.seen; x.Err == nil || !strings.Contains(x.Err.Error(), map[bool]string{false: "a bad disk", true: "boom"}[panics]) {
			t.Errorf("the operator sees %+v", x)
		}
		if panics { // in the request's own goroutine, after the answer has begun
			r := w.read("machine", compliance+"?backfill_minutes=5")
			if got := r.rest(); len(got) > 0 || !r.broken.Load() {
				t.Errorf("got %q, broken: %v", got, r.broken.Load())
			}
			if x := <-w.seen; x.Err == nil || !strings.Contains(x.Err.Error(), "boom") || x.Status != 200 {
				t.Errorf("the operator sees %+v", x)
			}
		}
		fail.Store(false)
		if got := w.read("machine", compliance+"?backfill_minutes=5").event(); postOf(t, got) != "-101" {
			t.Errorf("the next reader gets %s", got)
		}
	}
}

// heldStore keeps pages of the log back while somebody holds it.
type heldStore struct {
	api.Store
	hold *sync.Mutex
}

func (s heldStore) LikeLog(ctx context.Context, partition int, after liked.Seq, max int) ([]liked.LikeEvent, error) {
	events, err := s.Store.LikeLog(ctx, partition, after, max)
	s.hold.Lock()
	defer s.hold.Unlock()
	return events, err
}

// A stream begins where its request does, though the feed that it joins may be behind.
func TestStreamBegins(t *testing.T) {
	t.Parallel()
	var hold sync.Mutex
	w := streamWorld(t, func(o *api.Options) { o.Store = heldStore{o.Store, &hold} })
	w.do("app-only other")
	w.do("like 11 101")
	other := w.read("other", w.home(""))
	hold.Lock()
	for n := 102; n < 109; n++ {
		w.do(fmt.Sprint("like 11 ", n))
	}
	r := w.read("machine", w.home(""))
	hold.Unlock()
	w.do("like 11 109")
	if got := postOf(t, r.event()); got != "109" {
		t.Errorf("the first event is about %s, which was liked before", got)
	}
	for n := 102; n <= 109; n++ {
		if got := postOf(t, other.event()); got != strconv.Itoa(n) {
			t.Errorf("the other reader got %s, want %d", got, n)
		}
	}
}

// A reader who comes back after a crash and asks for what was before misses no like that was answered, and finds what it
// was told before as it was.
func TestStreamCrash(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 1))
	disk := vfs.NewCrashableMem()
	w := newWorldOn(t, openOn(t, disk), nil)
	w.populate()
	const users, posts, crashAt = 40, 9, 150
	for n := range users {
		w.must(w.store.AddUser(t.Context(), liked.User{ID: liked.UserID(1000 + n), Username: fmt.Sprint("user", n), Name: "x", CreatedAt: start}))
	}
	r := w.read("machine", firehose("")...)
	var answered atomic.Int64
	var writing sync.WaitGroup
	for part := range 4 {
		writing.Go(func() {
			for n := range users / 4 * posts {
				user, post := part*users/4+n/posts, 101+n%posts
				at := start.Add(time.Duration(1000*user+post) * time.Millisecond) // which tells the events apart
				if _, err := w.store.SetLike(context.Background(), liked.UserID(1000+user), liked.PostID(post), true, at); err != nil {
					t.Error(err)
				}
				answered.Add(1)
			}
		})
	}
	w.await(func() bool { return answered.Load() >= crashAt && len(r.lines) > 0 })
	var told []string
	for len(r.lines) > 0 {
		told = append(told, r.event())
	}
	kept := int(answered.Load())
	left := disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 50, RNG: rng})
	writing.Wait()

	after := newWorldOn(t, openOn(t, left), nil)
	after.tokens = w.tokens
	again := after.read("machine", firehose("&backfill_minutes=5")...)
	after.clock.Store(int64(time.Hour))
	after.do("like 13 109") // is the last
	found := map[string]bool{}
	last := false
	after.await(func() bool { // partitions come in any order
		for len(again.lines) > 0 {
			e := again.event()
			if found[e] {
				t.Errorf("%s came twice", e)
			}
			found[e] = true
			last = last || strings.Contains(e, `"created_at":"2024-05-01T13:`)
		}
		return last && len(found) > kept
	})
	for _, e := range told {
		if !found[e] {
			t.Errorf("%s was told before the crash, and not after it", e)
		}
	}
}

// What bounds the time of other requests does not bound that of a stream.
func TestStreamOutlivesTimeouts(t *testing.T) {
	t.Parallel()
	w := streamWorld(t, func(o *api.Options) { o.KeepAlive = 20 * time.Millisecond })
	srv := httptest.NewUnstartedServer(w.api)
	const limit = 3 * time.Second // a request comes and begins to be answered within it
	srv.Config.ReadTimeout, srv.Config.WriteTimeout = limit, limit
	srv.Start()
	w.url = srv.URL
	r := w.read("machine", compliance)
	for begun := time.Now(); time.Since(begun) < 2*limit; {
		if _, ok := r.next(); !ok {
			t.Fatal("the stream has ended")
		}
	}
	w.do("like 11 101")
	w.do("unlike 11 101")
	r.event()
	r.leave()
	srv.Close()
}

// A replay has what happened from its start on and before its end, in order, from however many pages of the log.
func TestStreamSpan(t *testing.T) {
	t.Parallel()
	const users, step = 40, 100 * time.Millisecond
	w := streamWorld(t, nil)
	for n := range users {
		w.must(w.store.AddUser(t.Context(), liked.User{ID: liked.UserID(1000 + n), Username: fmt.Sprint("user", n), Name: "x", CreatedAt: start}))
	}
	set := func(user, post int, on bool, at time.Time) {
		t.Helper()
		changed, err := w.store.SetLike(t.Context(), liked.UserID(1000+user), liked.PostID(post), on, at)
		if err != nil || !changed {
			t.Fatal(changed, err)
		}
	}
	for n := range users * 15 { // and each taken back at a time of its own
		set(n%users, 101+n/users%9, true, start)
		set(n%users, 101+n/users%9, false, start.Add(time.Duration(n)*step))
	}
	w.do("sleep 10m")
	for _, span := range []struct{ from, to int }{{0, 600}, {10, 11}, {100, 420}, {599, 700}, {600, 601}} {
		at := func(n int) string { return start.Add(time.Duration(n) * step).Format(time.RFC3339Nano) }
		got := w.read("machine", compliance+"?start_time="+at(span.from)+"&end_time="+at(span.to)).rest()
		var want []string
		for n := span.from; n < min(span.to, 600); n++ {
			want = append(want, fmt.Sprintf(`{"data":{"delete":{"favorite":{"id":"%d","user_id":"%d"},"event_at":"%s"}}}`,
				101+n/users%9, 1000+n%users, start.Add(time.Duration(n)*step).Truncate(time.Second).Format("2006-01-02T15:04:05.000Z")))
		}
		if !slices.Equal(got, want) {
			t.Errorf("%v: got %d events, want %d\n%.3q\n%.3q", span, len(got), len(want), got, want)
		}
	}
}

// disconnected is the last line of a stream that the server ends.
func disconnected(kind, detail string) string {
	return `{"errors":[{"title":"operational-disconnect","disconnect_type":"` + kind + `","detail":"` + detail +
		`","type":"https://api.twitter.com/2/problems/operational-disconnect"}]}`
}

// slotStore settles which server has a slot instead of the store, and keeps which were released.
type slotStore struct {
	api.Store
	elsewhere *atomic.Bool
	broken    bool // it does not tell
	released  chan string
}

func (s slotStore) Hold(_ context.Context, names []string, _ time.Duration) ([]bool, error) {
	if s.broken && s.elsewhere.Load() {
		return nil, errors.New("out of touch")
	}
	return slices.Repeat([]bool{!s.elsewhere.Load()}, len(names)), nil
}

func (s slotStore) Release(_ context.Context, names []string) error {
	for _, name := range names {
		s.released <- name
	}
	return nil
}

// A connection of the app through another server is one, too; when its reader leaves, it is free at once.
func TestStreamOfAnotherServer(t *testing.T) {
	t.Parallel()
	var elsewhere atomic.Bool
	released := make(chan string, 10)
	w := streamWorld(t, func(o *api.Options) { o.Store = slotStore{o.Store, &elsewhere, false, released} })
	elsewhere.Store(true)
	if resp, _ := w.connect("machine", compliance); resp.StatusCode != 429 || w.api.OpenStreams() != 0 {
		t.Errorf("got %d, and %d streams are open", resp.StatusCode, w.api.OpenStreams())
	}
	elsewhere.Store(false)
	resp, leave := w.connect("machine", compliance)
	if resp.StatusCode != 200 {
		t.Fatalf("got %d", resp.StatusCode)
	}
	leave()
	want := fmt.Sprintf("stream/%v/likes_compliance_stream/0", w.apps["machine"])
	select {
	case got := <-released:
		if got != want {
			t.Errorf("%s is released, want %s", got, want)
		}
	case <-time.After(patience):
		t.Fatal("the slot of a reader who left is not released")
	}
}

// openOn opens the store on a disk.
func openOn(t *testing.T, disk vfs.FS) store.Store {
	t.Helper()
	st, err := pebblestore.Open(pebblestore.Options{FS: disk, Dir: "data"})
	if err != nil {
		t.Fatal(err)
	}
	return st
}
