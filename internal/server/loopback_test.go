package server_test

import (
	"net"
	"strings"
	"testing"

	"liked/internal/server"
)

// localhost is both loopback addresses, as far as the machine has them: clients try one or the other.
func TestLocalhostIsBothLoopbacks(t *testing.T) {
	t.Parallel()
	six, err := net.Listen("tcp6", "[::1]:0")
	if err != nil {
		t.Logf("this machine has no ::1: %v", err)
	}
	srv, _ := start(t, server.Config{Listen: "localhost:0", AdminListen: "localhost:0"})
	for _, url := range []string{srv.URL() + "/2/openapi.json", srv.AdminURL() + "/readyz"} {
		c := client(t, nil)
		if status, _ := get(t, c, url, ""); status != 200 || !strings.HasPrefix(url, "http://127.0.0.1:") {
			t.Errorf("%s: %d, want 200", url, status)
		}
		if six == nil {
			continue
		}
		url = strings.Replace(url, "127.0.0.1", "[::1]", 1)
		if status, _ := get(t, c, url, ""); status != 200 {
			t.Errorf("%s: %d, want 200", url, status)
		}
	}
	if six == nil {
		return
	}
	// Another program on one of the two would get the calls of some clients.
	defer six.Close()
	taken := strings.Replace(six.Addr().String(), "[::1]", "localhost", 1)
	if _, err := server.New(server.Config{Listen: taken}); !says(err, "in use: stop what listens there") {
		t.Errorf("::1 is taken: %v, want that the address is in use", err)
	}
}
