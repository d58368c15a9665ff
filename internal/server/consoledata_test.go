package server_test

import (
	"fmt"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"liked/internal/seed"
	"liked/internal/server"
)

// dataPages is a console's Data pages, as a browser sees them.
type dataPages struct {
	*testing.T
	url string
	jar http.CookieJar
}

// tell posts a body to the operator's side.
func tell(t *testing.T, srv *server.Server, path, body string) {
	t.Helper()
	r, err := http.NewRequest("POST", srv.AdminURL()+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+srv.AdminToken)
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 200 && resp.StatusCode != 201 {
		t.Fatalf("%s is answered %d", path, resp.StatusCode)
	}
}

// holds asks for a page, or posts a form, and holds the page that comes to a status and to texts that it has, or has not: "-text".
func (d dataPages) holds(status int, path string, form url.Values, texts ...string) string {
	d.Helper()
	got, page := browse(d.T, d.jar, d.url+"/console/data"+path, form)
	page = page[strings.Index(page, "<main")+1:]
	if got != status {
		d.Errorf("%s %v: got %d, want %d: %s", path, form, got, status, page)
	}
	for _, text := range texts {
		not := strings.HasPrefix(text, "-")
		if strings.Contains(page, strings.TrimPrefix(text, "-")) == not {
			d.Errorf("%s %v: %q: %s", path, form, text, page)
		}
	}
	return page
}

// A like button makes a real call to X's API as the user that it names, which stands beside the post with its answer.
func TestConsoleLikes(t *testing.T) {
	t.Parallel()
	srv, _ := startHere(t, server.Config{Dev: true, Seed: &seed.Options{Users: 6, Posts: 6, Seed: 1, TokenLifetime: time.Hour}, Journal: 100})
	d := dataPages{t, srv.URL(), newJar(t)}
	all := d.holds(200, "", nil, "0</span> <span>likes", "-The call that was made")
	post := regexp.MustCompile(`id="post-(\d+)"`).FindStringSubmatch(all)[1]
	like := "/posts/" + post + "/like"

	liked := d.holds(200, like, url.Values{"on": {"true"}, "return": {"/console/data"}}, "@alice likes the post.", "The call that was made",
		"&#34;tweet_id&#34;: &#34;"+post+"&#34;", "&#34;liked&#34;: true", "♥", "1</span> <span>like<", "Called as @alice")
	shown := regexp.MustCompile(`/console/requests/(\w+)`).FindStringSubmatch(liked)
	if status, html := browse(t, d.jar, srv.URL()+shown[0], nil); status != 200 || !strings.Contains(html, "/likes") {
		t.Errorf("the call in Requests: %d %s", status, html)
	}
	d.holds(200, like, url.Values{"on": {"true"}, "user": {"bob"}, "return": {"/console/data/posts/" + post}}, "Called as @bob", "2</dd>",
		">Bob</bdi>", ">Alice</bdi>")
	d.holds(200, like, url.Values{"on": {"false"}, "user": {"bob"}, "return": {"/console/data/posts/" + post}},
		"@bob does not like the post any more", "1</dd>", "-<bdi>Bob</bdi>", "&#34;liked&#34;: false")
	d.holds(200, "/users/bob", url.Values{"username": {"bob"}, "name": {"Bob"}, "state": {"suspended"}}, "@bob is changed")
	d.holds(200, like, url.Values{"on": {"true"}, "user": {"bob"}, "return": {"/console/data"}}, "The like of @bob was refused with 403",
		"The account is suspended", "answered <strong class=\"status s4\">403")
	d.holds(404, like, url.Values{"user": {"nobody"}}, "nobody")

	for do, want := range map[string]string{`{"close":"after"}`: "2</span> <span>likes<", `{"close":"before"}`: "1</span> <span>like<"} {
		tell(t, srv, "/admin/faults", `{"match":{"operation":"usersIdLike"},"when":{"times":1},"do":`+do+`}`)
		d.holds(200, like, url.Values{"user": {"carol"}, "return": {"/console/data"}}, "The answer to the call of @carol was lost.",
			"the answer was <strong class=\"status s0\">lost", "/admin/faults provoked it", want)
		d.holds(200, like, url.Values{"user": {"carol"}, "on": {"false"}, "return": {"/console/data"}}, "1</span> <span>like<")
	}
	browse(t, d.jar, srv.URL()+"/console/acting", url.Values{"as": {"app"}, "app": {"demo"}})
	d.holds(200, "", nil, "as…")
	d.holds(400, like, url.Values{"on": {"true"}}, "enter who likes")
}

