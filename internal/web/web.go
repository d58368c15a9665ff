// Package web renders the pages for browsers: signing in, consent to an app's access, and managing apps. Fill in a page
// type ([SignIn], [Consent], [Developer] ...) and pass it to [Write].
//
// The pages are plain HTML with forms and load nothing; only [Home] and [Explorer] load scripts, which [Asset]
// has. Those with values to copy have a script in them, which puts buttons beside these. All values are shown as
// text: names and redirect URIs come from strangers.
package web

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"io/fs"
	"mime"
	"net/http"
	"net/url"
	"path"
	"strconv"
	"strings"
	"sync"

	"liked"
)

// Write answers with the page, and returns its size. After an error, which is for the log, the answer is a bare 500.
func Write(w http.ResponseWriter, status int, page Page) (size int, err error) {
	about := page.about()
	html, err := render(page)
	if err != nil {
		w.Header().Set("Cache-Control", "no-store")
		w.WriteHeader(http.StatusInternalServerError)
		return 0, fmt.Errorf("page %s: %w", about.template, err)
	}
	return pages().sheet.write(w, status, about, html), nil
}

func render(page Page) ([]byte, error) {
	if p, ok := page.(rendered); ok {
		return p.html()
	}
	about, set := page.about(), pages()
	v := view{Title: about.title, Here: about.here, Style: set.sheet.CSS, Icon: set.icon, Page: page}
	if about.copies {
		v.Script = set.sheet.Script
	}
	return Render(set.templates[about.template], v)
}

// Rendered is the page, rendered when it is first written: all who read it slowly hold the same bytes.
func Rendered(page Page) Page {
	return rendered{page, sync.OnceValues(func() ([]byte, error) { return render(page) })}
}

type rendered struct {
	Page
	html func() ([]byte, error)
}

// Render returns what the template "layout.html" makes of the data, in no more memory than it needs: a client that reads slowly
// holds it as long as it likes.
func Render(t *template.Template, data any) ([]byte, error) {
	buf := buffers.Get().(*bytes.Buffer)
	defer buffers.Put(buf)
	buf.Reset()
	if err := t.ExecuteTemplate(buf, "layout.html", data); err != nil {
		return nil, err
	}
	return bytes.Clone(buf.Bytes()), nil
}

var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// Sheet is the style sheet that a page holds, and the script that gives values a button that copies them. Browsers let a page
// have no others of its own.
type Sheet struct {
	CSS    template.CSS
	Script template.JS

	hash, scriptHash string // as CSP sources
}

// NewSheet returns the style sheet of all pages with one more.
func NewSheet(more string) Sheet {
	css, js := append(read(files, "templates/style.css"), more...), read(files, "copy.js")
	return Sheet{template.CSS(css), template.JS(js), hashSource(css), hashSource(js)}
}

// Icon is the address of the icon of all pages.
func Icon() template.URL {
	return template.URL("data:image/svg+xml;base64," + base64.StdEncoding.EncodeToString(read(files, "templates/icon.svg")))
}

// Write answers with a page of another package's layout, which holds the sheet and its script, may load our files and call us,
// and leads to no app. It returns the page's size.
func (s Sheet) Write(w http.ResponseWriter, status int, html []byte) (size int) {
	return s.write(w, status, about{scripts: true, copies: true}, html)
}

func (s Sheet) write(w http.ResponseWriter, status int, about about, html []byte) (size int) {
	h := w.Header()
	h.Set("Cache-Control", "no-store") // pages hold secrets and personal data
	h.Set("Content-Security-Policy", s.policy(about))
	h.Set("X-Frame-Options", "DENY")
	h.Set("X-Content-Type-Options", "nosniff")
	// The address holds secrets that no other site may see. With "no-referrer" our own forms would send "Origin: null",
	// as foreign ones do, and over plain HTTP browsers send no Sec-Fetch-Site to tell them apart.
	h.Set("Referrer-Policy", "same-origin")
	if !about.leaves { // the app may wait in the opener, where its callback answers it
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
	}
	return Send(w, status, "text/html; charset=utf-8", html)
}

