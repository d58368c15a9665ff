package server_test

import (
	"bufio"
	"crypto/tls"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"liked/internal/livetest"
	"liked/internal/server"
)

// browse asks for a page, or posts a form, as a browser with cookies does.
func browse(t *testing.T, jar http.CookieJar, address string, form url.Values) (int, string) {
	t.Helper()
	r, err := http.NewRequest("GET", address, nil)
	if form != nil {
		r, err = http.NewRequest("POST", address, strings.NewReader(form.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if err != nil {
		t.Fatal(err)
	}
	c := http.Client{Jar: jar}
	resp, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

func newJar(t *testing.T) http.CookieJar {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return jar
}

// content is a page without what each has around it.
func content(page string) string {
	_, after, _ := strings.Cut(page, "<main")
	return after
}

// What is no development server has no console: X's own 404 answers.
func TestServeHasNoConsole(t *testing.T) {
	t.Parallel()
	srv, _ := start(t, server.Config{})
	status, console := browse(t, nil, srv.URL()+"/console", nil)
	otherStatus, other := browse(t, nil, srv.URL()+"/nothing", nil)
	if status != 404 || status != otherStatus || console != other {
		t.Errorf("got %d %q, and of an unknown path %d %q", status, console, otherStatus, other)
	}
}

// The console is open where the page at / shows tokens. Elsewhere it needs the admin token, once in a browser.
func TestConsoleGate(t *testing.T) {
	t.Parallel()
	random := world()
	random.Seed = 0
	for name, tt := range map[string]struct {
		config server.Config
		open   bool
	}{
		"known, in memory, on loopback": {server.Config{Dev: true, Seed: world()}, true},
		"random":                        {server.Config{Dev: true, Seed: random}, false},
		"kept":                          {server.Config{Dev: true, Seed: world(), Data: t.TempDir()}, false},
		"for others to connect":         {server.Config{Dev: true, Seed: world(), Listen: "0.0.0.0:0"}, false},
	} {
		srv, _ := startHere(t, tt.config)
		jar := newJar(t)
		address := srv.URL() + "/console"
		status, text := browse(t, jar, address, nil)
		if tt.open {
			if status != 200 || !strings.Contains(text, "Calling as <strong>@") {
				t.Errorf("%s: got %d %s", name, status, content(text))
			}
			continue
		}
		for _, path := range []string{"", "/live", "/requests/1"} {
			if status, text := browse(t, jar, address+path, nil); status != 403 || strings.Contains(text, "Calling as") {
				t.Errorf("%s: %s answers %d without the admin token", name, path, status)
			}
		}
		back := url.Values{"return": {"/console/control"}}
		if status, text := browse(t, jar, address+"/reset", back); status != 403 || !strings.Contains(text, `value="/console/control"`) {
			t.Errorf("%s: a reset without the admin token is answered %d %s", name, status, content(text))
		}
		for what, form := range map[string]string{"a form of another site": "", "a form that cannot be read": "%zz"} {
			r, err := http.NewRequest("POST", address+"/reset", strings.NewReader(form))
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			if form == "" {
				r.Header.Set("Origin", "https://example.com")
			}
			resp, err := http.DefaultTransport.RoundTrip(r)
			if err != nil {
				t.Fatal(err)
			}
			page, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			if err != nil || resp.StatusCode < 400 || strings.Contains(string(page), "alice") {
				t.Errorf("%s: %s is answered %d with the users: %v", name, what, resp.StatusCode, err)
			}
		}
		if status, _ := browse(t, jar, address+"/enter", url.Values{"token": {"another"}}); status != 403 {
			t.Errorf("%s: got %d with another token", name, status)
		}
		status, text = browse(t, jar, address+"/enter", url.Values{"token": {srv.AdminToken}, "return": {"/console"}})
		if status != 200 || !strings.Contains(text, "Calling as") || strings.Contains(text, srv.AdminToken) {
			t.Errorf("%s: got %d %s with the admin token", name, status, text)
		}
		for _, cookie := range jar.Cookies(&url.URL{Scheme: "http", Host: "x", Path: "/console"}) {
			if strings.Contains(cookie.Value, srv.AdminToken) {
				t.Errorf("%s: a cookie holds the admin token", name)
			}
		}
	}
}

// What a browser keeps for one server is nothing to another on the same host, though it sends both all cookies.
func TestConsoleServersAtOneHost(t *testing.T) {
	t.Parallel()
	random := world()
	random.Seed = 0
	jar := newJar(t)
	var servers []*server.Server
	for _, user := range []string{"likesbot", "XDevelopers"} {
		srv, _ := startHere(t, server.Config{Dev: true, Seed: random})
		servers = append(servers, srv)
		browse(t, jar, srv.URL()+"/console/enter", url.Values{"token": {srv.AdminToken}})
		browse(t, jar, srv.URL()+"/console/acting", url.Values{"as": {"user"}, "user": {user}, "app": {"demo"}})
	}
	for i, want := range []string{"@likesbot", "@XDevelopers"} {
		if status, text := browse(t, jar, servers[i].URL()+"/console", nil); status != 200 || !strings.Contains(text, "<strong>"+want+"<") {
			t.Errorf("server %d: got %d %s", i, status, text[strings.Index(text, "<body"):][:2000])
		}
	}
}

// A form of another site is refused, and what the console does itself is not in the journal.
func TestConsoleForms(t *testing.T) {
	t.Parallel()
	srv, _ := startHere(t, server.Config{Dev: true, Seed: world(), Journal: 100})
	r, err := http.NewRequest("POST", srv.URL()+"/console/reset", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Origin", "https://example.com")
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 403 {
		t.Errorf("a reset by another site is answered %d", resp.StatusCode)
	}
	jar := newJar(t)
	status, text := browse(t, jar, srv.URL()+"/console/acting", url.Values{"as": {"user"}, "user": {"@likesbot"}, "app": {"demo"}})
	if status != 200 || !strings.Contains(text, "You call as @likesbot now") || !strings.Contains(text, "Calling as <strong>@likesbot") {
		t.Errorf("got %d %s", status, content(text))
	}
	if listed := transactions(text); len(listed) > 0 {
		t.Errorf("the console lists its own requests: %s", listed)
	}
	if status, text = browse(t, jar, srv.URL()+"/console/nothing", nil); status != 404 || !strings.Contains(text, "<h1>Not found</h1>") {
		t.Errorf("an unknown page: %d %s", status, content(text))
	}
	if status, text = browse(t, jar, srv.URL()+"/console/reset", url.Values{}); status != 200 || !strings.Contains(text, ">Undo<") {
		t.Errorf("a reset: %d %s", status, content(text))
	}
}

var transactionOf = regexp.MustCompile(`/console/requests/([0-9a-f]{16})"`)

// transactions are those that a page of the console leads to, in its order.
func transactions(page string) (all []string) {
	for _, match := range transactionOf.FindAllStringSubmatch(page, -1) {
		all = append(all, match[1])
	}
	return all
}

// A request is found by what is known of it, in pages that nothing is missing from, and live.
func TestConsoleRequests(t *testing.T) {
	t.Parallel()
	srv, _ := startHere(t, server.Config{Dev: true, Seed: world(), Journal: 1000})
	k := srv.Credentials()
	c := client(t, nil)
	console := srv.URL() + "/console"
	live, err := c.Get(console + "/live?status=401")
	if err != nil {
		t.Fatal(err)
	}
	defer live.Body.Close()
	events := bufio.NewScanner(live.Body)
	next := func() (event, data string) {
		for events.Scan() {
			name, value, _ := strings.Cut(events.Text(), ": ")
			switch name {
			case "event":
				event = value
			case "data":
				return event, value
			}
		}
		t.Fatalf("the live list ended: %v", events.Err())
		return "", ""
	}
	if event, _ := next(); event != "ready" {
		t.Fatalf("the live list begins with %s", event)
	}
	like(t, c, k)
	get(t, c, srv.URL()+"/explorer", "") // a page, which is shown if it is asked for
	const calls = 120
	for range calls {
		get(t, c, srv.URL()+"/2/users/me", "<wrong>")
	}
	if event, row := next(); event != "request" || !strings.Contains(row, "GET /2/users/me") || strings.Contains(row, "<wrong>") {
		t.Errorf("the live list has %s %s", event, row)
	}
	seen := make(map[string]bool)
	pages := 0
	older := regexp.MustCompile(`href="([^"]*after=[^"]*)">Older`)
	for address := console; address != ""; pages++ {
		_, page := get(t, c, address, "")
		for _, id := range transactions(page) {
			if seen[id] {
				t.Errorf("request %s is listed twice", id)
			}
			seen[id] = true
		}
		address = ""
		if match := older.FindStringSubmatch(page); match != nil {
			address = srv.URL() + html.UnescapeString(match[1])
		}
	}
	if len(seen) != calls+1 || pages != 3 {
		t.Errorf("%d requests on %d pages, want %d on 3", len(seen), pages, calls+1)
	}
	for query, want := range map[string]int{"status=200": 1, "status=4xx": 50, "user=" + k.Users[len(k.Users)-1].Username: 1, "app=demo": 1,
		"operation=usersIdLike": 1, "text=" + k.Posts[0].ID.String(): 1, "text=no+such+text": 0,
		"operation=explorer": 0, "operation=explorer&show=all": 1} {
		if _, page := get(t, c, console+"?"+query, ""); len(transactions(page)) != want {
			t.Errorf("%s: %d requests, want %d", query, len(transactions(page)), want)
		}
	}
	if status, page := get(t, c, console+"?user=no_such", ""); status != 200 || !strings.Contains(content(page), `alert">No such user`) {
		t.Errorf("an unknown user: %d %s", status, content(page))
	}
	if _, page := browse(t, newJar(t), console+"/clear", url.Values{}); len(transactions(page)) != 0 {
		t.Error("the list is not cleared")
	}
}

// What is made of one request: it is sent again as others, becomes a rule and is taken back, and is asserted.
func TestConsoleRequest(t *testing.T) {
	t.Parallel()
	srv, _ := startHere(t, server.Config{Dev: true, Seed: world(), Journal: 1000})
	k := srv.Credentials()
	c := client(t, nil)
	jar := newJar(t)
	console := srv.URL() + "/console"
	like(t, c, k)
	newest := func() (string, string) {
		t.Helper()
		_, list := browse(t, jar, console, nil)
		id := transactions(list)[0]
		_, page := browse(t, jar, console+"/requests/"+id, nil)
		return console + "/requests/" + id, page
	}
	address, page := newest()
	user := k.Users[len(k.Users)-1]
	for _, want := range []string{"Send as @" + user.Username, `tweet_id`, "Left before", `data-call="{`, "&#34;usersIdLike&#34;"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page of a like lacks %q", want)
		}
	}
	if strings.Contains(page, user.AccessToken) {
		t.Error("the page holds the token")
	}
	path := url.Values{"path": {"/2/users/" + user.ID.String() + "/likes"}, "body": {`{"tweet_id":"` + k.Posts[0].ID.String() + `"}`}}
	send := func(as, want string) string {
		t.Helper()
		path.Set("as", as)
		status, page := browse(t, jar, address+"/again", path)
		if status != 200 || !strings.Contains(page, want) {
			t.Errorf("sent as %s: %d %s", as, status, content(page))
		}
		return page
	}
	app := regexp.MustCompile(`value="(\d+)" selected>demo<`).FindStringSubmatch(page)[1]
	send(user.ID.String()+"."+app, "Sent again as @"+user.Username)
	page = send("."+app, "Sent again as app demo")
	if !strings.Contains(page, `class="status s4">403`) || !strings.Contains(page, "Send as @"+user.Username) {
		t.Errorf("the like of an app alone: %s", content(page))
	}
	send(".", "Sent again as nobody")
	if status, _ := browse(t, jar, address+"/again", url.Values{"as": {"."}, "path": {"/oauth2/token"}}); status != 400 {
		t.Errorf("a call of another path is answered %d", status)
	}

	fault := url.Values{"do": {"503"}, "user": {"1"}, "times": {"2"}, "return": {"/console"}}
	_, page = browse(t, jar, address+"/fault", fault)
	undo := regexp.MustCompile(`/console/undo/fault/[^"]+`).FindString(page)
	if undo == "" {
		t.Fatalf("a fault: %s", content(page))
	}
	if page = send(user.ID.String()+"."+app, "Sent again"); !strings.Contains(page, ">503<") {
		t.Errorf("the fault is not provoked: %s", content(page))
	}
	if status, page := browse(t, jar, srv.URL()+undo, url.Values{}); status != 200 || !strings.Contains(page, "The rule is removed") {
		t.Errorf("undone: %d %s", status, content(page))
	}
	if page = send(user.ID.String()+"."+app, "Sent again"); strings.Contains(page, ">503<") {
		t.Error("the fault outlives its rule")
	}

	// A reset takes the console's own token with it.
	browse(t, jar, console+"/reset", url.Values{})
	like(t, c, k)
	address, page = newest()
	send(user.ID.String()+"."+app, `class="status s2">200`)
	expectation := html.UnescapeString(regexp.MustCompile(`(?s)name="assert".*?>(.*?)</textarea>`).FindStringSubmatch(page)[1])
	if _, page = browse(t, jar, address+"?assert="+url.QueryEscape(expectation), nil); !strings.Contains(page, "As expected: 2 found") {
		t.Errorf("asserted: %s", content(page))
	}
	none := strings.Replace(expectation, `"at_least": 1`, `"exactly": 9`, 1)
	if _, page = browse(t, jar, address+"?assert="+url.QueryEscape(none), nil); !strings.Contains(page, "Not as expected: found 2 requests") {
		t.Errorf("asserted: %s", content(page))
	}
	if _, page = browse(t, jar, address+"?assert={", nil); !strings.Contains(page, `role="alert"`) {
		t.Errorf("asserted nonsense: %s", content(page))
	}
}

// In HTTP/2 a connection has few pages answered at a time, and live lists, which do not end, are none of them.
func TestConsoleLiveTakesNoTurn(t *testing.T) {
	t.Parallel()
	cert, key, pool := livetest.Certificate(t)
	srv, _ := startHere(t, server.Config{Dev: true, Seed: world(), Journal: 100, TLSCert: cert, TLSKey: key})
	c := client(t, &tls.Config{RootCAs: pool})
	for range 5 {
		resp, err := c.Get(srv.URL() + "/console/live")
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if resp.ProtoMajor != 2 || resp.StatusCode != 200 {
			t.Fatalf("a live list: %s %s", resp.Proto, resp.Status)
		}
	}
	if status, _ := get(t, c, srv.URL()+"/console", ""); status != 200 {
		t.Errorf("beside live lists a page is answered %d", status)
	}
}
