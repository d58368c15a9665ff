package server

import (
	"net/http"
	"net/netip"
	"os"
	"strings"
	"testing"
)

// FuzzForwarded: with any text in the headers that proxies add, the client's address is a valid one, of the connection or
// named in the header, and headers of a proxy that is not trusted change nothing.
func FuzzForwarded(f *testing.F) {
	if seeds, err := os.ReadDir("testdata/fuzz/FuzzForwarded"); err != nil || len(seeds) == 0 {
		f.Fatalf("no seeds in testdata/fuzz: %v", err)
	}
	f.Fuzz(func(t *testing.T, header, proto, host string) {
		for _, trusting := range []bool{false, true} {
			var s settings
			if trusting {
				s.trusted = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
			}
			const peer = "10.0.0.1"
			r := &http.Request{RemoteAddr: peer + ":5", Host: "likes.test",
				Header: http.Header{"X-Forwarded-For": {header}, "X-Forwarded-Proto": {proto}, "X-Forwarded-Host": {host}}}
			got := s.clientAddress(r)
			if _, err := netip.ParseAddr(got); err != nil {
				t.Errorf("%q: the address is %q", header, got)
			}
			if got != peer && !trusting {
				t.Errorf("%q: a stranger's header makes the address %q", header, got)
			}
			base := s.baseURL(r)
			if !strings.HasPrefix(base, "http://") && !strings.HasPrefix(base, "https://") {
				t.Errorf("%q %q: the base URL is %q", proto, host, base)
			}
			if base != "http://likes.test" && !trusting {
				t.Errorf("%q %q: a stranger's headers make the base URL %q", proto, host, base)
			}
		}
	})
}
