package server_test

import (
	"bytes"
	"crypto/tls"
	"io"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"liked/internal/livetest"
	"liked/internal/server"
)

// Of pages that a client asks for and does not read, a connection in HTTP/2 has one answered at a time while five wait; the others
// are refused without a body, which would be kept, too.
func TestUnreadPagesAreFew(t *testing.T) {
	t.Parallel()
	cert, key, pool := livetest.Certificate(t)
	srv, _ := start(t, server.Config{Seed: world(), TLSCert: cert, TLSKey: key})
	conn := tls.Client(dial(t, srv.URL()), &tls.Config{RootCAs: pool, ServerName: "127.0.0.1", NextProtos: []string{"h2"}})
	if _, err := io.WriteString(conn, http2.ClientPreface); err != nil {
		t.Fatal(err)
	}
	frames := http2.NewFramer(conn, conn)
	frames.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(frames.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0}))
	const asked = 10
	ask := func(stream uint32) {
		t.Helper()
		var block bytes.Buffer
		e := hpack.NewEncoder(&block)
		for _, f := range [][2]string{{":method", "GET"}, {":scheme", "https"}, {":authority", "localhost"}, {":path", "/login"}} {
			must(e.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]}))
		}
		must(frames.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: block.Bytes(), EndStream: true, EndHeaders: true}))
	}
	for i := range uint32(asked) {
		ask(2*i + 1)
	}
	answers := map[string]int{}
	next := func() {
		t.Helper()
		for {
			f, err := frames.ReadFrame()
			must(err)
			if h, ok := f.(*http2.MetaHeadersFrame); ok {
				answers[h.PseudoValue("status")]++
				if refused := h.PseudoValue("status") == "503"; refused != h.StreamEnded() {
					t.Errorf("an answer %s that has no body: %v", h.PseudoValue("status"), h.StreamEnded())
				}
				return
			}
		}
	}
	for range asked - 5 {
		next()
	}
	if answers["200"] != 1 || answers["503"] != asked-6 {
		t.Errorf("answers to %d requests that are not read: %v, want 1 and %d refusals", asked, answers, asked-6)
	}
	must(frames.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 20}))
	must(frames.WriteWindowUpdate(0, 1<<20))
	for range 5 {
		next()
	}
	if answers["200"] != 6 {
		t.Errorf("once they are read: %v, want 6 pages", answers)
	}
	ask(2*asked + 1)
	if next(); answers["200"] != 7 {
		t.Errorf("another request: %v", answers)
	}
}
