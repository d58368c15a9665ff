package api_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"liked/internal/api"
	"liked/internal/store"
	"liked/internal/store/pgstore"
	"liked/internal/store/pgstore/pgtest"
)

// connected is what /2/connections says of a connection.
type connected struct {
	ID       string
	Endpoint string `json:"endpoint_name"`
	Begun    string `json:"connected_at"`
	Ended    string `json:"disconnected_at"`
	Reason   string `json:"disconnect_reason"`
	Client   string `json:"client_ip"`
}

func (w *world) connections(credential, query string) (all []connected, next string) {
	w.t.Helper()
	resp, body := w.request(credential, "GET", "/2/connections"+query, nil)
	var doc struct {
		Data []connected
		Meta struct {
			Count int    `json:"result_count"`
			Next  string `json:"next_token"`
		}
	}
	if err := json.Unmarshal([]byte(body), &doc); err != nil || resp.StatusCode != 200 || doc.Meta.Count != len(doc.Data) || doc.Data == nil {
		w.t.Fatalf("got %d %s, %v", resp.StatusCode, body, err)
	}
	return doc.Data, doc.Meta.Next
}

// An app sees its connections, why those that ended did, and can end them; their slots are free when that is answered.
func TestConnections(t *testing.T) {
	t.Parallel()
	w := streamWorld(t, nil)
	w.do("app-only other")
	w.read("other", compliance)
	if all, _ := w.connections("machine", ""); len(all) != 0 {
		t.Errorf("got %v of an app that reads nothing", all)
	}
	r := w.read("machine", compliance, firehose("")[6], sample("")[0])
	all, _ := w.connections("machine", "")
	if len(all) != 3 || all[2].Endpoint != "likes_compliance_stream" || all[1].Endpoint != "likes_firehose_stream" ||
		all[0].Endpoint != "likes_sample10_stream" {
		t.Fatalf("got %+v", all)
	}
	if c := all[2]; len(c.ID) != 36 || c.Begun != "2024-05-01T12:00:00.000Z" || c.Client != "127.0.0.1" || c.Ended+c.Reason != "" {
		t.Errorf("got %+v", c)
	}
	end := func(target, body string) (done string) {
		t.Helper()
		var lines []string
		if body != "" {
			lines = []string{body}
		}
		resp, done := w.request("machine", "DELETE", "/2/connections"+target, lines)
		if resp.StatusCode != 200 || resp.Header.Get("X-Rate-Limit-Limit") != "25" {
			t.Errorf("got %d %v", resp.StatusCode, resp.Header)
		}
		return done
	}
	w.do("sleep 1s")
	unknown := "00000000-0000-4000-8000-000000000000"
	got := end("", `{"uuids":["`+unknown+`","`+all[1].ID+`","`+unknown+`"]}`)
	if want := `{"data":{"successful_kills":1,"failed_kills":1,"results":[{"uuid":"` + all[1].ID + `","success":true},{"uuid":"` + unknown +
		`","success":false,"error_message":"the app has no open connection with this id"}]}}`; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	again := w.read("machine", firehose("")[6])
	got = end("/likes_sample10_stream", "")
	if want := `{"data":{"successful_kills":1,"failed_kills":0,"results":[{"uuid":"` + all[0].ID; !strings.HasPrefix(got, want) {
		t.Errorf("got %s", got)
	}
	if got := end("/filtered_stream", ""); got != `{"data":{"successful_kills":0,"failed_kills":0,"results":[]}}` {
		t.Errorf("got %s", got)
	}
	if got := end("/all", ""); !strings.HasPrefix(got, `{"data":{"successful_kills":2,"failed_kills":0`) {
		t.Errorf("got %s", got)
	}
	goodbye := disconnected("ForceDisconnect", "This stream has been disconnected for operational reasons.")
	if got := r.rest(); !slices.Equal(got, []string{goodbye, goodbye, goodbye}) {
		t.Errorf("the streams end with %q", got)
	}
	if got := again.rest(); !slices.Equal(got, []string{goodbye}) {
		t.Errorf("the stream ends with %q", got)
	}
	if all, _ := w.connections("machine", ""); len(all) != 0 {
		t.Errorf("got %v after the end of all", all)
	}
	if all, _ := w.connections("other", "?status=all"); len(all) != 1 || all[0].Ended != "" {
		t.Errorf("another app's: got %+v", all)
	}
	all, next := w.connections("machine", "?status=inactive&max_results=3")
	last, none := w.connections("machine", "?status=inactive&max_results=3&pagination_token="+next)
	if len(all) != 3 || len(last) != 1 || none != "" ||
		all[0].Endpoint != "likes_firehose_stream" || last[0].Endpoint != "likes_compliance_stream" {
		t.Errorf("got %+v and %+v", all, last)
	}
	if c := last[0]; c.Reason != "operator_disconnect" || c.Ended != "2024-05-01T12:00:01.000Z" {
		t.Errorf("got %+v", c)
	}
	few, _ := w.connections("machine", "?status=all&endpoints=likes_firehose_stream,sample_stream&connection.fields=endpoint_name")
	if want := (connected{ID: few[0].ID, Endpoint: "likes_firehose_stream"}); len(few) != 2 || few[0] != want {
		t.Errorf("got %+v", few)
	}
}