// Users, posts and apps are found, added, changed and deleted; what is typed into a form that is refused stands in it again.
func TestConsoleData(t *testing.T) {
	t.Parallel()
	srv, _ := startHere(t, server.Config{Dev: true, Seed: &seed.Options{Users: 6, Posts: 6, Seed: 1, TokenLifetime: time.Hour}, Journal: 100})
	d := dataPages{t, srv.URL(), newJar(t)}

	d.holds(422, "/users", url.Values{"username": {"a b"}, "name": {"Zoe <3"}}, `role="alert"`, `value="Zoe &lt;3"`, "<details open>")
	d.holds(200, "/users", url.Values{"username": {"zoe"}, "name": {"Zoe"}, "protected": {"1"}}, "@zoe is there", "protected</span>")
	d.holds(200, "/users?username=zo", nil, ">Zoe</bdi>", "-Alice")
	d.holds(200, "/users?username=nobody", nil, "No username begins so")
	d.holds(422, "/users/zoe", url.Values{"username": {"alice"}, "name": {"Zoe"}, "state": {"locked"}}, "taken", `value="locked" checked`)
	d.holds(422, "/users/zoe", url.Values{"username": {"zoe"}, "state": {"asleep"}}, "asleep")
	d.holds(200, "/users/zoe", url.Values{"username": {"zoe"}, "name": {"Zoe"}, "state": {"locked"}, "return": {"/console/data/users/zoe"}},
		"@zoe is changed", "locked</span>", "-protected</span>")

	relation := func(kind, on string) url.Values {
		return url.Values{"kind": {kind}, "target": {"alice"}, "on": {on}, "return": {"/console/data/users/zoe?list=" + kind}}
	}
	d.holds(200, "/users/zoe/relation", relation("following", "true"), "@zoe follows @alice.", "Unfollow")
	d.holds(200, "/users/alice?list=followers", nil, ">Zoe</bdi>", "-Unfollow")
	d.holds(200, "/users/zoe/relation", relation("following", "false"), "@zoe follows @alice no more.", "-Unfollow")
	d.holds(200, "/users/zoe/relation", relation("blocking", "true"), "@zoe blocks @alice.", "Unblock")
	d.holds(200, "/users/alice?list=blocked-by", nil, ">Zoe</bdi>")
	d.holds(400, "/users/zoe/relation", relation("liking", "true"))

	d.holds(422, "/posts", url.Values{"author": {"zoe"}, "text": {"An octopus"}, "quotes": {"x"}}, `role="alert"`, ">An octopus</textarea>")
	d.holds(422, "/posts", url.Values{"author": {"nobody"}, "text": {"An octopus"}}, "nobody")
	added := d.holds(200, "/posts", url.Values{"author": {"zoe"}, "text": {"An octopus"}}, "The post is there")
	post := regexp.MustCompile(`/console/data/posts/(\d+)`).FindStringSubmatch(added)[1]
	for query, found := range map[string]bool{"text=OCTO": true, "text=octopod": false, "author=zoe": true, "author=bob": false,
		"text=" + post: true, "author=nobody": false} {
		text := map[bool]string{true: "An octopus", false: "-An octopus"}[found]
		d.holds(200, "?"+query, nil, text)
	}
	d.holds(200, "/posts/"+post+"/delete", url.Values{}, "is deleted", ">Undo<", "-An octopus")
	if status, html := browse(t, d.jar, srv.URL()+"/console/undo/delete", url.Values{}); status != 200 {
		t.Errorf("undo: %d %s", status, html)
	}
	d.holds(200, "/posts/"+post, nil, "An octopus")

	d.holds(422, "/apps", url.Values{"name": {"Shop"}, "redirect_uris": {"/callback"}}, `role="alert"`,
		`value="Shop"`, ">/callback</textarea>")
	made := d.holds(200, "/apps", url.Values{"name": {"Shop"}, "type": {"confidential"}, "owner": {"alice"}},
		"Copy these now", "Client secret")
	secrets := regexp.MustCompile(`(?s)id="client-secret"[^>]*>([^<]+)<`).FindStringSubmatch(made)
	app := regexp.MustCompile(`/console/data/apps/(\d+)"`).FindStringSubmatch(made)[1]
	d.holds(200, "/apps/"+app, nil, "-Copy these now", "-"+secrets[1]) // shown once
	d.holds(200, "/apps?name=sho", nil, ">Shop</bdi>", "-demo")
	d.holds(422, "/apps/"+app, url.Values{"name": {""}, "access": {"read"}, "state": {"enrolled"}, "tier": {"enterprise"}}, `role="alert"`)
	d.holds(200, "/apps/"+app, url.Values{"name": {"Shop 2"}, "access": {"read"}, "state": {"suspended"}, "tier": {"enterprise"}}, "Shop 2",
		"suspended</span>", "the operator of this server")
	d.holds(200, "/apps/"+app+"/secret", url.Values{"what": {"client_secret"}}, "does not work any more", "Client secret", "-"+secrets[1])
	d.holds(400, "/apps/"+app+"/secret", url.Values{"what": {"everything"}})
	d.holds(200, "/apps/"+app+"/delete", url.Values{}, "is deleted", "-<bdi>Shop")
	d.holds(403, "/apps/1/delete", url.Values{}, "server&#39;s own")
	for _, path := range []string{"/posts/9", "/users/nobody", "/apps/nothing", "/nothing", "/posts/x"} {
		status, html := browse(t, d.jar, srv.URL()+"/console/data"+path, nil)
		if status != 404 && status != 400 || !strings.Contains(html, "Go back") {
			t.Errorf("%s: %d %s", path, status, html)
		}
	}
}

