package web_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"io"
	"mime"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"liked"
	"liked/internal/web"
)

// all returns a page of each type and of each kind that looks different, with text in every string.
func all(text string) map[string]web.Page {
	fill := func(p web.Page) web.Page {
		v := reflect.New(reflect.TypeOf(p)).Elem()
		v.Set(reflect.ValueOf(p))
		setStrings(v, text)
		return v.Interface().(web.Page)
	}
	frame := web.Frame{Username: text, Name: text, FormToken: text}
	app := liked.App{Name: text, Public: true, Access: liked.ReadWrite, ClientID: text, APIKey: text}
	return map[string]web.Page{
		"sign in":             fill(web.SignIn{DevUsers: make([]liked.User, 2)}),
		"sign in, bare":       web.SignIn{},
		"sign in, one click":  fill(web.SignIn{DevUsers: make([]liked.User, 2), OneClick: true}),
		"consent":             fill(web.Consent{Scopes: liked.LikeRead}),
		"consent, OAuth 2.0":  web.Consent{Frame: frame, AppName: text, Scopes: liked.AllScopes, RedirectTo: text},
		"consent, OAuth 1.0a": web.Consent{Frame: frame, AppName: text, AppOwner: text, Access: "read"},
		"pin":                 fill(web.Pin{}),
		"denied":              fill(web.Denied{}),
		"denied, with a link": web.Denied{Frame: frame, AppName: text, Back: "https://app.example/?denied=" + text},
		"fault":               fill(web.Fault{Registered: make([]string, 2)}),
		"fault, bare":         web.Fault{},
		"trouble":             fill(web.Trouble{Next: &web.Link{Label: text, URL: text}}),
		"trouble, bare":       web.Trouble{Title: text, Text: text},
		"connected": fill(web.ConnectedApps{Apps: []web.ConnectedApp{{Scopes: liked.LikeRead, OAuth1: true,
			Since: time.Unix(1, 0)}, {OAuth1: true}}}),
		"connected, none": web.ConnectedApps{Frame: frame},
		"developer":       fill(web.Developer{Apps: make([]liked.App, 2)}),
		"developer, none": web.Developer{Frame: frame},
		"app": fill(web.DeveloperPage{Outcome: web.Outcome{Secrets: make([]web.Secret, 2)},
			App: liked.App{RedirectURIs: make([]string, 2)}}),
		"app, mistakes": web.DeveloperPage{Frame: frame, App: app, Problems: mistakes(text, "name", "access", "redirect_uris", "webhook-url",
			"webhooks", "scopes", "heir", "")},
		"developer, mistakes": web.Developer{Frame: frame, Own: 2, Max: 25, Search: text,
			Problems: mistakes(text, "name", "type", "access", "redirect_uris", "create")},
		"developer, full": web.Developer{Frame: frame, Own: 25, Max: 25},
		"confirm": web.Confirm{Frame: frame, Here: "/developer", Question: text, Do: text, Danger: true, Ends: []string{text, text},
			Stays: []string{text}, Undo: text, Resets: true, Action: text, Back: text, Fields: []web.Field{{Name: text, Value: text}}},
		"confirm, bare":  web.Confirm{Frame: frame, Question: text},
		"resume":         web.Resume{Frame: frame, Action: text, Fields: url.Values{"a": {text}, "does": {text}}},
		"sign in, again": web.SignIn{Frame: frame, Resume: text, Username: text},
		"home": fill(web.Home{Posts: make([]web.HomePost, 2),
			Dev: &web.HomeDev{Curl: text, Secrets: []web.Secret{{Label: text, Value: text}}}, Trouble: true}),
		"home, being counted": web.Home{API: text},
		"home, in numbers":    web.Home{API: text, Numbers: web.Numbers{Known: true, Likes: 1234567}, Dev: &web.HomeDev{Username: text}},
		"app, public":         web.DeveloperPage{Frame: frame, App: app},
		"explorer":            fill(web.Explorer{Origins: make([]string, 2)}),
		"explorer, bare":      web.Explorer{},
		"explorer, forms": web.Explorer{Frame: frame, Choices: map[string][]string{"a-1": {text}}, Groups: []web.ExplorerGroup{{Name: "Likes",
			Operations: []web.ExplorerOperation{{ID: "a", Method: "PUT", Path: "/2/likes", Summary: text, Open: true, Stream: true,
				Takes: []web.ExplorerCredential{{Kind: "BearerToken", Scopes: []string{text}}},
				Required: []web.ExplorerField{{ID: "a.a", Name: text, In: text,
					ExplorerValue: web.ExplorerValue{Value: text, AsCaller: "{user}" + text}}},
				Optional: []web.ExplorerField{{Name: text, Choices: "a-1"}, {ID: "a.b", Name: text, Words: []string{text}, About: text},
					{ID: "a.c", Name: text, Min: new(1), Max: new(2)}, {ID: "a.d", Name: text, List: true}},
				Body: web.ExplorerValue{Value: text}, Members: []web.ExplorerMember{{Name: text, Type: text, Words: []string{text},
					Members: []web.ExplorerMember{{Name: text}}}}}}}}},
		"app, webhooks": fill(web.DeveloperPage{App: app, Webhooks: []web.Webhook{
			{Webhook: liked.Webhook{Valid: true, CreatedAt: time.Unix(1, 0)}, Dead: 2}, {Lost: time.Unix(1, 0)},
			{Webhook: liked.Webhook{Valid: true, Replay: liked.Replay{ID: 1}}, Dead: 1}}}),
	}
}

