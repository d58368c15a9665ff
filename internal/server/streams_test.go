package server_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"liked/internal/livetest"
	"liked/internal/server"
)

// A server that stops ends its streams first: they do not hold it up.
func TestStreamsEndWithTheServer(t *testing.T) {
	t.Parallel()
	cert, key, pool := livetest.Certificate(t)
	for name, test := range map[string]struct {
		config server.Config
		tls    *tls.Config
		proto  int
	}{
		"HTTP/1.1": {server.Config{}, nil, 1},
		"HTTP/2":   {server.Config{TLSCert: cert, TLSKey: key}, &tls.Config{RootCAs: pool}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test.config.Seed, test.config.Grace = world(), time.Hour
			srv, stop := start(t, test.config)
			k, c := srv.Credentials(), client(t, test.tls)
			lines := make(chan string, 100)
			ended := make(chan error, 20)
			for n := range 20 {
				r, err := http.NewRequest("GET", fmt.Sprintf("%s/2/likes/firehose/stream?partition=%d", srv.URL(), n+1), nil)
				if err != nil {
					t.Fatal(err)
				}
				r.Header.Set("Authorization", "Bearer "+k.Apps[0].BearerToken)
				resp, err := c.Do(r) // which asks for gzip, and unpacks it
				if err != nil {
					t.Fatal(err)
				}
				defer resp.Body.Close()
				if resp.StatusCode != 200 || resp.ProtoMajor != test.proto {
					t.Fatalf("%s %s", resp.Status, resp.Proto)
				}
				go func() {
					body := bufio.NewScanner(resp.Body)
					for body.Scan() {
						if line := body.Text(); line != "" { // one in a while says that the stream lives
							lines <- line
						}
					}
					ended <- body.Err()
				}()
			}
			next := func() string {
				select {
				case line := <-lines:
					return line
				case <-time.After(time.Minute):
					t.Fatal("nothing comes")
					return ""
				}
			}
			like(t, c, k)
			if line := next(); !strings.HasPrefix(line, `{"data":{"id":"`) {
				t.Errorf("got %s", line)
			}
			if _, metrics := get(t, client(t, nil), srv.AdminURL()+"/metrics", ""); !strings.Contains(metrics, "\nliked_streams_open 20\n") {
				t.Error("the metrics do not have 20 open streams")
			}
			stopped := make(chan error, 1)
			go func() { stopped <- stop() }()
			select {
			case err := <-stopped:
				if err != nil {
					t.Error(err)
				}
			case <-time.After(time.Minute):
				t.Fatal("the server waits for its streams")
			}
			for range 20 {
				if line := next(); !strings.Contains(line, `"disconnect_type":"UpstreamOperationalDisconnect"`) {
					t.Errorf("got %s", line)
				}
				if err := <-ended; err != nil {
					t.Errorf("the stream ended with %v", err)
				}
			}
		})
	}
}