// Each end of a stream has its reason in the history.
func TestConnectionReasons(t *testing.T) {
	t.Parallel()
	w := streamWorld(t, nil)
	reason := func(want string, end func()) {
		t.Helper()
		end()
		w.await(func() bool { return w.api.OpenStreams() == 0 })
		if all, _ := w.connections("machine", "?status=all&max_results=1"); len(all) != 1 || all[0].Reason != want {
			t.Errorf("got %+v, want the reason %s", all, want)
		}
	}
	reason("client_disconnect", func() { w.read("machine", compliance).leave() })
	w.do("sleep 1s")
	reason("end_of_stream", func() {
		w.read("machine", compliance+"?start_time=2024-05-01T12:00:00Z&end_time=2024-05-01T12:00:01Z").rest()
	})
	for range 100 {
		_, leave := w.connect("machine", sample("")[0])
		leave()
		w.await(func() bool { return w.api.OpenStreams() == 0 })
	}
	if all, _ := w.connections("machine", "?status=all&max_results=100&endpoints=likes_compliance_stream"); len(all) != 0 {
		t.Errorf("%d of more than a hundred ended connections are still known", len(all))
	}
}

// A stream ends once another server has its slot, or may have it because the store does not answer.
func TestStreamLosesItsSlot(t *testing.T) {
	t.Parallel()
	for _, broken := range []bool{false, true} {
		var lost atomic.Bool
		w := streamWorld(t, func(o *api.Options) { o.Store = slotStore{o.Store, &lost, broken, make(chan string, 10)} })
		w.api.SetLease(30 * time.Millisecond)
		r := w.read("machine", compliance)
		lost.Store(true)
		goodbye := disconnected("UpstreamOperationalDisconnect", "This stream has been disconnected upstream for operational reasons.")
		if got := r.rest(); !slices.Equal(got, []string{goodbye}) {
			t.Errorf("broken %v: got %q", broken, got)
		}
		lost.Store(false)
		if all, _ := w.connections("machine", "?status=inactive"); len(all) != 1 || all[0].Reason != "upstream_disconnect" {
			t.Errorf("got %+v", all)
		}
		w.read("machine", compliance).leave()
	}
}

// slowStore is a slotStore whose renewals take long.
type slowStore struct {
	slotStore
	held            atomic.Bool
	renewing, renew chan struct{}
}

func (s *slowStore) Hold(ctx context.Context, names []string, ttl time.Duration) ([]bool, error) {
	if s.held.Swap(true) && len(names) > 0 {
		s.renewing <- struct{}{}
		<-s.renew
	}
	return s.slotStore.Hold(ctx, names, ttl)
}

// A renewal that is under way when a reader leaves does not take the slot again after it was released.
func TestSlotStaysReleased(t *testing.T) {
	t.Parallel()
	s := &slowStore{slotStore: slotStore{elsewhere: new(atomic.Bool), released: make(chan string, 10)}, renewing: make(chan struct{}),
		renew: make(chan struct{})}
	w := streamWorld(t, func(o *api.Options) { s.Store, o.Store = o.Store, s })
	w.api.SetLease(2 * time.Second)
	_, leave := w.connect("machine", compliance)
	<-s.renewing
	leave()
	select {
	case <-s.released:
		t.Error("the slot is released while a renewal is under way")
	case <-time.After(100 * time.Millisecond):
	}
	close(s.renew)
	select {
	case <-s.released:
	case <-time.After(patience):
		t.Fatal("the slot is not released")
	}
}

// sharedLeases is a store as one of several servers has it: its leases are those of a database.
type sharedLeases struct {
	api.Store
	leases store.Leases
}

func (s sharedLeases) Hold(ctx context.Context, names []string, ttl time.Duration) ([]bool, error) {
	return s.leases.Hold(ctx, names, ttl)
}