func mistakes(text string, fields ...string) (all web.Problems) {
	for _, field := range fields {
		all = append(all, web.Problem{Field: field, Text: text})
	}
	return all
}

func setStrings(v reflect.Value, text string) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
	case reflect.Slice:
		for i := range v.Len() {
			setStrings(v.Index(i), text)
		}
	case reflect.Struct:
		if v.Type() != reflect.TypeFor[time.Time]() {
			for i := range v.NumField() {
				setStrings(v.Field(i), text)
			}
		}
	}
}

func write(t *testing.T, status int, page web.Page) *http.Response {
	t.Helper()
	rec := httptest.NewRecorder()
	if _, err := web.Write(rec, status, page); err != nil {
		t.Fatal(err)
	}
	return rec.Result()
}

var hostile = []string{
	`"><script>alert(1)</script>`,
	`'><img src=x onerror=alert(1)>`,
	`</textarea><script>alert(1)</script>`,
	`</title></style><svg onload=alert(1)>`,
	`" autofocus onfocus="alert(1)`,
	`javascript:alert(1)`,
	`java` + "\n" + `script:alert(1)`,
	`//evil.example/`,
	`/\evil.example/`,
	`&lt;b&gt; & {{.FormToken}} ${1} ` + "`",
	"\u202egpj.exe\u2066 \u00e9\U0001f600",
	strings.Repeat("w", 5000),
}

// Whatever the data hold, they are text: the page has the elements and attributes that it has with harmless data.
func TestHostileData(t *testing.T) {
	t.Parallel()
	harmless := all("harmless")
	for _, text := range hostile {
		for name, page := range all(text) {
			t.Run(name+"/"+strconv.QuoteToASCII(text[:min(len(text), 40)]), func(t *testing.T) {
				got := parse(t, write(t, 200, page).Body)
				want := parse(t, write(t, 200, harmless[name]).Body)
				// A link back is there or not, see TestBackToTheApp.
				back := name == "denied" || strings.Contains(text, "\n") && name == "denied, with a link"
				if !back && !slices.Equal(got.shape, want.shape) {
					t.Errorf("the page became another:\n got %v\nwant %v", got.shape, want.shape)
				}
				for _, url := range got.urls {
					if !harmlessURL(url) {
						t.Errorf("the page leads to %q", url)
					}
				}
				if strings.Contains(want.text, "harmless") && !strings.Contains(flat(got.text), flat(text)) {
					t.Errorf("the page does not show %q as it is", text)
				}
			})
		}
	}
}

// harmlessURL reports whether a browser that is given the URL stays with us or goes to the app.
func harmlessURL(url string) bool {
	url = strings.Map(func(r rune) rune { // as browsers do
		if r <= ' ' {
			return -1
		}
		return r
	}, url)
	if strings.HasPrefix(url, "https://app.example/") || strings.HasPrefix(url, "data:image/svg+xml;base64,") {
		return true
	}
	inside := strings.HasPrefix(url, "/") && !strings.HasPrefix(url, "//") && !strings.HasPrefix(url, "/\\")
	return inside || url == "" || url[0] == '#'
}

