package authtest

import (
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"
)

// Reply is an answer that was read.
type Reply struct {
	Status   int
	Header   http.Header
	Body     string
	Location string
}

// Browser is a person's browser, which does not follow redirects by itself.
type Browser struct {
	URL    string      // of the server
	Header http.Header // of each request
	Client http.Client
}

// NewBrowser returns a browser without cookies.
func NewBrowser(url string) *Browser {
	jar, err := cookiejar.New(nil)
	if err != nil {
		panic(err)
	}
	return &Browser{URL: url, Header: http.Header{"Sec-Fetch-Site": {"same-origin"}}, Client: http.Client{Jar: jar,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

// Send sends a request as it is, with the browser's header and cookies.
func (b *Browser) Send(t testing.TB, r *http.Request) Reply {
	t.Helper()
	for k, v := range b.Header {
		r.Header[k] = v
	}
	resp, err := b.Client.Do(r)
	Check(t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	Check(t, err)
	return Reply{resp.StatusCode, resp.Header, string(text), resp.Header.Get("Location")}
}

// Get asks for a page.
func (b *Browser) Get(t testing.TB, target string) Reply {
	t.Helper()
	return b.Send(t, NewRequest(t, "GET", b.URL+target, ""))
}

// Post sends a form.
func (b *Browser) Post(t testing.TB, target string, form url.Values) Reply {
	t.Helper()
	r := NewRequest(t, "POST", b.URL+target, form.Encode())
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return b.Send(t, r)
}

var (
	// Inputs are the fields of a page's forms.
	Inputs = regexp.MustCompile(`<(?:input|textarea)[^>]*>`)
	attr   = regexp.MustCompile(`(name|value)="([^"]*)"`)
)

// Form returns the hidden fields of a page's forms. Forms of one page agree about a field.
func (r Reply) Form() url.Values {
	f := make(url.Values)
	for _, tag := range Inputs.FindAllString(r.Body, -1) {
		m := map[string]string{}
		for _, a := range attr.FindAllStringSubmatch(tag, -1) {
			m[a[1]] = html.UnescapeString(a[2])
		}
		if strings.Contains(tag, `type="hidden"`) && m["name"] != "" && f.Get(m["name"]) == "" {
			f.Set(m["name"], m["value"])
		}
	}
	return f
}

// With sets fields of a form: names and values in turn.
func With(f url.Values, members ...string) url.Values {
	for i := 0; i < len(members); i += 2 {
		f.Set(members[i], members[i+1])
	}
	return f
}

// Cookie returns a cookie that the answer sets, nil if there is none.
func (r Reply) Cookie(name string) *http.Cookie {
	for _, c := range (&http.Response{Header: r.Header}).Cookies() {
		if c.Name == name {
			return c
		}
	}
	return nil
}
