package console

import (
	"embed"
	"encoding/json"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"net/url"
	"path"
	"strings"
	"sync"
	"time"

	"liked/internal/admin"
	"liked/internal/web"
)

// frame is what each page has around it, and the data of layout.html.
type frame struct {
	Title    string
	Here     string // path of the section that the navigation shows as current
	Self     string // address of the page, for forms that lead back to it
	Style    template.CSS
	Script   template.JS
	Icon     template.URL
	Sections []section
	Notice   Notice
	Shut     bool // the admin token was not entered: there is no more than the page

	Acting Identity
	Users  []admin.User // to choose from; there may be more
	Apps   []admin.App
	Clock  admin.Clock

	Data any // of the page
}

//go:embed templates static
var files embed.FS

func text(name string) []byte {
	b, err := files.ReadFile(name)
	if err != nil {
		panic(err)
	}
	return b
}

// looks is the templates by name, and the style sheet.
type looks struct {
	templates map[string]*template.Template
	sheet     web.Sheet
	icon      template.URL
}

var look = sync.OnceValue(func() looks {
	l := looks{templates: map[string]*template.Template{}, sheet: web.NewSheet(string(text("static/console.css"))), icon: web.Icon()}
	shared := template.Must(template.New("").Funcs(funcs).ParseFS(files, "templates/layout.html", "templates/*parts.html"))
	names, err := fs.Glob(files, "templates/*.html")
	if err != nil {
		panic(err)
	}
	for _, name := range names {
		short := strings.TrimSuffix(path.Base(name), ".html")
		l.templates[short] = template.Must(template.Must(shared.Clone()).ParseFS(files, name))
	}
	return l
})

var script = sync.OnceValue(func() *web.File { return web.NewFile("console.js", text("static/console.js")) })

// funcs are what templates may call.
var funcs = template.FuncMap{
	"count":   web.Count,
	"iso":     func(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) },
	"day":     func(t time.Time) string { return t.UTC().Format("2 January 2006") },
	"hms":     func(t time.Time) string { return t.UTC().Format("15:04:05") },
	"ms":      func(t time.Time) string { return t.UTC().Format("15:04:05.000") },
	"local":   func(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05") }, // for a field for a moment
	"methods": func() []string { return []string{"GET", "POST", "PUT", "DELETE"} },
	"json": func(v any) (string, error) {
		text, err := json.Marshal(v)
		return string(text), err
	},
	"sentence": sentence,
	"codes":    func() []language { return languages },
	// parts are a value with what else a part of a page needs.
	"parts": func(pairs ...any) map[string]any {
		m := make(map[string]any)
		for i := 0; i+1 < len(pairs); i += 2 {
			m[pairs[i].(string)] = pairs[i+1]
		}
		return m
	},
}

// Notice is what was just done.
type Notice struct {
	Text string
	Link string // a page of the console that shows more
	Undo string // a form of the console that undoes it, without fields
}

const noticeCookie = "liked_notice"

func (n Notice) encode() string {
	return url.Values{"text": {n.Text}, "link": {n.Link}, "undo": {n.Undo}}.Encode()
}

// readNotice returns what the page is to show, once.
func (c *call) readNotice() (n Notice) {
	cookie, err := c.Cookie(cookieName(noticeCookie, c.Request))
	if err != nil {
		return n
	}
	values, err := url.ParseQuery(cookie.Value)
	if err != nil {
		return n
	}
	n = Notice{values.Get("text"), values.Get("link"), values.Get("undo")}
	if n.Link != "" {
		n.Link = own(n.Link)
	}
	if !strings.HasPrefix(n.Undo, Path+"/") {
		n.Undo = ""
	}
	return n
}

// show writes a page.
func (c *call) show(w http.ResponseWriter, a answer) {
	l := look()
	f := frame{Title: a.title, Self: Path, Style: l.sheet.CSS, Script: l.sheet.Script, Icon: l.icon,
		Sections: sections, Data: a.data, Shut: a.template == "gate" || !c.passes(),
		Here: here(c.URL.EscapedPath())}
	if c.Exchange.Method == http.MethodGet {
		f.Self = c.URL.RequestURI()
	} else if !f.Shut {
		f.Self = c.from()
	}
	if !f.Shut {
		c.fill(&f)
	}
	c.Status = a.status
	if c.Status == 0 {
		c.Status = http.StatusOK
	}
	if f.Notice = c.readNotice(); f.Notice.Text != "" {
		http.SetCookie(w, c.cookie(noticeCookie, "", Path, -1))
	}
	html, err := web.Render(l.templates[a.template], f)
	if err != nil {
		c.Status, c.Err = http.StatusInternalServerError, fmt.Errorf("page %s: %w", a.template, err)
		w.WriteHeader(c.Status)
		return
	}
	c.Bytes = l.sheet.Write(w, c.Status, html)
}

// fill reads what is in the frame. What cannot be read is left out: the page says more about it.
func (c *call) fill(f *frame) {
	ctx := c.Context()
	f.Acting = c.Identity(c.Request)
	f.Clock, _ = c.admin.Clock(ctx)
	var apps admin.AppList
	if c.admin.Call(ctx, http.MethodGet, "/admin/apps", nil, &apps) == nil {
		f.Apps = apps.Apps
	}
	var users admin.UserPage
	if c.admin.Call(ctx, http.MethodGet, "/admin/users?max=50", nil, &users) == nil {
		f.Users = users.Users
	}
}

// here is the section that an address belongs to.
func here(address string) string {
	best := Path
	for _, s := range sections {
		if len(s.Path) > len(best) && (address == s.Path || strings.HasPrefix(address, s.Path+"/")) {
			best = s.Path
		}
	}
	return best
}

var frameRoutes = []route{
	{pattern: "GET /console/console.js", serve: func(c *call) (answer, error) { return c.file(script()) }, free: true},
	{pattern: "POST /console/enter", serve: (*call).enter, free: true},
	{pattern: "POST /console/acting", serve: (*call).act},
	{pattern: "POST /console/reset", serve: (*call).reset},
	{pattern: "POST /console/undo/reset", serve: (*call).undoReset},
}

// beforeReset is the snapshot by which a reset is undone.
const beforeReset = "before-reset"

// reset makes the server what it was when it had started.
func (c *call) reset() (answer, error) {
	n := Notice{Text: "All is as it was when the server had started.", Undo: "/console/undo/reset"}
	if err := c.admin.Snapshot(c.Context(), beforeReset); err != nil {
		n.Undo = ""
	}
	if err := c.admin.Reset(c.Context()); err != nil {
		return answer{}, err
	}
	return c.back(c.from(), n)
}

// undoReset makes the server what it was before the last reset.
func (c *call) undoReset() (answer, error) {
	if err := c.admin.Restore(c.Context(), beforeReset); err != nil {
		return answer{}, err
	}
	return c.back(c.from(), Notice{Text: "All is as it was before the reset, but for the list of requests."})
}