// flat is text as a browser shows it, with white space as single spaces.
func flat(text string) string { return strings.Join(strings.Fields(text), " ") }

// Every page is HTML with the landmarks, headings and labels that people without eyes or a mouse find their way by.
func TestWellFormed(t *testing.T) {
	t.Parallel()
	for name, page := range all("text") {
		t.Run(name, func(t *testing.T) {
			doc := parse(t, write(t, 200, page).Body)
			scripts, links := 0, 1
			switch page.(type) {
			case web.Home:
				scripts = 2
			case web.DeveloperPage, web.Pin:
				scripts = 1
			case web.Explorer:
				scripts, links = 1, 2
			}
			for element, want := range map[string]int{"h1": 1, "main": 1, "header": 1, "title": 1, "script": scripts, "link": links, "img": 0,
				"iframe": 0} {
				if got := doc.count(element); got != want {
					t.Errorf("%d <%s>, want %d", got, element, want)
				}
			}
			for id, n := range doc.ids {
				if n != 1 {
					t.Errorf("%d elements with id %q", n, id)
				}
			}
			for _, id := range doc.refs {
				if doc.ids[id] == 0 {
					t.Errorf("something refers to id %q, which is not there", id)
				}
			}
			for _, field := range doc.unlabelled {
				t.Errorf("%s has no label", field)
			}
			if doc.posts != doc.tokens {
				t.Errorf("%d forms that post and %d form tokens", doc.posts, doc.tokens)
			}
		})
	}
}

// source is what allows a style or a script in the page itself.
func source(text []byte) string {
	sum := sha256.Sum256(text)
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

func TestHeaders(t *testing.T) {
	t.Parallel()
	for name, page := range all("text") {
		t.Run(name, func(t *testing.T) {
			resp := write(t, http.StatusTeapot, page)
			body, err := io.ReadAll(resp.Body)
			if err != nil {
				t.Fatal(err)
			}
			_, rest, _ := bytes.Cut(body, []byte("<style>"))
			style, _, found := bytes.Cut(rest, []byte("</style>"))
			if !found || len(style) < 1000 {
				t.Fatalf("a style sheet of %d bytes", len(style))
			}
			_, rest, _ = bytes.Cut(body, []byte(`<script type="module">`))
			script, _, _ := bytes.Cut(rest, []byte("</script>"))
			own := ""
			switch page.(type) {
			case web.Home:
				own = " 'self'; script-src 'self' " + source(script) + "; connect-src 'self'"
			case web.Explorer:
				own = " 'self'; script-src 'self'; connect-src 'self'"
			case web.DeveloperPage, web.Pin:
				own = "; script-src " + source(script)
			}
			csp := "default-src 'none'; style-src " + source(style) + own +
				"; img-src data:; base-uri 'none'; frame-ancestors 'none'"
			opener := ""
			switch page.(type) {
			case web.SignIn, web.Consent, web.Denied:
			default:
				csp += "; form-action 'self'"
				opener = "same-origin"
			}
			if resp.StatusCode != http.StatusTeapot {
				t.Errorf("status %d, want %d", resp.StatusCode, http.StatusTeapot)
			}
			for header, want := range map[string]string{
				"Content-Type":               "text/html; charset=utf-8",
				"Content-Length":             strconv.Itoa(len(body)),
				"Cache-Control":              "no-store",
				"Content-Security-Policy":    csp,
				"X-Frame-Options":            "DENY",
				"X-Content-Type-Options":     "nosniff",
				"Referrer-Policy":            "same-origin",
				"Cross-Origin-Opener-Policy": opener,
			} {
				if got := resp.Header.Get(header); got != want {
					t.Errorf("%s: %s\nwant %s", header, got, want)
				}
			}
			if kind, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type")); err != nil || kind != "text/html" {
				t.Errorf("media type %q, %v", kind, err)
			}
			if bytes.Contains(body, []byte("ZgotmplZ")) {
				t.Error("the template engine refused a value")
			}
		})
	}
}

