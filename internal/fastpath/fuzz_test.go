package fastpath

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net/http"
	"reflect"
	"testing"
)

// FuzzRequest holds this package to how net/http reads what is taken for a plain request, at once and in pieces, and where one
// request ends and the next begins.
func FuzzRequest(f *testing.F) {
	for _, text := range []string{
		ask, ask + ask,
		"DELETE /2/users/1/likes/2 HTTP/1.1\r\nhost: [::1]:8080\r\nUser-Agent: a (b; c)\r\n" +
			"Accept-Encoding: gzip, deflate\r\naccept: */*\r\nConnection: keep-alive\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: h\r\nX: a\r\nx: b\r\nCookie: a=b\r\nContent-Length: 007\r\n\r\n1234567rest",
		"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"GET /2/users/1/liked_tweets?max_results=5&tweet.fields=id,text HTTP/1.1\r\nHost: h\r\n\r\n",
		"PUT /a%2Fb/%c3%a9?x=%zz&y;z#f HTTP/1.1\r\nHost: h\r\nconnection: Keep-Alive\r\n\r\n",
		"GET /a? HTTP/1.1\r\nHost: h\r\n\r\n", "GET /a?b? HTTP/1.1\r\nHost: h\r\n\r\n", "GET /*'() HTTP/1.1\r\nHost: h\r\n\r\n",
		"GET /a b HTTP/1.1\r\nHost: h\r\n\r\n", "GET /%zz HTTP/1.1\r\nHost: h\r\n\r\n", "HEAD / HTTP/1.1\r\nHost: h\r\n\r\n",
		"POST //a/../b HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\nTE: trailers\r\nKeep-Alive: 5\r\n\r\n",
	} {
		f.Add([]byte(text), []byte(ask))
		f.Add([]byte(ask), []byte(text))
	}
	for _, key := range singletons {
		v := singleValue(key)
		for _, values := range [][2]string{{"", v}, {v, v}, {v, "2"}} {
			f.Add([]byte(repeated(key, values, "")), []byte(repeated(key, [2]string{v, ""}, "")))
		}
	}
	all := func(string) bool { return true }
	f.Fuzz(func(t *testing.T, text, earlier []byte) {
		if len(text) > bufferSize {
			return
		}
		state := &tls.ConnectionState{ServerName: "h"}
		var q request
		q.init(context.Background(), "", state)
		if _, s := q.parse(earlier, all); s == whole { // which must make no difference, whatever its handler did
			r := q.next()
			_ = r.ParseForm()
			r.SetPathValue("id", "1")
			r.Pattern, r.Host, r.URL.Path, r.URL.RawQuery, r.Body = "GET /", "x", "x", "x", nil
		}
		size, s := q.parse(text, all)
		if s != whole {
			return
		}
		got := q.next()
		r := bufio.NewReader(bytes.NewReader(text))
		want, err := http.ReadRequest(r)
		if err != nil {
			t.Fatalf("net/http refuses %q: %v", text[:size], err)
		}
		if want.Host == "" {
			t.Errorf("%q is plain without a host", text[:size])
		}
		for key, values := range want.Header {
			if len(values) != 1 {
				t.Errorf("%q is plain with %d times %s", text[:size], len(values), key)
			}
		}
		gotBody, err := io.ReadAll(got.Body)
		if err != nil {
			t.Fatal(err)
		}
		wantBody, err := io.ReadAll(want.Body)
		if err != nil || want.Close || len(want.TransferEncoding) > 0 || len(want.Trailer) > 0 {
			t.Fatalf("%q is not plain: %+v, %v", text[:size], want, err)
		}
		if rest := len(text) - size; rest != r.Buffered() {
			t.Errorf("%q leaves %d bytes, for net/http %d", text, rest, r.Buffered())
		}
		if !bytes.Equal(gotBody, wantBody) {
			t.Errorf("body is %q, for net/http %q", gotBody, wantBody)
		}
		want.TLS = state
		for _, r := range []*http.Request{got, want} {
			r.Body, r.RemoteAddr = nil, ""
			*r = *r.WithContext(context.Background())
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("request is\n%+v, for net/http\n%+v", got, want)
		}
		for i := range size {
			if _, s := q.parse(text[:i], all); s != part {
				t.Fatalf("the first %d bytes of %q are in state %d", i, text[:size], s)
			}
		}
	})
}
