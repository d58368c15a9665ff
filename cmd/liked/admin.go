package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"text/tabwriter"
	"time"

	"liked/internal/admin"
	"liked/internal/server"
)

// Operator selects a running server, a data directory, which may have one, or a database beside its servers.
type Operator struct {
	Data           string `json:"-" variable:"" placeholder:"DIR" help:"Data directory of the server, which may be running or not."`
	Credentials    string `json:"-" placeholder:"FILE" help:"File that a running \"liked dev\" wrote, instead of --data; - is standard input."`
	Postgres       string `json:"-" variable:"" placeholder:"DSN"`
	SealKey        string `json:"-" variable:"" placeholder:"FILE" help:"With --postgres: the servers' key, for what seals or opens a secret."`
	AdminURL       string `json:"-" variable:"" placeholder:"URL" help:"Where a running server is administered, instead of --data."`
	AdminToken     string `json:"-" variable:"only" hidden:""`
	AdminTokenFile string `json:"-" variable:"" placeholder:"FILE" help:"File with its admin token, unless LIKED_ADMIN_TOKEN holds that."`
}

func (o *Operator) check() error {
	var errs []error
	var given []string
	for _, way := range []struct{ flag, value string }{
		{"--data", o.Data}, {"--credentials", o.Credentials}, {"--postgres", o.Postgres}, {"--admin-url", o.AdminURL},
	} {
		if way.value != "" {
			given = append(given, way.flag)
		}
	}
	switch {
	case len(given) == 0:
		errs = append(errs, errors.New("data: missing; give the server's data directory, or --credentials, "+
			"or --admin-url and --admin-token-file"))
	case len(given) > 1:
		errs = append(errs, fmt.Errorf("%s: give either this or %s", given[0][2:], strings.Join(given[1:], " or ")))
	}
	if o.SealKey != "" && len(given) == 0 {
		errs = append(errs, errors.New("seal-key: it belongs to --postgres, which is missing"))
	}
	if o.AdminURL != "" {
		u, err := url.Parse(o.AdminURL)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
			errs = append(errs, fmt.Errorf("admin-url: %q is not a URL such as http://127.0.0.1:8081", o.AdminURL))
		} else if u.User != nil { // errors name the URL
			errs = append(errs, errors.New("admin-url: it has a user or a password; the token in --admin-token-file is all that a server takes"))
		}
		if o.AdminToken == "" && o.AdminTokenFile == "" {
			errs = append(errs, errors.New("admin-token-file: missing; give a file with the server's admin token, "+
				"which `liked dev` prints and admin.json of a data directory holds"))
		}
	}
	return errors.Join(errs...)
}

// connect finds the server, or opens the data directory if none runs on it. mayMake: a missing one is created.
func (o *Operator) connect(e *env, mayMake bool) (c *admin.Client, close func() error, err error) {
	switch logger := slog.New(slog.NewTextHandler(e.stderr, nil)); {
	case o.Postgres != "":
		return server.DatabaseAdmin(o.Postgres, o.SealKey, mayMake, logger)
	case o.Data != "" && !mayMake && !server.HasData(o.Data):
		return nil, nil, fmt.Errorf("there is no data in %s: check the path, or start `liked serve --data %s` once", o.Data, o.Data)
	case o.Data != "":
		return server.Admin(o.Data, logger)
	}
	return o.running(e)
}

// running returns a client of a server that runs.
func (o *Operator) running(e *env) (c *admin.Client, close func() error, err error) {
	at, token := o.AdminURL, o.AdminToken
	switch {
	case o.Data != "":
		return server.RunningAdmin(o.Data)
	case o.Credentials != "":
		k, err := e.readCredentials(o.Credentials)
		if err != nil {
			return nil, nil, err
		}
		at, token = k.AdminURL, k.AdminToken
	case o.AdminTokenFile != "":
		if token, err = e.readToken(o.AdminTokenFile); err != nil {
			return nil, nil, err
		}
	}
	transport := &http.Transport{Proxy: http.ProxyFromEnvironment}
	close = func() error { transport.CloseIdleConnections(); return nil }
	return &admin.Client{URL: strings.TrimSuffix(at, "/"), Token: token, Transport: transport}, close, nil
}

func (o *Operator) with(e *env, mayMake bool, do func(*admin.Client) error) error {
	c, close, err := o.connect(e, mayMake)
	if err != nil {
		return err
	}
	return errors.Join(do(c), close())
}

// Answer is part of commands that print an answer of the admin API. Their fields with a JSON name form the request's
// body, which only the server validates.
type Answer struct {
	Output
	Operator
}

// Output is how a command answers.
type Output struct {
	JSON bool `json:"-" help:"Answer with one JSON object a line."`
}

// print writes v as JSON, or else what text writes.
func (o Output) print(e *env, v any, text func(io.Writer)) error {
	var out bytes.Buffer
	if !o.JSON {
		text(&out)
	} else if err := json.NewEncoder(&out).Encode(v); err != nil {
		return err
	}
	_, err := out.WriteTo(e.stdout)
	return err
}

type request struct {
	method, path string
	body         any  // nil: none
	mayMake      bool // as in connect
}

func at(parts ...string) string {
	path := "/admin"
	for _, p := range parts {
		path += "/" + url.PathEscape(p)
	}
	return path
}

// show calls the server and prints its answer: those lines that have a value, as name and value.
func show[T any](e *env, c *Answer, r request, lines func(T) [][2]string) error {
	return c.with(e, r.mayMake, func(a *admin.Client) error {
		var v T
		if err := a.Call(e.ctx, r.method, r.path, r.body, &v); err != nil {
			return err
		}
		return c.print(e, v, func(w io.Writer) {
			t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
			for _, l := range lines(v) {
				if l[1] != "" {
					text := strings.ReplaceAll(printableLines(l[1]), "\t", " ")
					fmt.Fprintf(t, "%s\t%s\n", l[0], strings.ReplaceAll(text, "\n", "\n\t"))
				}
			}
			_ = t.Flush() // to memory
		})
	})
}

// list prints the items of all pages, as JSON or as a table. items returns a page's items and the next path, "" at the
// end.
func list[Page, Item any](e *env, c *Answer, path, header string, items func(Page) ([]Item, string), row func(Item) []any) error {
	return c.with(e, false, func(a *admin.Client) error {
		t := tabwriter.NewWriter(e.stdout, 0, 0, 2, ' ', 0)
		if !c.JSON {
			fmt.Fprintln(t, header)
		}
		for path != "" {
			var page Page
			if err := a.Call(e.ctx, "GET", path, nil, &page); err != nil {
				return err
			}
			var some []Item
			some, path = items(page)
			for _, item := range some {
				if c.JSON {
					if err := json.NewEncoder(e.stdout).Encode(item); err != nil {
						return err
					}
					continue
				}
				for i, v := range row(item) {
					if i > 0 {
						fmt.Fprint(t, "\t")
					}
					fmt.Fprint(t, printable(fmt.Sprint(v)))
				}
				fmt.Fprintln(t)
			}
			if err := t.Flush(); err != nil {
				return err
			}
		}
		return nil
	})
}

// nextPage is the path with a parameter that says where the next page begins, "" if there is none.
func nextPage(path, parameter, next string) string {
	if next == "" || next == "0" {
		return ""
	}
	return path + "&" + parameter + "=" + url.QueryEscape(next)
}

func (o *Operator) do(e *env, r request) error {
	return o.with(e, false, func(a *admin.Client) error { return a.Call(e.ctx, r.method, r.path, r.body, nil) })
}

func when(t time.Time) string { return t.UTC().Format(time.RFC3339) }