// A page that leads back to an app may lead to any scheme but those that a browser would run.
func TestBackToTheApp(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		back string
		want bool
	}{
		{"https://app.example/cb?x=1&denied=abc", true},
		{"http://127.0.0.1:3000/cb?denied=abc", true},
		{"myapp:", true},
		{"com.example.app:/cb?denied=abc", true},
		{"web+app://cb", true},
		{"", false},
		{"/settings", false},
		{"//evil.example/", false},
		{"javascript:alert(1)", false},
		{"JavaScript:alert(1)", false},
		{" javascript:alert(1)", false},
		{"java\tscript:alert(1)", false},
		{"\x01javascript:alert(1)", false},
		{"vbscript:x", false},
		{"data:text/html,x", false},
		{"blob:https://x/y", false},
		{"file:///etc/passwd", false},
		{"view-source:https://x", false},
		{"1app:x", false},
		{":x", false},
	} {
		t.Run(tt.back, func(t *testing.T) {
			doc := parse(t, write(t, 200, web.Denied{AppName: "app", Back: tt.back}).Body)
			if got := slices.Contains(doc.urls, tt.back) && tt.back != ""; got != tt.want {
				t.Errorf("a link: %v, want %v; the page leads to %q", got, tt.want, doc.urls)
			}
			if !tt.want && doc.count("a") != 2 { // "Skip to content" and the mark
				t.Errorf("the page has links to %q", doc.urls)
			}
		})
	}
}

// Nobody is asked to allow what is not said, and nothing that is allowed is called impossible.
func TestConsentSays(t *testing.T) {
	t.Parallel()
	says := func(p web.Consent) (can, cannot string) {
		doc := parse(t, write(t, 200, p).Body)
		_, rest, ok := strings.Cut(flat(doc.text), "It will be able to")
		can, cannot, ok2 := strings.Cut(rest, "It will not be able to")
		if !ok || !ok2 {
			t.Fatalf("the page does not say what the app can do: %s", doc.text)
		}
		return can, cannot
	}
	const like, post, message = "Like posts for you", "Post, repost and delete", "Read your direct messages"

	seen := map[string]string{}
	for _, scope := range strings.Fields(liked.AllScopes.String()) {
		one, err := liked.ParseScope(scope)
		if err != nil {
			t.Fatal(err)
		}
		can, _ := says(web.Consent{Scopes: one})
		if strings.Contains(can, scope) || len(flat(can)) < 10 {
			t.Errorf("%s is not put in words: %q", scope, can)
		}
		if other := seen[can]; other != "" {
			t.Errorf("%s and %s are said in the same words", scope, other)
		}
		seen[can] = scope
	}
	for _, tt := range []struct {
		name        string
		page        web.Consent
		can, cannot []string
	}{
		{"reading likes", web.Consent{Scopes: liked.LikeRead}, []string{"See which posts you like"},
			[]string{like, post, message, "password"}},
		{"liking", web.Consent{Scopes: liked.LikeWrite | liked.OfflineAccess}, []string{like, "Stay connected"},
			[]string{post, message, "password"}},
		{"all scopes", web.Consent{Scopes: liked.AllScopes}, []string{like, post, message}, []string{"password"}},
		{"read", web.Consent{Access: "read"}, []string{"See which posts you like", "Stay connected"}, []string{like, post, message, "password"}},
		{"read-write", web.Consent{Access: "read-write"}, []string{like, post, "Stay connected"}, []string{message, "password"}},
		{"messages", web.Consent{Access: "read-write-directmessages"}, []string{like, post, message}, []string{"password"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			can, cannot := says(tt.page)
			for _, words := range []string{like, post, message, "password", "Stay connected", "See which posts you like"} {
				if got, want := strings.Contains(cannot, words), slices.Contains(tt.cannot, words); got != want {
					t.Errorf("says that it cannot %q: %v, want %v", words, got, want)
				}
				if strings.Contains(can, words) && slices.Contains(tt.cannot, words) {
					t.Errorf("says both that it can and cannot %q", words)
				}
			}
			for _, words := range tt.can {
				if !strings.Contains(can, words) {
					t.Errorf("does not say that it can %q: %s", words, can)
				}
			}
		})
	}
}

