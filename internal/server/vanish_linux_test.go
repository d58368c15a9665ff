package server_test

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"liked/internal/server"
)

// vanish has the kernel drop all that arrives on the connection, as if its machine were gone: nothing is acknowledged.
func vanish(t *testing.T, conn net.Conn) {
	t.Helper()
	raw, err := conn.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	none := []unix.SockFilter{{Code: unix.BPF_RET | unix.BPF_K}}
	controlErr := raw.Control(func(fd uintptr) {
		err = unix.SetsockoptSockFprog(int(fd), unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: 1, Filter: &none[0]})
	})
	if err != nil || controlErr != nil {
		t.Fatal(err, controlErr)
	}
}

// Readers of streams whose machines are gone lose their places: one that there is something to send to, and one that there is
// not.
func TestVanishedReadersAreNoticed(t *testing.T) {
	t.Parallel()
	config := server.Config{Seed: world()}
	config.SetVanished(2 * time.Second) // keep-alives are sent in whole seconds
	srv, _ := start(t, config)
	k := srv.Credentials()
	c := client(t, nil)
	like(t, c, k)
	var readers []net.Conn
	for _, stream := range []string{"compliance/stream", "sample10/stream?partition=1"} {
		conn := dial(t, srv.URL())
		fmt.Fprintf(conn, "GET /2/likes/%s HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %s\r\n\r\n", stream, k.Apps[0].BearerToken)
		if resp, err := http.ReadResponse(bufio.NewReader(conn), nil); err != nil || resp.StatusCode != 200 {
			t.Fatal(stream, resp, err)
		}
		readers = append(readers, conn)
	}
	open := func(n int) bool {
		_, metrics := get(t, c, srv.AdminURL()+"/metrics", "")
		return strings.Contains(metrics, fmt.Sprintf("\nliked_streams_open %d\n", n))
	}
	if !open(2) {
		t.Fatal("the streams are not open")
	}
	for _, conn := range readers {
		vanish(t, conn)
	}
	u := k.Users[len(k.Users)-1]
	resp, body := send(t, c, "DELETE", srv.URL()+"/2/users/"+u.ID.String()+"/likes/"+k.Posts[0].ID.String(), u.AccessToken, "")
	if resp.StatusCode != 200 {
		t.Fatal(resp.Status, body)
	}
	for begun := time.Now(); !open(0); time.Sleep(20 * time.Millisecond) {
		if time.Since(begun) > 25*time.Second { // fewer than those of a server that was told nothing
			t.Fatalf("after 25 s readers have their places: one %t, both %t", open(1), open(2))
		}
	}
}
