package bench

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// FuzzReadAnswer: an answer as net/http writes it is read to its last byte, and taken for what its status says. Whatever
// else comes is refused, or is an answer whose body has the length that it names.
func FuzzReadAnswer(f *testing.F) {
	f.Add("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}", 200, []byte(`{"data":{"liked":true}}`))
	f.Add("HTTP/1.1 429 Too Many Requests\r\nContent-Length: 5\r\n\r\nlater", 503, bytes.Repeat([]byte("x"), 2*maxExample))
	f.Add("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", 404, []byte{})
	f.Add("HTTP/1.1 200 OK\r\nContent-Length: 9223372036854775807\r\nContent-Length: 1\n\nx", 500, []byte("\r\n"))
	f.Fuzz(func(t *testing.T, text string, status int, body []byte) {
		r := bufio.NewReader(strings.NewReader(text))
		err := readAnswer(r)
		if err == nil && !strings.HasPrefix(strings.TrimSpace(text), "HTTP/1.1 200 ") {
			t.Errorf("%q is taken for a success", text)
		}
		refused, ok := errors.AsType[*Refused](err)
		if ok && (strings.HasPrefix(refused.Status, "200 ") || len(refused.Body) > maxExample) {
			t.Errorf("%q is taken for the refusal %q", text, refused)
		}

		if status < 200 || status > 599 || status == 204 || status == 304 || status != 200 && http.StatusText(status) == "" {
			return // net/http writes no length with these, or no words
		}
		var written bytes.Buffer
		resp := http.Response{
			StatusCode: status, ProtoMajor: 1, ProtoMinor: 1,
			ContentLength: int64(len(body)), Body: io.NopCloser(bytes.NewReader(body)),
		}
		if err := resp.Write(&written); err != nil {
			t.Fatal(err)
		}
		if len(body) == 0 {
			return // where net/http looks whether there is something after all
		}
		written.WriteString("next")
		r = bufio.NewReader(&written)
		err = readAnswer(r)
		refused, ok = errors.AsType[*Refused](err)
		if status == 200 && err != nil || status != 200 && (!ok || refused.Body != string(body[:min(len(body), maxExample)])) {
			t.Errorf("status %d, %q: got %v", status, body, err)
		}
		if rest, _ := io.ReadAll(r); string(rest) != "next" {
			t.Errorf("status %d, %q: leaves %q", status, body, rest)
		}
	})
}

// FuzzWorld: a credentials file is refused, or gives requests that net/http reads as what they are.
func FuzzWorld(f *testing.F) {
	f.Add([]byte(`{"url":"http://127.0.0.1:1","apps":[{"api_key":"k","api_secret":"s"}],`+
		`"users":[{"id":"1","access_token":"a","oauth1_token":"t","oauth1_token_secret":"s"}],"posts":[{"id":"2"}]}`), false)
	f.Add([]byte(`{"url":"http://127.0.0.1:1","apps":[],"users":[{}],"posts":[{}]}`), true)
	f.Add([]byte(`{"url":"http://[::1]:1/x?y","users":[{"id":"1\r\nHost: y","access_token":"a b"}],"posts":[{"id":"2\""}]}`), false)
	path := filepath.Join(f.TempDir(), "credentials.json")
	f.Fuzz(func(t *testing.T, text []byte, signed bool) {
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		world, err := ReadWorld(path)
		if err != nil {
			return
		}
		r, err := newRequests(world, world.URL, Workload{Mix: Mix{like: 50, unlike: 50}, Zipf: 1.1, OAuth1: signed})
		if err != nil {
			return
		}
		q := r.newRequester(0, rand.New(rand.NewPCG(1, 1)))
		for range 4 {
			kind, text := q.make()
			rest := bufio.NewReader(bytes.NewReader(text))
			req, err := http.ReadRequest(rest)
			if err != nil {
				t.Fatalf("%q: %v", text, err)
			}
			if _, err := io.Copy(io.Discard, req.Body); err != nil || rest.Buffered() > 0 {
				t.Fatalf("%q is more, or less, than one request: %v", text, err)
			}
			if want := map[int]string{like: "POST", unlike: "DELETE"}[kind]; req.Method != want {
				t.Fatalf("%q: want %s", text, want)
			}
			if _, err := url.ParseRequestURI(req.RequestURI); err != nil {
				t.Fatal(err)
			}
		}
	})
}
