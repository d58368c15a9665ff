package webhook

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"liked"
	"liked/internal/exchange"
	"liked/internal/faults"
)

func TestCheckURL(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		url              string
		public, anywhere bool
	}{
		{"https://example.com/hook", true, true},
		{"https://example.com", true, true},
		{"https://example.com/hook?a=b", true, true},
		{"https://93.184.215.14/", true, true},
		{"https://example.com:443/", false, true},
		{"http://example.com/", false, true},
		{"https://127.0.0.1/", false, true},
		{"https://[::1]/", false, true},
		{"https://[::ffff:10.0.0.1]/", false, true},
		{"https://169.254.169.254/latest", false, true},
		{"http://localhost:3000/in", false, true},
		{"https://example.com/#here", false, false},
		{"https://user:pass@example.com/", false, false},
		{"https://example.com/?crc_token=1", false, false},
		{"https://example.com/ä", false, false},
		{"https:///path", false, false},
		{"https:example.com", false, false},
		{"ftp://example.com/", false, false},
		{"", false, false},
		{"https://example.com/" + strings.Repeat("x", 200), false, false},
	} {
		for anywhere, want := range map[bool]bool{false: test.public, true: test.anywhere} {
			err := checkURL(test.url, anywhere)
			if (err == nil) != want || err != nil && liked.KindOf(err) != liked.Invalid {
				t.Errorf("%s, anywhere %v: got %v, want allowed %v", test.url, anywhere, err, want)
			}
		}
	}
}

// FuzzURL: the URL of a webhook is refused, or can be requested, with a challenge too, and leads where it must.
func FuzzURL(f *testing.F) {
	for _, seed := range []string{
		"https://example.com/in?a=b", "http://127.0.0.1:3000/", "https://[::ffff:7f00:1]/", "https://example.com:443/", "https://a@b/",
		"https://0x7f.1/", "https://EXAMPLE.com/%zz", "https:///x", "https://example.com/?crc_token=1;", "https://[fe80::1%25eth0]/",
	} {
		f.Add(seed, false)
		f.Add(seed, true)
	}
	f.Fuzz(func(t *testing.T, text string, anywhere bool) {
		if err := checkURL(text, anywhere); err != nil {
			if liked.KindOf(err) != liked.Invalid {
				t.Errorf("%q: got %v, want Invalid", text, err)
			}
			return
		}
		r, err := http.NewRequest("GET", text, nil)
		if err != nil || r.URL.Host == "" || r.URL.User != nil || len(text) > maxURL {
			t.Fatalf("%q is accepted: %v", text, err)
		}
		if !anywhere && (r.URL.Scheme != "https" || r.URL.Port() != "") {
			t.Errorf("%q is accepted: it leads to %s", text, r.URL.Host)
		}
		if addr, err := netip.ParseAddr(r.URL.Hostname()); err == nil && !anywhere && !public(addr) {
			t.Errorf("%q is accepted: %v is not public", text, addr)
		}
		if r.URL.RawQuery != "" {
			r.URL.RawQuery += "&"
		}
		r.URL.RawQuery += "crc_token=x"
		if again, err := url.Parse(r.URL.String()); err != nil || again.Query().Get("crc_token") != "x" || again.Host != r.URL.Host {
			t.Errorf("%q with a challenge is %v, %v", text, r.URL, err)
		}
	})
}

func TestPublic(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		"8.8.8.8": true, "2606:4700::1111": true, "1.1.1.1": true,
		"127.0.0.1": false, "127.9.9.9": false, "0.0.0.0": false, "10.1.2.3": false, "172.16.0.1": false, "192.168.1.1": false,
		"169.254.169.254": false, "100.64.0.1": false, "224.0.0.1": false, "255.255.255.255": false, "198.18.0.1": false, "192.0.2.1": false,
		"::1": false, "::": false, "fe80::1": false, "fe80::1%eth0": false, "fc00::1": false, "fd12::1": false, "ff02::1": false,
		"::ffff:127.0.0.1": false, "::ffff:8.8.8.8": true, "64:ff9b::7f00:1": false, "2002:7f00:1::": false, "::127.0.0.1": false,
		"::ffff:0:8.8.8.8": false, "::ffff:0:127.0.0.1": false, "100::1": false, "100:0:0:1::1": false, "100:0:0:2::1": true,
	} {
		if got := public(netip.MustParseAddr(text)); got != want {
			t.Errorf("%s: got %v, want %v", text, got, want)
		}
	}
}

