package capture

import (
	"net"
	"os"
	"os/exec"
	"slices"
	"testing"
	"time"
)

// A program that asks no proxy reaches X's hosts here, and nothing else below X's domains, of which the summary tells.
func TestPreloads(t *testing.T) {
	t.Parallel()
	for name, command := range map[string][]string{
		"node": {"node", "--input-type=module", "-e", `
			import { once } from "node:events";
			import { connect as raw } from "node:net";
			import { connect } from "node:tls";
			for (const url of ["https://API.x.com/a", "https://ads-api.x.com/b", "http://api.x.com/c", "https://x.com:8443/d"])
				await fetch(url).then((r) => console.log(r.status), (e) => console.log(e.cause.message));
			const socket = raw({ port: 443, host: "twitter.com" });
			await once(connect({ socket, servername: "twitter.com" }), "secureConnect");
			const other = raw(80, "x.com");
			const [error] = await once(other, "error");
			console.log(error.code);
			process.exit();`},
		"python3": {"python3", "-c", `
import http.client, socket
for connection, path in ((http.client.HTTPSConnection("API.x.com"), "/a"), (http.client.HTTPSConnection("ads-api.x.com"), "/b"),
                         (http.client.HTTPConnection("api.x.com"), "/c"), (http.client.HTTPSConnection("x.com", 8443), "/d")):
    try:
        connection.request("GET", path)
        print(connection.getresponse().status)
    except socket.gaierror as error:
        print(error.strerror)
try:
    socket.create_connection((b"x.com", 80))
except socket.gaierror as error:
    print("ENOTFOUND" if error.errno == socket.EAI_NONAME else error)`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := exec.LookPath(name); err != nil {
				skipOrFail(t, name, err)
			}
			s := stand(t)
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			variables, err := s.Proxy(l, t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			cmd := exec.CommandContext(t.Context(), command[0], command[1:]...)
			cmd.Env = variables.over(os.Environ())
			out, err := cmd.CombinedOutput()
			if want := `200
liked: ads-api.x.com: no such host of X leads here
liked: api.x.com: it was called at port 80, where X does not answer
liked: x.com: it was called at port 8443, where X does not answer
ENOTFOUND
`; err != nil || string(out) != want {
				t.Errorf("it says %v\n%s\nwant\n%s", err, out, want)
			}
			got := s.Log.Summary()
			want := []Miss{{"ads-api.x.com", "no such host of X leads here", 1},
				{"api.x.com", "it was called at port 80, where X does not answer", 1},
				{"x.com", "it was called at port 80, where X does not answer", 1},
				{"x.com", "it was called at port 8443, where X does not answer", 1}}
			if got.Calls != 1 || !slices.Equal(got.Errors, want) {
				t.Errorf("%+v, want %+v", got, want)
			}
		})
	}
}

// A client that agrees on no TLS is told of by what kept it from X, and one that says nothing is none.
func TestFrontWithoutTLS(t *testing.T) {
	t.Parallel()
	s := stand(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.ServeTLS(l)
	for _, said := range []string{"", "GET / HTTP/1.1\r\nHost: x.com\r\n\r\n"} {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Write([]byte(said)); err != nil {
			t.Fatal(err)
		}
		if said != "" {
			_, _ = c.Read(make([]byte, 1)) // until it is refused
		}
		c.Close()
	}
	want := []Miss{{"a host without a name", "it does not speak the TLS that X does: tls: first record does not look like a TLS handshake", 1}}
	for deadline := time.Now().Add(time.Minute); !slices.Equal(s.Log.Summary().Errors, want); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%+v, want %+v", s.Log.Summary().Errors, want)
		}
	}
}