func (s sharedLeases) Release(ctx context.Context, names []string) error {
	return s.leases.Release(ctx, names)
}

// A slot is one over all servers, and free at once when its reader leaves.
func TestOneSlotOfTwoServers(t *testing.T) {
	t.Parallel()
	dsn := pgtest.Schema(t)
	var leases [2]store.Store
	var servers [2]*world
	for i := range servers {
		var err error
		if leases[i], err = pgstore.Open(pgstore.Options{DSN: dsn, Readers: 2, Writers: 1}); err != nil {
			t.Fatal(err)
		}
		defer leases[i].Close()
		servers[i] = streamWorld(t, func(o *api.Options) { o.Store = sharedLeases{o.Store, leases[i]} })
		servers[i].api.SetLease(time.Minute)
	}
	a, b := servers[0], servers[1]
	if a.apps["machine"] != b.apps["machine"] {
		t.Fatal("the worlds have different apps")
	}
	r := a.read("machine", compliance)
	if resp, _ := b.connect("machine", compliance); resp.StatusCode != 429 {
		t.Errorf("got %d for a second connection, at another server", resp.StatusCode)
	}
	b.read("machine", firehose("")[0]).leave() // another stream
	r.leave()
	for end := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		if resp, leave := b.connect("machine", compliance); resp.StatusCode == 200 {
			leave()
			break
		} else if time.Now().After(end) {
			t.Fatal("the slot of a reader who left does not become free at another server")
		}
	}
}

func TestConnectionsRefused(t *testing.T) {
	t.Parallel()
	w := streamWorld(t, nil)
	w.do("app-only small self-serve enrolled")
	many := strings.TrimSuffix(strings.Repeat(`"x",`, 101), ",")
	for _, test := range []struct {
		credential, method, target, body string
		status                           int
		want                             string
	}{
		{"alice", "GET", "", "", 403, "Supported authentication types are [OAuth 2.0 Application-Only]."},
		{"alice", "DELETE", "/all", "", 403, "Supported authentication types are [OAuth 2.0 Application-Only]."},
		{"small", "GET", "", "", 403, "Forbidden"},
		{"machine", "GET", "?status=open", "", 400, "is not one of [active,inactive,all]"},
		{"machine", "GET", "?endpoints=likes", "", 400, "is not one of [filtered_stream,"},
		{"machine", "GET", "?max_results=101", "", 400, "is not between 1 and 100"},
		{"machine", "GET", "?pagination_token=x", "", 400, "pagination_token"},
		{"machine", "DELETE", "/likes", "", 400, "is not one of [filtered_stream,"},
		{"machine", "DELETE", "", "{}", 400, "$.uuids: is missing but it is required"},
		{"machine", "DELETE", "", `{"uuids":[]}`, 400, "$.uuids: there must be a minimum of 1 items in the array"},
		{"machine", "DELETE", "", `{"uuids":[` + many + `]}`, 400, "$.uuids: there must be a maximum of 100 items in the array"},
		{"machine", "DELETE", "", `{"uuids":["a",1]}`, 400, "$.uuids[1]: integer found, string expected"},
		{"machine", "DELETE", "", `{"uuids":"a"}`, 400, "$.uuids: string found, array expected"},
		{"machine", "DELETE", "", `{"uuids":["a"],"all":true}`, 400, "$.all: is not defined in the schema"},
		{"machine", "POST", "", "", 405, ""},
	} {
		var lines []string
		if test.body != "" {
			lines = []string{test.body}
		}
		resp, body := w.request(test.credential, test.method, "/2/connections"+test.target, lines)
		if resp.StatusCode != test.status || !strings.Contains(body, test.want) {
			t.Errorf("%s %s %s: got %d %s, want %d %s", test.method, test.target, fmt.Sprintf("%.30s", test.body), resp.StatusCode, body,
				test.status, test.want)
		}
	}
}

// An app gets the place of a reader that hangs back at once, long before the server would notice.
func TestConnectionThatHangs(t *testing.T) {
	t.Parallel()
	w := streamWorld(t, func(o *api.Options) { o.Stall = time.Hour })
	target, _ := w.hangs("machine")
	for range 50 { // more than buffers hold
		w.do("like 11 200")
		w.do("unlike 11 200")
	}
	if resp, _ := w.connect("machine", target); resp.StatusCode != 429 {
		t.Errorf("a second reader got %d", resp.StatusCode)
	}
	w.request("machine", "DELETE", "/2/connections/all", nil)
	r := w.read("machine", target)
	w.do("like 11 200")
	if postOf(t, r.event()) != "200" {
		t.Error("another post")
	}
}
