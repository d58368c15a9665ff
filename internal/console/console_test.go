package console

import (
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"liked/internal/admin"
	"liked/internal/journal"
	"liked/internal/web"
)

func TestMark(t *testing.T) {
	for _, tt := range []struct {
		a, b        string
		first, then marked
	}{
		{"GET&a%3D1&z", "", marked{Same: "GET&a%3D1&z"}, marked{}},
		{"GET&a%3D1", "GET&a%3D1", marked{Same: "GET&a%3D1"}, marked{Same: "GET&a%3D1"}},
		{"GET&a%3D1&z", "GET&a%3D2&z", marked{"GET&a%3D", "1", "&z"}, marked{"GET&a%3D", "2", "&z"}},
		{"GET&q%26a", "GET&a", marked{"GET&", "q%26", "a"}, marked{"GET&", "", "a"}},
		{"aa", "aaa", marked{"aa", "", ""}, marked{"aa", "a", ""}},
	} {
		if first, then := mark(tt.a, tt.b); first != tt.first || then != tt.then {
			t.Errorf("%q and %q are marked %q and %q, want %q and %q", tt.a, tt.b, first, then, tt.first, tt.then)
		}
	}
}

// A body is shown as it came, but for the space between its parts.
func TestIndented(t *testing.T) {
	for body, want := range map[string]string{
		`{"z":"<b> & \u0041","a":12345678901234567890,"f":1.0}`: `{|  "z": "<b> & \u0041",|  "a": 12345678901234567890,|  "f": 1.0|}`,
		"a=1": "a=1", "{": "{", "": "",
	} {
		if got := messageOf(journal.Message{Body: body}).Pretty; got != strings.ReplaceAll(want, "|", "\n") {
			t.Errorf("%s is shown as %s", body, got)
		}
	}
}

func TestDescribe(t *testing.T) {
	all := describe([]byte(`{"paths":{"/2/users/{id}/likes/{tweet_id}":{"delete":{"operationId":"unlike","parameters":[
		{"in":"path","name":"id","schema":{"type":"string"}},{"in":"query","name":"max_results","schema":{"type":"integer"}}]}}}}`))
	op := all["unlike"]
	if !maps.Equal(op.types, map[string]string{"max_results": "integer"}) || op.stream {
		t.Errorf("got %+v", op)
	}
	values, ok := op.inPath("/2/users/1/likes/2%2F3")
	if !ok || !slices.Equal(values, [][2]string{{"id", "1"}, {"tweet_id", "2/3"}}) {
		t.Errorf("got %v, %v", values, ok)
	}
	for _, other := range []string{"/2/users/1/likes", "/2/users/1/tweets/2", "/2/users/%zz/likes/1"} {
		if values, ok := op.inPath(other); ok {
			t.Errorf("%s has %v", other, values)
		}
	}
}

// Who one calls as comes from a cookie, which anybody may have written.
func TestActingAs(t *testing.T) {
	for value, want := range map[string]Acting{"1.2": {"1", "2"}, ".2": {"", "2"}, ".": {}} {
		r := httptest.NewRequest("GET", "/", nil)
		r.AddCookie(&http.Cookie{Name: actingCookie, Value: value})
		if got, ok := actingAs(r); !ok || got != want {
			t.Errorf("%q: got %+v, %v", value, got, ok)
		}
	}
	for _, value := range []string{"", "1", "1.", "a.2", "1.b", "../1.2"} {
		r := httptest.NewRequest("GET", "/", nil)
		r.AddCookie(&http.Cookie{Name: actingCookie, Value: value})
		if got, ok := actingAs(r); ok {
			t.Errorf("%q: got %+v", value, got)
		}
	}
}

// A form and a notice lead to pages of this server alone.
func TestOwn(t *testing.T) {
	for path, want := range map[string]string{"/console?a=b": "/console?a=b", "/explorer": "/explorer", "": Path, "//example.com": Path,
		`/\example.com`: Path, "https://example.com": Path, "/a\nb": Path, "/a\x00": Path, "/\u202e": Path} {
		if got := own(path); got != want {
			t.Errorf("%q leads to %q, want %q", path, got, want)
		}
	}
}

