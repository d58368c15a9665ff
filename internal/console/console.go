// Package console is the pages on which a developer sees and changes all of a development server: what is called, what is
// kept, who calls, and the time. Start with [New]. What it does is done through the operator's side, in process, or by a real
// call to X's API; it knows no store.
//
// A page is a row of a table (see routes), a method of call that returns an answer, and a template of its name that defines
// "main".
package console

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"liked"
	"liked/internal/admin"
	"liked/internal/exchange"
	"liked/internal/web"
)

// Options configures New. Operator, Public, AdminToken, Description and Now are required.
type Options struct {
	Operator http.Handler // answers /admin/, without a token
	Public   http.Handler // answers X's API, as the server's own listener does

	Open       bool          // whoever reaches the console may use it
	AdminToken func() string // what opens it otherwise

	Operations  []string      // that there are faults for
	Description func() []byte // of X's API, as /2/openapi.json

	PublicURL string // where browsers reach the server, "scheme://host[:port]", if known
	First     Acting // as whom one calls who has chosen nobody yet
	Now       func() time.Time
	Observe   exchange.Observer
}

// Console serves the pages. It is safe for concurrent use.
type Console struct {
	Options
	admin       *admin.Client
	crossOrigin *http.CrossOriginProtection
	mux         *http.ServeMux
	gate        gate

	described func() map[string]described // operations of X's API

	mu     sync.Mutex
	tokens map[Acting]issued

	secrets reveals
}

// New returns a Console.
func New(o Options) (*Console, error) {
	c := &Console{Options: o, crossOrigin: http.NewCrossOriginProtection(), mux: http.NewServeMux(), tokens: make(map[Acting]issued),
		admin: &admin.Client{URL: "http://operator", Transport: admin.InProcess{Handler: o.Operator}}}
	c.described = sync.OnceValue(func() map[string]described { return describe(o.Description()) })
	if o.PublicURL != "" {
		if err := c.crossOrigin.AddTrustedOrigin(o.PublicURL); err != nil {
			return nil, fmt.Errorf("console: PublicURL: %w", err)
		}
	}
	for _, rt := range routes() {
		c.mux.Handle(rt.pattern, c.handler(rt))
	}
	return c, nil
}

// route is a page, a file or a form. What serve returns as an error becomes a page that says it.
type route struct {
	pattern string
	serve   func(*call) (answer, error)
	free    bool // needs no admin token, though the console does
}

// routes are all that there is below /console.
func routes() []route {
	return slices.Concat(frameRoutes, explorerRoutes, listRoutes, requestRoutes, dataRoutes, webhookRoutes, controlRoutes)
}

// sections are what the navigation leads to.
var sections = []section{
	{"/console", "Requests"},
	{dataPath, "Data"},
	{webhooksPath, "Webhooks"},
	{controlPath, "Control"},
}

type section struct{ Path, Name string }

// Operations lists the operation names used in Exchanges.
func Operations() []string { return []string{operation} }

const operation = "console"

// Path is where the console is, and begins the path of all that belongs to it.
const Path = "/console"

// Find returns the request's handler, nil if the path is not the console's. The address of a form, which stands in the browser
// above the page that refused it, leads to the page that has the form.
func (c *Console) Find(r *http.Request) http.Handler {
	if rest, ok := strings.CutPrefix(r.URL.EscapedPath(), Path); !ok || rest != "" && rest[0] != '/' {
		return nil
	}
	if c.serves(r.Method, r.URL) {
		return c.mux // which fills in the path's values
	}
	if page := *r.URL; r.Method == http.MethodGet && c.serves(http.MethodPost, &page) {
		for !c.serves(http.MethodGet, &page) {
			page.Path, page.RawPath = path.Dir(page.Path), ""
		}
		return c.handler(route{serve: func(*call) (answer, error) { return answer{location: page.Path}, nil }})
	}
	return c.handler(route{serve: func(*call) (answer, error) {
		return answer{}, liked.Errorf(liked.NotFound, "There is nothing at this address of the console.")
	}})
}

// serves reports whether there is a page or a form at the address.
func (c *Console) serves(method string, address *url.URL) bool {
	_, pattern := c.mux.Handler(&http.Request{Method: method, URL: address})
	return pattern != ""
}

// call is one request.
type call struct {
	*Console
	exchange.Exchange
	*http.Request
}

// answer is a page, a redirect, or what write writes.
type answer struct {
	status   int // zero: 200
	template string
	title    string
	data     any

	location string
	cookies  []*http.Cookie

	write func(http.ResponseWriter) (status, size int)
}