// sender returns Hooks that can only send.
func sender(anywhere bool, timeout time.Duration) *Hooks {
	return New(Options{Anywhere: anywhere, Pace: Pace{Timeout: timeout}, Logger: slog.New(slog.DiscardHandler)})
}

// The machine is not called at its own addresses, though they are public.
func TestElsewhere(t *testing.T) {
	t.Parallel()
	machine := []net.Addr{
		&net.IPNet{IP: net.IPv4(127, 0, 0, 1), Mask: net.CIDRMask(8, 32)},
		&net.IPNet{IP: net.IPv4(8, 8, 4, 4), Mask: net.CIDRMask(24, 32)},
		&net.IPNet{IP: net.ParseIP("2606:4700::1"), Mask: net.CIDRMask(64, 128)},
	}
	for address, want := range map[string]bool{
		"8.8.8.8:443": true, "8.8.4.5:443": true, "[2606:4700::2]:443": true,
		"8.8.4.4:443": false, "[::ffff:8.8.4.4]:443": false, "[2606:4700::1]:443": false, "127.0.0.1:443": false, "10.0.0.1:443": false,
		"no address": false,
	} {
		if got := elsewhere(address, machine); got != want {
			t.Errorf("%s: got %v, want %v", address, got, want)
		}
	}
}

// A name that leads to this machine passes as a URL, and is refused when it is dialled. What the owner of the app is told
// is what they are told of a name that there is not, and of a port that nothing listens at.
func TestDialRefuses(t *testing.T) {
	t.Parallel()
	reached := false
	srv := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached = true }))
	defer srv.Close()
	port := srv.Listener.Addr().(*net.TCPAddr).Port
	closed := httptest.NewServer(nil)
	closed.Close()
	for _, url := range []string{fmt.Sprintf("http://localhost:%d", port), srv.URL, fmt.Sprintf("http://[::ffff:127.0.0.1]:%d", port),
		fmt.Sprintf("http://0.0.0.0:%d", port), closed.URL, "http://no-such-host.invalid"} {
		h := sender(false, 5*time.Second)
		_, _, err := h.send(context.Background(), asking("GET"), url, nil, "")
		if want := "it cannot be reached over the public internet, or gave no answer within 5s"; err == nil || plain(err, "") != want {
			t.Errorf("%s: got error %v, want %q", url, err, want)
		}
	}
	if reached {
		t.Error("a request got through")
	}
	h := sender(true, 5*time.Second)
	status, _, err := h.send(context.Background(), asking("GET"), srv.URL, nil, "")
	if err != nil || status != 200 || !reached {
		t.Errorf("anywhere: got %d, %v", status, err)
	}
}

func asking(method string) exchange.Details {
	return exchange.Details{Exchange: exchange.Exchange{Method: method}}
}

// What a rule provokes tells the rule, also where the owner of the app is not told what became of a connection.
func TestProvokedTellsTheRule(t *testing.T) {
	t.Parallel()
	rules := faults.New(faults.Options{Now: time.Now})
	if _, err := rules.Add(faults.Rule{Do: faults.Do{Close: "before"}}, exchange.Names{}); err != nil {
		t.Fatal(err)
	}
	h := New(Options{Faults: rules, Logger: slog.New(slog.DiscardHandler)})
	_, _, err := h.send(context.Background(), asking("GET"), "http://no-such-host.invalid", nil, "")
	if err == nil || !strings.Contains(err.Error(), "rule 1 of /admin/faults provoked it") {
		t.Errorf("got error %v", err)
	}
}

// Answers are read up to a bound, however much there is, and within a time.
func TestSendBounds(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/much":
			for range 1000 {
				w.Write(make([]byte, 1<<10))
			}
		case "/slow":
			w.WriteHeader(200)
			http.NewResponseController(w).Flush()
			<-r.Context().Done()
		}
	}))
	defer srv.Close()
	status, body, err := sender(true, time.Minute).send(context.Background(), asking("GET"), srv.URL+"/much", nil, "")
	if err != nil || status != 200 || len(body) != maxAnswer {
		t.Errorf("got %d, %d bytes, %v", status, len(body), err)
	}
	const limit = 5 * time.Second // the status comes within it
	status, _, err = sender(true, limit).send(context.Background(), asking("POST"), srv.URL+"/slow", []byte("{}"), "x")
	if err == nil || status != 200 {
		t.Errorf("got %d, %v; want the status and that the body did not come", status, err)
	}
}
