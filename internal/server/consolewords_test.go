package server_test

import (
	"html"
	"io"
	"log"
	"net"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"liked/internal/server"
)

// answering is the address of a listener that answers each connection with the text, and closes it.
func answering(t *testing.T, text string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			buf := make([]byte, 1024)
			_, _ = conn.Read(buf)
			_, _ = conn.Write([]byte(text))
			conn.Close()
		}
	}()
	return l.Addr().String()
}

// What a form is refused for is said as people say it: once for each mistake, by the name that the form has for the field.
func TestConsoleWords(t *testing.T) {
	t.Parallel()
	srv, _ := startHere(t, server.Config{Dev: true, Seed: world(), Journal: 100, PrivateWebhooks: true})
	silent, plain, other := answering(t, ""), answering(t, "HTTP/1.1 400 Bad Request\r\n\r\n"), answering(t, "SSH-2.0-none\r\n")
	strange := httptest.NewUnstartedServer(nil)
	strange.Config.ErrorLog = log.New(io.Discard, "", 0)
	strange.StartTLS()
	defer strange.Close()
	jar := newJar(t)
	const lengths = " 90s, 15m or 2h30m."
	for _, tt := range []struct{ path, form, want string }{
		{"data/users", "username=", "Enter a username."},
		{"data/users", "username=a&name=" + strings.Repeat("x", 51), "The name has 51 characters: use at most 50."},
		{"data/users/alice/relation", "kind=following&target=alice", "@alice is this user already: enter another one."},
		{"data/apps", "type=public", "Enter a name."},
		{"data/apps", "type=public&name=x&redirect_uris=" + url.QueryEscape("https://a.example/cb\nnot a url"),
			`The app is not valid: callback 2, "not a url": begin with https:// or with your app's own scheme.`},
		{"data/apps/demo", "name=demo&access=read&state=enrolled&tier=enterprise&redirect_uris=" + url.QueryEscape("not a url"),
			`The app is not valid: callback 1, "not a url": begin with https:// or with your app's own scheme.`},
		{"webhooks", "app=demo&url=", "The URL of a webhook must begin with https:// or http:// and a host."},
		{"webhooks", "app=demo&url=not+a+url",
			"The URL of a webhook must have neither spaces nor letters beyond ASCII: write them as %20 and the like."},
		{"webhooks", "app=demo&url=http://127.0.0.1:1/x", "Nothing answers at 127.0.0.1:1. Is your receiver running?"},
		{"webhooks", "app=demo&url=http://" + silent, silent + " closed the connection before it had answered."},
		{"webhooks", "app=demo&url=https://" + plain,
			"The endpoint failed its challenge: what answers at " + plain + " speaks no TLS, which a URL with https:// needs."},
		{"webhooks", "app=demo&url=http://" + other, "What answers at " + other + " speaks no HTTP."},
		{"webhooks", "app=demo&url=https://" + strange.Listener.Addr().String(),
			"The endpoint failed its challenge: the certificate of " + strange.Listener.Addr().String() +
				" is signed by nobody whom this server trusts."},
		{"control/clock", "do=speed&speed=NaN", "Enter a number: 60 lets a minute pass in a second."},
		{"control/clock", "do=speed&speed=Inf", "Enter a number: 60 lets a minute pass in a second."},
		{"control/clock", "do=advance&by=", "Enter a length of time:" + lengths},
		{"control/clock", "do=advance&by=-1h", `"-1h" is not above 0: write` + lengths},
		{"control/faults", "", "Choose what happens."},
		{"control/faults", "do=problem", "Choose a refusal."},
		{"control/faults", "do=answer", "Status of the answer: enter one, from 200 to 599."},
		{"control/faults", "do=answer&answer=99", "99 is no status of an answer; one is from 200 to 599."},
		{"control/faults", "do=answer&answer=503&times=0", `How many times: "0" is no number above 0.`},
		{"control/faults", "do=limit", "For: enter a length of time, as 15m."},
		{"control/faults", "do=limit&reset_in=-1m", `For: "-1m" is not above 0: write` + lengths},
		{"control/faults", "do=delay", "Late by: enter a length of time, as 2s."},
		{"control/faults", "do=problem&problem=forbidden&path=no/slash", `The path "no/slash" begins neither with / nor with *; it has no host.`},
	} {
		form, err := url.ParseQuery(tt.form)
		if err != nil {
			t.Fatal(err)
		}
		status, text := browse(t, jar, srv.URL()+"/console/"+tt.path, form)
		_, said, _ := strings.Cut(content(text), `role="alert"`)
		_, said, _ = strings.Cut(said, ">")
		said, _, _ = strings.Cut(said, "</")
		if status < 400 || status >= 500 || html.UnescapeString(said) != tt.want {
			t.Errorf("%s %s: got %d %q, want %q", tt.path, tt.form, status, html.UnescapeString(said), tt.want)
		}
	}
	_, text := browse(t, jar, srv.URL()+"/console/control?caller=nobody", nil)
	if !strings.Contains(text, `>No such user &#34;nobody&#34;.<`) {
		t.Errorf("the windows of nobody: %s", content(text))
	}
	if status, text := browse(t, jar, srv.URL()+"/console/control/faults/remove", url.Values{"id": {"gone"}}); status != 200 ||
		!strings.Contains(text, "The rule is removed.") {
		t.Errorf("a rule that is gone is removed with %d %s", status, content(text))
	}
}

// A page that a rule spoils says so, and leads to the rules: otherwise nothing works, and nothing says why.
func TestRulesSayTheySpoilPages(t *testing.T) {
	t.Parallel()
	srv, _ := startHere(t, server.Config{Dev: true, Seed: world(), Journal: 100})
	jar := newJar(t)
	browse(t, jar, srv.URL()+"/console/control/faults", url.Values{"do": {"answer"}, "answer": {"503"}})
	for _, path := range []string{"/explorer", "/developer", "/login"} {
		status, text := browse(t, jar, srv.URL()+path, nil)
		if status != 503 || !strings.Contains(text, "A rule of what goes wrong made this page 503.") ||
			!strings.Contains(text, `href="/console/control#faults"`) {
			t.Errorf("%s: got %d %s", path, status, content(text))
		}
	}
}

// The address above a page that refused a form can be asked for: it leads to the page that has the form.
func TestConsoleFormAddresses(t *testing.T) {
	t.Parallel()
	srv, _ := startHere(t, server.Config{Dev: true, Seed: world(), Journal: 100})
	for path, want := range map[string]string{"data/posts": "Posts", "data/posts/1/like": "Not found", "acting": "Requests",
		"undo/reset": "Requests", "control/faults": "Control", "data/users/alice/relation": "@alice", "nothing": "Not found"} {
		if _, text := browse(t, newJar(t), srv.URL()+"/console/"+path, nil); !strings.Contains(text, "<title>"+want+" ·") {
			t.Errorf("%s: %s", path, content(text))
		}
	}
}