// page answers with the template's page.
func page(template, title string, data any) (answer, error) {
	return answer{template: template, title: title, data: data}, nil
}

// back answers a form: the browser goes on to a page, which shows the notice once.
func (c *call) back(to string, n Notice) (answer, error) {
	return answer{location: own(to), cookies: []*http.Cookie{c.cookie(noticeCookie, n.encode(), Path, time.Minute)}}, nil
}

// file answers with a file that pages load.
func (c *call) file(f *web.File) (answer, error) {
	return answer{write: func(w http.ResponseWriter) (int, int) { return f.Write(w, c.Request) }}, nil
}

// own returns the path if it is one of this server, else the console's.
func own(path string) string { return cmp.Or(web.Local(path), Path) }

// maxForm is how large a form may be, in bytes.
const maxForm = 256 << 10

func (c *Console) handler(rt route) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		x := &call{Console: c, Exchange: exchange.New(operation, r), Request: r}
		w.Header().Set("X-Transaction-Id", x.TransactionID)
		r.Body = http.MaxBytesReader(w, r.Body, maxForm)
		a, err := x.answer(rt)
		if err != nil {
			a = x.trouble(err)
		}
		x.write(w, a)
		c.Observe.Done(r, &x.Exchange)
	})
}

// answer turns a panic into an error.
func (c *call) answer(rt route) (a answer, err error) {
	defer func() {
		if panicked := exchange.Panicked(recover()); panicked != nil {
			err = panicked
		}
	}()
	if err := c.crossOrigin.Check(c.Request); err != nil {
		return answer{}, liked.Errorf(liked.Forbidden,
			"This form came from a page of another site. Open the console itself, and try again there.")
	}
	if c.Exchange.Method == http.MethodPost {
		if err := c.ParseForm(); err != nil {
			return answer{}, liked.Errorf(liked.Invalid, "The form cannot be read: %v", err)
		}
	}
	if !rt.free && !c.passes() {
		return c.askToken("")
	}
	return rt.serve(c)
}

// trouble is a page about an error.
func (c *call) trouble(err error) answer {
	status, text := http.StatusInternalServerError, err.Error()
	if refused, ok := errors.AsType[*admin.Refusal](err); ok {
		status = refused.Status
	} else if s := statuses[liked.KindOf(err)]; s != 0 {
		status = s
	}
	c.Why = text
	if status >= 500 {
		c.Err = err
	}
	title := "That did not work"
	if status == http.StatusNotFound {
		title = "Not found"
	}
	return answer{status: status, template: "trouble", title: title, data: struct{ Text, Back string }{sentence(text), c.from()}}
}

var statuses = map[liked.Kind]int{liked.Invalid: 400, liked.Unauthorized: 401, liked.Forbidden: 403, liked.NotFound: 404,
	liked.Conflict: 409, liked.Unavailable: 503, liked.Overloaded: 503}

// sentence is a text of an error as people write one.
func sentence(text string) string {
	if text == "" {
		return ""
	}
	text = web.Sentence(text)
	if !strings.HasSuffix(text, ".") && !strings.HasSuffix(text, "?") {
		text += "."
	}
	return text
}

// from is the page that a form stands on, which it says itself, or the console's first one.
func (c *call) from() string {
	if c.Exchange.Method == http.MethodPost {
		return own(c.PostForm.Get("return"))
	}
	return Path
}

func (c *call) write(w http.ResponseWriter, a answer) {
	for _, cookie := range a.cookies {
		http.SetCookie(w, cookie)
	}
	switch {
	case a.write != nil:
		c.Status, c.Bytes = a.write(w)
	case a.location != "":
		c.Status = http.StatusSeeOther
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("Location", a.location)
		w.WriteHeader(c.Status)
	default:
		c.show(w, a)
	}
}

// cookieName is the name of a cookie of this server's: browsers send it those of all ports of its host.
func cookieName(name string, r *http.Request) string {
	if _, port, err := net.SplitHostPort(r.Host); err == nil {
		return name + "_" + port
	}
	return name
}

// cookie is one of the console, for as long as said; below zero: it is removed.
func (c *call) cookie(name, value, path string, life time.Duration) *http.Cookie {
	age := int(life / time.Second)
	if life < 0 {
		age = -1
	}
	secure := c.TLS != nil || strings.HasPrefix(c.PublicURL, "https:")
	return &http.Cookie{Name: cookieName(name, c.Request), Value: value, Path: path, MaxAge: age, HttpOnly: true, Secure: secure,
		SameSite: http.SameSiteStrictMode}
}
