// Package web renders the pages for browsers: signing in, consent to an app's access, and managing apps. Fill in a page
// type ([SignIn], [Consent], [Developer] ...) and pass it to [Write].
//
// The pages are plain HTML with forms and load nothing; only [Home] and [Explorer] load scripts, which [WriteAsset]
// serves. Those with values to copy have a script in them, which puts buttons beside these. All values are shown as
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
	"net/http"
	"net/url"
	"path"
	"strconv"
	"strings"
	"sync"
)

// Write answers with the page, and returns its size. After an error, which is for the log, the answer is a bare 500.
func Write(w http.ResponseWriter, status int, page Page) (size int, err error) {
	about := page.about()
	set := pages()
	h := w.Header()
	h.Set("Cache-Control", "no-store") // pages hold secrets and personal data
	var buf bytes.Buffer
	v := view{Title: about.title, Here: about.here, Style: set.style, Icon: set.icon, Page: page}
	if about.copies {
		v.Script = set.script
	}
	err = set.templates[about.template].ExecuteTemplate(&buf, "layout.html", v)
	if err != nil {
		w.WriteHeader(http.StatusInternalServerError)
		return 0, fmt.Errorf("page %s: %w", about.template, err)
	}
	h.Set("Content-Security-Policy", set.policy(about))
	h.Set("X-Frame-Options", "DENY")
	h.Set("X-Content-Type-Options", "nosniff")
	// The address holds secrets that no other site may see. With "no-referrer" our own forms would send "Origin: null",
	// as foreign ones do, and over plain HTTP browsers send no Sec-Fetch-Site to tell them apart.
	h.Set("Referrer-Policy", "same-origin")
	if !about.leaves { // the app may wait in the opener, where its callback answers it
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
	}
	return Send(w, status, "text/html; charset=utf-8", buf.Bytes()), nil
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
	templates  map[string]*template.Template
	style      template.CSS
	styleHash  string // as a CSP source
	script     template.JS
	scriptHash string // as a CSP source
	icon       template.URL
}

//go:embed templates copy.js
var files embed.FS

// pages parses all pages on first use. Tests find mistakes in them.
var pages = sync.OnceValue(func() set {
	css, js := read(files, "templates/style.css"), read(files, "copy.js")
	s := set{
		templates:  map[string]*template.Template{},
		style:      template.CSS(css),
		styleHash:  hashSource(css),
		script:     template.JS(js),
		scriptHash: hashSource(js),
		icon:       template.URL("data:image/svg+xml;base64," + base64.StdEncoding.EncodeToString(read(files, "templates/icon.svg"))),
	}
	funcs := template.FuncMap{"can": can, "cannot": cannot, "access": accessName, "accesses": accessLevels, "link": link, "local": local,
		"field": func(id, label, value string) field { return field{id, label, value} }, "count": Count,
		"split": func(s string) []string { return strings.Split(s, "\n") }}
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
func (s set) policy(about about) string {
	own := ""
	switch {
	case about.scripts && about.copies:
		own = " 'self'; script-src 'self' " + s.scriptHash + "; connect-src 'self'"
	case about.scripts:
		own = " 'self'; script-src 'self'; connect-src 'self'"
	case about.copies:
		own = "; script-src " + s.scriptHash
	}
	base := "default-src 'none'; style-src " + s.styleHash + own + "; img-src data:; base-uri 'none'; frame-ancestors 'none'"
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

// local returns the address if it is a path of ours, else "".
func local(address string) string {
	rest, ok := strings.CutPrefix(address, "/")
	if !ok || strings.HasPrefix(rest, "/") || strings.HasPrefix(rest, `\`) || strings.ContainsAny(rest, "\t\n\r") {
		return ""
	}
	return address
}