// A page with what only developers may know says nothing of it to others.
func TestFaultWithoutReason(t *testing.T) {
	t.Parallel()
	doc := parse(t, write(t, 400, web.Fault{Sent: "https://sent.example", Registered: []string{"https://registered.example"}}).Body)
	if strings.Contains(doc.text, ".example") {
		t.Errorf("the page tells what was sent or registered: %s", doc.text)
	}
	const want = "Something went wrong You weren’t able to give access to the App. Go back and try logging in again."
	if !strings.Contains(flat(doc.text), want) {
		t.Errorf("got %q, want %q", flat(doc.text), want)
	}
}

// document is what the tests ask about a page.
type document struct {
	shape      []string // each tag with the names of its attributes
	text       string   // with what fields hold
	urls       []string
	ids        map[string]int
	refs       []string // ids that labels and descriptions name
	unlabelled []string
	posts      int // forms that post
	tokens     int
}

func (d document) count(element string) int {
	n := 0
	for _, tag := range d.shape {
		if name, _, _ := strings.Cut(tag, " "); name == element {
			n++
		}
	}
	return n
}

var void = []string{"meta", "link", "input", "wbr", "br"}

// parse reads a page and fails the test if its tags are not nested rightly. Parsers mend such a page in silence, which is
// why the tags are counted here.
func parse(t *testing.T, body io.Reader) document {
	t.Helper()
	doc := document{ids: map[string]int{}}
	labels := map[string]bool{}
	var fields []map[string]string
	var open []string
	var text strings.Builder
	for z := html.NewTokenizer(body); ; {
		kind := z.Next()
		token := z.Token()
		switch kind {
		case html.ErrorToken:
			if z.Err() != io.EOF {
				t.Fatal(z.Err())
			}
			if len(open) != 0 {
				t.Errorf("left open: %v", open)
			}
			doc.text = text.String()
			for _, f := range fields {
				if !labels[f["id"]] && f["in label"] == "" {
					doc.unlabelled = append(doc.unlabelled, "field "+f["name"]+f["id"])
				}
			}
			return doc
		case html.TextToken:
			if len(open) == 0 || open[len(open)-1] != "style" {
				text.WriteString(token.Data)
			}
		case html.EndTagToken:
			text.WriteByte(' ')
			if len(open) == 0 || open[len(open)-1] != token.Data {
				t.Fatalf("</%s> in %v", token.Data, open)
			}
			open = open[:len(open)-1]
		case html.StartTagToken, html.SelfClosingTagToken:
			text.WriteByte(' ')
			tag, attrs := token.Data, map[string]string{}
			for _, a := range token.Attr {
				if _, twice := attrs[a.Key]; twice {
					t.Errorf("<%s> has %s twice", token.Data, a.Key)
				}
				attrs[a.Key] = a.Val
				tag += " " + a.Key
				switch a.Key {
				case "href", "action":
					doc.urls = append(doc.urls, a.Val)
					if id, inside := strings.CutPrefix(a.Val, "#"); inside {
						doc.refs = append(doc.refs, id)
					}
				case "id":
					doc.ids[a.Val]++
				case "for":
					labels[a.Val] = true
					doc.refs = append(doc.refs, a.Val)
				case "aria-labelledby", "aria-describedby":
					doc.refs = append(doc.refs, strings.Fields(a.Val)...)
				}
			}
			doc.shape = append(doc.shape, tag)
			switch {
			case token.Data == "form" && attrs["method"] == "post":
				doc.posts++
			case attrs["name"] == "form_token":
				doc.tokens++
			case token.Data == "textarea", token.Data == "input" && attrs["type"] != "hidden":
				if slices.Contains(open, "label") {
					attrs["in label"] = "yes"
				}
				fields = append(fields, attrs)
				text.WriteString(attrs["value"])
			}
			if kind == html.StartTagToken && !slices.Contains(void, token.Data) {
				open = append(open, token.Data)
			}
		}
	}
}

func TestCount(t *testing.T) {
	t.Parallel()
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567", -123456: "-123,456"} {
		if got := web.Count(n); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestLasts(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{0: "less than a second", time.Second: "1 second",
		90 * time.Second: "1 minute and 30 seconds",
		2 * time.Hour:    "2 hours", 25*time.Hour + time.Minute: "1 day and 1 hour", 48 * time.Hour: "2 days"} {
		if got := web.Lasts(d); got != want {
			t.Errorf("%v lasts %q, want %q", d, got, want)
		}
	}
}