// Lists of any length are read in pages, from the newest on.
func TestConsoleLists(t *testing.T) {
	t.Parallel()
	srv, _ := startHere(t, server.Config{Dev: true, Seed: world()})
	d := dataPages{t, srv.URL(), newJar(t)}
	const many = 60
	var lines strings.Builder
	for n := range many {
		fmt.Fprintf(&lines, `{"type":"user","id":"%d","username":"fan%03d","name":"Fan","created_at":"2020-01-01T00:00:00.000Z"}`+"\n", 7000+n, n)
	}
	for n := range many {
		fmt.Fprintf(&lines, `{"type":"post","id":"%d","author_id":"7000","text":"post%03d","created_at":"2020-01-01T00:00:00.000Z"}`+"\n",
			8000+n, n)
	}
	for n := range many {
		fmt.Fprintf(&lines, `{"type":"like","user_id":"%d","post_id":"8000","at":"2024-01-01T00:00:%02d.000Z"}`+"\n", 7000+n, n)
		if n > 0 {
			fmt.Fprintf(&lines, `{"type":"like","user_id":"7000","post_id":"%d","at":"2024-01-02T00:00:%02d.000Z"}`+"\n", 8000+n, n)
		}
		if n > 0 {
			fmt.Fprintf(&lines, `{"type":"follow","user_id":"%d","target_id":"7000"}`+"\n", 7000+n)
		}
	}
	tell(t, srv, "/admin/import", lines.String())
	for first, list := range map[string]struct {
		item string
		many int
	}{
		"/posts/8000":                  {`<bdi>Fan</bdi></a> <span class="quiet">@(fan\d+)<`, many},
		"/users/fan000":                {`>(post\d+)<`, many},
		"/users/fan000?list=likes":     {`>(post\d+)<`, many},
		"/users/fan000?list=followers": {`<bdi>Fan</bdi></a> <span class="quiet">@(fan\d+)<`, many - 1},
		"/users?username=fan":          {`<bdi>Fan</bdi></a> <span class="quiet">@(fan\d+)<`, many},
		"?author=fan000":               {`>(post\d+)<`, many},
		"?text=post0":                  {`>(post\d+)<`, many},
	} {
		seen, pages := map[string]bool{}, 0
		for next := first; ; pages++ {
			page := d.holds(200, next, nil)
			if at := strings.Index(page, "Liked by"); at >= 0 {
				page = page[at:]
			}
			for _, found := range regexp.MustCompile(list.item).FindAllStringSubmatch(page, -1) {
				seen[found[1]] = true
			}
			more := regexp.MustCompile(`href="/console/data([^"]*)">(?:Older|Next)<`).FindStringSubmatch(page)
			if more == nil || pages > 9 {
				break
			}
			next = html.UnescapeString(more[1])
		}
		if len(seen) != list.many || pages != 2 {
			t.Errorf("%s: got %d items on %d more pages, want %d on 2", first, len(seen), pages, list.many)
		}
	}
}
