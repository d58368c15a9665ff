package server

import (
	"errors"
	"io"
	"log/slog"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"liked/internal/exchange"
)

// BenchmarkObserve is what it costs that a like is logged and counted.
func BenchmarkObserve(b *testing.B) {
	logger, flush, err := NewLogger(io.Discard, "text", slog.LevelInfo)
	if err != nil {
		b.Fatal(err)
	}
	defer flush()
	var s settings
	o := newObserver(logger, prometheus.NewRegistry(), s.clientAddress)
	r := httptest.NewRequest("POST", "/2/users/1100000000000000001/likes", nil)
	x := exchange.Exchange{Operation: "usersIdLike", Method: "POST", TransactionID: "2f6a1c8de35b9047", Status: 200,
		App: 1800000000000000001, User: 1100000000000000001, Duration: 1234567 * time.Nanosecond, Bytes: 23}
	b.ReportAllocs()
	for b.Loop() {
		o.observe(r, x)
	}
}

// The log line of a request has all that is known of it, always in the same order.
func TestRequestLogLine(t *testing.T) {
	proxied := settings{trusted: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}
	const from = " address=203.0.113.9 path=/2/a%20b"
	for _, tt := range []struct {
		name string
		x    exchange.Exchange
		want string
	}{
		{"like", exchange.Exchange{Operation: "usersIdLike", Method: "POST", TransactionID: "2f6a", Status: 200,
			App: 7, User: 9, Duration: 1234567},
			"level=INFO msg=request operation=usersIdLike method=POST status=200 duration=1.234567ms transaction=2f6a" + from + " app=7 user=9"},
		{"made-up method", exchange.Exchange{Operation: "usersIdLike", Method: "A=B", TransactionID: "2f6a", Status: 405, Why: `no "A=B"`},
			`level=INFO msg=request operation=usersIdLike method="A=B" status=405 duration=0s transaction=2f6a` + from + ` why="no \"A=B\""`},
		{"unknown operation", exchange.Exchange{Operation: "x", Method: "GET", TransactionID: "2f6a", Status: 404},
			"level=INFO msg=request operation=none method=GET status=404 duration=0s transaction=2f6a" + from},
		{"internal error", exchange.Exchange{Operation: "usersIdLike", Method: "POST", TransactionID: "2f6a", Status: 500,
			App: 7, User: 9, Why: "w", Err: errors.New("disk: full")},
			"level=ERROR msg=request operation=usersIdLike method=POST status=500 duration=0s transaction=2f6a" + from + " app=7 user=9 " +
				`why=w error="disk: full"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var text strings.Builder
			logger, flush, err := NewLogger(&text, "text", slog.LevelInfo)
			if err != nil {
				t.Fatal(err)
			}
			r := httptest.NewRequest("POST", "/2/a%20b?state=secret", nil)
			r.RemoteAddr, r.Header["X-Forwarded-For"] = "10.0.0.1:5", []string{"203.0.113.9"}
			newObserver(logger, prometheus.NewRegistry(), proxied.clientAddress).observe(r, tt.x)
			flush()
			if _, got, _ := strings.Cut(text.String(), " "); got != tt.want+"\n" {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}