// Accepted reports whether a request is for a page: whether its Accept header names HTML (RFC 9110, 12.5.1). "*/*", which
// clients of the API send, is not enough.
func Accepted(r *http.Request) bool {
	for part := range strings.SplitSeq(strings.Join(r.Header["Accept"], ","), ",") {
		media, params, err := mime.ParseMediaType(part)
		if err != nil || media != "text/html" {
			continue
		}
		q, err := strconv.ParseFloat(params["q"], 64)
		if params["q"] == "" || err == nil && q > 0 {
			return true
		}
	}
	return false
}

// Page is one of the page types of this package.
type Page interface{ about() about }

type about struct {
	template string // of file page_<template>.html
	title    string
	here     string // path that the navigation shows as current
	leaves   bool   // leads on to an app
	scripts  bool   // loads our files and calls the API
	copies   bool   // has values to copy
}

// view is the data of layout.html.
type view struct {
	Title, Here string
	Style       template.CSS
	Icon        template.URL
	Script      template.JS
	Page        Page
}

// set is all pages, parsed. It is immutable.
type set struct {
	templates map[string]*template.Template
	sheet     Sheet
	icon      template.URL
}

//go:embed templates copy.js
var files embed.FS

// pages parses all pages on first use. Tests find mistakes in them.
var pages = sync.OnceValue(func() set {
	s := set{templates: map[string]*template.Template{}, sheet: NewSheet(""), icon: Icon()}
	funcs := template.FuncMap{"cannot": cannot, "access": accessName, "accesses": accessLevels, "link": link, "local": Local,
		"field": func(id, label, value string) field { return field{id, label, value} }, "count": Count,
		"groups": groups, "every": func() liked.Scope { return liked.AllScopes }, "lasts": Lasts,
		"fields": func(f AppForm, p Problems) appFields { return appFields{f, p} }}
	shared := template.Must(template.New("").Funcs(funcs).ParseFS(files, "templates/layout.html", "templates/parts.html"))
	names, err := fs.Glob(files, "templates/page_*.html")
	if err != nil {
		panic(err)
	}
	for _, name := range names {
		short := strings.TrimSuffix(strings.TrimPrefix(path.Base(name), "page_"), ".html")
		s.templates[short] = template.Must(template.Must(shared.Clone()).ParseFS(files, name))
	}
	return s
})

// hashSource is the source of a Content-Security-Policy that allows what is in the page itself.
func hashSource(text []byte) string {
	sum := sha256.Sum256(text)
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

// field is the data of the part "copy": a value to copy, with the id and label of its field.
type field struct{ ID, Label, Value string }

// appFields is the data of the parts for the fields of an app.
type appFields struct {
	AppForm
	Problems Problems
}

// Count formats n in groups of three digits.
func Count(n int64) string {
	text := strconv.FormatInt(n, 10)
	for i := len(text) - 3; i > 0 && text[i-1] != '-'; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

// policy is the Content-Security-Policy. Browsers apply form-action to every redirect after a form, and an app's
// callback may redirect anywhere, so a page that leads to an app has no form-action.
func (s Sheet) policy(about about) string {
	own := ""
	switch {
	case about.scripts && about.copies:
		own = " 'self'; script-src 'self' " + s.scriptHash + "; connect-src 'self'"
	case about.scripts:
		own = " 'self'; script-src 'self'; connect-src 'self'"
	case about.copies:
		own = "; script-src " + s.scriptHash
	}
	base := "default-src 'none'; style-src " + s.hash + own + "; img-src data:; base-uri 'none'; frame-ancestors 'none'"
	if about.leaves {
		return base
	}
	return base + "; form-action 'self'"
}

// link returns the address for a link to an app, which may have its own scheme (RFC 8252, 7.1), or "" if it is no
// absolute URL or one that a browser would run or show as a page of ours.
func link(address string) template.URL {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	switch u.Scheme {
	case "", "javascript", "vbscript", "data", "blob", "filesystem", "file", "about", "view-source":
		return ""
	}
	return template.URL(address)
}

// Local returns the address if it is a path of ours, as it can stand in a page and in a header, else "".
func Local(address string) string {
	rest, ok := strings.CutPrefix(address, "/")
	odd := func(r rune) bool { return r <= ' ' || r > '~' }
	if !ok || strings.HasPrefix(rest, "/") || strings.HasPrefix(rest, `\`) || strings.ContainsFunc(rest, odd) {
		return ""
	}
	return address
}