// The gate forgets the oldest pass before there are too many, and each once the token is another.
func TestGate(t *testing.T) {
	var g gate
	with := func(value string) *http.Request {
		r := httptest.NewRequest("GET", "/console", nil)
		r.AddCookie(&http.Cookie{Name: gateCookie, Value: value})
		return r
	}
	if _, ok := g.enter("a", "b"); ok {
		t.Error("another token opens the gate")
	}
	first, ok := g.enter("b", "b")
	if !ok || !g.passes(with(first), "b") || g.passes(with(first), "c") || g.passes(with("b"), "b") {
		t.Error("the right token does not open the gate, or too much does")
	}
	for range maxPasses {
		_, _ = g.enter("b", "b")
	}
	if len(g.entered) != maxPasses || g.passes(with(first), "b") {
		t.Errorf("%d passes are kept", len(g.entered))
	}
}

// reader is who reads a live list.
type reader struct {
	*httptest.ResponseRecorder
	until time.Time // the time that it has for what is being written; zero: it has any
}

func (r *reader) SetWriteDeadline(t time.Time) error {
	r.until = t
	return nil
}

// A live list lasts though nothing is called, and a row of it is one event, whatever a caller has written.
func TestLive(t *testing.T) {
	c, err := New(Options{Operator: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Liked-Admin", "1")
		_, _ = io.WriteString(w, "event: request\ndata: "+`{"method":"GET","why":"no\r\revent: cleared\r\ndata: <b>\r\n\r\n"}`+"\n\n")
	})})
	if err != nil {
		t.Fatal(err)
	}
	w := &reader{ResponseRecorder: httptest.NewRecorder()}
	(&call{Console: c, Request: httptest.NewRequest("GET", LivePath, nil)}).follow(w, nil)
	lines := strings.FieldsFunc(w.Body.String(), func(r rune) bool { return r == '\n' || r == '\r' })
	if len(lines) != 4 || lines[2] != "event: request" || !strings.Contains(lines[3], "event: cleared  data: &lt;b&gt;") {
		t.Errorf("got %q", lines)
	}
	if !w.until.IsZero() {
		t.Error("the list ends unless something is called")
	}
}

// What a webhook was told of is found behind all that others were told of since, and none is left out between two pages.
func TestDeliveries(t *testing.T) {
	given := 0
	c, err := New(Options{Operator: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Liked-Admin", "1")
		rows, hook := admin.RequestPage{Next: "more"}, "8"
		if r.URL.Query().Get("after") == "more" {
			rows.Next, hook = "", "7"
		}
		limit, _ := strconv.Atoi(r.URL.Query().Get("limit"))
		for given = range limit {
			rows.Data = append(rows.Data, journal.Row{Delivery: &journal.Delivery{Webhook: hook, Event: strconv.Itoa(given)}})
		}
		_ = json.NewEncoder(w).Encode(rows)
	})})
	if err != nil {
		t.Fatal(err)
	}
	x := &call{Console: c, Request: httptest.NewRequest("GET", Path, nil)}
	if list, next, err := x.deliveries(0, ""); err != nil || len(list) != given+1 || next != "more" {
		t.Errorf("of %d deliveries %d are shown, before those after %q: %v", given+1, len(list), next, err)
	}
	if list, _, err := x.deliveries(7, ""); err != nil || len(list) != maxTold || list[0].Delivery.Webhook != "7" {
		t.Errorf("got %d of a webhook: %v", len(list), err)
	}
}

// A text of an error may begin with any letter.
func TestSentence(t *testing.T) {
	for text, want := range map[string]string{"": "", "no such user": "No such user.", "éa is taken": "Éa is taken.",
		"“x” is no name": "“x” is no name.", "Is it running?": "Is it running?"} {
		if got := sentence(text); got != want {
			t.Errorf("%q is written %q, want %q", text, got, want)
		}
	}
}

// Every template is a page, but for the frame and the parts that pages share.
func TestLooks(t *testing.T) {
	for name, page := range look().templates {
		if shared := name == "layout" || strings.HasSuffix(name, "parts"); (page.Lookup("main") == nil) != shared {
			t.Errorf("%s is shared, or a page: it cannot be both", name)
		}
	}
	w := httptest.NewRecorder()
	web.Asset("code.js").Write(w, httptest.NewRequest("GET", "/", nil))
	for _, l := range languages {
		if !strings.Contains(w.Body.String(), `{ id: "`+l.ID+`", name: "`+l.Name+`"`) {
			t.Errorf("code.js does not write %s", l.Name)
		}
	}
}
